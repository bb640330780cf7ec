//! The tests of redis-benchmark, by its names and with its keys, so that results can be compared.

use crate::template::{Placeholders, Template};

/// One test: what it is called, and what it sends.
#[derive(Clone, Debug)]
pub struct Test {
    pub title: String,
    pub request: Request,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Bytes that are no array of words.
    Inline(&'static [u8]),
    Words(Vec<Vec<u8>>),
}

impl Test {
    pub fn template(&self, keys: Placeholders) -> Template {
        match &self.request {
            Request::Inline(bytes) => Template::raw(bytes.to_vec(), keys),
            Request::Words(words) => Template::new(words, keys),
        }
    }
}

/// Titles, the names that `-t` takes for them, and the words of the requests.
const TESTS: [(&str, &[&str], &str); 19] = [
    ("PING_MBULK", &["ping_mbulk", "ping"], "PING"),
    ("SET", &["set"], "SET key:__rand_int__ __data__"),
    ("GET", &["get"], "GET key:__rand_int__"),
    ("INCR", &["incr"], "INCR counter:__rand_int__"),
    ("LPUSH", &["lpush"], "LPUSH mylist __data__"),
    ("RPUSH", &["rpush"], "RPUSH mylist __data__"),
    ("LPOP", &["lpop"], "LPOP mylist"),
    ("RPOP", &["rpop"], "RPOP mylist"),
    ("SADD", &["sadd"], "SADD myset element:__rand_int__"),
    ("HSET", &["hset"], "HSET myhash element:__rand_int__ __data__"),
    ("SPOP", &["spop"], "SPOP myset"),
    ("ZADD", &["zadd"], "ZADD myzset __score__ element:__rand_int__"),
    ("ZPOPMIN", &["zpopmin"], "ZPOPMIN myzset"),
    (
        "LPUSH (needed to benchmark LRANGE)",
        &["lrange", "lrange_100", "lrange_300", "lrange_500", "lrange_600"],
        "LPUSH mylist __data__",
    ),
    ("LRANGE_100 (first 100 elements)", &["lrange", "lrange_100"], "LRANGE mylist 0 99"),
    ("LRANGE_300 (first 300 elements)", &["lrange", "lrange_300"], "LRANGE mylist 0 299"),
    ("LRANGE_500 (first 500 elements)", &["lrange", "lrange_500"], "LRANGE mylist 0 499"),
    ("LRANGE_600 (first 600 elements)", &["lrange", "lrange_600"], "LRANGE mylist 0 599"),
    ("XADD", &["xadd"], "XADD mystream * myfield __data__"),
];

/// MSET writes so many keys.
const MSET_KEYS: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no test '{0}'; there are ping_inline, mset, {names}", names = names())]
pub struct UnknownTest(String);

fn names() -> String {
    let mut names: Vec<&str> =
        TESTS.iter().flat_map(|(_, names, _)| names.iter().copied()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// The tests of a list of names as `-t` takes it, all of them without one, in the usual order.
pub fn select(
    list: Option<&str>,
    data: &[u8],
    keys: Placeholders,
) -> Result<Vec<Test>, UnknownTest> {
    let wanted: Option<Vec<String>> =
        list.map(|list| list.split(',').map(|name| name.trim().to_lowercase()).collect());
    let is_known = |name: &str| {
        ["ping_inline", "mset"].contains(&name)
            || TESTS.iter().any(|(_, names, _)| names.contains(&name))
    };
    if let Some(unknown) = wanted.iter().flatten().find(|name| !is_known(name)) {
        return Err(UnknownTest(unknown.clone()));
    }
    let is_wanted = |names: &[&str]| {
        wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|name| names.contains(&&name[..])))
    };
    let mut tests = Vec::new();
    if is_wanted(&["ping_inline", "ping"]) {
        let request = Request::Inline(b"PING\r\n");
        tests.push(Test { title: "PING_INLINE".to_owned(), request });
    }
    for (title, names, line) in TESTS {
        if title == "XADD" && is_wanted(&["mset"]) {
            tests.push(mset(data));
        }
        if is_wanted(names) {
            let words = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let request = Request::Words(fill(words, data, keys));
            tests.push(Test { title: title.to_owned(), request });
        }
    }
    Ok(tests)
}

fn mset(data: &[u8]) -> Test {
    let mut words = vec![b"MSET".to_vec()];
    for _ in 0..MSET_KEYS {
        words.extend([b"key:__rand_int__".to_vec(), data.to_vec()]);
    }
    Test { title: format!("MSET ({MSET_KEYS} keys)"), request: Request::Words(words) }
}

/// A command of the user's own.
pub fn custom(words: &[String], data: &[u8], last: Option<Vec<u8>>, keys: Placeholders) -> Test {
    let title = words.join(" ");
    let words = words.iter().map(|word| word.as_bytes().to_vec());
    let request = Request::Words(fill(words.chain(last).collect(), data, keys));
    Test { title, request }
}

/// Puts values and scores in their places. A score is any number where keys are, else 0.
pub fn fill(words: Vec<Vec<u8>>, data: &[u8], keys: Placeholders) -> Vec<Vec<u8>> {
    let score: &[u8] = match keys {
        Placeholders::Literal => b"0",
        Placeholders::Patched => b"__rand_int__",
    };
    let filled = |word: Vec<u8>| match &word[..] {
        b"__data__" => data.to_vec(),
        b"__score__" => score.to_vec(),
        _ => word,
    };
    words.into_iter().map(filled).collect()
}

/// A request of words, as it goes over the wire.
pub fn encode(words: &[String]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    mayfly::client::encode(&words)
}

/// A value of `len` bytes: printable, without a pattern that a compressor could use, the same in
/// every run.
pub fn data(len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(1234);
    std::iter::repeat_with(|| rng.alphanumeric() as u8).take(len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(list: Option<&str>) -> Vec<String> {
        let tests = select(list, b"xxx", Placeholders::Patched).unwrap();
        tests.into_iter().map(|test| test.title).collect()
    }

    #[test]
    fn names_select_tests_in_the_usual_order() {
        assert_eq!(titles(Some("GET, set")), ["SET", "GET"]);
        assert_eq!(titles(Some("ping")), ["PING_INLINE", "PING_MBULK"]);
        assert_eq!(titles(Some("xadd,mset")), ["MSET (10 keys)", "XADD"]);
        let lrange = titles(Some("lrange_300"));
        assert_eq!(
            lrange,
            ["LPUSH (needed to benchmark LRANGE)", "LRANGE_300 (first 300 elements)"]
        );
        let all = titles(None);
        assert_eq!((all.len(), &all[0][..], &all[20][..]), (21, "PING_INLINE", "XADD"));
        let unknown = select(Some("set,nope"), b"", Placeholders::Literal).unwrap_err();
        assert!(unknown.to_string().starts_with("there is no test 'nope'"), "{unknown}");
    }

    #[test]
    fn places_are_filled() {
        let zadd = |keys| {
            let tests = select(Some("zadd"), b"xxx", keys).unwrap();
            let Request::Words(words) = &tests[0].request else { panic!("{tests:?}") };
            String::from_utf8(words.join(&b' ')).unwrap()
        };
        assert_eq!(zadd(Placeholders::Literal), "ZADD myzset 0 element:__rand_int__");
        assert_eq!(zadd(Placeholders::Patched), "ZADD myzset __rand_int__ element:__rand_int__");
        let words = ["SET".to_owned(), "a".to_owned()];
        let test = custom(&words, b"", Some(b"from stdin".to_vec()), Placeholders::Literal);
        let expected = [&b"SET"[..], b"a", b"from stdin"].map(<[u8]>::to_vec).to_vec();
        assert_eq!((test.title, test.request), ("SET a".to_owned(), Request::Words(expected)));
        assert_eq!(data(50_000).len(), 50_000);
    }
}
