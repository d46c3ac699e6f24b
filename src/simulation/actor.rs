//! The handler of all simulated reactors. Each callback is compared with the model of the connection, and then does random
//! things.

use std::{collections::BTreeMap, io, panic};

use crate::{
    Accepted, CloseReason, Conn, ConnId, Datagram, Handler, Net, Readiness, Receiver, Remote, Sender, Socket,
    SourceId,
    socket::simulated::{self, Network, Random},
};

use super::{
    reactor_model::ReactorModel,
    session::{Session, Sessions},
    transit::{Message, Unowned},
    workload::Workload,
};

#[derive(Debug)]
pub(super) struct Actor {
    pub(super) random: Random,
    pub(super) models: Vec<ReactorModel>,
    /// The reactor whose turn it is.
    pub(super) current: usize,
    pub(super) workload: Workload,
    /// The handler takes all input, and does nothing else any more.
    pub(super) finishes: bool,
    pub(super) callbacks: u64,
    /// The number of times that each kind of event has happened, by name.
    pub(super) coverage: BTreeMap<&'static str, u64>,
    /// The name of the callback that runs, or that has panicked.
    callback: Option<&'static str>,
    /// The connection whose callback runs, or has panicked.
    pub(super) running: Option<ConnId>,
    /// The connection whose `on_data` runs.
    pub(super) shown_input: Option<ConnId>,
    pub(super) unowned: Unowned,
    pub(super) messages: Vec<Message>,
    /// Of each reactor.
    pub(super) channels: Vec<Channel>,
    /// `on_wake` was called in this turn.
    pub(super) woken: bool,
    /// How many random actions the handler still has in this step.
    pub(super) actions_left: usize,
}

/// A channel into a reactor.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) remote: Remote,
    pub(super) sender: Sender<u64>,
    pub(super) receiver: Receiver<u64>,
    /// How many messages the channel holds at most.
    pub(super) capacity: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// `stop` was called, for the next turn.
    pub(super) stop_asked: bool,
    /// The next turn calls `on_wake`.
    pub(super) wakes_owed: bool,
}

/// The panic of a callback that panics on purpose.
pub(super) struct DeliberatePanic;

pub(super) fn network<R>(f: impl FnOnce(&mut Network) -> R) -> R {
    simulated::with(f).expect("the network is there as long as the run")
}

/// Reports a violation.
macro_rules! violate {
    ($($text:tt)*) => {
        $crate::simulation::actor::network(|network| network.violate(format_args!($($text)*)))
    };
}

/// Writes a line of the trace.
macro_rules! note {
    ($($text:tt)*) => {
        if $crate::socket::simulated::is_traced() {
            $crate::simulation::actor::network(|network| network.note(format_args!($($text)*)));
        }
    };
}

macro_rules! require {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            $crate::simulation::actor::network(|network| network.violate(format_args!($($text)*)));
        }
    };
}

pub(super) use {note, require, violate};

impl Actor {
    pub(super) fn new(workload: Workload) -> Self {
        Self {
            random: Random::new(0),
            models: Vec::new(),
            current: 0,
            workload,
            finishes: false,
            callbacks: 0,
            coverage: BTreeMap::new(),
            callback: None,
            running: None,
            shown_input: None,
            unowned: Unowned::default(),
            messages: Vec::new(),
            channels: Vec::new(),
            woken: false,
            actions_left: 0,
        }
    }

    pub(super) fn model(&mut self) -> &mut ReactorModel {
        &mut self.models[self.current]
    }

    fn begin(&mut self, name: &'static str, id: Option<ConnId>) {
        self.callbacks += 1;
        self.running = None;
        self.cover(name);
        let reactor = self.current;
        note!("reactor {reactor}: {name} {}", id.map_or(String::new(), |id| id.to_string()));
        require!(self.callback.is_none(), "{name} was called inside another callback");
        self.callback = Some(name);
    }

    /// The callback of a timer runs.
    pub(super) fn fires_timers(&self) -> bool {
        matches!(self.callback, Some("on_timer" | "on_timeout"))
    }

    pub(super) fn cover(&mut self, name: &'static str) {
        *self.coverage.entry(name).or_default() += 1;
    }

    fn end(&mut self) {
        if !self.finishes && self.random.chance(self.workload.panics) {
            note!("    panics");
            panic::resume_unwind(Box::new(DeliberatePanic)); // without a message on the output
        }
        self.callback = None;
    }

