//! Clients that wait without end: what serves them comes from other connections, or their own
//! connection is needed and they are unblocked.

use std::io;

use super::pair::{Difference, Failure, Twin};
use super::reference::Reference;
use super::wait;
use super::wire::{Connection, Value};

type Result<T = ()> = std::result::Result<T, Failure>;

/// A side of a twin: where it waits, and how another connection asks for it.
struct Side<'a> {
    of: &'a mut Connection,
    control: &'a mut Connection,
    id: &'a str,
}

impl Side<'_> {
    /// Whether the client waits, once its command has run that far.
    fn waits(&mut self) -> io::Result<bool> {
        let end = std::time::Instant::now() + wait::LONG;
        while std::time::Instant::now() < end {
            if self.of.has_reply()? {
                return Ok(false);
            }
            if self.is_blocked()? {
                return Ok(true);
            }
        }
        Err(io::Error::other("a command neither waits nor answers"))
    }

    fn is_blocked(&mut self) -> io::Result<bool> {
        Ok(self.told("flags=")?.contains('b'))
    }

    /// A field of the client's line.
    fn told(&mut self, field: &str) -> io::Result<String> {
        let line = self.control.call(&["CLIENT", "LIST", "ID", self.id])?.text();
        let told = line.split(' ').find_map(|each| each.strip_prefix(field));
        Ok(told.unwrap_or_default().to_owned())
    }

    fn unblock(&mut self) -> io::Result<()> {
        self.control.call(&["CLIENT", "UNBLOCK", self.id]).map(drop)
    }
}

/// A twin that waits on both sides.
pub struct Waiting {
    words: Vec<Vec<u8>>,
    redis: String,
    mayfly: String,
}

impl Waiting {
    /// Sends a command; `None` when it has not waited, or has failed as it should.
    pub fn begin(
        twin: &mut Twin,
        controls: (&mut Connection, &mut Connection),
        words: &[Vec<u8>],
    ) -> Result<(Option<Self>, u64)> {
        let (redis, mayfly) = twin.call(&["CLIENT", "ID"])?;
        let waiting = Self { words: words.to_vec(), redis: redis.text(), mayfly: mayfly.text() };
        twin.send(words)?;
        let (mut redis, mut mayfly) = waiting.sides(twin, controls);
        match (redis.waits()?, mayfly.waits()?) {
            (true, true) => {
                waiting.make_consumer(&mut redis)?;
                Ok((Some(waiting), 0))
            }
            (false, false) => Ok((None, waiting.end(twin)?)),
            (redis, mayfly) => {
                let told = |waits: bool| if waits { "waits" } else { "answers" }.to_owned();
                let mut difference = Difference::told("", told(redis), told(mayfly));
                difference.command.clone_from(&waiting.words);
                Err(difference.into())
            }
        }
    }

    fn sides<'a>(
        &'a self,
        twin: &'a mut Twin,
        controls: (&'a mut Connection, &'a mut Connection),
    ) -> (Side<'a>, Side<'a>) {
        let redis = Side { of: &mut twin.redis, control: controls.0, id: &self.redis };
        let mayfly = Side { of: &mut twin.mayfly, control: controls.1, id: &self.mayfly };
        (redis, mayfly)
    }

    /// Since Redis 7.2 a consumer is made even if there is nothing for it, and 7.0 is told to.
    fn make_consumer(&self, redis: &mut Side<'_>) -> io::Result<()> {
        let streams = self.words.iter().position(|word| word.eq_ignore_ascii_case(b"STREAMS"));
        let is_group = self.words[0].eq_ignore_ascii_case(b"XREADGROUP");
        let is_older = Reference::current() == Reference::Redis7;
        let Some(at) = streams.filter(|_| is_group && is_older) else { return Ok(()) };
        let database = redis.told("db=")?;
        redis.control.call(&["SELECT", &database])?;
        for key in &self.words[at + 1..at + 1 + (self.words.len() - at - 1) / 2] {
            let group = [&self.words[2][..], &self.words[3]];
            let made = [&b"XGROUP"[..], b"CREATECONSUMER", key, group[0], group[1]];
            redis.control.call(&made)?;
        }
        Ok(())
    }

    /// Whether redis-server has served it by now.
    pub fn is_served(
        &self,
        twin: &mut Twin,
        controls: (&mut Connection, &mut Connection),
    ) -> Result<bool> {
        Ok(!self.sides(twin, controls).0.waits()?)
    }

    pub fn unblock(&self, twin: &mut Twin, controls: (&mut Connection, &mut Connection)) -> Result {
        let (mut redis, mut mayfly) = self.sides(twin, controls);
        redis.unblock()?;
        Ok(mayfly.unblock()?)
    }

    /// Compares the replies, which are there or on their way.
    pub fn end(&self, twin: &mut Twin) -> Result<u64> {
        let redis = twin.redis.reply()?;
        let mayfly = match twin.mayfly.reply() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Value::Null(b'?'),
            other => other?,
        };
        twin.check(&self.words, &redis, &mayfly)
    }
}
