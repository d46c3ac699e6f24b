//! The record of a source that belongs to the program. The engine holds the readiness of the source alone.

use crate::{readiness::Readiness, socket::readiness::Readiness as Plain};

/// The readiness of a watched source.
#[derive(Debug, Default)]
pub(super) struct WatchedRecord {
    /// The readiness that the handler has not been told of.
    pending: Readiness,
    /// The readiness that `on_ready` was told of, while `on_ready` runs. It outlasts an `on_ready` that panicked, because the
    /// edge is not reported again.
    shown: Readiness,
}

impl WatchedRecord {
    /// Adds the content of a plain event.
    pub(super) fn add_plain(&mut self, event: Plain) {
        if event.readable {
            self.add(Readiness::READABLE);
        }
        if event.writable {
            self.add(Readiness::WRITABLE);
        }
    }

    pub(super) fn add(&mut self, readiness: Readiness) {
        self.pending |= readiness;
    }

    /// Takes the readiness that `on_ready` is told of next.
    pub(super) fn show(&mut self) -> Readiness {
        self.shown |= std::mem::take(&mut self.pending);
        self.shown
    }

    #[cfg(test)]
    pub(super) fn has_news(&self) -> bool {
        self.pending != Readiness::default()
    }

    /// `on_ready` has returned.
    pub(super) fn forget_shown(&mut self) {
        self.shown = Readiness::default();
    }
}
