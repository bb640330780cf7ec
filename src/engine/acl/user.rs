//! A user: who it is, and what it may do.

use sha2::{Digest, Sha256};

use super::selector::{Selector, has_space};
use super::{Denial, RuleError};
use crate::engine::command::{CommandId, spec};
use crate::engine::error::CommandError;

/// A hash of a password, as 64 hexadecimal digits in lower case.
type PasswordHash = [u8; HASH_DIGITS];

const HASH_DIGITS: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: Vec<u8>,
    /// Tells users apart that had the same name one after the other.
    pub number: u64,
    is_on: bool,
    /// Any password will do.
    needs_no_password: bool,
    /// Whether what RESTORE is given is looked through, which it always is here: only shown.
    sanitizes: bool,
    passwords: Vec<PasswordHash>,
    root: Selector,
    selectors: Vec<Selector>,
}

impl User {
    /// It may do nothing, but use all channels if `all_channels`.
    pub fn new(name: &[u8], number: u64, all_channels: bool) -> Self {
        Self {
            name: name.to_vec(),
            number,
            is_on: false,
            needs_no_password: false,
            sanitizes: true,
            passwords: Vec::new(),
            root: Selector::new(all_channels),
            selectors: Vec::new(),
        }
    }

    /// The user that clients are before they say who they are; it may do anything.
    pub fn default_user() -> Self {
        Self {
            is_on: true,
            needs_no_password: true,
            root: Selector::unrestricted(),
            ..Self::new(b"default", 0, true)
        }
    }

