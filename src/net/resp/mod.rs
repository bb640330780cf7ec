//! The Redis serialization protocol as clients send it
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>). Replies are made by
//! [`crate::engine::reply`].

mod inline;
mod parse;

pub use parse::{Authentication, Limits, ParseState, Parsed, ProtocolError, Words, parse};
