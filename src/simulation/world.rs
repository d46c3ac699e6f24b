//! The simulated world: reactors, peers without a reactor, and the network between them. A run makes one step after the other.

use std::{
    ops::Range,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Poll, Registry, Token, Waker};

use crate::{
    Net, Options, Reactor,
    socket::simulated::{self, Conduct, Network, Random, SimulatedEvent},
};

use super::{
    actor::{Actor, Channel, DeliberatePanic, network, note, require, violate},
    after_turn::{AfterTurn, Before},
    peer::Peers,
    plan::Plan,
    reactor_model::ReactorModel,
    session::Sessions,
    workload::{Workload, draw_options, hoard, interfere, lack_memory, lack_room},
};

/// The distance between the first tokens of two reactors.
const TOKENS: usize = 1 << 20;

pub(super) struct World {
    registry: Registry,
    pub(super) reactors: Vec<Running>,
    pub(super) actor: Actor,
    pub(super) peers: Peers,
    has_peers: bool,
    latency: usize,
    /// The capacity of the channels into reactors.
    channel_capacity: usize,
    /// Decides when the host acts between the events and the turn.
    interference: Random,
}

/// A reactor with its host.
pub(super) struct Running {
    pub(super) reactor: Option<Reactor<Sessions>>,
    pub(super) tokens: Range<usize>,
    /// Events that the host has got from the poll and has not passed on.
    held: Vec<SimulatedEvent>,
    /// How many turns in a row have claimed more work and done nothing.
    idle_turns: usize,
    /// A callback of the last turn has panicked.
    has_panicked: bool,
    pub(super) more: bool,
    pub(super) finished: bool,
}

thread_local! {
    // The poll is never asked. A reactor needs a registry.
    static POLL: Poll = Poll::new().expect("a descriptor is left for a poll");
    static WAKER: Arc<Waker> = POLL.with(|poll| {
        Arc::new(Waker::new(poll.registry(), Token(usize::MAX)).expect("a descriptor is left for a waker"))
    });
}

impl Running {
    pub(super) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }
}

impl World {
    pub(super) fn new(plan: &Plan, traced: bool) -> Self {
        let mut random = Random::new(plan.seed);
        let mut conduct = Conduct::draw(&mut random);
        let count = random.pick(&[1, 2, 2, 3]);
        let mut options: Vec<Options> = (0..count).map(|_| draw_options(&mut random)).collect();
        lack_memory(&mut options, plan.seed);
        lack_room(&mut options, plan.seed);
        let hoards = hoard(&mut options, &mut conduct, plan.seed);
        let mut workload = Workload::draw(&mut random, &conduct, &options);
        workload.hoards = hoards;
        let (interferes, channel_capacity) = interfere(plan.seed);
        workload.host_interferes = interferes;
        let tokens = random.pick(&[3, 8, TOKENS, TOKENS, TOKENS]);
        let (largest, latency) = (workload.largest, conduct.latency.1);
        let now = base();
        simulated::install(Network::new(now, Conduct { registration_fails: 0, ..conduct.clone() }, traced));
        note!("conduct: {conduct:?}");
        let mut world = Self {
            registry: POLL.with(|poll| poll.registry().try_clone().expect("a descriptor is left")),
            reactors: Vec::new(),
            actor: Actor::new(workload),
            peers: Peers::new(plan.peers, largest, count),
            has_peers: plan.peers > 0,
            latency,
            channel_capacity,
            interference: Random::new(0),
        };
        for options in options {
            note!("options: {options:?}");
            world.add_reactor(options, tokens);
        }
        network(|network| network.conduct = conduct);
        world
    }

    fn add_reactor(&mut self, options: Options, tokens: usize) {
        let first = self.reactors.len() * TOKENS;
        let tokens = first..first + tokens;
        let reactor = Reactor::new(&self.registry, tokens.clone(), options.clone());
        let mut reactor = reactor.expect("a descriptor is left");
        reactor.set_now(network(|network| network.now));
        self.actor.current = self.reactors.len();
        self.actor.models.push(ReactorModel::new(options, first));
        let waker = WAKER.with(Arc::clone);
        let (remote, capacity) = (reactor.remote(waker.clone()), self.channel_capacity);
        let (sender, receiver) = match capacity {
            usize::MAX => reactor.channel(waker),
            _ => reactor.bounded_channel(waker, capacity),
        };
        let channel = Channel {
            remote,
            sender,
            receiver,
            capacity: capacity as u64,
            sent: 0,
            received: 0,
            stop_asked: false,
            wakes_owed: false,
        };
        self.actor.channels.push(channel);
        self.actor.listen_at(reactor.net(), 80);
        self.actor.listen_at(reactor.net(), 82);
        self.reactors.push(Running {
            reactor: Some(reactor),
            tokens,
            held: Vec::new(),
            idle_turns: 0,
            has_panicked: false,
            more: false,
            finished: false,
        });
    }

