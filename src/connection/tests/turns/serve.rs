//! The turn of the connection: the steps of `src/turn/serve.rs` and `src/turn/input.rs`.

use super::{super::*, Loop};

impl Loop {
    pub(super) fn serve(&mut self) {
        let connection = &mut self.bench.connection;
        connection.begin_turn(self.turn);
        if !connection.has_only_input() && !connection.has_only_more_input() {
            self.send();
            if self.bench.connection.is_held() && self.bench.connection.wants_input() {
                self.show(0);
            }
            self.receive(self.bench.limits.read_budget);
            return self.conclude();
        }
        // The first `recv` of the short paths: afterwards, a quiet connection is not looked at any more.
        let n = self.receive_once().unwrap_or(0);
        if n == 0 || !self.bench.connection.is_quiet_with_inbox() {
            self.receive(self.bench.limits.read_budget.saturating_sub(n));
            self.conclude();
        }
    }

    fn receive(&mut self, mut budget: usize) {
        while budget > 0 && self.bench.connection.can_receive(&self.bench.limits) {
            let Some(n) = self.receive_once() else { return };
            budget = budget.saturating_sub(n);
        }
    }

    /// Makes one `recv`. Returns the number of bytes, or `None` if no further `recv` is to be made now.
    fn receive_once(&mut self) -> Option<usize> {
        let connection = &mut self.bench.connection;
        let shown = connection.wants_input();
        let limit = connection.receive_limit(&self.bench.limits).min(self.scratch.len());
        match connection.receive(self.scratch.first_mut(limit), &mut self.bench.stats) {
            Received::Data(n) => {
                if shown && connection.needs_more(n) {
                    connection.keep_input(self.scratch.first(n));
                } else if shown {
                    self.show(n);
                } else if connection.phase() == Phase::Failing {
                    connection.hold(self.scratch.first(n));
                }
                Some(n)
            }
            Received::Eof => {
                if connection.phase() == Phase::Open {
                    self.call(|application, pen| application.on_eof(pen));
                }
                None
            }
            Received::WouldBlock | Received::Failed => None,
        }
    }

    /// Shows the inbox with the `received` bytes behind it, as long as the handler consumes bytes, wants input and does not
    /// need more bytes than there are.
    fn show(&mut self, received: usize) {
        let mut inbox = self.bench.connection.take_inbox();
        let in_scratch = inbox.len() <= received;
        let input = if in_scratch {
            self.scratch.with_tail(inbox.unconsumed(), received).to_vec()
        } else {
            inbox.push(self.scratch.first(received));
            inbox.unconsumed().to_vec()
        };
        let mut rest = &input[..];
        let held = loop {
            let mut used = 0;
            self.call(|application, pen| used = application.on_data(pen, rest));
            rest = &rest[used..];
            if rest.is_empty() {
                break false;
            }
            if !self.bench.connection.wants_input() {
                break true;
            }
            if used == 0 || self.bench.connection.needs_more(rest.len()) {
                break false;
            }
            self.bench.connection.forget_need();
        };
        if in_scratch {
            inbox.replace(rest);
        } else {
            inbox.consume(input.len() - rest.len());
        }
        if received > 0 && rest.len() < input.len() && !held {
            self.bench.connection.read_much_again();
        }
        self.bench.connection.put_inbox(inbox, held);
        let (connection, limits) = (&self.bench.connection, &self.bench.limits);
        assert!(
            connection.is_held() || connection.inbox().len() < limits.inbox_limit(),
            "the inbox has reached its limit"
        );
        self.check();
    }
}
