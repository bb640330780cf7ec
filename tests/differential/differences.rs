//! Where a reply may differ from that of redis-server 7.0, or of a later server, and why.
//!
//! A row is as narrow as can be: it names the servers and the command, and looks at both replies.
//! The coverage report shows the reasons for those from 7.0.

use super::compare;
use super::reference::{ALL, BEFORE_7_2, REDIS_8, Reference, SINCE_7_2, VALKEY, VALKEY_9};
use super::wire::Value;

pub struct Difference {
    /// In small letters; of a container with its subcommand, as `config|get`. `*` is any command.
    pub command: &'static str,
    pub reason: &'static str,
    /// The servers that it holds for.
    pub only: &'static [Reference],
    applies: fn(&[Vec<u8>], &Value, &Value) -> bool,
}

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        command: "object|encoding",
        reason: "Redis 7.2 keeps small lists and sets of strings in a listpack, 7.0 does not",
        only: BEFORE_7_2,
        applies: |_, redis, mayfly| {
            let is_older = redis.is_text("quicklist") || redis.is_text("hashtable");
            mayfly.is_text("listpack") && is_older
        },
    },
    Difference {
        command: "object|encoding",
        reason: "SORT makes a skiplist of a small sorted set in Redis; a read changes nothing here",
        only: ALL,
        applies: |_, redis, mayfly| mayfly.is_text("listpack") && redis.is_text("skiplist"),
    },
    Difference {
        command: "*",
        reason: "a double is written as short as can be, as by Redis 7.2, and zero has no sign",
        only: BEFORE_7_2,
        applies: |_, redis, mayfly| same_doubles(redis, mayfly),
    },
    Difference {
        command: "*",
        reason: "zero has no sign",
        only: SINCE_7_2,
        applies: |_, redis, mayfly| unsigned(redis) == *mayfly,
    },
    Difference {
        command: "*",
        reason: "HELP says the same in words of its own",
        only: ALL,
        applies: |words, redis, mayfly| {
            let is_help = words.len() == 2 && words[1].eq_ignore_ascii_case(b"HELP");
            is_help && !redis.elements().is_empty() && !mayfly.elements().is_empty()
        },
    },
    Difference {
        command: "xreadgroup",
        reason: "Redis 7.2 names the command in the error, 7.0 does not",
        only: BEFORE_7_2,
        applies: unbalanced,
    },
    Difference {
        command: "xread",
        reason: "Redis 7.2 names the command in the error, 7.0 does not",
        only: BEFORE_7_2,
        applies: unbalanced,
    },
    Difference {
        command: "*",
        reason: "Redis 7.2 refuses a time-out that is too long, 7.0 takes it as a negative one",
        only: BEFORE_7_2,
        applies: |words, redis, mayfly| {
            let name = words[0].to_ascii_uppercase();
            [b'B', b'X'].contains(&name[0])
                && redis.is_error_of("ERR timeout is negative")
                && mayfly.is_error_of("ERR timeout is out of range")
        },
    },
    Difference {
        command: "*",
        reason: "an error shows bytes that are no UTF-8 as the replacement character, and goes on \
                 behind a zero",
        only: ALL,
        applies: |_, redis, mayfly| {
            let shown = mayfly.text();
            let before = shown.split_once(['\u{fffd}', '\0']).map(|(before, _)| before);
            let both = redis.is_error() && mayfly.is_error();
            both && before.is_some_and(|before| redis.bytes().starts_with(before.as_bytes()))
        },
    },
    Difference {
        command: "command|getkeys",
        reason: "Redis 7.0 takes no command of one word here, 7.2 does",
        only: BEFORE_7_2,
        applies: |words, redis, _| {
            words.len() == 3
                && redis.is_error_of("ERR wrong number of arguments for 'command|getkeys' command")
        },
    },
    Difference {
        command: "role",
        reason: "a cluster has its own answer: the index of the log, and its members",
        only: ALL,
        applies: |_, redis, mayfly| !redis.is_error() && !mayfly.is_error(),
    },
    Difference {
        command: "object|idletime",
        reason: "accesses are not tracked",
        only: ALL,
        applies: |_, redis, mayfly| {
            redis.integer().is_some() && mayfly.is_error_of("ERR idle time not tracked")
        },
    },
    Difference {
        command: "*",
        reason: "a cursor is digits; Redis 7.0 takes a minus and nothing for some number, later \
                 versions a space",
        only: ALL,
        applies: |words, redis, mayfly| {
            let is_scan = words[0].to_ascii_uppercase().ends_with(b"SCAN");
            let is_odd = |word: &Vec<u8>| word.first().is_none_or(|first| b"- ".contains(first));
            is_scan
                && words.iter().skip(1).take(2).any(is_odd)
                && mayfly.is_error_of("ERR invalid cursor")
                && !redis.is_error_of("ERR invalid cursor")
        },
    },
    Difference {
        command: "zrank",
        reason: "Redis 7.2 takes WITHSCORE, 7.0 does not",
        only: BEFORE_7_2,
        applies: with_score,
    },
    Difference {
        command: "zrevrank",
        reason: "Redis 7.2 takes WITHSCORE, 7.0 does not",
        only: BEFORE_7_2,
        applies: with_score,
    },
    Difference {
        command: "*",
        reason: "an error names the command in capitals, Redis as it was typed",
        only: ALL,
        applies: same_letters,
    },
    Difference {
        command: "object|refcount",
        reason: "nothing is shared, Redis shares small integers and words of a transaction",
        only: ALL,
        applies: |_, redis, mayfly| {
            redis.integer().is_some_and(|count| count > 1) && mayfly.integer() == Some(1)
        },
    },
    Difference {
        command: "lpos",
        reason: "later versions refuse the least of all ranks, 7.0 does not",
        only: BEFORE_7_2,
        applies: is_least,
    },
    Difference {
        command: "*",
        reason: "Valkey 8 words some errors anew",
        only: VALKEY,
        applies: |_, valkey, mayfly| *valkey == reworded(mayfly, &VALKEY_WORDS),
    },
    Difference {
        command: "*",
        reason: "Redis 7.4 words some errors anew",
        only: REDIS_8,
        applies: |_, redis, mayfly| *redis == reworded(mayfly, &REDIS_8_WORDS),
    },
    Difference {
        command: "object|encoding",
        reason: "a hash has one compact form, whether fields of it end or not",
        only: REDIS_8,
        applies: |_, redis, mayfly| mayfly.is_text("listpack") && redis.is_text("listpackex"),
    },
    Difference {
        command: "function|restore",
        reason: "which of several libraries is there already: the first, of no order in Redis",
        only: ALL,
        applies: |_, redis, mayfly| {
            let exists = |value: &Value| {
                let text = value.text();
                text.starts_with("ERR ") && text.ends_with(" already exists")
            };
            exists(redis) && exists(mayfly)
        },
    },
    Difference {
        command: "xreadgroup",
        reason: "Redis 7.4 says more of `+`, which reads no group",
        only: SINCE_7_2,
        applies: |words, redis, mayfly| {
            words.iter().any(|word| word == b"+") && redis.is_error() && mayfly.is_error()
        },
    },
    Difference {
        command: "xread",
        reason: "`+`, the last entry of a stream, is of Redis 7.4",
        only: SINCE_7_2,
        applies: |words, _, mayfly| {
            words.iter().any(|word| word == b"+")
                && mayfly.is_error_of("ERR Invalid stream ID specified as stream command argument")
        },
    },
    Difference {
        command: "scan",
        reason: "of a type that is none there is nothing; Valkey 8 refuses it",
        only: VALKEY,
        applies: |_, redis, mayfly| {
            let is_fine = !mayfly.is_error() || mayfly.is_error_of("ERR syntax error");
            redis.text().starts_with("ERR unknown type name '") && is_fine
        },
    },
    Difference {
        command: "client|kill",
        reason: "Valkey 8 has another error for an identifier that is no number",
        only: VALKEY,
        applies: |_, valkey, mayfly| {
            valkey.is_error_of("ERR syntax error")
                && mayfly.is_error_of("ERR client-id should be greater than 0")
        },
    },
    Difference {
        command: "client|list",
        reason: "Valkey 8 reads an identifier as one of several filters",
        only: VALKEY,
        applies: |_, valkey, mayfly| {
            valkey.is_error_of("ERR syntax error") && mayfly.is_error_of("ERR Invalid client ID")
        },
    },
    Difference {
        command: "getex",
        reason: "Valkey 9 looks at the time before it looks at the key",
        only: VALKEY_9,
        applies: |_, valkey, mayfly| {
            let is_of_key = mayfly.is_null() || mayfly.text().starts_with("WRONGTYPE ");
            let is_of_time = valkey.is_error_of("ERR value is not an integer or out of range")
                || valkey.is_error_of("ERR invalid expire time in 'getex' command");
            is_of_key && is_of_time
        },
    },
    Difference {
        command: "object|encoding",
        reason: "Valkey 9 keeps longer strings beside their keys",
        only: VALKEY_9,
        applies: |_, valkey, mayfly| valkey.is_text("embstr") && mayfly.is_text("raw"),
    },
    Difference {
        command: "bitcount",
        reason: "Valkey 8 takes a range without an end",
        only: VALKEY,
        applies: |words, _, mayfly| words.len() == 3 && mayfly.is_error_of("ERR syntax error"),
    },
    Difference {
        command: "*",
        reason: "Redis 8 writes places with as few digits as tell them from others",
        only: REDIS_8,
        applies: |words, redis, mayfly| {
            let name = words[0].to_ascii_uppercase();
            let may = [&b"GEO"[..], b"EVAL", b"FCALL"].iter().any(|start| name.starts_with(start));
            may && same_doubles(redis, mayfly)
        },
    },
    Difference {
        command: "object|encoding",
        reason: "the encoding of a string follows from its value, not from who made it",
        only: ALL,
        applies: |_, redis, mayfly| {
            let is_one_of =
                |value: &Value, names: [&str; 2]| names.iter().any(|n| value.is_text(n));
            is_one_of(redis, ["embstr", "raw"]) && is_one_of(mayfly, ["int", "embstr"])
        },
    },
    Difference {
        command: "bitcount",
        reason: "Redis 7.2 looks at the range before it looks at the key, 7.0 behind it",
        only: BEFORE_7_2,
        applies: unchecked_range,
    },
    Difference {
        command: "bitpos",
        reason: "Redis 7.2 looks at the range before it looks at the key, 7.0 behind it",
        only: BEFORE_7_2,
        applies: unchecked_range,
    },
    Difference {
        command: "sort",
        reason: "members of a set, of equal weight, or equal up to a zero, have no order in Redis",
        only: ALL,
        applies: no_order,
    },
    Difference {
        command: "sort_ro",
        reason: "members of a set, of equal weight, or equal up to a zero, have no order in Redis",
        only: ALL,
        applies: no_order,
    },
    Difference {
        command: "xinfo",
        reason: "Redis 7.2 tells when a consumer was active, 7.0 does not",
        only: BEFORE_7_2,
        applies: |_, redis, mayfly| {
            let mayfly = without(mayfly, &["active-time", "inactive"]);
            *redis == mayfly || compare::keeps(compare::Promise::Clock(1), redis, &mayfly)
        },
    },
    Difference {
        command: "xinfo",
        reason: "Redis 7.2.6 mended the lag of a group behind trims, deletions and ENTRIESREAD",
        only: ALL,
        applies: |_, redis, mayfly| {
            let strip = |value| without(value, &["active-time", "inactive", "lag"]);
            let (redis, mayfly) = (strip(redis), strip(mayfly));
            let clock = compare::Promise::Clock(1);
            redis == mayfly || compare::keeps(clock, &redis, &mayfly)
        },
    },
    Difference {
        command: "sort",
        reason: "Redis takes the overflow of a number in a command before for one of its own",
        only: ALL,
        applies: fails_by_another,
    },
    Difference {
        command: "sort_ro",
        reason: "Redis takes the overflow of a number in a command before for one of its own",
        only: ALL,
        applies: fails_by_another,
    },
    Difference {
        command: "xreadgroup",
        reason: "since Redis 7.2 a command that waits runs again when its stream or group is gone",
        only: BEFORE_7_2,
        applies: |_, redis, mayfly| {
            let ended = ["NOGROUP the consumer group this client", "UNBLOCKED the stream key no"];
            let again = ["NOGROUP No such key", "WRONGTYPE "];
            ended.iter().any(|text| redis.text().starts_with(text))
                && again.iter().any(|text| mayfly.text().starts_with(text))
        },
    },
    Difference {
        command: "acl|getuser",
        reason: "Redis 7.2 always tells `sanitize-payload`, 7.0 when it was asked for",
        only: BEFORE_7_2,
        applies: |_, redis, mayfly| {
            let flag = |value: &&[u8]| *value != b"sanitize-payload";
            let (redis, mayfly) = (redis.scalars(), mayfly.scalars());
            redis.into_iter().filter(flag).eq(mayfly.into_iter().filter(flag))
        },
    },
    Difference {
        command: "acl|setuser",
        reason: "later versions name the first of several open parentheses, 7.0 the last",
        only: BEFORE_7_2,
        applies: |_, redis, mayfly| {
            let start = "ERR Unmatched parenthesis in acl selector starting at '(";
            redis.text().starts_with(start) && mayfly.text().starts_with(start)
        },
    },
    Difference {
        command: "acl|dryrun",
        reason: "a key that is no UTF-8 is shown with the replacement character",
        only: SINCE_7_2,
        applies: |_, redis, mayfly| {
            let shown = mayfly.text();
            shown.contains('\u{fffd}') && redis.text() == shown
        },
    },
    Difference {
        command: "acl|dryrun",
        reason: "Redis 7.2 names the user, 7.0 does not; it shows a key up to a zero byte",
        only: BEFORE_7_2,
        applies: |words, redis, mayfly| {
            let named = words.get(2).map(|name| String::from_utf8_lossy(name));
            let named = format!("User {}", named.unwrap_or_default());
            let expected = redis.text().replacen("This user", &named, 1);
            let before_key = |text: &str| text.split('\'').next().map(str::to_owned);
            let is_cut = words.iter().any(|word| word.contains(&0));
            expected == mayfly.text()
                || is_cut && before_key(&expected) == before_key(&mayfly.text())
        },
    },
    Difference {
        command: "xinfo",
        reason: "a count of entries that cannot be right is none, Redis counts on beyond 64 bits",
        only: ALL,
        applies: |_, redis, mayfly| {
            let fields = ["active-time", "inactive", "lag", "entries-read"];
            let (left, right) = (without(redis, &fields), without(mayfly, &fields));
            let same = compare::keeps(compare::Promise::Clock(1), &left, &right) || left == right;
            same && redis.scalars().iter().any(|scalar| scalar.starts_with(b"-92233720368547758"))
        },
    },
    Difference {
        command: "*",
        reason: "a script whose call in tail position fails does not say in which line, where the \
                 called function is one of Lua here and of C in Redis",
        only: ALL,
        applies: |words, redis, mayfly| {
            let is_script = words[0].to_ascii_uppercase().starts_with(b"EVAL");
            let both = redis.is_error() && mayfly.is_error();
            is_script && both && without_position(&redis.text()) == without_position(&mayfly.text())
        },
    },
    Difference {
        command: "dbsize",
        reason: "what a command ends is gone at once, Redis drops it some time later",
        only: ALL,
        applies: |_, redis, mayfly| {
            mayfly.integer().is_some_and(|count| redis.integer() > Some(count))
        },
    },
    Difference {
        command: "command|getkeys",
        reason: "a number of keys is a whole word, Redis reads it as far as it is a number",
        only: ALL,
        applies: |words, redis, mayfly| {
            let begins_as_number = |word: &Vec<u8>| {
                let digits = word.trim_ascii_start();
                let digits = digits.strip_prefix(b"+").unwrap_or(digits);
                digits.first().is_some_and(u8::is_ascii_digit)
            };
            // A number as it should be gives no error.
            words.iter().any(begins_as_number)
                && !redis.is_error()
                && mayfly.is_error_of("ERR Invalid arguments specified for command")
        },
    },
    Difference {
        command: "command",
        reason: "there are other commands",
        only: ALL,
        applies: |words, redis, mayfly| words.len() == 1 && !redis.is_error() && !mayfly.is_error(),
    },
    Difference {
        command: "command|getkeys",
        reason: "a second STORE of SORT is the key of the first, Redis takes it for an option",
        only: ALL,
        applies: |words, redis, mayfly| {
            let stores = words.iter().filter(|word| word.eq_ignore_ascii_case(b"STORE")).count();
            stores > 1 && redis.elements().len() == mayfly.elements().len()
        },
    },
    Difference {
        command: "config|set",
        reason: "a value that is no UTF-8 is refused before the name is looked at",
        only: ALL,
        applies: |_, redis, mayfly| {
            redis.is_error() && mayfly.text().ends_with("argument must be UTF-8 text")
        },
    },
    Difference {
        command: "command|count",
        reason: "there are other commands",
        only: ALL,
        applies: |_, redis, mayfly| redis.integer().is_some() && mayfly.integer().is_some(),
    },
    Difference {
        command: "publish",
        reason: "the reply counts the subscribers of the node, as in Redis Cluster",
        only: ALL,
        applies: at_most,
    },
    Difference {
        command: "spublish",
        reason: "the reply counts the subscribers of the node, as in Redis Cluster",
        only: ALL,
        applies: at_most,
    },
    Difference {
        command: "pubsub|channels",
        reason: "a node tells of its own subscribers, as in Redis Cluster",
        only: ALL,
        applies: some_of,
    },
    Difference {
        command: "pubsub|shardchannels",
        reason: "a node tells of its own subscribers, as in Redis Cluster",
        only: ALL,
        applies: some_of,
    },
    Difference {
        command: "pubsub|numsub",
        reason: "a node tells of its own subscribers, as in Redis Cluster",
        only: ALL,
        applies: at_most,
    },
    Difference {
        command: "pubsub|shardnumsub",
        reason: "a node tells of its own subscribers, as in Redis Cluster",
        only: ALL,
        applies: at_most,
    },
    Difference {
        command: "pubsub|numpat",
        reason: "a node tells of its own subscribers, as in Redis Cluster",
        only: ALL,
        applies: at_most,
    },
];

