//! Who leads, changed in the words of Redis's operators: FAILOVER on the leader, CLUSTER FAILOVER
//! on the member that is to lead, CLUSTER FORGET.

use std::thread;
use std::time::Duration;

use crate::client::Reply as Heard;
use crate::engine::reply::Reply;
use crate::node::admin::{Admin, Refusal};
use crate::node::join::{Credentials, connect};
use crate::node::mailbox::{AdminCommand, FailoverTarget, ToNet};
use crate::node::session::{host_and_port, run_id};
use crate::raft::types::{MemberId, Millis};
use crate::raft::{CampaignError, TransferError};

use super::RaftRole;

/// A FAILOVER under way: it is tried again until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failover {
    target: Option<MemberId>,
    deadline_ms: Millis,
}

/// How long the leader may take to answer who wants to lead: longer than any transfer.
const HANDOVER_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl RaftRole {
    pub(super) fn fail_over(
        &mut self,
        admin: Admin,
        target: Option<FailoverTarget>,
        timeout_ms: Option<Millis>,
    ) {
        match self.try_fail_over(target, timeout_ms) {
            Ok(()) => self.answers.await_transfer(admin),
            Err(refusal) => self.answers.error(admin, &refusal),
        }
    }

    fn try_fail_over(
        &mut self,
        target: Option<FailoverTarget>,
        timeout_ms: Option<Millis>,
    ) -> Result<(), String> {
        let refused = |text: &str| Err(text.to_owned());
        let Some(member) = &mut self.member else { return refused("NOCLUSTER No Raft Cluster") };
        let configuration = member.raft.configuration().clone();
        let own = member.raft.id();
        if !member.raft.is_leader() {
            return refused("ERR FAILOVER is not valid when server is a replica.");
        }
        if self.failover.is_some() {
            return refused("ERR FAILOVER already in progress.");
        }
        if !configuration.voters.iter().any(|id| *id != own) {
            return refused("ERR FAILOVER requires connected replicas.");
        }
        let target = match &target {
            None => None,
            Some(FailoverTarget { host, port }) => {
                let is_target = |id: &&MemberId| {
                    let member = configuration.member(**id).filter(|member| member.id != own);
                    let place = member.map(|member| host_and_port(&member.client_address));
                    place.is_some_and(|(its_host, its_port)| {
                        its_host == host && i64::from(its_port) == *port
                    })
                };
                let Some(id) = configuration.voters.iter().find(is_target).copied() else {
                    return refused("ERR FAILOVER target HOST and PORT is not a replica.");
                };
                if !member.links.is_open(id) {
                    return refused("ERR FAILOVER target replica is not online.");
                }
                Some(id)
            }
        };
        let started = member.raft.transfer_leadership(target);
        started.map_err(|error| match error {
            TransferError::InProgress => "ERR FAILOVER already in progress.".to_owned(),
            error => Refusal::Transfer(error).text(&configuration),
        })?;
        let patience_ms = timeout_ms.unwrap_or(self.settings.raft.election_timeout_ms);
        let deadline_ms = self.now.monotonic_ms.saturating_add(patience_ms);
        self.failover = Some(Failover { target, deadline_ms });
        Ok(())
    }

    pub(super) fn abort_failover(&mut self, admin: Admin) {
        let is_under_way = self.failover.take().is_some();
        let member = self.member.as_mut().filter(|_| is_under_way);
        match member.is_some_and(|member| member.raft.abort_transfer()) {
            true => self.answers.ok(admin),
            false => self.answers.error(admin, "ERR No failover in progress."),
        }
    }

    /// The time of FAILOVER may be shorter than that of a transfer.
    pub(super) fn bound_failover(&mut self) {
        let now_ms = self.now.monotonic_ms;
        let is_over = self.failover.is_some_and(|failover| failover.deadline_ms <= now_ms);
        if let Some(member) = self.member.as_mut().filter(|_| is_over) {
            member.raft.abort_transfer();
        }
    }

    /// A transfer has ended: that of FAILOVER is begun again while there is time.
    pub(super) fn transfer_ended(&mut self, end: Result<(), TransferError>) {
        let Some(failover) = self.failover.take() else {
            return self.answers.transfer_ended(end);
        };
        let is_over = failover.deadline_ms <= self.now.monotonic_ms;
        let end = match (end, &mut self.member) {
            (Err(TransferError::Aborted), _) if is_over => Err(TransferError::TimedOut),
            (Err(TransferError::TimedOut), Some(member)) if !is_over => {
                match member.raft.transfer_leadership(failover.target) {
                    Ok(()) => {
                        self.failover = Some(failover);
                        return;
                    }
                    Err(error) => Err(error),
                }
            }
            (end, _) => end,
        };
        self.answers.transfer_ended(end);
    }

    /// CLUSTER FAILOVER: this member is to lead.
    pub(super) fn take_over(&mut self, admin: Admin, force: bool) {
        let Some(member) = &mut self.member else { return self.refuse_without_cluster(admin) };
        if member.raft.is_leader() {
            let text = "ERR You should send CLUSTER FAILOVER to a replica";
            return self.answers.error(admin, text);
        }
        let (own, configuration) = (member.raft.id(), member.raft.configuration().clone());
        let campaigned = match configuration.is_voter(own) {
            false => Err(CampaignError::NotVoter),
            true if force => member.raft.campaign_now(),
            true => {
                let leader = member.raft.leader_id().and_then(|id| configuration.member(id));
                return match leader {
                    Some(leader) => self.ask_for_leadership(admin, &leader.client_address, own),
                    None => {
                        let text =
                            "ERR Master is down or failed, please use CLUSTER FAILOVER FORCE";
                        self.answers.error(admin, text);
                    }
                };
            }
        };
        match campaigned {
            Ok(()) => self.answers.ok(admin),
            Err(error) => {
                let text = Refusal::Campaign(error).text(&configuration);
                self.answers.error(admin, &text);
            }
        }
    }

    /// Asks the leader to hand over to `own`, on a thread of its own.
    fn ask_for_leadership(&self, admin: Admin, leader: &str, own: MemberId) {
        let (leader, credentials) = (leader.to_owned(), Credentials::of(&self.live));
        let net = self.answers.mailbox_of(admin);
        let ask = move || {
            let id = own.to_string();
            let heard = connect(&leader, &credentials, HANDOVER_ANSWER_TIMEOUT)
                .and_then(|mut client| client.call(&["RAFT.TRANSFER_LEADER", &id]).ok());
            let mut reply = Reply::new(admin.protocol);
            match heard {
                Some(Heard::Simple(_)) => reply.ok(),
                Some(Heard::Error(text)) => reply.error_text(&text),
                _ => reply.error_text("TIMEOUT no reply from leader"),
            }
            let connection = admin.client.connection;
            net.send(ToNet::Answer { connection, reply: reply.buffer });
        };
        if let Err(error) = thread::Builder::new().name("failover".to_owned()).spawn(ask) {
            log::error!("cannot start a thread to ask for leadership: {error}");
            self.answers.error(admin, "ERR cannot ask the leader");
        }
    }

    /// Tells those who ask where the leader is that it has moved. Once per tick, too: a node that
    /// has just joined hears the leader before it knows where clients reach it.
    pub(super) fn note_leader(&mut self) {
        let Some(member) = &self.member else { return };
        let known = self.leader_address.as_ref().map(|(id, _)| *id);
        let Some(id) = member.raft.leader_id().filter(|id| Some(*id) != known) else { return };
        let Some(leader) = member.raft.configuration().member(id) else { return };
        let address = leader.client_address.clone();
        let former = self.leader_address.replace((id, address.clone()));
        if let Some((_, former)) = former.filter(|(_, former)| *former != address) {
            self.answers.tell_leader_moved(former, address);
        }
    }

    /// CLUSTER FORGET: removes the member with this id of CLUSTER NODES.
    pub(super) fn forget(&mut self, admin: Admin, node: &str) {
        let Some(member) = &mut self.member else { return self.refuse_without_cluster(admin) };
        let configuration = member.raft.configuration().clone();
        let found = configuration.members.iter().find(|member| run_id(member.boot) == node);
        let text = match found {
            None => format!("ERR Unknown node {node}"),
            Some(found) if found.id == member.raft.id() => {
                "ERR I tried hard but I can't forget myself...".to_owned()
            }
            Some(found) if Some(found.id) == member.raft.leader_id() => {
                "ERR Can't forget my master!".to_owned()
            }
            Some(found) => {
                let id = found.id;
                return self.change_members(admin, AdminCommand::Remove { id });
            }
        };
        self.answers.error(admin, &text);
    }
}
