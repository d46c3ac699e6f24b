//! A connection's turn.

use crate::{
    close::CloseReason,
    conn::Conn,
    handler::Handler,
    net::Net,
    shared::Alarm,
    source::connection::{Phase, Received},
};

use super::Reactor;

/// How long a send waits that found the interface's queue full: no event says when it is not.
const SEND_RETRY: std::time::Duration = std::time::Duration::from_millis(10);

impl<S> Reactor<S> {
    /// Everything that can be done for one connection now, within its budgets. `only_reads`: nothing comes before input.
    #[inline]
    pub(super) fn serve(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        slot: u32,
        only_reads: bool,
    ) {
        if only_reads || self.catch_up(handler, slot) {
            self.receive(handler, slot);
        }
        if !self.is_quiet(slot) {
            self.conclude(handler, slot);
        }
    }

    /// What comes before new input: to be connected, to send, to announce room, to show what was kept back. `false` if
    /// it is not connected yet.
    #[inline(never)]
    fn catch_up(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) -> bool {
        let Some((link, ..)) = self.net.sockets.parts(slot) else { return false };
        if link.is_dialing() && !self.dial(handler, slot) {
            return false;
        }
        self.send(handler, slot);
        self.show_held(handler, slot);
        true
    }

    fn is_quiet(&mut self, slot: u32) -> bool {
        let Some((link, head, shared)) = self.net.sockets.parts(slot) else { return true };
        link.note_activity(shared.tick);
        link.connection.is_quiet() & !head.arm_idle
    }

