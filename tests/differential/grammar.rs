//! The grammar of `grammar.txt`: reads it, and draws commands by it.

use super::reference::{ALL, Reference};
use super::words::{POOLS, Words};

/// The text that stands beside this file.
pub const TEXT: &str = include_str!("grammar.txt");

/// The most words that one command is drawn with: options repeat, and none of them without end.
const REPEATS: u64 = 4;

#[derive(Debug)]
pub struct Family {
    pub name: String,
    pub rules: Vec<Rule>,
}

#[derive(Debug)]
pub struct Rule {
    pub weight: u64,
    sequence: Vec<Part>,
    /// What the command sets ends within milliseconds.
    pub rests: bool,
    /// The command may wait without end.
    pub blocks: bool,
    /// The servers that know it.
    pub only: Vec<Reference>,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Pool(String),
    Perhaps(Vec<Part>),
    OneOf(Vec<Vec<Part>>),
    SomeOf(Vec<Vec<Part>>),
    Repeated(Vec<Part>),
    Counted(Vec<Part>),
    Again(Vec<Part>),
}

/// The families in the order of the text, or what is wrong with it.
pub fn read(text: &str) -> Result<Vec<Family>, String> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            families.push(Family { name: name.to_owned(), rules: Vec::new() });
            continue;
        }
        let family = families.last_mut().ok_or("a rule before the first family")?;
        family.rules.push(rule(line).map_err(|error| format!("'{line}': {error}"))?);
    }
    Ok(families)
}

fn rule(line: &str) -> Result<Rule, String> {
    let (line, rests) = match line.strip_suffix(" !") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let (line, blocks) = match line.strip_suffix(" ?") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let first = line.split(' ').next().unwrap_or_default();
    let weight = first.strip_prefix('x').and_then(|number| number.parse().ok());
    let behind = if weight.is_some() { line.split_once(' ').map_or("", |it| it.1) } else { line };
    let (only, behind) = known_by(behind)?;
    let mut tokens = behind.split(' ').peekable();
    let mut alternatives = parse(&mut tokens, None)?;
    match alternatives.len() {
        1 => {
            let sequence = alternatives.remove(0);
            Ok(Rule { weight: weight.unwrap_or(10), sequence, rests, blocks, only })
        }
        _ => Err("a '|' outside of brackets".into()),
    }
}

/// The servers that `@` names in front of a rule, by commas between them; all unless told.
fn known_by(line: &str) -> Result<(Vec<Reference>, &str), String> {
    let Some(named) = line.strip_prefix('@') else { return Ok((ALL.to_vec(), line)) };
    let (names, rest) = named.split_once(' ').ok_or("no command")?;
    let known = |name| Reference::named(name).ok_or_else(|| format!("no server '{name}'"));
    Ok((names.split(',').map(known).collect::<Result<_, _>>()?, rest))
}

type Tokens<'a> = std::iter::Peekable<std::str::Split<'a, char>>;

/// Alternatives up to the bracket that closes them.
fn parse(tokens: &mut Tokens<'_>, close: Option<&str>) -> Result<Vec<Vec<Part>>, String> {
    let mut alternatives = vec![Vec::new()];
    loop {
        let token = tokens.next();
        if token == close {
            return Ok(alternatives);
        }
        let Some(token) = token else { return Err("a bracket is not closed".into()) };
        let part = match token {
            "|" => {
                alternatives.push(Vec::new());
                continue;
            }
            "[" => Part::Perhaps(only(parse(tokens, Some("]"))?)?),
            "(" => Part::OneOf(parse(tokens, Some(")"))?),
            "<" => Part::SomeOf(parse(tokens, Some(">"))?),
            "{" => Part::Repeated(only(parse(tokens, Some("}"))?)?),
            "#{" => Part::Counted(only(parse(tokens, Some("}"))?)?),
            "={" => Part::Again(only(parse(tokens, Some("}"))?)?),
            _ => word(token)?,
        };
        alternatives.last_mut().ok_or("no alternative")?.push(part);
    }
}

fn only(mut alternatives: Vec<Vec<Part>>) -> Result<Vec<Part>, String> {
    match alternatives.len() {
        1 => Ok(alternatives.remove(0)),
        _ => Err("a '|' where there is no choice".into()),
    }
}

fn word(token: &str) -> Result<Part, String> {
    let quoted = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    if let Some(text) = quoted {
        return Ok(Part::Literal(text.to_owned()));
    }
    if token.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Ok(Part::Literal(token.to_owned()));
    }
    match POOLS.contains(&token) {
        true => Ok(Part::Pool(token.to_owned())),
        false => Err(format!("there is no pool '{token}'")),
    }
}

impl Rule {
    /// The words that every command of this rule begins with, in small letters.
    pub fn name(&self) -> Vec<String> {
        let literal = |part: &Part| match part {
            Part::Literal(text) => Some(text.to_ascii_lowercase()),
            _ => None,
        };
        self.sequence.iter().map_while(literal).collect()
    }

    pub fn draw(&self, words: &mut Words<'_>) -> Vec<Vec<u8>> {
        let mut drawn = Drawn { words: Vec::new(), counted: 1 };
        drawn.sequence(&self.sequence, words);
        drawn.words
    }
}

struct Drawn {
    words: Vec<Vec<u8>>,
    /// How often the last `#{ … }` was repeated.
    counted: u64,
}

impl Drawn {
    fn sequence(&mut self, parts: &[Part], words: &mut Words<'_>) {
        for part in parts {
            self.part(part, words);
        }
    }

    fn part(&mut self, part: &Part, words: &mut Words<'_>) {
        match part {
            Part::Literal(text) => self.words.push(text.as_bytes().to_vec()),
            Part::Pool(name) => {
                let word = words.word(name);
                self.words.push(word);
            }
            Part::Perhaps(parts) => {
                if words.rng.once_in(3) {
                    self.sequence(parts, words);
                }
            }
            Part::OneOf(alternatives) => {
                let at = words.rng.below(alternatives.len() as u64) as usize;
                self.sequence(&alternatives[at], words);
            }
            Part::SomeOf(alternatives) => {
                let mut left: Vec<&Vec<Part>> = alternatives.iter().collect();
                while !left.is_empty() {
                    let at = words.rng.below(left.len() as u64) as usize;
                    let parts = left.swap_remove(at);
                    if words.rng.below(5) < 2 {
                        self.sequence(parts, words);
                    }
                }
            }
            Part::Repeated(parts) => {
                let count = 1 + words.rng.below(REPEATS);
                self.times(count, parts, words);
            }
            Part::Counted(parts) => {
                self.counted = 1 + words.rng.below(3);
                let told = if words.rng.once_in(20) { 0 } else { self.counted };
                self.words.push(told.to_string().into_bytes());
                self.times(self.counted, parts, words);
            }
            Part::Again(parts) => self.times(self.counted, parts, words),
        }
    }

    fn times(&mut self, count: u64, parts: &[Part], words: &mut Words<'_>) {
        for _ in 0..count {
            self.sequence(parts, words);
        }
    }
}
