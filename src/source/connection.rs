//! One connection: a state machine over any stream, which knows bytes, limits and results only.
//!
//! Each direction has two separate things: whether an event said that it is ready, and whether anyone wants to
//! use it. Readiness is a hint; what is true is what `read` and `write` return.

mod pending;
mod sending;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Read, Write};

use crate::{
    buffer::{Inbox, Outbox},
    close::{CloseKind, CloseReason},
    options::Options,
    stats::Stats,
};

/// How far a connection has come. It only ever goes forward, so the order of the variants matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    Open,
    /// A send failed: nothing goes out any more, but what the peer said before is still heard.
    Failing,
    /// `close()`: what is queued goes out, then the end of file; input is discarded.
    Flushing,
    /// To be dropped at the next opportunity: nothing is owed.
    Dropping,
    /// The same with a reset, so that the peer cannot take what it has for the whole.
    Resetting,
    /// The session has gone; the socket waits for the peer's end of file.
    Lingering,
}

/// What an event said, with names for what matters here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// A hang-up or an urgent mark: a short `recv` may then have stopped early.
    pub(crate) short_reads_lie: bool,
    /// Worth asking for the socket's error if nothing else would find it.
    pub(crate) error: bool,
}

/// The result of one `recv`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    Data(usize),
    Eof,
    WouldBlock,
    /// The reason is kept; the connection is to be dropped.
    Failed,
}

#[derive(Debug)]
pub(crate) struct Connection<T> {
    stream: T,
    outbox: Outbox,
    inbox: Inbox,
    /// Why it ends, in two parts, since that takes half the room: the first reason wins.
    reason: Option<CloseKind>,
    error: Option<io::Error>,
    phase: Phase,
    readable: bool,
    writable: bool,
    short_read_drains: bool,
    short_reads_lie: bool,
    error_event: bool,
    /// The handler asked for no more input.
    paused: bool,
    /// The outbox is too full, or this turn's write budget is spent, and `on_writable` has not come yet.
    full: bool,
    pause_when_full: bool,
    /// The inbox has something the handler has not declined: it was cut off by a pause or by high water.
    held: bool,
    /// An `on_writable` is owed ...
    writable_owed: bool,
    /// ... and is of use only when the kernel takes bytes again.
    writable_must_be_ready: bool,
    eof: bool,
    /// `shutdown_write` was asked for; it happens when the outbox is empty.
    shutdown: bool,
    fin_sent: bool,
    /// ENOBUFS: no edge will follow, a timer has to try again.
    out_of_buffers: bool,
    /// Something that was taken from the handler was not delivered: the peer must not take what it has for the whole.
    lost: bool,
    /// Bytes went one way or the other since this was asked last.
    moved: bool,
    turn: u32,
    /// What its buffers owned when that was counted last.
    counted: u32,
    /// Bytes the kernel took in this turn.
    spent: u32,
}

impl<T: Read + Write> Connection<T> {
    /// `short_read_drains`: whether a `read` that returns less than it was asked for has emptied the stream.
    pub(crate) fn new(stream: T, short_read_drains: bool) -> Self {
        Self {
            stream,
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            reason: None,
            error: None,
            phase: Phase::Open,
            readable: false,
            writable: false,
            short_read_drains,
            short_reads_lie: false,
            error_event: false,
            paused: false,
            full: false,
            pause_when_full: true,
            held: false,
            writable_owed: false,
            writable_must_be_ready: false,
            eof: false,
            shutdown: false,
            fin_sent: false,
            out_of_buffers: false,
            lost: false,
            moved: false,
            turn: 0,
            counted: 0,
            spent: 0,
        }
    }

    /// An event: bits are only ever set here, and only `read` and `write` clear them.
    pub(crate) fn note(&mut self, readiness: Readiness) {
        self.readable |= readiness.readable;
        self.writable |= readiness.writable;
        self.short_reads_lie |= readiness.short_reads_lie;
        self.error_event |= readiness.error;
    }

    /// Another stream in place of one that could not be connected: what was known of the old one is void.
    pub(crate) fn replace_stream(&mut self, stream: T) {
        self.stream = stream;
        self.forget_readiness();
    }

    pub(crate) fn forget_readiness(&mut self) {
        (self.readable, self.writable, self.short_reads_lie, self.error_event) = (false, false, false, false);
    }

    /// A new turn brings a new write budget.
    pub(crate) fn enter_turn(&mut self, turn: u32) {
        if self.turn != turn {
            self.turn = turn;
            self.spent = 0;
        }
    }

