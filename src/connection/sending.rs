//! The sending direction: the kernel takes some bytes now, the others wait in the outbox.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use crate::{close::CloseReason, flow::Flow, options::Options, socket::platform, stats::Stats};

use super::{Connection, Flags, Phase};

impl<T: Read + Write> Connection<T> {
    /// Hands the outbox, `gathered` and `bytes`, in this order, to the kernel. Keeps the bytes that the kernel does not take.
    pub(crate) fn send(
        &mut self,
        gathered: &[u8],
        bytes: &[u8],
        limits: &Options,
        stats: &mut Stats,
    ) -> Flow {
        debug_assert!(gathered.is_empty() || self.outbox.is_empty(), "gathered bytes are the oldest");
        if gathered.is_empty() && !bytes.is_empty() && self.goes_at_once(bytes, limits) {
            return self.send_at_once(bytes, limits, stats);
        }
        let taken = self.offer(gathered, bytes, limits, stats);
        let rest = &gathered[taken.min(gathered.len())..];
        if !rest.is_empty() && self.keep(rest, limits, stats) == Flow::Gone {
            return Flow::Gone;
        }
        self.keep(&bytes[taken.saturating_sub(gathered.len())..], limits, stats)
    }

    /// Sends what one callback gathered. The handler was told that these bytes are taken.
    #[inline(always)]
    pub(crate) fn send_gathered(&mut self, gathered: &[u8], limits: &Options, stats: &mut Stats) {
        let flow = if self.goes_at_once(gathered, limits) {
            self.send_at_once(gathered, limits, stats)
        } else {
            self.send_behind(gathered, limits, stats)
        };
        if flow == Flow::Gone {
            self.flags.set(Flags::LOST);
        }
    }

    /// True if one `send` may take all bytes. That is nearly always so, and has a path of its own.
    #[inline(always)]
    fn goes_at_once(&self, bytes: &[u8], limits: &Options) -> bool {
        self.flags.has_just(Flags::WRITABLE, Flags::ENDING)
            && self.outbox.is_empty()
            && self.has_budget_for(bytes.len(), limits)
    }

    #[inline(always)]
    fn send_at_once(&mut self, bytes: &[u8], limits: &Options, stats: &mut Stats) -> Flow {
        match self.stream.write(bytes) {
            Ok(taken) if taken == bytes.len() => {
                self.count_sent(taken, stats);
                Flow::Open
            }
            result => self.send_the_rest(result, bytes, limits, stats),
        }
    }

    #[cold]
    fn send_behind(&mut self, gathered: &[u8], limits: &Options, stats: &mut Stats) -> Flow {
        self.send(gathered, &[], limits, stats)
    }

    #[cold]
    fn send_the_rest(
        &mut self,
        result: io::Result<usize>,
        bytes: &[u8],
        limits: &Options,
        stats: &mut Stats,
    ) -> Flow {
        match self.account(result, bytes.len(), stats) {
            Some(taken) => self.send(&bytes[taken..], &[], limits, stats),
            None => self.keep(bytes, limits, stats),
        }
    }

    /// Appends to the outbox without a system call.
    pub(crate) fn keep(&mut self, bytes: &[u8], limits: &Options, stats: &mut Stats) -> Flow {
        if self.phase == Phase::Failing || self.phase > Phase::Flushing {
            stats.sends_discarded += 1;
            return Flow::Gone;
        }
        if self.outbox.len() + bytes.len() > limits.max_outbox {
            self.flags.set(Flags::LOST); // the kernel may have taken a part of the bytes
            self.end(CloseReason::OutboxLimit, Phase::Resetting);
            stats.sends_discarded += 1;
            return Flow::Gone;
        }
        self.outbox.push(bytes);
        if self.outbox.len() < limits.high_water && self.has_budget(limits) {
            return Flow::Open;
        }
        stats.reads_paused += u64::from(self.flags.has_just(Flags::PAUSE_WHEN_FULL, Flags::FULL));
        self.flags.set(Flags::FULL | Flags::WRITABLE_OWED);
        Flow::Full
    }

    /// `send(2)`: hands over as much as the kernel takes now, and returns how much that was.
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
        self.flags.set(Flags::WRITABLE_OWED | Flags::WRITABLE_MUST_BE_READY);
        Err(ErrorKind::WouldBlock.into())
    }

    /// Hands the outbox to the kernel, as far as it takes bytes.
    pub(crate) fn flush(&mut self, limits: &Options, stats: &mut Stats) {
        if !self.outbox.is_empty() {
            self.offer(&[], &[], limits, stats);
        }
    }

    /// Writes the outbox, or `gathered` if the outbox is empty, and then `bytes`, until all bytes are taken, the budget is
    /// spent or the kernel takes no more. Returns how many bytes of `gathered` and `bytes` were taken.
    fn offer(&mut self, gathered: &[u8], bytes: &[u8], limits: &Options, stats: &mut Stats) -> usize {
        let mut taken = 0;
        loop {
            let budget = self.budget(limits);
            if !self.can_write() || budget == 0 {
                return taken;
            }
            let queued = self.outbox.len();
            let first =
                if queued > 0 { self.outbox.pending() } else { &gathered[taken.min(gathered.len())..] };
            let second = &bytes[taken.saturating_sub(gathered.len())..];
            let first = &first[..first.len().min(budget)];
            let second = &second[..second.len().min(budget - first.len())];
            let result = match (first, second) {
                ([], []) => return taken,
                (one, []) | ([], one) => self.stream.write(one),
                (one, two) => self.stream.write_vectored(&[IoSlice::new(one), IoSlice::new(two)]),
            };
            let Some(n) = self.account(result, first.len() + second.len(), stats) else { return taken };
            let from_outbox = n.min(queued);
            self.outbox.advance(from_outbox);
            taken += n - from_outbox;
        }
    }

    /// True if the kernel may take bytes and is to get any: it gets none after a failure or an abort.
    fn can_write(&self) -> bool {
        self.has(Flags::WRITABLE) & matches!(self.phase, Phase::Open | Phase::Flushing)
    }

    /// Counts the result of one `send` of `asked` bytes. `None`: another `send` makes no sense now.
    #[inline]
    fn account(&mut self, result: io::Result<usize>, asked: usize, stats: &mut Stats) -> Option<usize> {
        match result {
            Ok(n) if n > 0 => {
                stats.partial_sends += u64::from(n < asked);
                self.count_sent(n, stats);
                Some(n)
            }
            Ok(_) => self.send_stopped(ErrorKind::WriteZero.into(), stats),
            Err(error) => self.send_stopped(error, stats),
        }
    }

    #[inline]
    fn count_sent(&mut self, n: usize, stats: &mut Stats) {
        stats.sends += 1;
        stats.bytes_sent += n as u64;
        self.spent += n as u32; // n is within the budget, which fits
        self.flags.set(Flags::MOVED);
    }

    #[cold]
    fn send_stopped(&mut self, error: io::Error, stats: &mut Stats) -> Option<usize> {
        match error.kind() {
            ErrorKind::Interrupted => return Some(0),
            ErrorKind::WouldBlock => {
                stats.would_blocks += 1;
                self.flags.clear(Flags::WRITABLE);
            }
            _ if platform::is_out_of_buffers(&error) => {
                self.flags.clear(Flags::WRITABLE);
                self.flags.set(Flags::OUT_OF_BUFFERS);
            }
            _ => {
                self.flags.set(Flags::LOST);
                self.fail(error);
            }
        }
        None
    }
}
