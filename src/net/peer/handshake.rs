//! Who may talk to whom: the rules of volatile identity at the door (see [`crate::raft`]). Both
//! sides of a link check the other's hello, and say what was expected and what came.

use super::Peer;
use crate::engine::command::table;
use crate::net::frame::{FrameError, Hello, Purpose, Refusal, RefusalKind};
use crate::raft::types::{Boot, ClusterId, Configuration, MemberId};

/// Who this node is in its cluster.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cluster: ClusterId,
    pub member: MemberId,
    pub slot: String,
    pub boot: Boot,
    /// `host:port` under which peers reach this node. A former life of its slot has the same.
    pub peer_address: String,
}

/// Who was a member: what the newest configuration says that is known to be committed.
#[derive(Default)]
pub(super) struct Committed {
    members: Vec<MemberId>,
    /// Of all members that were ever named.
    highest: MemberId,
}

impl Committed {
    pub(super) fn follow(&mut self, configuration: &Configuration) {
        self.members.clear();
        self.members.extend(configuration.members.iter().map(|member| member.id));
        self.highest = self.members.iter().copied().fold(self.highest, MemberId::max);
    }

    /// Whether `id` is behind all that the log is known to have named.
    pub(super) fn is_future(&self, id: MemberId) -> bool {
        id > self.highest
    }

    /// Whether `id` is no member any more. Ids are places in the log, and that far the log is
    /// committed: one that nobody has yet comes behind the highest. False for one of the future.
    fn is_former(&self, id: MemberId) -> bool {
        id <= self.highest && !self.members.contains(&id)
    }
}

impl Identity {
    pub(super) fn hello(&self, to: MemberId, purpose: Purpose) -> Hello {
        Hello {
            purpose,
            commands: table::fingerprint(),
            cluster: self.cluster,
            slot: self.slot.clone(),
            boot: self.boot,
            member: self.member.0,
            to: to.0,
        }
    }
}

/// The position of the member that a hello comes from, or why it is refused.
pub(super) fn check(
    mine: &Identity,
    peers: &[Peer],
    committed: &Committed,
    hello: &Hello,
) -> Result<usize, Refusal> {
    check_party(mine, hello)?;
    let id = MemberId(hello.member);
    let is_it = |peer: &Peer| peer.id == id && peer.leaving_since_ms.is_none();
    let Some(position) = peers.iter().position(is_it) else {
        return Err(match committed.is_former(id) {
            true => refusal(RefusalKind::Removed, format!("REMOVED: {id} is no member any more")),
            false => refusal(RefusalKind::Unknown, format!("{id} is not a member, or not yet")),
        });
    };
    if let Some(known) = &peers[position].known {
        if known.slot != hello.slot {
            let reason = format!("member {id} is of slot {}, not of {}", known.slot, hello.slot);
            return Err(refusal(RefusalKind::Slot, reason));
        }
        if known.boot != hello.boot {
            let (expected, came) = (known.boot, hello.boot);
            let reason = format!("member {id} is process {expected:032x}, not {came:032x}");
            return Err(refusal(RefusalKind::Boot, reason));
        }
    }
    Ok(position)
}

/// Whether the hello is for this node, and from another one that it can understand.
fn check_party(mine: &Identity, hello: &Hello) -> Result<(), Refusal> {
    if hello.commands != table::fingerprint() {
        let (expected, came) = (table::fingerprint(), hello.commands);
        let reason = format!("the command table here is {expected:016x}, not {came:016x}");
        return Err(refusal(RefusalKind::Commands, reason));
    }
    if hello.cluster != mine.cluster {
        let (expected, came) = (mine.cluster, hello.cluster);
        let reason = format!("this node belongs to cluster {expected:032x}, not to {came:032x}");
        return Err(refusal(RefusalKind::Cluster, reason));
    }
    if hello.boot == mine.boot {
        let reason = format!("this is the very process {:032x} that dials", mine.boot);
        return Err(refusal(RefusalKind::Itself, reason));
    }
    if hello.to != mine.member.0 {
        let reason = format!("this node is member {}, not {}", mine.member, hello.to);
        return Err(refusal(RefusalKind::Addressee, reason));
    }
    Ok(())
}

/// What a node of another version is told; it understands the version and nothing else.
pub(super) fn other_version(error: &FrameError) -> Option<Refusal> {
    match error {
        FrameError::Version(_) => Some(refusal(RefusalKind::Version, error.to_string())),
        _ => None,
    }
}

pub(super) fn refusal(kind: RefusalKind, reason: String) -> Refusal {
    Refusal { kind, reason }
}
