//! Scripts: Lua 5.1 that runs commands as a part of one log entry, with the same outcome on every
//! node.
//!
//! [`Scripts`] is the replicated state: the sources that are known by their SHA1, and the libraries
//! of functions. [`Runtime`] is
//! the node's own: states of Lua with compiled functions, which may be thrown away at any time.
//!
//! # Why the outcome is the same everywhere
//! - **Time and chance** come with the entry: TIME and `os.clock` stand still while a script runs,
//!   `math.random` is seeded by the entry.
//! - **Addresses** are not shown: `tostring` numbers tables and functions by the order in which
//!   they are shown; `pairs` and `next` have an order of their own (see `prelude.lua`), and refuse
//!   a table with several tables or functions as keys.
//! - **Nothing is left** for the next script: globals and libraries are sealed, `reset` makes new
//!   what a script may set.
//! - **Garbage** is not seen. While a script runs none is collected, or (see below) what weak
//!   tables hold is kept; there are no finalizers.
//! - **Limits.** How much memory a state holds depends on what ran in it before, which differs from
//!   node to node. So a script runs first with small allotments of memory and instructions, in a
//!   state that is kept. Within them its outcome is the one that it has without any limit. If it
//!   exceeds them that run counts for nothing: the script begins anew in a fresh state with the
//!   true limits, and is handed the replies of the commands that it has run already instead of
//!   running them twice. A fresh state has no history, so all nodes that come that far see the same
//!   end; and a script that fits the allotments fits the limits, which are several times as large.
//! - **Users** are those of the entry. The name of a user who may not do everything comes with the
//!   script, and every command is checked for that user; one who is gone may run none.
//! - **Mathematics** is done by a library of our own instead of the machine's. For `^` the program
//!   has a `pow` of its own, which Lua is linked to.
//!
//! # What differs from Redis
//! PUBLISH within a script replies 0: the number of receivers differs from node to node. Commands
//! that tell of a node or a connection are refused. The read-only forms put no script into the
//! cache, since they run on one node. A script that fails half-way keeps what it has done so far.
//!
//! The node of the client that runs a script notes what it was denied for its user, for ACL LOG,
//! and, while somebody monitors, what it has run ([`crate::engine::witness`]).

mod cache;
mod call;
mod convert;
mod function;
mod host;
mod lib;
mod library;
mod shebang;
mod vm;

use std::ops::RangeInclusive;

use mlua::Lua;

pub use cache::{Script, ScriptOrigin, Scripts, Sha};
pub use function::{RestorePolicy, fcall, load_library, payload_of, restore};
pub use library::{Libraries, Library, LibraryError, LibraryFunction};
pub use shebang::{NAMES as FLAG_NAMES, ScriptFlags, says_it_only_reads};

use super::command::Context;
use super::error::CommandError;
use super::number::parse_integer;
use crate::limits::{
    LIBRARY_INSTRUCTIONS_MAX, LIBRARY_MEMORY_ALLOTTED, SCRIPT_INSTRUCTIONS_ALLOTTED,
    SCRIPT_INSTRUCTIONS_MAX, SCRIPT_MEMORY_ALLOTTED, SCRIPT_MEMORY_MAX,
};
use call::Caller;
use host::{Host, Stop};
use vm::{Attempt, Outcome, Vm};

/// What a script says of itself; `None` if its first line cannot be that of a script.
pub fn flags_of(source: &[u8]) -> Option<ScriptFlags> {
    shebang::of_script(source).ok().map(|shebang| shebang.flags)
}

/// The states of Lua of a node.
#[derive(Default)]
pub struct Runtime {
    /// Kept from script to script.
    warm: Option<Vm>,
    pub(crate) limits: Limits,
}

/// What scripts may take, the same on all nodes: see [`crate::limits`]. Tests have smaller ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub instructions: u64,
    pub memory: usize,
    /// In the state that is kept.
    pub allotted_instructions: u64,
    pub allotted_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instructions: SCRIPT_INSTRUCTIONS_MAX,
            memory: SCRIPT_MEMORY_MAX,
            allotted_instructions: SCRIPT_INSTRUCTIONS_ALLOTTED,
            allotted_memory: SCRIPT_MEMORY_ALLOTTED,
        }
    }
}

impl Limits {
    /// Those of a library when it is loaded.
    fn of_library(self) -> Self {
        let instructions = LIBRARY_INSTRUCTIONS_MAX.min(self.instructions);
        Self {
            instructions,
            memory: self.memory,
            allotted_instructions: self.allotted_instructions.min(instructions / 4),
            allotted_memory: self.allotted_memory.min(LIBRARY_MEMORY_ALLOTTED),
        }
    }
}

impl Runtime {
    /// Bytes that the kept state holds.
    pub fn bytes(&self) -> usize {
        self.warm.as_ref().map_or(0, Vm::bytes)
    }

