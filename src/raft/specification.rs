//! States, messages, rules, and why they are right. A text; no code stands here.
//!
#![doc = include_str!("SPECIFICATION.md")]
