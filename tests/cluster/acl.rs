//! Access control: users made on one node are those of all, whoever fails and whoever joins, and
//! commands are denied for each reason there is.

use std::io::Write;

use crate::client::{Client, Value, encode};
use crate::cluster::{Cluster, Layout, on_both_layouts, start_node};
use crate::process::{free_ports, is_stand_in, one_at_a_time};
use crate::snapshot::check_same_digests;
use crate::wait::{self, LONG};

on_both_layouts!(
    a_user_made_on_one_node_works_on_all_through_a_leader_kill_and_a_join,
    commands_are_denied_for_each_reason,
    a_script_can_do_what_its_user_may,
    who_loses_a_user_or_its_channels_is_closed_on_every_node,
    a_password_set_on_one_node_is_asked_for_on_all,
);

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

/// A client of the node that is this user. Nodes learn of users when they apply the entry.
fn login(cluster: &Cluster, position: usize, user: &str, password: &str) -> Client {
    let mut client = cluster.client(position);
    let login = format!("AUTH {user} {password}");
    wait::until_true("the node knows the user", LONG, || client.call(&login) == Value::ok());
    client
}

fn error(text: &str) -> Value {
    Value::Error(text.to_owned())
}

fn a_user_made_on_one_node_works_on_all_through_a_leader_kill_and_a_join(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let follower = cluster.followers()[0];
    let mut admin = cluster.client(follower);
    let made = admin.call("ACL SETUSER worker on >secret ~jobs:* %R~conf:* +@all -@dangerous");
    assert_eq!(made, Value::ok());
    for position in 0..3 {
        let mut client = login(&cluster, position, "worker", "secret");
        assert_eq!(client.call("ACL WHOAMI"), Value::bulk("worker"));
        assert_eq!(client.call("SET jobs:1 x"), Value::ok());
        assert_eq!(client.call("SET conf:1 x"), error("NOPERM No permissions to access a key"));
        assert_eq!(client.call("EXISTS conf:1"), Value::Integer(0));
        let told = client.call("CLIENT INFO").text();
        assert!(told.contains(" user=worker "), "{told}");
        let wrong = error("WRONGPASS invalid username-password pair or user is disabled.");
        assert_eq!(client.call("AUTH worker wrong"), wrong);
        assert_eq!(client.call("ACL WHOAMI"), Value::bulk("worker"));
    }
    let list = admin.call("ACL LIST");
    if !is_stand_in() {
        cluster.nodes[leader].kill();
        let mut client = login(&cluster, follower, "worker", "secret");
        wait::until_true("the others go on", LONG, || client.call("SET jobs:2 y") == Value::ok());
        // The new one gets the users by the log or by a snapshot.
        cluster.restart(leader, layout.option());
        cluster.nodes[leader].wait_ready();
    }
    let mut client = login(&cluster, leader, "worker", "secret");
    assert_eq!(client.call("GET jobs:1"), Value::bulk("x"));
    assert_eq!(cluster.client(leader).call("ACL LIST"), list);
    let gone = cluster.client(leader).call("ACL DELUSER worker nobody");
    assert_eq!(gone, Value::Integer(1));
    cluster.check_alive();
}

