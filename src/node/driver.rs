//! The raft role: feeds the consensus core with what clients, peers and the clock say, and carries
//! out what it decides. Everything is done once per pass: one append request per peer, one run for
//! apply.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::config::Tunables;
use crate::limits::{
    APPEND_BYTES_MAX, APPLY_LAG_MAX, INFLIGHT_BYTES_MAX, STOPPING_NO_LEADER_TIMEOUT, TICK_MS,
};
use crate::logging;
use crate::net::frame::RefusalKind;
use crate::net::peer::{Identity, LinkEvent, Links};
use crate::net::ring::Ring;
use crate::raft::types::{
    Boot, ClusterId, Configuration, EntryBody, Index, Member, MemberId, Millis,
};
use crate::raft::{self, Committed, Now, Output, ProgressState, Raft, RoleKind};
use crate::snapshot::SnapshotError;
use crate::sys;

use self::failover::Failover;
use self::recovery::Asking;
use self::rest::Rest;
use super::admin::{Admin, Answers, Awaited, Started, start};
use super::join::{self, Credentials, JoinPlan, JoinRequest};
use super::mailbox::{
    AdminCommand, Admission, JoinError, Listed, Mailbox, ReportRequest, Run, SnapshotProgress,
    ToApply, ToNet, ToRaft,
};
use super::member::{LogBudget, MemberState};
use super::ready::{self, Obstacle, READY_STREAM, Readiness};
use super::report::RaftReport;
use super::settings::Live;
use super::shared::{NodeState, Shared, random_id};
use super::silence::Silence;

/// What of the settings concerns the raft role.
#[derive(Clone, Debug)]
struct RaftSettings {
    raft: raft::Config,
    reconnect_ms: Millis,
    /// Over which the log is compacted.
    log_budget: LogBudget,
}

impl RaftSettings {
    fn of(tunables: &Tunables, boot: Boot, stopping: bool) -> Self {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let patience_max = if stopping { STOPPING_NO_LEADER_TIMEOUT } else { Duration::MAX };
        Self {
            raft: raft::Config {
                election_timeout_ms: ms(tunables.election_timeout),
                heartbeat_interval_ms: ms(tunables.request_timeout),
                append_bytes_max: tunables.append_req_max_size.min(APPEND_BYTES_MAX),
                inflight_messages_max: tunables.append_req_max_count,
                inflight_bytes_max: INFLIGHT_BYTES_MAX,
                no_leader_timeout_ms: ms(tunables.no_leader_timeout.min(patience_max)),
                seed: boot as u64,
            },
            reconnect_ms: ms(tunables.reconnect_interval),
            log_budget: LogBudget {
                bytes: tunables.log_max_cache_size,
                entries: tunables.log_max_entries.unwrap_or(u64::MAX),
            },
        }
    }
}

mod failover;
mod recovery;
mod rest;

pub struct RaftRole {
    live: Live,
    settings: RaftSettings,
    inbox: flume::Receiver<ToRaft>,
    /// For the threads that join a cluster.
    own_mailbox: Mailbox<ToRaft>,
    apply: Mailbox<ToApply>,
    answers: Answers,
    /// FAILOVER, while it is under way.
    failover: Option<Failover>,
    rest: Rest,
    /// The last leader that was known, and where clients reach it.
    leader_address: Option<(MemberId, String)>,
    /// Puts into the log what this node brings to its cluster.
    offers: Mailbox<ToNet>,
    readiness: Readiness,
    shared: Arc<Shared>,
    /// While the node belongs to a cluster, or is about to.
    member: Option<MemberState>,
    /// While the node looks for the others of its list, and after.
    listed: Option<Listed>,
    /// Who has asked to be admitted since there is no leader.
    asking: Asking,
    /// What this node returns to when the quorum turns out not to be lost.
    state_before_loss: NodeState,
    now: Now,
    next_tick_ms: Millis,
    silence: Silence,
    output: Output,
    stopping: bool,
}

