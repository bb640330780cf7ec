//! Streams: listpacks of entries, each under the id of its first entry, then counters, then
//! consumer groups.
//!
//! A listpack starts with the number of its entries, of those that are deleted, the fields that
//! entries may have in common after their number, and a 0. An entry is its flags, its id less that
//! of the listpack in two parts, its fields and values after the number of fields, or the values
//! alone if the fields are the common ones, and the number of all these items.
//!
//! A group is its name, how far it has read, its pending entries with their times and counts, and
//! its consumers, each with the ids that are pending for it. When a consumer was active is in the
//! newest form only, which Redis 7.0 does not take; where it is missing, the consumer was active
//! when it was last seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::packed::{Items, Listpack, ListpackWriter};
use super::read::Input;
use super::write::Writer;
use super::{RdbError, Result, kind};
use crate::engine::bytes::SmallBytes;
use crate::engine::types::stream::{
    Delivery, ENTRY_BYTES_MAX, Entry, Group, Stream, StreamId, StreamLog,
};

/// How many entries a group has read, where that is not known.
const UNKNOWN: u64 = u64::MAX;

/// As Redis's `stream-node-max-bytes` and `stream-node-max-entries`.
const LISTPACK_BYTES: usize = 4096;
const LISTPACK_ENTRIES: usize = 100;

const DELETED: i64 = 1;
const COMMON_FIELDS: i64 = 2;

/// Flags, the two parts of the id, the number of fields.
const ITEMS_BESIDE_FIELDS: i64 = 4;

pub(super) fn write(out: &mut Writer, stream: &Stream) {
    let mut listpacks = Vec::new();
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut bytes = 0;
    for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
        if bytes >= LISTPACK_BYTES || entries.len() == LISTPACK_ENTRIES {
            listpacks.push(listpack_of(&std::mem::take(&mut entries)));
            bytes = 0;
        }
        bytes += entry.fields().map(<[u8]>::len).sum::<usize>();
        entries.push(entry);
    }
    if !entries.is_empty() {
        listpacks.push(listpack_of(&entries));
    }
    out.length(listpacks.len() as u64);
    for (id, listpack) in &listpacks {
        out.string(&raw_id(*id));
        out.string(listpack);
    }
    let log = &stream.log;
    out.length(log.len() as u64);
    for id in [log.last_id(), log.first_id().unwrap_or_default(), log.max_deleted_id()] {
        write_id(out, id);
    }
    out.length(log.entries_added());
    out.length(stream.groups.len() as u64);
    for (name, group) in &stream.groups {
        out.string(name);
        write_group(out, group);
    }
}

fn write_group(out: &mut Writer, group: &Group) {
    let all = StreamId::MIN..=StreamId::MAX;
    write_id(out, group.last_id());
    out.length(group.entries_read().unwrap_or(UNKNOWN));
    out.length(group.pending_len() as u64);
    for (id, delivery) in group.pending(all.clone()) {
        out.raw(&raw_id(id));
        out.raw(&delivery.at_ms.to_le_bytes());
        out.length(delivery.count);
    }
    out.length(group.consumers().len() as u64);
    for (name, consumer) in group.consumers() {
        out.string(name);
        out.raw(&consumer.seen_ms.to_le_bytes());
        out.length(consumer.pending_len() as u64);
        consumer.pending(all.clone()).for_each(|id| out.raw(&raw_id(id)));
    }
}

fn write_id(out: &mut Writer, id: StreamId) {
    out.length(id.ms);
    out.length(id.seq);
}

