//! A stream without a socket: both directions are in memory, and a test plays the peer and the kernel.
//!
//! Readiness has the edge semantics of epoll: an event is due when bytes, an end of file or a reset arrive, and when room
//! for writing comes after a write has met its end. An event says everything that is ready at the moment when it is taken.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::readiness::Readiness;

/// The connection and the test each hold a clone: the connection reads and writes, the test plays the peer.
///
/// There is a mutex although one thread uses both clones, because a reactor can be sent to another thread with its
/// streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryStream(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Bytes from the peer that the connection has not read.
    incoming: VecDeque<u8>,
    /// The peer has ended its sending direction.
    eof: bool,
    /// The peer has reset the connection.
    reset: bool,
    /// The reset has not been reported yet, by a read, a write or `take_error`.
    error_is_pending: bool,
    /// Bytes that the connection has written.
    outgoing: Vec<u8>,
    /// How many bytes the peer still takes.
    capacity: usize,
    /// A write took fewer bytes than it was given, so the next room is an edge.
    write_met_the_end: bool,
    /// An edge has come that no event has reported yet.
    edge: bool,
    /// The connection has shut down its sending direction.
    fin: bool,
    reset_on_close: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            incoming: VecDeque::new(),
            eof: false,
            reset: false,
            error_is_pending: false,
            outgoing: Vec::new(),
            capacity: usize::MAX,
            write_met_the_end: false,
            edge: true, // a new registration reports that the stream is writable
            fin: false,
            reset_on_close: false,
        }
    }
}

/// The peer's side.
impl MemoryStream {
    pub(crate) fn feed(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.incoming.extend(bytes);
        state.edge |= !bytes.is_empty();
    }

    pub(crate) fn end(&self) {
        let mut state = self.state();
        (state.eof, state.edge) = (true, true);
    }

    pub(crate) fn reset(&self) {
        let mut state = self.state();
        (state.reset, state.error_is_pending, state.edge) = (true, true, true);
    }

    /// The peer takes so many further bytes.
    pub(crate) fn set_capacity(&self, bytes: usize) {
        let mut state = self.state();
        state.capacity = bytes;
        if bytes > 0 && std::mem::take(&mut state.write_met_the_end) {
            state.edge = true;
        }
    }

    /// Takes the bytes that the connection has written since the last call.
    pub(crate) fn take_sent(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().outgoing)
    }

    /// True once the peer reads an end of file or a reset.
    pub(crate) fn is_ended(&self) -> bool {
        self.state().fin || self.is_closed()
    }

    pub(crate) fn was_reset_by_connection(&self) -> bool {
        self.state().reset_on_close && self.is_closed()
    }

    /// Takes the event that is due, if an edge has come since the last one.
    pub(crate) fn take_event(&self) -> Option<Readiness> {
        let mut state = self.state();
        std::mem::take(&mut state.edge).then(|| Readiness {
            readable: !state.incoming.is_empty() || state.eof || state.reset,
            writable: state.capacity > 0 || state.reset,
            short_reads_unreliable: state.eof || state.reset,
            error: state.error_is_pending,
            peer_closed: state.eof || state.reset,
        })
    }

    /// True once the connection has dropped its clone.
    fn is_closed(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's side, beside reading and writing.
impl MemoryStream {
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.state().fin = true;
        Ok(())
    }

    pub(super) fn reset_on_close(&self) -> io::Result<()> {
        self.state().reset_on_close = true;
        Ok(())
    }

    pub(super) fn take_error(&self) -> Option<io::Error> {
        std::mem::take(&mut self.state().error_is_pending).then(|| ErrorKind::ConnectionReset.into())
    }
}

impl Read for MemoryStream {
    #[cold]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        // A `VecDeque` reads from one of its two halves. A stream whose short read means that it is empty reads both.
        let first = state.incoming.read(buffer)?;
        match first + state.incoming.read(&mut buffer[first..])? {
            0 if std::mem::take(&mut state.error_is_pending) => Err(ErrorKind::ConnectionReset.into()),
            0 if state.eof || state.reset => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for MemoryStream {
    #[cold]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        if std::mem::take(&mut state.error_is_pending) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if state.reset || state.fin {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let n = bytes.len().min(state.capacity);
        state.write_met_the_end |= n < bytes.len();
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.capacity -= if state.capacity == usize::MAX { 0 } else { n };
        state.outgoing.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut taken = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            match self.write(slice) {
                Ok(n) => taken += n,
                Err(error) if taken == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_due_once_for_an_edge_and_says_all_that_is_ready() {
        let (mut stream, both) =
            (MemoryStream::default(), Readiness { writable: true, ..Readiness::READABLE });
        assert_eq!(stream.take_event(), Some(Readiness::WRITABLE), "the registration");
        assert_eq!(stream.take_event(), None);
        stream.feed(b"one");
        stream.feed(b" two");
        assert_eq!(stream.take_event(), Some(both));
        assert_eq!(stream.read(&mut [0; 2]).unwrap(), 2);
        assert_eq!(stream.take_event(), None, "unread bytes are no edge");
        stream.feed(b"!");
        assert_eq!(stream.take_event(), Some(both));
    }

    #[test]
    fn a_read_returns_less_than_it_was_asked_for_only_if_the_stream_is_empty_then() {
        let (mut stream, mut buffer) = (MemoryStream::default(), [0; 64]);
        for fed in 1..200 {
            stream.feed(&vec![7; fed % 60]);
            let asked = &mut buffer[..1 + fed % 64];
            let read = stream.read(asked).unwrap_or(0);
            assert!(
                read == asked.len() || stream.state().incoming.is_empty(),
                "{read} bytes after feed {fed}"
            );
        }
    }

    #[test]
    fn room_is_an_edge_only_after_a_write_has_met_its_end() {
        let mut stream = MemoryStream::default();
        stream.take_event();
        stream.set_capacity(3);
        assert_eq!(stream.write(b"abc").unwrap(), 3);
        stream.set_capacity(2);
        assert_eq!(stream.take_event(), None, "the write was taken whole");
        assert_eq!(stream.write(b"def").unwrap(), 2);
        stream.set_capacity(1);
        assert_eq!(stream.take_event(), Some(Readiness::WRITABLE));
    }

    #[test]
    fn a_reset_leaves_earlier_bytes_readable_and_is_reported_once() {
        let mut stream = MemoryStream::default();
        stream.feed(b"last");
        stream.reset();
        let mut buffer = [0; 9];
        assert_eq!(stream.read(&mut buffer).unwrap(), 4);
        assert_eq!(stream.read(&mut buffer).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
        assert_eq!(stream.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
