//! XREAD and XREADGROUP: what follows an id, or what nobody of a group was given yet.

use super::{Result, no_group, notify_group, parse_id, write_entries, write_entry, write_id};
use crate::engine::command::Context;
use crate::engine::command::options::is_word;
use crate::engine::command::waiting::deadline_of_millis;
use crate::engine::error::CommandError;
use crate::engine::notifications::EventClasses;
use crate::engine::number::integer;
use crate::engine::reply::{Deferred, Protocol, Reply};
use crate::engine::types::stream::{Delivery, Group, Name, Stream, StreamId, StreamLog};
use crate::raft::types::Millis;

/// What both commands say.
struct Request<'a, 'b> {
    /// The group and the consumer in it, for XREADGROUP.
    reader: Option<(&'b [u8], &'b [u8])>,
    /// Entries of each stream.
    count: usize,
    /// Entries are delivered without becoming pending.
    noack: bool,
    /// The time-out, if it may wait where there is nothing to reply with.
    block: Option<&'b [u8]>,
    keys: &'a [&'b [u8]],
    ids: &'a [&'b [u8]],
}

/// Where reading a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// What follows this id; for a group, what of that is pending for the consumer.
    After(StreamId),
    /// `>`: what follows the last entry that was delivered to the group.
    Undelivered,
}

impl<'a, 'b> Request<'a, 'b> {
    fn parse(words: &'a [&'b [u8]], of_group: bool) -> Result<Self> {
        let mut request =
            Self { reader: None, count: 0, noack: false, block: None, keys: &[], ids: &[] };
        let mut rest = words;
        while let Some((word, tail)) = rest.split_first() {
            rest = match tail {
                [millis, tail @ ..] if is_word(word, "BLOCK") => {
                    deadline_of_millis(millis, 0)?;
                    request.block = Some(millis);
                    tail
                }
                [count, tail @ ..] if is_word(word, "COUNT") => {
                    request.count = usize::try_from(integer(count)?).unwrap_or(0);
                    tail
                }
                [_, ..] if is_word(word, "STREAMS") => {
                    if !tail.len().is_multiple_of(2) {
                        return Err(unbalanced(of_group));
                    }
                    (request.keys, request.ids) = tail.split_at(tail.len() / 2);
                    break;
                }
                [group, consumer, tail @ ..] if is_word(word, "GROUP") => {
                    if !of_group {
                        return Err(CommandError::text(
                            "ERR The GROUP option is only supported by XREADGROUP. You called \
                             XREAD instead.",
                        ));
                    }
                    request.reader = Some((group, consumer));
                    tail
                }
                _ if is_word(word, "NOACK") => {
                    if !of_group {
                        return Err(CommandError::text(
                            "ERR The NOACK option is only supported by XREADGROUP. You called \
                             XREAD instead.",
                        ));
                    }
                    request.noack = true;
                    tail
                }
                _ => return Err(CommandError::Syntax),
            };
        }
        if request.keys.is_empty() {
            return Err(CommandError::Syntax);
        }
        if of_group && request.reader.is_none() {
            return Err(CommandError::text("ERR Missing GROUP option for XREADGROUP"));
        }
        if request.count == 0 {
            request.count = usize::MAX;
        }
        Ok(request)
    }

    /// Each key with the place to read from.
    fn streams(&self, context: &Context<'_>) -> Result<Vec<(&'b [u8], Start)>> {
        let pairs = self.keys.iter().zip(self.ids);
        pairs.map(|(key, id)| Ok((*key, self.start(context, key, id)?))).collect()
    }

    fn start(&self, context: &Context<'_>, key: &[u8], id: &[u8]) -> Result<Start> {
        let stream = context.keyspace.read::<Stream>(context.database, key)?;
        if let Some((group, _)) = self.reader
            && stream.is_none_or(|stream| !stream.groups.contains_key(group))
        {
            return Err(no_group(key, group, " in XREADGROUP with GROUP option"));
        }
        match (id, self.reader) {
            (b"$", Some(_)) => Err(CommandError::text(
                "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the \
                 history of this consumer by specifying a proper ID, or use the > ID to get new \
                 messages. The $ ID would just return an empty result set.",
            )),
            (b"$", None) => {
                Ok(Start::After(stream.map_or(StreamId::MIN, |stream| stream.log.last_id())))
            }
            (b">", Some(_)) => Ok(Start::Undelivered),
            (b">", None) => Err(CommandError::text(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
                 <group> <consumer> option.",
            )),
            _ => match parse_id(id, 0)? {
                // To Redis the greatest id is the same as `>`.
                StreamId::MAX if self.reader.is_some() => Ok(Start::Undelivered),
                id => Ok(Start::After(id)),
            },
        }
    }

    /// Whether the reply has the stream: a consumer's history even when there is none.
    fn serves(&self, stream: &Stream, start: Start) -> bool {
        let last = stream.log.last_entry_id();
        match (start, self.reader) {
            (Start::After(_), Some(_)) => true,
            (Start::After(id), None) => last > Some(id),
            (Start::Undelivered, Some((group, _))) => {
                let group = stream.groups.get(group);
                group.is_some_and(|group| last > Some(group.last_id()))
            }
            (Start::Undelivered, None) => false,
        }
    }

    /// Lets the client wait, if it asked for that and may; with the ids that it would read after
    /// now.
    fn wait(
        &self,
        context: &mut Context<'_>,
        words: &[&[u8]],
        streams: &[(&[u8], Start)],
    ) -> Result<bool> {
        let Some(millis) = self.block else { return Ok(false) };
        let deadline_ms = deadline_of_millis(millis, context.now_ms)?;
        let ids = streams.iter().map(|(_, start)| match start {
            Start::After(id) => format!("{}-{}", id.ms, id.seq).into_bytes(),
            Start::Undelivered => b">".to_vec(),
        });
        let ids: Vec<Vec<u8>> = ids.collect();
        let options = &words[..words.len() - ids.len()];
        let words = options.iter().copied().chain(ids.iter().map(Vec::as_slice));
        context.wait_for(self.keys, deadline_ms, &words.collect::<Vec<_>>())
    }
}

