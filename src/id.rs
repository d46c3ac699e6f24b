//! The ids by which a program names connections, listeners, datagram sockets, watched sources and timers.

mod forms;

use std::num::NonZeroU32;

/// No slot of the slab has this number, since the largest one is lower. An `Option<u32>` would take twice the room.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// Names one connection, open or past.
///
/// The id names nothing once [`on_close`](crate::Handler::on_close) was called, also when the slot of the connection is
/// used again. It is `Copy` and `Send`: a program sends it to other threads along with their work, and finds the
/// connection again with [`Net::conn`](crate::Net::conn) when the answer comes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId {
    slot: u32,
    generation: u32,
}

/// Names one listener. The id of a closed listener names nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId {
    slot: u32,
    generation: u32,
}

/// Names one source of the program that the reactor watches: see [`Net::watch`](crate::Net::watch). The id names nothing once
/// the program has called [`Net::unwatch`](crate::Net::unwatch), also when the slot of the source is used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceId {
    slot: u32,
    generation: u32,
}

/// Names one datagram socket. The id of a closed socket names nothing, also when its slot is used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketId {
    slot: u32,
    generation: u32,
}

/// Names one timer that was set, so that it can be cancelled.
///
/// An id whose timer has fired or was cancelled is harmless: it names no timer that was set later. (Ids repeat after
/// 2³² timers were set or moved; only an id that was kept for as long can be mistaken for another.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimerId {
    slot: u32,
    generation: NonZeroU32, // never zero, so that an `Option` of an id takes no more room
}

impl ConnId {
    pub(crate) fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    pub(crate) fn slot(self) -> u32 {
        self.slot
    }
}

impl ListenerId {
    pub(crate) fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    pub(crate) fn slot(self) -> u32 {
        self.slot
    }

    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}

impl SourceId {
    pub(crate) fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    pub(crate) fn slot(self) -> u32 {
        self.slot
    }

    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}

impl SocketId {
    pub(crate) fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    pub(crate) fn slot(self) -> u32 {
        self.slot
    }

    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}

impl TimerId {
    pub(crate) fn new(slot: u32, generation: NonZeroU32) -> Self {
        Self { slot, generation }
    }

    pub(crate) fn slot(self) -> u32 {
        self.slot
    }

    pub(crate) fn generation(self) -> NonZeroU32 {
        self.generation
    }
}
