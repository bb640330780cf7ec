use super::*;
use crate::engine::keyspace::digest_of;
use crate::engine::rdb::{dump, load};
use crate::engine::types::hash::Hash;
use crate::engine::types::list::{End, List};
use crate::engine::types::sorted_set::{SortedSet, SortedSetEncoding};
use crate::engine::value::Value;

/// Gives the bytes that there are.
struct Bytes<'a>(&'a [u8]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it ends")]
struct Ends;

impl Feed for Bytes<'_> {
    type Error = Ends;

    fn fill(&mut self, buffer: &mut [u8]) -> std::result::Result<(), Ends> {
        let (taken, rest) = self.0.split_at_checked(buffer.len()).ok_or(Ends)?;
        buffer.copy_from_slice(taken);
        self.0 = rest;
        Ok(())
    }
}

type Read = std::result::Result<Vec<Item>, FileError<Ends>>;

fn read(bytes: &[u8]) -> Read {
    let mut reader = FileReader::new(Bytes(bytes));
    let mut items = Vec::new();
    loop {
        items.push(reader.next_item()?);
        if items.last() == Some(&Item::End) {
            assert_eq!(reader.into_feed().0, b"", "nothing is left, and nothing was asked for");
            return Ok(items);
        }
    }
}

/// A file of this body, with its end.
fn file(magic: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = [magic.as_bytes(), body, &[opcode::END]].concat();
    bytes.extend_from_slice(&crc64::checksum(&bytes).to_le_bytes());
    bytes
}

/// The value of this key as it is in a file.
fn record(key: &[u8], value: &Value) -> Vec<u8> {
    let payload = dump(value);
    let mut bytes = vec![payload[0], key.len() as u8];
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&payload[1..payload.len() - super::super::FOOTER_BYTES]);
    bytes
}

fn read_body(body: &[u8]) -> Read {
    read(&file("REDIS0012", body))
}

fn key_error(error: impl FnOnce(String) -> FileError<Ends>) -> Read {
    Err(error("k".to_owned()))
}

#[test]
fn opcodes_are_told_of_with_what_follows_them() {
    let body = [
        &b"\xfa\x09redis-ver\x057.4.0\xfa\x0credis-offset\xc1\x10\x27"[..],
        b"\xf5\x04code",
        // A module without data of its own.
        b"\xf7\x81\0\0\0\0\0\0\0\x01\x02\x02\0",
        b"\xfe\x03\xfb\x02\x01\xf4\x01\x02\x03",
        b"\xfc\x01\x02\0\0\0\0\0\0\xf8\x40\x64\0\x01a\x01x",
        b"\xfd\x07\0\0\0\xf9\x09\0\x01b\xc0\x05",
        b"\xfc\xff\xff\xff\xff\xff\xff\xff\xff\0\x01c\x01x",
        b"\xfe\x41\x00\0\x01a\x01x",
    ]
    .concat();
    let items = read_body(&body).unwrap();
    let aux = |name: &[u8], value: &[u8]| Item::Aux { name: name.to_vec(), value: value.to_vec() };
    assert_eq!(items[0], aux(b"redis-ver", b"7.4.0"));
    assert_eq!(items[1], aux(b"redis-offset", b"10000"));
    assert_eq!(items[2], Item::Library(b"code".to_vec()));
    let part = |database, key: &[u8], body: &[u8]| Part {
        database,
        key: key.to_vec(),
        payload: close(body.to_vec(), VERSION_EXPIRING),
        ..Part::default()
    };
    let a = Part { deadline_ms: Some(513), idle_seconds: Some(100), ..part(3, b"a", b"\0\x01x") };
    let b = Part { deadline_ms: Some(7000), use_counter: Some(9), ..part(3, b"b", b"\0\xc0\x05") };
    let c = Part { deadline_ms: Some(1), ..part(3, b"c", b"\0\x01x") };
    let d = part(256, b"a", b"\0\x01x");
    let parts = [a, b, c, d].map(Item::Part);
    assert_eq!(items[3..7], parts);
    assert_eq!(items[7], Item::End);
}

