//! Sequences of commands by the chance of a seed.

use super::grammar::{Family, Rule};
use super::reference::Reference;
use super::rng::Rng;
use super::words::Words;

/// The connections of each side. The last ones subscribe, and do nothing else.
pub const CONNECTIONS: usize = 8;
pub const SUBSCRIBERS: std::ops::Range<usize> = 6..CONNECTIONS;

/// The family that only subscribers draw from.
const SUBSCRIPTIONS: &str = "subscriptions";

/// Whether a connection begins with RESP3.
pub fn is_resp3(connection: usize) -> bool {
    connection % 2 == 1
}

/// One command on one connection.
#[derive(Clone, Debug)]
pub struct Step {
    pub connection: usize,
    pub words: Vec<Vec<u8>>,
    /// What it sets ends within milliseconds.
    pub rests: bool,
    /// It waits until another connection has served it, or until its own is needed.
    pub blocks: bool,
}

impl Step {
    /// The name in capitals.
    pub fn name(&self) -> String {
        let name = self.words.first().map_or(&[][..], Vec::as_slice);
        String::from_utf8_lossy(name).to_ascii_uppercase()
    }
}

/// Numbers that some commands answer with memory or time in proportion.
const COSTLY: std::ops::Range<u128> = 5_000..1 << 40;

/// Of these, numbers are times and not counts; and a word more or less must not make one short,
/// since the two sides do not look at the clock at once.
#[rustfmt::skip]
const TIMED: [&str; 18] = [
    "HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT", "HGETEX", "HSETEX",
    "SET", "SETEX", "PSETEX", "GETEX", "EXPIRE", "EXPIREAT", "PEXPIRE", "PEXPIREAT", "RESTORE",
    "XCLAIM", "XAUTOCLAIM", "XPENDING",
];

/// A negative count of these is answered in full, however great.
const PICKS: [&str; 3] = ["SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER"];

/// Whether the two sides would answer it too late, or hold different data afterwards.
fn is_avoided(step: &Step) -> bool {
    let says = |numbers: &[&str]| {
        step.words.iter().any(|word| numbers.iter().any(|number| word == number.as_bytes()))
    };
    let (name, reference) = (step.name(), Reference::current());
    let is_misread = match name.as_str() {
        "BITFIELD" => says(&[LEAST]),
        // Only 7.0 takes it, for all.
        "LREM" => reference == Reference::Redis7 && says(&[LEAST]),
        // Later servers take the greatest numbers for others, too.
        "LSET" | "LINDEX" => reference != Reference::Redis7 && says(&[LEAST, GREATEST]),
        // Valkey 8.1.1 and Redis 8.0.2 do not answer a wrong password that other commands follow.
        "AUTH" if step.words.len() == 3 => {
            [Reference::Valkey8, Reference::Redis8].contains(&reference)
        }
        "FUNCTION" => step.words.get(2..).is_some_and(|words| words.iter().any(ends_server)),
        _ => reference == Reference::Redis8 && is_read_anew(step),
    };
    is_costly(step) || is_misread
}

/// Valkey 9.1.2 ends with a fault when a library logs while it is loaded.
pub fn ends_server(library: impl AsRef<[u8]>) -> bool {
    let logs = |bytes: &[u8]| bytes.windows(10).any(|part| part == b"redis.log(");
    Reference::current() == Reference::Valkey9 && logs(library.as_ref())
}

const LEAST: &str = "-9223372036854775808";
const GREATEST: &str = "9223372036854775807";

/// Whether Redis 8 reads it otherwise: it knows no scores in hexadecimal or behind a space, and
/// takes an offset below zero for none where 7.0 leaves everything out.
fn is_read_anew(step: &Step) -> bool {
    let is_negative =
        |pair: &[Vec<u8>]| pair[0].eq_ignore_ascii_case(b"LIMIT") && pair[1].starts_with(b"-");
    let is_range = step.name().starts_with('Z') && step.words.windows(2).any(is_negative);
    is_range || step.words.iter().any(|word| word.ends_with(b"0x1") || word == b" 1")
}

fn is_costly(step: &Step) -> bool {
    let name = step.name();
    step.words.iter().skip(1).any(|word| {
        let digits = word.strip_prefix(b"#").unwrap_or(word);
        let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<i128>().ok());
        number.is_some_and(|number| {
            let picks = PICKS.contains(&name.as_str()) && number < -5_000;
            let many = COSTLY.contains(&number.unsigned_abs()) && name != "GEOADD";
            (many && !TIMED.contains(&name.as_str())) || picks
        })
    })
}

pub struct Generator<'a> {
    pub families: &'a [Family],
    pub payloads: &'a [Vec<u8>],
    pub libraries: &'a [Vec<u8>],
}

