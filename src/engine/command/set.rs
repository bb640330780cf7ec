//! The commands of sets.

use super::collection::{Picks, ScanOptions, parse_cursor, write_scan};
use super::options::is_word;
use super::{CommandSpec, Context, Docs, Flags, Keys};
use crate::engine::error::CommandError;
use crate::engine::keyspace::Keyspace;
use crate::engine::notifications::EventClasses;
use crate::engine::number::integer;
use crate::engine::reply::Reply;
use crate::engine::types::set::{Member, Set};
use crate::engine::value::Value;
use crate::glob::glob_match;

type Result<T = ()> = std::result::Result<T, CommandError>;

fn read<'a>(context: &'a Context<'_>, key: &[u8]) -> Result<Option<&'a Set>> {
    context.keyspace.read::<Set>(context.database, key)
}

fn sadd(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, members) = (arguments[0], &arguments[1..]);
    let set = read(context, key)?;
    // A key to which nothing is added has not changed, for WATCH.
    if set.is_some_and(|set| members.iter().all(|member| set.contains(member))) {
        context.reply.integer(0);
        return Ok(());
    }
    let set = context.keyspace.change_or_create::<Set>(context.database, key)?;
    context.reply.count(members.iter().filter(|member| set.add(member)).count());
    context.notify(EventClasses::SET, "sadd", key);
    Ok(())
}

fn srem(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, members) = (arguments[0], &arguments[1..]);
    let set = read(context, key)?;
    if !set.is_some_and(|set| members.iter().any(|member| set.contains(member))) {
        context.reply.integer(0);
        return Ok(());
    }
    let mut removed = 0;
    if let Some(set) = context.keyspace.change::<Set>(context.database, key)? {
        removed = members.iter().filter(|member| set.remove(member)).count();
    }
    notify_taken(context, "srem", key);
    context.reply.count(removed);
    Ok(())
}

/// Tells of a set from which something was taken; one that is left empty is removed.
fn notify_taken(context: &mut Context<'_>, event: &'static str, key: &[u8]) {
    context.notify(EventClasses::SET, event, key);
    if context.keyspace.remove_if_empty::<Set>(context.database, key) {
        context.notify(EventClasses::GENERIC, "del", key);
    }
}

fn scard(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let len = read(context, arguments[0])?.map_or(0, Set::len);
    context.reply.count(len);
    Ok(())
}

fn sismember(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let is_there = read(context, arguments[0])?.is_some_and(|set| set.contains(arguments[1]));
    context.reply.integer(i64::from(is_there));
    Ok(())
}

fn smismember(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let set = context.keyspace.read::<Set>(context.database, arguments[0])?;
    context.reply.array(arguments.len() - 1);
    for member in &arguments[1..] {
        context.reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn smembers(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let set = context.keyspace.read::<Set>(context.database, arguments[0])?;
    context.reply.set(set.map_or(0, Set::len));
    set.into_iter().flat_map(Set::iter).for_each(|member| context.reply.bulk(&member));
    Ok(())
}

fn smove(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let [source, target, member] = *arguments else {
        return Err(CommandError::Arity("smove".into()));
    };
    let Some(set) = read(context, source)? else {
        context.reply.integer(0);
        return Ok(());
    };
    let is_there = set.contains(member);
    read(context, target)?;
    if is_there && source != target {
        if let Some(set) = context.keyspace.change::<Set>(context.database, source)? {
            set.remove(member);
        }
        notify_taken(context, "srem", source);
        if !read(context, target)?.is_some_and(|set| set.contains(member)) {
            context.keyspace.change_or_create::<Set>(context.database, target)?.add(member);
            context.notify(EventClasses::SET, "sadd", target);
        }
    }
    context.reply.integer(i64::from(is_there));
    Ok(())
}

fn spop(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let key = arguments[0];
    match arguments[1..] {
        [] => spop_one(context, key),
        [count] => {
            let count = integer(count).ok().and_then(|count| usize::try_from(count).ok());
            spop_count(context, key, count.ok_or(CommandError::MustBePositive)?)
        }
        _ => Err(CommandError::Syntax),
    }
}

fn spop_one(context: &mut Context<'_>, key: &[u8]) -> Result {
    let Some(set) = context.keyspace.change::<Set>(context.database, key)? else {
        context.reply.null();
        return Ok(());
    };
    let index = context.random.below(set.len());
    context.reply.bulk(&set.at(index).expect("invariant: the index is below the length"));
    set.remove_at(index);
    notify_taken(context, "spop", key);
    Ok(())
}

fn spop_count(context: &mut Context<'_>, key: &[u8], count: usize) -> Result {
    let count = count.min(read(context, key)?.map_or(0, Set::len));
    context.reply.set(count);
    if count == 0 {
        return Ok(());
    }
    if let Some(set) = context.keyspace.change::<Set>(context.database, key)? {
        if count == set.len() {
            set.iter().for_each(|member| context.reply.bulk(&member));
            context.keyspace.remove(context.database, key);
            context.notify(EventClasses::SET, "spop", key);
            context.notify(EventClasses::GENERIC, "del", key);
            return Ok(());
        }
        for _ in 0..count {
            let index = context.random.below(set.len());
            context.reply.bulk(&set.at(index).expect("invariant: the index is below the length"));
            set.remove_at(index);
        }
        context.notify(EventClasses::SET, "spop", key);
    }
    Ok(())
}

fn srandmember(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let picks = match arguments[1..] {
        [] => None,
        [count] => Some(Picks::parse(count)?),
        _ => return Err(CommandError::Syntax),
    };
    let set = context.keyspace.read::<Set>(context.database, arguments[0])?;
    match (set, picks) {
        (None, None) => context.reply.null(),
        (None, Some(_)) => context.reply.array(0),
        (Some(set), None) => {
            let member = set.at(context.random.below(set.len()));
            context.reply.bulk(&member.expect("invariant: the index is below the length"));
        }
        (Some(set), Some(picks)) => {
            let indices = picks.draw(context.random, set.len());
            context.reply.array(indices.len());
            let members = indices.iter().filter_map(|&index| set.at(index));
            members.for_each(|member| context.reply.bulk(&member));
        }
    }
    Ok(())
}

fn sscan(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let cursor = parse_cursor(arguments[1])?;
    let Some(set) = context.keyspace.read::<Set>(context.database, arguments[0])? else {
        write_scan::<&[u8]>(context.reply, 0, &[]);
        return Ok(());
    };
    let options = ScanOptions::parse(&arguments[2..])?;
    let (next, members) = set.scan(cursor, options.count);
    let found: Vec<Member<'_>> = members
        .filter(|member| options.pattern.is_none_or(|pattern| glob_match(pattern, member)))
        .collect();
    write_scan(context.reply, next, &found);
    Ok(())
}

/// The sets at the keys, each `None` when there is none. All of them are looked at, so that a key
/// of another type is always an error.
fn read_sets<'a>(
    keyspace: &'a Keyspace,
    database: u8,
    keys: &[&[u8]],
) -> Result<Vec<Option<&'a Set>>> {
    keys.iter().map(|key| keyspace.read::<Set>(database, key)).collect()
}

