//! The client port as Redis's own clients and its attackers know it. Every expectation here is one
//! that redis-server meets too.

use crate::client::{Client, Value, encode};
use crate::cluster::{Cluster, Layout, on_both_layouts};
use crate::process::{PEER_PORT_OFFSET, is_stand_in};

on_both_layouts!(
    inline_commands_work,
    protocol_errors_are_told_and_close_the_connection,
    garbage_on_the_client_port_harms_nobody,
    garbage_on_the_peer_port_harms_nobody,
    requests_split_anywhere_are_understood,
    resp3_is_spoken_on_request,
    unknown_commands_are_named_in_the_reply,
    large_values_come_back_whole,
    errors_of_transactions_leave_a_connection_as_it_was,
);

fn inline_commands_work(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut client = cluster.client(1);
    client.send(b"PING\r\n\r\n  set a  \"b\\x20c\" \nget a\r\nECHO 'it\\'s'\r\n").unwrap();
    assert_eq!(client.receive().unwrap(), Value::Simple("PONG".into()));
    assert_eq!(client.receive().unwrap(), Value::ok());
    assert_eq!(client.receive().unwrap(), Value::bulk("b c"));
    assert_eq!(client.receive().unwrap(), Value::bulk("it's"));
    // Empty and negative arrays are passed over.
    client.send(b"*0\r\n*-1\r\nPING\r\n").unwrap();
    assert_eq!(client.receive().unwrap(), Value::Simple("PONG".into()));
}

fn protocol_errors_are_told_and_close_the_connection(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    let cases: [(&[u8], &str); 7] = [
        (b"*1\r\n:4\r\n", "expected '$', got ':'"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$-5\r\n", "invalid bulk length"),
        (b"*1\r\n$abc\r\n", "invalid bulk length"),
        (b"set \"a\r\n", "unbalanced quotes in request"),
    ];
    for (request, text) in cases {
        let mut client = cluster.client(2);
        // What came before the error is still executed and answered.
        client.send(&[b"SET before 1\r\n", request].concat()).unwrap();
        let answered = String::from_utf8(client.read_to_end()).unwrap();
        assert_eq!(answered, format!("+OK\r\n-ERR Protocol error: {text}\r\n"));
    }
    let mut client = cluster.client(2);
    client.send(&[b'a'; 70_000]).unwrap();
    let answered = String::from_utf8(client.read_to_end()).unwrap();
    assert_eq!(answered, "-ERR Protocol error: too big inline request\r\n");
    cluster.check_alive();
}

/// Bytes without a pattern, the same in every run (xorshift64).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(step).collect()
}

fn garbage_on_the_client_port_harms_nobody(layout: Layout) {
    let mut cluster = Cluster::start(layout);
    assert_eq!(cluster.client(0).call("SET witness 1"), Value::ok());
    for seed in 1..=60 {
        let mut client = cluster.client(seed as usize % 3);
        let mut bytes = noise(seed, 100 * seed as usize);
        if seed % 3 == 0 {
            // Seems right for a while.
            bytes.splice(0..0, *b"*3\r\n$3\r\nSET\r\n$");
        }
        // The server may close before it has read everything.
        let _ = client.send(&bytes);
        if seed % 2 == 0 {
            client.finish_sending();
            client.read_to_end();
        }
    }
    cluster.check_alive();
    assert_eq!(cluster.client(1).call("GET witness"), Value::bulk("1"));
}

