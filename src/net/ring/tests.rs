use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use glommio::{LocalExecutorBuilder, Placement};
use rkyv::util::AlignedVec;
use socket2::{Domain, Type};

use super::*;
use crate::net::socket::listen_socket;

/// Long enough for any machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test's owner of a ring on an executor of its own.
fn on_core<T: Send + 'static>(
    owner: impl AsyncFnOnce(&mut Ring) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    thread::spawn(|| {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(0)
            .ring_depth(128)
            .make()
            .unwrap();
        executor.run(async move {
            let mut ring = small_ring();
            owner(&mut ring).await
        })
    })
}

/// Few and small buffers, and a short queue, so that running out of them is part of every test.
fn small_ring() -> Ring {
    Ring::with_buffers(16, BufferShape { count: 8, bytes: 1024 }).unwrap()
}

fn listen(ring: &mut Ring) -> (Listener, SocketAddr) {
    let socket = listen_socket("127.0.0.1:0".parse().unwrap(), 1024).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (ring.listen(socket), address)
}

/// Passes and short waits until `done`, giving every event to `handle`.
fn drive<S>(
    ring: &mut Ring,
    state: &mut S,
    mut handle: impl FnMut(&mut S, &mut Ring, Event<'_>),
    mut done: impl FnMut(&mut S, &mut Ring) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = ring.pass(|ring, event| handle(state, ring, event)).unwrap();
        if done(state, ring) {
            return;
        }
        assert!(Instant::now() < deadline, "the ring did not come to the expected state");
        if events == 0 {
            ring.wait(Duration::from_millis(100)).unwrap();
        }
    }
}

/// A connection of `ring` and the blocking socket at its other end.
fn pair(ring: &mut Ring) -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    (ring.adopt(accepted.into()), stream)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

fn append(ring: &mut Ring, connection: Connection, bytes: &[u8]) {
    ring.output(connection).unwrap().extend_from_slice(bytes);
    ring.flush(connection);
}

#[derive(Default)]
struct Echo {
    open: usize,
    closed: usize,
}

impl Echo {
    fn on_event(&mut self, ring: &mut Ring, event: Event<'_>) {
        match event {
            Event::Accepted { socket, .. } => {
                self.open += 1;
                ring.adopt(socket);
            }
            Event::Received { connection, bytes } => append(ring, connection, bytes),
            Event::Ended { connection } => ring.close_after_flush(connection),
            Event::Closed { .. } => self.closed += 1,
            Event::Drained { .. } => {}
            Event::Connected { .. } | Event::ConnectFailed { .. } => unreachable!(),
        }
    }
}

/// Serves `count` connections to their end, waiting when there is nothing to do.
fn echo_server(count: usize) -> (SocketAddr, thread::JoinHandle<()>) {
    let (send, receive) = mpsc::channel();
    let server = on_core(async move |ring| {
        send.send(listen(ring).1).unwrap();
        let mut echo = Echo::default();
        while echo.closed < count {
            if ring.pass(|ring, event| echo.on_event(ring, event)).unwrap() == 0 {
                ring.wait(PATIENCE).unwrap();
            }
        }
    });
    (receive.recv().unwrap(), server)
}

#[test]
fn every_connection_gets_its_own_bytes_back() {
    let (address, server) = echo_server(60);
    let clients: Vec<_> = (0..60_usize)
        .map(|number| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                for round in 0..50 {
                    let bytes = pattern(1 + number * 37 + round * 101);
                    stream.write_all(&bytes).unwrap();
                    let mut back = vec![0; bytes.len()];
                    stream.read_exact(&mut back).unwrap();
                    assert_eq!(back, bytes);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    server.join().unwrap();
}

#[test]
fn half_closed_connection_still_gets_its_reply() {
    let (address, server) = echo_server(1);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"last words");
    server.join().unwrap();
}

#[test]
fn slow_reader_gets_all_of_a_large_output_in_order() {
    on_core(async |ring| {
        let (connection, mut stream) = pair(ring);
        let expected = pattern(9 << 20);
        for part in expected.chunks(3 << 20) {
            append(ring, connection, part);
            // Output gathers behind the send in flight.
            ring.pass(|_, event| assert!(!matches!(event, Event::Drained { .. }))).unwrap();
        }
        assert!(ring.queued_bytes(connection) > 4 << 20);
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer).unwrap() {
                    0 => return bytes,
                    len => bytes.extend_from_slice(&buffer[..len]),
                }
            }
        });
        let mut drained = 0;
        drive(
            ring,
            &mut drained,
            |drained, _, event| *drained += usize::from(matches!(event, Event::Drained { .. })),
            |drained, _| *drained > 0,
        );
        assert_eq!(ring.queued_bytes(connection), 0);
        ring.close(connection);
        drive(ring, &mut 0, |closed, _, _| *closed += 1, |closed, _| *closed == 1);
        assert!(reader.join().unwrap() == expected);
    })
    .join()
    .unwrap();
}

