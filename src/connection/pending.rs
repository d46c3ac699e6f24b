//! Questions about the state of a connection: which work it wants, owes and waits for.

use std::io::Read;

use crate::{options::Options, socket::file::SendFile};

use super::{Connection, Flags, Phase};

/// The connection has to announce room, or to show the inbox, before it reads new input.
const OWED: Flags = Flags::FULL.with(Flags::WRITABLE_OWED).with(Flags::HELD);

/// The connection has something to do beside new input.
const BESIDE_INPUT: Flags = OWED.with(Flags::EOF).with(Flags::PAUSED).with(Flags::ENDING);

/// The connection may have something to do before the next event.
const BUSY: Flags = OWED
    .with(Flags::READABLE)
    .with(Flags::EOF)
    .with(Flags::SHUTDOWN)
    .with(Flags::ERROR_EVENT)
    .with(Flags::OUT_OF_BUFFERS)
    .with(Flags::PEER_CLOSED)
    .with(Flags::ENDING);

impl<T: Read + SendFile> Connection<T> {
    /// True if `on_writable` is due. It is then no longer owed, and reading goes on.
    pub(crate) fn take_writable(&mut self, limits: &Options) -> bool {
        if !self.writable_is_due(limits) {
            return false;
        }
        self.flags.clear(Flags::FULL | Flags::WRITABLE_MUST_BE_READY);
        self.flags.take(Flags::WRITABLE_OWED)
    }

    /// True, at most once for a connection, if an event said that the peer has ended while the handler has paused reading. The
    /// event is a hint for that pause alone: the end of the input is still found by reading.
    pub(crate) fn take_peer_closed(&mut self) -> bool {
        let is_due = self.peer_closed_is_due();
        if is_due {
            self.flags.set(Flags::PEER_CLOSED_TOLD);
        }
        is_due
    }

    fn peer_closed_is_due(&self) -> bool {
        let paused_and_closed = Flags::PEER_CLOSED | Flags::PAUSED;
        self.flags.has_just(paused_and_closed, Flags::PEER_CLOSED_TOLD)
            && match self.phase {
                Phase::Open => !self.has(Flags::EOF),
                Phase::Failing => true, // no `on_eof` tells of the end of the input that is kept for a resume
                _ => false,
            }
    }

    /// True, once for an event, if the event reported an error that no `read` will return.
    pub(crate) fn take_unseen_error(&mut self) -> bool {
        let unseen =
            self.has(Flags::ERROR_EVENT) && self.phase == Phase::Open && self.has(Flags::PAUSED | Flags::EOF);
        if unseen {
            self.flags.clear(Flags::ERROR_EVENT);
        }
        unseen
    }

    /// True if the handler may still send.
    pub(crate) fn takes_sends(&self) -> bool {
        !self.has(Flags::ENDING | Flags::SHUTDOWN)
    }

    /// True if the handler may still send, and its small sends may be gathered without a look at the connection's limits.
    #[inline]
    pub(crate) fn gathers_sends(&self) -> bool {
        !self.has(Flags::ENDING | Flags::SHUTDOWN | Flags::OWN_LIMITS)
    }

    /// True if the connection has limits of its own.
    pub(crate) fn has_own_limits(&self) -> bool {
        self.has(Flags::OWN_LIMITS)
    }

    /// How many bytes the kernel may still be handed in this turn.
    pub(super) fn budget(&self, limits: &Options) -> usize {
        limits.write_budget.saturating_sub(self.spent as usize)
    }

    pub(super) fn has_budget(&self, limits: &Options) -> bool {
        self.budget(limits) > 0
    }

    /// True if the write budget of this turn is larger than `bytes`.
    #[inline]
    pub(crate) fn has_budget_for(&self, bytes: usize, limits: &Options) -> bool {
        self.spent as usize + bytes < limits.write_budget
    }

    /// True if the handler is to be shown input.
    pub(crate) fn wants_input(&self) -> bool {
        self.phase <= Phase::Failing
            && !self.has(Flags::PAUSED)
            && !(self.has(Flags::FULL) && self.has(Flags::PAUSE_WHEN_FULL))
    }

    /// True if there is a `recv` to make: for the handler, to discard input after `close()`, or to keep the last bytes of a
    /// peer whose connection has failed, until the handler resumes reading.
    pub(crate) fn can_receive(&self, limits: &Options) -> bool {
        self.flags.has_just(Flags::READABLE, Flags::EOF)
            && match self.phase {
                Phase::Open => self.wants_input(),
                Phase::Failing => self.wants_input() || self.inbox.len() < limits.inbox_limit(),
                Phase::Flushing | Phase::Lingering => true,
                Phase::Dropping | Phase::Resetting => false,
            }
    }

