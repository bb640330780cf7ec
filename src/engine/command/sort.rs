//! SORT: elements of a list, set or sorted set by themselves or by what other keys hold.

use std::borrow::Cow;
use std::cmp::Ordering;

use memchr::memmem;

use super::options::is_word;
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::keyspace::{Deadline, Keyspace};
use crate::engine::notifications::EventClasses;
use crate::engine::number::{integer, parse_float};
use crate::engine::types::list::{End, List};
use crate::engine::value::Value;

type Result<T = ()> = std::result::Result<T, CommandError>;

type Bytes<'a> = Cow<'a, [u8]>;

/// Whether a result may go to a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Allowed,
    Unknown,
}

#[derive(Default)]
struct Options<'a> {
    by: Option<&'a [u8]>,
    /// A BY pattern names the same key for all elements: they stay in the order that they have.
    keeps_order: bool,
    limit: Option<(i64, i64)>,
    gets: Vec<&'a [u8]>,
    descends: bool,
    as_text: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    fn parse(mut words: &[&'a [u8]], stores: Store) -> Result<Self> {
        let mut options = Self::default();
        loop {
            words = match words {
                [] => return Ok(options),
                [word, rest @ ..] if is_word(word, "ASC") => {
                    options.descends = false;
                    rest
                }
                [word, rest @ ..] if is_word(word, "DESC") => {
                    options.descends = true;
                    rest
                }
                [word, rest @ ..] if is_word(word, "ALPHA") => {
                    options.as_text = true;
                    rest
                }
                [word, start, count, rest @ ..] if is_word(word, "LIMIT") => {
                    options.limit = Some((integer(start)?, integer(count)?));
                    rest
                }
                [word, key, rest @ ..] if stores == Store::Allowed && is_word(word, "STORE") => {
                    options.store = Some(key);
                    rest
                }
                [word, pattern, rest @ ..] if is_word(word, "BY") => {
                    options.by = Some(pattern);
                    options.keeps_order |= !pattern.contains(&b'*');
                    rest
                }
                [word, pattern, rest @ ..] if is_word(word, "GET") => {
                    options.gets.push(pattern);
                    rest
                }
                _ => return Err(CommandError::Syntax),
            };
        }
    }

    fn directed(&self, ordering: Ordering) -> Ordering {
        if self.descends { ordering.reverse() } else { ordering }
    }
}

/// What `pattern` leads to for an element: the element itself for `#`; else the string at the key
/// that has the element in the place of the first `*`, or the field after `->` of the hash there.
fn follow<'a>(
    keyspace: &'a Keyspace,
    database: u8,
    pattern: &[u8],
    element: &'a [u8],
) -> Option<Bytes<'a>> {
    if pattern == b"#" {
        return Some(Cow::Borrowed(element));
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (head, tail) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = memmem::find(tail, b"->").filter(|at| at + 2 < tail.len());
    let (tail, field) = match arrow {
        Some(at) => (&tail[..at], Some(&tail[at + 2..])),
        None => (tail, None),
    };
    let key = [head, element, tail].concat();
    match (keyspace.get(database, &key)?, field) {
        (Value::Hash(hash), Some(field)) => {
            hash.at_time(keyspace.clock_ms()).get(field).map(Cow::Borrowed)
        }
        (Value::String(string), None) => Some(Cow::Owned(string.to_vec())),
        _ => None,
    }
}

/// The elements in their own order, backwards if they have one and `descends`.
fn elements(value: &Value, descends: bool) -> Result<Vec<Bytes<'_>>> {
    let mut elements: Vec<_> = match value {
        Value::List(list) => list.iter().map(Cow::Borrowed).collect(),
        Value::Set(set) => {
            return Ok(set.iter().map(|member| Cow::Owned(member.to_vec())).collect());
        }
        Value::SortedSet(sorted_set) => {
            sorted_set.iter().map(|(member, _)| Cow::Borrowed(member)).collect()
        }
        _ => return Err(CommandError::WrongType),
    };
    if descends {
        elements.reverse();
    }
    Ok(elements)
}

/// A number as C's strtod takes it, which Redis calls here: nothing is 0, spaces may precede, and a
/// zero byte ends it.
fn score(text: &[u8]) -> Result<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Ok(0.0);
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    parse_float(&text[start..])
        .ok_or(CommandError::text("ERR One or more scores can't be converted into double"))
}

