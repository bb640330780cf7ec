//! A state of Lua: what is in it, how a script is run in it, and what ends the script.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::{
    ChunkMode, Error, Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, Variadic,
    VmState,
};

use smallvec::SmallVec;

use super::call::Caller;
use super::convert::{Writer, format_number, value_of};
use super::host::{Host, Stop};
use super::{Job, LibraryFunction, Limits, ScriptFlags, Sha, lib, shebang};
use crate::engine::command::{lookup, resolve, spec};
use crate::engine::reply::Protocol;
use crate::limits::SCRIPTS_COMPILED_MAX;

const PRELUDE: &str = include_str!("prelude.lua");

/// What stands behind the prelude for libraries of functions.
const LIBRARY: &str = include_str!("library.lua");

/// What stands behind it for patterns.
const PATTERN: &str = include_str!("pattern.lua");

/// Chunks of this name are not what errors of scripts are traced to.
const PRELUDE_NAME: &str = "=prelude";

/// Instructions between two looks at the limits: more cost less in the state that is kept; in a
/// fresh one garbage is collected at some of them.
const LOOK_EVERY: u32 = 1000;
const LOOK_EVERY_FRESH: u32 = 100;

/// Garbage of so many bytes is collected between two scripts.
const GARBAGE_KEPT: usize = 8 << 20;

/// A fresh state collects garbage when it holds this part of its limit, as a divisor, and twice
/// what was left the last time.
const GARBAGE_SHARE: usize = 5;

/// What Lua says when an allocation fails.
const NO_MEMORY: &str = "not enough memory";

pub struct Vm {
    lua: Lua,
    host: Host,
    /// It has run nothing before, and runs with the true limits.
    is_fresh: bool,
    limits: Limits,
    /// Those of what runs.
    current: Limits,
    start: Function,
    /// Of libraries of functions: runs one, calls a function of one.
    load_library: Function,
    call_function: Function,
    library_environment: Table,
    /// The keys of a table in the order in which scripts see them.
    keys_of: Function,
    environment: Table,
    compiled: BTreeMap<Sha, Function>,
    /// What it held after the last collection.
    kept: usize,
}

/// The end of one run.
pub enum Attempt {
    Done(Outcome),
    /// It took more than it may in that state.
    Exceeded(Stop),
}

pub enum Outcome {
    Replied,
    /// What a library has registered.
    Loaded(Vec<LibraryFunction>),
    /// The text of the error to reply with.
    Failed(String),
}

/// For the collection of garbage while a script runs.
struct Collector {
    strengthen: Function,
    weaken: Function,
    /// What the state held at the last look, and at what the next collection is due.
    held: AtomicUsize,
    due: AtomicUsize,
    first: usize,
}

/// What errors call the source of a script, and that of a library.
const SCRIPT_NAME: &str = "@user_script";
const LIBRARY_NAME: &str = "@user_function";

/// Lines that one script may log; more are dropped.
const LOG_LINES_MAX: usize = 100;

const CREATED: &str = "invariant: a state without limits can be set up";

impl Vm {
    pub fn new(is_fresh: bool, limits: Limits) -> Self {
        Self::create(is_fresh, limits).expect(CREATED)
    }

