//! Connections and listeners that belong to no reactor at the moment, and datagrams on their way.

use std::net::SocketAddr;

use crate::{Detached, socket::simulated::SimulatedListener};

use super::session::Sessions;

/// The sources that belong to no reactor at the moment.
#[derive(Debug, Default)]
pub(super) struct Unowned {
    pub(super) connections: Vec<Detached<Sessions>>,
    pub(super) listeners: Vec<SimulatedListener>,
}

/// A datagram that some handler has sent. Its number stands in its first four bytes, if it has so many.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) len: usize,
    pub(super) was_received: bool,
}
