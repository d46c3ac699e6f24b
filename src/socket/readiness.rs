//! The meaning of an event for a stream, whatever reported the event. For the event of a watched source, which programs see,
//! there is [`crate::readiness`].

use mio::event::Event;

use super::platform::HANG_UP_MAY_HIDE_ERROR;

/// The content of an event for a stream. Each field is a hint: only the result of a system call is a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// A hang-up or an urgent mark: a `recv` that returns less than it was asked for may then have stopped early.
    pub(crate) short_reads_unreliable: bool,
    /// The event reports an error, or may stand for an error. The reactor reads the error of the socket (SO_ERROR) if no
    /// `recv` or `send` will return it.
    pub(crate) error: bool,
    /// The peer has ended its direction, or both.
    pub(crate) peer_closed: bool,
}

impl Readiness {
    const NONE: Self = Self {
        readable: false,
        writable: false,
        short_reads_unreliable: false,
        error: false,
        peer_closed: false,
    };
    pub(crate) const READABLE: Self = Self { readable: true, ..Self::NONE };
    pub(crate) const WRITABLE: Self = Self { writable: true, ..Self::NONE };
}

/// Nearly every event: readiness to read, to write, or both, and nothing else.
#[inline]
pub(crate) fn plain(event: &Event) -> Option<Readiness> {
    let is_unusual =
        event.is_error() || event.is_priority() || event.is_read_closed() || event.is_write_closed();
    let (readable, writable) = (event.is_readable(), event.is_writable());
    (!is_unusual).then_some(Readiness { readable, writable, ..Readiness::default() })
}

/// An event with an error, a hang-up or an urgent mark. An error or the end of a direction makes the direction ready: reading
/// and writing then find out what has happened.
///
/// The peer's end of file makes only reading ready. A selector that arms all interests again after a `WouldBlock`, as mio's on
/// `poll(2)`, reports an end of file that is not read yet after each send that would block: if the event caused a send, the
/// loop would spin.
#[cold]
pub(crate) fn unusual(event: &Event) -> Readiness {
    let (read_closed, write_closed) = (event.is_read_closed(), event.is_write_closed());
    let ended = event.is_error() || write_closed;
    Readiness {
        readable: ended || read_closed || event.is_readable(),
        writable: ended || event.is_writable(),
        short_reads_unreliable: read_closed || event.is_priority(),
        error: event.is_error() || (HANG_UP_MAY_HIDE_ERROR && read_closed && write_closed),
        peer_closed: read_closed,
    }
}
