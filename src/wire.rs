//! Consensus as it is archived: what stands in peer frames and in snapshots alike.
//!
//! PURE. Both of its users own a version; a change here is a change of both.

use rkyv::{Archive, Deserialize, Serialize};

use crate::raft::types::{Boot, Configuration, Member, MemberId};

#[derive(Archive, Serialize, Deserialize)]
pub struct WireConfiguration {
    voters: Vec<u64>,
    voters_outgoing: Vec<u64>,
    learners: Vec<u64>,
    members: Vec<WireMember>,
}

#[derive(Archive, Serialize, Deserialize)]
struct WireMember {
    id: u64,
    slot: String,
    boot: Boot,
    client_address: String,
    peer_address: String,
    observer: bool,
}

impl From<&Configuration> for WireConfiguration {
    fn from(configuration: &Configuration) -> Self {
        let ids = |ids: &[MemberId]| ids.iter().map(|id| id.0).collect();
        let Configuration { voters, voters_outgoing, learners, members } = configuration;
        Self {
            voters: ids(voters),
            voters_outgoing: ids(voters_outgoing),
            learners: ids(learners),
            members: members.iter().map(WireMember::from).collect(),
        }
    }
}

impl From<WireConfiguration> for Configuration {
    fn from(wire: WireConfiguration) -> Self {
        let ids = |ids: Vec<u64>| ids.into_iter().map(MemberId).collect();
        let WireConfiguration { voters, voters_outgoing, learners, members } = wire;
        Self {
            voters: ids(voters),
            voters_outgoing: ids(voters_outgoing),
            learners: ids(learners),
            members: members.into_iter().map(Member::from).collect(),
        }
    }
}

// Both directions name every field, so that one that is added cannot be forgotten.

impl From<&Member> for WireMember {
    fn from(member: &Member) -> Self {
        let Member { id, slot, boot, client_address, peer_address, observer } = member;
        Self {
            id: id.0,
            slot: slot.clone(),
            boot: *boot,
            client_address: client_address.clone(),
            peer_address: peer_address.clone(),
            observer: *observer,
        }
    }
}

impl From<WireMember> for Member {
    fn from(wire: WireMember) -> Self {
        let WireMember { id, slot, boot, client_address, peer_address, observer } = wire;
        Self { id: MemberId(id), slot, boot, client_address, peer_address, observer }
    }
}