    /// Drops what is compiled.
    pub fn clear(&mut self) {
        self.warm = None;
    }

    fn warm(&mut self) -> &mut Vm {
        let limits = self.limits;
        self.warm.get_or_insert_with(|| Vm::new(false, limits))
    }
}

/// Counts work of a library that the VM does not see, one for each element or some bytes: whatever
/// a script can make grow beyond what it holds, such as the text of a table whose parts are shared.
/// The error ends the script and must be handed on.
pub(in crate::engine::script) fn charge(lua: &Lua, instructions: u64) -> mlua::Result<()> {
    let Some(host) = lua.app_data_ref::<Host>() else { return Ok(()) };
    host.charge(instructions)
}

/// The version of Redis whose commands scripts find.
const VERSION: &str = "7.2.4";
const VERSION_NUMBER: u32 = 0x0007_0204;

/// What is to be run.
pub(in crate::engine::script) enum Job<'a> {
    Script {
        sha: Sha,
        source: &'a [u8],
        keys: &'a [&'a [u8]],
        arguments: &'a [&'a [u8]],
    },
    /// A script is looked at, and not run.
    Compile {
        sha: Sha,
        source: &'a [u8],
    },
    /// What a library registers is found out.
    Library {
        sha: Sha,
        source: &'a [u8],
    },
    /// A function of the library of this source is called.
    Function {
        sha: Sha,
        source: &'a [u8],
        name: &'a str,
        keys: &'a [&'a [u8]],
        arguments: &'a [&'a [u8]],
    },
}

impl Job<'_> {
    /// The line of the one call that can have taken the place of its caller, as `return f()` does,
    /// so that the VM does not know it any more: among these lines, of which the first is 1.
    fn line_of_tail_call(&self, among: RangeInclusive<usize>) -> Option<usize> {
        let lines = || {
            let lines = (1..).zip(self.source().split(|byte| *byte == b'\n'));
            lines.filter(|(number, _)| among.contains(number))
        };
        let calls = |line: &[u8]| memchr::memmem::find(line, b"return redis.call(").is_some();
        let mut found = lines().filter(|(_, line)| calls(line)).map(|(number, _)| number);
        match (found.next(), found.next()) {
            (Some(number), None) => Some(number),
            // There is but one line.
            _ => lines().next().filter(|_| lines().count() == 1).map(|(number, _)| number),
        }
    }

    /// What errors call it.
    fn name(&self) -> String {
        match self {
            Self::Function { name, .. } => (*name).to_owned(),
            other => other.sha().to_string(),
        }
    }

    fn sha(&self) -> Sha {
        match self {
            Self::Script { sha, .. }
            | Self::Compile { sha, .. }
            | Self::Library { sha, .. }
            | Self::Function { sha, .. } => *sha,
        }
    }

    fn source(&self) -> &[u8] {
        match self {
            Self::Script { source, .. }
            | Self::Compile { source, .. }
            | Self::Library { source, .. }
            | Self::Function { source, .. } => source,
        }
    }

    /// Whether it is of a library.
    fn is_of_library(&self) -> bool {
        matches!(self, Self::Library { .. } | Self::Function { .. })
    }

    /// The error of one that has taken too much.
    fn stopped(&self, stop: Stop) -> String {
        match (self, stop) {
            (Self::Library { .. }, Stop::Instructions) => {
                "ERR Error registering functions: ERR FUNCTION LOAD timeout".to_owned()
            }
            (Self::Library { .. }, Stop::Memory) => {
                format!("ERR Error registering functions: {stop}")
            }
            _ => format!("{stop} script: {}", self.name()),
        }
    }
}

const NO_SCRIPT: CommandError = CommandError::text("NOSCRIPT No matching script. Please use EVAL.");
const WRITES: CommandError =
    CommandError::text("ERR Can not execute a script with write flag using *_ro command.");

const NO_GROWTH: CommandError = CommandError::text(
    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
);

/// EVAL and EVAL_RO.
pub fn eval(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    read_only: bool,
) -> Result<(), CommandError> {
    let source = arguments[0];
    let (keys, rest) = keys_and_arguments(&arguments[1..])?;
    let sha = Sha::of(source);
    let flags = match context.scripts.touch(&sha, !read_only) {
        Some(script) => script.flags,
        None => {
            let flags = check(context, sha, source)?;
            if !read_only {
                context.scripts.insert(sha, source, flags, ScriptOrigin::Eval);
            }
            flags
        }
    };
    run_script(context, sha, source, flags, (keys, rest), read_only)
}

