//! A stream that does what its script says, and that objects to being used when it should be left alone.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read, Write},
};

use crate::{close::CloseReason, socket::readiness::Readiness};

/// What one call of `read` or `write` meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// So many bytes at the most.
    Bytes(usize),
    /// End of file; for a write, nothing taken.
    Zero,
    /// It stays until `let_read` or `let_write` lifts it, however often it is met.
    WouldBlock,
    Interrupted,
    /// An urgent mark: a read stops here, though more stands behind it.
    Mark,
    OutOfBuffers,
    Error(ErrorKind),
}

/// Reads give the bytes of [`incoming`], writes are kept. A script that has come to its end blocks reads and takes
/// every write whole.
#[derive(Debug)]
pub(super) struct Script {
    reads: VecDeque<Step>,
    writes: VecDeque<Step>,
    /// As TCP does: a read goes on over the bytes of several steps, so that a short one tells that no more is there.
    coalesces: bool,
    /// How many bytes were read.
    pub(super) given: usize,
    pub(super) written: Vec<u8>,
    pub(super) write_calls: usize,
    pub(super) would_blocks: usize,
    /// No event has said that a write is worth while since the last one found that it is not, or at all.
    pub(super) write_waits: bool,
    /// The kernel owes an event: a write met `WouldBlock`.
    write_edge_owed: bool,
    read_ended: bool,
    /// A write failed, or was shut down.
    write_ended: bool,
    /// The first error that was returned, other than those that only mean "later".
    pub(super) error: Option<ErrorKind>,
}

impl Script {
    pub(super) fn new(reads: impl IntoIterator<Item = Step>, writes: impl IntoIterator<Item = Step>) -> Self {
        Self {
            reads: reads.into_iter().collect(),
            writes: writes.into_iter().collect(),
            coalesces: false,
            given: 0,
            written: Vec::new(),
            write_calls: 0,
            would_blocks: 0,
            write_waits: true,
            write_edge_owed: false,
            read_ended: false,
            write_ended: false,
            error: None,
        }
    }

    pub(super) fn coalescing(mut self, coalesces: bool) -> Self {
        self.coalesces = coalesces;
        self
    }

    /// The peer sends what stands behind the next `WouldBlock`; returns the one event that the kernel makes of it.
    pub(super) fn let_read(&mut self) -> Option<Readiness> {
        let barrier = self.reads.iter().position(|step| *step == Step::WouldBlock)?;
        self.reads.remove(barrier);
        Some(self.arrival(barrier))
    }

    /// The event for what stands in the script from `start` up to the next `WouldBlock`.
    pub(super) fn arrival(&self, start: usize) -> Readiness {
        let news = || self.reads.iter().skip(start).take_while(|step| **step != Step::WouldBlock);
        Readiness {
            readable: true,
            short_reads_unreliable: news().any(|step| !matches!(step, Step::Bytes(_) | Step::Interrupted)),
            error: news().any(|step| matches!(step, Step::Error(_))),
            ..Readiness::default()
        }
    }

