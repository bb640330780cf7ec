//! What a measurement must say of where it was made, and what makes it doubtful.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mayfly::logging;

use crate::load::{Load, Pace};
use crate::run::Measured;
use crate::server::{Server, allowed_cpus, cpu_time};

/// A thread that is busy for more of the time than this cannot go faster.
const BUSY_SHARE_MAX: f64 = 0.9;

/// More of the time than this waiting for a CPU distorts what is measured.
const DELAYED_SHARE_MAX: f64 = 0.05;

/// An open loop is to be within this of the rate that it was asked for.
const RATE_SHARE_MIN: f64 = 0.99;

/// Where a run was made.
#[derive(Clone, Debug)]
pub struct Environment {
    /// What is known, in the order in which it is told.
    pub facts: Vec<(&'static str, String)>,
    servers: Vec<Server>,
}

/// CPU time of the servers' processes, to be looked at before and after a run.
#[derive(Clone, Debug)]
pub struct ServerTime(Vec<(u32, Duration)>);

/// What a run cost, in microseconds of CPU time per request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub generator_us: f64,
    /// `None` where a server runs elsewhere, or has ended.
    pub servers_us: Option<f64>,
}

impl Environment {
    pub fn look(servers: Vec<Server>) -> Self {
        let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("unknown", |(_, model)| model.trim());
        let cores = allowed_cpus(std::process::id()).map_or(0, |cpus| cpus.len());
        let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        let clock = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        let mut facts = vec![
            ("date", date()),
            ("cpu", format!("{model}, {cores} cores for the generator")),
            ("kernel", read("/proc/sys/kernel/osrelease").unwrap_or_default()),
            ("governor", governor.unwrap_or_else(|| "not known".to_owned())),
            ("clock source", clock.unwrap_or_else(|| "not known".to_owned())),
            ("generator", format!("mayfly-loadgen {}", env!("CARGO_PKG_VERSION"))),
            ("command", command(std::env::args())),
        ];
        for server in &servers {
            let place = if server.pid.is_some() { "this machine" } else { "elsewhere" };
            facts.push(("server", format!("{} at {}, {place}", server.version, server.address)));
        }
        Self { facts, servers }
    }

    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub fn server_time(&self) -> ServerTime {
        let mut pids: Vec<u32> = self.servers.iter().filter_map(|server| server.pid).collect();
        pids.dedup();
        ServerTime(pids.into_iter().filter_map(|pid| Some((pid, cpu_time(pid)?))).collect())
    }

    pub fn cost(&self, measured: &Measured, before: &ServerTime) -> Cost {
        let requests = (measured.totals.ok + measured.totals.errors.total()).max(1) as f64;
        let generator: u64 =
            measured.totals.finishes.iter().map(|finish| finish.usage.cpu_ns).sum();
        let after = self.server_time();
        let used = before.0.iter().map(|(pid, before)| {
            let after = after.0.iter().find(|(other, _)| other == pid)?.1;
            Some(after.saturating_sub(*before).as_secs_f64())
        });
        let servers = used.sum::<Option<f64>>();
        let is_whole = !before.0.is_empty() && before.0.len() == self.servers.len();
        Cost {
            generator_us: generator as f64 / 1e3 / requests,
            servers_us: servers.filter(|_| is_whole).map(|seconds| seconds * 1e6 / requests),
        }
    }

