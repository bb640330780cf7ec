use crate::engine::reply::Protocol;
use crate::engine::testing::{START_MS, advance, check, check_all, engine, run_line};

fn text(engine: &mut crate::engine::Engine, line: &str) -> String {
    String::from_utf8(run_line(engine, Protocol::Resp2, line)).unwrap()
}

#[test]
fn values_are_looked_at() {
    let mut engine = engine();
    let no_table = "-ERR The value stored at the specified key is not represented using an hash \
                    table\r\n";
    let unknown = |name: &str| {
        format!(
            "-ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP.\r\n"
        )
    };
    let no_key = "-ERR no such key\r\n";
    check_all(
        &mut engine,
        &[
            ("SET foo bar", "+OK\r\n"),
            ("SADD s a b c", ":3\r\n"),
            ("HSET h f v", ":1\r\n"),
            (
                "DEBUG OBJECT foo",
                "+Value at:0x0 refcount:1 encoding:embstr serializedlength:4 lru:0 \
                 lru_seconds_idle:0\r\n",
            ),
            ("DEBUG OBJECT none", no_key),
            ("DEBUG OBJECT", &unknown("OBJECT")),
            ("DEBUG nosuch", &unknown("nosuch")),
            ("DEBUG HTSTATS x", "-ERR value is not an integer or out of range\r\n"),
            ("DEBUG HTSTATS 16", "-ERR Out of range database\r\n"),
            ("DEBUG HTSTATS-KEY foo", no_table),
            ("DEBUG HTSTATS-KEY h", no_table),
            ("DEBUG HTSTATS-KEY none", no_key),
        ],
    );
    assert!(
        text(&mut engine, "DEBUG HTSTATS 0").contains("\n number of elements: 3\n segments: 1")
    );
    for number in 0..600 {
        run_line(&mut engine, Protocol::Resp2, &format!("SADD s member-{number}"));
    }
    let stats = text(&mut engine, "DEBUG HTSTATS-KEY s");
    assert!(stats.ends_with(" number of elements: 603\n\r\n"), "{stats}");
}

#[test]
fn digests_tell_what_is_stored_and_nothing_else() {
    let mut engine = engine();
    let zeros = format!("+{}\r\n", "0".repeat(40));
    check(&mut engine, "DEBUG DIGEST", &zeros);
    check(&mut engine, "RPUSH l a b", ":2\r\n");
    let first = text(&mut engine, "DEBUG DIGEST");
    assert_eq!(first.len(), zeros.len());
    // What was there before, and when, makes no difference.
    advance(&mut engine, 1000);
    check(&mut engine, "DEL l", ":1\r\n");
    check(&mut engine, "DEBUG DIGEST", &zeros);
    check(&mut engine, "RPUSH l a b", ":2\r\n");
    check(&mut engine, "DEBUG DIGEST", &first);
    check(&mut engine, "COPY l m", ":1\r\n");
    assert_ne!(text(&mut engine, "DEBUG DIGEST"), first);
    let both = text(&mut engine, "DEBUG DIGEST-VALUE l m none");
    let parts: Vec<&str> = both.split("\r\n").collect();
    assert_eq!((parts[0], parts[1], parts[3]), ("*3", parts[2], zeros.trim_end()));
    check(&mut engine, "DEBUG DIGEST-VALUE", "*0\r\n");
    check(&mut engine, "EXPIRE m 100", ":1\r\n");
    assert_ne!(text(&mut engine, "DEBUG DIGEST-VALUE l m none"), both);
}

#[test]
fn keys_are_made_where_there_are_none() {
    let mut engine = engine();
    let positive = "-ERR value is out of range, must be positive\r\n";
    let limit = "-ERR at most 1000000 keys and 268435456 bytes at a time\r\n";
    check_all(
        &mut engine,
        &[
            ("SET key:1 own", "+OK\r\n"),
            ("DEBUG POPULATE 3", "+OK\r\n"),
            ("DEBUG POPULATE 2 pre 10", "+OK\r\n"),
            ("DEBUG POPULATE 1 short 3", "+OK\r\n"),
            ("DBSIZE", ":6\r\n"),
            ("GET key:1", "$3\r\nown\r\n"),
            ("GET key:2", "$7\r\nvalue:2\r\n"),
            ("GET pre:1", "$10\r\nvalue:1\0\0\0\r\n"),
            ("GET short:0", "$3\r\nval\r\n"),
            ("DEBUG POPULATE x", positive),
            ("DEBUG POPULATE -1", positive),
            ("DEBUG POPULATE 1000001", limit),
            ("DEBUG POPULATE 1000 k 1000000", limit),
        ],
    );
}

#[test]
fn without_active_expiry_keys_stay_until_a_write_meets_them() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n"),
            ("SET a v PX 5", "+OK\r\n"),
            ("SET b v PX 5", "+OK\r\n"),
        ],
    );
    let unlike = engine.digest();
    assert_eq!(engine.next_deadline(), Some(START_MS + 5), "the clock moves for reads");
    advance(&mut engine, 10);
    engine.expire_due(100);
    assert_eq!(engine.next_deadline(), None, "what is hidden already is passed over");
    check_all(
        &mut engine,
        &[
            ("DBSIZE", ":2\r\n"),
            ("GET a", "$-1\r\n"),
            ("DBSIZE", ":2\r\n"),
            ("DEL a", ":0\r\n"),
            ("DBSIZE", ":1\r\n"),
            ("DEBUG SET-ACTIVE-EXPIRE 1", "+OK\r\n"),
        ],
    );
    assert_ne!(engine.digest(), unlike);
    assert_eq!(engine.next_deadline(), Some(START_MS + 5));
    engine.expire_due(100);
    check(&mut engine, "DBSIZE", ":0\r\n");
}
