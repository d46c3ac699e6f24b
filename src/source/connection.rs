//! One connection: a state machine over any stream, which knows bytes, limits and results only.
//!
//! Each direction has two separate things: whether an event said that it is ready, and whether anyone wants to
//! use it. Readiness is a hint; what is true is what `read` and `write` return.

mod flags;
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

use flags::Flags;

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
    flags: Flags,
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
            flags: Flags::initial(short_read_drains),
            turn: 0,
            counted: 0,
            spent: 0,
        }
    }

    /// An event: bits are only ever set here, and only `read` and `write` clear them.
    #[inline]
    pub(crate) fn note(&mut self, readiness: Readiness) {
        self.flags.set(readiness.into());
    }

    /// Another stream in place of one that could not be connected: what was known of the old one is void.
    pub(crate) fn replace_stream(&mut self, stream: T) {
        self.stream = stream;
        self.forget_readiness();
    }

    pub(crate) fn forget_readiness(&mut self) {
        let of_events = Flags::READABLE | Flags::WRITABLE | Flags::SHORT_READS_LIE | Flags::ERROR_EVENT;
        self.flags.clear(of_events);
    }

    /// A new turn brings a new write budget.
    pub(crate) fn enter_turn(&mut self, turn: u32) {
        if self.turn != turn {
            self.turn = turn;
            self.spent = 0;
        }
    }

    /// One `recv`. `buffer` must not be empty: 0 would then not mean the end.
    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8], stats: &mut Stats) -> Received {
        debug_assert!(!buffer.is_empty());
        loop {
            match self.stream.read(buffer) {
                Ok(n) if n > 0 => {
                    let drains = self.flags.has_just(Flags::SHORT_READ_DRAINS, Flags::SHORT_READS_LIE);
                    if n < buffer.len() && drains {
                        self.flags.clear(Flags::READABLE);
                    }
                    self.flags.set(Flags::MOVED);
                    stats.receives += 1;
                    stats.bytes_received += n as u64;
                    return Received::Data(n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                nothing => return self.receive_stopped(nothing.err(), stats),
            }
        }
    }

    /// What it means that no bytes came: without an error, the end of file.
    #[cold]
    fn receive_stopped(&mut self, error: Option<io::Error>, stats: &mut Stats) -> Received {
        self.flags.clear(Flags::READABLE);
        match error {
            Some(error) if error.kind() == ErrorKind::WouldBlock => {
                self.flags.clear(Flags::SHORT_READS_LIE);
                stats.would_blocks += 1;
                Received::WouldBlock
            }
            None => {
                self.flags.set(Flags::EOF);
                Received::Eof
            }
            Some(error) => {
                self.flags.set(Flags::EOF); // nothing more comes, whatever phase this is
                self.end(CloseReason::from_error(error), Phase::Dropping);
                Received::Failed
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
            Phase::Open if !self.has(Flags::EOF | Flags::PAUSED) => Phase::Failing,
            _ => Phase::Dropping,
        };
        self.flags.set(Flags::READABLE | Flags::SHORT_READS_LIE);
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
        self.set_phase(if self.phase == Phase::Failing { phase.max(Phase::Dropping) } else { phase });
        self.flags.clear(Flags::FULL | Flags::WRITABLE_OWED);
        if self.phase != Phase::Flushing {
            if !self.outbox.is_empty() {
                self.flags.set(Flags::LOST);
            }
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
        let reason = match (self.has(Flags::EOF), draining) {
            (true, _) => CloseReason::Eof,
            (false, true) => CloseReason::Drained,
            (false, false) => CloseReason::Closed,
        };
        self.end(reason, Phase::Flushing);
    }

    /// The session goes; what is left is to hear the peer out.
    pub(crate) fn linger(&mut self) {
        self.set_phase(Phase::Lingering);
    }

    /// Why it ended; if nothing made it, both directions just have.
    pub(crate) fn take_reason(&mut self) -> CloseReason {
        CloseReason::new(self.reason.unwrap_or(CloseKind::Eof), self.error.take())
    }

    pub(crate) fn pause(&mut self) {
        self.flags.set(Flags::PAUSED);
    }

    /// Reading goes on; what is in the inbox is shown again, even with no new byte.
    pub(crate) fn resume(&mut self) {
        self.flags.clear(Flags::PAUSED);
        self.flags.put(Flags::HELD, !self.has(Flags::EOF) && !self.inbox.is_empty()); // on_eof was the last to see it
    }

    pub(crate) fn pause_when_full(&mut self, on: bool) {
        self.flags.put(Flags::PAUSE_WHEN_FULL, on);
    }

    pub(crate) fn shutdown_write(&mut self) {
        self.flags.set(Flags::SHUTDOWN);
    }

    pub(crate) fn notify_writable(&mut self) {
        self.flags.set(Flags::WRITABLE_OWED);
    }

    pub(crate) fn fin_was_sent(&mut self) {
        self.flags.set(Flags::FIN_SENT);
    }

    /// Whether sending has to be tried again by timer; asked once.
    pub(crate) fn take_out_of_buffers(&mut self) -> bool {
        self.flags.take(Flags::OUT_OF_BUFFERS)
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

    /// Whether bytes moved since that was forgotten last.
    pub(crate) fn has_moved(&self) -> bool {
        self.has(Flags::MOVED)
    }

    pub(crate) fn forget_moved(&mut self) {
        self.flags.clear(Flags::MOVED);
    }

    /// Lends the inbox out for the length of a callback.
    pub(crate) fn take_inbox(&mut self) -> Inbox {
        self.flags.clear(Flags::HELD);
        std::mem::take(&mut self.inbox)
    }

    /// Takes the inbox back; `held` if the handler was not asked about all of it.
    pub(crate) fn put_inbox(&mut self, inbox: Inbox, held: bool) {
        if self.phase < Phase::Flushing {
            self.inbox = inbox;
            self.flags.put(Flags::HELD, held);
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
        self.has(Flags::LOST)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.has(Flags::PAUSED)
    }

    pub(crate) fn is_eof(&self) -> bool {
        self.has(Flags::EOF)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.has(Flags::HELD)
    }

    fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
        self.flags.put(Flags::ENDING, phase != Phase::Open);
    }

    /// Whether one of these holds.
    fn has(&self, any: Flags) -> bool {
        self.flags.has_any(any)
    }
}