    /// One `recv`. `buffer` must not be empty: 0 would then not mean the end.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], stats: &mut Stats) -> Received {
        debug_assert!(!buffer.is_empty());
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.eof = true;
                    self.readable = false;
                    return Received::Eof;
                }
                Ok(n) => {
                    if n < buffer.len() && self.short_read_drains && !self.short_reads_lie {
                        self.readable = false;
                    }
                    self.moved = true;
                    stats.receives += 1;
                    stats.bytes_received += n as u64;
                    return Received::Data(n);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => {
                        self.readable = false;
                        self.short_reads_lie = false;
                        stats.would_blocks += 1;
                        return Received::WouldBlock;
                    }
                    _ => {
                        self.eof = true; // nothing more comes, whatever phase this is
                        self.readable = false;
                        self.end(CloseReason::from_error(error), Phase::Dropping);
                        return Received::Failed;
                    }
                },
            }
        }
    }

    /// How much the next `recv` may ask for, so that the inbox cannot pass its limit whatever arrives.
    pub(crate) fn receive_limit(&self, limits: &Options) -> usize {
        limits.max_inbox.saturating_sub(self.inbox.len()).min(limits.read_buffer)
    }

    /// The sending direction broke.
    pub(crate) fn fail(&mut self, error: io::Error) {
        let phase = match self.phase {
            // The peer's last words often stand before its reset: they are read before anything else is told.
            Phase::Open if !self.eof && !self.paused => Phase::Failing,
            _ => Phase::Dropping,
        };
        self.readable = true;
        self.short_reads_lie = true;
        self.end(CloseReason::from_error(error), phase);
    }

    /// Marks the connection as ending. The first reason stays; a harder way of ending replaces a softer one.
    pub(crate) fn end(&mut self, reason: CloseReason, phase: Phase) {
        if self.phase >= phase {
            return;
        }
        if self.reason.is_none() {
            self.reason = Some(reason.kind());
            self.error = reason.into_error();
        }
        // After a failure there is nothing left to flush.
        self.phase = if self.phase == Phase::Failing { phase.max(Phase::Dropping) } else { phase };
        self.full = false;
        self.writable_owed = false;
        if self.phase != Phase::Flushing {
            self.lost |= !self.outbox.is_empty();
            self.outbox.clear();
        }
        if self.phase >= Phase::Flushing {
            self.inbox.clear();
        }
    }

    /// The end that a limit or a timeout forces: without flush and linger, and with a reset if that leaves something
    /// unsent, which the peer could otherwise not tell from a whole answer.
    pub(crate) fn cut(&mut self, reason: CloseReason) {
        let phase = if self.outbox.is_empty() { Phase::Dropping } else { Phase::Resetting };
        self.end(reason, phase);
    }

    /// `close()`, with the reason that it has.
    pub(crate) fn close(&mut self, draining: bool) {
        let reason = match (self.eof, draining) {
            (true, _) => CloseReason::Eof,
            (false, true) => CloseReason::Drained,
            (false, false) => CloseReason::Closed,
        };
        self.end(reason, Phase::Flushing);
    }

    /// The session goes; what is left is to hear the peer out.
    pub(crate) fn linger(&mut self) {
        self.phase = Phase::Lingering;
    }

    /// Why it ended; if nothing made it, both directions just have.
    pub(crate) fn take_reason(&mut self) -> CloseReason {
        CloseReason::new(self.reason.unwrap_or(CloseKind::Eof), self.error.take())
    }

    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    /// Reading goes on; what is in the inbox is shown again, even with no new byte.
    pub(crate) fn resume(&mut self) {
        self.paused = false;
        self.held = !self.eof && !self.inbox.is_empty(); // on_eof was the last to see it
    }

    pub(crate) fn pause_when_full(&mut self, on: bool) {
        self.pause_when_full = on;
    }

    pub(crate) fn shutdown_write(&mut self) {
        self.shutdown = true;
    }

    pub(crate) fn notify_writable(&mut self) {
        self.writable_owed = true;
    }

    pub(crate) fn fin_was_sent(&mut self) {
        self.fin_sent = true;
    }

    /// Whether sending has to be tried again by timer; asked once.
    pub(crate) fn take_out_of_buffers(&mut self) -> bool {
        std::mem::take(&mut self.out_of_buffers)
    }

    /// Brings a total up to date with what the buffers own now.
    pub(crate) fn count_memory(&mut self, total: &mut usize) {
        let memory = self.outbox.capacity() + self.inbox.capacity();
        let counted = u32::try_from(memory).unwrap_or(u32::MAX);
        *total = *total - self.memory() + counted as usize;
        self.counted = counted;
    }

    /// Whether there is anything to count.
    pub(crate) fn owns_buffers(&self) -> bool {
        (self.counted > 0) | !self.outbox.is_empty() | !self.inbox.is_empty()
    }

    pub(crate) fn memory(&self) -> usize {
        self.counted as usize
    }

    /// Whether bytes moved since this was asked last.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Lends the inbox out for the length of a callback.
    pub(crate) fn take_inbox(&mut self) -> Inbox {
        self.held = false;
        std::mem::take(&mut self.inbox)
    }

    /// Takes the inbox back; `held` if the handler was not asked about all of it.
    pub(crate) fn put_inbox(&mut self, inbox: Inbox, held: bool) {
        if self.phase < Phase::Flushing {
            self.inbox = inbox;
            self.held = held;
        }
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    pub(crate) fn stream(&self) -> &T {
        &self.stream
    }

    pub(crate) fn stream_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// Whether something that was taken from the handler did not reach the kernel.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn is_eof(&self) -> bool {
        self.eof
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }
}
