//! A connection's turn.

use crate::{
    close::CloseReason,
    conn::Conn,
    handler::Handler,
    net::Net,
    shared::{Alarm, Head, NO_SLOT, Shared},
    source::{
        Link, Source,
        connection::{Phase, Received},
    },
};

use super::Reactor;

/// How long a send waits that found the interface's queue full: no event says when it is not.
const SEND_RETRY: std::time::Duration = std::time::Duration::from_millis(10);

impl<S> Reactor<S> {
    /// Everything that can be done now for what is in a slot of the queue, within its budgets.
    #[inline]
    pub(super) fn serve(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) {
        let Some(place) = self.net.sockets.slots.get_mut(slot as usize) else { return };
        place.head.left_queue();
        let Source::Connection(link) = &mut place.source else {
            self.accept(handler, slot);
            return;
        };
        let shared = &mut self.net.sockets.shared;
        link.connection.enter_turn(shared.turn);
        if !link.has_only_input() {
            return self.serve_all(handler, slot);
        }
        // Nearly every turn is this: one piece of input, all of it used, and nothing left to do.
        let buffer = self.scratch.whole();
        match link.connection.receive(buffer, &mut shared.stats) {
            Received::Data(n) => {
                let input = &buffer[..n];
                let mut used = 0;
                let served = call(&mut self.net, slot, |conn| used = handler.on_data(conn, input));
                if let Some((link, head, shared)) = served
                    && used == n
                    && link.connection.is_quiet()
                    && !head.arm_idle
                {
                    link.note_moved(shared.tick);
                    return;
                }
                self.show_rest(handler, slot, n, used);
                let budget = self.net.sockets.shared.options.read_budget.saturating_sub(n);
                self.receive(handler, slot, budget);
            }
            Received::Eof => self.end_of_file(handler, slot),
            Received::WouldBlock | Received::Failed => {}
        }
        self.conclude(handler, slot);
    }

    /// The same for a connection that may have something to do before there is new input: to be connected, to send, to
    /// announce room, to show what was kept back.
    #[inline(never)]
    fn serve_all(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) {
        let Some((link, ..)) = self.net.sockets.parts(slot) else { return };
        if !link.is_dialing() || self.dial(handler, slot) {
            self.send(handler, slot);
            self.show_held(handler, slot);
            let budget = self.net.sockets.shared.options.read_budget;
            self.receive(handler, slot, budget);
        }
        self.conclude(handler, slot);
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

    #[inline(never)]
    fn receive(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32, mut budget: usize) {
        while budget > 0 {
            let Some((link, _, shared)) = self.net.sockets.parts(slot) else { return };
            let connection = &mut link.connection;
            if !connection.can_receive() {
                return;
            }
            let is_wanted = connection.wants_input();
            let inbox_is_empty = connection.inbox().is_empty();
            let limit = connection.receive_limit(&shared.options).min(self.scratch.len());
            match connection.receive(self.scratch.first_mut(limit), &mut shared.stats) {
                Received::Data(n) => {
                    budget = budget.saturating_sub(n);
                    if is_wanted && inbox_is_empty {
                        self.show(handler, slot, n);
                    } else if is_wanted {
                        self.show_inbox(handler, slot, n);
                    } else if let Some(closing) = link.closing() {
                        closing.heard = shared.now.unwrap_or(closing.heard);
                    }
                }
                Received::Eof => return self.end_of_file(handler, slot),
                Received::WouldBlock | Received::Failed => return,
            }
        }
    }

    fn end_of_file(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) {
        let is_open =
            self.net.sockets.parts(slot).is_some_and(|(link, ..)| link.connection.phase() == Phase::Open);
        if is_open {
            self.call(slot, |conn| handler.on_eof(conn));
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
        let used = show_once(&mut self.net, handler, slot, self.scratch.first(received));
        self.show_rest(handler, slot, received, used);
    }

    /// Shows them for as long as they are being used, after the first `used`, and keeps what is left.
    #[inline(never)]
    fn show_rest(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        slot: u32,
        received: usize,
        used: usize,
    ) {
        let input = self.scratch.first(received);
        let (used, held) = show_on(&mut self.net, handler, slot, input, used);
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
        let used = show_once(&mut self.net, handler, slot, inbox.unconsumed());
        let (used, held) = show_on(&mut self.net, handler, slot, inbox.unconsumed(), used);
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

/// Makes a callback and sends what it gathered. Returns the connection as it is then.
#[inline(always)]
fn call<S>(
    net: &mut Net<S>,
    slot: u32,
    callback: impl FnOnce(&mut Conn<'_, S>),
) -> Option<(&mut Link, &mut Head, &mut Shared)> {
    net.sockets.shared.current = slot;
    callback(&mut Conn::at(net, slot));
    net.sockets.shared.current = NO_SLOT;
    let (link, head, shared) = net.sockets.parts(slot)?;
    shared.send_gathered(&mut link.connection);
    Some((link, head, shared))
}

#[inline(never)]
fn show_once<S>(
    net: &mut Net<S>,
    handler: &mut (impl Handler<Session = S> + ?Sized),
    slot: u32,
    input: &[u8],
) -> usize {
    let mut used = 0;
    call(net, slot, |conn| used = handler.on_data(conn, input));
    used
}

/// Shows what is left of `input` when its first `used` bytes were, for as long as it is being used and more of it is
/// wanted. Returns how much was used in all, and whether the rest was kept back rather than declined.
fn show_on<S>(
    net: &mut Net<S>,
    handler: &mut (impl Handler<Session = S> + ?Sized),
    slot: u32,
    input: &[u8],
    mut used: usize,
) -> (usize, bool) {
    let mut n = used;
    loop {
        assert!(used <= input.len(), "on_data says that it used more bytes than it was shown");
        if used == input.len() {
            return (used, false);
        }
        if !net.sockets.parts(slot).is_some_and(|(link, ..)| link.connection.wants_input()) {
            return (used, true);
        }
        if n == 0 {
            return (used, false);
        }
        n = show_once(net, handler, slot, &input[used..]);
        used = used.saturating_add(n);
    }
}
