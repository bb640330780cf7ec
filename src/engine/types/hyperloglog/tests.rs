use super::{
    Corrupted, DENSE, ENCODING_AT, HEADER_BYTES, REGISTERS, SPARSE, Union, add, empty, estimate,
    for_each_run, is_one, murmur, observe, sparse,
};
use crate::engine::random::Random;

fn registers(bytes: &[u8]) -> Vec<u8> {
    let mut registers = Vec::new();
    for_each_run(bytes, |first, value, len| {
        assert_eq!(first, registers.len());
        registers.resize(first + len, value);
    })
    .unwrap();
    registers
}

fn of(elements: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut bytes = empty();
    for element in elements {
        add(&mut bytes, element.to_string().as_bytes()).unwrap();
    }
    bytes
}

#[test]
fn an_empty_one_is_a_single_run() {
    assert_eq!(empty(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    assert_eq!(registers(&empty()), [0; REGISTERS]);
    assert_eq!(estimate(&empty()), Ok(0));
}

#[test]
fn registers_are_those_of_a_model_in_both_encodings() {
    let mut bytes = empty();
    let mut model = vec![0; REGISTERS];
    let mut was_dense = false;
    for element in 0..20_000 {
        let element = element.to_string();
        let (register, value) = observe(element.as_bytes());
        let changes = model[register] < value;
        model[register] = model[register].max(value);
        assert_eq!(add(&mut bytes, element.as_bytes()), Ok(changes));
        if element.len() < 4 || element.ends_with("00") {
            assert!(is_one(&bytes));
            assert_eq!(registers(&bytes), model, "after {element}");
        }
        let is_dense = bytes[ENCODING_AT] == DENSE;
        assert!(is_dense || bytes.len() <= 3000 && !was_dense);
        was_dense = is_dense;
    }
    assert!(was_dense);
}

#[test]
fn estimates_are_near_the_truth() {
    for count in [1, 10, 100, 1_000, 10_000, 100_000] {
        let found = estimate(&of(0..count)).unwrap() as f64;
        // Four times the standard error, which is 1.04 / sqrt(16384).
        assert!((found / count as f64 - 1.0).abs() < 0.033, "{found} for {count}");
    }
}

#[test]
fn a_union_is_as_if_all_elements_had_been_added_to_one() {
    for (left, right, encoding) in [(50, 200, SPARSE), (200, 50, SPARSE), (50, 9_000, DENSE)] {
        let all = of((0..left).chain(5_000..5_000 + right));
        let (left, right) = (of(0..left), of(5_000..5_000 + right));
        let mut union = Union::default();
        union.add(&left).unwrap();
        union.add(&right).unwrap();
        assert_eq!(Ok(union.estimate()), estimate(&all));
        for mut target in [empty(), left, right] {
            union.store(&mut target).unwrap();
            assert_eq!(registers(&target), registers(&all));
            assert_eq!(target[ENCODING_AT], encoding);
            assert_eq!(estimate(&target), estimate(&all));
        }
    }
}

#[test]
fn an_estimate_of_the_header_is_taken_while_it_is_not_out_of_date() {
    let mut bytes = of(0..3);
    assert_eq!(bytes[15] & 0x80, 0x80);
    bytes[8..16].copy_from_slice(&77u64.to_le_bytes());
    assert_eq!(estimate(&bytes), Ok(77));
    assert_eq!(add(&mut bytes, b"0"), Ok(false));
    assert_eq!(estimate(&bytes), Ok(77));
    assert_eq!(add(&mut bytes, b"another"), Ok(true));
    assert_eq!(estimate(&bytes), Ok(4));
}

#[test]
fn other_strings_are_told_apart() {
    let dense = of(0..20_000);
    let with = |at: usize, byte: u8| {
        let mut bytes = dense.clone();
        bytes[at] = byte;
        bytes
    };
    assert!(is_one(&dense));
    assert!(is_one(&with(ENCODING_AT, SPARSE)));
    for bytes in [
        &b""[..],
        b"HYLL\x01\0\0\0\0\0\0\0\0\0\0",
        &with(0, b'h'),
        &with(ENCODING_AT, 2),
        &dense[1..],
        &dense[..dense.len() - 1],
    ] {
        assert!(!is_one(bytes));
    }
}

#[test]
fn runs_that_do_not_add_up_are_corrupted() {
    let header = &empty()[..HEADER_BYTES];
    for runs in [&b""[..], b"\x7f", b"\x7f\xfe", b"\x7f\xff\x00", b"\x80\x7f\xff", b"\x40\x00"] {
        let mut bytes = [header, runs].concat();
        super::invalidate(&mut bytes);
        assert!(is_one(&bytes));
        assert_eq!(estimate(&bytes), Err(Corrupted), "{runs:?}");
        assert_eq!(Union::default().add(&bytes), Err(Corrupted));
    }
    // An element whose register the runs do not reach.
    let mut bytes = [header, b"\x00"].concat();
    assert_eq!(add(&mut bytes, b"x"), Err(Corrupted));
}

#[test]
fn hashes_do_not_depend_on_the_machine() {
    let found = [&b""[..], b"a", b"12345678", b"123456789"].map(murmur);
    assert_eq!(found, HASHES);
}

const HASHES: [u64; 4] = [
    15_627_466_953_755_236_146,
    6_039_968_161_137_406_375,
    10_802_930_868_819_274_067,
    2_410_889_023_153_415_245,
];

#[test]
fn where_a_search_begins_makes_no_difference() {
    let mut random = Random::new(3);
    for _ in 0..40 {
        let mut bytes = empty();
        for _ in 0..random.below(300) {
            let (register, value) = (random.below(600), 1 + random.below(4) as u8);
            let mut start = sparse::Place::START;
            sparse::raise(&mut bytes, register, value, &mut start).unwrap();
        }
        let mut other = bytes.clone();
        let mut place = sparse::Place::START;
        for register in 0..600 {
            let value = 1 + random.below(5) as u8;
            let mut start = sparse::Place::START;
            let raised = sparse::raise(&mut bytes, register, value, &mut start);
            assert_eq!(sparse::raise(&mut other, register, value, &mut place), raised);
            assert_eq!(other, bytes, "register {register}");
        }
    }
}
