//! What it costs to match a pattern of Lua.
//!
//! The matcher of Lua is C code, whose steps nobody counts, and a short pattern can take longer
//! than all nodes have. So a search is first done here, by the same rules, to count its steps
//! (<https://www.lua.org/manual/5.1/manual.html#5.4.1>); Lua's own does it again for the result.
//! What is wrong with a pattern ends the count, since Lua's own comes no further.

use mlua::Lua;

use super::super::charge;

/// Steps cost about as much time as an instruction of the VM each.
const CHARGED_AT_ONCE: u64 = 4096;

/// Lua has no more captures.
const CAPTURES_MAX: usize = 32;

/// So deep a match may nest, as in later versions of Lua: its own of 5.1 takes all of the stack.
const DEPTH_MAX: usize = 200;

/// The length of the capture of a position.
const POSITION: usize = usize::MAX;

/// How often a pattern is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// `string.find` and `string.match`: until it is found.
    Once,
    /// `string.gsub`: so often.
    Times(u64),
    /// `string.gmatch`, for which `^` is no anchor.
    All,
}

const ESCAPE: u8 = b'%';

/// Why a match is not gone on with.
enum End {
    /// The pattern cannot be matched any further.
    Malformed,
    /// The script is over, or the pattern is more than Lua can match.
    Stopped(mlua::Error),
}

#[derive(Debug, thiserror::Error)]
#[error("pattern too complex")]
struct TooComplex;

type Found = Result<Option<usize>, End>;

struct Matcher<'a> {
    lua: &'a Lua,
    subject: &'a [u8],
    pattern: &'a [u8],
    /// Start and length of each; no length while it is open.
    captures: Vec<(usize, Option<usize>)>,
    unpaid: u64,
    depth: usize,
}

/// Pays for the search from `start` on.
///
/// # Errors
///
/// Those of [`charge`], and that the pattern is too complex.
pub fn weigh(
    lua: &Lua,
    subject: &[u8],
    pattern: &[u8],
    start: usize,
    search: Search,
) -> mlua::Result<()> {
    // The matcher of Lua ends there.
    let pattern = pattern.split(|byte| *byte == 0).next().unwrap_or_default();
    let anchored = pattern.strip_prefix(b"^").filter(|_| search != Search::All);
    let (is_anchored, pattern) = (anchored.is_some(), anchored.unwrap_or(pattern));
    let captures = Vec::new();
    let mut matcher = Matcher { lua, subject, pattern, captures, unpaid: 0, depth: 0 };
    let mut left = match search {
        Search::Once => 1,
        Search::Times(times) => times,
        Search::All => u64::MAX,
    };
    let mut at = start;
    while at <= subject.len() && left > 0 {
        let (start, end) = match matcher.first(at, is_anchored) {
            Ok(Some(found)) => found,
            Ok(None) | Err(End::Malformed) => break,
            Err(End::Stopped(error)) => return Err(error),
        };
        at = if end > start { end } else { start + 1 };
        left -= 1;
        if is_anchored {
            break;
        }
    }
    charge(lua, matcher.unpaid)
}

