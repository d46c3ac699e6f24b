//! The state of the engine, and how a turn begins.

use std::time::{Duration, Instant};

use mio::Registry;

use crate::{
    close::{CloseKind, CloseReason},
    connection::Connection,
    id::{ConnId, TimerId},
    options::Options,
    socket::stream::Stream,
    stats::Stats,
};

use super::{common::Common, source::Source, table::Table, timer_kind::TimerKind, timers::DuePass};

#[derive(Debug)]
pub(crate) struct Engine {
    pub(super) table: Table,
    pub(super) common: Common,
    /// The generation of slots when the present turn began: slots with a higher one were created in this turn.
    generation_of_turn: u32,
}

impl Engine {
    /// `base` is the time from which all others count.
    pub(crate) fn new(
        registry: Registry,
        first_token: usize,
        capacity: usize,
        options: Options,
        base: Instant,
    ) -> Self {
        let common = Common::new(registry, first_token, options, base);
        Self { table: Table::new(capacity), common, generation_of_turn: 0 }
    }

    /// Begins a turn.
    #[inline]
    pub(crate) fn begin_turn(&mut self, now: Instant) {
        let Common { clock, timers, stats, .. } = &mut self.common;
        clock.begin_turn(now, !timers.is_empty());
        stats.turns += 1;
        self.generation_of_turn = self.table.generation();
        self.end_panicked();
    }

    /// Aborts the connection whose callback panicked in the last turn, before anything else is done with the reactor. Bytes that
    /// the callback was shown, and bytes that it had sent, may be missing, so no further bytes may be sent to the peer.
    #[inline]
    pub(super) fn end_panicked(&mut self) {
        let Common { callback, .. } = &self.common;
        if callback.has_panicked() {
            self.abort_panicked();
        }
    }

    #[cold]
    fn abort_panicked(&mut self) {
        let Common { callback, .. } = &self.common;
        let panicked = callback.slot();
        log::warn!(target: "tidegate", "a callback panicked in the last turn: its connection is aborted");
        match self.table.get_mut(panicked).map(|place| &place.source) {
            None | Some(Source::Listener(_) | Source::Watched(_) | Source::Datagram(_) | Source::Vacated) => {
            }
            Some(Source::Reserved) => self.vacate(panicked), // the callback was `on_accept`
            Some(Source::Connection(_)) => {
                if let Some(mut entry) = self.entry(panicked) {
                    entry.reset(CloseReason::Aborted);
                    entry.queue();
                }
            }
        }
        let Common { callback, .. } = &mut self.common;
        callback.end();
        callback.clear();
    }

    /// Between turns: true if the next turn has something to do that no event will announce.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        let Common { queue, drain, reserve, callback, .. } = &self.common;
        !queue.is_empty()
            || drain.has_work()
            || callback.has_panicked()
            || (self.table.has_vacated() && (reserve.has_waiting() || drain.is_under_way()))
    }

    /// The generation of slots when the turn began.
    pub(crate) fn generation_of_turn(&self) -> u32 {
        self.generation_of_turn
    }

    pub(crate) fn options(&self) -> &Options {
        &self.common.options
    }

    #[inline]
    pub(crate) fn stats(&self) -> &Stats {
        &self.common.stats
    }

    /// The time of the present turn, or of the last one; `None` before the first.
    pub(crate) fn now(&self) -> Option<Instant> {
        let Common { clock, .. } = &self.common;
        clock.now()
    }

    /// Sets the time before the first turn: the time of a test does not come from the system's clock.
    pub(crate) fn set_now(&mut self, now: Instant) {
        let Common { clock, .. } = &mut self.common;
        clock.set_now(now);
    }

    pub(crate) fn count_close(&mut self, kind: CloseKind, undelivered: bool) {
        let Common { stats, .. } = &mut self.common;
        stats.count_close(kind);
        stats.undelivered += u64::from(undelivered);
    }

    /// A send to a connection that is gone.
    pub(crate) fn count_discarded_send(&mut self) {
        self.common.count_discarded_send();
    }
}

/// Timers.
impl Engine {
    pub(crate) fn set_timer(&mut self, at: Instant, kind: TimerKind) -> TimerId {
        self.common.set_timer(at, kind)
    }

