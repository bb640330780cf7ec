//! The same histories with a second recorder: redis-py, in a process of its own, beside the
//! clients of this suite and on the same keys.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::record::{History, Names};
use super::workload::Window;
use super::{CLIENTS_MAX, OPTIONS, disturb, edn, summary, this_build, variable, verify};
use crate::chaos::random::Random;
use crate::chaos::swarm::check_digests;
use crate::cluster::Layout;
use crate::process::is_stand_in;

/// `record.py`, which is ended by the end of its input, and killed when this is dropped.
struct Recorder(Child);

impl Recorder {
    fn start(seed: u64, window: &Window<'_>) -> Self {
        let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python/bin/python3");
        let python = std::env::var("MAYFLY_PYTHON").unwrap_or_else(|_| installed.to_owned());
        assert!(
            Path::new(&python).exists(),
            "{python} is missing: `tests/run install` installs it"
        );
        let ports: Vec<String> = window.ports.iter().map(u16::to_string).collect();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", &python])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/history/record.py"))
            .args([seed.to_string(), ports.join(",")])
            .args(window.keys.iter().map(|key| &key.name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// What it has recorded.
    fn finish(mut self) -> History {
        drop(self.0.stdin.take());
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.0.wait().unwrap().success(), "record.py failed");
        edn::read(&text).unwrap()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn redis_py_records_a_linearizable_history_beside_other_clients() {
    if is_stand_in() {
        return;
    }
    let seed = variable("MAYFLY_HISTORY_SEED", 1);
    println!("history: redis-py MAYFLY_HISTORY_SEED={seed}");
    let mut fleet = Fleet::start(3, Layout::Folded, OPTIONS, &this_build());
    let names = Names::default();
    let mut random = Random::new(seed);
    let window = Window::new(&format!("redis-py-{seed}"), 0, 5, fleet.ports(), &names);
    let recorder = Recorder::start(seed, &window);
    let end = Instant::now() + Duration::from_secs(60);
    disturb(&window, &mut fleet, &mut random, &mut (seed as usize + 4), end);
    let theirs = recorder.finish();
    let answered = summary("redis-py", &theirs);
    println!("history: {answered}");
    assert!(theirs.len() > 50, "{answered}");
    let mut history = [window.finish(CLIENTS_MAX as u32), theirs].concat();
    history.sort_by_key(|operation| (operation.invoked_ns, operation.process));
    verify(window.name(), &history);
    check_digests(&fleet.ports());
}
