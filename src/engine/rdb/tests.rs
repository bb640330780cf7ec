use super::packed::ListpackWriter;
use super::*;
use crate::engine::bytes::SmallBytes;
use crate::engine::keyspace::digest_of;
use crate::engine::random::Random;
use crate::engine::types::hash::{FIELD_DEADLINE_MAX_MS, Hash};
use crate::engine::types::list::{End, List};
use crate::engine::types::set::Set;
use crate::engine::types::sorted_set::{SortedSet, SortedSetEncoding};
use crate::engine::types::stream::{Delivery, Group, Stream, StreamId};

/// A body with the footer of a version.
fn payload(body: &[u8], version: u16) -> Vec<u8> {
    let mut payload = [body, &version.to_le_bytes()].concat();
    payload.extend_from_slice(&crc64::checksum(&payload).to_le_bytes());
    payload
}

fn string(random: &mut Random) -> Vec<u8> {
    const LENGTHS: [usize; 12] = [0, 1, 22, 63, 64, 126, 127, 128, 4_095, 4_096, 16_383, 16_384];
    match random.below(4) {
        0 => {
            let bits = random.below(64) as u32;
            ((random.next() as i64) >> bits).to_string().into_bytes()
        }
        1 => (0..LENGTHS[random.below(12)]).map(|_| random.next() as u8).collect(),
        _ => format!("item{}", random.below(500)).into_bytes(),
    }
}

/// A value of each type, with `len` elements at most.
fn values(random: &mut Random, len: usize) -> Vec<Value> {
    let (mut list, mut set, mut integers) = (List::default(), Set::default(), Set::default());
    let (mut hash, mut expiring) = (Hash::default(), Hash::default());
    let mut sorted_set = SortedSet::with_encoding(SortedSetEncoding::Listpack);
    let mut stream = Stream::default();
    let mut id = StreamId { ms: random.next() >> random.below(64), seq: 1 };
    for _ in 0..len {
        list.push(End::Right, &string(random));
        set.add(&string(random));
        integers.add((random.next() as i64 >> random.below(60)).to_string().as_bytes());
        hash.set(&string(random), &string(random));
        let field = string(random);
        expiring.set(&field, &string(random));
        if expiring.first_deadline() == 0 || random.below(3) > 0 {
            let at_ms = 1 + random.below(FIELD_DEADLINE_MAX_MS as usize) as u64;
            expiring.set_deadline(&field, at_ms >> random.below(40) | 1);
        }
        let score = [f64::INFINITY, -0.5, 1e300, random.below(100) as f64][random.below(4)];
        sorted_set.insert(&string(random), score);
        let fields = [string(random), string(random), string(random), string(random)];
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        stream.log.append(id, &fields[..2 + 2 * random.below(2)]);
        id.seq += 1 + (random.next() >> (2 + random.below(62))) / len as u64;
    }
    let first = stream.log.first_id().expect("there are entries");
    for number in 0..random.below(3) {
        let mut group = Group::new(id, Some(random.next() >> 1).filter(|_| number > 0));
        for consumer in 0..random.below(3) {
            let seen_ms = random.next() >> 1;
            let name = group.add_consumer(&[consumer as u8], seen_ms, Some(seen_ms));
            let consumer = name.expect("it is new");
            for entry in stream.log.range(StreamId::MIN, StreamId::MAX).skip(random.below(len)) {
                let (at_ms, count) = (random.next() >> 1, random.next() >> random.below(64));
                group.deliver(entry.id, Delivery { consumer: consumer.clone(), at_ms, count });
            }
        }
        stream.groups.insert(SmallBytes::new(&string(random)), group);
    }
    if len > 1 {
        stream.log.remove(first);
    }
    vec![
        Value::string(&string(random)),
        Value::List(Box::new(list)),
        Value::Set(Box::new(set)),
        Value::Set(Box::new(integers)),
        Value::Hash(hash),
        Value::Hash(expiring),
        Value::SortedSet(Box::new(sorted_set)),
        Value::Stream(Box::new(stream)),
    ]
}

