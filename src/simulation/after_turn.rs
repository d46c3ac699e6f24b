//! The rules that hold after each turn.

use std::{ops::Range, time::Duration};

use crate::{Net, connection::Phase};

use super::{
    actor::{Actor, network, require, violate},
    liveness,
    reactor_model::ReactorModel,
    session::{Sessions, Timer},
};

/// The state of a reactor before a turn.
pub(super) struct Before {
    /// The sources with work to do; empty behind a panic, which has put the last source of the cut turn in front again.
    pub(super) queue: Vec<u32>,
    served: usize,
    was_draining: bool,
}

impl Before {
    pub(super) fn of(net: &mut Net<Sessions>, model: &ReactorModel, has_panicked: bool) -> Self {
        let queue = if has_panicked { Vec::new() } else { net.engine().ready_queue() };
        Self { queue, served: net.engine().served(), was_draining: model.was_draining }
    }
}

/// A turn that has just ended.
pub(super) struct AfterTurn {
    pub(super) before: Before,
    pub(super) more: bool,
    /// The turn has made a callback or a call of the system, or events came before it.
    pub(super) moved: bool,
    /// The time of the turn was over when the turn began.
    pub(super) over_at_once: bool,
    /// The tokens of events that the host still has.
    pub(super) held: Vec<usize>,
    /// The tokens of the reactor.
    pub(super) tokens: Range<usize>,
}

impl AfterTurn {
    pub(super) fn check(&self, actor: &mut Actor, which: usize, net: &mut Net<Sessions>) {
        let model = &mut actor.models[which];
        model.was_draining = net.is_draining();
        // The turn that begins a drain receives once more of each connection.
        let began_drain = net.is_draining() && !self.before.was_draining;
        liveness::check_told(net);
        liveness::check_cut_off(net, model);
        if !self.moved && self.before.queue.is_empty() {
            return;
        }
        self.check_order(which, net);
        self.check_state(which, net, model);
        self.check_budgets(which, net, began_drain);
        check_timers(which, net, model);
        actor.check_datagrams(which, net);
        let model = &mut actor.models[which];
        liveness::check_owed(net);
        if let Some((end, token)) = network(|network| network.unclosed_end(self.tokens.clone()))
            && !net.engine().is_scheduled((token - model.first_token) as u32)
        {
            violate!("both directions of end {end} are over, and it is not closed");
        }
        liveness::check_known(net, model, &self.held);
        liveness::check_closing(net, model, &self.held);
        liveness::check_late(net, &self.before.queue);
        let now = network(|network| network.turn_time());
        liveness::check_lingering(model, now);
    }

    /// The queue is first in, first out, and each turn serves at least its first source.
    fn check_order(&self, which: usize, net: &mut Net<Sessions>) {
        let (queue, after) = (&self.before.queue, net.engine().ready_queue());
        let served = net.engine().served() - self.before.served;
        require!(self.more || after.is_empty(), "reactor {which} has work and does not say so: {after:?}");
        if queue.is_empty() {
            return;
        }
        require!(served > 0, "reactor {which}: the first source was not served: {queue:?}");
        let rest = &queue[served.min(queue.len())..];
        require!(
            after.starts_with(rest),
            "reactor {which}: {served} sources were served, but not in order: {queue:?} {after:?}"
        );
        // A turn whose time is over when it begins serves one source.
        require!(
            !self.over_at_once || served <= 1,
            "reactor {which}: a turn goes on after its end: {queue:?} {after:?}"
        );
    }

    fn check_state(&self, which: usize, net: &mut Net<Sessions>, model: &mut ReactorModel) {
        let exempt = model.exempt_slots(net);
        if let Err(broken) = net.engine().check_invariants(true, &exempt) {
            violate!("reactor {which}: {broken}");
        }
        let stats = net.stats();
        let counts = [stats.accepted, stats.refused_handler, stats.closed, stats.detached, stats.undelivered];
        let expected = [model.accepted, model.refused, model.closed, model.detached, model.undelivered];
        require!(counts == expected, "reactor {which} counts {counts:?} and not {expected:?}");
    }

    /// The reactor, and each connection, has moved no more than the budgets allow.
    fn check_budgets(&self, which: usize, net: &mut Net<Sessions>, began_drain: bool) {
        let options = net.options().clone();
        // The last `recv` may pass the budget.
        let once = (options.read_budget + options.read_buffer) as u64;
        let received = liveness::check_budgets(net, if began_drain { 2 * once } else { once });
        // The turn ends behind the source that spends its budget.
        let most = (options.turn_budget as u64).saturating_add(once);
        require!(began_drain || received < most, "reactor {which} has received {received} bytes in a turn");
    }
}

/// The timers of programs and of connections fire in time.
fn check_timers(which: usize, net: &mut Net<Sessions>, model: &ReactorModel) {
    let now = network(|network| network.turn_time());
    let of_program = net.engine().remains().timers_of_program;
    require!(of_program == model.timers.len(), "reactor {which} has lost a timer");
    let is_late = |timer: &&Timer| timer.due <= now && !timer.is_relative && timer.turn + 1 < model.turns;
    if let Some(timer) = model.timers.iter().find(is_late) {
        violate!("the timer {} of reactor {which} is late", timer.tag);
    }
    let late: Vec<_> = net
        .sessions()
        .filter(|(_, session)| !session.closed && !session.refused)
        .filter_map(|(id, session)| {
            let is_past = |at| at + Duration::from_millis(1) < now;
            let deadline = session.last_deadline.filter(|at| is_past(*at) && session.opened).map(|_| 0);
            deadline.or(session.timeouts.iter().find(is_late).map(|timer| timer.tag)).map(|tag| (id, tag))
        })
        .collect();
    for (id, tag) in late {
        let phase = net.engine().connection(id.slot()).map(|connection| connection.phase());
        require!(phase != Some(Phase::Open), "the timeout {tag} of {id} is late; 0 is its deadline");
    }
}
