//! Runs any operations in any order over any script, and checks after each operation that the invariants of a connection
//! hold.

mod input;
mod invariants;
mod op;

use std::io::ErrorKind;

use proptest::prelude::*;

use crate::CloseReason;

use super::{script::reason_of, *};
use op::Op;

/// Returns bytes to send. They are the bytes that the peer sends, so that only the place of a byte decides its value.
fn outgoing_bytes(from: usize, len: usize) -> Vec<u8> {
    incoming_bytes(from, from + len)
}

/// The state of a connection as an observer from outside computes it. The tests compare this state with the fields of the
/// connection.
struct Model {
    bench: Bench,
    drains: bool,
    turn: u32,
    written_before_turn: usize,
    /// The number of bytes that the connection has accepted for sending.
    taken: usize,
    received: usize,
    /// The number of received bytes that were consumed or discarded.
    used: usize,
    readable: bool,
    /// True if no hang-up and no urgent mark came since the last `WouldBlock`.
    short_reads_tell: bool,
    paused: bool,
    full: bool,
    pause_when_full: bool,
    writable_owed: bool,
    writable_must_be_ready: bool,
    shutdown: bool,
    fin_sent: bool,
    reads_paused: u64,
    /// The storage of the buffers in bytes, as a reactor counts it.
    memory: usize,
    /// The number of bytes that the handler needs before it is shown input.
    need: usize,
}

impl Model {
    fn new(script: Script, drains: bool, limits: Options) -> Self {
        Self {
            bench: Bench::new(script, drains, limits),
            drains,
            turn: 0,
            written_before_turn: 0,
            taken: 0,
            received: 0,
            used: 0,
            readable: false,
            short_reads_tell: true,
            paused: false,
            full: false,
            pause_when_full: true,
            writable_owed: false,
            writable_must_be_ready: false,
            shutdown: false,
            fin_sent: false,
            reads_paused: 0,
            memory: 0,
            need: 0,
        }
    }

    fn script(&mut self) -> &mut Script {
        self.bench.connection.stream_mut()
    }

    fn phase(&self) -> Phase {
        self.bench.connection.phase()
    }

    fn budget_is_spent(&self) -> bool {
        self.bench.written().len() - self.written_before_turn >= self.bench.limits.write_budget
    }

