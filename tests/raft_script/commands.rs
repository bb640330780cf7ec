//! The commands of a script, one a line. Members are named by their ids, processes by their slots.
//!
//! ```text
//! cluster 3 [inflight=2] [append-bytes=200]   voters 1 to 3 found a cluster: entries 1 to 3 of
//!                               term 1, which count as committed. What was before is forgotten
//! cluster 3 leader=1 ...        the same; then 1 is elected in term 2 and commits entry 4
//! bootstrap                     one voter creates a cluster and leads it
//! quietly COMMAND               the same, without the messages in the trace
//!
//! time 100                      100 ms pass for everybody; no message arrives
//! run 100                       the same, and all messages arrive at once
//! tick 1 100                    100 ms pass for member 1 in one step
//! deliver                       all messages arrive, and the answers, until nobody says more
//! round                         the present messages arrive; the answers are on their way
//! deliver 1->2                  only these of the present ones, though they may be held
//! drop 1->2                     the present ones from 1 to 2 are lost
//! duplicate 1->2                each of the present ones arrives twice
//! reverse 1->2                  the last of the present ones arrives first
//! hold 1->2, release 1->2       these wait on their way until they are released
//! cut 1->3, cut 1 3, isolate 1  what is sent that way is lost: one way, both, all
//! heal                          nothing is cut any more
//! unreachable 1 2               member 1 notices that its connection to 2 broke
//! connect 1 2                   both have a fresh connection to each other
//!
//! campaign 1                    member 1 campaigns at once
//! propose 1 a b c:500           clients of member 1 write: batches, the last one 500 bytes long
//! clock 1                       member 1 appends an entry that does nothing but move the clock on
//! read 2 r                      a client of member 2 reads
//! transfer 1->2                 leadership is to go from 1 to 2
//! admit 1 slot-2 [boot=9] [observer]   a fresh process of slot-2 asks member 1 for admission
//! start 7                       the process that was admitted as 7 learns of it and begins
//! remove 1 3                    member 1 is asked to remove member 3
//! crash 2                       the process ends; nobody notices yet
//! compact 1 5                   member 1 drops its log up to 5
//! snapshot 1->2                 member 1 makes the snapshot that 2 needs
//! load 1->2, fail 1->2          member 2 has received all of it; or it came to nothing
//! hold-below 1 9                the leader is to hold batches while a voter lacks entry 9
//! recover 1 last=2:5            an operator forces member 1 to go on alone
//!
//! listed slot-1 slot-2          fresh processes of a static list of nodes
//! silent slot-2, answers slot-2 one of them cannot be heard, or can again
//! restart slot-2                one of them is started anew
//! decide slot-1 [manual]        what the process does next
//! found slot-1                  it becomes a founder, with the listed ones that answer
//!
//! status [1], log 1, progress 1, lost-quorum 1
//! ```

use mayfly::raft::types::{Index, MemberId, Term};
use mayfly::raft::{Answer, Decision, LogId, OnTotalLoss, decide, seen};

use crate::trace;
use crate::world::{CLUSTER, World, applicant, config};

fn number_of(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// The words after the command.
struct Words<'a> {
    line: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn number(&self, at: usize) -> u64 {
        number_of(self.word(at))
    }

    fn word(&self, at: usize) -> &'a str {
        self.words.get(at).unwrap_or_else(|| panic!("`{}` lacks a word", self.line))
    }

    /// `from->to`.
    fn direction(&self, at: usize) -> (u64, u64) {
        let number = |text: &str| text.parse().expect("from->to");
        let (from, to) = self.word(at).split_once("->").expect("from->to");
        (number(from), number(to))
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        let named = |word: &&'a str| word.strip_prefix(name)?.strip_prefix('=');
        self.words.iter().find_map(named)
    }

    fn has(&self, flag: &str) -> bool {
        self.words.contains(&flag)
    }
}

