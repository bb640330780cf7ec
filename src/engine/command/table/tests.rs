use super::{FAMILIES, all, command_count, fingerprint, lookup, resolve, spec};
use crate::engine::command::{CommandId, categories, keys_of};

fn words(line: &str) -> Vec<&[u8]> {
    line.split(' ').map(str::as_bytes).collect()
}

#[test]
fn every_command_is_found_by_its_name_in_any_case() {
    assert_eq!(command_count(), FAMILIES.iter().map(|family| family.len()).sum::<usize>());
    for id in 0..command_count() as u16 {
        let name = spec(CommandId(id)).name;
        assert_eq!(lookup(name.as_bytes()), Some(CommandId(id)), "{name}");
        assert_eq!(lookup(name.to_ascii_uppercase().as_bytes()), Some(CommandId(id)), "{name}");
    }
    for name in ["", "g", "gets", "sett", "raft\u{e}read", "a-name-that-no-command-would-have"] {
        assert_eq!(lookup(name.as_bytes()), None, "{name}");
    }
    assert_ne!(fingerprint(), 0);
}

#[test]
fn names_are_in_lower_case_unique_and_documented() {
    let names: Vec<_> = all().map(|spec| spec.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b));
    for spec in all().flat_map(|spec| [spec].into_iter().chain(spec.subcommands)) {
        assert_eq!(spec.name, spec.name.to_ascii_lowercase());
        assert_ne!(spec.arity, 0, "{}", spec.name);
        assert!(spec.docs.summary.ends_with('.') && spec.docs.since.contains('.'), "{}", spec.name);
    }
}

/// What redis-server tells for these commands.
#[test]
fn categories_are_those_of_redis() {
    let cases = [
        ("get", "@read @string @fast"),
        ("set", "@write @string @slow"),
        ("keys", "@keyspace @read @slow @dangerous"),
        ("flushall", "@keyspace @write @slow @dangerous"),
        ("dbsize", "@keyspace @read @fast"),
        ("time", "@fast"),
        ("info", "@slow @dangerous"),
        ("role", "@admin @fast @dangerous"),
        ("lastsave", "@admin @fast @dangerous"),
        ("restore-asking", "@keyspace @write @slow @dangerous"),
        ("migrate", "@keyspace @write @slow @dangerous"),
        ("acl", "@slow"),
        ("acl setuser", "@admin @slow @dangerous"),
        ("acl whoami", "@slow"),
        ("hello", "@fast @connection"),
        ("readonly", "@fast @connection"),
        ("wait", "@slow @connection"),
        ("command", "@slow @connection"),
        ("command info", "@slow @connection"),
        ("client", "@slow"),
        ("client list", "@admin @slow @dangerous @connection"),
        ("client info", "@slow @connection"),
        ("config", "@slow"),
        ("config get", "@admin @slow @dangerous"),
        ("cluster info", "@slow"),
        ("object", "@slow"),
        ("object encoding", "@keyspace @read @slow"),
        ("object help", "@keyspace @slow"),
        ("shutdown", "@admin @slow @dangerous"),
        ("rename", "@keyspace @write @slow"),
        ("bitfield_ro", "@read @bitmap @fast"),
        ("bitop", "@write @bitmap @slow"),
        ("pfadd", "@write @hyperloglog @fast"),
        ("pfcount", "@read @hyperloglog @slow"),
        ("geosearch", "@read @geo @slow"),
        ("xgroup", "@slow"),
        ("xgroup create", "@write @stream @slow"),
        ("xgroup help", "@stream @slow"),
        ("xinfo groups", "@read @stream @slow"),
        ("xread", "@read @stream @slow @blocking"),
        ("xreadgroup", "@write @stream @slow @blocking"),
        ("xack", "@write @stream @fast"),
        ("memory", "@slow"),
        ("memory help", "@slow"),
        ("memory usage", "@read @slow"),
        ("move", "@keyspace @write @fast"),
        ("sort", "@write @set @sortedset @list @slow @dangerous"),
        ("sort_ro", "@read @set @sortedset @list @slow @dangerous"),
        ("swapdb", "@keyspace @write @fast @dangerous"),
        ("lcs", "@read @string @slow"),
        ("delifeq", "@write @string @fast"),
        ("blpop", "@write @list @slow @blocking"),
        ("blmove", "@write @list @slow @blocking"),
        ("bzpopmin", "@write @sortedset @fast @blocking"),
        ("bzmpop", "@write @sortedset @slow @blocking"),
        ("multi", "@fast @transaction"),
        ("exec", "@slow @transaction"),
        ("watch", "@fast @transaction"),
        ("reset", "@fast @connection"),
        ("client unblock", "@admin @slow @dangerous @connection"),
    ];
    for (line, expected) in cases {
        let words = words(line);
        let mut found = spec(lookup(words[0]).unwrap());
        if let Some(name) = words.get(1) {
            found = found.subcommand(name).unwrap();
        }
        assert_eq!(categories(found).join(" "), expected, "{line}");
    }
}