    /// A callback has panicked: its connection is aborted.
    pub(super) fn recover(&mut self, net: &mut Net<Sessions>) {
        self.cover("panic");
        self.shown_input = None;
        if self.callback.take() == Some("on_wake") {
            self.channels[self.current].wakes_owed = true; // the next turn makes the call again
        }
        self.model().cut_off = None; // the panic may have cut the row of resets short
        let Some(id) = self.running.take() else { return };
        if let Some(session) = net.session(id) {
            (session.closed, session.aborted, session.refused) = (true, true, true);
        }
    }

    /// Begins a callback of a connection that has a session.
    fn begin_of(&mut self, name: &'static str, conn: &mut Conn<'_, Sessions>) {
        let id = conn.id();
        self.begin(name, Some(id));
        let token = self.model().first_token + id.slot() as usize;
        let session = conn.session();
        if session.end.is_none() || !session.opened {
            session.end = network(|network| network.end_of(token)).or(session.end);
        }
        require!(!session.closed, "{name} of {id} after a close or an abort");
        self.running = Some(id);
    }

    /// A random part of the input is consumed.
    fn consume(&mut self, conn: &mut Conn<'_, Sessions>, shown: usize) -> usize {
        let random = &mut self.random;
        let consumed = match random.below(10) {
            _ if self.finishes => shown,
            _ if self.workload.hoards && shown > 1000 => random.below(2),
            0..5 => shown,
            5..7 => 0,
            7 => 1,
            _ => random.below(shown + 1),
        };
        let session = conn.session();
        session.consumed += consumed as u64;
        session.owes_data = consumed > 0 && consumed < shown;
        consumed
    }

    fn act_in(&mut self, conn: &mut Conn<'_, Sessions>) {
        let id = conn.id();
        self.act(conn.net(), Some(id));
    }
}

impl Handler for Actor {
    type Session = Sessions;

    fn on_accept(&mut self, net: &mut Net<Sessions>, from: &Accepted) -> Option<Sessions> {
        self.begin("on_accept", Some(from.id));
        require!(net.conn(from.id).is_none(), "{} is a connection before on_accept has returned", from.id);
        let model = self.model();
        let (open, most) = (net.stats().open, model.options.max_connections);
        require!(open < most, "a client was accepted beside {open} connections, more than {most}");
        let (token, limits) = (model.first_token + from.id.slot() as usize, model.options.clone());
        let (turn, most, is_draining) = (model.turns, model.options.accept_budget, net.is_draining());
        match model.listeners.iter_mut().find(|listener| listener.id == from.listener) {
            None => violate!("a client of an unknown listener was accepted"),
            Some(listener) if listener.closed => violate!("a client of a closed listener was accepted"),
            Some(listener) if listener.paused => violate!("a client of a paused listener was accepted"),
            Some(listener) => {
                let count = listener.count(turn);
                // The beginning of a drain accepts all clients that have connected before.
                require!(is_draining || count <= most, "a listener accepted {count} clients in a turn");
            }
        }
        let (key, end) = network(|network| {
            let key = network.new_key();
            network.name(token, key);
            (key, network.end_of(token))
        });
        require!(end.is_some(), "a client was accepted that is not registered");
        self.act(net, None);
        let wanted = self.finishes || !self.random.chance(self.workload.refuses);
        self.end();
        let model = self.model();
        if wanted {
            model.remember(from.id);
            model.accepted += 1;
            model.sessions += 1;
        } else {
            model.refused += 1;
        }
        wanted.then(|| Box::new(Session { end, ..Session::new(key, limits, true) }))
    }

    fn on_open(&mut self, conn: &mut Conn<'_, Sessions>) {
        self.begin_of("on_open", conn);
        let id = conn.id();
        let session = conn.session();
        require!(!session.opened, "a second on_open of {id}");
        require!(session.end.is_some(), "{id} is open without a stream");
        session.opened = true;
        session.idle.since = None;
        self.act_in(conn);
        self.end();
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Sessions>, input: &[u8]) -> usize {
        self.begin_of("on_data", conn);
        self.check_input(conn, input);
        if self.forwards(conn, input) {
            self.end();
            return input.len();
        }
        if !self.finishes && self.random.chance(self.workload.detaches) {
            self.detach_in_on_data(conn, input);
            self.end();
            return 0;
        }
        let consumed = match self.workload.answers {
            Some(sizes) if !self.finishes && self.random.chance(900) => self.answer(conn, input, sizes),
            _ => self.consume(conn, input.len()),
        };
        self.shown_input = Some(conn.id());
        self.act_in(conn);
        self.shown_input = None;
        note!("    on_data has consumed {consumed} of {} bytes", input.len());
        self.end();
        consumed
    }

