//! Tests of timers, with a clock that the test moves.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use tidegate::{CloseKind, Conn, ConnId, Options, Reactor, TimerId, testing::Rehearsal};

use crate::support::{Actor, Call, Host, connect};

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Makes a rehearsal that has made a turn, and returns its time.
fn begin(actor: &mut Actor<'_>) -> (Rehearsal, Instant) {
    let mut rehearsal = Rehearsal::new(Options::default());
    rehearsal.settle(actor);
    let now = rehearsal.net().now();
    (rehearsal, now)
}

/// Makes a reactor without a listener, which has only timers.
fn alone() -> (Host, Reactor, Instant) {
    let host = Host::new();
    let reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    (host, reactor, Instant::now())
}

/// Makes a reactor with one connection, and returns the socket of its peer.
fn connected(actor: &mut Actor<'_>) -> (Host, Reactor, std::net::TcpStream, ConnId, Instant) {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let client = connect(at);
    host.turn_until(&mut reactor, actor, now, |actor, _| actor.has_heard(&Call::Open));
    host.turn_until_quiet(&mut reactor, actor, now);
    let id = actor.notes[0].id.unwrap();
    (host, reactor, client, id, now)
}

#[test]
fn timers_fire_by_deadline_and_timers_with_equal_deadlines_in_the_order_of_setting() {
    let mut actor = Actor::idle();
    let (mut rehearsal, now) = begin(&mut actor);
    let client = rehearsal.accept(&mut actor).unwrap();
    for (seconds, tag) in [(3, 0), (1, 1), (2, 2), (1, 3), (0, 4)] {
        rehearsal.net().set_timer(now + seconds * SECOND, tag);
    }
    // The timers of a connection are ordered together with the other timers.
    rehearsal.net().conn(client).unwrap().set_timeout(now + SECOND, 5);
    rehearsal.net().set_timer(now + SECOND, 6);
    actor.notes.clear();
    rehearsal.advance(&mut actor, 2 * SECOND);
    let fired =
        [Call::Timer(4), Call::Timer(1), Call::Timer(3), Call::Timeout(5), Call::Timer(6), Call::Timer(2)];
    for (note, seconds) in actor.notes.iter().zip([0, 1, 1, 1, 1, 2]) {
        assert_eq!(note.at, now + seconds * SECOND, "{:?}", note.call);
    }
    assert_eq!(actor.take_calls(), fired);
    rehearsal.advance(&mut actor, YEAR);
    assert_eq!(actor.take_calls(), [Call::Timer(0)], "a timer fired twice or not at all");
}

#[test]
fn a_timer_fires_at_its_time_and_not_before() {
    let (mut actor, (_host, mut reactor, now)) = (Actor::idle(), alone());
    reactor.net().set_timer(now + SECOND, 1);
    reactor.settle(&mut actor, now + SECOND - Duration::from_nanos(1));
    assert_eq!(actor.take_calls(), []);
    reactor.settle(&mut actor, now + SECOND);
    assert_eq!(actor.take_calls(), [Call::Timer(1)]);
    reactor.settle(&mut actor, now + 2 * SECOND);
    assert_eq!(actor.take_calls(), []);
}

#[test]
fn cancel_timer_returns_whether_the_timer_was_set() {
    let mut actor = Actor::idle();
    let (mut rehearsal, now) = begin(&mut actor);
    let client = rehearsal.accept(&mut actor).unwrap();
    let net = rehearsal.net();
    let [plain, fires] = [SECOND, SECOND].map(|after| net.set_timer(now + after, 1));
    let [timeout, times_out] = [3, 4].map(|tag| net.conn(client).unwrap().set_timeout(now + SECOND, tag));
    for timer in [plain, timeout] {
        assert!(net.cancel_timer(timer), "the timer is set");
        assert!(!net.cancel_timer(timer), "the timer was cancelled before");
    }
    actor.notes.clear();
    rehearsal.advance(&mut actor, SECOND);
    assert_eq!(actor.take_calls(), [Call::Timer(1), Call::Timeout(4)]);
    // These timers are set after the others fired, so they have the same slots.
    let later = [5, 6].map(|tag| rehearsal.net().set_timer(now + 2 * SECOND, tag));
    for timer in [plain, timeout, fires, times_out] {
        assert!(!rehearsal.net().cancel_timer(timer), "an old id cancelled another timer");
    }
    assert!(later.map(|timer| rehearsal.net().cancel_timer(timer)) == [true; 2]);
}

