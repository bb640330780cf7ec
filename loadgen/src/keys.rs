//! Which keys requests name. PURE: randomness comes from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;

/// How often which of the keys `0..count` is named.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Distribution {
    Uniform,
    /// A few keys are named very often: the key of rank k with a probability in proportion to
    /// 1 / k^theta. Ranks are scattered over the keys.
    Zipfian {
        theta: f64,
    },
    /// Zipfian with the highest numbers, the last written, named most.
    Latest {
        theta: f64,
    },
    /// A share of the keys gets a share of the requests.
    Hotspot {
        keys: f64,
        requests: f64,
    },
    /// One after another, beginning again after the last.
    Sequential,
}

/// YCSB's constant.
pub const THETA_DEFAULT: f64 = 0.99;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DistributionError {
    #[error(
        "unknown key distribution '{0}': uniform, zipfian[:THETA], latest[:THETA], \
         hotspot[:KEYS:REQUESTS] or sequential"
    )]
    Unknown(String),
    #[error("a zipfian theta is between 0 and 1, both excluded, and '{0}' is not")]
    Theta(String),
    #[error("a hotspot has two shares between 0 and 1, as in hotspot:0.2:0.8")]
    Hotspot,
}

impl TryFrom<String> for Distribution {
    type Error = DistributionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl std::str::FromStr for Distribution {
    type Err = DistributionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let parameters: Vec<&str> = parts.collect();
        let theta = || match parameters[..] {
            [] => Ok(THETA_DEFAULT),
            [theta] => theta
                .parse()
                .ok()
                .filter(|theta| (0.0..1.0).contains(theta) && *theta > 0.0)
                .ok_or_else(|| DistributionError::Theta(theta.to_owned())),
            _ => Err(DistributionError::Unknown(text.to_owned())),
        };
        match (name, &parameters[..]) {
            ("uniform", []) => Ok(Self::Uniform),
            ("sequential", []) => Ok(Self::Sequential),
            ("zipfian", _) => Ok(Self::Zipfian { theta: theta()? }),
            ("latest", _) => Ok(Self::Latest { theta: theta()? }),
            ("hotspot", []) => Ok(Self::Hotspot { keys: 0.2, requests: 0.8 }),
            ("hotspot", [keys, requests]) => {
                let share =
                    |text: &str| text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
                let (Some(keys), Some(requests)) = (share(keys), share(requests)) else {
                    return Err(DistributionError::Hotspot);
                };
                Ok(Self::Hotspot { keys, requests })
            }
            _ => Err(DistributionError::Unknown(text.to_owned())),
        }
    }
}

/// Picks keys of one thread.
#[derive(Clone, Debug)]
pub struct Picker {
    count: u64,
    /// Keys that were inserted behind the first `count`, by all threads.
    inserted: Arc<AtomicU64>,
    /// The next number that nobody else gets, and how far it is to the one after it.
    unique: (u64, u64),
    rng: Rng,
    method: Method,
}

#[derive(Clone, Debug)]
enum Method {
    Uniform,
    Zipfian(Zipfian),
    Latest(Zipfian),
    Hotspot { hot: u64, requests: f64 },
    Sequential { next: u64, step: u64 },
}

impl Picker {
    /// The keys `0..count`, for thread `part` of `parts`.
    ///
    /// Precondition: `count` is positive, `part` is below `parts`.
    pub fn new(
        distribution: Distribution,
        count: u64,
        part: usize,
        parts: usize,
        seed: u64,
    ) -> Self {
        assert!(count > 0 && part < parts);
        let method = match distribution {
            Distribution::Uniform => Method::Uniform,
            Distribution::Zipfian { theta } => Method::Zipfian(Zipfian::new(count, theta)),
            Distribution::Latest { theta } => Method::Latest(Zipfian::new(count, theta)),
            Distribution::Hotspot { keys, requests } => {
                Method::Hotspot { hot: ((count as f64 * keys) as u64).clamp(1, count), requests }
            }
            // Threads take turns, so that together they name each key once per round.
            Distribution::Sequential => {
                Method::Sequential { next: part as u64 % count, step: parts as u64 % count }
            }
        };
        let seed = seed.wrapping_add(0x5851_f42d_4c95_7f2d_u64.wrapping_mul(part as u64 + 1));
        let unique = (part as u64, parts as u64);
        Self { count, inserted: Arc::default(), unique, rng: Rng::with_seed(seed), method }
    }

