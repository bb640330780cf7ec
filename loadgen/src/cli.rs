//! The command line: redis-benchmark's options under their names, and those that it has not.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

use crate::history;
use crate::keys::Distribution;
use crate::schedule::Arrival;
use crate::server::Login;
use crate::sweep::{Objective, Rates};
use crate::values::{SIZES_DEFAULT, VALUE_BYTES_MAX, ValueSizes};
use crate::workloads::{Preset, Share, WorkloadFile};

const PORT_DEFAULT: u16 = 6379;

/// Requests of a run that is bounded by nothing else.
const REQUESTS_DEFAULT: u64 = 100_000;

/// How long each rate of a sweep is measured.
const STEP_DURATION_DEFAULT: Duration = Duration::from_secs(5);

/// How long each address of a name is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// `__rand_int__` has so many digits.
const KEYS_MAX: u64 = 1_000_000_000_000;

/// A value is encoded once per pipelined request, so its length times the pipeline is bounded.
const BATCH_BYTES_MAX: usize = 1 << 30;

const CLIENTS_DEFAULT: usize = 50;

const CLIENTS_MAX: usize = 1_000_000;

const EXAMPLES: &str = "\
Examples:
  mayfly-loadgen -p 5001 -t set,get -P 16 -q
      two of redis-benchmark's tests
  mayfly-loadgen -p 5001 -r 100000 --duration 30s --rate 20k -t get --html report.html
      20,000 requests a second, whatever the server does; latency from when each was due
  mayfly-loadgen -p 6379 -t set --rate 5k --duration 20s --event 't=5s exec:kill -STOP $PID'
      what a stalled server is like
  mayfly-loadgen -p 5001 -t set --find-max-rate --slo 'p99<2ms'
      how much the server takes before its users notice
  mayfly-loadgen -r 10000 -n 10000 lpush mylist __rand_int__
      a command of your own
  mayfly-loadgen -p 5001 --preset ycsb-f --fill --duration 30s
      a usual mix; its keys are written first
  mayfly-loadgen --preset session-store --print-workload >mine.toml
  mayfly-loadgen -p 5001 --workload mine.toml --rate 20k --duration 30s
      a mix of your own
  mayfly-loadgen -p 5001 -r 100000 --fill --hit-rate 0.95 -d lognormal:500:1 --duration 30s
      a cache whose users find 95 % of what they look for
  mayfly-loadgen -h 127.0.0.1:5001 -h 127.0.0.1:5002 --history h.edn -n 20000 -c 10
      a history for a checker of linearizability
  mayfly-loadgen failover
      start a cluster, load it, kill its leader, draw the picture";

