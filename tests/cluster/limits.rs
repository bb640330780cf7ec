//! Many clients, and clients that take without giving: every limit has its stated behaviour.

use crate::client::{Client, Value, encode};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::{is_stand_in, peak_memory, raise_open_files, run_tool};
use crate::wait::{self, LONG};

on_both_layouts!(
    thousands_of_clients_work_beside_thousands_of_idle_ones,
    a_client_that_never_reads_cannot_grow_memory,
    a_client_over_maxclients_is_told_so,
    a_client_that_goes_away_takes_its_memory_along,
);

fn thousands_of_clients_work_beside_thousands_of_idle_ones(layout: Layout) {
    const IDLE: usize = 4000;
    let files = raise_open_files();
    assert!(files >= 16_384, "only {files} files may be open: raise the hard limit (ulimit -Hn)");
    let mut cluster = Cluster::start(layout);
    let port = cluster.nodes[1].port;
    let mut idle: Vec<Client> = (0..IDLE).map(|_| Client::connect(port)).collect();
    // Each is known to the node, not only to the kernel's accept queue.
    for client in &mut idle {
        assert_eq!(client.call("PING").text(), "PONG");
    }
    let load = format!("-p {port} -c 5000 -n 50000 -P 1 -q -t set,get,incr");
    let (success, printed) = run_tool("redis-benchmark", &load);
    assert!(success && !printed.to_lowercase().contains("error"), "{printed}");
    for client in &mut idle {
        assert!(matches!(client.call("INCR served"), Value::Integer(_)));
    }
    let served = cluster.client(2).call("GET served");
    assert_eq!(served, Value::bulk(&IDLE.to_string()));
    drop(idle);
    wait::until_true("all clients gone", LONG, || {
        let connected = cluster.nodes[1].info("connected_clients").unwrap();
        connected.parse::<usize>().unwrap() < 10
    });
    cluster.check_alive();
}

const MIB: usize = 1 << 20;

fn a_client_that_never_reads_cannot_grow_memory(layout: Layout) {
    const ASKED_MIB: usize = 1000;
    let mut cluster = Cluster::start(layout);
    let (port, pid) = match is_stand_in() {
        true => (cluster.nodes[0].port, cluster.nodes[0].pid()),
        false => (cluster.nodes[1].port, cluster.nodes[1].pid()),
    };
    let mut admin = Client::connect(port);
    let limit = format!("normal {} 0 0", 8 * MIB);
    let set = [&b"CONFIG"[..], b"SET", b"client-output-buffer-limit", limit.as_bytes()];
    assert_eq!(admin.call_words(&set), Value::ok());
    assert_eq!(admin.call_words(&[b"SET", b"large", &vec![b'x'; MIB]]), Value::ok());
    let before = peak_memory(pid);
    let mut greedy = Client::connect(port);
    let requests = encode(&[b"GET", b"large"]).repeat(ASKED_MIB);
    // Too few bytes to be held up by a full socket buffer, so all of them are sent.
    greedy.send(&requests).unwrap();
    let received = greedy_share(&mut greedy, &mut admin);
    assert!(received < ASKED_MIB * MIB / 2, "got {received} bytes: was never closed");
    let grown = peak_memory(pid).saturating_sub(before) as usize;
    assert!(grown < 64 * MIB, "grew by {} MiB", grown / MIB);
    cluster.check_alive();
}

/// What a client still gets that reads only after the node has closed it.
fn greedy_share(greedy: &mut Client, admin: &mut Client) -> usize {
    wait::until_true("the node closes the client that does not read", LONG, || {
        let clients = admin.call("CLIENT LIST").text();
        clients.lines().count() == 1
    });
    greedy.read_to_end().len()
}

fn a_client_over_maxclients_is_told_so(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let mut admin = cluster.client(1);
    assert_eq!(admin.call("CONFIG SET maxclients 20"), Value::ok());
    let mut within: Vec<Client> = Vec::new();
    let refused = loop {
        let mut client = cluster.client(1);
        match client.try_call("PING") {
            Ok(Value::Simple(_)) => within.push(client),
            Ok(refusal) => break refusal,
            Err(error) => panic!("refused without a word: {error}"),
        }
        assert!(within.len() < 20, "more clients than maxclients");
    };
    assert_eq!(refused, Value::Error("ERR max number of clients reached".into()));
    // Whoever is in stays in, and a place that is given up can be taken again.
    assert!(within.iter_mut().all(|client| client.call("PING").text() == "PONG"));
    within.truncate(5);
    wait::until_true("a place for a new client", LONG, || {
        cluster.client(1).try_call("PING").is_ok_and(|reply| reply.text() == "PONG")
    });
    assert_eq!(admin.call("CONFIG SET maxclients 10000"), Value::ok());
    cluster.check_alive();
}

fn a_client_that_goes_away_takes_its_memory_along(layout: Layout) {
    const ROUNDS: usize = 300;
    let mut cluster = Cluster::start(layout);
    let pid = cluster.nodes[0].pid();
    let half = [&encode(&[b"SET", b"k"])[..], b"$8388608\r\n", &vec![b'x'; MIB]].concat();
    let round = |cluster: &Cluster| {
        let mut client = cluster.client(0);
        // "*3" for the two words and the value that never comes whole.
        client.send(&[b"*3", &half[2..]].concat()).unwrap();
        assert_eq!(cluster.client(0).call("PING").text(), "PONG");
    };
    for _ in 0..10 {
        round(&cluster);
    }
    let before = peak_memory(pid);
    for _ in 0..ROUNDS {
        round(&cluster);
    }
    let grown = peak_memory(pid).saturating_sub(before) as usize;
    assert!(grown < ROUNDS * MIB / 4, "{ROUNDS} rounds of 1 MiB left {} MiB", grown / MIB);
    cluster.check_alive();
}
