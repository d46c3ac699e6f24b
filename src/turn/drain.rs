//! How the whole reactor ends.

use crate::{
    connection::Phase,
    engine::{DrainState, later},
    handler::Handler,
    socket::readiness::Readiness,
};

use super::{Pass, TurnBudget};

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    /// Begins a drain that was asked for, tells connections of it, or cuts it off when its grace is over.
    #[inline(never)]
    pub(super) fn advance_drain(&mut self) {
        if let DrainState::Asked(grace) = self.engine().drain_state() {
            let before = self.engine().generation_of_turn();
            self.accept_backlogs();
            self.receive_from_newcomers(before);
            self.receive_waiting_datagrams();
            self.close_listeners();
            // A callback may have cut the drain off meanwhile.
            if let DrainState::Asked(_) = self.engine().drain_state() {
                let at = later(self.now, grace);
                self.engine().begin_drain(at);
            }
        }
        while let Some(id) = self.engine().next_untold() {
            if self.engine().is_open(id) {
                self.tell_of_drain(id.slot());
                self.conclude(id.slot());
            }
        }
        self.cut_off_if_asked();
        self.close_sockets_if_done();
    }

    /// Closes the listeners and resets every connection if the drain is cut off: `drain` was called twice, or its grace is
    /// over. A second `drain` means now, so nothing is accepted or served before.
    #[cold]
    pub(super) fn cut_off_if_asked(&mut self) {
        if self.is_cut_off() {
            self.close_listeners();
            self.reset_all();
            self.close_sockets();
        }
    }

    pub(super) fn is_cut_off(&mut self) -> bool {
        self.engine().drain_state() == DrainState::CutOff
    }

    /// The clients in the backlog were promised service by the kernel, so they are accepted, but not more of them than fit
    /// into the backlog.
    fn accept_backlogs(&mut self) {
        *self.budget = TurnBudget::unlimited(); // a drain begins once, and as a whole
        let budget = self.net.options().accept_budget;
        for slot in self.engine().listeners() {
            for _ in 0..=self.engine().try_backlog(slot) / budget {
                if !self.accept(slot) {
                    break;
                }
            }
        }
    }

    /// Receives the bytes that clients who were accepted in this turn have sent already, before they get `on_drain`.
    fn receive_from_newcomers(&mut self, before: u32) {
        let budget = self.net.options().read_budget;
        for slot in self.engine().younger_connections(before) {
            if self.is_cut_off() {
                return;
            }
            let Some(mut entry) = self.engine().entry(slot) else { continue };
            if !entry.is_opening() {
                entry.set_ready(Readiness::READABLE);
                self.receive(slot, budget);
                self.conclude(slot);
            }
        }
    }

    fn close_listeners(&mut self) {
        for slot in self.engine().listeners() {
            self.engine().vacate(slot);
        }
    }

    /// Asks a connection to finish, if a drain is under way and the connection is not ending already.
    pub(super) fn tell_of_drain(&mut self, slot: u32) {
        if !matches!(self.engine().drain_state(), DrainState::Draining(_)) {
            return;
        }
        let Some(mut entry) = self.engine().entry(slot) else { return };
        entry.begin_turn();
        if entry.connection.phase() == Phase::Open {
            self.call(slot, |handler, conn| handler.on_drain(conn));
        }
    }

    /// Resets every connection. Connections that the callbacks make meanwhile are reset in the next turn.
    fn reset_all(&mut self) {
        let undelivered = self.net.stats().undelivered;
        for id in self.engine().connection_ids() {
            if self.engine().reset_by_drain(id) {
                self.conclude(id.slot());
            }
        }
        let undelivered = self.net.stats().undelivered - undelivered;
        if undelivered > 0 {
            log::warn!(target: "tidegate", "the drain has reset connections that had unsent bytes: {undelivered}");
        }
    }

    /// Returns true if `run` is to return.
    #[inline]
    pub(super) fn take_finished(&mut self) -> bool {
        self.engine().drain_concerns_turns() && self.is_finished()
    }

    #[cold]
    fn is_finished(&mut self) -> bool {
        let all_gone = self.net.unplaced_len() == 0;
        self.engine().take_finished(all_gone)
    }
}
