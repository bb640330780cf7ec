//! Assembly of a node: one executor per core, the roles placed on them, the mailboxes between.

pub mod admin;
pub mod apply;
pub mod clock;
pub mod core;
pub mod driver;
pub mod front;
pub mod import;
pub mod incoming;
pub mod join;
pub mod mailbox;
pub mod member;
pub mod migrate;
pub mod observe;
pub mod outgoing;
pub mod peers;
pub mod placement;
pub mod preflight;
pub mod ready;
pub mod report;
pub mod session;
pub mod settings;
pub mod shared;
mod silence;
pub mod system_check;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use glommio::{LocalExecutorBuilder, Placement};
use socket2::Socket;

use crate::config::{NodeConfig, Start};
use crate::limits::{
    CORE_STACK_BYTES, EXECUTOR_RING_DEPTH, FAREWELL_TIMEOUT, HANDOVER_TIMEOUT, RING_DEPTH,
};
use crate::net::ring::{Doorbell, Ring, RingError};
use crate::signals::Signals;

use self::apply::ApplyRole;
use self::clock::Clock;
use self::core::Core;
use self::driver::RaftRole;
use self::front::{Mailboxes, NetRole};
use self::join::JoinPlan;
use self::mailbox::{Mailbox, ToApply, ToNet, ToRaft};
use self::placement::{CorePlan, Layout, Roles};
use self::preflight::{Listeners, Prepared};
use self::settings::{Live, SharedSettings};
use self::shared::{NodeState, Shared, random_id};
use self::users::OwnUsers;

/// Why a node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    #[error("cannot start an executor: {0}")]
    Executor(String),
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("a core ended before it was ready")]
    CoreEnded,
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] std::io::Error),
}

/// Both ends of the mailboxes of all roles, before they are dealt out.
struct Post {
    raft: (flume::Sender<ToRaft>, flume::Receiver<ToRaft>),
    apply: (flume::Sender<ToApply>, flume::Receiver<ToApply>),
    /// By stream.
    nets: Vec<(flume::Sender<ToNet>, flume::Receiver<ToNet>)>,
    /// By core.
    doorbells: Vec<Doorbell>,
}

/// What a core gets once all cores are there.
struct Wiring {
    post: Arc<Post>,
    listeners: Listeners,
}

/// What every core is made from.
#[derive(Clone)]
struct Plan {
    shared: Arc<Shared>,
    settings: Arc<SharedSettings>,
    start: Start,
    clock: Clock,
    layout: Arc<Layout>,
}

/// A core whose thread runs and that waits for its wiring.
struct Starting {
    doorbell: flume::Receiver<Result<Doorbell, NodeError>>,
    wiring: flume::Sender<Wiring>,
}

/// Runs the node until a stop is asked for.
pub fn run(prepared: Prepared, signals: &Signals) -> Result<(), NodeError> {
    let Prepared { config, layout, listeners, findings } = prepared;
    let plan = Plan::new(&config, layout, findings);
    let Shared { slot, layout, client_address, peer_address, .. } = &*plan.shared;
    log::info!(
        "mayfly {} as {slot}, clients at {client_address}, peers at {peer_address}",
        env!("CARGO_PKG_VERSION")
    );
    log::info!("layout: {layout}");
    let mut starting = Vec::new();
    for (number, core) in plan.layout.cores.iter().enumerate() {
        starting.push(start_core(number, *core, plan.clone())?);
    }
    let mut doorbells = Vec::new();
    for core in &starting {
        doorbells.push(core.doorbell.recv().map_err(|_| NodeError::CoreEnded)??);
    }
    let post = Arc::new(Post {
        raft: flume::unbounded(),
        apply: flume::unbounded(),
        nets: (0..plan.layout.net_count()).map(|_| flume::unbounded()).collect(),
        doorbells,
    });
    let Listeners { mut clients, mut sentinels, mut peers } = listeners;
    for (core, starting) in plan.layout.cores.iter().zip(starting) {
        let mut own = Listeners::default();
        if core.roles.net == Some(0) {
            own.clients = std::mem::take(&mut clients);
            own.sentinels = std::mem::take(&mut sentinels);
        }
        if core.roles.raft {
            own.peers = std::mem::take(&mut peers);
        }
        let wiring = Wiring { post: Arc::clone(&post), listeners: own };
        starting.wiring.send(wiring).map_err(|_| NodeError::CoreEnded)?;
    }
    signals.wait_for_stop().map_err(NodeError::Signals)?;
    stop(&plan, &post);
    Ok(())
}

