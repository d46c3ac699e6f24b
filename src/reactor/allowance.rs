//! How much a turn may do, and whether there are turns at all.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

/// The time and the bytes that a turn may take. Every stage of a turn gets on by at least one source, whatever the stages
/// before it took.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Whether any of the following matters.
    limited: bool,
    end: Option<Instant>,
    /// The count of moved bytes at which the budget is spent.
    last_byte: u64,
    spent: bool,
}

impl Allowance {
    pub(super) fn unlimited() -> Self {
        Self::default()
    }

    /// For a turn. `moved` is always the count of bytes that were received and sent so far.
    #[inline]
    pub(super) fn begin(&mut self, end: Option<Instant>, budget: usize, moved: u64) {
        self.limited = end.is_some() || budget < usize::MAX;
        if self.limited {
            (self.end, self.last_byte) = (end, moved.saturating_add(budget as u64));
        }
    }

    pub(super) fn begin_stage(&mut self) {
        self.spent = false;
    }

    /// Asked after each source. Once it is spent, it is for the rest of the stage.
    #[inline]
    pub(super) fn is_spent(&mut self, moved: u64) -> bool {
        self.limited && self.look(moved)
    }

    /// What was answered last in this stage.
    pub(super) fn was_spent(&self) -> bool {
        self.spent
    }

    /// With an end, the clock is read after each source: beside the system calls that a source takes it costs nothing, and
    /// how long its callbacks take nobody knows.
    #[cold]
    fn look(&mut self, moved: u64) -> bool {
        self.spent =
            self.spent || moved >= self.last_byte || self.end.is_some_and(|end| Instant::now() >= end);
        self.spent
    }
}

/// Finds a host that never settles: it asks again and again when it has to.
#[derive(Debug, Default)]
pub(super) struct Reminders(AtomicU32);

impl Reminders {
    /// More than any host asks between two turns, and a spin of a moment.
    const ENOUGH: u32 = 100;

    pub(super) fn count(&self) {
        if cfg!(debug_assertions) {
            let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(
                count <= Self::ENOUGH,
                "there is work, the poll did not sleep for it, and nobody calls `settle`"
            );
        }
    }

    pub(super) fn forget(&mut self) {
        if cfg!(debug_assertions) {
            *self.0.get_mut() = 0;
        }
    }
}
