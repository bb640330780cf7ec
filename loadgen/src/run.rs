//! Runs a load from its first connection to its last reply: starts the threads, gathers what they
//! report, has events happen, stops when told to.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::collect::{Collector, Interval, Totals};
use crate::load::{Load, Pace};
use crate::outage::{Mark, MarkKind};
use crate::worker::{self, Control, Message};

/// How often an interrupt is looked for.
const TICK: Duration = Duration::from_millis(50);

/// Files beside one for each connection.
const FILES_RESERVED: u64 = 64;

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    #[error("{0}")]
    Worker(String),
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
    #[error("{clients} connections need more open files than are allowed (ulimit -n): {limit}")]
    OpenFiles { clients: usize, limit: u64 },
}

static INTERRUPTS: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Has SIGINT and SIGTERM end a run with its report, and a second one without waiting for replies.
/// To be called once, before the first run.
pub fn listen_for_interrupts() -> Result<(), RunError> {
    let count = Arc::clone(INTERRUPTS.get_or_init(Arc::default));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(RunError::Signals)?;
    let count_them = move || {
        for _ in signals.forever() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(count_them).map_err(RunError::Thread)?;
    Ok(())
}

/// How often the process was asked to stop.
pub fn interrupts() -> usize {
    INTERRUPTS.get().map_or(0, |count| count.load(Ordering::Relaxed))
}

/// Raises the limits on open files and on locked memory as far as they may be.
pub fn raise_limits(clients: usize) -> Result<(), RunError> {
    for resource in [Resource::Nofile, Resource::Memlock] {
        let limit = getrlimit(resource);
        // What cannot be raised is told by what then fails.
        let _refused =
            setrlimit(resource, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < clients as u64 + FILES_RESERVED => {
            Err(RunError::OpenFiles { clients, limit })
        }
        _ => Ok(()),
    }
}

/// Something to happen at a time of the run, on a thread of its own.
pub struct Event {
    /// Since the measuring began.
    pub at: Duration,
    pub act: Box<dyn FnOnce(&Marks) + Send>,
}

/// Where events say what has happened.
#[derive(Clone)]
pub struct Marks {
    start: Instant,
    marks: Arc<Mutex<Vec<Mark>>>,
}

impl Marks {
    fn new(start: Instant) -> Self {
        Self { start, marks: Arc::default() }
    }

    /// Says that it happens now.
    pub fn add(&self, kind: MarkKind, label: impl Into<String>) {
        let at_ns = Instant::now().saturating_duration_since(self.start).as_nanos() as u64;
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.push(Mark { at_ns, kind, label: label.into() });
    }

    fn take(&self) -> Vec<Mark> {
        let mut marks =
            std::mem::take(&mut *self.marks.lock().unwrap_or_else(PoisonError::into_inner));
        marks.sort_by_key(|mark| mark.at_ns);
        marks
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Measured {
    pub totals: Totals,
    /// From the beginning of the measuring to the last success, or to the end of sending if that
    /// was later.
    pub elapsed_ns: u64,
    pub marks: Vec<Mark>,
    /// Requests a second that were asked for.
    pub asked_rate: Option<f64>,
    pub was_interrupted: bool,
}

impl Measured {
    pub fn seconds(&self) -> f64 {
        self.elapsed_ns as f64 / 1e9
    }

    /// Successes a second.
    pub fn rate(&self) -> f64 {
        if self.elapsed_ns == 0 { 0.0 } else { self.totals.ok as f64 / self.seconds() }
    }
}

/// Runs `load`. `on_interval` sees about every second of it.
pub fn run(
    load: &Arc<Load>,
    events: Vec<Event>,
    mut on_interval: impl FnMut(&Interval),
) -> Result<Measured, RunError> {
    raise_limits(load.clients)?;
    let interrupts_before = interrupts();
    let epoch = Instant::now();
    let control = Arc::new(Control::default());
    let (sender, messages) = mpsc::channel();
    let handles = (0..load.threads)
        .map(|part| {
            worker::start(Arc::clone(load), part, epoch, Arc::clone(&control), sender.clone())
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(RunError::Thread)?;
    drop(sender);
    let marks = Marks::new(epoch + load.warmup);
    let (done, is_done) = mpsc::channel::<()>();
    // Nobody waits for its end: what an event has started may last longer than the run.
    thread::spawn({
        let marks = marks.clone();
        move || happen(events, &marks, &is_done)
    });
    let bucket_ns = load.bucket.as_nanos() as u64;
    let mut collector = Collector::new(load.model(), load.threads, bucket_ns);
    let mut failure = None;
    while !collector.all_finished() {
        match interrupts() - interrupts_before {
            0 => {}
            1 => control.stop(),
            _ => control.abandon(),
        }
        match messages.recv_timeout(TICK) {
            Ok((part, Message::Sample(sample))) => {
                if let Some(spare) = collector.on_sample(part, sample, &mut on_interval) {
                    // A thread that has ended needs it no more.
                    let _gone = handles[part].spares.send(spare);
                }
            }
            Ok((part, Message::Finished(finish))) => {
                collector.on_finish(part, finish, &mut on_interval);
            }
            Ok((_, Message::Failed(error))) => {
                failure = Some(error);
                break;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                failure = Some("a loading thread ended early".to_owned());
                break;
            }
        }
    }
    control.abandon();
    drop(done);
    for handle in handles {
        let _panicked = handle.thread.join();
    }
    match failure {
        Some(error) => Err(RunError::Worker(error)),
        None => {
            let totals = collector.into_totals(&mut on_interval);
            Ok(measured(load, totals, &marks, interrupts() > interrupts_before))
        }
    }
}

fn measured(load: &Load, totals: Totals, marks: &Marks, was_interrupted: bool) -> Measured {
    let stopped = totals.finishes.iter().filter_map(|finish| finish.stopped_ns).max();
    let elapsed_ns = totals.last_ok_ns.max(stopped.unwrap_or(0));
    let asked_rate = match load.pace {
        Pace::AnswerDriven => None,
        Pace::Rate { per_second, .. } => Some(per_second),
    };
    Measured { totals, elapsed_ns, marks: marks.take(), asked_rate, was_interrupted }
}

/// Has each event happen at its time, until the run is over.
fn happen(mut events: Vec<Event>, marks: &Marks, is_done: &mpsc::Receiver<()>) {
    events.sort_by_key(|event| event.at);
    for event in events {
        let wait = (marks.start + event.at).saturating_duration_since(Instant::now());
        match is_done.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => (event.act)(marks),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