    /// Makes one step. All its draws come from `seed`, so a step can be left out without a change of the others.
    pub(super) fn step(&mut self, seed: u64) {
        let mut random = Random::new(seed);
        network(|network| network.random = Random::new(seed ^ 0xA5A5));
        self.actor.random = Random::new(seed ^ 0x5A5A);
        self.actor.actions_left = 1 + random.below(20);
        self.interference = Random::new(seed ^ 0x6B6B);
        let which = random.below(self.reactors.len());
        match random.below(100) {
            0..20 => self.turn_at(which, &mut random),
            20..55 => self.round(&mut random),
            55..65 => self.pass_time(&mut random),
            65..75 => self.host_acts(which),
            75..78 => self.flush(which),
            78..95 if self.has_peers => self.peers.step(&mut random),
            78..95 => self.round(&mut random),
            95..97 => network(|network| {
                network.change_exhaustion();
            }),
            97 => self.actor.feed_source(which),
            98 => self.drop_reactor(which, &mut random),
            _ => self.turn_at(which, &mut random),
        }
    }

    /// All peers and reactors get their turns, until what they have sent has arrived.
    fn round(&mut self, random: &mut Random) {
        for _ in 0..1 + random.below(6) {
            if self.has_peers && random.chance(500) {
                self.peers.step(random);
            }
            for which in 0..self.reactors.len() {
                if self.reactors[which].more || random.chance(700) {
                    self.turn_at(which, random);
                }
            }
            network(|network| match network.next_arrival() {
                Some(next) => network.advance_to(next),
                None => network.advance_to(network.now + Duration::from_micros(100)),
            });
        }
    }

    fn pass_time(&mut self, random: &mut Random) {
        let time = match random.below(10) {
            0 => 3_000_000,
            1..3 => 100_000,
            _ => 2 * self.latency + 10,
        };
        let time = Duration::from_micros(random.below(time) as u64 + 1);
        network(|network| {
            network.note(format_args!("{time:?} pass"));
            network.advance_to(network.now + time);
        });
    }

    /// Takes the events that the system has for a reactor. Returns how many events the host then has.
    pub(super) fn poll(&mut self, which: usize) -> usize {
        let tokens = self.reactors[which].tokens.clone();
        let events = network(|network| network.poll(tokens));
        let running = &mut self.reactors[which];
        running.held.extend(events);
        running.held.len()
    }

    fn turn_at(&mut self, which: usize, random: &mut Random) {
        let count = self.poll(which);
        // Now and then the host settles after a part of the events.
        let splits = self.actor.workload.splits_batches && random.chance(300);
        let count = if splits { random.below(count + 1) } else { count };
        let time = random.chance(200).then(|| Duration::from_micros(random.size(1000) as u64));
        self.turn(which, count, time);
    }

