//! The slots of the slab: a connection, a listener or a watched source with the bookkeeping around it.

use crate::{
    connection::Connection,
    id::{ConnId, NO_SLOT},
    socket::stream::Stream,
};

use super::{
    datagram::record::DatagramRecord, lifetime::Lifetime, listener::ListenerRecord, watched::WatchedRecord,
};

/// A slot of the slab.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) meta: SlotMeta,
    pub(super) source: Source,
}

/// The kinds of source that can live in a slot.
#[derive(Debug)]
pub(super) enum Source {
    /// The slot is reserved. Its listener or connection is not placed in it yet.
    Reserved,
    /// The source is gone, and the slot is not free yet. A late event for the slot has no effect.
    Vacated,
    Listener(Box<ListenerRecord>),
    /// A source that belongs to the program: the slot holds its readiness alone.
    Watched(WatchedRecord),
    Datagram(Box<DatagramRecord>),
    // The last variant: the compiler then needs one comparison to find a connection in a slot, and otherwise two.
    Connection(ConnectionRecord),
}

/// The bookkeeping of a slot, whatever its source is.
#[derive(Debug)]
pub(super) struct SlotMeta {
    slot: u32,
    generation: u32,
    /// The slot of the listener that accepted the connection; [`NO_SLOT`] if there is none.
    pub(super) listener: u32,
    /// The index of the connection in the table's list of connections.
    pub(super) position: u32,
    /// The tick of the last byte when the idle timer was set. It stands here because the slot has room for it.
    pub(super) idle_armed: u32,
    pub(super) queued: bool,
    pub(super) to_flush: bool,
    /// The handler has set the idle timeout or `close_when_idle`, and the timer is not set yet. Both count from the turn
    /// that sees this flag, because the time of a turn is known in a turn alone.
    pub(super) arm_timers: bool,
}

/// A connection with its timers, and with its state while it opens or closes.
#[derive(Debug)]
pub(super) struct ConnectionRecord {
    pub(super) connection: Connection<Stream>,
    pub(super) lifetime: Lifetime,
}

impl SlotMeta {
    pub(super) fn new(slot: u32, generation: u32) -> Self {
        Self {
            slot,
            generation,
            listener: NO_SLOT,
            position: NO_SLOT,
            idle_armed: 0,
            queued: false,
            to_flush: false,
            arm_timers: false,
        }
    }

    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    pub(super) fn id(&self) -> ConnId {
        ConnId::new(self.slot, self.generation)
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// True if something will look at the connection in this turn, or in the next one.
    pub(super) fn is_scheduled(&self) -> bool {
        self.queued || self.to_flush
    }
}

impl ConnectionRecord {
    pub(super) fn new(connection: Connection<Stream>) -> Self {
        Self { connection, lifetime: Lifetime::default() }
    }
}

#[cfg(test)]
mod tests {
    /// An idle connection should cost little memory. What few connections need stands in the boxed rare state. In debug builds,
    /// mio keeps the poll of each source beside the source, and with its selector on poll(2) still more.
    #[test]
    #[cfg(all(target_pointer_width = "64", not(mio_unsupported_force_poll_poll)))]
    fn a_slot_has_at_most_112_bytes() {
        let most = if cfg!(debug_assertions) { 128 } else { 112 };
        assert!(size_of::<super::Slot>() <= most, "{}", size_of::<super::Slot>());
    }
}
