//! The commands of sorted sets.
//!
//! Arguments are checked in Redis's order, which decides what error a client sees: the words of the
//! command first, then the type of the key.

mod combine;
mod pick;
mod range;
mod table;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

use super::Context;
use crate::engine::error::CommandError;
use crate::engine::notifications::EventClasses;
use crate::engine::number::float;
use crate::engine::types::sorted_set::SortedSet;

pub use range::store;
pub use table::COMMANDS;

const NOT_A_NUMBER: CommandError = CommandError::text("ERR resulting score is not a number (NaN)");

/// The options of ZADD.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddOptions {
    pub absent_only: bool,
    pub present_only: bool,
    greater_only: bool,
    less_only: bool,
    pub count_changes: bool,
    increment: bool,
}

/// What came of one member.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Added {
    New(f64),
    Changed(f64),
    Same(f64),
    /// The options forbade it.
    Refused,
}

fn zadd(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    add(context, arguments, AddOptions::default())
}

fn zincrby(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    add(context, arguments, AddOptions { increment: true, ..AddOptions::default() })
}

fn add(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    options: AddOptions,
) -> Result<(), CommandError> {
    let (key, words) = (arguments[0], &arguments[1..]);
    let (options, pairs) = options.parse(words)?;
    let scores = pairs
        .chunks_exact(2)
        .map(|pair| float(pair[0]))
        .collect::<Result<SmallVec<[f64; 4]>, _>>()?;
    let members = pairs.chunks_exact(2).map(|pair| pair[1]);
    add_scored(context, key, options, members.zip(scores))
}

/// Adds members whose scores are known. Precondition: there is at least one.
pub fn add_scored<'a>(
    context: &mut Context<'_>,
    key: &[u8],
    options: AddOptions,
    mut members: impl Iterator<Item = (&'a [u8], f64)>,
) -> Result<(), CommandError> {
    let set = if options.present_only {
        context.keyspace.change_quietly::<SortedSet>(context.database, key)?
    } else {
        Some(context.keyspace.change_or_create_quietly::<SortedSet>(context.database, key)?)
    };
    let Some(set) = set else {
        if options.increment {
            context.reply.null()
        } else {
            context.reply.integer(0)
        }
        return Ok(());
    };
    if options.increment {
        let (member, score) = members.next().expect("invariant: there is a member");
        match options.apply(set, member, score)? {
            Added::New(score) | Added::Changed(score) => {
                context.keyspace.tell(context.database, key);
                context.notify(EventClasses::SORTED_SET, "zincr", key);
                context.reply.double(score);
            }
            Added::Same(score) => context.reply.double(score),
            Added::Refused => context.reply.null(),
        }
        return Ok(());
    }
    let (mut new, mut changed) = (0, 0);
    for (member, score) in members {
        match options.apply(set, member, score)? {
            Added::New(_) => new += 1,
            Added::Changed(_) => changed += 1,
            Added::Same(_) | Added::Refused => {}
        }
    }
    if new + changed > 0 {
        context.keyspace.tell(context.database, key);
        context.notify(EventClasses::SORTED_SET, "zadd", key);
    }
    context.reply.count(if options.count_changes { new + changed } else { new });
    Ok(())
}

