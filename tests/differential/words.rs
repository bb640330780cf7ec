//! The pools that words are drawn from: few keys, so that commands meet, and for each kind of
//! argument the usual, the edges, and what is refused.

use super::rng::Rng;
use super::scripts::{self, Kind};

/// Every pool that a grammar may name.
#[rustfmt::skip]
pub const POOLS: [&str; 72] = [
    "library", "libname", "function", "libraries", "events",
    "sometime", "queue", "zqueue", "user", "rule", "script", "roscript", "sha", "rosha", "restorems", "y", "s", "n", "b", "l", "h", "t", "z", "x", "p", "g", "k", "val", "int", "num", "float", "idx",
    "count", "offset", "bit", "bits", "bitoffset", "field", "member", "score", "bound", "lex",
    "sec", "ms", "at", "atms", "soon", "wait", "waitms", "pattern", "cursor", "type", "db", "id",
    "newid", "rangeid", "group", "consumer", "idle", "place", "lon", "lat", "dist", "unit", "by",
    "get", "channel", "any", "payload", "key", "rare", "junk",
];

/// The keys of each kind, by the letter that they begin with.
const KINDS: &[u8] = b"snblhtzyxpg";

const RARE_KEYS: [&[u8]; 5] = [b"", b"\0\xff\r\n", b"{s1}t", b"k with spaces", b"s1\0"];

/// Wherever a word is drawn wrongly. Numbers last, so that they can be left out.
#[rustfmt::skip]
const JUNK: [&[u8]; 40] = [
    b"", b"abc", b"nan", b"\xff\x00", b"*", b"-", b"+", b"(", b"[", b"NX", b"GET", b"COUNT",
    b"LIMIT", b"WITHSCORES", b"STORE", b"1.5", b" 1", b"1 ", b"0x1", b"1e3", b"+1", b"01", b"-0",
    b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"inf", b"$", b"1-1",
    b"#", b"#1", b"0", b"-1", b"1", b"2", b"3", b"10", b"-2", b"9223372036854775807",
    b"-9223372036854775808",
];

/// The first of [`JUNK`] that no command takes for a short time.
const JUNK_WITHOUT_TIMES: usize = 33;

/// A word that does not fit into the compact form of any container.
const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123456789";

pub struct Words<'a> {
    pub rng: &'a mut Rng,
    /// What DUMP has made of values of every type.
    pub payloads: &'a [Vec<u8>],
    /// What FUNCTION DUMP has made of libraries.
    pub libraries: &'a [Vec<u8>],
}

