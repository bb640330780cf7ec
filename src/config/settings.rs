//! The values of all directives of one node, and the typed views of them that the node works with.

use std::num::NonZeroU64;
use std::time::Duration;

use super::directives::{Change, DIRECTIVES, find};
use super::value::{BindAddress, Conflict, HostPort, OutputLimits, Value, ValueError};
use crate::engine::settings::{self, SettingValue};
use crate::glob::{glob_match_nocase, is_glob};
use crate::logging::Level;

/// One value for each directive of the table, each valid by itself and all valid together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Invariant: as long as `DIRECTIVES`, in its order.
    values: Vec<Value>,
    /// Name and rules of the lines `user` of the configuration file.
    pub(super) users: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

/// Why CONFIG SET changes nothing, in its words (without the `ERR`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("Unknown option or number of arguments for CONFIG SET - '{name}'")]
    Unknown { name: String },
    #[error(
        "CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config"
    )]
    Immutable { name: String },
    #[error("CONFIG SET failed (possibly related to argument '{name}') - duplicate parameter")]
    Duplicate { name: String },
    #[error("CONFIG SET failed (possibly related to argument '{name}') - {source}")]
    Value { name: String, source: ValueError },
}

/// What CONFIG SET can change, as plain values to hand to each role: taken anew after each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunables {
    pub maxclients: usize,
    /// `None`: an idle client is never closed.
    pub timeout: Option<Duration>,
    pub tcp_keepalive: Option<Duration>,
    pub requirepass: String,
    /// New users may use all channels.
    pub acl_all_channels: bool,
    pub acllog_max_len: usize,
    /// As whom to ask for admission; an empty user is the default one.
    pub masteruser: String,
    pub masterauth: String,
    pub proto_max_bulk_len: usize,
    pub client_query_buffer_limit: usize,
    pub client_output_buffer_limit: OutputLimits,
    pub tracking_table_max_keys: usize,
    pub uncommitted_bytes_max: usize,
    pub no_leader_timeout: Duration,
    pub election_timeout: Duration,
    /// The time between heartbeats.
    pub request_timeout: Duration,
    pub quorum_reads: bool,
    pub log_max_cache_size: usize,
    /// `None`: no limit.
    pub log_max_entries: Option<u64>,
    pub append_req_max_count: usize,
    pub append_req_max_size: usize,
    pub reconnect_interval: Duration,
    pub loglevel: Level,
    /// Microseconds from which on a command is logged as slow; negative: none is.
    pub log_slower_than_micros: i64,
    /// Bytes over which a request or a reply is logged as large; negative: none is.
    pub log_request_larger_than: i64,
    pub log_reply_larger_than: i64,
    /// Entries of the logs of slow commands, large requests and large replies.
    pub command_log_len_max: [usize; 3],
    /// Milliseconds; 0: spikes of latency are not remembered.
    pub latency_monitor_threshold_ms: u64,
    pub latency_tracking: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let values = DIRECTIVES.iter().map(|directive| {
            Value::parse(directive.kind, directive.default)
                .expect("invariant: each default is a value")
        });
        Self { values: values.collect(), users: Vec::new() }
    }
}

impl Settings {
    /// The value as CONFIG GET writes it.
    pub fn get(&self, name: &str) -> Option<String> {
        find(name).map(|index| self.values[index].to_string())
    }

