//! The state machine's input: any commands with any arguments, in any batch that a peer or a client
//! may have made. Two engines that run the same entries must agree, each reply must be one value of
//! the client's protocol, and a snapshot must hold all of it.

use mayfly::engine::Engine;
use mayfly::engine::batch::{ArchivedBatch, Batch};
use mayfly::engine::command::table::all;
use mayfly::engine::command::{CommandId, command_count, lookup, spec};
use mayfly::engine::random::Random;
use mayfly::engine::reply::{Protocol, Reply};
use mayfly::raft::types::Index;
use mayfly::snapshot::{Reader, write};

use super::input::{Input, aligned};
use super::syntax;

/// Commands of one input.
const COMMANDS_MAX: usize = 48;

/// Arguments of one command.
const ARGUMENTS_MAX: usize = 10;

/// A number that asks for memory or time in proportion is refused or small here: between these,
/// SETRANGE, SETBIT, SRANDMEMBER and their like do what they are told, which takes too long.
const COSTLY: std::ops::Range<u128> = 5_000..1 << 40;

const KEYS: [&str; 6] = ["a", "b", "c", "d{a}", "e{a}", ""];

/// Words that some command gives a meaning.
#[rustfmt::skip]
const WORDS: [&str; 121] = [
    "0", "-1", "1", "2", "3", "10", "100", "-100", "9223372036854775807", "-9223372036854775808",
    "9223372036854775808", "18446744073709551615", "4294967295", "4294967296", "1e308", "-1e400",
    "inf", "-inf", "nan", "0x10", "1.5", "3.0e-5", " 1", "1 ", "+1", "-0", "00", "(1", "[a", "(a",
    "-", "+", "*", "?", "[a-", "\\", "a*", "$", ">", "=", "~", "NX", "XX", "GT", "LT", "CH", "INCR",
    "EX", "PX", "EXAT", "PXAT", "KEEPTTL", "PERSIST", "GET", "LEFT", "RIGHT", "BEFORE", "AFTER",
    "COUNT", "MATCH", "TYPE", "NOVALUES", "WITHSCORES", "WITHVALUES", "LIMIT", "REV", "BYSCORE",
    "BYLEX", "BYBOX", "BYRADIUS", "FROMMEMBER", "FROMLONLAT", "WITHCOORD", "WITHDIST", "WITHHASH",
    "STORE", "STOREDIST", "ASC", "DESC", "ANY", "m", "km", "WEIGHTS", "AGGREGATE", "SUM", "MIN",
    "MAX", "REPLACE", "DB", "ABSTTL", "IDLETIME", "FREQ", "BY", "ALPHA", "#", "w*", "w*->f", "f",
    "AND", "OR", "XOR", "NOT", "BIT", "BYTE", "u8", "i64", "OVERFLOW", "SAT", "FAIL", "MKSTREAM",
    "ENTRIESREAD", "MAXLEN", "MINID", "NOMKSTREAM", "STREAMS", "GROUP", "5-5", "1-*",
    "FIELDS", "FNX", "FXX",
];

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.flag() && input.flag() {
        return damaged(input.rest());
    }
    let entries = entries(&mut input);
    let protocol = if input.flag() { Protocol::Resp3 } else { Protocol::Resp2 };
    let (mut origin, mut other) = (Engine::new(7), Engine::new(7));
    let mut unwanted = Reply::default();
    for (index, (at_ms, batch)) in (1..).zip(&entries) {
        for engine in [&mut origin, &mut other] {
            engine.begin_entry(index, *at_ms);
            engine.keyspace.expire_due(100);
        }
        other.apply_batch(batch.commands(), index, *at_ms, &mut unwanted);
        answer(&mut origin, batch, index, *at_ms, protocol);
    }
    assert_eq!(origin.digest(), other.digest(), "two nodes that ran the same differ");
    assert_snapshot_holds(&mut origin, entries.len() as u64);
}

/// Asserts that a snapshot of the engine is read as the same state.
pub fn assert_snapshot_holds(engine: &mut Engine, index: u64) {
    let mut reader = Reader::default();
    for chunk in write(engine, Index(index)) {
        reader.read(chunk.as_slice()).expect("what was written is read");
    }
    let loaded = reader.finish().expect("a whole snapshot");
    assert_eq!(engine.digest(), loaded.engine.digest(), "a snapshot holds another state");
}

/// Runs the commands of a batch one by one, as their origin does.
fn answer(engine: &mut Engine, batch: &Batch, index: u64, at_ms: u64, protocol: Protocol) {
    let mut random = Random::new(index);
    for command in batch.commands() {
        let mut reply = Reply::new(protocol);
        engine.run(&command, &mut reply, at_ms, &mut random);
        let rest = syntax::value(&reply.buffer);
        assert!(
            rest.is_some_and(<[u8]>::is_empty),
            "{} {:?}: no single reply: {}",
            spec(command.id).name,
            command.arguments,
            reply.buffer.escape_ascii()
        );
    }
}

/// A batch as its bytes came from a peer.
fn damaged(bytes: &[u8]) {
    let archive = aligned(bytes);
    if ArchivedBatch::validate(&archive).is_err() {
        return;
    }
    let commands = ArchivedBatch::commands(&archive);
    if commands.clone().any(|command| is_costly(&command.arguments)) {
        return;
    }
    let mut engine = Engine::new(7);
    engine.begin_entry(1, 1_000);
    engine.apply_batch(commands, 1, 1_000, &mut Reply::default());
    assert_snapshot_holds(&mut engine, 1);
}

