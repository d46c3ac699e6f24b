//! The sending direction: the kernel takes some bytes now, the others wait in the outbox.

use std::io::{self, ErrorKind, Read};

use crate::{
    buffer::{Segment, Slices},
    close::CloseReason,
    flow::Flow,
    options::Options,
    socket::{
        file::{FileError, SendFile},
        platform,
    },
    stats::Stats,
};

use super::{Connection, Flags, Phase};

/// Bytes that a send hands over. The kind decides how the outbox keeps the bytes that the kernel does not take.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// The outbox keeps a copy.
    Borrowed(&'a [u8]),
    /// The outbox keeps the segment itself. The segment is not a file.
    Segment(Segment),
}

impl Piece<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Segment(segment) => segment.bytes(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Borrowed(bytes) => bytes.len(),
            Self::Segment(segment) => segment.in_memory(),
        }
    }

    /// The piece without its first `n` bytes.
    fn skip(self, n: usize) -> Self {
        match self {
            Self::Borrowed(bytes) => Self::Borrowed(&bytes[n..]),
            Self::Segment(mut segment) => {
                segment.advance(n as u64);
                Self::Segment(segment)
            }
        }
    }
}

impl<T: Read + SendFile> Connection<T> {
    /// Hands the outbox, `gathered` and `piece`, in this order, to the kernel. Keeps the bytes that the kernel does not take.
    pub(crate) fn send(
        &mut self,
        gathered: &[u8],
        piece: Piece<'_>,
        limits: &Options,
        stats: &mut Stats,
    ) -> Flow {
        debug_assert!(gathered.is_empty() || self.outbox.is_empty(), "gathered bytes are the oldest");
        let taken = self.offer(gathered, piece.bytes(), limits, stats);
        let rest = &gathered[taken.min(gathered.len())..];
        if !rest.is_empty() && self.keep(Piece::Borrowed(rest), limits, stats) == Flow::Gone {
            return Flow::Gone;
        }
        self.keep(piece.skip(taken.saturating_sub(gathered.len())), limits, stats)
    }

    /// True if one `send` may take all bytes. That is nearly always so, and has a path of its own. Limits of its own take a
    /// connection off that path, so that the path does not look for them.
    #[inline(always)]
    pub(crate) fn goes_at_once(&self, bytes: &[u8], limits: &Options) -> bool {
        self.flags.has_just(Flags::WRITABLE, Flags::ENDING.with(Flags::OWN_LIMITS))
            && self.outbox.is_empty()
            && self.has_budget_for(bytes.len(), limits)
    }

    /// Sends what one callback gathered, if it [goes at once](Self::goes_at_once). The handler was told that these bytes are
    /// taken.
    #[inline(always)]
    pub(crate) fn send_at_once(&mut self, bytes: &[u8], limits: &Options, stats: &mut Stats) {
        match self.stream.write(bytes) {
            Ok(taken) if taken == bytes.len() => self.count_sent(taken, stats),
            result => self.send_the_rest(result, bytes, limits, stats),
        }
    }

    /// Sends what one callback gathered, in all other cases.
    #[cold]
    pub(crate) fn send_behind(&mut self, gathered: &[u8], limits: &Options, stats: &mut Stats) {
        let flow = self.send(gathered, Piece::Borrowed(&[]), limits, stats);
        self.lose_if_gone(flow);
    }

    fn lose_if_gone(&mut self, flow: Flow) {
        if flow == Flow::Gone {
            self.flags.set(Flags::LOST);
        }
    }

    #[cold]
    fn send_the_rest(
        &mut self,
        result: io::Result<usize>,
        bytes: &[u8],
        limits: &Options,
        stats: &mut Stats,
    ) {
        let flow = match self.account(result, bytes.len(), stats) {
            Some(taken) => self.send(&bytes[taken..], Piece::Borrowed(&[]), limits, stats),
            None => self.keep(Piece::Borrowed(bytes), limits, stats),
        };
        self.lose_if_gone(flow);
    }

