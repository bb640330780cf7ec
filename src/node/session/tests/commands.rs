//! COMMAND, against what redis-server tells of the same commands.

use super::*;
use crate::engine::command::command_count;

/// The entry of GET as redis-server 7.0 sends it.
#[test]
fn an_entry_has_its_ten_elements() {
    let mut bench = Bench::new();
    bench.check(&[(
        "COMMAND INFO get",
        "*1|*10|$3|get|:2|*2|+readonly|+fast|:1|:1|:1|*3|+@read|+@string|+@fast|*0|*1|\
         *6|$5|flags|*2|+RO|+access|$12|begin_search|*4|$4|type|$5|index|$4|spec|*2|$5|index|:1|\
         $9|find_keys|*4|$4|type|$5|range|$4|spec|*6|$7|lastkey|:0|$7|keystep|:1|$5|limit|:0|*0|",
    )]);
    bench.session.protocol = Protocol::Resp3;
    bench.check(&[(
        "COMMAND INFO get",
        "*1|*10|$3|get|:2|~2|+readonly|+fast|:1|:1|:1|~3|+@read|+@string|+@fast|~0|~1|\
         %3|$5|flags|~2|+RO|+access|$12|begin_search|%2|$4|type|$5|index|$4|spec|%1|$5|index|:1|\
         $9|find_keys|%2|$4|type|$5|range|$4|spec|%3|$7|lastkey|:0|$7|keystep|:1|$5|limit|:0|~0|",
    )]);
}

/// As redis-server 7.0 sends them.
#[test]
fn subcommands_and_tips_are_told() {
    let mut bench = Bench::new();
    bench.session.protocol = Protocol::Resp3;
    bench.check(&[
        (
            "COMMAND INFO client|kill",
            "*1|*10|$11|client|kill|:-3|~4|+admin|+noscript|+loading|+stale|:0|:0|:0|\
             ~4|+@admin|+@slow|+@dangerous|+@connection|~0|~0|~0|",
        ),
        (
            "COMMAND INFO config|set nosuch config|nosuch",
            "*3|*10|$10|config|set|:-4|~4|+admin|+noscript|+loading|+stale|:0|:0|:0|\
             ~3|+@admin|+@slow|+@dangerous|~2|$24|request_policy:all_nodes|\
             $29|response_policy:all_succeeded|~0|~0|_|_|",
        ),
    ]);
    bench.session.protocol = Protocol::Resp2;
    let config = bench.say("COMMAND INFO config");
    assert!(config.starts_with("*1|*10|$6|config|:-2|*0|:0|:0|:0|*1|+@slow|*0|*0|*5|*10|"));
    bench.check(&[("COMMAND INFO nosuch", "*1|*-1|")]);
}

#[test]
fn ranges_of_keys_count_from_the_first_one() {
    let mut bench = Bench::new();
    let mset = bench.say("COMMAND INFO mset");
    assert!(mset.contains(":1|:-1|:2|") && mset.contains("$7|lastkey|:-1|$7|keystep|:2|"));
    assert!(mset.contains("+OW|+update|"));
    let rename = bench.say("COMMAND INFO rename");
    assert!(rename.contains(":1|:2|:1|"));
    // Two specifications, since one key is read and the other written.
    assert!(rename.contains("|+RW|+access|+delete|") && rename.contains("|+OW|+update|"));
    assert!(rename.contains("|$5|index|:2|") && !rename.contains("|$7|lastkey|:1|"));
    let read = bench.say("COMMAND INFO xread");
    assert!(read.contains("|$7|keyword|$4|spec|*4|$7|keyword|$7|STREAMS|$9|startfrom|:1|"));
    assert!(read.contains("|$7|lastkey|:-1|$7|keystep|:1|$5|limit|:2|"));
    let union = bench.say("COMMAND INFO zunionstore");
    assert!(union.contains("|$6|keynum|$4|spec|*6|$9|keynumidx|:0|$8|firstkey|:1|"), "{union}");
    let sort = bench.say("COMMAND INFO sort");
    assert_eq!(sort.matches("|$7|unknown|$4|spec|*0|").count(), 4, "{sort}");
    let set = bench.say("COMMAND INFO set");
    assert!(set.contains("|*4|+RW|+access|+update|+variable_flags|"), "{set}");
    assert!(bench.say("COMMAND INFO spublish").contains("|+not_key|"));
}

/// What redis-server replies.
#[test]
fn what_is_done_with_keys_is_told() {
    let wrong_number = "-ERR Invalid number of arguments specified for command|";
    let mut bench = Bench::new();
    bench.check(&[
        ("COMMAND GETKEYSANDFLAGS set a 1", "*1|*2|$1|a|*2|+OW|+update|"),
        (
            "COMMAND GETKEYSANDFLAGS mset a 1 b 2",
            "*2|*2|$1|a|*2|+OW|+update|*2|$1|b|*2|+OW|+update|",
        ),
        ("COMMAND GETKEYSANDFLAGS object encoding a", "*1|*2|$1|a|*1|+RO|"),
        ("COMMAND GETKEYSANDFLAGS set a", wrong_number),
        ("COMMAND GETKEYSANDFLAGS echo a", "-ERR The command has no key arguments|"),
        ("COMMAND GETKEYSANDFLAGS nosuch a", "-ERR Invalid command specified|"),
    ]);
    bench.session.protocol = Protocol::Resp3;
    bench.check(&[("COMMAND GETKEYSANDFLAGS get a", "*1|*2|$1|a|~2|+RO|+access|")]);
}

