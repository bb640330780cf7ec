//! Processes that end with us: [`Guard`] stops its process when dropped, and the kernel does so
//! should we be killed. Also what the kernel knows of a process: its CPU time.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::interrupt;

/// How long a server may take to stop by itself before it is killed.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Between two looks at a condition; small against the seconds that a measurement takes.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The unit of `/proc/PID/stat` times: USER_HZ, which is 100 on every Linux architecture of today.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// Ports for servers lie here: below the ephemeral range, with room for peer ports 10000 above.
const PORTS: std::ops::Range<u16> = 11_000..21_000;

/// From a client port to the peer port of the same node.
pub const PEER_PORT_OFFSET: u16 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("cannot start {program}: {source}")]
    Start { program: String, source: std::io::Error },
    #[error("interrupted")]
    Interrupted,
    #[error("{program} failed ({status}): {text}")]
    Failed { program: String, status: ExitStatus, text: String },
    #[error("waiting for {program}: {source}")]
    Wait { program: String, source: std::io::Error },
    #[error("no {0} free ports in a row in {PORTS:?}")]
    NoPorts(u16),
    #[error("{what} did not happen within {seconds} s")]
    TimedOut { what: String, seconds: u64 },
}

/// A process that is stopped when this is dropped.
pub struct Guard {
    child: Child,
}

/// What becomes of a process's standard output.
pub enum Printed {
    Discarded,
    /// To be read with [`Guard::take_lines`].
    Piped,
}

impl Guard {
    /// Starts `program`. The kernel kills it when our main thread ends, by whatever cause; SIGKILL,
    /// since a process that was paused would not act on anything less.
    ///
    /// Precondition: called on the main thread.
    pub fn start(
        program: &str,
        arguments: &[String],
        printed: Printed,
    ) -> Result<Self, ProcessError> {
        let stdout = match printed {
            Printed::Discarded => Stdio::null(),
            Printed::Piped => Stdio::piped(),
        };
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| ProcessError::Start { program: program.to_owned(), source })?;
        Ok(Self { child })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines that the process prints.
    ///
    /// Precondition: started with [`Printed::Piped`], and not taken before.
    pub fn take_lines(&mut self) -> std::io::Lines<BufReader<ChildStdout>> {
        let stdout = self.child.stdout.take().expect("invariant: piped, and taken once");
        BufReader::new(stdout).lines()
    }