impl Words<'_> {
    fn one_of(&mut self, from: &[&str]) -> Vec<u8> {
        self.rng.pick(from).expect("no pool is empty").as_bytes().to_vec()
    }

    fn numbered(&mut self, prefix: &str, count: u64) -> Vec<u8> {
        format!("{prefix}{}", 1 + self.rng.below(count)).into_bytes()
    }

    /// A number near zero, now and then one of `edges`.
    fn number(&mut self, span: u64, edges: &[&str]) -> Vec<u8> {
        if self.rng.once_in(12) {
            return self.one_of(edges);
        }
        (self.rng.below(2 * span + 1) as i64 - span as i64).to_string().into_bytes()
    }

    pub fn junk(&mut self, with_times: bool) -> Vec<u8> {
        let from = if with_times { &JUNK } else { &JUNK[..JUNK_WITHOUT_TIMES] };
        self.rng.pick(from).expect("no pool is empty").to_vec()
    }

    fn key(&mut self, kind: u8) -> Vec<u8> {
        if self.rng.once_in(150) {
            return self.rng.pick(&RARE_KEYS).expect("no pool is empty").to_vec();
        }
        let any = kind == b'k' || self.rng.once_in(16);
        let kind = if any { KINDS[self.rng.below(KINDS.len() as u64) as usize] } else { kind };
        self.numbered(char::from(kind).encode_utf8(&mut [0; 4]), 4)
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.below(14) {
            0 => Vec::new(),
            1 | 2 => self.number(100, &EDGES),
            3 => self.float(),
            4 => b"\x00\x80\xff\r\n".to_vec(),
            5 => LONG.as_bytes().to_vec(),
            6 => self.numbered("value with some words in it ", 100),
            7 if self.rng.once_in(10) => vec![b'x'; 1000 + self.rng.below(200) as usize],
            _ => self.numbered("v", 9),
        }
    }

    fn float(&mut self) -> Vec<u8> {
        #[rustfmt::skip]
        const FLOATS: [&str; 22] = [
            "0", "1", "-1", "2", "3", "0.5", "1.5", "-2.25", "0.1", "0.2", "1e3", "1e-3", "100",
            "3.14159265358979", "-0.0", "1e17", "inf", "-inf", "nan", "abc", "", "1e400",
        ];
        self.one_of(&FLOATS)
    }

    fn member(&mut self) -> Vec<u8> {
        match self.rng.below(60) {
            0 => Vec::new(),
            1 => LONG.as_bytes().to_vec(),
            2 => b"\x00\xff".to_vec(),
            3..8 => self.number(20, &EDGES),
            8..12 => self.numbered("e", 100_000),
            _ => self.numbered("m", 14),
        }
    }

    fn bound(&mut self) -> Vec<u8> {
        let text = match self.rng.below(8) {
            0 => "-inf".into(),
            1 => "+inf".into(),
            2 => format!("({}", self.rng.below(10)),
            3 => return self.one_of(&["(inf", "(-inf", "inf", "nan", "(", "abc", "", "(nan"]),
            _ => (self.rng.below(12) as i64 - 4).to_string(),
        };
        text.into_bytes()
    }

    fn lex(&mut self) -> Vec<u8> {
        let text = match self.rng.below(8) {
            0 | 1 => "-".into(),
            2 | 3 => "+".into(),
            4 => return self.one_of(&["[", "(", "abc", "", "m1", "++"]),
            5 => format!("(m{}", 1 + self.rng.below(14)),
            _ => format!("[m{}", 1 + self.rng.below(14)),
        };
        text.into_bytes()
    }

    fn id(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 => b"0".to_vec(),
            1 => b"0-0".to_vec(),
            2 => self.one_of(&["-", "+", "abc", "1-", "-1", "1-1-1", "", "18446744073709551615"]),
            3 => self.number(9, &["18446744073709551615-18446744073709551615", "1-x"]),
            _ => format!("{}-{}", 1 + self.rng.below(9), self.rng.below(4)).into_bytes(),
        }
    }

    fn new_id(&mut self) -> Vec<u8> {
        let text = match self.rng.below(20) {
            0 => return self.id(),
            1..6 => format!("{}-*", 1 + self.rng.below(30)),
            _ => format!("{}-{}", 1 + self.rng.below(30), self.rng.below(4)),
        };
        text.into_bytes()
    }

    /// A word of the pool of this name.
    pub fn word(&mut self, pool: &str) -> Vec<u8> {
        match pool {
            "s" | "n" | "b" | "l" | "h" | "t" | "z" | "y" | "x" | "p" | "g" | "k" => {
                self.key(pool.as_bytes()[0])
            }
            "key" => self.key(b'k'),
            "rare" => self.rng.pick(&RARE_KEYS).expect("no pool is empty").to_vec(),
            "junk" => self.junk(true),
            "val" => self.value(),
            "int" => self.number(30, &EDGES),
            "num" => self.number(20, &EDGES),
            "float" => self.float(),
            "idx" => self.number(12, &EDGES),
            "count" => self.number(5, &["100", "1000", "abc", "1.5", "", "-9223372036854775808"]),
            "offset" => self.offset(),
            "bit" => self.one_of(&["0", "1", "1", "1", "2", "-1", "abc"]),
            "bits" => self.one_of(&BITS),
            "bitoffset" => self.bit_offset(),
            "field" => match self.rng.below(50) {
                0 => Vec::new(),
                1 => LONG.as_bytes().to_vec(),
                2..5 => self.numbered("e", 100_000),
                _ => self.numbered("f", 12),
            },
            "member" => self.member(),
            "score" => match self.rng.below(4) {
                0 => self.float(),
                _ => self.number(6, &EDGES),
            },
            "bound" => self.bound(),
            "lex" => self.lex(),
            "pattern" => self.one_of(&PATTERNS),
            "cursor" => self.one_of(&["0", "0", "0", "0", "0", "0", "abc", "-1", "1.5"]),
            "payload" => self.payload(),
            _ => self.word_of_time_or_place(pool),
        }
    }

    fn word_of_time_or_place(&mut self, pool: &str) -> Vec<u8> {
        match pool {
            "sec" => self.one_of(&SECONDS),
            "ms" => self.one_of(&MILLIS),
            "restorems" => self.one_of(&["0", "1000000", "2000000", "-1", "abc", "1.5"]),
            "at" => self.one_of(&[
                "4102444800",
                "4102444801",
                "5000000000",
                "1000000",
                "0",
                "-1",
                "abc",
            ]),
            "atms" => {
                self.one_of(&["4102444800000", "4102444800001", "1000000", "0", "-1", "abc", ""])
            }
            // Never nearly the same twice: the two sides do not look at the clock at once.
            "sometime" => self.rng.below(1 << 36).to_string().into_bytes(),
            "soon" => self.numbered("", 3),
            "wait" => self.one_of(&["0.001", "0.002", "0.003", "-1", "abc", "", "1e300", "0.001"]),
            "waitms" => self.one_of(&["1", "2", "3", "-1", "abc", "1.5"]),
            "type" => self.one_of(&["string", "list", "SET", "zset", "hash", "stream", "nosuch"]),
            "db" => self.one_of(&["0", "0", "0", "1", "2", "15", "16", "-1", "abc", "1.5", ""]),
            "id" => self.id(),
            "newid" => self.new_id(),
            "rangeid" => match self.rng.below(6) {
                0 => b"-".to_vec(),
                1 => b"+".to_vec(),
                2 => [b"(".to_vec(), self.id()].concat(),
                _ => self.id(),
            },
            "group" => self.numbered("group", 3),
            "consumer" => self.numbered("consumer", 3),
            "idle" => self.one_of(&["0", "0", "0", "100000000", "-1", "abc"]),
            "place" => self.numbered("place", 12),
            "lon" => {
                self.one_of(&["13.36", "13.4", "15.087", "2.35", "-0.1", "-180", "180.1", "x"])
            }
            "lat" => self.one_of(&["38.11", "52.52", "37.5", "48.85", "51.5", "85.06", "-85", "x"]),
            "dist" => self.one_of(&["100", "1000", "200.5", "20000", "0", "-1", "abc", "5000000"]),
            "unit" => self.one_of(&["m", "km", "KM", "ft", "mi", "km", "km", "x"]),
            "by" => self.one_of(&["nosort", "s*", "w*", "h*->f1", "n*", "*", "h*->", "x"]),
            "get" => self.one_of(&["#", "s*", "h*->f1", "n*", "*", "x", "l*", ""]),
            "channel" => self.numbered("news", 4),
            "queue" => self.numbered("queue", 2),
            "zqueue" => self.numbered("zqueue", 2),
            "user" => self.numbered("user", 3),
            "rule" => self.one_of(&RULES),
            "script" => self.script(None).as_bytes().to_vec(),
            "roscript" => self.script(Some(Kind::Reads)).as_bytes().to_vec(),
            "sha" => self.sha(None),
            "rosha" => self.sha(Some(Kind::Reads)),
            "library" => self.rng.pick(scripts::libraries()).copied().unwrap_or("").into(),
            "libname" => self.one_of(&["lib1", "lib2", "lib3", "lib4", "lib*", "none", "LIB1"]),
            "function" => self.one_of(&FUNCTIONS),
            "libraries" => self.rng.pick(self.libraries).cloned().unwrap_or_default(),
            "events" => self.one_of(&EVENTS),
            "any" => match self.rng.below(3) {
                0 => self.junk(false),
                _ => self.numbered("e", 100_000),
            },
            _ => panic!("the grammar names a pool '{pool}' that there is not"),
        }
    }

    fn offset(&mut self) -> Vec<u8> {
        match self.rng.below(30) {
            0 => self.one_of(&["-1", "abc", "4294967296", "9223372036854775807", "", "1.5"]),
            1 => self.rng.below(4000).to_string().into_bytes(),
            _ => self.rng.below(80).to_string().into_bytes(),
        }
    }

    fn bit_offset(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0 => self.one_of(&["-1", "abc", "#-1", "#", "#4294967296", ""]),
            1..5 => format!("#{}", self.rng.below(10)).into_bytes(),
            _ => self.rng.below(100).to_string().into_bytes(),
        }
    }

    fn script(&mut self, kind: Option<Kind>) -> &'static str {
        let fits = |script: &&scripts::Script| kind.is_none_or(|kind| script.kind == kind);
        let fitting: Vec<&scripts::Script> = scripts::all().filter(fits).collect();
        self.rng.pick(&fitting).expect("there are scripts of each kind").text
    }

    fn sha(&mut self, kind: Option<Kind>) -> Vec<u8> {
        if self.rng.once_in(20) {
            return self.one_of(&["", "abc", "ffffffffffffffffffffffffffffffffffffffff", "1"]);
        }
        let sha = scripts::sha(self.script(kind));
        if self.rng.once_in(10) { sha.to_ascii_uppercase() } else { sha }
    }

    fn payload(&mut self) -> Vec<u8> {
        let mut payload = self.rng.pick(self.payloads).cloned().unwrap_or_default();
        if self.rng.once_in(6) && !payload.is_empty() {
            let at = self.rng.below(payload.len() as u64) as usize;
            payload[at] ^= 1 << self.rng.below(8);
        }
        payload
    }
}

