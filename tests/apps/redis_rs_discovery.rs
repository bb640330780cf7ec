//! redis-rs as it finds nodes by itself: its client for clusters and that of Sentinel, while the
//! leader dies.
//!
//! Both are asked for a connection again when one has broken. The client for clusters tries other
//! nodes before it reports that.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use redis::cluster::ClusterClient;
use redis::sentinel::{SentinelClient, SentinelServerType};
use redis::{Commands, ConnectionLike, ErrorKind, RedisError, RedisResult};

use crate::cluster::Layout;
use crate::scenario::Stage;
use crate::wait::{self, LONG};

/// Writes of each writer.
const WRITES: u32 = 300;

fn addresses(ports: &[u16]) -> Vec<String> {
    ports.iter().map(|port| format!("redis://127.0.0.1:{port}/")).collect()
}

pub fn tour(layout: Layout) {
    let mut stage = Stage::start(layout);
    let (ports, sentinels) = (stage.ports(), stage.sentinels());
    let acknowledged = AtomicU32::new(0);
    let errors = thread::scope(|scope| {
        let by_cluster = scope.spawn(|| {
            let client = ClusterClient::new(addresses(&ports)).unwrap();
            write("cluster", || client.get_connection(), &acknowledged)
        });
        let by_sentinel = scope.spawn(|| {
            let (sentinels, master) = (addresses(&sentinels), "mymaster".to_owned());
            let kind = SentinelServerType::Master;
            let mut client = SentinelClient::build(sentinels, master, None, kind).unwrap();
            write("sentinel", || client.get_connection(), &acknowledged)
        });
        wait::until_true("half of the writes", LONG, || {
            acknowledged.load(Ordering::Relaxed) >= WRITES
        });
        stage.replace_leader();
        [by_cluster.join().unwrap(), by_sentinel.join().unwrap()]
    });
    println!("errors: {errors:?}");
    let client = redis::Client::open(addresses(&ports).remove(1)).unwrap();
    let mut connection = client.get_connection().unwrap();
    for writer in ["cluster", "sentinel"] {
        let members: u32 = connection.scard(format!("written:{writer}")).unwrap();
        assert_eq!(members, WRITES, "{writer}: members of a set that every write adds to");
        let count: u32 = connection.get(format!("count:{writer}")).unwrap();
        // One whose answer was lost with the leader is made again.
        assert!((WRITES..=WRITES + 1).contains(&count), "{writer}: {count}");
    }
    stage.finish();
}

/// How many errors it was told.
fn write<C: ConnectionLike>(
    writer: &str,
    mut connect: impl FnMut() -> RedisResult<C>,
    acknowledged: &AtomicU32,
) -> u32 {
    let (mut connection, mut errors) = (None, 0);
    let mut run = |command: &redis::Cmd| {
        wait::until("a reply", LONG, || {
            let reply = match &mut connection {
                Some(connection) => command.query::<i64>(connection),
                None => connect().and_then(|made| command.query(connection.insert(made))),
            };
            let Err(error) = reply else { return Some(()) };
            assert!(is_passing(&error), "{writer}: {error}");
            (connection, errors) = (None, errors + 1);
            None
        })
    };
    for number in 0..WRITES {
        run(redis::cmd("SADD").arg(format!("written:{writer}")).arg(number));
        run(redis::cmd("INCR").arg(format!("count:{writer}")));
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    errors
}

/// No node has answered it, or one that has just started.
fn is_passing(error: &RedisError) -> bool {
    let is_broken = matches!(error.kind(), ErrorKind::Io | ErrorKind::ClusterConnectionNotFound);
    is_broken || matches!(error.code(), Some("LOADING" | "CLUSTERDOWN"))
}