impl RaftRole {
    pub fn new(
        live: Live,
        inbox: flume::Receiver<ToRaft>,
        own_mailbox: Mailbox<ToRaft>,
        apply: Mailbox<ToApply>,
        nets: Vec<Mailbox<ToNet>>,
        shared: Arc<Shared>,
        now: Now,
    ) -> Self {
        Self {
            settings: RaftSettings::of(&live, shared.boot, false),
            live,
            inbox,
            own_mailbox,
            apply,
            offers: nets[0].clone(),
            answers: Answers::new(nets),
            failover: None,
            rest: Rest::default(),
            leader_address: None,
            readiness: Readiness::default(),
            shared,
            member: None,
            listed: None,
            asking: Asking::default(),
            state_before_loss: NodeState::Up,
            now,
            next_tick_ms: 0,
            silence: Silence::default(),
            output: Output::default(),
            stopping: false,
        }
    }

    /// The links, while the node is in a cluster.
    pub fn links(&mut self) -> Option<&mut Links> {
        self.member.as_mut().map(|member| &mut member.links)
    }

    /// When the next tick is due, on the monotonic clock.
    pub fn next_tick_ms(&self) -> Millis {
        self.next_tick_ms
    }

    /// Creates a cluster with this node as its only voter.
    pub fn bootstrap(&mut self, cluster: ClusterId) {
        let member = Member {
            id: MemberId(1),
            slot: self.shared.slot.clone(),
            boot: self.shared.boot,
            client_address: self.shared.client_address.clone(),
            peer_address: self.shared.peer_address.clone(),
            observer: false,
        };
        let raft = Raft::bootstrap(self.settings.raft.clone(), member, self.now);
        self.enter(cluster, MemberId(1), raft);
        log::info!("created cluster {cluster:032x}");
    }

    /// Asks the nodes at `addresses` to be admitted, on a thread of its own; the end comes as
    /// [`ToRaft::Joined`].
    pub fn join(&mut self, addresses: Vec<String>, plan: JoinPlan) {
        self.shared.set_state(NodeState::Joining);
        // The nodes of a cluster have one password.
        let credentials = Credentials::of(&self.live);
        let request = JoinRequest { addresses, plan, credentials };
        join::start(request, Arc::clone(&self.shared), self.own_mailbox.clone());
    }

    fn enter(&mut self, cluster: ClusterId, member: MemberId, raft: Raft) {
        self.shared.set_state(NodeState::Joining);
        self.shared.member.store(member.0, Ordering::Relaxed);
        let identity = Identity {
            cluster,
            member,
            slot: self.shared.slot.clone(),
            boot: self.shared.boot,
            peer_address: self.shared.peer_address.clone(),
        };
        let links = Links::new(identity, self.settings.reconnect_ms);
        self.member = Some(MemberState::new(raft, links));
    }

    /// One pass; returns whether there was anything to do.
    pub fn turn(&mut self, ring: &mut Ring, now: Now) -> bool {
        self.now = now;
        if let Some(member) = &mut self.member {
            member.raft.set_now(now);
        }
        let mut worked = self.drain_inbox(ring);
        self.await_readiness();
        if self.member.is_some() {
            // Before the tick: a pass that took long finds both a time-out that has run off and the
            // heartbeats that came meanwhile, and the heartbeats were first.
            worked |= self.follow_links(ring);
            self.tick_if_due(ring);
            self.move_clock();
            worked |= self.carry_out(ring);
            worked |= self.send_snapshots(ring);
        }
        if self.stopping && self.may_stop() {
            self.shared.set_state(NodeState::Stopped);
        }
        worked
    }

    /// Once per tick: answers who waits for this node to be ready.
    fn await_readiness(&mut self) {
        if !self.readiness.is_awaited() || self.now.monotonic_ms < self.next_tick_ms {
            return;
        }
        let obstacle = match &self.member {
            None => Some(Obstacle::NoCluster),
            // It may have been told so without the entry that says it.
            Some(_) if self.shared.state() == NodeState::Removed => Some(Obstacle::NotVoter),
            Some(member) => ready::obstacle(&member.raft.status(), &member.links.report()),
        };
        let applied = Index(self.shared.applied_index.load(Ordering::Acquire));
        let now_ms = self.now.monotonic_ms;
        let reads = self.readiness.advance(obstacle, applied, now_ms, &self.answers);
        if let Some(member) = &mut self.member {
            reads.into_iter().for_each(|read| member.raft.submit_read(READY_STREAM, read));
        }
    }

