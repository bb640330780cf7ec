//! The kinds of values a directive can have: how each is read, and how it is written again.
//!
//! Writing a value and reading it back gives the same value; CONFIG GET relies on it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::engine::settings::{self, SettingId, SettingValue, parse_bytes};

/// What a directive accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A switch without a value on the command line, `yes` or `no` elsewhere.
    Flag,
    YesNo,
    Number {
        min: i64,
        max: i64,
    },
    /// A number of bytes, with Redis's suffixes: `1k` is 1000, `1kb` is 1024.
    Bytes {
        min: i64,
        max: i64,
    },
    /// A time span in milliseconds; `5s` and `2m` are understood too.
    Milliseconds {
        min: i64,
        max: i64,
    },
    OneOf(&'static [&'static str]),
    Text,
    /// CPU numbers and ranges, `0,2-4`; empty for "no choice".
    Cpus {
        count_max: usize,
    },
    /// IP addresses to listen on.
    Addresses,
    /// `host:port`, any number of them.
    Peers,
    /// `host` or `host:port`; empty for "no choice".
    Announce,
    OutputLimit,
    /// Numbers from 0 to 100, separated by spaces or commas; empty for none.
    Percentiles,
    /// The one value that is true of this server, whatever is asked for.
    Constant(&'static str),
    /// What all nodes of a cluster have alike.
    OfCluster(SettingId),
}

impl Kind {
    /// Whether a line of a file may give several words, as `bind` does.
    pub fn takes_words(self) -> bool {
        matches!(
            self,
            Kind::Cpus { .. }
                | Kind::Addresses
                | Kind::Peers
                | Kind::OutputLimit
                | Kind::Percentiles
                | Kind::Constant(_)
        )
    }

    pub fn placeholder(self) -> &'static str {
        match self {
            Kind::Flag | Kind::YesNo => "yes|no",
            Kind::Number { .. } => "number",
            Kind::Bytes { .. } => "bytes",
            Kind::Milliseconds { .. } => "ms",
            Kind::OneOf(_) => "choice",
            Kind::Text | Kind::Constant(_) => "text",
            Kind::Cpus { .. } => "cpus",
            Kind::Addresses => "addresses",
            Kind::Peers => "host:port,...",
            Kind::Announce => "host[:port]",
            Kind::OutputLimit => "bytes",
            Kind::OfCluster(id) => id.setting().kind.placeholder(),
            Kind::Percentiles => "percentages",
        }
    }
}

/// Why a text is no value of its kind, in the words of Redis where Redis has the case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error("argument must be CPU numbers such as 0,2-4, each named once and at most {CPU_MAX}")]
    NotCpus,
    #[error("at most {count_max} CPU can be named")]
    TooManyCpus { count_max: usize },
    #[error("'{0}' is not an IP address")]
    NotAnAddress(String),
    #[error("at most {ADDRESSES_MAX} addresses can be named")]
    TooManyAddresses,
    #[error("Address is invalid. It must be in the form of 10.0.0.3:8000")]
    NotHostPort,
    #[error("Wrong number of arguments in buffer limit configuration.")]
    OutputLimitWords,
    #[error("Invalid client class specified in buffer limit configuration.")]
    OutputLimitClass,
    #[error("Error in hard, soft or soft_seconds setting in buffer limit configuration.")]
    OutputLimitNumber,
    #[error("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")]
    NotPercentiles,
    #[error("this server knows only the value '{0}'")]
    Constant(&'static str),
    #[error("argument must not hold a control character")]
    ControlCharacter,
    /// The limit of open files allows only so many.
    #[error(
        "The operating system is not able to handle the specified number of clients, try with {0}"
    )]
    TooManyClients(u64),
    #[error("{0}")]
    Conflict(Conflict),
    /// Of a kind that settings of the cluster have, too.
    #[error(transparent)]
    Common(#[from] settings::ValueError),
}

/// Values that are each well formed and do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error(
        "raft.election-timeout must be at least twice raft.request-timeout, or a busy leader loses \
         its place between two heartbeats"
    )]
    ElectionTimeout,
    #[error("raft.append-req-max-size must not be above raft.log-max-cache-size")]
    AppendSize,
}

/// A value as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Boolean(bool),
    Number(i64),
    Text(String),
    Cpus(Vec<usize>),
    Addresses(Vec<BindAddress>),
    Peers(Vec<HostPort>),
    OutputLimit(OutputLimits),
    OfCluster(SettingValue),
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddress {
    pub ip: IpAddr,
    pub presence: Presence,
}

/// Whether an address must be one of this machine's (`-::1` may be absent).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Required,
    Optional,
}

