//! The readiness of a source that the program watches.

use std::{
    fmt,
    ops::{BitOr, BitOrAssign},
};

use crate::socket::readiness::EventParts;

/// The content of the events of a watched source since the last [`on_ready`](crate::Handler::on_ready).
///
/// Every part is a hint: only the result of a system call on the source is a fact. The parts are those of
/// [`mio::event::Event`], whose docs say which platforms report which part. In contrast to `mio`, a source whose reading
/// direction has ended counts as readable too, a source whose writing direction has ended as writable, and a source with an
/// error as both: a read or a write then returns the end or the error.
///
/// `|` merges two values.
///
/// ```
/// use tidegate::Readiness;
///
/// let ready = Readiness::READABLE | Readiness::WRITABLE;
/// assert!(ready.is_readable() && ready.is_writable() && !ready.is_error());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Readiness(u8);

const ERROR: u8 = 1 << 2;
const READ_CLOSED: u8 = 1 << 3;
const WRITE_CLOSED: u8 = 1 << 4;
const PRIORITY: u8 = 1 << 5;
const AIO: u8 = 1 << 6;
const LIO: u8 = 1 << 7;

impl Readiness {
    /// Ready to be read, and nothing else.
    pub const READABLE: Self = Self(1);
    /// Ready to be written, and nothing else.
    pub const WRITABLE: Self = Self(1 << 1);

    pub(crate) fn of(event: &impl EventParts) -> Self {
        let (error, read_closed, write_closed) =
            (event.is_error(), event.is_read_closed(), event.is_write_closed());
        let parts = [
            // At the end of a pipe the event is a hang-up alone (POLLHUP). A handler that reads when it can read sees the end.
            (event.is_readable() || read_closed || error, Self::READABLE.0),
            (event.is_writable() || write_closed || error, Self::WRITABLE.0),
            (error, ERROR),
            (read_closed, READ_CLOSED),
            (write_closed, WRITE_CLOSED),
            (event.is_priority(), PRIORITY),
            (event.is_aio(), AIO),
            (event.is_lio(), LIO),
        ];
        Self(parts.into_iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, part)| all | part))
    }

    /// A read may return something: bytes, the end of the stream, or an error.
    pub fn is_readable(self) -> bool {
        self.has(Self::READABLE.0)
    }

    /// A write may take something, or return an error.
    pub fn is_writable(self) -> bool {
        self.has(Self::WRITABLE.0)
    }

    /// The source has an error, which the next read or write returns on most platforms.
    pub fn is_error(self) -> bool {
        self.has(ERROR)
    }

    /// The reading direction has ended. Bytes may still wait to be read.
    pub fn is_read_closed(self) -> bool {
        self.has(READ_CLOSED)
    }

    /// The writing direction has ended.
    pub fn is_write_closed(self) -> bool {
        self.has(WRITE_CLOSED)
    }

    /// An exceptional condition, such as urgent data, where the interest names it.
    pub fn is_priority(self) -> bool {
        self.has(PRIORITY)
    }

    /// An asynchronous I/O operation is done (POSIX AIO on FreeBSD).
    pub fn is_aio(self) -> bool {
        self.has(AIO)
    }

    /// A list of asynchronous I/O operations is done (FreeBSD).
    pub fn is_lio(self) -> bool {
        self.has(LIO)
    }

    fn has(self, part: u8) -> bool {
        self.0 & part != 0
    }
}

impl BitOr for Readiness {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Readiness {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Lists the parts that are set.
impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] =
            ["READABLE", "WRITABLE", "ERROR", "READ_CLOSED", "WRITE_CLOSED", "PRIORITY", "AIO", "LIO"];
        let mut tuple = f.debug_tuple("Readiness");
        for (bit, name) in NAMES.iter().enumerate() {
            if self.has(1 << bit) {
                tuple.field(&format_args!("{name}"));
            }
        }
        tuple.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_shown_by_name() {
        let all = Readiness(u8::MAX);
        assert_eq!(format!("{:?}", Readiness::default()), "Readiness");
        assert_eq!(
            format!("{:?}", Readiness::READABLE | Readiness::WRITABLE),
            "Readiness(READABLE, WRITABLE)"
        );
        assert!(all.is_error() && all.is_read_closed() && all.is_write_closed());
        assert!(all.is_priority() && all.is_aio() && all.is_lio());
        assert!(format!("{all:?}").ends_with("PRIORITY, AIO, LIO)"));
    }
}