#[test]
fn close_after_flush_sends_everything_first() {
    on_core(async |ring| {
        let (connection, mut stream) = pair(ring);
        let expected = pattern(5 << 20);
        append(ring, connection, &expected);
        ring.close_after_flush(connection);
        assert!(ring.output(connection).is_none());
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let mut reasons = Vec::new();
        drive(
            ring,
            &mut reasons,
            |reasons, _, event| {
                if let Event::Closed { reason, .. } = event {
                    reasons.push(reason);
                }
            },
            |reasons, _| !reasons.is_empty(),
        );
        assert!(matches!(reasons[..], [CloseReason::Local]));
        assert_eq!(reader.join().unwrap(), expected);
    })
    .join()
    .unwrap();
}

#[test]
fn a_second_close_after_flush_changes_nothing() {
    on_core(async |ring| {
        let (connection, mut stream) = pair(ring);
        // More than the kernel takes at once, so that the second finds the first under way.
        let expected = pattern(5 << 20);
        append(ring, connection, &expected);
        ring.close_after_flush(connection);
        ring.close_after_flush(connection);
        ring.pass(|_, event| panic!("{event:?}")).unwrap();
        ring.close_after_flush(connection);
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let mut reasons = Vec::new();
        drive(
            ring,
            &mut reasons,
            |reasons, _, event| match event {
                Event::Closed { reason, .. } => reasons.push(reason),
                event => panic!("{event:?}"),
            },
            |reasons, _| !reasons.is_empty(),
        );
        assert!(matches!(reasons[..], [CloseReason::Local]), "{reasons:?}");
        ring.close_after_flush(connection);
        ring.pass(|_, event| panic!("{event:?}")).unwrap();
        assert!(reader.join().unwrap() == expected);
    })
    .join()
    .unwrap();
}

#[test]
fn peer_that_vanishes_mid_send_closes_the_connection_once() {
    on_core(async |ring| {
        let (connection, stream) = pair(ring);
        append(ring, connection, &pattern(32 << 20));
        ring.pass(|_, _| ()).unwrap();
        // Unread bytes make this a reset.
        drop(stream);
        let mut reasons = Vec::new();
        let note = |reasons: &mut Vec<_>, _: &mut Ring, event: Event<'_>| match event {
            Event::Closed { reason, connection: closed } => {
                assert_eq!(closed, connection);
                reasons.push(reason);
            }
            event => assert!(matches!(event, Event::Ended { .. }), "{event:?}"),
        };
        drive(ring, &mut reasons, note, |reasons, _| !reasons.is_empty());
        assert!(matches!(reasons[..], [CloseReason::Failed(_)]), "{reasons:?}");
        for _ in 0..10 {
            ring.pass(|_, event| panic!("{event:?} after the end")).unwrap();
        }
        // The dead handle does nothing, also when its slot is taken again.
        let (next, mut stream) = pair(ring);
        assert_eq!(next.index(), connection.index());
        assert!(ring.output(connection).is_none());
        ring.flush(connection);
        ring.close(connection);
        ring.send_frame(connection, b"nothing".to_vec(), []);
        append(ring, next, b"alive");
        ring.close_after_flush(next);
        drive(ring, &mut 0, |count, _, _| *count += 1, |count, _| *count > 0);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"alive");
    })
    .join()
    .unwrap();
}

#[test]
fn close_cuts_a_send_that_no_one_reads() {
    on_core(async |ring| {
        let (connection, stream) = pair(ring);
        append(ring, connection, &pattern(32 << 20));
        ring.pass(|_, _| ()).unwrap();
        ring.close(connection);
        assert_eq!(ring.queued_bytes(connection).min(1), 1);
        let mut closed = 0;
        drive(
            ring,
            &mut closed,
            |closed, _, event| {
                assert!(matches!(event, Event::Closed { reason: CloseReason::Local, .. }));
                *closed += 1;
            },
            |closed, _| *closed == 1,
        );
        assert_eq!(ring.queued_bytes(connection), 0);
        drop(stream);
    })
    .join()
    .unwrap();
}

