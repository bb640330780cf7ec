//! The keys of a table in an order that does not depend on addresses, without a handle for each.

use mlua::{IntoLua, Lua, Table, Value};

/// A key whose order all nodes agree on. Numbers come before booleans, and these before strings.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    Number(f64),
    Boolean(bool),
    String(Box<[u8]>),
}

impl Key {
    fn rank(&self) -> (u8, f64, &[u8]) {
        match self {
            Self::Number(number) => (0, *number, &[]),
            Self::Boolean(is_true) => (1, f64::from(u8::from(*is_true)), &[]),
            Self::String(text) => (2, 0.0, text),
        }
    }

    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let (left, right) = (self.rank(), other.rank());
        // No key is NaN.
        left.0.cmp(&right.0).then(left.1.total_cmp(&right.1)).then(left.2.cmp(right.2))
    }
}

impl IntoLua for &Key {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        match self {
            Key::Number(number) => Ok(Value::Number(*number)),
            Key::Boolean(is_true) => Ok(Value::Boolean(*is_true)),
            Key::String(text) => lua.create_string(text).map(Value::String),
        }
    }
}

/// The keys of a table.
pub struct Keys {
    /// In order.
    pub ordered: Vec<Key>,
    /// How many others there are: tables, functions, threads and userdata.
    pub others: usize,
    /// The first of the names of their types.
    pub other_type: Option<&'static str>,
}

/// All keys of `table`.
pub fn keys(table: &Table) -> mlua::Result<Keys> {
    let mut keys = Keys { ordered: Vec::new(), others: 0, other_type: None };
    table.for_each(|key: Value, _: Value| {
        match key {
            Value::Integer(number) => keys.ordered.push(Key::Number(number as f64)),
            Value::Number(number) => keys.ordered.push(Key::Number(number)),
            Value::Boolean(is_true) => keys.ordered.push(Key::Boolean(is_true)),
            Value::String(text) => keys.ordered.push(Key::String((*text.as_bytes()).into())),
            _ => {
                let name = super::convert::type_name(&key);
                // Not that of the first one, which depends on addresses.
                keys.other_type = Some(keys.other_type.map_or(name, |other| other.min(name)));
                keys.others += 1;
            }
        }
        Ok(())
    })?;
    keys.ordered.sort_unstable_by(Key::compare);
    Ok(keys)
}