fn commands_are_denied_for_each_reason(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let mut admin = cluster.client(0);
    let rules = "on >p ~k* &news* +@all -@dangerous -client|id (+set ~only:set)";
    assert_eq!(admin.call(&format!("ACL SETUSER u {rules}")), Value::ok());
    let mut client = login(&cluster, 1, "u", "p");
    let command = |name: &str| {
        error(&format!("NOPERM User u has no permissions to run the '{name}' command"))
    };
    let key = || error("NOPERM No permissions to access a key");
    let channel = || error("NOPERM No permissions to access a channel");
    let cases = [
        ("FLUSHALL", command("flushall")),
        ("CONFIG GET maxmemory", command("config|get")),
        ("CLIENT ID", command("client|id")),
        ("ACL SETUSER u +@all", command("acl|setuser")),
        ("RAFT.NODE REMOVE 1", command("raft.node")),
        ("SET k1 v", Value::ok()),
        ("GET other", key()),
        ("MGET k1 other", key()),
        ("SET only:set v", Value::ok()),
        ("GET only:set", key()),
        ("BLPOP other 1", key()),
        ("WATCH other", key()),
        ("PUBLISH news:1 m", Value::Integer(0)),
        ("PUBLISH other m", channel()),
        ("SUBSCRIBE other", channel()),
        ("PSUBSCRIBE news:*", channel()),
        ("SSUBSCRIBE other", channel()),
        ("MULTI", Value::ok()),
        ("SET k2 v", Value::Simple("QUEUED".to_owned())),
        ("KEYS *", command("keys")),
        ("EXEC", error("EXECABORT Transaction discarded because of previous errors.")),
        ("EXISTS k2", Value::Integer(0)),
        ("CLIENT NOPE", error("ERR unknown subcommand 'NOPE'. Try CLIENT HELP.")),
    ];
    for (line, expected) in cases {
        assert_eq!(client.call(line), expected, "{line}");
    }
    let late = denied_at_exec(&cluster, &mut client);
    assert!(late.starts_with("NOPERM ACLs rules changed between the moment"), "{late}");
    let Value::Array(log) = cluster.client(1).call("ACL LOG 1") else { panic!("no log") };
    let Value::Array(entry) = &log[0] else { panic!("no entry") };
    assert!(entry.contains(&Value::bulk("multi")) && entry.contains(&Value::bulk("incr")));
    let info = |field| cluster.nodes[1].info(field).unwrap().parse::<u32>().unwrap();
    assert!(info("acl_access_denied_cmd") >= 7);
    assert!(info("acl_access_denied_key") >= 5 && info("acl_access_denied_channel") >= 4);
    assert_eq!(cluster.client(0).call("ACL LOG"), Value::Array(Vec::new()));
}

fn a_script_can_do_what_its_user_may(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let mut cluster = Cluster::start(layout);
    let leader = cluster.leader();
    let survivors = cluster.followers();
    let rules = "on >p ~app:* +@all -@dangerous -del";
    let made = cluster.client(survivors[0]).call(&format!("ACL SETUSER worker {rules}"));
    assert_eq!(made, Value::ok());
    let mut client = login(&cluster, survivors[0], "worker", "p");
    check_scripts(&mut client);
    check_log_of_scripts(&cluster, survivors[0]);
    assert_eq!(cluster.client(survivors[1]).call("ACL LOG"), Value::Array(Vec::new()));
    cluster.nodes[leader].kill();
    wait::until_true("the others go on", LONG, || client.call("SET app:1 x") == Value::ok());
    check_scripts(&mut client);
    check_same_digests(&cluster, &survivors);
    // Who has the user by the log or by a snapshot denies the same.
    cluster.restart(leader, layout.option());
    cluster.nodes[leader].wait_ready();
    check_scripts(&mut login(&cluster, leader, "worker", "p"));
    // A queue that was begun with more rights is run with those that are left.
    let mut admin = cluster.client(leader);
    assert_eq!(client.call("MULTI"), Value::ok());
    let script: [&[u8]; 3] = [b"EVAL", b"return redis.pcall('SET', 'app:1', 'late')", b"0"];
    assert_eq!(client.call_words(&script), Value::Simple("QUEUED".to_owned()));
    assert_eq!(admin.call("ACL SETUSER worker -set"), Value::ok());
    let Value::Array(replies) = client.call("EXEC") else { panic!("EXEC was refused") };
    let denied = "ERR ACL failure in script: User worker has no permissions to run the 'set'";
    assert!(replies[0].text().starts_with(denied), "{replies:?}");
    assert_eq!(admin.call("GET app:1"), Value::bulk("x"));
    check_same_digests(&cluster, &[0, 1, 2]);
    cluster.check_alive();
}

