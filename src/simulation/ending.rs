//! The end of a run: once faults have stopped and peers read, everything drains, and nothing is left.

use std::time::{Duration, Instant};

use crate::{ConnId, connection::Phase, engine::Remains, socket::simulated::Random};

use super::{
    actor::{network, note, require, violate},
    world::World,
};

/// More rounds than any run needs between two bytes that are read.
const IDLE_ROUNDS: usize = 100_000;

/// For how long reactors may make calls of the system once the faults have ended. A large outbox takes minutes through a buffer
/// of a thousand bytes, if each part has a latency.
const PATIENCE: Duration = Duration::from_secs(1000);

/// More rounds than any run needs, if each one reads at least a byte.
const ROUNDS: usize = 20_000_000;

impl World {
    /// Stops all faults. Then everything that was sent arrives, and each reactor can be drained.
    pub(super) fn end(&mut self) {
        self.stop_faults();
        self.attach_unowned();
        self.settle_everything();
        if network(|network| network.violation().is_some()) {
            return;
        }
        self.check_delivered();
        self.actor.check_sources();
        self.check_datagrams_left();
        let waiting = network(|network| network.waiting_datagrams());
        require!(waiting == 0, "{waiting} datagrams were never received");
        self.drain_everything();
        if network(|network| network.violation().is_some()) {
            return;
        }
        self.check_nothing_is_left();
    }

    fn stop_faults(&mut self) {
        note!("the faults end, and every connection and listener is resumed");
        self.actor.finishes = true;
        network(|network| {
            network.random = Random::new(1);
            network.end_faults();
        });
        self.actor.unowned.listeners.clear();
        for which in 0..self.reactors.len() {
            let listeners = &mut self.actor.models[which].listeners;
            let Some(reactor) = &mut self.reactors[which].reactor else { continue };
            let net = reactor.net();
            for listener in listeners {
                net.resume_listener(listener.id);
                listener.paused = false;
            }
            net.for_each(|conn| {
                conn.need(0);
                conn.resume_reading();
                // Two ends that both stop reading until they can write wait for each other for ever, as the guide says.
                conn.pause_when_full(false);
                let session = conn.session();
                (session.need, session.paused, session.pauses_when_full) = (0, false, false);
                session.idle.since = None;
            });
        }
    }

    /// Puts what was detached into reactors. Where no token is left, it is dropped.
    fn attach_unowned(&mut self) {
        for which in 0..self.reactors.len() {
            let Some(reactor) = &mut self.reactors[which].reactor else { continue };
            self.actor.current = which;
            for _ in 0..self.actor.unowned.connections.len() {
                self.actor.attach(reactor.net());
            }
        }
        self.actor.unowned.connections.clear();
    }

    /// Makes turns until nothing happens any more, for the time of all retries.
    fn settle_everything(&mut self) {
        let begun = network(|network| network.now);
        loop {
            let (before, now) = network(|network| (network.calls, network.now));
            require!(now - begun < PATIENCE, "the reactors make calls after {PATIENCE:?}");
            self.run_until(now + Duration::from_secs(2), |_| false);
            if network(|network| network.calls == before || network.violation().is_some()) {
                return;
            }
        }
    }

    /// Makes turns, and lets the time pass to whatever comes next, until nothing comes before `end`.
    fn run_until(&mut self, end: Instant, mut is_done: impl FnMut(&mut Self) -> bool) {
        let (mut bytes_read, mut idle_rounds) = (0, 0);
        for _ in 0..ROUNDS {
            let before = std::mem::replace(&mut bytes_read, network(|network| network.bytes_read));
            idle_rounds = if before == bytes_read { idle_rounds + 1 } else { 0 };
            if idle_rounds > IDLE_ROUNDS {
                break;
            }
            let mut moved = self.peers.finish();
            for which in 0..self.reactors.len() {
                moved |= self.turn_if_needed(which);
            }
            if network(|network| network.violation().is_some()) || is_done(self) {
                return;
            }
            if moved {
                continue;
            }
            let arrival = network(|network| network.next_arrival());
            let deadlines =
                self.reactors.iter().filter_map(|running| running.reactor.as_ref()?.next_deadline());
            let Some(next) = deadlines.chain(arrival).min().filter(|next| *next <= end) else { return };
            network(|network| network.advance_to(next));
        }
        violate!("the world does not come to rest: {idle_rounds} rounds in a row have read nothing");
    }

    fn turn_if_needed(&mut self, which: usize) -> bool {
        let running = &self.reactors[which];
        let (now, tokens) = (network(|network| network.now), running.tokens.clone());
        let Some(reactor) = &running.reactor else { return false };
        let is_due = reactor.next_deadline().is_some_and(|next| next <= now);
        let has_held = running.has_held();
        if !is_due && !has_held && !network(|network| network.has_events(tokens)) {
            return false;
        }
        let count = self.poll(which);
        self.turn(which, count, None);
        true
    }

