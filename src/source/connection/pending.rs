//! What a connection wants, owes and waits for: questions about its state, which change nothing but what was asked once.

use std::io::{Read, Write};

use crate::options::Options;

use super::{Connection, Phase};

impl<T: Read + Write> Connection<T> {
    /// Whether `on_writable` is due; asking settles the debt, and lets reading go on.
    pub(crate) fn take_writable(&mut self, limits: &Options) -> bool {
        if !self.writable_is_due(limits) {
            return false;
        }
        self.full = false;
        self.writable_must_be_ready = false;
        std::mem::take(&mut self.writable_owed) && !self.shutdown
    }

    /// Whether an error was announced that no read is going to meet; true once for an event.
    pub(crate) fn take_unseen_error(&mut self) -> bool {
        let unseen = self.error_event && self.phase == Phase::Open && (self.paused || self.eof);
        self.error_event &= !unseen;
        unseen
    }

    /// Whether bytes may still be handed to it.
    pub(crate) fn takes_sends(&self) -> bool {
        self.phase == Phase::Open && !self.shutdown
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
        self.phase <= Phase::Failing && !self.paused && !(self.full && self.pause_when_full)
    }

    /// Whether there is a `recv` to make: for the handler, or to discard what still comes after `close()`.
    pub(crate) fn can_receive(&self) -> bool {
        self.readable
            && !self.eof
            && (self.wants_input() || matches!(self.phase, Phase::Flushing | Phase::Lingering))
    }

    /// Whether the end of file is to be sent now: everything before it has gone.
    pub(crate) fn owes_fin(&self) -> bool {
        let asked = match self.phase {
            Phase::Open => self.shutdown,
            Phase::Flushing => !self.eof, // dropping the socket says it as well
            _ => false,
        };
        asked && !self.fin_sent && self.outbox.is_empty()
    }

    /// Whether nothing more can happen in either direction.
    pub(crate) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open => self.eof && self.fin_sent,
            Phase::Failing => self.eof || self.paused || !self.readable,
            Phase::Flushing => self.outbox.is_empty() && (self.eof || self.fin_sent),
            Phase::Dropping | Phase::Resetting => true,
            Phase::Lingering => self.eof,
        }
    }

    /// Whether there is nothing to do until the next event; `false` only means that it is worth a closer look.
    /// Asked for every connection in every turn, so it is one pass over the flags without a branch.
    pub(crate) fn is_quiet(&self) -> bool {
        let busy = self.readable
            | self.eof
            | self.shutdown
            | self.error_event
            | self.out_of_buffers
            | self.has_held_back()
            | self.owns_buffers()
            | (self.phase != Phase::Open);
        !busy
    }

    /// Whether there is anything to do before new input: to send, to announce, or to show again.
    pub(crate) fn has_held_back(&self) -> bool {
        self.full | self.writable_owed | self.held | !self.outbox.is_empty()
    }

    /// Whether there is work that no further event will announce.
    pub(crate) fn is_due(&self, limits: &Options) -> bool {
        self.is_over()
            || self.can_receive()
            || self.owes_fin()
            || self.out_of_buffers
            || (self.writable && !self.outbox.is_empty())
            || ((self.full || self.writable_owed) && self.writable_is_due(limits))
            || (self.held && self.wants_input())
    }

    fn writable_is_due(&self, limits: &Options) -> bool {
        self.phase == Phase::Open
            && self.outbox.len() < limits.low_water
            && (self.writable || !self.writable_must_be_ready)
    }
}
