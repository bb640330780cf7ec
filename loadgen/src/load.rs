//! What a run is to do: where to, how much, how fast, which requests.

use std::net::SocketAddr;
use std::time::Duration;

use crate::keys::{Distribution, Picker};
use crate::record::Model;
use crate::schedule::Arrival;
use crate::template::Template;

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
}

/// The requests of a run, each with how often it is sent.
#[derive(Clone, Debug)]
pub struct Workload {
    operations: Vec<Operation>,
    weight: u64,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub template: Template,
    /// Against the sum of all.
    pub weight: u64,
}

impl Workload {
    /// Precondition: there is an operation, and weights are positive.
    pub fn new(operations: Vec<Operation>) -> Self {
        let weight = operations.iter().map(|operation| operation.weight).sum();
        assert!(!operations.is_empty() && operations.iter().all(|operation| operation.weight > 0));
        Self { operations, weight }
    }

    pub fn of_one(template: Template) -> Self {
        Self::new(vec![Operation { template, weight: 1 }])
    }

    /// Appends `count` requests.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>, count: usize, picker: &mut Picker) {
        if let [only] = &self.operations[..] {
            only.template.append(out, count, picker);
            return;
        }
        for _ in 0..count {
            let mut at = picker.below(self.weight);
            let chosen = self.operations.iter().find(|operation| {
                let here = at < operation.weight;
                at = at.wrapping_sub(operation.weight);
                here
            });
            chosen
                .expect("invariant: the number is below the sum of all weights")
                .template
                .append(out, 1, picker);
        }
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
