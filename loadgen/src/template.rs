//! Requests, encoded once: what changes from one to the next is patched in as it is sent.
//!
//! Some words in an argument stand for twelve digits, so a request keeps its length whatever key it
//! names: `__rand_int__` for a key of the distribution, as in redis-benchmark, `__next_int__` for a
//! key behind all that there are, `__uniq_int__` for a number of this operation alone,
//! `__sent_time_` for the time at which the request is sent ([`micros_now`]).

use std::sync::OnceLock;
use std::time::Instant;

use mayfly::client::encode;
use memchr::memmem;

use crate::keys::Picker;

/// What a place in a request is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Picked,
    Inserted,
    Unique,
    Time,
}

const PLACEHOLDERS: [(&[u8], Source); 4] = [
    (b"__rand_int__", Source::Picked),
    (b"__next_int__", Source::Inserted),
    (b"__uniq_int__", Source::Unique),
    (b"__sent_time_", Source::Time),
];

/// As many digits as each placeholder has characters.
pub const DIGITS: usize = PLACEHOLDERS[0].0.len();

#[derive(Clone, Debug)]
pub struct Template {
    /// One request.
    request: Vec<u8>,
    /// Where digits go.
    slots: Vec<(usize, Source)>,
    /// Whether all places of a request name the same key of the distribution.
    has_one_key: bool,
    /// Requests that change nothing, one after another: appended by one copy.
    repeated: Vec<u8>,
}

/// What one operation has put in place of its placeholders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    picked: Option<u64>,
    inserted: Option<u64>,
    unique: Option<u64>,
}

impl Numbers {
    #[inline]
    fn get(&mut self, source: Source, picker: &mut Picker) -> u64 {
        match source {
            Source::Picked => *self.picked.get_or_insert_with(|| picker.pick()),
            Source::Inserted => *self.inserted.get_or_insert_with(|| picker.insert()),
            Source::Unique => *self.unique.get_or_insert_with(|| picker.unique()),
            Source::Time => micros_now(),
        }
    }
}

impl Template {
    /// A request of `words`. Placeholders are left as they stand unless `keys` says that there are
    /// keys to choose from.
    pub fn new(words: &[Vec<u8>], keys: Placeholders) -> Self {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        Self::raw(encode(&words), keys)
    }

    /// A request as it stands.
    pub fn raw(request: Vec<u8>, keys: Placeholders) -> Self {
        let mut slots = Vec::new();
        if keys == Placeholders::Patched {
            for (name, source) in PLACEHOLDERS {
                slots.extend(memmem::find_iter(&request, name).map(|at| (at, source)));
            }
            slots.sort_unstable_by_key(|(at, _)| *at);
        }
        Self { request, slots, has_one_key: false, repeated: Vec::new() }
    }

    /// Makes room for `count` requests to be appended at once.
    pub fn repeat(mut self, count: usize) -> Self {
        self.repeated = self.request.repeat(count);
        self
    }

    /// Has all places of a request that ask for a key of the distribution name the same one.
    pub fn with_one_key(mut self) -> Self {
        self.has_one_key = true;
        self
    }