/// EVALSHA and EVALSHA_RO.
pub fn evalsha(
    context: &mut Context<'_>,
    arguments: &[&[u8]],
    read_only: bool,
) -> Result<(), CommandError> {
    let sha = arguments[0];
    if sha.len() != Sha::DIGITS {
        return Err(NO_SCRIPT);
    }
    let (keys, rest) = keys_and_arguments(&arguments[1..])?;
    let sha = Sha::parse(sha).ok_or(NO_SCRIPT)?;
    let script = context.scripts.touch(&sha, !read_only).ok_or(NO_SCRIPT)?;
    let (source, flags) = (script.source.clone(), script.flags);
    run_script(context, sha, &source, flags, (keys, rest), read_only)
}

/// SCRIPT LOAD.
pub fn load(context: &mut Context<'_>, source: &[u8]) -> Result<(), CommandError> {
    let sha = Sha::of(source);
    if !context.scripts.keep(&sha) {
        let flags = check(context, sha, source)?;
        if !context.scripts.insert(sha, source, flags, ScriptOrigin::Load) {
            return Err(CommandError::text("ERR The script cache is full"));
        }
    }
    context.reply.bulk(sha.to_string().as_bytes());
    Ok(())
}

type Words<'a, 'b> = &'a [&'b [u8]];

fn keys_and_arguments<'a, 'b>(
    words: Words<'a, 'b>,
) -> Result<(Words<'a, 'b>, Words<'a, 'b>), CommandError> {
    let count = parse_integer(words[0]).ok_or(CommandError::NotInteger)?;
    if count < 0 {
        return Err(CommandError::text("ERR Number of keys can't be negative"));
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    words[1..]
        .split_at_checked(count)
        .ok_or(CommandError::text("ERR Number of keys can't be greater than number of args"))
}

/// The flags of a script that is not known yet, if it is one.
fn check(context: &mut Context<'_>, sha: Sha, source: &[u8]) -> Result<ScriptFlags, CommandError> {
    let flags = shebang::of_script(source)?.flags;
    run(context, &Job::Compile { sha, source }, ScriptFlags::NO_WRITES, true)?;
    Ok(flags)
}

fn run_script(
    context: &mut Context<'_>,
    sha: Sha,
    source: &[u8],
    flags: ScriptFlags,
    (keys, arguments): (Words<'_, '_>, Words<'_, '_>),
    is_ro: bool,
) -> Result<(), CommandError> {
    permit(context, flags, is_ro)?;
    run(context, &Job::Script { sha, source, keys, arguments }, flags, is_ro).map(drop)
}

/// Whether what has said this of itself may be run now.
fn permit(context: &Context<'_>, flags: ScriptFlags, is_ro: bool) -> Result<(), CommandError> {
    // Who says nothing may be run either way.
    if flags.contains(ScriptFlags::NO_SHEBANG) {
        return Ok(());
    }
    if is_ro && !flags.contains(ScriptFlags::NO_WRITES) {
        return Err(WRITES);
    }
    if !flags.contains(ScriptFlags::NO_WRITES) && context.keyspace.is_read_only() {
        return Err(CommandError::ReadOnly);
    }
    let may_grow = ScriptFlags::ALLOW_OOM.union(ScriptFlags::NO_WRITES);
    if !flags.intersects(may_grow) && context.keyspace.denies_growth() {
        return Err(NO_GROWTH);
    }
    Ok(())
}

/// Runs it in the state that is kept, or in a fresh one if that was not enough. Returns what a
/// library has registered.
fn run(
    context: &mut Context<'_>,
    job: &Job<'_>,
    flags: ScriptFlags,
    is_ro: bool,
) -> Result<Vec<LibraryFunction>, CommandError> {
    let mut runtime = std::mem::take(context.runtime);
    context.tracking.begin_script();
    let seed = context.random.next();
    let start = context.reply.buffer.len();
    let read_only = is_ro || flags.contains(ScriptFlags::NO_WRITES);
    let may_grow = flags.contains(ScriptFlags::ALLOW_OOM);
    let mut caller = Caller::new(context, read_only, may_grow, runtime.limits.allotted_memory);
    let mut attempt = runtime.warm().attempt(job, &mut caller, seed);
    if matches!(attempt, Attempt::Exceeded(_)) {
        caller.begin_anew(start);
        attempt = Vm::new(true, runtime.limits).attempt(job, &mut caller, seed);
    }
    *context.runtime = runtime;
    match attempt {
        Attempt::Done(Outcome::Replied) => Ok(Vec::new()),
        Attempt::Done(Outcome::Loaded(functions)) => Ok(functions),
        Attempt::Done(Outcome::Failed(text)) => {
            context.reply.buffer.truncate(start);
            Err(CommandError::Text(text.into()))
        }
        Attempt::Exceeded(stop) => {
            context.reply.buffer.truncate(start);
            Err(CommandError::Text(job.stopped(stop).into()))
        }
    }
}
