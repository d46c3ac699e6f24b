//! The state machine of a connection, over any stream. It knows bytes, limits and results, and no poll, slab or clock.
//!
//! Each direction has two independent properties: *ready* (an event said so) and *wanted* (neither paused, nor above high
//! water, nor closing). Readiness is a hint; only the results of `read` and `write` are facts.
//!
//! ```text
//!          close()                 all sent, FIN           end of file, or silence for `linger`
//!   Open ───────────► Flushing ───────────────► Lingering ─────────────────────────────────────► socket closed
//!    │ send fails       │ fails                    (on_close was called when lingering began)
//!    ▼                  ▼
//!  Failing ─────────► Dropping    nothing is owed: the socket is closed, after on_close
//!    input is still     Resetting   bytes are lost, or abort(): the socket is closed with a reset
//!    delivered
//! ```

mod flags;
mod leaving;
mod pending;
mod sending;
mod showing;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Read};

use crate::{
    buffer::{Inbox, Outbox},
    close::{CloseKind, CloseReason},
    socket::{file::SendFile, readiness::Readiness},
    stats::Stats,
};

use flags::Flags;
pub(crate) use sending::Piece;

/// How far a connection has come. A phase is only ever followed by a later one, so the order of the variants matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    Open,
    /// The sending direction has failed: nothing is sent any more. Input that the peer sent before is still delivered.
    Failing,
    /// `close()` was called: the outbox is sent, then the end of file. Input is discarded.
    Flushing,
    /// The outbox is discarded. The connection ends when its present or next turn is concluded.
    Dropping,
    /// The outbox is discarded. The connection ends as in `Dropping`, but with a reset, so that the peer cannot mistake a
    /// truncated answer for a complete one.
    Resetting,
    /// The session is gone. The socket waits for the peer's end of file.
    Lingering,
}

/// The result of one `recv`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    Data(usize),
    Eof,
    WouldBlock,
    /// An error: the connection keeps it as the reason of its end.
    Failed,
}

#[derive(Debug)]
pub(crate) struct Connection<T> {
    stream: T,
    outbox: Outbox,
    inbox: Inbox,
    /// Why the connection ends. The reason is stored in two parts because they take half the room of a `CloseReason`.
    reason: Option<CloseKind>,
    error: Option<io::Error>,
    phase: Phase,
    flags: Flags,
    turn: u32,
    /// How many bytes the buffers owned when they were counted last.
    counted: u32,
    /// How many bytes the kernel took in this turn.
    spent: u32,
    /// How many bytes the handler needs before it is shown input: see [`Flags::NEEDS`].
    need: u32,
}