/// Loads a server that speaks the Redis protocol, and measures what its users see.
///
/// Takes redis-benchmark's options. Without --rate each connection sends when it was answered
/// (closed loop); with it requests are due at their times whatever the server does (open loop), and
/// latency counts from when a request was due.
#[derive(Clone, Debug, Parser)]
#[command(name = "mayfly-loadgen", version, disable_help_flag = true, after_help = EXAMPLES)]
pub struct BenchOptions {
    /// Server, HOST or HOST:PORT; given several times, connections are dealt out to all of them,
    /// and one that is lost goes to the next
    #[arg(short = 'h', long = "host", default_value = "127.0.0.1")]
    pub hosts: Vec<String>,
    /// Port of the servers that are named without one
    #[arg(short, long, default_value_t = PORT_DEFAULT)]
    pub port: u16,
    /// Password
    #[arg(short = 'a', long = "pass")]
    pub password: Option<String>,
    /// User of the password
    #[arg(long, requires = "password")]
    pub user: Option<String>,
    /// Database
    #[arg(long, default_value_t = 0)]
    pub dbnum: u32,
    /// Speak RESP3
    #[arg(short = '3')]
    pub resp3: bool,
    /// Connections in all [default: 50]
    #[arg(short, long)]
    pub clients: Option<usize>,
    /// Requests in all, of each test [default: 100000, or no limit with --duration]
    #[arg(short = 'n', long)]
    pub requests: Option<u64>,
    /// Length of values, in bytes, a range of lengths as in 10-1000, or a distribution,
    /// lognormal:MEDIAN:SIGMA [default: 3]
    #[arg(short)]
    pub data_bytes: Option<ValueSizes>,
    /// Requests that a connection may have on their way [default: 1]
    #[arg(short = 'P', long)]
    pub pipeline: Option<usize>,
    /// 1 keeps connections, 0 makes a new one for each batch of requests
    #[arg(short, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub keep_alive: u8,
    /// Name so many keys: __rand_int__ becomes 12 digits below this; without it it stays as it is
    #[arg(short, value_name = "KEYS")]
    pub random: Option<u64>,
    /// Loading threads
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Tests of redis-benchmark, by their names, separated by commas
    #[arg(short, value_name = "TESTS")]
    pub tests: Option<String>,
    /// Print a line for each test
    #[arg(short)]
    pub quiet: bool,
    /// Print redis-benchmark's CSV
    #[arg(long)]
    pub csv: bool,
    /// Read the last argument of the command from standard input
    #[arg(short = 'x')]
    pub stdin: bool,
    /// Measure each test for so long, as in 30s, 500ms, 2m
    #[arg(long, value_parser = parse_time)]
    pub duration: Option<Duration>,
    /// Load each test for so long before it is measured; -n does not count this
    #[arg(long, value_parser = parse_time, default_value = "0s")]
    pub warmup: Duration,
    /// Requests a second that become due (open loop), as in 5000, 20k, 1.5M
    #[arg(long, value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// How requests of --rate, --sweep and --find-max-rate follow each other
    #[arg(long, value_enum, default_value_t)]
    pub arrival: Arrival,
    /// Measure each test at several rates, as in rate=10k..200k:10k, for --duration each
    #[arg(long, value_name = "RATES", conflicts_with_all = ["rate", "requests"])]
    pub sweep: Option<Rates>,
    /// Search for the highest rate that keeps --slo without errors: first as fast as the server
    /// answers, then rates below that, for --duration each
    #[arg(long, requires = "slo", conflicts_with_all = ["rate", "requests", "sweep"])]
    pub find_max_rate: bool,
    /// What --find-max-rate is to keep, as in p99<1ms or max<20ms
    #[arg(long, value_name = "OBJECTIVE", requires = "find_max_rate")]
    pub slo: Option<Objective>,
    /// Which keys of -r are named how often: uniform, zipfian[:THETA], latest[:THETA],
    /// hotspot[:KEYS:REQUESTS], sequential [default: the preset's, else uniform]
    #[arg(long)]
    pub key_distribution: Option<Distribution>,
    /// A command of a mix with its weight, as in '80:GET key:__rand_int__'; given several times,
    /// instead of the tests
    #[arg(long = "mix", value_name = "WEIGHT:COMMAND")]
    #[arg(conflicts_with_all = ["tests", "stdin", "command", "preset"])]
    pub mix: Vec<Share>,
    /// A usual mix: ycsb-a to ycsb-f, session-store, rate-limit, queue,
    /// pubsub, lock
    #[arg(long, conflicts_with_all = ["tests", "stdin", "command"])]
    pub preset: Option<Preset>,
    /// Operations, keys and values from a TOML file; what is given here goes before what the file
    /// says
    #[arg(long = "workload", value_name = "FILE")]
    #[arg(conflicts_with_all = ["tests", "stdin", "command", "preset", "mix", "verify"])]
    pub workload_file: Option<PathBuf>,
    /// Print the workload file of a preset, to begin one of your own with
    #[arg(long, requires = "preset")]
    pub print_workload: bool,
    /// First write each key once, unmeasured: as the preset or the workload file says, else
    /// key:__rand_int__
    #[arg(long)]
    pub fill: bool,
    /// Load a cache, as its users do: GET, and SET where nothing was found. SHARE of the GETs, from
    /// 0 to 1, name keys of -r, which --fill writes; the others a key that was never named, whose
    /// SET expires after a minute. What a server has evicted is missed beyond that: the hit rate
    /// that was seen is in the results
    #[arg(long, value_name = "SHARE", requires = "random", value_parser = parse_share)]
    #[arg(conflicts_with_all = ["tests", "stdin", "command", "preset", "mix", "workload_file"])]
    pub hit_rate: Option<f64>,
    /// Follow a reply MOVED: the connection goes to the server that it names and sends its requests
    /// again there, five times at most. A request counts once, with its latency from the first
    /// time. Without it MOVED is an error
    #[arg(long)]
    pub follow: bool,
    /// Verify instead of the tests: each connection increments and reads a counter of its own;
    /// acknowledged increments that are lost, that ran twice, or that a read did not see are told
    #[arg(long)]
    #[arg(conflicts_with_all = ["tests", "stdin", "command", "mix", "preset", "hit_rate"])]
    pub verify: bool,
    /// Record a history instead of the tests: connections read and write a few registers (those of
    /// -r, 5 without it), each value once; what was sent and answered is written to FILE as EDN for
    /// Jepsen's Knossos. The run ends after -n operations, 1000000 at most [default: 100000]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tests", "stdin", "command", "mix"])]
    #[arg(conflicts_with_all = ["preset", "hit_rate", "workload_file", "verify", "fill"])]
    #[arg(conflicts_with_all = ["sweep", "find_max_rate"])]
    pub history: Option<PathBuf>,
    /// Have a shell command run at a time, as in 't=10s exec:kill -9 1234'; may be given several
    /// times
    #[arg(long = "event", value_name = "EVENT")]
    pub events: Vec<ShellEvent>,
    /// Resolution of the timeline, 10ms to 1s
    #[arg(long, value_parser = parse_time, default_value = "100ms")]
    pub bucket: Duration,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub files: Files,
    /// Print this help
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
    /// A command of your own instead of the tests; __rand_int__ and __data__ are replaced in it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Where results go beside the terminal.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Files {
    /// Write the percentiles as HdrHistogram's plotter reads them (one file per test; with --rate
    /// another one, .service, with latencies from when requests were sent)
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Write an HdrHistogram interval log, a line a second
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Write all results as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write all results as a page with plots, in one file that needs no network
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// A shell command and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellEvent {
    pub at: Duration,
    pub command: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OptionError {
    #[error("'{0}' is no time: a number and ms, s, m or h, as in 30s")]
    Time(String),
    #[error("'{0}' is no rate: a positive number, with k or M if you like")]
    Rate(String),
    #[error("'{0}' is no share: a number from 0 to 1")]
    Share(String),
    #[error("--history is of connections with one request on their way, and without a warm-up")]
    History,
    #[error("{0} needs keys: -r, or those of a preset or a workload file")]
    NoKeys(&'static str),
    #[error("'{0}' is no sweep: rate=FIRST..LAST:STEP, as in rate=10k..200k:10k, up to 1000 rates")]
    Sweep(String),
    #[error("'{0}' is no objective: pPERCENT<TIME or max<TIME, as in p99<1ms")]
    Objective(String),
    #[error("--arrival is about --rate, --sweep and --find-max-rate")]
    ArrivalWithoutRate,
    #[error("'{0}' is no event: t=TIME exec:COMMAND, as in 't=10s exec:kill -9 1234'")]
    Event(String),
    #[error("{option} must be from {min} to {max}")]
    Range { option: &'static str, min: u64, max: u64 },
    #[error(
        "'{0}' is no length of values: 1 to {VALUE_BYTES_MAX}, a range as in 10-1000, or \
         lognormal:MEDIAN:SIGMA"
    )]
    Sizes(String),
    #[error("-d times -P is more than {} bytes", BATCH_BYTES_MAX)]
    Batch,
    #[error("-x needs a command, whose last argument comes from standard input")]
    NoCommand,
    #[error("-k 0 makes a connection per batch, which an open loop (--rate) does not have")]
    RenewedOpenLoop,
    #[error("Could not resolve '{0}'")]
    Host(String),
}

pub fn parse_time(text: &str) -> Result<Duration, OptionError> {
    let bad = || OptionError::Time(text.to_owned());
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(bad()),
    };
    let number: f64 = number.parse().map_err(|_| bad())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| bad())
}

