//! JSON as Lua values.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;

use mlua::{Lua, Table, Value};

use super::super::call::Args;
use super::super::meter::Meter;
use super::Settings;
use crate::limits::SCRIPT_NESTING_MAX;

enum Token<'a> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    End,
    Null,
    Boolean(bool),
    Number(f64),
    String(Cow<'a, [u8]>),
    Invalid(&'static str),
}

impl Token<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Null => "T_NULL",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Number(_) => "T_NUMBER",
            Self::String(_) => "T_STRING",
            Self::Invalid(name) => name,
        }
    }
}

/// A table that is being filled.
enum Level {
    /// With the index of the next value.
    Array(Table, usize),
    /// With the key of the next value.
    Object(Table, mlua::String),
}

struct Decoder<'a> {
    args: &'a Args<'a>,
    lua: &'a Lua,
    text: &'a [u8],
    position: usize,
    /// Where the last token begins, or what is wrong with it.
    token_position: usize,
    takes_invalid_numbers: bool,
    depth_max: usize,
    levels: Vec<Level>,
    meter: Meter<'a>,
}

/// The value that `text` stands for.
pub fn decode(args: &Args<'_>, settings: &Settings, text: &[u8]) -> mlua::Result<Value> {
    if let [0, _, ..] | [_, 0, ..] = text {
        return Err(args.fail("JSON parser does not support UTF-16 or UTF-32"));
    }
    let lua = args.lua();
    let mut decoder = Decoder {
        args,
        lua,
        text,
        position: 0,
        token_position: 0,
        takes_invalid_numbers: settings.decode_invalid_numbers.load(Relaxed),
        depth_max: (settings.decode_max_depth.load(Relaxed) as usize).min(SCRIPT_NESTING_MAX),
        levels: Vec::new(),
        meter: Meter::new(lua),
    };
    let value = decoder.document()?;
    decoder.meter.finish()?;
    Ok(value)
}

impl<'a> Decoder<'a> {
    fn document(&mut self) -> mlua::Result<Value> {
        let mut token = self.token();
        loop {
            let Some(mut value) = self.value(token)? else {
                // The first value of a new level.
                token = self.token();
                continue;
            };
            // Puts the value where it belongs, and closes what ends with it.
            loop {
                match self.levels.pop() {
                    None => return self.end(value),
                    Some(level) => match self.add(level, value)? {
                        Some(closed) => value = closed,
                        None => break,
                    },
                }
            }
            token = self.token();
        }
    }

    fn end(&mut self, value: Value) -> mlua::Result<Value> {
        match self.token() {
            Token::End => Ok(value),
            token => Err(self.unexpected("the end", &token)),
        }
    }

    /// The value of a token, or `None` where it begins a level that is not empty.
    fn value(&mut self, token: Token<'a>) -> mlua::Result<Option<Value>> {
        let value = match token {
            Token::Null => Value::NULL,
            Token::Boolean(is_true) => Value::Boolean(is_true),
            Token::Number(number) => Value::Number(number),
            Token::String(text) => {
                self.meter.value(text.len())?;
                Value::String(self.lua.create_string(&text)?)
            }
            Token::ArrayBegin => return self.array(),
            Token::ObjectBegin => return self.object(),
            token => return Err(self.unexpected("value", &token)),
        };
        self.meter.value(0)?;
        Ok(Some(value))
    }

    fn descend(&mut self) -> mlua::Result<Table> {
        let depth = self.levels.len() + 1;
        if depth > self.depth_max {
            let position = self.position;
            return Err(self.args.fail(format!(
                "Found too many nested data structures ({depth}) at character {position}"
            )));
        }
        self.meter.value(0)?;
        self.lua.create_table()
    }

    fn array(&mut self) -> mlua::Result<Option<Value>> {
        let table = self.descend()?;
        let position = self.position;
        if let Token::ArrayEnd = self.token() {
            return Ok(Some(Value::Table(table)));
        }
        self.position = position;
        self.levels.push(Level::Array(table, 1));
        Ok(None)
    }

    fn object(&mut self) -> mlua::Result<Option<Value>> {
        let table = self.descend()?;
        match self.token() {
            Token::ObjectEnd => Ok(Some(Value::Table(table))),
            token => {
                let key = self.key(token)?;
                self.levels.push(Level::Object(table, key));
                Ok(None)
            }
        }
    }