/// A place to connect to; the name is resolved when it is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl HostPort {
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        host_port(text)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How many reply bytes may wait for a client. 0 is "no limit", as in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Above this many bytes the client is closed at once.
    pub hard: u64,
    /// Above this many for `soft_seconds` it is closed too.
    pub soft: u64,
    pub soft_seconds: u64,
}

/// Those of each class of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    pub normal: OutputLimit,
    /// Of replicas, of which there are none: it is only kept.
    pub replica: OutputLimit,
    /// Of clients that subscribe to something. Redis's own.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// The least hard limit that there is; `None`: none is.
    pub fn least_hard(&self) -> Option<u64> {
        [self.normal.hard, self.pubsub.hard].into_iter().filter(|hard| *hard > 0).min()
    }
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self {
            normal: OutputLimit { hard: 64 << 20, soft: 0, soft_seconds: 0 },
            replica: OutputLimit { hard: 256 << 20, soft: 64 << 20, soft_seconds: 60 },
            pubsub: OutputLimit { hard: 32 << 20, soft: 8 << 20, soft_seconds: 60 },
        }
    }
}

/// The kernel's own bound on CPU numbers of an affinity mask (`CPU_SETSIZE`).
pub const CPU_MAX: usize = 1023;

/// The longest host name of the DNS.
const HOST_BYTES_MAX: usize = 253;

/// Redis's bound on the addresses of `bind`.
pub const ADDRESSES_MAX: usize = 16;

impl Value {
    /// In place of this one, of which stays what the text says nothing of.
    pub fn changed(&self, kind: Kind, text: &str) -> Result<Self, ValueError> {
        match self {
            Value::OutputLimit(limits) => output_limits(text, *limits).map(Value::OutputLimit),
            _ => Self::parse(kind, text),
        }
    }

    pub fn parse(kind: Kind, text: &str) -> Result<Self, ValueError> {
        match kind {
            Kind::Flag | Kind::YesNo => Ok(Value::Boolean(settings::Kind::YesNo.parse(text)? != 0)),
            Kind::Number { min, max } => number(settings::Kind::Number { min, max }, text),
            Kind::Bytes { min, max } => number(settings::Kind::Bytes { min, max }, text),
            Kind::Milliseconds { min, max } => {
                number(settings::Kind::Milliseconds { min, max }, text)
            }
            Kind::OneOf(choices) => {
                let place = settings::Kind::OneOf(choices).parse(text)?;
                Ok(Value::Text(choices[place as usize].to_owned()))
            }
            Kind::Text => plain_text(text),
            Kind::Constant(value) if text.eq_ignore_ascii_case(value) => {
                Ok(Value::Text(value.to_owned()))
            }
            Kind::Constant(value) => Err(ValueError::Constant(value)),
            Kind::Cpus { count_max } => match cpus(text)? {
                cpus if cpus.len() > count_max => Err(ValueError::TooManyCpus { count_max }),
                cpus => Ok(Value::Cpus(cpus)),
            },
            Kind::Addresses => addresses(text).map(Value::Addresses),
            Kind::Peers => words(text).map(host_port).collect::<Result<_, _>>().map(Value::Peers),
            Kind::Announce if text.is_empty() => Ok(Value::Text(String::new())),
            Kind::Announce => announce(text).map(|_| Value::Text(text.to_owned())),
            Kind::OutputLimit => {
                output_limits(text, OutputLimits::default()).map(Value::OutputLimit)
            }
            Kind::OfCluster(id) => Ok(Value::OfCluster(id.parse(text)?)),
            Kind::Percentiles => {
                let percentiles = percentiles(text)?.into_iter().map(|percent| percent.to_string());
                Ok(Value::Text(percentiles.collect::<Vec<_>>().join(" ")))
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => f.write_str(if *value { "yes" } else { "no" }),
            Value::Number(number) => number.fmt(f),
            Value::Text(text) => f.write_str(text),
            Value::Cpus(cpus) => list(f, cpus.iter(), ","),
            Value::Addresses(addresses) => list(f, addresses.iter(), " "),
            Value::Peers(peers) => list(f, peers.iter(), ","),
            Value::OutputLimit(OutputLimits { normal, replica, pubsub }) => {
                write!(f, "normal {normal} slave {replica} pubsub {pubsub}")
            }
            Value::OfCluster(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for OutputLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.hard, self.soft, self.soft_seconds)
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.presence == Presence::Optional {
            f.write_str("-")?;
        }
        self.ip.fmt(f)
    }
}

/// Writes `items` with `separator` between them.
pub fn list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: impl Iterator<Item = T>,
    separator: &str,
) -> fmt::Result {
    for (position, item) in items.enumerate() {
        if position > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t']).filter(|word| !word.is_empty())
}

fn number(kind: settings::Kind, text: &str) -> Result<Value, ValueError> {
    Ok(Value::Number(kind.parse(text)?))
}

/// Percentages.
pub fn percentiles(text: &str) -> Result<Vec<f64>, ValueError> {
    let percentile = |word| match str::parse::<f64>(word) {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err(ValueError::NotPercentiles),
    };
    words(text).map(percentile).collect()
}

/// Texts end up in INFO lines and in peers' tables, so a line break must not get in.
fn plain_text(text: &str) -> Result<Value, ValueError> {
    if text.chars().any(char::is_control) {
        return Err(ValueError::ControlCharacter);
    }
    Ok(Value::Text(text.to_owned()))
}

fn cpus(text: &str) -> Result<Vec<usize>, ValueError> {
    let number =
        |word: &str| word.parse().ok().filter(|cpu| *cpu <= CPU_MAX).ok_or(ValueError::NotCpus);
    let mut cpus = Vec::new();
    for word in words(text) {
        let (first, last) = match word.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(word)?, number(word)?),
        };
        if first > last {
            return Err(ValueError::NotCpus);
        }
        for cpu in first..=last {
            if cpus.contains(&cpu) {
                return Err(ValueError::NotCpus);
            }
            cpus.push(cpu);
        }
    }
    Ok(cpus)
}

