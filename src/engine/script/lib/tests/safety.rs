//! What scripts must not be able to do: end the process, make results without end, show what is
//! different on other nodes, or leave settings behind.

use mlua::Lua;

use super::super::{open, raised_message};
use super::{Script, check};

#[test]
fn any_number_of_arguments_is_taken() {
    let cases = [
        ("bit.bor(0, unpack(rep('1', 7900)))", "1"),
        ("#cmsgpack.pack(unpack(rep('x', 3900)))", "7800"),
        (
            "cmsgpack.pack(unpack(rep('x', 7900)))",
            "error: s:1: bad argument #0 to 'pack' (Too many arguments for MessagePack pack.)",
        ),
        ("#struct.pack(('s'):rep(7900), unpack(rep('x', 7900)))", "15800"),
        (
            "cjson.encode(unpack(rep('x', 7900)))",
            "error: s:1: bad argument #1 to 'encode' (expected 1 argument)",
        ),
        ("select('#', cmsgpack.unpack(('\\161x'):rep(7900)))", "7900"),
        ("select('#', struct.unpack(('s'):rep(7900), ('x\\0'):rep(7900)))", "7901"),
        (
            "struct.unpack(('s'):rep(9000), ('x\\0'):rep(9000))",
            "error: s:1: stack overflow (too many results)",
        ),
    ];
    check(&cases);
    // More than `unpack` makes, by calls that add arguments.
    let script = Script::new();
    let more = "(function()
        local function more(n, ...)
            if n == 0 then return bit.bor(...) end
            return more(n - 1, '1', '1', '1', '1', '1', '1', '1', '1', '1', '1', ...)
        end
        return (more(2000))
    end)()";
    assert_eq!(script.eval(more), "1");
}

#[test]
fn wide_and_deep_tables_need_few_handles() {
    let cases = [
        (
            "(function() local t = {} for i = 1, 20000 do t['k' .. i] = { 'x' } end
                return #cjson.encode(t), #cmsgpack.pack(t),
                    #cjson.encode(cjson.decode(cjson.encode(t))) end)()",
            "288895, 188897, 288895",
        ),
        ("cjson.encode_max_depth(9999), #cjson.encode(nest(3000, 1, 'a'))", "9999, 18001"),
        (
            "cjson.encode_max_depth(9999), cjson.encode(nest(3001, 1, 'a'))",
            "error: s:1: Cannot serialise, excessive nesting (3001)",
        ),
        (
            "cjson.decode_max_depth(9999), cjson.decode(('['):rep(9999))",
            "error: s:1: Found too many nested data structures (3001) at character 3001",
        ),
        (
            "cmsgpack.unpack(('\\145'):rep(9999))",
            "error: s:1: stack overflow (in function mp_decode_to_lua_array)",
        ),
        ("type(cmsgpack.unpack(('\\129\\161a'):rep(3000) .. '\\1'))", "\"table\""),
    ];
    check(&cases);
}

#[test]
fn results_are_bounded() {
    let cases = [
        (
            "(function() local s = ('x'):rep(30000000) return cjson.encode({ s, s, s }) end)()",
            "error: s:1: Cannot serialise, the result is too long",
        ),
        (
            "(function() local s = ('x'):rep(30000000) return (cmsgpack.pack(s, s, s)) end)()",
            "error: s:1: Cannot serialise, the result is too long",
        ),
        (
            "(function() local s = ('x'):rep(30000000) return (struct.pack('sss', s, s, s)) end)()",
            "error: s:1: bad argument #1 to 'pack' (format result too large)",
        ),
    ];
    check(&cases);
}

#[test]
fn results_do_not_depend_on_what_else_was_in_a_table() {
    let script = Script::new();
    let texts: Vec<String> = (0..20)
        .map(|others| {
            // The tables have other addresses each time, and lie where the strings would be.
            script.eval(&format!(
                "(function()
                    local t, gone = {{}}, {{}}
                    for i = 1, {others} do gone[i] = {{}} t[gone[i]] = i end
                    for i = 1, 9 do t['k' .. i] = i end
                    for i = 1, {others} do t[gone[i]] = nil end
                    t[1], t[2.5] = 'a', 'b'
                    return cjson.encode(t), cmsgpack.pack(t)
                end)()"
            ))
        })
        .collect();
    assert!(texts[0].contains(r#"{"1":"a","2.5":"b","k1":1,"k2":2"#), "{}", texts[0]);
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    let keyed = "cmsgpack.pack({
        [{}] = 1, [{ 1 }] = 2, [{ 2 }] = 3, [print] = 4, a = 5, [true] = 6
    })";
    let first = script.eval(keyed);
    assert_eq!(first, r#""\134\195\006\161a\005\144\001\145\001\002\145\002\003\192\004""#);
    for _ in 0..20 {
        assert_eq!(Script::new().eval(keyed), first);
    }
}

#[test]
fn settings_last_for_one_script() {
    let script = Script::new();
    let set = "cjson.encode_max_depth(1), cjson.decode_max_depth(2), \
         cjson.encode_number_precision(3), \
         cjson.encode_invalid_numbers('null'), cjson.decode_invalid_numbers(false), \
         cjson.encode_keep_buffer(false), cjson.encode_sparse_array(true, 4, 5)";
    assert_eq!(script.eval(set), r#"1, 2, 3, "null", false, false, true, 4, 5"#);
    let get = "cjson.encode_max_depth(), cjson.decode_max_depth(), \
         cjson.encode_number_precision(), \
         cjson.encode_invalid_numbers(), cjson.decode_invalid_numbers(), \
         cjson.encode_keep_buffer(), cjson.encode_sparse_array()";
    assert_eq!(script.eval(get), "1000, 1000, 14, false, true, true, false, 2, 10");
    let own = "(function()
        local own = cjson.new()
        own.encode_max_depth(1)
        return cjson.encode_max_depth(), own.encode_max_depth(), pcall(own.encode, { {} })
    end)()";
    let expected = r#"1000, 1, false, "Cannot serialise, excessive nesting (2)""#;
    assert_eq!(script.eval(own), expected);
}

#[test]
fn errors_that_no_script_catches_have_the_position_of_the_caller() {
    let lua = Lua::new();
    open(&lua).unwrap();
    let cases = [
        (
            "\nreturn cjson.decode('{')",
            "user_script:2: Expected object key string but found T_END at character 2",
        ),
        (
            "local d = cjson.decode d(nil)",
            "user_script:1: bad argument #1 to 'd' (string expected, got nil)",
        ),
        (
            "local x = bit.band()",
            "user_script:1: bad argument #1 to 'band' (number expected, got no value)",
        ),
        ("return bit.band()", "bad argument #1 to 'band' (number expected, got no value)"),
        ("return cmsgpack.unpack('\\129\\192\\1')", "table index is nil"),
    ];
    for (source, expected) in cases {
        let error = lua.load(source).set_name("@user_script").exec().unwrap_err();
        let text = raised_message(&error).map(String::from_utf8_lossy);
        assert_eq!(text.as_deref(), Some(expected), "{source}");
    }
    let error = lua.load("error('own')").exec().unwrap_err();
    assert_eq!(raised_message(&error), None);
}