    /// SIGKILL, and wait until it is gone.
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    pub fn signal(&self, signal: Signal) -> std::io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// SIGTERM, and SIGKILL if that does not end it in time.
    pub fn stop(&mut self) {
        if !self.is_running() {
            return;
        }
        // All calls can fail only because the process is gone, which is what is wanted. A paused
        // process acts on SIGTERM once it goes on.
        let _ = self.signal(Signal::TERM);
        let _ = self.signal(Signal::CONT);
        let deadline = Instant::now() + STOP_TIME;
        while self.is_running() {
            if Instant::now() > deadline {
                let _ = self.kill();
                return;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a tool to its end and returns what it printed.
pub fn run_tool(program: &str, arguments: &[String]) -> Result<String, ProcessError> {
    let start = |source| ProcessError::Start { program: program.to_owned(), source };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let wait = |source| ProcessError::Wait { program: program.to_owned(), source };
    // What the tools print fits into a pipe's 64 KiB, so nothing needs to be read before the end.
    while child.try_wait().map_err(wait)?.is_none() {
        if interrupt::is_interrupted() {
            child.kill().map_err(wait)?;
            child.wait().map_err(wait)?;
            return Err(ProcessError::Interrupted);
        }
        thread::sleep(POLL_INTERVAL);
    }
    let Output { status, stdout, stderr } = child.wait_with_output().map_err(wait)?;
    if interrupt::is_interrupted() {
        return Err(ProcessError::Interrupted);
    }
    let printed = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(printed);
    }
    let text = format!("{printed}{}", String::from_utf8_lossy(&stderr)).trim().to_owned();
    Err(ProcessError::Failed { program: program.to_owned(), status, text })
}

/// Asks `condition` again and again until it yields something.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T, ProcessError> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return Ok(found);
        }
        if interrupt::is_interrupted() {
            return Err(ProcessError::Interrupted);
        }
        if Instant::now() > deadline {
            return Err(ProcessError::TimedOut { what: what.to_owned(), seconds: limit.as_secs() });
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// User and system time of all threads of a process. `None` when it is gone.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    // Fields 14 and 15 (proc_pid_stat(5)).
    stat_times(&pid.to_string(), 14)
}

/// User and system time of all child processes that have ended and were waited for.
pub fn children_cpu_time() -> Option<Duration> {
    // Fields 16 and 17.
    stat_times("self", 16)
}

/// The sum of two fields of `/proc/PID/stat`, which counts them from 1.
fn stat_times(pid: &str, field: usize) -> Option<Duration> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
    // The name, in brackets, may itself hold spaces and brackets. After it comes field 3.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(field - 3);
    let ticks: u32 = fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?;
    Some(CLOCK_TICK * ticks)
}

/// Whether a node can listen at `port` and at its peer port.
pub fn is_free(port: u16) -> bool {
    [port, port + PEER_PORT_OFFSET]
        .iter()
        .all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}

/// The first of `count` ports in a row that are free, with their peer ports.
pub fn free_ports(count: u16) -> Result<u16, ProcessError> {
    // Runs beside each other start their search at different places.
    let offset = (std::process::id() as u16).wrapping_mul(37) % (PORTS.end - PORTS.start - count);
    let starts = (PORTS.start + offset..PORTS.end - count).chain(PORTS.start..PORTS.end - count);
    starts
        .step_by(usize::from(count))
        .find(|start| (*start..start + count).all(is_free))
        .ok_or(ProcessError::NoPorts(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_a_live_process_grows_and_a_dead_one_has_none() {
        let own = std::process::id();
        let before = cpu_time(own).unwrap();
        wait_for("CPU time", Duration::from_secs(20), || {
            (0..1_000_000u64).map(std::hint::black_box).sum::<u64>();
            (cpu_time(own)? > before).then_some(())
        })
        .unwrap();
        // Above the largest process id that Linux gives (PID_MAX_LIMIT, 2^22).
        assert_eq!(cpu_time(1 << 23), None);
    }

    #[test]
    fn the_time_of_children_counts_when_they_have_ended() {
        let before = children_cpu_time().unwrap();
        let work = "n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done";
        run_tool("sh", &["-c".into(), work.into()]).unwrap();
        assert!(children_cpu_time().unwrap() > before);
    }

    #[test]
    fn a_dropped_guard_leaves_no_process() {
        let guard = Guard::start("sleep", &["1000".into()], Printed::Discarded).unwrap();
        let pid = guard.pid();
        assert!(cpu_time(pid).is_some());
        drop(guard);
        assert!(cpu_time(pid).is_none());
    }

    #[test]
    fn a_paused_process_is_stopped_as_well() {
        let guard = Guard::start("sleep", &["1000".into()], Printed::Discarded).unwrap();
        let pid = guard.pid();
        guard.signal(Signal::STOP).unwrap();
        drop(guard);
        assert!(cpu_time(pid).is_none());
    }

    #[test]
    fn free_ports_are_free_with_their_peer_ports() {
        let first = free_ports(3).unwrap();
        for port in first..first + 3 {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
            TcpListener::bind((Ipv4Addr::LOCALHOST, port + PEER_PORT_OFFSET)).unwrap();
        }
    }

    #[test]
    fn a_tool_that_fails_says_why() {
        let error = run_tool("sh", &["-c".into(), "echo no; exit 3".into()]).unwrap_err();
        assert!(matches!(&error, ProcessError::Failed { text, .. } if text == "no"), "{error}");
    }
}
