//! Why a connection ended.

use std::{fmt, io};

/// Why a connection ended; [`Handler::on_close`](crate::Handler::on_close) is told once.
///
/// The first reason wins, with one exception. [`Eof`](Self::Eof), [`Closed`](Self::Closed) and [`Drained`](Self::Drained)
/// tell that everything that was sent has reached the kernel. If it does not, because the peer resets the connection, say,
/// the cause of the loss is the reason. [`Net::undelivered`](crate::Net::undelivered) tells for every reason whether bytes
/// were lost.
#[derive(Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer's end of file was read, and the handler ended this side too: by `shutdown_write()`, before or after it, or by
    /// `close()` after it.
    Eof,
    /// The handler called `close()` before the peer had ended.
    Closed,
    /// The connection was closed during a drain, before the peer had ended.
    Drained,
    /// `abort()` was called, the grace of a drain ran out before the connection was closed, or a callback of the connection
    /// panicked.
    Aborted,
    /// [`close_timeout`](crate::Options::close_timeout) passed before the kernel had taken everything that was sent before
    /// `close()`.
    CloseTimeout,
    /// The peer reset the connection, or stopped reading what was sent to it (ECONNRESET, EPIPE).
    Reset,
    /// Any other error of the socket.
    Io(io::Error),
    /// No address could be connected to. The error is that of the last address, with the address in its text; its
    /// [`source`](std::error::Error::source) is the error of the system. Errors of earlier addresses are logged at the level
    /// debug.
    ConnectFailed(io::Error),
    /// No byte moved for the time of the idle timeout.
    IdleTimeout,
    /// The deadline of [`Conn::set_deadline`](crate::Conn::set_deadline) passed.
    Deadline,
    /// A file of [`Conn::send_file`](crate::Conn::send_file) could not be read, or it ended before the range that was to be
    /// sent.
    FileFailed(io::Error),
    /// A send would have left more than `max_outbox` bytes unsent.
    OutboxLimit,
    /// The message is longer than [`max_inbox`](crate::Options::max_inbox): the handler was shown 16 bytes more than that and
    /// consumed none of them, or it [needs](crate::Conn::need) more bytes.
    InboxLimit,
    /// All buffers together passed `memory_budget`, and the buffers of this connection owned the most.
    MemoryLimit,
}

/// [`CloseReason`] without the errors: to count by, to compare, to use as a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CloseKind {
    /// See [`CloseReason::Eof`].
    Eof,
    /// See [`CloseReason::Closed`].
    Closed,
    /// See [`CloseReason::Drained`].
    Drained,
    /// See [`CloseReason::Aborted`].
    Aborted,
    /// See [`CloseReason::CloseTimeout`].
    CloseTimeout,
    /// See [`CloseReason::Reset`].
    Reset,
    /// See [`CloseReason::Io`].
    Io,
    /// See [`CloseReason::ConnectFailed`].
    ConnectFailed,
    /// See [`CloseReason::IdleTimeout`].
    IdleTimeout,
    /// See [`CloseReason::Deadline`].
    Deadline,
    /// See [`CloseReason::FileFailed`].
    FileFailed,
    /// See [`CloseReason::OutboxLimit`].
    OutboxLimit,
    /// See [`CloseReason::InboxLimit`].
    InboxLimit,
    /// See [`CloseReason::MemoryLimit`].
    MemoryLimit,
}

impl CloseReason {
    /// The kind of the reason, without the error that the reason may carry.
    ///
    /// ```
    /// use tidegate::{CloseKind, CloseReason};
    ///
    /// assert_eq!(CloseReason::Reset.kind(), CloseKind::Reset);
    /// ```
    pub fn kind(&self) -> CloseKind {
        match self {
            Self::Eof => CloseKind::Eof,
            Self::Closed => CloseKind::Closed,
            Self::Drained => CloseKind::Drained,
            Self::Aborted => CloseKind::Aborted,
            Self::CloseTimeout => CloseKind::CloseTimeout,
            Self::Reset => CloseKind::Reset,
            Self::Io(_) => CloseKind::Io,
            Self::ConnectFailed(_) => CloseKind::ConnectFailed,
            Self::IdleTimeout => CloseKind::IdleTimeout,
            Self::Deadline => CloseKind::Deadline,
            Self::FileFailed(_) => CloseKind::FileFailed,
            Self::OutboxLimit => CloseKind::OutboxLimit,
            Self::InboxLimit => CloseKind::InboxLimit,
            Self::MemoryLimit => CloseKind::MemoryLimit,
        }
    }

