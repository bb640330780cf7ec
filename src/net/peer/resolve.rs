//! Where a peer is: the addresses that its `host:port` stands for, one after the other.
//!
//! An IP address is taken as it is. A name is looked up on a thread of its own, because a lookup
//! blocks for as long as a name server takes; the result is fetched by the next tick. A link has
//! one lookup under way at most. When all addresses of a name have been tried the name is looked
//! up again, so a peer that has moved is found.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use crate::net::frame::Purpose;
use crate::raft::types::MemberId;

type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Looks names up for all links of a node.
pub(super) struct Resolver {
    lookup: Arc<Lookup>,
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
}

/// The end of a lookup.
pub(super) struct Answer {
    pub(super) id: MemberId,
    pub(super) purpose: Purpose,
    /// What was looked up.
    pub(super) address: String,
    pub(super) found: io::Result<Vec<SocketAddr>>,
}

/// The addresses of one link's peer.
pub(super) struct Route {
    address: String,
    /// The name's addresses that have not been tried since it was looked up.
    untried: VecDeque<SocketAddr>,
    is_looking: bool,
}

/// What to do to reach a peer.
pub(super) enum Next {
    Dial(SocketAddr),
    /// A lookup is under way.
    Wait,
}

impl Resolver {
    pub(super) fn new() -> Self {
        Self::with(|name| Ok(name.to_socket_addrs()?.collect()))
    }

    /// With a lookup that may block.
    pub(super) fn with(
        lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        let (sender, answers) = mpsc::channel();
        Self { lookup: Arc::new(lookup), sender, answers }
    }

    /// A lookup that has ended since the last call.
    pub(super) fn take_answer(&self) -> Option<Answer> {
        // The resolver has a sender itself, so the channel is empty and never closed.
        self.answers.try_recv().ok()
    }

    fn start(&self, id: MemberId, purpose: Purpose, address: &str) -> io::Result<()> {
        let (lookup, sender) = (Arc::clone(&self.lookup), self.sender.clone());
        let address = address.to_owned();
        let look = move || {
            let found = lookup(&address).and_then(|found| match found.is_empty() {
                true => Err(io::Error::other("the name has no address")),
                false => Ok(found),
            });
            // The node may have left its cluster meanwhile.
            let _ = sender.send(Answer { id, purpose, address, found });
        };
        thread::Builder::new().name("resolve".to_owned()).spawn(look).map(drop)
    }
}

impl Route {
    pub(super) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), untried: VecDeque::new(), is_looking: false }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The next address to try; starts a lookup when there is none.
    pub(super) fn next(
        &mut self,
        resolver: &Resolver,
        id: MemberId,
        purpose: Purpose,
    ) -> io::Result<Next> {
        if let Ok(literal) = self.address.parse() {
            return Ok(Next::Dial(literal));
        }
        if let Some(address) = self.untried.pop_front() {
            return Ok(Next::Dial(address));
        }
        if !self.is_looking {
            resolver.start(id, purpose, &self.address)?;
            self.is_looking = true;
        }
        Ok(Next::Wait)
    }

    /// The lookup has ended.
    pub(super) fn on_found(&mut self, found: Vec<SocketAddr>) {
        self.is_looking = false;
        self.untried = found.into();
    }

    /// A connection came to be: the next one begins with a lookup.
    pub(super) fn forget(&mut self) {
        self.untried.clear();
    }
}
