//! The sending half of a connection.

mod verbs;

use std::{
    fmt,
    fs::File,
    io::{self, ErrorKind},
    ops::Range,
    sync::Arc,
};

use crate::{
    engine::{Engine, Entry},
    flow::Flow,
};

/// The sending half of a connection; [`Conn::split`](crate::Conn::split) gives it beside the session.
///
/// An `Output` is not generic over the session, so a protocol can be a plain function over its own state and an `Output`.
/// Beside the sends, it has every call of [`Conn`](crate::Conn) that the session does not matter for. `Output` implements [`io::Write`], for code that wants a writer.
pub struct Output<'a> {
    engine: &'a mut Engine,
    slot: u32,
}

impl<'a> Output<'a> {
    /// The caller guarantees that `slot` holds a connection with a session.
    #[inline]
    pub(super) fn new(engine: &'a mut Engine, slot: u32) -> Self {
        Self { engine, slot }
    }

    /// See [`Conn::send_all`](crate::Conn::send_all).
    #[inline]
    pub fn send_all(&mut self, bytes: &[u8]) -> Flow {
        self.engine.send_all(self.slot, bytes)
    }

    /// See [`Conn::send_shared`](crate::Conn::send_shared).
    pub fn send_shared(&mut self, bytes: &Arc<[u8]>) -> Flow {
        self.engine.send_shared(self.slot, bytes, 0..bytes.len())
    }

    /// See [`Conn::send_shared_range`](crate::Conn::send_shared_range).
    pub fn send_shared_range(&mut self, bytes: &Arc<[u8]>, range: Range<usize>) -> Flow {
        self.engine.send_shared(self.slot, bytes, range)
    }

    /// See [`Conn::send_owned`](crate::Conn::send_owned).
    pub fn send_owned(&mut self, bytes: Vec<u8>) -> Flow {
        self.engine.send_owned(self.slot, bytes)
    }

    /// See [`Conn::send_file`](crate::Conn::send_file).
    pub fn send_file(&mut self, file: File, range: Range<u64>) -> Flow {
        self.engine.send_file(self.slot, file, range)
    }

    /// See [`Conn::write_fmt`](crate::Conn::write_fmt).
    pub fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Flow {
        /// The greatest of the results of all pieces, if there were any.
        struct Pieces<'a, 'b>(&'a mut Output<'b>, Option<Flow>);
        impl fmt::Write for Pieces<'_, '_> {
            fn write_str(&mut self, piece: &str) -> fmt::Result {
                self.1 = self.1.max(Some(self.0.send_all(piece.as_bytes())));
                Ok(())
            }
        }
        let mut pieces = Pieces(self, None);
        if fmt::Write::write_fmt(&mut pieces, text).is_err() {
            log::warn!("a Display implementation failed while it was written to a connection");
        }
        match pieces.1 {
            Some(flow) => flow,
            None => self.send_all(&[]),
        }
    }

    /// See [`Conn::try_send`](crate::Conn::try_send).
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.entry() {
            Some(mut entry) => entry.try_send(bytes),
            None => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// See [`Conn::send_unconsumed`](crate::Conn::send_unconsumed).
    pub fn send_unconsumed(&mut self) -> Flow {
        self.engine.forward(self.slot, self.slot)
    }

    /// `None` once the connection was detached.
    #[inline]
    fn entry(&mut self) -> Option<Entry<'_>> {
        self.engine.entry(self.slot)
    }
}

impl io::Write for Output<'_> {
    /// Takes all of it, as [`send_all`](Output::send_all) does; `BrokenPipe` once the connection is closing.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.send_all(bytes) {
            Flow::Open | Flow::Full => Ok(bytes.len()),
            Flow::Gone => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // the reactor flushes when the callback returns
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("id", &self.engine.id(self.slot)).finish_non_exhaustive()
    }
}