/// Hands leadership over, answers what was accepted, and lets go of the clients. With nobody to
/// hand it to, that is given up after [`HANDOVER_TIMEOUT`]; who is not answered
/// [`FAREWELL_TIMEOUT`] later, or does not read its replies, is closed with the process.
fn stop(plan: &Plan, post: &Post) {
    let wait = |longest: Duration, done: &dyn Fn() -> bool| {
        let deadline = Instant::now() + longest;
        while !done() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
    };
    log::warn!("stopping");
    post.mailbox(&post.raft.0, None, &plan.layout, |roles| roles.raft).send(ToRaft::Stop);
    wait(HANDOVER_TIMEOUT, &|| plan.shared.state() == NodeState::Stopped);
    plan.shared.set_state(NodeState::Stopped);
    for (stream, (sender, _)) in post.nets.iter().enumerate() {
        let mailbox = post.mailbox(sender, None, &plan.layout, |roles| {
            roles.net.map(usize::from) == Some(stream)
        });
        mailbox.send(ToNet::Stop);
    }
    wait(FAREWELL_TIMEOUT, &|| plan.shared.clients.connected.load(Ordering::Relaxed) == 0);
}

impl Post {
    /// A mailbox of the role that `place` finds, for a sender on core `from`, or on none.
    fn mailbox<T>(
        &self,
        sender: &flume::Sender<T>,
        from: Option<usize>,
        layout: &Layout,
        place: impl Fn(&Roles) -> bool,
    ) -> Mailbox<T> {
        let core = layout.cores.iter().position(|core| place(&core.roles));
        let core = core.expect("invariant: every role is placed");
        let doorbell = (from != Some(core)).then(|| self.doorbells[core].clone());
        Mailbox::new(sender.clone(), doorbell)
    }
}

impl Plan {
    fn new(config: &NodeConfig, layout: Layout, findings: Vec<&'static str>) -> Self {
        let shared = Shared::new(
            config.slot_name.clone(),
            random_id(),
            config.client_address.clone(),
            config.peer_address.clone(),
            config.port,
            layout.to_string(),
        );
        let users = OwnUsers::new(config.users.clone(), config.acl_file.clone());
        Self {
            shared: Arc::new(
                shared.observing(config.observer).on_machine(findings).with_users(users),
            ),
            settings: Arc::new(SharedSettings::new(
                config.settings.clone(),
                config.config_file.clone(),
            )),
            start: config.start.clone(),
            clock: Clock::start(),
            layout: Arc::new(layout),
        }
    }
}

/// A core's only task never yields, so there is nothing to take turns with; and an executor whose
/// preempt timer fires before its first task has run parks for ever (see "glommio" in the crate
/// documentation), which on a loaded machine 1 ms was short enough for.
const NO_PREEMPTION: Duration = Duration::from_secs(3600);