impl Matcher<'_> {
    fn step(&mut self, steps: u64) -> Result<(), End> {
        self.unpaid += steps;
        if self.unpaid < CHARGED_AT_ONCE {
            return Ok(());
        }
        charge(self.lua, std::mem::take(&mut self.unpaid)).map_err(End::Stopped)
    }

    /// The first match from `at` on, or at it.
    fn first(&mut self, at: usize, is_anchored: bool) -> Result<Option<(usize, usize)>, End> {
        let last = if is_anchored { at } else { self.subject.len() };
        for start in at..=last {
            self.captures.clear();
            if let Some(end) = self.matches(start, 0)? {
                return Ok(Some((start, end)));
            }
        }
        Ok(None)
    }

    /// The end of the match of the rest of the pattern, from `item` on, at `at`.
    fn matches(&mut self, at: usize, item: usize) -> Found {
        if self.depth == DEPTH_MAX {
            return Err(End::Stopped(mlua::Error::external(TooComplex)));
        }
        self.depth += 1;
        let found = self.matches_here(at, item);
        self.depth -= 1;
        found
    }

    fn matches_here(&mut self, mut at: usize, mut item: usize) -> Found {
        loop {
            self.step(1)?;
            let Some(first) = self.pattern.get(item) else { return Ok(Some(at)) };
            match (first, self.pattern.get(item + 1)) {
                (b'(', _) => return self.opens(at, item + 1),
                (b')', _) => return self.closes(at, item + 1),
                (b'$', None) => return Ok((at == self.subject.len()).then_some(at)),
                (&ESCAPE, Some(b'b')) => {
                    let Some(end) = self.balanced(at, item + 2)? else { return Ok(None) };
                    (at, item) = (end, item + 4);
                    continue;
                }
                (&ESCAPE, Some(b'f')) => {
                    let Some(end) = self.frontier(at, item + 2)? else { return Ok(None) };
                    item = end;
                    continue;
                }
                (&ESCAPE, Some(digit)) if digit.is_ascii_digit() => {
                    let Some(end) = self.again(at, *digit)? else { return Ok(None) };
                    (at, item) = (end, item + 2);
                    continue;
                }
                _ => {}
            }
            let end = self.class_end(item)?;
            match self.pattern.get(end) {
                Some(b'?') => {
                    if self.is_one(at, item, end)?
                        && let Some(found) = self.matches(at + 1, end + 1)?
                    {
                        return Ok(Some(found));
                    }
                    item = end + 1;
                }
                Some(b'*') => return self.most(at, item, end, 0),
                Some(b'+') => return self.most(at, item, end, 1),
                Some(b'-') => return self.fewest(at, item, end),
                _ if self.is_one(at, item, end)? => (at, item) = (at + 1, end),
                _ => return Ok(None),
            }
        }
    }

    fn opens(&mut self, at: usize, item: usize) -> Found {
        if self.captures.len() == CAPTURES_MAX {
            return Err(End::Malformed);
        }
        let is_position = self.pattern.get(item) == Some(&b')');
        self.captures.push((at, is_position.then_some(POSITION)));
        let found = self.matches(at, item + usize::from(is_position))?;
        if found.is_none() {
            self.captures.pop();
        }
        Ok(found)
    }

    fn closes(&mut self, at: usize, item: usize) -> Found {
        let open = self.captures.iter().rposition(|(_, len)| len.is_none());
        let open = open.ok_or(End::Malformed)?;
        self.captures[open].1 = Some(at - self.captures[open].0);
        let found = self.matches(at, item)?;
        if found.is_none() {
            self.captures[open].1 = None;
        }
        Ok(found)
    }

    /// What was captured before, once more.
    fn again(&mut self, at: usize, digit: u8) -> Found {
        let number = usize::from(digit - b'0').checked_sub(1);
        let capture = number.and_then(|number| self.captures.get(number));
        let Some((start, Some(len))) = capture.copied() else { return Err(End::Malformed) };
        let end = at.checked_add(len).filter(|end| *end <= self.subject.len());
        let Some(end) = end else { return Ok(None) };
        self.step(len as u64 / 16)?;
        Ok((self.subject[at..end] == self.subject[start..start + len]).then_some(end))
    }

    /// Where the set of a frontier ends, if there is one here.
    fn frontier(&mut self, at: usize, set: usize) -> Found {
        if self.pattern.get(set) != Some(&b'[') {
            return Err(End::Malformed);
        }
        let end = self.class_end(set)?;
        self.step((end - set) as u64)?;
        let before = at.checked_sub(1).map_or(0, |last| self.subject[last]);
        let here = self.subject.get(at).copied().unwrap_or(0);
        let is_here = !self.set_has(set, end - 1, before) && self.set_has(set, end - 1, here);
        Ok(is_here.then_some(end))
    }

    fn most(&mut self, at: usize, item: usize, end: usize, least: usize) -> Found {
        let mut count = 0;
        while self.is_one(at + count, item, end)? {
            count += 1;
        }
        loop {
            if count < least {
                return Ok(None);
            }
            if let Some(found) = self.matches(at + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn fewest(&mut self, mut at: usize, item: usize, end: usize) -> Found {
        loop {
            if let Some(found) = self.matches(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.is_one(at, item, end)? {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn balanced(&mut self, at: usize, item: usize) -> Found {
        let [open, close] = *self.pattern.get(item..item + 2).ok_or(End::Malformed)? else {
            return Err(End::Malformed);
        };
        if self.subject.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for place in at + 1..self.subject.len() {
            self.step(1)?;
            let byte = self.subject[place];
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(place + 1));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// Where the item that begins at `item` ends.
    fn class_end(&mut self, item: usize) -> Result<usize, End> {
        let byte = |at: usize| self.pattern.get(at).copied().ok_or(End::Malformed);
        match byte(item)? {
            ESCAPE => byte(item + 1).map(|_| item + 2),
            b'[' => {
                let mut at = item + 1;
                if byte(at)? == b'^' {
                    at += 1;
                }
                // The first one does not close it.
                loop {
                    let each = byte(at)?;
                    at += if each == ESCAPE { 2 } else { 1 };
                    if byte(at)? == b']' {
                        break;
                    }
                }
                let len = (at - item) as u64;
                self.step(len / 4)?;
                Ok(at + 1)
            }
            _ => Ok(item + 1),
        }
    }

    /// Whether the byte at `at` is one of the item.
    fn is_one(&mut self, at: usize, item: usize, end: usize) -> Result<bool, End> {
        self.step(1)?;
        let Some(byte) = self.subject.get(at).copied() else { return Ok(false) };
        Ok(match self.pattern[item] {
            b'.' => true,
            ESCAPE => is_of_class(byte, self.pattern[item + 1]),
            b'[' => {
                self.step((end - item) as u64 / 2)?;
                self.set_has(item, end - 1, byte)
            }
            literal => literal == byte,
        })
    }

    /// Whether the set between these brackets has the byte.
    fn set_has(&self, open: usize, close: usize, byte: u8) -> bool {
        let pattern = self.pattern;
        let is_negated = pattern[open + 1] == b'^';
        let mut at = open + 1 + usize::from(is_negated);
        while at < close {
            if pattern[at] == ESCAPE {
                at += 1;
                if is_of_class(byte, pattern[at]) {
                    return !is_negated;
                }
                at += 1;
            } else if pattern[at + 1] == b'-' && at + 2 < close {
                if (pattern[at]..=pattern[at + 2]).contains(&byte) {
                    return !is_negated;
                }
                at += 3;
            } else {
                if pattern[at] == byte {
                    return !is_negated;
                }
                at += 1;
            }
        }
        is_negated
    }
}

/// Whether the class of this letter has the byte; any other character stands for itself.
fn is_of_class(byte: u8, class: u8) -> bool {
    let is_of = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is_of != class.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Lua's own finds: from 0, behind the end; no error is told from another.
    fn found_by_lua(
        lua: &Lua,
        subject: &[u8],
        pattern: &[u8],
    ) -> Result<Option<(usize, usize)>, ()> {
        let find: mlua::Function = lua.load("return string.find").eval().unwrap();
        let words = (lua.create_string(subject).unwrap(), lua.create_string(pattern).unwrap(), 1);
        let found: mlua::Result<mlua::MultiValue> = find.call(words);
        let found = found.map_err(drop)?;
        let number = |at: usize| found.get(at).and_then(mlua::Value::as_usize);
        Ok(number(0).map(|start| (start - 1, number(1).unwrap())))
    }

    fn found_here(lua: &Lua, subject: &[u8], pattern: &[u8]) -> Result<Option<(usize, usize)>, ()> {
        let (is_anchored, pattern) = match pattern.strip_prefix(b"^") {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        let captures = Vec::new();
        let mut matcher = Matcher { lua, subject, pattern, captures, unpaid: 0, depth: 0 };
        matcher.first(0, is_anchored).map_err(drop)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn steps_are_those_of_lua(
            subject in "[ab1( )]{0,12}",
            pattern in "\\^?([ab1.]|%[abdswDWf1.)]|\\[\\^?[ab%d-]{1,3}\\]|[()*+?$-]|%b\\(\\)|\
                        %f\\[%w\\]){0,7}\\$?",
        ) {
            let lua = Lua::new();
            // A pattern without any of these is a plain text for `string.find`.
            prop_assume!(pattern.contains(['^', '$', '*', '+', '?', '.', '(', '[', '%', '-']));
            let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
            // Lua tells that a capture is not closed when it has found the rest.
            let theirs = found_by_lua(&lua, subject, pattern);
            let ours = found_here(&lua, subject, pattern);
            prop_assert!(ours == theirs || (ours.is_ok() && theirs.is_err()));
        }
    }
}