#[test]
fn a_timer_that_is_due_can_be_cancelled_by_a_timer_that_fires_before_it() {
    let (second, third) = (Cell::new(None::<TimerId>), Cell::new(None::<TimerId>));
    let mut actor = Actor::idle().with_net(|net, cue| {
        if *cue == Call::Timer(1) {
            assert!(net.cancel_timer(second.get().unwrap()) && net.cancel_timer(third.get().unwrap()));
        }
    });
    let (mut rehearsal, now) = begin(&mut actor);
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.net().set_timer(now + SECOND, 1);
    second.set(Some(rehearsal.net().set_timer(now + SECOND, 2)));
    third.set(Some(rehearsal.net().conn(client).unwrap().set_timeout(now + SECOND, 3)));
    actor.notes.clear();
    rehearsal.advance(&mut actor, YEAR);
    assert_eq!(actor.take_calls(), [Call::Timer(1)]);
}

#[test]
fn a_timer_that_sets_itself_again_in_the_past_fires_once_a_turn() {
    let (_host, mut reactor, now) = alone();
    let mut actor = Actor::idle().with_net(|net, cue| {
        if *cue == Call::Timer(1) {
            net.set_timer(now, 1);
        }
    });
    reactor.net().set_timer(now, 1);
    reactor.net().set_timer(now + 2 * SECOND, 2);
    for turn in 0..10 {
        let now = now + SECOND + turn * Duration::from_millis(1);
        assert!(!reactor.settle(&mut actor, now).finished);
        assert_eq!(actor.take_calls(), [Call::Timer(1)]);
        assert_eq!(reactor.timeout(now), Some(Duration::ZERO), "the timer is not due again");
    }
    reactor.settle(&mut actor, now + 3 * SECOND);
    assert_eq!(actor.take_calls(), [Call::Timer(1), Call::Timer(2)], "the other timer does not fire");
}

#[test]
fn a_timer_set_by_a_timer_that_fires_is_ordered_by_its_deadline() {
    let mut actor = Actor::idle().with_net(|net, cue| {
        if *cue == Call::Timer(0) {
            let now = net.now();
            [3, 1, 2].into_iter().for_each(|n| _ = net.set_timer(now + n * SECOND, n.into()));
        }
    });
    let (mut rehearsal, now) = begin(&mut actor);
    rehearsal.net().set_timer(now + SECOND, 0);
    rehearsal.advance(&mut actor, 10 * SECOND);
    for (note, (tag, seconds)) in actor.notes.iter().zip([(0, 1), (1, 2), (2, 3), (3, 4)]) {
        assert_eq!((&note.call, note.at), (&Call::Timer(tag), now + seconds * SECOND));
    }
    assert_eq!(actor.notes.len(), 4);
}

#[test]
fn a_timer_may_be_centuries_ahead() {
    let (mut actor, (_host, mut reactor, now)) = (Actor::idle(), alone());
    let far = reactor.net().set_timer(now + 500 * YEAR, 500);
    reactor.net().set_timer(now + 400 * YEAR, 400);
    // This deadline is beyond the range of the clock of the timers. The timer never fires, and setting it is no error.
    let never = reactor.net().set_timer(now + 100_000 * YEAR, 100_000);
    assert_eq!(reactor.next_deadline(), Some(now + 400 * YEAR));
    reactor.settle(&mut actor, now + 399 * YEAR);
    assert_eq!(actor.take_calls(), []);
    reactor.settle(&mut actor, now + 400 * YEAR);
    assert_eq!(actor.take_calls(), [Call::Timer(400)]);
    assert_eq!(reactor.next_deadline(), Some(now + 500 * YEAR));
    assert!(reactor.net().cancel_timer(far) && reactor.net().cancel_timer(never));
    assert_eq!(reactor.next_deadline(), None);
}

