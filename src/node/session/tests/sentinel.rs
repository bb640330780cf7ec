//! Lookups of the discovery port.

use super::*;
use crate::engine::acl::Acl;

impl Bench {
    /// What a client of the discovery port is replied, or what it waits for.
    fn discover(&mut self, line: &str, raft: &RaftReport) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut reply = Reply::new(self.session.protocol);
        let view = NodeView {
            shared: &self.shared,
            settings: &self.settings,
            users: &self.users,
            now_ms: self.now_ms,
            unix_ms: 1_700_000_000_123,
        };
        match run_sentinel(&words, &self.session, &view, &mut reply) {
            Err(error) => reply.error(&error),
            Ok(Served::Here(Outcome::Replied)) => {}
            Ok(Served::Here(Outcome::Wait(wait @ Wait::Report(_)))) => {
                finish_report(
                    &wait,
                    raft,
                    &EngineReport::default(),
                    &self.session,
                    &view,
                    &mut reply,
                );
            }
            Ok(Served::Here(outcome)) => return format!("{outcome:?}"),
            Ok(Served::Ordinary(command)) => {
                run(command, &words, &mut self.session, &view, &mut reply);
            }
        }
        shown(&reply)
    }
}

#[test]
fn the_leader_is_found_by_its_name() {
    let mut bench = Bench::new();
    let unknown = "-ERR No such master with that name|";
    let fixed = "-ERR consensus watches the members: there is nothing to be set or reported here|";
    let cases = [
        ("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", "*2|$8|10.0.0.1|$4|5001|"),
        ("sentinel get-primary-addr-by-name mymaster", "*2|$8|10.0.0.1|$4|5001|"),
        ("SENTINEL GET-MASTER-ADDR-BY-NAME other", "*-1|"),
        ("SENTINEL SENTINELS mymaster", "*0|"),
        ("SENTINEL SENTINELS other", unknown),
        ("SENTINEL MASTER other", unknown),
        ("SENTINEL REPLICAS other", unknown),
        ("SENTINEL FAILOVER other", unknown),
        ("SENTINEL MYID", &format!("$40|{RUN_ID}|")),
        ("SENTINEL MONITOR m 127.0.0.1 1 1", fixed),
        ("SENTINEL SET mymaster quorum 1", fixed),
        ("SENTINEL MASTER", "-ERR wrong number of arguments for 'sentinel|master' command|"),
        ("SENTINEL", "-ERR wrong number of arguments for 'sentinel' command|"),
        ("SENTINEL NOSUCH", "-ERR unknown subcommand 'nosuch'. Try SENTINEL HELP.|"),
        ("ROLE", "*2|$8|sentinel|*1|$8|mymaster|"),
        ("PING", "+PONG|"),
        ("CLIENT SETNAME me", "+OK|"),
        ("CLIENT GETNAME", "$2|me|"),
        ("GET k", "-ERR unknown command 'GET', with args beginning with: 'k' |"),
        ("CLIENT KILL x", "-ERR unknown command 'CLIENT', with args beginning with: 'KILL' 'x' |"),
        ("AUTH x y z", "-ERR syntax error|"),
        ("SUBSCRIBE +switch-master", "*3|$9|subscribe|$14|+switch-master|:1|"),
    ];
    for (line, expected) in cases {
        assert_eq!(bench.discover(line, &leader()), expected, "{line}");
    }
    let expected = waits_for_handover();
    assert_eq!(bench.discover("SENTINEL FAILOVER mymaster", &leader()), expected);
}

#[test]
fn a_failover_takes_permission_and_a_lookup_does_not() {
    let mut bench = Bench::new();
    let mut acl = Acl::default();
    acl.set_user(b"u", &[b"on", b"nopass", b"+get"]).unwrap();
    bench.session.become_user(acl.get(b"u").unwrap());
    bench.session.face = Face::Discovery;
    let denied = "-NOPERM User u has no permissions to run the 'failover' command|";
    let found = "*2|$8|10.0.0.1|$4|5001|";
    let cases = [
        ("SENTINEL FAILOVER mymaster", denied),
        ("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", found),
        ("SUBSCRIBE +switch-master", "*3|$9|subscribe|$14|+switch-master|:1|"),
    ];
    for (line, expected) in cases {
        assert_eq!(bench.discover(line, &leader()), expected, "{line}");
    }
    assert!(bench.session.is_allowed_to_listen());
    bench.session.face = Face::Data;
    assert!(!bench.session.is_allowed_to_listen());
    bench.session.face = Face::Discovery;
    acl.set_user(b"u", &[b"+failover"]).unwrap();
    bench.session.become_user(acl.get(b"u").unwrap());
    assert_eq!(bench.discover("SENTINEL FAILOVER mymaster", &leader()), waits_for_handover());
}

