//! What data takes in memory: the same data sets in one node and in redis-server, each in a fresh
//! process, by the resident memory of the process with the data less that without.
//!
//! What serving takes, such as the buffers that a node receives into, is no data: both answer some
//! requests that store nothing before they are looked at for the first time. It is told apart.
//!
//! The node drops its log before it is looked at; what of it cannot be dropped yet counts as its
//! own. Both get some moments to give memory back that the loading took.

use std::thread;
use std::time::Duration;

use clap::Args;

use crate::client::{Client, ClientError};
use crate::cluster::{Cluster, ClusterError};
use crate::fill::key;
use crate::interrupt;
use crate::machine;
use crate::memory::{MemoryError, resident};
use crate::process::ProcessError;
use crate::server::{Endpoint, RedisServer, ServerError};
use crate::table::Table;

/// Commands that are sent before their replies are read.
const COMMANDS_IN_FLIGHT: u32 = 500;

/// Requests that store nothing, enough to pass through all buffers that a node receives into.
const IDLE_REQUESTS: u32 = 500_000;

/// How long a process may give memory back: a node does two seconds after it has come to rest.
const SETTLE_TIME: Duration = Duration::from_secs(4);

#[derive(Args)]
pub struct Options {
    /// Keys, hashes, or members of one key
    #[arg(long, default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1000..=10_000_000))]
    count: u32,
    /// The data sets to load, by name; all of them if none is given
    #[arg(long, value_delimiter = ',', value_parser = parse_set)]
    sets: Vec<&'static DataSet>,
}

#[derive(Debug, thiserror::Error)]
pub enum FootprintError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// Data to be loaded by one command for each of so many things.
#[derive(Debug)]
pub struct DataSet {
    name: &'static str,
    about: &'static str,
    command: fn(u32) -> Vec<String>,
}

const SETS: &[DataSet] = &[
    DataSet {
        name: "strings",
        about: "keys of 16 bytes, values of 32",
        command: |number| words("SET", &key(number), [value(number, 32)]),
    },
    DataSet {
        name: "counters",
        about: "keys of 16 bytes, values that are numbers",
        command: |number| words("SET", &key(number), [number.to_string()]),
    },
    DataSet {
        name: "expiring",
        about: "keys of 16 bytes, values of 32, each with a time to live",
        command: |number| {
            let options = ["EX".to_owned(), (100_000 + number % 1000).to_string()];
            words("SET", &key(number), std::iter::once(value(number, 32)).chain(options))
        },
    },
    DataSet {
        name: "hashes",
        about: "hashes of 10 fields of 6 bytes, values of 8",
        command: |number| {
            let fields = (0..10).flat_map(|field| [format!("field{field}"), value(number, 8)]);
            words("HSET", &key(number), fields)
        },
    },
    DataSet {
        name: "lists",
        about: "lists of 5 elements of 16 bytes",
        command: |number| words("RPUSH", &key(number), (0..5).map(|_| value(number, 16))),
    },
    DataSet {
        name: "zset",
        about: "one sorted set with members of 16 bytes",
        command: |number| words("ZADD", "zset", [number.to_string(), key(number)]),
    },
    DataSet {
        name: "set",
        about: "one set with members of 16 bytes",
        command: |number| words("SADD", "set", [key(number)]),
    },
    DataSet {
        name: "hash",
        about: "one hash with fields of 16 bytes, values of 8",
        command: |number| words("HSET", "hash", [key(number), value(number, 8)]),
    },
    DataSet {
        name: "list",
        about: "one list with elements of 16 bytes",
        command: |number| words("RPUSH", "list", [key(number)]),
    },
    DataSet {
        name: "stream",
        about: "one stream, each entry a field of 6 bytes with a value of 16",
        command: |number| {
            let entry = ["*".to_owned(), "afield".to_owned(), key(number)];
            words("XADD", "stream", entry)
        },
    },
];

fn parse_set(name: &str) -> Result<&'static DataSet, String> {
    let names = || SETS.iter().map(|set| set.name).collect::<Vec<_>>().join(", ");
    SETS.iter().find(|set| set.name == name).ok_or_else(|| format!("one of {}", names()))
}

fn words(command: &str, key: &str, arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let start = [command.to_owned(), key.to_owned()];
    start.into_iter().chain(arguments).collect()
}

/// Bytes of text that differ from number to number.
fn value(number: u32, bytes: usize) -> String {
    let digits = format!("{:08x}", number.wrapping_mul(0x9e37_79b1));
    digits.chars().cycle().take(bytes).collect()
}

