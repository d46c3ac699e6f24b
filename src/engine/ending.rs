//! Stop and drain.

use std::time::{Duration, Instant};

use crate::{close::CloseReason, connection::Phase, id::ConnId};

use super::{common::Common, drain::DrainState, state::Engine, timer_kind::TimerKind};

impl Engine {
    /// True from the call of `drain` until the drain is over.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain_state() != DrainState::Off
    }

    /// True while a drain goes on that has begun.
    pub(crate) fn is_drain_under_way(&self) -> bool {
        self.common.is_draining()
    }

    /// `Net::stop`.
    pub(crate) fn stop(&mut self) {
        let Common { drain, .. } = &mut self.common;
        drain.set_stop();
    }

    #[inline]
    pub(crate) fn drain_concerns_turns(&self) -> bool {
        let Common { drain, .. } = &self.common;
        drain.concerns_turns()
    }

    /// `Net::drain`.
    pub(crate) fn ask_to_drain(&mut self, grace: Duration) {
        let Common { drain, timers, .. } = &mut self.common;
        if let Some(timer) = drain.ask(grace) {
            timers.cancel(timer);
        }
    }

    /// How far the end of the reactor has come.
    pub(crate) fn drain_state(&self) -> DrainState {
        let Common { drain, .. } = &self.common;
        drain.state()
    }

    /// Begins a drain whose grace ends at a time: all connections get `on_drain` next.
    pub(crate) fn begin_drain(&mut self, end: Instant) {
        let (since, untold) = (self.table.generation(), self.connection_ids());
        let Common { timers, drain, .. } = &mut self.common;
        drain.begin(timers.insert(end, TimerKind::DrainEnd), since, untold);
    }

    /// The next connection that has not had its `on_drain` yet.
    pub(crate) fn next_untold(&mut self) -> Option<ConnId> {
        let Common { drain, .. } = &mut self.common;
        drain.next_untold()
    }

    /// True if a drain is under way and the connection was made after it had begun.
    pub(crate) fn came_after_drain(&self, slot: u32) -> bool {
        let Common { drain, .. } = &self.common;
        drain.is_under_way() && self.table.is_younger(slot, drain.since())
    }

    /// The grace of the drain is over.
    pub(crate) fn cut_drain_off(&mut self) {
        let Common { drain, .. } = &mut self.common;
        drain.cut_off();
    }

    /// True if `stop` was called, or a drain has ended because every session is gone. `others_gone`: no session is left
    /// outside of the table.
    pub(crate) fn take_finished(&mut self, others_gone: bool) -> bool {
        let all_gone = others_gone && self.table.connections().is_empty() && self.table.sockets().is_empty();
        let Common { drain, timers, .. } = &mut self.common;
        let (finished, grace) = drain.take_finished(all_gone);
        if let Some(timer) = grace {
            timers.cancel(timer);
        }
        finished
    }

    /// A drain that is cut off resets a connection. Returns false if the connection has no session any more: its socket is
    /// closed, and nothing is left to do.
    pub(crate) fn reset_by_drain(&mut self, id: ConnId) -> bool {
        let Some(entry) = self.entry(id.slot()).filter(|entry| entry.id() == id) else { return false };
        if entry.connection.phase() == Phase::Lingering {
            self.vacate(id.slot());
            return false;
        }
        entry.connection.end(CloseReason::Aborted, Phase::Resetting);
        let Common { stats, .. } = &mut self.common;
        stats.drain_resets += 1;
        true
    }
}