/// What the test keeps from happening, or makes the same again, since the two sides would hold
/// different data afterwards: the command, and the reason.
pub const AVOIDED: &[(&str, &str)] = &[
    ("bitfield", "SAT keeps the least number at its own end, Redis takes it to the other one"),
    ("blpop", "since Redis 7.2 what waits runs again, and takes its first key that is not empty"),
    (
        "bzpopmin",
        "since Redis 7.2 what waits runs again, and takes its first key that is not empty",
    ),
    ("config|set", "in a transaction it sets what is of the node or of the cluster, not both"),
    ("eval", "since Redis 7.2 a script may call what blocks, 7.0 refuses it"),
    ("eval_ro", "a read changes nothing: the script is not kept for EVALSHA, as it is in Redis"),
    ("hello", "inside of a transaction it changes the protocol behind EXEC, in Redis at once"),
    ("hello", "since Redis 7.2 it changes nothing when it is wrong, 7.0 keeps the name"),
    ("lrem", "later versions refuse the least of all counts, 7.0 does not"),
    ("pfcount", "a read changes nothing; Redis writes the number that it counted into the key"),
    ("restore", "a time to live beyond 64 bits is refused; in Redis the key is gone at once"),
    ("scan", "of type `none` there is nothing, in Redis a key that has ended may be"),
    ("xadd", "`~` trims exactly, as `=` does, so that all nodes keep the same"),
    ("xautoclaim", "since Redis 7.2 it makes the consumer even if there is nothing to claim"),
    ("xclaim", "since Redis 7.2 it makes the consumer even if there is nothing to claim"),
    ("xreadgroup", "since Redis 7.2 it makes the consumer even if there is nothing to read"),
    ("xsetid", "since Redis 7.2 it goes not below the last entry that was deleted, in 7.0 it does"),
    ("xtrim", "`~` trims exactly, as `=` does, so that all nodes keep the same"),
    ("zrange", "members of different scores have no order by name, in Redis neither"),
    ("zrangebylex", "members of different scores have no order by name, in Redis neither"),
    ("zrangestore", "members of different scores have no order by name, in Redis neither"),
    ("zlexcount", "members of different scores have no order by name, in Redis neither"),
    ("zremrangebylex", "members of different scores have no order by name, in Redis neither"),
    ("zrevrangebylex", "members of different scores have no order by name, in Redis neither"),
];

