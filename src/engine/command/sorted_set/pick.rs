//! Commands that take members out by rank, at random, or one page at a time.

use std::borrow::Cow;

use super::super::Context;
use super::super::collection::{Picks, ScanOptions, parse_cursor, write_scan};
use super::super::options::is_word;
use super::super::waiting::deadline_of_seconds;
use super::range::{Scores, write_members};
use super::taken;
use crate::engine::error::CommandError;
use crate::engine::number::{format_double, parse_integer};
use crate::engine::reply::Protocol;
use crate::engine::types::sorted_set::SortedSet;
use crate::glob::glob_match;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

/// How popped members are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Flat,
    Pairs,
    /// As [`Layout::Flat`], in an array that is begun already.
    Bare,
}

pub(super) fn zpopmin(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    pop_command(context, arguments, End::Min)
}

pub(super) fn zpopmax(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    pop_command(context, arguments, End::Max)
}

fn pop_command(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    end: End,
) -> Result<(), CommandError> {
    let (count, layout) = match &arguments[1..] {
        [] => (1, Layout::Flat),
        [count] => {
            let count = parse_integer(count).and_then(|count| usize::try_from(count).ok());
            let layout = match context.reply.protocol {
                Protocol::Resp2 => Layout::Flat,
                Protocol::Resp3 => Layout::Pairs,
            };
            (count.ok_or(CommandError::MustBePositive)?, layout)
        }
        _ => return Err(CommandError::Syntax),
    };
    let key = arguments[0];
    if context.keyspace.read::<SortedSet>(context.database, key)?.is_none() || count == 0 {
        context.reply.array(0);
        return Ok(());
    }
    pop(context, key, end, count, layout)
}

/// Precondition: the key holds a sorted set.
fn pop(
    context: &mut Context<'_>,
    key: &[u8],
    end: End,
    count: usize,
    layout: Layout,
) -> Result<(), CommandError> {
    let set = context
        .keyspace
        .change_quietly::<SortedSet>(context.database, key)?
        .expect("invariant: the caller has seen the set");
    let count = count.min(set.len());
    let ranks = match end {
        End::Min => 0..count,
        End::Max => set.len() - count..set.len(),
    };
    match layout {
        Layout::Flat => context.reply.array(count * 2),
        Layout::Pairs => context.reply.array(count),
        Layout::Bare => {}
    }
    let mut write = |(member, score): (&[u8], f64)| {
        if layout == Layout::Pairs {
            context.reply.array(2);
        }
        context.reply.bulk(member);
        context.reply.double(score);
    };
    match end {
        End::Min => set.range(ranks.clone()).for_each(&mut write),
        End::Max => set.range(ranks.clone()).rev().for_each(&mut write),
    }
    let is_empty = count == set.len();
    set.remove_range(ranks);
    let event = match end {
        End::Min => "zpopmin",
        End::Max => "zpopmax",
    };
    taken(context, event, key, is_empty);
    Ok(())
}

/// What ZMPOP and the command that waits for it say.
struct MultiPop<'a, 'b> {
    keys: &'a [&'b [u8]],
    end: End,
    count: usize,
}