#[test]
fn what_is_dumped_is_loaded_as_it_was() {
    let mut random = Random::new(3);
    for round in 0..30 {
        for value in values(&mut random, [1, 4, 40, 300][round % 4]) {
            let loaded = load(&dump(&value)).expect("a dump is loaded");
            if matches!(value, Value::SortedSet(_)) {
                // The order that random picks follow is that of insertion, and is not kept.
                assert_eq!(shown(&loaded), shown(&value));
            } else {
                assert_eq!(digest_of(&loaded), digest_of(&value), "{}", value.type_name());
            }
        }
    }
    let empty = Value::Stream(Box::default());
    assert_eq!(load(&dump(&empty)).map(|value| digest_of(&value)), Ok(digest_of(&empty)));
}

#[test]
fn footers_are_checked_before_anything_else() {
    let good = dump(&Value::string(b"hello"));
    assert_eq!(good, b"\x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a");
    for position in 0..good.len() {
        for bit in 0..8 {
            let mut damaged = good.clone();
            damaged[position] ^= 1 << bit;
            assert_eq!(load(&damaged).err(), Some(RdbError::Footer));
        }
        assert_eq!(load(&good[..position]).err(), Some(RdbError::Footer));
    }
    let body = b"\x00\x01x";
    for version in [1, 9, 11, 12] {
        assert!(load(&payload(body, version)).is_ok());
    }
    assert_eq!(load(&payload(body, 13)).err(), Some(RdbError::Footer));
    assert_eq!(load(&payload(b"", 10)).err(), Some(RdbError::Format));
}

/// With a sound footer, damage reaches the readers of every form.
#[test]
fn damage_is_an_error_or_another_value_but_never_a_panic() {
    let mut random = Random::new(9);
    let mut bodies: Vec<Vec<u8>> = values(&mut random, 3).iter().map(write::value).collect();
    bodies.extend(FORMS.map(|(_, body)| body.to_vec()));
    let mut refused = 0;
    for body in bodies {
        for position in 0..body.len().min(300) {
            for bit in 0..8 {
                let mut damaged = body.clone();
                damaged[position] ^= 1 << bit;
                match load(&payload(&damaged, 10)) {
                    Ok(value) => drop(load(&dump(&value)).expect("what is loaded is dumped")),
                    Err(error) => {
                        assert_eq!(error, RdbError::Format);
                        refused += 1;
                    }
                }
            }
            assert_eq!(load(&payload(&body[..position], 10)).err(), Some(RdbError::Format));
        }
        let longer = [&body[..], b"\0"].concat();
        assert_eq!(load(&payload(&longer, 10)).err(), Some(RdbError::Format));
    }
    assert!(refused > 1000);
}

/// Forms that are not written here, and what they hold. Those of Redis before 7.0, which none at
/// hand writes, were put together after their description.
const FORMS: [(&str, &[u8]); 12] = [
    ("List: ab -1 12 -129", LIST_ZIPLIST),
    ("List: ab -1 12 -129", LIST_QUICKLIST),
    ("List: long ab 5", b"\x12\x02\x01\x04long\x02\x0d\x0d\0\0\0\x02\0\x82ab\x03\x05\x01\xff"),
    ("Set: ab 5", b"\x14\x0d\x0d\0\0\0\x02\0\x82ab\x03\x05\x01\xff"),
    ("Set: -2 1 70000", b"\x0b\x14\x04\0\0\0\x03\0\0\0\xfe\xff\xff\xff\x01\0\0\0\x70\x11\x01\0"),
    ("Hash: ab=5", b"\x10\x0d\x0d\0\0\0\x02\0\x82ab\x03\x05\x01\xff"),
    ("Hash: ab=5", b"\x0d\x11\x11\0\0\0\x0e\0\0\0\x02\0\x00\x02ab\x04\xf6\xff"),
    (
        "Hash: ab=5 c=d@70000 e=f@70099",
        b"\x18\x70\x11\x01\0\0\0\0\0\x03\0\x02ab\xc0\x05\x01\x01c\x01d\x40\x64\x01e\x01f",
    ),
    (
        "Hash: ab=5 c=d@300",
        b"\x19\x2c\x01\0\0\0\0\0\0\x18\x18\0\0\0\x06\0\x82ab\x03\x05\x01\0\x01\x81c\x02\x81d\x02\
          \xc1\x2c\x02\xff",
    ),
    ("SortedSet: ab=5", b"\x11\x0d\x0d\0\0\0\x02\0\x82ab\x03\x05\x01\xff"),
    ("SortedSet: ab=5", b"\x0c\x11\x11\0\0\0\x0e\0\0\0\x02\0\x00\x02ab\x04\xf6\xff"),
    ("SortedSet: c=-inf b=1.5 a=inf", b"\x03\x03\x01a\xfe\x01b\x031.5\x01c\xff"),
];