    fn on_eof(&mut self, conn: &mut Conn<'_, Sessions>) {
        self.begin_of("on_eof", conn);
        self.check_eof(conn);
        if self.finishes || self.random.chance(500) {
            self.close(conn.id(), conn.net());
        } else {
            self.act_in(conn);
        }
        self.end();
    }

    fn on_peer_closed(&mut self, conn: &mut Conn<'_, Sessions>) {
        self.begin_of("on_peer_closed", conn);
        let id = conn.id();
        let session = conn.session();
        let view = session.end.map(|end| network(|network| network.view(end)));
        require!(session.opened && session.paused, "on_peer_closed of {id}, which is not paused");
        require!(!std::mem::replace(&mut session.told_peer_closed, true), "a second on_peer_closed of {id}");
        // An event that the host has held back over a turn may be that of an earlier connection in the slot.
        require!(
            self.workload.splits_batches || view.is_some_and(|view| view.fin_arrived || view.was_reset),
            "on_peer_closed of {id}, whose peer has not ended"
        );
        self.act_in(conn);
        self.end();
    }

    fn on_writable(&mut self, conn: &mut Conn<'_, Sessions>) {
        self.begin_of("on_writable", conn);
        let (id, queued) = (conn.id(), conn.queued());
        let session = conn.session();
        require!(session.opened, "on_writable of {id} before on_open");
        require!(session.awaits_writable, "an on_writable of {id} that nothing has asked for");
        require!(queued < session.limits.low_water, "on_writable of {id} with {queued} unsent bytes");
        (session.awaits_writable, session.full) = (false, false);
        (session.owes_writable, session.must_be_ready, session.may_be_full) = (false, false, false);
        self.act_in(conn);
        self.end();
    }

    fn on_timeout(&mut self, conn: &mut Conn<'_, Sessions>, tag: u64) {
        self.begin_of("on_timeout", conn);
        let now = conn.now();
        let turn = self.model().turns;
        Self::check_fired(&mut conn.session().timeouts, tag, now, turn);
        self.act_in(conn);
        self.end();
    }

    fn on_drain(&mut self, conn: &mut Conn<'_, Sessions>) {
        self.begin_of("on_drain", conn);
        let (id, is_draining, drain) = (conn.id(), conn.net().is_draining(), self.model().drains);
        require!(is_draining, "on_drain of {id} without a drain");
        require!(conn.session().drain != Some(drain), "a second on_drain of {id}");
        conn.session().drain = Some(drain);
        let choice = self.random.below(4);
        match choice {
            _ if self.finishes => self.close_when_idle(conn.id(), conn.net()),
            0..2 => self.close_when_idle(conn.id(), conn.net()),
            2 => self.close(conn.id(), conn.net()),
            _ => self.act_in(conn),
        }
        self.end();
    }

    fn on_close(&mut self, net: &mut Net<Sessions>, id: ConnId, session: Sessions, why: CloseReason) {
        self.begin("on_close", Some(id));
        note!("    the reason is: {why}");
        self.cover(why.kind().name());
        self.check_close(net, id, &session, &why);
        self.act(net, None);
        self.end();
    }

    fn on_wake(&mut self, net: &mut Net<Sessions>) {
        self.begin("on_wake", None);
        require!(self.channels[self.current].wakes_owed, "an on_wake that nobody has asked for");
        self.woken = true;
        self.receive_messages();
        self.act(net, None);
        self.end();
    }

    fn on_datagram(&mut self, socket: &mut Socket<'_, Sessions>, datagram: &Datagram<'_>) {
        self.begin("on_datagram", None);
        self.check_datagram(socket, datagram);
        self.answer_datagram(socket, datagram);
        self.act(socket.net(), None);
        self.end();
    }

    fn on_datagram_error(&mut self, socket: &mut Socket<'_, Sessions>, _: io::Error) {
        self.begin("on_datagram_error", None);
        require!(socket.peer().is_some(), "an error of a datagram socket that is not connected");
        self.act(socket.net(), None);
        self.end();
    }

    fn on_ready(&mut self, net: &mut Net<Sessions>, source: SourceId, ready: Readiness) {
        self.begin("on_ready", None);
        self.read_source(net, source, ready);
        self.act(net, None);
        self.end();
    }

    fn on_timer(&mut self, net: &mut Net<Sessions>, tag: u64) {
        self.begin("on_timer", None);
        let now = net.now();
        let turn = self.model().turns;
        let model = self.model();
        let fired = Self::check_fired(&mut model.timers, tag, now, turn);
        model.fired = fired.or(model.fired);
        self.act(net, None);
        self.end();
    }
}