#[test]
fn the_timers_of_a_connection_end_with_it() {
    type End = fn(&mut Conn<'_>);
    let ends: [(End, CloseKind); 3] = [
        (|conn| conn.close(), CloseKind::Closed),
        (|conn| conn.abort(), CloseKind::Aborted),
        (|conn| conn.shutdown_write(), CloseKind::Eof),
    ];
    for (end, why) in ends {
        let mut actor = Actor::with_conn(|conn, cue| {
            if let Call::Data(_) = cue {
                let now = conn.net().now();
                (0..3).for_each(|tag| _ = conn.set_timeout(now + SECOND, tag));
                conn.set_deadline(Some(now + SECOND));
                conn.set_idle_timeout(Some(SECOND));
                end(conn);
                conn.set_timeout(now + SECOND, 3); // The connection has ended, so no timer is set.
            }
        });
        let (mut host, mut reactor, client, id, now) = connected(&mut actor);
        std::io::Write::write_all(&mut &client, b"go").unwrap();
        // The peer ends its side as well, so a close does not have to wait for the peer.
        client.shutdown(std::net::Shutdown::Write).unwrap();
        host.turn_until(&mut reactor, &mut actor, now, |actor, net| {
            actor.has_heard(&Call::Close(why)) && net.stats().open == 0
        });
        assert_eq!(reactor.next_deadline(), None, "{why:?}");
        actor.notes.clear();
        reactor.settle(&mut actor, now + YEAR);
        assert_eq!(actor.of_id(id), [], "{why:?}");
    }
}

#[test]
fn no_timeout_comes_for_a_connection_that_is_being_closed() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Data(_) = cue {
            let now = conn.net().now();
            conn.set_timeout(now + SECOND, 7);
            conn.send_all(b"more than the peer takes");
            conn.close();
        }
    });
    let (mut rehearsal, _) = begin(&mut actor);
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.capacity(client, 4);
    rehearsal.receive(&mut actor, client, b"go");
    rehearsal.advance(&mut actor, 10 * SECOND);
    assert!(rehearsal.is_open(client), "the connection ended before the flush");
    assert_eq!(actor.of_id(client), [Call::Open, Call::Data(b"go".to_vec())]);
    rehearsal.capacity(client, usize::MAX);
    rehearsal.receive(&mut actor, client, b"");
    assert_eq!(rehearsal.sent(client), b"more than the peer takes");
    assert_eq!(rehearsal.why(client), Some(CloseKind::Closed));
}

#[test]
fn on_timeout_can_send_and_close() {
    let mut actor = Actor::with_conn(|conn, cue| match cue {
        Call::Timeout(tag @ 1..3) => {
            write!(conn, "tick {tag} ");
            let at = conn.net().now() + SECOND;
            conn.set_timeout(at, tag + 1);
        }
        Call::Timeout(_) => {
            conn.send_all(b"bye");
            conn.close();
        }
        _ => {}
    });
    let (mut rehearsal, now) = begin(&mut actor);
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.net().conn(client).unwrap().set_timeout(now + SECOND, 1);
    for (answer, open) in [(b"tick 1 ".as_slice(), true), (b"tick 2 ", true), (b"bye", false), (b"", false)] {
        assert_eq!(rehearsal.sent(client), b"");
        rehearsal.advance(&mut actor, SECOND);
        assert_eq!((rehearsal.sent(client).as_slice(), rehearsal.is_open(client)), (answer, open));
    }
    assert_eq!(rehearsal.why(client), Some(CloseKind::Closed));
}

#[test]
fn all_callbacks_of_a_turn_see_an_equal_time() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Data(_) = cue {
            conn.close();
        }
    });
    let (mut host, mut reactor, client, id, now) = connected(&mut actor);
    std::io::Write::write_all(&mut &client, b"go").unwrap();
    let events = host.collect(1);
    actor.notes.clear();
    for later in [YEAR, 2 * YEAR] {
        let now = now + later;
        reactor.net().set_timer(now, 1);
        if let Some(mut conn) = reactor.net().conn(id) {
            conn.set_timeout(now, 2);
        }
        events.iter().for_each(|event| assert!(reactor.handle(event)));
        reactor.settle(&mut actor, now);
        assert!(actor.notes.iter().all(|note| note.at == now));
        assert_eq!(reactor.net().now(), now, "the time of the turn does not last until the next turn");
        let cues = actor.take_calls();
        if later == YEAR {
            let data = Call::Data(b"go".to_vec());
            assert_eq!(cues, [Call::Timer(1), Call::Timeout(2), data, Call::Close(CloseKind::Closed)]);
        }
    }
}

#[test]
fn next_deadline_is_the_deadline_of_the_first_timer() {
    let (mut actor, (_host, mut reactor, now)) = (Actor::idle(), alone());
    assert_eq!((reactor.next_deadline(), reactor.timeout(now)), (None, None));
    let [third, second, first] = [3, 2, 1].map(|seconds| reactor.net().set_timer(now + seconds * SECOND, 0));
    assert_eq!((reactor.next_deadline(), reactor.timeout(now)), (Some(now + SECOND), Some(SECOND)));
    assert_eq!(
        reactor.timeout(now + YEAR),
        Some(Duration::ZERO),
        "the timeout of an overdue timer is not zero"
    );
    assert!(reactor.net().cancel_timer(second) && reactor.net().cancel_timer(first));
    assert_eq!(reactor.next_deadline(), Some(now + 3 * SECOND));
    reactor.settle(&mut actor, now + 4 * SECOND);
    assert_eq!((reactor.next_deadline(), reactor.net().cancel_timer(third)), (None, false));
}