/// Starts the thread of a core: its executor and its ring, then its roles once all cores are there.
fn start_core(number: usize, core: CorePlan, plan: Plan) -> Result<Starting, NodeError> {
    let (doorbell_sender, doorbell) = flume::bounded(1);
    let (wiring, wiring_receiver) = flume::bounded(1);
    let body = move || {
        let placement = core.cpu.map_or(Placement::Unbound, Placement::Fixed);
        let executor = LocalExecutorBuilder::new(placement)
            .name(&format!("core-{number}"))
            .ring_depth(EXECUTOR_RING_DEPTH)
            .io_memory(0)
            .preempt_timer(NO_PREEMPTION)
            .make();
        let executor = match executor {
            Ok(executor) => executor,
            Err(error) => return report(&doorbell_sender, NodeError::Executor(error.to_string())),
        };
        executor.run(async move {
            let ring = match Ring::new(RING_DEPTH) {
                Ok(ring) => ring,
                Err(error) => return report(&doorbell_sender, error.into()),
            };
            // The receiver waits for this before anything else can happen.
            let _ = doorbell_sender.send(Ok(ring.doorbell()));
            if let Ok(wiring) = wiring_receiver.recv() {
                assemble(number, core, plan, ring, wiring).run();
            }
        });
    };
    let builder = thread::Builder::new();
    let builder = builder.name(format!("core-{number}")).stack_size(CORE_STACK_BYTES);
    builder.spawn(body).map_err(NodeError::Thread)?;
    Ok(Starting { doorbell, wiring })
}

fn report(sender: &flume::Sender<Result<Doorbell, NodeError>>, error: NodeError) {
    // Whoever started this core waits for it.
    let _ = sender.send(Err(error));
}

/// Places the roles of a core on its ring.
fn assemble(number: usize, core: CorePlan, plan: Plan, mut ring: Ring, wiring: Wiring) -> Core {
    let Wiring { post, listeners } = wiring;
    let Plan { shared, settings, start, clock, layout } = plan;
    let from = Some(number);
    let to_raft = post.mailbox(&post.raft.0, from, &layout, |roles| roles.raft);
    let to_apply = post.mailbox(&post.apply.0, from, &layout, |roles| roles.apply);
    let to_nets: Vec<_> = (0..post.nets.len())
        .map(|stream| {
            let place = |roles: &Roles| roles.net.map(usize::from) == Some(stream);
            post.mailbox(&post.nets[stream].0, from, &layout, place)
        })
        .collect();
    let net = core.roles.net.map(|stream| {
        NetRole::new(
            stream,
            post.nets[usize::from(stream)].1.clone(),
            Mailboxes { raft: to_raft.clone(), apply: to_apply.clone(), nets: to_nets.clone() },
            Arc::clone(&shared),
            Live::new(Arc::clone(&settings)),
            clock.now(),
        )
    });
    let raft = core.roles.raft.then(|| {
        let mut role = RaftRole::new(
            Live::new(Arc::clone(&settings)),
            post.raft.1.clone(),
            to_raft.clone(),
            to_apply.clone(),
            to_nets.clone(),
            Arc::clone(&shared),
            clock.now(),
        );
        match start {
            Start::Uninitialised => {}
            Start::Init => role.bootstrap(random_id()),
            Start::Join(addresses) => {
                let addresses = addresses.iter().map(ToString::to_string).collect();
                role.join(addresses, JoinPlan::UntilAdmitted);
            }
            Start::Listed { others, on_total_loss } => {
                let others = others.iter().map(ToString::to_string).collect();
                role.find_listed(others, on_total_loss);
            }
        }
        role
    });
    let apply = core.roles.apply.then(|| {
        let place = |roles: &Roles| roles.net == Some(0);
        shared.importing.set_net(post.mailbox(&post.nets[0].0, None, &layout, place));
        let inbox = post.apply.1.clone();
        ApplyRole::new(inbox, to_nets, to_raft, Arc::clone(&shared), settings)
    });
    let mut listen = |sockets: Vec<Socket>| -> Vec<_> {
        sockets.into_iter().map(|socket| ring.listen(socket)).collect()
    };
    let client_listeners = listen(listeners.clients);
    let sentinel_listeners = listen(listeners.sentinels);
    let peer_listeners = listen(listeners.peers);
    Core {
        ring,
        clock,
        shared,
        net,
        raft,
        apply,
        client_listeners,
        sentinel_listeners,
        peer_listeners,
    }
}