    /// Passes `count` events on and makes a turn, with a bound in time if there is one.
    pub(super) fn turn(&mut self, which: usize, count: usize, time: Option<Duration>) -> bool {
        let Self { reactors, actor, interference, .. } = self;
        let running = &mut reactors[which];
        let Some(reactor) = &mut running.reactor else { return false };
        actor.current = which;
        for event in running.held.drain(..count) {
            note!("reactor {which}: {event}");
            require!(reactor.handle_any(&event), "reactor {which} does not know its token {}", event.token);
        }
        if !actor.finishes && interference.chance(actor.workload.host_interferes) {
            note!("reactor {which}: the host acts between the events and the turn");
            actor.act(reactor.net(), None);
            restart_idle_times(reactor.inspect());
            actor.cover("the host acts before a turn");
        }
        let before = Before::of(reactor.inspect(), actor.model(), running.has_panicked);
        let owes_wake = actor.channels[which].wakes_owed;
        actor.models[which].stop_asked |= std::mem::take(&mut actor.channels[which].stop_asked);
        let (stop_asked, begun_turns) = (actor.model().stop_asked, actor.model().turns);
        network(|network| network.begin_budgets());
        let now = network(|network| network.now);
        let activity = (actor.callbacks, network(|network| network.calls));
        note!(
            "reactor {which}: turn with {} sources {}",
            before.queue.len(),
            time.map_or("", |_| "and a bound")
        );
        actor.woken = false;
        let turn = panic::catch_unwind(AssertUnwindSafe(|| match time {
            Some(time) => reactor.settle_until(actor, now, now + time),
            None => reactor.settle(actor, now),
        }));
        actor.models[which].turns = begun_turns + 1;
        running.has_panicked = turn.is_err();
        let turn = match turn {
            Ok(turn) => turn,
            Err(panic) if panic.is::<DeliberatePanic>() => {
                actor.recover(reactor.inspect());
                restart_idle_times(reactor.inspect()); // the turn has not taken note of all bytes that moved
                running.more = true;
                return true;
            }
            Err(panic) => panic::resume_unwind(panic),
        };
        require!(actor.woken || !owes_wake, "reactor {which} was woken, and there was no on_wake");
        let model = actor.model();
        if turn.finished {
            let is_drained = model.drains > 0 && model.sessions == 0;
            require!(model.stop_asked || is_drained, "reactor {which} is finished without a cause");
        } else {
            require!(!stop_asked, "reactor {which} was stopped, and its turn does not say so");
        }
        // A stop that came in a callback of this turn is told by this turn, but for one that came after the last stage.
        model.stop_asked &= !turn.finished;
        running.finished |= turn.finished;
        let moved = count > 0 || activity != (actor.callbacks, network(|network| network.calls));
        let net = reactor.inspect();
        // A turn that removes closed sources from the queue does something, too.
        let is_shorter = net.engine().ready_queue().len() < before.queue.len();
        running.more = turn.more;
        running.idle_turns = if moved || is_shorter || !turn.more { 0 } else { running.idle_turns + 1 };
        require!(running.idle_turns <= 3, "reactor {which}: turns claim more work and do nothing");
        let turn = AfterTurn {
            before,
            more: turn.more,
            moved,
            over_at_once: time.is_some_and(|time| time.is_zero()),
            held: running.held.iter().map(|event| event.token).collect(),
            tokens: running.tokens.clone(),
        };
        turn.check(actor, which, net);
        moved
    }

    fn host_acts(&mut self, which: usize) {
        let Self { reactors, actor, .. } = self;
        let Some(reactor) = &mut reactors[which].reactor else { return };
        actor.current = which;
        note!("reactor {which}: the host acts");
        if !net_listens(reactor.net()) {
            actor.listen_at(reactor.net(), 80);
        }
        actor.act(reactor.net(), None);
        restart_idle_times(reactor.inspect());
        self.check_between(which);
    }

    fn flush(&mut self, which: usize) {
        let Some(reactor) = &mut self.reactors[which].reactor else { return };
        note!("reactor {which}: flush");
        network(|network| network.begin_budgets());
        let turn = reactor.flush();
        restart_idle_times(reactor.inspect());
        self.reactors[which].more = turn.more;
        self.check_between(which);
    }

    fn check_between(&mut self, which: usize) {
        if self.reactors[which].has_panicked {
            return;
        }
        let Some(reactor) = &mut self.reactors[which].reactor else { return };
        let exempt = self.actor.models[which].exempt_slots(reactor.inspect());
        if let Err(broken) = reactor.inspect().engine().check_invariants(false, &exempt) {
            violate!("reactor {which}, between turns: {broken}");
        }
    }

    /// Drops a reactor in the midst of everything, and puts another one in its place.
    fn drop_reactor(&mut self, which: usize, random: &mut Random) {
        if random.chance(700) {
            return;
        }
        let running = &mut self.reactors[which];
        let Some(reactor) = running.reactor.take() else { return };
        running.held.clear();
        note!("reactor {which} is dropped");
        let mut reactor = reactor;
        self.actor.unwatch_all(which, reactor.net());
        drop(reactor);
        let tokens = self.reactors[which].tokens.clone();
        require!(
            !network(|network| network.has_registrations(tokens)),
            "reactor {which} was dropped and has left a registration"
        );
        if self.reactors.len() < 6 {
            let options = self.actor.models[which].options.clone();
            self.add_reactor(options, TOKENS);
        }
    }
}

/// Bytes may have moved between turns.
fn restart_idle_times(net: &mut Net<Sessions>) {
    let ids: Vec<_> = net.sessions().map(|(id, _)| id).collect();
    for id in ids {
        if let Some(session) = net.session(id) {
            (session.idle.since, session.idle.counts_from_timer) = (None, true);
        }
    }
}

fn net_listens(net: &mut Net<Sessions>) -> bool {
    !net.engine().listeners().is_empty()
}

/// The time at which all runs begin. All that a run does depends on differences alone.
fn base() -> Instant {
    thread_local! {
        static BASE: Instant = Instant::now();
    }
    BASE.with(|base| *base)
}
