//! Datagram sockets: their state, and what they receive.

pub(super) mod record;
mod sending;

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    id::SocketId,
    options::DatagramOptions,
    socket::{batch::Batch, clock, datagram::DatagramSocket, platform::is_too_large},
};

use super::{
    common::Common,
    source::{Slot, SlotMeta, Source},
    state::Engine,
    timer_kind::TimerKind,
};

use record::DatagramRecord;

/// How long a socket rests that has met nothing but errors for a whole turn.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// The result of one receive.
pub(crate) enum ReceivedDatagrams {
    /// The batch has them.
    Some,
    WouldBlock,
    Failed(io::Error),
}

/// A datagram socket during an operation, with the parts of the engine that its verbs need.
pub(crate) struct DatagramEntry<'a> {
    record: &'a mut DatagramRecord,
    meta: &'a mut SlotMeta,
    common: &'a mut Common,
}

/// Receiving.
impl DatagramEntry<'_> {
    pub(crate) fn id(&self) -> SocketId {
        SocketId::new(self.meta.slot(), self.meta.generation())
    }

    /// True if datagrams may wait and are wanted.
    pub(crate) fn is_ready(&self) -> bool {
        self.record.readable && !self.record.rests
    }

    /// How many datagrams, and how many bytes, a turn may receive.
    pub(crate) fn receive_budget(&self) -> (usize, usize) {
        (self.record.options.receive_budget, self.common.options.read_budget)
    }

    pub(crate) fn max_size(&self) -> usize {
        self.record.options.max_size
    }

    pub(crate) fn take_batch(&mut self) -> Batch {
        std::mem::take(&mut self.record.batch)
    }

    /// Ends a turn: the batch comes back, and what is left to do is queued.
    pub(crate) fn finish_turn(&mut self, batch: Batch) {
        self.record.batch = batch;
        self.queue_if_due();
    }

    #[inline]
    pub(crate) fn receive(&mut self, batch: &mut Batch, buffer: &mut [u8]) -> ReceivedDatagrams {
        let Common { stats, .. } = &mut *self.common;
        loop {
            return match batch.receive(&self.record.socket, buffer) {
                Ok(()) => {
                    stats.receives += 1;
                    ReceivedDatagrams::Some
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock => {
                        stats.would_blocks += 1;
                        self.record.readable = false;
                        ReceivedDatagrams::WouldBlock
                    }
                    // Windows reports a datagram that was cut off by this error; elsewhere the length tells.
                    _ if is_too_large(&error) => {
                        stats.datagrams_truncated += 1;
                        continue;
                    }
                    _ => {
                        stats.datagram_errors += 1;
                        ReceivedDatagrams::Failed(error)
                    }
                },
            };
        }
    }

    /// Begins a turn: makes sure that further events come, and sends the queue.
    pub(crate) fn begin_turn(&mut self) {
        // While the socket rests, its error would be reported again at once, and the loop would spin.
        if self.record.may_be_dropped && !self.record.rests {
            self.register_anew();
        }
        self.flush();
    }

    #[cold]
    fn register_anew(&mut self) {
        let DatagramRecord { socket, awaits_room, .. } = &mut *self.record;
        let Common { registry, .. } = &*self.common;
        match socket.register_anew(registry, self.common.token(self.meta.slot()), *awaits_room) {
            Ok(()) => self.record.may_be_dropped = false,
            Err(error) => {
                log::debug!("a datagram socket cannot be registered anew: {error}");
                self.retry_at(self.now() + ERROR_PAUSE);
            }
        }
    }

    fn now(&self) -> Instant {
        let Common { clock, .. } = &*self.common;
        clock.now().unwrap_or_else(clock::now)
    }

    /// A whole turn has met nothing but errors. The socket receives again after a while; going on at once would spin.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.record.rests = true;
        self.retry_at(now + ERROR_PAUSE);
    }
}