fn is_least(_: &[Vec<u8>], _: &Value, mayfly: &Value) -> bool {
    mayfly.text().starts_with("ERR value is out of range, value must between -92233")
}

/// What stands here, and what Valkey writes instead.
const VALKEY_WORDS: [(&str, &str); 11] = [
    (
        "Error registering functions: ERR Function already exists in the library",
        "Function already exists in the library",
    ),
    ("Error registering functions: ERR Library names can only", "Function names can only"),
    ("redis.register_function", "server.register_function"),
    ("Unexpected engine in script shebang: #!js", "Could not find scripting engine 'js'"),
    ("argument for this redis lib call", "argument for this call"),
    ("Unknown Redis command called", "Unknown command called"),
    ("args calling Redis command from", "args calling command from"),
    ("Lua redis lib command arguments must be", "Command arguments must be"),
    ("NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT No matching script."),
    ("ERR MULTI calls can not be nested", "ERR Command not allowed inside a transaction"),
    ("ERR WATCH inside MULTI is not allowed", "ERR Command not allowed inside a transaction"),
];

const REDIS_8_WORDS: [(&str, &str); 1] =
    [("key an ID or '$' must be", "key an ID, '+', or '$' must be")];

/// The value with other words in its errors.
fn reworded(value: &Value, words: &[(&str, &str)]) -> Value {
    match value {
        Value::Many(kind, values) => {
            Value::Many(*kind, values.iter().map(|value| reworded(value, words)).collect())
        }
        // A script may make a string of an error.
        Value::Line(b'-', bytes) | Value::Text(b'$', bytes) => {
            let Ok(text) = std::str::from_utf8(bytes) else { return value.clone() };
            let Some((ours, theirs)) = words.iter().find(|(ours, _)| text.contains(ours)) else {
                return value.clone();
            };
            let text = text.replace(ours, theirs).into_bytes();
            match value.is_error() {
                true => Value::Line(b'-', text),
                false => Value::Text(b'$', text),
            }
        }
        _ => value.clone(),
    }
}

