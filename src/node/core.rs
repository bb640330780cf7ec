//! What one core owns: a glommio executor, a ring with all its sockets, and the roles placed on it.
//! One task drives them, pass by pass: what the ring brought is handed to the roles, each role
//! takes its turn, and all that they want to send goes out with the next entry into the kernel.

use std::sync::Arc;
use std::time::Duration;

use crate::limits::{TICK_MS, TURNS_PER_PASS};
use crate::net::ring::{Connection, Event, Listener, Ring};
use crate::raft::Now;

use super::apply::ApplyRole;
use super::clock::Clock;
use super::driver::RaftRole;
use super::front::NetRole;
use super::shared::{NodeState, Shared};

pub struct Core {
    pub ring: Ring,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    pub net: Option<NetRole>,
    pub raft: Option<RaftRole>,
    pub apply: Option<ApplyRole>,
    /// Where clients connect, on the core that accepts them.
    pub client_listeners: Vec<Listener>,
    /// Where clients ask who leads, on the same core.
    pub sentinel_listeners: Vec<Listener>,
    /// Where peers connect, on the core of the raft role.
    pub peer_listeners: Vec<Listener>,
}

impl Core {
    /// Runs until the process ends. Nothing here awaits: a core sleeps in its own ring, which every
    /// completion, every doorbell and the next tick end (the reasons are in the crate
    /// documentation, under "glommio").
    pub fn run(mut self) {
        loop {
            if !self.pass()
                && !self.use_idle_time()
                && let Err(error) = self.ring.wait(Duration::from_millis(TICK_MS))
            {
                refused_by_kernel(&error);
            }
        }
    }

    /// One pass; returns whether there was anything to do.
    fn pass(&mut self) -> bool {
        let now = self.clock.now();
        if let Some(net) = &mut self.net {
            net.set_now(now);
        }
        if let Some(apply) = &mut self.apply {
            apply.set_now(now);
        }
        let mut events = 0;
        let Self { ring, net, raft, client_listeners, sentinel_listeners, peer_listeners, .. } =
            self;
        let mut owners =
            Owners { net, raft, client_listeners, sentinel_listeners, peer_listeners, now };
        let passed = ring.pass(|ring, event| {
            events += 1;
            owners.on_event(ring, event);
        });
        if let Err(error) = passed {
            refused_by_kernel(&error);
        }
        self.stop_listening_if_stopping();
        let mut worked = events > 0;
        for _ in 0..TURNS_PER_PASS {
            if !self.turns(now) {
                break;
            }
            worked = true;
        }
        worked
    }

    /// With nothing else to do; returns whether there was a use for that.
    fn use_idle_time(&mut self) -> bool {
        self.apply.as_mut().is_some_and(ApplyRole::use_idle_time)
    }

    /// A node that stops gives its ports back at once: the kernel takes its time to take a ring and
    /// its sockets down after the process has ended.
    fn stop_listening_if_stopping(&mut self) {
        if self.shared.state() == NodeState::Stopped {
            let clients = self.client_listeners.drain(..).chain(self.sentinel_listeners.drain(..));
            let listeners = clients.chain(self.peer_listeners.drain(..));
            for listener in listeners {
                self.ring.stop_listening(listener);
            }
        }
    }

    fn turns(&mut self, now: Now) -> bool {
        let mut worked = false;
        if let Some(net) = &mut self.net {
            worked |= net.turn(&mut self.ring);
        }
        if let Some(raft) = &mut self.raft {
            worked |= raft.turn(&mut self.ring, now);
        }
        if let Some(apply) = &mut self.apply {
            worked |= apply.turn();
        }
        worked
    }
}

/// Without its ring a core serves nobody; the cluster goes on without this node.
fn refused_by_kernel(error: &std::io::Error) -> ! {
    log::error!("the kernel refuses the io_uring: {error}");
    std::process::abort()
}

/// Who gets the events of a ring.
struct Owners<'a> {
    net: &'a mut Option<NetRole>,
    raft: &'a mut Option<RaftRole>,
    client_listeners: &'a [Listener],
    sentinel_listeners: &'a [Listener],
    peer_listeners: &'a [Listener],
    now: Now,
}

impl Owners<'_> {
    fn on_event(&mut self, ring: &mut Ring, event: Event<'_>) {
        let now_ms = self.now.monotonic_ms;
        match event {
            Event::Accepted { listener, socket, .. } => self.on_accepted(ring, listener, socket),
            Event::Received { connection, bytes } => match self.client_of(connection) {
                Some(net) => net.on_received(ring, connection, bytes),
                None => {
                    if let Some(links) = self.raft.as_mut().and_then(RaftRole::links) {
                        links.on_received(ring, connection, bytes, now_ms);
                    }
                }
            },
            Event::Ended { connection } => match self.client_of(connection) {
                Some(net) => net.on_ended(ring, connection),
                None => ring.close(connection),
            },
            Event::Drained { connection } => {
                if let Some(net) = self.client_of(connection) {
                    net.on_drained(ring, connection);
                }
            }
            Event::Connected { connection } => match self.raft.as_mut().and_then(RaftRole::links) {
                Some(links) => links.on_connected(ring, connection),
                None => ring.close(connection),
            },
            Event::ConnectFailed { connection, .. } | Event::Closed { connection, .. } => {
                match self.client_of(connection) {
                    Some(net) => net.on_closed(connection),
                    None => {
                        if let Some(links) = self.raft.as_mut().and_then(RaftRole::links) {
                            links.on_closed(connection, now_ms);
                        }
                    }
                }
            }
        }
    }

    fn on_accepted(&mut self, ring: &mut Ring, listener: Listener, socket: socket2::Socket) {
        if self.client_listeners.contains(&listener) {
            if let Some(net) = self.net {
                net.on_accepted(ring, socket);
            }
        } else if self.sentinel_listeners.contains(&listener) {
            if let Some(net) = self.net {
                net.on_sentinel_accepted(ring, socket);
            }
        } else if self.peer_listeners.contains(&listener) {
            // A node without a cluster has no peers: it drops the connection.
            if let Some(links) = self.raft.as_mut().and_then(RaftRole::links) {
                links.on_accepted(ring, socket);
            }
        }
    }

    fn client_of(&mut self, connection: Connection) -> Option<&mut NetRole> {
        self.net.as_mut().filter(|net| net.owns(connection))
    }
}
