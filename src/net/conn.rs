//! A connection during a callback.

mod about;
mod ending;
mod reading;
mod timing;

use std::{fmt, fs::File, io, ops::Range, sync::Arc};

use crate::flow::Flow;

use super::{Net, output::Output};

/// A connection, for the length of a callback or of a [`Net::conn`] call.
///
/// A `Conn` stays usable after [`close`](Self::close) and [`abort`](Self::abort): these only mark the connection, which
/// ends after the callback.
pub struct Conn<'a, S = ()> {
    net: &'a mut Net<S>,
    slot: u32,
}

impl<'a, S> Conn<'a, S> {
    /// The caller guarantees that `slot` holds a connection with a session. `settle` alone removes connections and sessions,
    /// so both exist during this borrow.
    #[inline]
    pub(crate) fn at(net: &'a mut Net<S>, slot: u32) -> Self {
        Self { net, slot }
    }

    /// The whole reactor: other connections, listeners, timers.
    pub fn net(&mut self) -> &mut Net<S> {
        self.net
    }

    /// The session that `on_accept` made for this connection.
    ///
    /// # Panics
    /// Panics after [`detach`](Self::detach), and so does [`split`](Self::split): the session went along.
    pub fn session(&mut self) -> &mut S {
        self.split().0
    }

    /// The session and the sending half of the connection, to be used side by side.
    ///
    /// ```
    /// use tidegate::{Conn, Output};
    ///
    /// fn count(lines: &mut u32, out: &mut Output<'_>) {
    ///     *lines += 1;
    ///     writeln!(out, "line {lines}");
    /// }
    ///
    /// fn on_line(conn: &mut Conn<'_, u32>) {
    ///     let (lines, mut out) = conn.split();
    ///     count(lines, &mut out);
    /// }
    /// ```
    pub fn split(&mut self) -> (&mut S, Output<'_>) {
        let (session, engine) = self.net.split(self.slot);
        (session, Output::new(engine, self.slot))
    }

    /// `sendall()`: the reactor takes the bytes, and goes on until the kernel has them all. See [`Flow`] for what the
    /// result asks of the handler.
    #[inline]
    pub fn send_all(&mut self, bytes: &[u8]) -> Flow {
        self.output().send_all(bytes)
    }

    /// [`send_all`](Self::send_all) for bytes that several connections are sent, or that the program keeps: the outbox holds
    /// the block itself, and the last holder frees the block.
    ///
    /// Fewer than 256 bytes are copied, because a copy of them costs less than the bookkeeping. In its own callback, a
    /// connection copies fewer than 8 KiB into the buffer that gathers small sends.
    ///
    /// [`high_water`](crate::Options::high_water) and [`max_outbox`](crate::Options::max_outbox) count the bytes for each
    /// connection. [`memory_budget`](crate::Options::memory_budget) counts the whole block once for all connections that
    /// were sent it in a row. The guide has a [recipe](crate::guide::broadcast).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidegate::Net;
    ///
    /// fn broadcast(net: &mut Net, message: &Arc<[u8]>) {
    ///     net.for_each(|member| {
    ///         member.send_shared(message);
    ///     });
    /// }
    /// ```
    pub fn send_shared(&mut self, bytes: &Arc<[u8]>) -> Flow {
        self.output().send_shared(bytes)
    }

    /// [`send_shared`](Self::send_shared) for a part of the bytes. The outbox holds the whole block until the part is sent.
    ///
    /// # Panics
    /// Panics if the range is not within the bytes.
    pub fn send_shared_range(&mut self, bytes: &Arc<[u8]>, range: Range<usize>) -> Flow {
        self.output().send_shared_range(bytes, range)
    }

    /// [`send_all`](Self::send_all) for bytes that the handler gives away: the outbox keeps the vector itself if the kernel
    /// does not take all bytes at once. Fewer than 4 KiB, and a vector of which less than a half is used, are copied.
    pub fn send_owned(&mut self, bytes: Vec<u8>) -> Flow {
        self.output().send_owned(bytes)
    }

    /// Sends the bytes of a file in this range, behind everything that was sent before. On Linux the kernel sends them by
    /// itself, sendfile(2); elsewhere the reactor reads up to 64 KiB at a time and sends them. The position of the file does
    /// not matter; on Windows it moves.
    ///
    /// [`queued`](Self::queued) and [`high_water`](crate::Options::high_water) count the bytes of the file that are unsent,
    /// so a large file returns [`Flow::Full`], and `on_writable` follows when nearly all of it is sent. As the bytes are not
    /// in memory, [`max_outbox`](crate::Options::max_outbox) and [`memory_budget`](crate::Options::memory_budget) do not
    /// count them. [`close`](Self::close) has to be done within [`close_timeout`](crate::Options::close_timeout), so a
    /// handler that sends a large file to a slow peer closes the connection in `on_writable`.
    ///
    /// The file stays open until its last byte is sent. A file that grows does not matter. If the file ends before the range
    /// does, or cannot be read, the connection ends with [`CloseReason::FileFailed`](crate::CloseReason::FileFailed) and a
    /// reset, because the peer has been promised more.
    ///
    /// # Blocking
    /// Bytes that are not in the system's cache are read from the disk, and the whole loop waits for the disk: no system
    /// tells beforehand. A server of files that do not fit into memory reads them on threads; see
    /// [`guide::threads`](crate::guide::threads).
    ///
    /// # Notes
    /// sendfile(2) can raise SIGPIPE. A Rust program ignores SIGPIPE unless it was told otherwise. If the signal is neither
    /// ignored nor handled at the first call, the reactor reads and sends instead.
    ///
    /// ```no_run
    /// use std::fs::File;
    /// use tidegate::Conn;
    ///
    /// fn answer(conn: &mut Conn<'_>, path: &str) -> std::io::Result<()> {
    ///     let file = File::open(path)?;
    ///     let length = file.metadata()?.len();
    ///     writeln!(conn, "{length}");
    ///     conn.send_file(file, 0..length);
    ///     Ok(())
    /// }
    /// ```
    pub fn send_file(&mut self, file: File, range: Range<u64>) -> Flow {
        self.output().send_file(file, range)
    }

    /// Makes `write!(conn, "…")` work, with a [`Flow`] as its value and no error to unwrap.
    pub fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Flow {
        self.output().write_fmt(text)
    }

    /// `send()`: hands over the bytes that the kernel takes now, and returns how many these were.
    ///
    /// # Errors
    /// `WouldBlock` if the kernel takes nothing, or if bytes of an earlier send still wait, so that order is kept;
    /// `on_writable` then follows. Any other error means that the connection is ending; the cause comes with
    /// `on_close`.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output().try_send(bytes)
    }

    /// How many bytes were sent and not yet taken by the kernel.
    pub fn queued(&self) -> usize {
        self.net.unsent(self.slot)
    }

    #[inline]
    fn output(&mut self) -> Output<'_> {
        Output::new(self.net.engine(), self.slot)
    }
}

impl<S> fmt::Debug for Conn<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("id", &self.id()).finish_non_exhaustive()
    }
}