fn waits_for_handover() -> String {
    format!("{:?}", Outcome::Wait(Wait::Admin(AdminCommand::HandOver)))
}

#[test]
fn a_follower_tells_of_the_same_leader() {
    let mut bench = Bench::new();
    bench.now_ms = 10_000;
    for raft in [leader(), follower()] {
        let master = bench.discover("SENTINEL MASTER mymaster", &raft);
        assert!(master.starts_with("*26|$4|name|$8|mymaster|$2|ip|$8|10.0.0.1|$4|port|$4|5001|"));
        assert!(master.contains("|$5|flags|$6|master|") && master.contains("|$6|quorum|$1|2|"));
        let masters = bench.discover("SENTINEL MASTERS", &raft);
        assert_eq!(masters, format!("*1|{master}"));
        let quorum = bench.discover("SENTINEL CKQUORUM mymaster", &raft);
        assert!(quorum.starts_with("+OK 3 usable Sentinels."), "{quorum}");
        let info = bench.discover("INFO", &raft);
        assert!(info.contains("|redis_mode:sentinel|"), "{info}");
        assert!(info.contains("master0:name=mymaster,status=ok,address=10.0.0.1:5001,slaves=3"));
    }
    let replicas = bench.discover("SENTINEL REPLICAS mymaster", &leader());
    assert!(replicas.starts_with("*3|*22|$4|name|$13|10.0.0.2:5001|$2|ip|$8|10.0.0.2|"));
    assert_eq!(replicas.matches("|$25|slave,s_down,disconnected|").count(), 1, "{replicas}");
    assert_eq!(bench.discover("SENTINEL SLAVES mymaster", &leader()), replicas);
    bench.session.protocol = Protocol::Resp3;
    assert!(bench.discover("SENTINEL PRIMARY mymaster", &leader()).starts_with("%13|$4|name|"));
}

/// Without a leader the node that is asked takes the requests, and keeps them until there is one.
#[test]
fn without_a_leader_a_node_names_itself() {
    let mut raft = follower();
    raft.status.as_mut().unwrap().leader_id = None;
    let mut bench = Bench::new();
    let address = bench.discover("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", &raft);
    assert_eq!(address, "*2|$8|10.0.0.2|$4|5001|");
    let quorum = bench.discover("SENTINEL CKQUORUM mymaster", &raft);
    assert_eq!(quorum, "-NOQUORUM a majority of the voters is not reached|");
}

/// Its own address would be that of a node which refuses to run anything.
#[test]
fn a_node_that_joins_knows_of_no_master() {
    let mut bench = Bench::new();
    let alone = RaftReport { status: None, ..leader() };
    let unknown = "-ERR No such master with that name|";
    let cases = [
        ("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", "*-1|"),
        ("SENTINEL MASTERS", "*0|"),
        ("SENTINEL MASTER mymaster", unknown),
        ("SENTINEL REPLICAS mymaster", unknown),
        ("SENTINEL CKQUORUM mymaster", unknown),
        ("SENTINEL SENTINELS mymaster", "*0|"),
    ];
    for state in [NodeState::Joining, NodeState::Uninitialized, NodeState::Removed] {
        bench.shared.set_state(state);
        for (line, expected) in cases {
            assert_eq!(bench.discover(line, &alone), expected, "{line}, {state:?}");
        }
        let info = bench.discover("INFO", &alone);
        assert!(info.contains("|sentinel_masters:0|") && !info.contains("master0"), "{info}");
    }
}

#[test]
fn discovery_is_for_those_who_have_the_password() {
    let mut bench = Bench::with_password();
    let refused = "-NOAUTH Authentication required.|";
    for line in ["SENTINEL MASTERS", "INFO", "ROLE", "GET k", "PING", "SUBSCRIBE x"] {
        assert_eq!(bench.discover(line, &leader()), refused, "{line}");
    }
    assert_eq!(bench.discover("AUTH pw", &leader()), "+OK|");
    assert!(bench.discover("SENTINEL MASTERS", &leader()).starts_with("*1|"));
    bench.session.face = Face::Discovery;
    let hello = bench.discover("HELLO 2", &leader());
    assert!(hello.starts_with("*12|") && hello.contains("|$4|mode|$8|sentinel|"), "{hello}");
    assert!(!hello.contains("|role|"), "{hello}");
}

#[test]
fn a_switch_tells_both_places() {
    let message = switch_message("mymaster", "10.0.0.1:5001", "[::1]:5002");
    assert_eq!(message, "mymaster 10.0.0.1 5001 ::1 5002");
}
