use crate::engine::testing::{check, check_all, check3, engine};

#[test]
fn what_is_wrong_is_told_in_the_words_of_redis() {
    let both = "-ERR If you want both the length and indexes, please just use IDX.\r\n";
    let kind = "-ERR The specified keys must contain string values\r\n";
    check_all(
        &mut engine(),
        &[
            ("LCS a", "-ERR wrong number of arguments for 'lcs' command\r\n"),
            ("LCS a b FOO", "-ERR syntax error\r\n"),
            ("LCS a b MINMATCHLEN", "-ERR syntax error\r\n"),
            ("LCS a b MINMATCHLEN x", "-ERR value is not an integer or out of range\r\n"),
            ("LCS a b LEN IDX", both),
            ("RPUSH l x", ":1\r\n"),
            ("LCS l b FOO", kind),
            ("LCS b l", kind),
        ],
    );
}

#[test]
fn the_longest_common_subsequence_is_found() {
    let mut engine = engine();
    check_all(
        &mut engine,
        &[
            ("LCS a b", "$0\r\n\r\n"),
            ("LCS a b LEN", ":0\r\n"),
            ("LCS a b IDX", "*4\r\n$7\r\nmatches\r\n*0\r\n$3\r\nlen\r\n:0\r\n"),
            ("MSET a ohmytext b mynewtext", "+OK\r\n"),
            ("LCS a b", "$6\r\nmytext\r\n"),
            ("LCS a b len", ":6\r\n"),
            ("LCS a a", "$8\r\nohmytext\r\n"),
        ],
    );
    let matches = "*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n\
                   *2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n";
    let expected = format!("*4\r\n$7\r\nmatches\r\n{matches}$3\r\nlen\r\n:6\r\n");
    check(&mut engine, "LCS a b IDX", &expected);
    check(&mut engine, "LCS a b IDX MINMATCHLEN -3", &expected);
    check3(&mut engine, "LCS a b IDX", &expected.replacen("*4", "%2", 1));
    let long = "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n\
                $3\r\nlen\r\n:6\r\n";
    check(&mut engine, "LCS a b IDX WITHMATCHLEN MINMATCHLEN 4", long);
}

#[test]
fn strings_whose_table_would_be_too_large_are_refused() {
    let mut engine = engine();
    let refused =
        "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n";
    check_all(
        &mut engine,
        &[
            ("SETRANGE a 20000 x", ":20001\r\n"),
            ("SETRANGE b 7000 x", ":7001\r\n"),
            ("LCS a b LEN", refused),
        ],
    );
}
