//! Medians and spreads of few samples. The median, since one disturbed round must not move it.

/// What repeated measurements of one thing came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Summary {
    /// `None` of no samples.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Self { median, min, max })
    }

    /// Whether a disturbance cannot be told from its absence: what is usual with it occurs without
    /// it as well.
    pub fn is_within_spread_of(self, undisturbed: Self) -> bool {
        self.median <= undisturbed.max
    }
}

#[test]
fn the_median_is_the_middle_whatever_the_order() {
    let odd = Summary::of([5.0, 1.0, 3.0]);
    assert_eq!(odd, Some(Summary { median: 3.0, min: 1.0, max: 5.0 }));
    let even = Summary::of([4.0, 1.0, 2.0, 100.0]);
    assert_eq!(even, Some(Summary { median: 3.0, min: 1.0, max: 100.0 }));
    assert_eq!(Summary::of([]), None);
    let [odd, even] = [odd, even].map(Option::unwrap);
    assert!(even.is_within_spread_of(odd) && odd.is_within_spread_of(even));
    assert!(!Summary::of([5.1]).unwrap().is_within_spread_of(odd));
}
