use crate::engine::reply::Protocol;
use crate::engine::slot::key_slot;
use crate::engine::testing::{advance, check, check_all, check3, engine, run_line, run_words_in};

#[test]
fn the_keys_of_a_slot_are_counted_and_told() {
    let mut engine = engine();
    let invalid = "-ERR Invalid slot\r\n";
    let invalid_or_number = "-ERR Invalid slot or number of keys\r\n";
    let not_integer = "-ERR value is not an integer or out of range\r\n";
    for key in ["{foo}1", "{foo}2", "{foo}3", "bar"] {
        check(&mut engine, &format!("SET {key} v"), "+OK\r\n");
    }
    check_all(
        &mut engine,
        &[
            ("CLUSTER COUNTKEYSINSLOT 12182", ":3\r\n"),
            ("CLUSTER COUNTKEYSINSLOT 5061", ":1\r\n"),
            ("CLUSTER COUNTKEYSINSLOT 0", ":0\r\n"),
            ("CLUSTER COUNTKEYSINSLOT x", not_integer),
            ("CLUSTER COUNTKEYSINSLOT 16384", invalid),
            ("CLUSTER COUNTKEYSINSLOT -1", invalid),
            ("CLUSTER GETKEYSINSLOT 5061 10", "*1\r\n$3\r\nbar\r\n"),
            ("CLUSTER GETKEYSINSLOT 12182 0", "*0\r\n"),
            ("CLUSTER GETKEYSINSLOT 0 9", "*0\r\n"),
            ("CLUSTER GETKEYSINSLOT 16384 1", invalid_or_number),
            ("CLUSTER GETKEYSINSLOT 1 -1", invalid_or_number),
            ("CLUSTER GETKEYSINSLOT x 1", not_integer),
            ("CLUSTER GETKEYSINSLOT 1 x", not_integer),
        ],
    );
    let told = run_line(&mut engine, Protocol::Resp2, "CLUSTER GETKEYSINSLOT 12182 2");
    assert!(told.starts_with(b"*2\r\n$6\r\n{foo}"), "{}", told.escape_ascii());
    let words: [&[u8]; 3] = [b"cluster", b"countkeysinslot", b"12182"];
    assert_eq!(run_words_in(&mut engine, 1, Protocol::Resp2, &words), b":0\r\n");
    check(&mut engine, "PEXPIRE {foo}1 5", ":1\r\n");
    advance(&mut engine, 10);
    check(&mut engine, "CLUSTER COUNTKEYSINSLOT 12182", ":2\r\n");
}

/// More keys than are looked at in one step of the scan.
#[test]
fn all_keys_of_a_slot_are_found_among_many() {
    let mut engine = engine();
    for number in 0..3000 {
        let key = format!("k{number}");
        check(&mut engine, &format!("SET {key} v"), "+OK\r\n");
    }
    let slot = key_slot(b"k17");
    let reply =
        run_line(&mut engine, Protocol::Resp2, &format!("CLUSTER GETKEYSINSLOT {slot} 3000"));
    let found = (0..3000).filter(|number| key_slot(format!("k{number}").as_bytes()) == slot);
    assert!(reply.starts_with(format!("*{}\r\n", found.count()).as_bytes()));
    let text = String::from_utf8(reply).unwrap();
    assert!(text.contains("\r\nk17\r\n"));
}

#[test]
fn slots_are_told_by_range_or_by_their_keys() {
    let mut engine = engine();
    for key in ["{foo}1", "{foo}2", "bar"] {
        check(&mut engine, &format!("SET {key} v"), "+OK\r\n");
    }
    let limit = "-ERR Limit has to lie in between 1 and 16384 (maximum number of slots).\r\n";
    let slot = "-ERR Invalid or out of range slot\r\n";
    let syntax = "-ERR syntax error\r\n";
    let of =
        |slot: u16, count: u32| format!("*2\r\n:{slot}\r\n*2\r\n$9\r\nkey-count\r\n:{count}\r\n");
    check_all(
        &mut engine,
        &[
            ("CLUSTER SLOT-STATS SLOTSRANGE 5061 5061", &format!("*1\r\n{}", of(5061, 1))),
            (
                "CLUSTER SLOT-STATS SLOTSRANGE 12181 12182",
                &format!("*2\r\n{}{}", of(12181, 0), of(12182, 2)),
            ),
            (
                "CLUSTER SLOT-STATS ORDERBY key-count LIMIT 3",
                &format!("*3\r\n{}{}{}", of(12182, 2), of(5061, 1), of(0, 0)),
            ),
            (
                "CLUSTER SLOT-STATS ORDERBY KEY-COUNT LIMIT 2 ASC",
                &format!("*2\r\n{}{}", of(0, 0), of(1, 0)),
            ),
            (
                "CLUSTER SLOT-STATS ORDERBY",
                "-ERR wrong number of arguments for 'cluster|slot-stats' command\r\n",
            ),
        ],
    );
    check_all(
        &mut engine,
        &[
            (
                "CLUSTER SLOT-STATS ORDERBY cpu-usec DESC",
                "-ERR Unrecognized sort metric for ORDERBY.\r\n",
            ),
            ("CLUSTER SLOT-STATS ORDERBY key-count LIMIT 0", limit),
            ("CLUSTER SLOT-STATS ORDERBY key-count LIMIT 16385", limit),
            ("CLUSTER SLOT-STATS ORDERBY key-count ASC DESC", syntax),
            ("CLUSTER SLOT-STATS ORDERBY key-count FOO", syntax),
            ("CLUSTER SLOT-STATS SLOTSRANGE 1 2 3", syntax),
            ("CLUSTER SLOT-STATS FOO 1 2", syntax),
            ("CLUSTER SLOT-STATS SLOTSRANGE 1 16384", slot),
            ("CLUSTER SLOT-STATS SLOTSRANGE x 1", slot),
            (
                "CLUSTER SLOT-STATS SLOTSRANGE 2 1",
                "-ERR Start slot number 2 is greater than end slot number 1\r\n",
            ),
        ],
    );
    check3(
        &mut engine,
        "CLUSTER SLOT-STATS SLOTSRANGE 0 0",
        "*1\r\n*2\r\n:0\r\n%1\r\n$9\r\nkey-count\r\n:0\r\n",
    );
}