impl AddOptions {
    /// The options, and the pairs of score and member that follow them.
    fn parse<'a, 'b>(
        mut self,
        words: &'a [&'b [u8]],
    ) -> Result<(Self, &'a [&'b [u8]]), CommandError> {
        let mut pairs = words;
        while let Some((word, rest)) = pairs.split_first() {
            let option = match word.to_ascii_lowercase().as_slice() {
                b"nx" => &mut self.absent_only,
                b"xx" => &mut self.present_only,
                b"gt" => &mut self.greater_only,
                b"lt" => &mut self.less_only,
                b"ch" => &mut self.count_changes,
                b"incr" => &mut self.increment,
                _ => break,
            };
            *option = true;
            pairs = rest;
        }
        if pairs.is_empty() || pairs.len() % 2 == 1 {
            return Err(CommandError::Syntax);
        }
        if self.absent_only && self.present_only {
            return Err(CommandError::text(
                "ERR XX and NX options at the same time are not compatible",
            ));
        }
        let exclusive = [self.absent_only, self.greater_only, self.less_only];
        if exclusive.into_iter().filter(|&given| given).count() > 1 {
            return Err(CommandError::text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increment && pairs.len() > 2 {
            return Err(CommandError::text(
                "ERR INCR option supports a single increment-element pair",
            ));
        }
        Ok((self, pairs))
    }

    fn is_plain(&self) -> bool {
        let conditional = self.absent_only || self.present_only;
        !(conditional || self.greater_only || self.less_only || self.increment)
    }

    fn apply(&self, set: &mut SortedSet, member: &[u8], given: f64) -> Result<Added, CommandError> {
        if self.is_plain() {
            return Ok(match set.insert(member, given) {
                None => Added::New(given),
                Some(old) if old == given => Added::Same(given),
                Some(_) => Added::Changed(given),
            });
        }
        let Some(old) = set.score(member) else {
            if self.present_only {
                return Ok(Added::Refused);
            }
            set.insert(member, given);
            return Ok(Added::New(given));
        };
        if self.absent_only {
            return Ok(Added::Refused);
        }
        let score = if self.increment { old + given } else { given };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        if (self.less_only && score >= old) || (self.greater_only && score <= old) {
            return Ok(Added::Refused);
        }
        if score == old {
            return Ok(Added::Same(score));
        }
        set.insert(member, score);
        Ok(Added::Changed(score))
    }
}

fn zrem(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let (key, members) = (arguments[0], &arguments[1..]);
    let Some(set) = context.keyspace.change_quietly::<SortedSet>(context.database, key)? else {
        context.reply.integer(0);
        return Ok(());
    };
    let removed = members.iter().filter(|member| set.remove(member).is_some()).count();
    let is_empty = set.is_empty();
    if removed > 0 {
        taken(context, "zrem", key, is_empty);
    }
    context.reply.count(removed);
    Ok(())
}

/// Tells of a set from which something was taken, and removes it if it is to be empty.
fn taken(context: &mut Context<'_>, event: &'static str, key: &[u8], is_empty: bool) {
    context.notify(EventClasses::SORTED_SET, event, key);
    if is_empty {
        context.keyspace.remove(context.database, key);
        context.notify(EventClasses::GENERIC, "del", key);
    } else {
        context.keyspace.tell(context.database, key);
    }
}

fn zcard(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let set = context.keyspace.read::<SortedSet>(context.database, arguments[0])?;
    context.reply.count(set.map_or(0, SortedSet::len));
    Ok(())
}

fn zscore(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let set = context.keyspace.read::<SortedSet>(context.database, arguments[0])?;
    match set.and_then(|set| set.score(arguments[1])) {
        Some(score) => context.reply.double(score),
        None => context.reply.null(),
    }
    Ok(())
}

fn zmscore(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let (key, members) = (arguments[0], &arguments[1..]);
    let set = context.keyspace.read::<SortedSet>(context.database, key)?;
    context.reply.array(members.len());
    for member in members {
        match set.and_then(|set| set.score(member)) {
            Some(score) => context.reply.double(score),
            None => context.reply.null(),
        }
    }
    Ok(())
}

fn zrank(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    rank(context, arguments, "zrank", |_, rank| rank)
}

fn zrevrank(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    rank(context, arguments, "zrevrank", |len, rank| len - 1 - rank)
}

fn rank(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    command: &'static str,
    told: fn(usize, usize) -> usize,
) -> Result<(), CommandError> {
    let with_score = match &arguments[2..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"withscore") => true,
        [_] => return Err(CommandError::Syntax),
        _ => return Err(CommandError::Arity(command.into())),
    };
    let set = context.keyspace.read::<SortedSet>(context.database, arguments[0])?;
    let member = arguments[1];
    let found = set.and_then(|set| {
        let rank = told(set.len(), set.rank(member)?);
        Some((rank, set.score(member)?))
    });
    match found {
        Some((rank, score)) if with_score => {
            context.reply.array(2);
            context.reply.count(rank);
            context.reply.double(score);
        }
        Some((rank, _)) => context.reply.count(rank),
        None if with_score => context.reply.null_array(),
        None => context.reply.null(),
    }
    Ok(())
}
