//! What the runs of a scenario amount to.

use std::hash::Hasher;

use crate::rng::Fold;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counts of what has happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)+
            /// Of every event of every run, in order.
            pub trace: Fold,
        }

        impl Stats {
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
                self.trace.add(other.trace.finish());
            }

            /// One line: what is not zero.
            pub fn line(&self) -> String {
                let mut line = String::new();
                $(if self.$name > 0 {
                    line += &format!("{} {}, ", stringify!($name).replace('_', " "), self.$name);
                })+
                line + &format!("trace {:016x}", self.trace.finish())
            }
        }
    };
}

stats! {
    runs,
    /// Delivered events and passes that had something to conclude; each is checked.
    steps,
    messages,
    elections,
    committed,
    answered_batches,
    answered_reads,
    outcomes_unknown,
    never_sent,
    crashes,
    pauses,
    clock_jumps,
    partitions,
    /// Frames for a dead life of a slot that its present process got.
    misdirected,
    /// Frames of one cluster that reached a process of another one.
    foreign,
    snapshots_begun,
    snapshots_installed,
    snapshots_failed,
    promotions,
    configurations,
    transfers,
    removals,
    founded,
    recovered,
}
