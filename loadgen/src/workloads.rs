//! Mixes of commands: those of the command line, of workload files, and presets of usual ones,
//! which are workload files too (`loadgen/workloads`).

use std::fs;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::cli::{OptionError, parse_rate};
use crate::keys::Distribution;
use crate::load::{Next, Operation, Workload};
use crate::subscribers::{SUBSCRIBERS_MAX, Subscription};
use crate::suite;
use crate::template::{Placeholders, Template};
use crate::values::ValueSizes;

/// Stands for the lengths of scans, from 1 to this, equally often: YCSB's.
const SCAN_LEN_MAX: usize = 100;

const SCAN_LEN: &str = "__scan_len__";

const DATA: &str = "__data__";

const WEIGHT_MAX: u64 = 1_000_000;

/// As `-r` takes them.
const KEYS_MAX: u64 = 1_000_000_000_000;

/// One command of a mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Against the sum of all.
    pub weight: u64,
    pub command: String,
}

#[derive(Debug, thiserror::Error)]
pub enum MixError {
    #[error("'{0}' is no part of a mix: WEIGHT:COMMAND, as in '80:GET key:__rand_int__'")]
    Share(String),
    #[error("there is no preset '{name}'; there are {}", names())]
    Preset { name: String },
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path}: {source}")]
    File { path: String, source: toml::de::Error },
    #[error("{path}: line {line}: {reason}")]
    Part { path: String, line: usize, reason: &'static str },
    #[error("{path}: there is no operation")]
    NoOperation { path: String },
}

/// What a workload file can say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadFile {
    /// What the results are called.
    pub name: String,
    /// What writes one key of the data that it works on, for `--fill`.
    fill: Option<Command>,
    pub clients: Option<usize>,
    pub pipeline: Option<usize>,
    pub rate: Option<Rate>,
    pub keys: Option<FileKeys>,
    pub values: Option<FileValues>,
    subscribers: Option<Spanned<FileSubscribers>>,
    operations: Vec<Spanned<FileOperation>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileKeys {
    #[serde(deserialize_with = "key_count")]
    pub count: u64,
    pub distribution: Option<Distribution>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileValues {
    pub bytes: ValueSizes,
}

/// Connections of their own that listen to a channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSubscribers {
    count: usize,
    channel: String,
}

/// Requests a second.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "RateText")]
pub struct Rate(pub f64);

/// A number, or a text as on the command line.
#[derive(Deserialize)]
#[serde(untagged)]
enum RateText {
    Whole(u64),
    Number(f64),
    Text(String),
}

impl TryFrom<RateText> for Rate {
    type Error = OptionError;

    fn try_from(text: RateText) -> Result<Self, OptionError> {
        let text = match text {
            RateText::Whole(number) => number.to_string(),
            RateText::Number(number) => number.to_string(),
            RateText::Text(text) => text,
        };
        parse_rate(&text).map(Self)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOperation {
    /// For whoever reads the file.
    #[serde(rename = "name")]
    _name: Option<String>,
    weight: u64,
    command: Option<Command>,
    commands: Option<Vec<Command>>,
    next: Option<Next>,
}

impl FileSubscribers {
    fn check(&self) -> Result<(), &'static str> {
        if !(1..=SUBSCRIBERS_MAX).contains(&self.count) {
            return Err("subscribers are from 1 to 1000");
        }
        // In what a subscriber reads, a message begins with digits.
        match self.channel.bytes().next() {
            Some(first) if !first.is_ascii_digit() && !self.channel.contains(['\r', '\n']) => {
                Ok(())
            }
            _ => Err("a channel is one line of text that does not begin with a digit"),
        }
    }
}

impl FileOperation {
    fn commands(&self) -> &[Command] {
        match (&self.command, &self.commands) {
            (Some(command), _) => std::slice::from_ref(command),
            (None, Some(commands)) => commands,
            (None, None) => &[],
        }
    }

