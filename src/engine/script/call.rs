//! The commands that a script runs.

use super::host::{Host, Stop};
use crate::engine::acl::Denied;
use crate::engine::batch::Command;
use crate::engine::command::{
    CommandId, CommandSpec, Context, Flags, Handler, NodeCommand, lookup, resolve, spec,
};
use crate::engine::error::CommandError;
use crate::engine::keyspace::DATABASE_COUNT;
use crate::engine::number::integer;
use crate::engine::reply::Reply;

/// What a command costs beside what it does in the VM.
const COMMAND_COST: u64 = 100;

/// Runs commands for one script, and keeps what came of them in case it has to begin anew.
pub struct Caller<'a, 'b> {
    context: &'a mut Context<'b>,
    /// What the script has selected, for itself alone.
    database: u8,
    read_only: bool,
    /// Above the limit of memory: what may take more is refused until the script has written.
    refuses_growth: bool,
    reply: Reply,
    /// The replies so far, while the script may have to begin anew, and where each ends.
    recorded: Vec<u8>,
    ends: Vec<usize>,
    /// How many of them the script has been given again.
    replayed: usize,
    records: bool,
    recorded_max: usize,
}

impl<'a, 'b> Caller<'a, 'b> {
    pub fn new(
        context: &'a mut Context<'b>,
        read_only: bool,
        may_grow: bool,
        recorded_max: usize,
    ) -> Self {
        Self {
            database: context.database,
            refuses_growth: !may_grow && context.keyspace.denies_growth(),
            context,
            read_only,
            reply: Reply::default(),
            recorded: Vec::new(),
            ends: Vec::new(),
            replayed: 0,
            records: true,
            recorded_max,
        }
    }

    /// The script begins anew, and has replied nothing behind `start`.
    pub fn begin_anew(&mut self, start: usize) {
        self.context.reply.buffer.truncate(start);
        self.database = self.context.database;
        self.records = false;
        self.replayed = 0;
    }

