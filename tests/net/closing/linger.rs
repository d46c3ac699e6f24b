//! Tests of how long a closed connection waits for its peer. The tests pass the time to the reactor, so no test waits.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use mio::{Events, Poll};
use tidegate::{CloseKind, ConnId, Options, Reactor, testing::Rehearsal};

use crate::support::{
    Actor, PATIENCE, assert_same, connect, connect_narrow, read_to_end,
    script::{Script, Told},
};

const LINGER: Duration = Duration::from_secs(2);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
const MOMENT: Duration = Duration::from_millis(1);

struct Host {
    poll: Poll,
    reactor: Reactor,
    script: Script,
    told: Receiver<Told>,
    now: Instant,
    address: SocketAddr,
}

impl Host {
    /// Makes a server that sends this number of bytes to each client, and closes.
    fn new(len: usize) -> Self {
        let (tell, told) = mpsc::channel();
        let script = Script::telling(&tell).on_open(move |conn| {
            conn.send_all(&vec![b'.'; len]);
            conn.close();
        });
        let poll = Poll::new().unwrap();
        let options = Options::default().linger(LINGER).close_timeout(CLOSE_TIMEOUT).write_budget(64 << 20);
        let mut reactor = Reactor::new(poll.registry(), .., options).unwrap();
        let listener = reactor.net().listen("127.0.0.1:0").unwrap();
        let address = reactor.net().local_address(listener).unwrap().socket_addrs()[0];
        Self { poll, reactor, script, told, now: Instant::now(), address }
    }

    fn turn(&mut self) {
        let mut events = Events::with_capacity(16);
        self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        for event in &events {
            assert!(self.reactor.handle(event));
        }
        self.reactor.settle(&mut self.script, self.now);
    }

    /// Makes turns, all at the same time, until `done` returns true.
    fn turn_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "the condition of the test does not come true");
            self.turn();
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.turn();
    }

    fn open(&mut self) -> usize {
        self.reactor.net().stats().open
    }

    fn received(&mut self) -> u64 {
        self.reactor.net().stats().bytes_received
    }

    fn told(&self) -> Vec<Told> {
        self.told.try_iter().filter(|told| !matches!(told, Told::Open(_))).collect()
    }
}

#[test]
fn the_linger_time_ends_a_connection_whose_peer_sends_nothing() {
    let mut host = Host::new(3);
    let mut client = connect(host.address);
    host.turn_until(|host| host.told() == [Told::Close(CloseKind::Closed)]);
    host.turn_until(|host| host.reactor.timeout(host.now) == Some(LINGER));
    assert_eq!(host.open(), 1);
    host.pass(LINGER - MOMENT);
    assert_eq!((host.open(), host.reactor.timeout(host.now)), (1, Some(MOMENT)));
    host.pass(MOMENT);
    assert_eq!((host.open(), host.reactor.timeout(host.now)), (0, None));
    assert_same(&read_to_end(&mut client), b"...");
    assert_eq!(host.told(), []);
}

#[test]
fn input_prolongs_lingering_up_to_the_close_timeout() {
    let mut host = Host::new(3);
    let mut client = connect(host.address);
    host.turn_until(|host| host.told() == [Told::Close(CloseKind::Closed)]);
    let mut passed = Duration::ZERO;
    while passed + LINGER < CLOSE_TIMEOUT {
        host.pass(LINGER - MOMENT);
        passed += LINGER - MOMENT;
        let before = host.received();
        client.write_all(b"I am still here").unwrap();
        host.turn_until(|host| host.received() > before);
        assert_eq!(host.open(), 1, "after {passed:?}");
    }
    host.pass(CLOSE_TIMEOUT - passed - MOMENT);
    assert_eq!(host.open(), 1);
    host.pass(MOMENT);
    assert_eq!(host.open(), 0);
    assert_eq!(host.reactor.timeout(host.now), None);
}

#[test]
fn an_answer_that_the_peer_does_not_read_ends_at_the_close_timeout() {
    let mut host = Host::new(8 << 20);
    let mut client = connect_narrow(host.address);
    host.turn_until(|host| host.open() == 1);
    host.pass(CLOSE_TIMEOUT - MOMENT);
    assert_eq!((host.open(), host.told()), (1, vec![]));
    host.pass(MOMENT);
    assert_eq!((host.open(), host.told()), (0, vec![Told::Close(CloseKind::CloseTimeout)]));
    // The client must not mistake the truncated answer for a complete one.
    let error = client.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Closes a connection whose flush takes this long, because the peer takes nothing before. The socket then lingers.
fn lingering_after_a_flush_of(flush: Duration, actor: &mut Actor<'_>) -> (Rehearsal, ConnId) {
    let options = Options::default().linger(LINGER).close_timeout(CLOSE_TIMEOUT);
    let mut rehearsal = Rehearsal::new(options);
    let client = rehearsal.accept(actor).unwrap();
    rehearsal.capacity(client, 0);
    rehearsal.net().send_all(client, b"answer");
    rehearsal.net().close(client);
    rehearsal.advance(actor, flush);
    assert!(rehearsal.is_open(client), "the answer is not sent yet");
    rehearsal.capacity(client, usize::MAX);
    rehearsal.settle(actor);
    assert_eq!(rehearsal.sent(client), b"answer");
    assert_eq!((rehearsal.why(client), rehearsal.net().stats().open), (Some(CloseKind::Closed), 1));
    (rehearsal, client)
}

#[test]
fn the_linger_time_counts_from_the_end_of_a_slow_flush() {
    for flush in [MOMENT, LINGER, 5 * LINGER, CLOSE_TIMEOUT - LINGER - MOMENT] {
        let mut actor = Actor::idle();
        let (mut rehearsal, client) = lingering_after_a_flush_of(flush, &mut actor);
        rehearsal.advance(&mut actor, LINGER - MOMENT);
        assert_eq!(rehearsal.net().stats().open, 1, "too early after a flush of {flush:?}");
        rehearsal.advance(&mut actor, MOMENT);
        assert_eq!(rehearsal.net().stats().open, 0, "too late after a flush of {flush:?}");
        assert!(!rehearsal.is_reset(client), "after a flush of {flush:?}");
    }
}

#[test]
fn the_close_timeout_bounds_a_slow_flush_and_the_linger_time_together() {
    for left in [MOMENT, LINGER - MOMENT] {
        let mut actor = Actor::idle();
        let (mut rehearsal, client) = lingering_after_a_flush_of(CLOSE_TIMEOUT - left, &mut actor);
        rehearsal.advance(&mut actor, left - MOMENT);
        assert_eq!(rehearsal.net().stats().open, 1, "{left:?}");
        rehearsal.advance(&mut actor, MOMENT);
        assert_eq!(rehearsal.net().stats().open, 0, "{left:?}");
        assert!(rehearsal.is_reset(client), "{left:?}");
    }
}
