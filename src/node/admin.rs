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
        AdminCommand::Init { .. }
        | AdminCommand::Join { .. }
        | AdminCommand::State
        | AdminCommand::ForceRecover { .. }
        | AdminCommand::Compact
        | AdminCommand::Digest
        | AdminCommand::Failover { .. }
        | AdminCommand::AbortFailover
        | AdminCommand::TakeOver { .. }
        | AdminCommand::HandOver
        | AdminCommand::Forget { .. }
        | AdminCommand::Execute { .. }
        | AdminCommand::ResetStats
        | AdminCommand::WaitReady { .. } => {
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

    /// Tells clients of the discovery port, who are all with the first net role.
    pub fn tell_leader_moved(&self, former: String, leader: String) {
        self.nets[0].send(ToNet::LeaderMoved { former, leader });
    }

    /// Where the answer of a client goes that another thread finds.
    pub fn mailbox_of(&self, admin: Admin) -> Mailbox<ToNet> {
        self.nets[usize::from(admin.client.stream)].clone()
    }

    pub fn join_ended(&mut self, end: Result<(), JoinError>) {
        for admin in std::mem::take(&mut self.joins) {
            match &end {
                Ok(()) => self.ok(admin),
                Err(error) => self.error(admin, &format!("ERR {error}")),
            }
        }
    }

    pub fn answer(&self, admin: Admin, write: impl FnOnce(&mut Reply)) {
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
        MembershipError::TransferInProgress => "ERR leader transfer is in progress".to_owned(),
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
        TransferError::Aborted => "ERR failover aborted".to_owned(),
        TransferError::DifferentLeader { .. } => "ERR different node elected leader".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::net::ring::Ring;
    use crate::raft::types::Member;

    fn member(id: u64) -> Member {
        Member {
            id: MemberId(id),
            slot: format!("slot{id}"),
            boot: Boot::from(id),
            client_address: format!("10.0.0.{id}:5001"),
            peer_address: format!("10.0.0.{id}:15001"),
            observer: false,
        }
    }

    fn configuration() -> Configuration {
        Configuration {
            voters: vec![MemberId(1), MemberId(2)],
            members: vec![member(1), member(2)],
            ..Configuration::default()
        }
    }

    #[test]
    fn refusals_have_redisrafts_words_where_it_has_them() {
        use MembershipError as M;
        use TransferError as T;
        let leader = Some(MemberId(2));
        let cases = [
            (Refusal::Membership(M::NotLeader { leader }), "MOVED 0 10.0.0.2:5001"),
            (Refusal::Membership(M::NotLeader { leader: None }), "CLUSTERDOWN No raft leader"),
            (
                Refusal::Membership(M::NotLeader { leader: Some(MemberId(9)) }),
                "CLUSTERDOWN No raft leader",
            ),
            (Refusal::Membership(M::ChangeInProgress), "ERR one voting change only"),
            (Refusal::Membership(M::TransferInProgress), "ERR leader transfer is in progress"),
            (Refusal::Membership(M::NoEntryOfOwnTerm), "ERR try again"),
            (Refusal::Membership(M::UnknownMember), "ERR node id does not exist"),
            (Refusal::Membership(M::LastVoter), "ERR the last voter cannot be removed"),
            (Refusal::Transfer(T::NotLeader { leader }), "ERR not leader"),
            (Refusal::Transfer(T::NotLeader { leader: None }), "ERR not leader"),
            (Refusal::Transfer(T::InProgress), "ERR leader transfer is in progress"),
            (Refusal::Transfer(T::InvalidTarget), "ERR invalid target node id"),
            (Refusal::Transfer(T::TimedOut), "ERR transfer timed out"),
            (Refusal::Transfer(T::Aborted), "ERR failover aborted"),
            (
                Refusal::Transfer(T::DifferentLeader { leader: MemberId(1) }),
                "ERR different node elected leader",
            ),
            (
                Refusal::Campaign(CampaignError::NotVoter),
                "ERR failed to start an election: this member is not a voter",
            ),
        ];
        for (refusal, text) in cases {
            assert_eq!(refusal.text(&configuration()), text);
        }
    }

    struct Bench {
        answers: Answers,
        replies: flume::Receiver<ToNet>,
        admin: Admin,
    }

    impl Bench {
        fn new() -> Self {
            let (sender, replies) = flume::unbounded();
            let (socket, _) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
            let connection = Ring::new(8).unwrap().adopt(socket);
            let client = ClientHandle { stream: 0, connection };
            let answers = Answers::new(vec![Mailbox::new(sender, None)]);
            Self { answers, replies, admin: Admin { client, protocol: Protocol::Resp2 } }
        }

        fn replies(&self) -> Vec<String> {
            let text = |message| match message {
                ToNet::Answer { reply, .. } => {
                    String::from_utf8(reply).unwrap().replace("\r\n", "|")
                }
                _ => panic!("not an answer"),
            };
            self.replies.try_iter().map(text).collect()
        }
    }

    #[test]
    fn a_change_is_answered_when_it_is_committed() {
        let cluster = "000000000000000000000000000000ff";
        let admitted =
            format!("*3|:2|$32|{cluster}|*4|:1|$14|10.0.0.1:15001|:2|$14|10.0.0.2:15001|");
        let cases = [
            (Awaited::Created, format!("+OK {cluster}|")),
            (Awaited::Removed, "+OK|".to_owned()),
            (Awaited::Admitted { boot: 2 }, admitted),
            (Awaited::Admitted { boot: 3 }, "-TIMEOUT not committed yet|".to_owned()),
        ];
        let configuration = Arc::new(configuration());
        for (awaited, expected) in cases {
            let mut bench = Bench::new();
            bench.answers.await_configuration(bench.admin, Index(7), awaited);
            bench.answers.configuration_committed(Index(6), &configuration, 255);
            assert!(bench.replies().is_empty());
            bench.answers.configuration_committed(Index(7), &configuration, 255);
            assert_eq!(bench.replies(), [expected]);
        }
    }

    #[test]
    fn who_waits_is_answered_by_the_end_of_it() {
        let mut bench = Bench::new();
        bench.answers.await_configuration(bench.admin, Index(7), Awaited::Removed);
        bench.answers.leadership_lost();
        assert_eq!(bench.replies(), ["-TIMEOUT not committed yet|"]);
        bench.answers.await_transfer(bench.admin);
        bench.answers.transfer_ended(Ok(()));
        bench.answers.await_transfer(bench.admin);
        bench.answers.transfer_ended(Err(TransferError::TimedOut));
        assert_eq!(bench.replies(), ["+OK|", "-ERR transfer timed out|"]);
        bench.answers.await_join(bench.admin);
        bench.answers.join_ended(Ok(()));
        bench.answers.await_join(bench.admin);
        bench.answers.join_ended(Err(JoinError::Unreachable));
        let failed = "-ERR failed to connect to cluster for join, please check logs|";
        assert_eq!(bench.replies(), ["+OK|", failed]);
    }
}
