//! The rules that hold in a callback.

use std::time::{Duration, Instant};

use crate::{CloseKind, CloseReason, Conn, ConnId, Net, TimerId, connection::Phase};

use super::{
    actor::{Actor, network, require, violate},
    session::{Session, Sessions, Timer},
};

pub(super) fn phase_of(conn: &mut Conn<'_, Sessions>) -> Option<Phase> {
    let slot = conn.id().slot();
    conn.net().engine().connection(slot).map(|connection| connection.phase())
}

impl Actor {
    /// A timer of the program, or of a connection, fires in time and in order. Returns its id.
    pub(super) fn check_fired(timers: &mut Vec<Timer>, tag: u64, now: Instant, turn: u64) -> Option<TimerId> {
        let Some(index) = timers.iter().position(|timer| timer.tag == tag) else {
            violate!("the timer {tag} fired, which is not set");
            return None;
        };
        let timer = timers.swap_remove(index);
        require!(timer.due <= now, "the timer {tag} fired too early");
        let is_new = timer.set_in_turn && timer.turn == turn;
        require!(!is_new, "the timer {tag} fired in the turn in which it was set");
        let order = |timer: &Timer| (timer.due, timer.tag);
        // Only times of the future, and timers of earlier turns, have an order that the model knows.
        let is_before = |other: &&Timer| {
            other.is_exact
                && timer.is_exact
                && other.turn < turn
                && timer.turn < turn
                && order(other) < order(&timer)
        };
        if let Some(other) = timers.iter().find(is_before) {
            violate!("the timer {tag} fired before the timer {}", other.tag);
        }
        Some(timer.id)
    }

    pub(super) fn check_input(&mut self, conn: &mut Conn<'_, Sessions>, input: &[u8]) {
        let id = conn.id();
        // A failed send has emptied the outbox. The last bytes of the peer are then delivered without a pause.
        let has_failed = phase_of(conn) == Some(Phase::Failing);
        let session = conn.session();
        require!(session.opened, "on_data of {id} before on_open");
        require!(!session.eof, "on_data of {id} after on_eof");
        require!(!session.paused, "on_data of {id}, which is paused");
        require!(
            has_failed || !(session.full && session.pauses_when_full),
            "on_data of {id}, which is above high water"
        );
        require!(!input.is_empty(), "on_data of {id} without a byte");
        let (need, most) = (std::mem::take(&mut session.need), session.limits.inbox_limit());
        require!(input.len() >= need, "{id} was shown {} bytes and needs {need}", input.len());
        let is_exempt = self.models[self.current].exempt.contains(&id);
        require!(is_exempt || input.len() <= most, "{id} was shown {} bytes, more than {most}", input.len());
        let Some(end) = session.end else { return };
        let consumed = session.consumed;
        session.shown = consumed + input.len() as u64;
        network(|network| {
            let view = network.view(end);
            let Some(peer) = view.peer_key else { return };
            let matching = network.content(peer).matching(consumed, input);
            if matching < input.len() {
                let wrong = consumed + matching as u64;
                network.violate(format_args!("{id} was shown a wrong byte at the position {wrong}"));
            }
            // Nothing that was read is kept from the handler.
            let shown = consumed + input.len() as u64;
            if shown != view.read {
                network.violate(format_args!("{id} was shown {shown} bytes of {}", view.read));
            }
        });
    }

    pub(super) fn check_eof(&mut self, conn: &mut Conn<'_, Sessions>) {
        let (id, left) = (conn.id(), conn.unconsumed().len() as u64);
        let session = conn.session();
        require!(session.opened, "on_eof of {id} before on_open");
        require!(!std::mem::replace(&mut session.eof, true), "a second on_eof of {id}");
        require!(!session.paused, "on_eof of {id}, which is paused");
        let Some(end) = session.end else { return };
        let view = network(|network| network.view(end));
        let shown = session.consumed + left;
        require!(view.fin_arrived && !view.was_reset, "on_eof of {id}, whose peer has not ended its stream");
        require!(shown == view.peer_written, "on_eof of {id} after {shown} of {} bytes", view.peer_written);
    }

    /// An idle timeout ends only a connection on which no byte has moved for so long.
    fn check_idle(&mut self, id: ConnId, session: &Session, kind: CloseKind) {
        let (Some(after), Some(end)) = (session.idle.after, session.end) else { return };
        let turns = self.model().turns;
        // A timeout that was set in this turn may have fired before.
        let is_new = session.idle.changed_in != u64::MAX && session.idle.changed_in + 1 >= turns;
        if kind != CloseKind::IdleTimeout || is_new || session.was_attached {
            return;
        }
        let silent = network(|network| network.silent_for(end));
        // The reactor counts whole milliseconds.
        let least = after.saturating_sub(Duration::from_millis(2));
        require!(silent >= least, "{id} was idle for {silent:?} and not for {after:?}");
    }

    /// The socket may outlive the session now.
    fn lingers(&mut self, session: &Session) {
        let options = &self.models[self.current].options;
        if let Some(end) = session.end {
            let begun = session.closed_at.unwrap_or(network(|network| network.now));
            let (linger, by) = (options.linger, begun + options.close_timeout);
            self.model().lingering.push((end, linger, by));
        }
    }

