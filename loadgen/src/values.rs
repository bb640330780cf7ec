//! How long values are. PURE: no I/O, no clock, no randomness.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::cli::OptionError;

/// Redis's longest string.
pub const VALUE_BYTES_MAX: usize = 512 << 20;

/// A range of lengths stands for so many of them, at equal distances and equally often.
const SIZES_OF_RANGE: usize = 16;

/// A distribution stands for so many lengths, each in the middle of an equal share of the values.
const SIZES_OF_DISTRIBUTION: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "SizesText")]
pub enum ValueSizes {
    Range {
        min: usize,
        max: usize,
    },
    /// The logarithm of the length is normal around that of the median.
    LogNormal {
        median: f64,
        sigma: f64,
    },
}

pub const SIZES_DEFAULT: ValueSizes = ValueSizes::Range { min: 3, max: 3 };

/// A number, or a text as on the command line.
#[derive(Deserialize)]
#[serde(untagged)]
enum SizesText {
    Number(u64),
    Text(String),
}

impl TryFrom<SizesText> for ValueSizes {
    type Error = OptionError;

    fn try_from(text: SizesText) -> Result<Self, OptionError> {
        match text {
            SizesText::Number(number) => number.to_string().parse(),
            SizesText::Text(text) => text.parse(),
        }
    }
}

impl ValueSizes {
    /// The lengths, equally often.
    pub fn all(self) -> Vec<usize> {
        match self {
            Self::Range { min, max } => {
                let steps = (max - min).min(SIZES_OF_RANGE - 1);
                match steps {
                    0 => vec![min],
                    _ => (0..=steps).map(|step| min + (max - min) * step / steps).collect(),
                }
            }
            Self::LogNormal { median, sigma } => normal_middles(SIZES_OF_DISTRIBUTION)
                .into_iter()
                .map(|z| ((median * (sigma * z).exp()).round() as usize).clamp(1, VALUE_BYTES_MAX))
                .collect(),
        }
    }

    pub fn max(self) -> usize {
        self.all().into_iter().max().unwrap_or(0)
    }
}

/// The points of the normal distribution below which lie `(k + 0.5) / count` of it, by adding up
/// its density.
fn normal_middles(count: usize) -> Vec<f64> {
    const STEP: f64 = 1e-4;
    let density = |z: f64| (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (mut sum, mut z) = (0.0, -8.0);
    let mut middles = Vec::with_capacity(count);
    while middles.len() < count {
        let wanted = (middles.len() as f64 + 0.5) / count as f64;
        while sum < wanted {
            sum += STEP * density(z + STEP / 2.0);
            z += STEP;
        }
        middles.push(z);
    }
    middles
}

impl FromStr for ValueSizes {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || OptionError::Sizes(text.to_owned());
        if let Some(parameters) = text.strip_prefix("lognormal:") {
            let (median, sigma) = parameters.split_once(':').ok_or_else(bad)?;
            let number = |text: &str| text.parse::<f64>().map_err(|_| bad());
            let (median, sigma) = (number(median)?, number(sigma)?);
            let fits = (1.0..=VALUE_BYTES_MAX as f64).contains(&median);
            if !(fits && sigma > 0.0 && sigma <= 10.0) {
                return Err(bad());
            }
            return Ok(Self::LogNormal { median, sigma });
        }
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        match (min.parse(), max.parse()) {
            (Ok(min), Ok(max)) if (1..=max).contains(&min) && max <= VALUE_BYTES_MAX => {
                Ok(Self::Range { min, max })
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for ValueSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { min, max } if min == max => write!(f, "{min}"),
            Self::Range { min, max } => write!(f, "{min}-{max}"),
            Self::LogNormal { median, sigma } => write!(f, "lognormal:{median}:{sigma}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<usize> {
        text.parse::<ValueSizes>().unwrap().all()
    }

    #[test]
    fn a_range_of_lengths_is_some_of_them_with_both_ends() {
        assert_eq!((all("3"), all("5-7"), all("4-4")), (vec![3], vec![5, 6, 7], vec![4]));
        let many = all("10-1000");
        assert_eq!((many.len(), many[0], many[15]), (16, 10, 1000));
    }

    #[test]
    fn a_lognormal_distribution_has_its_median_and_spread() {
        let sizes = all("lognormal:1000:0.5");
        assert_eq!(sizes.len(), SIZES_OF_DISTRIBUTION);
        assert!(sizes.windows(2).all(|two| two[0] < two[1]));
        assert_eq!(sizes.iter().filter(|size| **size < 1000).count(), SIZES_OF_DISTRIBUTION / 2);
        // 68.27 % lie within one sigma: 606 to 1649.
        let within = sizes.iter().filter(|size| (606..1649).contains(*size)).count();
        assert!((21..=22).contains(&within), "{within}");
        assert!(all("lognormal:1:10").iter().all(|size| (1..=VALUE_BYTES_MAX).contains(size)));
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in [
            "0",
            "",
            "5-3",
            "x",
            "1-",
            "600000000",
            "lognormal",
            "lognormal:5",
            "lognormal:0:1",
            "lognormal:5:0",
            "lognormal:5:NaN",
        ] {
            assert!(text.parse::<ValueSizes>().is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_told_as_they_were_given() {
        for text in ["3", "10-1000", "lognormal:200:1.5"] {
            assert_eq!(text.parse::<ValueSizes>().unwrap().to_string(), text);
        }
    }
}
