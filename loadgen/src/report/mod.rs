//! A run's result in every form that it can be had in. Only looks at what was measured.

pub mod csv;
pub mod hgrm;
pub mod hlog;
pub mod html;
pub mod json;
pub mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::environment::{Cost, Environment};
use crate::load::Load;
use crate::outage::{Blame, Mark, MarkKind, Outage, outage_after, outage_ns_min, outages};
use crate::run::Measured;
use crate::subscribers::Deliveries;
use crate::verify::Verified;

/// A fault is not blamed for what begins this long after it. Success stops at once with most
/// faults; a shell command may take its time on a machine that is busy.
const FAULT_REACH_NS: u64 = 1_000_000_000;

/// One test of a run.
pub struct Outcome {
    pub title: String,
    pub load: Arc<Load>,
    pub measured: Measured,
    pub cost: Cost,
    pub warnings: Vec<String>,
    /// As the first server has them.
    pub persistence: Option<[String; 2]>,
    /// Where counters were verified.
    pub verified: Option<Verified>,
    /// Where there were subscribers.
    pub deliveries: Option<Deliveries>,
}

impl Outcome {
    pub fn outages(&self) -> Vec<Outage> {
        let totals = &self.measured.totals;
        outages(&totals.timeline, totals.bucket_ns, self.measured.elapsed_ns)
    }

    /// Each mark, and the outage that followed it if it was a fault.
    pub fn marks(&self) -> Vec<(&Mark, Option<Outage>)> {
        let outages = self.outages();
        let marks = &self.measured.marks;
        let totals = &self.measured.totals;
        let slack_ns = outage_ns_min(&totals.timeline, totals.bucket_ns);
        let faults: Vec<u64> = marks
            .iter()
            .filter(|mark| mark.kind == MarkKind::Fault)
            .map(|mark| mark.at_ns)
            .collect();
        let after = |mark: &Mark| match mark.kind {
            MarkKind::Fault => {
                let (at_ns, reach_ns) = (mark.at_ns, FAULT_REACH_NS);
                let next_ns = faults.iter().copied().find(|at| *at > at_ns);
                outage_after(&outages, Blame { at_ns, next_ns, slack_ns, reach_ns })
            }
            MarkKind::Note => None,
        };
        marks.iter().map(|mark| (mark, after(mark))).collect()
    }
}

/// What all tests of a run share.
pub struct Run<'a> {
    pub environment: &'a Environment,
    pub outcomes: &'a [Outcome],
}

/// The file for a part of the results: `out.hgrm` becomes `out.SET.hgrm`.
pub fn part_path(path: &Path, part: &str) -> PathBuf {
    let clean: String =
        part.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let clean = clean.trim_matches('-');
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) => path.with_extension(format!("{clean}.{extension}")),
        None => path.with_extension(clean),
    }
}

/// Milliseconds of microseconds.
fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[test]
fn parts_have_files_of_their_own() {
    let path = part_path(Path::new("a/out.hgrm"), "LRANGE_100 (first 100 elements)");
    assert_eq!(path, Path::new("a/out.LRANGE_100--first-100-elements.hgrm"));
    assert_eq!(part_path(Path::new("out"), "SET"), Path::new("out.SET"));
}
