//! Tests of the limits of the idle timeout: while a connection is still connecting, and after 49 days, when its millisecond
//! counter wraps. The tests pass the time to the reactor.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use tidegate::{CloseKind, Conn, Options, Reactor, testing::Rehearsal};

use super::idle::{DAY, IDLE, MOMENT, SECOND, assert_ends_after, rehearse};
use crate::support::{self, Actor, Call, Host, address_of};

/// The time after which the counter wraps: it counts milliseconds in 32 bits.
const WRAP: Duration = Duration::from_millis(1 << 32);

type Wish = fn(&mut Conn<'_>);
const WISHES: [(&str, Wish); 3] = [
    ("nothing", |_| {}),
    ("a timeout of its own", |conn| conn.set_idle_timeout(Some(IDLE))),
    ("a pause and a resume", |conn| {
        conn.pause_reading();
        conn.resume_reading();
    }),
];

/// The system connects at once, but the reactor learns of the connection only from an event.
#[test]
fn the_idle_timeout_counts_from_the_opening_of_a_connection() {
    for (name, wish) in WISHES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut host, start) = (Host::new(), Instant::now());
        let options = Options::default().idle_timeout(Some(IDLE));
        let mut reactor = Reactor::new(host.poll.registry(), .., options).unwrap();
        let mut actor = Actor::idle();
        let id = reactor.net().connect(listener.local_addr().unwrap(), ());
        wish(&mut reactor.net().conn(id).unwrap());
        reactor.settle(&mut actor, start);
        assert_eq!(reactor.timeout(start), None, "{name}: no timer runs yet");
        let late = start + 10 * IDLE;
        reactor.settle(&mut actor, late);
        assert_eq!(actor.of_id(id), [], "{name}");

        host.turn_until(&mut reactor, &mut actor, late, |actor, _| !actor.of_id(id).is_empty());
        host.turn_until_quiet(&mut reactor, &mut actor, late);
        assert_eq!(reactor.next_deadline(), Some(late + IDLE), "{name}");
        host.turn_until_quiet(&mut reactor, &mut actor, late + IDLE);
        assert_eq!(actor.of_id(id), [Call::Open, Call::Close(CloseKind::IdleTimeout)], "{name}");
    }
}

/// Makes a listener whose backlog is full, and the client that fills the backlog. Linux does not answer further clients, so
/// these clients stay in the state of connecting: listen(2).
#[cfg(target_os = "linux")]
fn full() -> (socket2::Socket, std::net::TcpStream) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let client = support::connect(at);
    let end = Instant::now() + support::PATIENCE;
    // For a listening socket, the received bytes are the number of clients that wait: proc(5), `/proc/net/tcp`.
    while !support::socket_column(at, ([0, 0, 0, 0], 0).into(), 4).ends_with(":00000001") {
        assert!(Instant::now() < end, "the client does not arrive in the backlog");
        std::thread::yield_now();
    }
    (listener, client)
}

#[cfg(target_os = "linux")]
#[test]
fn a_connection_that_is_still_connecting_is_not_idle() {
    let (listener, _client) = full();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let (host, start) = (Host::new(), Instant::now());
    let mut reactor =
        Reactor::new(host.poll.registry(), .., Options::default().idle_timeout(Some(IDLE))).unwrap();
    let mut actor = Actor::idle();
    let ids = WISHES.map(|_| reactor.net().connect(address_of(at), ()));
    for turn in 0..10 {
        let now = start + turn * IDLE;
        reactor.settle(&mut actor, now);
        for (id, (name, wish)) in ids.iter().zip(WISHES) {
            assert_eq!(actor.of_id(*id), [], "{name}, before turn {turn}");
            wish(&mut reactor.net().conn(*id).unwrap());
        }
        reactor.settle(&mut actor, now);
        assert_eq!(reactor.timeout(now), None, "no timer runs in turn {turn}");
    }
}

#[test]
fn an_idle_timeout_of_49_days_is_kept_and_a_longer_one_never_fires() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(49 * DAY));
    assert_ends_after(&mut rehearsal, &mut actor, client, 49 * DAY);
    for too_long in [WRAP - MOMENT + Duration::from_nanos(1), WRAP, WRAP + IDLE, 50 * DAY, Duration::MAX] {
        let (mut rehearsal, client) = rehearse(&mut actor, Some(too_long));
        // The second wait comes after traffic, when the counter has wrapped.
        for _ in 0..2 {
            rehearsal.advance(&mut actor, 100 * DAY);
            assert_eq!(rehearsal.why(client), None, "{too_long:?}");
            rehearsal.receive(&mut actor, client, b".");
        }
    }
}

#[test]
fn a_connection_that_is_active_while_the_counter_wraps_keeps_its_idle_time() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(40 * DAY));
    for _ in 0..10 {
        rehearsal.advance(&mut actor, 30 * DAY);
        assert_eq!(rehearsal.why(client), None);
        rehearsal.receive(&mut actor, client, b".");
    }
    assert_ends_after(&mut rehearsal, &mut actor, client, 40 * DAY);
}

#[test]
fn idle_connections_end_in_time_around_the_wrap_of_the_counter() {
    let mut actor = Actor::idle();
    for wraps in 1..=2 {
        let mut rehearsal = Rehearsal::new(Options::default().idle_timeout(Some(IDLE)));
        rehearsal.advance(&mut actor, wraps * WRAP - 5 * SECOND);
        let [silent, early, late] = [(); 3].map(|()| rehearsal.accept(&mut actor).unwrap());
        rehearsal.advance(&mut actor, 4 * SECOND);
        rehearsal.receive(&mut actor, early, b"one second before");
        rehearsal.advance(&mut actor, 2 * SECOND);
        rehearsal.receive(&mut actor, late, b"one second after");
        assert_ends_after(&mut rehearsal, &mut actor, silent, 4 * SECOND);
        assert_ends_after(&mut rehearsal, &mut actor, early, 4 * SECOND);
        assert_ends_after(&mut rehearsal, &mut actor, late, 2 * SECOND);
    }
}

/// A host may sleep beyond a deadline. The counter then wraps between the deadline and the turn.
#[test]
fn a_turn_that_comes_late_ends_a_silent_connection_at_once() {
    for (idle_timeout, late) in [(IDLE, SECOND), (IDLE, WRAP - SECOND), (49 * DAY, DAY)] {
        let (mut host, start) = (Host::new(), Instant::now());
        let (mut reactor, at) = host.listening(.., Options::default().idle_timeout(Some(idle_timeout)));
        let mut actor = Actor::idle();
        let _client = support::connect(at);
        host.turn_until(&mut reactor, &mut actor, start, |actor, _| actor.has_heard(&Call::Open));
        host.turn_until_quiet(&mut reactor, &mut actor, start);
        host.turn_until_quiet(&mut reactor, &mut actor, start + idle_timeout + late);
        let life = [Call::Open, Call::Close(CloseKind::IdleTimeout)];
        assert_eq!(actor.take_calls(), life, "{idle_timeout:?}, and the turn is {late:?} late");
    }
}