pub fn parse_rate(text: &str) -> Result<f64, OptionError> {
    let bad = || OptionError::Rate(text.to_owned());
    let (number, factor) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => text.strip_suffix('M').map_or((text, 1.0), |number| (number, 1e6)),
    };
    let rate = number.parse::<f64>().map_err(|_| bad())? * factor;
    // One request a day, and more than any machine does.
    if (1e-5..1e9).contains(&rate) { Ok(rate) } else { Err(bad()) }
}

pub fn parse_share(text: &str) -> Result<f64, OptionError> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| OptionError::Share(text.to_owned()))
}

impl FromStr for ShellEvent {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || OptionError::Event(text.to_owned());
        let (at, action) = text.trim().split_once(char::is_whitespace).ok_or_else(bad)?;
        let at = parse_time(at.strip_prefix("t=").ok_or_else(bad)?)?;
        let command = action.trim().strip_prefix("exec:").ok_or_else(bad)?.trim().to_owned();
        if command.is_empty() { Err(bad()) } else { Ok(Self { at, command }) }
    }
}

impl BenchOptions {
    /// Checks what one option cannot know of the others.
    pub fn check(&self) -> Result<(), OptionError> {
        let range = |option, value: u64, min, max| {
            let fits = (min..=max).contains(&value);
            if fits { Ok(()) } else { Err(OptionError::Range { option, min, max }) }
        };
        range("-c", self.clients() as u64, 1, CLIENTS_MAX as u64)?;
        range("--threads", self.threads as u64, 1, self.clients().min(1024) as u64)?;
        range("-P", self.pipeline() as u64, 1, 1 << 20)?;
        range("-r", self.random.unwrap_or(1), 1, KEYS_MAX)?;
        range("-n", self.requests.unwrap_or(1), 1, u64::MAX)?;
        range("--bucket (in ms)", self.bucket.as_millis() as u64, 10, 1000)?;
        if self.data_bytes().max().saturating_mul(self.pipeline()) > BATCH_BYTES_MAX {
            return Err(OptionError::Batch);
        }
        if self.random.is_none() {
            let needy =
                [("--fill", self.fill), ("--key-distribution", self.key_distribution.is_some())];
            if let Some((option, _)) = needy.into_iter().find(|(_, is_given)| *is_given) {
                return Err(OptionError::NoKeys(option));
            }
        }
        if self.history.is_some() {
            range("-n with --history", self.requests.unwrap_or(1), 1, history::OPERATIONS_MAX)?;
            if self.pipeline() > 1 || !self.warmup.is_zero() {
                return Err(OptionError::History);
            }
        }
        if self.stdin && self.command.is_empty() {
            return Err(OptionError::NoCommand);
        }
        let is_open = self.rate.is_some() || self.sweep.is_some() || self.find_max_rate;
        if self.keep_alive == 0 && is_open {
            return Err(OptionError::RenewedOpenLoop);
        }
        if self.arrival != Arrival::default() && !is_open {
            return Err(OptionError::ArrivalWithoutRate);
        }
        Ok(())
    }

