//! CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO: of which keys a client wants to be told
//! when they change. What it reads is remembered by the apply role ([`crate::engine::tracking`]).

use std::collections::BTreeSet;

use super::{Arguments, CommandError, Outcome, Reply, Session, Wait, excerpt, failure, is_word};
use crate::engine::number::integer;
use crate::engine::pubsub::Subscriber;
use crate::engine::tracking::Terms;

/// What a client has asked for by CLIENT TRACKING ON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    mode: Mode,
    is_noloop: bool,
    /// In [`Mode::Broadcast`]; the empty one stands for all keys.
    prefixes: BTreeSet<Vec<u8>>,
    redirect: Option<Redirect>,
    /// The client that it redirects to is gone.
    is_broken: bool,
    /// What CLIENT CACHING has said of the next command or transaction.
    caching: Option<bool>,
}

/// Which keys a client is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// All that it reads.
    Reads,
    /// What it reads by a command that CLIENT CACHING YES stands before.
    OptIn,
    /// What it reads by a command that CLIENT CACHING NO does not stand before.
    OptOut,
    /// All with one of its prefixes.
    Broadcast,
}

/// The client that is told in the place of the one that tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Redirect {
    id: i64,
    target: Subscriber,
}

/// CLIENT TRACKING as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    is_on: bool,
    opts_in: bool,
    opts_out: bool,
    broadcasts: bool,
    is_noloop: bool,
    prefixes: Vec<Vec<u8>>,
}

/// CLIENT TRACKING with REDIRECT, which waits until the client is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirecting {
    pub id: i64,
    /// What follows if it is: an error behind the option comes after one of the option.
    request: Result<Request, CommandError>,
}

impl Tracking {
    /// Whether the client is to be remembered at what its next command reads.
    pub fn remembers(&self) -> bool {
        match self.mode {
            Mode::Reads => true,
            Mode::OptIn => self.caching == Some(true),
            Mode::OptOut => self.caching != Some(false),
            Mode::Broadcast => false,
        }
    }

    fn terms(&self, session: u64) -> Terms {
        Terms {
            session,
            is_noloop: self.is_noloop,
            prefixes: (self.mode == Mode::Broadcast).then(|| self.prefixes.clone()),
            target: self.redirect.map(|redirect| redirect.target),
        }
    }

    /// The letters of CLIENT LIST.
    pub fn marks(&self) -> [(&'static str, bool); 3] {
        [("t", true), ("R", self.is_broken), ("B", self.mode == Mode::Broadcast)]
    }
}

impl Session {
    /// Whether the client is to be remembered at what its next command reads.
    #[inline]
    pub fn tracks_next(&self) -> bool {
        self.tracking.as_ref().is_some_and(|tracking| tracking.remembers())
    }

    /// What the apply role is to know, if it has changed since the last call.
    #[inline]
    pub fn take_tracking_change(&mut self) -> Option<Option<Terms>> {
        let has_changed = std::mem::take(&mut self.tracking_changed);
        has_changed.then(|| self.tracking.as_ref().map(|tracking| tracking.terms(self.id)))
    }

    /// A command has been run or queued: what CLIENT CACHING said was for it, or for the whole
    /// transaction.
    #[cold]
    pub fn end_caching(&mut self, command: &[u8]) {
        let is_over = self.transaction.is_none() && !is_word(command, "client");
        if let Some(tracking) = self.tracking.as_mut().filter(|_| is_over) {
            tracking.caching = None;
        }
    }

    /// CLIENT CACHING YES within a transaction counts for all of it.
    #[cold]
    pub fn note_queued_caching(&mut self, queued: &[super::Aside]) {
        let opts_in = |work: &super::AsideWork| match work {
            super::AsideWork::Run { words, .. } => match &words[..] {
                [name, subcommand, yes] => {
                    is_word(name, "client") && is_word(subcommand, "caching") && is_word(yes, "yes")
                }
                _ => false,
            },
            super::AsideWork::Refuse(_) => false,
        };
        if let Some(tracking) = &mut self.tracking
            && tracking.mode == Mode::OptIn
            && queued.iter().any(|aside| opts_in(&aside.work))
        {
            tracking.caching = Some(true);
        }
    }

