//! Commands that are run one after the other, each with what it reads in the cache already.

use super::Engine;
use super::batch::Commands;
use super::keyspace::WARM_RUN;
use super::random::Random;
use super::reply::Reply;
use super::run::Ran;
use crate::raft::types::Millis;

/// The commands of a batch, of which up to [`WARM_RUN`] are looked at before they are run.
pub struct Ahead<'a> {
    commands: Commands<'a>,
    /// How many more calls what was looked at is for.
    left: usize,
}

impl<'a> Ahead<'a> {
    pub fn new(commands: Commands<'a>) -> Self {
        Self { commands, left: 0 }
    }

    /// As [`Commands::skip_next`].
    pub fn skip_next(&mut self) {
        self.commands.skip_next();
    }
}

impl Engine {
    /// As [`Engine::run_next`], with the cache misses of the next commands overlapping instead of
    /// adding up.
    #[inline]
    pub fn run_ahead(
        &mut self,
        ahead: &mut Ahead<'_>,
        reply: &mut Reply,
        now_ms: Millis,
        random: &mut Random,
    ) -> Option<Ran> {
        if ahead.left == 0 {
            ahead.left = WARM_RUN;
            self.warm(&ahead.commands);
        }
        ahead.left -= 1;
        self.run_next(&mut ahead.commands, reply, now_ms, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::batch::Batch;
    use crate::engine::command::lookup;

    #[test]
    fn looking_ahead_changes_no_reply() {
        let id = |name: &str| lookup(name.as_bytes()).unwrap();
        let (mut engine, mut batch) = (Engine::new(1), Batch::default());
        let key = |number: usize| format!("a key of more than 22 bytes {}", number % 4000);
        for number in 0..9000 {
            match number % 5 {
                0 | 1 => batch.push(id("append"), 0, &[key(number).as_bytes(), &[b'v'; 50]]),
                2 => batch.push(id("del"), 0, &[key(number * 7).as_bytes()]),
                3 => batch.push(id("get"), (number % 16) as u8, &[key(number * 3).as_bytes()]),
                _ => {
                    let mut queued = Batch::default();
                    queued.push(id("dbsize"), 0, &[]);
                    queued.push(id("strlen"), 0, &[key(number).as_bytes()]);
                    batch.push_transaction(None, id("exec"), &queued, 2);
                }
            }
        }
        let mut other = Engine::new(1);
        let mut replies = [Reply::default(), Reply::default()];
        let (mut one, mut random) = (batch.commands(), Random::new(1));
        while engine.run_next(&mut one, &mut replies[0], 1, &mut random).is_some() {}
        let (mut ahead, mut random) = (Ahead::new(batch.commands()), Random::new(1));
        while other.run_ahead(&mut ahead, &mut replies[1], 1, &mut random).is_some() {}
        assert!(!other.keyspace.fits_cache(), "it did look ahead");
        assert_eq!(replies[0].buffer, replies[1].buffer);
        assert_eq!(engine.digest(), other.digest());
    }
}
