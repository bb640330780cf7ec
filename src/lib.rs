//! Mayfly: an in-memory, strongly consistent cluster that speaks the Redis protocol.
//!
//! There is no disk: a node that stops is gone, a node that starts is new, and the data lives as
//! long as a majority of the voters does. Every node serves every command; every acknowledged
//! write survives as long as that majority; every read sees every write acknowledged before it
//! began.
//!
//! # Bird's eye view
//!
//! ```text
//! client --RESP--> net: parse what was received; one pass: an rkyv archive of writes, reads beside
//!                   |
//!                   v
//!                 raft: leader: one entry per pass of a net role, one append request per peer
//!                       follower: forwards the same bytes to the leader, as (origin, stream, seq)
//!                   |  commit (quorum)              |  read index (one round for all reads)
//!                   v                               v
//!                 apply: runs entries in log order on every node; the origin makes the replies
//!                   |
//!                   v
//!                 net: each client its replies, one send per client and pass
//! ```
//!
//! # Life of a SET
//!
//! 1. A net role's ring delivers the bytes; [`net::resp`] finds the words in place; the table of
//!    [`engine::command`] tells that SET is a write; its arguments are appended to the pass's
//!    [`engine::batch::Batch`] (`node::front`).
//! 2. At the end of the pass the batch is archived, once. The net role tells apply what it will
//!    have to answer ([`node::mailbox::Pending`]) and gives the archive to the raft role.
//! 3. [`raft`] gives it the next sequence number of its stream. The leader appends it; a follower
//!    forwards it. [`net::frame`] sends the archive from the buffer it was made in; a receiver
//!    keeps it in the buffer of the frame, checked once.
//! 4. When a quorum has it, each node's apply role runs the commands of the archive in place
//!    against [`engine`]. The origin, whose clients wait, writes the replies.
//! 5. The net role copies each client's replies into its output; the ring sends them all with its
//!    next entry into the kernel.
//!
//! # Life of a transaction
//!
//! 1. After MULTI the net role queues: it checks a command as far as that can be done without
//!    running it, and appends it to the batch of the transaction (`node::session`). A refused
//!    command makes EXEC refuse the whole.
//! 2. WATCH goes through the log: all nodes note which session, of which member, watches which keys
//!    ([`engine::keyspace`]). Whatever changes such a key, for a client of any node, marks the
//!    sessions that watch it. While nobody watches anything this is one branch per change.
//! 3. EXEC puts the queue into the pass as one unit: nothing can come between its commands, and
//!    they have the clock of their entry. If the session watched keys the unit tells so, and apply
//!    runs it only if no key was changed, which is the same on every node. A transaction that only
//!    reads, without WATCH, is a read: it runs at one moment, at a read index.
//! 4. What the node answers itself (PING, SELECT, CLIENT) is no part of the unit: it is run when
//!    the reply to the unit has come, and put in its place.
//! 5. What a session watches ends with EXEC, DISCARD, UNWATCH, RESET, the connection (the net role
//!    tells all nodes, through the log), and with the member that has the connection.
//!
//! An EXEC that is given up has the errors of any other write: it ran as a whole or not at all, and
//! if that is not known the error says so.
//!
//! # Life of a client that waits
//!
//! 1. A command that may have to wait (BLPOP, XREAD with BLOCK) is a write, which tells the session
//!    of its client. The net role looks at nothing behind it until it is answered, and receives on,
//!    to notice the end of the client.
//! 2. If it finds nothing to reply with, all nodes note who waits, with which command, for which
//!    keys, until when ([`engine::waiting`]). The node of the client remembers its connection.
//! 3. After each command or transaction that changes such a key, the commands of those who wait for
//!    it are run again, in the order of the log, on all nodes; what one of them takes is taken. So
//!    who came first is served first, whatever node it is on, and a leader change changes nothing.
//! 4. Time-outs follow the clock of the log: the leader adds the entry that moves it past one.
//! 5. A wait ends with its client: the net role tells all nodes, through the log. What was taken
//!    for it before they know is lost, as a reply is that was on its way. A member that is removed
//!    takes its waits along; one that the leader does not hear of is passed over, and lets its
//!    clients wait anew should it live after all. After a snapshot that leaves open what became of
//!    a client, it is told that the outcome is unknown.
//!
//! # Life of a message
//!
//! 1. SUBSCRIBE is the node's alone. The net role tells apply ([`engine::pubsub`]) before the
//!    client is sent its confirmation, so that it misses no message that is published after that.
//! 2. PUBLISH goes through the log like a write, in a transaction too, and changes no key. Each
//!    node that applies it hands the message to its net roles, once a run, for the clients that
//!    subscribe there: all subscribers of all nodes see all messages in one order. While a node has
//!    no subscriber this is one branch per message.
//! 3. The reply to PUBLISH, PUBSUB and the counts of INFO tell of the subscribers of this node, as
//!    on a node of Redis's cluster: nobody knows those of the others without asking them.
//! 4. Whoever stays connected misses nothing. So a subscriber is closed that does not keep up (the
//!    output limit of its class), whose net role does not ([`limits::PUBLISHED_BYTES_MAX`]), whose
//!    node goes on from a snapshot, in place of entries that may have held messages, or that is no
//!    member any more.
//!
//! A message may come to a subscriber of a node that lags behind although its PUBLISH was answered
//! before SUBSCRIBE. In a transaction, messages for its own client come around the reply to EXEC,
//! not within it, and SUBSCRIBE takes effect behind the commands of the engine.
//!
//! # What a node tells of its work
//!
//! SLOWLOG, COMMANDLOG, LATENCY, MONITOR and the counts of INFO are each node's own, and CLIENT
//! PAUSE holds back the commands of its own clients (`node::observe`). No part of it is replicated.
//!
//! - What is timed of a command is its execution when it is applied, on the node whose client sent
//!   it; INFO commandstats counts what the node applies for clients of all nodes.
//! - Brief commands are timed in runs of up to 32, each of which gets an equal share
//!   ([`engine::timing`]): sums are exact, the percentiles of brief commands are those of shares. A
//!   single slow one among them is found after a run that was slow as a whole, or with a threshold
//!   below a millisecond: then each command is timed alone.
//! - The engine knows of the name of a command only whether it was sent in capitals, so that where
//!   it tells of commands (SLOWLOG, the transactions of MONITOR) mixed letters are shown as all
//!   capitals or none, by the first.
//! - A command that a script calls is part of the script for SLOWLOG. MONITOR shows it, on the node
//!   of the client, once it has run ([`engine::witness`]): behind its script, but not before the
//!   next commands of the same transaction or pipeline, as in Redis.
//! - Commands that only a net role runs are timed there, up to the moment that they wait for
//!   another role.
//!
//! # Life of a script
//!
//! 1. EVAL, EVALSHA, FCALL, and what changes scripts and libraries, are entries of the log like any
//!    write; the forms that only read run on one node. Scripts that are known by their SHA1, and
//!    libraries of functions, are replicated state ([`engine::script::Scripts`]): part of the
//!    digest and of a snapshot.
//! 2. Every node runs the script as it applies the entry, in a state of Lua of its own
//!    ([`engine::script::Runtime`]). Time and chance come with the entry, and no address, order or
//!    clock of the node is seen, so that all come to the same end. Of commands that it runs, each
//!    passes [`engine::script`]'s own checks.
//! 3. What a script may take is counted in instructions and bytes, and not in time
//!    ([`limits::SCRIPT_INSTRUCTIONS_MAX`], [`limits::SCRIPT_MEMORY_MAX`]): all nodes end it at the
//!    same place, with the same error. What it has done before stays.
//! 4. A library is run anew for each FCALL, since a node that joins has no states of Lua of others:
//!    in Redis its local variables outlive a call, here they do not. What is compiled is kept.
//!
//! # Life of an event, and of a copy
//!
//! 1. What changes a key says so by Redis's name of the event ([`engine::notifications`]). While
//!    `notify-keyspace-events`, which all nodes have alike, names its class, each node makes
//!    messages of it as it applies the command: subscribers of all nodes see all events, in one
//!    order with what is published. A key that a read does not find (class `m`) is told by the node
//!    that reads; by all, in a transaction that writes.
//! 2. CLIENT TRACKING is the node's alone, like SUBSCRIBE ([`engine::tracking`]). Apply remembers
//!    who has read which key, and looks at each key that it changes, whoever asked for that. What
//!    it finds goes to the net role of the client behind the replies that were made before, and
//!    before those that are made after: a client that reads anything, at a read index, has been
//!    told of every change acknowledged before. While nobody tracks or is notified, all this is one
//!    branch per command.
//! 3. A client may always be told to drop all that it has: when databases are emptied or exchanged,
//!    when its node goes on from a snapshot, and where there would be too much to tell
//!    ([`limits::INVALIDATED_BYTES_MAX`], [`limits::CLIENT_OUTPUT_SOFT_BYTES`]). With NOLOOP it is
//!    not told of its own change, but still of the next one; Redis forgets it.
//!
//! # Life of a permission
//!
//! 1. Users are replicated state ([`engine::acl`]): ACL SETUSER goes through the log, and so does
//!    CONFIG SET of `requirepass`. Apply hands the changed table to the net roles before the reply.
//! 2. A net role checks each command of a client whose user may not do everything, with the table
//!    as of what its node has applied, and again at EXEC if that has changed since. For everyone
//!    else this is one branch per command.
//! 3. Clients of a user that is gone, and subscribers to what their user may not receive any more,
//!    are closed on every node. What was denied is told by the node that denied it (ACL LOG); what
//!    a script was denied, which all nodes deny alike, by that of its client.
//! 4. A node brings the users of its configuration into a cluster that has none yet; until it
//!    knows those of its cluster it goes by its own.
//!
//! # Life of an import
//!
//! 1. REPLICAOF names a running Redis or Valkey, of which the whole cluster becomes what a replica
//!    is: who leads reads its snapshot and then its writes, on a thread of its own
//!    (`node::import`), and proposes them as batches of this cluster. What the cluster held goes
//!    when the snapshot begins.
//! 2. How far that is, is replicated state ([`engine::import`]), which changes in the entry that
//!    has the data: units of commands name their place, and run once or not at all. The next leader
//!    asks the source to go on from there. So the source's INCR and LPUSH are applied exactly once;
//!    only if the source cannot go on, all is read anew.
//! 3. Meanwhile clients read, and see what has arrived; they may not write, unless
//!    `replica-read-only` says so. When keys go, the source says: what is due here is hidden, and
//!    stays, since it may have got more time. `maxmemory` and the bounds of deadlines do not hold
//!    for what is imported, and no key is evicted.
//! 4. A command that is not known here, or a value of a module, ends the import with an error that
//!    INFO shows, in place of being lost. REPLICAOF NO ONE makes the cluster its own again.
//!
//! # Code map
//!
//! - [`raft`]: consensus. PURE. It knows nothing of commands: a batch is bytes.
//! - [`engine`]: the state machine: keyspace, types, commands, replies. PURE. It knows nothing of
//!   consensus: time and randomness come with the entry.
//! - [`net`]: sockets through an io_uring of ours, requests ([`net::resp`]), peer frames
//!   ([`net::frame`]), links between nodes ([`net::peer`]).
//! - `wire`: what frames and snapshots archive alike. PURE.
//! - [`node`]: assembly: roles, placement, mailboxes, sessions, administration.
//! - [`config`], [`local`], [`logging`], [`signals`], [`client`], [`limits`]: around a node.
//!
//! PURE means: no I/O, no clock, no ambient randomness, no unsafe code. `tests/tidy` checks it.
//!
//! # Birth and loss of a cluster
//!
//! Nothing outlives the processes, so a node that starts cannot tell a first start from the loss of
//! everything. What it may do by itself follows from whom it can ask:
//!
//! - `--init` and `--join` leave the decision to the operator.
//! - With `--peers` or `cluster-config-file` a node knows who the others are. It asks all of them
//!   (`node::peers`). If one is in a cluster, it asks to be admitted there, and waits if nobody can
//!   admit it. If all are fresh and have seen the same processes, the one whose slot name sorts
//!   first draws a cluster id, and all found that cluster as voters, each with the same first
//!   entries ([`raft::Raft::found`]). While one is silent nothing happens, since that one may hold
//!   the data; the log and INFO name it, and RAFT.CLUSTER INIT on one node overrides it.
//! - All nodes started anew at once therefore found a new, empty cluster. Its id, which INFO shows
//!   as `raft_dbid` and `master_replid`, is another one. `on-total-loss manual` leaves it to
//!   RAFT.CLUSTER INIT.
//! - A learner or observer that outlives all voters belongs to a cluster that nobody can vote in
//!   any more, and says so to the fresh nodes, which wait for it: restart it, too, or go on with
//!   its data by RAFT.CLUSTER FORCE-RECOVER.
//!
//! A member that has had no leader and heard of no majority for `no-leader-timeout`, and four
//! election time-outs at least, says `quorum_lost`. It halts: it cannot know what the others have
//! committed without it. INFO raft shows the end of its log, the processes that it knew, and those
//! that ask for their places. On the survivor with the largest last log id an operator may say
//! `RAFT.CLUSTER FORCE-RECOVER <cluster> <last log id> ACCEPT-DATA-LOSS`: it goes on as the only
//! voter of a cluster with a new id, with the whole of its log and under its member id, and admits
//! the fresh nodes. Peers are bound to a cluster id, so the former cluster, should it be alive
//! after all, and the recovered one never hear each other. Any other survivor of the former cluster
//! has to be started anew to join: a process never leaves the state it has for another.
//!
//! # Invariants
//!
//! - Each sequence number of a stream stands in the log at most once; that is what makes a command
//!   run exactly once across leader changes, without a cache of replies.
//! - What a node answers is a function of the log up to some index; the order of replies of a
//!   client is the order of its commands.
//! - Work is done per pass of the event loop, never per command: one archive, one entry, one frame
//!   per peer, one run of apply, one send per client.
//! - Every queue has a bound, in [`limits`] or in the settings, and a behaviour at the bound.
//!
//! # Where the design was changed by a measurement or a proof
//!
//! **glommio.** It makes the executors: one thread per core, pinned. A core's task never awaits: it
//! sleeps in its own ring, bounded by the next tick. Parking in glommio costs about a dozen system
//! calls against one, and glommio 0.9 can park for ever: `LocalExecutor::run_task_queues` answers
//! "nothing ran" when a preempt timer fires between arming it and looking for work, and `run` then
//! parks although a task is runnable; with no other timer nothing wakes it. On a machine under load
//! a node hung that way within minutes. What awaits something else (a join) runs on a thread of its
//! own.
//!
//! **Sockets.** Peer links are received through the ring's shared buffers and copied once into the
//! aligned buffer of their frame, which then lives as long as its entries: 16 KiB per copy costs
//! less than a receive of its own per frame.
//!
//! **Batch archive.** Instead of one column per field, the shape of a batch is one column of 32-bit
//! words: command and database, count, lengths. It is walked once, front to back, and a batch of
//! single commands stays in one cache line per few commands.
//!
//! **Snapshots.** What a change displaces while a snapshot is made is the entry of one key, not a
//! segment of the table: writes to random keys touch every segment within a second or so, which
//! would write the whole data out at once, and keep it. A walk in hash order tells by the version
//! of an entry, the index of its last change, whether that is as it was
//! (`engine::keyspace::walk`).
//!
//! **Slow followers.** A quorum could run away from a voter until that needs a snapshot; the
//! batches of its own clients that the snapshot covers would then be of unknown outcome though
//! nobody had failed. So a leader holds batches back while a voter that answers lacks an eighth of
//! the log's budget (`raft::flow`).
//!
//! **WATCH.** A version that the node of the session remembers misses a key that was deleted and
//! made again, and a second change within one entry. So who watches what is replicated state, and
//! a change marks the sessions; with nobody watching that is one branch per change.
//!
//! **Elections after a broken connection.** The survivors notice it at the same moment and split
//! the vote, and waiting out an election time-out then was the longest pause that clients saw (4 of
//! 20 kills took 500 to 700 ms). A campaign that began that way is tried again soon.

pub mod client;
pub mod config;
pub mod engine;
pub mod glob;
pub mod limits;
pub mod local;
pub mod logging;
pub mod net;
pub mod node;
pub mod raft;
pub mod signals;
pub mod snapshot;
mod sys;
mod wire;
