//! XCLAIM and XAUTOCLAIM: what is pending for one consumer becomes pending for another.

use super::{Result, millis_since, no_group, parse_id, parse_start, write_entry, write_id};
use crate::engine::command::Context;
use crate::engine::command::options::is_word;
use crate::engine::error::CommandError;
use crate::engine::notifications::EventClasses;
use crate::engine::number::integer;
use crate::engine::reply::Reply;
use crate::engine::types::stream::{Delivery, Entry, Name, Stream, StreamId};
use crate::raft::types::Millis;

/// How XCLAIM claims.
struct Options<'a, 'b> {
    min_idle_ms: i64,
    ids: &'a [&'b [u8]],
    /// When the entries count as delivered; `None`: now.
    at_ms: Option<i64>,
    /// How often they count as delivered.
    retry_count: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl<'a, 'b> Options<'a, 'b> {
    /// `words` begin with the time for which entries must have been idle.
    fn parse(words: &'a [&'b [u8]], now_ms: Millis) -> Result<Self> {
        let min_idle_ms = number(words[0], "ERR Invalid min-idle-time argument for XCLAIM")?;
        let words = &words[1..];
        let id_count = words.iter().take_while(|word| parse_id(word, 0).is_ok()).count();
        let (ids, mut rest) = words.split_at(id_count);
        let mut options = Self {
            min_idle_ms,
            ids,
            at_ms: None,
            retry_count: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        while let Some((word, tail)) = rest.split_first() {
            rest = tail;
            if is_word(word, "FORCE") {
                options.force = true;
            } else if is_word(word, "JUSTID") {
                options.just_id = true;
            } else if let Some((value, tail)) = tail.split_first() {
                options.set(word, value, now_ms)?;
                rest = tail;
            } else {
                return Err(unrecognized(word));
            }
        }
        Ok(options)
    }

    /// An option that has a value.
    fn set(&mut self, word: &[u8], value: &[u8], now_ms: Millis) -> Result {
        if is_word(word, "IDLE") {
            let idle = number(value, "ERR Invalid IDLE option argument for XCLAIM")?;
            self.at_ms = Some((now_ms as i64).saturating_sub(idle));
        } else if is_word(word, "TIME") {
            self.at_ms = Some(number(value, "ERR Invalid TIME option argument for XCLAIM")?);
        } else if is_word(word, "RETRYCOUNT") {
            let count = number(value, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
            self.retry_count = u64::try_from(count).ok();
        } else if is_word(word, "LASTID") {
            self.last_id = parse_id(value, 0)?;
        } else {
            return Err(unrecognized(word));
        }
        Ok(())
    }

    /// Clients may reckon a time by a clock of their own: one that cannot be means now.
    fn delivered_ms(&self, now_ms: Millis) -> Millis {
        let at_ms = self.at_ms.and_then(|at_ms| Millis::try_from(at_ms).ok());
        at_ms.filter(|at_ms| *at_ms <= now_ms).unwrap_or(now_ms)
    }
}

/// An integer, with an error of its own.
fn number(word: &[u8], error: &'static str) -> Result<i64> {
    integer(word).map_err(|_| CommandError::text(error))
}

fn unrecognized(word: &[u8]) -> CommandError {
    let text = format!("ERR Unrecognized XCLAIM option '{}'", String::from_utf8_lossy(word));
    CommandError::Text(text.into())
}

fn is_idle(delivery: &Delivery, min_idle_ms: i64, now_ms: Millis) -> bool {
    millis_since(delivery.at_ms, now_ms) >= min_idle_ms
}

fn write_claimed(reply: &mut Reply, entry: &Entry<'_>, just_id: bool) {
    if just_id {
        write_id(reply, entry.id);
    } else {
        write_entry(reply, entry);
    }
}

pub(super) fn xclaim(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, name, now_ms) = (arguments[0], arguments[1], context.now_ms);
    let stream = context.keyspace.change_quietly::<Stream>(context.database, key)?;
    let found = stream.and_then(|Stream { log, groups }| Some((log, groups.get_mut(name)?)));
    let Some((log, group)) = found else {
        context.keyspace.peek_or_miss(context.database, key);
        return Err(no_group(key, name, ""));
    };
    let options = Options::parse(&arguments[3..], now_ms)?;
    group.skip_to(options.last_id);
    let (consumer, is_new) = group.see_consumer(arguments[2], now_ms);
    let header = context.reply.defer();
    let mut written = 0;
    for id in options.ids.iter().map_while(|word| parse_id(word, 0).ok()) {
        let Some(entry) = log.get(id) else {
            group.acknowledge(id);
            continue;
        };
        let count = match group.delivery(id) {
            Some(delivery) if is_idle(delivery, options.min_idle_ms, now_ms) => delivery.count,
            None if options.force => 1,
            _ => continue,
        };
        let count = options.retry_count.unwrap_or(count.wrapping_add(u64::from(!options.just_id)));
        let at_ms = options.delivered_ms(now_ms);
        group.deliver(id, Delivery { consumer: Name::clone(&consumer), at_ms, count });
        write_claimed(context.reply, &entry, options.just_id);
        written += 1;
    }
    if written > 0 {
        group.set_active(&consumer, now_ms);
    }
    context.reply.fill_array(header, written);
    context.keyspace.tell_trackers(key);
    if is_new {
        context.notify(EventClasses::STREAM, "xgroup-createconsumer", key);
    }
    Ok(())
}