    /// What is wrong with it, beyond what its parts say themselves.
    fn check(&self) -> Result<(), &'static str> {
        if !(1..=WEIGHT_MAX).contains(&self.weight) {
            return Err("a weight is from 1 to 1000000");
        }
        let has_both = self.command.is_some() && self.commands.is_some();
        if has_both || self.commands().is_empty() {
            return Err("an operation has a command, or a list of commands");
        }
        if self.next.is_some() && self.commands().len() == 1 {
            return Err("next is about operations with several commands");
        }
        Ok(())
    }
}

/// The words of a command, not empty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Command(Vec<String>);

impl TryFrom<String> for Command {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let words = split(&text)?;
        if words.is_empty() { Err("a command is empty") } else { Ok(Self(words)) }
    }
}

fn key_count<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let count = u64::deserialize(from)?;
    match (1..=KEYS_MAX).contains(&count) {
        true => Ok(count),
        false => Err(serde::de::Error::custom(format!("keys are from 1 to {KEYS_MAX}"))),
    }
}

/// Words are separated by spaces; those with spaces stand in single or double quotes.
fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err("a quote is not closed") } else { Ok(words) }
}

impl WorkloadFile {
    pub fn read(path: &Path) -> Result<Self, MixError> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(source) => Err(MixError::Read { path: name, source }),
        }
    }

    /// A cache and its users: the share of `hit_rate` reads a key that was filled, the rest a key
    /// that nobody has named before. What is not found is written, as its users do.
    ///
    /// Precondition: `hit_rate` is from 0 to 1.
    pub fn cache(hit_rate: f64) -> Result<Self, MixError> {
        let hits = (hit_rate * WEIGHT_MAX as f64).round() as u64;
        let operation = |weight: u64, key: &str, expiry: &str| match weight {
            0 => String::new(),
            _ => format!(
                "[[operations]]\nweight = {weight}\nnext = \"miss\"\n\
                 commands = [\"GET {key}\", \"SET {key} __data__{expiry}\"]\n"
            ),
        };
        let text = format!(
            "name = \"cache with a hit rate of {hit_rate}\"\nfill = \"{FILL}\"\n{}{}",
            operation(hits, "key:__rand_int__", ""),
            operation(WEIGHT_MAX - hits, "key:__next_int__", MISSED_EXPIRY),
        );
        Self::parse("--hit-rate", &text)
    }

    fn parse(path: &str, text: &str) -> Result<Self, MixError> {
        let path = path.to_owned();
        let file: Self = match toml::from_str(text) {
            Ok(file) => file,
            Err(source) => return Err(MixError::File { path, source }),
        };
        if file.operations.is_empty() {
            return Err(MixError::NoOperation { path });
        }
        let line = |start: usize| text[..start].matches('\n').count() + 1;
        for operation in &file.operations {
            if let Err(reason) = operation.get_ref().check() {
                let line = line(operation.span().start);
                return Err(MixError::Part { path, line, reason });
            }
        }
        if let Some(subscribers) = &file.subscribers
            && let Err(reason) = subscribers.get_ref().check()
        {
            return Err(MixError::Part { path, line: line(subscribers.span().start), reason });
        }
        Ok(file)
    }

    /// The requests, with one value of each length. Within an operation `__rand_int__` is the same
    /// key everywhere.
    ///
    /// Precondition: there is a value.
    pub fn workload(&self, values: &[Vec<u8>], keys: Placeholders) -> Workload {
        let operation = |operation: &FileOperation| Operation {
            weight: operation.weight,
            variants: variants(operation.commands(), values, keys),
            next: operation.next.unwrap_or_default(),
        };
        let operations = self.operations.iter().map(Spanned::get_ref);
        let subscription = self.subscribers.as_ref().map(|subscribers| {
            let FileSubscribers { count, channel } = subscribers.get_ref().clone();
            Subscription { count, channel }
        });
        Workload::new(operations.map(operation).collect()).heard_by(subscription)
    }

    /// Writes the data that it works on: one request for each key.
    pub fn fill(&self, values: &[Vec<u8>]) -> Option<Workload> {
        let command = std::slice::from_ref(self.fill.as_ref()?);
        let variants = variants(command, values, Placeholders::Patched);
        Some(Workload::new(vec![Operation { weight: 1, variants, next: Next::Always }]))
    }
}

