//! The snapshot that this node is being sent, if there is one.
//!
//! Owns which it is and how much of it has arrived and been read. Apply reads the chunks; the raft
//! role passes them on, acknowledges them, and at the end lets consensus decide whether the state
//! that apply has built takes the place of the one it has.

use crate::net::frame::{SnapshotBody, SnapshotMessage};
use crate::raft::SnapshotState;
use crate::raft::types::{Index, MemberId, Payload};
use crate::snapshot::{SnapshotError, read_consensus};

#[derive(Default)]
pub struct Incoming {
    receiving: Option<Receiving>,
    /// The number of the newest transfer, by which apply tells its chunks from those of others.
    number: u64,
    pub received: u64,
}

struct Receiving {
    from: MemberId,
    state: SnapshotState,
    next_sequence: u64,
    read: u64,
}

/// What to do with a chunk.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived {
    /// It begins a snapshot.
    First { transfer: u64 },
    /// Apply reads it.
    Next { transfer: u64, payload: Payload },
    /// It belongs to a snapshot that was given up.
    Stray,
}

impl Incoming {
    pub fn is_busy(&self) -> bool {
        self.receiving.is_some()
    }

    /// A chunk has come.
    pub fn arrived(
        &mut self,
        from: MemberId,
        last_index: Index,
        sequence: u64,
        payload: Payload,
    ) -> Result<Arrived, SnapshotError> {
        if sequence == 0 {
            self.receiving = None;
            self.number += 1;
            let state = read_consensus(payload.as_slice())?;
            if state.last_index != last_index {
                return Err(SnapshotError::Value);
            }
            self.receiving = Some(Receiving { from, state, next_sequence: 1, read: 1 });
            return Ok(Arrived::First { transfer: self.number });
        }
        let Some(receiving) = &mut self.receiving else { return Ok(Arrived::Stray) };
        let is_next = receiving.from == from
            && receiving.state.last_index == last_index
            && receiving.next_sequence == sequence;
        if !is_next {
            return Ok(Arrived::Stray);
        }
        receiving.next_sequence += 1;
        Ok(Arrived::Next { transfer: self.number, payload })
    }

    /// Apply has read one chunk more; what the sender is to be told.
    pub fn read(&mut self, transfer: u64, to_from: MemberId) -> Option<SnapshotMessage> {
        let receiving = self.receiving.as_mut().filter(|_| transfer == self.number)?;
        receiving.read += 1;
        self.acknowledgement(to_from)
    }

    /// What the sender is told of how far this node is; `me` is this node.
    pub fn acknowledgement(&self, me: MemberId) -> Option<SnapshotMessage> {
        let receiving = self.receiving.as_ref()?;
        Some(SnapshotMessage {
            from: me,
            to: receiving.from,
            last_index: receiving.state.last_index,
            body: SnapshotBody::Read { chunks: receiving.read },
        })
    }

    /// The transfer is over: whom it came from, and what consensus needs of it.
    pub fn take(&mut self, transfer: u64) -> Option<(MemberId, SnapshotState)> {
        if transfer != self.number {
            return None;
        }
        let Receiving { from, state, .. } = self.receiving.take()?;
        Some((from, state))
    }

    /// Ends a transfer of what this node knows by now to be committed, since it has the entries
    /// themselves; tells who sends it, and which one it is.
    pub fn take_overtaken(&mut self, commit_index: Index) -> Option<(MemberId, Index)> {
        let overtaken = self.receiving.take_if(|it| it.state.last_index <= commit_index)?;
        Some((overtaken.from, overtaken.state.last_index))
    }

    /// Nothing comes of the transfer.
    pub fn abandon(&mut self) {
        self.receiving = None;
    }

    /// The link to `peer` broke. Whether a transfer ends with it.
    pub fn forget(&mut self, peer: MemberId) -> bool {
        let is_from = self.receiving.as_ref().is_some_and(|receiving| receiving.from == peer);
        if is_from {
            self.receiving = None;
        }
        is_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::types::{Configuration, Term};
    use crate::snapshot::write_consensus;
    use std::sync::Arc;

    const SENDER: MemberId = MemberId(1);
    const ME: MemberId = MemberId(2);

    fn first_chunk(last_index: u64) -> Payload {
        write_consensus(&SnapshotState {
            last_index: Index(last_index),
            last_term: Term(1),
            last_at_ms: 0,
            configuration: Arc::new(Configuration::default()),
            watermarks: Vec::new(),
        })
    }

    fn chunks_read(message: Option<SnapshotMessage>) -> Option<u64> {
        match message?.body {
            SnapshotBody::Read { chunks } => Some(chunks),
            _ => None,
        }
    }

    #[test]
    fn chunks_are_taken_in_order_from_the_one_who_began() {
        let mut incoming = Incoming::default();
        let begun = incoming.arrived(SENDER, Index(9), 0, first_chunk(9));
        assert_eq!(begun, Ok(Arrived::First { transfer: 1 }));
        assert_eq!(chunks_read(incoming.acknowledgement(ME)), Some(1));
        let mut arrive = |from, index, sequence| {
            incoming.arrived(MemberId(from), Index(index), sequence, Payload::empty())
        };
        for (from, index, sequence) in [(3, 9, 1), (1, 8, 1), (1, 9, 2)] {
            assert_eq!(arrive(from, index, sequence), Ok(Arrived::Stray));
        }
        assert!(matches!(arrive(1, 9, 1), Ok(Arrived::Next { transfer: 1, .. })));
        assert_eq!(arrive(1, 9, 1), Ok(Arrived::Stray));
        assert_eq!(chunks_read(incoming.read(1, ME)), Some(2));
        assert_eq!(incoming.take(1).map(|(from, _)| from), Some(SENDER));
        assert!(!incoming.is_busy());
    }

    #[test]
    fn a_new_beginning_takes_the_place_of_what_was_under_way() {
        let mut incoming = Incoming::default();
        assert!(incoming.arrived(SENDER, Index(9), 0, first_chunk(9)).is_ok());
        let begun = incoming.arrived(MemberId(3), Index(12), 0, first_chunk(12));
        assert_eq!(begun, Ok(Arrived::First { transfer: 2 }));
        assert_eq!(incoming.read(1, ME), None, "that was a chunk of the former");
        assert!(incoming.take(1).is_none());
        assert!(!incoming.forget(SENDER));
        assert!(incoming.forget(MemberId(3)));
        assert!(!incoming.is_busy());
    }

    #[test]
    fn a_transfer_that_the_log_has_overtaken_is_dropped() {
        let mut incoming = Incoming::default();
        assert_eq!(incoming.take_overtaken(Index(100)), None);
        assert!(incoming.arrived(SENDER, Index(9), 0, first_chunk(9)).is_ok());
        assert_eq!(incoming.take_overtaken(Index(8)), None);
        assert!(incoming.is_busy());
        assert_eq!(incoming.take_overtaken(Index(9)), Some((SENDER, Index(9))));
        assert!(!incoming.is_busy());
        let late = incoming.arrived(SENDER, Index(9), 1, Payload::empty());
        assert_eq!(late, Ok(Arrived::Stray));
    }

    #[test]
    fn a_beginning_that_is_damaged_or_of_another_snapshot_is_refused() {
        let mut incoming = Incoming::default();
        assert!(incoming.arrived(SENDER, Index(9), 0, Payload::empty()).is_err());
        assert!(incoming.arrived(SENDER, Index(9), 0, first_chunk(8)).is_err());
        assert!(!incoming.is_busy());
    }
}
