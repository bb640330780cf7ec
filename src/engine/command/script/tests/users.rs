//! Scripts of users who may not do everything.

use crate::engine::Engine;
use crate::engine::batch::{ArchivedBatch, Batch, Command, Sender};
use crate::engine::command::lookup;
use crate::engine::random::Random;
use crate::engine::reply::Reply;
use crate::engine::script::Limits;
use crate::engine::testing::{START_MS, check, engine};

const RULES: &str = "on nopass +eval +eval_ro +get +sort +lpush ~k* &ch +publish +echo";
const DENIED: &str = "ERR ACL failure in script: User u has no permissions to run the";
const NO_KEY: &str = "ERR ACL failure in script: No permissions to access a key";

/// The reply to a script of user `u`; of an error, what stands before the name of the script.
fn of_user(engine: &mut Engine, command: &str, script: &str) -> String {
    let sender = Sender { user: Some(b"u"), ..Sender::default() };
    let arguments = [script.as_bytes(), b"0"].into_iter().collect();
    let command = Command::new(lookup(command.as_bytes()).unwrap(), 0, arguments);
    let mut reply = Reply::default();
    engine.run(&Command { sender, ..command }, &mut reply, START_MS, &mut Random::new(1));
    let text = String::from_utf8(reply.buffer).unwrap();
    let text = text.split(" script: ").filter(|part| !part.contains("@user_script"));
    text.collect::<Vec<_>>().join(" script: ").replace("\r\n", "|")
}

#[test]
fn each_command_of_a_script_is_checked_for_its_user() {
    let mut engine = engine();
    check(&mut engine, &format!("ACL SETUSER u {RULES}"), "+OK\r\n");
    check(&mut engine, "SET k v", "+OK\r\n");
    let denied = |name: &str| format!("-{DENIED} '{name}' command");
    let cases = [
        ("return redis.call('get', 'k')", "$1|v|".to_owned()),
        ("return redis.call('GET', 'k')", "$1|v|".to_owned()),
        ("return redis.call('echo', 'x')", "$1|x|".to_owned()),
        ("return redis.call('set', 'k', 'w')", denied("set")),
        ("return redis.call('object', 'freq', 'k')", denied("object|freq")),
        ("return redis.call('ping')", denied("ping")),
        ("return redis.call('select', 1)", denied("select")),
        ("return redis.call('get', 'x')", format!("-{NO_KEY}")),
        ("return redis.pcall('get', 'x').err", format!("${}|{NO_KEY}|", NO_KEY.len())),
        ("redis.pcall('set', 'k', 'w') return redis.call('get', 'k')", "$1|v|".to_owned()),
        ("return redis.call('publish', 'ch', 'm')", ":0|".to_owned()),
        (
            "return redis.call('publish', 'other', 'm')",
            "-ERR ACL failure in script: No permissions to access a channel".to_owned(),
        ),
        (
            "return redis.call('sort', 'k', 'by', 'w*')",
            "-ERR BY option of SORT denied due to insufficient ACL permissions.".to_owned(),
        ),
        // What is no command, or of no script, is told before.
        (
            "return redis.call('config', 'get', 'x')",
            "-ERR This Redis command is not allowed from script".to_owned(),
        ),
        (
            "return redis.call('set', 'k')",
            "-ERR Wrong number of args calling Redis command from script".to_owned(),
        ),
        ("return redis.acl_check_cmd('get', 'k')", ":1|".to_owned()),
        ("return redis.acl_check_cmd('get', 'x')", "$-1|".to_owned()),
        ("return redis.acl_check_cmd('set', 'k', 1)", "$-1|".to_owned()),
    ];
    for (script, expected) in cases {
        assert_eq!(of_user(&mut engine, "eval", script), expected, "{script}");
    }
    let read_only = [
        ("return redis.call('get', 'k')", "$1|v|".to_owned()),
        ("return redis.call('get', 'x')", format!("-{NO_KEY}")),
        ("return redis.call('set', 'k', 1)", denied("set")),
        (
            "return redis.call('lpush', 'k', 1)",
            "-ERR Write commands are not allowed from read-only scripts.".to_owned(),
        ),
    ];
    for (script, expected) in read_only {
        assert_eq!(of_user(&mut engine, "eval_ro", script), expected, "{script}");
    }
    // Others are not.
    check(&mut engine, "EVAL \"return redis.call('set', 'x', 'w')\" 0", "+OK\r\n");
    check(&mut engine, "EVAL \"return redis.acl_check_cmd('set', 'x', 'w')\" 0", ":1\r\n");
}

#[test]
fn a_script_goes_by_the_users_of_its_entry() {
    let mut engine = engine();
    let script = "return redis.call('get', 'k')";
    let denied = format!("-{DENIED} 'get' command");
    // Nobody has that name yet.
    assert_eq!(of_user(&mut engine, "eval", script), denied);
    check(&mut engine, "ACL SETUSER u +get ~*", "+OK\r\n");
    assert_eq!(of_user(&mut engine, "eval", script), "$-1|");
    check(&mut engine, "ACL SETUSER u -get", "+OK\r\n");
    assert_eq!(of_user(&mut engine, "eval", script), denied);
    check(&mut engine, "ACL SETUSER u allcommands allchannels", "+OK\r\n");
    assert_eq!(of_user(&mut engine, "eval", script), "$-1|");
    check(&mut engine, "ACL DELUSER u", ":1\r\n");
    assert_eq!(of_user(&mut engine, "eval", script), denied);
    assert_eq!(of_user(&mut engine, "eval", "return redis.acl_check_cmd('get', 'k')"), "$-1|");
}

#[test]
fn a_script_that_begins_anew_is_denied_the_same() {
    let mut engine = engine();
    engine.runtime.limits = Limits {
        instructions: 1_200_000,
        memory: 32 << 20,
        allotted_instructions: 300_000,
        allotted_memory: 2 << 20,
    };
    check(&mut engine, "ACL SETUSER u +incr ~k", "+OK\r\n");
    let script = "redis.call('incr', 'k') local told = redis.pcall('incr', 'x').err \
                  for i = 1, 400000 do end redis.pcall('incr', 'x') \
                  return {redis.call('incr', 'k'), told}";
    let told = format!("*2|:2|${}|{NO_KEY}|", NO_KEY.len());
    assert_eq!(of_user(&mut engine, "eval", script), told);
    check(&mut engine, "EXISTS x", ":0\r\n");
}

#[test]
fn the_commands_of_a_transaction_are_of_their_own_users() {
    let mut engine = engine();
    check(&mut engine, "ACL SETUSER u +get ~*", "+OK\r\n");
    let (eval, exec) = (lookup(b"eval").unwrap(), lookup(b"exec").unwrap());
    let script: [&[u8]; 2] = [b"return redis.pcall('set', KEYS[1] or 'k', 'v')", b"0"];
    let mut queued = Batch::default();
    queued.push_of(Sender { user: Some(b"u"), ..Sender::default() }, eval, 0, &script);
    queued.push(eval, 0, &script);
    let mut batch = Batch::default();
    batch.push_transaction(None, exec, &queued, 2);
    let archive = batch.to_archive();
    ArchivedBatch::validate(&archive).unwrap();
    let mut reply = Reply::default();
    let mut commands = ArchivedBatch::commands(&archive);
    engine.run_next(&mut commands, &mut reply, START_MS, &mut Random::new(1));
    let expected = format!("*2\r\n-{DENIED} 'set' command\r\n+OK\r\n");
    assert_eq!(String::from_utf8(reply.buffer).unwrap(), expected);
}
