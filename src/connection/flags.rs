//! The yes-or-no properties of a connection in one word, so that the hot path tests several of them at once.

use std::ops::BitOr;

use crate::socket::readiness::Readiness;

/// A set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Flags(u32);

impl Flags {
    /// An event said that the stream is readable, and no `recv` has found it empty since.
    pub(super) const READABLE: Self = Self(1);
    /// An event said that the stream is writable, and no `send` has found it full since.
    pub(super) const WRITABLE: Self = Self(1 << 1);
    /// A hang-up or an urgent mark may have cut a `recv` short: only `WouldBlock` proves that the stream is empty.
    pub(super) const SHORT_READS_UNRELIABLE: Self = Self(1 << 2);
    /// An event reported an error that no system call has returned yet.
    pub(super) const ERROR_EVENT: Self = Self(1 << 3);
    /// The platform's rule: a `recv` that returns less than it was asked for has emptied the stream, unless
    /// [`SHORT_READS_UNRELIABLE`](Self::SHORT_READS_UNRELIABLE) is set.
    pub(super) const SHORT_READ_DRAINS: Self = Self(1 << 4);
    /// The handler asked for no more input.
    pub(super) const PAUSED: Self = Self(1 << 5);
    /// The outbox is too full, or this turn's write budget is spent, and `on_writable` has not come yet.
    pub(super) const FULL: Self = Self(1 << 6);
    pub(super) const PAUSE_WHEN_FULL: Self = Self(1 << 7);
    /// The inbox has bytes that the handler has not declined: a pause or high water kept them back.
    pub(super) const HELD: Self = Self(1 << 8);
    /// An `on_writable` is owed.
    pub(super) const WRITABLE_OWED: Self = Self(1 << 9);
    /// The `on_writable` that is owed waits until the kernel takes bytes again.
    pub(super) const WRITABLE_MUST_BE_READY: Self = Self(1 << 10);
    pub(super) const EOF: Self = Self(1 << 11);
    /// `shutdown_write` was called: the end of file is sent when the outbox is empty.
    pub(super) const SHUTDOWN: Self = Self(1 << 12);
    pub(super) const FIN_SENT: Self = Self(1 << 13);
    /// A send found no buffer space (ENOBUFS): no edge will follow, so a timer has to try again.
    pub(super) const OUT_OF_BUFFERS: Self = Self(1 << 14);
    /// Bytes that were taken from the handler did not reach the kernel.
    pub(super) const LOST: Self = Self(1 << 15);
    /// Bytes moved in either direction since the flag was cleared last.
    pub(super) const MOVED: Self = Self(1 << 16);
    /// The phase is no longer `Open`.
    pub(super) const ENDING: Self = Self(1 << 17);
    /// The connection has limits of its own, so the paths that know only the limits of all connections are not for it.
    pub(super) const OWN_LIMITS: Self = Self(1 << 18);
    /// An event said that the peer has ended, and nothing has been concluded from that.
    pub(super) const PEER_CLOSED: Self = Self(1 << 19);
    /// The handler was told that the peer has ended.
    pub(super) const PEER_CLOSED_TOLD: Self = Self(1 << 20);
    /// The handler needs several bytes before it is shown input.
    pub(super) const NEEDS: Self = Self(1 << 21);
    /// A pause or high water kept much input back, so a `recv` asks for little.
    pub(super) const READS_LITTLE: Self = Self(1 << 22);

    /// The flags of a new connection.
    pub(super) fn initial(short_read_drains: bool) -> Self {
        let mut flags = Self::PAUSE_WHEN_FULL;
        flags.put(Self::SHORT_READ_DRAINS, short_read_drains);
        flags
    }

    /// `|` for constants.
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has_any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    /// True if all flags of `present` are set and none of `absent`.
    pub(super) fn has_just(self, present: Self, absent: Self) -> bool {
        self.0 & (present.0 | absent.0) == present.0
    }

    pub(super) fn set(&mut self, which: Self) {
        self.0 |= which.0;
    }

    pub(super) fn clear(&mut self, which: Self) {
        self.0 &= !which.0;
    }

    pub(super) fn put(&mut self, which: Self, on: bool) {
        if on { self.set(which) } else { self.clear(which) }
    }

    /// Clears the flags. Returns true if one of them was set.
    pub(super) fn take(&mut self, which: Self) -> bool {
        let had = self.has_any(which);
        self.clear(which);
        had
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

/// The flags that an event sets.
impl From<Readiness> for Flags {
    fn from(readiness: Readiness) -> Self {
        let Readiness { readable, writable, short_reads_unreliable, error, peer_closed } = readiness;
        // The order of the bits above.
        Self(
            u32::from(readable)
                | u32::from(writable) << 1
                | u32::from(short_reads_unreliable) << 2
                | u32::from(error) << 3
                | u32::from(peer_closed) << 19,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_bit_of_its_own() {
        let all = [
            Flags::READABLE,
            Flags::WRITABLE,
            Flags::SHORT_READS_UNRELIABLE,
            Flags::ERROR_EVENT,
            Flags::SHORT_READ_DRAINS,
            Flags::PAUSED,
            Flags::FULL,
            Flags::PAUSE_WHEN_FULL,
            Flags::HELD,
            Flags::WRITABLE_OWED,
            Flags::WRITABLE_MUST_BE_READY,
            Flags::EOF,
            Flags::SHUTDOWN,
            Flags::FIN_SENT,
            Flags::OUT_OF_BUFFERS,
            Flags::LOST,
            Flags::MOVED,
            Flags::ENDING,
            Flags::OWN_LIMITS,
            Flags::PEER_CLOSED,
            Flags::PEER_CLOSED_TOLD,
            Flags::NEEDS,
            Flags::READS_LITTLE,
        ];
        let union = all.into_iter().fold(Flags(0), Flags::with);
        assert_eq!(union.0.count_ones() as usize, all.len());
    }

    #[test]
    fn an_event_sets_the_flags_of_its_names() {
        let none = Readiness::default();
        let cases = [
            (Readiness { readable: true, ..none }, Flags::READABLE),
            (Readiness { writable: true, ..none }, Flags::WRITABLE),
            (Readiness { short_reads_unreliable: true, ..none }, Flags::SHORT_READS_UNRELIABLE),
            (Readiness { error: true, ..none }, Flags::ERROR_EVENT),
            (Readiness { peer_closed: true, ..none }, Flags::PEER_CLOSED),
        ];
        for (readiness, flag) in cases {
            assert_eq!(Flags::from(readiness), flag, "{readiness:?}");
        }
    }
}
