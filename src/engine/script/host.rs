//! What a state of Lua and the host share about the script that runs: its limits, its chance, its
//! clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::engine::reply::Protocol;
use crate::raft::types::Millis;

/// Why a script was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    #[error("ERR Script was stopped: it has run for too many instructions")]
    Instructions,
    #[error("ERR Script was stopped: it needs too much memory")]
    Memory,
}

/// Handles share the same state.
#[derive(Clone, Debug, Default)]
pub struct Host(Arc<State>);

/// One thread uses it at a time, so the order of these accesses is the program's.
#[derive(Debug, Default)]
struct State {
    /// Instructions that are left.
    left: AtomicU64,
    stopped: AtomicU8,
    /// Of `math.random`: 48 bits.
    random: AtomicU64,
    now_ms: AtomicU64,
    /// What `redis.setresp` has chosen.
    is_resp3: AtomicBool,
}

/// Source: POSIX, `lrand48`.
const MULTIPLIER: u64 = 0x5_deec_e66d;
const INCREMENT: u64 = 0xb;
const MASK: u64 = (1 << 48) - 1;
const SEED_LOW: u64 = 0x330e;

impl Host {
    /// A script begins.
    pub fn begin(&self, instructions: u64, seed: u64, now_ms: Millis) {
        self.0.left.store(instructions, Ordering::Relaxed);
        self.0.stopped.store(0, Ordering::Relaxed);
        self.0.random.store(seed & MASK, Ordering::Relaxed);
        self.0.now_ms.store(now_ms, Ordering::Relaxed);
        self.set_protocol(Protocol::Resp2);
    }

    /// The protocol of the replies that the script is given.
    pub fn protocol(&self) -> Protocol {
        match self.0.is_resp3.load(Ordering::Relaxed) {
            true => Protocol::Resp3,
            false => Protocol::Resp2,
        }
    }

    pub fn set_protocol(&self, protocol: Protocol) {
        self.0.is_resp3.store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    pub fn now_ms(&self) -> Millis {
        self.0.now_ms.load(Ordering::Relaxed)
    }

    /// Takes so many of the instructions that are left.
    pub fn charge(&self, instructions: u64) -> mlua::Result<()> {
        let left = self.0.left.load(Ordering::Relaxed);
        self.0.left.store(left.saturating_sub(instructions), Ordering::Relaxed);
        if left < instructions {
            return Err(self.stop(Stop::Instructions));
        }
        Ok(())
    }

    /// Ends the script with the error that is returned, which nobody may catch.
    pub fn stop(&self, stop: Stop) -> mlua::Error {
        let code = match stop {
            Stop::Instructions => 1,
            Stop::Memory => 2,
        };
        self.0.stopped.store(code, Ordering::Relaxed);
        mlua::Error::external(stop)
    }

    pub fn stopped(&self) -> Option<Stop> {
        match self.0.stopped.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Stop::Instructions),
            _ => Some(Stop::Memory),
        }
    }

    /// The next random number of 31 bits.
    pub fn draw(&self) -> u32 {
        let last = self.0.random.load(Ordering::Relaxed);
        let next = last.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        self.0.random.store(next, Ordering::Relaxed);
        (next >> 17) as u32
    }

    /// As `srand48` does it.
    pub fn seed(&self, seed: u32) {
        self.0.random.store(u64::from(seed) << 16 | SEED_LOW, Ordering::Relaxed);
    }
}