/// The commands of an operation, once for each value that they have, and each length of a scan.
fn variants(commands: &[Command], values: &[Vec<u8>], keys: Placeholders) -> Vec<Vec<Template>> {
    let names = |place: &str| commands.iter().any(|command| command.0.iter().any(|w| w == place));
    let values = if names(DATA) { values } else { &values[..1] };
    let scans = if names(SCAN_LEN) { SCAN_LEN_MAX } else { 1 };
    let template = |command: &Command, value: &[u8], scan: usize| {
        let word = |word: &String| match &word[..] {
            SCAN_LEN => scan.to_string().into_bytes(),
            _ => word.as_bytes().to_vec(),
        };
        let words = command.0.iter().map(word).collect();
        Template::new(&suite::fill(words, value, keys), keys).with_one_key()
    };
    let steps = |value: &Vec<u8>, scan: usize| {
        commands.iter().map(|command| template(command, value, scan)).collect()
    };
    let of_value = |value| (1..=scans).map(move |scan| steps(value, scan));
    values.iter().flat_map(of_value).collect()
}

/// A usual mix.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub name: &'static str,
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal),*) => {
        [$(Preset { name: $name, text: include_str!(concat!("../workloads/", $name, ".toml")) }),*]
    };
}

/// The last one is what `lock` is on servers without its command.
const PRESETS: [Preset; 12] = presets!(
    "ycsb-a",
    "ycsb-b",
    "ycsb-c",
    "ycsb-d",
    "ycsb-e",
    "ycsb-f",
    "session-store",
    "rate-limit",
    "queue",
    "pubsub",
    "lock",
    "lock-eval"
);

/// What `--fill` writes where nothing else is said.
const FILL: &str = "SET key:__rand_int__ __data__";

/// What is written after a planned miss is not read again, and must not fill the server for ever.
const MISSED_EXPIRY: &str = " EX 60";

fn names() -> String {
    PRESETS.map(|preset| preset.name).join(", ")
}

impl FromStr for Share {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || MixError::Share(text.to_owned());
        let (weight, command) = text.split_once(':').ok_or_else(bad)?;
        let weight = weight.trim().parse().ok().filter(|weight| (1..=WEIGHT_MAX).contains(weight));
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
    pub fn file(&self) -> Result<WorkloadFile, MixError> {
        WorkloadFile::parse(self.name, self.text)
    }

    /// A command that not every server has, and the preset that does without it.
    pub fn substitute(&self) -> Option<(&'static str, Self)> {
        let without = PRESETS.into_iter().find(|preset| preset.name == "lock-eval")?;
        (self.name == "lock").then_some(("DELIFEQ", without))
    }
}

/// The requests of a mix. Words are separated by spaces.
///
/// Precondition: there is a share, and a value.
pub fn workload(shares: &[Share], values: &[Vec<u8>], keys: Placeholders) -> Workload {
    let operation = |share: &Share| Operation {
        weight: share.weight,
        variants: values.iter().map(|value| vec![template(&share.command, value, keys)]).collect(),
        next: Next::Always,
    };
    Workload::new(shares.iter().map(operation).collect())
}

/// The same request in several variants, equally often.
///
/// Precondition: there is one.
pub fn of_variants(variants: impl Iterator<Item = Template>, pipeline: usize) -> Workload {
    let variants: Vec<Vec<Template>> = variants.map(|template| vec![template]).collect();
    match &variants[..] {
        // Nothing is to be chosen: a batch is one copy.
        [only] => Workload::of_one(only[0].clone().repeat(pipeline)),
        _ => Workload::new(vec![Operation { weight: 1, variants, next: Next::Always }]),
    }
}