    pub fn stop_tracking(&mut self) {
        self.tracking_changed |= self.tracking.take().is_some();
    }

    /// The client that it redirects to is gone: the message that tells so, if it can be told.
    pub fn break_redirect(&mut self, reply: &mut Reply) {
        let Some(tracking) = &mut self.tracking else { return };
        let Some(redirect) = tracking.redirect else { return };
        tracking.is_broken = true;
        if self.protocol == super::Protocol::Resp3 {
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.integer(redirect.id);
        }
    }

    /// What CLIENT GETREDIR answers.
    pub fn redirects_to(&self) -> i64 {
        self.tracking.as_ref().map_or(-1, |it| it.redirect.map_or(0, |redirect| redirect.id))
    }
}

/// CLIENT TRACKING (ON|OFF) [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]
pub fn run(
    arguments: Arguments<'_, '_>,
    session: &mut Session,
    reply: &mut Reply,
) -> Result<Outcome, CommandError> {
    let mut redirect = None;
    let request = parse(arguments, &mut redirect);
    match redirect {
        // No client has such an id.
        Some(..=0) => Err(NO_SUCH_CLIENT),
        Some(id) => Ok(Outcome::Wait(Wait::Redirect(Redirecting { id, request }))),
        None => {
            follow(request?, None, session)?;
            reply.ok();
            Ok(Outcome::Replied)
        }
    }
}

/// Makes the reply of a command that waited for the client to redirect to.
pub fn finish_redirect(
    redirecting: &Redirecting,
    target: Option<Subscriber>,
    session: &mut Session,
    reply: &mut Reply,
) {
    let Redirecting { id, request } = redirecting;
    let redirect = target.map(|target| Redirect { id: *id, target }).ok_or(NO_SUCH_CLIENT);
    let done = redirect.and_then(|redirect| follow(request.clone()?, Some(redirect), session));
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(&error),
    }
}

const NO_SUCH_CLIENT: CommandError =
    CommandError::text("ERR The client ID you want redirect to does not exist");