    /// A key with the colon behind it.
    fn key(&mut self, token: Token<'a>) -> mlua::Result<mlua::String> {
        let Token::String(key) = token else {
            return Err(self.unexpected("object key string", &token));
        };
        self.meter.value(key.len())?;
        match self.token() {
            Token::Colon => self.lua.create_string(&key),
            token => Err(self.unexpected("colon", &token)),
        }
    }

    /// Adds a value to its level. A level that ends here is the answer, one that goes on is kept.
    fn add(&mut self, level: Level, value: Value) -> mlua::Result<Option<Value>> {
        match level {
            Level::Array(table, index) => {
                table.raw_set(index, value)?;
                match self.token() {
                    Token::ArrayEnd => return Ok(Some(Value::Table(table))),
                    Token::Comma => self.levels.push(Level::Array(table, index + 1)),
                    token => return Err(self.unexpected("comma or array end", &token)),
                }
            }
            Level::Object(table, key) => {
                table.raw_set(key, value)?;
                match self.token() {
                    Token::ObjectEnd => return Ok(Some(Value::Table(table))),
                    Token::Comma => {
                        let token = self.token();
                        let key = self.key(token)?;
                        self.levels.push(Level::Object(table, key));
                    }
                    token => return Err(self.unexpected("comma or object end", &token)),
                }
            }
        }
        Ok(None)
    }

    fn unexpected(&self, expected: &str, token: &Token<'_>) -> mlua::Error {
        let (found, position) = (token.name(), self.token_position + 1);
        let text = format!("Expected {expected} but found {found} at character {position}");
        self.args.fail(text)
    }

    /// The byte at a place; 0 after the end, and the end is where the first 0 is.
    fn at(&self, position: usize) -> u8 {
        self.text.get(position).copied().unwrap_or(0)
    }

    fn token(&mut self) -> Token<'a> {
        while matches!(self.at(self.position), b' ' | b'\t' | b'\n' | b'\r') {
            self.position += 1;
        }
        self.token_position = self.position;
        let byte = self.at(self.position);
        let mark = match byte {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            0 => return Token::End,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => {
                if !self.takes_invalid_numbers && self.is_invalid_number() {
                    return Token::Invalid("invalid number");
                }
                return self.number();
            }
            _ => return self.word(),
        };
        self.position += 1;
        mark
    }

    fn word(&mut self) -> Token<'a> {
        let words = [
            (b"true".as_slice(), Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ];
        for (word, token) in words {
            if self.text[self.position..].starts_with(word) {
                self.position += word.len();
                return token;
            }
        }
        let starts_number = matches!(self.at(self.position), b'+' | b'i' | b'I' | b'n' | b'N');
        if starts_number && self.takes_invalid_numbers && self.is_invalid_number() {
            return self.number();
        }
        Token::Invalid("invalid token")
    }

    /// Whether it looks like a number that JSON does not have: hexadecimal, with a leading zero or
    /// a plus, infinite, or none.
    fn is_invalid_number(&self) -> bool {
        if self.at(self.position) == b'+' {
            return true;
        }
        let start = self.position + usize::from(self.at(self.position) == b'-');
        match self.at(start) {
            b'0' => matches!(self.at(start + 1), b'x' | b'X' | b'0'..=b'9'),
            _ => {
                let rest = &self.text[start..];
                let word = rest.get(..3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn number(&mut self) -> Token<'a> {
        match leading_number(&self.text[self.position..]) {
            Some((number, length)) => {
                self.position += length;
                Token::Number(number)
            }
            None => Token::Invalid("invalid number"),
        }
    }

    /// Something is wrong with the token here.
    fn invalid(&mut self, position: usize, what: &'static str) -> Token<'a> {
        self.token_position = position;
        Token::Invalid(what)
    }

    fn string(&mut self) -> Token<'a> {
        let mut start = self.position + 1;
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            let length = self.text[start..]
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0))
                .unwrap_or(self.text.len() - start);
            let end = start + length;
            let piece = &self.text[start..end];
            match self.at(end) {
                b'"' => {
                    self.position = end + 1;
                    let Some(mut text) = unescaped else {
                        return Token::String(Cow::Borrowed(piece));
                    };
                    text.extend_from_slice(piece);
                    return Token::String(Cow::Owned(text));
                }
                b'\\' => {
                    let text = unescaped.get_or_insert_default();
                    text.extend_from_slice(piece);
                    match self.escape(end, text) {
                        Ok(next) => start = next,
                        Err(what) => return self.invalid(end, what),
                    }
                }
                _ => return self.invalid(end, "unexpected end of string"),
            }
        }
    }

    /// Adds what the escape at `position` stands for, and answers where it ends.
    fn escape(&self, position: usize, text: &mut Vec<u8>) -> Result<usize, &'static str> {
        let byte = match self.at(position + 1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (character, next) =
                    self.unicode(position).ok_or("invalid unicode escape code")?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(next);
            }
            _ => return Err("invalid escape code"),
        };
        text.push(byte);
        Ok(position + 2)
    }

    fn unicode(&self, position: usize) -> Option<(char, usize)> {
        let first = self.utf16(position)?;
        if let Some(character) = char::from_u32(u32::from(first)) {
            return Some((character, position + 6));
        }
        let second = self.utf16(position + 6)?;
        let mut pair = char::decode_utf16([first, second]);
        match (pair.next()?.ok()?, pair.next()) {
            (character, None) => Some((character, position + 12)),
            _ => None,
        }
    }

    /// The unit of `\uXXXX`.
    fn utf16(&self, position: usize) -> Option<u16> {
        let digits = self.text.get(position..position + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, &digit| {
            let digit = char::from(digit).to_digit(16)?;
            Some(unit << 4 | digit as u16)
        })
    }
}