/// Writes the data that a test works on: one request for each key.
pub fn fill(values: &[Vec<u8>]) -> Workload {
    of_variants(values.iter().map(|value| template(FILL, value, Placeholders::Patched)), 1)
}

fn template(command: &str, data: &[u8], keys: Placeholders) -> Template {
    let words = command.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
    Template::new(&suite::fill(words, data, keys), keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Picker;

    fn picker(distribution: Distribution, keys: u64) -> Picker {
        Picker::new(distribution, keys, 0, 1, 1)
    }

    #[test]
    fn a_mix_has_its_weights() {
        let shares = ["3:GET a", "1: SET a __data__ EX 60"].map(|text| text.parse().unwrap());
        let values = [b"xyz".to_vec(), b"uvw".to_vec()];
        let workload = workload(&shares, &values, Placeholders::Literal);
        let mut picker = picker(Distribution::Uniform, 1);
        let mut out = Vec::new();
        assert!(!workload.append_alike(&mut out, 1, &mut picker));
        for _ in 0..40_000 {
            assert_eq!(workload.begin(&mut out, &mut picker), None);
        }
        let text = String::from_utf8(out).unwrap();
        let count = |request: &str| text.matches(request).count();
        let set = |value| {
            count(&format!(
                "*5\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\n{value}\r\n$2\r\nEX\r\n$2\r\n60\r\n"
            ))
        };
        let get = count("*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
        assert_eq!(get + set("xyz") + set("uvw"), 40_000);
        assert!((29_400..30_600).contains(&get), "{get}");
        assert!((4_600..5_400).contains(&set("xyz")), "{}", set("xyz"));
    }

    #[test]
    fn every_preset_names_keys_and_has_no_place_left_open() {
        for preset in PRESETS {
            let file = preset.name.parse::<Preset>().unwrap().file().unwrap();
            assert_eq!(file.name, preset.name);
            let distribution = file.keys.as_ref().and_then(|keys| keys.distribution);
            let distribution = distribution.unwrap_or(Distribution::Uniform);
            let mut all = Vec::new();
            let mut picker = picker(distribution, 100);
            if let Some(fill) = file.fill(&[b"v".to_vec()]) {
                fill.begin(&mut all, &mut picker);
            }
            let workload = file.workload(&[b"v".to_vec()], Placeholders::Patched);
            for _ in 0..200 {
                let mut rest = workload.begin(&mut all, &mut picker);
                while let Some(more) = rest {
                    rest = workload.go_on(more, &mut all, &mut picker);
                }
            }
            let text = String::from_utf8(all).unwrap();
            let has_key = text.contains(":0000000000") || file.keys.is_none();
            assert!(has_key && !text.contains("__"), "{}", preset.name);
        }
        assert!("ycsb-x".parse::<Preset>().unwrap_err().to_string().contains("ycsb-a, ycsb-b"));
    }

    const FILE: &str = r#"
name = "mine"
fill = "SET k:__rand_int__ __data__"
clients = 7
pipeline = 2
rate = "20k"

[keys]
count = 1_000
distribution = "sequential"

[values]
bytes = "1-2"

[[operations]]
name = "swap"
weight = 3
commands = ["GET k:__rand_int__", "SET k:__rand_int__ __data__ EX 5"]
next = "hit"

[[operations]]
weight = 1
command = "EVAL 'return 1' 0 __scan_len__"
"#;

    #[test]
    fn a_file_says_all_that_a_load_needs() {
        let file = WorkloadFile::parse("mine.toml", FILE).unwrap();
        assert_eq!((file.clients, file.pipeline, file.rate.unwrap().0), (Some(7), Some(2), 2e4));
        assert_eq!(file.keys.as_ref().unwrap().count, 1000);
        assert_eq!(file.values.unwrap().bytes, ValueSizes::Range { min: 1, max: 2 });
        let workload = file.workload(&[b"a".to_vec(), b"bb".to_vec()], Placeholders::Patched);
        let mut picker = picker(Distribution::Sequential, 1000);
        let (mut swaps, mut scans) = (0u64, std::collections::HashSet::new());
        for _ in 0..4000 {
            let mut out = Vec::new();
            let Some(rest) = workload.begin(&mut out, &mut picker) else {
                assert!(out.starts_with(b"*4\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n"));
                scans.insert(out);
                continue;
            };
            let key = format!("k:{:012}\r\n", swaps % 1000);
            assert!(out.ends_with(key.as_bytes()));
            assert!(workload.goes_on(&rest, false) && !workload.goes_on(&rest, true));
            let mut second = Vec::new();
            assert_eq!(workload.go_on(rest, &mut second, &mut picker), None);
            assert!(String::from_utf8(second).unwrap().contains(&key));
            swaps += 1;
        }
        assert!((2800..3200).contains(&swaps), "{swaps}");
        assert_eq!(scans.len(), SCAN_LEN_MAX);
    }

    #[test]
    fn a_file_that_is_wrong_is_refused_with_its_line() {
        let cases = [
            ("fill = \"SET", "fil = \"SET", "line 3", "unknown field `fil`"),
            ("clients = 7", "clients = 'x'", "line 4", "expected usize"),
            ("\"20k\"", "\"fast\"", "line 6", "'fast' is no rate"),
            ("1_000", "0", "line 9", "keys are from 1"),
            ("sequential", "zipf", "line 10", "unknown key distribution 'zipf'"),
            ("\"1-2\"", "\"2-1\"", "line 13", "'2-1' is no length"),
            ("weight = 3", "weight = 0", "line 15", "a weight is from 1"),
            ("next = \"hit\"", "next = \"hot\"", "line 19", "unknown variant `hot`"),
            ("\"GET k:__rand_int__\"", "\" \"", "line 18", "a command is empty"),
            ("'return 1' 0", "'return 1 0", "line 23", "a quote is not closed"),
            (
                "[values]",
                "[subscribers]\ncount = 0\nchannel = 'c'\n[values]",
                "line 12",
                "subscribers are",
            ),
            (
                "[values]",
                "[subscribers]\ncount = 1\nchannel = '1'\n[values]",
                "line 12",
                "a channel is",
            ),
            ("command = \"EVAL", "# \"", "line 21", "an operation has a command"),
        ];
        for (from, to, line, reason) in cases {
            let text = FILE.replacen(from, to, 1);
            assert_ne!(text, FILE, "{from}");
            let error = WorkloadFile::parse("mine.toml", &text).unwrap_err().to_string();
            let is_told = error.contains("mine.toml") && error.contains(line);
            assert!(is_told && error.contains(reason), "{from}: {error}");
        }
        let error = WorkloadFile::parse("x", "name = \"x\"\noperations = []").unwrap_err();
        assert!(error.to_string().contains("there is no operation"), "{error}");
        let error = WorkloadFile::read(Path::new("/nowhere/mine.toml")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /nowhere/mine.toml: "), "{error}");
    }

    #[test]
    fn a_cache_has_its_hit_rate() {
        for (hit_rate, expected) in [(0.0, 0..=0), (0.9, 8800..=9200), (1.0, 10_000..=10_000)] {
            let workload = WorkloadFile::cache(hit_rate)
                .unwrap()
                .workload(&[b"v".to_vec()], Placeholders::Patched);
            let mut picker = picker(Distribution::Uniform, 100);
            let mut out = Vec::new();
            for _ in 0..10_000 {
                let rest = workload.begin(&mut out, &mut picker).unwrap();
                assert!(workload.goes_on(&rest, true) && !workload.goes_on(&rest, false));
            }
            let text = String::from_utf8(out).unwrap();
            let keys = text.split("key:").skip(1).map(|rest| rest[..12].parse::<u64>().unwrap());
            let filled = keys.filter(|key| *key < 100).count();
            assert!(expected.contains(&filled), "{hit_rate}: {filled}");
        }
    }

    #[test]
    fn shares_that_say_nothing_are_refused() {
        for text in ["", "GET a", "0:GET a", "x:GET a", "5:", "-1:GET a"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