const LIST_ZIPLIST: &[u8] =
    b"\x0a\x18\x18\0\0\0\x13\0\0\0\x04\0\x00\x02ab\x04\xfe\xff\x03\xfd\x02\xc0\x7f\xff\xff";
const LIST_QUICKLIST: &[u8] =
    b"\x0e\x01\x18\x18\0\0\0\x13\0\0\0\x04\0\x00\x02ab\x04\xfe\xff\x03\xfd\x02\xc0\x7f\xff\xff";

fn shown(value: &Value) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (name, items): (_, Vec<String>) = match value {
        Value::List(list) => ("List", list.iter().map(text).collect()),
        Value::Set(set) => ("Set", set.iter().map(|member| text(&member)).collect()),
        Value::Hash(hash) => {
            let at = |field| hash.deadline(field).map_or(String::new(), |at| format!("@{at}"));
            let pairs = hash.iter().map(|(f, v)| format!("{}={}{}", text(f), text(v), at(f)));
            ("Hash", pairs.collect())
        }
        Value::SortedSet(set) => {
            ("SortedSet", set.iter().map(|(m, s)| format!("{}={s}", text(m))).collect())
        }
        _ => ("other", Vec::new()),
    };
    format!("{name}: {}", items.join(" "))
}

#[test]
fn all_packed_forms_are_read() {
    for (expected, body) in FORMS {
        let value = load(&payload(body, 11)).unwrap_or_else(|_| panic!("{expected}"));
        assert_eq!(shown(&value), expected);
    }
}

#[test]
fn integers_of_all_sizes_are_read_from_listpacks() {
    let mut listpack = ListpackWriter::new();
    let mut expected = String::from("List:");
    for bits in 0..64 {
        for integer in [i64::MAX >> bits, i64::MIN >> bits, (i64::MAX >> bits) - 1] {
            listpack.integer(integer);
            expected += &format!(" {integer}");
        }
    }
    let listpack = listpack.finish();
    let mut body = vec![kind::LIST_QUICKLIST_2, 1, 2];
    body.push(length::BITS_32);
    body.extend_from_slice(&(listpack.len() as u32).to_be_bytes());
    body.extend_from_slice(&listpack);
    assert_eq!(load(&payload(&body, 10)).map(|value| shown(&value)), Ok(expected));
}

