//! Mixes of commands: those of the user, and presets of usual ones.

use std::str::FromStr;

use crate::keys::{Distribution, THETA_DEFAULT};
use crate::load::{Operation, Workload};
use crate::suite;
use crate::template::{Placeholders, Template};

/// A field of a YCSB record has so many bytes, and a record ten of them.
const FIELD_BYTES: usize = 100;

/// One command of a mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Against the sum of all.
    pub weight: u64,
    pub command: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    #[error("'{0}' is no part of a mix: WEIGHT:COMMAND, as in '80:GET key:__rand_int__'")]
    Share(String),
    #[error("there is no preset '{name}'; there are {}", names())]
    Preset { name: String },
}

/// A usual mix.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub name: &'static str,
    shares: &'static [(u64, &'static str)],
    /// What writes one key of the data that it works on.
    fill: &'static str,
    pub distribution: Distribution,
}

const ZIPFIAN: Distribution = Distribution::Zipfian { theta: THETA_DEFAULT };
const RECORD: &str = "HSET user:__rand_int__ field0 __field__ field1 __field__ field2 __field__ \
    field3 __field__ field4 __field__ field5 __field__ field6 __field__ field7 __field__ \
    field8 __field__ field9 __field__";
const READ: &str = "HGETALL user:__rand_int__";
const UPDATE: &str = "HSET user:__rand_int__ field0 __field__";

/// The YCSB workloads whose operations are single commands
/// (<https://github.com/brianfrankcooper/YCSB/wiki/Core-Workloads>), and three of caches.
const PRESETS: [Preset; 6] = [
    Preset {
        name: "ycsb-a",
        shares: &[(50, READ), (50, UPDATE)],
        fill: RECORD,
        distribution: ZIPFIAN,
    },
    Preset {
        name: "ycsb-b",
        shares: &[(95, READ), (5, UPDATE)],
        fill: RECORD,
        distribution: ZIPFIAN,
    },
    Preset { name: "ycsb-c", shares: &[(1, READ)], fill: RECORD, distribution: ZIPFIAN },
    Preset {
        name: "session-store",
        shares: &[
            (80, "GET session:__rand_int__"),
            (20, "SET session:__rand_int__ __data__ EX 1800"),
        ],
        fill: "SET session:__rand_int__ __data__ EX 1800",
        distribution: ZIPFIAN,
    },
    Preset {
        name: "rate-limit",
        shares: &[(50, "INCR limit:__rand_int__"), (50, "EXPIRE limit:__rand_int__ 60 NX")],
        fill: "SET limit:__rand_int__ 0 EX 60",
        distribution: ZIPFIAN,
    },
    Preset {
        name: "queue",
        shares: &[(50, "LPUSH queue:__rand_int__ __data__"), (50, "RPOP queue:__rand_int__")],
        fill: "LPUSH queue:__rand_int__ __data__",
        distribution: Distribution::Uniform,
    },
];

/// What `--fill` writes for anything but a preset.
const FILL: &str = "SET key:__rand_int__ __data__";

fn names() -> String {
    PRESETS.map(|preset| preset.name).join(", ")
}

impl FromStr for Share {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || MixError::Share(text.to_owned());
        let (weight, command) = text.split_once(':').ok_or_else(bad)?;
        let weight = weight.trim().parse().ok().filter(|weight| (1..=1_000_000).contains(weight));
        let command = command.trim().to_owned();
        match weight {
            Some(weight) if !command.is_empty() => Ok(Self { weight, command }),
            _ => Err(bad()),
        }
    }
}

impl FromStr for Preset {
    type Err = MixError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = PRESETS.into_iter().find(|preset| preset.name == name);
        found.ok_or_else(|| MixError::Preset { name: name.to_owned() })
    }
}

impl Preset {
    pub fn shares(&self) -> Vec<Share> {
        let share = |(weight, command): &(u64, &str)| Share {
            weight: *weight,
            command: (*command).to_owned(),
        };
        self.shares.iter().map(share).collect()
    }
}

/// The requests of a mix. Words are separated by spaces.
///
/// Precondition: there is a share, and a value.
pub fn workload(shares: &[Share], values: &[Vec<u8>], keys: Placeholders) -> Workload {
    let operation = |value: &Vec<u8>, share: &Share| Operation {
        template: template(&share.command, value, keys),
        weight: share.weight,
    };
    let of_value = |value| shares.iter().map(move |share| operation(value, share));
    Workload::new(values.iter().flat_map(of_value).collect())
}

/// The same request in several variants, equally often.
///
/// Precondition: there is one.
pub fn of_variants(variants: impl Iterator<Item = Template>, pipeline: usize) -> Workload {
    let operations: Vec<Operation> =
        variants.map(|template| Operation { template, weight: 1 }).collect();
    match &operations[..] {
        // Nothing is to be chosen: a batch is one copy.
        [only] => Workload::of_one(only.template.clone().repeat(pipeline)),
        _ => Workload::new(operations),
    }
}

/// Writes the data that a preset, or a test, works on: one request for each key.
pub fn fill(preset: Option<&Preset>, values: &[Vec<u8>]) -> Workload {
    let command = preset.map_or(FILL, |preset| preset.fill);
    of_variants(values.iter().map(|value| template(command, value, Placeholders::Patched)), 1)
}

fn template(command: &str, data: &[u8], keys: Placeholders) -> Template {
    let field = suite::data(FIELD_BYTES);
    let word = |word: &str| match word {
        "__field__" => field.clone(),
        _ => word.as_bytes().to_vec(),
    };
    let words = command.split_whitespace().map(word).collect();
    Template::new(&suite::fill(words, data, keys), keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Picker;

    #[test]
    fn a_mix_has_its_weights() {
        let shares = ["3:GET a", "1: SET a __data__ EX 60"].map(|text| text.parse().unwrap());
        let workload = workload(&shares, &[b"xyz".to_vec()], Placeholders::Literal);
        let mut picker = Picker::new(Distribution::Uniform, 1, 0, 1, 1);
        let mut out = Vec::new();
        workload.append(&mut out, 40_000, &mut picker);
        let text = String::from_utf8(out).unwrap();
        let count = |request| text.matches(request).count();
        let set = count("*5\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nxyz\r\n$2\r\nEX\r\n$2\r\n60\r\n");
        let get = count("*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
        assert_eq!(get + set, 40_000);
        assert!((29_400..30_600).contains(&get), "{get}");
    }

    #[test]
    fn every_preset_names_keys_and_has_no_place_left_open() {
        for preset in PRESETS {
            let found: Preset = preset.name.parse().unwrap();
            let mut all = Vec::new();
            let mut picker = Picker::new(preset.distribution, 100, 0, 1, 1);
            fill(Some(&found), &[b"v".to_vec()]).append(&mut all, 1, &mut picker);
            let workload = workload(&found.shares(), &[b"v".to_vec()], Placeholders::Patched);
            workload.append(&mut all, 100, &mut picker);
            let text = String::from_utf8(all).unwrap();
            assert!(text.contains(":0000000000") && !text.contains("__"), "{}", preset.name);
        }
        assert!("ycsb-x".parse::<Preset>().unwrap_err().to_string().contains("ycsb-a, ycsb-b"));
    }

    #[test]
    fn shares_that_say_nothing_are_refused() {
        for text in ["", "GET a", "0:GET a", "x:GET a", "5:", "-1:GET a"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
