//! The kinds of values: how each is read, and how it is written again. All are numbers, so that
//! they are quick to ask for.

use std::fmt;

use crate::engine::notifications::{EventClasses, UnknownClass};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Number {
        min: i64,
        max: i64,
    },
    /// With Redis's suffixes: `1k` is 1000, `1kb` is 1024.
    Bytes {
        min: i64,
        max: i64,
    },
    /// `5s` and `2m` are understood too.
    Milliseconds {
        min: i64,
        max: i64,
    },
    YesNo,
    /// The number is the place of the choice.
    OneOf(&'static [&'static str]),
    /// The number has the bits of [`EventClasses`].
    Events,
}

/// Why a text is no value of its kind, in the words of Redis where Redis has the case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error("argument couldn't be parsed into an integer")]
    NotAnInteger,
    #[error("argument must be between {min} and {max} inclusive")]
    OutOfRange { min: i64, max: i64 },
    #[error("argument must be 'yes' or 'no'")]
    NotYesOrNo,
    #[error("argument must be a memory value")]
    NotBytes,
    #[error("argument must be a time in milliseconds, such as 5000, 500ms or 5s")]
    NotMilliseconds,
    #[error("argument(s) must be one of the following: {}", .0.join(", "))]
    NotOneOf(&'static [&'static str]),
    #[error(transparent)]
    NotEvents(#[from] UnknownClass),
}

impl Kind {
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Number { .. } => "number",
            Self::Bytes { .. } => "bytes",
            Self::Milliseconds { .. } => "ms",
            Self::YesNo => "yes|no",
            Self::OneOf(_) => "choice",
            Self::Events => "letters",
        }
    }

    /// Reads a value; of a choice its place, of yes and no 1 and 0.
    pub fn parse(self, text: &str) -> Result<i64, ValueError> {
        let within = |number: i64, min: i64, max: i64| match (min..=max).contains(&number) {
            true => Ok(number),
            false => Err(ValueError::OutOfRange { min, max }),
        };
        match self {
            Self::Number { min, max } => {
                within(parse_canonical(text).ok_or(ValueError::NotAnInteger)?, min, max)
            }
            Self::Bytes { min, max } => {
                within(parse_bytes(text).ok_or(ValueError::NotBytes)?, min, max)
            }
            Self::Milliseconds { min, max } => {
                within(parse_milliseconds(text).ok_or(ValueError::NotMilliseconds)?, min, max)
            }
            Self::YesNo => match text {
                _ if text.eq_ignore_ascii_case("yes") => Ok(1),
                _ if text.eq_ignore_ascii_case("no") => Ok(0),
                _ => Err(ValueError::NotYesOrNo),
            },
            Self::OneOf(choices) => {
                let place = choices.iter().position(|choice| choice.eq_ignore_ascii_case(text));
                place.map(|place| place as i64).ok_or(ValueError::NotOneOf(choices))
            }
            Self::Events => Ok(EventClasses::parse(text.as_bytes())?.bits().into()),
        }
    }

    pub(super) fn write(self, number: i64, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { .. } | Self::Bytes { .. } | Self::Milliseconds { .. } => {
                write!(formatter, "{number}")
            }
            Self::YesNo => formatter.write_str(if number != 0 { "yes" } else { "no" }),
            Self::OneOf(choices) => formatter.write_str(choices[number as usize]),
            Self::Events => {
                formatter.write_str(&EventClasses::from_bits_truncate(number as u16).text())
            }
        }
    }
}

/// The canonical form of an integer, which Redis's CONFIG SET asks for: no plus, no leading zeros,
/// nothing around.
fn parse_canonical(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical =
        digits == "0" || digits.starts_with(|first: char| first.is_ascii_digit() && first != '0');
    if !canonical || text == "-0" { None } else { text.parse().ok() }
}

fn split_unit(text: &str) -> (&str, String) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].to_ascii_lowercase())
}

/// `1k` is 1000 and `1kb` 1024 bytes, likewise m, mb, g and gb.
pub fn parse_bytes(text: &str) -> Option<i64> {
    let (digits, unit) = split_unit(text);
    let factor = match unit.as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

/// `5000`, `500ms`, `5s`, `2m`.
fn parse_milliseconds(text: &str) -> Option<i64> {
    let (digits, unit) = split_unit(text);
    let factor = match unit.as_str() {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}
