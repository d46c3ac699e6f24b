//! The time of the present turn. Nothing here reads a clock: the host passes the time to each turn.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Clock {
    /// The time of the present turn, or of the last one; `None` before the first.
    now: Option<Instant>,
    /// Counts turns and flushes: each of them gives every connection a new write budget.
    turn: u32,
    /// `now` in milliseconds since `base`, for what happens too often to store an `Instant`; the count wraps.
    tick: u32,
    base: Instant,
    warned: Option<Instant>,
}

impl Clock {
    pub(super) fn new(base: Instant) -> Self {
        Self { now: None, turn: 0, tick: 0, base, warned: None }
    }

    /// `uses_ticks`: idle timeouts and closes alone compare ticks, so the tick stands still while no timer is set.
    #[inline]
    pub(super) fn begin_turn(&mut self, now: Instant, uses_ticks: bool) {
        self.now = Some(now);
        if uses_ticks {
            self.set_tick(now);
        }
        self.next_budget();
    }

    /// Every connection has a new write budget from now on.
    pub(super) fn next_budget(&mut self) {
        self.turn = self.turn.wrapping_add(1);
    }

    pub(super) fn set_tick(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.base);
        self.tick = (since.as_secs() as u32).wrapping_mul(1000).wrapping_add(since.subsec_millis());
    }

    /// Sets the time before the first turn: time in a test does not come from the system's clock.
    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = Some(now);
    }

    /// The earliest time.
    pub(super) fn base(&self) -> Instant {
        self.base
    }

    pub(super) fn now(&self) -> Option<Instant> {
        self.now
    }

    #[inline]
    pub(super) fn turn(&self) -> u32 {
        self.turn
    }

    #[inline]
    pub(super) fn tick(&self) -> u32 {
        self.tick
    }

    /// Logs a warning, but at most one a second: clients must not be able to fill the disk.
    pub(super) fn warn_rarely(&mut self, text: std::fmt::Arguments<'_>) {
        const PAUSE: Duration = Duration::from_secs(1);
        let is_due = |last: Instant| self.now.is_none_or(|now| now.saturating_duration_since(last) >= PAUSE);
        if self.warned.is_none_or(is_due) {
            self.warned = self.now;
            log::warn!(target: "tidegate", "{text}");
        }
    }
}

/// `now + by`, or a time centuries ahead if an `Instant` cannot hold that sum.
pub(crate) fn later(now: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(by).unwrap_or_else(|| now + FAR)
}