/// The high byte first, so that bytes are in the order of ids.
fn raw_id(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

fn id_of_raw(raw: [u8; 16]) -> StreamId {
    let bits = u128::from_be_bytes(raw);
    StreamId { ms: (bits >> 64) as u64, seq: bits as u64 }
}

/// Precondition: there are entries.
fn listpack_of(entries: &[Entry<'_>]) -> (StreamId, Vec<u8>) {
    let first = entries[0].id;
    let mut out = ListpackWriter::new();
    // Entries, deleted ones, common fields, end of these.
    for number in [entries.len() as i64, 0, 0, 0] {
        out.integer(number);
    }
    for entry in entries {
        let items = entry.field_count() as i64;
        out.integer(0);
        out.integer(entry.id.ms.wrapping_sub(first.ms) as i64);
        out.integer(entry.id.seq.wrapping_sub(first.seq) as i64);
        out.integer(items / 2);
        entry.fields().for_each(|field| out.string(field));
        out.integer(items + ITEMS_BESIDE_FIELDS);
    }
    (first, out.finish())
}

pub(super) fn read(input: &mut Input<'_>, kind: u8) -> Result<Stream> {
    let mut stream = Stream::default();
    for _ in 0..input.length()? {
        let key = input.string()?;
        let first = id_of_raw((*key).try_into().map_err(|_| RdbError::Format)?);
        let listpack = input.string()?;
        read_listpack(&mut stream.log, first, &listpack, input)?;
    }
    let len = input.length()?;
    let last_id = read_id(input)?;
    let (entries_added, max_deleted_id) = match kind {
        kind::STREAM_LISTPACKS => (len, StreamId::MIN),
        _ => {
            // The first id is known from the entries.
            read_id(input)?;
            let max_deleted_id = read_id(input)?;
            (input.length()?, max_deleted_id)
        }
    };
    let is_sound = len == stream.log.len() as u64
        && stream.log.set_counters(last_id, entries_added, max_deleted_id);
    if !is_sound {
        return Err(RdbError::Format);
    }
    for _ in 0..input.length()? {
        let name = SmallBytes::new(&input.string()?);
        let mut group = read_group(input, kind)?;
        if kind == kind::STREAM_LISTPACKS {
            group.estimate_read(&stream.log);
        }
        if stream.groups.insert(name, group).is_some() {
            return Err(RdbError::Format);
        }
    }
    Ok(stream)
}

fn read_group(input: &mut Input<'_>, kind: u8) -> Result<Group> {
    let last_id = read_id(input)?;
    let entries_read = match kind {
        kind::STREAM_LISTPACKS => None,
        _ => Some(input.length()?).filter(|count| *count != UNKNOWN),
    };
    let mut group = Group::new(last_id, entries_read);
    let mut deliveries = BTreeMap::new();
    for _ in 0..input.length()? {
        let id = id_of_raw(input.array()?);
        let delivery = (u64::from_le_bytes(input.array()?), input.length()?);
        if deliveries.insert(id, delivery).is_some() {
            return Err(RdbError::Format);
        }
    }
    for _ in 0..input.length()? {
        let name = input.string()?;
        let seen_ms = u64::from_le_bytes(input.array()?);
        let active_ms = match kind {
            // Redis has -1 for never.
            kind::STREAM_LISTPACKS_3 => Some(u64::from_le_bytes(input.array()?)),
            _ => Some(seen_ms),
        };
        let active_ms = active_ms.filter(|at_ms| *at_ms != u64::MAX);
        let name = group.add_consumer(&name, seen_ms, active_ms).ok_or(RdbError::Format)?;
        for _ in 0..input.length()? {
            let id = id_of_raw(input.array()?);
            let (at_ms, count) = deliveries.remove(&id).ok_or(RdbError::Format)?;
            group.deliver(id, Delivery { consumer: Arc::clone(&name), at_ms, count });
        }
    }
    // What is pending is pending for someone.
    if deliveries.is_empty() { Ok(group) } else { Err(RdbError::Format) }
}

fn read_id(input: &mut Input<'_>) -> Result<StreamId> {
    Ok(StreamId { ms: input.length()?, seq: input.length()? })
}

fn read_listpack(
    log: &mut StreamLog,
    first: StreamId,
    bytes: &[u8],
    input: &mut Input<'_>,
) -> Result<()> {
    let mut items = Listpack::items(bytes)?;
    // The entries, of which the deleted ones are only marked, are as many as are there.
    for _ in 0..2 {
        items.item()?;
    }
    let mut common: Vec<Vec<u8>> = Vec::new();
    for _ in 0..items.item()?.integer()? {
        items.item()?.with(|field| common.push(field.to_vec()));
    }
    items.item()?;
    let common_bytes: usize = common.iter().map(Vec::len).sum();
    while let Some(flags) = items.next()? {
        let flags = flags.integer()?;
        let id = StreamId {
            ms: first.ms.wrapping_add(items.item()?.integer()? as u64),
            seq: first.seq.wrapping_add(items.item()?.integer()? as u64),
        };
        let has_common = flags & COMMON_FIELDS != 0;
        if has_common {
            // Here each entry has fields of its own.
            input.unpack(common_bytes)?;
        }
        let count = if has_common { common.len() as i64 } else { items.item()?.integer()? };
        let mut fields = Vec::new();
        for index in 0..count {
            match common.get(index as usize) {
                Some(field) if has_common => fields.push(field.clone()),
                _ => items.item()?.with(|field| fields.push(field.to_vec())),
            }
            items.item()?.with(|value| fields.push(value.to_vec()));
        }
        items.item()?;
        if flags & DELETED != 0 {
            continue;
        }
        let bytes: usize = fields.iter().map(Vec::len).sum();
        if id <= log.last_id() || fields.is_empty() || bytes > ENTRY_BYTES_MAX {
            return Err(RdbError::Format);
        }
        log.append(id, &fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    Ok(())
}