    /// The bytes that a peer has sent before its reset are read, unless something else has ended the connection.
    fn check_last_words(&mut self, id: ConnId, session: &Session, kind: CloseKind) {
        let model = self.model();
        let may_be_cut = model.drains > 0
            || session.has_idle_timeout
            || session.deadline.is_some()
            || session.had_ended
            || model.options.memory_budget < 1 << 30;
        if kind != CloseKind::Reset || may_be_cut || session.closed || !session.opened {
            return;
        }
        let Some(end) = session.end else { return };
        let (unread, view) = network(|network| (network.unread_of(end), network.view(end)));
        let read = view.read;
        // A message that is too long ends the connection as well, and the first reason stays.
        let is_full = (read - session.consumed) as usize >= session.limits.inbox_limit();
        let left = read - session.consumed.max(session.shown);
        let needs_more = session.need as u64 > read - session.consumed;
        require!(
            left == 0 || is_full || needs_more || session.eof,
            "{id} was reset and {left} bytes of its peer were never shown"
        );
        // Behind a `shutdown_write` that fails without a reset, the peer can still send.
        let may_send = view.shutdown_failed && !view.was_reset;
        require!(
            unread == 0 || is_full || may_send,
            "{id} was reset and has left {unread} bytes of its peer unread"
        );
    }

    pub(super) fn check_close(
        &mut self,
        net: &mut Net<Sessions>,
        id: ConnId,
        session: &Session,
        why: &CloseReason,
    ) {
        require!(net.conn(id).is_none(), "{id} is still a connection in its on_close");
        let (undelivered, was_open, drains) = (net.undelivered(), net.was_open(), self.model().drains);
        let (handed, written) =
            network(|network| (network.handed(session.key), network.written(session.key)));
        let kind = why.kind();
        self.model().undelivered += u64::from(undelivered);
        // A close leaves the later addresses of a connect without callbacks, so the session does not know their ends.
        let last = network(|network| network.end_of_key(session.key)).filter(|_| !session.opened);
        let end = last.or(session.end);
        let view = end.map(|end| network(|network| network.view(end)));
        let unconsumed = view.map_or(0, |view| view.read - session.consumed);
        let is_full = unconsumed as usize >= session.limits.inbox_limit();
        require!(!undelivered || !why.is_clean(), "{id} ended as {kind} with undelivered bytes");
        if undelivered {
            require!(written < handed || session.refused, "{id}: nothing is undelivered");
        } else {
            require!(
                written >= handed,
                "{id}: {written} of {handed} bytes were delivered, and nobody says so"
            );
        }
        // A close before the connection was open brings no `on_open`.
        let may_differ = session.closed || session.was_attached;
        require!(was_open == session.opened || may_differ, "{id}: was_open is {was_open}");
        let allowed = match kind {
            CloseKind::Closed => session.closed || session.has_quiet_close,
            CloseKind::Drained => (session.closed || session.has_quiet_close) && drains > 0,
            CloseKind::Aborted => session.aborted || drains > 0,
            CloseKind::CloseTimeout => session.closed || session.has_quiet_close,
            CloseKind::IdleTimeout => session.has_idle_timeout,
            CloseKind::Deadline => session.deadline.is_some_and(|at| at <= net.now()),
            CloseKind::Eof => session.eof || session.had_eof,
            CloseKind::FileFailed => session.sent_short_file,
            CloseKind::ConnectFailed => !session.opened,
            // A send that was gathered has returned `Open`, and meets the limit when the callback has returned.
            CloseKind::OutboxLimit => session.refused || undelivered,
            CloseKind::InboxLimit => session.closed || is_full,
            CloseKind::MemoryLimit => self.model().options.memory_budget < 1 << 30,
            CloseKind::Reset => {
                !session.opened
                    || view.is_none_or(|view| view.was_reset || view.shutdown_failed || view.peer_closed)
            }
            CloseKind::Io => view.is_none_or(|view| view.wrote_nothing),
        };
        // Many bytes through a small buffer take longer than the close timeout, if each part has a latency.
        let has_stopped =
            end.is_some_and(|end| network(|network| network.silent_for(end)) >= Duration::from_secs(1));
        let is_slow = kind == CloseKind::CloseTimeout
            && has_stopped
            && session.closed_at_rest
            && view.is_some_and(|view| view.peer_reads)
            && self.model().options.close_timeout >= Duration::from_secs(30);
        require!(!is_slow, "{id} was not closed in time, and its peer reads");
        self.check_idle(id, session, kind);
        let by_quiet =
            !session.closed && !session.had_ended && matches!(kind, CloseKind::Closed | CloseKind::Drained);
        require!(!(by_quiet && session.paused), "{id} was closed when idle, and its reading is paused");
        require!(
            !(by_quiet && session.owes_writable),
            "{id} was closed when idle, and an on_writable is owed"
        );
        // A panic leaves the rest of the `on_drain` calls to the end of the next turn. An idle connection may close before.
        let was_cut_short = session.has_quiet_close && self.workload.panics > 0;
        let was_told = session.drain.is_some() || session.closed || session.had_ended || !session.opened;
        require!(
            was_told || was_cut_short || kind != CloseKind::Drained,
            "{id} was closed by a drain, and had no on_drain"
        );
        // An abort or a deadline behind a close ends the socket at once.
        let may_end_at_once = session.aborted || session.deadline.is_some() || !session.opened;
        if kind.is_clean() && !session.had_ended && !may_end_at_once {
            self.lingers(session);
        }
        self.check_last_words(id, session, kind);
        // A connection whose end was decided in an earlier reactor keeps the reason.
        let allowed = allowed || session.had_ended;
        require!(allowed, "{id} ended as {kind} without a cause");
        let model = self.model();
        model.closed += 1;
        model.sessions = model.sessions.wrapping_sub(1);
        if model.sessions > u32::MAX as usize {
            violate!("more sessions were closed than made");
        }
    }
}
