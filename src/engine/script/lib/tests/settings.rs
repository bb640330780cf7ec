//! The settings of `cjson` against what Redis 7.0 answers.

use super::check;

#[test]
fn settings_are_checked() {
    let cases = [
        ("cjson.encode_sparse_array(nil)", "false, 2, 10"),
        ("cjson.encode_sparse_array(true)", "true, 2, 10"),
        (r#"cjson.encode_sparse_array("on")"#, "true, 2, 10"),
        (r#"cjson.encode_sparse_array("off")"#, "false, 2, 10"),
        (
            r#"cjson.encode_sparse_array("null")"#,
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option 'null')",
        ),
        (
            r#"cjson.encode_sparse_array("x")"#,
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option 'x')",
        ),
        (
            "cjson.encode_sparse_array(0)",
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option '0')",
        ),
        (
            "cjson.encode_sparse_array(1)",
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option '1')",
        ),
        (
            "cjson.encode_sparse_array(1.5)",
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option '1.5')",
        ),
        (
            "cjson.encode_sparse_array(-1)",
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option '-1')",
        ),
        (
            r#"cjson.encode_sparse_array("7")"#,
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option '7')",
        ),
        (
            "cjson.encode_sparse_array(2^31)",
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option '2147483648')",
        ),
        (
            "cjson.encode_sparse_array(15)",
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option '15')",
        ),
        (
            "cjson.encode_sparse_array(3,4)",
            "error: s:1: bad argument #1 to 'encode_sparse_array' (invalid option '3')",
        ),
        ("cjson.encode_sparse_array(true,3,4)", "true, 3, 4"),
        ("cjson.encode_sparse_array(nil,1,1)", "false, 1, 1"),
        (
            r#"cjson.encode_sparse_array(true,"a")"#,
            "error: s:1: bad argument #2 to 'encode_sparse_array' (number expected, got string)",
        ),
        (
            "cjson.encode_sparse_array(true,1,2,3)",
            "error: s:1: bad argument #4 to 'encode_sparse_array' (found too many arguments)",
        ),
        (
            "cjson.encode_sparse_array({})",
            "error: s:1: bad argument #1 to 'encode_sparse_array' (string expected, got table)",
        ),
        ("cjson.encode_max_depth(nil)", "1000"),
        (
            "cjson.encode_max_depth(true)",
            "error: s:1: bad argument #1 to 'encode_max_depth' (number expected, got boolean)",
        ),
        (
            r#"cjson.encode_max_depth("on")"#,
            "error: s:1: bad argument #1 to 'encode_max_depth' (number expected, got string)",
        ),
        (
            r#"cjson.encode_max_depth("off")"#,
            "error: s:1: bad argument #1 to 'encode_max_depth' (number expected, got string)",
        ),
        (
            r#"cjson.encode_max_depth("null")"#,
            "error: s:1: bad argument #1 to 'encode_max_depth' (number expected, got string)",
        ),
        (
            r#"cjson.encode_max_depth("x")"#,
            "error: s:1: bad argument #1 to 'encode_max_depth' (number expected, got string)",
        ),
        ("cjson.encode_max_depth(1)", "1"),
        ("cjson.encode_max_depth(1.5)", "1"),
        (r#"cjson.encode_max_depth("7")"#, "7"),
        ("cjson.encode_max_depth(15)", "15"),
        (
            "cjson.encode_max_depth(3,4)",
            "error: s:1: bad argument #2 to 'encode_max_depth' (found too many arguments)",
        ),
        (
            "cjson.encode_max_depth(true,3,4)",
            "error: s:1: bad argument #2 to 'encode_max_depth' (found too many arguments)",
        ),
        (
            "cjson.encode_max_depth(nil,1,1)",
            "error: s:1: bad argument #2 to 'encode_max_depth' (found too many arguments)",
        ),
        (
            r#"cjson.encode_max_depth(true,"a")"#,
            "error: s:1: bad argument #2 to 'encode_max_depth' (found too many arguments)",
        ),
        (
            "cjson.encode_max_depth(true,1,-1)",
            "error: s:1: bad argument #2 to 'encode_max_depth' (found too many arguments)",
        ),
        (
            "cjson.encode_max_depth(true,1,2,3)",
            "error: s:1: bad argument #2 to 'encode_max_depth' (found too many arguments)",
        ),
        (
            "cjson.encode_max_depth({})",
            "error: s:1: bad argument #1 to 'encode_max_depth' (number expected, got table)",
        ),
        ("cjson.encode_number_precision(nil)", "14"),
        ("cjson.encode_number_precision(1)", "1"),
        ("cjson.encode_number_precision(1.5)", "1"),
        (r#"cjson.encode_number_precision("7")"#, "7"),
        (
            "cjson.encode_number_precision(3,4)",
            "error: s:1: bad argument #2 to 'encode_number_precision' (found too many arguments)",
        ),
        (
            "cjson.encode_number_precision(true,3,4)",
            "error: s:1: bad argument #2 to 'encode_number_precision' (found too many arguments)",
        ),
        (
            "cjson.encode_number_precision(nil,1,1)",
            "error: s:1: bad argument #2 to 'encode_number_precision' (found too many arguments)",
        ),
        (
            r#"cjson.encode_number_precision(true,"a")"#,
            "error: s:1: bad argument #2 to 'encode_number_precision' (found too many arguments)",
        ),
        (
            "cjson.encode_number_precision(true,1,-1)",
            "error: s:1: bad argument #2 to 'encode_number_precision' (found too many arguments)",
        ),
        (
            "cjson.encode_number_precision(true,1,2,3)",
            "error: s:1: bad argument #2 to 'encode_number_precision' (found too many arguments)",
        ),
        (
            "cjson.encode_number_precision({})",
            "error: s:1: bad argument #1 to 'encode_number_precision' (number expected, got table)",
        ),
        ("cjson.encode_keep_buffer(nil)", "true"),
        ("cjson.encode_keep_buffer(true)", "true"),
        (r#"cjson.encode_keep_buffer("on")"#, "true"),
        (r#"cjson.encode_keep_buffer("off")"#, "false"),
        (
            r#"cjson.encode_keep_buffer("null")"#,
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (invalid option 'null')",
        ),
        (
            r#"cjson.encode_keep_buffer("x")"#,
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (invalid option 'x')",
        ),
        (
            "cjson.encode_keep_buffer(0)",
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (invalid option '0')",
        ),
        (
            "cjson.encode_keep_buffer(1)",
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (invalid option '1')",
        ),
        (
            "cjson.encode_keep_buffer(1.5)",
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (invalid option '1.5')",
        ),
        (
            "cjson.encode_keep_buffer(-1)",
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (invalid option '-1')",
        ),
        (
            r#"cjson.encode_keep_buffer("7")"#,
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (invalid option '7')",
        ),
        (
            "cjson.encode_keep_buffer(2^31)",
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (invalid option '2147483648')",
        ),
        (
            "cjson.encode_keep_buffer(15)",
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (invalid option '15')",
        ),
        (
            "cjson.encode_keep_buffer(3,4)",
            "error: s:1: bad argument #2 to 'encode_keep_buffer' (found too many arguments)",
        ),
        (
            "cjson.encode_keep_buffer(true,3,4)",
            "error: s:1: bad argument #2 to 'encode_keep_buffer' (found too many arguments)",
        ),
        (
            "cjson.encode_keep_buffer(nil,1,1)",
            "error: s:1: bad argument #2 to 'encode_keep_buffer' (found too many arguments)",
        ),
        (
            r#"cjson.encode_keep_buffer(true,"a")"#,
            "error: s:1: bad argument #2 to 'encode_keep_buffer' (found too many arguments)",
        ),
        (
            "cjson.encode_keep_buffer(true,1,-1)",
            "error: s:1: bad argument #2 to 'encode_keep_buffer' (found too many arguments)",
        ),
        (
            "cjson.encode_keep_buffer(true,1,2,3)",
            "error: s:1: bad argument #2 to 'encode_keep_buffer' (found too many arguments)",
        ),
        (
            "cjson.encode_keep_buffer({})",
            "error: s:1: bad argument #1 to 'encode_keep_buffer' (string expected, got table)",
        ),
        ("cjson.encode_invalid_numbers(nil)", "false"),
        ("cjson.encode_invalid_numbers(true)", "true"),
        (r#"cjson.encode_invalid_numbers("on")"#, "true"),
        (r#"cjson.encode_invalid_numbers("off")"#, "false"),
        (r#"cjson.encode_invalid_numbers("null")"#, r#""null""#),
        (
            r#"cjson.encode_invalid_numbers("x")"#,
            "error: s:1: bad argument #1 to 'encode_invalid_numbers' (invalid option 'x')",
        ),
        (
            "cjson.encode_invalid_numbers(0)",
            "error: s:1: bad argument #1 to 'encode_invalid_numbers' (invalid option '0')",
        ),
        (
            "cjson.encode_invalid_numbers(1)",
            "error: s:1: bad argument #1 to 'encode_invalid_numbers' (invalid option '1')",
        ),
        (
            "cjson.encode_invalid_numbers(1.5)",
            "error: s:1: bad argument #1 to 'encode_invalid_numbers' (invalid option '1.5')",
        ),
        (
            "cjson.encode_invalid_numbers(-1)",
            "error: s:1: bad argument #1 to 'encode_invalid_numbers' (invalid option '-1')",
        ),
        (
            r#"cjson.encode_invalid_numbers("7")"#,
            "error: s:1: bad argument #1 to 'encode_invalid_numbers' (invalid option '7')",
        ),
        (
            "cjson.encode_invalid_numbers(2^31)",
            "error: s:1: bad argument #1 to 'encode_invalid_numbers' (invalid option '2147483648')",
        ),
        (
            "cjson.encode_invalid_numbers(15)",
            "error: s:1: bad argument #1 to 'encode_invalid_numbers' (invalid option '15')",
        ),
        (
            "cjson.encode_invalid_numbers(3,4)",
            "error: s:1: bad argument #2 to 'encode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.encode_invalid_numbers(true,3,4)",
            "error: s:1: bad argument #2 to 'encode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.encode_invalid_numbers(nil,1,1)",
            "error: s:1: bad argument #2 to 'encode_invalid_numbers' (found too many arguments)",
        ),
        (
            r#"cjson.encode_invalid_numbers(true,"a")"#,
            "error: s:1: bad argument #2 to 'encode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.encode_invalid_numbers(true,1,-1)",
            "error: s:1: bad argument #2 to 'encode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.encode_invalid_numbers(true,1,2,3)",
            "error: s:1: bad argument #2 to 'encode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.encode_invalid_numbers({})",
            "error: s:1: bad argument #1 to 'encode_invalid_numbers' (string expected, got table)",
        ),
        ("cjson.decode_invalid_numbers(nil)", "true"),
        ("cjson.decode_invalid_numbers(true)", "true"),
        (r#"cjson.decode_invalid_numbers("on")"#, "true"),
        (r#"cjson.decode_invalid_numbers("off")"#, "false"),
        (
            r#"cjson.decode_invalid_numbers("null")"#,
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (invalid option 'null')",
        ),
        (
            r#"cjson.decode_invalid_numbers("x")"#,
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (invalid option 'x')",
        ),
        (
            "cjson.decode_invalid_numbers(0)",
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (invalid option '0')",
        ),
        (
            "cjson.decode_invalid_numbers(1)",
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (invalid option '1')",
        ),
        (
            "cjson.decode_invalid_numbers(1.5)",
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (invalid option '1.5')",
        ),
        (
            "cjson.decode_invalid_numbers(-1)",
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (invalid option '-1')",
        ),
        (
            r#"cjson.decode_invalid_numbers("7")"#,
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (invalid option '7')",
        ),
        (
            "cjson.decode_invalid_numbers(2^31)",
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (invalid option '2147483648')",
        ),
        (
            "cjson.decode_invalid_numbers(15)",
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (invalid option '15')",
        ),
        (
            "cjson.decode_invalid_numbers(3,4)",
            "error: s:1: bad argument #2 to 'decode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.decode_invalid_numbers(true,3,4)",
            "error: s:1: bad argument #2 to 'decode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.decode_invalid_numbers(nil,1,1)",
            "error: s:1: bad argument #2 to 'decode_invalid_numbers' (found too many arguments)",
        ),
        (
            r#"cjson.decode_invalid_numbers(true,"a")"#,
            "error: s:1: bad argument #2 to 'decode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.decode_invalid_numbers(true,1,-1)",
            "error: s:1: bad argument #2 to 'decode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.decode_invalid_numbers(true,1,2,3)",
            "error: s:1: bad argument #2 to 'decode_invalid_numbers' (found too many arguments)",
        ),
        (
            "cjson.decode_invalid_numbers({})",
            "error: s:1: bad argument #1 to 'decode_invalid_numbers' (string expected, got table)",
        ),
        ("cjson.new().encode({1})", r#""[1]""#),
        (
            r#"pcall(cjson.new().decode, "{")"#,
            r#"false, "Expected object key string but found T_END at character 2""#,
        ),
        ("cjson.new().null == cjson.null", "true"),
        ("cjson._NAME, cjson._VERSION", r#""cjson", "2.1.0""#),
        (
            "pcall(cjson.decode, {})",
            r#"false, "bad argument #1 to '?' (string expected, got table)""#,
        ),
        (
            "pcall(cjson.encode_max_depth, 0)",
            r#"false, "bad argument #1 to '?' (expected integer between 1 and 2147483647)""#,
        ),
        ("cjson.decode(12)", "12"),
        (
            r#"cjson.decode("1", "2")"#,
            "error: s:1: bad argument #1 to 'decode' (expected 1 argument)",
        ),
        ("cjson.decode(nil)", "error: s:1: bad argument #1 to 'decode' (string expected, got nil)"),
        (
            "(function() local f = cjson.decode return f(nil) end)()",
            "error: s:1: bad argument #1 to 'f' (string expected, got nil)",
        ),
    ];
    check(&cases);
}
