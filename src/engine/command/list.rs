//! The commands of lists. Those that wait live elsewhere and use [`move_element`] and
//! [`MultiPop`].

use smallvec::SmallVec;

use super::options::{is_word, negatable};
use super::waiting::deadline_of_seconds;
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::notifications::EventClasses;
use crate::engine::number::integer;
use crate::engine::types::list::{End, List};

type Result<T = ()> = std::result::Result<T, CommandError>;

/// Space for an element on its way from one list to another.
type Element = SmallVec<[u8; 128]>;

pub(super) fn parse_end(argument: &[u8]) -> Result<End> {
    match argument {
        _ if is_word(argument, "LEFT") => Ok(End::Left),
        _ if is_word(argument, "RIGHT") => Ok(End::Right),
        _ => Err(CommandError::Syntax),
    }
}

fn pushed(end: End) -> &'static str {
    match end {
        End::Left => "lpush",
        End::Right => "rpush",
    }
}

fn popped(end: End) -> &'static str {
    match end {
        End::Left => "lpop",
        End::Right => "rpop",
    }
}

/// Tells of a list from which something was taken; one that is left empty is removed.
fn notify_taken(context: &mut Context<'_>, event: &'static str, key: &[u8]) {
    context.notify(EventClasses::LIST, event, key);
    if context.keyspace.remove_if_empty::<List>(context.database, key) {
        context.notify(EventClasses::GENERIC, "del", key);
    }
}

/// A number that may not be negative; `text` is the error.
fn parse_count(argument: &[u8], minimum: usize, text: &'static str) -> Result<usize> {
    match integer(argument).map(usize::try_from) {
        Ok(Ok(count)) if count >= minimum => Ok(count),
        _ => Err(CommandError::text(text)),
    }
}

/// An index from the front, of one that counts from the back when it is negative. `None` when it
/// lies before the front; it may lie behind the back.
fn from_front(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(index).ok()
}

/// The elements from `start` to `stop` as start and count, cut to what there is.
fn clamp_range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let start = from_front(start, len).unwrap_or(0);
    match from_front(stop, len) {
        Some(stop) if start <= stop && start < len => (start, stop.min(len - 1) - start + 1),
        _ => (len, 0),
    }
}

fn push(context: &mut Context<'_>, arguments: &[&[u8]], end: End) -> Result {
    let list = context.keyspace.change_or_create::<List>(context.database, arguments[0])?;
    list.push_all(end, &arguments[1..]);
    context.reply.count(list.len());
    context.notify(EventClasses::LIST, pushed(end), arguments[0]);
    Ok(())
}

fn lpush(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    push(context, arguments, End::Left)
}

fn rpush(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    push(context, arguments, End::Right)
}

fn push_existing(context: &mut Context<'_>, arguments: &[&[u8]], end: End) -> Result {
    let Some(list) = context.keyspace.change::<List>(context.database, arguments[0])? else {
        context.reply.integer(0);
        return Ok(());
    };
    list.push_all(end, &arguments[1..]);
    context.reply.count(list.len());
    context.notify(EventClasses::LIST, pushed(end), arguments[0]);
    Ok(())
}

fn lpushx(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    push_existing(context, arguments, End::Left)
}

fn rpushx(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    push_existing(context, arguments, End::Right)
}

fn pop(context: &mut Context<'_>, arguments: &[&[u8]], end: End, name: &'static str) -> Result {
    let key = arguments[0];
    match arguments[1..] {
        [] => pop_one(context, key, end),
        [count] => {
            let count = parse_count(count, 0, "ERR value is out of range, must be positive")?;
            if !pop_count(context, key, end, count)? {
                context.reply.null_array();
            }
            Ok(())
        }
        _ => Err(CommandError::Arity(name.into())),
    }
}

fn pop_one(context: &mut Context<'_>, key: &[u8], end: End) -> Result {
    let Some(list) = context.keyspace.change::<List>(context.database, key)? else {
        context.reply.null();
        return Ok(());
    };
    context.reply.bulk(list.peek(end).expect("invariant: no empty list is kept"));
    list.discard(1, end);
    let is_empty = list.is_empty();
    context.notify(EventClasses::LIST, popped(end), key);
    if is_empty {
        context.keyspace.remove(context.database, key);
        context.notify(EventClasses::GENERIC, "del", key);
    }
    Ok(())
}

