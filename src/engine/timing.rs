//! The verbs of a connection that concern time: how it opens, when it is idle, how long its close may take.

use std::time::{Duration, Instant};

use crate::{close::CloseReason, connection::Phase, id::TimerId, options::OwnLimits};

use super::{
    clock::later,
    common::Common,
    entry::Entry,
    lifetime::{Closing, QuietClose, milliseconds},
    opening::Opening,
    timer_kind::TimerKind,
};

/// How long a send waits that found the queue of the network interface full: no event says when there is room again.
const SEND_RETRY: Duration = Duration::from_millis(10);

/// Opening.
impl Entry<'_> {
    /// The connection has come into its slot.
    pub(super) fn begin_life(&mut self, idle_timeout: Option<Duration>, opening: Option<Opening>) {
        if let Some(after) = idle_timeout {
            self.lifetime.idle.after = milliseconds(after);
            // The time of connecting is no idle time: the timer is set when the connection is open.
            self.meta.arm_timers = opening.is_none();
        }
        if opening.is_some() {
            self.lifetime.rare().opening = opening;
        }
    }

    pub(super) fn set_own_limits(&mut self, own: Option<Box<OwnLimits>>) {
        if own.is_some() {
            self.lifetime.rare().limits = own;
            self.connection.use_own_limits();
        }
    }

    #[inline]
    pub(crate) fn is_opening(&self) -> bool {
        self.lifetime.is_opening()
    }

    /// The connection is open from now on.
    pub(crate) fn end_opening(&mut self) {
        if let Some(timer) = self.lifetime.end_opening() {
            self.common.cancel_timer(timer);
        }
        self.meta.arm_timers = true;
        let Common { stats, .. } = &mut *self.common;
        stats.connected += 1;
    }
}

/// The handler's own timers.
impl Entry<'_> {
    pub(crate) fn set_timeout(&mut self, at: Instant, tag: u64) -> TimerId {
        let timeouts = &mut self.lifetime.rare().timeouts;
        let index = timeouts.len() as u32; // memory ends long before 2³² timers
        let timer = self.common.set_timer(at, TimerKind::Timeout { slot: self.meta.slot(), index });
        timeouts.push((timer, tag));
        timer
    }

    /// [`set_timeout`](Self::set_timeout), but the time counts from the present turn, or between turns from the next one.
    pub(crate) fn set_timeout_after(&mut self, time: Duration, tag: u64) -> TimerId {
        let timeouts = &mut self.lifetime.rare().timeouts;
        let index = timeouts.len() as u32;
        let timer = self.common.set_timer_after(time, TimerKind::Timeout { slot: self.meta.slot(), index });
        timeouts.push((timer, tag));
        timer
    }

    /// Takes a timeout that has fired or was cancelled off the list, and returns its tag. The last timeout of the list takes
    /// its place, so the cost does not depend on how many there are.
    pub(crate) fn take_timeout(&mut self, index: u32) -> u64 {
        let timeouts = &mut self.lifetime.rare().timeouts;
        let (_, tag) = timeouts.swap_remove(index as usize);
        let Common { timers, .. } = &mut *self.common;
        if let Some((moved, _)) = timeouts.get(index as usize)
            && let Some(TimerKind::Timeout { index: place, .. }) = timers.get_mut(*moved)
        {
            *place = index;
        }
        if timeouts.capacity() > 64 && timeouts.len() < timeouts.capacity() / 4 {
            timeouts.shrink_to(timeouts.len() * 2);
        }
        tag
    }

    pub(crate) fn set_deadline(&mut self, at: Option<Instant>) {
        if let Some(timer) = self.lifetime.rare.as_mut().and_then(|rare| rare.deadline.take()) {
            self.common.cancel_timer(timer);
        }
        if let Some(at) = at {
            let timer = self.common.set_timer(at, TimerKind::Deadline(self.meta.slot()));
            self.lifetime.rare().deadline = Some(timer);
        }
    }

    pub(crate) fn deadline_is_due(&mut self) {
        self.lifetime.rare().deadline = None;
        self.end_by_limit(CloseReason::Deadline);
    }
}