/// Connecting, groups, and the queue of sources.
impl DatagramEntry<'_> {
    pub(crate) fn record(&self) -> &DatagramRecord {
        self.record
    }

    pub(crate) fn connect(&mut self, to: SocketAddr) -> io::Result<()> {
        let earlier = self.record.socket.peer().filter(|earlier| *earlier != to);
        self.record.socket.connect(to)?;
        // A datagram that was sent to the peer of an earlier `connect`, and still waits, goes to that peer.
        for unsent in self.record.queue.iter_mut().filter(|unsent| unsent.to.is_none()) {
            unsent.to = earlier;
        }
        Ok(())
    }

    fn queue_if_due(&mut self) {
        let sends = self.record.writable && !self.record.queue.is_empty();
        if sends || self.is_ready() {
            self.common.queue(self.meta);
        }
    }

    fn retry_at(&mut self, at: Instant) {
        if self.record.retry.is_none() {
            self.record.retry = Some(self.common.set_timer(at, TimerKind::DatagramRetry(self.meta.slot())));
        }
    }
}

impl Engine {
    /// Puts a registered datagram socket into its reserved slot.
    pub(crate) fn place_datagram(
        &mut self,
        slot: u32,
        socket: DatagramSocket,
        options: DatagramOptions,
    ) -> SocketId {
        self.table.place_datagram(slot, Box::new(DatagramRecord::new(socket, options)))
    }

    /// The datagram socket in a slot; `None` if the slot holds none.
    #[inline]
    pub(crate) fn datagram(&mut self, slot: u32) -> Option<DatagramEntry<'_>> {
        let Slot { meta, source } = self.table.get_mut(slot)?;
        match source {
            Source::Datagram(record) => Some(DatagramEntry { record, meta, common: &mut self.common }),
            Source::Connection(_)
            | Source::Listener(_)
            | Source::Watched(_)
            | Source::Reserved
            | Source::Vacated => None,
        }
    }

    /// The datagram socket of an id, unless it is closed.
    #[inline]
    pub(crate) fn datagram_of(&mut self, id: SocketId) -> Option<DatagramEntry<'_>> {
        self.datagram(id.slot()).filter(|entry| entry.meta.generation() == id.generation())
    }

    pub(crate) fn datagram_record(&self, id: SocketId) -> Option<&DatagramRecord> {
        if self.has_datagram(id) { self.table.datagram(id.slot()) } else { None }
    }

    #[inline]
    pub(crate) fn has_datagram(&self, id: SocketId) -> bool {
        self.table.has_datagram(id)
    }

    /// The slots of all datagram sockets.
    pub(crate) fn sockets(&self) -> Vec<u32> {
        self.table.sockets().to_vec()
    }

    pub(crate) fn close_socket(&mut self, id: SocketId) {
        if self.has_datagram(id) {
            self.vacate(id.slot());
        }
    }

    /// Counts a datagram that is shown to the handler.
    #[inline]
    pub(crate) fn count_datagram(&mut self, len: usize) {
        let Common { stats, .. } = &mut self.common;
        stats.datagrams_received += 1;
        stats.bytes_received += len as u64;
    }

    pub(crate) fn count_truncated(&mut self) {
        let Common { stats, .. } = &mut self.common;
        stats.datagrams_truncated += 1;
    }

    /// A datagram was sent by a socket that is closed.
    pub(crate) fn count_dropped_datagram(&mut self) {
        let Common { stats, .. } = &mut self.common;
        stats.datagrams_dropped += 1;
    }

    /// The pause of a datagram socket is over.
    pub(crate) fn retry_datagrams(&mut self, slot: u32) {
        if let Some(entry) = self.datagram(slot) {
            entry.record.retry = None;
            entry.record.rests = false;
            entry.record.writable = true;
            entry.common.queue(entry.meta);
        }
    }

    /// Makes a datagram socket try to receive without an event.
    pub(crate) fn try_datagrams(&mut self, slot: u32) {
        if let Some(entry) = self.datagram(slot) {
            entry.record.readable = true;
        }
    }

    /// Closes the datagram sockets that have nothing unsent, if no connection is left that may need them.
    pub(crate) fn close_sockets_after_connections(&mut self) {
        if !self.table.connections().is_empty() {
            return;
        }
        for slot in self.sockets() {
            if self.table.datagram(slot).is_some_and(|record| record.queued() == 0) {
                self.vacate(slot);
            }
        }
    }
}