    pub fn context(&mut self) -> &mut Context<'b> {
        self.context
    }

    /// Whether the client that runs the script may run this command itself.
    pub fn is_permitted(&self, id: CommandId, words: &[&[u8]]) -> bool {
        let user = &self.context.user;
        user.as_ref().is_none_or(|user| user.check(id, words).is_ok())
    }

    /// Runs a command, or tells again what came of it; the reply is valid until the next.
    pub fn run(&mut self, host: &Host, words: &[&[u8]]) -> mlua::Result<&[u8]> {
        host.charge(COMMAND_COST)?;
        if self.replayed < self.ends.len() {
            let start = self.replayed.checked_sub(1).map_or(0, |last| self.ends[last]);
            let end = self.ends[self.replayed];
            self.replayed += 1;
            // What lasts for the script is to be done again.
            if words[0].eq_ignore_ascii_case(b"SELECT") {
                let _ = self.select(words);
            }
            return Ok(&self.recorded[start..end]);
        }
        self.reply.buffer.clear();
        self.reply.protocol = host.protocol();
        if let Err(error) = self.execute(words) {
            self.reply.buffer.clear();
            self.reply.error(&error);
        }
        host.charge(self.reply.buffer.len() as u64 / 16)?;
        if self.records {
            self.recorded.extend_from_slice(&self.reply.buffer);
            self.ends.push(self.recorded.len());
            self.replayed += 1;
            if self.recorded.len() > self.recorded_max {
                return Err(host.stop(Stop::Memory));
            }
        }
        Ok(&self.reply.buffer)
    }

    fn execute(&mut self, words: &[&[u8]]) -> Result<(), CommandError> {
        let id = lookup(words[0]).ok_or(UNKNOWN)?;
        let (resolved, _) = resolve(spec(id), &words[1..]).map_err(|error| match error {
            CommandError::Arity(_) => ARITY,
            _ => UNKNOWN,
        })?;
        check_call(self.context, (id, resolved), words, self.read_only)?;
        if self.refuses_growth {
            self.check_growth(resolved)?;
        }
        match resolved.handler {
            Handler::Engine(_) => {
                let arguments = words[1..].iter().copied().collect();
                let command = Command::new(id, self.database, arguments);
                let Self { context, reply, .. } = self;
                context.call(&command, reply);
                // How many clients of this node subscribe, the others do not know.
                if resolved.flags.contains(Flags::PUBSUB) && self.reply.buffer.starts_with(b":") {
                    self.reply.buffer.clear();
                    self.reply.integer(0);
                }
            }
            Handler::Node(command) => self.answer(command, words)?,
            Handler::Session(_) => return Err(NOT_ALLOWED),
        }
        if !resolved.flags.intersects(Flags::SKIP_MONITOR.union(Flags::ADMIN)) {
            self.context.witness.note_call(self.database, words);
        }
        Ok(())
    }

    /// A script that has written goes on: half of what it does would be worse.
    fn check_growth(&mut self, spec: &CommandSpec) -> Result<(), CommandError> {
        if spec.flags.contains(Flags::DENYOOM) {
            return Err(CommandError::OutOfMemory);
        }
        self.refuses_growth = !spec.flags.contains(Flags::WRITE);
        Ok(())
    }

    /// What the node answers of clients, as far as it is the same on every node.
    fn answer(&mut self, command: NodeCommand, words: &[&[u8]]) -> Result<(), CommandError> {
        match (command, words) {
            (NodeCommand::Ping, [_]) => self.reply.simple("PONG"),
            (NodeCommand::Ping | NodeCommand::Echo, [_, text]) => self.reply.bulk(text),
            (NodeCommand::Ping, _) => return Err(ARITY),
            (NodeCommand::Time, _) => {
                let now_ms = self.context.now_ms;
                self.reply.array(2);
                self.reply.bulk((now_ms / 1000).to_string().as_bytes());
                self.reply.bulk((now_ms % 1000 * 1000).to_string().as_bytes());
            }
            (NodeCommand::Select, _) => {
                self.select(words)?;
                self.reply.ok();
            }
            _ => return Err(NOT_ALLOWED),
        }
        Ok(())
    }

    fn select(&mut self, words: &[&[u8]]) -> Result<(), CommandError> {
        let index = integer(words.get(1).ok_or(ARITY)?)?;
        let index = u8::try_from(index).ok().filter(|index| *index < DATABASE_COUNT);
        self.database = index.ok_or(CommandError::DatabaseOutOfRange)?;
        Ok(())
    }
}

/// Whether a script may run a command at all: every command of every script passes here.
pub fn check_call(
    context: &mut Context<'_>,
    (id, spec): (CommandId, &CommandSpec),
    words: &[&[u8]],
    read_only: bool,
) -> Result<(), CommandError> {
    if spec.flags.contains(Flags::NOSCRIPT) {
        return Err(NOT_ALLOWED);
    }
    let user = context.user.as_deref();
    if let Some(user) = user
        && let Err(denial) = user.check(id, words)
    {
        let denied = Denied::new(&denial, "lua", &user.name);
        let text = format!("ERR ACL failure in script: {}", denial.text(&user.name));
        context.witness.note_denial(denied, context.command);
        return Err(CommandError::Text(text.into()));
    }
    let changes = Flags::WRITE.union(Flags::MAY_REPLICATE);
    if read_only && spec.flags.intersects(changes) {
        return Err(READ_ONLY);
    }
    if spec.is_write() && context.keyspace.is_read_only() {
        return Err(CommandError::ReadOnly);
    }
    user.map_or(Ok(()), |user| user.check_sort(id, words))
}

const UNKNOWN: CommandError = CommandError::text("ERR Unknown Redis command called from script");
const ARITY: CommandError =
    CommandError::text("ERR Wrong number of args calling Redis command from script");
const NOT_ALLOWED: CommandError =
    CommandError::text("ERR This Redis command is not allowed from script");
const READ_ONLY: CommandError =
    CommandError::text("ERR Write commands are not allowed from read-only scripts.");