/// The idle timeout and `close_when_idle`.
impl Entry<'_> {
    pub(super) fn has_idle_timeout(&self) -> bool {
        self.lifetime.idle.after > 0 && !self.lifetime.is_opening()
    }

    pub(crate) fn set_idle_timeout(&mut self, after: Option<Duration>) {
        self.lifetime.idle.after = after.map_or(0, milliseconds);
        self.begin_idle_time();
    }

    /// The idle time counts anew from the turn.
    pub(super) fn begin_idle_time(&mut self) {
        if let Some(timer) = self.lifetime.idle.timer.take() {
            self.common.cancel_timer(timer);
        }
        self.begin_timers_later();
    }

    pub(crate) fn close_when_idle(&mut self, quiet: Duration) {
        // A time that is too long for milliseconds in 32 bits is as good as never.
        let quiet = Some(milliseconds(quiet)).filter(|quiet| *quiet > 0).unwrap_or(u32::MAX);
        if let Some(timer) = self.lifetime.rare().quiet.take().and_then(|earlier| earlier.timer) {
            self.common.cancel_timer(timer);
        }
        self.lifetime.rare().quiet = Some(QuietClose { quiet, armed: 0, timer: None });
        self.begin_timers_later();
    }

    /// The timers that are not set yet are set behind the callbacks of the turn. A connection that opens gets its timers when
    /// the connection is open.
    fn begin_timers_later(&mut self) {
        if !self.lifetime.is_opening() {
            self.meta.arm_timers = true;
            self.schedule();
        }
    }

    /// Stores the time of the turn if bytes have moved: an idle timeout costs traffic no more than this.
    #[inline]
    pub(crate) fn store_activity(&mut self) {
        if self.connection.has_moved() {
            self.store_movement();
        }
    }

    /// Stores the time of the turn: bytes have moved.
    #[inline]
    pub(super) fn store_movement(&mut self) {
        self.connection.forget_moved();
        self.lifetime.idle.since = self.common.tick();
    }

    /// Sets the timers that the handler has asked for since the last turn of the connection.
    pub(crate) fn arm_timers(&mut self, now: Instant) {
        if !std::mem::take(&mut self.meta.arm_timers) {
            return;
        }
        let (slot, Common { timers, clock, .. }) = (self.meta.slot(), &mut *self.common);
        let idle = &mut self.lifetime.idle;
        if idle.after > 0 && idle.timer.is_none() {
            clock.set_tick(now);
            let at = later(now, Duration::from_millis(idle.after.into()));
            (idle.since, idle.timer) = (clock.tick(), Some(timers.insert(at, TimerKind::Idle(slot))));
            self.meta.idle_armed = idle.since;
        }
        if let Some(quiet) = self.lifetime.rare.as_mut().and_then(|rare| rare.quiet.as_mut())
            && quiet.timer.is_none()
        {
            clock.set_tick(now);
            let at = later(now, Duration::from_millis(quiet.quiet.into()));
            quiet.armed = self.lifetime.idle.since;
            quiet.timer = Some(timers.insert(at, TimerKind::QuietClose(slot)));
        }
    }

    pub(crate) fn idle_is_due(&mut self, now: Instant) {
        self.lifetime.idle.timer = None;
        self.store_activity(); // bytes that moved between turns have met no clock yet
        if self.connection.phase() >= Phase::Flushing {
            return; // a close has bounds of its own
        }
        if self.meta.is_scheduled() {
            // An event of this turn may end the idle time, and so may bytes that go out in this turn.
            return self.set_idle_timer(now, 0);
        }
        let tick = self.common.tick();
        let idle = &mut self.lifetime.idle;
        let left = if self.connection.is_paused() {
            idle.since = tick; // the peer waits for the handler
            idle.after
        } else {
            // If no byte has moved since the timer was set, the connection is idle without a comparison of ticks: if this turn
            // is very late, the tick has wrapped.
            let is_silent = idle.since == self.meta.idle_armed;
            let left = idle.after.saturating_sub(tick.wrapping_sub(idle.since));
            if is_silent || left == 0 {
                return self.end_by_limit(CloseReason::IdleTimeout);
            }
            left
        };
        self.meta.idle_armed = self.lifetime.idle.since;
        self.set_idle_timer(now, left);
    }

    fn set_idle_timer(&mut self, now: Instant, milliseconds: u32) {
        let at = later(now, Duration::from_millis(milliseconds.into()));
        let timer = self.common.set_timer(at, TimerKind::Idle(self.meta.slot()));
        self.lifetime.idle.timer = Some(timer);
    }

    /// Closes the connection if it is idle: nothing is left to do, and no byte has moved for the time that was asked for.
    pub(crate) fn quiet_is_due(&mut self, now: Instant) {
        self.store_activity();
        let (tick, last_byte) = (self.common.tick(), self.lifetime.idle.since);
        let is_scheduled = self.meta.is_scheduled();
        let Some(quiet) = self.lifetime.rare().quiet.as_mut() else { return };
        quiet.timer = None;
        if self.connection.phase() >= Phase::Flushing {
            return; // the connection is closing already
        }
        let mut wait = 0; // an event of this turn may bring bytes, so the connection is looked at first
        if !is_scheduled {
            let is_silent = last_byte == quiet.armed;
            quiet.armed = last_byte;
            wait = if !self.connection.is_idle() {
                quiet.quiet
            } else if is_silent {
                0
            } else {
                quiet.quiet.saturating_sub(tick.wrapping_sub(last_byte))
            };
            if wait == 0 {
                return self.close();
            }
        }
        let at = later(now, Duration::from_millis(wait.into()));
        quiet.timer = Some(self.common.set_timer(at, TimerKind::QuietClose(self.meta.slot())));
    }
}