pub fn run(options: &Options) -> Result<(), FootprintError> {
    let all = SETS.iter().collect::<Vec<_>>();
    let sets = if options.sets.is_empty() { &all } else { &options.sets };
    let count = options.count;
    println!("memory, {}, {}", machine::describe(), machine::date());
    println!(
        "{count} of each; bytes of resident memory for each, with the data less without; fresh \
         processes that have served\nmayfly: one node, its log compacted; redis-server: no \
         persistence\n"
    );
    let mut table = Table::new(&["data", "mayfly", "redis-server", "ratio"]);
    let mut without = [0; 2];
    for set in sets {
        eprintln!("{}: {}", set.name, set.about);
        let (own, own_without) = per_item(&mut Own::start()?, set, count)?;
        let (reference, reference_without) = per_item(&mut Reference::start()?, set, count)?;
        without = [own_without, reference_without];
        table.push(vec![
            format!("{}: {}", set.name, set.about),
            format!("{own:.1}"),
            format!("{reference:.1}"),
            format!("{:.2}", own / reference),
        ]);
    }
    print!("{}", table.to_text());
    let [own, reference] = without.map(|bytes| bytes >> 20);
    println!("\nwithout data: mayfly {own} MiB, redis-server {reference} MiB");
    Ok(())
}

/// Who holds the data.
trait Holder {
    fn endpoint(&self) -> Result<Endpoint, FootprintError>;

    /// Drops what is held beside the data.
    fn compact(&self) -> Result<(), FootprintError>;
}

struct Own(Cluster);

impl Own {
    fn start() -> Result<Self, FootprintError> {
        Ok(Self(Cluster::start(1)?))
    }
}

impl Holder for Own {
    fn endpoint(&self) -> Result<Endpoint, FootprintError> {
        Ok(self.0.roles()?.0)
    }

    fn compact(&self) -> Result<(), FootprintError> {
        let mut client = Client::connect(self.endpoint()?.port)?;
        client.call(&["RAFT.DEBUG", "COMPACT"])?;
        Ok(())
    }
}

struct Reference(RedisServer);

impl Reference {
    fn start() -> Result<Self, FootprintError> {
        Ok(Self(RedisServer::start()?))
    }
}

impl Holder for Reference {
    fn endpoint(&self) -> Result<Endpoint, FootprintError> {
        Ok(self.0.endpoint)
    }

    fn compact(&self) -> Result<(), FootprintError> {
        Ok(())
    }
}

/// Bytes for each of `count`, and what the process takes without them.
fn per_item(
    holder: &mut dyn Holder,
    set: &DataSet,
    count: u32,
) -> Result<(f64, u64), FootprintError> {
    let Endpoint { port, pid } = holder.endpoint()?;
    let resident_after = |requests, command: fn(u32) -> Vec<String>| {
        run_all(port, requests, command)?;
        holder.compact()?;
        thread::sleep(SETTLE_TIME);
        Ok::<_, FootprintError>(resident(pid)?.now)
    };
    let empty = resident_after(IDLE_REQUESTS, |number| words("PING", &key(number), []))?;
    let full = resident_after(count, set.command)?;
    Ok((full.saturating_sub(empty) as f64 / f64::from(count), empty))
}

/// Sends the commands of so many numbers, and waits for all replies.
fn run_all(
    port: u16,
    count: u32,
    command_of: fn(u32) -> Vec<String>,
) -> Result<(), FootprintError> {
    let mut client = Client::connect(port)?;
    let mut next = 0;
    while next < count {
        if interrupt::is_interrupted() {
            return Err(ProcessError::Interrupted.into());
        }
        let end = count.min(next + COMMANDS_IN_FLIGHT);
        for number in next..end {
            let command = command_of(number);
            client.queue(&command.iter().map(String::as_str).collect::<Vec<_>>());
        }
        client.send()?;
        for _ in next..end {
            client.receive()?;
        }
        next = end;
    }
    Ok(())
}

#[test]
fn data_sets_have_the_sizes_that_they_tell() {
    let command = |name| (parse_set(name).unwrap().command)(7);
    assert_eq!(command("strings").iter().map(String::len).collect::<Vec<_>>(), [3, 16, 32]);
    assert_eq!(command("hashes").len(), 2 + 2 * 10);
    assert!(command("hashes")[2..].chunks(2).all(|it| (it[0].len(), it[1].len()) == (6, 8)));
    assert_eq!(command("lists").len(), 2 + 5);
    assert_eq!(command("zset")[3].len(), 16);
    assert_eq!(command("stream").iter().map(String::len).collect::<Vec<_>>(), [4, 6, 1, 6, 16]);
    assert!(parse_set("no such set").unwrap_err().contains("strings"));
}
