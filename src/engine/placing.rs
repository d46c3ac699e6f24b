//! How sources come into their slots, and how they leave.

use mio::{Registry, Token};

use crate::{
    connection::Connection,
    id::{ConnId, ListenerId},
    options::{ConnectOptions, ListenOptions},
    socket::{listener::Listener, platform, readiness::Readiness, stream::Stream},
};

use super::{common::Common, listener::ListenerRecord, opening::Opening, source::Source, state::Engine};

impl Engine {
    /// Reserves a slot. Returns `None` if the number of slots has reached the number of tokens.
    pub(crate) fn reserve_slot(&mut self) -> Option<u32> {
        self.table.reserve()
    }

    /// Gives back a reserved slot under whose token nothing was registered.
    pub(crate) fn release_slot(&mut self, slot: u32) {
        self.table.release(slot);
    }

    /// An id for a connection for which there is no slot.
    pub(crate) fn id_without_slot(&mut self) -> ConnId {
        self.table.id_without_slot()
    }

    /// All slots are below this one.
    pub(crate) fn slots_end(&self) -> usize {
        self.table.slots_end()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.common.registry
    }

    /// The token under which the source of a slot is registered.
    pub(crate) fn token(&self, slot: u32) -> Token {
        self.common.token(slot)
    }

    /// Puts a registered listener into its reserved slot.
    pub(crate) fn place_listener(
        &mut self,
        slot: u32,
        socket: Listener,
        options: ListenOptions,
    ) -> ListenerId {
        self.table.place_listener(slot, ListenerRecord::new(socket, options))
    }

    /// Puts a connection that this side has brought about into its reserved slot. It opens in the next turn, or later.
    pub(crate) fn place_opening(&mut self, slot: u32, stream: Stream, opening: Opening) -> ConnId {
        let mut connection = Connection::new(stream, platform::short_reads_drain());
        // A pair of connections that both stop reading until they can write would lock each other.
        connection.pause_when_full(matches!(opening, Opening::Adopted));
        self.place_connection(slot, connection, Some(opening));
        self.queue(slot);
        self.table.id(slot)
    }

    /// Begins to connect, in the next turn. The connection has limits of its own if the options say so.
    pub(crate) fn place_connecting(&mut self, slot: u32, opening: Opening, wishes: ConnectOptions) -> ConnId {
        let id = self.place_opening(slot, Stream::Unconnected, opening);
        let idle_timeout = wishes.idle_timeout;
        let own = wishes.own_limits(self.options());
        if let Some(mut entry) = self.entry(slot) {
            if let Some(after) = idle_timeout {
                entry.set_idle_timeout(Some(after));
            }
            entry.set_own_limits(own);
        }
        id
    }

    /// Puts a client that was accepted into its reserved slot.
    pub(crate) fn place_accepted(&mut self, slot: u32, stream: Stream, listener: ListenerId) {
        let mut connection = Connection::new(stream, platform::short_reads_drain());
        // A new socket takes bytes: a greeting need not wait for the event that says so.
        connection.set_ready(Readiness::WRITABLE);
        connection.begin_turn(self.common.clock.turn());
        self.place_connection(slot, connection, None);
        self.table.set_listener_of(slot, listener); // nothing if the callback has closed the listener
    }

    pub(super) fn place_connection(
        &mut self,
        slot: u32,
        connection: Connection<Stream>,
        opening: Option<Opening>,
    ) {
        self.table.place_connection(slot, connection);
        let Common { stats, options, .. } = &mut self.common;
        stats.open += 1;
        let idle_timeout = options.idle_timeout;
        if let Some(mut entry) = self.entry(slot) {
            entry.begin_life(idle_timeout, opening);
        }
    }

    /// Closes the source in a slot. The slot is used again only after the pass.
    pub(crate) fn vacate(&mut self, slot: u32) {
        let source = self.table.vacate(slot);
        let Common { registry, stats, timers, blocks, .. } = &mut self.common;
        let deregistered = match source {
            // The program deregisters a watched source, because the source is the program's.
            Source::Reserved | Source::Vacated | Source::Watched(_) => Ok(()),
            Source::Listener(mut listener) => {
                listener.retry.map(|timer| timers.cancel(timer));
                listener.socket.deregister(registry)
            }
            Source::Datagram(mut record) => {
                record.retry.map(|timer| timers.cancel(timer));
                stats.datagrams_dropped += record.queued() as u64;
                record.socket.deregister(registry)
            }
            Source::Connection(mut record) => {
                stats.open -= 1;
                stats.buffered -= record.connection.counted();
                for timer in record.lifetime.take_timers() {
                    timers.cancel(timer);
                }
                let deregistered = record.connection.stream_mut().deregister(registry);
                drop(record); // the outbox may be the last holder of shared blocks
                stats.shared = blocks.held();
                deregistered
            }
        };
        // An error means that the poll is gone. The socket closes either way.
        if let Err(error) = deregistered {
            log::debug!("deregistering failed: {error}");
        }
    }

    /// Frees the slots whose sources are gone, and lets listeners that wait for a place try again. Returns true if the
    /// storage of the slots has become smaller.
    #[inline]
    pub(crate) fn free_vacated(&mut self) -> bool {
        self.table.has_vacated() && self.free_all_vacated()
    }

    #[inline(never)]
    fn free_all_vacated(&mut self) -> bool {
        let Common { reserve, .. } = &mut self.common;
        for listener in reserve.take_waiting() {
            if self.table.listener_mut(listener).is_some() {
                self.queue(listener);
            }
        }
        let shrunk = self.table.free_vacated();
        if shrunk {
            let Common { queue, .. } = &mut self.common;
            queue.shrink();
        }
        shrunk
    }
}
