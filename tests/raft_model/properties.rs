//! What Raft promises (Raft figure 3), as functions of one state and what was before it.

use crate::NEW_BOOT;
use crate::model::{State, World};

impl World {
    /// Election safety: at most one leader in a term.
    pub fn is_one_leader_per_term(&self, state: &State) -> bool {
        self.past(state).leaders.windows(2).all(|pair| pair[0].0 != pair[1].0)
    }

    /// Log matching: two logs with an entry of the same index and term are equal up to there.
    pub fn do_logs_match(&self, state: &State) -> bool {
        self.alive(state).all(|one| {
            self.alive(state).filter(|two| two.id > one.id).all(|two| {
                let both = one.log.iter().zip(&two.log);
                let mut alike = both.enumerate().filter(|(_, (a, b))| a.1 == b.1);
                let last_alike = alike.next_back();
                last_alike.is_none_or(|(last, _)| one.log[..=last] == two.log[..=last])
            })
        })
    }

    /// Leader completeness: what was committed in a term is in the log of every later leader.
    pub fn are_leaders_complete(&self, state: &State) -> bool {
        let committed = &self.past(state).committed;
        self.alive(state).filter(|facts| facts.is_leader).all(|leader| {
            committed.iter().enumerate().all(|(at, (entry, term))| {
                *term >= leader.term || leader.log.get(at).is_some_and(|own| own.0 == *entry)
            })
        })
    }

    /// State machine safety: nobody commits another entry at the same index.
    pub fn is_commit_same(&self, state: &State) -> bool {
        let committed = &self.past(state).committed;
        self.alive(state).all(|facts| {
            let own = facts.log.iter().take(facts.commit_index).map(|(entry, _)| entry);
            facts.commit_index <= committed.len()
                && own.zip(committed).all(|(own, (entry, _))| own == entry)
        })
    }

    /// What was committed is in the log of somebody who lives.
    pub fn is_nothing_lost(&self, state: &State) -> bool {
        self.past(state).committed.iter().enumerate().all(|(at, (entry, _))| {
            self.alive(state).any(|facts| facts.log.get(at).is_some_and(|own| own.0 == *entry))
        })
    }

    /// How many different members led in a term of their own.
    pub fn leaders(&self, state: &State) -> usize {
        self.past(state).leaders.len()
    }

    /// How many proposals are committed.
    pub fn proposals(&self, state: &State) -> usize {
        let committed = self.past(state).committed.iter();
        committed.filter(|(entry, _)| self.table.is_proposal(*entry)).count()
    }

    /// Whether the new process is a voter of a committed configuration that is not joint.
    pub fn is_swapped(&self, state: &State) -> bool {
        let configuration = self.configuration(state);
        let is_new = |id| configuration.member(id).is_some_and(|m| m.boot == NEW_BOOT);
        !configuration.is_joint() && configuration.voters.iter().any(|id| is_new(*id))
    }
}
