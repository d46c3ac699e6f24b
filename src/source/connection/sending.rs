//! The sending direction: what the kernel takes now, and what waits until it takes more.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use crate::{close::CloseReason, net::Flow, options::Options, stats::Stats, stream};

use super::{Connection, Phase};

impl<T: Read + Write> Connection<T> {
    /// Hands `gathered` and then `bytes` to the kernel, behind what waits already, and keeps what it does not take.
    pub(crate) fn send(
        &mut self,
        gathered: &[u8],
        bytes: &[u8],
        limits: &Options,
        stats: &mut Stats,
    ) -> Flow {
        debug_assert!(gathered.is_empty() || self.outbox.is_empty(), "gathered bytes are the oldest");
        let taken = self.offer(gathered, bytes, limits, stats);
        let rest = &gathered[taken.min(gathered.len())..];
        if !rest.is_empty() && self.keep(rest, limits, stats) == Flow::Gone {
            return Flow::Gone;
        }
        self.keep(&bytes[taken.saturating_sub(gathered.len())..], limits, stats)
    }

    /// Appends to the outbox without asking the kernel.
    pub(crate) fn keep(&mut self, bytes: &[u8], limits: &Options, stats: &mut Stats) -> Flow {
        if self.phase == Phase::Failing || self.phase > Phase::Flushing {
            stats.sends_discarded += 1;
            return Flow::Gone;
        }
        if self.outbox.len() + bytes.len() > limits.max_outbox {
            self.end(CloseReason::OutboxLimit, Phase::Resetting);
            stats.sends_discarded += 1;
            return Flow::Gone;
        }
        self.outbox.push(bytes);
        if self.outbox.len() < limits.high_water && self.has_budget(limits) {
            return Flow::Open;
        }
        self.full = true;
        self.writable_owed = true;
        Flow::Full
    }

    /// `send(2)`: hands over what the kernel takes now, and says how much.
    pub(crate) fn try_send(
        &mut self,
        bytes: &[u8],
        limits: &Options,
        stats: &mut Stats,
    ) -> io::Result<usize> {
        let taken = if self.outbox.is_empty() { self.offer(&[], bytes, limits, stats) } else { 0 };
        if taken > 0 || bytes.is_empty() {
            return Ok(taken);
        }
        if !self.takes_sends() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.writable_owed = true;
        self.writable_must_be_ready = true;
        Err(ErrorKind::WouldBlock.into())
    }

    /// Hands over what waits in the outbox.
    pub(crate) fn flush(&mut self, limits: &Options, stats: &mut Stats) {
        if !self.outbox.is_empty() {
            self.offer(&[], &[], limits, stats);
        }
    }

    /// Writes the outbox, or else `gathered`, and then `bytes`; returns how much of the latter two was taken.
    fn offer(&mut self, gathered: &[u8], bytes: &[u8], limits: &Options, stats: &mut Stats) -> usize {
        if !self.writable {
            return 0;
        }
        let queued = self.outbox.len();
        let first = if queued > 0 { self.outbox.pending() } else { gathered };
        let budget = limits.write_budget.saturating_sub(self.spent);
        let (taken, stopped) = hand_over(&mut self.stream, first, bytes, budget, stats);
        self.spent += taken;
        let from_outbox = taken.min(queued);
        self.outbox.advance(from_outbox);
        match stopped {
            Stopped::Done => {}
            Stopped::WouldBlock => self.writable = false,
            Stopped::OutOfBuffers => {
                self.writable = false;
                self.out_of_buffers = true;
            }
            Stopped::Failed(error) => self.fail(error),
        }
        taken - from_outbox
    }
}

enum Stopped {
    Done,
    WouldBlock,
    OutOfBuffers,
    Failed(io::Error),
}

/// `send` until both slices are taken, the budget is spent, or the kernel takes no more.
fn hand_over(
    stream: &mut impl Write,
    first: &[u8],
    second: &[u8],
    budget: usize,
    stats: &mut Stats,
) -> (usize, Stopped) {
    let total = (first.len() + second.len()).min(budget);
    let mut taken = 0;
    while taken < total {
        let ahead = &first[taken.min(first.len())..first.len().min(total)];
        let behind = &second[taken.saturating_sub(first.len())..total.saturating_sub(first.len())];
        let result = match (ahead, behind) {
            (one, []) | ([], one) => stream.write(one),
            (one, two) => stream.write_vectored(&[IoSlice::new(one), IoSlice::new(two)]),
        };
        match result {
            Ok(0) => return (taken, Stopped::Failed(ErrorKind::WriteZero.into())),
            Ok(n) => {
                stats.sends += 1;
                stats.bytes_sent += n as u64;
                stats.partial_sends += u64::from(n < total - taken);
                taken += n;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stats.would_blocks += 1;
                return (taken, Stopped::WouldBlock);
            }
            Err(error) if stream::is_out_of_buffers(&error) => return (taken, Stopped::OutOfBuffers),
            Err(error) => return (taken, Stopped::Failed(error)),
        }
    }
    (taken, Stopped::Done)
}