fn fails_by_another(_: &[Vec<u8>], redis: &Value, mayfly: &Value) -> bool {
    redis.is_error_of("ERR One or more scores can't be converted into double") && !mayfly.is_error()
}

fn unbalanced(_: &[Vec<u8>], redis: &Value, mayfly: &Value) -> bool {
    redis.text().starts_with("ERR Unbalanced XREAD list of streams")
        && mayfly.text().starts_with("ERR Unbalanced 'xread")
}

fn with_score(words: &[Vec<u8>], redis: &Value, _: &Value) -> bool {
    words.len() == 4 && redis.text().starts_with("ERR wrong number of arguments for 'z")
}

fn unchecked_range(_: &[Vec<u8>], redis: &Value, mayfly: &Value) -> bool {
    let nothing = redis.integer().is_some_and(|at| at <= 0);
    mayfly.is_error() && (nothing || redis.text().starts_with("WRONGTYPE "))
}

fn no_order(words: &[Vec<u8>], redis: &Value, mayfly: &Value) -> bool {
    let says = |option: &[u8]| words.iter().any(|word| word.eq_ignore_ascii_case(option));
    let (left, right) = (redis.elements(), mayfly.elements());
    let same = left.len() == right.len()
        && (says(b"LIMIT") || compare::sorted(redis) == compare::sorted(mayfly));
    // Redis compares words up to their first zero.
    let has_zero = || left.iter().any(|word| word.bytes().contains(&0));
    !says(b"STORE") && same && (says(b"BY") || has_zero())
}

