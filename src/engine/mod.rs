//! All state of a reactor that does not depend on the type of its sessions.
//!
//! The engine is two halves that can be borrowed side by side: the [`Table`] of sources, and the [`Common`] parts that the
//! sources use. An [`Entry`] is one connection of the table together with the common parts.

mod budget;
mod callback;
mod clock;
mod connecting;
mod drain;
mod entry;
mod lifetime;
mod listener;
mod memory;
mod queue;
mod reserve;
mod source;
mod table;

use std::{io, time::Instant};

use mio::{Registry, Token};

use crate::{
    close::{CloseKind, CloseReason},
    connection::{Connection, Phase},
    id::{ConnId, ListenerId},
    options::{ListenOptions, Options},
    socket::{
        listener::{Accept, Listener},
        platform,
        readiness::Readiness,
        stream::Stream,
    },
    stats::Stats,
    timers::Timers,
};

pub(crate) use self::{
    budget::{Reminders, TurnBudget},
    clock::later,
    drain::DrainState,
    entry::Entry,
    lifetime::TimerKind,
    source::Opening,
};
use self::{
    callback::Callback,
    clock::Clock,
    drain::Drain,
    listener::ListenerRecord,
    memory::MemoryBudget,
    queue::Queue,
    reserve::Reserve,
    source::{Slot, Source},
    table::Table,
};

/// At most so many bytes are gathered while a callback runs.
const GATHER: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) table: Table,
    pub(crate) common: Common,
    /// The generation of slots when the present turn began: slots with a higher one were created in this turn.
    generation_of_turn: u32,
}

/// The parts that all sources use.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) options: Options,
    pub(crate) stats: Stats,
    pub(crate) timers: Timers<TimerKind>,
    pub(crate) clock: Clock,
    pub(crate) queue: Queue,
    pub(crate) drain: Drain,
    pub(crate) reserve: Reserve,
    pub(crate) callback: Callback,
    memory: MemoryBudget,
    registry: Registry,
    first_token: usize,
}

