//! How far the end of the reactor has come.

use std::time::{Duration, Instant};

use crate::{
    close::CloseKind,
    id::{ConnId, TimerId},
};

use super::{Common, Engine, TimerKind};

#[derive(Debug)]
pub(crate) struct Drain {
    state: DrainState,
    /// `stop` was called: `run` returns, and every source stays.
    stop: bool,
    /// True if the stop or the drain concerns this turn. Every turn asks, so the answer has to be cheap.
    concerns_turns: bool,
    /// The generation of slots when the present drain began. Slots with a higher one were created later.
    since: u32,
    /// Connections that were open when the drain began and that have not had their `on_drain` yet.
    untold: Vec<ConnId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DrainState {
    Off,
    /// `drain` was called with this grace; the next turn begins the drain.
    Asked(Duration),
    /// The timer fires at the end of the grace.
    Draining(TimerId),
    /// The grace is over, or `drain` was called twice: everything is reset now.
    CutOff,
}

impl Drain {
    pub(super) fn new() -> Self {
        Self { state: DrainState::Off, stop: false, concerns_turns: false, since: 0, untold: Vec::new() }
    }

    /// `drain` was called. Returns the timer of the grace if the call cut a drain off, to be cancelled.
    pub(crate) fn ask(&mut self, grace: Duration) -> Option<TimerId> {
        let before = self.state;
        match before {
            DrainState::Off => self.state = DrainState::Asked(grace),
            _ => self.cut_off(),
        }
        self.concerns_turns = true;
        match before {
            DrainState::Draining(timer) => Some(timer),
            _ => None,
        }
    }

    /// The drain has begun: `untold` get `on_drain` next.
    pub(crate) fn begin(&mut self, timer: TimerId, since: u32, untold: Vec<ConnId>) {
        (self.state, self.since, self.untold) = (DrainState::Draining(timer), since, untold);
    }

    /// The grace is over.
    pub(crate) fn cut_off(&mut self) {
        self.state = DrainState::CutOff;
        self.untold = Vec::new();
    }

    pub(crate) fn set_stop(&mut self) {
        self.stop = true;
        self.concerns_turns = true;
    }

    pub(crate) fn state(&self) -> DrainState {
        self.state
    }

    /// The generation of slots when the drain began.
    pub(crate) fn since(&self) -> u32 {
        self.since
    }

    /// The next connection that has still to be told of the drain.
    pub(crate) fn next_untold(&mut self) -> Option<ConnId> {
        self.untold.pop()
    }

    #[inline]
    pub(crate) fn concerns_turns(&self) -> bool {
        self.concerns_turns
    }

    /// True while the drain goes on: closes have the reason `Drained`, and new connections get `on_drain`.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.state, DrainState::Draining(_) | DrainState::CutOff)
    }

    /// True if the next turn has something to do for the end that no event announces.
    pub(super) fn has_work(&self) -> bool {
        self.concerns_turns
            && (self.stop
                || !self.untold.is_empty()
                || matches!(self.state, DrainState::Asked(_) | DrainState::CutOff))
    }

    /// True if `run` is to return: `stop` was called, or the drain is over because every session is gone. The request is
    /// used up. Also returns the timer of the grace, if it has still to be cancelled.
    pub(crate) fn take_finished(&mut self, all_gone: bool) -> (bool, Option<TimerId>) {
        let over = all_gone && self.is_under_way();
        let timer = match self.state {
            DrainState::Draining(timer) if over => Some(timer),
            _ => None,
        };
        if over {
            self.state = DrainState::Off;
        }
        let stopped = std::mem::take(&mut self.stop);
        self.concerns_turns = self.state != DrainState::Off;
        (stopped || over, timer)
    }
}

impl Engine {
    pub(crate) fn count_close(&mut self, kind: CloseKind, undelivered: bool) {
        let stats = &mut self.common.stats;
        stats.count_close(kind);
        stats.undelivered += u64::from(undelivered);
    }

    #[inline]
    pub(crate) fn drain_concerns_turns(&self) -> bool {
        let Common { drain, .. } = &self.common;
        drain.concerns_turns()
    }

    /// Begins a drain whose grace ends at a time: all connections are to be told of it.
    pub(crate) fn begin_drain(&mut self, end: Instant) {
        let (since, untold) = (self.table.generation(), self.connection_ids());
        let Common { timers, drain, .. } = &mut self.common;
        drain.begin(timers.insert(end, TimerKind::DrainEnd), since, untold);
    }

    /// True if a drain is under way and the connection was made after it had begun.
    pub(crate) fn came_after_drain(&self, slot: u32) -> bool {
        let Common { drain, .. } = &self.common;
        drain.is_under_way() && self.table.is_younger(slot, drain.since())
    }

    /// True if `stop` was called, or a drain has ended because every session is gone. `others_gone`: no session is left
    /// outside of the table.
    pub(crate) fn take_finished(&mut self, others_gone: bool) -> bool {
        let all_gone = others_gone && self.table.connections().is_empty();
        let Common { drain, timers, .. } = &mut self.common;
        let (finished, grace) = drain.take_finished(all_gone);
        if let Some(timer) = grace {
            timers.cancel(timer);
        }
        finished
    }

    /// The ids of all connections, those that linger included.
    pub(crate) fn connection_ids(&self) -> Vec<ConnId> {
        self.table.connections().iter().map(|slot| self.table.id(*slot)).collect()
    }

    /// The connections that were made after the given generation.
    pub(crate) fn younger_connections(&self, generation: u32) -> Vec<u32> {
        let younger = |slot: &u32| self.table.is_younger(*slot, generation);
        self.table.connections().iter().copied().filter(younger).collect()
    }

    /// The generation of slots when the turn began.
    pub(crate) fn generation_of_turn(&self) -> u32 {
        self.generation_of_turn
    }

    /// How far the end of the reactor has come.
    pub(crate) fn drain_state(&self) -> DrainState {
        let Common { drain, .. } = &self.common;
        drain.state()
    }

    /// The next connection that has still to be told of the drain.
    pub(crate) fn next_untold(&mut self) -> Option<ConnId> {
        let Common { drain, .. } = &mut self.common;
        drain.next_untold()
    }

    /// `Net::drain`.
    pub(crate) fn ask_to_drain(&mut self, grace: Duration) {
        let Common { drain, timers, .. } = &mut self.common;
        if let Some(timer) = drain.ask(grace) {
            timers.cancel(timer);
        }
    }

    /// The grace of the drain is over.
    pub(crate) fn cut_drain_off(&mut self) {
        let Common { drain, .. } = &mut self.common;
        drain.cut_off();
    }
}
