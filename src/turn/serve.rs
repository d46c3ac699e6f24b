//! A connection's turn: to send, to show input, to receive.

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
                        let (input, handler) = (&buffer[..n], &mut *self.handler);
                        let mut consumed = 0;
                        let served = call(self.net, slot, |conn| {
                            consumed = handler.on_data(conn, input);
                            check_consumed(consumed, input);
                        });
                        let is_done =
                            consumed == n && served.is_some_and(|mut entry| entry.finish_quiet_turn());
                        if !is_done {
                            self.serve_further_input(slot, n, consumed);
                        }
                    }
                    stopped => self.serve_stopped_input(slot, stopped),
                }
            }
            Ready::Connection(_) => self.serve_connection(slot),
            Ready::Listener => _ = self.accept(slot),
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

    #[inline(never)]
    pub(super) fn receive(&mut self, slot: u32, mut budget: usize) {
        let now = self.now;
        while budget > 0 {
            let Some(mut entry) = self.net.engine().entry(slot) else { return };
            let Some(limit) = entry.receive_limit(self.scratch.len()) else { return };
            let is_wanted = entry.connection.wants_input();
            let inbox_is_empty = entry.connection.inbox().is_empty();
            match entry.receive(self.scratch.first_mut(limit)) {
                Received::Data(n) => {
                    budget = budget.saturating_sub(n);
                    if is_wanted && inbox_is_empty {
                        self.show(slot, n);
                    } else if is_wanted {
                        self.show_inbox(slot, n);
                    } else if entry.connection.phase() == Phase::Failing {
                        entry.connection.hold(self.scratch.first(n));
                    } else {
                        entry.closing_was_heard(now);
                    }
                }
                Received::Eof => return self.end_of_file(slot),
                Received::WouldBlock | Received::Failed => return,
            }
        }
    }

    fn end_of_file(&mut self, slot: u32) {
        let phase = self.engine().entry(slot).map(|entry| entry.connection.phase());
        if phase == Some(Phase::Open) {
            self.call(slot, |handler, conn| handler.on_eof(conn));
        }
    }

    /// Shows input that a pause or high water has held back, without a new byte.
    fn show_held(&mut self, slot: u32) {
        let Some(entry) = self.engine().entry(slot) else { return };
        if entry.connection.is_held() && entry.connection.wants_input() {
            self.show_inbox(slot, 0);
        }
    }

    /// Shows received bytes where they stand, in the scratch buffer.
    fn show(&mut self, slot: u32, received: usize) {
        let consumed = show_once(self.net, self.handler, slot, self.scratch.first(received));
        self.show_rest(slot, received, consumed);
    }

    /// Shows the bytes behind the first `consumed` for as long as the handler consumes some of them, and keeps the rest.
    #[inline(never)]
    fn show_rest(&mut self, slot: u32, received: usize, consumed: usize) {
        let input = self.scratch.first(received);
        let (consumed, held) = show_while_consumed(self.net, self.handler, slot, input, consumed);
        if consumed < received {
            let Some(mut entry) = self.net.engine().entry(slot) else { return };
            let mut inbox = entry.connection.take_inbox();
            inbox.push(&input[consumed..]);
            entry.connection.put_inbox(inbox, held);
            entry.check_inbox();
        }
    }

    /// Shows the inbox, with the received bytes behind it.
    #[inline(never)]
    fn show_inbox(&mut self, slot: u32, received: usize) {
        let Some(entry) = self.net.engine().entry(slot) else { return };
        let mut inbox = entry.connection.take_inbox();
        inbox.push(self.scratch.first(received));
        let consumed = show_once(self.net, self.handler, slot, inbox.unconsumed());
        let (consumed, held) =
            show_while_consumed(self.net, self.handler, slot, inbox.unconsumed(), consumed);
        inbox.consume(consumed);
        let Some(mut entry) = self.net.engine().entry(slot) else { return };
        entry.connection.put_inbox(inbox, held);
        entry.check_inbox();
    }

    /// Ends a connection's turn when its callbacks are made: the connection ends, or its next turn is queued.
    pub(super) fn conclude(&mut self, slot: u32) {
        let now = self.now;
        let Some(mut entry) = self.engine().entry(slot) else { return };
        entry.store_activity();
        entry.take_unseen_error();
        if entry.is_opening() {
            entry.drop_if_closed_unopened();
        } else {
            entry.send_fin_if_owed();
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

#[inline(never)]
fn show_once<S, H>(net: &mut Net<S>, handler: &mut H, slot: u32, input: &[u8]) -> usize
where
    H: Handler<Session = S> + ?Sized,
{
    let mut consumed = 0;
    call(net, slot, |conn| {
        consumed = handler.on_data(conn, input);
        check_consumed(consumed, input);
    });
    consumed
}

/// Panics inside the callback, so that the next turn aborts the connection.
#[inline(always)]
fn check_consumed(consumed: usize, input: &[u8]) {
    assert!(consumed <= input.len(), "on_data says that it used more bytes than it was shown");
}

/// Shows the bytes of `input` behind the first `consumed` for as long as the handler consumes some of them and wants more.
/// Returns how many bytes the handler consumed in all, and whether the rest was held back rather than declined.
fn show_while_consumed<S, H>(
    net: &mut Net<S>,
    handler: &mut H,
    slot: u32,
    input: &[u8],
    mut consumed: usize,
) -> (usize, bool)
where
    H: Handler<Session = S> + ?Sized,
{
    let mut last = consumed;
    loop {
        if consumed == input.len() {
            return (consumed, false);
        }
        if !net.engine().entry(slot).is_some_and(|entry| entry.connection.wants_input()) {
            return (consumed, true);
        }
        if last == 0 {
            return (consumed, false);
        }
        last = show_once(net, handler, slot, &input[consumed..]);
        consumed += last;
    }
}