#[test]
fn all_commands_come_without_a_name() {
    let mut bench = Bench::new();
    let start = format!("*{}|*10|", command_count());
    for line in ["COMMAND", "COMMAND INFO"] {
        let text = bench.say(line);
        assert!(text.starts_with(&start), "{line}");
        assert!(text.contains("|$3|get|:2|") && text.contains("|$6|client|:-2|"));
    }
    bench.check(&[
        ("COMMAND COUNT", &format!(":{}|", command_count())),
        ("COMMAND COUNT x", "-ERR wrong number of arguments for 'command|count' command|"),
        ("COMMAND foo", "-ERR unknown subcommand 'foo'. Try COMMAND HELP.|"),
    ]);
}

#[test]
fn documentation_skips_what_nobody_knows() {
    let mut bench = Bench::new();
    bench.check(&[("COMMAND DOCS nosuch", "*0|")]);
    let get = bench.say("COMMAND DOCS nosuch GET");
    assert!(get.starts_with("*2|$3|get|*10|$7|summary|$"), "{get}");
    let key = "|$9|arguments|*1|*8|$4|name|$3|key|$4|type|$3|key|$12|display_text|$3|key|\
               $14|key_spec_index|:0|";
    assert!(get.ends_with(key), "{get}");
    assert!(get.contains("|$5|since|$5|1.0.0|$5|group|$6|string|$10|complexity|$4|O(1)|"), "{get}");
    bench.session.protocol = Protocol::Resp3;
    let client = bench.say("COMMAND DOCS client");
    assert!(client.starts_with("%1|$6|client|%5|$7|summary|"), "{client}");
    assert!(client.contains("|$11|subcommands|%"), "{client}");
    assert!(client.contains("|$9|client|id|%4|"), "{client}");
    assert!(bench.say("COMMAND DOCS client|id").starts_with("%1|$9|client|id|%4|"));
    let substr = bench.say("COMMAND DOCS substr");
    assert!(substr.starts_with("%1|$6|substr|%8|"), "{substr}");
    let advice = "|$9|doc_flags|~1|+deprecated|$16|deprecated_since|$5|2.0.0|$11|replaced_by|$10|\
                  `GETRANGE`|$9|arguments|";
    assert!(substr.contains(advice), "{substr}");
    assert!(bench.say("COMMAND DOCS replconf").contains("|$9|doc_flags|~1|+syscmd|"));
    assert!(bench.say("COMMAND DOCS cluster").contains("|$11|replaced_by|$18|`CLUSTER REPLICAS`|"));
    assert!(bench.say("COMMAND DOCS").starts_with(&format!("%{}|", command_count())));
}

#[test]
fn keys_of_a_command_line_are_told() {
    let wrong_number = "-ERR Invalid number of arguments specified for command|";
    let no_keys = "-ERR The command has no key arguments|";
    Bench::new().check(&[
        ("COMMAND GETKEYS get a", "*1|$1|a|"),
        ("COMMAND GETKEYS mset a b c d", "*2|$1|a|$1|c|"),
        ("COMMAND GETKEYS object encoding a", "*1|$1|a|"),
        ("COMMAND GETKEYS set a", wrong_number),
        ("COMMAND GETKEYS flushall sync", no_keys),
        ("COMMAND GETKEYS echo a", no_keys),
        ("COMMAND GETKEYS echo a b", no_keys),
        ("COMMAND GETKEYS object encoding", wrong_number),
        ("COMMAND GETKEYS nosuch a", "-ERR Invalid command specified|"),
        ("COMMAND GETKEYS object nosuch a", "-ERR Invalid command specified|"),
        ("COMMAND GETKEYS get", wrong_number),
        ("COMMAND GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command|"),
    ]);
}

#[test]
fn names_are_listed_by_what_is_asked_for() {
    let mut bench = Bench::new();
    bench.check(&[
        ("COMMAND LIST FILTERBY PATTERN getr*", "*1|$8|getrange|"),
        ("COMMAND LIST FILTERBY pattern CLIENT|ID", "*1|$9|client|id|"),
        ("COMMAND LIST FILTERBY MODULE x", "*0|"),
        ("COMMAND LIST FILTERBY ACLCAT foo", "*0|"),
        ("COMMAND LIST FILTERBY foo bar", "-ERR syntax error|"),
        ("COMMAND LIST FILTERBY", "-ERR syntax error|"),
        ("COMMAND LIST foo", "-ERR syntax error|"),
    ]);
    let strings = bench.say("COMMAND LIST FILTERBY ACLCAT STRING");
    assert!(strings.contains("|$3|get|") && !strings.contains("|$4|ping|"));
    let all = bench.say("COMMAND LIST");
    assert!(all.contains("|$4|ping|") && all.contains("|$9|client|id|"));
}