fn parse(words: Arguments<'_, '_>, redirect: &mut Option<i64>) -> Result<Request, CommandError> {
    let mut request = Request::default();
    let (switch, mut rest) = words.split_first().ok_or(CommandError::Syntax)?;
    while let Some((word, tail)) = rest.split_first() {
        rest = tail;
        match tail {
            [id, tail @ ..] if is_word(word, "REDIRECT") => {
                if redirect.is_some() {
                    return Err(CommandError::text(
                        "ERR A client can only redirect to a single other client",
                    ));
                }
                *redirect = Some(integer(id)?);
                rest = tail;
            }
            [prefix, tail @ ..] if is_word(word, "PREFIX") => {
                request.prefixes.push(prefix.to_vec());
                rest = tail;
            }
            _ if is_word(word, "BCAST") => request.broadcasts = true,
            _ if is_word(word, "OPTIN") => request.opts_in = true,
            _ if is_word(word, "OPTOUT") => request.opts_out = true,
            _ if is_word(word, "NOLOOP") => request.is_noloop = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    request.is_on = match switch {
        _ if is_word(switch, "ON") => true,
        _ if is_word(switch, "OFF") => false,
        _ => return Err(CommandError::Syntax),
    };
    Ok(request)
}

fn follow(
    request: Request,
    redirect: Option<Redirect>,
    session: &mut Session,
) -> Result<(), CommandError> {
    if !request.is_on {
        session.stop_tracking();
        return Ok(());
    }
    let former = session.tracking.as_deref();
    let mode = request.mode(former)?;
    let mut prefixes = BTreeSet::new();
    if mode == Mode::Broadcast {
        prefixes = former.map(|former| former.prefixes.clone()).unwrap_or_default();
        check_prefixes(&request.prefixes, &prefixes)?;
        prefixes.extend(request.prefixes.iter().cloned());
        if request.prefixes.is_empty() {
            prefixes.insert(Vec::new());
        }
    }
    let Request { is_noloop, .. } = request;
    let tracking =
        Tracking { mode, is_noloop, prefixes, redirect, is_broken: false, caching: None };
    session.tracking = Some(Box::new(tracking));
    session.tracking_changed = true;
    Ok(())
}

impl Request {
    /// The mode that is asked for, if it may follow the former one.
    fn mode(&self, former: Option<&Tracking>) -> Result<Mode, CommandError> {
        if !self.broadcasts && !self.prefixes.is_empty() {
            return Err(CommandError::text("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        let former = former.map(|former| former.mode);
        if former.is_some_and(|former| (former == Mode::Broadcast) != self.broadcasts) {
            return Err(CommandError::text(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            ));
        }
        match (self.broadcasts, self.opts_in, self.opts_out) {
            (true, false, false) => Ok(Mode::Broadcast),
            (true, ..) => {
                Err(CommandError::text("ERR OPTIN and OPTOUT are not compatible with BCAST"))
            }
            (false, true, true) => {
                Err(CommandError::text("ERR You can't specify both OPTIN mode and OPTOUT mode"))
            }
            (false, true, false) if former == Some(Mode::OptOut) => Err(OTHER_OPTION),
            (false, false, true) if former == Some(Mode::OptIn) => Err(OTHER_OPTION),
            (false, true, false) => Ok(Mode::OptIn),
            (false, false, true) => Ok(Mode::OptOut),
            (false, false, false) => Ok(Mode::Reads),
        }
    }
}

const OTHER_OPTION: CommandError = CommandError::text(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
     re-enabling it with a different mode.",
);

/// No key may have two of the prefixes of one client, which would be told of it twice.
fn check_prefixes(new: &[Vec<u8>], former: &BTreeSet<Vec<u8>>) -> Result<(), CommandError> {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    let refuse = |one: &[u8], what: &str, other: &[u8]| {
        let (one, other) = (excerpt(one, one.len()), excerpt(other, other.len()));
        Err(failure(format!(
            "ERR Prefix '{one}' overlaps with {what} prefix '{other}'. Prefixes for a single \
             client must not overlap."
        )))
    };
    for (place, prefix) in new.iter().enumerate() {
        if let Some(other) = former.iter().find(|former| overlap(prefix, former)) {
            return refuse(prefix, "an existing", other);
        }
        if let Some(other) = new[place + 1..].iter().find(|other| overlap(prefix, other)) {
            return refuse(prefix, "another provided", other);
        }
    }
    Ok(())
}

/// CLIENT CACHING (YES|NO)
pub fn caching(word: &[u8], session: &mut Session, reply: &mut Reply) -> Result<(), CommandError> {
    let Some(tracking) = session.tracking.as_deref_mut() else {
        return Err(CommandError::text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        ));
    };
    let is_yes = match word {
        _ if is_word(word, "YES") => true,
        _ if is_word(word, "NO") => false,
        _ => return Err(CommandError::Syntax),
    };
    match (is_yes, tracking.mode) {
        (true, Mode::OptIn) | (false, Mode::OptOut) => {
            tracking.caching = Some(is_yes);
            reply.ok();
            Ok(())
        }
        (true, _) => Err(CommandError::text(
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        )),
        (false, _) => Err(CommandError::text(
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        )),
    }
}

/// CLIENT TRACKINGINFO
pub fn info(session: &Session, reply: &mut Reply) {
    let tracking = session.tracking.as_deref();
    let is = |mode: Mode| tracking.is_some_and(|it| it.mode == mode);
    let says = |caching: bool| tracking.is_some_and(|it| it.caching == Some(caching));
    let flags = [
        ("off", tracking.is_none()),
        ("on", tracking.is_some()),
        ("bcast", is(Mode::Broadcast)),
        ("optin", is(Mode::OptIn)),
        ("caching-yes", says(true)),
        ("optout", is(Mode::OptOut)),
        ("caching-no", says(false)),
        ("noloop", tracking.is_some_and(|it| it.is_noloop)),
        ("broken_redirect", tracking.is_some_and(|it| it.is_broken)),
    ];
    let flags: Vec<&str> =
        flags.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(session.redirects_to());
    reply.bulk(b"prefixes");
    reply.array(tracking.map_or(0, |it| it.prefixes.len()));
    tracking.iter().flat_map(|it| &it.prefixes).for_each(|prefix| reply.bulk(prefix));
}
