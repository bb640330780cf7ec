//! Bytes on the wire: sockets, the requests of clients, the frames of peers.

pub mod frame;
pub mod peer;
pub mod resolve;
pub mod resp;
pub mod ring;
pub mod socket;