#[test]
fn an_idle_timeout_set_between_turns_counts_from_the_next_turn() {
    let mut actor = Actor::idle();
    let (_host, mut reactor, _client, id, now) = connected(&mut actor);
    reactor.net().conn(id).unwrap().set_idle_timeout(Some(10 * SECOND));
    assert_eq!(reactor.timeout(now), Some(Duration::ZERO), "setting an idle timeout does not ask for a turn");
    let next = now + 100 * SECOND;
    reactor.settle(&mut actor, next);
    assert_eq!(reactor.next_deadline(), Some(next + 10 * SECOND));
    reactor.settle(&mut actor, next + 10 * SECOND);
    assert_eq!(actor.time_of(&Call::Close(CloseKind::IdleTimeout)), Some(next + 10 * SECOND));
}

#[test]
fn a_hundred_thousand_timers_can_be_set_cancelled_and_fired() {
    const COUNT: u64 = 100_000;
    let (mut actor, (_host, mut reactor, now)) = (Actor::idle(), alone());
    let set = |reactor: &mut Reactor, n: u64| {
        let place = n * 7919 % COUNT; // 7919 is a prime, so each place comes once.
        reactor.net().set_timer(now + Duration::from_micros(place), place)
    };
    let timers: Vec<_> = (0..COUNT).map(|n| set(&mut reactor, n)).collect();
    let (cancelled, kept) = timers.split_at(COUNT as usize / 2);
    assert!(cancelled.iter().all(|timer| reactor.net().cancel_timer(*timer)));
    assert!(kept.iter().rev().all(|timer| reactor.net().cancel_timer(*timer)));
    assert_eq!(reactor.next_deadline(), None);
    reactor.settle(&mut actor, now + SECOND);
    assert_eq!(actor.take_calls(), []);

    let now = now + SECOND;
    (0..COUNT).for_each(|n| _ = reactor.net().set_timer(now + Duration::from_micros(COUNT - n), n));
    reactor.settle(&mut actor, now + Duration::from_micros(COUNT / 2));
    assert_eq!(actor.notes.len() as u64, COUNT / 2);
    reactor.settle(&mut actor, now + SECOND);
    let expected: Vec<_> = (0..COUNT).rev().map(Call::Timer).collect();
    assert!(actor.take_calls() == expected, "not every timer fired once, in the order of the deadlines");
    assert_eq!(reactor.next_deadline(), None);
}

/// The cost of a timeout must not depend on the number of timeouts of its connection. With a search through their list for
/// each timeout, this test takes minutes.
#[test]
fn a_hundred_thousand_timeouts_of_one_connection_can_be_set_cancelled_and_fired() {
    const COUNT: u64 = 100_000;
    let mut actor = Actor::idle();
    let mut rehearsal = Rehearsal::new(Options::default());
    let client = rehearsal.accept(&mut actor).unwrap();
    let now = rehearsal.net().now();
    let mut conn = rehearsal.net().conn(client).unwrap();
    let timers: Vec<_> = (0..COUNT)
        .map(|n| conn.set_timeout(now + Duration::from_micros(n * 7919 % COUNT), n)) // 7919 is a prime, so each time comes once.
        .collect();
    let (even, odd): (Vec<_>, Vec<_>) = timers.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    assert!(even.iter().all(|(_, timer)| rehearsal.net().cancel_timer(**timer)));
    assert!(!rehearsal.net().cancel_timer(*even[0].1));
    rehearsal.advance(&mut actor, Duration::from_micros(COUNT));
    let mut expected: Vec<u64> = odd.iter().map(|(n, _)| *n as u64).collect();
    expected.sort_by_key(|n| n * 7919 % COUNT);
    let fired = actor.notes.iter().filter_map(|note| match note.call {
        Call::Timeout(tag) => Some(tag),
        _ => None,
    });
    assert!(fired.eq(expected), "not every timeout that was left fired once, in the order of the deadlines");
    assert!(rehearsal.is_open(client));
}
