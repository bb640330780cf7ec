//! Properties of what the libraries write and read, for any values and bytes.

use mlua::{Function, Lua, Table, Value};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::super::{convert, open};

fn state() -> Lua {
    let lua = Lua::new();
    open(&lua).unwrap();
    lua
}

fn function(lua: &Lua, library: &str, name: &str) -> Function {
    lua.globals().get::<Table>(library).unwrap().get(name).unwrap()
}

/// JSON without null and without empty arrays, which Lua has no tables for, and with numbers that
/// fit 14 digits.
fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        (-99_999..99_999i32, 0..8i32).prop_map(|(n, by)| Json::from(f64::from(n) / 2f64.powi(by))),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..6).prop_map(Json::from),
            prop::collection::btree_map("[a-z/\"\\\\\u{1}é]{1,4}", inner, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// The Lua value of a JSON value, made without the library.
fn to_lua(lua: &Lua, json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(is_true) => Value::Boolean(*is_true),
        Json::Number(number) => Value::Number(number.as_f64().unwrap()),
        Json::String(text) => Value::String(lua.create_string(text).unwrap()),
        Json::Array(values) => {
            Value::Table(lua.create_sequence_from(values.iter().map(|v| to_lua(lua, v))).unwrap())
        }
        Json::Object(pairs) => Value::Table(
            lua.create_table_from(pairs.iter().map(|(k, v)| (k.as_str(), to_lua(lua, v)))).unwrap(),
        ),
    }
}

/// The JSON of a Lua value, made without the library.
fn to_json(value: &Value) -> Json {
    match value {
        Value::Boolean(is_true) => Json::from(*is_true),
        Value::Integer(number) => Json::from(*number as f64),
        Value::Number(number) => Json::from(*number),
        Value::String(text) => Json::from(text.to_str().unwrap().to_owned()),
        Value::Table(table) if table.raw_len() > 0 => {
            table.sequence_values::<Value>().map(|value| to_json(&value.unwrap())).collect()
        }
        Value::Table(table) => {
            let pair = |pair: mlua::Result<(String, Value)>| {
                let (key, value) = pair.unwrap();
                (key, to_json(&value))
            };
            Json::Object(table.pairs::<String, Value>().map(pair).collect())
        }
        _ => Json::Null,
    }
}

/// All numbers as floats, so that 1 and 1.0 are alike.
fn floats(json: &Json) -> Json {
    match json {
        Json::Number(number) => Json::from(number.as_f64()),
        Json::Array(values) => values.iter().map(floats).collect(),
        Json::Object(pairs) => {
            Json::Object(pairs.iter().map(|(k, v)| (k.clone(), floats(v))).collect())
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn json_that_is_written_means_the_value(json in json()) {
        let lua = state();
        let text: mlua::String =
            function(&lua, "cjson", "encode").call(to_lua(&lua, &json)).unwrap();
        let read: Json = serde_json::from_slice(&text.as_bytes()).unwrap();
        prop_assert_eq!(floats(&read), floats(&json));
        let back: Value = function(&lua, "cjson", "decode").call(text).unwrap();
        prop_assert_eq!(floats(&to_json(&back)), floats(&json));
    }

    #[test]
    fn json_is_read_as_another_parser_reads_it(json in json(), is_pretty in any::<bool>()) {
        let lua = state();
        let text = if is_pretty { format!("{json:#}") } else { json.to_string() };
        let read: Value = function(&lua, "cjson", "decode").call(text).unwrap();
        prop_assert_eq!(floats(&to_json(&read)), floats(&json));
    }

    #[test]
    fn values_are_packed_and_unpacked(json in json()) {
        let lua = state();
        let packed: mlua::String =
            function(&lua, "cmsgpack", "pack").call(to_lua(&lua, &json)).unwrap();
        let back: Value = function(&lua, "cmsgpack", "unpack").call(packed).unwrap();
        prop_assert_eq!(floats(&to_json(&back)), floats(&json));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let lua = state();
        let text = lua.create_string(&bytes).unwrap();
        for (library, name) in [("cjson", "decode"), ("cmsgpack", "unpack"), ("struct", "size")] {
            let result = function(&lua, library, name).call::<mlua::MultiValue>(&text);
            if let Err(error) = result {
                prop_assert!(super::raised_message(&error).is_some(), "{}", error);
            }
        }
        let unpack = function(&lua, "struct", "unpack");
        let result = unpack.call::<mlua::MultiValue>((&text, "some data of a few bytes"));
        if let Err(error) = result {
            prop_assert!(super::raised_message(&error).is_some(), "{}", error);
        }
    }

    #[test]
    fn integers_of_any_size_are_packed_and_unpacked(
        number in -(1i64 << 53)..(1i64 << 53),
        size in 1..33u32,
        is_big_endian in any::<bool>(),
        before in 0..9usize,
    ) {
        // Beyond 8 bytes no sign is extended, and such a number is no longer the same one.
        let number = if size < 7 { number >> (64 - 8 * size) } else { number };
        let number = if size > 8 { number.abs() } else { number };
        let order = if is_big_endian { '>' } else { '<' };
        let format = format!("{order}!8{}i{size}", "x".repeat(before));
        let lua = state();
        let pack = function(&lua, "struct", "pack");
        let packed: mlua::String = pack.call((&*format, number)).unwrap();
        let length: usize = function(&lua, "struct", "size").call(&*format).unwrap();
        prop_assert_eq!(packed.as_bytes().len(), length);
        if size <= 8 {
            let (back, next): (i64, usize) =
                function(&lua, "struct", "unpack").call((&*format, &packed)).unwrap();
            prop_assert_eq!(back, number);
            prop_assert_eq!(next, length + 1);
        }
        let unsigned = format.replace('i', "I");
        let (back, next): (f64, usize) =
            function(&lua, "struct", "unpack").call((unsigned, &packed)).unwrap();
        prop_assert_eq!(next, length + 1);
        let modulus = if size < 8 { 2f64.powi(8 * size as i32) } else { 2f64.powi(64) };
        prop_assert_eq!(back, if number < 0 { number as f64 + modulus } else { number as f64 });
    }

    #[test]
    fn numbers_are_formatted_as_printf_does(bits in any::<u64>(), precision in 1..18usize) {
        let number = f64::from_bits(bits);
        prop_assume!(!number.is_nan());
        let lua = state();
        let format: Function = lua.load("string.format").eval().unwrap();
        let expected: String = format.call((format!("%.{precision}g"), number)).unwrap();
        prop_assert_eq!(convert::format_general(number, precision), expected);
    }

    #[test]
    fn numbers_are_read_as_lua_reads_them(
        text in prop_oneof![
            "[-+]?0x[0-9a-fA-F]{1,20}(\\.[0-9a-f]{0,9})?(p[-+]?[0-9]{1,3})?",
            "[-+]?[0-9]{1,25}(\\.[0-9]{0,9})?([eE][-+]?[0-9]{1,3})?",
        ],
    ) {
        let lua = state();
        let expected = lua.coerce_number(Value::String(lua.create_string(&text).unwrap()));
        let read: f64 = function(&lua, "cjson", "decode").call(&*text).unwrap();
        prop_assert_eq!(Some(read.to_bits()), expected.unwrap().map(f64::to_bits), "{}", text);
    }
}
