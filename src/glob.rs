//! Glob patterns as KEYS, SCAN, PSUBSCRIBE and CONFIG GET understand them.
//!
//! `*` is any run of bytes, `?` any one byte, `[a-c^]` a set, `[^a]` its complement, and `\` takes
//! the next byte literally. Nothing fits an empty text but the empty pattern: a lone `*` that is to
//! mean everything is up to the caller.
//!
//! Matching never recurses: when a byte does not fit, only the last `*`
//! has to take one byte more, because an earlier one could only give a later match of the same
//! middle part. So a match costs at most `pattern.len() * text.len()` steps, whatever a client
//! sends as a pattern.

/// Whether all of `text` fits `pattern`.
pub fn glob_match(pattern: &[u8], text: &[u8]) -> bool {
    matches(pattern, text, |byte| byte)
}

/// As [`glob_match`], with ASCII letters of either case alike.
pub fn glob_match_nocase(pattern: &[u8], text: &[u8]) -> bool {
    matches(pattern, text, |byte| byte.to_ascii_lowercase())
}

/// Whether `pattern` holds any byte that is more than itself.
pub fn is_glob(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

fn matches(pattern: &[u8], text: &[u8], fold: impl Fn(u8) -> u8) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut position) = (0, 0);
    // Behind the last `*`, and where the text goes on that this `*` has not taken yet.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            if at == pattern.len() {
                return true;
            }
            retry = Some((at, position));
            continue;
        }
        if position == text.len() {
            return at == pattern.len();
        }
        match one(&pattern[at..], text[position], &fold) {
            Some(taken) => {
                at += taken;
                position += 1;
            }
            None => match &mut retry {
                Some((after_star, start)) => {
                    *start += 1;
                    (at, position) = (*after_star, *start);
                }
                None => return false,
            },
        }
    }
}

/// How many bytes of the pattern describe `byte`, or `None` when they do not describe it.
fn one(pattern: &[u8], byte: u8, fold: &impl Fn(u8) -> u8) -> Option<usize> {
    let (fits, taken) = match *pattern {
        [] => (false, 0),
        [b'?', ..] => (true, 1),
        [b'[', ..] => set(pattern, byte, fold),
        [b'\\', literal, ..] => (fold(literal) == fold(byte), 2),
        [literal, ..] => (fold(literal) == fold(byte), 1),
    };
    fits.then_some(taken)
}

/// Precondition: `pattern` starts with `[`. A set without its `]` reaches to the pattern's end.
fn set(pattern: &[u8], byte: u8, fold: &impl Fn(u8) -> u8) -> (bool, usize) {
    let byte = fold(byte);
    let (mut at, inverted) = match pattern.get(1) {
        Some(b'^') => (2, true),
        _ => (1, false),
    };
    let mut found = false;
    loop {
        match pattern[at..] {
            [] => return (found != inverted, at),
            [b']', ..] => return (found != inverted, at + 1),
            [b'\\', literal, ..] => {
                found |= fold(literal) == byte;
                at += 2;
            }
            [first, b'-', last, ..] => {
                let (first, last) = (fold(first), fold(last));
                found |= (first.min(last)..=first.max(last)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= fold(literal) == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, fitting: &[&str], others: &[&str]) {
        for text in fitting {
            assert!(glob_match(pattern.as_bytes(), text.as_bytes()), "{pattern} against {text}");
        }
        for text in others {
            assert!(!glob_match(pattern.as_bytes(), text.as_bytes()), "{pattern} against {text}");
        }
    }

    #[test]
    fn literal_bytes_fit_themselves_only() {
        check("", &[""], &["a"]);
        check("abc", &["abc"], &["", "ab", "abcd", "ABC"]);
    }

    #[test]
    fn a_star_takes_any_run() {
        check("*", &["a", "abc"], &[""]);
        check("**", &["a"], &[""]);
        check("a*", &["a", "abc"], &["", "ba"]);
        check("*a", &["a", "bba"], &["", "ab"]);
        check("a*b*c", &["abc", "aXbYc", "abbcc"], &["ac", "acb", "ab"]);
        check("a**b", &["ab", "axb"], &["a"]);
        check("*ab", &["aab", "abab"], &["aba"]);
    }

    #[test]
    fn a_question_mark_takes_exactly_one_byte() {
        check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
        check("*?", &["a", "ab"], &[""]);
    }

    #[test]
    fn sets_know_ranges_complements_and_escapes() {
        check("h[ae]llo", &["hello", "hallo"], &["hillo", "hllo"]);
        check("h[^e]llo", &["hallo", "hbllo"], &["hello", "hllo"]);
        check("[a-c]", &["a", "b", "c"], &["d", "-"]);
        check("[c-a]", &["a", "b", "c"], &["d"]);
        check("[\\]]", &["]"], &["\\"]);
        check("[a\\-c]", &["a", "-", "c"], &["b"]);
        check("[]a", &[], &["a", "]a"]);
        check("[^]a", &["]a", "xa"], &["a", "x"]);
        check("[a-]", &["]", "a", "_"], &["-", "b"]);
    }

    #[test]
    fn an_unclosed_set_reaches_to_the_end() {
        check("a[bc", &["ab", "ac"], &["a", "ad", "abc"]);
        check("a[^", &["ax"], &["a"]);
    }

    #[test]
    fn a_backslash_takes_the_next_byte_literally() {
        check("a\\*b", &["a*b"], &["axb", "a\\b"]);
        check("a\\?", &["a?"], &["ab"]);
        check("a\\", &["a\\"], &["a"]);
        check("\\[a]", &["[a]"], &["a"]);
    }

    #[test]
    fn case_counts_unless_told_otherwise() {
        assert!(glob_match_nocase(b"RAFT.*", b"raft.id"));
        assert!(glob_match_nocase(b"[A-C]x", b"bX"));
        assert!(!glob_match_nocase(b"[^a]", b"A"));
        assert!(!glob_match(b"RAFT.*", b"raft.id"));
    }

    #[test]
    fn bytes_that_are_no_text_are_matched_too() {
        assert!(glob_match(&[0, b'*', 255], &[0, 1, 2, 255]));
        assert!(glob_match(&[b'[', 128, b'-', 255, b']'], &[200]));
    }

    /// With a retry per star this pattern would not come to an end.
    #[test]
    fn many_stars_cost_no_more_than_the_product_of_the_lengths() {
        let pattern = b"a*".repeat(30).into_iter().chain(*b"b").collect::<Vec<_>>();
        let counter = std::cell::Cell::new(0u64);
        let text = b"a".repeat(2000);
        let fits = matches(&pattern, &text, |byte| {
            counter.set(counter.get() + 1);
            byte
        });
        assert!(!fits);
        let steps = counter.get();
        assert!(steps < 4 * pattern.len() as u64 * text.len() as u64, "{steps} steps");
    }

    #[test]
    fn only_patterns_with_special_bytes_are_globs() {
        assert!(!is_glob(b"maxclients"));
        for pattern in [&b"*"[..], b"a?", b"[a]", b"\\a"] {
            assert!(is_glob(pattern));
        }
    }
}
