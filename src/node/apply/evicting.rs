//! Eviction, on the node that leads: when the account of memory is above its limit, apply chooses
//! keys, and a net role of this node puts the choice into the log. One choice is on its way at a
//! time; it names more than is needed when it is made, for what is written until it is applied.

use std::sync::atomic::Ordering;

use crate::engine::keyspace::Victims;
use crate::engine::random::Random;
use crate::engine::settings::SettingId;
use crate::limits::{EVICT_AHEAD_BYTES, EVICT_PER_ENTRY_MAX};
use crate::node::clock::{nanoseconds, unix_seconds};
use crate::node::mailbox::ToNet;
use crate::node::observe::latency::EVICTION_CYCLE;

use super::ApplyRole;

pub(super) struct Evicting {
    victims: Victims,
    random: Random,
    /// A choice is on its way through the log.
    pub is_under_way: bool,
}

impl Evicting {
    pub fn new(seed: u64) -> Self {
        Self { victims: Victims::default(), random: Random::new(seed), is_under_way: false }
    }
}

impl ApplyRole {
    /// Chooses keys that are to go, if this node leads and none are on their way.
    #[cold]
    pub(super) fn evict(&mut self) {
        if self.evicting.is_under_way || !self.shared.leads.load(Ordering::Acquire) {
            return;
        }
        let Self { engine, evicting: Evicting { victims, random, .. }, .. } = self;
        let samples = engine.settings().unsigned(SettingId::MaxmemorySamples) as usize;
        let bytes = 2 * engine.keyspace.excess() + EVICT_AHEAD_BYTES;
        let keyspace = &engine.keyspace;
        let began = nanoseconds();
        let chosen = victims.choose(keyspace, samples, (bytes, EVICT_PER_ENTRY_MAX), random);
        let nanos = nanoseconds().saturating_sub(began);
        self.shared.observed.note_latency(EVICTION_CYCLE, nanos, unix_seconds);
        if !chosen.is_empty() {
            self.evicting.is_under_way = true;
            self.nets[0].send(ToNet::Evict { index: self.applied_index, victims: chosen });
        }
    }
}
