//! Administrators' commands on the raft role: starts them, and answers when they have had their
//! effect. Replies and errors are RedisRaft's.

use crate::engine::reply::{Protocol, Reply};
use crate::raft::types::{Boot, ClusterId, Configuration, Index, MemberId};
use crate::raft::{CampaignError, MembershipError, Raft, TransferError};

use super::mailbox::{AdminCommand, ClientHandle, JoinError, Mailbox, ToNet};

/// A client that waits for the outcome of its command.
#[derive(Clone, Copy, Debug)]
pub struct Admin {
    pub client: ClientHandle,
    pub protocol: Protocol,
}

/// What a command waits for once it is under way.
pub enum Started {
    Configuration(Index, Awaited),
    Transfer,
    Done,
}

/// What is answered when the configuration entry is committed.
#[derive(Clone, Copy, Debug)]
pub enum Awaited {
    /// `OK` and the cluster id.
    Created,
    /// The member id, the cluster id and the members.
    Admitted { boot: Boot },
    /// `OK`
    Removed,
}

/// Why a command cannot be carried out.
pub enum Refusal {
    Membership(MembershipError),
    Transfer(TransferError),
    Campaign(CampaignError),
}

/// Starts a command that changes the cluster.
pub fn start(raft: &mut Raft, command: AdminCommand) -> Result<Started, Refusal> {
    match command {
        AdminCommand::Admit(applicant) => {
            let boot = applicant.boot;
            let index = raft.admit(applicant).map_err(Refusal::Membership)?;
            Ok(Started::Configuration(index, Awaited::Admitted { boot }))
        }
        AdminCommand::Remove { id } => {
            let index = raft.remove(id).map_err(Refusal::Membership)?;
            Ok(Started::Configuration(index, Awaited::Removed))
        }
        AdminCommand::Transfer { target } => {
            raft.transfer_leadership(target).map_err(Refusal::Transfer)?;
            Ok(Started::Transfer)
        }
        AdminCommand::TimeoutNow => {
            raft.campaign_now().map_err(Refusal::Campaign)?;
            Ok(Started::Done)
        }
        AdminCommand::Init { .. } | AdminCommand::Join { .. } | AdminCommand::Compact => {
            unreachable!("invariant: these are handled before")
        }
    }
}

/// Who waits for what.
pub struct Answers {
    nets: Vec<Mailbox<ToNet>>,
    configurations: Vec<(Admin, Index, Awaited)>,
    transfers: Vec<Admin>,
    joins: Vec<Admin>,
}

impl Answers {
    pub fn new(nets: Vec<Mailbox<ToNet>>) -> Self {
        Self { nets, configurations: Vec::new(), transfers: Vec::new(), joins: Vec::new() }
    }

    pub fn await_configuration(&mut self, admin: Admin, index: Index, awaited: Awaited) {
        self.configurations.push((admin, index, awaited));
    }

    pub fn await_transfer(&mut self, admin: Admin) {
        self.transfers.push(admin);
    }

    pub fn await_join(&mut self, admin: Admin) {
        self.joins.push(admin);
    }

    pub fn ok(&self, admin: Admin) {
        self.answer(admin, Reply::ok);
    }

    pub fn error(&self, admin: Admin, text: &str) {
        self.answer(admin, |reply| reply.error_text(text));
    }

    /// A configuration entry is committed: answers who waited for it, and who waited for one that
    /// it has replaced.
    pub fn configuration_committed(
        &mut self,
        index: Index,
        configuration: &Configuration,
        cluster: ClusterId,
    ) {
        for (admin, awaited_index, awaited) in std::mem::take(&mut self.configurations) {
            if awaited_index > index {
                self.configurations.push((admin, awaited_index, awaited));
                continue;
            }
            match awaited {
                Awaited::Created => {
                    self.answer(admin, |reply| reply.simple(&format!("OK {cluster:032x}")));
                }
                Awaited::Removed => self.ok(admin),
                Awaited::Admitted { boot } => {
                    let own = configuration.members.iter().find(|member| member.boot == boot);
                    match own {
                        Some(own) => {
                            self.answer(admin, |reply| {
                                admitted(reply, own.id, cluster, configuration)
                            });
                        }
                        None => self.error(admin, "TIMEOUT not committed yet"),
                    }
                }
            }
        }
    }

