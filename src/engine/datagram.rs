//! Datagram sockets: what they receive, and the queue of what the kernel does not take.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use crate::{
    datagram::Sent,
    id::{SocketId, TimerId},
    options::DatagramOptions,
    socket::{
        batch::{Batch, PacketInfo},
        datagram::DatagramSocket,
        platform::{KEEPS_REGISTRATION, is_out_of_buffers, is_too_large},
        readiness::Readiness,
    },
};

use super::{
    common::Common,
    source::{Slot, SlotMeta, Source},
    state::Engine,
    timer_kind::TimerKind,
};

/// When a send that found no buffer space is tried again. No event says that there is space.
const SEND_RETRY: Duration = Duration::from_millis(10);

/// How long a socket rests that has met nothing but errors for a whole turn.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// A datagram socket with its queue.
#[derive(Debug)]
pub(crate) struct DatagramRecord {
    pub(super) socket: DatagramSocket,
    options: DatagramOptions,
    /// An event said that datagrams wait, and no receive has met the end of them since.
    readable: bool,
    /// No send has met a full buffer since the last event that said that there is room.
    writable: bool,
    /// The socket is registered for writing as well.
    awaits_room: bool,
    /// An event has reported an error, after which the selector may have dropped the socket.
    may_be_dropped: bool,
    /// Nothing is received until the retry timer fires.
    rests: bool,
    queue: VecDeque<Unsent>,
    /// How many bytes the datagrams of the queue have.
    queue_bytes: usize,
    /// What the kernel was handed in the turn with this number.
    turn: u32,
    turn_sends: usize,
    turn_bytes: usize,
    /// The storage of the addresses of a receive; away while its datagrams are shown.
    batch: Batch,
    pub(super) retry: Option<TimerId>,
}

/// A datagram that the kernel has not taken yet.
#[derive(Debug)]
struct Unsent {
    bytes: Box<[u8]>,
    to: Option<SocketAddr>,
    from: Option<IpAddr>,
}

impl DatagramRecord {
    fn new(socket: DatagramSocket, options: DatagramOptions) -> Self {
        Self {
            socket,
            options,
            readable: false,
            writable: true,
            awaits_room: false,
            may_be_dropped: false,
            rests: false,
            queue: VecDeque::new(),
            queue_bytes: 0,
            turn: 0,
            turn_sends: 0,
            turn_bytes: 0,
            batch: Batch::default(),
            retry: None,
        }
    }

    pub(crate) fn socket(&self) -> &DatagramSocket {
        &self.socket
    }

    /// How many datagrams wait in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn set_ready(&mut self, readiness: Readiness) {
        self.readable |= readiness.readable;
        self.may_be_dropped |= readiness.error && !KEEPS_REGISTRATION;
        self.writable |= readiness.writable;
    }

    #[inline]
    fn transmit(&self, bytes: &[u8], to: Option<&SocketAddr>, from: Option<IpAddr>) -> io::Result<()> {
        loop {
            let sent = match (to, from) {
                (Some(to), Some(from)) if PacketInfo::CAN_CHOOSE => self.socket.send_from(bytes, to, from),
                _ => self.socket.send(bytes, to),
            };
            match sent {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                sent => return sent,
            }
        }
    }
}

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
        if self.record.may_be_dropped {
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
        clock.now().unwrap_or_else(Instant::now)
    }

    /// A whole turn has met nothing but errors. The socket receives again after a while; going on at once would spin.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.record.rests = true;
        self.retry_at(now + ERROR_PAUSE);
    }
}