fn unbalanced(of_group: bool) -> CommandError {
    CommandError::text(if of_group {
        "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be \
         specified."
    } else {
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be \
         specified."
    })
}

fn begin_stream(reply: &mut Reply, key: &[u8]) {
    if reply.protocol == Protocol::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}

/// Streams are pairs of an array, or of a map for RESP3; none at all is a null.
fn end_streams(reply: &mut Reply, header: Deferred, served: usize) {
    match (served, reply.protocol) {
        (0, _) => reply.null_array(),
        (_, Protocol::Resp2) => reply.fill_array(header, served),
        (_, Protocol::Resp3) => reply.fill_map(header, served),
    }
}

pub(super) fn xread(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let request = Request::parse(arguments, false)?;
    let streams = request.streams(context)?;
    let header = context.reply.defer();
    let mut served = 0;
    for &(key, start) in &streams {
        let stream = context.keyspace.read::<Stream>(context.database, key)?;
        let stream = stream.filter(|stream| request.serves(stream, start));
        let (Start::After(id), Some(stream)) = (start, stream) else { continue };
        let Some(first) = id.next() else { continue };
        begin_stream(context.reply, key);
        write_entries(context.reply, stream.log.range(first, StreamId::MAX), request.count);
        served += 1;
    }
    if served > 0 || !request.wait(context, arguments, &streams)? {
        end_streams(context.reply, header, served);
    }
    Ok(())
}

pub(super) fn xreadgroup(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result {
    let request = Request::parse(arguments, true)?;
    let Some((group_name, consumer)) = request.reader else { return Err(CommandError::Syntax) };
    let streams = request.streams(context)?;
    let header = context.reply.defer();
    let mut served = 0;
    for &(key, start) in &streams {
        let stream = context.keyspace.change_quietly::<Stream>(context.database, key)?;
        let Some(stream) = stream else { continue };
        let is_served = request.serves(stream, start);
        let Stream { log, groups } = stream;
        let Some(group) = groups.get_mut(group_name) else { continue };
        let (consumer, is_new) = group.see_consumer(consumer, context.now_ms);
        if !is_served {
            if is_new {
                notify_group(context, "xgroup-createconsumer", key);
            }
            continue;
        }
        begin_stream(context.reply, key);
        let reader = Reader { log, group, consumer, now_ms: context.now_ms };
        match start {
            Start::After(id) => reader.read_history(context.reply, id, request.count),
            Start::Undelivered => reader.read_new(context.reply, request.count, request.noack),
        }
        context.keyspace.tell_trackers(key);
        if is_new {
            context.notify(EventClasses::STREAM, "xgroup-createconsumer", key);
        }
        served += 1;
    }
    if served > 0 || !request.wait(context, arguments, &streams)? {
        end_streams(context.reply, header, served);
    }
    Ok(())
}

/// A consumer that reads a stream for its group.
struct Reader<'a> {
    log: &'a StreamLog,
    group: &'a mut Group,
    consumer: Name,
    now_ms: Millis,
}

impl Reader<'_> {
    /// Delivers what the group was not given yet.
    fn read_new(self, reply: &mut Reply, count: usize, noack: bool) {
        let Self { log, group, consumer, now_ms } = self;
        let first = group.last_id().next().unwrap_or(StreamId::MAX);
        let header = reply.defer();
        let mut written = 0;
        for entry in log.range(first, StreamId::MAX).take(count) {
            group.advance(log, entry.id);
            write_entry(reply, &entry);
            written += 1;
            if !noack {
                let consumer = Name::clone(&consumer);
                group.deliver(entry.id, Delivery { consumer, at_ms: now_ms, count: 1 });
            }
        }
        if !noack {
            group.set_active(&consumer, now_ms);
        }
        reply.fill_array(header, written);
    }

    /// Delivers what is pending for the consumer once more. An entry that is gone is told by its
    /// id alone.
    fn read_history(self, reply: &mut Reply, after: StreamId, count: usize) {
        let Self { log, group, consumer, now_ms } = self;
        let known = group.consumer(&consumer).map(|(_, known)| known);
        let first = after.next().unwrap_or(StreamId::MAX);
        let pending = known.map(|known| known.pending(first..=StreamId::MAX).take(count));
        let ids: Vec<StreamId> = pending.into_iter().flatten().collect();
        reply.array(ids.len());
        for id in ids {
            let Some(entry) = log.get(id) else {
                reply.array(2);
                write_id(reply, id);
                reply.null_array();
                continue;
            };
            write_entry(reply, &entry);
            let delivered = group.delivery(id).map_or(0, |delivery| delivery.count);
            let consumer = Name::clone(&consumer);
            let count = delivered.wrapping_add(1);
            group.deliver(id, Delivery { consumer, at_ms: now_ms, count });
        }
    }
}
