//! How much a turn may do.

use std::time::Instant;

use crate::socket::clock;

/// The time and the bytes that a turn may take. Every stage of a turn serves at least one source, whatever the stages
/// before it took.
#[derive(Debug, Default)]
pub(crate) struct TurnBudget {
    /// False if no bound is set, so that nothing has to be compared.
    limited: bool,
    end: Option<Instant>,
    /// The count of moved bytes at which the budget is spent.
    last_byte: u64,
    spent: bool,
}

impl TurnBudget {
    pub(crate) fn unlimited() -> Self {
        Self::default()
    }

    /// Begins a turn. `moved` is always the count of bytes that were received and sent so far.
    #[inline]
    pub(crate) fn begin(&mut self, end: Option<Instant>, budget: usize, moved: u64) {
        self.limited = end.is_some() || budget < usize::MAX;
        if self.limited {
            (self.end, self.last_byte) = (end, moved.saturating_add(budget as u64));
        }
    }

    pub(crate) fn begin_stage(&mut self) {
        self.spent = false;
    }

    /// True if the stage must not go on: asked after each source. A spent budget stays spent for the rest of the stage.
    #[inline]
    pub(crate) fn is_spent(&mut self, moved: u64) -> bool {
        self.limited && self.compare(moved)
    }

    /// A turn with an end reads the clock after each source, because callbacks can take any time. The cost is small beside
    /// the system calls of a source.
    #[cold]
    fn compare(&mut self, moved: u64) -> bool {
        self.spent = self.spent || moved >= self.last_byte || self.end.is_some_and(|end| clock::now() >= end);
        self.spent
    }
}
