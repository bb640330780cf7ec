//! What scripts get of the libraries: tables of what Redis 7.0 answers to the same expressions, and
//! properties of what they write and read.

mod bit;
mod json;
mod msgpack;
mod pack;
mod properties;
mod safety;
mod settings;

use mlua::{Function, Lua, Value};

use super::{open, raised_message, reset};

/// Shows the results of an expression as text: strings with quotes and escapes, and the pairs of
/// tables in the order of their texts.
const SHOW: &str = r#"
local message = ...
local raw_pcall = pcall
local function caught(ok, ...)
    if ok then return true, ... end
    return false, message((...))
end
function pcall(...) return caught(raw_pcall(...)) end
function id(...) return ... end
nul = cjson.null
function rep(v, n) local t = {} for i = 1, n do t[i] = v end return t end
function nest(n, v, k) local t = v for i = 1, n do t = { [k or 1] = t } end return t end
local function escaped(s)
    return (s:gsub('[^%w %p]', function(c) return ('\\%03d'):format(c:byte()) end))
end
local function show(v, depth)
    local kind = type(v)
    if kind == 'string' then return '"' .. escaped(v) .. '"' end
    if kind == 'number' then return ('%.17g'):format(v) end
    if kind == 'function' or kind == 'thread' or kind == 'userdata' then return kind end
    if kind ~= 'table' then return tostring(v) end
    if depth > 20 then return 'deep' end
    local pairs_shown = {}
    for k, x in pairs(v) do
        pairs_shown[#pairs_shown + 1] = show(k, depth + 1) .. '=' .. show(x, depth + 1)
    end
    table.sort(pairs_shown)
    return '{' .. table.concat(pairs_shown, ',') .. '}'
end
return function(ok, ...)
    if not ok then return 'error: ' .. tostring((...)) end
    local shown = {}
    for i = 1, select('#', ...) do shown[i] = show((select(i, ...)), 0) end
    return table.concat(shown, ', ')
end
"#;

/// A state with the libraries, and with a `pcall` that gives scripts the texts of errors.
struct Script {
    lua: Lua,
    show: Function,
}

impl Script {
    fn new() -> Self {
        let lua = Lua::new();
        open(&lua).unwrap();
        let message = lua
            .create_function(|lua, error: Value| match error {
                Value::Error(error) => {
                    let text = raised_message(&error).expect("an error of a library");
                    lua.create_string(text).map(Value::String)
                }
                other => Ok(other),
            })
            .unwrap();
        let show = lua.load(SHOW).call(message).unwrap();
        Self { lua, show }
    }

    /// The text of what `expression` gives to a script that begins now.
    fn eval(&self, expression: &str) -> String {
        reset(&self.lua);
        // The call of `id` keeps the expression out of the tail position.
        let source =
            format!("local show = ... return show(pcall(function() return id({expression}) end))");
        let chunk = self.lua.load(source).set_name("@s");
        chunk.call(&self.show).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }
}

fn check(cases: &[(&str, &str)]) {
    let script = Script::new();
    for (expression, expected) in cases {
        assert_eq!(script.eval(expression), *expected, "{expression}");
    }
}