impl World {
    /// Runs the commands and returns the trace. Where there are several, each is told before its
    /// trace.
    pub fn run(&mut self, commands: &str) -> String {
        let lines: Vec<&str> = commands.lines().filter(|line| !line.trim().is_empty()).collect();
        for line in &lines {
            if lines.len() > 1 {
                self.tell(format!("> {line}"));
            }
            let loud = line.strip_prefix("quietly ");
            self.quiet = loud.is_some();
            let (command, rest) = {
                let line = loud.unwrap_or(line);
                line.split_once(' ').unwrap_or((line, ""))
            };
            let words = Words { line, words: rest.split_whitespace().collect() };
            let known = self.cluster_command(command, &words)
                || self.network_command(command, &words)
                || self.client_command(command, &words)
                || self.founding_command(command, &words)
                || self.question(command, &words);
            assert!(known, "no such command: {line}");
            self.conclude();
        }
        let mut text = std::mem::take(&mut self.trace).join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    fn cluster_command(&mut self, command: &str, words: &Words<'_>) -> bool {
        match command {
            "cluster" => {
                self.forget();
                let mut settings = config();
                if let Some(messages) = words.value("inflight") {
                    settings.inflight_messages_max = number_of(messages) as usize;
                }
                if let Some(bytes) = words.value("append-bytes") {
                    settings.append_bytes_max = number_of(bytes) as usize;
                }
                self.config = Some(settings);
                self.found(words.number(0), words.value("leader").map(number_of));
            }
            "bootstrap" => self.bootstrap(),
            "admit" => self.admit(words),
            "start" => self.start(words.number(0)),
            "remove" => {
                let (at, id) = (words.number(0), words.number(1));
                let line = match self.node(at).raft.remove(MemberId(id)) {
                    Ok(index) => format!("{at}: removes {id} with entry {index}"),
                    Err(error) => format!("{at}: refused: {error}"),
                };
                self.tell(line);
            }
            "crash" => {
                self.nodes.remove(&words.number(0)).expect("it is running");
            }
            "compact" => {
                let through = Index(words.number(1));
                self.node(words.number(0)).raft.compact(through);
            }
            "recover" => {
                let id = words.number(0);
                let (term, index) =
                    words.value("last").expect("last=term:index").split_once(':').expect("t:i");
                let last = LogId {
                    term: Term(term.parse().expect("a term")),
                    index: Index(index.parse().expect("an index")),
                };
                let line = match self.node(id).raft.force_recover(last) {
                    Ok(index) => format!("{id}: goes on alone from entry {index} on"),
                    Err(error) => format!("{id}: refused: {error}"),
                };
                self.tell(line);
            }
            _ => return false,
        }
        true
    }

    fn admit(&mut self, words: &Words<'_>) {
        let (at, slot) = (words.number(0), words.word(1));
        let boot = match words.value("boot") {
            Some(boot) => boot.parse().expect("a number"),
            None => self.next_boot(slot),
        };
        let process = applicant(slot, boot, words.has("observer"));
        let line = match self.node(at).raft.admit(process) {
            Ok(index) => format!("{at}: admits boot {boot} of {slot} as {index}, once committed"),
            Err(error) => format!("{at}: refuses boot {boot} of {slot}: {error}"),
        };
        self.tell(line);
    }

    fn network_command(&mut self, command: &str, words: &Words<'_>) -> bool {
        match command {
            "time" => self.pass_time(words.number(0), false),
            "run" => self.pass_time(words.number(0), true),
            "tick" => {
                let (id, ms) = (words.number(0), words.number(1));
                self.node(id).pass_time(ms);
            }
            "deliver" if words.words.is_empty() => self.deliver(),
            "deliver" => {
                let direction = words.direction(0);
                self.deliver_some(|message, _| (message.from.0, message.to.0) == direction);
            }
            "round" => {
                self.deliver_some(|_, held| !held);
            }
            "drop" => {
                for message in self.take(words.direction(0)) {
                    self.tell(format!("lost: {}", trace::message(&message)));
                }
            }
            "duplicate" => {
                let taken = self.take(words.direction(0));
                self.network.extend(taken.iter().cloned().chain(taken.clone()));
            }
            "reverse" => {
                let taken = self.take(words.direction(0));
                self.network.extend(taken.into_iter().rev());
            }
            "hold" => {
                self.held.insert(words.direction(0));
            }
            "release" => {
                self.held.remove(&words.direction(0));
            }
            "cut" if words.words.len() == 1 => {
                self.cut.insert(words.direction(0));
            }
            "cut" => {
                let (one, other) = (words.number(0), words.number(1));
                self.cut.extend([(one, other), (other, one)]);
            }
            "isolate" => {
                let id = words.number(0);
                let others: Vec<u64> = self.nodes.keys().copied().filter(|o| *o != id).collect();
                self.cut.extend(others.iter().flat_map(|other| [(id, *other), (*other, id)]));
            }
            "heal" => self.cut.clear(),
            "unreachable" => {
                let peer = MemberId(words.number(1));
                self.node(words.number(0)).raft.peer_unreachable(peer);
            }
            "connect" => {
                let (one, other) = (words.number(0), words.number(1));
                self.node(one).raft.peer_connected(MemberId(other));
                self.node(other).raft.peer_connected(MemberId(one));
            }
            _ => return false,
        }
        true
    }

    fn client_command(&mut self, command: &str, words: &Words<'_>) -> bool {
        match command {
            "campaign" => {
                let id = words.number(0);
                if let Err(error) = self.node(id).raft.campaign_now() {
                    self.tell(format!("{id}: refused: {error}"));
                }
            }
            "propose" => {
                for name in &words.words[1..] {
                    self.propose(words.number(0), name);
                }
            }
            "clock" => self.node(words.number(0)).raft.tick_entry(),
            "read" => {
                for name in &words.words[1..] {
                    self.read(words.number(0), name);
                }
            }
            "transfer" => {
                let (from, to) = words.direction(0);
                if let Err(error) = self.node(from).raft.transfer_leadership(Some(MemberId(to))) {
                    self.tell(format!("{from}: refused: {error}"));
                }
            }
            "hold-below" => {
                let index = Index(words.number(1));
                self.node(words.number(0)).raft.hold_below(index);
            }
            "snapshot" => {
                let (from, to) = words.direction(0);
                let state = self.make_snapshot(from, to);
                let (index, term) = (state.last_index, state.last_term);
                let configuration = trace::configuration(&state.configuration);
                self.tell(format!("{from}: snapshot of ({index},{term}), {configuration}"));
            }
            "load" => {
                let (from, to) = words.direction(0);
                let state = self.snapshots.remove(&(from, to)).flatten().expect("it is made");
                let index = state.last_index;
                let taken = self.node(to).raft.install_snapshot(state);
                let word = if taken { "goes on from" } else { "does not need" };
                self.tell(format!("{to}: {word} the snapshot of {index}"));
            }
            "fail" => {
                let (from, to) = words.direction(0);
                self.snapshots.remove(&(from, to));
                self.node(from).raft.snapshot_failed(MemberId(to));
            }
            _ => return false,
        }
        true
    }

    fn founding_command(&mut self, command: &str, words: &Words<'_>) -> bool {
        match command {
            "listed" => {
                for slot in &words.words {
                    let fresh = self.fresh_node(slot);
                    self.listed.insert((*slot).to_owned(), (fresh, true));
                }
            }
            "restart" => {
                let fresh = self.fresh_node(words.word(0));
                self.listed.insert(words.word(0).to_owned(), (fresh, true));
            }
            "silent" | "answers" => {
                self.listed.get_mut(words.word(0)).expect("it is listed").1 = command == "answers";
            }
            "found" => self.found_as(words.word(0)),
            "decide" => {
                let policy = match words.has("manual") {
                    true => OnTotalLoss::Manual,
                    false => OnTotalLoss::Unanimous,
                };
                let line = self.decide(words.word(0), policy);
                self.tell(line);
            }
            _ => return false,
        }
        true
    }

    /// What the others of the list answer to `slot`. Who runs as a member says so.
    fn answers(&self, slot: &str, depth: usize) -> Vec<(String, Answer)> {
        let others = self.listed.iter().filter(|(other, _)| *other != slot);
        let answer = |(other, (node, answers)): (&String, &(_, bool))| {
            let node: &mayfly::raft::FreshNode = node;
            let member = self.nodes.values().find(|running| {
                let members = &running.raft.configuration().members;
                members.iter().any(|m| m.boot == node.boot && m.id == running.raft.id())
            });
            let answer = match member {
                _ if !answers => Answer::Silent,
                Some(member) => {
                    Answer::Member { cluster: CLUSTER, founders: member.raft.founders() }
                }
                None if depth == 0 => Answer::Fresh { node: node.clone(), seen: Vec::new() },
                None => {
                    let seen = seen(node, &self.answers(other, depth - 1));
                    Answer::Fresh { node: node.clone(), seen }
                }
            };
            (other.clone(), answer)
        };
        others.map(answer).collect()
    }

    fn decide(&self, slot: &str, policy: OnTotalLoss) -> String {
        let (own, _) = &self.listed[slot];
        let names = |founders: &[mayfly::raft::FreshNode]| {
            let name = |node: &mayfly::raft::FreshNode| format!("{} boot {}", node.slot, node.boot);
            founders.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        match decide(own, &self.answers(slot, 1), policy) {
            Decision::Found(founders) => format!("{slot}: founds with {}", names(&founders)),
            Decision::Follow { founders, .. } => {
                format!("{slot}: takes its place among {}", names(&founders))
            }
            Decision::Join => format!("{slot}: asks to be admitted"),
            Decision::Wait(why) => format!("{slot}: waits: {why}"),
        }
    }

    fn question(&mut self, command: &str, words: &Words<'_>) -> bool {
        match command {
            "status" => {
                let of = words.words.first().map(|_| words.number(0));
                let nodes = self.nodes.iter().filter(|(id, _)| of.is_none_or(|of| **id == of));
                let lines: Vec<String> = nodes.map(|(_, node)| trace::status(&node.raft)).collect();
                self.trace.extend(lines);
            }
            "log" => {
                let line = trace::log(&self.node(words.number(0)).raft);
                self.tell(line);
            }
            "progress" => {
                let id = words.number(0);
                let status = self.node(id).raft.status();
                let lines = status.peers.iter().map(|peer| trace::progress(id, peer));
                self.trace.extend(lines);
            }
            "lost-quorum" => {
                let id = words.number(0);
                let lost = self.node(id).raft.is_quorum_lost();
                self.tell(format!("{id}: quorum lost: {lost}"));
            }
            _ => return false,
        }
        true
    }
}
