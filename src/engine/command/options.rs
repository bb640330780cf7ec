//! Options that several commands share.

use crate::engine::error::CommandError;
use crate::engine::keyspace::DATABASE_COUNT;
use crate::engine::number::integer;
use crate::raft::types::Millis;

/// A number that can be negated, or Redis's error for the one that cannot.
pub fn negatable(argument: &[u8]) -> Result<i64, CommandError> {
    match integer(argument)? {
        i64::MIN => Err(CommandError::text(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        )),
        number => Ok(number),
    }
}

/// Whether an argument is this word, in letters of any case. Precondition: `word` is in upper case.
#[inline]
pub fn is_word(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

const OUT_OF_RANGE: CommandError =
    CommandError::text("ERR value is out of range, value must between -2147483648 and 2147483647");

/// The number of a database.
pub fn database(argument: &[u8]) -> Result<u8, CommandError> {
    check_database(i32::try_from(integer(argument)?).map_err(|_| OUT_OF_RANGE)?)
}

/// A number as that of a database.
pub fn check_database(number: i32) -> Result<u8, CommandError> {
    match u8::try_from(number) {
        Ok(database) if database < DATABASE_COUNT => Ok(database),
        _ => Err(CommandError::DatabaseOutOfRange),
    }
}

/// In what a time is given, and from when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeForm {
    SecondsFromNow,
    MillisFromNow,
    UnixSeconds,
    UnixMillis,
}

impl TimeForm {
    /// The form that the options of SET and GETEX name.
    pub fn of_option(option: &[u8]) -> Option<Self> {
        match option {
            [b'E' | b'e', b'X' | b'x'] => Some(Self::SecondsFromNow),
            [b'P' | b'p', b'X' | b'x'] => Some(Self::MillisFromNow),
            _ if is_word(option, "EXAT") => Some(Self::UnixSeconds),
            _ if is_word(option, "PXAT") => Some(Self::UnixMillis),
            _ => None,
        }
    }

    /// The time since the Unix epoch in milliseconds, which may be past or even negative.
    pub fn absolute(
        self,
        argument: &[u8],
        now_ms: Millis,
        command: &'static str,
    ) -> Result<i64, CommandError> {
        let time = integer(argument)?;
        let invalid = CommandError::InvalidExpire(command);
        let (scale, base) = match self {
            Self::SecondsFromNow => (1000, now_ms as i64),
            Self::MillisFromNow => (1, now_ms as i64),
            Self::UnixSeconds => (1000, 0),
            Self::UnixMillis => (1, 0),
        };
        time.checked_mul(scale).and_then(|time| time.checked_add(base)).ok_or(invalid)
    }

    /// [`TimeForm::absolute`] where a time that is not positive is refused.
    pub fn deadline(
        self,
        argument: &[u8],
        now_ms: Millis,
        command: &'static str,
    ) -> Result<Millis, CommandError> {
        if integer(argument)? <= 0 {
            return Err(CommandError::InvalidExpire(command));
        }
        Ok(self.absolute(argument, now_ms, command)? as Millis)
    }
}
