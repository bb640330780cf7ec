//! Tests of who is told of which keys.