    fn tick_if_due(&mut self, ring: &mut Ring) {
        let Some(member) = &mut self.member else { return };
        if self.now.monotonic_ms < self.next_tick_ms {
            return;
        }
        self.next_tick_ms = self.now.monotonic_ms + TICK_MS;
        if self.live.refresh() {
            self.settings = RaftSettings::of(&self.live, self.shared.boot, self.stopping);
            logging::set_level(self.live.loglevel);
            member.raft.set_config(self.settings.raft.clone());
            member.links.set_reconnect_interval(self.settings.reconnect_ms);
        }
        member.raft.tick();
        member.links.tick(ring, self.now.monotonic_ms);
        let (last_index, log_bytes) = (member.raft.last_log_id().index, member.raft.log_bytes());
        if self.rest.look(last_index, log_bytes, self.now.monotonic_ms) {
            sys::give_memory_back();
        }
        let (timeout_ms, now_ms) = (self.settings.raft.election_timeout_ms, self.now.monotonic_ms);
        let silent = self.silence.look(&member.raft, timeout_ms, now_ms);
        if !silent.is_empty() {
            self.apply.send(ToApply::Silent(silent));
        }
        if self.stopping {
            self.hand_over();
        }
        self.bound_failover();
        self.note_leader();
        self.give_up_stalled(ring);
        self.serve_if_caught_up();
        self.watch_quorum();
    }

    fn drain_inbox(&mut self, ring: &mut Ring) -> bool {
        let mut worked = false;
        while !self.apply_lags() {
            let Ok(message) = self.inbox.try_recv() else { break };
            worked = true;
            match (message, &mut self.member) {
                (ToRaft::Submit { stream, ticket, payload }, Some(member)) => {
                    member.raft.submit(stream, ticket, payload);
                }
                (ToRaft::Read { stream, ticket }, Some(member)) => {
                    member.raft.submit_read(stream, ticket);
                }
                (ToRaft::Submit { stream, ticket, .. } | ToRaft::Read { stream, ticket }, None) => {
                    // The net roles let nothing through before the node is in a cluster.
                    log::error!("a batch of stream {stream} (ticket {ticket}) without a cluster");
                }
                (ToRaft::Admin { client, protocol, command }, _) => {
                    self.administer(ring, Admin { client, protocol }, command);
                }
                (ToRaft::Polled(listed), _) => self.polled(listed),
                (ToRaft::Found { cluster, founders }, _) => self.found(cluster, &founders),
                (ToRaft::Report(request), _) => self.report(request),
                (ToRaft::Joined(result), _) => self.joined(result),
                (ToRaft::SnapshotMaking { number, news }, Some(member)) => {
                    member.on_making_news(number, news, self.now.monotonic_ms);
                }
                (ToRaft::SnapshotRead { transfer, result }, Some(_)) => {
                    self.snapshot_read(ring, transfer, result);
                }
                (ToRaft::SnapshotMaking { .. } | ToRaft::SnapshotRead { .. }, None) => {
                    unreachable!("invariant: snapshots are a matter of members")
                }
                (ToRaft::Stop, _) => self.stop(),
            }
        }
        worked
    }

    /// Whether apply is so far behind that clients had better wait.
    fn apply_lags(&self) -> bool {
        let Some(member) = &self.member else { return false };
        let applied = self.shared.applied_index.load(Ordering::Acquire);
        member.raft.commit_index().0.saturating_sub(applied) > APPLY_LAG_MAX
    }

    fn follow_links(&mut self, ring: &mut Ring) -> bool {
        let now_ms = self.now.monotonic_ms;
        let Some(member) = &mut self.member else { return false };
        let events = member.links.take_events();
        let worked = !events.is_empty();
        for event in events {
            match event {
                LinkEvent::Message(message) => member.raft.step(message),
                LinkEvent::Snapshot(message) => {
                    member.on_snapshot_message(ring, &self.apply, message, now_ms);
                }
                LinkEvent::Up(id) => member.raft.peer_connected(id),
                LinkEvent::Down(id) => {
                    member.raft.peer_unreachable(id);
                    if !member.links.is_snapshot_open(id) {
                        end_snapshots(member, &self.apply, id);
                    }
                }
                LinkEvent::SnapshotDown(id) => end_snapshots(member, &self.apply, id),
                LinkEvent::Refused { refusal, .. } => {
                    // Only a removal that is committed is told so.
                    let is_removed = refusal.kind == RefusalKind::Removed;
                    let is_serving = matches!(
                        self.shared.state(),
                        NodeState::Up | NodeState::QuorumLost | NodeState::Joining
                    );
                    if is_removed && is_serving {
                        log::warn!("this node has been removed from its cluster");
                        self.shared.set_state(NodeState::Removed);
                    }
                }
            }
        }
        worked
    }

