use crate::engine::testing::{check, check_all, check3, engine};

const BAD_OFFSET: &str = "-ERR bit offset is not an integer or out of range\r\n";
const BAD_BIT: &str = "-ERR bit is not an integer or out of range\r\n";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const SYNTAX: &str = "-ERR syntax error\r\n";
const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

#[test]
fn bits_are_set_and_read() {
    let cases = [
        ("SETBIT k -1 1", BAD_OFFSET),
        ("SETBIT k 4294967296 1", BAD_OFFSET),
        ("SETBIT k 9223372036854775807 1", BAD_OFFSET),
        ("SETBIT k x 1", BAD_OFFSET),
        ("SETBIT k 1 2", BAD_BIT),
        ("SETBIT k 1 -1", BAD_BIT),
        ("SETBIT k 1 x", BAD_BIT),
        ("SETBIT k x x", BAD_OFFSET),
        ("SETBIT k 1", "-ERR wrong number of arguments for 'setbit' command\r\n"),
        ("GETBIT k -1", BAD_OFFSET),
        ("GETBIT k 4294967296", BAD_OFFSET),
        ("EXISTS k", ":0\r\n"),
        ("SETBIT k 7 1", ":0\r\n"),
        ("SETBIT k 7 1", ":1\r\n"),
        ("GET k", "$1\r\n\u{1}\r\n"),
        ("SETBIT k 16 0", ":0\r\n"),
        ("STRLEN k", ":3\r\n"),
        ("GETBIT k 7", ":1\r\n"),
        ("GETBIT k 8", ":0\r\n"),
        ("GETBIT k 4294967295", ":0\r\n"),
        ("GETBIT none 0", ":0\r\n"),
        ("SETBIT k 7 0", ":1\r\n"),
        ("GETBIT k 7", ":0\r\n"),
        // The digits of a number are a string as well.
        ("SET n 10", "+OK\r\n"),
        ("GETBIT n 3", ":1\r\n"),
        ("SETBIT n 6 1", ":0\r\n"),
        ("INCR n", ":31\r\n"),
        ("SET n 9 EX 100", "+OK\r\n"),
        ("SETBIT n 0 0", ":0\r\n"),
        ("TTL n", ":100\r\n"),
        ("OBJECT ENCODING n", "$3\r\nraw\r\n"),
        ("RPUSH l a", ":1\r\n"),
        ("SETBIT l 0 1", WRONG_TYPE),
        ("SETBIT l x 1", BAD_OFFSET),
        ("GETBIT l 0", WRONG_TYPE),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn set_bits_are_counted() {
    let cases = [
        ("BITCOUNT k", ":0\r\n"),
        ("BITCOUNT k 0", SYNTAX),
        ("BITCOUNT k 0 1 WORD", SYNTAX),
        ("BITCOUNT k 0 1 BIT BIT", SYNTAX),
        ("BITCOUNT k x 1", NOT_INTEGER),
        ("BITCOUNT k 0 x BIT", NOT_INTEGER),
        ("BITCOUNT k 0 -1", ":0\r\n"),
        ("SET k foobar", "+OK\r\n"),
        ("BITCOUNT k", ":26\r\n"),
        ("BITCOUNT k 0 0", ":4\r\n"),
        ("BITCOUNT k 1 1 byte", ":6\r\n"),
        ("BITCOUNT k 0 -5", ":10\r\n"),
        ("BITCOUNT k 5 30 BIT", ":17\r\n"),
        ("BITCOUNT k -8 -1 bit", ":4\r\n"),
        ("BITCOUNT k -2 -7", ":0\r\n"),
        ("BITCOUNT k -9 -8", ":4\r\n"),
        ("BITCOUNT k 100 200", ":0\r\n"),
        ("BITCOUNT k -9223372036854775808 9223372036854775807", ":26\r\n"),
        ("SET k \"\"", "+OK\r\n"),
        ("BITCOUNT k 0 -1", ":0\r\n"),
        ("RPUSH l a", ":1\r\n"),
        ("BITCOUNT l", WRONG_TYPE),
        ("BITCOUNT l 0 x", NOT_INTEGER),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn the_first_bit_of_a_value_is_found() {
    let cases = [
        ("BITPOS k 2", "-ERR The bit argument must be 1 or 0.\r\n"),
        ("BITPOS k x", NOT_INTEGER),
        ("BITPOS k 0 x", NOT_INTEGER),
        ("BITPOS k 0 0 x", NOT_INTEGER),
        ("BITPOS k 0 0 x WORD", SYNTAX),
        ("BITPOS k 0 0 1 BIT BIT", SYNTAX),
        ("BITPOS k 0", ":0\r\n"),
        ("BITPOS k 0 5 9", ":0\r\n"),
        ("BITPOS k 1", ":-1\r\n"),
        ("SET k \"\\xff\\xf0\\0\"", "+OK\r\n"),
        ("BITPOS k 0", ":12\r\n"),
        ("BITPOS k 1 1", ":8\r\n"),
        ("BITPOS k 1 2", ":-1\r\n"),
        ("BITPOS k 0 0 0", ":-1\r\n"),
        ("BITPOS k 0 -1", ":16\r\n"),
        ("BITPOS k 1 7 15 BIT", ":7\r\n"),
        ("BITPOS k 0 7 11 BIT", ":-1\r\n"),
        ("BITPOS k 0 7 12 BIT", ":12\r\n"),
        ("BITPOS k 1 -13 -1 bit", ":11\r\n"),
        ("BITPOS k 1 9 8", ":-1\r\n"),
        ("SET ones \"\\xff\\xff\\xff\"", "+OK\r\n"),
        ("BITPOS ones 0", ":24\r\n"),
        ("BITPOS ones 0 1", ":24\r\n"),
        ("BITPOS ones 0 3", ":-1\r\n"),
        ("BITPOS ones 0 0 -1", ":-1\r\n"),
        ("SET empty \"\"", "+OK\r\n"),
        ("BITPOS empty 0", ":-1\r\n"),
        ("BITPOS empty 1", ":-1\r\n"),
        ("RPUSH l a", ":1\r\n"),
        ("BITPOS l 1", WRONG_TYPE),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn strings_are_combined_bit_by_bit() {
    let single = "-ERR BITOP NOT must be called with a single source key.\r\n";
    let cases = [
        ("BITOP NAND d a", SYNTAX),
        ("BITOP NOT d a b", single),
        ("BITOP AND d", "-ERR wrong number of arguments for 'bitop' command\r\n"),
        ("SET a abc", "+OK\r\n"),
        ("SET b 12", "+OK\r\n"),
        ("RPUSH l a", ":1\r\n"),
        ("BITOP OR d a l", WRONG_TYPE),
        ("EXISTS d", ":0\r\n"),
        ("BITOP and d a b", ":3\r\n"),
        ("GET d", "$3\r\n!\"\0\r\n"),
        ("BITOP OR d a b", ":3\r\n"),
        ("GET d", "$3\r\nqrc\r\n"),
        ("BITOP XOR d a b", ":3\r\n"),
        ("GET d", "$3\r\nPPc\r\n"),
        ("BITOP AND d a none", ":3\r\n"),
        ("GET d", "$3\r\n\0\0\0\r\n"),
        ("BITOP NOT d d", ":3\r\n"),
        ("BITCOUNT d", ":24\r\n"),
        ("OBJECT ENCODING d", "$3\r\nraw\r\n"),
        ("EXPIRE d 100", ":1\r\n"),
        ("BITOP OR d b", ":2\r\n"),
        ("TTL d", ":-1\r\n"),
        ("INCR d", ":13\r\n"),
        // Whatever the target held is replaced, or removed.
        ("BITOP OR l a", ":3\r\n"),
        ("GET l", "$3\r\nabc\r\n"),
        ("BITOP OR l none nothing", ":0\r\n"),
        ("EXISTS l", ":0\r\n"),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn fields_are_read_and_changed() {
    let bad_field = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not \
                     supported but i64 is.\r\n";
    let cases = [
        ("BITFIELD k GET u64 0", bad_field),
        ("BITFIELD k GET i65 0", bad_field),
        ("BITFIELD k GET u0 0", bad_field),
        ("BITFIELD k GET U8 0", bad_field),
        ("BITFIELD k GET u8x 0", bad_field),
        ("BITFIELD k GET u8 -1", BAD_OFFSET),
        ("BITFIELD k GET u8 x", BAD_OFFSET),
        ("BITFIELD k GET u8 ##1", BAD_OFFSET),
        ("BITFIELD k GET u8 #536870912", BAD_OFFSET),
        ("BITFIELD k GET u8 #9223372036854775807", BAD_OFFSET),
        ("BITFIELD k SET u8 4294967289 1", BAD_OFFSET),
        ("BITFIELD k SET u8 0 x", NOT_INTEGER),
        ("BITFIELD k SET u8 0", SYNTAX),
        ("BITFIELD k GET u8", SYNTAX),
        ("BITFIELD k OVERFLOW", SYNTAX),
        ("BITFIELD k SET u8 0 1 FOO", SYNTAX),
        ("BITFIELD k OVERFLOW NONE", "-ERR Invalid OVERFLOW type specified\r\n"),
        ("BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand\r\n"),
        ("BITFIELD_RO k SET u8 0", SYNTAX),
        ("EXISTS k", ":0\r\n"),
        ("BITFIELD k", "*0\r\n"),
        ("BITFIELD k GET u8 4294967290", "*1\r\n:0\r\n"),
        ("EXISTS k", ":0\r\n"),
        ("BITFIELD k INCRBY i5 100 1 GET u4 0", "*2\r\n:1\r\n:0\r\n"),
        ("STRLEN k", ":14\r\n"),
        ("BITFIELD k SET u8 #1 200 GET i8 8 GET u8 #1", "*3\r\n:0\r\n:-56\r\n:200\r\n"),
        ("BITFIELD_RO k GET u8 #1 GET i4 12", "*2\r\n:200\r\n:-8\r\n"),
        ("RPUSH l a", ":1\r\n"),
        ("BITFIELD l GET u8 0", WRONG_TYPE),
        ("BITFIELD l SET u8 0 1", WRONG_TYPE),
        ("BITFIELD_RO l GET u8 0", WRONG_TYPE),
    ];
    check_all(&mut engine(), &cases);
}

#[test]
fn a_field_overflows_as_told() {
    let cases = [
        ("BITFIELD k INCRBY u2 0 3 INCRBY u2 0 2", "*2\r\n:3\r\n:1\r\n"),
        ("BITFIELD k OVERFLOW SAT INCRBY u2 0 9 INCRBY u2 0 -9", "*2\r\n:3\r\n:0\r\n"),
        ("BITFIELD k OVERFLOW FAIL INCRBY u2 0 4 GET u2 0", "*2\r\n$-1\r\n:0\r\n"),
        ("BITFIELD k OVERFLOW FAIL SET u2 0 4 OVERFLOW WRAP SET u2 0 7", "*2\r\n$-1\r\n:0\r\n"),
        ("BITFIELD k OVERFLOW SAT SET u2 0 -1 GET u2 0", "*2\r\n:3\r\n:3\r\n"),
        ("BITFIELD k SET i8 #1 -200 GET i8 #1", "*2\r\n:0\r\n:56\r\n"),
        ("BITFIELD k OVERFLOW SAT SET i8 #1 -200 GET i8 #1", "*2\r\n:56\r\n:-128\r\n"),
        (
            "BITFIELD k SET i64 64 9223372036854775807 INCRBY i64 64 1",
            "*2\r\n:0\r\n:-9223372036854775808\r\n",
        ),
        // Room is made even for what is then not written.
        ("BITFIELD new OVERFLOW FAIL SET u8 8 300", "*1\r\n$-1\r\n"),
        ("GET new", "$2\r\n\0\0\r\n"),
    ];
    let mut engine = engine();
    check_all(&mut engine, &cases);
    check3(&mut engine, "BITFIELD k OVERFLOW FAIL SET u2 0 4", "*1\r\n_\r\n");
    check(&mut engine, "STRLEN k", ":16\r\n");
}
