//! What must hold after every step, by name, and how a breach of it is reported.

use std::fmt;

/// The paper's names where it has one (Raft, figure 3), then those of volatile members and of
/// clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// At most one leader per term.
    ElectionSafety,
    /// Two logs with an entry of the same index and term are equal up to there.
    LogMatching,
    /// A leader has every entry that was committed before its election.
    LeaderCompleteness,
    /// Everybody applies the same entry at the same index, to the same effect.
    StateMachineSafety,
    /// What is committed stands in the logs of a majority of each half of the voters.
    CommittedOnQuorum,
    /// A committed entry is neither replaced nor dropped.
    CommittedImmutable,
    /// Term, commit index and what is applied never go back; nor does the clock of the log.
    Monotonic,
    /// A process votes once per term.
    OneVotePerTerm,
    /// The start of the log <= handed out <= committed <= the end of the log.
    LogOrder,
    /// A process has one id and an id one process; ids are indexes of admissions and never recur.
    Identity,
    /// Every batch is committed once at most, in the order of its stream, and never if it was given
    /// up as never sent.
    ExactlyOnce,
    /// Only a learner becomes a voter, and only when it has what was committed an election timeout
    /// ago.
    PromotionAfterCatchUp,
    /// A configuration follows a committed one, and voters change through joint configurations.
    OneChangeInFlight,
    /// Two clusters never hear each other, and never both have a majority.
    LineageSeparation,
    /// A reply is that of an independent model at the place that consensus gave the command.
    RepliesOfModel,
    /// That place lies between what was acknowledged before the call and what is known at the
    /// return.
    Linearizability,
    /// Every command ends: with a reply or given up.
    EveryCommandEnds,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Panics with the name of the invariant unless it holds.
macro_rules! ensure {
    ($holds:expr, $invariant:ident, $($text:tt)+) => {
        if !$holds {
            let invariant = $crate::invariants::Invariant::$invariant;
            panic!("{invariant}: {}", format_args!($($text)+));
        }
    };
}
pub(crate) use ensure;