/// Takes up to `count` elements from one end and replies with an array of them; tells whether there
/// is such a list, and replies nothing when there is none.
pub(super) fn pop_count(
    context: &mut Context<'_>,
    key: &[u8],
    end: End,
    count: usize,
) -> Result<bool> {
    let Some(list) = context.keyspace.read::<List>(context.database, key)? else {
        return Ok(false);
    };
    let count = count.min(list.len());
    context.reply.array(count);
    match end {
        End::Left => list.range(0, count).for_each(|element| context.reply.bulk(element)),
        End::Right => {
            list.iter().rev().take(count).for_each(|element| context.reply.bulk(element));
        }
    }
    if count == 0 {
        return Ok(true);
    }
    if let Some(list) = context.keyspace.change::<List>(context.database, key)? {
        list.discard(count, end);
    }
    notify_taken(context, popped(end), key);
    Ok(true)
}

fn lpop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    pop(context, arguments, End::Left, "lpop")
}

fn rpop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    pop(context, arguments, End::Right, "rpop")
}

fn llen(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let list = context.keyspace.read::<List>(context.database, arguments[0])?;
    context.reply.count(list.map_or(0, List::len));
    Ok(())
}

fn lrange(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (start, stop) = (integer(arguments[1])?, integer(arguments[2])?);
    let Some(list) = context.keyspace.read::<List>(context.database, arguments[0])? else {
        context.reply.array(0);
        return Ok(());
    };
    let (start, count) = clamp_range(start, stop, list.len());
    context.reply.array(count);
    list.range(start, count).for_each(|element| context.reply.bulk(element));
    Ok(())
}

fn lindex(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let Some(list) = context.keyspace.read::<List>(context.database, arguments[0])? else {
        context.reply.null();
        return Ok(());
    };
    let index = from_front(integer(arguments[1])?, list.len());
    match index.and_then(|index| list.get(index)) {
        Some(element) => context.reply.bulk(element),
        None => context.reply.null(),
    }
    Ok(())
}

fn lset(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let Some(list) = context.keyspace.read::<List>(context.database, arguments[0])? else {
        return Err(CommandError::NoSuchKey);
    };
    let index = from_front(integer(arguments[1])?, list.len())
        .filter(|&index| index < list.len())
        .ok_or(CommandError::IndexOutOfRange)?;
    if let Some(list) = context.keyspace.change::<List>(context.database, arguments[0])? {
        list.set(index, arguments[2]);
    }
    context.notify(EventClasses::LIST, "lset", arguments[0]);
    context.reply.ok();
    Ok(())
}

fn linsert(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let [key, place, pivot, element] = *arguments else {
        return Err(CommandError::Arity("linsert".into()));
    };
    let behind = match place {
        _ if is_word(place, "BEFORE") => 0,
        _ if is_word(place, "AFTER") => 1,
        _ => return Err(CommandError::Syntax),
    };
    let Some(list) = context.keyspace.read::<List>(context.database, key)? else {
        context.reply.integer(0);
        return Ok(());
    };
    let Some(position) = list.iter().position(|other| other == pivot) else {
        context.reply.integer(-1);
        return Ok(());
    };
    if let Some(list) = context.keyspace.change::<List>(context.database, key)? {
        list.insert(position + behind, element);
        context.reply.count(list.len());
    }
    context.notify(EventClasses::LIST, "linsert", key);
    Ok(())
}

fn lrem(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let [key, count, element] = *arguments else {
        return Err(CommandError::Arity("lrem".into()));
    };
    let count = negatable(count)?;
    let list = context.keyspace.read::<List>(context.database, key)?;
    if !list.is_some_and(|list| list.iter().any(|other| other == element)) {
        context.reply.integer(0);
        return Ok(());
    }
    let (limit, from) = match count {
        0 => (usize::MAX, End::Left),
        1.. => (count as usize, End::Left),
        _ => (count.unsigned_abs() as usize, End::Right),
    };
    if let Some(list) = context.keyspace.change::<List>(context.database, key)? {
        context.reply.count(list.remove_equal(element, limit, from));
    }
    notify_taken(context, "lrem", key);
    Ok(())
}

fn ltrim(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (start, stop) = (integer(arguments[1])?, integer(arguments[2])?);
    if let Some(list) = context.keyspace.change::<List>(context.database, arguments[0])? {
        let (start, count) = clamp_range(start, stop, list.len());
        list.discard(list.len() - start - count, End::Right);
        list.discard(start, End::Left);
        notify_taken(context, "ltrim", arguments[0]);
    }
    context.reply.ok();
    Ok(())
}

