//! Gives a server a data set of keys that redis-benchmark's `-r` names too.

use crate::client::{Client, ClientError};
use crate::interrupt;
use crate::process::ProcessError;

/// Keys in one MSET.
const KEYS_PER_COMMAND: u32 = 500;

/// MSETs that are sent before their answers are read: so many that the server need not wait, and
/// their answers fit into any socket buffer.
const COMMANDS_IN_FLIGHT: u32 = 8;

#[derive(Debug, thiserror::Error)]
pub enum FillError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// The key number `number`, 16 bytes long.
pub fn key(number: u32) -> String {
    format!("key:{number:012}")
}

/// Sets the keys from 0 to `count`, each to what `value` says.
pub fn fill(port: u16, count: u32, value: impl Fn(u32) -> String) -> Result<(), FillError> {
    let mut client = Client::connect(port)?;
    let mut next = 0;
    while next < count {
        if interrupt::is_interrupted() {
            return Err(ProcessError::Interrupted.into());
        }
        let mut commands = 0;
        while commands < COMMANDS_IN_FLIGHT && next < count {
            let end = count.min(next.saturating_add(KEYS_PER_COMMAND));
            let pairs = (next..end).flat_map(|number| [key(number), value(number)]);
            let words: Vec<String> = std::iter::once("MSET".to_owned()).chain(pairs).collect();
            client.queue(&words.iter().map(String::as_str).collect::<Vec<_>>());
            next = end;
            commands += 1;
        }
        client.send()?;
        for _ in 0..commands {
            client.receive()?;
        }
    }
    Ok(())
}

/// 64 bytes that differ from key to key and that no compression makes shorter by much.
pub fn value_of_64_bytes(number: u32) -> String {
    // splitmix64 (https://prng.di.unimi.it/splitmix64.c) in hexadecimal.
    let mut state = u64::from(number);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..4).map(|_| format!("{:016x}", next())).collect()
}

#[test]
fn keys_and_values_have_their_sizes() {
    assert_eq!((key(0).len(), key(u32::MAX).len()), (16, 16));
    let values = [0, 1, u32::MAX].map(value_of_64_bytes);
    assert!(values.iter().all(|value| value.len() == 64));
    assert_ne!(values[0], values[1]);
}