    fn create(is_fresh: bool, limits: Limits) -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
        lua.gc_stop();
        let host = Host::default();
        host.begin(u64::MAX, 0, 0);
        lua.set_app_data(host.clone());
        lua.set_app_data(Lines::default());
        lib::open(&lua)?;
        let offered = offer(&lua, &host)?;
        let prelude: Table = lua.load(PRELUDE).set_name(PRELUDE_NAME).call(&offered)?;
        lua.set_app_data(Environment(prelude.get("environment")?));
        let keys_of = prelude.get("keys_of")?;
        lua.set_app_data(Collector {
            strengthen: prelude.get("strengthen")?,
            weaken: prelude.get("weaken")?,
            held: AtomicUsize::new(0),
            due: AtomicUsize::new(limits.memory / GARBAGE_SHARE),
            first: limits.memory / GARBAGE_SHARE,
        });
        lua.load(PATTERN).set_name(PRELUDE_NAME).call::<()>((&offered, &prelude))?;
        let library = lua.load(LIBRARY).set_name(PRELUDE_NAME);
        let library: Table = library.call((&offered, &prelude))?;
        let mut vm = Self {
            lua,
            host,
            is_fresh,
            limits,
            current: limits,
            start: prelude.get("start")?,
            load_library: library.get("load")?,
            call_function: library.get("call")?,
            library_environment: library.get("environment")?,
            keys_of,
            environment: prelude.get("environment")?,
            compiled: BTreeMap::new(),
            kept: 0,
        };
        vm.collect()?;
        Ok(vm)
    }

    pub fn bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Runs a script once.
    pub fn attempt(&mut self, job: &Job<'_>, caller: &mut Caller<'_, '_>, seed: u64) -> Attempt {
        let now_ms = caller.context().now_ms;
        self.current = match job {
            Job::Library { .. } => self.limits.of_library(),
            _ => self.limits,
        };
        let instructions = match self.is_fresh {
            true => self.current.instructions,
            false => self.current.allotted_instructions,
        };
        self.host.begin(instructions, seed, now_ms);
        lib::reset(&self.lua);
        let result = self.run(job, caller);
        self.lua.set_memory_limit(0).expect(CREATED);
        let attempt = match (self.host.stopped(), result) {
            (Some(stop), _) => Attempt::Exceeded(stop),
            (None, Ok(outcome)) => Attempt::Done(outcome),
            (None, Err(error)) if is_memory(&error) => Attempt::Exceeded(Stop::Memory),
            (None, Err(error)) => {
                let text = cause_of(&error);
                let line = text.lines().next().unwrap_or_default();
                Attempt::Done(Outcome::Failed(format!("ERR {line}")))
            }
        };
        self.log(matches!(attempt, Attempt::Done(_)));
        if self.bytes() > 2 * self.kept + GARBAGE_KEPT {
            self.collect().expect(CREATED);
        }
        attempt
    }

    /// Logs what the script has, if its run counts.
    fn log(&self, counts: bool) {
        let Some(mut lines) = self.lua.app_data_mut::<Lines>() else { return };
        for (level, line) in lines.0.drain(..).filter(|_| counts) {
            match level {
                0 => log::debug!("script: {line}"),
                1 | 2 => log::info!("script: {line}"),
                _ => log::warn!("script: {line}"),
            }
        }
    }

    /// Collects garbage, and leaves the collector stopped.
    fn collect(&mut self) -> mlua::Result<()> {
        // What the first lets go of is freed by the second.
        self.lua.gc_collect()?;
        self.lua.gc_collect()?;
        self.lua.gc_stop();
        self.kept = self.bytes();
        Ok(())
    }

    fn memory_limit(&self) -> usize {
        match self.is_fresh {
            true => self.current.memory,
            false => self.bytes() + self.current.allotted_memory,
        }
    }

    fn run(&mut self, job: &Job<'_>, caller: &mut Caller<'_, '_>) -> mlua::Result<Outcome> {
        let chunk = match self.compile(job) {
            Ok(chunk) => chunk,
            Err(Error::SyntaxError { message, .. }) => {
                let what = if job.is_of_library() { "function" } else { "script (new function)" };
                return Ok(Outcome::Failed(format!("ERR Error compiling {what}: {message}")));
            }
            Err(error) => return Err(error),
        };
        if matches!(job, Job::Compile { .. }) {
            return Ok(Outcome::Replied);
        }
        let end = self.call(job, &chunk, caller)?;
        self.finish(job, caller, &end)
    }

    fn compile(&mut self, job: &Job<'_>) -> mlua::Result<Function> {
        // No library has the source of a script: the first line tells them apart.
        let (sha, source) = (job.sha(), job.source());
        if let Some(function) = self.compiled.get(&sha) {
            return Ok(function.clone());
        }
        if self.compiled.len() >= SCRIPTS_COMPILED_MAX {
            self.compiled.clear();
        }
        self.lua.set_memory_limit(self.memory_limit())?;
        let function = if job.is_of_library() {
            let body = shebang::of_library(source).map_or(source, |head| head.body);
            load(&self.lua, body, LIBRARY_NAME, &self.library_environment)
        } else {
            let body = shebang::of_script(source).map_or(source, |shebang| shebang.body);
            load(&self.lua, body, SCRIPT_NAME, &self.environment)
        };
        self.lua.set_memory_limit(0)?;
        let function = function?;
        self.compiled.insert(sha, function.clone());
        Ok(function)
    }

    fn list(&self, words: &[&[u8]]) -> mlua::Result<Table> {
        let list = self.lua.create_table_with_capacity(words.len(), 0)?;
        for word in words {
            list.raw_push(self.lua.create_string(word)?)?;
        }
        Ok(list)
    }

    /// Calls the script, or a function of the library.
    fn call(
        &self,
        job: &Job<'_>,
        chunk: &Function,
        caller: &mut Caller<'_, '_>,
    ) -> mlua::Result<End> {
        let (keys, arguments): (&[&[u8]], &[&[u8]]) = match job {
            Job::Script { keys, arguments, .. } | Job::Function { keys, arguments, .. } => {
                (keys, arguments)
            }
            Job::Compile { .. } | Job::Library { .. } => (&[], &[]),
        };
        let (keys, arguments) = (self.list(keys)?, self.list(arguments)?);
        let limit = self.memory_limit();
        self.watch()?;
        self.lua.scope(|scope| {
            let run = |lua: &Lua, (asks, count, words): (bool, usize, Variadic<Value>)| {
                // What is made here is looked at when it is made.
                lua.set_memory_limit(0)?;
                let answer = answer(lua, &self.host, caller, asks, (count, &words));
                lua.set_memory_limit(limit)?;
                if lua.used_memory() > limit {
                    return Err(self.host.stop(Stop::Memory));
                }
                answer
            };
            let run = scope.create_function_mut(run)?;
            self.lua.set_memory_limit(limit)?;
            let result = match job {
                Job::Library { .. } => self.load_library.call(chunk),
                Job::Function { name, .. } => {
                    let name = name.to_ascii_lowercase();
                    self.call_function.call((chunk, run, name, keys, arguments))
                }
                Job::Script { .. } | Job::Compile { .. } => {
                    self.start.call((chunk, run, keys, arguments))
                }
            };
            self.lua.set_memory_limit(0)?;
            result
        })
    }

    /// Has the limits looked at from the next instruction on.
    fn watch(&self) -> mlua::Result<()> {
        let every = if self.is_fresh { LOOK_EVERY_FRESH } else { LOOK_EVERY };
        let triggers = HookTriggers::new().every_nth_instruction(every);
        let (host, is_fresh) = (self.host.clone(), self.is_fresh);
        self.lua.set_global_hook(triggers, move |lua, _| {
            host.charge(every.into())?;
            if is_fresh {
                look_at_memory(lua, &host)?;
            }
            Ok(VmState::Continue)
        })
    }

    fn finish(
        &self,
        job: &Job<'_>,
        caller: &mut Caller<'_, '_>,
        (done, result, called): &End,
    ) -> mlua::Result<Outcome> {
        let text = match (done, result) {
            (true, Value::Table(functions)) if matches!(job, Job::Library { .. }) => {
                return functions_of(functions).map(Outcome::Loaded);
            }
            (true, _) => match Writer::error_of(result)? {
                Some(text) => text,
                None => {
                    let reply = &mut *caller.context().reply;
                    Writer { reply, host: &self.host, keys_of: &self.keys_of }.write(result)?;
                    return Ok(Outcome::Replied);
                }
            },
            (false, Value::Table(failure)) => text_of(job, failure, called.as_ref())?,
            // Only an allocation that fails keeps the handler of errors from making a table.
            (false, _) => return Err(self.host.stop(Stop::Memory)),
        };
        Ok(Outcome::Failed(String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Whether it came to its end, what it returned or why not, and the function that was called.
type End = (bool, Value, Option<Function>);

/// The text of the error with which it has ended.
fn text_of(job: &Job<'_>, failure: &Table, called: Option<&Function>) -> mlua::Result<Vec<u8>> {
    let text = failure.raw_get::<mlua::String>("err")?.as_bytes().to_vec();
    if matches!(job, Job::Library { .. }) {
        return Ok([b"ERR Error registering functions: ", &*text].concat());
    }
    let trace = match failure.raw_get::<Option<mlua::String>>("trace")? {
        Some(trace) => trace.to_string_lossy(),
        None => {
            let info = called.map(Function::info);
            let lines = info.and_then(|info| info.line_defined.zip(info.last_line_defined));
            let (first, last) = lines.unwrap_or((1, usize::MAX));
            let name = if job.is_of_library() { LIBRARY_NAME } else { SCRIPT_NAME };
            let line = job.line_of_tail_call(first..=last);
            line.map(|line| format!(", on {name}:{line}.")).unwrap_or_default()
        }
    };
    Ok([&*text, format!(" script: {}{trace}", job.name()).as_bytes()].concat())
}

/// What a library has registered, as `library.lua` notes it.
fn functions_of(registered: &Table) -> mlua::Result<Vec<LibraryFunction>> {
    let of = |function: mlua::Result<Table>| {
        let function = function?;
        let description: Option<mlua::String> = function.raw_get("description")?;
        Ok(LibraryFunction {
            name: function.raw_get("name")?,
            flags: ScriptFlags::from_bits_truncate(function.raw_get("flags")?),
            description: description.map(|text| text.as_bytes().to_vec()),
        })
    };
    registered.sequence_values().map(of).collect()
}

/// What the script has logged: with its level.
#[derive(Default)]
struct Lines(Vec<(i64, String)>);

/// The environment of scripts.
struct Environment(Table);

fn is_memory(error: &Error) -> bool {
    match error {
        Error::MemoryError(_) => true,
        Error::CallbackError { cause, .. } => is_memory(cause),
        _ => false,
    }
}

/// Whether an allocation has failed.
fn is_memory_raised(raised: &Value) -> bool {
    match raised {
        Value::String(text) => *text == NO_MEMORY,
        Value::Error(error) => is_memory(error),
        _ => false,
    }
}

fn load(lua: &Lua, body: &[u8], name: &str, environment: &Table) -> mlua::Result<Function> {
    let environment = environment.clone();
    let chunk = lua.load(body).set_name(name).set_mode(ChunkMode::Text);
    chunk.set_environment(environment).into_function()
}

/// Pays for what was allocated since the last look, and collects garbage when it is time.
fn look_at_memory(lua: &Lua, host: &Host) -> mlua::Result<()> {
    let Some(collector) = lua.app_data_ref::<Collector>() else { return Ok(()) };
    let held = lua.used_memory();
    let before = collector.held.swap(held, Ordering::Relaxed);
    host.charge(held.saturating_sub(before) as u64 / 16)?;
    if held >= collector.due.load(Ordering::Relaxed) {
        let limit = lua.set_memory_limit(0)?;
        collector.strengthen.call::<()>(())?;
        lua.gc_collect()?;
        lua.gc_stop();
        collector.weaken.call::<()>(())?;
        lua.set_memory_limit(limit)?;
        let held = lua.used_memory();
        collector.held.store(held, Ordering::Relaxed);
        collector.due.store(collector.first.max(2 * held), Ordering::Relaxed);
    }
    Ok(())
}

/// Runs a command: the value of the reply, or the text of the error. The words are `count` values,
/// or a table of so many. With `asks`, tells whether the client may run it.
fn answer(
    lua: &Lua,
    host: &Host,
    caller: &mut Caller<'_, '_>,
    asks: bool,
    (count, values): (usize, &[Value]),
) -> mlua::Result<(Value, Option<mlua::String>)> {
    let failed = |text: &[u8]| Ok((Value::Nil, Some(lua.create_string(text)?)));
    if count == 0 {
        return failed(b"ERR Please specify at least one argument for this redis lib call");
    }
    let (mut blob, mut ends) = (Vec::new(), SmallVec::<[usize; 8]>::new());
    for at in 0..count {
        let is_word = match values {
            [Value::Table(table)] if count > 1 => {
                push_word(&mut blob, &table.raw_get::<Value>(at + 1)?)
            }
            values => push_word(&mut blob, &values[at]),
        };
        if !is_word {
            return failed(b"ERR Lua redis lib command arguments must be strings or integers");
        }
        ends.push(blob.len());
    }
    let mut words = SmallVec::<[&[u8]; 8]>::new();
    let mut start = 0;
    for end in ends {
        words.push(&blob[start..end]);
        start = end;
    }
    if asks {
        let known = lookup(words[0]).filter(|id| resolve(spec(*id), &words[1..]).is_ok());
        return match known {
            Some(id) => Ok((Value::Boolean(caller.is_permitted(id, &words)), None)),
            None => failed(b"ERR Invalid command passed to redis.acl_check_cmd()"),
        };
    }
    let mut reply = caller.run(host, &words)?;
    match reply {
        [b'-', text @ .., b'\r', b'\n'] => failed(text),
        _ => Ok((value_of(lua, &mut reply)?, None)),
    }
}

/// Adds a word of a command. False if the value is none.
fn push_word(blob: &mut Vec<u8>, value: &Value) -> bool {
    match value {
        Value::String(text) => blob.extend_from_slice(&text.as_bytes()),
        Value::Integer(number) => format_number(blob, *number as f64),
        Value::Number(number) => format_number(blob, *number),
        _ => return false,
    }
    true
}

/// What the prelude gets of the host.
fn offer(lua: &Lua, host: &Host) -> mlua::Result<Table> {
    let offered = lua.create_table()?;
    offer_limits(lua, host, &offered)?;
    let globals = lua.globals();
    let libraries = lua.create_table()?;
    for name in ["cjson", "cmsgpack", "struct", "bit"] {
        if let Value::Table(library) = globals.raw_get(name)? {
            libraries.raw_set(name, library)?;
        }
    }
    offered.set("libraries", libraries)?;
    offered.set("math", mathematics(lua)?)?;
    let flags = lua.create_table()?;
    for (name, flag) in shebang::NAMES {
        flags.set(name, flag.bits())?;
    }
    offered.set("flags", flags)?;
    offered.set("version", crate::engine::script::VERSION)?;
    offered.set("version_number", crate::engine::script::VERSION_NUMBER)?;
    offered.set("failure", lua.create_function(failure)?)?;
    let message = |lua: &Lua, error: Value| lua.create_string(message_of(&error));
    offered.set("message", lua.create_function(message)?)?;
    let sha1hex = |_: &Lua, text: mlua::String| Ok(Sha::of(&text.as_bytes()).to_string());
    offered.set("sha1hex", lua.create_function(sha1hex)?)?;
    offered.set("compile", lua.create_function(compile)?)?;
    let truncate = |_: &Lua, number: f64| Ok(number as i64 as f64);
    offered.set("truncate", lua.create_function(truncate)?)?;
    offered.set("weigh", lua.create_function(weigh)?)?;
    Ok(offered)
}

fn offer_limits(lua: &Lua, host: &Host, offered: &Table) -> mlua::Result<()> {
    let of = host.clone();
    let charge = move |_: &Lua, instructions: f64| of.charge(instructions as u64);
    offered.set("charge", lua.create_function(charge)?)?;
    let of = host.clone();
    // Whether the script is over, now that this was raised.
    let stopped = move |_: &Lua, raised: Value| {
        if is_memory_raised(&raised) {
            of.stop(Stop::Memory);
        }
        Ok(of.stopped().is_some())
    };
    offered.set("stopped", lua.create_function(stopped)?)?;
    let of = host.clone();
    offered.set("draw", lua.create_function(move |_: &Lua, (): ()| Ok(of.draw()))?)?;
    let of = host.clone();
    let seed = move |_: &Lua, seed: f64| {
        of.seed(seed as i64 as u32);
        Ok(())
    };
    offered.set("seed", lua.create_function(seed)?)?;
    let of = host.clone();
    let set_protocol = move |_: &Lua, version: i64| {
        of.set_protocol(if version == 3 { Protocol::Resp3 } else { Protocol::Resp2 });
        Ok(())
    };
    offered.set("set_protocol", lua.create_function(set_protocol)?)?;
    let of = host.clone();
    let clock = move |_: &Lua, (): ()| Ok(of.now_ms() as f64 / 1000.0);
    offered.set("clock", lua.create_function(clock)?)?;
    let log = |lua: &Lua, (level, line): (i64, mlua::String)| {
        if let Some(mut lines) = lua.app_data_mut::<Lines>()
            && lines.0.len() < LOG_LINES_MAX
        {
            lines.0.push((level, line.to_string_lossy()));
        }
        Ok(())
    };
    offered.set("log", lua.create_function(log)?)
}

/// Pays for matching a pattern from `from` on, at most so many times; all if that is negative.
fn weigh(
    lua: &Lua,
    (text, pattern, kind, from, times): (mlua::String, mlua::String, mlua::String, f64, f64),
) -> mlua::Result<()> {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let search = match &*kind.as_bytes() {
        b"gsub" if times >= 0.0 => lib::Search::Times(times as u64),
        b"gsub" => lib::Search::Times(u64::MAX),
        b"gmatch" => lib::Search::All,
        _ => lib::Search::Once,
    };
    let from = from as i64;
    let len = text.len();
    let start = match usize::try_from(from) {
        Ok(from) => from.saturating_sub(1).min(len),
        Err(_) => len.saturating_sub(usize::try_from(from.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    lib::weigh(lua, &text, &pattern, start, search)
}

/// Functions of two numbers, of which most look at the first alone.
fn mathematics(lua: &Lua) -> mlua::Result<Table> {
    type Named = (&'static str, fn(f64, f64) -> f64);
    const FUNCTIONS: [Named; 14] = [
        ("acos", |number, _| libm::acos(number)),
        ("asin", |number, _| libm::asin(number)),
        ("atan", |number, _| libm::atan(number)),
        ("atan2", libm::atan2),
        ("cos", |number, _| libm::cos(number)),
        ("cosh", |number, _| libm::cosh(number)),
        ("exp", |number, _| libm::exp(number)),
        ("log", |number, _| libm::log(number)),
        ("log10", |number, _| libm::log10(number)),
        ("pow", libm::pow),
        ("sin", |number, _| libm::sin(number)),
        ("sinh", |number, _| libm::sinh(number)),
        ("tan", |number, _| libm::tan(number)),
        ("tanh", |number, _| libm::tanh(number)),
    ];
    let table = lua.create_table()?;
    for (name, of) in FUNCTIONS {
        table.set(name, lua.create_function(move |_, (x, y): (f64, f64)| Ok(of(x, y)))?)?;
    }
    Ok(table)
}

/// `loadstring`: the function, or nothing and why.
fn compile(
    lua: &Lua,
    (source, name): (mlua::String, mlua::String),
) -> mlua::Result<(Option<Function>, Option<String>)> {
    let environment = {
        let environment = lua.app_data_ref::<Environment>();
        environment.expect("invariant: set before any script runs").0.clone()
    };
    let name = name.to_string_lossy();
    let name = name.split('\0').next().unwrap_or_default();
    let source = source.as_bytes();
    match load(lua, &source, name, &environment) {
        Ok(function) => Ok((Some(function), None)),
        Err(Error::SyntaxError { message, .. }) => Ok((None, Some(message))),
        Err(error) => Err(error),
    }
}

/// What is left of an error when its script has ended: a table with its text and where it arose.
fn failure(lua: &Lua, error: Value) -> mlua::Result<Table> {
    if is_memory_raised(&error)
        && let Some(host) = lua.app_data_ref::<Host>()
    {
        host.stop(Stop::Memory);
    }
    let failure = lua.create_table()?;
    let text = match &error {
        Value::Table(table) => match table.raw_get("err")? {
            Value::String(text) => text.as_bytes().to_vec(),
            _ => b"ERR unknown error".to_vec(),
        },
        other => [b"ERR ", &*message_of(other)].concat(),
    };
    failure.raw_set("err", lua.create_string(text)?)?;
    let mut level = 1;
    while let Some(found) = lua.inspect_stack(level, |debug| {
        let origin = debug.source();
        let source = origin.source.filter(|source| origin.what != "C" && source != PRELUDE_NAME);
        source.zip(debug.current_line()).map(|(source, line)| format!(", on {source}:{line}."))
    }) {
        if let Some(trace) = found {
            failure.raw_set("trace", trace)?;
            break;
        }
        level += 1;
    }
    Ok(failure)
}

/// The text of what was raised.
fn message_of(error: &Value) -> Vec<u8> {
    match error {
        Value::Nil => b"nil".to_vec(),
        Value::Boolean(value) => value.to_string().into_bytes(),
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        Value::Number(number) => {
            let mut text = Vec::new();
            format_number(&mut text, *number);
            text
        }
        Value::Error(error) => match lib::raised_message(error) {
            Some(text) => text.to_vec(),
            None => cause_of(error).into_bytes(),
        },
        _ => b"unknown error".to_vec(),
    }
}

fn cause_of(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => cause_of(cause),
        Error::RuntimeError(text) => text.clone(),
        Error::ExternalError(error) => error.to_string(),
        other => other.to_string(),
    }
}