/// The bounds of a close.
impl Entry<'_> {
    pub(crate) fn is_closing(&mut self) -> bool {
        self.lifetime.closing().is_some()
    }

    /// Sets the timer that bounds a close. A second call, when lingering begins, moves the timer.
    pub(crate) fn bound_close(&mut self, now: Instant) {
        let Common { timers, options, .. } = &mut *self.common;
        let lingers = self.connection.phase() == Phase::Lingering;
        let linger_ends = later(now, options.linger);
        if let Some(closing) = self.lifetime.closing() {
            closing.heard = now;
            let at = if lingers { closing.by.min(linger_ends) } else { closing.by };
            timers.move_to(closing.timer, at);
            return;
        }
        let by = later(now, options.close_timeout);
        let at = if lingers { by.min(linger_ends) } else { by };
        let timer = timers.insert(at, TimerKind::Closing(self.meta.slot()));
        self.lifetime.rare().closing = Some(Closing { by, heard: now, timer });
    }

    /// The peer of a closing connection was heard.
    pub(crate) fn closing_was_heard(&mut self, now: Instant) {
        if let Some(closing) = self.lifetime.closing() {
            closing.heard = now;
        }
    }

    /// The linger time or the close timeout may be over. Returns true if the socket is to be closed now.
    pub(crate) fn closing_is_due(&mut self, now: Instant) -> bool {
        let lingers = self.connection.phase() == Phase::Lingering;
        let is_queued = self.meta.queued;
        let Some(closing) = self.lifetime.closing() else { return false };
        let Common { options, .. } = &*self.common;
        let linger_ends = later(closing.heard, options.linger);
        let out_of_time = now >= closing.by;
        let silent = now >= linger_ends && !is_queued; // an event of this turn is looked at first
        if !(out_of_time || lingers && silent) {
            // Input only stores its time, so the timer is set again here.
            let again = linger_ends.max(now).min(closing.by);
            closing.timer = self.common.set_timer(again, TimerKind::Closing(self.meta.slot()));
            return false;
        }
        if !lingers {
            self.reset(CloseReason::CloseTimeout);
            self.queue();
            return false;
        }
        if out_of_time {
            let _ = self.connection.stream().reset_on_close(); // it fails only if the peer's reset came first
        }
        true
    }

    /// Sets the timer of a send that found no buffer space.
    pub(crate) fn retry_send_later(&mut self, now: Instant) {
        if self.connection.take_out_of_buffers() {
            self.common.set_timer(now + SEND_RETRY, TimerKind::SendRetry(self.meta.id()));
        }
    }
}
