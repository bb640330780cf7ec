//! The generator against servers of the tests' own, and the files that it writes.

// A test fails by panicking; clippy knows only of test functions, not of what they call.
#![allow(clippy::unwrap_used)]

mod formats;
mod operations;
mod server;
mod stall;