    pub(crate) fn set_timer_after(&mut self, time: Duration, kind: TimerKind) -> TimerId {
        self.common.set_timer_after(time, kind)
    }

    /// The host has the `Net`, between turns.
    pub(crate) fn host_is_here(&mut self) {
        self.end_panicked();
        self.common.host_is_here();
    }

    /// Cancels a timer. Returns false if it has fired or was cancelled before.
    pub(crate) fn cancel_timer(&mut self, timer: TimerId) -> bool {
        let Some(kind) = self.common.cancel_timer(timer) else { return false };
        if let TimerKind::Timeout { slot, index } = kind
            && let Some(mut entry) = self.entry(slot)
        {
            entry.take_timeout(index);
        }
        true
    }

    /// When the first timer is due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let Common { timers, .. } = &self.common;
        timers.next()
    }

    #[inline]
    pub(crate) fn has_timers(&self) -> bool {
        let Common { timers, .. } = &self.common;
        !timers.is_empty()
    }

    /// Begins a pass over the timers that are due now.
    pub(crate) fn begin_due(&mut self, now: Instant) -> DuePass {
        self.common.begin_waiting_timers(now);
        let Common { timers, .. } = &mut self.common;
        timers.begin(now)
    }

    /// Takes out the next timer of a pass.
    pub(crate) fn next_due(&mut self, pass: DuePass) -> Option<TimerKind> {
        let Common { timers, .. } = &mut self.common;
        timers.pop_due(pass)
    }
}

/// Connections.
impl Engine {
    /// The slots of all connections, those that linger included. New connections are appended.
    pub(crate) fn connections(&self) -> &[u32] {
        self.table.connections()
    }

    /// The ids of all connections, those that linger included.
    pub(crate) fn connection_ids(&self) -> Vec<ConnId> {
        self.connections().iter().map(|slot| self.id(*slot)).collect()
    }

    /// The connections that were made after the given generation.
    pub(crate) fn younger_connections(&self, generation: u32) -> Vec<u32> {
        let younger = |slot: &u32| self.table.is_younger(*slot, generation);
        self.connections().iter().copied().filter(younger).collect()
    }

    /// The connection in a slot; `None` if the slot holds none.
    pub(crate) fn connection(&self, slot: u32) -> Option<&Connection<Stream>> {
        self.table.connection(slot)
    }

    /// The id that the present source of a slot has.
    pub(crate) fn id(&self, slot: u32) -> ConnId {
        self.table.id(slot)
    }

    /// True if the id names a connection that has a session.
    pub(crate) fn is_open(&self, id: ConnId) -> bool {
        self.table.is_open(id)
    }

    /// True if the id names a connection, whether it lingers or not.
    pub(crate) fn is_current(&self, id: ConnId) -> bool {
        self.table.is_current(id)
    }

    /// True if the slot holds a connection whose session is still there.
    pub(crate) fn has_session(&self, slot: u32) -> bool {
        self.table.has_session(slot)
    }

    /// How many bytes the handler has sent to a connection that the kernel has not taken yet.
    pub(crate) fn unsent(&self, slot: u32) -> usize {
        let Common { callback, .. } = &self.common;
        let queued = self.connection(slot).map_or(0, Connection::queued);
        queued + callback.gathered_len(slot)
    }
}

/// A host's poll may live longer than the reactor: it must not keep sources that are gone. A connection with unsent bytes is
/// reset, so that its peer cannot mistake a truncated stream for a complete one.
impl Drop for Engine {
    fn drop(&mut self) {
        self.end_panicked();
        let registry = &self.common.registry;
        for slot in self.table.sources_mut() {
            // An error means that the poll is gone, and the registration with it.
            let _ = match &mut slot.source {
                // A watched source belongs to the program.
                Source::Reserved | Source::Vacated | Source::Watched(_) => Ok(()),
                Source::Listener(listener) => listener.socket.deregister(registry),
                Source::Datagram(record) => record.socket.deregister(registry),
                Source::Connection(record) => {
                    if record.connection.is_truncated() {
                        let _ = record.connection.stream().reset_on_close(); // it fails only if the peer's reset came first
                    }
                    record.connection.stream_mut().deregister(registry)
                }
            };
        }
    }
}
