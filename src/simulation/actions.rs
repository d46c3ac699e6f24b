//! The random actions of the handler and of the host.

use std::{
    io::{ErrorKind, Write as _},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{
    Address, ConnId, ConnectOptions, ListenOptions, Net, WhenFull,
    connection::Phase,
    id::NO_SLOT,
    socket::simulated::{BLACK_HOLE, Random},
};

use super::{
    actor::{Actor, network, note, require},
    oracle::phase_of,
    reactor_model::KnownListener,
    session::{Idle, OwnLimits, Session, Sessions, Timer},
    workload::Action,
};

impl Actor {
    /// Does a few random things. `own`: the connection whose callback runs.
    pub(super) fn act(&mut self, net: &mut Net<Sessions>, own: Option<ConnId>) {
        while !self.finishes && self.actions_left > 0 && self.random.chance(self.workload.acts) {
            self.actions_left -= 1;
            let action = self.workload.action(&mut self.random);
            let id = self.target(own);
            let of = id.map_or(String::new(), |id| id.to_string());
            note!("    {action:?} {of} in reactor {}", self.current);
            self.carry_out(action, net, id);
        }
    }

    /// The own connection, or any other one, which may be gone.
    fn target(&mut self, own: Option<ConnId>) -> Option<ConnId> {
        let random = &mut self.random;
        match own {
            Some(own) if random.chance(600) => Some(own),
            own => {
                let known = &self.models[self.current].connections;
                if known.is_empty() { own } else { Some(random.pick(known)) }
            }
        }
    }

    fn carry_out(&mut self, action: Action, net: &mut Net<Sessions>, id: Option<ConnId>) {
        match (action, id) {
            (Action::Connect, _) => self.connect(net),
            (Action::Listen, _) => self.listen(net),
            (Action::CloseListener | Action::PauseListener | Action::ResumeListener, _) => {
                self.change_listener(action, net)
            }
            (Action::SetTimer, _) => self.set_timer(net),
            (Action::CancelTimer, _) => self.cancel_timer(net),
            (Action::Stop, _) => {
                net.stop();
                self.model().stop_asked = true;
            }
            (Action::Drain, _) => {
                // A drain ends most of what a run could still find.
                if self.random.chance(150) {
                    self.drain(net);
                }
            }
            (Action::Broadcast, _) => self.broadcast(net),
            (Action::Attach, _) => self.attach(net),
            (Action::Adopt, _) => self.adopt(net),
            (Action::MoveListener, _) => self.move_listener(net),
            (Action::Bind, _) => self.bind(net),
            (Action::CloseSocket | Action::SendDatagram | Action::ConnectSocket, _) => {
                self.use_socket(action, net);
            }
            (Action::Watch | Action::Unwatch | Action::ReadyAgain, _) => self.change_watch(action, net),
            (Action::CallFromElsewhere, _) => {
                let which = self.random.below(self.models.len());
                self.call_from_elsewhere(which);
            }
            (_, None) => {}
            (Action::SetTimeout, Some(id)) => self.set_timeout(net, id),
            (Action::CancelTimeout, Some(id)) => self.cancel_timeout(net, id),
            (Action::IdleTimeout, Some(id)) => {
                let after = self.random.pick(&[None, Some(1), Some(50), Some(2000)]);
                let after = after.map(Duration::from_millis);
                net.set_idle_timeout(id, after);
                let turn = self.model().turns;
                // A connection that has been idle for too long waits for its `on_close`.
                let is_ending = net.conn(id).and_then(|mut conn| phase_of(&mut conn)) > Some(Phase::Failing);
                with(net, id, |session| {
                    session.has_idle_timeout |= after.is_some();
                    if !is_ending {
                        session.idle = Idle::new(after, turn);
                    }
                });
            }
            (Action::Deadline, Some(id)) => {
                let now = net.now();
                let at = now + Duration::from_millis(self.random.below(3000) as u64);
                let at = Some(at).filter(|_| self.random.chance(700));
                net.set_deadline(id, at);
                if let Some(session) = net.session(id) {
                    session.last_deadline = at;
                    session.deadline = session.deadline.filter(|earlier| *earlier <= now).or(at);
                }
            }
            (Action::Close, Some(id)) => self.close(id, net),
            (Action::CloseWhenIdle, Some(id)) => self.close_when_idle(id, net),
            (Action::Abort, Some(id)) => {
                net.abort(id);
                with(net, id, |session| (session.closed, session.aborted) = (true, true));
            }
            (Action::ShutdownWrite, Some(id)) => {
                net.shutdown_write(id);
                with(net, id, |session| session.shut_down = true);
            }
            (Action::Pause, Some(id)) => {
                net.pause_reading(id);
                // Bytes that arrive after the end of a connection change nothing.
                if net.conn(id).and_then(|mut conn| phase_of(&mut conn)) <= Some(Phase::Failing) {
                    with(net, id, |session| session.paused = true);
                }
            }
            (Action::Resume, Some(id)) => {
                net.resume_reading(id);
                let has_input = net.conn(id).is_some_and(|conn| !conn.unconsumed().is_empty());
                with(net, id, |session| {
                    session.paused = false;
                    session.idle.since = None;
                    session.owes_data |= has_input && !session.eof;
                });
            }
            (Action::PauseWhenFull, Some(id)) => {
                let on = self.random.chance(500);
                net.pause_when_full(id, on);
                with(net, id, |session| session.pauses_when_full = on);
            }
            (Action::NotifyWritable, Some(id)) => {
                net.notify_writable(id);
                if net.conn(id).and_then(|mut conn| phase_of(&mut conn)) <= Some(Phase::Failing) {
                    with(net, id, |session| (session.awaits_writable, session.owes_writable) = (true, true));
                }
            }
            (Action::Need, Some(id)) => self.need(net, id),
            (Action::Detach, Some(id)) => self.detach(net, id),
            (
                Action::SendAll
                | Action::TrySend
                | Action::SendShared
                | Action::SendOwned
                | Action::Write
                | Action::SendFile
                | Action::Forward,
                Some(id),
            ) => self.send(action, net, id),
        }
    }

    pub(super) fn close(&mut self, id: ConnId, net: &mut Net<Sessions>) {
        net.close(id);
        let (now, finishes) = (network(|network| network.now), self.finishes);
        with(net, id, |session| {
            session.closed_at_rest = finishes && !session.closed;
            session.closed = true;
            session.closed_at.get_or_insert(now);
        });
    }

    pub(super) fn close_when_idle(&mut self, id: ConnId, net: &mut Net<Sessions>) {
        net.close_when_idle(id, Duration::from_millis(self.random.size(300) as u64 + 1));
        with(net, id, |session| session.has_quiet_close = true);
    }

    fn need(&mut self, net: &mut Net<Sessions>, id: ConnId) {
        let n = self.random.size(300);
        let Some(mut conn) = net.conn(id) else { return };
        conn.need(n);
        with(net, id, |session| {
            if n > session.limits.inbox_limit() {
                session.closed = true; // the message can never be whole
            } else {
                session.need = n;
            }
        });
    }

    fn connect(&mut self, net: &mut Net<Sessions>) {
        let key = network(|network| network.new_key());
        let random = &mut self.random;
        let mut options = ConnectOptions::default();
        if random.chance(500) {
            options = options
                .timeout(random.pick(&[None, Some(Duration::from_millis(50)), Some(Duration::from_secs(5))]))
                .address_timeout(random.pick(&[None, None, Some(Duration::from_millis(20))]));
        }
        if random.chance(300) {
            options = options
                .high_water(random.pick(&[None, Some(1), Some(300), Some(100_000)]))
                .low_water(random.pick(&[None, Some(0), Some(200)]))
                .max_outbox(random.pick(&[None, Some(100), Some(1 << 20)]))
                .max_inbox(random.pick(&[None, Some(5), Some(5000)]))
                .idle_timeout(random.pick(&[None, Some(Duration::from_millis(30))]));
        }
        if random.chance(100) {
            options = options.local(Some(SocketAddr::from(([10, 3, 0, 1], 1 + random.below(1000) as u16))));
        }
        let count = random.pick(&[1, 1, 1, 2, 3]);
        let addresses: Vec<SocketAddr> = (0..count).map(|_| address(random, self.models.len())).collect();
        let to = Address::from_list(&addresses).expect("the list is not empty");
        let own = OwnLimits {
            high_water: options.high_water,
            low_water: options.low_water,
            max_outbox: options.max_outbox,
            max_inbox: options.max_inbox,
        };
        let limits = own.in_place_of(net.options());
        let has_idle_timeout = options.idle_timeout.or(limits.idle_timeout).is_some();
        let idle = Idle::new(options.idle_timeout.or(limits.idle_timeout), u64::MAX);
        let session = Session { own, idle, has_idle_timeout, ..Session::new(key, limits, false) };
        let id = net.connect_with(to, Box::new(session), options);
        note!("    connect {id} to {addresses:?} with the key {key}");
        let model = self.model();
        model.sessions += 1;
        model.remember(id);
        if id.slot() != NO_SLOT {
            let token = model.first_token + id.slot() as usize;
            network(|network| network.name(token, key));
        }
    }

    fn listen(&mut self, net: &mut Net<Sessions>) {
        let port = self.random.pick(&[80, 80, 81, 82]);
        self.listen_at(net, port);
    }

    pub(super) fn listen_at(&mut self, net: &mut Net<Sessions>, port: u16) {
        let current = self.current;
        let random = &mut self.random;
        let options = ListenOptions::default()
            .backlog(random.pick(&[0, 1, 1024]))
            .max_connections(random.pick(&[1, 2, usize::MAX, usize::MAX]))
            .when_full(random.pick(&[WhenFull::Wait, WhenFull::Close]));
        let third = if port == 82 { 2 } else { 0 };
        let at = SocketAddr::from((Ipv4Addr::new(10, 0, third, current as u8 % 4), port));
        if let Ok(id) = net.listen_with(at, options) {
            note!("    listener {id} at {at}");
            self.model().listeners.push(KnownListener::new(id));
        }
    }

    fn change_listener(&mut self, action: Action, net: &mut Net<Sessions>) {
        let count = self.model().listeners.len();
        if count == 0 {
            return;
        }
        let index = self.random.below(count);
        let listener = &mut self.model().listeners[index];
        match action {
            Action::CloseListener => {
                net.close_listener(listener.id);
                listener.closed = true;
            }
            Action::PauseListener => {
                net.pause_listener(listener.id);
                listener.paused = true;
            }
            _ => {
                net.resume_listener(listener.id);
                listener.paused = false;
            }
        }
    }

    fn new_timer(&mut self, net: &Net<Sessions>) -> (Timer, Duration) {
        let late = self.random.chance(800);
        // Whole steps of ten milliseconds, so that several timers are due at a time.
        let time = match self.random.chance(500) {
            true => Duration::from_millis(10 * self.random.size(30) as u64),
            false => Duration::from_micros(self.random.size(3_000_000) as u64),
        };
        let now = net.now();
        let is_relative = self.random.chance(400);
        let due = match now.checked_sub(time) {
            Some(past) if !late && !is_relative => past,
            _ => now + time,
        };
        let model = self.model();
        let (tag, turn) = (model.new_tag(), model.turns);
        let (is_exact, set_in_turn) = (!is_relative && due > now, self.fires_timers());
        (Timer { id: crate::TimerId::NONE, tag, due, is_exact, set_in_turn, is_relative, turn }, time)
    }

    fn set_timer(&mut self, net: &mut Net<Sessions>) {
        let (mut timer, time) = self.new_timer(net);
        timer.id =
            if timer.is_relative { net.after(time, timer.tag) } else { net.set_timer(timer.due, timer.tag) };
        self.model().timers.push(timer);
    }

    fn cancel_timer(&mut self, net: &mut Net<Sessions>) {
        if let Some(fired) = self.model().fired {
            require!(!net.cancel_timer(fired), "a timer was cancelled that has fired");
        }
        let count = self.model().timers.len();
        if count > 0 {
            let index = self.random.below(count);
            let timer = self.model().timers.swap_remove(index);
            require!(net.cancel_timer(timer.id), "the timer {} cannot be cancelled", timer.tag);
            require!(!net.cancel_timer(timer.id), "the timer {} was cancelled twice", timer.tag);
        }
    }

    fn set_timeout(&mut self, net: &mut Net<Sessions>, id: ConnId) {
        let (mut timer, time) = self.new_timer(net);
        let Some(mut conn) = net.conn(id) else { return };
        timer.id = if timer.is_relative {
            conn.after(time, timer.tag)
        } else {
            conn.set_timeout(timer.due, timer.tag)
        };
        with(net, id, |session| session.timeouts.push(timer));
    }

    fn cancel_timeout(&mut self, net: &mut Net<Sessions>, id: ConnId) {
        let random = &mut self.random;
        let timer = net.session(id).and_then(|session| {
            let count = session.timeouts.len();
            (count > 0).then(|| session.timeouts.swap_remove(random.below(count)))
        });
        if let Some(timer) = timer {
            let was_set = net.cancel_timer(timer.id);
            // A connection that a limit has ended gets no `on_timeout` any more, and waits for its `on_close`.
            let is_ending = net.conn(id).and_then(|mut conn| phase_of(&mut conn)) > Some(Phase::Failing);
            require!(was_set || is_ending, "the timeout {} cannot be cancelled", timer.tag);
        }
    }

    pub(super) fn drain(&mut self, net: &mut Net<Sessions>) {
        let model = self.model();
        model.drains += u64::from(!net.is_draining());
        if net.is_draining() && model.cut_off.is_none() {
            model.cut_off = Some((model.turns, net.sessions().map(|(id, _)| id).collect()));
        }
        net.drain(Duration::from_millis(self.random.size(5000) as u64));
    }

    fn broadcast(&mut self, net: &mut Net<Sessions>) {
        let ids: Vec<ConnId> = net.sessions().map(|(id, _)| id).collect();
        let mut seen = 0;
        net.for_each(|_| seen += 1);
        require!(seen == ids.len(), "for_each has called for {seen} of {} connections", ids.len());
        for id in ids {
            self.send(Action::SendShared, net, id);
        }
    }

    /// Sends by `io::Write`. Returns `None` if the connection takes no bytes.
    pub(super) fn write(net: &mut Net<Sessions>, id: ConnId, bytes: &[u8]) -> Option<usize> {
        let mut conn = net.conn(id)?;
        let (_, mut out) = conn.split();
        match out.write(bytes) {
            Ok(n) => Some(n),
            Err(error) => {
                require!(error.kind() == ErrorKind::BrokenPipe, "a write to {id} failed: {error}");
                None
            }
        }
    }
}

fn with(net: &mut Net<Sessions>, id: ConnId, change: impl FnOnce(&mut Session)) {
    if let Some(session) = net.session(id) {
        change(session);
    }
}

/// An address: of a reactor, of a peer without a reactor, of nobody, or one that never answers.
fn address(random: &mut Random, reactors: usize) -> SocketAddr {
    match random.below(16) {
        0 => SocketAddr::from((BLACK_HOLE, 80)),
        1 => SocketAddr::from(([10, 0, 0, 1], 99)),
        2..5 => SocketAddr::from(([10, 0, 1, 0], 80)),
        _ => address_of_reactor(random, reactors),
    }
}

pub(super) fn address_of_reactor(random: &mut Random, reactors: usize) -> SocketAddr {
    // The streams to port 82 have the rules of Unix sockets.
    let (third, port) = random.pick(&[(0, 80), (0, 80), (0, 80), (0, 81), (2, 82), (2, 82)]);
    SocketAddr::from(([10, 0, third, random.below(reactors.min(4)) as u8], port))
}