    /// True if the end of file is to be sent now, because the kernel has taken all bytes. If the peer has ended as well, the
    /// connection is over, and the close of the socket sends the end of file.
    pub(crate) fn owes_fin(&self) -> bool {
        self.has_unsent_fin() && !self.has(Flags::EOF)
    }

    /// True if the end of file is all that is left to send.
    pub(crate) fn has_unsent_fin(&self) -> bool {
        self.ends_writing() && !self.has(Flags::FIN_SENT)
    }

    /// True if this side is to end, and the kernel has taken all bytes.
    fn ends_writing(&self) -> bool {
        let asked = self.phase == Phase::Flushing || (self.phase == Phase::Open && self.has(Flags::SHUTDOWN));
        asked && self.outbox.is_empty()
    }

    /// True if nothing more can happen in either direction.
    pub(crate) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open => self.has(Flags::EOF) && self.ends_writing(),
            Phase::Failing => {
                !self.waits_for_resume() && (self.has(Flags::EOF) || !self.has(Flags::READABLE))
            }
            Phase::Flushing => self.outbox.is_empty() && self.has(Flags::EOF | Flags::FIN_SENT),
            Phase::Dropping | Phase::Resetting => true,
            Phase::Lingering => self.has(Flags::EOF),
        }
    }

    /// True if input may have come and there is nothing to do but to show it: both buffers are empty, and the handler needs
    /// no certain number of bytes and takes all that a `recv` brings.
    #[inline]
    pub(crate) fn has_only_input(&self) -> bool {
        const OTHER: Flags =
            BESIDE_INPUT.with(Flags::NEEDS).with(Flags::READS_LITTLE).with(Flags::OWN_LIMITS);
        self.flags.has_just(Flags::READABLE, OTHER) && self.outbox.is_empty() && self.inbox.is_empty()
    }

    /// True if input may have come and there is nothing to do but to show it, behind an incomplete message or once there is
    /// enough of it.
    #[inline]
    pub(crate) fn has_only_more_input(&self) -> bool {
        self.flags.has_just(Flags::READABLE, BESIDE_INPUT) && self.outbox.is_empty()
    }

    /// True if such a connection, once its input was shown, has nothing to do until the next event. False means only that
    /// a closer look is needed.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        !self.has(BUSY) && !self.owns_buffers()
    }

    /// Answers the question of [`is_quiet`](Self::is_quiet) for a connection that may own an inbox.
    #[inline]
    pub(crate) fn is_quiet_with_inbox(&self) -> bool {
        !self.has(BUSY) && self.outbox.is_empty() && self.counted as usize == self.inbox.capacity()
    }

    /// True if there is work that no further event will announce.
    pub(crate) fn is_due(&self, limits: &Options) -> bool {
        self.is_over()
            || self.can_receive(limits)
            || self.owes_fin()
            || self.has(Flags::OUT_OF_BUFFERS)
            || (self.has(Flags::WRITABLE) && !self.outbox.is_empty())
            || (self.has(Flags::FULL | Flags::WRITABLE_OWED) && self.writable_is_due(limits))
            || (self.has(Flags::HELD) && self.wants_input())
            || self.peer_closed_is_due()
    }

    /// True if everything is done: nothing is unsent, no input waits, no `on_writable` is owed, and the handler reads. An
    /// incomplete message does not wait once the peer has ended: the rest of it never comes.
    pub(crate) fn is_idle(&self) -> bool {
        const BUSY: Flags = OWED.with(Flags::PAUSED).with(Flags::ENDING);
        let awaits_rest = !self.inbox.is_empty() && !self.has(Flags::EOF);
        !self.has(BUSY) && self.outbox.is_empty() && !awaits_rest
    }

    /// True if input is kept for the handler until it resumes reading.
    fn waits_for_resume(&self) -> bool {
        let would_be_shown = !self.inbox.is_empty() && !self.needs_more(0);
        self.has(Flags::HELD) || (self.has(Flags::PAUSED) && would_be_shown)
    }

    fn writable_is_due(&self, limits: &Options) -> bool {
        self.phase == Phase::Open
            && self.outbox.len() < limits.low_water
            && (self.has(Flags::WRITABLE) || !self.has(Flags::WRITABLE_MUST_BE_READY))
    }
}