/// The value without these fields of maps, whether they come as such or in a row.
fn without(value: &Value, fields: &[&str]) -> Value {
    let Value::Many(kind, values) = value else { return value.clone() };
    let is_left_out = |at: usize| fields.iter().any(|field| values[at].text() == *field);
    let is_kept = |at: &usize| !is_left_out(*at) && (*at == 0 || !is_left_out(*at - 1));
    let kept = (0..values.len()).filter(is_kept).map(|at| without(&values[at], fields));
    Value::Many(*kind, kept.collect())
}

/// An error of a script without the line in front, and that behind it.
fn without_position(text: &str) -> String {
    let text = text.replacen("user_script:1: ", "", 1);
    let end = text.rfind(", on @user_script:").unwrap_or(text.len());
    text[..end].to_owned()
}

fn same_letters(_: &[Vec<u8>], redis: &Value, mayfly: &Value) -> bool {
    let both = redis.is_error() && mayfly.is_error();
    both && redis.bytes().eq_ignore_ascii_case(mayfly.bytes())
}

/// The same, with smaller numbers.
fn at_most(_: &[Vec<u8>], redis: &Value, mayfly: &Value) -> bool {
    match (redis, mayfly) {
        (Value::Line(b':', _), Value::Line(b':', _)) => mayfly.integer() <= redis.integer(),
        (Value::Many(left, redis), Value::Many(right, mayfly)) => {
            let fits = |(redis, mayfly)| at_most(&[], redis, mayfly);
            left == right && redis.len() == mayfly.len() && redis.iter().zip(mayfly).all(fits)
        }
        _ => redis == mayfly,
    }
}

