//! What can be registered, one file for each kind, and the slot of the slab that it lives in.

pub(crate) mod connection;
pub(crate) mod listener;
pub(crate) mod socket;

use std::time::Instant;

use crate::{address::Address, shared::Head, stream::Stream, timers::TimerId};

use connection::Connection;
use listener::Listener;

/// One place in the slab.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) head: Head,
    pub(crate) source: Source,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// An id that is promised and not yet, or no longer, in use: a late event meets nothing here.
    Empty,
    Listener(Box<Listener>),
    Connection(Peer),
}

/// A connection with what the reactor knows about it beyond bytes.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) connection: Connection<Stream>,
    /// While it is being connected. Boxed, like `closing`: most connections never have one.
    pub(crate) dial: Option<Box<Dial>>,
    /// Once a close takes longer than one turn.
    pub(crate) closing: Option<Box<Closing>>,
}

/// An outgoing connection that is not established yet.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) to: Address,
    /// The index of the address to try after the present one.
    pub(crate) next: usize,
    pub(crate) under_way: bool,
}

/// The two bounds of a close.
#[derive(Debug)]
pub(crate) struct Closing {
    /// The whole of it ends here.
    pub(crate) by: Instant,
    /// When the peer was last heard while it lingers.
    pub(crate) heard: Instant,
    pub(crate) timer: TimerId,
}

impl Slot {
    pub(crate) fn listener_mut(&mut self) -> Option<&mut Listener> {
        match &mut self.source {
            Source::Listener(listener) => Some(listener),
            _ => None,
        }
    }
}