    /// As leader: adds a tick entry when keys are due and no entry has moved the clock past them.
    fn move_clock(&mut self) {
        let Some(member) = &mut self.member else { return };
        let deadline = self.shared.next_deadline_ms.load(Ordering::Acquire);
        let unix_ms = self.now.unix_ms;
        if deadline <= unix_ms
            && member.tick_asked_at_ms != unix_ms
            && member.raft.is_leader()
            && member.raft.commit_index().0 == self.shared.applied_index.load(Ordering::Acquire)
        {
            member.tick_asked_at_ms = unix_ms;
            member.raft.tick_entry();
        }
    }

    fn carry_out(&mut self, ring: &mut Ring) -> bool {
        let Some(member) = &mut self.member else { return false };
        if !member.raft.has_output() {
            return false;
        }
        let mut output = std::mem::take(&mut self.output);
        member.raft.take_output_into(&mut output);
        if let Some(configuration) = output.configuration.take() {
            member.links.set_members(&configuration);
        }
        for message in output.messages.drain(..) {
            member.links.send(ring, message);
        }
        output.snapshots_wanted.drain(..).for_each(|id| member.outgoing.want(id));
        let ended_transfer = output.transfer.take();
        self.follow_configuration(&output.committed);
        self.readiness.take_reads(&mut output.reads, &mut output.given_up);
        let run = Run {
            committed: std::mem::take(&mut output.committed),
            reads: std::mem::take(&mut output.reads),
            given_up: std::mem::take(&mut output.given_up),
        };
        if !run.is_empty() {
            self.apply.send(ToApply::Run(Box::new(run)));
        }
        self.output = output;
        if let Some(end) = ended_transfer {
            self.transfer_ended(end);
        }
        self.note_role();
        self.compact();
        true
    }

    /// What committed configuration entries mean for this node and for those who wait for them.
    fn follow_configuration(&mut self, committed: &[Committed]) {
        let Some(member) = &self.member else { return };
        let cluster = member.links.identity().cluster;
        for Committed { entry, .. } in committed {
            let EntryBody::Configuration(configuration) = &entry.body else { continue };
            log::info!("configuration at {}: {}", entry.index, describe(configuration));
            self.answers.configuration_committed(entry.index, configuration, cluster);
            self.follow_membership(entry.index, configuration);
        }
    }

    /// A configuration was committed at or before `index`: it may make this node serve or cease to.
    fn follow_membership(&mut self, index: Index, configuration: &Configuration) {
        let Some(member) = &mut self.member else { return };
        member.links.set_committed_members(configuration);
        let addresses = configuration.members.iter().map(|member| member.client_address.clone());
        self.shared.importing.set_members(addresses.collect());
        let id = member.links.identity().member;
        if self.stopping {
            return;
        }
        if configuration.is_voter(id) {
            self.shared.set_state(NodeState::Up);
        } else if configuration.member(id).is_none() && index >= Index(id.0) {
            // Earlier ones, which a node meets while it catches up, could not name it.
            self.shared.set_state(NodeState::Removed);
        }
    }

    /// An observer serves once it has applied what was committed when a leader first spoke to it:
    /// before, its clients would wait for as long as that takes.
    fn serve_if_caught_up(&self) {
        let Some(member) = &self.member else { return };
        if self.shared.observer && self.shared.state() == NodeState::Joining {
            let applied = Index(self.shared.applied_index.load(Ordering::Acquire));
            let is_caught_up = member.raft.told_commit_index().is_some_and(|told| applied >= told);
            if is_caught_up && member.raft.may_serve() {
                self.shared.set_state(NodeState::Up);
            }
        }
    }

