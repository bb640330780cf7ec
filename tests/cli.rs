//! The program from outside: what it refuses and how it says so, and what a local cluster leaves
//! behind.

#![allow(clippy::unwrap_used, reason = "a failed call is a failed test here")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;

#[allow(dead_code, reason = "what only the other tests need of it")]
#[path = "cluster/wait.rs"]
mod wait;

const MAYFLY: &str = env!("CARGO_BIN_EXE_mayfly");

/// Runs `mayfly` to its end.
fn mayfly(arguments: &[&str]) -> Output {
    Command::new(MAYFLY).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs a shell line in which `$MAYFLY` is the program.
fn shell(line: &str) -> Output {
    Command::new("bash").args(["-c", line]).env("MAYFLY", MAYFLY).output().unwrap()
}

/// A shell line as for [`shell`], by a process that cannot raise its hard limits even as root.
fn unprivileged(line: &str) -> Command {
    let drop = "drop=; [ $(id -u) = 0 ] && drop='setpriv --bounding-set -sys_resource \
                --inh-caps -sys_resource'; exec $drop bash -c \"$LINE\"";
    let mut command = Command::new("bash");
    command.args(["-c", drop]).env("LINE", line).env("MAYFLY", MAYFLY);
    command
}

/// The one line that says why, of a run that must have failed.
fn refusal(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!output.status.success(), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("mayfly: "), "{text}");
    text
}

fn check_refused(output: &Output, expected: &[&str]) {
    let text = refusal(output);
    for part in expected {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

/// A listener whose port, and the `count` ports from there on, can serve as client ports of nodes:
/// they and their peer ports were free a moment ago.
fn free_ports(count: u16) -> u16 {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    // Below the ephemeral ports, so that no outgoing connection takes one meanwhile; begun at the
    // process id, so that test programs that run beside this one look elsewhere.
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        let start = (std::process::id() % 6000) as u16;
        let port = 12_000 + (start + step) % 8_000;
        let is_ours = |port| free(port) && free(port + 10_000) && reserve(port);
        if (port..port + count).all(is_ours) {
            return port;
        }
    }
}

/// Keeps other test programs that run beside this one from choosing the same port, until this one
/// ends: they all ask for the UDP port of that number, which no server here uses.
fn reserve(port: u16) -> bool {
    static RESERVED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let bind = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
    let (Ok(own), Ok(peer)) = (bind(port), bind(port + 10_000)) else { return false };
    RESERVED.lock().unwrap().extend([own, peer]);
    true
}

/// The first CPU that this process may run on, which need not be the machine's first.
fn own_cpu() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    list.trim().split([',', '-']).next().unwrap().to_owned()
}

fn is_alive(pid: u32) -> bool {
    // The third field is the state; Z has ended and waits to be reaped.
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => false,
    }
}

#[test]
fn wrong_options_are_refused() {
    check_refused(&mayfly(&["node", "--prot", "5"]), &["--prot", "did you mean '--port'?"]);
    check_refused(&mayfly(&["node", "--maxclients", "0"]), &["--maxclients '0'", "between 1 and"]);
    check_refused(&mayfly(&["node", "--init", "--join", "a:1"]), &["--init and --join"]);
    check_refused(&mayfly(&["local", "--nodes", "x"]), &["--nodes"]);
    check_refused(&mayfly(&["serve"]), &["serve"]);
}

#[test]
fn a_wrong_line_of_a_file_is_refused_with_its_place() {
    let path = std::env::temp_dir().join(format!("mayfly-cli-{}.conf", std::process::id()));
    fs::write(&path, "port 7000\nmaxclient 5\n").unwrap();
    let output = mayfly(&["node", path.to_str().unwrap()]);
    fs::remove_file(&path).unwrap();
    check_refused(
        &output,
        &["*** FATAL CONFIG FILE ERROR ***", ".conf:2: 'maxclient 5'", "unknown directive"],
    );
}

#[test]
fn a_port_in_use_is_refused() {
    let port = free_ports(2);
    let address = |port| (Ipv4Addr::LOCALHOST, port);
    let client = TcpListener::bind(address(port)).unwrap();
    check_refused(
        &mayfly(&["node", "--port", &port.to_string()]),
        &[&format!("port {port} is in use; choose another with --port")],
    );
    drop(client);
    let _peer = TcpListener::bind(address(port + 10_000)).unwrap();
    check_refused(
        &mayfly(&["node", "--port", &port.to_string()]),
        &[&format!("cluster port {} is in use; choose another with --cluster-port", port + 10_000)],
    );
}

#[test]
fn cpus_that_are_not_there_are_refused() {
    let own = own_cpu();
    check_refused(
        &shell(&format!("taskset -c {own} $MAYFLY node --raft-core {own} --apply-core 1000")),
        &["--apply-core names CPU 1000", &format!("CPUs {own} only")],
    );
    check_refused(
        &shell(&format!("taskset -c {own} $MAYFLY node --cores 2")),
        &["--cores 2 is more than there is", &format!("1 CPUs ({own})")],
    );
}