#[test]
fn keys_are_found_in_command_lines() {
    let cases: [(&str, &[usize]); 27] = [
        ("blpop a b 0", &[1, 2]),
        ("brpoplpush a b 0", &[1, 2]),
        ("bzmpop 0 2 a b min", &[3, 4]),
        ("watch a b", &[1, 2]),
        ("multi", &[]),
        ("get k", &[1]),
        ("mset a 1 b 2", &[1, 3]),
        ("del a b c", &[1, 2, 3]),
        ("rename a b", &[1, 2]),
        ("object encoding k", &[2]),
        ("bitop and d a b", &[2, 3, 4]),
        ("georadius k 1 2 3 m", &[1]),
        ("georadius k 1 2 3 m count 2 store d", &[1, 9]),
        ("georadiusbymember k store 3 m storedist d storedist", &[1, 6]),
        ("copy a b db 1", &[1, 2]),
        ("sort a by w* get store store c STORE d", &[1, 9]),
        ("sort a store", &[1]),
        ("sort_ro a by b", &[1]),
        ("ping", &[]),
        ("keys *", &[]),
        ("xgroup create s g 0", &[2]),
        ("xinfo stream s", &[2]),
        ("xread count 1 streams a b 0 0", &[4, 5]),
        ("xread streams a", &[]),
        ("xread block 0 streams", &[]),
        ("xreadgroup group streams c streams a >", &[5]),
        ("xreadgroup group g streams noack STREAMS a b > >", &[6, 7]),
    ];
    for (line, expected) in cases {
        let words = words(line);
        assert_eq!(keys_of(spec(lookup(words[0]).unwrap()), &words), expected, "{line}");
    }
}

#[test]
fn subcommands_are_resolved_and_their_arguments_counted() {
    let resolved = |line: &str| {
        let words = words(line);
        let spec = spec(lookup(words[0]).unwrap());
        match resolve(spec, &words[1..]) {
            Ok((spec, rest)) => format!("{} {}", spec.name, rest.len()),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(resolved("object encoding k"), "encoding 1");
    assert_eq!(resolved("COMMAND"), "command 0");
    assert_eq!(resolved("command COUNT"), "count 0");
    assert_eq!(resolved("config"), "ERR wrong number of arguments for 'config' command");
    let arity = "ERR wrong number of arguments for 'config|get' command";
    assert_eq!(resolved("config get"), arity);
    assert_eq!(resolved("config foo"), "ERR unknown subcommand 'foo'. Try CONFIG HELP.");
}

/// What is not told here to be a write would not be replicated.
#[test]
fn a_subcommand_tells_whether_a_command_line_writes() {
    let writes = |line: &str| {
        let words = words(line);
        spec(lookup(words[0]).unwrap()).writes(words.get(1))
    };
    for line in ["set k v", "set", "xgroup create s g 0", "XGROUP Destroy", "client unblock 1"] {
        assert!(writes(line), "{line}");
    }
    let reads =
        ["get k", "get", "xgroup", "xgroup help", "xgroup foo", "xinfo stream", "object", "xread"];
    for line in reads {
        assert!(!writes(line), "{line}");
    }
}
