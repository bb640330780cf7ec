use std::ffi::OsString;

use super::cli::{self, Command, LocalConfig, Respawn};
use super::value::{Value, announce};
use super::*;
use crate::engine::settings;

fn node(line: &str) -> NodeConfig {
    match parse(line) {
        Ok(Command::Node(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn local(line: &str) -> LocalConfig {
    match parse(line) {
        Ok(Command::Local(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn parse(line: &str) -> Result<Command, cli::CliError> {
    let words = line.split(' ').filter(|word| !word.is_empty());
    cli::parse(["mayfly"].into_iter().chain(words).map(OsString::from))
}

fn refusal(line: &str) -> String {
    match parse(line) {
        Err(error) => error.to_string(),
        Ok(command) => panic!("{line}: {command:?}"),
    }
}

fn peer(host: &str, port: u16) -> HostPort {
    HostPort { host: host.to_owned(), port }
}

/// What nobody sees is taken as Redis takes it.
#[test]
fn housekeeping_is_taken_and_told() {
    let mut settings = Settings::default();
    let before = settings.tunables();
    for (name, value) in [
        ("hz", "500"),
        ("lazyfree-lazy-user-del", "yes"),
        ("slave-lazy-flush", "yes"),
        ("stop-writes-on-bgsave-error", "no"),
        ("active-expire-effort", "10"),
        ("appendfsync", "always"),
        ("lua-time-limit", "0"),
    ] {
        assert_eq!(settings.set(name, value), Ok(()), "{name}");
        assert_eq!(settings.get(name).as_deref(), Some(value));
    }
    assert_eq!(settings.tunables(), before);
    let refused = [
        ("active-expire-effort", "11"),
        ("appendfsync", "never"),
        ("activerehashing", "2"),
        ("min-replicas-to-write", "1"),
    ];
    for (name, value) in refused {
        assert!(settings.set(name, value).is_err(), "{name}");
    }
}

/// A value other than the default, for the kinds that have one.
fn another(directive: &Directive) -> Option<&'static str> {
    match directive.kind {
        Kind::Constant(_) => None,
        Kind::Flag | Kind::YesNo => Some(if directive.default == "yes" { "no" } else { "yes" }),
        Kind::Number { max, .. } => Some(if max < 61 { "7" } else { "61" }),
        Kind::Bytes { .. } => Some("3145728"),
        Kind::Milliseconds { .. } => Some("150"),
        Kind::OneOf(choices) => choices.iter().find(|c| **c != directive.default).copied(),
        Kind::Text => Some("some text"),
        Kind::Cpus { .. } => Some("1"),
        Kind::Addresses => Some("10.0.0.1 -::1"),
        Kind::Peers => Some("a:1,[::1]:2,127.0.0.1:5001"),
        Kind::Announce => Some("a.example:7000"),
        Kind::OutputLimit => Some("normal 1048576 65536 10 slave 8 9 1 pubsub 5 6 7"),
        Kind::OfCluster(id) => Some(match id.setting().kind {
            settings::Kind::Number { .. } => "61",
            settings::Kind::Bytes { .. } => "3145728",
            settings::Kind::Milliseconds { .. } => "150",
            settings::Kind::YesNo => {
                if directive.default == "yes" {
                    "no"
                } else {
                    "yes"
                }
            }
            settings::Kind::OneOf(choices) => {
                choices.iter().find(|choice| **choice != directive.default)?
            }
            settings::Kind::Events => "AKE",
        }),
        Kind::Percentiles => Some("50 99.5"),
    }
}

#[test]
fn every_directive_gives_back_what_was_set() {
    for (index, directive) in DIRECTIVES.iter().enumerate() {
        let mut settings = Settings::default();
        let Some(text) = another(directive) else { continue };
        assert_ne!(settings.get(directive.name).as_deref(), Some(text), "{}", directive.name);
        settings.preset(index, text).unwrap();
        for name in directive.names() {
            assert_eq!(settings.get(name).as_deref(), Some(text), "{name}");
            assert_eq!(settings.get(&name.to_uppercase()).as_deref(), Some(text), "{name}");
        }
    }
}

#[test]
fn every_value_reads_back_as_it_is_written() {
    for directive in DIRECTIVES.iter() {
        for text in [Some(directive.default), another(directive)].into_iter().flatten() {
            let value = Value::parse(directive.kind, text).unwrap();
            let again = Value::parse(directive.kind, &value.to_string());
            assert_eq!(again, Ok(value), "{} {text}", directive.name);
        }
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = DIRECTIVES.iter().flat_map(Directive::names).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn only_what_can_change_at_run_time_is_changed() {
    for directive in DIRECTIVES.iter() {
        let Some(text) = another(directive) else { continue };
        let mut settings = Settings::default();
        let outcome = settings.set(directive.name, text);
        match directive.change {
            Change::AtRunTime => {
                assert_eq!(outcome, Ok(()), "{}", directive.name);
                assert_eq!(settings.get(directive.name).as_deref(), Some(text));
            }
            Change::ByCluster => {
                assert_eq!(outcome, Ok(()), "{}", directive.name);
                assert_eq!(settings.get(directive.name), Settings::default().get(directive.name));
            }
            Change::AtStart => {
                let name = directive.name.to_owned();
                assert_eq!(outcome, Err(SettingError::Immutable { name }));
                assert_eq!(settings.get(directive.name), Settings::default().get(directive.name));
            }
        }
    }
}

#[test]
fn a_constant_takes_its_own_value_only() {
    let mut settings = Settings::default();
    for directive in DIRECTIVES.iter() {
        let Kind::Constant(value) = directive.kind else { continue };
        assert_eq!(settings.set(directive.name, value), Ok(()));
        assert!(settings.set(directive.name, "other").is_err());
        assert_eq!(settings.get(directive.name).as_deref(), Some(value));
    }
}

#[test]
fn config_set_refuses_in_the_words_of_redis() {
    const FAILED: &str = "CONFIG SET failed (possibly related to argument";
    for (name, value, expected) in [
        ("foo", "1", "Unknown option or number of arguments for CONFIG SET - 'foo'".to_owned()),
        ("tcp-backlog", "5", format!("{FAILED} 'tcp-backlog') - can't set immutable config")),
        (
            "maxclients",
            "0",
            format!("{FAILED} 'maxclients') - argument must be between 1 and 4294967295 inclusive"),
        ),
        (
            "timeout",
            "01",
            format!("{FAILED} 'timeout') - argument couldn't be parsed into an integer"),
        ),
        (
            "loglevel",
            "foo",
            format!(
                "{FAILED} 'loglevel') - argument(s) must be one of the following: debug, verbose, \
                 notice, warning"
            ),
        ),
        (
            "raft.quorum-reads",
            "maybe",
            format!("{FAILED} 'raft.quorum-reads') - argument must be 'yes' or 'no'"),
        ),
        (
            "proto-max-bulk-len",
            "5q",
            format!("{FAILED} 'proto-max-bulk-len') - argument must be a memory value"),
        ),
        (
            "client-output-buffer-limit",
            "foo 1 1 1",
            format!(
                "{FAILED} 'client-output-buffer-limit') - Invalid client class specified in \
                 buffer limit configuration."
            ),
        ),
    ] {
        let mut settings = Settings::default();
        assert_eq!(settings.set(name, value).unwrap_err().to_string(), expected);
    }
}

#[test]
fn several_changes_are_made_together_or_not_at_all() {
    let mut settings = Settings::default();
    assert!(settings.set_all(&[("timeout", "7"), ("maxclients", "x")]).is_err());
    assert_eq!(settings.get("timeout").as_deref(), Some("0"));
    assert_eq!(
        settings.set_all(&[("timeout", "7"), ("TIMEOUT", "8")]),
        Err(SettingError::Duplicate { name: "TIMEOUT".to_owned() })
    );
    settings.set_all(&[("timeout", "7"), ("maxclients", "9")]).unwrap();
    assert_eq!(settings.tunables().maxclients, 9);
}

#[test]
fn values_that_do_not_go_together_are_refused_together() {
    let mut settings = Settings::default();
    assert!(settings.set("raft.request-timeout", "201").is_err());
    assert!(settings.set("raft.election-timeout", "99").is_err());
    settings.set_all(&[("raft.request-timeout", "201"), ("raft.election-timeout", "402")]).unwrap();
    assert!(settings.set("raft.append-req-max-size", "300mb").is_err());
    assert!(refusal("node --raft.election-timeout 60").contains("at least twice"));
}

#[test]
fn patterns_find_names_and_aliases_once() {
    let settings = Settings::default();
    let names = |patterns: &[&[u8]]| -> Vec<String> {
        settings.matching(patterns).into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&[b"maxc*ts", b"maxclients", b"maxmemory"]), ["maxclients", "maxmemory"]);
    assert_eq!(names(&[b"*quorum-reads"]), ["raft.quorum-reads", "quorum-reads"]);
    assert_eq!(names(&[b"MaxClients"]), ["MaxClients"]);
    assert_eq!(names(&[b"RAFT.REC*"]), ["raft.reconnect-interval"]);
    assert!(names(&[b"nothing"]).is_empty());
    let all: usize = DIRECTIVES.iter().map(|directive| directive.names().count()).sum();
    assert_eq!(names(&[b"*"]).len(), all);
}

#[test]
fn tools_get_the_values_they_ask_for() {
    let settings = Settings::default();
    for (name, value) in [
        ("save", ""),
        ("appendonly", "no"),
        ("databases", "16"),
        ("maxmemory", "0"),
        ("maxmemory-policy", "noeviction"),
        ("timeout", "0"),
        ("slave-read-only", "yes"),
        ("notify-keyspace-events", ""),
        (
            "client-output-buffer-limit",
            "normal 67108864 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
        ("proto-max-bulk-len", "536870912"),
        ("no-leader-timeout", "5000"),
        ("lua-time-limit", "5000"),
        ("min-slaves-to-write", "0"),
        ("appendfsync", "everysec"),
    ] {
        assert_eq!(settings.get(name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn units_of_memory_and_time_are_those_of_redis() {
    let common = |error| Err(ValueError::Common(error));
    let bytes = Kind::Bytes { min: 0, max: i64::MAX };
    for (text, expected) in
        [("1k", 1000), ("1KB", 1024), ("2m", 2_000_000), ("2mb", 2 << 20), ("1gb", 1 << 30)]
    {
        assert_eq!(Value::parse(bytes, text), Ok(Value::Number(expected)), "{text}");
    }
    for text in ["", "kb", "1.5k", "-1", "1tb", "99999999999gb", "1 kb"] {
        assert_eq!(Value::parse(bytes, text), common(settings::ValueError::NotBytes), "{text}");
    }
    let milliseconds = Kind::Milliseconds { min: 1, max: 100_000_000 };
    for (text, expected) in [("5000", 5000), ("5s", 5000), ("7ms", 7), ("2m", 120_000)] {
        assert_eq!(Value::parse(milliseconds, text), Ok(Value::Number(expected)), "{text}");
    }
    let not_milliseconds = common(settings::ValueError::NotMilliseconds);
    assert_eq!(Value::parse(milliseconds, "5h"), not_milliseconds);
    assert!(matches!(
        Value::parse(milliseconds, "0"),
        Err(ValueError::Common(settings::ValueError::OutOfRange { .. }))
    ));
}

#[test]
fn a_class_of_output_limits_that_is_not_named_stays_as_it_is() {
    let mut settings = Settings::default();
    let name = "client-output-buffer-limit";
    let mut change = |text: &str, expected: &str| {
        settings.set(name, text).unwrap();
        assert_eq!(settings.get(name).as_deref(), Some(expected), "{text}");
    };
    change(
        "pubsub 1mb 2mb 3",
        "normal 67108864 0 0 slave 268435456 67108864 60 pubsub 1048576 2097152 3",
    );
    change("normal 5 6 7", "normal 5 6 7 slave 268435456 67108864 60 pubsub 1048576 2097152 3");
    change("8", "normal 8 0 0 slave 268435456 67108864 60 pubsub 1048576 2097152 3");
}

#[test]
fn output_limits_are_one_number_or_the_class_form() {
    let limit = |text| Value::parse(Kind::OutputLimit, text);
    let default = OutputLimits::default();
    let hard = OutputLimit { hard: 1 << 20, soft: 0, soft_seconds: 0 };
    let only_hard = OutputLimits { normal: hard, ..default };
    assert_eq!(limit("1mb"), Ok(Value::OutputLimit(only_hard)));
    let soft = OutputLimit { soft: 1000, soft_seconds: 60, ..hard };
    let normal = OutputLimits { normal: soft, ..default };
    assert_eq!(limit("normal 1mb 1k 60"), Ok(Value::OutputLimit(normal)));
    let pubsub = OutputLimits { pubsub: soft, ..default };
    assert_eq!(limit("PUBSUB 1mb 1k 60"), Ok(Value::OutputLimit(pubsub)));
    let both = OutputLimits { normal: hard, pubsub: soft, ..default };
    assert_eq!(limit("pubsub 1mb 1k 60 normal 1mb 0 0"), Ok(Value::OutputLimit(both)));
    let replica = OutputLimits { replica: soft, ..default };
    assert_eq!(limit("replica 1mb 1k 60"), Ok(Value::OutputLimit(replica)));
    assert_eq!((replica.least_hard(), pubsub.least_hard()), (Some(32 << 20), Some(1 << 20)));
    assert_eq!(limit("normal 1mb"), Err(ValueError::OutputLimitWords));
    assert_eq!(limit("normal 1mb 1k 60 pubsub"), Err(ValueError::OutputLimitWords));
    assert_eq!(limit(""), Err(ValueError::OutputLimitWords));
    assert_eq!(limit("master 1mb 1k 60"), Err(ValueError::OutputLimitClass));
    assert_eq!(limit("normal x 1k 60"), Err(ValueError::OutputLimitNumber));
}

#[test]
fn cpu_lists_are_numbers_and_ranges_each_once() {
    let cpus = |text| Value::parse(Kind::Cpus { count_max: 3 }, text);
    assert_eq!(cpus("4,0-1"), Ok(Value::Cpus(vec![4, 0, 1])));
    assert_eq!(cpus(""), Ok(Value::Cpus(Vec::new())));
    for text in ["a", "1,1", "0-1,1", "-1", "1-", "5000"] {
        assert_eq!(cpus(text), Err(ValueError::NotCpus), "{text}");
    }
    assert_eq!(cpus("3-1"), Err(ValueError::NotCpus));
    assert_eq!(cpus("0-3"), Err(ValueError::TooManyCpus { count_max: 3 }));
}

#[test]
fn places_are_hosts_with_ports() {
    let peers = |text| Value::parse(Kind::Peers, text);
    let expected = vec![peer("127.0.0.1", 5001), peer("node-2.example", 7), peer("::1", 9)];
    assert_eq!(peers("127.0.0.1:5001, node-2.example:7 [::1]:9"), Ok(Value::Peers(expected)));
    // Redis writes IPv6 without brackets.
    assert_eq!(peers("fe80::1%eth0:5001"), Ok(Value::Peers(vec![peer("fe80::1%eth0", 5001)])));
    let refused = [
        "127.0.0.1",
        ":5",
        "a:0",
        "a:65536",
        "a:x",
        "a:",
        "a:b:5",
        "[a]:5",
        "[::1:5",
        "::1]:5",
        "[::1]",
        "[::1%]:5",
        "::g:5",
    ];
    for text in refused {
        assert_eq!(peers(text), Err(ValueError::NotHostPort), "{text}");
    }
    assert_eq!(announce("::1"), Ok(("::1".to_owned(), None)));
    assert_eq!(announce("a.example"), Ok(("a.example".to_owned(), None)));
    assert_eq!(announce("[::1]"), Ok(("::1".to_owned(), None)));
    assert_eq!(announce("[::1]:7"), Ok(("::1".to_owned(), Some(7))));
    let longest = "h".repeat(253);
    assert_eq!(announce(&longest), Ok((longest.clone(), None)));
    for text in ["", "a b", "a,b", "a:0", "[a]", "[::1", "[::1]:", &format!("{longest}h")] {
        assert_eq!(announce(text), Err(ValueError::NotHostPort), "{text}");
    }
    assert!(refusal(&format!("node --name {}", "n".repeat(301))).contains("longer than 300 bytes"));
}

#[test]
fn a_node_needs_no_option() {
    let config = node("node");
    assert_eq!((config.port, config.cluster_port), (5001, 15001));
    assert_eq!(config.client_address, "127.0.0.1:5001");
    assert_eq!(config.peer_address, "127.0.0.1:15001");
    assert_eq!(config.slot_name, "127.0.0.1:5001");
    assert_eq!(config.start, Start::Uninitialised);
    assert!(!config.observer);
    assert_eq!(config.placement, PlacementRequest::default());
    assert_eq!(config.tcp_backlog, 511);
    let tunables = config.settings.tunables();
    assert_eq!(tunables.no_leader_timeout.as_millis(), 5000);
    assert_eq!(tunables.election_timeout.as_millis(), 400);
    assert_eq!((tunables.timeout, tunables.quorum_reads), (None, true));
    assert_eq!(tunables.client_output_buffer_limit.normal.hard, 64 << 20);
}

#[test]
fn options_reach_the_node() {
    let config = node(
        "node --port 7000 --bind ::1 --name left --announce-address far.example --join \
         a:1,b:2 --no-leader-timeout 2s --quorum-reads no --raft-core 2 --apply-core 3 \
         --net-cores 0,1 --client-output-buffer-limit normal 2mb 1mb 60 --timeout 30",
    );
    assert_eq!(config.client_address, "far.example:7000");
    assert_eq!(config.peer_address, "far.example:17000");
    assert_eq!(config.slot_name, "left");
    assert_eq!(config.start, Start::Join(vec![peer("a", 1), peer("b", 2)]));
    let tunables = config.settings.tunables();
    assert_eq!(tunables.no_leader_timeout.as_secs(), 2);
    assert_eq!(tunables.timeout.map(|timeout| timeout.as_secs()), Some(30));
    assert!(!tunables.quorum_reads);
    assert_eq!(tunables.client_output_buffer_limit.normal.soft_seconds, 60);
    let placement = PlacementRequest {
        raft_core: Some(2),
        apply_core: Some(3),
        net_cores: vec![0, 1],
        ..PlacementRequest::default()
    };
    assert_eq!(config.placement, placement);
    assert_eq!(node("node --port 7000 --bind ::1").client_address, "[::1]:7000");
    assert_eq!(node("node --init").start, Start::Init);
    assert!(node("node --join a:1 --observer").observer);
    assert_eq!(node("node --raft.addr h:5").client_address, "h:5");
    assert_eq!(node("node --layout split").placement.style, LayoutStyle::Split);
}

#[test]
fn every_option_of_the_table_can_be_given() {
    for directive in DIRECTIVES.iter() {
        let text = another(directive).unwrap_or(directive.default).replace(' ', ",");
        // Of a file, more than its name must be right.
        let is_file = ["aclfile", "cluster-config-file"].contains(&directive.name);
        if directive.kind == Kind::OutputLimit || text.is_empty() || is_file {
            continue;
        }
        for name in directive.names() {
            let config = match directive.kind {
                Kind::Flag => node(&format!("node --{name}")),
                _ => node(&format!("node --{name}={text}")),
            };
            let given = Value::parse(directive.kind, &text).unwrap().to_string();
            assert_eq!(config.settings.get(name), Some(given), "{name}");
        }
    }
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    for (line, expected) in [
        ("node --init --join a:1", "--init and --join exclude each other"),
        ("node --init --observer", "--observer goes with --join only"),
        ("node --peers 127.0.0.1:5001 --observer", "--observer goes with --join only"),
        ("node --peers 127.0.0.1:5001 --init", "--init and --join exclude each other"),
        ("node --peers 127.0.0.1:5001 --join a:1", "--init and --join exclude each other"),
        ("node --peers 127.0.0.1:5001 --cluster-config-file x", "exclude each other"),
        ("node --peers a:1", "--peers: this node, 127.0.0.1:5001, is not in the list"),
        ("node --join 127.0.0.1:5001", "--join names only this node itself"),
        ("node --port 60000", "choose one by --cluster-port"),
        ("node --cluster-port 5001", "--port and --cluster-port are both 5001"),
        ("node --bind 0.0.0.0", "--announce-address"),
        ("node --bind *", "--announce-address"),
    ] {
        let message = refusal(line);
        assert!(message.contains(expected), "{line}: {message}");
    }
    assert_eq!(node("node --bind * --announce-address 10.0.0.9").client_address, "10.0.0.9:5001");
    assert_eq!(node("node --port 60000 --cluster-port 5").peer_address, "127.0.0.1:5");
}

#[test]
fn wrong_options_are_refused_in_one_line_that_helps() {
    for (line, expected) in [
        ("node --prot 5", "unexpected argument '--prot' found; did you mean '--port'?"),
        ("node --port", "'--port <number>'"),
        ("node --port 99999", "--port '99999': argument must be between 1 and 65535 inclusive"),
        ("node --timeout -1", "--timeout '-1': argument must be between 0 and"),
        ("node --appendonly yes", "--appendonly 'yes': this server knows only the value 'no'"),
        ("node --system-check maybe", "--system-check 'maybe'"),
        ("node --bind 1.2.3", "'1.2.3' is not an IP address"),
        ("node a b", "unexpected argument 'b' found"),
        ("node /nowhere/mayfly.conf", "/nowhere/mayfly.conf: cannot be read"),
        ("", "requires a subcommand but one was not provided; see 'mayfly --help'"),
        ("node --prot 5", "see 'mayfly node --help'"),
        ("nod", "unrecognized subcommand 'nod'"),
        ("local --nodes 0", "invalid value '0'"),
        ("local --init", "unexpected argument '--init' found"),
        ("local --observer", "unexpected argument '--observer' found"),
        ("local --maxclients 0", "--maxclients '0'"),
        ("local --port 65535", "--cluster-port"),
    ] {
        let message = refusal(line);
        assert!(message.contains(expected), "{line}: {message}");
        assert_eq!(message.lines().count(), 1, "{line}: {message}");
    }
}

#[test]
fn a_local_cluster_has_consecutive_ports() {
    let config = local("local");
    let ports: Vec<_> = config.nodes.iter().map(|node| node.port).collect();
    assert_eq!(ports, [5001, 5002, 5003]);
    assert_eq!(config.respawn, Respawn::Never);
    assert_eq!(config.node_options, [("loglevel", "warning".to_owned())]);
    let config = local("local --nodes 5 --port 7001 --respawn --raft.loglevel debug");
    assert_eq!(config.nodes[4].client_address, "127.0.0.1:7005");
    assert_eq!(config.respawn, Respawn::Always);
    assert_eq!(config.node_options, [("loglevel", "debug".to_owned())]);
}

#[test]
fn help_and_version_are_answers() {
    for (line, expected) in [
        ("--version", "mayfly 0."),
        ("--help", "local"),
        ("node --help", "--uncommitted-bytes-max"),
        ("local --help", "--respawn"),
    ] {
        match parse(line) {
            Err(cli::CliError::Answer(text)) => assert!(text.contains(expected), "{text}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}
