//! A turn of a reactor: every callback to the handler is made here.

mod accept;
mod budget;
mod connect;
mod datagram;
mod drain;
mod finish;
mod input;
mod serve;
mod timers;
mod watched;

use std::time::Instant;

use crate::{
    buffer::Scratch,
    close::CloseReason,
    engine::Engine,
    handler::Handler,
    net::{Closed, Conn, Net, no_token},
    remote::Signals,
};

pub(crate) use budget::TurnBudget;

/// Everything that a turn needs. Its methods are the stages of the turn and their steps.
pub(crate) struct Pass<'t, S, H: ?Sized> {
    pub(crate) net: &'t mut Net<S>,
    /// Every `recv` goes here. A connection owns a buffer only while a message is incomplete.
    pub(crate) scratch: &'t mut Scratch,
    pub(crate) budget: &'t mut TurnBudget,
    pub(crate) handler: &'t mut H,
    /// The time of the whole turn.
    pub(crate) now: Instant,
}

impl<S, H: Handler<Session = S> + ?Sized> Pass<'_, S, H> {
    /// Runs the stages of the turn in order. Returns true if `stop` was called or a drain has ended.
    ///
    /// A source that is queued after `serve_queue` has begun is served in the next turn, for which the host polls without
    /// sleeping.
    #[inline]
    pub(crate) fn run(&mut self, signals: &Signals) -> bool {
        self.net.set_closed(Closed::default()); // an on_close that panicked has left it set
        self.take_signals(signals);
        if self.engine().drain_concerns_turns() {
            self.cut_off_if_asked();
        }
        self.fire_timers();
        self.give_back_unplaced();
        self.serve_queue();
        if self.engine().drain_concerns_turns() {
            self.advance_drain();
        }
        self.flush_marked();
        self.free_slots();
        self.take_finished()
    }

    /// Requests from other threads. `stop` and `drain` come first, so that a panic in `on_wake` loses neither of them.
    fn take_signals(&mut self, signals: &Signals) {
        let Some(asked) = signals.take() else { return };
        if asked.stop {
            self.net.stop();
        }
        for grace in asked.drains() {
            self.net.drain(grace);
        }
        if asked.wake {
            let again = signals.wake_again();
            self.handler.on_wake(self.net);
            again.cancel();
        }
    }

    /// Sessions for which there was no token get their `on_close`; those that their callbacks make wait for the next turn.
    fn give_back_unplaced(&mut self) {
        for _ in 0..self.net.unplaced_len() {
            let Some((id, session)) = self.net.take_unplaced() else { return };
            let why = CloseReason::ConnectFailed(no_token());
            self.engine().count_close(why.kind(), false);
            self.handler.on_close(self.net, id, session, why);
        }
    }

    /// Serves the sources that the queue holds at the start of the stage.
    #[inline]
    fn serve_queue(&mut self) {
        self.budget.begin_stage();
        let end = self.engine().begin_pass();
        while self.serve_next(end) && !self.is_over_budget() {}
        self.engine().end_pass();
    }

    /// Sends to the connections that other callbacks have sent to.
    fn flush_marked(&mut self) {
        let Self { net, budget, .. } = self;
        budget.begin_stage();
        net.engine().flush_marked(|moved| !budget.is_spent(moved), true);
    }

    fn free_slots(&mut self) {
        if self.engine().free_vacated() {
            self.net.shrink_sessions();
        }
    }

    /// True if this stage of the turn must not go on.
    #[inline]
    fn is_over_budget(&mut self) -> bool {
        let moved = self.net.stats().bytes_moved();
        self.budget.is_spent(moved)
    }

    /// Makes a callback for the connection in a slot. The bytes that it sends leave when it has returned.
    fn call(&mut self, slot: u32, callback: impl FnOnce(&mut H, &mut Conn<'_, S>)) {
        let handler = &mut *self.handler;
        serve::call(self.net, slot, |conn| callback(handler, conn));
    }

    #[inline]
    fn engine(&mut self) -> &mut Engine {
        self.net.engine()
    }
}