    /// Counts insertions together with other threads, and begins its unique numbers behind `base`.
    pub fn sharing(mut self, inserted: Arc<AtomicU64>, base: u64) -> Self {
        self.inserted = inserted;
        self.unique.0 += base;
        self
    }

    /// A key behind all that there are; from now on it is the latest. Whoever picks it may come
    /// before the one who inserts it.
    #[inline]
    pub fn insert(&mut self) -> u64 {
        self.count + self.inserted.fetch_add(1, Ordering::Relaxed)
    }

    /// A number that no other call of any thread gives.
    #[inline]
    pub fn unique(&mut self) -> u64 {
        let (number, step) = self.unique;
        self.unique.0 = number + step;
        number
    }

    #[inline]
    pub fn pick(&mut self) -> u64 {
        match &mut self.method {
            Method::Uniform => self.rng.u64(..self.count),
            Method::Zipfian(zipfian) => scatter(zipfian.rank(self.rng.f64()), self.count),
            Method::Latest(zipfian) => {
                let count = self.count + self.inserted.load(Ordering::Relaxed);
                count - 1 - zipfian.rank(self.rng.f64())
            }
            Method::Hotspot { hot, requests } => {
                let (hot, requests) = (*hot, *requests);
                if hot == self.count || self.rng.f64() < requests {
                    self.rng.u64(..hot)
                } else {
                    self.rng.u64(hot..self.count)
                }
            }
            Method::Sequential { next, step } => {
                let key = *next;
                *next = (key + *step) % self.count;
                key
            }
        }
    }

    /// A number below `bound`, for choices beside keys.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.u64(..bound)
    }
}

/// Ranks by Gray et al., "Quickly Generating Billion-Record Synthetic Databases" (SIGMOD 1994), as
/// YCSB has it.
#[derive(Clone, Debug)]
struct Zipfian {
    count: f64,
    alpha: f64,
    zeta: f64,
    eta: f64,
    /// The share of the two first ranks.
    second: f64,
}

/// Terms of the zeta sum that are added one by one; the rest is an integral, whose error is below
/// 1e-7 of the sum from here on.
const ZETA_TERMS: u64 = 1_000_000;

impl Zipfian {
    fn new(count: u64, theta: f64) -> Self {
        let zeta = zeta(count, theta);
        let second = 1.0 + 0.5f64.powf(theta);
        let eta =
            (1.0 - (2.0 / count as f64).powf(1.0 - theta)) / (1.0 - zeta_exact(2, theta) / zeta);
        Self { count: count as f64, alpha: 1.0 / (1.0 - theta), zeta, eta, second }
    }

    /// The rank of a number that is uniform between 0 and 1, from 0.
    #[inline]
    fn rank(&self, uniform: f64) -> u64 {
        let scaled = uniform * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < self.second {
            return (self.count as u64 - 1).min(1);
        }
        let rank = self.count * (self.eta * uniform - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.count as u64 - 1)
    }
}

fn zeta_exact(count: u64, theta: f64) -> f64 {
    (1..=count).map(|rank| (rank as f64).powf(-theta)).sum()
}

/// The sum of 1 / k^theta up to `count`.
fn zeta(count: u64, theta: f64) -> f64 {
    if count <= ZETA_TERMS {
        return zeta_exact(count, theta);
    }
    // The midpoint rule: each term is the integral over the unit around it.
    let integral = |x: f64| x.powf(1.0 - theta) / (1.0 - theta);
    zeta_exact(ZETA_TERMS, theta) + integral(count as f64 + 0.5) - integral(ZETA_TERMS as f64 + 0.5)
}