fn entries(input: &mut Input<'_>) -> Vec<(u64, Batch)> {
    let mut entries = Vec::new();
    let (mut at_ms, mut commands) = (1_700_000_000_000, 0);
    while !input.is_empty() && commands < COMMANDS_MAX {
        // Consensus lets no clock beyond 2^62 into its log, nor one that goes back.
        at_ms = input.number(at_ms).clamp(at_ms, 1 << 62);
        let mut batch = Batch::default();
        for _ in 0..1 + input.below(8) {
            commands += 1;
            push(&mut batch, input);
        }
        entries.push((at_ms, batch));
    }
    entries
}

fn push(batch: &mut Batch, input: &mut Input<'_>) {
    let id = CommandId(input.u16() % command_count() as u16);
    let count = input.below(ARGUMENTS_MAX + 1);
    let database = if input.below(8) == 7 { input.byte() } else { input.below(2) as u8 };
    let arguments: Vec<Vec<u8>> = (0..count).map(|_| argument(id, input)).collect();
    let slices: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    if !is_costly(&slices) {
        batch.push(id, database, &slices);
    }
}

fn argument(id: CommandId, input: &mut Input<'_>) -> Vec<u8> {
    let text = |text: &str| text.as_bytes().to_vec();
    match input.below(8) {
        0..=2 => text(KEYS[input.below(KEYS.len())]),
        3 | 4 => text(WORDS[input.below(WORDS.len())]),
        5 => {
            let subcommands = spec(id).subcommands;
            match subcommands.len() {
                0 => (input.number(0) as i64).to_string().into_bytes(),
                len => text(subcommands[input.below(len)].name),
            }
        }
        6 => {
            let len = usize::from(input.byte());
            input.take(len).to_vec()
        }
        _ => (input.number(0) as i64).to_string().into_bytes(),
    }
}

fn is_costly(arguments: &[&[u8]]) -> bool {
    arguments.iter().any(|argument| {
        // Offsets of BITFIELD have a # before them.
        let digits = argument.strip_prefix(b"#").unwrap_or(argument);
        let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<i128>().ok());
        number.is_some_and(|number| COSTLY.contains(&number.unsigned_abs()))
    })
}

/// Encodes a line as [`entries`] reads it: each word as its bytes are.
fn encode(line: &str) -> Vec<u8> {
    let mut words = line.split(' ');
    let name = words.next().expect("a line has a first word");
    let id = lookup(name.as_bytes()).unwrap_or_else(|| panic!("no command {name}"));
    let words: Vec<&str> = words.collect();
    let mut bytes = id.0.to_le_bytes().to_vec();
    bytes.extend([words.len() as u8, 0, 0]);
    for word in words {
        bytes.extend([6, word.len() as u8]);
        bytes.extend(word.as_bytes());
    }
    bytes
}

/// For each type a few lines that make, change and tell it, and each command by itself.
pub fn seeds() -> Vec<Vec<u8>> {
    const SCRIPTS: [&[&str]; 10] = [
        &["SET a 10", "APPEND a xyz", "SETRANGE a 3 q", "GETRANGE a 0 -1", "LCS a b IDX"],
        &["RPUSH a x y z", "LINSERT a BEFORE y w", "LPOS a z RANK -1", "LMOVE a b LEFT RIGHT"],
        &["SADD a 1 2 x", "SADD b 2 3", "SINTERSTORE c 2 a b", "SPOP a 2", "SRANDMEMBER b -5"],
        &["HSET a f 1 g 2", "HINCRBYFLOAT a f 1.5", "HRANDFIELD a -3 WITHVALUES", "HSCAN a 0"],
        &[
            "HSETEX a PX 3 FIELDS 2 f 1 g 2",
            "HPEXPIRE a 10 GT FIELDS 1 f",
            "HGETEX a PERSIST FIELDS 1 g",
            "DUMP a",
            "HPERSIST a FIELDS 1 f",
        ],
        &[
            "ZADD a 1 x 2 y",
            "ZADD b 1 y",
            "ZUNIONSTORE c 2 a b WEIGHTS 2 3",
            "ZRANGE a (1 +inf BYSCORE",
        ],
        &[
            "XADD a 1-1 f v",
            "XGROUP CREATE a g 0",
            "XREADGROUP GROUP g c STREAMS a >",
            "XPENDING a g",
        ],
        &["GEOADD a 13.4 52.5 b", "GEOSEARCH a FROMMEMBER b BYRADIUS 10 km ASC", "GEODIST a b b"],
        &["PFADD a x y", "PFCOUNT a", "PFMERGE b a", "BITOP NOT c a", "BITFIELD a GET u8 0"],
        &[
            "SET a 1 PX 5",
            "COPY a b",
            "EXPIRETIME a",
            "SORT b ALPHA STORE c",
            "RENAME b d",
            "DUMP c",
        ],
    ];
    let mut seeds = Vec::new();
    for script in SCRIPTS {
        // A batch of its own for each line: the kind, then the clock and the number of commands.
        let lines = script.iter().map(|line| [[0, 0].as_slice(), &encode(line)].concat());
        seeds.push([vec![0], lines.collect::<Vec<_>>().concat()].concat());
    }
    let keyed = |name: &str| encode(&format!("{name} a b 1 2"));
    for names in all().map(|spec| spec.name).collect::<Vec<_>>().chunks(8) {
        let commands: Vec<Vec<u8>> = names.iter().map(|name| keyed(name)).collect();
        seeds.push([vec![0, 0, 7], commands.concat()].concat());
    }
    let mut batch = Batch::default();
    for name in ["set", "get", "rpush"] {
        batch.push(lookup(name.as_bytes()).expect("it is there"), 3, &[b"k", b"value"]);
    }
    seeds.push([&[1, 1], batch.to_archive().as_slice()].concat());
    seeds
}