/// Sorts elements in place. Equal weights of text leave the order of elements as it was.
fn sort_elements(
    keyspace: &Keyspace,
    database: u8,
    elements: &mut Vec<Bytes<'_>>,
    options: &Options<'_>,
) -> Result {
    let weight = |element: &Bytes<'_>| match options.by {
        Some(pattern) => {
            follow(keyspace, database, pattern, element).map(|found| found.into_owned())
        }
        None => Some(element.to_vec()),
    };
    let unsorted = std::mem::take(elements).into_iter();
    if options.as_text {
        let mut weighed: Vec<_> = unsorted.map(|element| (weight(&element), element)).collect();
        weighed.sort_by(|a, b| options.directed(a.0.cmp(&b.0)));
        elements.extend(weighed.into_iter().map(|(_, element)| element));
        return Ok(());
    }
    let mut weighed = Vec::with_capacity(unsorted.len());
    for element in unsorted {
        let weight = weight(&element).map_or(Ok(0.0), |text| score(&text))?;
        weighed.push((weight, element));
    }
    // No score is NaN, and both zeros are equal.
    let order = |a: &(f64, Bytes<'_>), b: &(f64, Bytes<'_>)| {
        a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1))
    };
    weighed.sort_by(|a, b| options.directed(order(a, b)));
    elements.extend(weighed.into_iter().map(|(_, element)| element));
    Ok(())
}

/// What LIMIT leaves of `len` elements.
fn limited(limit: Option<(i64, i64)>, len: usize) -> std::ops::Range<usize> {
    let Some((start, count)) = limit else { return 0..len };
    let start = usize::try_from(start).unwrap_or(0).min(len);
    let count = usize::try_from(count).unwrap_or(len).min(len - start);
    start..start + count
}

/// The elements in their new order, and for each what the GET patterns lead to.
fn sorted(keyspace: &Keyspace, database: u8, key: &[u8], options: &Options<'_>) -> Result<Output> {
    let value = keyspace.get(database, key);
    let reverses = options.keeps_order && options.descends;
    let mut elements = value.map_or_else(|| Ok(Vec::new()), |value| elements(value, reverses))?;
    // Sorted as text even so: the order of a set is none, and that of a list counts.
    let is_stored_set = matches!(value, Some(Value::Set(_))) && options.store.is_some();
    if !options.keeps_order {
        sort_elements(keyspace, database, &mut elements, options)?;
    } else if is_stored_set {
        elements.sort_by(|a, b| options.directed(a.cmp(b)));
    }
    let range = limited(options.limit, elements.len());
    let mut output = Vec::with_capacity(range.len() * options.gets.len().max(1));
    for element in &elements[range] {
        if options.gets.is_empty() {
            output.push(Some(element.to_vec()));
        }
        let found = options.gets.iter().map(|pattern| follow(keyspace, database, pattern, element));
        output.extend(found.map(|found| found.map(Cow::into_owned)));
    }
    Ok(output)
}

type Output = Vec<Option<Vec<u8>>>;

fn sort(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let options = Options::parse(&arguments[1..], Store::Allowed)?;
    let output = sorted(context.keyspace, context.database, arguments[0], &options)?;
    let Some(target) = options.store else {
        reply_output(context, &output);
        return Ok(());
    };
    if output.is_empty() {
        if context.keyspace.remove(context.database, target) {
            context.notify(EventClasses::GENERIC, "del", target);
        }
    } else {
        let mut list = List::default();
        let elements = output.iter().map(|element| element.as_deref().unwrap_or_default());
        elements.for_each(|element| list.push(End::Right, element));
        let value = Value::List(Box::new(list));
        context.keyspace.store(context.database, target, value, Deadline::Clear);
        context.notify(EventClasses::LIST, "sortstore", target);
    }
    context.reply.count(output.len());
    Ok(())
}

fn sort_ro(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let options = Options::parse(&arguments[1..], Store::Unknown)?;
    let output = sorted(context.keyspace, context.database, arguments[0], &options)?;
    reply_output(context, &output);
    Ok(())
}

fn reply_output(context: &mut Context<'_>, output: &Output) {
    context.reply.array(output.len());
    for element in output {
        match element {
            Some(element) => context.reply.bulk(element),
            None => context.reply.null(),
        }
    }
}

const COST: &str = "O(N+M*log(M)) for N elements of which M are sorted.";
const GROW: Flags = Flags::of(&[Flags::WRITE, Flags::DENYOOM, Flags::MOVABLE_KEYS]);
const READ: Flags = Flags::of(&[Flags::READONLY, Flags::MOVABLE_KEYS]);

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("sort", -2, GROW, Keys::FIRST, sort,
        Docs::new("generic", "1.0.0", COST, "Sorts a list, set or sorted set, or stores it sorted.")),
    CommandSpec::engine("sort_ro", -2, READ, Keys::FIRST, sort_ro,
        Docs::new("generic", "7.0.0", COST, "Sorts a list, set or sorted set.")),
];

#[cfg(test)]
mod tests;