impl<'a, 'b> MultiPop<'a, 'b> {
    /// `words` begin with the number of keys.
    fn parse(words: &'a [&'b [u8]]) -> Result<Self, CommandError> {
        let positive = |text: &[u8], error: &'static str| {
            parse_integer(text)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|&number| number > 0)
                .ok_or(CommandError::text(error))
        };
        let key_count = positive(words[0], "ERR numkeys should be greater than 0")?;
        let words = &words[1..];
        if key_count >= words.len() {
            return Err(CommandError::Syntax);
        }
        let (keys, words) = words.split_at(key_count);
        let end = match words[0].to_ascii_lowercase().as_slice() {
            b"min" => End::Min,
            b"max" => End::Max,
            _ => return Err(CommandError::Syntax),
        };
        let count = match &words[1..] {
            [] => 1,
            [word, count, rest @ ..] if word.eq_ignore_ascii_case(b"count") => {
                let count = positive(count, "ERR count should be greater than 0")?;
                if !rest.is_empty() {
                    return Err(CommandError::Syntax);
                }
                count
            }
            _ => return Err(CommandError::Syntax),
        };
        Ok(Self { keys, end, count })
    }

    /// Pops from the first key that has a sorted set and replies with it; tells whether there was
    /// one.
    fn run(&self, context: &mut Context<'_>) -> Result<bool, CommandError> {
        for key in self.keys {
            if context.keyspace.read::<SortedSet>(context.database, key)?.is_some() {
                context.reply.array(2);
                context.reply.bulk(key);
                pop(context, key, self.end, self.count, Layout::Pairs)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

pub(super) fn zmpop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    if !MultiPop::parse(arguments)?.run(context)? {
        context.reply.null_array();
    }
    Ok(())
}

pub(super) fn bzmpop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let pop = MultiPop::parse(&arguments[1..])?;
    let deadline_ms = deadline_of_seconds(arguments[0], context.now_ms)?;
    if !pop.run(context)? && !context.wait_for(pop.keys, deadline_ms, arguments)? {
        context.reply.null_array();
    }
    Ok(())
}

pub(super) fn bzpopmin(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    pop_waiting(context, arguments, End::Min)
}

pub(super) fn bzpopmax(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    pop_waiting(context, arguments, End::Max)
}

/// `arguments` are the keys and the time-out.
fn pop_waiting(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    end: End,
) -> Result<(), CommandError> {
    let (timeout, keys) = arguments.split_last().expect("invariant: the arity");
    let deadline_ms = deadline_of_seconds(timeout, context.now_ms)?;
    for key in keys {
        if context.keyspace.read::<SortedSet>(context.database, key)?.is_some() {
            context.reply.array(3);
            context.reply.bulk(key);
            return pop(context, key, end, 1, Layout::Bare);
        }
    }
    if !context.wait_for(keys, deadline_ms, arguments)? {
        context.reply.null_array();
    }
    Ok(())
}

pub(super) fn zrandmember(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
) -> Result<(), CommandError> {
    let key = arguments[0];
    let Some(count) = arguments.get(1) else {
        match context.keyspace.read::<SortedSet>(context.database, key)? {
            Some(set) => context.reply.bulk(set.at(context.random.below(set.len())).0),
            None => context.reply.null(),
        }
        return Ok(());
    };
    let mut picks = Picks::parse(count)?;
    let scores = match &arguments[2..] {
        [] => Scores::Hidden,
        [word] if is_word(word, "WITHSCORES") => {
            picks = Picks::parse_pairs(count)?;
            Scores::Shown
        }
        _ => return Err(CommandError::Syntax),
    };
    let Some(set) = context.keyspace.read::<SortedSet>(context.database, key)? else {
        context.reply.array(0);
        return Ok(());
    };
    let positions = picks.draw(context.random, set.len());
    if positions.len() >= set.len() {
        // To walk to each of them would cost more than to list all.
        let entries: Vec<_> = set.entries().collect();
        let picked = positions.into_iter().map(|position| entries[position]);
        write_members(context.reply, picked, scores);
    } else {
        let picked = positions.into_iter().map(|position| set.at(position));
        write_members(context.reply, picked, scores);
    }
    Ok(())
}

pub(super) fn zscan(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let cursor = parse_cursor(arguments[1])?;
    let Some(set) = context.keyspace.read::<SortedSet>(context.database, arguments[0])? else {
        write_scan::<&[u8]>(context.reply, 0, &[]);
        return Ok(());
    };
    let options = ScanOptions::parse(&arguments[2..])?;
    let mut found: Vec<Cow<'_, [u8]>> = Vec::new();
    let next = set.scan(cursor, options.count, |member, score| {
        if options.pattern.is_none_or(|pattern| glob_match(pattern, member)) {
            // The scores of a scan are strings for RESP3 too.
            let mut text = Vec::new();
            format_double(&mut text, score);
            found.extend([Cow::Borrowed(member), Cow::Owned(text)]);
        }
    });
    write_scan(context.reply, next, &found);
    Ok(())
}
