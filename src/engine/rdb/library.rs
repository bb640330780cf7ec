//! Libraries of functions as FUNCTION DUMP gives them: each an opcode and its code, then the footer
//! of every payload.

use super::read::Input;
use super::write::Writer;
use super::{RdbError, Result, VERSION, body_of, close};
use crate::limits::LIBRARIES_MAX;

/// Stands before the code of a library.
const FUNCTION: u8 = 245;

/// The payload of libraries of this code.
pub fn dump_libraries<'a>(codes: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut writer = Writer::default();
    for code in codes {
        writer.raw(&[FUNCTION]);
        writer.string(code);
    }
    close(writer.into_bytes(), VERSION)
}

/// The code of each library in a payload of [`dump_libraries`], here or in Redis.
pub fn load_libraries(payload: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut input = Input::new(body_of(payload)?.0);
    let mut codes = Vec::new();
    while !input.is_empty() {
        if input.byte()? != FUNCTION || codes.len() == LIBRARIES_MAX {
            return Err(RdbError::Format);
        }
        codes.push(input.string()?.into_owned());
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What redis-server 7.0 gives for one library.
    const OF_REDIS: &[u8] = b"\xf58#!lua name=d\nredis.register_function('d',function() end)\n\
        \x00)\x81\xe8\xfdF\xb6?\xda";

    #[test]
    fn payloads_are_those_of_redis() {
        let code = b"#!lua name=d\nredis.register_function('d',function() end)";
        assert_eq!(load_libraries(OF_REDIS), Ok(vec![code.to_vec()]));
        assert_eq!(dump_libraries([&code[..]].into_iter()), OF_REDIS);
        assert_eq!(dump_libraries([].into_iter()), b"\n\x00]\x9b\\@\x0f\x7f\xa2\xda");
        assert_eq!(load_libraries(&dump_libraries([].into_iter())), Ok(Vec::new()));
    }

    #[test]
    fn other_payloads_are_refused() {
        for cut in 0..OF_REDIS.len() {
            assert_eq!(load_libraries(&OF_REDIS[..cut]), Err(RdbError::Footer), "{cut}");
        }
        for body in [&b"\x00\x01x"[..], b"\xf6\x01x", b"\xf5", b"\xf5\x05x", b"\xf5\x01xy"] {
            let payload = close(body.to_vec(), VERSION);
            assert_eq!(load_libraries(&payload), Err(RdbError::Format), "{body:?}");
        }
        assert_eq!(load_libraries(&close(Vec::new(), 99)), Err(RdbError::Footer));
        let many = close(b"\xf5\x01x".repeat(LIBRARIES_MAX + 1), VERSION);
        assert_eq!(load_libraries(&many), Err(RdbError::Format));
    }
}