    /// True if the connection ended as one of the two sides wished, and everything that was handed to a send of it reached
    /// the kernel.
    ///
    /// The result says nothing about input: bytes that the peer sent and that a close discarded were never handed to a send.
    /// So a proxy whose two connections both ended with `true` may still have lost bytes, if the proxy itself called
    /// `close` for one of them. [`Eof`](Self::Eof) alone also tells that the peer's input was read up to its end.
    ///
    /// The kernel has the bytes, and the peer may not have received them yet: see [`Net::stop`](crate::Net::stop).
    ///
    /// ```
    /// assert!(tidegate::CloseReason::Eof.is_clean());
    /// assert!(!tidegate::CloseReason::OutboxLimit.is_clean());
    /// ```
    pub fn is_clean(&self) -> bool {
        self.kind().is_clean()
    }

    /// The inverse of [`kind`](Self::kind) and [`into_error`](Self::into_error).
    pub(crate) fn new(kind: CloseKind, error: Option<io::Error>) -> Self {
        let error = || error.unwrap_or_else(|| io::ErrorKind::Other.into());
        match kind {
            CloseKind::Eof => Self::Eof,
            CloseKind::Closed => Self::Closed,
            CloseKind::Drained => Self::Drained,
            CloseKind::Aborted => Self::Aborted,
            CloseKind::CloseTimeout => Self::CloseTimeout,
            CloseKind::Reset => Self::Reset,
            CloseKind::Io => Self::Io(error()),
            CloseKind::ConnectFailed => Self::ConnectFailed(error()),
            CloseKind::IdleTimeout => Self::IdleTimeout,
            CloseKind::Deadline => Self::Deadline,
            CloseKind::FileFailed => Self::FileFailed(error()),
            CloseKind::OutboxLimit => Self::OutboxLimit,
            CloseKind::InboxLimit => Self::InboxLimit,
            CloseKind::MemoryLimit => Self::MemoryLimit,
        }
    }

    /// The error that the reason carries, if it carries one.
    pub(crate) fn into_error(self) -> Option<io::Error> {
        match self {
            Self::Io(error) | Self::ConnectFailed(error) | Self::FileFailed(error) => Some(error),
            _ => None,
        }
    }

    /// The reason that an error of a read or a write stands for.
    pub(crate) fn from_error(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
        match error.kind() {
            // shutdown(2) returns NotConnected after a reset.
            BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected => Self::Reset,
            _ => Self::Io(error),
        }
    }
}

impl CloseKind {
    /// See [`CloseReason::is_clean`].
    pub fn is_clean(self) -> bool {
        matches!(self, Self::Eof | Self::Closed | Self::Drained)
    }

    pub(crate) const ALL: [Self; 14] = [
        Self::Eof,
        Self::Closed,
        Self::Drained,
        Self::Aborted,
        Self::CloseTimeout,
        Self::Reset,
        Self::Io,
        Self::ConnectFailed,
        Self::IdleTimeout,
        Self::Deadline,
        Self::FileFailed,
        Self::OutboxLimit,
        Self::InboxLimit,
        Self::MemoryLimit,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Eof => "end of file",
            Self::Closed => "closed",
            Self::Drained => "closed by a drain",
            Self::Aborted => "aborted",
            Self::CloseTimeout => "not closed in time",
            Self::Reset => "reset by the peer",
            Self::Io => "failed",
            Self::ConnectFailed => "could not connect",
            Self::IdleTimeout => "idle for too long",
            Self::Deadline => "not done by its deadline",
            Self::FileFailed => "a file could not be sent",
            Self::OutboxLimit => "too many unsent bytes",
            Self::InboxLimit => "message too long",
            Self::MemoryLimit => "too much memory in use",
        }
    }
}

impl fmt::Display for CloseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) | Self::ConnectFailed(error) | Self::FileFailed(error) => {
                write!(f, "{}: {error}", self.kind())
            }
            _ => self.kind().fmt(f),
        }
    }
}
