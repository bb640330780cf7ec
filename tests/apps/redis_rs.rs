//! What an application with redis-rs does, while the leader dies.
//!
//! A connection of redis-rs does not open itself again: on an error that breaks it, the application
//! asks its `Client` for another one. That is what [`Durable`] does, and all that it does.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use redis::{Commands, Connection, ErrorKind, RedisResult};

use crate::cluster::Layout;
use crate::scenario::Stage;
use crate::wait::{self, LONG};

/// Writes of each writer, and after how many in all the leader dies.
const WRITES: u32 = 400;
const WRITERS: u32 = 3;

/// Longer than any reply may take.
const REPLY_TIME: Duration = Duration::from_secs(30);

fn connect(port: u16) -> RedisResult<Connection> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let connection = client.get_connection_with_timeout(REPLY_TIME)?;
    connection.set_read_timeout(Some(REPLY_TIME))?;
    Ok(connection)
}

pub fn tour(layout: Layout) {
    let mut stage = Stage::start(layout);
    let ports = stage.ports();
    for port in &ports {
        let mut connection = connect(*port).unwrap();
        redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
        types(&mut connection, &mut connect(ports[1]).unwrap());
        pipelines(&mut connection);
        transaction(&mut connection);
        messages(*port, &mut connection);
    }
    let acknowledged = AtomicU32::new(0);
    thread::scope(|scope| {
        for (writer, port) in ports.iter().enumerate() {
            let acknowledged = &acknowledged;
            scope.spawn(move || write(*port, writer, acknowledged));
        }
        let half = WRITES * WRITERS / 2;
        let is_half = || acknowledged.load(Ordering::Relaxed) >= half;
        wait::until_true("half of the writes", LONG, is_half);
        stage.replace_leader();
    });
    let mut connection = connect(ports[2]).unwrap();
    let members: u32 = connection.scard("written").unwrap();
    assert_eq!(members, WRITES * WRITERS, "members of a set that every write adds to");
    for writer in 0..WRITERS {
        let count: u32 = connection.get(format!("count:{writer}")).unwrap();
        // The node of the first dies: a write whose reply was lost with it is made again, and may
        // count twice. The others keep their connection, and each of their writes counts once.
        let most = if writer == 0 { WRITES + 1 } else { WRITES };
        assert!((WRITES..=most).contains(&count), "writer {writer}: {count}");
    }
    stage.finish();
}

fn types(connection: &mut Connection, other: &mut Connection) {
    let _: () = connection.set_ex("text", "grüße", 100).unwrap();
    assert_eq!(other.get::<_, String>("text").unwrap(), "grüße");
    assert_eq!(other.get::<_, Option<String>>("none").unwrap(), None);
    assert!((90..=100).contains(&other.ttl::<_, i64>("text").unwrap()));
    assert_eq!(connection.incr::<_, _, i64>("number", 42).unwrap(), 42);
    let _: () = connection.hset_multiple("hash", &[("f", 1), ("g", 2)]).unwrap();
    let hash: HashMap<String, u32> = other.hgetall("hash").unwrap();
    assert_eq!(hash, HashMap::from([("f".into(), 1), ("g".into(), 2)]));
    let _: () = connection.zadd_multiple("sorted", &[(2.5, "two"), (1.0, "one")]).unwrap();
    let sorted: Vec<(String, f64)> = other.zrange_withscores("sorted", 0, -1).unwrap();
    assert_eq!(sorted, [("one".into(), 1.0), ("two".into(), 2.5)]);
    let _: () = connection.rpush("list", &["a", "b"]).unwrap();
    let popped: Vec<String> = other.lpop("list", NonZero::new(5)).unwrap();
    assert_eq!(popped, ["a", "b"]);
    let mut keys: Vec<String> = other.scan_match("s*").unwrap().map(Result::unwrap).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["sorted"]);
    let error = connection.incr::<_, _, i64>("hash", 1).unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"), "{error}");
}

fn pipelines(connection: &mut Connection) {
    let mut pipeline = redis::pipe();
    for number in 0..500 {
        pipeline.set(format!("p{number}"), number).ignore().incr("sum", number);
    }
    let sums: Vec<i64> = pipeline.query(connection).unwrap();
    assert_eq!((sums.len(), sums[499]), (500, (0..500).sum()));
    let pipeline = redis::pipe().atomic().set("a", 1).ignore().get("a").del("a").to_owned();
    assert_eq!(pipeline.query::<(String, u32)>(connection).unwrap(), ("1".into(), 1));
}

fn transaction(connection: &mut Connection) {
    let _: () = connection.set("balance", 10).unwrap();
    let after: (i64,) = redis::transaction(connection, &["balance"], |connection, pipeline| {
        let before: i64 = connection.get("balance")?;
        pipeline.set("balance", before + 1).ignore().get("balance").query(connection)
    })
    .unwrap();
    assert_eq!(after, (11,));
}

fn messages(port: u16, publisher: &mut Connection) {
    let mut connection = connect(port).unwrap();
    let mut subscriber = connection.as_pubsub();
    subscriber.subscribe("news").unwrap();
    subscriber.psubscribe("weather.*").unwrap();
    for number in 0..100 {
        let _: () = publisher.publish("news", number).unwrap();
        let _: () = publisher.publish("weather.paris", number).unwrap();
        let news = subscriber.get_message().unwrap();
        assert_eq!((news.get_channel_name(), news.get_payload()), ("news", Ok(number)));
        let weather = subscriber.get_message().unwrap();
        assert_eq!(weather.get_channel_name(), "weather.paris");
        assert_eq!(weather.get_pattern::<String>().unwrap(), "weather.*");
        assert_eq!(weather.get_payload(), Ok(number));
    }
}

fn write(port: u16, writer: usize, acknowledged: &AtomicU32) {
    let mut durable = Durable { port, connection: Some(connect(port).unwrap()) };
    for number in 0..WRITES {
        let mut pipeline = redis::pipe();
        pipeline.atomic().sadd("written", format!("{writer}:{number}")).ignore();
        pipeline.incr(format!("count:{writer}"), 1);
        durable.run(&pipeline);
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection that is opened again when it has broken.
struct Durable {
    port: u16,
    connection: Option<Connection>,
}

impl Durable {
    fn run(&mut self, pipeline: &redis::Pipeline) {
        wait::until("a reply", LONG, || {
            if self.connection.is_none() {
                self.connection = connect(self.port).ok();
            }
            let error = match pipeline.query::<(i64,)>(self.connection.as_mut()?) {
                Ok(_) => return Some(()),
                Err(error) => error,
            };
            // A node that has just started is not ready, and runs nothing of a transaction.
            let is_early = matches!(error.code(), Some("LOADING" | "EXECABORT" | "CLUSTERDOWN"));
            let is_passing = error.kind() == ErrorKind::Io || is_early;
            assert!(is_passing, "at {}: {error}", self.port);
            self.connection = None;
            None
        });
    }
}
