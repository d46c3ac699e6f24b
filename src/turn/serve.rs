//! A connection's turn: to send, to receive and show input, to end.

use crate::{
    connection::{Phase, Received},
    engine::{Entry, Ready},
    handler::Handler,
    net::{Conn, Net},
};

use super::Pass;

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    /// Serves the next source of the ready queue. Returns false if the pass has reached its end.
    #[inline]
    pub(super) fn serve_next(&mut self, end: usize) -> bool {
        let Some((slot, ready)) = self.net.engine().next_ready(end) else { return false };
        match ready {
            Ready::Connection(mut entry) if entry.has_only_input() => {
                // Nearly every turn is this: one piece of input, all of it consumed, one answer, and nothing left to do.
                let buffer = self.scratch.whole();
                match entry.receive(buffer) {
                    Received::Data(n) => {
                        let (consumed, is_done) = show_all(self.net, self.handler, slot, &buffer[..n]);
                        if !is_done {
                            self.serve_further_input(slot, n, consumed);
                        }
                    }
                    stopped => self.serve_stopped_input(slot, stopped),
                }
            }
            Ready::Connection(entry) if entry.has_only_more_input() => self.serve_more_input(slot),
            Ready::Connection(_) => self.serve_connection(slot),
            Ready::Listener => _ = self.accept(slot),
            Ready::Watched => self.serve_watched(slot),
            Ready::Datagram => self.serve_datagrams(slot),
            Ready::Nothing => {}
        }
        true
    }

    /// The handler has consumed the first `consumed` of `received` bytes, and the turn of the connection is not over.
    #[inline(never)]
    fn serve_further_input(&mut self, slot: u32, received: usize, consumed: usize) {
        self.show_rest(slot, received, consumed);
        let budget = self.net.options().read_budget.saturating_sub(received);
        self.receive(slot, budget);
        self.conclude(slot);
    }

    /// The turn of a connection in a stream of messages: nothing to do but to show new input, behind an incomplete message or
    /// once there is enough of it.
    #[inline(never)]
    fn serve_more_input(&mut self, slot: u32) {
        let Some(mut entry) = self.net.engine().entry(slot) else { return };
        let Some(limit) = entry.receive_limit(self.scratch.len()) else { return self.conclude(slot) };
        match entry.receive(self.scratch.first_mut(limit)) {
            Received::Data(n) if entry.connection.takes_whole(n) => {
                entry.connection.forget_need();
                let (consumed, is_done) = show_all(self.net, self.handler, slot, self.scratch.first(n));
                if !is_done {
                    self.serve_further_input(slot, n, consumed);
                }
            }
            Received::Data(n) => {
                self.show_received(slot, n);
                let entry = self.engine().entry(slot);
                if !entry.is_some_and(|mut entry| entry.finish_quiet_turn_with_inbox()) {
                    let budget = self.net.options().read_budget.saturating_sub(n);
                    self.receive(slot, budget);
                    self.conclude(slot);
                }
            }
            stopped => self.serve_stopped_input(slot, stopped),
        }
    }

    /// The first `recv` of the turn has returned no bytes.
    #[cold]
    fn serve_stopped_input(&mut self, slot: u32, stopped: Received) {
        if stopped == Received::Eof {
            self.end_of_file(slot);
        }
        self.conclude(slot);
    }

    /// The turn of a connection that may have something to do before new input: to be connected, to send, to announce room,
    /// to show input that was held back.
    #[inline(never)]
    pub(super) fn serve_connection(&mut self, slot: u32) {
        if self.is_open(slot) || self.connect(slot) {
            self.send(slot);
            self.tell_of_peer_closed(slot);
            self.show_held(slot);
            let budget = self.net.options().read_budget;
            self.receive(slot, budget);
        }
        self.conclude(slot);
    }

    fn is_open(&mut self, slot: u32) -> bool {
        self.engine().entry(slot).is_some_and(|entry| !entry.is_opening())
    }

    fn send(&mut self, slot: u32) {
        let Some(mut entry) = self.engine().entry(slot) else { return };
        entry.flush();
        if entry.take_writable() {
            self.call(slot, |handler, conn| handler.on_writable(conn));
        }
    }

    /// Tells a handler that has paused reading that the peer has ended.
    fn tell_of_peer_closed(&mut self, slot: u32) {
        if self.engine().entry(slot).is_some_and(|entry| entry.connection.take_peer_closed()) {
            self.call(slot, |handler, conn| handler.on_peer_closed(conn));
        }
    }

    /// Ends a connection's turn when its callbacks are made: the connection ends, or its next turn is queued.
    pub(super) fn conclude(&mut self, slot: u32) {
        let now = self.now;
        let Some(mut entry) = self.engine().entry(slot) else { return };
        entry.store_activity();
        entry.take_unseen_error();
        if entry.is_opening() {
            entry.drop_if_closed_unopened();
        } else if entry.connection.owes_fin() {
            entry.send_fin();
        }
        entry.retry_send_later(now);
        if entry.connection.owns_buffers() {
            self.engine().check_memory(slot);
        }
        let Some(mut entry) = self.engine().entry(slot) else { return };
        if entry.connection.is_over() {
            return self.finish(slot);
        }
        if entry.connection.phase() >= Phase::Flushing && !entry.is_closing() {
            entry.bound_close(now);
        }
        entry.arm_timers(now);
        entry.queue_if_due();
    }
}

/// Makes a callback and sends the bytes that it gathered. Returns the connection.
#[inline(always)]
pub(super) fn call<S>(
    net: &mut Net<S>,
    slot: u32,
    callback: impl FnOnce(&mut Conn<'_, S>),
) -> Option<Entry<'_>> {
    net.engine().begin_callback(slot);
    callback(&mut Conn::at(net, slot));
    let mut entry = net.engine().end_callback(slot)?;
    entry.send_gathered();
    Some(entry)
}

/// Shows new input of a connection that has nothing else to do. Returns how many bytes the handler consumed, and true if
/// these were all bytes and the connection has nothing to do until the next event.
#[inline(always)]
fn show_all<S, H>(net: &mut Net<S>, handler: &mut H, slot: u32, input: &[u8]) -> (usize, bool)
where
    H: Handler<Session = S> + ?Sized,
{
    let (consumed, served) = call_on_data(net, handler, slot, input);
    let is_done = consumed == input.len() && served.is_some_and(|mut entry| entry.finish_quiet_turn());
    (consumed, is_done)
}

/// Calls `on_data`. Returns how many bytes the handler consumed, and the connection.
#[inline(always)]
pub(super) fn call_on_data<'n, S, H>(
    net: &'n mut Net<S>,
    handler: &mut H,
    slot: u32,
    input: &[u8],
) -> (usize, Option<Entry<'n>>)
where
    H: Handler<Session = S> + ?Sized,
{
    let mut consumed = 0;
    let served = call(net, slot, |conn| {
        consumed = handler.on_data(conn, input);
        // The panic comes inside the callback, so that the connection is aborted.
        assert!(consumed <= input.len(), "on_data says that it used more bytes than it was shown");
    });
    (consumed, served)
}