impl Generator<'_> {
    /// A sequence of `count` commands.
    pub fn sequence(&self, seed: u64, count: usize) -> Vec<Step> {
        let mut rng = Rng::new(seed);
        let weights = self.weights(&mut rng);
        let mut steps = Vec::with_capacity(count);
        while steps.len() < count {
            let connection = rng.below(CONNECTIONS as u64) as usize;
            let is_subscriber = SUBSCRIBERS.contains(&connection);
            let burst = match rng.below(10) {
                _ if is_subscriber => 1 + rng.below(4),
                0..4 => 1 + rng.below(3),
                _ => 20 + rng.below(180),
            };
            for _ in 0..burst.min((count - steps.len()) as u64) {
                let family = self.family(&mut rng, &weights, is_subscriber);
                let step = loop {
                    let step = self.step(&mut rng, connection, family);
                    if !is_avoided(&step) {
                        break step;
                    }
                };
                steps.push(step);
                // Others shall serve it before its connection goes on.
                if steps.last().is_some_and(|step| step.blocks) {
                    break;
                }
            }
        }
        steps
    }

    /// How likely each family is: two are the theme of most sequences.
    fn weights(&self, rng: &mut Rng) -> Vec<u64> {
        let mut weights: Vec<u64> =
            self.families.iter().map(|family| weight(&family.name)).collect();
        if !rng.once_in(4) {
            for _ in 0..2 {
                let at = rng.below(weights.len() as u64) as usize;
                weights[at] *= 12;
            }
        }
        weights
    }

    fn family(&self, rng: &mut Rng, weights: &[u64], is_subscriber: bool) -> &Family {
        let allowed = |at: usize| (self.families[at].name == SUBSCRIPTIONS) == is_subscriber;
        let weights: Vec<u64> =
            weights.iter().enumerate().map(|(at, w)| if allowed(at) { *w } else { 0 }).collect();
        &self.families[pick(rng, &weights)]
    }

    fn step(&self, rng: &mut Rng, connection: usize, family: &Family) -> Step {
        let weights: Vec<u64> = family.rules.iter().map(|rule| rule.weight).collect();
        let rule: &Rule = &family.rules[pick(rng, &weights)];
        let mut words = Words { rng, payloads: self.payloads, libraries: self.libraries };
        let drawn = rule.draw(&mut words);
        let mut step = Step { connection, words: drawn, rests: rule.rests, blocks: rule.blocks };
        if words.rng.once_in(12) {
            spoil(&mut step, &mut words);
        }
        if words.rng.once_in(8) {
            change_case(&mut step.words, words.rng);
        }
        step
    }
}

/// Where there is no theme.
fn weight(family: &str) -> u64 {
    match family {
        "keys" => 3,
        "transactions" | "connections" | "server" | "messages" | "users" => 1,
        _ => 2,
    }
}

fn pick(rng: &mut Rng, weights: &[u64]) -> usize {
    let mut at = rng.below(weights.iter().sum());
    weights
        .iter()
        .position(|weight| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        })
        .expect("a weight is not zero")
}

/// A word too many, too few, in the wrong place, or of the wrong kind.
fn spoil(step: &mut Step, words: &mut Words<'_>) {
    let timed = TIMED.contains(&step.name().as_str());
    let blocks = step.name().starts_with('B') || step.name().starts_with("XREAD");
    let len = step.words.len() as u64;
    if len < 2 {
        let junk = words.junk(true);
        step.words.push(junk);
        return;
    }
    let at = 1 + words.rng.below(len - 1) as usize;
    match words.rng.below(6) {
        0 => {
            step.words.remove(at);
        }
        1 => step.words.insert(at, step.words[at].clone()),
        2 if !timed && !blocks => {
            let other = 1 + words.rng.below(len - 1) as usize;
            step.words.swap(at, other);
        }
        3 if blocks => step.words.push(b"abc".to_vec()),
        3 => {
            let junk = words.junk(!timed);
            step.words.push(junk);
        }
        4 => step.words[at] = words.word("k"),
        _ if blocks => step.words[at] = b"abc".to_vec(),
        _ => step.words[at] = words.junk(!timed),
    }
}

/// Letters of the first word, and of words that look like options.
fn change_case(words: &mut [Vec<u8>], rng: &mut Rng) {
    for word in words.iter_mut() {
        let is_option = word.len() > 1 && word.iter().all(u8::is_ascii_uppercase);
        if !is_option {
            continue;
        }
        for byte in word.iter_mut() {
            if rng.once_in(2) {
                *byte = byte.to_ascii_lowercase();
            }
        }
    }
}
