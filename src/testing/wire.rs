//! The two directions between a connection and a peer that is played by a test.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::source::connection::Readiness;

/// Both ends hold one: the connection reads and writes, the test plays the peer.
///
/// A mutex, though there is one thread: a reactor can be sent to another one, and so must its streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Mutex<Ends>>);

#[derive(Debug)]
struct Ends {
    to_us: VecDeque<u8>,
    /// The peer has ended its direction.
    eof: bool,
    /// The peer has reset, and we have not been told yet.
    reset: bool,
    to_peer: Vec<u8>,
    /// How many bytes the peer still takes.
    capacity: usize,
    /// We have ended our direction.
    fin: bool,
    reset_on_close: bool,
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            to_us: VecDeque::new(),
            eof: false,
            reset: false,
            to_peer: Vec::new(),
            capacity: usize::MAX,
            fin: false,
            reset_on_close: false,
        }
    }
}

/// What the peer does.
impl Wire {
    pub(crate) fn feed(&self, bytes: &[u8]) {
        self.ends().to_us.extend(bytes);
    }

    pub(crate) fn end(&self) {
        self.ends().eof = true;
    }

    pub(crate) fn reset(&self) {
        self.ends().reset = true;
    }

    pub(crate) fn set_capacity(&self, bytes: usize) {
        self.ends().capacity = bytes;
    }

    pub(crate) fn take_sent(&self) -> Vec<u8> {
        std::mem::take(&mut self.ends().to_peer)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ends().fin || Arc::strong_count(&self.0) == 1
    }

    pub(crate) fn was_reset_by_us(&self) -> bool {
        self.ends().reset_on_close && Arc::strong_count(&self.0) == 1
    }

    /// What a poll would say now.
    pub(crate) fn readiness(&self) -> Readiness {
        let ends = self.ends();
        Readiness {
            readable: !ends.to_us.is_empty() || ends.eof || ends.reset,
            writable: ends.capacity > 0 || ends.reset,
            short_reads_lie: ends.eof || ends.reset,
            error: ends.reset,
        }
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the connection does, beside reading and writing.
impl Wire {
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.ends().fin = true;
        Ok(())
    }

    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        self.ends().reset_on_close = true;
        Ok(())
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        std::mem::take(&mut self.ends().reset).then(|| ErrorKind::ConnectionReset.into())
    }
}

impl Read for Wire {
    #[cold]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ends = self.ends();
        match ends.to_us.read(buffer)? {
            0 if ends.reset => Err(ErrorKind::ConnectionReset.into()),
            0 if ends.eof => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for Wire {
    #[cold]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut ends = self.ends();
        if ends.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let n = bytes.len().min(ends.capacity);
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        ends.capacity -= if ends.capacity == usize::MAX { 0 } else { n };
        ends.to_peer.extend_from_slice(&bytes[..n]);
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
