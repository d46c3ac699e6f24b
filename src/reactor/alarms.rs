//! What happens when a timer fires.

use std::time::{Duration, Instant};

use crate::{
    close::CloseReason,
    handler::Handler,
    shared::{Alarm, Ending},
    source::{
        Closing, Source,
        connection::{Phase, Readiness},
    },
    timers::TimerId,
};

use super::Reactor;

impl<S> Reactor<S> {
    /// Fires what was due when the turn began; what the callbacks set waits for the next turn.
    pub(super) fn ring_alarms(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), now: Instant) {
        if self.net.sockets.shared.timers.is_empty() {
            return;
        }
        let due = self.net.sockets.shared.timers.begin(now);
        while let Some((id, alarm)) = self.net.sockets.shared.timers.pop_due(due) {
            match alarm {
                Alarm::Timer(tag) => handler.on_timer(&mut self.net, tag),
                Alarm::Timeout { slot, tag } => self.timeout_is_due(handler, slot, id, tag),
                Alarm::Idle(slot) => self.idle_is_due(slot, now),
                Alarm::Deadline(slot) => {
                    let Some((link, head, shared)) = self.net.sockets.parts(slot) else { continue };
                    link.extra().deadline = None;
                    link.connection.cut(CloseReason::Deadline);
                    shared.queue(head);
                }
                Alarm::Closing(slot) => self.closing_is_due(slot, now),
                Alarm::Send(id) => {
                    let Some((link, head, shared)) = self.net.sockets.parts(id.slot) else { continue };
                    if head.id() == id {
                        link.connection.note(Readiness { writable: true, ..Readiness::default() });
                        shared.queue(head);
                    }
                }
                Alarm::Accept(slot) => {
                    let Some(place) = self.net.sockets.slots.get_mut(slot as usize) else { continue };
                    if let Source::Listener(listener) = &mut place.source {
                        listener.retry = None;
                        self.net.sockets.shared.queue(&mut place.head);
                    }
                }
                Alarm::Drain => self.net.sockets.shared.set_ending(Ending::CutOff),
            }
        }
    }

    fn timeout_is_due(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        slot: u32,
        id: TimerId,
        tag: u64,
    ) {
        let Some((link, _, shared)) = self.net.sockets.parts(slot) else { return };
        link.extra().timeouts.retain(|timer| *timer != id);
        link.connection.enter_turn(shared.turn);
        if link.connection.phase() <= Phase::Failing {
            self.call(slot, |conn| handler.on_timeout(conn, tag));
            self.conclude(handler, slot);
        }
    }

    /// Sets the idle timer anew if the handler has changed it.
    pub(super) fn arm_idle(&mut self, slot: u32) {
        let Some((link, head, shared)) = self.net.sockets.parts(slot) else { return };
        if !std::mem::take(&mut head.arm_idle) {
            return;
        }
        if let Some(timer) = link.idle.timer.take() {
            shared.timers.cancel(timer);
        }
        if link.idle.after > 0 {
            let now = shared.turn_time();
            shared.set_tick(now);
            link.idle.since = shared.tick;
            let at = later(now, Duration::from_millis(link.idle.after.into()));
            link.idle.timer = Some(shared.timers.insert(at, Alarm::Idle(slot)));
        }
    }

    fn idle_is_due(&mut self, slot: u32, now: Instant) {
        let Some((link, head, shared)) = self.net.sockets.parts(slot) else { return };
        link.idle.timer = None;
        link.note_activity(shared.tick); // what moved between turns has met no clock yet
        if head.is_queued() || head.is_touched() {
            // An event of this very turn may be what was waited for, or what goes out in it: they are looked at first.
            link.idle.timer = Some(shared.timers.insert(now, Alarm::Idle(slot)));
            return;
        }
        if link.connection.phase() >= Phase::Flushing {
            return; // a close has bounds of its own
        }
        if link.connection.is_paused() {
            link.idle.since = shared.tick; // the handler keeps the peer waiting, not the other way round
        }
        let left = link.idle.after.saturating_sub(shared.tick.wrapping_sub(link.idle.since));
        if left == 0 {
            link.connection.cut(CloseReason::IdleTimeout);
            shared.queue(head);
            return;
        }
        let at = later(now, Duration::from_millis(left.into()));
        link.idle.timer = Some(shared.timers.insert(at, Alarm::Idle(slot)));
    }

    /// Sets the timer that bounds a close; a second call, when lingering begins, moves it.
    pub(super) fn begin_closing(&mut self, slot: u32) {
        let Some((link, _, shared)) = self.net.sockets.parts(slot) else { return };
        let now = shared.turn_time();
        let lingers = link.connection.phase() == Phase::Lingering;
        let linger_ends = later(now, shared.options.linger);
        if let Some(closing) = link.closing() {
            closing.heard = now;
            let at = if lingers { closing.by.min(linger_ends) } else { closing.by };
            shared.timers.move_to(closing.timer, at);
            return;
        }
        let by = later(now, shared.options.close_timeout);
        let timer =
            shared.timers.insert(if lingers { by.min(linger_ends) } else { by }, Alarm::Closing(slot));
        link.extra().closing = Some(Closing { by, heard: now, timer });
    }

    /// Linger or close timeout. Input only notes when it came; the timer is set anew here, if it has to be.
    fn closing_is_due(&mut self, slot: u32, now: Instant) {
        let Some((link, head, shared)) = self.net.sockets.parts(slot) else { return };
        let lingers = link.connection.phase() == Phase::Lingering;
        let Some(closing) = link.closing() else { return };
        let linger_ends = later(closing.heard, shared.options.linger);
        let silent = now >= linger_ends && !head.is_queued(); // else an event of this very turn is looked at first
        if now < closing.by && !(lingers && silent) {
            let again = linger_ends.max(now).min(closing.by);
            closing.timer = shared.timers.insert(again, Alarm::Closing(slot));
            return;
        }
        let out_of_time = now >= closing.by;
        if !lingers {
            link.connection.end(CloseReason::Closed, Phase::Resetting);
            shared.queue(head);
            return;
        }
        if out_of_time {
            // It fails only if the peer's reset came first, which is as good.
            let _ = link.connection.stream().reset_on_close();
        }
        self.net.sockets.vacate(slot);
    }
}

/// Centuries ahead is never, and never is far enough.
pub(super) fn later(now: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now.checked_add(by).unwrap_or_else(|| now + FAR)
}