    /// SO_ERROR: the error that has arrived, whatever stands before it. What then comes is the end of file.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        let arrived = self.reads.iter_mut().take_while(|step| **step != Step::WouldBlock);
        let step = arrived.into_iter().find(|step| matches!(step, Step::Error(_)))?;
        let error = std::mem::replace(step, Step::Zero);
        Some(self.error_of(error).into())
    }

    /// The peer makes room: the next `WouldBlock` goes, if there is one. The event says `writable` only if a write has
    /// met it: the kernel does not tell of room that nobody missed.
    pub(super) fn let_write(&mut self) -> Option<Readiness> {
        let barrier = self.writes.iter().position(|step| *step == Step::WouldBlock)?;
        self.writes.remove(barrier);
        let missed = barrier == 0 && std::mem::take(&mut self.write_edge_owed);
        Some(Readiness { writable: missed, ..Readiness::default() })
    }

    pub(super) fn shutdown_write(&mut self) {
        assert!(!self.write_ended, "shut down twice, or after an error");
        self.write_ended = true;
    }

    /// Whether a read would find something: bytes, the end or an error.
    pub(super) fn has_news(&self) -> bool {
        let next = self.reads.iter().find(|step| **step != Step::Mark);
        !self.read_ended && next.is_some_and(|step| *step != Step::WouldBlock)
    }

    pub(super) fn was_read_to_the_end(&self) -> bool {
        self.read_ended
    }

    fn take(&mut self, slices: &[&[u8]]) -> io::Result<usize> {
        assert!(slices.iter().all(|slice| !slice.is_empty()), "0 would mean nothing");
        assert!(!self.write_ended, "a write after the end of the sending direction");
        assert!(!self.write_waits, "a write before an event said that it is worth while");
        self.write_calls += 1;
        let limit = match self.writes.front().copied() {
            None => usize::MAX,
            Some(Step::Bytes(n)) => n,
            Some(Step::Zero) => {
                self.write_ended = true;
                self.error.get_or_insert(ErrorKind::WriteZero);
                0
            }
            Some(Step::WouldBlock) => {
                (self.write_waits, self.write_edge_owed) = (true, true);
                self.would_blocks += 1;
                return Err(ErrorKind::WouldBlock.into());
            }
            Some(Step::OutOfBuffers) => {
                self.writes.pop_front();
                self.write_waits = true;
                return Err(out_of_buffers());
            }
            Some(step) => {
                self.writes.pop_front();
                let kind = self.error_of(step);
                self.write_ended = kind != ErrorKind::Interrupted;
                return Err(kind.into());
            }
        };
        self.writes.pop_front();
        let before = self.written.len();
        for slice in slices {
            let n = slice.len().min(limit - (self.written.len() - before));
            self.written.extend_from_slice(&slice[..n]);
        }
        Ok(self.written.len() - before)
    }

    fn error_of(&mut self, step: Step) -> ErrorKind {
        match step {
            Step::Interrupted => ErrorKind::Interrupted,
            Step::Error(kind) => {
                self.error.get_or_insert(kind);
                kind
            }
            step => panic!("{step:?} has no meaning in this direction"),
        }
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "0 would not mean the end");
        assert!(!self.read_ended, "a read after the end of the receiving direction");
        while self.reads.front() == Some(&Step::Mark) {
            self.reads.pop_front();
        }
        let mut n = 0;
        while n < buffer.len() {
            match self.reads.front_mut() {
                Some(Step::Bytes(left)) if n == 0 || self.coalesces => {
                    let step = (*left).min(buffer.len() - n);
                    *left -= step;
                    if *left == 0 {
                        self.reads.pop_front();
                    }
                    for byte in &mut buffer[n..n + step] {
                        *byte = incoming(self.given);
                        self.given += 1;
                    }
                    n += step;
                }
                // Signals come when they like and say nothing about what is there.
                Some(Step::Interrupted) if n > 0 && self.coalesces => _ = self.reads.pop_front(),
                _ => break,
            }
        }
        if n > 0 {
            return Ok(n);
        }
        match self.reads.front().copied() {
            None | Some(Step::WouldBlock) => {
                self.would_blocks += 1;
                Err(ErrorKind::WouldBlock.into())
            }
            Some(Step::Zero) => {
                self.read_ended = true;
                Ok(0)
            }
            Some(step) => {
                self.reads.pop_front();
                let kind = self.error_of(step);
                self.read_ended = kind != ErrorKind::Interrupted;
                Err(kind.into())
            }
        }
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(&[bytes])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.take(&slices.iter().map(|slice| &**slice).collect::<Vec<_>>())
    }

    fn flush(&mut self) -> io::Result<()> {
        unreachable!("a socket has nothing to flush")
    }
}

/// ENOBUFS has no kind, and another number on each platform; the code under test knows which.
fn out_of_buffers() -> io::Error {
    let numbers = [105, 55, 10055].map(io::Error::from_raw_os_error);
    numbers
        .into_iter()
        .find(crate::socket::platform::is_out_of_buffers)
        .expect("one of them is this platform's")
}

/// The byte at this place of what the peer sends. Neighbours and periods differ, so a byte that was lost, doubled or
/// moved shows.
pub(super) fn incoming(place: usize) -> u8 {
    let mixed = (place as u32).wrapping_mul(0x9e37_79b1);
    ((mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca77) >> 24) as u8
}

pub(super) fn incoming_bytes(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(incoming).collect()
}

/// What the reason has to be when this error was the first.
pub(super) fn reason_of(error: ErrorKind) -> crate::CloseKind {
    CloseReason::from_error(error.into()).kind()
}
