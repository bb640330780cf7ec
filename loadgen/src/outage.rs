//! When nothing succeeded, and what that had to do with an event. PURE: no I/O, no clock.

use crate::collect::Bucket;

/// A time without success. Nanoseconds since the measuring began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The last success before it; the beginning, if nothing ever succeeded.
    pub start_ns: u64,
    /// The first success after it. `None` when none came before the end.
    pub end_ns: Option<u64>,
}

impl Outage {
    pub fn len_ns(&self, run_end_ns: u64) -> u64 {
        self.end_ns.unwrap_or(run_end_ns).saturating_sub(self.start_ns)
    }
}

/// A time without success is an outage when it is this many times longer than usual.
const USUAL_TIMES: u64 = 20;

/// Something that happened at a time of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub at_ns: u64,
    pub kind: MarkKind,
    pub label: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// May be the cause of an outage.
    Fault,
    /// Is only worth knowing.
    Note,
}

/// The shortest time without success that is called an outage: shorter ones hide within a bucket,
/// or are usual at this rate.
pub fn outage_ns_min(timeline: &[Bucket], bucket_ns: u64) -> u64 {
    let ok: u64 = timeline.iter().map(|bucket| bucket.ok).sum();
    let time = timeline.len() as u64 * bucket_ns;
    bucket_ns.max(time.checked_div(ok).unwrap_or(0).saturating_mul(USUAL_TIMES))
}

/// All outages of a run that ended at `end_ns`, in order.
pub fn outages(timeline: &[Bucket], bucket_ns: u64, end_ns: u64) -> Vec<Outage> {
    let min = outage_ns_min(timeline, bucket_ns);
    let mut found = Vec::new();
    let mut last = None;
    for (first, next) in timeline.iter().filter_map(|bucket| bucket.successes_ns) {
        // The time that the first connections take to be made is no outage.
        let start_ns = last.unwrap_or(first);
        if first.saturating_sub(start_ns) >= min {
            found.push(Outage { start_ns, end_ns: Some(first) });
        }
        last = Some(next);
    }
    let start_ns = last.unwrap_or(0);
    if end_ns.saturating_sub(start_ns) >= min {
        found.push(Outage { start_ns, end_ns: None });
    }
    found
}

/// Of which fault an outage is looked for, and how far from it.
#[derive(Clone, Copy, Debug)]
pub struct Blame {
    pub at_ns: u64,
    /// When the next fault was.
    pub next_ns: Option<u64>,
    /// How long before the fault the last success may have been: the usual time between two.
    pub slack_ns: u64,
    /// How long after it the outage may begin.
    pub reach_ns: u64,
}

/// The outage that a fault may have caused: the first that begins with it or after. A later one may
/// be longer, and have another cause.
///
/// Precondition: the outages are in order.
pub fn outage_after(outages: &[Outage], blame: Blame) -> Option<Outage> {
    let Blame { at_ns, next_ns, slack_ns, reach_ns } = blame;
    let until = next_ns.unwrap_or(u64::MAX).min(at_ns.saturating_add(reach_ns));
    outages
        .iter()
        .filter(|outage| outage.end_ns.is_none_or(|end| end > at_ns))
        .find(|outage| outage.start_ns + slack_ns >= at_ns && outage.start_ns < until)
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Buckets of 10 ms with successes at these times.
    fn timeline(successes_ms: impl IntoIterator<Item = u64>, buckets: usize) -> Vec<Bucket> {
        let mut timeline = vec![Bucket::default(); buckets];
        for ms in successes_ms {
            let bucket = &mut timeline[(ms / 10) as usize];
            bucket.ok += 1;
            let first = bucket.successes_ns.map_or(ms * MS, |(first, _)| first);
            bucket.successes_ns = Some((first, ms * MS));
        }
        timeline
    }

    #[test]
    fn an_outage_reaches_from_the_last_success_to_the_next() {
        let timeline = timeline((0..300).chain(457..1000), 100);
        let found = outages(&timeline, 10 * MS, 1000 * MS);
        let outage = Outage { start_ns: 299 * MS, end_ns: Some(457 * MS) };
        assert_eq!(found, [outage]);
        assert_eq!(outage.len_ns(1000 * MS), 158 * MS);
        let after = |at_ns, next_ns| {
            let blame = Blame { at_ns, next_ns, slack_ns: 10 * MS, reach_ns: 1000 * MS };
            outage_after(&found, blame)
        };
        assert_eq!(after(301 * MS, None), Some(outage), "the last reply came just before");
        assert_eq!(after(290 * MS, Some(295 * MS)), None, "it is the next event's");
        assert_eq!(after(310 * MS, None), None, "it had begun before");
        assert_eq!(after(457 * MS, None), None, "it was over");
    }

    #[test]
    fn a_later_and_longer_outage_is_not_the_fault_s() {
        let successes = (0..300).chain(350..600).chain(900..1000);
        let found = outages(&timeline(successes, 100), 10 * MS, 1000 * MS);
        let blame =
            Blame { at_ns: 300 * MS, next_ns: None, slack_ns: 10 * MS, reach_ns: 1000 * MS };
        let first = Outage { start_ns: 299 * MS, end_ns: Some(350 * MS) };
        assert_eq!((found.len(), outage_after(&found, blame)), (2, Some(first)));
    }

    #[test]
    fn a_server_that_does_not_come_back_is_an_outage_to_the_end() {
        let found = outages(&timeline(0..500, 60), 10 * MS, 2000 * MS);
        assert_eq!(found, [Outage { start_ns: 499 * MS, end_ns: None }]);
        assert_eq!(found[0].len_ns(2000 * MS), 1501 * MS);
    }

    #[test]
    fn rare_requests_are_no_outages() {
        let slow = timeline((0..10).map(|number| number * 100), 100);
        assert!(outages(&slow, 10 * MS, 1000 * MS).is_empty());
        let late = timeline(500..600, 60);
        assert!(outages(&late, 10 * MS, 600 * MS).is_empty(), "nor is the start");
        assert!(outages(&[], 10 * MS, 0).is_empty());
    }
}