#[test]
fn large_collections_come_in_parts_that_are_values() {
    let word = |number: usize| format!("{number:0>600}").into_bytes();
    let mut list = List::default();
    let mut hash = Hash::default();
    let mut sorted_set = SortedSet::with_encoding(SortedSetEncoding::Listpack);
    for number in 0..1250 {
        list.push(End::Right, &word(number));
        hash.set(&word(number), b"");
        hash.set_deadline(&word(number), 1000 + number as u64);
        sorted_set.insert(&word(number), number as f64);
    }
    let values =
        [Value::List(Box::new(list)), Value::Hash(hash), Value::SortedSet(Box::new(sorted_set))];
    for value in values {
        let body = [b"\xfc\x01\0\0\0\0\0\0\0", &record(b"k", &value)[..], b"\0\x01s\0"].concat();
        let items = read_body(&body).unwrap();
        assert_eq!(items.len(), 5, "three parts, a string and the end");
        let Item::Part(last) = &items[3] else { panic!("{:?}", items[3]) };
        assert_eq!((&*last.key, last.goes_on, last.deadline_ms), (&b"s"[..], false, None));
        let mut whole: Option<Value> = None;
        for (number, item) in items[..3].iter().enumerate() {
            let Item::Part(part) = item else { panic!("{item:?}") };
            assert_eq!((&*part.key, part.goes_on), (&b"k"[..], number > 0));
            assert_eq!(part.deadline_ms, Some(1));
            assert!(part.payload.len() < PART_BYTES + 1000);
            let loaded = load(&part.payload).unwrap();
            match &mut whole {
                None => whole = Some(loaded),
                Some(whole) => assert!(whole.append(loaded)),
            }
        }
        let whole = whole.unwrap();
        assert_eq!(dump(&whole), dump(&value), "{}", value.type_name());
    }
}

#[test]
fn hashes_of_valkey_are_read() {
    let body =
        b"\x16\x01h\x02\x01f\x01v\x90\x5f\x01\0\0\0\0\0\x01g\x01w\xff\xff\xff\xff\xff\xff\xff\xff";
    let items = read(&file("VALKEY080", body)).unwrap();
    let Item::Part(part) = &items[0] else { panic!("{:?}", items[0]) };
    let mut hash = Hash::default();
    hash.set(b"f", b"v");
    hash.set(b"g", b"w");
    hash.set_deadline(b"f", 90_000);
    let loaded = load(&part.payload).unwrap();
    assert_eq!(digest_of(&loaded), digest_of(&Value::Hash(hash)));
    let refused = FileError::Kind { kind: 22, key: "h".to_owned() };
    assert_eq!(read_body(body), Err(refused));
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let module = b"\xf7\x81\x04\x20\xc4\x14\x61\xc8\x2c\x01\x02\x02\x05\x01x\0";
    let large = [b"\0\x01k\x81", &(1u64 << 40).to_be_bytes()[..]].concat();
    let cases = [
        (read(b"REDIX0012\xff"), Err(FileError::Magic)),
        (read(b"REDIS00x2\xff"), Err(FileError::Magic)),
        (read(b"REDIS0013\xff"), Err(FileError::Version("0013".to_owned()))),
        (read(b"REDIS0080\xff"), Err(FileError::Version("0080".to_owned()))),
        (read(b"VALKEY081\xff"), Err(FileError::Version("081".to_owned()))),
        (read_body(b"\xf6\x01x"), Err(FileError::Opcode(246))),
        (read_body(b"\x1a\x01k\x01x"), key_error(|key| FileError::Kind { kind: 26, key })),
        (read_body(b"\x09\x01k\x01x"), key_error(|key| FileError::Kind { kind: 9, key })),
        (read_body(b"\x07\x01k\x01x"), key_error(FileError::ModuleValue)),
        (read_body(module), Err(FileError::Module("BCDEFGHIA".to_owned()))),
        (read_body(b"\xfe\xc0\x01"), Err(FileError::Damaged)),
        (read_body(b"\0\x01k\xc4\x01"), Err(FileError::Damaged)),
        (read_body(b"\0\x01k\x82\x01"), Err(FileError::Damaged)),
        (read_body(b"\0\xc3\x02\x05\xe0\0\x01x"), Err(FileError::Damaged)),
        (read_body(b"\x01\x01k\x05\x01x"), Err(FileError::Damaged)),
        (read_body(&large), Err(FileError::Feed(Ends))),
    ];
    for (number, (read, expected)) in cases.into_iter().enumerate() {
        match expected {
            Err(FileError::Module(_)) => {
                assert!(matches!(read, Err(FileError::Module(_))), "{read:?}");
            }
            _ => assert_eq!(read, expected, "case {number}"),
        }
    }
}

#[test]
fn checksums_are_checked_unless_the_source_makes_none() {
    let good = file("REDIS0010", b"\0\x01k\x05value");
    assert_eq!(read(&good).map(|items| items.len()), Ok(2));
    for cut in 0..good.len() {
        assert_eq!(read(&good[..cut]), Err(FileError::Feed(Ends)), "{cut}");
    }
    for position in 9..good.len() {
        for bit in 0..8 {
            let mut damaged = good.clone();
            damaged[position] ^= 1 << bit;
            assert!(read(&damaged).is_err(), "byte {position}");
        }
    }
    let without = [&good[..good.len() - 8], &[0; 8]].concat();
    assert_eq!(read(&without).map(|items| items.len()), Ok(2));
}