/// Spreads ranks over the keys, so that keys that are named often are not neighbours (FNV-1a over
/// the bytes of the rank, as YCSB does).
fn scatter(rank: u64, count: u64) -> u64 {
    let hash = rank.to_le_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash % count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker(text: &str, count: u64) -> Picker {
        Picker::new(text.parse().unwrap(), count, 0, 1, 42)
    }

    #[test]
    fn zipfian_ranks_have_their_shares() {
        let (count, picks) = (10_000, 1_000_000);
        let zipfian = Zipfian::new(count, THETA_DEFAULT);
        let mut rng = Rng::with_seed(5);
        let mut named = vec![0u64; count as usize];
        for _ in 0..picks {
            named[zipfian.rank(rng.f64()) as usize] += 1;
        }
        let share =
            |ranks: std::ops::Range<usize>| named[ranks].iter().sum::<u64>() as f64 / picks as f64;
        let expected = |ranks: std::ops::Range<u64>| {
            ranks.map(|rank| ((rank + 1) as f64).powf(-THETA_DEFAULT)).sum::<f64>()
                / zeta_exact(count, THETA_DEFAULT)
        };
        for (from, to) in [(0, 1), (1, 2), (2, 10), (10, 100), (100, 1000), (1000, 10_000)] {
            let (seen, wanted) = (share(from..to), expected(from as u64..to as u64));
            // The method is exact for the first two ranks and near for the others.
            let off = (seen / wanted - 1.0).abs();
            assert!(off < if to <= 2 { 0.01 } else { 0.12 }, "{from}..{to}: {seen}, not {wanted}");
        }
    }

    #[test]
    fn a_long_zeta_sum_is_near_the_exact_one() {
        let exact = zeta_exact(3 * ZETA_TERMS, 0.8);
        assert!((zeta(3 * ZETA_TERMS, 0.8) / exact - 1.0).abs() < 1e-7);
    }

    #[test]
    fn every_distribution_stays_within_its_keys() {
        for text in ["uniform", "zipfian", "zipfian:0.5", "latest", "hotspot:0.1:0.9", "sequential"]
        {
            for count in [1, 2, 3, 1000, 2_000_000] {
                let mut picker = picker(text, count);
                for _ in 0..2000 {
                    assert!(picker.pick() < count, "{text}, {count} keys");
                }
            }
        }
    }

    #[test]
    fn threads_of_a_sequence_name_each_key_once() {
        let mut keys: Vec<u64> = (0..3)
            .flat_map(|part| {
                let mut picker = Picker::new(Distribution::Sequential, 99, part, 3, 1);
                (0..33).map(move |_| picker.pick())
            })
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, (0..99).collect::<Vec<_>>());
    }

    #[test]
    fn a_hotspot_and_the_latest_keys_get_their_share() {
        let share = |text: &str, keys: std::ops::Range<u64>| {
            let mut picker = picker(text, 1000);
            let hits = (0..100_000).filter(|_| keys.contains(&picker.pick())).count();
            hits as f64 / 1e5
        };
        let hot = share("hotspot:0.2:0.8", 0..200);
        assert!((hot - 0.8).abs() < 0.01, "{hot}");
        let (last, first) = (share("latest", 990..1000), share("latest", 0..10));
        assert!(last > 0.3 && first < 0.01, "{last} and {first}");
    }

    #[test]
    fn threads_insert_keys_that_are_then_the_latest() {
        let inserted = Arc::new(AtomicU64::new(0));
        let picker = |part| {
            Picker::new("latest".parse().unwrap(), 10, part, 2, 1).sharing(Arc::clone(&inserted), 7)
        };
        let (mut first, mut second) = (picker(0), picker(1));
        assert_eq!([first.insert(), second.insert(), first.insert()], [10, 11, 12]);
        let picked: Vec<u64> = (0..1000).map(|_| second.pick()).collect();
        assert!(picked.contains(&12) && picked.iter().all(|key| (3..13).contains(key)));
        let unique = [first.unique(), second.unique(), first.unique(), second.unique()];
        assert_eq!(unique, [7, 8, 9, 10]);
    }

    #[test]
    fn unknown_distributions_are_refused() {
        for text in ["", "zipf", "zipfian:1", "zipfian:0", "zipfian:x", "hotspot:2:1", "uniform:3"]
        {
            assert!(text.parse::<Distribution>().is_err(), "{text}");
        }
    }
}