    /// One request, its placeholders as they stand.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Appends `count` requests, each an operation of its own. Every place that asks for a key of
    /// the distribution gets one of its own, unless there is to be one key.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>, count: usize, picker: &mut Picker) {
        let start = out.len();
        let mut left = count * self.request.len();
        if left <= self.repeated.len() {
            out.extend_from_slice(&self.repeated[..left]);
        } else {
            while left > 0 {
                out.extend_from_slice(&self.request);
                left -= self.request.len();
            }
        }
        if self.slots.is_empty() {
            return;
        }
        for request in out[start..].chunks_exact_mut(self.request.len()) {
            let mut numbers = Numbers::default();
            for (slot, source) in &self.slots {
                let number = match source {
                    Source::Picked if !self.has_one_key => picker.pick(),
                    _ => numbers.get(*source, picker),
                };
                write_digits(&mut request[*slot..*slot + DIGITS], number);
            }
        }
    }

    /// Appends one request of an operation that sends several: what one of them has put in a place
    /// stands in the others too.
    pub fn append_step(&self, out: &mut Vec<u8>, numbers: &mut Numbers, picker: &mut Picker) {
        let start = out.len();
        out.extend_from_slice(&self.request);
        for (slot, source) in &self.slots {
            let digits = &mut out[start + slot..start + slot + DIGITS];
            write_digits(digits, numbers.get(*source, picker));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholders {
    Literal,
    Patched,
}

/// When the clock of [`micros_now`] began: at its first use.
static EPOCH: OnceLock<Instant> = OnceLock::new();

/// Microseconds on a clock of this process, which only goes forward.
pub fn micros_now() -> u64 {
    EPOCH.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// The same of another time; 0 before the clock began.
pub fn micros_since(time: Instant) -> u64 {
    time.saturating_duration_since(*EPOCH.get_or_init(Instant::now)).as_micros() as u64
}

/// Writes a number below 10^12 with leading zeros.
#[inline]
fn write_digits(digits: &mut [u8], mut number: u64) {
    for pair in digits.chunks_exact_mut(2).rev() {
        let low = (number % 100) as u8;
        number /= 100;
        pair.copy_from_slice(&[b'0' + low / 10, b'0' + low % 10]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Distribution;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    fn picker(distribution: Distribution) -> Picker {
        Picker::new(distribution, 1_000_000_000_000, 0, 1, 1)
    }

    #[test]
    fn each_placeholder_of_each_request_gets_a_key_of_its_own() {
        let template = Template::new(
            &words("MSET key:__rand_int__ a key:__rand_int__ b"),
            Placeholders::Patched,
        );
        let mut out = b"before".to_vec();
        template.append(&mut out, 2, &mut picker(Distribution::Sequential));
        let expected = |first, second| {
            format!(
                "*5\r\n$4\r\nMSET\r\n$16\r\nkey:{first:012}\r\n$1\r\na\r\n\
                 $16\r\nkey:{second:012}\r\n$1\r\nb\r\n"
            )
        };
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, format!("before{}{}", expected(0, 1), expected(2, 3)));
    }

    #[test]
    fn without_keys_a_placeholder_is_what_it_says() {
        let template = Template::new(&words("GET key:__rand_int__"), Placeholders::Literal);
        let mut out = Vec::new();
        for count in [1, 3] {
            template.clone().repeat(2).append(&mut out, count, &mut picker(Distribution::Uniform));
        }
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$16\r\nkey:__rand_int__\r\n".repeat(4));
    }

    #[test]
    fn requests_of_one_operation_name_the_same_key() {
        let [get, set] = ["GET k:__rand_int__", "SET k:__rand_int__ __uniq_int____next_int__"]
            .map(|line| Template::new(&words(line), Placeholders::Patched));
        let mut picker = Picker::new(Distribution::Sequential, 5, 0, 1, 1);
        let mut out = Vec::new();
        for _ in 0..2 {
            let mut numbers = Numbers::default();
            for step in [&get, &set, &set] {
                step.append_step(&mut out, &mut numbers, &mut picker);
            }
        }
        let text = String::from_utf8(out).unwrap();
        for number in [0, 1] {
            assert_eq!(text.matches(&format!("k:{number:012}\r\n")).count(), 3);
            let value = format!("\r\n{number:012}{:012}\r\n", 5 + number);
            assert_eq!(text.matches(&value).count(), 2, "{text}");
        }
    }

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 7, 99, 100, 123_456_789_012, 999_999_999_999] {
            let mut digits = [0; DIGITS];
            write_digits(&mut digits, number);
            assert_eq!(String::from_utf8_lossy(&digits), format!("{number:012}"));
        }
    }
}
