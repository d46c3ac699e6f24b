//! How a connection ends, and how everything does.

use std::time::Instant;

use crate::{
    close::{CloseKind, CloseReason},
    handler::Handler,
    shared::{Alarm, Ending},
    source::{
        connection::{Phase, Readiness},
        listener::Listener,
    },
};

use super::{Reactor, alarms::later, allowance::Allowance};

impl<S> Reactor<S> {
    /// Gives the session back. The socket goes, or lingers until the peer has ended too.
    pub(super) fn finish(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), slot: u32) {
        let Some((link, head, shared)) = self.net.sockets.parts(slot) else { return };
        let (id, connection) = (head.id(), &mut link.connection);
        let why = connection.take_reason();
        let lost = connection.has_lost();
        // A peer that has got a part must not take it for the whole; one that did the reset itself knows.
        if connection.phase() == Phase::Resetting || (lost && why.kind() != CloseKind::Reset) {
            // It fails only if the peer's reset came first, which is as good.
            let _ = connection.stream().reset_on_close();
        }
        let lingers =
            connection.phase() == Phase::Flushing && !connection.is_eof() && !shared.options.linger.is_zero();
        if lingers {
            connection.linger();
            if connection.can_receive() {
                shared.queue(head); // input that no further event will announce
            }
            for timer in link.take_timers() {
                shared.timers.cancel(timer);
            }
            self.begin_closing(slot);
        } else {
            self.net.sockets.vacate(slot);
        }
        let Some(session) = self.net.take_session(slot) else { return };
        let stats = &mut self.net.sockets.shared.stats;
        stats.count_close(why.kind());
        stats.undelivered += u64::from(lost);
        handler.on_close(&mut self.net, id, session, why);
    }

    /// Begins a drain that was asked for, or cuts off one whose grace is over.
    pub(super) fn advance_ending(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        now: Instant,
    ) {
        if let Ending::Asked(grace) = self.net.sockets.shared.ending {
            let timer = self.net.sockets.shared.timers.insert(later(now, grace), Alarm::Drain);
            self.net.sockets.shared.set_ending(Ending::Draining(timer));
            self.close_listeners(handler);
            let since = self.net.sockets.shared.generation();
            self.net.sockets.shared.draining_since = since;
            for slot in 0..self.net.sockets.slots_end {
                // Who comes meanwhile is asked when it opens.
                if !self.net.is_born_since(slot, since) && self.drain_one(handler, slot) {
                    self.conclude(handler, slot);
                }
            }
        }
        if self.net.sockets.shared.ending == Ending::CutOff {
            self.close_listeners(handler);
            let undelivered = self.net.sockets.shared.stats.undelivered;
            for slot in 0..self.net.sockets.slots_end {
                let Some((link, ..)) = self.net.sockets.parts(slot) else { continue };
                if link.connection.phase() == Phase::Lingering {
                    self.net.sockets.vacate(slot);
                    continue;
                }
                link.connection.end(CloseReason::Aborted, Phase::Resetting);
                self.net.sockets.shared.stats.drain_resets += 1;
                self.conclude(handler, slot);
            }
            let undelivered = self.net.sockets.shared.stats.undelivered - undelivered;
            if undelivered > 0 {
                log::warn!(target: "tidegate", "the drain ended before {undelivered} clients had all they were sent");
            }
        }
    }

    /// Asks a connection to finish, if it is not finishing already.
    pub(super) fn drain_one(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        slot: u32,
    ) -> bool {
        let Some((link, _, shared)) = self.net.sockets.parts(slot) else { return false };
        link.connection.enter_turn(shared.turn);
        let is_open = link.connection.phase() == Phase::Open;
        if is_open {
            self.call(slot, |conn| handler.on_drain(conn));
        }
        is_open
    }

    /// Whether `run` is to return; what said so is used up.
    pub(super) fn is_finished(&mut self) -> bool {
        let shared = &mut self.net.sockets.shared;
        let drained = match shared.ending {
            Ending::Draining(timer) if shared.stats.open == 0 => {
                shared.timers.cancel(timer);
                true
            }
            Ending::CutOff => true,
            _ => false,
        };
        if drained {
            shared.ending = Ending::No;
        }
        shared.is_ending = shared.ending != Ending::No;
        std::mem::take(&mut shared.stop) || drained
    }

    /// What waits in the backlog was promised service by the kernel: it is accepted first, as much as there is room
    /// for in a backlog, and what those clients have sent already is read before they are asked to finish.
    fn close_listeners(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized)) {
        // Others of them were accepted earlier in this turn.
        let before = self.net.sockets.shared.turn_began;
        self.allowance = Allowance::unlimited(); // it happens once, and as a whole
        let accept_budget = self.net.sockets.shared.options.accept_budget;
        for slot in 0..self.net.sockets.slots_end {
            let Some(listener) = self.listener(slot) else { continue };
            listener.readable = true;
            for _ in 0..=listener.options.backlog as usize / accept_budget {
                if !self.accept(handler, slot) {
                    break;
                }
            }
            if self.listener(slot).is_some() {
                self.net.sockets.vacate(slot);
            }
        }
        for slot in 0..self.net.sockets.slots_end {
            if self.net.is_born_since(slot, before)
                && let Some((link, head, shared)) = self.net.sockets.parts(slot)
            {
                link.connection.note(Readiness { readable: true, ..Readiness::default() });
                shared.queue(head);
            }
        }
        self.serve_queue(handler);
    }

    fn listener(&mut self, slot: u32) -> Option<&mut Listener> {
        self.net.sockets.slots.get_mut(slot as usize)?.listener_mut()
    }
}