fn some_of(_: &[Vec<u8>], redis: &Value, mayfly: &Value) -> bool {
    let is_array = |value: &Value| matches!(value, Value::Many(b'*', _));
    is_array(redis)
        && is_array(mayfly)
        && mayfly.elements().iter().all(|element| redis.elements().contains(element))
}

/// The value with zeros that have no sign.
fn unsigned(value: &Value) -> Value {
    match value {
        Value::Many(kind, values) => Value::Many(*kind, values.iter().map(unsigned).collect()),
        Value::Line(b',', text) if text == b"-0" => Value::Line(b',', b"0".to_vec()),
        Value::Text(b'$', text) if text == b"-0" => Value::Text(b'$', b"0".to_vec()),
        _ => value.clone(),
    }
}

/// The same but for decimals of redis-server that are longer, have an exponent, or are minus zero.
pub fn same_doubles(redis: &Value, mayfly: &Value) -> bool {
    let double = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<f64>().ok();
    let same = |redis: &[u8], mayfly: &[u8]| {
        let is_decimal = redis == b"-0" || redis.iter().any(|byte| b".e".contains(byte));
        redis == mayfly || is_decimal && double(redis).is_some() && double(redis) == double(mayfly)
    };
    match (redis, mayfly) {
        (Value::Line(b',', redis), Value::Line(b',', mayfly))
        | (Value::Text(b'$', redis), Value::Text(b'$', mayfly)) => same(redis, mayfly),
        (Value::Many(left, redis), Value::Many(right, mayfly)) => {
            let same = |(redis, mayfly)| same_doubles(redis, mayfly);
            left == right && redis.len() == mayfly.len() && redis.iter().zip(mayfly).all(same)
        }
        _ => redis == mayfly,
    }
}

/// The row that explains the difference.
pub fn explain(words: &[Vec<u8>], redis: &Value, mayfly: &Value) -> Option<&'static Difference> {
    let lower =
        |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).to_ascii_lowercase());
    let name = lower(0).unwrap_or_default();
    let full = format!("{name}|{}", lower(1).unwrap_or_default());
    DIFFERENCES.iter().find(|difference| {
        let names =
            difference.command == "*" || difference.command == name || difference.command == full;
        let holds = difference.only.contains(&Reference::current());
        names && holds && (difference.applies)(words, redis, mayfly)
    })
}