#[test]
fn paused_connection_backs_up_and_loses_nothing() {
    on_core(async |ring| {
        let (connection, stream) = pair(ring);
        ring.pause(connection);
        let paused = |ring: &mut Ring| ring.endpoint(connection.index).receive == Receive::Idle;
        drive(ring, &mut (), |(), _, event| panic!("{event:?}"), |(), ring| paused(ring));
        let total = 8 << 20;
        stream.set_nonblocking(true).unwrap();
        let expected = pattern(total);
        let mut sent = 0;
        let mut received = Vec::new();
        let take = |received: &mut Vec<u8>, _: &mut Ring, event: Event<'_>| match event {
            Event::Received { bytes, .. } => received.extend_from_slice(bytes),
            event => panic!("{event:?}"),
        };
        // The kernel's buffers fill, and then the sender is refused although the ring turns.
        let mut refusals = 0;
        while refusals < 100 {
            match (&stream).write(&expected[sent..]) {
                Ok(len) => sent += len,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    refusals += 1;
                }
            }
            ring.pass(|ring, event| take(&mut received, ring, event)).unwrap();
        }
        assert!(sent < total);
        assert!(received.is_empty());
        ring.resume(connection);
        let writer = thread::spawn(move || {
            stream.set_nonblocking(false).unwrap();
            (&stream).write_all(&pattern(total)[sent..]).unwrap();
            stream
        });
        // Pauses and resumes in between, as fast as they come, lose nothing either.
        let mut turn = 0;
        drive(ring, &mut received, take, |received, ring| {
            turn += 1;
            match turn % 3 {
                0 => ring.pause(connection),
                1 => ring.resume(connection),
                _ => {}
            }
            received.len() == total
        });
        assert!(received == expected);
        writer.join().unwrap();
    })
    .join()
    .unwrap();
}

#[test]
fn refused_connect_is_told_once() {
    on_core(async |ring| {
        // Bound and not listening: refused, and nobody else can take the port meanwhile.
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bound.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        let address = bound.local_addr().unwrap().as_socket().unwrap();
        let connection = ring.connect(address);
        append(ring, connection, b"never sent");
        let mut errors = Vec::new();
        drive(
            ring,
            &mut errors,
            |errors, _, event| match event {
                Event::ConnectFailed { connection: failed, error } => {
                    assert_eq!(failed, connection);
                    errors.push(error.kind());
                }
                event => panic!("{event:?}"),
            },
            |errors, _| !errors.is_empty(),
        );
        assert_eq!(errors, [io::ErrorKind::ConnectionRefused]);
        assert!(ring.output(connection).is_none());
    })
    .join()
    .unwrap();
}

#[test]
fn who_connects_again_whenever_a_connect_fails_still_gets_out_of_a_pass() {
    on_core(async |ring| {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let refusing = free.local_addr().unwrap();
        drop(free);
        // The kernel refuses the first later, the second (to a broadcast address) at once.
        for address in [refusing, "255.255.255.255:9".parse().unwrap()] {
            let mut attempts = vec![ring.connect(address)];
            drive(
                ring,
                &mut attempts,
                |attempts, ring, event| match event {
                    Event::ConnectFailed { connection, .. } => {
                        assert_eq!(Some(&connection), attempts.last());
                        attempts.push(ring.connect(address));
                    }
                    event => panic!("{event:?}"),
                },
                |attempts, _| attempts.len() == 5,
            );
            let last = *attempts.last().unwrap();
            ring.close(last);
            let mut closed = Vec::new();
            drive(
                ring,
                &mut closed,
                |closed, _, event| match event {
                    Event::Closed { connection, .. } | Event::ConnectFailed { connection, .. } => {
                        closed.push(connection)
                    }
                    event => panic!("{event:?}"),
                },
                |closed, _| !closed.is_empty(),
            );
            assert_eq!(closed, [last]);
        }
    })
    .join()
    .unwrap();
}

