use proptest::prelude::*;

use super::*;

fn limits() -> Limits {
    Limits::new(512 << 20, Authentication::Done)
}

type Requests = Vec<Vec<Vec<u8>>>;

/// Feeds `input` in pieces that end at the given positions, each in a buffer of exactly its size.
fn feed(input: &[u8], ends: &[usize], limits: &Limits) -> Result<Requests, ProtocolError> {
    let (mut state, mut words, mut requests) = (ParseState::default(), Words::default(), vec![]);
    let (mut held, mut fed): (Vec<u8>, usize) = (Vec::new(), 0);
    for &end in ends.iter().chain([&input.len()]) {
        held.extend_from_slice(&input[fed..end]);
        fed = end;
        let exact: Box<[u8]> = held.clone().into();
        let mut at = 0;
        loop {
            match parse(&exact[at..], limits, &mut state, &mut words)? {
                Parsed::Request { consumed } => {
                    let slices = words.slices(&exact[at..]);
                    requests.push(slices.iter().map(|slice| slice.to_vec()).collect());
                    at += consumed;
                }
                Parsed::Empty { consumed } => at += consumed,
                Parsed::Incomplete => break,
            }
        }
        held.drain(..at);
    }
    Ok(requests)
}

fn words(text: &[&[u8]]) -> Vec<Vec<u8>> {
    text.iter().map(|word| word.to_vec()).collect()
}

#[test]
fn a_request_split_anywhere_is_the_same_request() {
    let input =
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n0123\r\n6789\r\n\r\nPING  x\r\n*0\r\n*-1\r\n\
        *1\r\n$4\r\nQUIT\r\nset \"a\\x41\\n\" 'it\\'s'\n*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n";
    let expected = vec![
        words(&[b"SET", b"k", b"0123\r\n6789"]),
        words(&[b"PING", b"x"]),
        words(&[b"QUIT"]),
        words(&[b"set", b"aA\n", b"it's"]),
        words(&[b"", b"\r\n"]),
    ];
    assert_eq!(feed(input, &[], &limits()).unwrap(), expected);
    for first in 0..input.len() {
        for second in [first, (first + input.len()) / 2] {
            assert_eq!(feed(input, &[first, second], &limits()).unwrap(), expected, "{first}");
        }
    }
    let every: Vec<usize> = (1..input.len()).collect();
    assert_eq!(feed(input, &every, &limits()).unwrap(), expected);
}

#[test]
fn a_line_that_is_too_long_is_so_at_once_and_in_pieces() {
    let long = |start: &str, byte: u8, len: usize| {
        let mut input = start.as_bytes().to_vec();
        input.resize(start.len() + len, byte);
        input.extend_from_slice(b"\r\n");
        input
    };
    // The line of an inline command ends with its line feed.
    let cases = [
        (long("", b'x', LINE_BYTES_MAX - 1), None),
        (long("", b'x', LINE_BYTES_MAX), Some(ProtocolError::InlineTooLong)),
        (long("*", b'0', LINE_BYTES_MAX + 1), Some(ProtocolError::WordCountTooLong)),
        (long("*1\r\n$", b'0', LINE_BYTES_MAX + 1), Some(ProtocolError::BulkLengthTooLong)),
        (long("*", b'x', LINE_BYTES_MAX), Some(ProtocolError::WordCount)),
    ];
    for (input, expected) in cases {
        for ends in [vec![], (1..input.len()).step_by(1000).collect()] {
            let error = feed(&input, &ends, &limits()).err();
            assert_eq!(error, expected, "{} bytes in {} pieces", input.len(), ends.len() + 1);
        }
    }
}

#[test]
fn bad_requests_get_the_words_of_redis() {
    let long = [&b"*"[..], &vec![b'1'; 70_000]].concat();
    let long_bulk = [&b"*1\r\n$"[..], &vec![b'1'; 70_000]].concat();
    let long_inline = vec![b'a'; 70_000];
    let cases: &[(&[u8], &str)] = &[
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"get \"x\r\n", "unbalanced quotes in request"),
        (b"get \"x\"y\r\n", "unbalanced quotes in request"),
        (&long, "too big mbulk count string"),
        (&long_bulk, "too big bulk count string"),
        (&long_inline, "too big inline request"),
    ];
    for (input, text) in cases {
        let error = feed(input, &[], &limits()).unwrap_err();
        assert_eq!(error.to_string(), format!("Protocol error: {text}"));
    }
}

#[test]
fn before_authentication_requests_are_small() {
    let limits = Limits::new(512 << 20, Authentication::Required);
    let error = |input: &[u8]| feed(input, &[], &limits).unwrap_err();
    assert_eq!(error(b"*11\r\n"), ProtocolError::UnauthenticatedWordCount);
    assert_eq!(error(b"*1\r\n$16385\r\n"), ProtocolError::UnauthenticatedBulkLength);
    let auth = b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n";
    assert_eq!(feed(auth, &[], &limits).unwrap(), vec![words(&[b"AUTH", b"x"])]);
}

#[test]
fn a_large_value_is_not_scanned_for_each_piece() {
    let mut state = ParseState::default();
    let mut found = Words::default();
    let mut input = b"*2\r\n$3\r\nGET\r\n$1000000\r\n".to_vec();
    assert_eq!(parse(&input, &limits(), &mut state, &mut found), Ok(Parsed::Incomplete));
    assert_eq!(state.bytes_min, input.len() + 1_000_002);
    input.resize(state.bytes_min - 1, b'x');
    assert_eq!(parse(&input, &limits(), &mut state, &mut found), Ok(Parsed::Incomplete));
    input.resize(input.len() + 1, b'\n');
    let consumed = input.len();
    assert_eq!(parse(&input, &limits(), &mut state, &mut found), Ok(Parsed::Request { consumed }));
}

proptest! {
    #[test]
    fn no_input_makes_the_parser_panic(input in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = feed(&input, &[], &limits());
    }

    #[test]
    fn nearly_valid_input_does_not_either(input in "[*$\r\n0-9a-z\"' -]{0,120}") {
        let _ = feed(input.as_bytes(), &[], &limits());
    }
}
