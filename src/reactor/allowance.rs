//! How much a turn may do, and whether there are turns at all.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

/// A turn with an end looks at the clock after this much work: so many bytes, or so many sources.
const BYTES_BETWEEN_LOOKS: u64 = 64 << 10;
const SOURCES_BETWEEN_LOOKS: u32 = 32;

/// The time and the bytes that a turn may take. Every stage of a turn gets on, whatever the stages before it took: by one
/// source when the bytes are spent, by as much as lies between two looks at the clock when the time is.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Whether any of the following matters.
    limited: bool,
    end: Option<Instant>,
    /// The count of moved bytes at which the budget is spent.
    last_byte: u64,
    /// The count at which to look at the clock.
    next_look: u64,
    /// How many sources have had a turn since the last look.
    sources: u32,
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

    #[inline]
    pub(super) fn begin_stage(&mut self, moved: u64) {
        if self.limited {
            (self.spent, self.sources) = (false, 0);
            self.next_look = self.last_byte.min(moved.saturating_add(BYTES_BETWEEN_LOOKS));
        }
    }

    /// Asked after each source. Once it is spent, it is for the rest of the stage.
    #[inline]
    pub(super) fn is_spent(&mut self, moved: u64) -> bool {
        self.limited && self.look(moved)
    }

    #[cold]
    fn look(&mut self, moved: u64) -> bool {
        if moved >= self.last_byte {
            self.spent = true;
        }
        if let Some(end) = self.end {
            self.sources += 1;
            if moved >= self.next_look || self.sources >= SOURCES_BETWEEN_LOOKS {
                self.sources = 0;
                self.next_look = self.last_byte.min(moved.saturating_add(BYTES_BETWEEN_LOOKS));
                self.spent |= Instant::now() >= end;
            }
        }
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
