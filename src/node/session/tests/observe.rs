//! SLOWLOG, COMMANDLOG, LATENCY, MONITOR, CLIENT PAUSE, REPLY and CAPA.

use super::*;
use crate::engine::command::stat_slot;
use crate::engine::histogram::Histogram;
use crate::node::observe::commandlog::{LogEntry, LogKind};
use crate::node::observe::latency::COMMAND;
use crate::node::observe::pause::Paused;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.shared.observed.set(&bench.settings.tunables());
    bench
}

fn log(bench: &Bench, kind: LogKind, line: &str) {
    bench.shared.observed.log(kind).push(LogEntry {
        id: 0,
        seconds: 1_700_000_000,
        value: 12,
        words: line.split(' ').map(|word| word.as_bytes().to_vec()).collect(),
        client: "10.0.0.9:4242".to_owned(),
        client_name: b"me".to_vec(),
    });
}

#[test]
fn slow_commands_are_told_newest_first() {
    let mut bench = bench();
    for number in 0..12 {
        log(&bench, LogKind::Slow, &format!("KEYS {number}"));
    }
    let entry = |id: u32| {
        format!(
            "*6|:{id}|:1700000000|:12|*2|$4|KEYS|${}|{id}|$13|10.0.0.9:4242|$2|me|",
            id / 10 + 1
        )
    };
    assert_eq!(bench.say("SLOWLOG GET 2"), format!("*2|{}{}", entry(11), entry(10)));
    let count = "-ERR count should be greater than or equal to -1|";
    bench.check(&[
        ("SLOWLOG LEN", ":12|"),
        ("SLOWLOG GET -2", count),
        ("SLOWLOG GET x", count),
        ("SLOWLOG GET 0", "*0|"),
        (
            "SLOWLOG GET 1 2",
            "-ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.|",
        ),
        ("SLOWLOG nope", "-ERR unknown subcommand 'nope'. Try SLOWLOG HELP.|"),
        ("SLOWLOG LEN x", "-ERR wrong number of arguments for 'slowlog|len' command|"),
    ]);
    assert!(bench.say("SLOWLOG GET").starts_with("*10|"));
    assert!(bench.say("SLOWLOG GET -1").starts_with("*12|"));
    assert!(bench.say("SLOWLOG HELP").starts_with("*10|+SLOWLOG <subcommand>"));
    bench.check(&[("SLOWLOG RESET", "+OK|"), ("SLOWLOG LEN", ":0|")]);
}

#[test]
fn each_kind_of_command_has_its_log() {
    let mut bench = bench();
    log(&bench, LogKind::LargeReply, "get k");
    log(&bench, LogKind::Slow, "keys");
    let kind = "-ERR type should be one of the following: slow, large-request, large-reply|";
    bench.check(&[
        ("COMMANDLOG LEN large-reply", ":1|"),
        ("COMMANDLOG LEN large-request", ":0|"),
        ("COMMANDLOG LEN SLOW", ":1|"),
        (
            "COMMANDLOG GET -1 large-reply",
            "*1|*6|:0|:1700000000|:12|*2|$3|get|$1|k|$13|10.0.0.9:4242|$2|me|",
        ),
        ("COMMANDLOG GET 1 other", kind),
        ("COMMANDLOG GET -4 other", "-ERR count should be greater than or equal to -1|"),
        ("COMMANDLOG RESET other", kind),
        ("COMMANDLOG RESET slow", "+OK|"),
        ("SLOWLOG LEN", ":0|"),
        ("COMMANDLOG GET 1", "-ERR wrong number of arguments for 'commandlog|get' command|"),
    ]);
    assert!(bench.say("COMMANDLOG HELP").starts_with("*14|+COMMANDLOG <subcommand>"));
}

#[test]
fn spikes_of_latency_are_told_by_event() {
    let mut bench = bench();
    assert!(bench.say("LATENCY DOCTOR").contains("CONFIG SET latency-monitor-threshold"));
    bench.settings.set_all(&[("latency-monitor-threshold", "5")]).unwrap();
    bench.shared.observed.set(&bench.settings.tunables());
    assert!(bench.say("LATENCY DOCTOR").contains("Nothing took 5 ms"));
    bench.check(&[
        ("LATENCY LATEST", "*0|"),
        ("LATENCY GRAPH command", "-ERR No samples available for event 'command'|"),
        ("LATENCY HISTORY command", "*0|"),
        ("LATENCY RESET", ":0|"),
    ]);
    for (ms, seconds) in [(4, 70), (5, 80), (17, 90), (9, 91)] {
        bench.shared.observed.note_latency(COMMAND, ms * 1_000_000, || seconds);
    }
    bench.check(&[
        ("LATENCY LATEST", "*1|*4|$7|command|:91|:9|:17|"),
        ("LATENCY HISTORY COMMAND", "*3|*2|:80|:5|*2|:90|:17|*2|:91|:9|"),
        ("LATENCY HISTORY", "-ERR wrong number of arguments for 'latency|history' command|"),
        ("LATENCY RESET nope", ":0|"),
    ]);
    assert!(bench.say("LATENCY GRAPH command").contains("high 17 ms, low 5 ms"));
    assert!(bench.say("LATENCY DOCTOR").contains("SLOWLOG GET"));
    assert!(bench.say("LATENCY HELP").starts_with("*15|+LATENCY <subcommand>"));
    bench.check(&[("LATENCY RESET command", ":1|"), ("LATENCY LATEST", "*0|")]);
}

