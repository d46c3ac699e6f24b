//! The timers that are due.

use crate::{
    connection::Phase,
    engine::{Entry, TimerKind},
    handler::Handler,
    socket::readiness::Readiness,
};

use super::Pass;

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    /// Fires the timers that were due when the turn began. Timers that their callbacks set wait for the next turn.
    #[inline]
    pub(super) fn fire_timers(&mut self) {
        if self.engine().has_timers() {
            self.fire_all_due();
        }
    }

    #[inline(never)]
    fn fire_all_due(&mut self) {
        let now = self.now;
        let due = self.engine().begin_due(now);
        while let Some(kind) = self.engine().next_due(due) {
            match kind {
                TimerKind::Handler(tag) => self.handler.on_timer(self.net, tag),
                TimerKind::Timeout { slot, index } => self.timeout_is_due(slot, index),
                TimerKind::Idle(slot) => self.with_entry(slot, |mut entry| entry.idle_is_due(now)),
                TimerKind::QuietClose(slot) => self.with_entry(slot, |mut entry| entry.quiet_is_due(now)),
                TimerKind::Deadline(slot) => self.with_entry(slot, |mut entry| entry.deadline_is_due()),
                TimerKind::Connect(slot) => self.with_entry(slot, |mut entry| entry.connect_is_due()),
                TimerKind::Closing(slot) => self.closing_is_due(slot),
                TimerKind::SendRetry(id) => {
                    if self.engine().is_open(id) {
                        self.engine().ready(id.slot(), Readiness::WRITABLE);
                    }
                }
                TimerKind::AcceptRetry(slot) => self.engine().retry_accept(slot),
                TimerKind::DatagramRetry(slot) => self.engine().retry_datagrams(slot),
                TimerKind::DrainEnd => self.engine().cut_drain_off(),
            }
        }
    }

    fn with_entry(&mut self, slot: u32, act: impl FnOnce(Entry<'_>)) {
        if let Some(entry) = self.engine().entry(slot) {
            act(entry);
        }
    }

    fn timeout_is_due(&mut self, slot: u32, index: u32) {
        let Some(mut entry) = self.engine().entry(slot) else { return };
        let tag = entry.take_timeout(index);
        entry.begin_turn();
        if entry.connection.phase() <= Phase::Failing {
            self.call(slot, |handler, conn| handler.on_timeout(conn, tag));
            self.conclude(slot);
        }
    }

    fn closing_is_due(&mut self, slot: u32) {
        let now = self.now;
        if self.engine().entry(slot).is_some_and(|mut entry| entry.closing_is_due(now)) {
            self.engine().vacate(slot);
        }
    }
}
