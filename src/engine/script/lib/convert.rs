//! Lua values as Lua's own libraries take and name them.

use mlua::{Lua, Value};

/// The name of the value's type.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

/// A number or the text of one.
pub fn to_number(lua: &Lua, value: &Value) -> mlua::Result<Option<f64>> {
    match value {
        Value::Integer(number) => Ok(Some(*number as f64)),
        Value::Number(number) => Ok(Some(*number)),
        Value::String(_) => lua.coerce_number(value.clone()),
        _ => Ok(None),
    }
}

/// A string or a number as text.
pub fn to_string(lua: &Lua, value: &Value) -> mlua::Result<Option<mlua::String>> {
    match value {
        Value::String(text) => Ok(Some(text.clone())),
        Value::Integer(number) => lua.create_string(format_general(*number as f64, 14)).map(Some),
        Value::Number(number) => lua.create_string(format_general(*number, 14)).map(Some),
        _ => Ok(None),
    }
}

/// Cut off towards zero; what does not fit becomes the smallest integer, as on x86-64.
pub fn to_integer(number: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if fits { number as i64 } else { i64::MIN }
}

/// `printf`'s `%.{precision}g`.
pub fn format_general(number: f64, precision: usize) -> String {
    if !number.is_finite() {
        let sign = if number.is_sign_negative() { "-" } else { "" };
        return format!("{sign}{}", if number.is_nan() { "nan" } else { "inf" });
    }
    let scientific = format!("{:.*e}", precision - 1, number);
    let (mantissa, exponent) =
        scientific.split_once('e').expect("invariant: scientific notation has an exponent");
    let exponent: i32 = exponent.parse().expect("invariant: an exponent is a small integer");
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_trailing_zeros(mantissa), exponent.abs());
    }
    let decimals = (precision as i32 - 1 - exponent) as usize;
    let fixed = format!("{number:.decimals$}");
    without_trailing_zeros(&fixed).to_owned()
}

fn without_trailing_zeros(digits: &str) -> &str {
    if !digits.contains('.') {
        return digits;
    }
    digits.trim_end_matches('0').trim_end_matches('.')
}