#[test]
fn connecting_connection_can_be_closed() {
    on_core(async |ring| {
        // A full accept queue leaves the next connect without an answer.
        let socket = listen_socket("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let all: Vec<_> = (0..8).map(|_| ring.connect(address)).collect();
        let mut connected = 0;
        let mut closed = 0;
        for connection in &all {
            ring.close(*connection);
        }
        drive(
            ring,
            &mut (),
            |(), _, event| match event {
                Event::Connected { .. } => connected += 1,
                Event::Closed { reason: CloseReason::Local, .. } => closed += 1,
                event => panic!("{event:?}"),
            },
            |(), ring| ring.free.len() == 8,
        );
        assert_eq!((connected, closed), (0, 8));
    })
    .join()
    .unwrap();
}

#[test]
fn outgoing_connection_sends_what_was_queued_before_it_was_connected() {
    on_core(async |ring| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = ring.connect(listener.local_addr().unwrap());
        append(ring, connection, b"early");
        let mut connected = false;
        drive(
            ring,
            &mut connected,
            |connected, _, event| *connected |= matches!(event, Event::Connected { .. }),
            |connected, ring| *connected && ring.queued_bytes(connection) == 0,
        );
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"early");
        stream.write_all(b"hello").unwrap();
        let mut received = Vec::new();
        drive(
            ring,
            &mut received,
            |received, _, event| {
                if let Event::Received { bytes, .. } = event {
                    received.extend_from_slice(bytes);
                }
            },
            |received, _| received.len() == 5,
        );
    })
    .join()
    .unwrap();
}

#[test]
fn doorbell_of_another_thread_ends_a_wait() {
    let (send, receive) = mpsc::channel::<Doorbell>();
    let (inbox, mailbox) = mpsc::channel();
    let rounds = 500_u32;
    let owner = on_core(async move |ring| {
        send.send(ring.doorbell()).unwrap();
        let start = Instant::now();
        let mut expected = 0;
        while expected < rounds {
            ring.pass(|_, event| panic!("{event:?}")).unwrap();
            let before = expected;
            while let Ok(number) = mailbox.try_recv() {
                assert_eq!(number, expected);
                expected += 1;
            }
            if expected == before {
                ring.wait(PATIENCE).unwrap();
            }
        }
        assert!(start.elapsed() < PATIENCE, "a wait lasted to its end");
    });
    let bell = receive.recv().unwrap();
    for number in 0..rounds {
        inbox.send(number).unwrap();
        bell.ring();
        if number % 7 == 0 {
            thread::yield_now();
        }
    }
    owner.join().unwrap();
}

#[test]
fn bell_rung_before_the_owner_sleeps_is_not_lost() {
    on_core(async |ring| {
        let start = Instant::now();
        ring.pass(|_, _| ()).unwrap();
        ring.doorbell().ring();
        ring.wait(PATIENCE).unwrap();
        assert!(start.elapsed() < PATIENCE);
    })
    .join()
    .unwrap();
}

#[test]
fn wait_ends_at_its_time_limit() {
    on_core(async |ring| {
        ring.pass(|_, _| ()).unwrap();
        let start = Instant::now();
        ring.wait(Duration::from_millis(5)).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(4));
    })
    .join()
    .unwrap();
}

#[test]
fn closed_connections_leave_no_descriptor_behind() {
    on_core(async |ring| {
        let (listener, address) = listen(ring);
        let mut echo = Echo::default();
        let first_port = address.port();
        for round in 0..100 {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"ping").unwrap();
            drive(ring, &mut echo, Echo::on_event, |echo, _| echo.open == round + 1);
            drop(stream);
            drive(ring, &mut echo, Echo::on_event, |echo, _| echo.closed == round + 1);
        }
        assert_eq!(ring.slots.len(), 1, "a slot is used again");
        assert_eq!(sockets_of_port(first_port), 1, "the listener alone is left");
        ring.stop_listening(listener);
        drive(ring, &mut echo, Echo::on_event, |_, ring| {
            matches!(ring.listeners[0], ListenerState::Stopped)
        });
        assert_eq!(sockets_of_port(first_port), 0);
    })
    .join()
    .unwrap();
}

/// How many descriptors of this process are sockets bound to `port`.
fn sockets_of_port(port: u16) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let bound = |fd: RawFd| {
        // A descriptor of another test may be closed, or be no socket, by now.
        let file = std::fs::File::open(format!("/proc/self/fdinfo/{fd}")).ok()?;
        drop(file);
        let duplicate = duplicate(fd)?;
        Some(Socket::from(duplicate).local_addr().ok()?.as_socket()?.port() == port)
    };
    links
        .filter_map(|link| link.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| bound(*fd) == Some(true))
        .count()
}

fn duplicate(fd: RawFd) -> Option<std::os::fd::OwnedFd> {
    // SAFETY: the descriptor is only duplicated; a closed one makes the call fail.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    // SAFETY: a successful call has made a descriptor that is ours.
    (copy >= 0).then(|| unsafe { std::os::fd::FromRawFd::from_raw_fd(copy) })
}

