//! The network between the nodes of a cluster, in the hands of the test.
//!
//! Nodes listen on 127.0.0.1 and announce [`ANNOUNCED`], another address of the loopback, with the
//! same ports. There a proxy takes every connection that a node makes to another, to its peer port
//! or to its client port (which is where a process asks for its admission), looks who calls, and
//! passes the bytes on, or not: each direction of each pair of nodes has a [`Passage`]. Clients of
//! the test do not come this way. Nothing here needs root.
//!
//! Who calls stands in what a caller says first: the slot in the HELLO of a link, or in the
//! RAFT.NODE ADD of a process that wants to join.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use mayfly::net::frame::{self, Frame, FrameReader};

use crate::process::PEER_PORT_OFFSET;
use crate::wait;

/// Where the nodes say that they are.
pub const ANNOUNCED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A caller that says nothing for so long is let go.
const GREETING_TIME: Duration = Duration::from_secs(10);

/// What happens to the bytes that one node sends to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// They wait; as in a network that is away for a short time, they come later.
    Stalled,
    /// They are lost, and with them the connection, once the network is back.
    Lost,
    /// Connections are broken at once, and new ones are too.
    Refused,
    /// They come so much later.
    Slow(Duration),
}

struct Connection {
    traffic: Traffic,
    caller: usize,
    called: usize,
    near: TcpStream,
    far: TcpStream,
    /// Bytes of it were lost.
    spoiled: AtomicBool,
}

impl Connection {
    fn close(&self) {
        // It may have ended by itself.
        let _ = self.near.shutdown(Shutdown::Both);
        let _ = self.far.shutdown(Shutdown::Both);
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Between the peer ports: consensus and snapshots.
    Links,
    /// To the client port: a process that asks to be admitted.
    Requests,
}

struct State {
    /// Of which traffic, from whom, to whom.
    passages: [Vec<Vec<Passage>>; 2],
    connections: Vec<Arc<Connection>>,
    ended: bool,
}

struct Shared {
    ports: Vec<u16>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// All proxies of a cluster. They end with it.
pub struct Network {
    shared: Arc<Shared>,
}

impl Network {
    /// Takes the announced places of the nodes with these client ports.
    pub fn start(ports: &[u16]) -> Self {
        let open = vec![vec![Passage::Open; ports.len()]; ports.len()];
        let passages = [open.clone(), open];
        let state = State { passages, connections: Vec::new(), ended: false };
        let shared = Arc::new(Shared {
            ports: ports.to_vec(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        for (called, port) in ports.iter().enumerate() {
            for port in [*port, port + PEER_PORT_OFFSET] {
                let listener = TcpListener::bind((ANNOUNCED, port)).unwrap();
                let shared = Arc::clone(&shared);
                thread::spawn(move || listen(&shared, &listener, called, port));
            }
        }
        Self { shared }
    }

    /// Sets the passage from each of `from` to each of `to`.
    pub fn set(&self, from: &[usize], to: &[usize], passage: Passage) {
        self.set_for(Traffic::Links, from, to, passage);
        self.set_for(Traffic::Requests, from, to, passage);
    }

    /// The same for one kind of traffic.
    pub fn set_for(&self, traffic: Traffic, from: &[usize], to: &[usize], passage: Passage) {
        let mut state = self.shared.state();
        for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))) {
            if from != to {
                state.passages[traffic as usize][from][to] = passage;
            }
        }
        if passage == Passage::Refused {
            let is_cut = |end: usize, other: usize| from.contains(&end) && to.contains(&other);
            let cut = |one: &&Arc<Connection>| {
                let is_cut = is_cut(one.caller, one.called) || is_cut(one.called, one.caller);
                is_cut && one.traffic == traffic
            };
            state.connections.iter().filter(cut).for_each(|one| one.close());
        }
        self.shared.changed.notify_all();
    }

    /// Sets both directions between each of `some` and each of `others`.
    pub fn set_between(&self, some: &[usize], others: &[usize], passage: Passage) {
        self.set(some, others, passage);
        self.set(others, some, passage);
    }