    /// What a reader of the numbers must know before believing them.
    pub fn warnings(&self, load: &Load, measured: &Measured) -> Vec<String> {
        let mut warnings = Vec::new();
        let finishes = &measured.totals.finishes;
        let busiest =
            finishes.iter().map(|finish| share(finish.usage.cpu_ns, finish.usage.wall_ns));
        let busiest = busiest.fold(0.0, f64::max);
        if busiest > BUSY_SHARE_MAX {
            warnings.push(format!(
                "the generator is the bottleneck: a thread of it was busy {:.0} % of the time; \
                 use more --threads, or see the latencies as the generator's own",
                busiest * 100.0
            ));
        }
        let delayed =
            finishes.iter().map(|finish| share(finish.usage.delayed_ns, finish.usage.wall_ns));
        let delayed = delayed.fold(0.0, f64::max);
        if delayed > DELAYED_SHARE_MAX {
            warnings.push(format!(
                "a thread of the generator waited for a CPU {:.0} % of the time: others run on its \
                 cores, and latencies include that wait",
                delayed * 100.0
            ));
        }
        if let Some(cpus) = self.shared_cpus() {
            warnings.push(format!(
                "generator and server may run on the same cores ({cpus}): each slows the other"
            ));
        }
        if let (Some(asked), Pace::Rate { .. }) = (measured.asked_rate, load.pace) {
            let answered = measured.rate() + rate_of_errors(measured);
            if answered < asked * RATE_SHARE_MIN && !measured.was_interrupted {
                warnings.push(format!(
                    "asked for {asked:.0} requests a second, {answered:.0} were answered; at most \
                     {} were due and not sent",
                    measured.totals.backlog_max
                ));
            }
        }
        let sum = |part: fn(&crate::worker::Finish) -> u64| finishes.iter().map(part).sum::<u64>();
        let longest = |part: fn(&crate::worker::Finish) -> u64| {
            finishes.iter().map(part).max().unwrap_or(0) as f64 / 1e9
        };
        let (unsent, unanswered) = (sum(|f| f.unsent), sum(|f| f.unanswered));
        if unsent > 0 {
            warnings.push(format!(
                "{unsent} requests were due and never sent, the oldest for {:.3} s; they are in no \
                 percentile, which would be worse with them",
                longest(|f| f.unsent_ns)
            ));
        }
        if unanswered > 0 {
            warnings.push(format!(
                "{unanswered} requests were sent and never answered, the oldest due {:.3} s before \
                 the end; they are in no percentile, which would be worse with them",
                longest(|f| f.unanswered_ns)
            ));
        }
        warnings
    }

    fn shared_cpus(&self) -> Option<String> {
        let own = allowed_cpus(std::process::id())?;
        let pids = self.servers.iter().filter_map(|server| server.pid);
        let mut shared: Vec<usize> =
            pids.filter_map(allowed_cpus).flatten().filter(|cpu| own.contains(cpu)).collect();
        shared.sort_unstable();
        shared.dedup();
        let names: Vec<String> = shared.iter().map(ToString::to_string).collect();
        (!names.is_empty()).then(|| names.join(","))
    }
}

/// The command line without its password.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut words = Vec::new();
    let mut is_password = false;
    for word in arguments {
        let hidden = match word.as_str() {
            _ if is_password => Some("***".to_owned()),
            _ if word.starts_with("--pass=") => Some("--pass=***".to_owned()),
            _ if word.starts_with("-a") && word.len() > 2 => Some("-a***".to_owned()),
            _ => None,
        };
        is_password = !is_password && ["-a", "--pass"].contains(&word.as_str());
        words.push(hidden.unwrap_or(word));
    }
    words.join(" ")
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn rate_of_errors(measured: &Measured) -> f64 {
    measured.totals.errors.total() as f64 / measured.seconds().max(1e-9)
}

/// The day and second, UTC.
fn date() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date_of(since.as_secs())
}

fn date_of(seconds: u64) -> String {
    let (year, month, day) = logging::civil(seconds / 86_400);
    let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[test]
fn a_password_is_in_no_report() {
    for line in ["x -a secret -q", "x --pass secret", "x --pass=secret", "x -asecret get a"] {
        let shown = command(line.split(' ').map(str::to_owned));
        assert!(!shown.contains("secret") && shown.contains("***"), "{shown}");
    }
    assert_eq!(command(["x", "-n", "5"].map(str::to_owned).into_iter()), "x -n 5");
}

#[test]
fn dates_are_civil() {
    assert_eq!(date_of(0), "1970-01-01 00:00:00 UTC");
    assert_eq!(date_of(951_782_341), "2000-02-28 23:59:01 UTC");
    assert_eq!(date_of(951_782_400), "2000-02-29 00:00:00 UTC");
}