#[test]
fn too_little_lockable_memory_is_refused() {
    check_refused(
        &shell("ulimit -l 64; exec $MAYFLY node"),
        &["only 64 KiB of memory may be locked", "needs 512", "LimitMEMLOCK"],
    );
}

#[test]
fn too_few_files_for_any_client_are_refused() {
    check_refused(
        &unprivileged("ulimit -n 100; exec $MAYFLY node").output().unwrap(),
        &["only 100 open files are allowed", "allow at least"],
    );
}

/// Ends with the test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It has ended by itself, if all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_node_tells_what_it_starts_with_and_stops_when_asked() {
    let port = free_ports(1);
    let line = format!(
        "ulimit -n 600; exec $MAYFLY node --port {port} --cores 1 --name left --system-check off"
    );
    let mut node = Killed(unprivileged(&line).stderr(Stdio::piped()).spawn().unwrap());
    let node = &mut node.0;
    let mut lines = BufReader::new(node.stderr.take().unwrap()).lines().map(Result::unwrap);
    let expected = [
        "warning maxclients is lowered from 10000 to 88".to_owned(),
        format!("as left, clients at 127.0.0.1:{port}, peers at 127.0.0.1:{}", port + 10_000),
        "notice layout: ".to_owned(),
    ];
    for expected in expected {
        let line = lines.next().unwrap();
        assert!(line.contains(&expected), "{line} lacks {expected}");
        assert!(line.starts_with(&format!("{}:N ", node.id())), "{line}");
    }
    assert!(Command::new("kill").arg(node.id().to_string()).status().unwrap().success());
    assert!(node.wait().unwrap().success());
}

#[test]
fn blocked_io_uring_is_refused() {
    // io_uring_setup is system call 425; the filter answers it with EPERM as a container's does.
    let script = "
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
program = b''.join(struct.pack('HBBI', *step) for step in [
    (0x20, 0, 0, 0),            # load the number of the system call
    (0x15, 0, 1, 425),          # io_uring_setup?
    (0x06, 0, 0, 0x00050001),   # fail with errno 1
    (0x06, 0, 0, 0x7fff0000),   # allow
])
held = ctypes.create_string_buffer(program, len(program))
class Program(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('steps', ctypes.c_void_p)]
filter = Program(4, ctypes.cast(held, ctypes.c_void_p))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(filter)) == 0
os.execv(sys.argv[1], sys.argv[1:])
";
    let output = Command::new("python3").args(["-c", script, MAYFLY, "node"]).output().unwrap();
    check_refused(&output, &["io_uring is blocked", "kernel.io_uring_disabled", "seccomp"]);
}

#[test]
fn a_node_whose_supervisor_is_gone_does_not_start() {
    // Process 1 started neither this test nor the node.
    check_refused(&mayfly(&["node", "--supervisor", "1"]), &["that started this node is gone"]);
}

#[test]
fn version_and_help_are_told() {
    let version = mayfly(&["--version"]);
    assert!(version.status.success());
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("mayfly {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(mayfly(&["node", "--help"]).status.success());
}

/// A running `mayfly local`, killed when dropped.
struct Local {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Local {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(MAYFLY)
            .arg("local")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The process id told for node `number` on `port`.
    fn pid(&mut self, number: usize, port: u16) -> u32 {
        let line = self.lines.next().unwrap().unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let [node, told, "pid", pid, "port", told_port] = words[..] else { panic!("{line}") };
        assert_eq!((node, told), ("node", number.to_string().as_str()));
        assert_eq!(told_port, port.to_string());
        pid.parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Already ended is fine: a test's own end of it comes first.
        let _killed = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[test]
fn a_signal_stops_all_nodes_of_a_local_cluster() {
    for signal in ["TERM", "INT"] {
        let port = free_ports(3);
        let mut local = Local::start(&["--port", &port.to_string()]);
        let pids: Vec<_> =
            (1..=3).map(|number| local.pid(number, port + number as u16 - 1)).collect();
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        local.signal(signal);
        assert!(local.process.wait().unwrap().success());
        assert!(!pids.iter().any(|pid| is_alive(*pid)));
    }
}

#[test]
fn no_node_outlives_a_killed_parent() {
    let port = free_ports(2);
    let mut local = Local::start(&["--nodes", "2", "--port", &port.to_string()]);
    let pids = [local.pid(1, port), local.pid(2, port + 1)];
    // Tied to the parent as soon as they listen.
    wait::until_true("the nodes listen", wait::LONG, || {
        (port..port + 2)
            .all(|port| std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
    });
    local.signal("KILL");
    wait::until_true("the nodes are gone", wait::LONG, || !pids.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn a_node_that_cannot_start_ends_the_local_cluster() {
    let port = free_ports(3);
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).unwrap();
    let mut local = Local::start(&["--port", &port.to_string()]);
    let pids: Vec<_> = (1..=3).map(|number| local.pid(number, port + number as u16 - 1)).collect();
    assert!(!local.process.wait().unwrap().success());
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    let mut told = String::new();
    local.process.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.contains(&format!("mayfly: port {} is in use", port + 1)), "{told}");
    assert!(told.contains("mayfly: node 2 (port"), "{told}");
    assert!(told.contains("ended before the cluster was ready: exit status: 1"), "{told}");
}