#[rustfmt::skip]
const EDGES: [&str; 10] = [
    "9223372036854775807", "-9223372036854775808", "9223372036854775808", "abc", "1.5", "", " 1",
    "4294967296", "-4294967297", "0",
];

#[rustfmt::skip]
const BITS: [&str; 14] = [
    "u1", "u4", "u8", "u8", "u16", "u63", "u64", "i4", "i8", "i8", "i64", "i65", "x8", "u0",
];

/// Seconds to live: far off, none, or too many.
#[rustfmt::skip]
const SECONDS: [&str; 11] = [
    "1000", "2000", "100000", "1000000", "0", "-1", "9223372036854775807", "9223372036854776",
    "abc", "1.5", "",
];

/// Rules of users whose order Redis 7.0 and 7.2 tell alike.
#[rustfmt::skip]
const RULES: [&str; 34] = [
    "on", "off", "nopass", "resetpass", "reset", ">secret", ">other", "<secret", "#abc",
    "#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", "~*", "~s*", "~l?",
    "%R~h*", "%W~t*", "%RW~z*", "%X~z*", "%", "resetkeys", "allkeys", "&*", "&news*",
    "allchannels", "resetchannels", "+@all", "-@all", "allcommands", "nocommands", "+nosuch",
    "+@nosuch", "skip-sanitize-payload", "sanitize-payload", "clearselectors", "(~s1",
];

/// Functions of the libraries, and one that is in none.
#[rustfmt::skip]
const FUNCTIONS: [&str; 20] = [
    "plain", "set", "get", "push", "fails", "fails_by_table", "writes", "types", "typed", "encode",
    "calls", "globals", "defines", "registers", "version", "none", "late", "PLAIN", "nosuch", "",
];

/// Classes of events, without what ends (`x`), which redis-server tells when it comes across it,
/// and without what a read alone makes (`m`), which only the node tells that reads.
#[rustfmt::skip]
const EVENTS: [&str; 10] = [
    "KEg$lshzt", "KEg$lshzt", "KEg$lshzt", "Eg$lshzt", "Kg$lshzt", "Kg$", "KEn", "", "g", "abc",
];

const MILLIS: [&str; 8] =
    ["1000000", "2000000", "100000000", "0", "-1", "9223372036854775807", "abc", "1.5"];

#[rustfmt::skip]
const PATTERNS: [&str; 14] = [
    "*", "*", "?*", "s*", "[a-m]*", "[^a-m]*", "m1?", "news*", "*1", "\\*", "[", "", "news[12]",
    "*e*s*1*",
];
