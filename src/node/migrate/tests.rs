use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

fn value(key: &str, ttl_ms: u64) -> Dumped {
    let version = b"7".to_vec();
    Dumped { key: key.as_bytes().to_vec(), version, ttl_ms, payload: b"x".to_vec() }
}

/// A server that gives these replies, one for each request, and then closes; it tells the requests.
fn target(replies: &'static [&'static str]) -> (Target, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let serve = move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut requests = Vec::new();
        for reply in replies {
            requests.push(request(&mut stream));
            stream.get_mut().write_all(format!("{reply}\r\n").as_bytes()).unwrap();
        }
        requests
    };
    let timeout = Duration::from_secs(10);
    let credentials = Credentials { user: "u".to_owned(), password: "p".to_owned() };
    let host = "127.0.0.1".to_owned();
    (Target { host, port, credentials, database: 3, timeout }, thread::spawn(serve))
}

fn request(stream: &mut BufReader<std::net::TcpStream>) -> String {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        line.trim_end()[1..].parse::<usize>().unwrap()
    };
    let count = line();
    let mut words = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let mut word = vec![0; line.trim_end()[1..].parse::<usize>().unwrap() + 2];
        stream.read_exact(&mut word).unwrap();
        words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
    }
    words.join(" ")
}

fn taken(keys: &[&str]) -> Vec<(Vec<u8>, Vec<u8>)> {
    keys.iter().map(|key| (key.as_bytes().to_vec(), b"7".to_vec())).collect()
}

#[test]
fn what_the_target_takes_is_told_beside_its_first_refusal() {
    let (to, server) = target(&["+OK", "+OK", "+OK", "-BUSYKEY there", "-ERR late", "+OK"]);
    let values = [value("a", 0), value("b", 90_000), value("c", 0), value("d", 0)];
    let sent = send(&to, true, &values);
    let failure = sent.failure.unwrap().to_string();
    assert_eq!(failure, "ERR Target instance replied with error: BUSYKEY there");
    assert_eq!(sent.taken, taken(&["a", "d"]));
    let requests = server.join().unwrap();
    assert_eq!(requests[..3], ["AUTH u p", "SELECT 3", "RESTORE a 0 x REPLACE"]);
    let words: Vec<&str> = requests[3].split(' ').collect();
    let ttl_ms: u64 = words[2].parse().unwrap();
    assert!(ttl_ms > 60_000 && ttl_ms <= 90_000, "{ttl_ms}");
}

#[test]
fn what_was_taken_before_the_target_is_gone_counts() {
    let (to, server) = target(&["+OK", "+OK", "+OK"]);
    let sent = send(&to, false, &[value("a", 0), value("b", 0)]);
    assert_eq!((sent.taken, sent.failure), (taken(&["a"]), Some(SendError::Read)));
    assert_eq!(server.join().unwrap()[2], "RESTORE a 0 x");
}

#[test]
fn who_is_not_let_in_sends_nothing() {
    let (to, server) = target(&["-WRONGPASS no"]);
    let sent = send(&to, false, &[value("a", 0)]);
    let failure = Some(SendError::Refused("WRONGPASS no".to_owned()));
    assert_eq!(sent, Sent { taken: Vec::new(), failure });
    assert_eq!(server.join().unwrap(), ["AUTH u p"]);
    for (host, port, expected) in
        [("no such host", "1", SendError::Connect), ("127.0.0.1", "1", SendError::Write)]
    {
        let to = Target { host: host.to_owned(), port: port.to_owned(), ..to.clone() };
        assert_eq!(send(&to, false, &[value("a", 0)]).failure, Some(expected));
    }
}

#[test]
fn what_the_engine_tells_is_understood() {
    let reply = b"*4\r\n$1\r\na\r\n$1\r\n7\r\n$2\r\n12\r\n$1\r\nx\r\n";
    assert_eq!(dumped(reply), [value("a", 12)]);
    assert_eq!(dumped(b"*0\r\n"), []);
}