    fn note_role(&mut self) {
        let Some(member) = &mut self.member else { return };
        let (role, term, leader) =
            (member.raft.role_kind(), member.raft.term(), member.raft.leader_id());
        if (role, term, leader) != (member.role, member.term, member.leader) {
            log::info!("{} in term {term}, leader {leader:?}", role.name());
            if member.role == RoleKind::Leader && role != RoleKind::Leader {
                self.answers.leadership_lost();
                member.outgoing.forget_all();
            }
            self.shared.leads.store(role == RoleKind::Leader, Ordering::Release);
            if member.role != RoleKind::Leader
                && role == RoleKind::Leader
                && !self.shared.settings_founded.load(Ordering::Acquire)
            {
                self.offers.send(ToNet::OfferSettings);
            }
            (member.role, member.term, member.leader) = (role, term, leader);
            self.note_leader();
            logging::set_role(match role {
                RoleKind::Follower => logging::Role::Follower,
                RoleKind::PreCandidate | RoleKind::Candidate => logging::Role::Candidate,
                RoleKind::Leader => logging::Role::Leader,
            });
        }
    }

    /// Keeps the log in its budget, by dropping of what is applied all but a quarter of the budget:
    /// a follower that was away for a moment needs no snapshot then.
    fn compact(&mut self) {
        let Some(member) = &mut self.member else { return };
        let applied = Index(self.shared.applied_index.load(Ordering::Acquire));
        member.compact(self.settings.log_budget, applied);
        member.bound_lag(self.settings.log_budget);
    }

    /// Has a snapshot made if one is wanted, sends what windows take, and lets apply make as much
    /// more.
    fn send_snapshots(&mut self, ring: &mut Ring) -> bool {
        let Some(member) = &mut self.member else { return false };
        let now_ms = self.now.monotonic_ms;
        let patience_ms = self.settings.raft.election_timeout_ms;
        let MemberState { raft, links, outgoing, .. } = member;
        let without_link = RefCell::new(Vec::new());
        let is_there = |id| {
            let heard_ms = raft.peer_status(id).and_then(|peer| peer.last_heard_ms);
            let answers =
                links.is_open(id) && heard_ms.is_some_and(|ms| ms + patience_ms >= now_ms);
            let is_linked = links.is_snapshot_open(id);
            if answers && !is_linked {
                without_link.borrow_mut().push(id);
            }
            answers && is_linked
        };
        outgoing.begin_if_wanted(raft, is_there);
        without_link.into_inner().into_iter().for_each(|id| links.open_snapshot(id));
        let mut worked = false;
        while let Some(message) = outgoing.next_message(links.identity().member, now_ms) {
            links.send_snapshot(ring, message);
            worked = true;
        }
        while let Some((number, order)) = outgoing.next_order() {
            self.apply.send(ToApply::MakeSnapshot { number, order });
            worked = true;
        }
        worked
    }

    /// Ends the transfers, in either direction, that nothing comes of any more.
    fn give_up_stalled(&mut self, ring: &mut Ring) {
        let Some(member) = &mut self.member else { return };
        if let Some((from, last_index)) = member.incoming.take_overtaken(member.raft.commit_index())
        {
            self.apply.send(ToApply::DropSnapshot);
            member.refuse_snapshot(ring, from, last_index);
        }
        for id in member.outgoing.take_stalled(self.now.monotonic_ms) {
            log::warn!("member {id} does not read the snapshot that it is sent");
            member.links.close_snapshot(ring, id);
            member.raft.snapshot_failed(id);
        }
        member.look_at_log_again();
    }

    /// Apply has read a chunk of the snapshot that this node is being sent.
    fn snapshot_read(
        &mut self,
        ring: &mut Ring,
        transfer: u64,
        result: Result<SnapshotProgress, SnapshotError>,
    ) {
        let Some(member) = &mut self.member else { return };
        let me = member.links.identity().member;
        match result {
            Ok(progress) => {
                if let Some(message) = member.incoming.read(transfer, me) {
                    member.links.send_snapshot(ring, message);
                }
                if let SnapshotProgress::Complete { last_index } = progress {
                    self.install_snapshot(ring, transfer, last_index);
                }
            }
            Err(error) => {
                if let Some((from, state)) = member.incoming.take(transfer) {
                    log::warn!("refusing the snapshot of member {from}: {error}");
                    member.refuse_snapshot(ring, from, state.last_index);
                }
            }
        }
    }

