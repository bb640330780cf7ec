//! Connection, CONFIG, CLIENT and RAFT.*.

use super::views::field;
use super::*;
use crate::engine::command::{CommandSpec, table};
use crate::node::mailbox::{ClientClass, KillFilter};
use crate::raft::types::Applicant;

#[test]
fn greetings_follow_the_protocol_that_is_asked_for() {
    let fields = |proto: u8| {
        format!(
            "$6|server|$5|redis|$7|version|$5|7.2.4|$5|proto|:{proto}|$2|id|:7|$4|mode|\
             $10|standalone|$4|role|$6|master|$7|modules|*0|"
        )
    };
    let mut bench = Bench::new();
    bench.check(&[
        ("HELLO", &format!("*14|{}", fields(2))),
        ("HELLO 3", &format!("%7|{}", fields(3))),
        ("hello", &format!("%7|{}", fields(3))),
        ("HELLO 2", &format!("*14|{}", fields(2))),
        ("HELLO 3 SETNAME me AUTH default any", &format!("%7|{}", fields(3))),
        ("CLIENT GETNAME", "$2|me|"),
    ]);
}

#[test]
fn a_greeting_that_fails_changes_nothing() {
    let mut bench = Bench::new();
    bench.check(&[
        ("HELLO 4", "-NOPROTO unsupported protocol version|"),
        ("HELLO x", "-ERR Protocol version is not an integer or out of range|"),
        ("HELLO 3 foo", "-ERR Syntax error in HELLO option 'foo'|"),
        ("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'|"),
        ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'|"),
        (
            "HELLO 3 SETNAME a\nb",
            "-ERR Client names cannot contain spaces, newlines or special characters.|",
        ),
        (
            "HELLO 3 SETNAME x AUTH other pw",
            "-WRONGPASS invalid username-password pair or user is disabled.|",
        ),
        ("CLIENT GETNAME", "$-1|"),
    ]);
    assert_eq!(bench.session.protocol, Protocol::Resp2);
}

#[test]
fn only_the_password_opens_a_node_that_has_one() {
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.|";
    let mut bench = Bench::with_password();
    assert!(bench.say("HELLO 3").starts_with("-NOAUTH HELLO must be called with the client"));
    bench.check(&[("AUTH x", wrong), ("AUTH p", wrong), ("AUTH pwpw", wrong)]);
    bench.check(&[("AUTH ", wrong), ("AUTH foo pw", wrong), ("HELLO 3 AUTH default x", wrong)]);
    assert!(!bench.session.authenticated);
    bench.check(&[("AUTH pw", "+OK|")]);
    assert!(bench.session.authenticated);
    bench.check(&[("AUTH x", wrong)]);
    assert!(bench.session.authenticated, "a failed attempt does not take away what there was");
    bench.check(&[("RESET", "+RESET|")]);
    assert!(!bench.session.authenticated);
    assert!(bench.say("HELLO 3 AUTH default pw").starts_with("%7|"));
    bench.check(&[("AUTH a b c", "-ERR syntax error|"), ("AUTH default pw", "+OK|")]);
}

#[test]
fn a_password_without_need_is_an_error_unless_the_user_is_named() {
    Bench::new().check(&[
        (
            "AUTH pw",
            "-ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?|",
        ),
        ("AUTH default pw", "+OK|"),
        ("AUTH other pw", "-WRONGPASS invalid username-password pair or user is disabled.|"),
    ]);
}