/// The number at the beginning as C's `strtod` reads it, and how many bytes it has.
fn leading_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let (magnitude, length) = leading_magnitude(&text[sign..])?;
    let number = if text[0] == b'-' { -magnitude } else { magnitude };
    Some((number, sign + length))
}

fn leading_magnitude(text: &[u8]) -> Option<(f64, usize)> {
    let starts_with =
        |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if starts_with(b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if starts_with(b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if starts_with(b"nan") {
        return Some((f64::NAN, 3 + nan_tag(&text[3..])));
    }
    if starts_with(b"0x")
        && let Some((number, length)) = leading_hexadecimal(&text[2..])
    {
        return Some((number, 2 + length));
    }
    let whole = digits(text, u8::is_ascii_digit);
    let mut length = whole;
    let mut decimals = 0;
    if text.get(length) == Some(&b'.') {
        decimals = digits(&text[length + 1..], u8::is_ascii_digit);
        length += 1 + decimals;
    }
    if whole + decimals == 0 {
        return None;
    }
    length += exponent(&text[length..], b'e');
    let number = std::str::from_utf8(&text[..length]).ok()?.parse().ok()?;
    Some((number, length))
}

fn digits(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_digit(byte)).count()
}

/// The length of `(tag)`, if there is one.
fn nan_tag(text: &[u8]) -> usize {
    if text.first() != Some(&b'(') {
        return 0;
    }
    let length = digits(&text[1..], |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if text.get(1 + length) == Some(&b')') { length + 2 } else { 0 }
}

/// The length of an exponent, if there is one.
fn exponent(text: &[u8], mark: u8) -> usize {
    if !text.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&mark)) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'-' | b'+')));
    match digits(&text[1 + sign..], u8::is_ascii_digit) {
        0 => 0,
        count => 1 + sign + count,
    }
}

/// What follows `0x`.
fn leading_hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(text, u8::is_ascii_hexdigit);
    let mut length = whole;
    let mut fraction: &[u8] = &[];
    if text.get(length) == Some(&b'.') {
        let decimals = digits(&text[length + 1..], u8::is_ascii_hexdigit);
        fraction = &text[length + 1..length + 1 + decimals];
        length += 1 + decimals;
    }
    if whole + fraction.len() == 0 {
        return None;
    }
    let (mut mantissa, mut scale) = (0u64, -4 * fraction.len() as i64);
    for &digit in text[..whole].iter().chain(fraction) {
        let digit = u64::from(char::from(digit).to_digit(16)?);
        if mantissa >> 58 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            // Beyond what a double shows, and then only whether there is something.
            mantissa |= u64::from(digit != 0);
            scale += 4;
        }
    }
    let power = exponent(&text[length..], b'p');
    if power > 0 {
        let digits = std::str::from_utf8(&text[length + 1..length + power]).ok()?;
        let limit = if digits.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
        scale = scale.saturating_add(digits.parse().unwrap_or(limit));
    }
    let number = libm::scalbn(mantissa as f64, scale.clamp(-5000, 5000) as i32);
    Some((number, length + power))
}