#[test]
fn frames_and_output_arrive_as_queued() {
    on_core(async |ring| {
        let (connection, mut stream) = pair(ring);
        let mut expected = Vec::new();
        for round in 0..300_usize {
            let text = format!("reply {round};");
            ring.output(connection).unwrap().extend_from_slice(text.as_bytes());
            expected.extend_from_slice(text.as_bytes());
            let lens = [0, 1, 15, 16, 17, round * 53, if round % 100 == 7 { 3 << 20 } else { 32 }];
            let payloads = lens.map(|len| {
                let mut buffer = AlignedVec::new();
                buffer.extend_from_slice(&pattern(len));
                Payload::new(buffer)
            });
            let header = vec![b'H'; round % 40];
            expected.extend_from_slice(&header);
            for payload in &payloads {
                expected.extend_from_slice(payload.as_slice());
                let padded = expected.len() + payload.len().next_multiple_of(16) - payload.len();
                expected.resize(padded, 0);
            }
            ring.send_frame(connection, header, payloads);
            if round % 5 == 0 {
                ring.pass(|_, _| ()).unwrap();
            }
        }
        let len = expected.len();
        assert!(ring.queued_bytes(connection) > 0);
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; len];
            stream.read_exact(&mut bytes).unwrap();
            bytes
        });
        drive(ring, &mut (), |(), _, _| (), |(), ring| ring.queued_bytes(connection) == 0);
        assert!(reader.join().unwrap() == expected);
    })
    .join()
    .unwrap();
}

#[test]
fn many_simultaneous_connects_are_all_accepted() {
    on_core(async |ring| {
        let (_, address) = listen(ring);
        let clients = thread::spawn(move || {
            let streams: Vec<_> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
            for (number, stream) in streams.iter().enumerate() {
                let mut stream = stream;
                stream.write_all(&(number as u32).to_le_bytes()).unwrap();
            }
            for (number, stream) in streams.iter().enumerate() {
                let mut back = [0; 4];
                let mut stream = stream;
                stream.read_exact(&mut back).unwrap();
                assert_eq!(u32::from_le_bytes(back), number as u32);
            }
        });
        let mut echo = Echo::default();
        drive(ring, &mut echo, Echo::on_event, |echo, _| echo.closed == 300);
        assert_eq!(echo.open, 300);
        clients.join().unwrap();
    })
    .join()
    .unwrap();
}

#[test]
fn accepted_socket_moves_to_another_ring() {
    let (send, receive) = mpsc::channel::<Socket>();
    let (bells, bell) = mpsc::channel::<Doorbell>();
    let other = on_core(async move |ring| {
        bells.send(ring.doorbell()).unwrap();
        let mut echo = Echo::default();
        while echo.closed == 0 {
            let events = ring.pass(|ring, event| echo.on_event(ring, event)).unwrap();
            if let Ok(socket) = receive.try_recv() {
                ring.adopt(socket);
            } else if events == 0 {
                ring.wait(PATIENCE).unwrap();
            }
        }
    });
    on_core(async move |ring| {
        let (_, address) = listen(ring);
        let bell = bell.recv().unwrap();
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"moved").unwrap();
            let mut back = [0; 5];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"moved");
        });
        let mut moved = 0;
        drive(
            ring,
            &mut moved,
            |moved, _, event| {
                let Event::Accepted { socket, peer, .. } = event else { panic!("{event:?}") };
                assert!(peer.ip().is_loopback());
                send.send(socket).unwrap();
                bell.ring();
                *moved += 1;
            },
            |moved, _| *moved == 1,
        );
        client.join().unwrap();
    })
    .join()
    .unwrap();
    other.join().unwrap();
}

#[test]
fn dropped_ring_waits_for_the_kernel_to_let_go() {
    on_core(async |_| {
        for _ in 0..3 {
            let mut ring = small_ring();
            let mut held = Vec::new();
            let (_, address) = listen(&mut ring);
            for _ in 0..4 {
                let (connection, stream) = pair(&mut ring);
                append(&mut ring, connection, &vec![7; 8 << 20]);
                held.push(stream);
            }
            ring.connect(address);
            ring.pass(|_, _| ()).unwrap();
            let start = Instant::now();
            drop(ring);
            assert!(start.elapsed() < PATIENCE);
            let mut ended: HashMap<RawFd, usize> = HashMap::new();
            for mut stream in held {
                let mut bytes = Vec::new();
                // The end may be a reset; what counts is that the socket was let go of.
                let _end = stream.read_to_end(&mut bytes);
                ended.insert(stream.as_raw_fd(), bytes.len());
            }
            assert_eq!(ended.len(), 4);
        }
    })
    .join()
    .unwrap();
}