    fn step(&mut self, op: Op) {
        let (phase, reason, written) = (self.phase(), self.bench.reason(), self.bench.written().len());
        let (eof, error) = (self.bench.connection.is_eof(), self.script().error);
        let moved = |script: &Script| script.written.len() + script.given;
        let moved_before = moved(self.script());
        self.apply(op);
        assert_eq!(self.bench.connection.has_moved(), moved(self.script()) > moved_before);
        self.bench.connection.forget_moved();
        let connection = &mut self.bench.connection;
        assert!(connection.owns_buffers() || connection.queued() + connection.inbox().len() == 0);
        connection.count_memory(&mut self.memory);
        let sent = outgoing_bytes(written, self.bench.written().len() - written);
        assert_eq!(&self.bench.written()[written..], sent, "the bytes are not written in order");

        let connection = &self.bench.connection;
        let failed = connection.stream().error.filter(|_| error.is_none());
        let send_failed = failed.is_some() && !matches!(op, Op::Receive { .. });
        if send_failed {
            // After a failed send the connection reads until the input ends, whatever was known about the stream before.
            (self.readable, self.short_reads_tell) = (true, false);
        }
        assert!(connection.phase() >= phase, "the phase went back");
        if connection.phase() != phase {
            // A connection that ends owes no on_writable, and is not full any more.
            (self.full, self.writable_owed) = (false, false);
        }
        if phase == Phase::Failing || phase > Phase::Flushing {
            assert_eq!(self.bench.written().len(), written, "nothing is written after the end");
        }
        match (reason, self.bench.reason()) {
            (None, Some(first)) => {
                let expected = match op {
                    Op::Close if eof => CloseKind::Eof,
                    Op::Close => CloseKind::Closed,
                    Op::Abort => CloseKind::Aborted,
                    _ => failed.map_or(CloseKind::OutboxLimit, reason_of),
                };
                assert_eq!(first, expected);
                if send_failed {
                    let expected = if eof { Phase::Dropping } else { Phase::Failing };
                    assert_eq!(connection.phase(), expected);
                }
            }
            (Some(intention), Some(cause)) if intention != cause => {
                assert!(
                    intention.is_clean() && connection.has_lost(),
                    "a second reason replaced the first, although no bytes were lost"
                );
                let expected = match op {
                    Op::Abort => CloseKind::Aborted,
                    _ => failed.map_or(CloseKind::OutboxLimit, reason_of),
                };
                assert_eq!(cause, expected);
            }
            (before, after) => assert_eq!(after, before),
        }
        self.check();
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Note(readiness) => self.note(readiness),
            Op::LetRead => {
                let event = self.script().let_read();
                self.note(event.unwrap_or_default());
            }
            Op::LetWrite => {
                let event = self.script().let_write();
                self.note(event.unwrap_or_default());
            }
            Op::NewTurn => {
                self.turn += 1;
                self.bench.connection.begin_turn(self.turn);
                self.written_before_turn = self.bench.written().len();
            }
            Op::Send(gathered, bytes) if !self.fin_sent => {
                // A reactor gathers no bytes while the outbox holds older bytes.
                let gathered = if self.bench.connection.queued() > 0 { 0 } else { gathered };
                let sent = outgoing_bytes(self.taken, gathered + bytes);
                let flow = self.bench.send_behind(&sent[..gathered], &sent[gathered..]);
                self.check_flow(flow, sent.len());
            }
            Op::SendGathered(len) if !self.fin_sent && self.bench.connection.queued() == 0 => {
                let sent = outgoing_bytes(self.taken, len);
                self.bench.send_gathered(&sent);
                // `send_gathered` returns no `Flow`, because the handler has returned. So the expected `Flow` is computed
                // here.
                let connection = &self.bench.connection;
                let gone = connection.phase() == Phase::Failing || connection.phase() > Phase::Flushing;
                let full = connection.queued() >= self.bench.limits.high_water || self.budget_is_spent();
                let flow = if full { Flow::Full } else { Flow::Open };
                self.check_flow(if gone { Flow::Gone } else { flow }, len);
            }
            Op::Keep(len) if !self.fin_sent => {
                let sent = outgoing_bytes(self.taken, len);
                let calls = self.script().write_calls;
                let flow = self.bench.keep(&sent);
                assert_eq!(self.script().write_calls, calls, "`keep` made a system call");
                self.check_flow(flow, len);
            }
            Op::TrySend(len) if !self.fin_sent && self.phase() != Phase::Flushing => self.try_send(len),
            Op::Flush => self.bench.flush(),
            Op::Send(..) | Op::SendGathered(_) | Op::Keep(_) | Op::TrySend(_) => {}
            _ => self.apply_other(op),
        }
    }

    /// Applies the operations that hand over no bytes for sending.
    fn apply_other(&mut self, op: Op) {
        match op {
            Op::TakeWritable => {
                let below = self.bench.connection.queued() < self.bench.limits.low_water;
                let ready = !self.writable_must_be_ready || !self.script().write_waits;
                let room = self.phase() == Phase::Open && below && ready;
                let told = self.writable_owed && room;
                assert_eq!(self.bench.take_writable(), told);
                if room {
                    (self.full, self.writable_owed, self.writable_must_be_ready) = (false, false, false);
                }
            }
            Op::NotifyWritable => {
                self.bench.connection.notify_writable();
                self.writable_owed = true;
            }
            Op::PauseWhenFull(on) => {
                self.bench.connection.pause_when_full(on);
                self.pause_when_full = on;
            }
            Op::Receive { room, used, need } => self.receive(room, used, need),
            Op::Need(need) => self.need(need),
            Op::ShowHeld(used) => {
                if self.bench.connection.is_held() && self.bench.connection.wants_input() {
                    self.show(&[], used, 0);
                    assert!(
                        !self.bench.connection.is_held(),
                        "input that the handler declined is still held"
                    );
                }
            }
            Op::Pause => {
                self.bench.connection.pause();
                self.paused = true;
            }
            Op::Resume => {
                self.bench.connection.resume();
                self.paused = false;
                let connection = &self.bench.connection;
                if !connection.is_eof() {
                    let is_enough = connection.inbox().len() >= self.need.max(1);
                    assert_eq!(connection.is_held(), is_enough);
                }
            }
            Op::ShutdownWrite => {
                self.bench.connection.shutdown_write();
                self.shutdown = true;
            }
            Op::SendFin => {
                if self.bench.connection.owes_fin() {
                    self.send_fin();
                }
            }
            Op::Close => self.bench.connection.close(false),
            Op::Abort => self.bench.connection.end(CloseReason::Aborted, Phase::Resetting),
            _ => unreachable!("`apply` handles this operation"),
        }
    }

    fn note(&mut self, readiness: Readiness) {
        self.readable |= readiness.readable;
        self.short_reads_tell &= !readiness.short_reads_unreliable;
        self.bench.note(readiness);
    }

    /// Checks the `Flow` that the connection returned when `len` bytes were handed over for sending.
    fn check_flow(&mut self, flow: Flow, len: usize) {
        let (limits, queued) = (&self.bench.limits, self.bench.connection.queued());
        if flow == Flow::Gone {
            assert!(self.phase() == Phase::Failing || self.phase() > Phase::Flushing);
            self.reads_paused = self.bench.stats.reads_paused; // A pause may be counted before the connection ends.
            return;
        }
        self.taken += len;
        let full = queued >= limits.high_water || self.budget_is_spent();
        assert_eq!(flow, if full { Flow::Full } else { Flow::Open });
        self.reads_paused += u64::from(full && !self.full && self.pause_when_full);
        self.full |= full;
        self.writable_owed |= full;
    }

    fn try_send(&mut self, len: usize) {
        let waited = self.bench.connection.queued();
        let takes_sends = self.bench.connection.takes_sends();
        let sent = outgoing_bytes(self.taken, len);
        match self.bench.try_send(&sent) {
            Ok(n) => {
                assert!(n <= len && (n > 0 || len == 0));
                assert!(n == 0 || waited == 0, "try_send overtook bytes in the outbox");
                self.taken += n;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(takes_sends && self.bench.connection.takes_sends());
                (self.writable_owed, self.writable_must_be_ready) = (true, true);
            }
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    ErrorKind::BrokenPipe,
                    "try_send returned an error other than BrokenPipe"
                );
                assert!(!self.bench.connection.takes_sends());
            }
        }
    }

    fn send_fin(&mut self) {
        assert_eq!(self.bench.connection.queued(), 0, "the outbox is not empty before the shutdown");
        self.script().shutdown_write();
        self.bench.connection.fin_was_sent();
        self.fin_sent = true;
    }

    /// Calls `close()`, and plays all the events that the script still contains.
    fn close_and_let_everything_go(&mut self) {
        self.step(Op::Close);
        while self.phase() == Phase::Flushing && self.bench.connection.queued() > 0 {
            let left = self.bench.connection.queued();
            self.step(Op::NewTurn);
            self.step(Op::Flush);
            if self.script().write_waits {
                self.step(Op::LetWrite);
                self.step(Op::Note(WRITABLE)); // The timer after ENOBUFS, or the first event of the stream.
            } else {
                assert!(
                    self.phase() > Phase::Flushing || self.bench.connection.queued() < left,
                    "the flush makes no progress"
                );
            }
        }
        if self.phase() == Phase::Flushing {
            assert_eq!(self.bench.written().len(), self.taken, "bytes were not delivered");
            assert_eq!(self.bench.connection.owes_fin(), !self.bench.connection.is_eof() && !self.fin_sent);
            self.step(Op::SendFin);
        }
        assert!(self.bench.connection.is_over());
    }
}

proptest! {
    #![proptest_config(crate::cases::config())]

    #[test]
    fn any_operations_over_any_script_keep_order_and_limits(
        reads in generate::reads(),
        writes in generate::writes(),
        [drains, coalesces] in any::<[bool; 2]>(),
        limits in generate::limits(),
        max_outbox in 40..250_usize,
        ops in op::any_sequence(),
    ) {
        let limits = limits.max_outbox(max_outbox);
        let mut model = Model::new(Script::new(reads, writes).coalescing(coalesces), drains, limits);
        for op in ops {
            model.step(op);
        }
        model.close_and_let_everything_go();
    }
}
