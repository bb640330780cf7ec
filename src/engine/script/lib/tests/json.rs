//! `cjson` against what Redis 7.0 answers.

use super::check;

#[test]
fn texts_are_read() {
    let cases = [
        ("cjson.decode('')", "error: s:1: Expected value but found T_END at character 1"),
        ("cjson.decode('  ')", "error: s:1: Expected value but found T_END at character 3"),
        ("cjson.decode('1 2')", "error: s:1: Expected the end but found T_NUMBER at character 3"),
        ("cjson.decode('[1,]')", "error: s:1: Expected value but found T_ARR_END at character 4"),
        (
            "cjson.decode('[1 2]')",
            "error: s:1: Expected comma or array end but found T_NUMBER at character 4",
        ),
        (
            "cjson.decode('{1:2}')",
            "error: s:1: Expected object key string but found T_NUMBER at character 2",
        ),
        (
            r#"cjson.decode('{"a" 1}')"#,
            "error: s:1: Expected colon but found T_NUMBER at character 6",
        ),
        (
            r#"cjson.decode('{"a":1,}')"#,
            "error: s:1: Expected object key string but found T_OBJ_END at character 8",
        ),
        (
            r#"cjson.decode('{"a":1 "b"}')"#,
            "error: s:1: Expected comma or object end but found T_STRING at character 8",
        ),
        (
            r#"cjson.decode('"abc')"#,
            "error: s:1: Expected value but found unexpected end of string at character 5",
        ),
        (
            r#"cjson.decode('"\\x"')"#,
            "error: s:1: Expected value but found invalid escape code at character 2",
        ),
        (
            r#"cjson.decode('"\\u12"')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode('"\\ud800"')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode('"\\udc00"')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode('"\\ud800\\u0041"')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (r#"cjson.decode('"\\ud83d\\ude00"')"#, r#""\240\159\152\128""#),
        (
            "cjson.decode('tru')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        (
            "cjson.decode('nul')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        ("cjson.decode('Inf')", "inf"),
        (
            "cjson.decode('-Infx')",
            "error: s:1: Expected the end but found invalid token at character 5",
        ),
        ("cjson.decode('infinity')", "inf"),
        ("cjson.decode('-nan')", "-nan"),
        ("cjson.decode('+1')", "1"),
        ("cjson.decode('+nan')", "nan"),
        ("cjson.decode('+')", "error: s:1: Expected value but found invalid number at character 1"),
        ("cjson.decode('0x1F')", "31"),
        ("cjson.decode('01')", "1"),
        ("cjson.decode('1.')", "1"),
        ("cjson.decode('.5')", "error: s:1: Expected value but found invalid token at character 1"),
        ("cjson.decode('-')", "error: s:1: Expected value but found invalid number at character 1"),
        (
            "cjson.decode('--1')",
            "error: s:1: Expected value but found invalid number at character 1",
        ),
        ("cjson.decode('1e5')", "100000"),
        (
            "cjson.decode('1e')",
            "error: s:1: Expected the end but found invalid token at character 2",
        ),
        (
            "cjson.decode('1e+')",
            "error: s:1: Expected the end but found invalid token at character 2",
        ),
        (
            "cjson.decode('[1')",
            "error: s:1: Expected comma or array end but found T_END at character 3",
        ),
        ("cjson.decode('[')", "error: s:1: Expected value but found T_END at character 2"),
        (r#"cjson.decode('{"a"')"#, "error: s:1: Expected colon but found T_END at character 5"),
        (r#"cjson.decode('{"a":')"#, "error: s:1: Expected value but found T_END at character 6"),
        ("cjson.decode(']')", "error: s:1: Expected value but found T_ARR_END at character 1"),
        ("cjson.decode('}')", "error: s:1: Expected value but found T_OBJ_END at character 1"),
        ("cjson.decode(':')", "error: s:1: Expected value but found T_COLON at character 1"),
        ("cjson.decode(',')", "error: s:1: Expected value but found T_COMMA at character 1"),
        ("cjson.decode('-.5')", "-0.5"),
        (
            "cjson.decode('-i')",
            "error: s:1: Expected value but found invalid number at character 1",
        ),
        ("cjson.decode('nan(x)')", "nan"),
        (
            "cjson.decode('nan(')",
            "error: s:1: Expected the end but found invalid token at character 4",
        ),
        (
            "cjson.decode('nan(x')",
            "error: s:1: Expected the end but found invalid token at character 4",
        ),
        (
            "cjson.decode('0x')",
            "error: s:1: Expected the end but found invalid token at character 2",
        ),
        ("cjson.decode('0x.8p2')", "2"),
        (
            "cjson.decode('0x.')",
            "error: s:1: Expected the end but found invalid token at character 2",
        ),
        (
            "cjson.decode('0x1p')",
            "error: s:1: Expected the end but found invalid token at character 4",
        ),
        ("cjson.decode('0x1p-3')", "0.125"),
        ("cjson.decode('0x1.8')", "1.5"),
        ("cjson.decode('-0x10')", "-16"),
        ("cjson.decode('0X1f')", "31"),
        (
            r"cjson.decode('\'a\'')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        (
            "cjson.decode('/*a*/1')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        (
            "cjson.decode('1x')",
            "error: s:1: Expected the end but found invalid token at character 2",
        ),
        (
            "cjson.decode('[truefalse]')",
            "error: s:1: Expected comma or array end but found T_BOOLEAN at character 6",
        ),
        ("cjson.decode('[1,,2]')", "error: s:1: Expected value but found T_COMMA at character 4"),
        (
            "cjson.decode('truex')",
            "error: s:1: Expected the end but found invalid token at character 5",
        ),
        ("cjson.decode('@')", "error: s:1: Expected value but found invalid token at character 1"),
        (
            "cjson.decode('NULL')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        (
            "cjson.decode('nullx')",
            "error: s:1: Expected the end but found invalid token at character 5",
        ),
        (
            r#"cjson.decode('"a"b')"#,
            "error: s:1: Expected the end but found invalid token at character 4",
        ),
        (r#"cjson.decode('"\\/\\b\\f\\n\\r\\t"')"#, r#""/\008\012\010\013\009""#),
        (
            r#"cjson.decode('"\\a"')"#,
            "error: s:1: Expected value but found invalid escape code at character 2",
        ),
        (r#"cjson.decode('"\\u00e9\\u20ac\\u0000"')"#, r#""\195\169\226\130\172\000""#),
        (
            r#"cjson.decode('"\\uD83D"')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode('"\\ud83d\\u"')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        ("cjson.decode('1e400')", "inf"),
        ("cjson.decode('-1e400')", "-inf"),
        ("cjson.decode('1e-400')", "0"),
        ("cjson.decode('[1.5e3,-0,0.1]')", "{1=1500,2=-0,3=0.10000000000000001}"),
        (
            r#"cjson.decode('{"a":{"b":[1,2,{"c":null}]}}')"#,
            r#"{"a"={"b"={1=1,2=2,3={"c"=userdata}}}}"#,
        ),
        ("cjson.decode('[[],{},[{}]]')", "{1={},2={},3={1={}}}"),
        (r#"cjson.decode('{"":1}')"#, r#"{""=1}"#),
        (r#"cjson.decode('{"a":1,"a":2}')"#, r#"{"a"=2}"#),
        ("cjson.decode('[null,1]')", "{1=userdata,2=1}"),
        (r"cjson.decode('1\000x')", "error: s:1: JSON parser does not support UTF-16 or UTF-32"),
        (r"cjson.decode('\0001')", "error: s:1: JSON parser does not support UTF-16 or UTF-32"),
        (
            r#"cjson.decode('"a\000b"')"#,
            "error: s:1: Expected value but found unexpected end of string at character 3",
        ),
        (r#"cjson.decode('""')"#, r#""""#),
        (r#"cjson.decode('"\001\127\255"')"#, r#""\001\127\255""#),
        (r"cjson.decode(' \009\010\0131 ')", "1"),
        (
            r"cjson.decode('\0111')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        (
            "cjson.decode('[1,2')",
            "error: s:1: Expected comma or array end but found T_END at character 5",
        ),
        (
            r#"cjson.decode('{"a":[}')"#,
            "error: s:1: Expected value but found T_OBJ_END at character 7",
        ),
        (
            r#"cjson.decode('{"a":1]')"#,
            "error: s:1: Expected comma or object end but found T_ARR_END at character 7",
        ),
        (
            "cjson.decode('[1}')",
            "error: s:1: Expected comma or array end but found T_OBJ_END at character 3",
        ),
        (
            "cjson.decode('{,}')",
            "error: s:1: Expected object key string but found T_COMMA at character 2",
        ),
        ("cjson.decode('[,]')", "error: s:1: Expected value but found T_COMMA at character 2"),
        (
            r#"cjson.decode('{"a",1}')"#,
            "error: s:1: Expected colon but found T_COMMA at character 5",
        ),
        (
            "cjson.decode('falsey')",
            "error: s:1: Expected the end but found invalid token at character 6",
        ),
        (
            "cjson.decode('False')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        ("cjson.decode('nan')", "nan"),
        ("cjson.decode('NaN')", "nan"),
        ("cjson.decode('iNfInItY')", "inf"),
        (
            "cjson.decode('-infinityx')",
            "error: s:1: Expected the end but found invalid token at character 10",
        ),
        (
            "cjson.decode('infinit')",
            "error: s:1: Expected the end but found invalid token at character 4",
        ),
        ("cjson.decode('0x1fffffffffffffffffff')", "1.5111572745182865e+23"),
        ("cjson.decode('0x1p99999999999')", "inf"),
        ("cjson.decode('-01')", "-1"),
        ("cjson.decode('00')", "0"),
        ("cjson.decode('-00.5')", "-0.5"),
        ("cjson.decode('1.7976931348623157e309')", "inf"),
        ("cjson.decode('4.9e-324')", "4.9406564584124654e-324"),
        ("cjson.decode('2e-324')", "0"),
        ("cjson.decode('123456789012345678901234567890')", "1.2345678901234568e+29"),
        ("cjson.decode('1E5')", "100000"),
        ("cjson.decode('1e05')", "100000"),
        ("cjson.decode('1.e5')", "100000"),
        (
            r#"cjson.decode('"\\u0080\\u07ff\\u0800\\uffff"')"#,
            r#""\194\128\223\191\224\160\128\239\191\191""#,
        ),
        (r#"cjson.decode('"\\uABCD\\uabcd"')"#, r#""\234\175\141\234\175\141""#),
        (
            r#"cjson.decode('"\\u00g0"')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode('"\\')"#,
            "error: s:1: Expected value but found invalid escape code at character 2",
        ),
        (
            r#"cjson.decode('"\\"')"#,
            "error: s:1: Expected value but found unexpected end of string at character 4",
        ),
        (
            r#"cjson.decode('"\\u')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        ("cjson.decode('[1]]')", "error: s:1: Expected the end but found T_ARR_END at character 4"),
        (
            "cjson.decode('{}{}')",
            "error: s:1: Expected the end but found T_OBJ_BEGIN at character 3",
        ),
        (
            "cjson.decode('[]x')",
            "error: s:1: Expected the end but found invalid token at character 3",
        ),
        (
            r"cjson.decode('\239\187\1911')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        ("cjson.decode('n')", "error: s:1: Expected value but found invalid token at character 1"),
        ("cjson.decode('N')", "error: s:1: Expected value but found invalid token at character 1"),
        ("cjson.decode('i')", "error: s:1: Expected value but found invalid token at character 1"),
        ("cjson.decode('t')", "error: s:1: Expected value but found invalid token at character 1"),
        ("cjson.decode('f')", "error: s:1: Expected value but found invalid token at character 1"),
        (
            r#"cjson.decode('"\\ud800\\udbff"')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (
            r#"cjson.decode('"\\ud800\\ud800\\udc00"')"#,
            "error: s:1: Expected value but found invalid unicode escape code at character 2",
        ),
        (r#"cjson.decode('"\\udbff\\udfff"')"#, r#""\244\143\191\191""#),
        (r"cjson.decode('1\0002')", "error: s:1: JSON parser does not support UTF-16 or UTF-32"),
        ("cjson.decode('12')", "12"),
        (r"cjson.decode('1\000')", "error: s:1: JSON parser does not support UTF-16 or UTF-32"),
        (r"cjson.decode('\000')", "error: s:1: Expected value but found T_END at character 1"),
        (r"cjson.decode('a\000')", "error: s:1: JSON parser does not support UTF-16 or UTF-32"),
        (
            "cjson.decode_invalid_numbers(false), cjson.decode('01')",
            "error: s:1: Expected value but found invalid number at character 1",
        ),
        (
            "cjson.decode_invalid_numbers(false), cjson.decode('0x1F')",
            "error: s:1: Expected value but found invalid number at character 1",
        ),
        (
            "cjson.decode_invalid_numbers(false), cjson.decode('nan')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        (
            "cjson.decode_invalid_numbers(false), cjson.decode('-Inf')",
            "error: s:1: Expected value but found invalid number at character 1",
        ),
        (
            "cjson.decode_invalid_numbers(false), cjson.decode('+1')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        ("cjson.decode_invalid_numbers(false), cjson.decode('1')", "false, 1"),
        (
            "cjson.decode_invalid_numbers(false), cjson.decode('-')",
            "error: s:1: Expected value but found invalid number at character 1",
        ),
        (
            "cjson.decode_invalid_numbers(false), cjson.decode('tru')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
        ("cjson.decode_invalid_numbers(false), cjson.decode('-0')", "false, -0"),
        (
            "cjson.decode_invalid_numbers(false), cjson.decode('infinity')",
            "error: s:1: Expected value but found invalid token at character 1",
        ),
    ];
    check(&cases);
}

#[test]
fn values_are_written() {
    let cases = [
        ("cjson.encode(0)", r#""0""#),
        ("cjson.encode(-0)", r#""-0""#),
        ("cjson.encode(1)", r#""1""#),
        ("cjson.encode(-1)", r#""-1""#),
        ("cjson.encode(0.1)", r#""0.1""#),
        ("cjson.encode(1/3)", r#""0.33333333333333""#),
        ("cjson.encode(1e15)", r#""1e+15""#),
        ("cjson.encode(1e14)", r#""1e+14""#),
        ("cjson.encode(99999999999999)", r#""99999999999999""#),
        ("cjson.encode(123456789)", r#""123456789""#),
        ("cjson.encode(1234567890)", r#""1234567890""#),
        ("cjson.encode(1e100)", r#""1e+100""#),
        ("cjson.encode(1e-5)", r#""1e-05""#),
        ("cjson.encode(0.0001)", r#""0.0001""#),
        ("cjson.encode(-1e-17)", r#""-1e-17""#),
        ("cjson.encode(2^53)", r#""9.007199254741e+15""#),
        ("cjson.encode(2^31)", r#""2147483648""#),
        ("cjson.encode(-2^31)", r#""-2147483648""#),
        ("cjson.encode(1e300)", r#""1e+300""#),
        ("cjson.encode(5e-324)", r#""4.9406564584125e-324""#),
        ("cjson.encode(1.5)", r#""1.5""#),
        ("cjson.encode(123456.789)", r#""123456.789""#),
        ("cjson.encode(1/0)", "error: s:1: Cannot serialise number: must not be NaN or Inf"),
        ("cjson.encode(-1/0)", "error: s:1: Cannot serialise number: must not be NaN or Inf"),
        ("cjson.encode(0/0)", "error: s:1: Cannot serialise number: must not be NaN or Inf"),
        ("cjson.encode(2^63)", r#""9.2233720368548e+18""#),
        ("cjson.encode(-2^63)", r#""-9.2233720368548e+18""#),
        ("cjson.encode(2^64)", r#""1.844674407371e+19""#),
        ("cjson.encode(2^32)", r#""4294967296""#),
        ("cjson.encode(2^32-1)", r#""4294967295""#),
        ("cjson.encode(255)", r#""255""#),
        ("cjson.encode(256)", r#""256""#),
        ("cjson.encode(65535)", r#""65535""#),
        ("cjson.encode(65536)", r#""65536""#),
        ("cjson.encode(127)", r#""127""#),
        ("cjson.encode(128)", r#""128""#),
        ("cjson.encode(-32)", r#""-32""#),
        ("cjson.encode(-33)", r#""-33""#),
        ("cjson.encode(-128)", r#""-128""#),
        ("cjson.encode(-129)", r#""-129""#),
        ("cjson.encode(-32768)", r#""-32768""#),
        ("cjson.encode(-32769)", r#""-32769""#),
        ("cjson.encode(-2^31-1)", r#""-2147483649""#),
        ("cjson.encode(16777217.5)", r#""16777217.5""#),
        ("cjson.encode(nil)", r#""null""#),
        ("cjson.encode(true)", r#""true""#),
        ("cjson.encode(false)", r#""false""#),
        ("cjson.encode({})", r#""{}""#),
        ("cjson.encode({1,2,3})", r#""[1,2,3]""#),
        ("cjson.encode({a=1})", r#""{"a":1}""#),
        ("cjson.encode({1,nil,3})", r#""[1,null,3]""#),
        ("cjson.encode({[2]=1})", r#""[null,1]""#),
        ("cjson.encode({[11]=1})", "error: s:1: Cannot serialise table: excessively sparse array"),
        ("cjson.encode({[10]=1})", r#""[null,null,null,null,null,null,null,null,null,1]""#),
        ("cjson.encode(nul)", r#""null""#),
        (
            "cjson.encode(function() end)",
            "error: s:1: Cannot serialise function: type not supported",
        ),
        (
            "cjson.encode({function() end})",
            "error: s:1: Cannot serialise function: type not supported",
        ),
        (
            "cjson.encode({a=function() end})",
            "error: s:1: Cannot serialise function: type not supported",
        ),
        (
            "cjson.encode({[true]=1})",
            "error: s:1: Cannot serialise boolean: table key must be a number or string",
        ),
        (
            "cjson.encode({[{}]=1})",
            "error: s:1: Cannot serialise table: table key must be a number or string",
        ),
        (
            "cjson.encode({[nul]=1})",
            "error: s:1: Cannot serialise userdata: table key must be a number or string",
        ),
        ("cjson.encode({[1.5]=1})", r#""{"1.5":1}""#),
        ("cjson.encode({[0]=1})", r#""{"0":1}""#),
        ("cjson.encode({[-1]=1})", r#""{"-1":1}""#),
        ("cjson.encode({[2^31]=1})", r#""{"2147483648":1}""#),
        ("cjson.encode({{{{}}}})", r#""[[[{}]]]""#),
        ("cjson.encode({{},{}})", r#""[{},{}]""#),
        ("cjson.encode({a={b={c={1}}}})", r#""{"a":{"b":{"c":[1]}}}""#),
        (r#"cjson.encode({["1"]=1})"#, r#""{"1":1}""#),
        ("cjson.encode({{a=1},{b=2}})", r#""[{"a":1},{"b":2}]""#),
        (r#"cjson.encode({[1e15]="a"})"#, r#""{"1e+15":"a"}""#),
        (
            r#"cjson.encode('\000\001\127\255/\\"\n\r\t\b\f\031')"#,
            r#"""\u0000\u0001\u007f\255\/\\\"\n\r\t\b\f\u001f"""#,
        ),
        (r#"cjson.encode({["\000/"]=1})"#, r#""{"\u0000\/":1}""#),
        (
            "cjson.encode(coroutine.create(function() end))",
            "error: s:1: Cannot serialise thread: type not supported",
        ),
        ("cjson.encode(1,2)", "error: s:1: bad argument #1 to 'encode' (expected 1 argument)"),
        ("cjson.encode({[1/0]=1})", "error: s:1: Cannot serialise number: must not be NaN or Inf"),
        (
            "cjson.encode_invalid_numbers(true), cjson.encode({1/0,-1/0,0/0})",
            r#"true, "[inf,-inf,nan]""#,
        ),
        (
            r#"cjson.encode_invalid_numbers("null"), cjson.encode({1/0,-1/0,0/0})"#,
            r#""null", "[null,null,null]""#,
        ),
        ("cjson.encode_sparse_array(true), cjson.encode({[21]=1})", r#"true, "{"21":1}""#),
        ("cjson.encode_sparse_array(true,0), cjson.encode({[11]=1}):len()", "true, 53"),
        ("cjson.encode_sparse_array(false,2,30), cjson.encode({[21]=1}):len()", "false, 103"),
        (
            "cjson.encode_number_precision(3), cjson.encode({1/3,123456,5})",
            r#"3, "[0.333,1.23e+05,5]""#,
        ),
        ("cjson.encode_number_precision(9), cjson.encode(1234567890)", r#"9, "1.23456789e+09""#),
        ("cjson.encode_max_depth(2), cjson.encode(nest(2,1))", r#"2, "[[1]]""#),
        (
            r#"cjson.decode_max_depth(2), cjson.decode(("["):rep(2))"#,
            "error: s:1: Expected value but found T_END at character 3",
        ),
        (
            r#"cjson.decode_max_depth(2), cjson.decode(('{"a":'):rep(2))"#,
            "error: s:1: Expected value but found T_END at character 11",
        ),
        (
            "cjson.encode_max_depth(2), cjson.encode(nest(3,1))",
            "error: s:1: Cannot serialise, excessive nesting (3)",
        ),
        (
            r#"cjson.decode_max_depth(2), cjson.decode(("["):rep(3))"#,
            "error: s:1: Found too many nested data structures (3) at character 3",
        ),
        (
            r#"cjson.decode_max_depth(2), cjson.decode(('{"a":'):rep(3))"#,
            "error: s:1: Found too many nested data structures (3) at character 11",
        ),
        ("cjson.encode_max_depth(5), cjson.encode(nest(5,1))", r#"5, "[[[[[1]]]]]""#),
        (
            r#"cjson.decode_max_depth(5), cjson.decode(("["):rep(5))"#,
            "error: s:1: Expected value but found T_END at character 6",
        ),
        (
            r#"cjson.decode_max_depth(5), cjson.decode(('{"a":'):rep(5))"#,
            "error: s:1: Expected value but found T_END at character 26",
        ),
        (
            "cjson.encode_max_depth(5), cjson.encode(nest(6,1))",
            "error: s:1: Cannot serialise, excessive nesting (6)",
        ),
        (
            r#"cjson.decode_max_depth(5), cjson.decode(("["):rep(6))"#,
            "error: s:1: Found too many nested data structures (6) at character 6",
        ),
        (
            r#"cjson.decode_max_depth(5), cjson.decode(('{"a":'):rep(6))"#,
            "error: s:1: Found too many nested data structures (6) at character 26",
        ),
        ("#cjson.encode(nest(1000,1))", "2001"),
        ("cjson.encode(nest(1001,1))", "error: s:1: Cannot serialise, excessive nesting (1001)"),
        (
            r#"cjson.decode(("["):rep(1001))"#,
            "error: s:1: Found too many nested data structures (1001) at character 1001",
        ),
    ];
    check(&cases);
}