    /// All bytes that were sent to somebody who reads have been read.
    fn check_delivered(&mut self) {
        for which in 0..self.reactors.len() {
            let Some(reactor) = &mut self.reactors[which].reactor else { continue };
            let net = reactor.inspect();
            let sessions: Vec<_> = net
                .sessions()
                .filter(|(_, session)| session.opened && !session.closed && !session.eof)
                // The resume of all connections has not reached those that were detached: two full ends may wait for each other.
                .filter(|(_, session)| !(session.was_attached && session.full && session.pauses_when_full))
                .map(|(id, session)| (id, session.end, session.consumed, session.key))
                .collect();
            for (id, end, consumed, key) in sessions {
                let phase = net.engine().connection(id.slot()).map(|connection| connection.phase());
                let Some(end) = end.filter(|_| phase == Some(Phase::Open)) else { continue };
                let (queued, view) = (net.queued(id), network(|network| network.view(end)));
                if view.was_reset {
                    continue;
                }
                require!(
                    consumed == view.peer_written,
                    "{id} has consumed {consumed} of {} bytes that its peer has sent",
                    view.peer_written
                );
                require!(!view.fin_arrived, "{id} does not know that its peer has ended");
                let peer_reads = view.peer_reads;
                require!(
                    queued == 0 || !peer_reads,
                    "{id} has {queued} unsent bytes for a peer that reads (key {key})"
                );
            }
        }
    }

    /// At rest, no datagram waits.
    fn check_datagrams_left(&mut self) {
        for (which, model) in self.actor.models.iter().enumerate() {
            let Some(reactor) = &mut self.reactors[which].reactor else { continue };
            for known in &model.sockets {
                let queued = reactor.inspect().socket(known.id).map_or(0, |socket| socket.queued());
                require!(queued == 0, "the socket {} still queues {queued} datagrams", known.id);
            }
        }
    }

    fn drain_everything(&mut self) {
        let grace = Duration::from_secs(3);
        let mut patience = grace;
        for which in 0..self.reactors.len() {
            self.reactors[which].finished = false;
            let Some(reactor) = &mut self.reactors[which].reactor else { continue };
            self.actor.current = which;
            let model = &mut self.actor.models[which];
            patience = patience.max(model.options.close_timeout);
            let net = reactor.net();
            for timer in model.timers.drain(..) {
                net.cancel_timer(timer.id);
            }
            self.actor.unwatch_all(which, net);
            let model = &mut self.actor.models[which];
            model.drains += u64::from(!net.is_draining());
            if net.is_draining() {
                // A drain is under way already, with a grace of its own. It closed only the listeners that were there before.
                for listener in model.listeners.iter_mut().filter(|listener| !listener.closed) {
                    net.close_listener(listener.id);
                    listener.closed = true;
                }
                continue;
            }
            net.drain(grace);
        }
        let end = network(|network| network.now) + patience + Duration::from_secs(10);
        self.run_until(end, |world| {
            world.reactors.iter().all(|running| running.reactor.is_none() || running.finished)
        });
        for (which, running) in self.reactors.iter().enumerate() {
            require!(
                running.reactor.is_none() || running.finished,
                "the drain of reactor {which} does not end"
            );
        }
    }

    fn check_nothing_is_left(&mut self) {
        for which in 0..self.reactors.len() {
            // A slot that stands in the queue when the drain ends is free after one turn more.
            self.turn(which, 0, None);
            let Some(reactor) = &mut self.reactors[which].reactor else { continue };
            let net = reactor.inspect();
            let remains = net.engine().remains();
            let left: Vec<ConnId> = net.sessions().map(|(id, _)| id).collect();
            require!(left.is_empty(), "sessions are left: {left:?}");
            let sessions = self.actor.models[which].sessions;
            require!(sessions == 0, "{sessions} sessions of reactor {which} had no on_close");
            require!(remains == Remains::default(), "reactor {which} has {remains:?}");
        }
        for (which, channel) in self.actor.channels.iter().enumerate() {
            let is_there = self.reactors[which].reactor.is_some();
            let (sent, received) = (channel.sent, channel.received);
            require!(
                !is_there || sent == received,
                "{received} of {sent} messages have come to reactor {which}"
            );
        }
        for running in self.reactors.iter().filter(|running| running.reactor.is_some()) {
            let is_registered = network(|network| network.has_registrations(running.tokens.clone()));
            require!(!is_registered, "a source of a drained reactor is still registered");
        }
        self.actor.channels.clear();
        self.peers.close_all();
        self.reactors.clear();
        require!(
            !network(|network| network.has_registrations(0..usize::MAX)),
            "a source is still registered"
        );
        let open = network(|network| network.open_ends());
        require!(open == 0, "{open} sockets were never closed");
    }
}