    /// Takes what a workload file says where the command line says nothing.
    pub fn adopt(&mut self, file: &WorkloadFile) {
        self.clients = self.clients.or(file.clients);
        self.pipeline = self.pipeline.or(file.pipeline);
        self.data_bytes = self.data_bytes.or(file.values.map(|values| values.bytes));
        if let Some(keys) = &file.keys {
            self.random = self.random.or(Some(keys.count));
            self.key_distribution = self.key_distribution.or(keys.distribution);
        }
        // These have rates of their own, and a number of requests does not go with them.
        if self.sweep.is_none() && !self.find_max_rate {
            self.rate = self.rate.or(file.rate.map(|rate| rate.0));
        }
    }

    pub fn clients(&self) -> usize {
        self.clients.unwrap_or(CLIENTS_DEFAULT)
    }

    pub fn pipeline(&self) -> usize {
        self.pipeline.unwrap_or(1)
    }

    pub fn data_bytes(&self) -> ValueSizes {
        self.data_bytes.unwrap_or(SIZES_DEFAULT)
    }

    pub fn requests(&self) -> Option<u64> {
        let is_bounded = self.duration().is_none() || self.history.is_some();
        self.requests.or(is_bounded.then_some(REQUESTS_DEFAULT))
    }

    /// How long each measurement takes; rates are measured for a time, not for a number.
    pub fn duration(&self) -> Option<Duration> {
        let has_steps = self.sweep.is_some() || self.find_max_rate;
        self.duration.or(has_steps.then_some(STEP_DURATION_DEFAULT))
    }

    pub fn login(&self) -> Login {
        Login { user: self.user.clone(), password: self.password.clone(), database: self.dbnum }
    }

