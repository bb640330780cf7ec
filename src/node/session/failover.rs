//! Changing who leads, in the words of Redis: FAILOVER on the leader, CLUSTER FAILOVER on the
//! member that is to lead. Both are answered when it is done, where Redis answers when it begins.

use super::{Arguments, Outcome, admin, is_word};
use crate::engine::error::CommandError;
use crate::engine::number::integer;
use crate::node::mailbox::{AdminCommand, FailoverTarget};
use crate::raft::types::Millis;

/// FAILOVER `[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]`
///
/// FORCE has Redis lose what the target lacks when the time is over. Who lacks committed entries
/// cannot lead here, so that it makes no difference.
pub fn fail_over(arguments: Arguments<'_, '_>) -> Result<Outcome, CommandError> {
    let (mut target, mut timeout_ms) = (None, None);
    let (mut force, mut abort) = (false, false);
    let mut words = arguments;
    while let [word, rest @ ..] = words {
        words = match rest {
            [milliseconds, rest @ ..] if is_word(word, "TIMEOUT") && timeout_ms.is_none() => {
                timeout_ms = Some(timeout(milliseconds)?);
                rest
            }
            [host, port, rest @ ..] if is_word(word, "TO") && target.is_none() => {
                let host = String::from_utf8_lossy(host).into_owned();
                target = Some(FailoverTarget { host, port: integer(port)? });
                rest
            }
            _ if is_word(word, "FORCE") && !force => {
                force = true;
                rest
            }
            _ if is_word(word, "ABORT") && !abort && arguments.len() == 1 => {
                abort = true;
                rest
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    if abort {
        return Ok(admin(AdminCommand::AbortFailover));
    }
    if force && (target.is_none() || timeout_ms.is_none()) {
        return Err(CommandError::text(
            "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
        ));
    }
    Ok(admin(AdminCommand::Failover { target, timeout_ms }))
}

fn timeout(word: &[u8]) -> Result<Millis, CommandError> {
    let refusal = CommandError::text("ERR FAILOVER timeout must be greater than 0");
    u64::try_from(integer(word)?).ok().filter(|timeout| *timeout > 0).ok_or(refusal)
}

/// CLUSTER FAILOVER `[FORCE | TAKEOVER]`
///
/// Without a word the leader hands over, once this node has all that it has. With one this node
/// stands for election at once, without being asked whether it could win: the leader may be gone.
pub fn take_over(arguments: Arguments<'_, '_>) -> Result<Outcome, CommandError> {
    let force = match arguments {
        [] => false,
        [word] if is_word(word, "FORCE") || is_word(word, "TAKEOVER") => true,
        _ => return Err(CommandError::Syntax),
    };
    Ok(admin(AdminCommand::TakeOver { force }))
}