#[test]
fn small_commands_answer_as_redis_does() {
    Bench::new().check(&[
        ("PING", "+PONG|"),
        ("ping hello", "$5|hello|"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command|"),
        ("ECHO x", "$1|x|"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command|"),
        ("SELECT 15", "+OK|"),
        ("SELECT 16", "-ERR DB index is out of range|"),
        ("SELECT -1", "-ERR DB index is out of range|"),
        ("SELECT x", "-ERR value is not an integer or out of range|"),
        (
            "SELECT 99999999999",
            "-ERR value is out of range, value must between -2147483648 and 2147483647|",
        ),
        ("READONLY", "+OK|"),
        ("READWRITE", "+OK|"),
        ("TIME", "*2|$10|1700000000|$6|123000|"),
        ("WAITAOF 0 0 0", "*2|:0|:0|"),
        ("WAITAOF 0 2 100", "*2|:0|:0|"),
        ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1|"),
        ("WAITAOF x 0 0", "-ERR value is not an integer or out of range|"),
        ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive|"),
        ("WAITAOF 0 0 x", "-ERR timeout is not an integer or out of range|"),
        ("WAITAOF 0 0 -1", "-ERR timeout is negative|"),
        (
            "WAITAOF 1 0 0",
            "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.|",
        ),
        ("QUIT", "+OK|close"),
        ("foo", "-ERR unknown command 'foo', with args beginning with: |"),
        ("foo a b", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' |"),
    ]);
}

#[test]
fn reset_takes_back_all_but_the_library() {
    let mut bench = Bench::new();
    for line in [
        "HELLO 3 SETNAME me",
        "SELECT 3",
        "CLIENT NO-EVICT ON",
        "CLIENT NO-TOUCH ON",
        "CLIENT SETINFO LIB-NAME lib",
    ] {
        assert!(!bench.say(line).starts_with('-'), "{line}");
    }
    bench.check(&[("RESET", "+RESET|"), ("CLIENT GETNAME", "$-1|")]);
    let session = &bench.session;
    assert_eq!((session.database, session.protocol), (0, Protocol::Resp2));
    assert_eq!((session.no_evict, session.no_touch), (false, false));
    assert_eq!((session.library_name.as_slice(), session.id), (&b"lib"[..], 7));
}

/// As redis-server 7.0 truncates them.
#[test]
fn unknown_commands_are_quoted_in_part() {
    let long = "y".repeat(200);
    let cases: [(Vec<&[u8]>, String); 4] = [
        (
            vec![long.as_bytes(), b"a"],
            format!("ERR unknown command '{}', with args beginning with: 'a' ", "y".repeat(128)),
        ),
        (
            vec![b"foo", long.as_bytes(), b"b"],
            format!("ERR unknown command 'foo', with args beginning with: '{}' ", "y".repeat(128)),
        ),
        (
            [&b"foo"[..]].into_iter().chain(std::iter::repeat_n(&b"bbbbbbbbbb"[..], 30)).collect(),
            format!(
                "ERR unknown command 'foo', with args beginning with: {}",
                "'bbbbbbbbbb' ".repeat(10)
            ),
        ),
        (
            vec![b"fo\0o", b"a\0b"],
            "ERR unknown command 'fo', with args beginning with: 'a' ".to_owned(),
        ),
    ];
    for (words, expected) in cases {
        assert_eq!(unknown_command(&words), expected);
    }
}

#[test]
fn settings_are_read_and_changed() {
    let mut bench = Bench::new();
    bench.check(&[
        ("CONFIG GET maxcl* maxclients", "*2|$10|maxclients|$5|10000|"),
        ("CONFIG GET save", "*2|$4|save|$0||"),
        ("CONFIG GET nosuch", "*0|"),
        ("CONFIG SET maxclients 20 timeout 5", "+OK|"),
        ("CONFIG GET maxclients", "*2|$10|maxclients|$2|20|"),
        ("HELLO 3 SETNAME x", &Bench::new().say("HELLO 3")),
        ("CONFIG GET maxclients", "%1|$10|maxclients|$2|20|"),
        ("CONFIG GET nosuch", "%0|"),
    ]);
}

#[test]
fn a_wrong_setting_changes_none() {
    let mut bench = Bench::new();
    let failed = "-ERR CONFIG SET failed (possibly related to argument";
    bench.check(&[
        ("CONFIG GET", "-ERR wrong number of arguments for 'config|get' command|"),
        ("CONFIG SET maxclients", "-ERR wrong number of arguments for 'config|set' command|"),
        ("CONFIG SET maxclients 10 foo", "-ERR syntax error|"),
        (
            "CONFIG SET foo bar",
            "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'|",
        ),
        (
            "CONFIG SET maxclients x",
            &format!("{failed} 'maxclients') - argument couldn't be parsed into an integer|"),
        ),
        (
            "CONFIG SET maxclients 10 maxclients 20",
            &format!("{failed} 'maxclients') - duplicate parameter|"),
        ),
        (
            "CONFIG SET maxclients 10 port 7",
            &format!("{failed} 'port') - can't set immutable config|"),
        ),
        ("CONFIG FOO", "-ERR unknown subcommand 'FOO'. Try CONFIG HELP.|"),
        ("CONFIG REWRITE", "-ERR The server is running without a config file|"),
        (
            "CONFIG SET maxclients 20 maxmemory x",
            &format!("{failed} 'maxmemory') - argument must be a memory value|"),
        ),
        (
            "CONFIG SET maxmemory 1mb maxclients x",
            &format!("{failed} 'maxclients') - argument couldn't be parsed into an integer|"),
        ),
        ("CONFIG GET maxclients", "*2|$10|maxclients|$5|10000|"),
    ]);
    let mixed: [&[u8]; 6] = [b"config", b"Set", b"timeout", b"5", b"MAXMEMORY", b"1mb"];
    let (outcome, _) = bench.outcome(&mixed);
    let logged = ["raft.setting", "SET", "MAXMEMORY", "1mb"].map(|word| word.as_bytes().to_vec());
    assert_eq!(outcome, Outcome::ThroughLog(logged.to_vec()));
    bench.check(&[("CONFIG GET timeout maxmemory", "*4|$7|timeout|$1|5|$9|maxmemory|$1|0|")]);
    bench.shared.set_state(NodeState::Joining);
    let refused = "-LOADING No Raft Cluster (joining now)|";
    bench.check(&[
        ("CONFIG SET timeout 6 maxmemory 1mb", refused),
        ("CONFIG GET timeout", "*2|$7|timeout|$1|5|"),
    ]);
    let (_, reply) = bench.outcome(&[b"CONFIG", b"SET", b"requirepass", b"\xff"]);
    assert_eq!(shown(&reply), format!("{failed} 'requirepass') - argument must be UTF-8 text|"));
    let (_, reply) = bench.outcome(&[b"CONFIG", b"SET", b"\xff", b"x"]);
    assert!(shown(&reply).starts_with("-ERR Unknown option or number of arguments for CONFIG SET"));
    assert_eq!(bench.settings.get("requirepass"), "");
}

#[test]
fn clients_tell_of_themselves() {
    let badly_named = "-ERR Client names cannot contain spaces, newlines or special characters.|";
    let mut bench = Bench::new();
    bench.check(&[
        ("CLIENT ID", ":7|"),
        ("CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command|"),
        ("CLIENT GETNAME", "$-1|"),
        ("CLIENT SETNAME me", "+OK|"),
        ("CLIENT GETNAME", "$2|me|"),
        ("CLIENT SETNAME a\nb", badly_named),
        ("CLIENT SETNAME é", badly_named),
        ("CLIENT GETNAME", "$2|me|"),
        ("CLIENT SETNAME ", "+OK|"),
        ("CLIENT GETNAME", "$-1|"),
        ("CLIENT SETINFO lib-name lib", "+OK|"),
        ("CLIENT SETINFO LIB-VER 1.2", "+OK|"),
        ("CLIENT SETINFO lib-foo x", "-ERR Unrecognized option 'lib-foo'|"),
        (
            "CLIENT SETINFO lib-ver a\tb",
            "-ERR lib-ver cannot contain spaces, newlines or special characters.|",
        ),
        ("CLIENT SETINFO lib-ver", "-ERR wrong number of arguments for 'client|setinfo' command|"),
        ("CLIENT NO-EVICT on", "+OK|"),
        ("CLIENT NO-EVICT x", "-ERR syntax error|"),
        ("CLIENT NO-TOUCH OFF", "+OK|"),
        ("CLIENT GETREDIR", ":-1|"),
        ("CLIENT TRACKINGINFO", "*6|$5|flags|*1|$3|off|$8|redirect|:-1|$8|prefixes|*0|"),
        ("CLIENT", "-ERR wrong number of arguments for 'client' command|"),
        ("CLIENT foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.|"),
    ]);
    bench.session.protocol = Protocol::Resp3;
    bench.check(&[
        ("CLIENT GETNAME", "_|"),
        ("CLIENT TRACKINGINFO", "%3|$5|flags|~1|$3|off|$8|redirect|:-1|$8|prefixes|*0|"),
    ]);
}

#[test]
fn a_line_of_client_list_has_the_fields_that_tools_read() {
    let mut bench = Bench::new();
    let quiet = "sub=0 psub=0 ssub=0 multi=-1";
    let address = "addr=10.0.0.9:4242 laddr=10.0.0.1:5001";
    let line = |bench: &Bench| {
        let mut out = Vec::new();
        describe(&bench.session, &Buffers { input: 5, input_free: 3, output: 12 }, 4500, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert!(line(&bench).contains(" cmd=NULL "));
    bench.say("CLIENT SETNAME me");
    bench.say("CLIENT SETINFO LIB-NAME lib");
    bench.say("SELECT 2");
    bench.session.active_at_ms = 2400;
    assert_eq!(
        line(&bench),
        format!(
            "id=7 {address} name=me age=3 idle=2 flags=N db=2 {quiet} qbuf=5 qbuf-free=3 \
             argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=12 oll=0 omem=12 tot-mem=20 events=r \
             cmd=select user=default redir=-1 resp=2 lib-name=lib lib-ver=\n"
        )
    );
    bench.say("CLIENT NO-EVICT ON");
    assert!(line(&bench).contains(" flags=e ") && line(&bench).contains(" cmd=client|no-evict "));
    bench.say("PING");
    assert!(line(&bench).contains(" cmd=ping "), "an older subcommand does not count");
}

#[test]
fn who_is_asked_for_is_looked_for_on_all_net_roles() {
    let list_of = |class, ids: &[u64]| {
        format!("{:?}", Outcome::Wait(Wait::Survey(Survey::List { ids: ids.to_vec(), class })))
    };
    let list = |ids: &[u64]| list_of(None, ids);
    Bench::new().check(&[
        ("CLIENT LIST", &list(&[])),
        ("CLIENT LIST TYPE normal", &list_of(Some(ClientClass::Normal), &[])),
        ("CLIENT LIST TYPE pubsub", &list_of(Some(ClientClass::Pubsub), &[])),
        ("CLIENT LIST TYPE master", "$0||"),
        ("CLIENT LIST ID 4 5", &list(&[4, 5])),
        ("CLIENT LIST ID -4", &list(&[0])),
        ("CLIENT INFO", &list(&[7])),
        ("CLIENT LIST foo", "-ERR syntax error|"),
        ("CLIENT LIST TYPE", "-ERR syntax error|"),
        ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'|"),
        ("CLIENT LIST ID", "-ERR syntax error|"),
        ("CLIENT LIST ID 1 x", "-ERR Invalid client ID|"),
        ("CLIENT INFO x", "-ERR wrong number of arguments for 'client|info' command|"),
        ("CLIENT KILL", "-ERR wrong number of arguments for 'client|kill' command|"),
        ("CLIENT KILL ID x", "-ERR client-id should be greater than 0|"),
        ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0|"),
        ("CLIENT KILL ID 1 ADDR", "-ERR syntax error|"),
        ("CLIENT KILL foo bar", "-ERR syntax error|"),
        ("CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'|"),
        ("CLIENT KILL TYPE replica", ":0|"),
        ("CLIENT KILL USER foo", "-ERR No such user 'foo'|"),
        ("CLIENT KILL SKIPME maybe", "-ERR syntax error|"),
        ("CLIENT KILL MAXAGE 0", "-ERR maxage should be greater than 0|"),
        ("CLIENT KILL MAXAGE x", "-ERR maxage is not an integer or out of range|"),
    ]);
}

#[test]
fn a_kill_meets_whom_it_describes() {
    let mut bench = Bench::new();
    let mut filter = |line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        match bench.outcome(&words).0 {
            Outcome::Wait(Wait::Survey(Survey::Kill(filter))) => filter,
            outcome => panic!("{line}: {outcome:?}"),
        }
    };
    let own = Bench::new().session;
    let mut other = own.clone();
    other.id = 8;
    other.peer = "10.0.0.9:4243".parse().unwrap();
    let cases = [
        ("CLIENT KILL 10.0.0.9:4242", true, false),
        ("CLIENT KILL 10.0.0.9:4243", false, true),
        ("CLIENT KILL ADDR 10.0.0.9:4242", false, false),
        ("CLIENT KILL ADDR 10.0.0.9:4242 SKIPME no", true, false),
        ("CLIENT KILL LADDR 10.0.0.1:5001", false, true),
        ("CLIENT KILL LADDR 10.0.0.1:5002 SKIPME no", false, false),
        ("CLIENT KILL ID 7", false, false),
        ("CLIENT KILL ID 8 TYPE normal USER default", false, true),
        ("CLIENT KILL ID 7 SKIPME no ID 8", false, true),
        ("CLIENT KILL MAXAGE 9", false, true),
        ("CLIENT KILL MAXAGE 10", false, false),
        ("CLIENT KILL SKIPME no", true, true),
        ("CLIENT KILL SKIPME yes", false, true),
    ];
    for (line, fits_own, fits_other) in cases {
        let filter = filter(line);
        assert_eq!(filter.fits(&own, 10_000), fits_own, "{line}, the client itself");
        assert_eq!(filter.fits(&other, 10_000), fits_other, "{line}, another client");
    }
}

#[test]
fn a_kill_counts_or_says_ok_by_its_form() {
    let finish = |survey: &Survey, lines: &[u8], matched, protocol| {
        let mut reply = Reply::new(protocol);
        finish_survey(survey, lines, matched, &mut reply);
        shown(&reply)
    };
    let (two, three) = (Protocol::Resp2, Protocol::Resp3);
    let list = Survey::List { ids: Vec::new(), class: None };
    assert_eq!(finish(&list, b"a\nb\n", 2, two), "$4|a\nb\n|");
    assert_eq!(finish(&list, b"a\n", 1, three), "=6|txt:a\n|");
    let counting = Survey::Kill(KillFilter::default());
    assert_eq!(finish(&counting, b"", 2, two), ":2|");
    let mut bench = Bench::new();
    let (outcome, _) = bench.outcome(&[b"CLIENT", b"KILL", b"1.2.3.4:5"]);
    let Outcome::Wait(Wait::Survey(by_address)) = outcome else { panic!() };
    assert_eq!(finish(&by_address, b"", 1, two), "+OK|");
    assert_eq!(finish(&by_address, b"", 0, two), "-ERR No such client|");
}

#[test]
fn shutdown_is_graceful_and_never_pretends_to_save() {
    let mut bench = Bench::new();
    bench.check(&[
        ("SHUTDOWN", "Shutdown"),
        ("SHUTDOWN NOSAVE NOW FORCE", "Shutdown"),
        ("SHUTDOWN SAVE FORCE", "Shutdown"),
        ("SHUTDOWN SAVE", "-ERR Errors trying to SHUTDOWN. Check logs.|"),
        ("SHUTDOWN SAVE NOSAVE", "-ERR syntax error|"),
        ("SHUTDOWN foo", "-ERR syntax error|"),
        ("SHUTDOWN ABORT", "-ERR No shutdown in progress.|"),
        ("SHUTDOWN ABORT NOW", "-ERR syntax error|"),
    ]);
    for state in [NodeState::Stopping, NodeState::Stopped] {
        bench.shared.set_state(state);
        bench.check(&[("SHUTDOWN ABORT", "-ERR The shutdown cannot be aborted.|")]);
    }
}

#[test]
fn a_recovery_by_force_names_the_cluster_the_end_of_its_log_and_the_loss() {
    let id = "00112233445566778899aabbccddeeff";
    let cluster = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
    let last = LogId { term: Term(3), index: Index(17) };
    let recover = format!("RAFT.CLUSTER FORCE-RECOVER {id}");
    let not_accepted = "-ERR FORCE-RECOVER ends with ACCEPT-DATA-LOSS: what only the lost nodes \
                        have committed is gone|";
    let no_log_id = "-ERR a last log id has the form term:index|";
    let arity = "-ERR wrong number of arguments for 'raft.cluster' command|";
    Bench::new().check(&[
        (
            &format!("{recover} 3:17 accept-data-loss"),
            &admin(AdminCommand::ForceRecover { cluster, last }),
        ),
        (&format!("{recover} 3:17"), not_accepted),
        (&format!("{recover} 3:17 YES"), not_accepted),
        (&format!("{recover} 3:17 ACCEPT-DATA-LOSS now"), arity),
        (&recover, arity),
        ("RAFT.CLUSTER FORCE-RECOVER", arity),
        (&format!("{recover} 17 ACCEPT-DATA-LOSS"), no_log_id),
        (&format!("{recover} 3:-17 ACCEPT-DATA-LOSS"), no_log_id),
        (&format!("{recover} 3:1:7 ACCEPT-DATA-LOSS"), no_log_id),
        (
            "RAFT.CLUSTER FORCE-RECOVER abc 3:17 ACCEPT-DATA-LOSS",
            "-ERR cluster id must be 32 characters|",
        ),
        ("RAFT.CLUSTER STATE", &admin(AdminCommand::State)),
        ("RAFT.CLUSTER STATE all", arity),
    ]);
}

/// The outcome of a command for the raft role.
fn admin(command: AdminCommand) -> String {
    format!("{:?}", Outcome::Wait(Wait::Admin(command)))
}

#[test]
fn clusters_are_created_and_joined_by_the_raft_role() {
    let id = "00112233445566778899aabbccddeeff";
    Bench::new().check(&[
        ("RAFT.CLUSTER INIT", &admin(AdminCommand::Init { cluster: None })),
        (
            &format!("raft.cluster init {id}"),
            &admin(AdminCommand::Init { cluster: Some(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff) }),
        ),
        ("RAFT.CLUSTER INIT abc", "-ERR cluster id must be 32 characters|"),
        (
            &format!("RAFT.CLUSTER INIT {}", "x".repeat(32)),
            "-ERR cluster id must be 32 hexadecimal characters|",
        ),
        ("RAFT.CLUSTER INIT a b", "-ERR wrong number of arguments for 'raft.cluster' command|"),
        (
            "RAFT.CLUSTER JOIN a:1 b:2",
            &admin(AdminCommand::Join { addresses: vec!["a:1".to_owned(), "b:2".to_owned()] }),
        ),
        ("RAFT.CLUSTER JOIN a:1 b", "-ERR invalid node address|"),
        ("RAFT.CLUSTER JOIN", "-ERR wrong number of arguments for 'raft.cluster' command|"),
        ("RAFT.CLUSTER LEAVE", "-RAFT.CLUSTER supports INIT / JOIN / FORCE-RECOVER only|"),
    ]);
}

#[test]
fn nodes_are_added_and_removed_by_the_raft_role() {
    let applicant = |observer| Applicant {
        slot: "two".to_owned(),
        boot: 42,
        client_address: "10.0.0.2:5001".to_owned(),
        peer_address: "10.0.0.2:15001".to_owned(),
        observer,
    };
    let add = "RAFT.NODE ADD 0 10.0.0.2:5001";
    let boot = "0000000000000000000000000000002a";
    Bench::new().check(&[
        (
            &format!("{add} SLOT two BOOT {boot} PEER 10.0.0.2:15001"),
            &admin(AdminCommand::Admit(applicant(false))),
        ),
        (
            &format!("{add} SLOT two BOOT {boot} PEER 10.0.0.2:15001 observer"),
            &admin(AdminCommand::Admit(applicant(true))),
        ),
        (
            &format!("{add} SLOT two BOOT {boot} PEER 10.0.0.2:15001 VOTER"),
            "-ERR a node is added by RAFT.CLUSTER JOIN on the node itself|",
        ),
        (add, "-ERR a node is added by RAFT.CLUSTER JOIN on the node itself|"),
        ("RAFT.NODE ADD 5 10.0.0.2:5001", "-ERR invalid node id|"),
        ("RAFT.NODE ADD x 10.0.0.2:5001", "-ERR invalid node id|"),
        (&format!("{add} SLOT two BOOT 2a PEER a:1"), "-ERR invalid boot id|"),
        (&format!("{add} SLOT  BOOT {boot} PEER a:1"), "-ERR invalid slot name|"),
        (&format!("{add} SLOT two BOOT {boot} PEER a"), "-ERR invalid node address|"),
        ("RAFT.NODE REMOVE 3", &admin(AdminCommand::Remove { id: MemberId(3) })),
        ("RAFT.NODE REMOVE 0", "-ERR invalid node id|"),
        ("RAFT.NODE REMOVE -1", "-ERR invalid node id|"),
        ("RAFT.NODE REMOVE 1 2", "-ERR wrong number of arguments for 'raft.node' command|"),
        ("RAFT.NODE MOVE 1", "-ERR RAFT.NODE supports ADD / REMOVE only|"),
    ]);
}

#[test]
fn other_administration_goes_to_the_raft_role() {
    Bench::new().check(&[
        ("RAFT.DEBUG COMPACT", &admin(AdminCommand::Compact)),
        ("RAFT.DEBUG compact 1", &admin(AdminCommand::Compact)),
        ("RAFT.DEBUG digest", &admin(AdminCommand::Digest)),
        ("RAFT.DEBUG DIGEST x", "-ERR wrong number of arguments for 'raft.debug' command|"),
        ("RAFT.DEBUG COMPACT x", "-ERR invalid compact async value|"),
        ("RAFT.DEBUG COMPACT 0 1", "-ERR wrong number of arguments for 'raft.debug' command|"),
        ("RAFT.DEBUG SEGFAULT", "-ERR invalid debug subcommand|"),
        ("RAFT.TRANSFER_LEADER", &admin(AdminCommand::Transfer { target: None })),
        ("RAFT.TRANSFER_LEADER 2", &admin(AdminCommand::Transfer { target: Some(MemberId(2)) })),
        ("RAFT.TRANSFER_LEADER x", "-ERR invalid node id|"),
        ("RAFT.TRANSFER_LEADER 0", "-ERR invalid node id|"),
        (
            "RAFT.TRANSFER_LEADER 1 2",
            "-ERR wrong number of arguments for 'raft.transfer_leader' command|",
        ),
        ("RAFT.TIMEOUT_NOW", &admin(AdminCommand::TimeoutNow)),
        ("RAFT.WAIT_READY 100", &admin(AdminCommand::WaitReady { timeout_ms: 100 })),
        ("RAFT.WAIT_READY 0", "-ERR timeout is not an integer or out of range|"),
        ("RAFT.WAIT_READY 86400001", "-ERR timeout is not an integer or out of range|"),
        ("RAFT.WAIT_READY x", "-ERR timeout is not an integer or out of range|"),
        ("RAFT.WAIT_READY -1", "-ERR timeout is negative|"),
        ("RAFT.WAIT_READY", "-ERR wrong number of arguments for 'raft.wait_ready' command|"),
    ]);
}

#[test]
fn counts_begin_anew_on_request() {
    let reset = format!("{:?}", Outcome::Wait(Wait::Admin(AdminCommand::ResetStats)));
    let mut bench = Bench::new();
    bench.check(&[
        ("CONFIG RESETSTAT", &reset),
        ("CONFIG RESETSTAT x", "-ERR wrong number of arguments for 'config|resetstat' command|"),
    ]);
    let clients = &bench.shared.clients;
    clients.connected.store(3, std::sync::atomic::Ordering::Relaxed);
    clients.rejected.store(4, std::sync::atomic::Ordering::Relaxed);
    clients.reset();
    let text = bench.report("INFO", &leader(), &EngineReport::default());
    assert_eq!(
        (field(&text, "connected_clients"), field(&text, "rejected_connections")),
        ("3".to_owned(), "0".to_owned(),)
    );
}

#[test]
fn no_more_clients_are_allowed_than_the_machine_has_files_for() {
    let mut bench = Bench::new();
    let refused = bench.say("CONFIG SET maxclients 4294967295");
    let text = "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating \
                system is not able to handle the specified number of clients, try with ";
    assert!(refused.starts_with(text), "{refused}");
    bench.check(&[
        ("CONFIG GET maxclients", "*2|$10|maxclients|$5|10000|"),
        ("CONFIG SET maxclients 17", "+OK|"),
        ("CONFIG GET maxclients", "*2|$10|maxclients|$2|17|"),
    ]);
}

#[test]
fn old_names_of_settings_still_work() {
    let unknown = "-ERR Unknown RAFT.CONFIG subcommand or wrong number of arguments|";
    let mut bench = Bench::new();
    bench.check(&[
        ("RAFT.CONFIG GET election-timeout", "*2|$16|election-timeout|$3|400|"),
        ("RAFT.CONFIG GET *-READS", "*2|$12|quorum-reads|$3|yes|"),
        ("RAFT.CONFIG GET addr", "*2|$4|addr|$13|10.0.0.1:5001|"),
        ("RAFT.CONFIG GET nosuch", "*0|"),
        ("RAFT.CONFIG SET election-timeout 800", "+OK|"),
        ("RAFT.CONFIG GET election-timeout", "*2|$16|election-timeout|$3|800|"),
        ("CONFIG GET raft.election-timeout", "*2|$21|raft.election-timeout|$3|800|"),
        ("RAFT.CONFIG SET election-timeout", "-ERR 'election-timeout' requires a value|"),
        ("RAFT.CONFIG SET election-timeout x", "-ERR invalid 'election-timeout' value|"),
        ("RAFT.CONFIG SET addr a:1", "-ERR 'addr' only supported at load time|"),
        ("RAFT.CONFIG SET foo x", "-ERR invalid parameter 'foo'|"),
        ("RAFT.CONFIG FOO x", unknown),
        ("RAFT.CONFIG GET", unknown),
        ("RAFT.CONFIG SET a b c", unknown),
    ]);
    assert!(bench.say("RAFT.CONFIG GET *").starts_with("*18|"), "every old name has its setting");
}

/// A subcommand in the table that nobody answers, or the other way round, shows here.
#[test]
fn every_subcommand_of_the_table_is_answered() {
    let mut seen = 0;
    for container in table::all().filter(|spec| matches!(spec.handler, Handler::Node(_))) {
        let is_node = |spec: &&CommandSpec| matches!(spec.handler, Handler::Node(_));
        for subcommand in container.subcommands.iter().filter(is_node) {
            let mut words = vec![container.name.as_bytes(), subcommand.name.as_bytes()];
            words.resize(usize::from(subcommand.arity.unsigned_abs()).max(2), b"1");
            let (outcome, reply) = Bench::new().outcome(&words);
            let text = shown(&reply);
            assert!(!text.contains("unknown subcommand"), "{} {text}", subcommand.name);
            assert!(text.is_empty() == matches!(outcome, Outcome::Wait(_)), "{}", subcommand.name);
            seen += 1;
        }
    }
    assert!(seen > 20);
}

#[test]
fn help_tells_every_subcommand() {
    for container in table::all().filter(|spec| matches!(spec.handler, Handler::Node(_))) {
        if container.subcommands.is_empty() {
            continue;
        }
        let text = Bench::new().say(&format!("{} HELP", container.name));
        let title = format!("+{} <subcommand> [<arg> ", container.name.to_uppercase());
        assert!(text.contains(&title), "{text}");
        let is_told =
            |it: &&CommandSpec| it.name != "slaves" && !it.docs.summary.starts_with("Is refused");
        for subcommand in container.subcommands.iter().filter(is_told) {
            let line = format!("|+{}", subcommand.name.to_uppercase());
            assert!(text.contains(&line), "{} {}", container.name, subcommand.name);
        }
    }
}

#[test]
fn only_what_waits_for_another_role_keeps_the_order() {
    let ordered = |line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let Handler::Node(command) = spec(lookup(words[0]).unwrap()).handler else { panic!() };
        needs_order(command, &words)
    };
    for line in [
        "PING",
        "SELECT 1",
        "CLIENT ID",
        "client setname x",
        "CONFIG HELP",
        "CLUSTER MYID",
        "RAFT.CONFIG GET x",
        "HELLO 3",
        "QUIT",
        "COMMAND",
        "CLUSTER",
        "CLUSTER MEET a 1",
        "MEMORY PURGE",
    ] {
        assert!(!ordered(line), "{line}");
    }
    for line in [
        "INFO",
        "client List",
        "CLIENT KILL x",
        "CLIENT INFO",
        "ROLE",
        "WAIT 1 1",
        "SHUTDOWN",
        "RAFT.INFO",
        "raft.node REMOVE 1",
        "cluster nodes",
        "CLUSTER SLAVES x",
        "CLUSTER FAILOVER",
        "cluster forget x",
        "CLUSTER LINKS",
        "FAILOVER",
        "MEMORY STATS",
        "RAFT.NODESHUTDOWN 1",
        "CONFIG GET x",
        "config set x 1",
        "CONFIG REWRITE",
    ] {
        assert!(ordered(line), "{line}");
    }
}