/// The options of LPOS.
struct Search {
    /// The first match to report, counted from 1.
    rank: u64,
    from: End,
    /// `None`: one match, not as an array. 0: all.
    count: Option<usize>,
    /// How many elements to compare; 0: all.
    compared_max: usize,
}

impl Search {
    fn parse(options: &[&[u8]]) -> Result<Self> {
        let mut search = Self { rank: 1, from: End::Left, count: None, compared_max: 0 };
        for pair in options.chunks(2) {
            match *pair {
                [name, argument] if is_word(name, "RANK") => {
                    let rank = negatable(argument)?;
                    if rank == 0 {
                        return Err(CommandError::text(
                            "ERR RANK can't be zero: use 1 to start from the first match, 2 from \
                             the second ... or use negative to start from the end of the list",
                        ));
                    }
                    search.rank = rank.unsigned_abs();
                    search.from = if rank > 0 { End::Left } else { End::Right };
                }
                [name, argument] if is_word(name, "COUNT") => {
                    search.count = Some(parse_count(argument, 0, "ERR COUNT can't be negative")?);
                }
                [name, argument] if is_word(name, "MAXLEN") => {
                    search.compared_max = parse_count(argument, 0, "ERR MAXLEN can't be negative")?;
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(search)
    }

    /// The indices of the matches, from the front.
    fn run(&self, list: &List, element: &[u8]) -> Vec<usize> {
        let wanted = match self.count {
            None => 1,
            Some(0) => usize::MAX,
            Some(count) => count,
        };
        let compared = match self.compared_max {
            0 => list.len(),
            compared => compared.min(list.len()),
        };
        let skipped = usize::try_from(self.rank - 1).unwrap_or(usize::MAX);
        let is_match = |&(_, other): &(usize, &[u8])| other == element;
        match self.from {
            End::Left => {
                let matches = list.iter().enumerate().take(compared).filter(is_match);
                matches.skip(skipped).take(wanted).map(|(index, _)| index).collect()
            }
            End::Right => {
                let last = list.len().saturating_sub(1);
                let matches = list.iter().rev().enumerate().take(compared).filter(is_match);
                matches.skip(skipped).take(wanted).map(|(index, _)| last - index).collect()
            }
        }
    }
}

fn lpos(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let search = Search::parse(&arguments[2..])?;
    let list = context.keyspace.read::<List>(context.database, arguments[0])?;
    let found = list.map(|list| search.run(list, arguments[1])).unwrap_or_default();
    match (search.count, found.first()) {
        (Some(_), _) => {
            context.reply.array(found.len());
            found.iter().for_each(|&index| context.reply.count(index));
        }
        (None, Some(&index)) => context.reply.count(index),
        (None, None) => context.reply.null(),
    }
    Ok(())
}

/// Moves an element and replies with it; tells whether the source is a list, and replies nothing
/// when there is none.
pub(super) fn move_element(
    context: &mut Context<'_>,
    source: (&[u8], End),
    target: (&[u8], End),
) -> Result<bool> {
    let Some(list) = context.keyspace.read::<List>(context.database, source.0)? else {
        return Ok(false);
    };
    let element = list.peek(source.1).expect("invariant: no empty list is kept");
    context.keyspace.read::<List>(context.database, target.0)?;
    let element = Element::from_slice(element);
    if let Some(list) = context.keyspace.change::<List>(context.database, source.0)? {
        list.discard(1, source.1);
    }
    context.keyspace.change_or_create::<List>(context.database, target.0)?.push(target.1, &element);
    context.notify(EventClasses::LIST, pushed(target.1), target.0);
    notify_taken(context, popped(source.1), source.0);
    context.reply.bulk(&element);
    Ok(true)
}

fn lmove(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (from, to) = (parse_end(arguments[2])?, parse_end(arguments[3])?);
    if !move_element(context, (arguments[0], from), (arguments[1], to))? {
        context.reply.null();
    }
    Ok(())
}

fn rpoplpush(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    if !move_element(context, (arguments[0], End::Right), (arguments[1], End::Left))? {
        context.reply.null();
    }
    Ok(())
}

/// What LMPOP and the command that waits for it say after the number of keys.
pub(super) struct MultiPop<'a, 'b> {
    pub keys: &'a [&'b [u8]],
    pub end: End,
    pub count: usize,
}

impl<'a, 'b> MultiPop<'a, 'b> {
    /// `words` begin with the number of keys.
    pub(super) fn parse(words: &'a [&'b [u8]]) -> Result<Self> {
        let key_count = parse_count(words[0], 1, "ERR numkeys should be greater than 0")?;
        let words = &words[1..];
        if key_count >= words.len() {
            return Err(CommandError::Syntax);
        }
        let (keys, options) = words.split_at(key_count);
        let end = parse_end(options[0])?;
        let count = match options[1..] {
            [] => 1,
            [name, count, ref rest @ ..] if is_word(name, "COUNT") => {
                let count = parse_count(count, 1, "ERR count should be greater than 0")?;
                if !rest.is_empty() {
                    return Err(CommandError::Syntax);
                }
                count
            }
            _ => return Err(CommandError::Syntax),
        };
        Ok(Self { keys, end, count })
    }

    /// Pops from the first key that has a list and replies with it; tells whether there was one.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<bool> {
        for key in self.keys {
            if context.keyspace.read::<List>(context.database, key)?.is_some() {
                context.reply.array(2);
                context.reply.bulk(key);
                return pop_count(context, key, self.end, self.count);
            }
        }
        Ok(false)
    }
}

