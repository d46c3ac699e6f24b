//! The receiving half of a connection's turn: `recv`, and the input that the handler is shown.

use crate::{
    buffer::Inbox,
    connection::{Phase, Received},
    handler::Handler,
    net::Net,
};

use super::{Pass, serve::call_on_data};

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    #[inline(never)]
    pub(super) fn receive(&mut self, slot: u32, mut budget: usize) {
        let now = self.now;
        while budget > 0 {
            let Some(mut entry) = self.net.engine().entry(slot) else { return };
            let Some(limit) = entry.receive_limit(self.scratch.len()) else { return };
            let is_wanted = entry.connection.wants_input();
            match entry.receive(self.scratch.first_mut(limit)) {
                Received::Data(n) => {
                    budget = budget.saturating_sub(n);
                    if is_wanted {
                        self.show_received(slot, n);
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

    pub(super) fn end_of_file(&mut self, slot: u32) {
        let phase = self.engine().entry(slot).map(|entry| entry.connection.phase());
        if phase == Some(Phase::Open) {
            self.call(slot, |handler, conn| handler.on_eof(conn));
        }
    }

    /// Shows input that a pause or high water has held back, without a new byte.
    pub(super) fn show_held(&mut self, slot: u32) {
        let Some(entry) = self.engine().entry(slot) else { return };
        if entry.connection.is_held() && entry.connection.wants_input() {
            self.show_behind_inbox(slot, 0);
        }
    }

    /// Shows received bytes behind those of the inbox, unless the handler needs more.
    pub(super) fn show_received(&mut self, slot: u32, received: usize) {
        let Some(entry) = self.net.engine().entry(slot) else { return };
        if entry.connection.needs_more(received) {
            entry.connection.keep_input(self.scratch.first(received));
        } else {
            self.show_behind_inbox(slot, received);
        }
    }

    /// Shows the inbox, with the received bytes behind it, as one slice. The shorter of the two is copied to the other, so
    /// that a message costs a constant for each byte, however many parts it comes in.
    #[inline(never)]
    fn show_behind_inbox(&mut self, slot: u32, received: usize) {
        let Some(entry) = self.net.engine().entry(slot) else { return };
        let mut inbox = entry.connection.take_inbox();
        let (consumed, held);
        if inbox.len() <= received {
            let input = self.scratch.with_tail(inbox.unconsumed(), received);
            (consumed, held) = show(self.net, self.handler, slot, input);
            inbox.replace(&input[consumed..]);
        } else {
            inbox.push(self.scratch.first(received));
            (consumed, held) = show(self.net, self.handler, slot, inbox.unconsumed());
            inbox.consume(consumed);
        }
        let Some(mut entry) = self.engine().entry(slot) else { return };
        if received > 0 && consumed > 0 && !held {
            entry.connection.read_much_again();
        }
        entry.connection.put_inbox(inbox, held);
        entry.check_inbox();
    }

    /// Shows received bytes behind the first `consumed` for as long as the handler consumes some of them, and keeps the
    /// rest. The inbox was empty before.
    #[inline(never)]
    pub(super) fn show_rest(&mut self, slot: u32, received: usize, consumed: usize) {
        let input = self.scratch.first(received);
        let (consumed, held) = show_while_consumed(self.net, self.handler, slot, input, consumed);
        if consumed < received {
            let mut inbox = Inbox::default();
            inbox.replace(&input[consumed..]);
            let Some(mut entry) = self.net.engine().entry(slot) else { return };
            entry.connection.put_inbox(inbox, held);
            entry.check_inbox();
        }
    }
}

/// Shows `input` for as long as the handler consumes some of it: see [`show_while_consumed`].
fn show<S, H>(net: &mut Net<S>, handler: &mut H, slot: u32, input: &[u8]) -> (usize, bool)
where
    H: Handler<Session = S> + ?Sized,
{
    let consumed = show_once(net, handler, slot, input);
    show_while_consumed(net, handler, slot, input, consumed)
}

/// Shows `input` once. Returns how many bytes the handler consumed.
#[inline(never)]
fn show_once<S, H>(net: &mut Net<S>, handler: &mut H, slot: u32, input: &[u8]) -> usize
where
    H: Handler<Session = S> + ?Sized,
{
    call_on_data(net, handler, slot, input).0
}

/// Shows the bytes of `input` behind the first `consumed` for as long as the handler consumes some of them, wants more, and
/// does not need more than there are. Returns how many bytes the handler consumed in all, and whether the rest was held back
/// rather than declined.
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
        let entry = net.engine().entry(slot).filter(|entry| entry.connection.wants_input());
        let Some(entry) = entry else { return (consumed, true) };
        if last == 0 || entry.connection.needs_more(input.len() - consumed) {
            return (consumed, false);
        }
        entry.connection.forget_need();
        last = show_once(net, handler, slot, &input[consumed..]);
        consumed += last;
    }
}
