//! Sets of commands and subcommands, and the categories that stand for some of them.

use std::sync::LazyLock;

use crate::engine::command::{
    CommandId, CommandSpec, categories, command_count, lookup, spec, table,
};

/// In the order of ACL CAT.
pub const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// All commands, each before its subcommands.
struct Units {
    units: Vec<Unit>,
    /// By command id: where the command is in `units`.
    starts: Vec<usize>,
}

struct Unit {
    name: String,
    /// Bits by the position in [`CATEGORIES`]; those of its container are its own, too.
    categories: u32,
}

static UNITS: LazyLock<Units> = LazyLock::new(|| {
    let (mut units, mut starts) = (Vec::new(), Vec::new());
    for command in table::all() {
        starts.push(units.len());
        let of_command = bits_of(command);
        units.push(Unit { name: command.name.to_owned(), categories: of_command });
        for subcommand in command.shown_subcommands() {
            let name = format!("{}|{}", command.name, subcommand.name);
            units.push(Unit { name, categories: of_command | bits_of(subcommand) });
        }
    }
    Units { units, starts }
});

fn bits_of(spec: &CommandSpec) -> u32 {
    let names = categories(spec);
    let is_of = |category: &str| names.iter().any(|name| &name[1..] == category);
    let bits = CATEGORIES.iter().enumerate();
    bits.map(|(bit, category)| u32::from(is_of(category)) << bit).sum()
}

/// The number of a category, in letters of any case.
pub fn category(name: &[u8]) -> Option<usize> {
    CATEGORIES.iter().position(|category| category.as_bytes().eq_ignore_ascii_case(name))
}

/// The full names of the commands and subcommands that are themselves of a category.
pub fn names_of_category(category: usize) -> Vec<String> {
    let mut names = Vec::new();
    for command in table::all() {
        let is_of = |spec: &CommandSpec| bits_of(spec) >> category & 1 == 1;
        if is_of(command) {
            names.push(command.name.to_owned());
        }
        let subcommands = command.shown_subcommands().iter().filter(|spec| is_of(spec));
        names.extend(subcommands.map(|spec| format!("{}|{}", command.name, spec.name)));
    }
    names
}

/// A command with or without its subcommands, or a part of one, as rules name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// With all its subcommands, if it has any.
    Command(CommandId),
    Subcommand(CommandId, usize),
}

/// What a rule names by `get` or `config|get`, in letters of any case.
pub fn find(name: &[u8]) -> Option<Named> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let id = lookup(parts.next()?)?;
    let Some(subcommand) = parts.next() else { return Some(Named::Command(id)) };
    let is_it = |spec: &CommandSpec| spec.name.as_bytes().eq_ignore_ascii_case(subcommand);
    spec(id).shown_subcommands().iter().position(is_it).map(|place| Named::Subcommand(id, place))
}

/// The command that `argv` names, or the subcommand.
fn unit_of(id: CommandId, argv: &[&[u8]]) -> usize {
    let start = UNITS.starts[usize::from(id.0)];
    let subcommands = spec(id).shown_subcommands();
    if subcommands.is_empty() {
        return start;
    }
    let is_it = |name: &&[u8]| {
        let fits = |spec: &CommandSpec| spec.name.as_bytes().eq_ignore_ascii_case(name);
        subcommands.iter().position(fits)
    };
    argv.get(1).and_then(is_it).map_or(start, |place| start + 1 + place)
}

/// The name of the command that `argv` calls, such as `config|get`.
pub fn full_name(id: CommandId, argv: &[&[u8]]) -> &'static str {
    let units: &'static Units = &UNITS;
    &units.units[unit_of(id, argv)].name
}

/// Some of all commands and subcommands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSet {
    bits: Box<[u64]>,
}

impl CommandSet {
    pub fn none() -> Self {
        Self { bits: vec![0; UNITS.units.len().div_ceil(64)].into() }
    }

    /// All of them, or none.
    pub fn set_all(&mut self, contained: bool) {
        (0..UNITS.units.len()).for_each(|unit| self.set_unit(unit, contained));
    }

    pub fn set(&mut self, named: Named, contained: bool) {
        match named {
            Named::Command(id) => {
                let start = UNITS.starts[usize::from(id.0)];
                for unit in start..=start + spec(id).shown_subcommands().len() {
                    self.set_unit(unit, contained);
                }
            }
            Named::Subcommand(id, place) => {
                self.set_unit(UNITS.starts[usize::from(id.0)] + 1 + place, contained);
            }
        }
    }

    /// What is of a category, with all subcommands of containers that are.
    pub fn set_category(&mut self, category: usize, contained: bool) {
        for (number, unit) in UNITS.units.iter().enumerate() {
            if unit.categories >> category & 1 == 1 {
                self.set_unit(number, contained);
            }
        }
    }

    fn set_unit(&mut self, unit: usize, contained: bool) {
        let bit = 1 << (unit % 64);
        let word = &mut self.bits[unit / 64];
        *word = if contained { *word | bit } else { *word & !bit };
    }

    /// Whether the command is contained that `argv` calls.
    pub fn has(&self, id: CommandId, argv: &[&[u8]]) -> bool {
        self.has_unit(unit_of(id, argv))
    }

    fn has_unit(&self, unit: usize) -> bool {
        self.bits[unit / 64] >> (unit % 64) & 1 == 1
    }

    pub fn is_all(&self) -> bool {
        (0..UNITS.units.len()).all(|unit| self.has_unit(unit))
    }
}

/// The commands of a category, by id; for what has to be done with each.
pub fn ids_of_category(category: usize) -> impl Iterator<Item = CommandId> {
    let all = (0..command_count() as u16).map(CommandId);
    all.filter(move |id| {
        UNITS.units[UNITS.starts[usize::from(id.0)]].categories >> category & 1 == 1
    })
}