    /// The whole snapshot is read. Consensus goes first, so that everything it says from here on
    /// follows the snapshot; then apply, which gets that in the same order.
    fn install_snapshot(&mut self, ring: &mut Ring, transfer: u64, last_index: Index) {
        let Some(member) = &mut self.member else { return };
        let Some((from, state)) = member.incoming.take(transfer) else { return };
        let (index, term) = (state.last_index, state.last_term);
        let configuration = Arc::clone(&state.configuration);
        if last_index != index || !member.raft.install_snapshot(state) {
            self.apply.send(ToApply::DropSnapshot);
            member.refuse_snapshot(ring, from, index);
            return;
        }
        log::info!("installed the snapshot of member {from} up to {index}");
        member.incoming.received += 1;
        member.snapshot_end = (index, term);
        self.apply.send(ToApply::InstallSnapshot { transfer });
        self.follow_membership(index, &configuration);
    }

    fn administer(&mut self, ring: &mut Ring, admin: Admin, command: AdminCommand) {
        self.note_asking(&command);
        match (command, &mut self.member) {
            (AdminCommand::ResetStats, _) => {
                self.shared.clients.reset();
                self.shared.observed.reset_counts();
                self.apply.send(ToApply::ResetStats);
                self.answers.ok(admin);
            }
            (AdminCommand::WaitReady { timeout_ms }, _) => {
                let deadline_ms = self.now.monotonic_ms + timeout_ms;
                self.readiness.await_ready(admin, deadline_ms, &self.answers);
            }
            (AdminCommand::State, _) => self.tell_state(admin),
            (AdminCommand::ForceRecover { cluster, last }, _) => {
                self.force_recover(ring, admin, cluster, last);
            }
            (AdminCommand::Init { .. } | AdminCommand::Join { .. }, Some(_)) => {
                self.answers.error(admin, "ERR Already cluster member");
            }
            (AdminCommand::Init { cluster }, None) => {
                if let Some(refusal) = self.init_refusal() {
                    return self.answers.error(admin, refusal);
                }
                if self.shared.observer {
                    return self.answers.error(admin, "ERR An observer cannot create a cluster");
                }
                let cluster = cluster.unwrap_or_else(random_id);
                self.bootstrap(cluster);
                self.answers.await_configuration(admin, Index(1), Awaited::Created);
            }
            (AdminCommand::Join { addresses }, None) => {
                if self.shared.state() == NodeState::Joining {
                    return self.answers.error(admin, "ERR Already cluster member");
                }
                self.answers.await_join(admin);
                self.join(addresses, JoinPlan::Once);
            }
            (_, None) => self.refuse_without_cluster(admin),
            (AdminCommand::Compact, Some(member)) => {
                let applied = Index(self.shared.applied_index.load(Ordering::Acquire));
                member.compact_through(applied);
                self.answers.ok(admin);
            }
            (AdminCommand::Digest, Some(_)) => {
                let Admin { client, protocol } = admin;
                self.apply.send(ToApply::Digest { client, protocol });
            }
            (AdminCommand::Execute { database, words }, Some(_)) => {
                let Admin { client, protocol } = admin;
                self.apply.send(ToApply::Execute { client, protocol, database, words });
            }
            (AdminCommand::Failover { target, timeout_ms }, Some(_)) => {
                self.fail_over(admin, target, timeout_ms);
            }
            (AdminCommand::AbortFailover, Some(_)) => self.abort_failover(admin),
            (AdminCommand::HandOver, Some(member)) => match member.raft.is_leader() {
                true => self.fail_over(admin, None, None),
                false => self.take_over(admin, false),
            },
            (AdminCommand::TakeOver { force }, Some(_)) => self.take_over(admin, force),
            (AdminCommand::Forget { node }, Some(_)) => self.forget(admin, &node),
            (command, Some(_)) => self.change_members(admin, command),
        }
    }

    /// What [`start`] begins.
    fn change_members(&mut self, admin: Admin, command: AdminCommand) {
        let Some(member) = &mut self.member else { return self.refuse_without_cluster(admin) };
        match start(&mut member.raft, command) {
            Ok(Started::Configuration(index, awaited)) => {
                self.answers.await_configuration(admin, index, awaited);
                // A process that asks again may have been admitted long ago.
                if index <= member.raft.commit_index() {
                    let cluster = member.links.identity().cluster;
                    let configuration = Arc::clone(member.raft.configuration());
                    self.answers.configuration_committed(index, &configuration, cluster);
                }
            }
            Ok(Started::Transfer) => self.answers.await_transfer(admin),
            Ok(Started::Done) => self.answers.ok(admin),
            Err(refusal) => {
                let text = refusal.text(member.raft.configuration());
                self.answers.error(admin, &text);
            }
        }
    }

