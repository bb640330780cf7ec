//! The state machine: entry in, reply out. Time and randomness come with the entry.

pub mod acl;
pub mod ahead;
pub mod batch;
pub mod bytes;
pub mod command;
pub mod error;
pub mod histogram;
pub mod import;
pub mod keyspace;
mod long_double;
pub mod notifications;
pub mod number;
pub mod pubsub;
pub mod random;
pub mod rdb;
pub mod reply;
mod run;
pub mod script;
pub mod settings;
pub mod slot;
mod stats;
#[cfg(test)]
pub mod testing;
pub mod timing;
pub mod tracking;
pub mod types;
pub mod value;
pub mod waiting;
pub mod witness;

pub use keyspace::WARM_RUN;
pub use run::{Engine, Ran};
pub use stats::{CommandStats, EngineStats, count_error};
