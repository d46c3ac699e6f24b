//! After a turn: nothing that could go on is forgotten.

use std::time::{Duration, Instant};

use crate::{ConnId, Net, connection::Phase, engine::DrainState, socket::simulated::Moved};

use super::{
    actor::{network, require},
    book::Book,
    session::Sessions,
};

/// No connection has moved more in this turn than its budgets allow.
pub(super) fn check_budgets(net: &mut Net<Sessions>) {
    let options = net.options().clone();
    // The last `recv` may pass the budget. The beginning of a drain receives once more.
    let reads = 2 * (options.read_budget + options.read_buffer) as u64;
    let writes = options.write_budget as u64;
    for (id, session) in net.sessions() {
        let Some(end) = session.end else { continue };
        let Moved { written, read, .. } = network(|network| *network.moved_in_turn(end));
        require!(written <= writes, "{id} has sent {written} bytes in a turn");
        require!(read < reads, "{id} has received {read} bytes in a turn");
    }
}

/// A socket that outlives its session stays until its peer has ended, or is silent for the linger time.
pub(super) fn check_lingering(book: &mut Book, now: Instant) {
    let is_draining = book.drains > 0;
    book.lingering.retain(|(end, linger, since)| {
        let (end, linger) = (*end, *linger);
        let Some(silent) = network(|network| network.closed_while_lingering(end)) else {
            return now - *since < Duration::from_secs(20);
        };
        let least = linger.saturating_sub(Duration::from_millis(2));
        require!(
            is_draining || silent >= least || now - *since >= Duration::from_secs(20),
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
        let wants_input = !session.paused
            && !((session.full || session.may_be_full) && session.pauses_when_full)
            && !session.eof;
        let owes_data = session.owes_data && left > 0 && left >= session.need;
        require!(!owes_data || !wants_input, "{left} bytes of {id} are never shown");
    }
}

/// Each connection knows what the system has reported of it. `held`: the tokens of events that the host still has.
pub(super) fn check_known(net: &mut Net<Sessions>, book: &Book, held: &[usize]) {
    for id in open_sessions(net) {
        let token = book.first_token + id.slot() as usize;
        if held.contains(&token) || !rests(net, id) {
            continue;
        }
        let queued = net.queued(id);
        let inbox = net.conn(id).map_or(0, |conn| conn.unconsumed().len());
        let Some(session) = net.session(id) else { continue };
        let Some(end) = session.end else { continue };
        let stalled = network(|network| network.stalled(end, token));
        let wants_input = !session.paused
            && !((session.full || session.may_be_full) && session.pauses_when_full)
            && !session.eof;
        let has_room = inbox < session.limits.inbox_limit();
        require!(!(stalled.reads && wants_input && has_room), "{id} does not know that it has input");
        let awaits_room = session.owes_writable && session.must_be_ready && queued < session.limits.low_water;
        require!(!(stalled.writes && (queued > 0 || awaits_room)), "{id} does not know that it may write");
        let is_deaf = session.paused || session.eof;
        require!(!(stalled.error && is_deaf), "{id} does not know that it was reset");
    }
}
