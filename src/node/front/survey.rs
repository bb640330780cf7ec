//! Questions to all clients of the node, whichever core they are on: CLIENT LIST and CLIENT KILL.

use std::sync::Arc;

use crate::net::ring::{Connection, Ring};
use crate::raft::types::Stream;

use super::super::mailbox::{Survey, ToNet};
use super::super::session;
use super::{Block, Ending, NetRole};

/// A survey that waits for the answers of other net roles.
pub(super) struct Surveying {
    id: u64,
    connection: Connection,
    survey: Arc<Survey>,
    missing: usize,
    lines: Vec<u8>,
    matched: usize,
}

impl NetRole {
    /// Asks all net roles about their clients.
    pub(super) fn start_survey(&mut self, connection: Connection, survey: &Survey) {
        let id = self.next_survey;
        self.next_survey += 1;
        let survey = Arc::new(survey.clone());
        self.surveys.push(Surveying {
            id,
            connection,
            survey: Arc::clone(&survey),
            missing: self.mailboxes.nets.len(),
            lines: Vec::new(),
            matched: 0,
        });
        for net in &self.mailboxes.nets {
            net.send(ToNet::Survey { from: self.stream, id, survey: Arc::clone(&survey) });
        }
    }

    /// Looks at the own clients for a survey.
    pub(super) fn survey(&mut self, ring: &mut Ring, from: Stream, id: u64, survey: &Survey) {
        let (mut lines, mut matched) = (Vec::new(), 0);
        let mut leaving = Vec::new();
        for client in self.clients.iter().flatten() {
            let session = &client.session;
            match survey {
                Survey::List { ids, class }
                    if (ids.is_empty() || ids.contains(&session.id))
                        && class.is_none_or(|class| class == session::class_of(session)) =>
                {
                    let buffers = session::Buffers {
                        input: client.input.len(),
                        input_free: client.input.capacity() - client.input.len(),
                        output: ring.queued_bytes(client.connection),
                    };
                    session::describe(session, &buffers, self.now.monotonic_ms, &mut lines);
                    matched += 1;
                }
                Survey::Kill(filter) if filter.fits(session, self.now.monotonic_ms) => {
                    leaving.push(client.connection);
                    matched += 1;
                }
                _ => {}
            }
        }
        for connection in leaving {
            let client = self.clients[connection.index()].as_mut();
            let client = client.expect("invariant: just seen");
            if matches!(client.block, Block::Suspended(_)) {
                // It has killed itself, and still gets its reply.
                client.ending = Ending::Now;
            } else {
                ring.close(connection);
            }
        }
        self.mailboxes.nets[usize::from(from)].send(ToNet::Surveyed { id, lines, matched });
    }

    pub(super) fn surveyed(&mut self, ring: &mut Ring, id: u64, lines: &[u8], matched: usize) {
        let found = self.surveys.iter().position(|surveying| surveying.id == id);
        let Some(position) = found else { return };
        let surveying = &mut self.surveys[position];
        surveying.lines.extend_from_slice(lines);
        surveying.matched += matched;
        surveying.missing -= 1;
        if surveying.missing == 0 {
            let done = self.surveys.swap_remove(position);
            self.finish_wait(ring, done.connection, |_, _, _, reply| {
                session::finish_survey(&done.survey, &done.lines, done.matched, reply);
            });
        }
    }
}