fn lmpop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    if !MultiPop::parse(arguments)?.run(context)? {
        context.reply.null_array();
    }
    Ok(())
}

/// BLPOP and BRPOP: the keys, and the time-out.
fn pop_waiting(context: &mut Context<'_>, arguments: &[&[u8]], end: End) -> Result {
    let (timeout, keys) = arguments.split_last().expect("invariant: the arity");
    let deadline_ms = deadline_of_seconds(timeout, context.now_ms)?;
    for key in keys {
        if context.keyspace.read::<List>(context.database, key)?.is_some() {
            context.reply.array(2);
            context.reply.bulk(key);
            return pop_one(context, key, end);
        }
    }
    if !context.wait_for(keys, deadline_ms, arguments)? {
        context.reply.null_array();
    }
    Ok(())
}

fn blpop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    pop_waiting(context, arguments, End::Left)
}

fn brpop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    pop_waiting(context, arguments, End::Right)
}

fn move_waiting(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    (from, to): (End, End),
    timeout: &[u8],
) -> Result {
    let deadline_ms = deadline_of_seconds(timeout, context.now_ms)?;
    let moved = move_element(context, (arguments[0], from), (arguments[1], to))?;
    if !moved && !context.wait_for(&arguments[..1], deadline_ms, arguments)? {
        context.reply.null();
    }
    Ok(())
}

fn blmove(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let ends = (parse_end(arguments[2])?, parse_end(arguments[3])?);
    move_waiting(context, arguments, ends, arguments[4])
}

fn brpoplpush(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    move_waiting(context, arguments, (End::Right, End::Left), arguments[2])
}

fn blmpop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let pop = MultiPop::parse(&arguments[1..])?;
    let deadline_ms = deadline_of_seconds(arguments[0], context.now_ms)?;
    if !pop.run(context)? && !context.wait_for(pop.keys, deadline_ms, arguments)? {
        context.reply.null_array();
    }
    Ok(())
}

const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const GROW: Flags = Flags::WRITE.union(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.union(Flags::FAST);
const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE_MOVABLE: Flags = Flags::WRITE.union(Flags::MOVABLE_KEYS);
const WAIT: Flags = Flags::WRITE.union(Flags::BLOCKING);
const WAIT_GROW: Flags = GROW.union(Flags::BLOCKING);
const WAIT_MOVABLE: Flags = WRITE_MOVABLE.union(Flags::BLOCKING);
/// All but the time-out at the end.
const KEYS_THEN_TIMEOUT: Keys = Keys { first: 1, last: -2, step: 1 };
const TWO_KEYS: Keys = Keys { first: 1, last: 2, step: 1 };

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("list", since, complexity, summary)
}