/// The source that the ready queue gives out next.
pub(crate) enum Ready<'a> {
    /// The source is gone.
    Nothing,
    Listener,
    Connection(Entry<'a>),
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
        let options = options.checked();
        let mut reserve = Reserve::default();
        reserve.refill();
        let common = Common {
            // Less than high water: the handler has to be told when the outbox reaches it.
            callback: Callback::new(GATHER.min(options.high_water).min(options.max_outbox).saturating_sub(1)),
            memory: MemoryBudget::new(options.memory_budget),
            options,
            stats: Stats::default(),
            timers: Timers::new(base),
            clock: Clock::new(base),
            queue: Queue::default(),
            drain: Drain::new(),
            reserve,
            registry,
            first_token,
        };
        Self { table: Table::new(capacity), common, generation_of_turn: 0 }
    }

    /// Begins a turn. A connection whose callback panicked in the last turn is aborted: bytes that the callback was shown,
    /// and bytes that it had sent, may be missing.
    #[inline]
    pub(crate) fn begin_turn(&mut self, now: Instant) {
        let common = &mut self.common;
        common.clock.begin_turn(now, !common.timers.is_empty());
        common.stats.turns += 1;
        self.generation_of_turn = self.table.generation();
        if let Some(slot) = self.common.callback.take_panicked() {
            self.recover(slot);
        }
    }

    #[cold]
    fn recover(&mut self, panicked: u32) {
        log::warn!(target: "tidegate", "a callback panicked in the last turn: its connection is aborted");
        match self.table.get_mut(panicked).map(|place| &place.source) {
            None | Some(Source::Listener(_)) => {}
            Some(Source::Reserved) => self.vacate(panicked), // the callback was `on_accept`
            Some(Source::Connection(_)) => {
                if let Some(mut entry) = self.entry(panicked) {
                    entry.connection.end(CloseReason::Aborted, Phase::Resetting);
                    entry.queue();
                }
            }
        }
        // A listener that was accepting has left the queue.
        for index in 0..self.table.listeners().len() {
            self.queue(self.table.listeners()[index]);
        }
    }

    /// Sets the ready bits of the source with this token and queues it. Returns false if the token is not of this reactor.
    #[inline]
    pub(crate) fn event(&mut self, token: Token, readiness: Readiness) -> bool {
        // A token before the range wraps to one far behind it.
        let slot = token.0.wrapping_sub(self.common.first_token);
        if slot >= self.table.capacity() {
            return false;
        }
        self.ready(slot as u32, readiness); // the capacity fits a u32
        true
    }

    /// Sets the ready bits of the source in a slot and queues it. The source may be closed already: its event was on the way.
    #[inline]
    pub(crate) fn ready(&mut self, slot: u32, readiness: Readiness) {
        let Some(place) = self.table.get_mut(slot) else { return };
        match &mut place.source {
            Source::Reserved => return,
            Source::Listener(listener) => listener.set_readable(),
            Source::Connection(record) if record.lifetime.is_opening() => {
                // The connect stage asks the socket what the event means. An error may still come after that.
                record.connection.set_ready(Readiness { error: readiness.error, ..Readiness::default() });
            }
            Source::Connection(record) => record.connection.set_ready(readiness),
        }
        self.common.queue.push(&mut place.meta);
    }

    /// Takes the next source of a pass over the ready queue, up to its end.
    #[inline]
    pub(crate) fn next_ready(&mut self, end: usize) -> Option<(u32, Ready<'_>)> {
        let slot = self.common.queue.next(end)?;
        let Some(Slot { meta, source }) = self.table.get_mut(slot) else {
            return Some((slot, Ready::Nothing));
        };
        meta.queued = false;
        let ready = match source {
            Source::Reserved => Ready::Nothing,
            Source::Listener(_) => Ready::Listener,
            Source::Connection(record) => {
                let mut entry = Entry::new(meta, record, &mut self.common);
                entry.begin_turn();
                Ready::Connection(entry)
            }
        };
        Some((slot, ready))
    }

    /// The connection in a slot; `None` if the slot holds none.
    #[inline]
    pub(crate) fn entry(&mut self, slot: u32) -> Option<Entry<'_>> {
        match self.table.get_mut(slot)? {
            Slot { meta, source: Source::Connection(record) } => {
                Some(Entry::new(meta, record, &mut self.common))
            }
            _ => None,
        }
    }

    /// Queues the source in a slot.
    pub(crate) fn queue(&mut self, slot: u32) {
        self.common.queue.push(self.table.meta_mut(slot));
    }

    /// The token under which the source of a slot is registered.
    pub(crate) fn token(&self, slot: u32) -> Token {
        Token(self.common.first_token + slot as usize)
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.common.registry
    }

    /// How many bytes the present callback has gathered for the connection in a slot.
    pub(crate) fn gathered_len(&self, slot: u32) -> usize {
        self.common.callback.gathered_len(slot)
    }

    /// Sets the options of a listener that the host made.
    pub(crate) fn configure_adopted(&mut self, listener: ListenerId) {
        if let Some(listener) = self.table.listener_mut(listener.slot()) {
            listener.socket.configure_adopted(&self.common.options);
        }
    }

    /// The callback of this connection begins: bytes that it sends to the connection are gathered.
    #[inline]
    pub(crate) fn begin_callback(&mut self, slot: u32) {
        self.common.callback.begin(slot);
    }

    /// The callback has returned. The connection, which is still there: connections leave in `settle` alone.
    #[inline]
    pub(crate) fn end_callback(&mut self, slot: u32) -> Option<Entry<'_>> {
        self.common.callback.end();
        self.entry(slot)
    }

    pub(crate) fn refill_reserve(&mut self) {
        self.common.reserve.refill();
    }

    /// The listener tries again when a source closes.
    pub(crate) fn wait_for_a_close(&mut self, listener: u32) {
        self.common.reserve.wait_for_a_close(listener);
    }

    /// Takes the next client from the backlog of the listener in a slot.
    pub(crate) fn accept(&mut self, listener: u32) -> Accept {
        match self.table.listener_mut(listener) {
            Some(listener) => listener.accept(&self.common.options),
            None => Accept::WouldBlock,
        }
    }

    /// A listener whose accepting has paused tries again.
    pub(crate) fn retry_accept(&mut self, slot: u32) {
        if let Some(listener) = self.table.listener_mut(slot) {
            listener.retry = None;
            self.queue(slot);
        }
    }

    /// A client's socket cannot be registered: its reserved slot is given back.
    pub(crate) fn refuse(&mut self, slot: u32, error: &io::Error) {
        self.common.stats.refused_error += 1;
        let clock = &mut self.common.clock;
        clock.warn_rarely(format_args!("a client was refused, its socket cannot be registered: {error}"));
        self.table.vacate(slot);
    }

    pub(crate) fn count_close(&mut self, kind: CloseKind, undelivered: bool) {
        let stats = &mut self.common.stats;
        stats.count_close(kind);
        stats.undelivered += u64::from(undelivered);
    }

    #[inline]
    pub(crate) fn drain_concerns_turns(&self) -> bool {
        self.common.drain.concerns_turns()
    }

    /// Begins a drain whose grace ends at a time: all connections are to be told of it.
    pub(crate) fn begin_drain(&mut self, end: Instant) {
        let timer = self.common.timers.insert(end, TimerKind::DrainEnd);
        let (since, untold) = (self.table.generation(), self.connection_ids());
        self.common.drain.begin(timer, since, untold);
    }

    /// True if a drain is under way and the connection was made after it had begun.
    pub(crate) fn came_after_drain(&self, slot: u32) -> bool {
        self.common.drain.is_under_way() && self.table.is_younger(slot, self.common.drain.since())
    }

    /// True if `stop` was called, or a drain has ended because every session is gone. `others_gone`: no session is left
    /// outside of the table.
    pub(crate) fn take_finished(&mut self, others_gone: bool) -> bool {
        let all_gone = others_gone && self.table.connections().is_empty();
        let (finished, grace) = self.common.drain.take_finished(all_gone);
        if let Some(timer) = grace {
            self.common.timers.cancel(timer);
        }
        finished
    }

    /// The ids of all connections, those that linger included.
    pub(crate) fn connection_ids(&self) -> Vec<ConnId> {
        self.table.connections().iter().map(|slot| self.table.id(*slot)).collect()
    }

    /// The connections that were made after the given generation.
    pub(crate) fn younger_connections(&self, generation: u32) -> Vec<u32> {
        let younger = |slot: &u32| self.table.is_younger(*slot, generation);
        self.table.connections().iter().copied().filter(younger).collect()
    }

    /// The generation of slots when the turn began.
    pub(crate) fn generation_of_turn(&self) -> u32 {
        self.generation_of_turn
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
        let mut connection = Connection::new(stream, platform::SHORT_READ_DRAINS);
        // A pair of connections that both stop reading until they can write would lock each other.
        connection.pause_when_full(matches!(opening, Opening::Adopted));
        self.place_connection(slot, connection, Some(opening));
        self.queue(slot);
        self.table.id(slot)
    }

    /// Puts a client that was accepted into its reserved slot.
    pub(crate) fn place_accepted(&mut self, slot: u32, stream: Stream, listener: ListenerId) {
        let mut connection = Connection::new(stream, platform::SHORT_READ_DRAINS);
        // A new socket takes bytes: a greeting need not wait for the event that says so.
        connection.set_ready(Readiness::WRITABLE);
        self.place_connection(slot, connection, None);
        self.table.came_by(slot, listener); // nothing if the callback has closed the listener
    }

    fn place_connection(&mut self, slot: u32, connection: Connection<Stream>, opening: Option<Opening>) {
        self.table.place_connection(slot, connection);
        self.common.stats.open += 1;
        let idle_timeout = self.common.options.idle_timeout;
        if let Some(mut entry) = self.entry(slot) {
            entry.begin_life(idle_timeout, opening);
        }
    }

    /// Closes the source in a slot. The slot is used again only after the pass.
    pub(crate) fn vacate(&mut self, slot: u32) {
        let source = self.table.vacate(slot);
        let Common { registry, stats, timers, .. } = &mut self.common;
        let deregistered = match source {
            Source::Reserved => Ok(()),
            Source::Listener(mut listener) => {
                listener.retry.map(|timer| timers.cancel(timer));
                listener.socket.deregister(registry)
            }
            Source::Connection(mut record) => {
                stats.open -= 1;
                stats.buffered -= record.connection.memory();
                for timer in record.lifetime.take_timers() {
                    timers.cancel(timer);
                }
                record.connection.stream_mut().deregister(registry)
            }
        };
        // An error means that the poll is gone. The socket closes either way.
        if let Err(error) = deregistered {
            log::debug!("deregistering failed: {error}");
        }
    }

    /// True if a further client of this listener has no place.
    pub(crate) fn is_full(&mut self, listener: u32) -> bool {
        let Common { stats, options, .. } = &self.common;
        stats.open >= options.max_connections
            || self.table.is_full()
            || self.table.listener_mut(listener).is_some_and(|listener| listener.is_full())
    }

    /// Counts what the buffers of a connection own, and keeps the memory budget: while all buffers together are above it,
    /// the connection that owns the most is reset.
    #[inline]
    pub(crate) fn check_memory(&mut self, slot: u32) {
        if let Some(mut entry) = self.entry(slot) {
            if let Some(bytes) = entry.count_memory() {
                self.common.memory.has_grown(slot, bytes, self.table.connections().len());
            }
            if self.common.memory.is_exceeded(self.common.stats.buffered) {
                self.keep_memory_budget();
            }
        }
    }

    #[cold]
    fn keep_memory_budget(&mut self) {
        while self.common.memory.is_exceeded(self.common.stats.buffered) {
            let table = &self.table;
            let bytes_of =
                |slot: u32| table.connection(slot).map_or(0, |connection| connection.memory() as u32);
            let all = || table.connections().iter().map(|slot| (bytes_of(*slot), *slot));
            let Some(largest) = self.common.memory.take_largest(all, bytes_of) else { return };
            let Some(mut entry) = self.entry(largest) else { return };
            entry.connection.end(CloseReason::MemoryLimit, Phase::Resetting);
            entry.count_memory();
            entry.queue();
        }
    }

    /// Sends to the connections that were sent to other than from their own callback, as far as the turn allows. The
    /// others join the queue, to have their turn like every source. Between turns nobody knows the time, so activity is
    /// stored in turns only.
    pub(crate) fn flush_marked(&mut self, budget: &mut TurnBudget, in_turn: bool) {
        if !self.common.queue.has_marked() {
            return;
        }
        budget.begin_stage();
        let mut marked = self.common.queue.take_marked();
        for slot in marked.drain(..) {
            let Some(mut entry) = self.entry(slot) else { continue };
            entry.flush_marked(budget.was_spent(), in_turn);
            budget.is_spent(self.common.stats.bytes_moved());
        }
        self.common.queue.put_back(marked);
    }

    /// Every connection has a new write budget, and no turn begins: the host flushes between turns.
    pub(crate) fn begin_flush(&mut self) {
        self.common.clock.next_budget();
    }

    /// Frees the slots whose sources are gone, and lets listeners that wait for a place try again. Returns true if the
    /// storage of the slots has become smaller.
    #[inline]
    pub(crate) fn free_vacated(&mut self) -> bool {
        self.table.has_vacated() && self.free_all_vacated()
    }

    #[inline(never)]
    fn free_all_vacated(&mut self) -> bool {
        for listener in self.common.reserve.take_waiting() {
            if self.table.listener_mut(listener).is_some() {
                self.queue(listener);
            }
        }
        let shrunk = self.table.free_vacated();
        if shrunk {
            self.common.queue.shrink();
        }
        shrunk
    }

    /// Between turns: true if the next turn has something to do that no event will announce.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        let Common { queue, drain, reserve, callback, .. } = &self.common;
        !queue.is_empty()
            || drain.has_work()
            || callback.has_panicked()
            || (self.table.has_vacated() && reserve.has_waiting())
    }
}

/// A host's poll may live longer than the reactor: it must not keep sources that are gone.
impl Drop for Engine {
    fn drop(&mut self) {
        let registry = &self.common.registry;
        for slot in self.table.sources_mut() {
            // An error means that the poll is gone, and the registration with it.
            let _ = match &mut slot.source {
                Source::Reserved => Ok(()),
                Source::Listener(listener) => listener.socket.deregister(registry),
                Source::Connection(record) => record.connection.stream_mut().deregister(registry),
            };
        }
    }
}