    /// Makes a callback; what it sends goes out when it has returned.
    pub(super) fn call(&mut self, slot: u32, callback: impl FnOnce(&mut Conn<'_, S>)) {
        call(&mut self.net, slot, callback);
    }

    fn send(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) {
        let Some((link, _, shared)) = self.net.sockets.parts(slot) else { return };
        link.connection.flush(&shared.options, &mut shared.stats);
        if link.connection.take_writable(&shared.options) {
            self.call(slot, |conn| handler.on_writable(conn));
        }
    }

    fn receive(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) {
        let mut budget = self.net.sockets.shared.options.read_budget;
        while budget > 0 {
            let Some((link, _, shared)) = self.net.sockets.parts(slot) else { return };
            let connection = &mut link.connection;
            if !connection.can_receive() {
                return;
            }
            let shown = connection.wants_input();
            let is_new = connection.inbox().is_empty();
            let limit = if is_new {
                self.portion
            } else {
                connection.receive_limit(&shared.options).min(self.portion)
            };
            match connection.receive(self.scratch.first_mut(limit), &mut shared.stats) {
                Received::Data(n) => {
                    budget = budget.saturating_sub(n);
                    let drained = !connection.is_readable();
                    if shown && is_new {
                        self.show(handler, slot, n);
                    } else if shown {
                        self.show_inbox(handler, slot, n);
                    } else if let Some(closing) = link.closing() {
                        closing.heard = shared.now.unwrap_or(closing.heard);
                    }
                    if drained {
                        return;
                    }
                }
                Received::Eof => {
                    if connection.phase() == Phase::Open {
                        self.call(slot, |conn| handler.on_eof(conn));
                    }
                    return;
                }
                Received::WouldBlock | Received::Failed => return,
            }
        }
    }

    /// Shows what was kept back by a pause or by high water, without a new byte.
    fn show_held(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) {
        let Some((link, ..)) = self.net.sockets.parts(slot) else { return };
        if link.connection.is_held() && link.connection.wants_input() {
            self.show_inbox(handler, slot, 0);
        }
    }

    /// Shows the `received` bytes where they stand, in the scratch buffer.
    fn show(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32, received: usize) {
        let input = self.scratch.first(received);
        let (used, held) = show_all(&mut self.net, handler, slot, input);
        if used < received {
            let Some((link, ..)) = self.net.sockets.parts(slot) else { return };
            let mut inbox = link.connection.take_inbox();
            inbox.push(&input[used..]);
            link.connection.put_inbox(inbox, held);
            self.check_inbox(slot);
        }
    }

    /// Shows what the inbox holds, with the `received` bytes behind it.
    #[inline(never)]
    fn show_inbox(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32, received: usize) {
        let Some((link, ..)) = self.net.sockets.parts(slot) else { return };
        let mut inbox = link.connection.take_inbox();
        inbox.push(self.scratch.first(received));
        let (used, held) = show_all(&mut self.net, handler, slot, inbox.unconsumed());
        inbox.consume(used);
        let Some((link, ..)) = self.net.sockets.parts(slot) else { return };
        link.connection.put_inbox(inbox, held);
        self.check_inbox(slot);
    }

    /// An inbox that is full of a message that is still not whole will never take the rest of it.
    fn check_inbox(&mut self, slot: u32) {
        let Some((link, _, shared)) = self.net.sockets.parts(slot) else { return };
        let connection = &mut link.connection;
        if !connection.is_held() && connection.inbox().len() >= shared.options.max_inbox {
            connection.end(CloseReason::InboxLimit, Phase::Resetting);
        }
    }

    /// What is left to do when the callbacks of a connection's turn have been made: end it, or plan its next turn.
    pub(super) fn conclude(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) {
        let Some((link, head, shared)) = self.net.sockets.parts(slot) else { return };
        link.note_activity(shared.tick);
        let is_dialing = link.is_dialing();
        let connection = &mut link.connection;
        if connection.take_unseen_error()
            && let Ok(Some(error)) = connection.stream().take_error()
        {
            connection.fail(error);
        }
        if is_dialing {
            // Nothing was sent, so there is nothing to wait for.
            if connection.phase() == Phase::Flushing && connection.queued() == 0 {
                connection.end(CloseReason::Closed, Phase::Dropping);
            }
        } else if connection.owes_fin() {
            match connection.stream().shutdown_write() {
                Ok(()) => connection.fin_was_sent(),
                Err(error) => connection.fail(error),
            }
        }
        if connection.take_out_of_buffers() {
            shared.timers.insert(shared.turn_time() + SEND_RETRY, Alarm::Send(head.id()));
        }
        let owns_buffers = connection.owns_buffers();
        if owns_buffers {
            self.net.sockets.check_memory(slot);
        }
        let Some((link, ..)) = self.net.sockets.parts(slot) else { return };
        let connection = &mut link.connection;
        if connection.is_over() {
            return self.finish(handler, slot);
        }
        if connection.phase() >= Phase::Flushing && !link.is_closing() {
            self.begin_closing(slot);
        }
        self.arm_idle(slot);
        let Some((link, head, shared)) = self.net.sockets.parts(slot) else { return };
        if link.is_due(&shared.options) {
            shared.queue(head);
        }
    }
}

fn call<S>(net: &mut Net<S>, slot: u32, callback: impl FnOnce(&mut Conn<'_, S>)) {
    net.sockets.shared.current = Some(slot);
    callback(&mut Conn::at(net, slot));
    net.sockets.shared.current = None;
    if let Some((link, _, shared)) = net.sockets.parts(slot) {
        shared.send_gathered(&mut link.connection);
    }
}

/// Shows `input` for as long as it is being used and more of it is wanted. Returns how much was used, and whether
/// the rest was kept back rather than declined.
#[inline]
fn show_all<S>(
    net: &mut Net<S>,
    handler: &mut (impl Handler<Session = S> + ?Sized),
    slot: u32,
    input: &[u8],
) -> (usize, bool) {
    let mut used = 0;
    loop {
        let mut n = 0;
        call(net, slot, |conn| n = handler.on_data(conn, &input[used..]));
        assert!(n <= input.len() - used, "on_data says that it used more bytes than it was shown");
        used += n;
        if used == input.len() {
            return (used, false);
        }
        if !net.sockets.parts(slot).is_some_and(|(link, ..)| link.connection.wants_input()) {
            return (used, true);
        }
        if n == 0 {
            return (used, false);
        }
    }
}