fn addresses(text: &str) -> Result<Vec<BindAddress>, ValueError> {
    let addresses = words(text).map(address).collect::<Result<Vec<_>, _>>()?;
    match addresses.len() {
        0 => Err(ValueError::NotAnAddress(text.to_owned())),
        1..=ADDRESSES_MAX => Ok(addresses),
        _ => Err(ValueError::TooManyAddresses),
    }
}

fn address(word: &str) -> Result<BindAddress, ValueError> {
    let (name, presence) = match word.strip_prefix('-') {
        Some(name) => (name, Presence::Optional),
        None => (word, Presence::Required),
    };
    let ip = match name {
        "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => name.parse().map_err(|_| ValueError::NotAnAddress(word.to_owned()))?,
    };
    Ok(BindAddress { ip, presence })
}

fn host_port(text: &str) -> Result<HostPort, ValueError> {
    let (host, port) = text.rsplit_once(':').ok_or(ValueError::NotHostPort)?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(ValueError::NotHostPort)?;
    let host = unbracketed(host);
    if !is_host(host) {
        return Err(ValueError::NotHostPort);
    }
    Ok(HostPort { host: host.to_owned(), port })
}

/// Only an IPv6 address stands in brackets.
fn unbracketed(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.filter(|inner| inner.contains(':')).unwrap_or(host)
}

/// A name, or an address of IPv4 or IPv6, that one with a zone (`fe80::1%eth0`) perhaps.
fn is_host(text: &str) -> bool {
    if text.contains(':') {
        let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
        return address.parse::<Ipv6Addr>().is_ok() && is_name(zone);
    }
    is_name(text)
}

fn is_name(text: &str) -> bool {
    let is_foreign = |c: char| c.is_whitespace() || c.is_control() || ",[]".contains(c);
    (1..=HOST_BYTES_MAX).contains(&text.len()) && !text.contains(is_foreign)
}

/// Splits `host`, `host:port` or an IP address into its host and, where named, its port.
pub fn announce(text: &str) -> Result<(String, Option<u16>), ValueError> {
    let bare = unbracketed(text);
    if is_host(bare) {
        return Ok((bare.to_owned(), None));
    }
    host_port(text).map(|place| (place.host, Some(place.port)))
}

/// One number is the hard limit of the normal class. A class that is not named keeps what it has.
fn output_limits(text: &str, mut limits: OutputLimits) -> Result<OutputLimits, ValueError> {
    let number = |word: &str| {
        parse_bytes(word).and_then(|n| u64::try_from(n).ok()).ok_or(ValueError::OutputLimitNumber)
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    if let [hard] = *words {
        limits.normal = OutputLimit { hard: number(hard)?, soft: 0, soft_seconds: 0 };
        return Ok(limits);
    }
    let (classes, []) = words.as_chunks::<4>() else { return Err(ValueError::OutputLimitWords) };
    if classes.is_empty() {
        return Err(ValueError::OutputLimitWords);
    }
    for [class, hard, soft, seconds] in classes {
        let limit = match class.to_ascii_lowercase().as_str() {
            "normal" => &mut limits.normal,
            "replica" | "slave" => &mut limits.replica,
            "pubsub" => &mut limits.pubsub,
            _ => return Err(ValueError::OutputLimitClass),
        };
        let soft_seconds = seconds.parse().map_err(|_| ValueError::OutputLimitNumber)?;
        *limit = OutputLimit { hard: number(hard)?, soft: number(soft)?, soft_seconds };
    }
    Ok(limits)
}