const PER_PUSHED: &str = "O(N) where N is the number of elements pushed.";
const PER_POPPED: &str = "O(N) where N is the number of elements returned.";
const PER_KEY: &str = "O(N) where N is the number of keys.";
const PER_LENGTH: &str = "O(N) where N is the length of the list.";

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("blmove", 6, WAIT_GROW, TWO_KEYS, blmove,
        docs("6.2.0", "O(1)", "Moves an element from list to list, or waits for one.")),
    CommandSpec::engine("blmpop", -5, WAIT_MOVABLE, Keys::NONE, blmpop,
        docs("7.0.0", "O(N+M) where N is the number of keys and M the number of elements returned.",
            "Takes elements from the first list that has any, or waits for some.")),
    CommandSpec::engine("blpop", -3, WAIT, KEYS_THEN_TIMEOUT, blpop,
        docs("2.0.0", PER_KEY, "Takes the first element of a list, or waits for one.")),
    CommandSpec::engine("brpop", -3, WAIT, KEYS_THEN_TIMEOUT, brpop,
        docs("2.0.0", PER_KEY, "Takes the last element of a list, or waits for one.")),
    CommandSpec::engine("brpoplpush", 4, WAIT_GROW, TWO_KEYS, brpoplpush,
        docs("2.2.0", "O(1)",
            "Moves the last element of a list to the front of another, or waits for one.")),
    CommandSpec::engine("lindex", 3, Flags::READONLY, Keys::FIRST, lindex,
        docs("1.0.0", "O(N) where N is the distance to the nearer end.",
            "Reads the element at an index.")),
    CommandSpec::engine("linsert", 5, GROW, Keys::FIRST, linsert,
        docs("2.2.0", "O(N) where N is the distance from the front.",
            "Inserts an element beside another one.")),
    CommandSpec::engine("llen", 2, READ_FAST, Keys::FIRST, llen,
        docs("1.0.0", "O(1)", "Counts the elements of a list.")),
    CommandSpec::engine("lmove", 5, GROW, TWO_KEYS, lmove,
        docs("6.2.0", "O(1)", "Moves an element from an end of a list to an end of another.")),
    CommandSpec::engine("lmpop", -4, WRITE_MOVABLE, Keys::NONE, lmpop,
        docs("7.0.0", "O(N+M) where N is the number of keys and M the number of elements returned.",
            "Takes elements from an end of the first list that has any.")),
    CommandSpec::engine("lpop", -2, WRITE_FAST, Keys::FIRST, lpop,
        docs("1.0.0", PER_POPPED, "Takes elements from the front of a list.")),
    CommandSpec::engine("lpos", -3, Flags::READONLY, Keys::FIRST, lpos,
        docs("6.0.6", PER_LENGTH, "Finds the indices of an element.")),
    CommandSpec::engine("lpush", -3, GROW_FAST, Keys::FIRST, lpush,
        docs("1.0.0", PER_PUSHED, "Puts elements at the front of a list, or makes it.")),
    CommandSpec::engine("lpushx", -3, GROW_FAST, Keys::FIRST, lpushx,
        docs("2.2.0", PER_PUSHED, "Puts elements at the front of a list that is there.")),
    CommandSpec::engine("lrange", 4, Flags::READONLY, Keys::FIRST, lrange,
        docs("1.0.0",
            "O(S+N) where S is the distance to the nearer end and N the number returned.",
            "Reads the elements between two indices.")),
    CommandSpec::engine("lrem", 4, Flags::WRITE, Keys::FIRST, lrem,
        docs("1.0.0", PER_LENGTH, "Removes elements that are equal to one.")),
    CommandSpec::engine("lset", 4, GROW, Keys::FIRST, lset,
        docs("1.0.0", "O(N) where N is the distance to the nearer end.",
            "Replaces the element at an index.")),
    CommandSpec::engine("ltrim", 4, Flags::WRITE, Keys::FIRST, ltrim,
        docs("1.0.0", "O(N) where N is the number of elements removed.",
            "Keeps only the elements between two indices.")),
    CommandSpec::engine("rpop", -2, WRITE_FAST, Keys::FIRST, rpop,
        docs("1.0.0", PER_POPPED, "Takes elements from the back of a list.")),
    CommandSpec::engine("rpoplpush", 3, GROW, TWO_KEYS, rpoplpush,
        docs("1.2.0", "O(1)", "Moves an element from the back of a list to the front of another.")),
    CommandSpec::engine("rpush", -3, GROW_FAST, Keys::FIRST, rpush,
        docs("1.0.0", PER_PUSHED, "Puts elements at the back of a list, or makes it.")),
    CommandSpec::engine("rpushx", -3, GROW_FAST, Keys::FIRST, rpushx,
        docs("2.2.0", PER_PUSHED, "Puts elements at the back of a list that is there.")),
];

#[cfg(test)]
mod tests;
