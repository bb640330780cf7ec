//! What a run is to do: where to, how much, how fast, which requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::keys::{Distribution, Picker};
use crate::record::Model;
use crate::schedule::Arrival;
use crate::subscribers::Subscription;
use crate::template::{Numbers, Template};

/// Leaves room above the base for the numbers of a run: they have twelve digits.
const UNIQUE_BASE_MAX: u64 = 500_000_000_000;

/// Everything that the loading threads must know.
#[derive(Clone, Debug)]
pub struct Load {
    /// Connections are dealt out to these in turn; one that is lost goes to the next.
    pub servers: Vec<SocketAddr>,
    /// Connections in all.
    pub clients: usize,
    pub threads: usize,
    /// Requests that a connection may have on their way.
    pub pipeline: usize,
    pub connections: Connections,
    /// Sent first on each connection, and how many replies it gets.
    pub greeting: Greeting,
    pub work: Work,
    pub keys: Keys,
    pub pace: Pace,
    /// Requests in all, unless the time alone ends the run.
    pub requests: Option<u64>,
    /// After the warm-up.
    pub duration: Option<Duration>,
    /// Load that is not measured, before all else.
    pub warmup: Duration,
    pub redirects: Redirects,
    /// Of a value that is written, for the report.
    pub payload: String,
    /// The resolution of the timeline.
    pub bucket: Duration,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    Kept,
    /// Closed after each batch of replies.
    Renewed,
}

/// What is done about a reply `MOVED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// It is an error.
    #[default]
    Counted,
    /// The connection goes to the server that is named, and sends its requests again there.
    Followed,
}

#[derive(Clone, Debug, Default)]
pub struct Greeting {
    pub bytes: Vec<u8>,
    pub replies: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub distribution: Distribution,
    pub count: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Each connection sends again when it was answered.
    AnswerDriven,
    /// So many requests a second become due, whatever the server does.
    Rate { per_second: f64, arrival: Arrival },
}

#[derive(Clone, Debug)]
pub enum Work {
    Mix(Workload),
    /// Each connection increments and reads a counter of its own, and checks the replies
    /// ([`crate::verify`]).
    Counters {
        /// Of the keys.
        prefix: String,
        /// Percent of the requests.
        reads: u8,
    },
    /// Connections read and write registers, which is recorded ([`crate::history`]).
    Registers {
        /// Of the keys.
        prefix: String,
    },
}

/// The operations of a run, each with how often it is done.
#[derive(Clone, Debug)]
pub struct Workload {
    operations: Vec<Operation>,
    /// The sums of the weights up to each operation.
    sums: Vec<u64>,
    /// What all threads have inserted.
    inserted: Arc<AtomicU64>,
    /// Where numbers begin that no other run is to have.
    unique_base: u64,
    subscription: Option<Subscription>,
}

/// What counts as one request of the load: a command, or several, each sent when the one before it
/// was answered.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Against the sum of all.
    pub weight: u64,
    /// Equally often.
    pub variants: Vec<Vec<Template>>,
    pub next: Next,
}

/// After which replies an operation goes on with its next command. It never does after an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Next {
    #[default]
    Always,
    /// Unless the reply was nil.
    Hit,
    /// If the reply was nil.
    Miss,
}

/// The commands of an operation that are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    operation: usize,
    variant: usize,
    step: usize,
    numbers: Numbers,
}

impl Operation {
    pub fn of_one(template: Template, weight: u64) -> Self {
        Self { weight, variants: vec![vec![template]], next: Next::Always }
    }
}

impl Workload {
    /// Precondition: there is an operation, weights are positive, no operation is empty.
    pub fn new(operations: Vec<Operation>) -> Self {
        assert!(!operations.is_empty());
        assert!(operations.iter().all(|operation| {
            let variants = &operation.variants;
            operation.weight > 0 && !variants.is_empty() && variants.iter().all(|v| !v.is_empty())
        }));
        let mut sum = 0;
        let sums = operations.iter().map(|operation| {
            sum += operation.weight;
            sum
        });
        let sums = sums.collect();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unique_base = since.as_micros() as u64 % UNIQUE_BASE_MAX;
        Self { operations, sums, inserted: Arc::default(), unique_base, subscription: None }
    }

    pub fn of_one(template: Template) -> Self {
        Self::new(vec![Operation::of_one(template, 1)])
    }

    /// Has subscribers listen while it is done.
    pub fn heard_by(mut self, subscription: Option<Subscription>) -> Self {
        self.subscription = subscription;
        self
    }

    pub fn subscription(&self) -> Option<&Subscription> {
        self.subscription.as_ref()
    }

    /// The picker of thread `part`, which knows what all threads insert.
    pub fn picker(&self, keys: Keys, part: usize, parts: usize, seed: u64) -> Picker {
        Picker::new(keys.distribution, keys.count, part, parts, seed)
            .sharing(Arc::clone(&self.inserted), self.unique_base)
    }

    /// Appends `count` requests, if they all are alike.
    #[inline]
    pub fn append_alike(&self, out: &mut Vec<u8>, count: usize, picker: &mut Picker) -> bool {
        if let [only] = &self.operations[..]
            && let [steps] = &only.variants[..]
            && let [template] = &steps[..]
        {
            template.append(out, count, picker);
            return true;
        }
        false
    }

    /// Appends the first command of an operation; returns what is to follow it.
    #[inline]
    pub fn begin(&self, out: &mut Vec<u8>, picker: &mut Picker) -> Option<Rest> {
        let operation = match &self.sums[..] {
            [_] => 0,
            sums => {
                let at = picker.below(sums[sums.len() - 1]);
                sums.partition_point(|sum| *sum <= at)
            }
        };
        let variants = &self.operations[operation].variants;
        let variant = match variants.len() {
            1 => 0,
            count => picker.below(count as u64) as usize,
        };
        if let [only] = &variants[variant][..] {
            only.append(out, 1, picker);
            return None;
        }
        let mut numbers = Numbers::default();
        variants[variant][0].append_step(out, &mut numbers, picker);
        Some(Rest { operation, variant, step: 1, numbers })
    }

    /// Whether an operation goes on after a reply that was nil, or was not.
    pub fn goes_on(&self, rest: &Rest, is_nil: bool) -> bool {
        match self.operations[rest.operation].next {
            Next::Always => true,
            Next::Hit => !is_nil,
            Next::Miss => is_nil,
        }
    }

    /// Appends the next command of an operation; returns what is to follow it.
    pub fn go_on(&self, mut rest: Rest, out: &mut Vec<u8>, picker: &mut Picker) -> Option<Rest> {
        let steps = &self.operations[rest.operation].variants[rest.variant];
        steps[rest.step].append_step(out, &mut rest.numbers, picker);
        rest.step += 1;
        (rest.step < steps.len()).then_some(rest)
    }
}

impl Load {
    pub fn model(&self) -> Model {
        match self.pace {
            Pace::AnswerDriven => Model::Closed,
            Pace::Rate { .. } => Model::Open,
        }
    }

    /// The share of thread `part` in something that is `whole` for all.
    pub fn share(&self, whole: u64, part: usize) -> u64 {
        let (threads, part) = (self.threads as u64, part as u64);
        whole / threads + u64::from(part < whole % threads)
    }
}