#[test]
fn what_cannot_be_in_a_collection_is_refused() {
    let cases: [&[u8]; 22] = [
        // Nothing in it.
        b"\x01\x00",
        b"\x02\x00",
        b"\x04\x00",
        b"\x05\x00",
        b"\x12\x00",
        // Twice the same.
        b"\x02\x02\x01a\x01a",
        b"\x04\x02\x01a\x01b\x01a\x01c",
        b"\x05\x02\x01a\0\0\0\0\0\0\0\0\x01a\0\0\0\0\0\0\0\0",
        // Not a number.
        b"\x05\x01\x01a\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x03\x01\x01a\xfd",
        // More elements than bytes.
        b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
        // Unpacks to less than it says, and copies from before its beginning.
        b"\x00\xc3\x02\x05\x00a",
        b"\x00\xc3\x02\x05\x20\x00",
        // A module, and forms of hashes that only release candidates wrote.
        b"\x07\x01",
        b"\x16\x01\0\x01a\x01b",
        b"\x17\x07\0\0\0\0\0\xff",
        // Fields that expire: none, twice the same, beyond the last time, and beyond any number.
        b"\x18\x01\0\0\0\0\0\0\0\0",
        b"\x18\x01\0\0\0\0\0\0\0\x02\0\x01a\x01b\x01\x01a\x01b",
        b"\x18\0\0\0\0\0\x40\0\0\x01\x01\x01a\x01b",
        b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x01a\x01b",
        // A deadline that is missing, and one that is no number.
        b"\x19\0\0\0\0\0\0\0\0\x0d\x0d\0\0\0\x02\0\x82ab\x03\x05\x01\xff",
        b"\x19\0\0\0\0\0\0\0\0\x10\x10\0\0\0\x03\0\x81a\x02\x81b\x02\x81c\x02\xff",
    ];
    for body in cases {
        let loaded = load(&payload(body, 12)).map(|value| shown(&value));
        assert_eq!(loaded, Err(RdbError::Format), "{}", body.escape_ascii());
    }
}

/// The copy of a run into itself makes much of little, up to a bound.
#[test]
fn few_bytes_do_not_become_too_many() {
    let packed = |len: u32| {
        // One byte, then copies of it.
        let mut lzf = vec![0, b'x'];
        (0..(len - 1) / 264).for_each(|_| lzf.extend([0xe0, 0xff, 0x00]));
        let mut string = vec![0xc3, length::BITS_32];
        string.extend((lzf.len() as u32).to_be_bytes());
        string.push(length::BITS_32);
        string.extend(len.to_be_bytes());
        string.extend(lzf);
        string
    };
    let body = [&[kind::STRING][..], &packed(264 * 100 + 1)].concat();
    let Ok(Value::String(string)) = load(&payload(&body, 10)) else { panic!("it is a string") };
    assert_eq!(string.to_vec(), vec![b'x'; 264 * 100 + 1]);
    // What is told is refused before it is unpacked.
    let told = b"\x00\xc3\x02\x80\x20\x00\x00\x01\x00x";
    assert_eq!(load(&payload(told, 10)).err(), Some(RdbError::Format));
    let mut input = read::Input::new(b"");
    assert_eq!(input.unpack(2 << 30), Ok(()));
    assert_eq!(input.unpack(1), Err(RdbError::Format));
}

/// Before 7.0 nobody counted what a group has read. Where the group stands at the first entry or
/// before it, the stream tells.
#[test]
fn what_the_groups_of_an_old_stream_have_read_is_estimated() {
    let mut stream = Stream::default();
    for ms in [5, 6] {
        stream.log.append(StreamId { ms, seq: 0 }, &[b"f", b"v"]);
    }
    for (name, ms) in [("g1", 5), ("g2", 0)] {
        stream
            .groups
            .insert(SmallBytes::new(name.as_bytes()), Group::new(StreamId { ms, seq: 0 }, Some(9)));
    }
    let body = write::value(&Value::Stream(Box::new(stream)));
    let end = b"\x02\x06\0\x05\0\0\0\x02\x02\x02g1\x05\0\x09\0\0\x02g2\0\0\x09\0\0";
    let entries = body.strip_suffix(end).expect("the counters come last");
    let old_end = b"\x02\x06\0\x02\x02g1\x05\0\0\0\x02g2\0\0\0\0";
    let old = [&[kind::STREAM_LISTPACKS], &entries[1..], old_end].concat();
    let Ok(Value::Stream(stream)) = load(&payload(&old, 9)) else { panic!("it is not loaded") };
    let read = |name: &[u8]| {
        let group = &stream.groups[name];
        (group.entries_read(), group.lag(&stream.log))
    };
    assert_eq!(read(b"g1"), (Some(1), Some(1)));
    assert_eq!(read(b"g2"), (Some(0), Some(2)));
    assert_eq!(stream.log.entries_added(), 2);
}