    /// Entries that were not committed may never be.
    pub fn leadership_lost(&mut self) {
        for (admin, _, _) in std::mem::take(&mut self.configurations) {
            self.error(admin, "TIMEOUT not committed yet");
        }
    }

    pub fn transfer_ended(&mut self, end: Result<(), TransferError>) {
        for admin in std::mem::take(&mut self.transfers) {
            match &end {
                Ok(()) => self.ok(admin),
                Err(error) => self.error(admin, &transfer_text(error)),
            }
        }
    }

    pub fn join_ended(&mut self, end: Result<(), JoinError>) {
        for admin in std::mem::take(&mut self.joins) {
            match &end {
                Ok(()) => self.ok(admin),
                Err(error) => self.error(admin, &format!("ERR {error}")),
            }
        }
    }

    fn answer(&self, admin: Admin, write: impl FnOnce(&mut Reply)) {
        let mut reply = Reply::new(admin.protocol);
        write(&mut reply);
        let ClientHandle { stream, connection } = admin.client;
        self.nets[usize::from(stream)].send(ToNet::Answer { connection, reply: reply.buffer });
    }
}

/// The reply to RAFT.NODE ADD: id and cluster id as RedisRaft has them, then id and peer address of
/// each member.
fn admitted(reply: &mut Reply, id: MemberId, cluster: ClusterId, configuration: &Configuration) {
    reply.array(3);
    reply.integer(id.0 as i64);
    reply.bulk(format!("{cluster:032x}").as_bytes());
    reply.array(configuration.members.len() * 2);
    for member in &configuration.members {
        reply.integer(member.id.0 as i64);
        reply.bulk(member.peer_address.as_bytes());
    }
}

impl Refusal {
    /// The error reply, in RedisRaft's words where it has them.
    pub fn text(&self, configuration: &Configuration) -> String {
        let leader = match self {
            Self::Membership(MembershipError::NotLeader { leader })
            | Self::Transfer(TransferError::NotLeader { leader }) => Some(leader),
            _ => None,
        };
        match (leader, self) {
            (Some(Some(leader)), Self::Membership(_)) => match configuration.member(*leader) {
                Some(member) => format!("MOVED 0 {}", member.client_address),
                None => "CLUSTERDOWN No raft leader".to_owned(),
            },
            (Some(None), Self::Membership(_)) => "CLUSTERDOWN No raft leader".to_owned(),
            (_, Self::Membership(error)) => membership_text(error),
            (_, Self::Transfer(error)) => transfer_text(error),
            (_, Self::Campaign(error)) => format!("ERR failed to start an election: {error}"),
        }
    }
}

/// The code of the refusal to admit a second process of a slot. The text ends with the milliseconds
/// after which the first would no longer count as alive.
pub const SLOT_ALIVE: &str = "SLOTALIVE";

fn membership_text(error: &MembershipError) -> String {
    match error {
        MembershipError::ChangeInProgress => "ERR one voting change only".to_owned(),
        MembershipError::UnknownMember => "ERR node id does not exist".to_owned(),
        MembershipError::NoEntryOfOwnTerm => "ERR try again".to_owned(),
        MembershipError::SlotAlive { free_in_ms, .. } => {
            format!("{SLOT_ALIVE} {error}; ask again in {free_in_ms} ms")
        }
        error => format!("ERR {error}"),
    }
}

fn transfer_text(error: &TransferError) -> String {
    match error {
        TransferError::NotLeader { .. } => "ERR not leader".to_owned(),
        TransferError::InProgress => "ERR leader transfer is in progress".to_owned(),
        TransferError::InvalidTarget => "ERR invalid target node id".to_owned(),
        TransferError::TimedOut => "ERR transfer timed out".to_owned(),
        TransferError::DifferentLeader { .. } => "ERR different node elected leader".to_owned(),
    }
}