fn garbage_on_the_peer_port_harms_nobody(layout: Layout) {
    if is_stand_in() {
        return;
    }
    // Nobody stands for election because the machine is slow.
    let mut cluster = Cluster::start_with(layout, "--raft.election-timeout 10000");
    let leader = cluster.leader();
    let term = cluster.nodes[leader].term();
    assert_eq!(cluster.client(0).call("SET witness 1"), Value::ok());
    let mut silent = Vec::new();
    for seed in 1..=60u64 {
        let port = cluster.nodes[seed as usize % 3].port + PEER_PORT_OFFSET;
        let bytes = match seed % 4 {
            0 => noise(seed, 100_000),
            1 => vec![0xff; 4096],
            2 => vec![0; 4096],
            _ => encode(&[b"SET", b"witness", b"2"]),
        };
        let mut link = Client::connect(port);
        let _ = link.send(&bytes);
        // The node closes the link; it does not wait for what will never come.
        link.finish_sending();
        link.read_to_end();
        silent.push(Client::connect(port));
    }
    cluster.check_alive();
    assert_eq!(cluster.leader(), leader);
    assert_eq!(cluster.nodes[leader].term(), term, "consensus took no notice");
    for node in &cluster.nodes {
        assert_eq!(node.client().call("GET witness"), Value::bulk("1"));
        assert_eq!(node.client().call("INCR counter").text().parse::<u32>().ok(), Some(1));
        node.client().call("DEL counter");
    }
}

fn requests_split_anywhere_are_understood(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut client = cluster.client(1);
    let request = encode(&[b"SET", b"split", b"a\r\nb"]);
    for cut in 1..request.len() {
        client.send(&request[..cut]).unwrap();
        // A reply to another client shows that the node has had time to see the first half.
        cluster.client(1).call("PING");
        client.send(&request[cut..]).unwrap();
        assert_eq!(client.receive().unwrap(), Value::ok(), "cut at {cut}");
    }
    assert_eq!(client.call("GET split"), Value::bulk("a\r\nb"));
}

fn resp3_is_spoken_on_request(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut client = cluster.client(2);
    client.call("HSET hash field value");
    let flat = vec![Value::bulk("field"), Value::bulk("value")];
    assert_eq!(client.call("HGETALL hash"), Value::Array(flat.clone()));
    let Value::Map(hello) = client.call("HELLO 3") else { panic!("HELLO 3 answers a map") };
    assert!(hello.chunks(2).any(|pair| pair == [Value::bulk("proto"), Value::Integer(3)]));
    assert_eq!(client.call("HGETALL hash"), Value::Map(flat));
    assert_eq!(client.call("GET nothing"), Value::Null);
    let refused = client.call("HELLO 4");
    assert_eq!(refused, Value::Error("NOPROTO unsupported protocol version".into()));
}

fn unknown_commands_are_named_in_the_reply(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut client = cluster.client(1);
    let unknown = "ERR unknown command 'nosuch', with args beginning with: 'a' 'b' ";
    assert_eq!(client.call("nosuch a b"), Value::Error(unknown.into()));
    let arity = "ERR wrong number of arguments for 'get' command";
    assert_eq!(client.call("GET"), Value::Error(arity.into()));
    assert_eq!(client.call("PING").text(), "PONG");
}

fn large_values_come_back_whole(layout: Layout) {
    let cluster = Cluster::start(layout);
    for (position, len) in [1 << 10, 1 << 16, (1 << 20) + 1, 12 << 20].into_iter().enumerate() {
        let value = noise(len as u64, len);
        let written = cluster.client(position % 3).call_words(&[b"SET", b"large", &value]);
        assert_eq!(written, Value::ok(), "{len} bytes");
        for node in &cluster.nodes {
            let read = node.client().call("GET large");
            assert!(read == Value::Bulk(value.clone()), "{len} bytes from {}", node.port);
        }
    }
}

fn errors_of_transactions_leave_a_connection_as_it_was(layout: Layout) {
    let cluster = Cluster::start(layout);
    let mut client = cluster.client(1);
    let is_error = |value: &Value| matches!(value, Value::Error(_));
    for command in ["DISCARD", "EXEC", "DISCARD now", "EXEC now", "MULTI now"] {
        assert!(is_error(&client.call(command)), "{command}");
        assert_eq!(client.call("PING").text(), "PONG", "after {command}");
    }
    // Whether it is known or not, what ends it ends it.
    let begun = client.call("MULTI");
    assert!(is_error(&client.call("SET few")));
    assert_eq!(is_error(&begun), is_error(&client.call("DISCARD")));
    assert!(is_error(&client.call("DISCARD")));
    assert_eq!(client.call("SET k v"), Value::ok());
    assert_eq!(client.call("GET k"), Value::bulk("v"));
}
