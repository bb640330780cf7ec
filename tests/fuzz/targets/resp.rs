//! Requests of clients: arrays and inline commands, whole and in pieces.

use mayfly::net::resp::{Authentication, Limits, ParseState, Parsed, ProtocolError, Words, parse};

use super::input::Input;

/// Bytes of a word here; the larger ones differ in nothing but memory.
const BULK_BYTES_MAX: usize = 1 << 20;

/// Bytes of an input that may come in pieces of any size.
const SHORT_BYTES: usize = 2048;

/// What a connection has made of its input.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    requests: Vec<Vec<Vec<u8>>>,
    /// Bytes that became requests or nothing.
    consumed: usize,
    error: Option<ProtocolError>,
}

/// The first byte tells whether the client has authenticated, the next two how the rest is cut.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let authentication = match input.flag() {
        true => Authentication::Required,
        false => Authentication::Done,
    };
    let (first, step) = (usize::from(input.byte()), 1 + usize::from(input.byte()));
    let limits = Limits::new(BULK_BYTES_MAX, authentication);
    let bytes = input.rest();
    // A long line is looked at again from its start with each piece.
    let step = if bytes.len() > SHORT_BYTES { step.max(bytes.len() / 16) } else { step };
    let whole = receive(bytes, &limits, bytes.len(), 1);
    let mut pieces = receive(bytes, &limits, first, step);
    if pieces.error.is_none() {
        // A request in pieces is looked at again when it may be complete, so that what is wrong
        // with it may not have been seen yet.
        pieces.error = whole.error;
    }
    assert_eq!(whole, pieces, "in pieces of {step} after {first}");
}

/// Receives `first` bytes, then `step` at a time.
fn receive(bytes: &[u8], limits: &Limits, first: usize, step: usize) -> Seen {
    let mut seen = Seen::default();
    let (mut state, mut words) = (ParseState::default(), Words::default());
    let mut received = first.min(bytes.len());
    loop {
        let input = &bytes[seen.consumed..received];
        match parse(input, limits, &mut state, &mut words) {
            Ok(Parsed::Request { consumed }) => {
                let request = words.slices(input).iter().map(|word| word.to_vec()).collect();
                seen.requests.push(request);
                advance(&mut seen, consumed, input.len());
            }
            Ok(Parsed::Empty { consumed }) => advance(&mut seen, consumed, input.len()),
            Ok(Parsed::Incomplete) if received == bytes.len() => return seen,
            Ok(Parsed::Incomplete) => received = (received + step).min(bytes.len()),
            Err(error) => {
                seen.error = Some(error);
                return seen;
            }
        }
    }
}

fn advance(seen: &mut Seen, consumed: usize, available: usize) {
    assert!((1..=available).contains(&consumed), "{consumed} of {available} bytes");
    seen.consumed += consumed;
}

pub fn seeds() -> Vec<Vec<u8>> {
    let long_line = [b"SET k ".as_slice(), &[b'v'; 70_000], b"\r\n"].concat();
    let inputs: [&[u8]; 16] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
        b"*1\r\n$4\r\nPING\r\n\r\n*0\r\n*-1\r\nPING\r\n",
        b"PING\r\nSET k \"a b\\x41\\n\" 'c\\'d'\r\nGET k\n",
        b"SET \"unbalanced\r\n",
        b"SET 'a'b\r\n",
        b"*2\r\n$3\r\nGET\r\n:1\r\n",
        b"*1048577\r\n",
        b"*-9223372036854775808\r\n*9223372036854775807\r\n",
        b"*99999999999999999999999999\r\n",
        b"*1\r\n$1048577\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$0\r\n\r\n*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n",
        b"*11\r\n$1\r\na\r\n",
        b"*1\r\n$16385\r\n",
        b"HELLO 3 AUTH default secret SETNAME me\r\n*2\r\n$5\r\nHELLO\r\n$1\r\n2\r\n",
        &long_line,
    ];
    let cut = |(position, input): (usize, &&[u8])| {
        [&[(position % 2) as u8, (7 * position) as u8, position as u8], *input].concat()
    };
    inputs.iter().enumerate().map(cut).collect()
}