    /// Opens everything.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.passages.iter_mut().flatten().flatten().for_each(|passage| *passage = Passage::Open);
        let is_spoiled = |one: &&Arc<Connection>| one.spoiled.load(Ordering::SeqCst);
        state.connections.iter().filter(is_spoiled).for_each(|one| one.close());
        self.shared.changed.notify_all();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        state.connections.iter().for_each(|one| one.close());
        drop(state);
        self.shared.changed.notify_all();
        for port in &self.shared.ports {
            for port in [*port, port + PEER_PORT_OFFSET] {
                // Wakes the listener, which then ends.
                let _ = TcpStream::connect((ANNOUNCED, port));
            }
        }
    }
}

fn listen(shared: &Arc<Shared>, listener: &TcpListener, called: usize, port: u16) {
    for near in listener.incoming() {
        if shared.state().ended {
            return;
        }
        let Ok(near) = near else { continue };
        let shared = Arc::clone(shared);
        // Whatever goes wrong with a connection is the end of that connection only.
        thread::spawn(move || serve(&shared, near, called, port));
    }
}

/// Passes on what goes over one connection, until it ends.
fn serve(shared: &Arc<Shared>, mut near: TcpStream, called: usize, port: u16) -> Option<()> {
    near.set_read_timeout(Some(GREETING_TIME)).ok()?;
    near.set_nodelay(true).ok()?;
    let traffic = match port >= PEER_PORT_OFFSET + shared.ports[0] {
        true => Traffic::Links,
        false => Traffic::Requests,
    };
    let (caller, greeting) = match traffic {
        Traffic::Links => read_hello(&mut near)?,
        Traffic::Requests => read_request(&mut near)?,
    };
    let caller = shared.ports.iter().position(|port| caller.ends_with(&format!(":{port}")))?;
    near.set_read_timeout(None).ok()?;
    let refuses = |state: &State| {
        let passages = &state.passages[traffic as usize];
        [passages[caller][called], passages[called][caller]].contains(&Passage::Refused)
    };
    if refuses(&shared.state()) {
        return None;
    }
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    far.set_nodelay(true).ok()?;
    let spoiled = AtomicBool::new(false);
    let connection = Arc::new(Connection { traffic, caller, called, near, far, spoiled });
    {
        let mut state = shared.state();
        if state.ended || refuses(&state) {
            return None;
        }
        state.connections.push(Arc::clone(&connection));
    }
    let back = {
        let (shared, connection) = (Arc::clone(shared), Arc::clone(&connection));
        thread::spawn(move || {
            let Connection { near, far, .. } = &*connection;
            pass_on(&shared, &connection, (called, caller), (far, near), Vec::new());
        })
    };
    let Connection { near, far, .. } = &*connection;
    pass_on(shared, &connection, (caller, called), (near, far), greeting);
    let _ = back.join();
    connection.close();
    shared.state().connections.retain(|one| !Arc::ptr_eq(one, &connection));
    Some(())
}

/// One direction: from `ends.0` to `ends.1`.
fn pass_on(
    shared: &Shared,
    connection: &Connection,
    route: (usize, usize),
    mut ends: (&TcpStream, &TcpStream),
    greeting: Vec<u8>,
) {
    let mut bytes = greeting;
    loop {
        if !bytes.is_empty() {
            match wait_for_passage(shared, connection.traffic, route, true) {
                Verdict::Pass if connection.spoiled.load(Ordering::SeqCst) => break,
                Verdict::Pass => {}
                Verdict::Lose => {
                    connection.spoiled.store(true, Ordering::SeqCst);
                    bytes.clear();
                }
                Verdict::Break => break,
            }
            if ends.1.write_all(&bytes).is_err() {
                break;
            }
        }
        bytes.resize(1 << 16, 0);
        match ends.0.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => bytes.truncate(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => bytes.clear(),
            Err(_) => break,
        }
    }
    // The end of a connection comes as late as its bytes do.
    wait_for_passage(shared, connection.traffic, route, false);
    connection.close();
}

enum Verdict {
    Pass,
    Lose,
    Break,
}

/// Waits until bytes may pass or, without `may_lose`, the end of a connection.
fn wait_for_passage(
    shared: &Shared,
    traffic: Traffic,
    (from, to): (usize, usize),
    may_lose: bool,
) -> Verdict {
    let mut state = shared.state();
    loop {
        if state.ended {
            return Verdict::Break;
        }
        match state.passages[traffic as usize][from][to] {
            Passage::Open => return Verdict::Pass,
            Passage::Refused => return Verdict::Break,
            Passage::Lost if may_lose => return Verdict::Lose,
            Passage::Slow(time) => {
                drop(state);
                wait::rest(time);
                return Verdict::Pass;
            }
            Passage::Lost | Passage::Stalled => state = shared.changed.wait(state).unwrap(),
        }
    }
}

/// The slot of the node that opens a link, and what was read to learn it.
fn read_hello(near: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut greeting = Vec::new();
    let mut reader = FrameReader::for_hello();
    let mut chunk = [0; 4096];
    loop {
        let count = near.read(&mut chunk).ok().filter(|count| *count > 0)?;
        greeting.extend_from_slice(&chunk[..count]);
        let mut input = &chunk[..count];
        if let Some(frame) = reader.read(&mut input).ok()? {
            let Frame::Hello(hello) = frame::decode(frame).ok()? else { return None };
            return Some((hello.slot, greeting));
        }
    }
}

/// The slot of the process that asks for its admission, and what was read to learn it.
fn read_request(near: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut greeting = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = near.read(&mut chunk).ok().filter(|count| *count > 0)?;
        greeting.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&greeting);
        let mut words = text.split("\r\n").skip_while(|word| *word != "SLOT").skip(2);
        // A word with another behind it is whole.
        if let (Some(slot), Some(_)) = (words.next(), words.next()) {
            return Some((slot.to_owned(), greeting));
        }
    }
}
