//! Reading requests as clients send them, 64 in one buffer.

use std::hint::black_box;

use mayfly::engine::command::lookup;
use mayfly::net::resp::{Authentication, Limits, ParseState, Parsed, Words, parse};

use crate::process::ProcessError;

use super::{Bench, Measurement};

const PIPELINE: u64 = 64;

pub fn run(bench: &mut Bench<'_>) -> Result<(), ProcessError> {
    let requests: [(&str, &[u8]); 4] = [
        ("SET", b"*3\r\n$3\r\nSET\r\n$16\r\nkey:__rand_int__\r\n$3\r\nxxx\r\n"),
        ("GET", b"*2\r\n$3\r\nGET\r\n$16\r\nkey:__rand_int__\r\n"),
        ("PING inline", b"PING\r\n"),
        ("MSET of 10", MSET),
    ];
    for (name, request) in requests {
        let input = request.repeat(PIPELINE as usize);
        let limits = Limits::new(512 << 20, Authentication::Done);
        let mut words = Words::default();
        let mut work = || {
            let requests = parse_all(&input, &limits, &mut words);
            assert_eq!(requests, PIPELINE);
        };
        let name = format!("parse and look up {name}, {PIPELINE} per call");
        bench.measure(Measurement { name, units: PIPELINE, work: &mut work })?;
    }
    Ok(())
}

const MSET: &[u8] = b"*21\r\n$4\r\nMSET\r\n\
    $5\r\nkey:0\r\n$3\r\nxxx\r\n$5\r\nkey:1\r\n$3\r\nxxx\r\n$5\r\nkey:2\r\n$3\r\nxxx\r\n\
    $5\r\nkey:3\r\n$3\r\nxxx\r\n$5\r\nkey:4\r\n$3\r\nxxx\r\n$5\r\nkey:5\r\n$3\r\nxxx\r\n\
    $5\r\nkey:6\r\n$3\r\nxxx\r\n$5\r\nkey:7\r\n$3\r\nxxx\r\n$5\r\nkey:8\r\n$3\r\nxxx\r\n\
    $5\r\nkey:9\r\n$3\r\nxxx\r\n";

/// Reads all requests of `input`, finds their commands, and returns how many there were.
fn parse_all(mut input: &[u8], limits: &Limits, words: &mut Words) -> u64 {
    let mut requests = 0;
    let mut state = ParseState::default();
    while let Ok(Parsed::Request { consumed }) = parse(input, limits, &mut state, words) {
        let slices = words.slices(input);
        let command = lookup(slices[0]).expect("invariant: a known command");
        black_box((command, &slices[1..]));
        requests += 1;
        input = &input[consumed..];
    }
    requests
}
