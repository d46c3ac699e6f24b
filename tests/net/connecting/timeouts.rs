//! Tests of the timeouts of a connect. The time of the turns is set by the test, so no test waits for a timeout.
#![cfg(target_os = "linux")]

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use tidegate::{Address, CloseKind, CloseReason, ConnId, ConnectOptions, Options, Reactor};

use crate::support::{Actor, Call, Host, dead_end::DeadEnd};

const SECOND: Duration = Duration::from_secs(1);

struct Caller {
    host: Host,
    reactor: Reactor,
    actor: Actor<'static>,
    id: ConnId,
    start: Instant,
}

impl Caller {
    /// Makes a reactor that has begun to connect to the first address.
    fn new(to: &[SocketAddr], options: ConnectOptions) -> Self {
        let (host, start) = (Host::new(), Instant::now());
        let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
        let mut actor = Actor::idle();
        let id = reactor.net().connect_with(Address::from_list(to).unwrap(), (), options);
        reactor.settle(&mut actor, start);
        Self { host, reactor, actor, id, start }
    }

    /// Makes a turn at this time after the beginning.
    fn settle_at(&mut self, time: Duration) {
        self.reactor.settle(&mut self.actor, self.start + time);
    }

    /// How long the poll may sleep at this time after the beginning.
    fn wait_at(&self, time: Duration) -> Option<Duration> {
        self.reactor.timeout(self.start + time)
    }

    fn turn_until_open_at(&mut self, time: Duration) {
        let now = self.start + time;
        self.host
            .turn_until(&mut self.reactor, &mut self.actor, now, |actor, _| actor.has_heard(&Call::Open));
    }

    fn assert_timed_out(&self) {
        assert_eq!(self.actor.of_id(self.id), [Call::Close(CloseKind::ConnectFailed)]);
        let why = &self.actor.ended[0].why;
        assert!(matches!(why, CloseReason::ConnectFailed(e) if e.kind() == ErrorKind::TimedOut), "{why:?}");
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

#[test]
fn an_address_that_never_answers_leaves_time_for_the_next_address() {
    let (dead_end, (_listener, at)) = (DeadEnd::new(), listener());
    let mut caller = Caller::new(&[dead_end.at(), at], ConnectOptions::default().timeout(Some(6 * SECOND)));
    assert_eq!(caller.wait_at(Duration::ZERO), Some(3 * SECOND), "each address has a half of the time");
    caller.settle_at(3 * SECOND);
    caller.turn_until_open_at(3 * SECOND);
    assert_eq!(caller.actor.of_id(caller.id), [Call::Open]);
    assert_eq!(caller.reactor.net().conn(caller.id).unwrap().peer().unwrap(), Address::from(at));
    caller.settle_at(3 * SECOND);
    assert_eq!(caller.wait_at(3 * SECOND), None, "an open connection has no timer of the connect");
    caller.settle_at(60 * SECOND);
    assert_eq!(caller.actor.of_id(caller.id), [Call::Open]);
}

#[test]
fn a_timeout_for_each_address_moves_on_to_the_next_address() {
    let (dead_end, (_listener, at)) = (DeadEnd::new(), listener());
    let options = ConnectOptions::default().address_timeout(Some(SECOND));
    let mut caller = Caller::new(&[dead_end.at(), at], options);
    assert_eq!(caller.wait_at(Duration::ZERO), Some(SECOND));
    caller.settle_at(SECOND);
    caller.turn_until_open_at(SECOND);
}

#[test]
fn addresses_that_never_answer_end_the_connect_as_timed_out() {
    let dead_ends = [DeadEnd::new(), DeadEnd::new()];
    let to = [dead_ends[0].at(), dead_ends[1].at()];
    let both = ConnectOptions::default().address_timeout(Some(SECOND)).timeout(Some(SECOND + SECOND / 2));
    let ends = [
        (ConnectOptions::default().timeout(Some(2 * SECOND)), vec![SECOND, 2 * SECOND]),
        (ConnectOptions::default().address_timeout(Some(SECOND)), vec![SECOND, 2 * SECOND]),
        (both, vec![SECOND, SECOND + SECOND / 2]),
    ];
    for (options, times) in ends {
        let mut caller = Caller::new(&to, options);
        caller.reactor.net().send_all(caller.id, b"a greeting");
        let mut before = Duration::ZERO;
        for time in times {
            assert!(caller.actor.notes.is_empty(), "the connect ended before {time:?}");
            caller.settle_at(before);
            assert_eq!(caller.wait_at(before), Some(time - before));
            before = time;
            caller.settle_at(time);
        }
        caller.assert_timed_out();
        assert!(caller.actor.ended[0].undelivered);
        let stats = caller.reactor.net().stats();
        assert_eq!((stats.open, stats.closed, stats.connected, stats.buffered), (0, 1, 0, 0));
        assert_eq!(caller.wait_at(before), None);
    }
}

#[test]
fn the_end_of_the_time_for_all_addresses_ends_the_connect_between_two_addresses() {
    let (dead_end, (_listener, at)) = (DeadEnd::new(), listener());
    let options = ConnectOptions::default().timeout(Some(SECOND)).address_timeout(Some(2 * SECOND));
    let mut caller = Caller::new(&[dead_end.at(), at], options);
    caller.settle_at(SECOND);
    caller.assert_timed_out();
}

#[test]
fn close_when_idle_waits_for_the_end_of_the_connect_without_a_timer() {
    let dead_end = DeadEnd::new();
    let mut caller = Caller::new(&[dead_end.at()], ConnectOptions::default().timeout(Some(SECOND)));
    caller.reactor.net().close_when_idle(caller.id, Duration::from_millis(1));
    caller.settle_at(Duration::ZERO);
    assert_eq!(caller.wait_at(Duration::ZERO), Some(SECOND));
    let (_listener, at) = listener();
    let mut caller = Caller::new(&[at], ConnectOptions::default());
    caller.reactor.net().close_when_idle(caller.id, SECOND);
    caller.turn_until_open_at(Duration::ZERO);
    caller.settle_at(Duration::ZERO);
    assert_eq!(caller.wait_at(Duration::ZERO), Some(SECOND));
    caller.settle_at(SECOND);
    assert_eq!(caller.actor.of_id(caller.id), [Call::Open, Call::Close(CloseKind::Closed)]);
}

#[test]
fn an_answer_in_the_turn_of_the_timeout_opens_the_connection() {
    let (_listener, at) = listener();
    let mut caller = Caller::new(&[at], ConnectOptions::default().timeout(Some(SECOND)));
    caller.host.collect(1).iter().for_each(|event| assert!(caller.reactor.handle(event)));
    caller.settle_at(SECOND);
    assert_eq!(caller.actor.of_id(caller.id), [Call::Open]);
}

#[test]
fn a_connect_without_a_timeout_has_no_timer() {
    let dead_end = DeadEnd::new();
    let mut caller = Caller::new(&[dead_end.at()], ConnectOptions::default());
    caller.settle_at(3600 * SECOND);
    assert_eq!((caller.wait_at(3600 * SECOND), caller.actor.notes.len()), (None, 0));
}

#[test]
fn an_abort_while_connecting_cancels_the_timer_of_the_connect() {
    let dead_end = DeadEnd::new();
    let mut caller = Caller::new(&[dead_end.at()], ConnectOptions::default().timeout(Some(SECOND)));
    caller.reactor.net().abort(caller.id);
    caller.settle_at(Duration::ZERO);
    assert_eq!(caller.actor.of_id(caller.id), [Call::Close(CloseKind::Aborted)]);
    assert_eq!(caller.wait_at(Duration::ZERO), None);
}