    /// The addresses of all servers, in the order in which they were named.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, OptionError> {
        self.hosts.iter().map(|host| resolve(host, self.port)).collect()
    }
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, OptionError> {
    let bad = || OptionError::Host(host.to_owned());
    // Without a port: a name, or an IPv6 address, which has colons too.
    let found: Vec<SocketAddr> = match (host, port).to_socket_addrs() {
        Ok(found) => found.collect(),
        Err(_) => host.to_socket_addrs().map_err(|_| bad())?.collect(),
    };
    // A name may have addresses that its server does not listen on.
    let answers = |address: &&SocketAddr| {
        found.len() == 1 || TcpStream::connect_timeout(address, CONNECT_TIMEOUT).is_ok()
    };
    found.iter().find(answers).or(found.first()).copied().ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> BenchOptions {
        let words = ["mayfly-loadgen"].into_iter().chain(line.split_whitespace());
        BenchOptions::try_parse_from(words).unwrap()
    }

    #[test]
    fn lines_of_redis_benchmark_are_understood() {
        let found = options(
            "-h 10.0.0.1 -p 7000 -a secret --user u -c 10 -n 500 -d 64 -k 0 -r 99 \
            -P 4 -q --csv --threads 2 --dbnum 3 -3 -t set,get",
        );
        found.check().unwrap();
        let address: SocketAddr = "10.0.0.1:7000".parse().unwrap();
        assert_eq!(found.addresses().unwrap(), [address]);
        assert_eq!(
            (found.requests(), found.data_bytes().all(), found.pipeline()),
            (Some(500), vec![64], 4)
        );
        assert_eq!((found.random, found.keep_alive, found.threads), (Some(99), 0, 2));
        let command = options("-n 10 eval 'x' 0 -1").command;
        assert_eq!(command, ["eval", "'x'", "0", "-1"]);
        assert_eq!(options("").requests(), Some(REQUESTS_DEFAULT));
        assert_eq!(options("--duration 1s").requests(), None);
    }

    #[test]
    fn servers_are_named_with_or_without_a_port() {
        let found = options("-h 127.0.0.1:5002 -h ::1 -h [::1]:5003 -h 127.0.0.2 -p 5001");
        let found = found.addresses().unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.0.0.1:5002", "[::1]:5001", "[::1]:5003", "127.0.0.2:5001"]);
        assert!(options("-h nowhere.invalid").addresses().is_err());
    }

    #[test]
    fn a_name_is_the_address_that_answers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(resolve("localhost", address.port()).unwrap(), address);
    }

    #[test]
    fn units_and_events_are_understood() {
        let ms = Duration::from_millis;
        let cases =
            [("30s", ms(30_000)), ("2m", ms(120_000)), ("1.5", ms(1500)), ("250ms", ms(250))];
        for (text, time) in cases {
            assert_eq!(parse_time(text), Ok(time));
        }
        assert!(["", "s", "-1s", "1d", "1e3"].iter().all(|text| parse_time(text).is_err()));
        assert_eq!((parse_rate("20k"), parse_rate("1.5M")), (Ok(2e4), Ok(1.5e6)));
        assert!(["0", "-5", "k", "1e30", "NaN"].iter().all(|text| parse_rate(text).is_err()));
        assert_eq!((parse_share("0.95"), parse_share("1")), (Ok(0.95), Ok(1.0)));
        assert!(["", "-0.1", "1.1", "90%", "NaN"].iter().all(|text| parse_share(text).is_err()));
        let event = ShellEvent { at: ms(10_000), command: "kill -9 12".into() };
        assert_eq!("t=10s exec:kill -9 12".parse(), Ok(event));
        for text in ["t=10s", "10s exec:x", "t=10s run:x", "t=x exec:y", "t=1s exec: "] {
            assert!(text.parse::<ShellEvent>().is_err(), "{text}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "-c 0",
            "-c 2 --threads 3",
            "-P 0",
            "-r 0",
            "-n 0",
            "-x",
            "--bucket 5ms",
            "-k 0 --rate 5",
            "-k 0 --sweep rate=1..2:1",
            "--arrival poisson",
            "-d 1000000 -P 100000",
            "--history h.edn -P 2",
            "--history h.edn -n 1000001",
            "--history h.edn --warmup 1s",
            "--fill",
            "--key-distribution zipfian",
        ] {
            assert!(options(line).check().is_err(), "{line}");
        }
    }
}
