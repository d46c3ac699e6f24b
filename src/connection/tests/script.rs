//! A stream that follows a script, and that panics if the connection uses it at a wrong time.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read, Write},
};

use crate::{
    close::CloseReason,
    socket::{file::SendFile, readiness::Readiness},
};

/// The result of one call of `read` or `write`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The call reads or writes at most this number of bytes.
    Bytes(usize),
    /// A read returns the end of file. A write takes 0 bytes.
    Zero,
    /// Each call returns `WouldBlock` until `let_read` or `let_write` removes this step.
    WouldBlock,
    Interrupted,
    /// An urgent mark. A read ends here, even if more bytes stand behind the mark.
    Mark,
    OutOfBuffers,
    Error(ErrorKind),
}

/// A stream with a script for each direction. Reads return the bytes of [`incoming`], and written bytes are kept. At the
/// end of its script, a read returns `WouldBlock` and a write takes all bytes.
#[derive(Debug)]
pub(super) struct Script {
    reads: VecDeque<Step>,
    writes: VecDeque<Step>,
    /// If true, a read goes on over the bytes of several steps, as TCP does. Then a short read shows that no more bytes are
    /// there.
    coalesces: bool,
    /// The number of bytes that were read.
    pub(super) given: usize,
    pub(super) written: Vec<u8>,
    pub(super) write_calls: usize,
    pub(super) would_blocks: usize,
    /// True until the first write event, and from each `WouldBlock` of a write until the next write event. A write is a
    /// fault then.
    pub(super) write_waits: bool,
    /// True if the kernel owes a write event, because a write returned `WouldBlock`.
    write_edge_owed: bool,
    read_ended: bool,
    /// True if a write failed or the writing direction was shut down.
    write_ended: bool,
    /// The first error that was returned. `WouldBlock`, `Interrupted` and ENOBUFS do not count.
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

    /// Removes the next `WouldBlock` of a read, as if the peer had sent the steps behind it. Returns the one event that the
    /// kernel makes for them.
    pub(super) fn let_read(&mut self) -> Option<Readiness> {
        let barrier = self.reads.iter().position(|step| *step == Step::WouldBlock)?;
        self.reads.remove(barrier);
        Some(self.arrival(barrier))
    }

    /// Returns the event for the steps from `start` up to the next `WouldBlock`.
    pub(super) fn arrival(&self, start: usize) -> Readiness {
        let news = || self.reads.iter().skip(start).take_while(|step| **step != Step::WouldBlock);
        Readiness {
            readable: true,
            short_reads_unreliable: news().any(|step| !matches!(step, Step::Bytes(_) | Step::Interrupted)),
            error: news().any(|step| matches!(step, Step::Error(_))),
            ..Readiness::default()
        }
    }

    /// Removes the next `WouldBlock` of a write, if there is one, as if the peer had made room. The event says `writable`
    /// only if a write has returned that `WouldBlock`: the kernel reports room only after a write that found none.
    pub(super) fn let_write(&mut self) -> Option<Readiness> {
        let barrier = self.writes.iter().position(|step| *step == Step::WouldBlock)?;
        self.writes.remove(barrier);
        let missed = barrier == 0 && std::mem::take(&mut self.write_edge_owed);
        Some(Readiness { writable: missed, ..Readiness::default() })
    }

    pub(super) fn shutdown_write(&mut self) {
        assert!(!self.write_ended, "the stream is shut down twice, or after an error");
        self.write_ended = true;
    }

    fn take(&mut self, slices: &[&[u8]]) -> io::Result<usize> {
        assert!(
            slices.iter().all(|slice| !slice.is_empty()),
            "an empty slice is written, so a result of 0 would be ambiguous"
        );
        assert!(!self.write_ended, "a write after the end of the sending direction");
        assert!(!self.write_waits, "a write before an event reported the stream writable");
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
        assert!(
            !buffer.is_empty(),
            "a read into an empty buffer, so a result of 0 would not mean the end of file"
        );
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
                // A signal interrupts a read only before its first byte, so the read goes on.
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

impl SendFile for Script {}

/// Returns ENOBUFS, which has no `ErrorKind`, and a different number on each platform. The code under test knows the
/// number.
fn out_of_buffers() -> io::Error {
    let numbers = [105, 55, 10055].map(io::Error::from_raw_os_error);
    numbers
        .into_iter()
        .find(crate::socket::platform::is_out_of_buffers)
        .expect("the number of this platform is in the list")
}

/// Returns the byte at this place of the input. Neighbouring bytes differ and no period is short, so a comparison finds a
/// byte that was lost, doubled or moved.
pub(super) fn incoming(place: usize) -> u8 {
    let mixed = (place as u32).wrapping_mul(0x9e37_79b1);
    ((mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca77) >> 24) as u8
}

pub(super) fn incoming_bytes(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(incoming).collect()
}

/// Returns the reason that a connection must have if this error was the first.
pub(super) fn reason_of(error: ErrorKind) -> crate::CloseKind {
    CloseReason::from_error(error.into()).kind()
}
