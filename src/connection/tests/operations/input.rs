//! The operations that receive and show input.

use super::{super::*, Model};

impl Model {
    pub(super) fn receive(&mut self, room: usize, used: usize, need: usize) {
        let connection = &self.bench.connection;
        let shown = connection.wants_input();
        let kept = shown || connection.phase() == Phase::Failing;
        let room = if kept { room.min(connection.receive_limit(&self.bench.limits)) } else { room };
        if !connection.can_receive(&self.bench.limits) || room == 0 {
            return;
        }
        let (received, bytes) = self.bench.receive(room);
        match received {
            Received::Data(n) => {
                assert_eq!(
                    bytes,
                    incoming_bytes(self.received, self.received + n),
                    "the bytes are not received in order"
                );
                self.received += n;
                self.readable &= !(n < room && self.drains && self.short_reads_tell);
                let is_enough = self.bench.connection.inbox().len() + n >= self.need;
                assert_eq!(self.bench.connection.needs_more(n), !is_enough);
                if shown && is_enough {
                    self.show(&bytes, used, need);
                } else if shown {
                    self.bench.connection.keep_input(&bytes);
                } else if kept {
                    self.bench.connection.hold(&bytes);
                } else {
                    self.used = self.received;
                }
            }
            Received::WouldBlock => (self.readable, self.short_reads_tell) = (false, true),
            Received::Eof => {
                assert!(self.bench.connection.is_eof());
                self.readable = false;
            }
            Received::Failed => {
                assert!(self.script().error.is_some() && self.phase() >= Phase::Failing);
                self.readable = false;
            }
        }
    }

    /// Shows the inbox with `bytes` behind it. The handler consumes at most `used` bytes and needs `need` bytes next time.
    pub(super) fn show(&mut self, bytes: &[u8], used: usize, need: usize) {
        let mut inbox = self.bench.connection.take_inbox();
        let all = [inbox.unconsumed(), bytes].concat();
        let used = used.min(all.len());
        // The two ways in which a reactor shows the bytes of an inbox.
        if inbox.len() <= bytes.len() {
            inbox.replace(&all[used..]);
        } else {
            inbox.push(bytes);
            inbox.consume(used);
        }
        self.used += used;
        self.need(need);
        let held = !inbox.is_empty() && !self.bench.connection.wants_input();
        if !bytes.is_empty() && used > 0 && !held {
            self.bench.connection.read_much_again();
        }
        self.bench.connection.put_inbox(inbox, held);
        if self.phase() < Phase::Flushing {
            assert_eq!(self.bench.connection.is_held(), held && all.len() - used >= self.need);
        }
    }

    pub(super) fn need(&mut self, need: usize) {
        self.need = need.min(self.bench.limits.inbox_limit());
        self.bench.connection.need(self.need);
    }
}
