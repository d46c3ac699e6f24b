//! The clock of the system.

use std::time::Instant;

/// Reads the clock of the system, or the clock of the simulation that runs on this thread.
#[inline]
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = super::simulated::read_clock() {
        return now;
    }
    Instant::now()
}