    /// Name and value of every directive that fits one of the patterns, each name once. A pattern
    /// without special bytes comes back as it was asked, as in Redis.
    pub fn matching(&self, patterns: &[&[u8]]) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        for (directive, value) in DIRECTIVES.iter().zip(&self.values) {
            for name in directive.names() {
                let fits = |pattern: &&&[u8]| glob_match_nocase(pattern, name.as_bytes());
                if let Some(pattern) = patterns.iter().find(fits) {
                    let asked = match std::str::from_utf8(pattern) {
                        Ok(asked) if !is_glob(pattern) => asked,
                        _ => name,
                    };
                    found.push((asked.to_owned(), value.to_string()));
                }
            }
        }
        found
    }

    /// Changes one directive of a running node.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        self.set_all(&[(name, value)]).map(drop)
    }

    /// Changes several directives of a running node: all of them or, on any error, none. What the
    /// cluster has as one is checked and not changed: that is returned, for the log.
    pub fn set_all<'a>(
        &mut self,
        changes: &[(&'a str, &'a str)],
    ) -> Result<Vec<(&'a str, &'a str)>, SettingError> {
        let mut of_cluster = Vec::new();
        let mut changed = self.clone();
        let mut seen = Vec::with_capacity(changes.len());
        for &change in changes {
            let (name, text) = (change.0.to_owned(), change.1);
            let Some(index) = find(&name) else { return Err(SettingError::Unknown { name }) };
            if seen.contains(&index) {
                return Err(SettingError::Duplicate { name });
            }
            seen.push(index);
            let directive = &DIRECTIVES[index];
            if directive.change == Change::AtStart {
                return Err(SettingError::Immutable { name });
            }
            match changed.values[index].changed(directive.kind, text) {
                Ok(Value::OfCluster(_)) => of_cluster.push(change),
                Ok(value) => changed.values[index] = value,
                Err(source) => return Err(SettingError::Value { name, source }),
            }
        }
        if let Err(conflict) = changed.check() {
            let name = changes.first().map_or(String::new(), |(name, _)| (*name).to_owned());
            return Err(SettingError::Value { name, source: ValueError::Conflict(conflict) });
        }
        *self = changed;
        Ok(of_cluster)
    }

    /// Takes over what the cluster has now. Returns the names of what was another, with the value
    /// that it had here.
    pub fn adopt(
        &mut self,
        cluster: &settings::Settings,
    ) -> Vec<(&'static str, SettingValue, SettingValue)> {
        let mut changes = Vec::new();
        for value in &mut self.values {
            if let Value::OfCluster(own) = value {
                let new = cluster.value(own.id());
                if *own != new {
                    changes.push((own.id().setting().name, *own, new));
                }
                *own = new;
            }
        }
        changes
    }

    /// What the cluster has as one, as far as it is not the default: what a node brings to a
    /// cluster that it founds.
    pub fn brought(&self) -> Vec<(&'static str, String)> {
        let default = settings::Settings::default();
        let values = self.values.iter().filter_map(|value| match value {
            Value::OfCluster(own) if *own != default.value(own.id()) => {
                Some((own.id().setting().name, own.to_string()))
            }
            _ => None,
        });
        values.collect()
    }

    /// Sets a directive before the node runs, whether or not it can change later.
    ///
    /// Precondition: `index` is one of the table's.
    pub fn preset(&mut self, index: usize, text: &str) -> Result<(), ValueError> {
        self.values[index] = self.values[index].changed(DIRECTIVES[index].kind, text)?;
        Ok(())
    }

    /// For a machine that does not allow as many clients as were asked for.
    ///
    /// Precondition: `clients` is above 0 and below the present value.
    pub fn lower_maxclients(&mut self, clients: u64) {
        let index = find("maxclients").expect("invariant: the table has maxclients");
        let clients = i64::try_from(clients).expect("invariant: it is below a present i64");
        assert!(clients > 0);
        self.values[index] = Value::Number(clients);
    }

    /// The relations between directives that each directive's own bounds cannot state.
    pub fn check(&self) -> Result<(), Conflict> {
        if self.number("raft.election-timeout") < 2 * self.number("raft.request-timeout") {
            return Err(Conflict::ElectionTimeout);
        }
        if self.number("raft.append-req-max-size") > self.number("raft.log-max-cache-size") {
            return Err(Conflict::AppendSize);
        }
        Ok(())
    }

    pub fn tunables(&self) -> Tunables {
        Tunables {
            maxclients: self.size("maxclients"),
            timeout: self.seconds("timeout"),
            tcp_keepalive: self.seconds("tcp-keepalive"),
            requirepass: self.text("requirepass").to_owned(),
            acl_all_channels: self.text("acl-pubsub-default") == "allchannels",
            acllog_max_len: self.size("acllog-max-len"),
            masteruser: self.text("masteruser").to_owned(),
            masterauth: self.text("masterauth").to_owned(),
            proto_max_bulk_len: self.size("proto-max-bulk-len"),
            client_query_buffer_limit: self.size("client-query-buffer-limit"),
            client_output_buffer_limit: self.output_limit("client-output-buffer-limit"),
            tracking_table_max_keys: self.size("tracking-table-max-keys"),
            uncommitted_bytes_max: self.size("uncommitted-bytes-max"),
            no_leader_timeout: self.milliseconds("no-leader-timeout"),
            election_timeout: self.milliseconds("raft.election-timeout"),
            request_timeout: self.milliseconds("raft.request-timeout"),
            quorum_reads: self.boolean("raft.quorum-reads"),
            log_max_cache_size: self.size("raft.log-max-cache-size"),
            log_max_entries: NonZeroU64::new(self.size("raft.log-max-entries") as u64)
                .map(u64::from),
            append_req_max_count: self.size("raft.append-req-max-count"),
            append_req_max_size: self.size("raft.append-req-max-size"),
            reconnect_interval: self.milliseconds("raft.reconnect-interval"),
            loglevel: Level::parse(self.text("loglevel"))
                .expect("invariant: the table's levels are the log's"),
            log_slower_than_micros: self.number("slowlog-log-slower-than"),
            log_request_larger_than: self.number("commandlog-request-larger-than"),
            log_reply_larger_than: self.number("commandlog-reply-larger-than"),
            command_log_len_max: [
                self.size("slowlog-max-len"),
                self.size("commandlog-large-request-max-len"),
                self.size("commandlog-large-reply-max-len"),
            ],
            latency_monitor_threshold_ms: self.size("latency-monitor-threshold") as u64,
            latency_tracking: self.boolean("latency-tracking"),
        }
    }

    pub(super) fn boolean(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Boolean(value) => *value,
            other => unreachable!("{name} is {other:?}, not a boolean"),
        }
    }

    pub(super) fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Number(number) => *number,
            other => unreachable!("{name} is {other:?}, not a number"),
        }
    }

    pub(super) fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Value::Text(text) => text,
            other => unreachable!("{name} is {other:?}, not a text"),
        }
    }

    pub(super) fn cpus(&self, name: &str) -> &[usize] {
        match self.value(name) {
            Value::Cpus(cpus) => cpus,
            other => unreachable!("{name} is {other:?}, not CPUs"),
        }
    }

    pub(super) fn addresses(&self, name: &str) -> &[BindAddress] {
        match self.value(name) {
            Value::Addresses(addresses) => addresses,
            other => unreachable!("{name} is {other:?}, not addresses"),
        }
    }

    pub(super) fn peers(&self, name: &str) -> &[HostPort] {
        match self.value(name) {
            Value::Peers(peers) => peers,
            other => unreachable!("{name} is {other:?}, not peers"),
        }
    }

    fn output_limit(&self, name: &str) -> OutputLimits {
        match self.value(name) {
            Value::OutputLimit(limit) => *limit,
            other => unreachable!("{name} is {other:?}, not an output limit"),
        }
    }

    fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).expect("invariant: sizes are bounded from below by 0")
    }

    fn milliseconds(&self, name: &str) -> Duration {
        Duration::from_millis(self.size(name) as u64)
    }

    /// 0 is "never".
    fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds = self.size(name) as u64;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    fn value(&self, name: &str) -> &Value {
        &self.values[find(name).expect("invariant: the node asks for directives of the table only")]
    }
}