/// Up to `limit` members that all sets have, in the order of the smallest.
fn intersection<'a>(sets: &[Option<&'a Set>], limit: usize) -> Vec<Member<'a>> {
    let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<&Set>>>() else {
        return Vec::new();
    };
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return Vec::new() };
    let is_in_all = |member: &Member<'_>| others.iter().all(|other| other.contains(member));
    smallest.iter().filter(is_in_all).take(limit).collect()
}

/// The members of the first set that no other one has.
fn difference<'a>(sets: &[Option<&'a Set>]) -> Vec<Member<'a>> {
    let Some((&Some(first), others)) = sets.split_first() else { return Vec::new() };
    let is_alone =
        |member: &Member<'_>| !others.iter().flatten().any(|other| other.contains(member));
    first.iter().filter(is_alone).collect()
}

fn union(sets: &[Option<&Set>]) -> Set {
    let mut union = Set::default();
    for member in sets.iter().flatten().flat_map(|set| set.iter()) {
        union.add(&member);
    }
    union
}

fn collect(members: &[Member<'_>]) -> Set {
    let mut set = Set::default();
    members.iter().for_each(|member| {
        set.add(member);
    });
    set
}

fn write_members(reply: &mut Reply, members: &[Member<'_>]) {
    reply.set(members.len());
    members.iter().for_each(|member| reply.bulk(member));
}

/// Puts `set` at the key, whatever was there, and replies with its size.
fn store(context: &mut Context<'_>, key: &[u8], set: Set, event: &'static str) {
    context.reply.count(set.len());
    if !set.is_empty() {
        context.keyspace.insert(context.database, key, Value::Set(Box::new(set)));
        context.notify(EventClasses::SET, event, key);
    } else if context.keyspace.remove(context.database, key) {
        context.notify(EventClasses::GENERIC, "del", key);
    }
}

fn sinter(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let sets = read_sets(context.keyspace, context.database, arguments)?;
    write_members(context.reply, &intersection(&sets, usize::MAX));
    Ok(())
}

fn sinterstore(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let set = collect(&intersection(
        &read_sets(context.keyspace, context.database, &arguments[1..])?,
        usize::MAX,
    ));
    store(context, arguments[0], set, "sinterstore");
    Ok(())
}

fn sdiff(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let sets = read_sets(context.keyspace, context.database, arguments)?;
    write_members(context.reply, &difference(&sets));
    Ok(())
}

fn sdiffstore(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let set =
        collect(&difference(&read_sets(context.keyspace, context.database, &arguments[1..])?));
    store(context, arguments[0], set, "sdiffstore");
    Ok(())
}

fn sunion(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let set = union(&read_sets(context.keyspace, context.database, arguments)?);
    context.reply.set(set.len());
    set.iter().for_each(|member| context.reply.bulk(&member));
    Ok(())
}

fn sunionstore(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let set = union(&read_sets(context.keyspace, context.database, &arguments[1..])?);
    store(context, arguments[0], set, "sunionstore");
    Ok(())
}

fn sintercard(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let key_count = match integer(arguments[0]) {
        Ok(count @ 1..) => count as usize,
        _ => return Err(CommandError::text("ERR numkeys should be greater than 0")),
    };
    if key_count > arguments.len() - 1 {
        let text = "ERR Number of keys can't be greater than number of args";
        return Err(CommandError::text(text));
    }
    let (keys, options) = arguments[1..].split_at(key_count);
    let mut limit = 0;
    for pair in options.chunks(2) {
        limit = match *pair {
            [name, argument] if is_word(name, "LIMIT") => integer(argument)
                .ok()
                .and_then(|limit| usize::try_from(limit).ok())
                .ok_or(CommandError::text("ERR LIMIT can't be negative"))?,
            _ => return Err(CommandError::Syntax),
        };
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    let count = intersection(&read_sets(context.keyspace, context.database, keys)?, limit).len();
    context.reply.count(count);
    Ok(())
}

const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const GROW: Flags = Flags::WRITE.union(Flags::DENYOOM);
const GROW_FAST: Flags = GROW.union(Flags::FAST);
const READ_MOVABLE: Flags = Flags::READONLY.union(Flags::MOVABLE_KEYS);
const TWO_KEYS: Keys = Keys { first: 1, last: 2, step: 1 };

const fn docs(since: &'static str, complexity: &'static str, summary: &'static str) -> Docs {
    Docs::new("set", since, complexity, summary)
}

const PER_MEMBER: &str = "O(N) where N is the number of members given.";
const PER_SIZE: &str = "O(N) where N is the number of members in the set.";
const PER_TOTAL: &str = "O(N) where N is the number of members of all sets together.";
const PER_RETURNED: &str = "O(N) where N is the number of members returned.";
const PER_SMALLEST: &str =
    "O(N*M) where N is the number of members of the smallest set and M the number of sets.";
const PER_CALL: &str = "O(1) for every call. O(N) for all calls of one iteration.";

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("sadd", -3, GROW_FAST, Keys::FIRST, sadd,
        docs("1.0.0", PER_MEMBER, "Adds members, and makes the set when there is none.")),
    CommandSpec::engine("scard", 2, READ_FAST, Keys::FIRST, scard,
        docs("1.0.0", "O(1)", "Counts the members.")),
    CommandSpec::engine("sdiff", -2, Flags::READONLY, Keys::ALL, sdiff,
        docs("1.0.0", PER_TOTAL, "Reads the members of a set that other sets lack.")),
    CommandSpec::engine("sdiffstore", -3, GROW, Keys::ALL, sdiffstore,
        docs("1.0.0", PER_TOTAL, "Stores the members of a set that other sets lack.")),
    CommandSpec::engine("sinter", -2, Flags::READONLY, Keys::ALL, sinter,
        docs("1.0.0", PER_SMALLEST, "Reads the members that all sets have.")),
    CommandSpec::engine("sintercard", -3, READ_MOVABLE, Keys::NONE, sintercard,
        docs("7.0.0", PER_SMALLEST, "Counts the members that all sets have.")),
    CommandSpec::engine("sinterstore", -3, GROW, Keys::ALL, sinterstore,
        docs("1.0.0", PER_SMALLEST, "Stores the members that all sets have.")),
    CommandSpec::engine("sismember", 3, READ_FAST, Keys::FIRST, sismember,
        docs("1.0.0", "O(1)", "Tells whether a member is in the set.")),
    CommandSpec::engine("smembers", 2, Flags::READONLY, Keys::FIRST, smembers,
        docs("1.0.0", PER_SIZE, "Reads all members.")),
    CommandSpec::engine("smismember", -3, READ_FAST, Keys::FIRST, smismember,
        docs("6.2.0", PER_MEMBER, "Tells of several members whether they are in the set.")),
    CommandSpec::engine("smove", 4, WRITE_FAST, TWO_KEYS, smove,
        docs("1.0.0", "O(1)", "Moves a member from one set to another.")),
    CommandSpec::engine("spop", -2, WRITE_FAST, Keys::FIRST, spop,
        docs("1.0.0", PER_RETURNED, "Takes members away at random.")),
    CommandSpec::engine("srandmember", -2, Flags::READONLY, Keys::FIRST, srandmember,
        docs("1.0.0", PER_RETURNED, "Picks members at random.")),
    CommandSpec::engine("srem", -3, WRITE_FAST, Keys::FIRST, srem,
        docs("1.0.0", PER_MEMBER, "Removes members, and the set with the last one.")),
    CommandSpec::engine("sscan", -3, Flags::READONLY, Keys::FIRST, sscan,
        docs("2.8.0", PER_CALL, "Reads a set part by part.")),
    CommandSpec::engine("sunion", -2, Flags::READONLY, Keys::ALL, sunion,
        docs("1.0.0", PER_TOTAL, "Reads the members of all sets together.")),
    CommandSpec::engine("sunionstore", -3, GROW, Keys::ALL, sunionstore,
        docs("1.0.0", PER_TOTAL, "Stores the members of all sets together.")),
];

#[cfg(test)]
mod tests;