    fn refuse_without_cluster(&self, admin: Admin) {
        let refusal = self.shared.state().refusal();
        self.answers.error(admin, refusal.unwrap_or("NOCLUSTER No Raft Cluster"));
    }

    fn joined(&mut self, result: Result<Admission, JoinError>) {
        if self.member.is_some() {
            // An administrator was faster; the other cluster has a learner that never comes.
            log::warn!("an admission comes too late: this node is in a cluster");
            return;
        }
        match result {
            Ok(admission) => {
                let raft = Raft::join(self.settings.raft.clone(), admission.member, self.now);
                self.enter(admission.cluster, admission.member, raft);
                let member = self.member.as_mut().expect("invariant: just entered");
                for (id, address) in &admission.peers {
                    member.links.introduce(*id, address);
                }
                log::info!("admitted to {:032x} as member {}", admission.cluster, admission.member);
                self.answers.join_ended(Ok(()));
            }
            Err(error) => {
                self.shared.set_state(NodeState::Uninitialized);
                self.answers.join_ended(Err(error));
            }
        }
    }

    fn stop(&mut self) {
        if self.stopping {
            return;
        }
        self.shared.set_state(NodeState::Stopping);
        self.stopping = true;
        self.settings = RaftSettings::of(&self.live, self.shared.boot, true);
        if let Some(member) = &mut self.member {
            member.raft.set_config(self.settings.raft.clone());
        }
        self.readiness.stop(&self.answers);
        self.hand_over();
    }

    /// Hands leadership over, if this node has it and somebody can take it. What ends without
    /// success is tried again with the next tick: the next target may be another one.
    fn hand_over(&mut self) {
        if let Some(member) = &mut self.member
            && member.raft.is_leader()
            && let Err(error) = member.raft.transfer_leadership(None)
        {
            log::debug!("leadership is not handed over: {error}");
        }
    }

    /// Whether a stop was asked for and leadership is with somebody else, or with nobody.
    fn may_stop(&self) -> bool {
        let leads = self.member.as_ref().is_some_and(|member| member.raft.is_leader());
        let alone = self.member.as_ref().is_some_and(|member| member.raft.is_only_voter());
        self.stopping && (!leads || alone)
    }

    fn report(&mut self, request: ReportRequest) {
        let report = match &self.member {
            None => RaftReport {
                waiting: self.listed.as_ref().map(|listed| listed.waiting.clone()),
                ..RaftReport::default()
            },
            Some(member) => RaftReport {
                cluster: member.links.identity().cluster,
                member: member.links.identity().member,
                status: Some(member.raft.status()),
                links: member.links.report(),
                counters: member.links.counters,
                snapshots: member.snapshot_report(),
                waiting: None,
                lost_quorum: self.lost_quorum(),
            },
        };
        self.apply.send(ToApply::Report(request, Box::new(report)));
    }
}

/// No more of a snapshot goes to `id` or comes from it.
fn end_snapshots(member: &mut MemberState, apply: &Mailbox<ToApply>, id: MemberId) {
    let MemberState { raft, links, outgoing, incoming, .. } = member;
    // Who has read all of its snapshot needs the log that is kept for it, and no snapshot link.
    let is_catching_up = links.is_open(id)
        && raft.peer_status(id).is_some_and(|peer| peer.state != ProgressState::Snapshot);
    if !is_catching_up {
        raft.snapshot_failed(id);
        outgoing.forget(id);
    }
    if incoming.forget(id) {
        apply.send(ToApply::DropSnapshot);
    }
}

fn describe(configuration: &Configuration) -> String {
    let ids = |ids: &[MemberId]| ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(" ");
    let mut text = format!("voters {}", ids(&configuration.voters));
    if configuration.is_joint() {
        text += &format!(", outgoing {}", ids(&configuration.voters_outgoing));
    }
    if !configuration.learners.is_empty() {
        text += &format!(", learners {}", ids(&configuration.learners));
    }
    text
}