/// How XAUTOCLAIM claims.
struct Search {
    min_idle_ms: i64,
    start: StreamId,
    count: usize,
    just_id: bool,
}

/// Entries of which one is claimed when no count is given.
const AUTOCLAIM_COUNT_DEFAULT: usize = 100;

/// Pending entries that are looked at for each one that may be claimed, so that a call is short
/// even where few are idle.
const AUTOCLAIM_ATTEMPTS_PER_COUNT: usize = 10;

/// More cannot be asked for, as in Redis.
const AUTOCLAIM_COUNT_MAX: i64 = i64::MAX / 16;

impl Search {
    fn parse(words: &[&[u8]]) -> Result<Self> {
        let min_idle_ms = number(words[0], "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
        let start = parse_start(words[1])?;
        let mut search =
            Self { min_idle_ms, start, count: AUTOCLAIM_COUNT_DEFAULT, just_id: false };
        let mut rest = &words[2..];
        while let Some((word, tail)) = rest.split_first() {
            rest = match tail {
                [count, tail @ ..] if is_word(word, "COUNT") => {
                    let count = number(count, "ERR COUNT must be > 0")?;
                    if !(1..=AUTOCLAIM_COUNT_MAX).contains(&count) {
                        return Err(CommandError::text("ERR COUNT must be > 0"));
                    }
                    search.count = usize::try_from(count).unwrap_or(usize::MAX);
                    tail
                }
                _ if is_word(word, "JUSTID") => {
                    search.just_id = true;
                    tail
                }
                _ => return Err(CommandError::Syntax),
            };
        }
        Ok(search)
    }
}

pub(super) fn xautoclaim(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let (key, name, now_ms) = (arguments[0], arguments[1], context.now_ms);
    let search = Search::parse(&arguments[3..])?;
    let stream = context.keyspace.change_quietly::<Stream>(context.database, key)?;
    let found = stream.and_then(|Stream { log, groups }| Some((log, groups.get_mut(name)?)));
    let Some((log, group)) = found else {
        context.keyspace.peek_or_miss(context.database, key);
        return Err(no_group(key, name, ""));
    };
    let (consumer, is_new) = group.see_consumer(arguments[2], now_ms);
    let attempts = search.count.saturating_mul(AUTOCLAIM_ATTEMPTS_PER_COUNT);
    let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
    let mut next = None;
    for (tried, (id, delivery)) in group.pending(search.start..=StreamId::MAX).enumerate() {
        if tried == attempts || claimed.len() + deleted.len() == search.count {
            next = Some(id);
            break;
        }
        match log.get(id) {
            None => deleted.push(id),
            Some(entry) if is_idle(delivery, search.min_idle_ms, now_ms) => {
                claimed.push((entry, delivery.count));
            }
            Some(_) => {}
        }
    }
    context.reply.array(3);
    write_id(context.reply, next.unwrap_or(StreamId::MIN));
    context.reply.array(claimed.len());
    if !claimed.is_empty() {
        group.set_active(&consumer, now_ms);
    }
    for (entry, count) in claimed {
        let count = count.wrapping_add(u64::from(!search.just_id));
        let consumer = Name::clone(&consumer);
        group.deliver(entry.id, Delivery { consumer, at_ms: now_ms, count });
        write_claimed(context.reply, &entry, search.just_id);
    }
    context.reply.array(deleted.len());
    for id in deleted {
        group.acknowledge(id);
        write_id(context.reply, id);
    }
    context.keyspace.tell_trackers(key);
    if is_new {
        context.notify(EventClasses::STREAM, "xgroup-createconsumer", key);
    }
    Ok(())
}
