//! After a turn: nothing that could go on is forgotten.

use std::time::{Duration, Instant};

use crate::{ConnId, Net, connection::Phase, engine::DrainState, socket::simulated::Moved};

use super::{
    actor::{network, require},
    reactor_model::ReactorModel,
    session::Sessions,
};

/// No connection has moved more in this turn than its budgets allow. `reads`: it has received fewer bytes than this. Returns
/// how many bytes all connections together have received.
pub(super) fn check_budgets(net: &mut Net<Sessions>, reads: u64) -> u64 {
    let mut received = 0;
    let writes = net.options().write_budget as u64;
    for (id, session) in net.sessions() {
        let Some(end) = session.end else { continue };
        let Moved { written, read, .. } = network(|network| *network.moved_in_turn(end));
        require!(written <= writes, "{id} has sent {written} bytes in a turn");
        require!(read < reads, "{id} has received {read} bytes in a turn");
        received += read;
    }
    received
}

/// A socket that outlives its session stays until its peer has ended, or is silent for the linger time.
pub(super) fn check_lingering(model: &mut ReactorModel, now: Instant) {
    let is_draining = model.drains > 0;
    model.lingering.retain(|(end, linger, by)| {
        let (end, linger, by) = (*end, *linger, *by);
        let Some(silent) = network(|network| network.closed_while_lingering(end)) else {
            return now < by;
        };
        let grain = Duration::from_millis(2);
        require!(
            is_draining || silent.saturating_add(grain) >= linger || now + grain >= by,
            "end {end} lingered for {silent:?} of silence and not for {linger:?}"
        );
        false
    });
}

/// After a turn in a drain, each open connection has had its `on_drain`: the turn that begins the drain tells all connections,
/// and a connection that opens later is told at once.
pub(super) fn check_told(net: &mut Net<Sessions>) {
    if !matches!(net.engine().drain_state(), DrainState::Draining(_)) {
        return;
    }
    for id in open_sessions(net) {
        let was_told = net.session(id).is_none_or(|session| session.drain.is_some());
        require!(was_told || !is_open(net, id), "{id} gets no on_drain");
    }
}

/// True if the connection is open and nothing will look at it before an event comes.
fn rests(net: &mut Net<Sessions>, id: ConnId) -> bool {
    is_open(net, id) && !net.engine().is_scheduled(id.slot())
}

fn is_open(net: &mut Net<Sessions>, id: ConnId) -> bool {
    net.engine().connection(id.slot()).is_some_and(|connection| connection.phase() == Phase::Open)
}

fn open_sessions(net: &Net<Sessions>) -> Vec<ConnId> {
    net.sessions().filter(|(_, session)| session.opened && !session.closed).map(|(id, _)| id).collect()
}

/// No connection waits for a call that is due.
pub(super) fn check_owed(net: &mut Net<Sessions>) {
    for id in open_sessions(net) {
        if !rests(net, id) {
            continue;
        }
        let (queued, left) = (net.queued(id), net.conn(id).map_or(0, |conn| conn.unconsumed().len()));
        let Some(session) = net.session(id) else { continue };
        let owes_writable = session.owes_writable && !session.must_be_ready;
        let low_water = session.limits.low_water;
        require!(!owes_writable || queued >= low_water, "the on_writable of {id} is never sent");
        let wants_input = session.wants_input();
        let owes_data = session.owes_data && left > 0 && left >= session.need;
        require!(!owes_data || !wants_input, "{left} bytes of {id} are never shown");
    }
}

/// A connection that is closing, and that has bytes to send, knows that it may send them.
pub(super) fn check_closing(net: &mut Net<Sessions>, model: &ReactorModel, held: &[usize]) {
    let opened: Vec<_> = net
        .sessions()
        .filter(|(_, session)| session.opened)
        .filter_map(|(id, session)| session.end.map(|end| (id, end)))
        .collect();
    for (id, end) in opened {
        let (slot, token) = (id.slot(), model.first_token + id.slot() as usize);
        let phase = net.engine().connection(slot).map(|connection| connection.phase());
        if phase != Some(Phase::Flushing) || net.engine().is_scheduled(slot) || held.contains(&token) {
            continue;
        }
        let queued = net.queued(id);
        let stalled = network(|network| network.stalled(end, token));
        require!(
            !(stalled.writes && queued > 0) || net.engine().retries_send(id),
            "{id} is closing, and does not know that it may write"
        );
        require!(!stalled.error, "{id} is closing, and does not know that it was reset");
    }
}

/// A second drain ends all connections that were there when it was asked for, in the next turn.
pub(super) fn check_cut_off(net: &mut Net<Sessions>, model: &mut ReactorModel) {
    let Some((asked_in, there)) = &model.cut_off else { return };
    if asked_in + 2 > model.turns {
        return;
    }
    for id in there {
        require!(net.session(*id).is_none(), "{id} goes on after a second drain");
    }
    model.cut_off = None;
}

/// An idle timeout ends a connection in time. An event in the turn of the timeout postpones it, so the connection is late only
/// after several turns in which nothing was there to serve.
pub(super) fn check_late(net: &mut Net<Sessions>, queued_before: &[u32]) {
    let now = network(|network| network.turn_time());
    for id in open_sessions(net) {
        let (rests, was_queued) = (rests(net, id), queued_before.contains(&id.slot()));
        let Some(session) = net.session(id) else { continue };
        let (Some(after), Some(end)) = (session.idle.after, session.end) else { continue };
        let Some(since) = session.idle.since.filter(|_| rests) else {
            // The reactor may take note of bytes that have moved in this turn only in the next one.
            session.idle.since = rests.then_some(now);
            session.idle.late_turns = 0;
            continue;
        };
        let moved = network(|network| network.last_moved(end)).max(since);
        let is_late = now > moved + after + Duration::from_millis(3);
        if is_late && std::mem::take(&mut session.idle.counts_from_timer) {
            session.idle.since = Some(now);
        } else if session.paused || !session.has_idle_timeout || !is_late {
            session.idle.late_turns = 0;
        } else if !was_queued {
            session.idle.late_turns += 1;
            require!(session.idle.late_turns < 5, "the idle timeout of {id} is late");
        }
    }
}

/// Each connection knows what the system has reported of it. `held`: the tokens of events that the host still has.
pub(super) fn check_known(net: &mut Net<Sessions>, model: &ReactorModel, held: &[usize]) {
    for id in open_sessions(net) {
        let token = model.first_token + id.slot() as usize;
        if held.contains(&token) || !rests(net, id) {
            continue;
        }
        let queued = net.queued(id);
        let inbox = net.conn(id).map_or(0, |conn| conn.unconsumed().len());
        let Some(session) = net.session(id) else { continue };
        let Some(end) = session.end else { continue };
        let stalled = network(|network| network.stalled(end, token));
        let wants_input = session.wants_input();
        let has_room = inbox < session.limits.inbox_limit();
        require!(!(stalled.reads && wants_input && has_room), "{id} does not know that it has input");
        let awaits_room = session.owes_writable && session.must_be_ready && queued < session.limits.low_water;
        let awaits_room = queued > 0 || awaits_room;
        let (is_told, must_be_told) =
            (session.told_peer_closed || !session.paused || session.eof, stalled.end);
        let reads_nothing = session.paused || session.eof;
        require!(is_told || !must_be_told, "{id} is paused, and is not told that its peer has ended");
        require!(
            !(stalled.writes && awaits_room) || net.engine().retries_send(id),
            "{id} does not know that it may write"
        );
        require!(!(stalled.error && reads_nothing), "{id} does not know that it was reset");
    }
}
