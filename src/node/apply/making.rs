//! The snapshot that apply makes for other members, piece by piece, while it goes on applying.
//!
//! It makes no more than the raft role grants, which is what the receivers have room for.

use std::time::Instant;

use crate::engine::Engine;
use crate::limits::{SNAPSHOT_DISPLACED_BYTES, SNAPSHOT_DISPLACED_SHARE, SNAPSHOT_PIECE_BYTES};
use crate::node::mailbox::{MakingNews, MakingOrder, ToRaft};
use crate::raft::types::Index;
use crate::snapshot::{WriteProgress, Writer};

use super::ApplyRole;

pub(super) struct Making {
    number: u64,
    writer: Writer,
    last_index: Index,
    began: Instant,
    /// Bytes of chunks, of the whole snapshot.
    granted: u64,
    made: u64,
}

impl Making {
    fn begin(engine: &mut Engine, number: u64, last_index: Index) -> Self {
        let writer = Writer::begin(engine, last_index);
        Self { number, writer, last_index, began: Instant::now(), granted: 0, made: 0 }
    }

    /// Over how many bytes of former values it is given up.
    fn displaced_bytes_max(&self) -> usize {
        SNAPSHOT_DISPLACED_BYTES + self.writer.estimated_bytes() / SNAPSHOT_DISPLACED_SHARE
    }
}

impl ApplyRole {
    pub(super) fn order_snapshot(&mut self, number: u64, order: MakingOrder) {
        match (order, &mut self.making) {
            (MakingOrder::Begin, _) => {
                self.end_walk();
                let last_index = self.applied_index;
                self.making = Some(Making::begin(&mut self.engine, number, last_index));
                self.tell(number, MakingNews::Begun { last_index });
            }
            (MakingOrder::Grant { bytes }, Some(making)) if making.number == number => {
                making.granted = bytes;
            }
            (MakingOrder::End, Some(making)) if making.number == number => self.end_walk(),
            // It was given up meanwhile.
            (MakingOrder::Grant { .. } | MakingOrder::End, _) => {}
        }
    }

    fn tell(&self, number: u64, news: MakingNews) {
        self.raft.send(ToRaft::SnapshotMaking { number, news });
    }

    /// Gives the snapshot up if clients change the state much faster than its receivers read it.
    pub(super) fn bound_making(&mut self) {
        let Some(making) = &self.making else { return };
        let (bytes, max) = (self.engine.keyspace.displaced_bytes(), making.displaced_bytes_max());
        if bytes > max {
            let (number, last_index) = (making.number, making.last_index);
            log::warn!(
                "gives up the snapshot up to {last_index}: {bytes} bytes of former values wait for \
                 it, the limit is {max}"
            );
            self.end_walk();
            self.tell(number, MakingNews::GivenUp);
        }
    }

    /// Writes a piece; returns whether there was anything to do.
    pub(super) fn make_piece(&mut self) -> bool {
        let Some(making) = &mut self.making else { return false };
        if making.made >= making.granted {
            return false;
        }
        let progress = making.writer.write_some(&mut self.engine, SNAPSHOT_PIECE_BYTES);
        let chunks = making.writer.take_chunks();
        making.made += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        let is_complete = progress == WriteProgress::Complete;
        let (number, estimated_bytes) = (making.number, making.writer.estimated_bytes());
        if is_complete {
            let (last_index, took) = (making.last_index, making.began.elapsed());
            log::info!("made a snapshot up to {last_index}: {} bytes in {took:?}", making.made);
            self.making = None;
        }
        if is_complete || !chunks.is_empty() {
            self.tell(number, MakingNews::Made { chunks, estimated_bytes, is_complete });
        }
        true
    }
}
