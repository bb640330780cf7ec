//! Requests, encoded once: what changes from one to the next is patched in as it is sent.
//!
//! `__rand_int__` in an argument stands for twelve digits, as in redis-benchmark, so a request
//! keeps its length whatever key it names.

use memchr::memmem;

use crate::keys::Picker;

const PLACEHOLDER: &[u8] = b"__rand_int__";

/// As many digits as the placeholder has characters.
pub const DIGITS: usize = PLACEHOLDER.len();

#[derive(Clone, Debug)]
pub struct Template {
    /// One request.
    request: Vec<u8>,
    /// Where digits go.
    slots: Vec<usize>,
    /// Requests that change nothing, one after another: appended by one copy.
    repeated: Vec<u8>,
}

impl Template {
    /// A request of `words`. Placeholders are left as they stand unless `keys` says that there are
    /// keys to choose from.
    pub fn new(words: &[Vec<u8>], keys: Placeholders) -> Self {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        Self::raw(request, keys)
    }

    /// A request as it stands.
    pub fn raw(request: Vec<u8>, keys: Placeholders) -> Self {
        let slots = match keys {
            Placeholders::Literal => Vec::new(),
            Placeholders::Patched => memmem::find_iter(&request, PLACEHOLDER).collect(),
        };
        Self { request, slots, repeated: Vec::new() }
    }

    /// Makes room for `count` requests to be appended at once.
    pub fn repeat(mut self, count: usize) -> Self {
        self.repeated = self.request.repeat(count);
        self
    }

    /// One request, its placeholders as they stand.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Appends `count` requests.
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
            for slot in &self.slots {
                write_digits(&mut request[*slot..*slot + DIGITS], picker.pick());
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholders {
    Literal,
    Patched,
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
    fn digits_are_those_of_the_number() {
        for number in [0, 7, 99, 100, 123_456_789_012, 999_999_999_999] {
            let mut digits = [0; DIGITS];
            write_digits(&mut digits, number);
            assert_eq!(String::from_utf8_lossy(&digits), format!("{number:012}"));
        }
    }
}