impl<T: Read + SendFile> Connection<T> {
    /// `short_read_drains`: true if a `read` that returns less than it was asked for has emptied the stream.
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
            need: 0,
        }
    }

    /// Sets the ready bits that an event tells of. Only the results of `read` and `write` clear them.
    #[inline]
    pub(crate) fn set_ready(&mut self, readiness: Readiness) {
        self.flags.set(readiness.into());
    }

    /// Puts another stream in place of a stream that could not be connected. Nothing is known of its readiness.
    pub(crate) fn replace_stream(&mut self, stream: T) {
        self.stream = stream;
        self.forget_readiness();
    }

    pub(crate) fn forget_readiness(&mut self) {
        let of_events = Flags::READABLE
            | Flags::WRITABLE
            | Flags::SHORT_READS_UNRELIABLE
            | Flags::ERROR_EVENT
            | Flags::PEER_CLOSED;
        self.flags.clear(of_events);
    }

    /// A new turn brings a new write budget.
    #[inline]
    pub(crate) fn begin_turn(&mut self, turn: u32) {
        if self.turn != turn {
            self.turn = turn;
            self.spent = 0;
        }
    }

    /// Makes one `recv`. `buffer` must not be empty: the result 0 would then not mean the end of file.
    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8], stats: &mut Stats) -> Received {
        debug_assert!(!buffer.is_empty());
        loop {
            match self.stream.read(buffer) {
                Ok(n) if n > 0 => {
                    let drains = self.flags.has_just(Flags::SHORT_READ_DRAINS, Flags::SHORT_READS_UNRELIABLE);
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

    /// A `read` returned no bytes: without an error, that is the end of file.
    #[cold]
    fn receive_stopped(&mut self, error: Option<io::Error>, stats: &mut Stats) -> Received {
        self.flags.clear(Flags::READABLE);
        match error {
            Some(error) if error.kind() == ErrorKind::WouldBlock => {
                self.flags.clear(Flags::SHORT_READS_UNRELIABLE);
                stats.would_blocks += 1;
                Received::WouldBlock
            }
            None => {
                self.flags.set(Flags::EOF);
                Received::Eof
            }
            Some(error) => {
                self.flags.set(Flags::EOF); // nothing more comes, whatever the phase is
                // While failing, the first error is the reason already, and the inbox may still wait for a resume.
                if self.phase != Phase::Failing {
                    self.end(CloseReason::from_error(error), Phase::Dropping);
                }
                Received::Failed
            }
        }
    }

    /// The sending direction has failed.
    pub(crate) fn fail(&mut self, error: io::Error) {
        let phase = match self.phase {
            // The last bytes of a peer often stand before its reset: they are delivered first.
            Phase::Open if !self.has(Flags::EOF) => Phase::Failing,
            _ => Phase::Dropping,
        };
        self.flags.set(Flags::READABLE | Flags::SHORT_READS_UNRELIABLE);
        self.end(CloseReason::from_error(error), phase);
    }

    /// Marks the connection as ending. A harder way of ending replaces a softer one. The first reason stays, with one
    /// exception: if `close()` cannot be carried out, the cause of the loss replaces the intention.
    pub(crate) fn end(&mut self, reason: CloseReason, phase: Phase) {
        if self.phase >= phase {
            return;
        }
        let loses = self.has(Flags::LOST) || (phase != Phase::Flushing && !self.outbox.is_empty());
        if self.reason.is_none_or(|first| loses && first.is_clean()) {
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
            self.flags.clear(Flags::HELD);
        }
    }

    /// The end that a limit or a timeout forces: without flush and linger, and with a reset if bytes stay unsent, so that
    /// the peer cannot mistake a truncated answer for a complete one.
    pub(crate) fn end_by_limit(&mut self, reason: CloseReason) {
        let phase = if self.outbox.is_empty() { Phase::Dropping } else { Phase::Resetting };
        self.end(reason, phase);
    }

    /// Bytes that were taken from the handler are thrown away.
    pub(crate) fn lose_bytes(&mut self) {
        self.flags.set(Flags::LOST);
    }

    /// `close()`. The reason tells whether the peer had ended before, or a drain is under way.
    pub(crate) fn close(&mut self, draining: bool) {
        let reason = match (self.has(Flags::EOF), draining) {
            (true, _) => CloseReason::Eof,
            (false, true) => CloseReason::Drained,
            (false, false) => CloseReason::Closed,
        };
        self.end(reason, Phase::Flushing);
    }

    /// The session is gone. The socket waits for the peer's end of file.
    pub(crate) fn linger(&mut self) {
        self.set_phase(Phase::Lingering);
    }

    /// Why the connection ended. Without a reason, both directions have ended by themselves.
    pub(crate) fn take_reason(&mut self) -> CloseReason {
        CloseReason::new(self.reason.unwrap_or(CloseKind::Eof), self.error.take())
    }

    pub(crate) fn pause(&mut self) {
        self.flags.set(Flags::PAUSED);
    }

    pub(crate) fn pause_when_full(&mut self, on: bool) {
        self.flags.put(Flags::PAUSE_WHEN_FULL, on);
    }

    /// The callers pass limits that are not those of all connections.
    pub(crate) fn use_own_limits(&mut self) {
        self.flags.set(Flags::OWN_LIMITS);
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

    /// True, once, if a timer has to try sending again.
    pub(crate) fn take_out_of_buffers(&mut self) -> bool {
        self.flags.take(Flags::OUT_OF_BUFFERS)
    }

    /// Brings `total`, which counts the buffers of all connections, up to date with what these buffers own now.
    pub(crate) fn count_memory(&mut self, total: &mut usize) {
        let memory = self.outbox.capacity() + self.inbox.capacity();
        let counted = u32::try_from(memory).unwrap_or(u32::MAX);
        *total = *total - self.counted() + counted as usize;
        self.counted = counted;
    }

    /// The storage that the buffers own now, in bytes.
    #[cfg(test)]
    pub(crate) fn owned(&self) -> usize {
        self.outbox.capacity() + self.inbox.capacity()
    }

    /// True if the sums of the outbox are those of its segments.
    #[cfg(test)]
    pub(crate) fn is_outbox_summed_up(&self) -> bool {
        self.outbox.is_summed_up()
    }

    /// How many unsent bytes are in memory.
    #[cfg(test)]
    pub(crate) fn queued_in_memory(&self) -> usize {
        self.outbox.in_memory()
    }

    /// True if [`count_memory`](Self::count_memory) must run: a buffer holds bytes, or the last count was not zero.
    pub(crate) fn owns_buffers(&self) -> bool {
        (self.counted > 0) | !self.outbox.is_empty() | !self.inbox.is_empty()
    }

    /// The storage that the buffers owned when the storage was counted last, in bytes.
    pub(crate) fn counted(&self) -> usize {
        self.counted as usize
    }

    /// The memory that the end of this connection may free, in bytes. Shared blocks are freed by their last holder.
    pub(crate) fn memory(&self) -> u64 {
        u64::from(self.counted) + self.outbox.shared()
    }

    /// True if bytes moved since [`forget_moved`](Self::forget_moved).
    pub(crate) fn has_moved(&self) -> bool {
        self.has(Flags::MOVED)
    }

    pub(crate) fn forget_moved(&mut self) {
        self.flags.clear(Flags::MOVED);
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

    /// True if bytes that were taken from the handler did not reach the kernel.
    pub(crate) fn has_lost(&self) -> bool {
        self.has(Flags::LOST)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.has(Flags::PAUSED)
    }

    pub(crate) fn is_eof(&self) -> bool {
        self.has(Flags::EOF)
    }

    fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
        self.flags.put(Flags::ENDING, phase != Phase::Open);
    }

    /// True if one of these flags is set.
    fn has(&self, any: Flags) -> bool {
        self.flags.has_any(any)
    }
}