    /// Appends to the outbox without a system call.
    pub(crate) fn keep(&mut self, piece: Piece<'_>, limits: &Options, stats: &mut Stats) -> Flow {
        if self.outbox.in_memory() + piece.len() > limits.max_outbox && self.keeps_sends() {
            self.flags.set(Flags::LOST); // the kernel may have taken a part of the bytes
            self.end(CloseReason::OutboxLimit, Phase::Resetting);
        }
        if self.keeps_sends() {
            match piece {
                Piece::Borrowed(bytes) => self.outbox.push(bytes),
                Piece::Segment(segment) => self.outbox.push_segment(segment),
            }
        }
        self.flow(limits, stats)
    }

    /// Sends a file, behind the outbox and behind `gathered`. `at_once`: as much as the kernel takes is sent now.
    pub(crate) fn send_file(
        &mut self,
        gathered: &[u8],
        file: Segment,
        at_once: bool,
        limits: &Options,
        stats: &mut Stats,
    ) -> Flow {
        if self.keeps_sends() {
            self.outbox.push(gathered);
            self.outbox.push_segment(file); // a file is not in memory, so `max_outbox` does not count it
            if at_once {
                self.flush(limits, stats);
            }
        }
        self.flow(limits, stats)
    }

    /// True if bytes may still be appended to the outbox.
    fn keeps_sends(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Flushing)
    }

    /// The result of a send whose bytes are in the outbox or with the kernel.
    fn flow(&mut self, limits: &Options, stats: &mut Stats) -> Flow {
        if !self.keeps_sends() {
            stats.sends_discarded += 1;
            return Flow::Gone;
        }
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
        let had_lost = self.has(Flags::LOST);
        let taken = if self.outbox.is_empty() { self.offer(&[], bytes, limits, stats) } else { 0 };
        if !had_lost {
            // Only bytes of this call can be lost here. They stay with the handler, also after a failure.
            self.flags.clear(Flags::LOST);
        }
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

    /// Writes the outbox, and then `gathered` and `bytes`, until all bytes are taken, the budget is spent or the kernel takes
    /// no more. Returns how many bytes of `gathered` and `bytes` were taken.
    fn offer(&mut self, gathered: &[u8], bytes: &[u8], limits: &Options, stats: &mut Stats) -> usize {
        let mut taken = 0;
        loop {
            let budget = self.budget(limits);
            if !self.can_write() || budget == 0 {
                return taken;
            }
            let queued = self.outbox.len();
            let gathered_rest = &gathered[taken.min(gathered.len())..];
            let rest = &bytes[taken.saturating_sub(gathered.len())..];
            let (asked, result) = match self.outbox.only_piece([gathered_rest, rest]) {
                Some([]) => return taken,
                Some(piece) => {
                    let piece = &piece[..piece.len().min(budget)];
                    (piece.len(), Some(self.stream.write(piece)))
                }
                None => self.write_pieces([gathered_rest, rest], budget),
            };
            let Some(n) = result.and_then(|result| self.account(result, asked, stats)) else { return taken };
            let from_outbox = n.min(queued);
            self.outbox.advance(from_outbox);
            taken += n - from_outbox;
        }
    }

    /// Hands the pieces of the outbox, and the pieces behind the outbox, to the kernel by one call, up to the first file. A file at
    /// the front of the outbox has a call of its own. Returns the number of bytes that the kernel was asked to take, and the
    /// result.
    #[inline(never)]
    fn write_pieces(&mut self, behind: [&[u8]; 2], budget: usize) -> (usize, Option<io::Result<usize>>) {
        let mut slices = Slices::new(budget);
        if self.outbox.collect(&mut slices) {
            behind.iter().all(|piece| slices.push(piece));
        }
        let asked = slices.bytes();
        let result = match slices.as_slice() {
            [] => self.write_file(budget),
            [one] => Some(self.stream.write(one)),
            several => Some(self.stream.write_vectored(several)),
        };
        (asked, result)
    }

    /// Hands a part of the file at the front of the outbox to the kernel. `None`: the file failed, and the connection ends.
    #[cold]
    fn write_file(&mut self, budget: usize) -> Option<io::Result<usize>> {
        let Self { outbox, stream, .. } = self;
        match outbox.send_front_file(|file| stream.send_file(file, budget))? {
            Ok(n) => Some(Ok(n)),
            Err(FileError::Stream(error)) => Some(Err(error)),
            Err(FileError::File(error)) => {
                // The reset tells the peer that the answer is truncated.
                self.end(CloseReason::FileFailed(error), Phase::Resetting);
                None
            }
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
