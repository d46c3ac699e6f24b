//! What a connection wants, owes and waits for: questions about its state, which change nothing but what was asked once.

use std::io::{Read, Write};

use crate::options::Options;

use super::{Connection, Flags, Phase};

/// There is something to announce or to show before new input.
const OWED: Flags = Flags::FULL.with(Flags::WRITABLE_OWED).with(Flags::HELD);

impl<T: Read + Write> Connection<T> {
    /// Whether `on_writable` is due; asking settles the debt, and lets reading go on.
    pub(crate) fn take_writable(&mut self, limits: &Options) -> bool {
        if !self.writable_is_due(limits) {
            return false;
        }
        self.flags.clear(Flags::FULL | Flags::WRITABLE_MUST_BE_READY);
        self.flags.take(Flags::WRITABLE_OWED) && !self.has(Flags::SHUTDOWN)
    }

    /// Whether an error was announced that no read is going to meet; true once for an event.
    pub(crate) fn take_unseen_error(&mut self) -> bool {
        let unseen =
            self.has(Flags::ERROR_EVENT) && self.phase == Phase::Open && self.has(Flags::PAUSED | Flags::EOF);
        if unseen {
            self.flags.clear(Flags::ERROR_EVENT);
        }
        unseen
    }

    /// Whether bytes may still be handed to it.
    pub(crate) fn takes_sends(&self) -> bool {
        !self.has(Flags::ENDING | Flags::SHUTDOWN)
    }

    /// How much the kernel may still be handed in this turn.
    pub(super) fn budget(&self, limits: &Options) -> usize {
        limits.write_budget.saturating_sub(self.spent as usize)
    }

    pub(crate) fn has_budget(&self, limits: &Options) -> bool {
        self.budget(limits) > 0
    }

    /// Whether the handler is to be shown input.
    pub(crate) fn wants_input(&self) -> bool {
        self.phase <= Phase::Failing
            && !self.has(Flags::PAUSED)
            && !(self.has(Flags::FULL) && self.has(Flags::PAUSE_WHEN_FULL))
    }

    /// Whether there is a `recv` to make: for the handler, or to discard what still comes after `close()`.
    pub(crate) fn can_receive(&self) -> bool {
        self.flags.has_just(Flags::READABLE, Flags::EOF)
            && (self.wants_input() || matches!(self.phase, Phase::Flushing | Phase::Lingering))
    }

    /// Whether the end of file is to be sent now: everything before it has gone.
    pub(crate) fn owes_fin(&self) -> bool {
        let asked = match self.phase {
            Phase::Open => self.has(Flags::SHUTDOWN),
            Phase::Flushing => !self.has(Flags::EOF), // dropping the socket says it as well
            _ => false,
        };
        asked && !self.has(Flags::FIN_SENT) && self.outbox.is_empty()
    }

    /// Whether nothing more can happen in either direction.
    pub(crate) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open => self.flags.has_just(Flags::EOF | Flags::FIN_SENT, Flags::NONE),
            Phase::Failing => self.has(Flags::EOF | Flags::PAUSED) || !self.has(Flags::READABLE),
            Phase::Flushing => self.outbox.is_empty() && self.has(Flags::EOF | Flags::FIN_SENT),
            Phase::Dropping | Phase::Resetting => true,
            Phase::Lingering => self.has(Flags::EOF),
        }
    }

    /// Whether input may have come and there is nothing to do but show it: nothing is kept in either direction.
    #[inline]
    pub(crate) fn has_only_input(&self) -> bool {
        const OTHER: Flags = OWED.with(Flags::EOF).with(Flags::PAUSED).with(Flags::ENDING);
        self.flags.has_just(Flags::READABLE, OTHER) && self.outbox.is_empty() && self.inbox.is_empty()
    }

    /// Whether such a connection has nothing more to do until the next event when its input was shown. `false` only means
    /// that it is worth a closer look.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        const BUSY: Flags = OWED
            .with(Flags::READABLE)
            .with(Flags::EOF)
            .with(Flags::SHUTDOWN)
            .with(Flags::ERROR_EVENT)
            .with(Flags::OUT_OF_BUFFERS)
            .with(Flags::ENDING);
        !self.has(BUSY) && !self.owns_buffers()
    }

    /// Whether there is work that no further event will announce.
    pub(crate) fn is_due(&self, limits: &Options) -> bool {
        self.is_over()
            || self.can_receive()
            || self.owes_fin()
            || self.has(Flags::OUT_OF_BUFFERS)
            || (self.has(Flags::WRITABLE) && !self.outbox.is_empty())
            || (self.has(Flags::FULL | Flags::WRITABLE_OWED) && self.writable_is_due(limits))
            || (self.has(Flags::HELD) && self.wants_input())
    }

    fn writable_is_due(&self, limits: &Options) -> bool {
        self.phase == Phase::Open
            && self.outbox.len() < limits.low_water
            && (self.has(Flags::WRITABLE) || !self.has(Flags::WRITABLE_MUST_BE_READY))
    }
}