    /// Takes one rule over. After an error nothing is known of the user.
    pub fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            [] => {}
            _ if is("on") => self.is_on = true,
            _ if is("off") => self.is_on = false,
            _ if is("nopass") => {
                self.needs_no_password = true;
                self.passwords.clear();
            }
            _ if is("resetpass") => {
                self.needs_no_password = false;
                self.passwords.clear();
            }
            _ if is("sanitize-payload") => self.sanitizes = true,
            _ if is("skip-sanitize-payload") => self.sanitizes = false,
            _ if is("clearselectors") => self.selectors.clear(),
            _ if is("reset") => *self = Self::new(&self.name, self.number, all_channels),
            [b'>', password @ ..] => self.add_password(hash_of(password)),
            [b'#', hash @ ..] => self.add_password(checked_hash(hash)?),
            [b'<', password @ ..] => self.remove_password(hash_of(password))?,
            [b'!', hash @ ..] => self.remove_password(checked_hash(hash)?)?,
            [b'(', inner @ .., b')'] => {
                let mut selector = Selector::new(all_channels);
                for rule in inner.split(|byte| byte.is_ascii_whitespace()) {
                    if !rule.is_empty() {
                        selector.apply(rule)?;
                    }
                }
                self.selectors.push(selector);
            }
            _ => self.root.apply(rule)?,
        }
        Ok(())
    }

    fn add_password(&mut self, hash: PasswordHash) {
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
        self.needs_no_password = false;
    }

    fn remove_password(&mut self, hash: PasswordHash) -> Result<(), RuleError> {
        let position = self.passwords.iter().position(|it| *it == hash);
        self.passwords.remove(position.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    /// Whether a client that knows this password may be this user.
    pub fn admits(&self, password: &[u8]) -> bool {
        // Hashes are compared, so that the time tells nothing of the password.
        self.is_on && (self.needs_no_password || self.passwords.contains(&hash_of(password)))
    }

    /// Whether clients are this user without saying so, if it is the default one.
    pub fn admits_anyone(&self) -> bool {
        self.is_on && self.needs_no_password
    }

    pub fn needs_no_password(&self) -> bool {
        self.needs_no_password
    }

    /// Nothing has to be checked of what it does.
    pub fn is_unrestricted(&self) -> bool {
        self.selectors().any(Selector::is_unrestricted)
    }

    fn selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Whether `argv`, which calls command `id`, is allowed. One selector has to allow all of it;
    /// if none does, the error is of the one that came furthest.
    pub fn check<'a>(&self, id: CommandId, argv: &[&'a [u8]]) -> Result<(), Denial<'a>> {
        let mut furthest: Option<(usize, Denial<'a>)> = None;
        for selector in self.selectors() {
            let Err((at, denial)) = selector.check(id, argv) else { return Ok(()) };
            let progress = |(at, denial): &(usize, Denial<'_>)| (denial.rank(), *at);
            let candidate = (at, denial);
            if furthest.as_ref().is_none_or(|it| progress(it) < progress(&candidate)) {
                furthest = Some(candidate);
            }
        }
        let (_, denial) = furthest.expect("invariant: every user has a selector");
        Err(denial)
    }

    /// SORT with BY and GET reads keys that its line does not name: for that all keys have to be
    /// allowed to be read.
    pub fn check_sort(&self, id: CommandId, argv: &[&[u8]]) -> Result<(), CommandError> {
        if !["sort", "sort_ro"].contains(&spec(id).name) {
            return Ok(());
        }
        let reads_all = |selector: &Selector| {
            selector.check(id, argv).is_ok() && selector.allows_reading_all_keys()
        };
        if self.selectors().any(reads_all) {
            return Ok(());
        }
        let mut rest = argv.get(2..).unwrap_or_default();
        while let [option, after @ ..] = rest {
            let is = |word: &str| option.eq_ignore_ascii_case(word.as_bytes());
            let taken = match after {
                [pattern, ..] if is("BY") && pattern.contains(&b'*') => {
                    return Err(CommandError::text(
                        "ERR BY option of SORT denied due to insufficient ACL permissions.",
                    ));
                }
                [_, ..] if is("GET") => {
                    return Err(CommandError::text(
                        "ERR GET option of SORT denied due to insufficient ACL permissions.",
                    ));
                }
                [_, ..] if is("BY") || is("STORE") => 1,
                [_, _, ..] if is("LIMIT") => 2,
                _ => 0,
            };
            rest = &after[taken..];
        }
        Ok(())
    }

    pub fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors().any(|selector| selector.allows_channel(channel, is_pattern))
    }

    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.is_on { "on" } else { "off" }];
        if self.needs_no_password {
            flags.push("nopass");
        }
        flags.push(if self.sanitizes { "sanitize-payload" } else { "skip-sanitize-payload" });
        flags
    }

    pub fn passwords(&self) -> &[PasswordHash] {
        &self.passwords
    }

    pub fn root(&self) -> &Selector {
        &self.root
    }

    pub fn further_selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Rules that make such a user of a new one: what ACL LIST shows behind the name.
    pub fn rules(&self) -> Vec<Vec<u8>> {
        let mut rules: Vec<Vec<u8>> =
            self.flags().iter().map(|flag| flag.as_bytes().to_vec()).collect();
        rules.extend(self.passwords.iter().map(|hash| [b"#", hash.as_slice()].concat()));
        let root = self.root.text();
        rules.extend(root.split(|byte| *byte == b' ').map(<[u8]>::to_vec));
        let selectors = self.selectors.iter();
        rules.extend(selectors.map(|selector| [b"(", selector.text().as_slice(), b")"].concat()));
        rules
    }

    /// Its line of ACL LIST.
    pub fn line(&self) -> Vec<u8> {
        let mut line = [b"user ", self.name.as_slice()].concat();
        for rule in self.rules() {
            line.push(b' ');
            line.extend_from_slice(&rule);
        }
        line
    }
}

/// Names stand between spaces in ACL LIST.
pub fn is_name(name: &[u8]) -> bool {
    !has_space(name)
}

fn hash_of(password: &[u8]) -> PasswordHash {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hash = [0; HASH_DIGITS];
    for (pair, byte) in hash.chunks_exact_mut(2).zip(Sha256::digest(password)) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    hash
}

fn checked_hash(text: &[u8]) -> Result<PasswordHash, RuleError> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let hash = PasswordHash::try_from(text).map_err(|_| RuleError::NoHash)?;
    if hash.iter().all(is_digit) { Ok(hash) } else { Err(RuleError::NoHash) }
}
