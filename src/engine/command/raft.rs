//! What concerns the consensus group: the register of RAFT.WRITE and RAFT.READ, replicated like any
//! key, and the commands that the node itself answers.

use super::options::{check_database, is_word};
use super::{CommandSpec, Context, Docs, Flags, Keys, NodeCommand};
use crate::engine::error::CommandError;
use crate::engine::number::integer;
use crate::raft::types::MemberId;

fn write(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    context.register.clear();
    context.register.extend_from_slice(arguments[0]);
    context.reply.ok();
    Ok(())
}

/// RAFT.UNBLOCK: the clients of a member that is not heard of wait no more.
fn unblock(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let member = u64::try_from(integer(arguments[0])?).map_err(|_| CommandError::NotInteger)?;
    let count = context.waiting.pass_over(context.keyspace, MemberId(member));
    context.reply.count(count);
    Ok(())
}

/// RAFT.SETTING SET: what CONFIG SET on any node puts into the log. FOUND: what the first leader
/// brings; nothing once settings were set.
fn setting(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let founds = match arguments[0] {
        word if is_word(word, "SET") => false,
        word if is_word(word, "FOUND") => true,
        _ => return Err(CommandError::Syntax),
    };
    let (pairs, []) = arguments[1..].as_chunks::<2>() else { return Err(CommandError::Syntax) };
    if !(founds && context.settings.is_founded()) {
        let text = |word| std::str::from_utf8(word).map_err(|_| CommandError::Syntax);
        let changes = pairs.iter().map(|[name, value]| Ok((text(name)?, text(value)?)));
        let changes = changes.collect::<Result<Vec<_>, CommandError>>()?;
        let mut settings = context.settings.clone();
        settings.set_all(changes.into_iter()).map_err(|error| {
            let text = format!("ERR {error}");
            CommandError::Text(text.into())
        })?;
        settings.found();
        context.keyspace.follow_settings(&settings);
        *context.settings = settings;
        *context.settings_changed = true;
        context.follow_import();
    }
    context.reply.ok();
    Ok(())
}

/// RAFT.EVICT: the keys that the leader chose when it had applied an entry, databases and keys in
/// turn. They go while memory is short.
fn evict(context: &mut Context<'_>, arguments: &[&[u8]]) -> Result<(), CommandError> {
    let index = u64::try_from(integer(arguments[0])?).map_err(|_| CommandError::NotInteger)?;
    let (pairs, []) = arguments[1..].as_chunks::<2>() else { return Err(CommandError::Syntax) };
    let mut count = 0;
    for [database, key] in pairs {
        let database = check_database(i32::try_from(integer(database)?).unwrap_or(-1))?;
        count += usize::from(context.keyspace.evict(database, key, index));
    }
    context.reply.count(count);
    Ok(())
}

fn read(context: &mut Context<'_>, _: &[&[u8]]) -> Result<(), CommandError> {
    context.reply.simple_bytes(context.register);
    Ok(())
}

const ADMIN: Flags = Flags::of(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::STALE, Flags::NO_MULTI]);
const LOGGED: Flags =
    Flags::of(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::STALE, Flags::LOADING, Flags::LOGGED]);
const TELL: Flags = Flags::of(&[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE]);

const fn docs(summary: &'static str) -> Docs {
    Docs::new("cluster", "1.0.0", "O(1)", summary)
}

#[rustfmt::skip]
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec::engine("raft.read", 1, Flags::READONLY, Keys::NONE, read,
        docs("Reads the register, linearizably.")),
    CommandSpec::engine("raft.write", 2, Flags::of(&[Flags::WRITE, Flags::DENYOOM]), Keys::NONE,
        write, docs("Sets the register; answers when that is committed.")),
    CommandSpec::node("raft.cluster", -2, ADMIN, NodeCommand::RaftCluster,
        docs("Makes a new cluster of this node, or lets it join one.")),
    CommandSpec::node("raft.config", -2, ADMIN, NodeCommand::RaftConfig,
        docs("Reads or changes settings of the consensus group.")),
    CommandSpec::node("raft.debug", -2, ADMIN, NodeCommand::RaftDebug,
        docs("Drops applied entries, tells the digest of the state, or runs a command of this node alone.")),
    CommandSpec::engine("raft.evict", -2, LOGGED, Keys::NONE, evict,
        docs("Removes keys that the leader chose, while memory is short.")),
    CommandSpec::node("raft.info", 1, TELL, NodeCommand::RaftInfo,
        docs("Tells the state of the consensus group.")),
    CommandSpec::node("raft.node", -3, ADMIN, NodeCommand::RaftNode,
        docs("Adds a member to the cluster or removes one.")),
    CommandSpec::node("raft.nodeshutdown", 2, ADMIN, NodeCommand::RaftNodeshutdown,
        docs("Stops this node, if it is the one that is named.")),
    CommandSpec::engine("raft.setting", -2, LOGGED, Keys::NONE, setting,
        docs("Changes what all nodes have alike: what CONFIG SET puts into the log.")),
    CommandSpec::node("raft.timeout_now", 1, ADMIN, NodeCommand::RaftTimeoutNow,
        docs("Lets this node stand for election at once.")),
    CommandSpec::node("raft.transfer_leader", -1, ADMIN, NodeCommand::RaftTransferLeader,
        docs("Hands leadership to another member.")),
    CommandSpec::engine("raft.unblock", 2, ADMIN.union(Flags::LOGGED), Keys::NONE, unblock,
        docs("Passes over the clients of a member that wait: a live member lets them wait anew.")),
    CommandSpec::node("raft.wait_ready", 2, ADMIN, NodeCommand::RaftWaitReady,
        docs("Waits until the node is a voter that has caught up and reaches all voters.")),
];
