//! The meaning of an event for a stream, whatever reported the event. For the event of a watched source, which programs see,
//! there is [`crate::readiness`].

use mio::{Token, event::Event};

use super::platform::events_tell_of_errors;

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

/// The content of an event. Events of mio cannot be made, so the simulation has events of its own.
pub(crate) trait EventParts {
    fn token(&self) -> Token;
    fn is_readable(&self) -> bool;
    fn is_writable(&self) -> bool;
    fn is_error(&self) -> bool;
    fn is_read_closed(&self) -> bool;
    fn is_write_closed(&self) -> bool;
    fn is_priority(&self) -> bool;
    fn is_aio(&self) -> bool;
    fn is_lio(&self) -> bool;
}

macro_rules! forward_to_event {
    ($($name:ident -> $kind:ty;)*) => {
        impl EventParts for Event {
            $(
                #[inline(always)]
                fn $name(&self) -> $kind {
                    self.$name()
                }
            )*
        }
    };
}

forward_to_event! {
    token -> Token;
    is_readable -> bool;
    is_writable -> bool;
    is_error -> bool;
    is_read_closed -> bool;
    is_write_closed -> bool;
    is_priority -> bool;
    is_aio -> bool;
    is_lio -> bool;
}

/// Nearly every event: readiness to read, to write, or both, and nothing else.
#[inline]
pub(crate) fn plain(event: &impl EventParts) -> Option<Readiness> {
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
pub(crate) fn unusual(event: &impl EventParts) -> Readiness {
    let (read_closed, write_closed) = (event.is_read_closed(), event.is_write_closed());
    let ended = event.is_error() || write_closed;
    Readiness {
        readable: ended || read_closed || event.is_readable(),
        writable: ended || event.is_writable(),
        short_reads_unreliable: read_closed || event.is_priority(),
        error: event.is_error() || (read_closed && write_closed && !events_tell_of_errors()),
        peer_closed: read_closed,
    }
}
