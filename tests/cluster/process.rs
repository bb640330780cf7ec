//! Processes that cannot outlive their test, and what the kernel knows of them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};

use crate::wait::{self, LONG};

/// The server under test.
pub fn binary() -> String {
    std::env::var("MAYFLY_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mayfly").to_owned())
}

/// Whether a redis-server stands in for the cluster.
pub fn is_stand_in() -> bool {
    binary().ends_with("redis-server")
}

/// Held by every test that starts servers.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has dropped its processes; the next one may go on.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets this process and its children open as many files as the system allows.
pub fn raise_open_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.current.unwrap_or(u64::MAX)
}

/// Ports lie below the ephemeral range, with their peer ports 10000 above.
const PORTS: std::ops::Range<u16> = 21_000..22_700;
pub const PEER_PORT_OFFSET: u16 = 10_000;

/// Whether a node can have a port and its peer port.
pub fn is_free(port: u16) -> bool {
    let can_bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    can_bind(port) && can_bind(port + PEER_PORT_OFFSET)
}

/// Keeps other test programs that run beside this one from choosing the same port, until this one
/// ends: they all ask for the UDP port of that number, which no server here uses. The TCP port is
/// free for a moment now and then, while its node starts or is started again.
fn reserve(port: u16) -> bool {
    static RESERVED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let bind = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
    let (Ok(own), Ok(peer)) = (bind(port), bind(port + PEER_PORT_OFFSET)) else { return false };
    RESERVED.lock().unwrap().extend([own, peer]);
    true
}

/// The first of `count` ports in a row that are free, as their peer ports are.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: Mutex<u16> = Mutex::new(0);
    let mut next = NEXT.lock().unwrap();
    let span = PORTS.end - PORTS.start;
    if *next == 0 {
        *next = PORTS.start + (std::process::id() as u16).wrapping_mul(13) % span;
    }
    for _ in 0..span {
        let first = *next;
        *next = if first + 2 * count >= PORTS.end { PORTS.start } else { first + count };
        if (first..first + count).all(|port| is_free(port) && reserve(port)) {
            return first;
        }
    }
    panic!("no {count} free ports in a row in {PORTS:?}");
}

/// A process that is killed when this is dropped. What it prints goes to a file, whose end is shown
/// if the test fails.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn start(program: &str, arguments: &str) -> Self {
        Self::start_logging(program, arguments, Stdio::null())
    }

    /// The second is every line of its standard output, as they come.
    pub fn start_with_lines(program: &str, arguments: &str) -> (Self, Receiver<String>) {
        let mut process = Self::start_logging(program, arguments, Stdio::piped());
        let stdout = BufReader::new(process.child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The test may have ended before the process did.
                let _ = sender.send(line);
            }
        });
        (process, lines)
    }

    fn start_logging(program: &str, arguments: &str, stdout: Stdio) -> Self {
        static COUNT: Mutex<u32> = Mutex::new(0);
        let mut count = COUNT.lock().unwrap();
        *count += 1;
        let name = format!("process-{}-{count}.log", std::process::id());
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        // The kernel kills it when the thread of the test ends, should the guard not come to it.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", program])
            .args(arguments.split(' ').map(|word| if word == "''" { "" } else { word }))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        Self { child, log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn wait(&mut self, what: &str) -> ExitStatus {
        wait::until(what, LONG, || self.child.try_wait().unwrap())
    }

    /// What it has printed on standard error.
    pub fn complaints(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended, and then waiting is all there is to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(20)..];
            println!("process {} printed at last:\n{}", self.pid(), last.join("\n"));
        }
        // A log that cannot be removed is removed with the target folder.
        let _ = fs::remove_file(&self.log);
    }
}

/// Whether there is such a process, zombies aside.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The most memory that a process ever held, in bytes.
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Runs a tool to its end: whether it succeeded, and all that it printed.
pub fn run_tool(program: &str, arguments: &str) -> (bool, String) {
    let output = Command::new(program).args(arguments.split(' ')).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}
