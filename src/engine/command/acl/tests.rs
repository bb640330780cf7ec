use crate::engine::reply::Protocol;
use crate::engine::testing::{check, check_all, check3, engine, run_line};

fn text(engine: &mut crate::engine::Engine, line: &str) -> String {
    let reply = run_line(engine, Protocol::Resp2, line);
    String::from_utf8(reply).unwrap().replace("\r\n", " ")
}

#[test]
fn users_are_made_told_and_removed() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("ACL USERS", "*1\r\n$7\r\ndefault\r\n"),
            ("ACL LIST", "*1\r\n$51\r\nuser default on nopass sanitize-payload ~* &* +@all\r\n"),
            ("ACL SETUSER b on ~k* %R~r* &c +get (+set ~s &d)", "+OK\r\n"),
            ("ACL SETUSER a", "+OK\r\n"),
            ("ACL USERS", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$7\r\ndefault\r\n"),
            ("ACL GETUSER nope", "$-1\r\n"),
            ("ACL DELUSER nope a a", ":1\r\n"),
            ("ACL DELUSER b default", "-ERR The 'default' user cannot be removed\r\n"),
            (
                "ACL SETUSER b +nope",
                "-ERR Error in ACL SETUSER modifier '+nope': Unknown command or category name in \
                 ACL\r\n",
            ),
            ("ACL SETUSER", "-ERR wrong number of arguments for 'acl|setuser' command\r\n"),
            ("ACL nope", "-ERR unknown subcommand 'nope'. Try ACL HELP.\r\n"),
        ],
    );
    assert_eq!(
        text(&mut engine, "ACL GETUSER b"),
        "*12 $5 flags *2 $2 on $16 sanitize-payload $9 passwords *0 $8 commands $10 -@all +get \
         $4 keys $9 ~k* %R~r* $8 channels $2 &c $9 selectors *1 *6 $8 commands $10 -@all +set \
         $4 keys $2 ~s $8 channels $2 &d "
    );
    check3(&mut engine, "ACL GETUSER nope", "_\r\n");
    let told = run_line(&mut engine, Protocol::Resp3, "ACL GETUSER b");
    assert!(told.starts_with(b"%6\r\n$5\r\nflags\r\n~2\r\n$2\r\non\r\n"));
}

#[test]
fn categories_are_listed_with_their_commands() {
    let mut engine = engine();
    assert!(text(&mut engine, "ACL CAT").starts_with("*21 $8 keyspace $4 read $5 write "));
    let commands = text(&mut engine, "ACL CAT Transaction");
    assert_eq!(commands, "*5 $7 discard $4 exec $5 multi $7 unwatch $5 watch ");
    let admin = text(&mut engine, "ACL CAT admin");
    assert!(admin.contains(" acl|setuser ") && !admin.contains(" acl|whoami "), "{admin}");
    check(&mut engine, "ACL CAT nope", "-ERR Unknown category 'nope'\r\n");
    let text = "-ERR unknown subcommand or wrong number of arguments for 'cat'. Try ACL HELP.\r\n";
    check(&mut engine, "ACL CAT a b", text);
}

#[test]
fn a_dry_run_tells_what_would_be_denied() {
    let mut engine = engine();
    check(&mut engine, "ACL SETUSER u ~k* +get +publish", "+OK\r\n");
    let cases = [
        ("u get k", "+OK "),
        ("u get x", "$53 User u has no permissions to access the 'x' key "),
        ("u set k 1", "User u has no permissions to run the 'set' command "),
        ("u publish c 1", "User u has no permissions to access the 'c' channel "),
        ("u client list", "User u has no permissions to run the 'client|list' command "),
        ("nope get x", "-ERR User 'nope' not found "),
        ("u nope x", "-ERR Command 'nope' not found "),
        ("u client nope", "-ERR Command 'client' not found "),
        ("u get", "-ERR wrong number of arguments for 'get' command "),
        ("default get x", "+OK "),
    ];
    for (line, expected) in cases {
        let told = text(&mut engine, &format!("ACL DRYRUN {line}"));
        let told = told
            .split_once(' ')
            .map_or("", |(head, rest)| if head.starts_with('$') { rest } else { &told });
        assert_eq!(told, expected.strip_prefix("$53 ").unwrap_or(expected), "{line}");
    }
}

#[test]
fn the_first_users_of_a_node_are_those_of_the_cluster() {
    let mut engine = engine();
    let seed = |line: &str| format!("RAFT.ACL seed {line}");
    check(&mut engine, &seed("pw allchannels \"user a on +get\" \"user b ~x\""), "+OK\r\n");
    let list = text(&mut engine, "ACL LIST");
    let hash = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
    assert!(list.contains("user a on sanitize-payload &* -@all +get "), "{list}");
    assert!(list.contains(&format!("user default on sanitize-payload #{hash} ~* ")), "{list}");
    // Another node comes too late.
    check(&mut engine, &seed("other resetchannels \"user c\""), "+OK\r\n");
    assert_eq!(text(&mut engine, "ACL LIST"), list);
    check(&mut engine, "RAFT.ACL set requirepass \"\" acl-pubsub-default resetchannels", "+OK\r\n");
    let list = text(&mut engine, "ACL LIST");
    assert!(list.contains("user default on nopass sanitize-payload ~* &* +@all"), "{list}");
    check(&mut engine, "ACL SETUSER d", "+OK\r\n");
    assert!(text(&mut engine, "ACL LIST").contains("user d off sanitize-payload resetchannels "));
    check(&mut engine, "RAFT.ACL load \"user e on\"", "+OK\r\n");
    check(&mut engine, "ACL USERS", "*2\r\n$7\r\ndefault\r\n$1\r\ne\r\n");
    let refused = "-ERR Duplicate user 'e' found\r\n";
    check(&mut engine, "RAFT.ACL load \"user e on\" \"user e on\"", refused);
    check(&mut engine, "RAFT.ACL set requirepass", "-ERR syntax error\r\n");
    check(&mut engine, "RAFT.ACL nope x", "-ERR syntax error\r\n");
}
