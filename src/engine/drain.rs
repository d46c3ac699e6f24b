//! How far the end of the reactor has come.

use std::time::Duration;

use crate::id::{ConnId, TimerId};

#[derive(Debug)]
pub(super) struct Drain {
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
    pub(super) fn ask(&mut self, grace: Duration) -> Option<TimerId> {
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
    pub(super) fn begin(&mut self, timer: TimerId, since: u32, untold: Vec<ConnId>) {
        (self.state, self.since, self.untold) = (DrainState::Draining(timer), since, untold);
    }

    /// The grace is over.
    pub(super) fn cut_off(&mut self) {
        self.state = DrainState::CutOff;
        self.untold = Vec::new();
    }

    pub(super) fn set_stop(&mut self) {
        self.stop = true;
        self.concerns_turns = true;
    }

    pub(super) fn state(&self) -> DrainState {
        self.state
    }

    /// The generation of slots when the drain began.
    pub(super) fn since(&self) -> u32 {
        self.since
    }

    /// The next connection that has not had its `on_drain` yet.
    pub(super) fn next_untold(&mut self) -> Option<ConnId> {
        self.untold.pop()
    }

    #[inline]
    pub(super) fn concerns_turns(&self) -> bool {
        self.concerns_turns
    }

    /// True while the drain goes on: closes have the reason `Drained`, and new connections get `on_drain`.
    pub(super) fn is_under_way(&self) -> bool {
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
    pub(super) fn take_finished(&mut self, all_gone: bool) -> (bool, Option<TimerId>) {
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