/// Precondition: the user of the client may use the keys `app:*`, and not run DEL.
fn check_scripts(client: &mut Client) {
    assert_eq!(client.call("SET app:1 x"), Value::ok());
    let denied = "ERR ACL failure in script: ";
    let command = format!("{denied}User worker has no permissions to run the 'del' command");
    let key = format!("{denied}No permissions to access a key");
    let cases = [
        ("return redis.call('GET', 'app:1')", "x"),
        ("return redis.call('GET', 'other')", &*key),
        ("return redis.call('DEL', 'app:1')", &*command),
        ("return tostring(redis.acl_check_cmd('DEL', 'app:1'))", "false"),
    ];
    for (script, expected) in cases {
        for command in ["EVAL", "EVAL_RO"] {
            let reply = client.call_words(&[command.as_bytes(), script.as_bytes(), b"0"]).text();
            assert!(reply.starts_with(expected), "{command} {script}: {reply}");
        }
    }
    let partly = "redis.call('SET', 'app:2', ARGV[1]) return redis.call('SET', 'other', 'x')";
    let reply = client.call_words(&[b"EVAL", partly.as_bytes(), b"0", b"y"]).text();
    assert!(reply.starts_with(&key), "{reply}");
    assert_eq!(client.call("GET app:2"), Value::bulk("y"));
    assert_eq!(client.call("MULTI"), Value::ok());
    let script: [&[u8]; 3] = [b"EVAL_RO", b"return redis.pcall('GET', 'other')", b"0"];
    assert_eq!(client.call_words(&script), Value::Simple("QUEUED".to_owned()));
    assert_eq!(client.call("EXEC"), Value::Array(vec![Value::Error(key)]));
}