#[test]
fn distributions_are_those_of_the_engine_and_of_the_node_together() {
    let mut bench = bench();
    let slot = |line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        stat_slot(lookup(words[0]).unwrap(), words.get(1))
    };
    let mut histograms = vec![None; usize::from(slot("get")) + 1];
    let get: &mut Box<Histogram> = histograms[usize::from(slot("get"))].get_or_insert_default();
    get.record(900, 4);
    get.record(3000, 1);
    let engine = EngineReport { histograms, ..EngineReport::default() };
    let counts = bench.shared.observed.new_counts();
    counts.time(slot("config get"), 20_000, 2, true);
    let of_get = "$3|get|*4|$5|calls|:5|$14|histogram_usec|*4|:1|:4|:4|:5|";
    let of_config = "$10|config|get|*4|$5|calls|:2|$14|histogram_usec|*2|:33|:2|";
    let raft = RaftReport::default();
    let cases = [
        ("LATENCY HISTOGRAM get", format!("*2|{of_get}")),
        ("LATENCY HISTOGRAM GET nope CONFIG", format!("*4|{of_get}{of_config}")),
        ("LATENCY HISTOGRAM config|get", format!("*2|{of_config}")),
        ("LATENCY HISTOGRAM set", "*0|".to_owned()),
    ];
    for (line, expected) in cases {
        assert_eq!(bench.report(line, &raft, &engine), expected, "{line}");
    }
    bench.session.protocol = Protocol::Resp3;
    let text = bench.report("LATENCY HISTOGRAM get", &raft, &engine);
    assert_eq!(text, "%1|$3|get|%2|$5|calls|:5|$14|histogram_usec|%2|:1|:4|:4|:5|");
    let text = bench.report("INFO latencystats", &raft, &engine);
    let of_config = "|latency_percentiles_usec_config|get:p50=20.479,p99=20.479,p99.9=20.479|";
    assert!(text.contains(of_config), "{text}");
}

#[test]
fn a_session_monitors_until_it_is_reset() {
    let mut bench = bench();
    let monitoring = |bench: &Bench| bench.shared.observed.monitoring.has_monitors();
    bench.check(&[("MONITOR", "+OK|"), ("MONITOR", "+OK|")]);
    assert!(monitoring(&bench) && bench.session.monitors);
    bench.check(&[("RESET", "+RESET|")]);
    assert!(!monitoring(&bench) && !bench.session.monitors);
}

#[test]
fn pauses_and_replies_are_checked_in_the_words_of_redis() {
    let mut bench = bench();
    bench.check(&[
        ("CLIENT PAUSE", "-ERR wrong number of arguments for 'client|pause' command|"),
        ("CLIENT PAUSE -1", "-ERR timeout is negative|"),
        ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range|"),
        ("CLIENT PAUSE 1 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL|"),
        ("CLIENT PAUSE 1 ALL ALL", "-ERR syntax error|"),
        ("CLIENT PAUSE 9000 write", "+OK|"),
    ]);
    let at = |bench: &Bench, ms: u64| bench.shared.observed.pause.at(ms);
    assert_eq!((at(&bench, 9999), at(&bench, 10_000)), (Some(Paused::Writes), None));
    bench.check(&[("CLIENT UNPAUSE", "+OK|"), ("CLIENT REPLY maybe", "-ERR syntax error|")]);
    assert_eq!(at(&bench, 1000), None);
    let cases = [
        ("CLIENT REPLY SKIP", "", ReplyMode::SkipNext),
        ("CLIENT REPLY ON", "+OK|", ReplyMode::On),
        ("CLIENT REPLY OFF", "", ReplyMode::Off),
        ("CLIENT REPLY SKIP", "", ReplyMode::Off),
        ("CLIENT REPLY ON", "+OK|", ReplyMode::On),
        ("CLIENT REPLY OFF", "", ReplyMode::Off),
        ("RESET", "+RESET|", ReplyMode::On),
    ];
    for (line, reply, mode) in cases {
        assert_eq!((bench.say(line), bench.session.replies), (reply.to_owned(), mode), "{line}");
    }
    bench.check(&[("CLIENT CAPA nothing", "+OK|")]);
    assert!(!bench.session.redirects);
    bench.check(&[("CLIENT CAPA x Redirect", "+OK|")]);
    assert!(bench.session.redirects);
}
