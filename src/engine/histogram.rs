//! How often what took how long: counts by classes whose bounds grow with the time.
//!
//! Each power of two is divided into equal classes, so a value that is read back, the upper bound
//! of its class, is too large by a sixteenth at most.

/// Classes within a power of two.
const CLASSES: usize = 16;
const CLASS_BITS: u32 = CLASSES.trailing_zeros();

/// Values from this power of two on, some 18 minutes in nanoseconds, are counted in the last class.
const BITS_MAX: u32 = 40;

const LEN: usize = (BITS_MAX - CLASS_BITS + 1) as usize * CLASSES;

/// The first bound of [`Histogram::cumulative`], in nanoseconds: Redis's.
const FIRST_BOUND: u64 = 1024;

/// A distribution of durations in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; LEN].into_boxed_slice(), total: 0 }
    }
}

#[inline]
fn class_of(nanos: u64) -> usize {
    let nanos = nanos.min((1 << BITS_MAX) - 1);
    let bits = u64::BITS - nanos.leading_zeros();
    match bits.checked_sub(CLASS_BITS + 1) {
        // Small values have a class each.
        None => nanos as usize,
        Some(shift) => shift as usize * CLASSES + (nanos >> shift) as usize,
    }
}

/// The largest value of a class.
fn bound_of(class: usize) -> u64 {
    if class < 2 * CLASSES {
        return class as u64;
    }
    let shift = (class / CLASSES - 1) as u32;
    let leading = (class % CLASSES + CLASSES) as u64;
    ((leading + 1) << shift) - 1
}

impl Histogram {
    #[inline]
    pub fn record(&mut self, nanos: u64, count: u64) {
        self.counts[class_of(nanos)] += count;
        self.total += count;
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn add(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
        self.total += other.total;
    }

    /// The nanoseconds within which `percent` of the values are; 0 without any.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (percent / 100.0 * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return bound_of(class);
            }
        }
        0
    }

    /// How many values are within bounds that double, as LATENCY HISTOGRAM tells it: microseconds
    /// and count, without the bounds that add nothing.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut found: Vec<(u64, u64)> = Vec::new();
        let (mut seen, mut classes) = (0, self.counts.iter().enumerate().peekable());
        let mut bound = FIRST_BOUND;
        while classes.peek().is_some() {
            while let Some((_, count)) = classes.next_if(|(class, _)| bound_of(*class) < bound) {
                seen += count;
            }
            if seen > found.last().map_or(0, |(_, count)| *count) {
                // The bounds that Redis's histograms of two digits have.
                found.push(((bound + bound / 128 - 1) / 1000, seen));
            }
            bound *= 2;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_each_other_and_are_narrow() {
        let mut last = 0;
        for nanos in (0..100_000).chain((17..40).flat_map(|bits| [(1 << bits) - 1, 1 << bits])) {
            let class = class_of(nanos);
            assert!(class >= last, "{nanos}");
            assert!(class == last || class == last + 1 || nanos > 100_000, "{nanos}");
            last = class;
            let bound = bound_of(class);
            assert!(bound >= nanos && bound - nanos <= nanos / 16, "{nanos} {bound}");
        }
        assert_eq!(class_of(u64::MAX), LEN - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), 0);
        for nanos in 1..=1000 {
            histogram.record(nanos * 1000, 1);
        }
        let cases = [(0.0, 1000), (50.0, 500_000), (99.0, 990_000), (100.0, 1_000_000)];
        for (percent, exact) in cases {
            let read = histogram.percentile(percent);
            assert!(read >= exact && read - exact <= exact / 16, "{percent}: {read}");
        }
        let mut twice = histogram.clone();
        twice.add(&histogram);
        assert_eq!(twice.total(), 2000);
        assert_eq!(twice.percentile(50.0), histogram.percentile(50.0));
    }

    #[test]
    fn counts_are_summed_up_to_bounds_that_double() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.cumulative(), []);
        histogram.record(900, 3);
        histogram.record(1024, 1);
        histogram.record(33_000, 2);
        histogram.record(u64::MAX, 1);
        let found = histogram.cumulative();
        assert_eq!(found[..3], [(1, 3), (2, 4), (66, 6)]);
        assert_eq!(found.last().unwrap().1, 7);
    }
}