/// What [`check_scripts`] was denied is told where its client is.
fn check_log_of_scripts(cluster: &Cluster, position: usize) {
    let Value::Array(log) = cluster.client(position).call("ACL LOG") else { panic!("no log") };
    let told: Vec<String> = log
        .iter()
        .map(|entry| {
            let Value::Array(fields) = entry else { panic!("{entry:?}") };
            let field = |at: usize| match &fields[at] {
                Value::Integer(number) => number.to_string(),
                text => text.text(),
            };
            let caller =
                field(13).split(" cmd=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
            [field(1), field(3), field(5), field(7), field(9), caller].join(" ")
        })
        .collect();
    let expected = ["2 command lua del worker eval_ro", "4 key lua other worker eval_ro"];
    let mut sorted = told.clone();
    sorted.sort();
    assert_eq!(sorted, expected, "{told:?}");
    let info = |field| cluster.nodes[position].info(field).unwrap();
    assert_eq!((&*info("acl_access_denied_cmd"), &*info("acl_access_denied_key")), ("2", "4"));
}

/// The reply to a command that was allowed when it was queued. The users reach the role that has
/// the client by themselves, so EXEC may come before them.
fn denied_at_exec(cluster: &Cluster, client: &mut Client) -> String {
    let mut admin = cluster.client(1);
    wait::until("EXEC comes behind the change", LONG, || {
        assert_eq!(admin.call("ACL SETUSER u +incr"), Value::ok());
        wait::until_true("it is allowed", LONG, || {
            matches!(client.call("INCR k4"), Value::Integer(_))
        });
        assert_eq!(client.call("MULTI"), Value::ok());
        for line in ["SET k3 v", "PING", "INCR k4"] {
            assert_eq!(client.call(line), Value::Simple("QUEUED".to_owned()));
        }
        assert_eq!(admin.call("ACL SETUSER u -incr"), Value::ok());
        let Value::Array(replies) = client.call("EXEC") else { panic!("EXEC was refused") };
        assert_eq!(replies[..2], [Value::ok(), Value::Simple("PONG".to_owned())]);
        match &replies[2] {
            Value::Error(text) => Some(text.clone()),
            _ => None,
        }
    })
}

fn who_loses_a_user_or_its_channels_is_closed_on_every_node(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let mut admin = cluster.client(0);
    for user in ["a", "b"] {
        let rules = format!("ACL SETUSER {user} on >p allkeys &x &y +@all");
        assert_eq!(admin.call(&rules), Value::ok());
    }
    let mut idle = login(&cluster, 1, "a", "p");
    let mut waiting = login(&cluster, 2, "a", "p");
    let mut listening = login(&cluster, 2, "b", "p");
    let mut talking = login(&cluster, 2, "b", "p");
    waiting.send(&encode(&words("BLPOP nothing 0"))).unwrap();
    listening.call("SUBSCRIBE x");
    wait::until_true("it waits", LONG, || {
        cluster.nodes[2].info("blocked_clients").as_deref() == Some("1")
    });
    assert_eq!(admin.call("ACL DELUSER a"), Value::Integer(1));
    assert!(idle.read_to_end().is_empty());
    assert!(waiting.read_to_end().is_empty());
    // Another user of that name does not bring them back, nor does it close who stays.
    assert_eq!(admin.call("ACL SETUSER a on >p"), Value::ok());
    assert_eq!(admin.call("ACL SETUSER b resetchannels &y"), Value::ok());
    assert!(listening.read_to_end().is_empty());
    assert_eq!(talking.call("PING"), Value::Simple("PONG".to_owned()));
    // Who removes itself is still answered.
    assert_eq!(talking.call("ACL DELUSER b"), Value::Integer(1));
    assert!(talking.read_to_end().is_empty());
    // A user that is off lets in nobody new.
    assert_eq!(admin.call("ACL SETUSER c on >p +ping"), Value::ok());
    let mut before = login(&cluster, 1, "c", "p");
    assert_eq!(admin.call("ACL SETUSER c off"), Value::ok());
    wait::until_true("it is off", LONG, || {
        matches!(cluster.client(1).call("AUTH c p"), Value::Error(_))
    });
    assert_eq!(before.call("PING"), Value::Simple("PONG".to_owned()));
}

fn a_password_set_on_one_node_is_asked_for_on_all(layout: Layout) {
    if is_stand_in() {
        return;
    }
    let cluster = Cluster::start(layout);
    let mut former = cluster.client(2);
    let mut admin = cluster.client(1);
    assert_eq!(admin.call("CONFIG SET requirepass sesame"), Value::ok());
    let refused = error("NOAUTH Authentication required.");
    for position in 0..3 {
        wait::until_true("it asks for the password", LONG, || {
            cluster.client(position).call("GET k") == refused
        });
        let mut client = cluster.client(position);
        assert_eq!(client.call("AUTH sesame"), Value::ok());
        assert_eq!(client.call("SET k v"), Value::ok());
        let shown = client.call("CONFIG GET requirepass");
        assert_eq!(shown, Value::Array(vec![Value::bulk("requirepass"), Value::bulk("sesame")]));
    }
    // Who was there before stays.
    assert_eq!(former.call("GET k"), Value::bulk("v"));
    assert_eq!(admin.call("CONFIG SET requirepass \"\""), Value::ok());
}

#[test]
fn the_first_node_brings_its_users_along() {
    if is_stand_in() {
        return;
    }
    let _turn = one_at_a_time();
    let path = std::env::temp_dir().join(format!("mayfly-users-{}.acl", std::process::id()));
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "user app on >p ~app:* +@all\nuser default on >root ~* &* +@all").unwrap();
    writeln!(file, "user peer on >secret +raft.cluster +raft.node").unwrap();
    let first = free_ports(2);
    let folded = Layout::Folded.option();
    let option = format!("--aclfile {} {folded}", path.display());
    let _first = start_node(first, &format!("--init {option}"));
    let peer = "--masteruser peer --masterauth secret";
    let _second = start_node(first + 1, &format!("--join 127.0.0.1:{first} {peer} {folded}"));
    for port in [first, first + 1] {
        wait::until_true("the user is there", LONG, || {
            let Ok(mut client) = Client::try_connect(port) else { return false };
            client.call("AUTH app p") == Value::ok() && client.call("SET app:1 x") == Value::ok()
        });
        let refused = error("NOAUTH Authentication required.");
        assert_eq!(Client::connect(port).call("GET app:1"), refused);
    }
    let mut admin = Client::connect(first);
    assert_eq!(admin.call("AUTH root"), Value::ok());
    writeln!(file, "user late on nopass +ping").unwrap();
    assert_eq!(admin.call("ACL LOAD"), Value::ok());
    assert_eq!(admin.call("ACL DRYRUN late ping"), Value::ok());
    writeln!(file, "user late on").unwrap();
    let refused = admin.call("ACL LOAD").text();
    assert!(refused.contains(":5: Duplicate user 'late' found. WARNING: ACL errors"), "{refused}");
    let refused = admin.call("ACL SAVE").text();
    assert!(refused.contains("writes no files"), "{refused}");
    std::fs::remove_file(&path).unwrap();
}
