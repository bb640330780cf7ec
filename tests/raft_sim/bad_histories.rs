//! Histories that break one invariant each.
