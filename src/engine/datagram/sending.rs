//! Sending by a datagram socket, and the queue of what the kernel does not take.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    datagram::Sent,
    engine::common::Common,
    socket::platform::{is_out_of_buffers, is_too_large},
};

use super::{
    DatagramEntry,
    record::{DatagramRecord, Unsent},
};

/// When a send that found no buffer space is tried again. No event says that there is space.
const SEND_RETRY: Duration = Duration::from_millis(10);

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
    pub(super) fn flush(&mut self) {
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