/// Sending.
impl DatagramEntry<'_> {
    /// Sends a datagram, or queues it.
    #[inline]
    pub(crate) fn send(&mut self, bytes: &[u8], to: Option<&SocketAddr>, from: Option<IpAddr>) -> Sent {
        self.begin_budget();
        if self.record.queue.is_empty() && self.record.writable && self.has_budget() {
            match self.hand_over(bytes, to, from) {
                HandOver::Sent => return Sent::Sent,
                HandOver::Later => {}
                HandOver::Refused(outcome) => return outcome,
            }
        }
        self.enqueue(Unsent { bytes: bytes.into(), to: to.copied(), from })
    }

    /// Sends a datagram to the peer of `connect`.
    pub(crate) fn send_to_peer(&mut self, bytes: &[u8]) -> Sent {
        if self.record.socket.peer().is_some() {
            return self.send(bytes, None, None);
        }
        self.common.stats.datagrams_dropped += 1;
        Sent::Failed(ErrorKind::NotConnected.into())
    }

    /// Hands the queue to the kernel, as far as the kernel and the budget allow.
    fn flush(&mut self) {
        if self.record.queue.is_empty() {
            return;
        }
        self.begin_budget();
        while self.record.writable && self.has_budget() {
            let Some(next) = self.record.queue.pop_front() else { break };
            if let HandOver::Later = self.hand_over(&next.bytes, next.to.as_ref(), next.from) {
                self.record.queue.push_front(next);
                break;
            }
            self.record.queue_bytes -= next.bytes.len();
        }
        if self.record.queue.is_empty() {
            self.record.queue = VecDeque::new(); // an empty queue owns no storage
            self.await_room(false);
        }
    }

    /// Makes one send, and once more after news of an earlier datagram: a connected socket returns these from any call, and
    /// the call itself has then done nothing, udp(7).
    #[inline]
    fn hand_over(&mut self, bytes: &[u8], to: Option<&SocketAddr>, from: Option<IpAddr>) -> HandOver {
        let mut result = self.record.transmit(bytes, to, from);
        if self.record.socket.peer().is_some() && result.as_ref().is_err_and(is_news) {
            self.common.stats.datagram_errors += 1;
            result = self.record.transmit(bytes, to, from);
        }
        let Err(error) = result else {
            self.record.turn_sends += 1;
            self.record.turn_bytes += bytes.len();
            let Common { stats, .. } = &mut *self.common;
            stats.datagrams_sent += 1;
            stats.sends += 1;
            stats.bytes_sent += bytes.len() as u64;
            return HandOver::Sent;
        };
        self.not_sent(error)
    }

    #[cold]
    fn not_sent(&mut self, error: io::Error) -> HandOver {
        if error.kind() == ErrorKind::WouldBlock {
            self.common.stats.would_blocks += 1;
            self.record.writable = false;
            self.await_room(true);
            return HandOver::Later;
        }
        if is_out_of_buffers(&error) {
            self.record.writable = false;
            self.retry_at(self.now() + SEND_RETRY);
            return HandOver::Later;
        }
        self.common.stats.datagrams_dropped += 1;
        HandOver::Refused(if is_too_large(&error) { Sent::TooLarge } else { Sent::Failed(error) })
    }

    #[cold]
    fn enqueue(&mut self, datagram: Unsent) -> Sent {
        let DatagramRecord { options, queue, queue_bytes, .. } = &mut *self.record;
        let len = datagram.bytes.len();
        let Common { stats, .. } = &mut *self.common;
        if options.queue == 0 || len > options.queue_bytes {
            stats.datagrams_dropped += 1;
            return Sent::Full;
        }
        let mut outcome = Sent::Queued;
        while queue.len() >= options.queue || *queue_bytes + len > options.queue_bytes {
            let Some(oldest) = queue.pop_front() else { break };
            *queue_bytes -= oldest.bytes.len();
            stats.datagrams_dropped += 1;
            outcome = Sent::DroppedOldest;
        }
        *queue_bytes += len;
        queue.push_back(datagram);
        self.queue_if_due();
        outcome
    }

    /// Each turn has a send budget of its own.
    #[inline]
    fn begin_budget(&mut self) {
        let Common { clock, .. } = &*self.common;
        if self.record.turn != clock.turn() {
            self.record.turn = clock.turn();
            (self.record.turn_sends, self.record.turn_bytes) = (0, 0);
        }
    }

    #[inline]
    fn has_budget(&self) -> bool {
        self.record.turn_sends < self.record.options.send_budget
            && self.record.turn_bytes < self.common.options.write_budget
    }

    /// Asks for the event that says that there is room in the send buffer, or for no such event any more: with a queue that is
    /// empty, every datagram that leaves the buffer would make one.
    fn await_room(&mut self, on: bool) {
        if self.record.awaits_room == on {
            return;
        }
        let Common { registry, .. } = &*self.common;
        let token = self.common.token(self.meta.slot());
        match self.record.socket.set_writable_interest(registry, token, on) {
            Ok(()) => self.record.awaits_room = on,
            Err(error) => {
                log::debug!("a datagram socket cannot be registered anew: {error}");
                if on {
                    self.retry_at(self.now() + SEND_RETRY);
                }
            }
        }
    }
}

/// Connecting, groups, and the queue of sources.
impl DatagramEntry<'_> {
    pub(crate) fn record(&self) -> &DatagramRecord {
        self.record
    }

    pub(crate) fn connect(&mut self, to: SocketAddr) -> io::Result<()> {
        self.record.socket.connect(to)
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

/// The end of one attempt to send.
enum HandOver {
    Sent,
    /// The kernel takes nothing now.
    Later,
    /// The datagram is dropped, and counted.
    Refused(Sent),
}

/// An ICMP message about a datagram that was sent before.
fn is_news(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
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
