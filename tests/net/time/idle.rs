//! Peers that say nothing, or hardly anything: the idle timeout and the deadline.

use std::{
    cell::Cell,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use tidegate::{CloseKind, ConnId, Options, Reactor, testing::Rehearsal};

use crate::support::{Actor, Call, Host, connect};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);
const IDLE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
const TOO_IDLE: Option<CloseKind> = Some(CloseKind::IdleTimeout);

/// A rehearsal with this idle timeout, and its one client.
fn rehearse(actor: &mut Actor<'_>, idle_timeout: Option<Duration>) -> (Rehearsal, ConnId) {
    let mut rehearsal = Rehearsal::new(Options::default().idle_timeout(idle_timeout));
    let client = rehearsal.accept(actor).unwrap();
    (rehearsal, client)
}

/// Goes on to the last moment before the idle timeout, and over it.
#[track_caller]
fn assert_ends_after(rehearsal: &mut Rehearsal, actor: &mut Actor<'_>, client: ConnId, left: Duration) {
    rehearsal.advance(actor, left - MOMENT);
    assert_eq!(rehearsal.why(client), None, "too early");
    rehearsal.advance(actor, MOMENT);
    assert_eq!(rehearsal.why(client), TOO_IDLE);
}

/// A reactor with an idle timeout and one connection, whose peer is the socket.
fn connected(actor: &mut Actor<'_>) -> (Host, Reactor, TcpStream, Instant) {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default().idle_timeout(Some(IDLE)));
    let client = connect(at);
    host.turn_until(&mut reactor, actor, now, |actor, _| actor.has_heard(&Call::Open));
    host.turn_until_quiet(&mut reactor, actor, now);
    (host, reactor, client, now)
}

#[test]
fn a_silent_peer_is_ended_when_its_time_is_over_and_not_before() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    assert_ends_after(&mut rehearsal, &mut actor, client, IDLE);
    assert_eq!(actor.of_id(client), [Call::Open, Call::Close(CloseKind::IdleTimeout)]);
    assert!(rehearsal.is_ended(client) && !rehearsal.is_reset(client), "there was nothing to cut off");
    assert_eq!(rehearsal.net().stats().closed_by(CloseKind::IdleTimeout), 1);
}

#[test]
fn each_connection_has_its_own_time() {
    let mut actor = Actor::idle();
    let (mut rehearsal, first) = rehearse(&mut actor, Some(IDLE));
    rehearsal.advance(&mut actor, 4 * SECOND);
    let second = rehearsal.accept(&mut actor).unwrap();
    assert_ends_after(&mut rehearsal, &mut actor, first, 6 * SECOND);
    assert_ends_after(&mut rehearsal, &mut actor, second, 4 * SECOND);
}

#[test]
fn what_is_received_puts_it_off() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    for _ in 0..5 {
        rehearsal.advance(&mut actor, IDLE - MOMENT);
        rehearsal.receive(&mut actor, client, b".");
    }
    // Hardly later than the timer was set is later still.
    rehearsal.advance(&mut actor, MOMENT);
    rehearsal.receive(&mut actor, client, b".");
    assert_ends_after(&mut rehearsal, &mut actor, client, IDLE);
}

#[test]
fn input_that_is_declined_puts_it_off_as_well() {
    let mut actor = Actor::idle();
    actor.portion = 0;
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    rehearsal.advance(&mut actor, 9 * SECOND);
    rehearsal.receive(&mut actor, client, b"a part of a mess");
    assert_ends_after(&mut rehearsal, &mut actor, client, IDLE);
}

#[test]
fn what_the_kernel_takes_puts_it_off_and_what_merely_waits_does_not() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    // A reader that takes ten bytes every nine seconds, and at last none.
    rehearsal.capacity(client, 0);
    rehearsal.net().send_all(client, &[b'.'; 50]);
    for _ in 0..5 {
        rehearsal.advance(&mut actor, IDLE - SECOND);
        rehearsal.net().send_all(client, &[b'.'; 1000]);
        rehearsal.capacity(client, 10);
        rehearsal.settle(&mut actor);
        assert_eq!(rehearsal.sent(client).len(), 10);
    }
    rehearsal.advance(&mut actor, IDLE - SECOND);
    rehearsal.net().send_all(client, &[b'.'; 1000]);
    assert_ends_after(&mut rehearsal, &mut actor, client, SECOND);
    assert!(rehearsal.is_reset(client), "it has not had all");
}

#[test]
fn what_is_sent_between_turns_or_from_on_timer_puts_it_off() {
    let to = Cell::new(None);
    let mut actor = Actor::idle().with_net(|net, cue| {
        if let Call::Timer(_) = cue {
            net.send_all(to.get().unwrap(), b"ping");
        }
    });
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    to.set(Some(client));
    rehearsal.advance(&mut actor, 9 * SECOND);
    rehearsal.net().send_all(client, b"ping");
    rehearsal.advance(&mut actor, 9 * SECOND);
    let at = rehearsal.net().now() + SECOND - MOMENT;
    rehearsal.net().set_timer(at, 0);
    rehearsal.advance(&mut actor, SECOND - MOMENT);
    assert_ends_after(&mut rehearsal, &mut actor, client, IDLE);
}

/// Pushes to a silent client with no turn in between until the idle timeout is over, which that must have put off by its
/// whole length.
#[track_caller]
fn assert_pushes_put_it_off(len: usize, pushes: &[fn(&mut Reactor, ConnId)]) {
    let mut actor = Actor::idle();
    let (mut host, mut reactor, mut client, now) = connected(&mut actor);
    let (id, ()) = reactor.net().sessions().next().unwrap();
    pushes.iter().for_each(|push| push(&mut reactor, id));
    // The first turn that has a clock, and finds the timer due.
    let late = now + IDLE + SECOND;
    assert_eq!(reactor.timeout(late), Some(Duration::ZERO));
    host.turn_until_quiet(&mut reactor, &mut actor, late);
    assert_eq!(actor.of_id(id), [Call::Open]);
    client.read_exact(&mut vec![0; len]).unwrap();
    host.turn_until_quiet(&mut reactor, &mut actor, late + IDLE - MOMENT);
    assert_eq!(actor.of_id(id), [Call::Open], "nothing has moved for less than the whole time");
    host.turn_until_quiet(&mut reactor, &mut actor, late + IDLE);
    assert_eq!(actor.of_id(id), [Call::Open, Call::Close(CloseKind::IdleTimeout)]);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "it has had all");
}

#[test]
fn what_is_flushed_between_turns_puts_it_off() {
    let flush = |reactor: &mut Reactor, id| {
        reactor.net().send_all(id, b"ping");
        reactor.flush();
    };
    assert_pushes_put_it_off(8, &[flush, flush]);
}

#[test]
fn a_large_send_between_turns_puts_it_off() {
    // It is large enough to reach the kernel at once, without a flush.
    assert_pushes_put_it_off(
        10_000,
        &[|reactor, id| {
            reactor.net().send_all(id, &[b'.'; 10_000]);
            assert_eq!(reactor.net().stats().bytes_sent, 10_000);
        }],
    );
}

#[test]
fn a_send_that_still_waits_when_the_time_is_over_goes_out_and_puts_it_off() {
    assert_pushes_put_it_off(
        4,
        &[|reactor, id| {
            reactor.net().send_all(id, b"ping");
            assert_eq!(reactor.net().stats().bytes_sent, 0);
        }],
    );
}

#[test]
fn what_is_sent_from_on_timeout_puts_it_off() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Timeout(_) = cue {
            conn.send_all(b"ping");
        }
    });
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    let at = rehearsal.net().now() + 9 * SECOND;
    rehearsal.net().conn(client).unwrap().set_timeout(at, 0);
    rehearsal.advance(&mut actor, 9 * SECOND);
    assert_eq!(rehearsal.sent(client), b"ping");
    assert_ends_after(&mut rehearsal, &mut actor, client, IDLE);
}

#[test]
fn traffic_moves_no_timer_until_it_fires() {
    let mut actor = Actor::echo();
    let (mut host, mut reactor, mut client, now) = connected(&mut actor);
    assert_eq!(reactor.next_deadline(), Some(now + IDLE));
    for seconds in 1..10 {
        let now = now + seconds * SECOND;
        client.write_all(b"ping").unwrap();
        let answered = 4 * u64::from(seconds);
        host.turn_until(&mut reactor, &mut actor, now, |_, net| net.stats().bytes_sent == answered);
        host.turn_until_quiet(&mut reactor, &mut actor, now);
        client.read_exact(&mut [0; 4]).unwrap();
    }
    assert_eq!(reactor.next_deadline(), Some(now + IDLE), "it stands where it was set");
    reactor.settle(&mut actor, now + IDLE);
    assert_eq!(reactor.next_deadline(), Some(now + 9 * SECOND + IDLE), "it has found out");
    reactor.settle(&mut actor, now + 9 * SECOND + IDLE - MOMENT);
    assert_eq!(reactor.net().stats().open, 1);
    reactor.settle(&mut actor, now + 9 * SECOND + IDLE);
    assert_eq!((reactor.net().stats().open, reactor.next_deadline()), (0, None));
}

#[test]
fn a_peer_that_never_reads_is_idle_though_it_has_more_to_say() {
    let mut actor = Actor::echo();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    rehearsal.capacity(client, 0);
    rehearsal.receive(&mut actor, client, &[b'.'; 300 << 10]);
    assert_eq!(rehearsal.net().stats().reads_paused, 1);
    // No longer read, so what it says now does not count.
    rehearsal.advance(&mut actor, 9 * SECOND);
    rehearsal.receive(&mut actor, client, b"......");
    assert_ends_after(&mut rehearsal, &mut actor, client, SECOND);
    assert!(rehearsal.is_reset(client));
    assert_eq!(rehearsal.net().stats().buffered, 0);
}

#[test]
fn a_peer_that_the_handler_keeps_waiting_is_not_idle() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    rehearsal.net().conn(client).unwrap().pause_reading();
    rehearsal.advance(&mut actor, DAY);
    assert!(rehearsal.is_open(client));
    rehearsal.net().conn(client).unwrap().resume_reading();
    rehearsal.settle(&mut actor);
    rehearsal.advance(&mut actor, IDLE + MOMENT);
    assert_eq!(rehearsal.why(client), TOO_IDLE);
}

#[test]
fn a_peer_whose_reading_was_resumed_has_its_whole_time() {
    let (mut ends, mut actor) = (Vec::new(), Actor::idle());
    for paused_for in [3 * SECOND, 9 * SECOND, 19 * SECOND] {
        let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
        rehearsal.net().conn(client).unwrap().pause_reading();
        rehearsal.advance(&mut actor, paused_for);
        rehearsal.net().conn(client).unwrap().resume_reading();
        rehearsal.advance(&mut actor, IDLE - MOMENT);
        ends.push(rehearsal.why(client));
        rehearsal.advance(&mut actor, MOMENT);
        assert_eq!(rehearsal.why(client), TOO_IDLE);
    }
    assert_eq!(ends, [None; 3], "it was ended before it could have said anything");
}

#[test]
fn a_close_has_bounds_of_its_own() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Data(_) = cue {
            conn.send_all(b"more than the peer takes");
            conn.close();
        }
    });
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    rehearsal.capacity(client, 4);
    rehearsal.receive(&mut actor, client, b"go");
    rehearsal.advance(&mut actor, 30 * SECOND - MOMENT);
    assert!(rehearsal.is_open(client));
    rehearsal.advance(&mut actor, MOMENT);
    assert_eq!(rehearsal.why(client), Some(CloseKind::CloseTimeout));
    assert!(rehearsal.is_reset(client));
}

#[test]
fn the_idle_timeout_can_be_taken_back_and_set_again() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    let set = |rehearsal: &mut Rehearsal, after| {
        rehearsal.net().conn(client).unwrap().set_idle_timeout(after);
    };
    set(&mut rehearsal, None);
    rehearsal.advance(&mut actor, DAY);
    set(&mut rehearsal, Some(3 * SECOND));
    rehearsal.settle(&mut actor);
    rehearsal.advance(&mut actor, 2 * SECOND);
    // Longer, then shorter than what is left: each counts from when it is asked for.
    set(&mut rehearsal, Some(DAY));
    rehearsal.settle(&mut actor);
    rehearsal.advance(&mut actor, DAY - SECOND);
    set(&mut rehearsal, Some(SECOND / 2));
    rehearsal.settle(&mut actor);
    assert_ends_after(&mut rehearsal, &mut actor, client, SECOND / 2);
}

#[test]
fn a_handler_can_set_it_for_a_connection_in_a_callback() {
    let mut actor = Actor::with_conn(|conn, cue| match cue {
        Call::Open => conn.set_idle_timeout(Some(2 * SECOND)),
        Call::Data(_) => conn.set_idle_timeout(Some(5 * SECOND)),
        _ => {}
    });
    let (mut rehearsal, client) = rehearse(&mut actor, None);
    rehearsal.advance(&mut actor, SECOND);
    rehearsal.receive(&mut actor, client, b"I am known now");
    assert_ends_after(&mut rehearsal, &mut actor, client, 5 * SECOND);
}

#[test]
fn an_idle_timeout_set_before_the_connection_is_established_is_kept() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default().idle_timeout(Some(DAY)));
    let mut actor = Actor::idle();
    let id = reactor.net().connect(&at.into(), ());
    reactor.net().conn(id).unwrap().set_idle_timeout(Some(IDLE));
    host.turn_until(&mut reactor, &mut actor, now, |actor, net| {
        actor.of_id(id) == [Call::Open] && net.stats().accepted == 1
    });
    host.turn_until_quiet(&mut reactor, &mut actor, now);
    assert_eq!(reactor.next_deadline(), Some(now + IDLE));
}

#[test]
fn a_byte_a_second_is_not_idle_and_is_ended_by_a_deadline() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if *cue == Call::Open {
            let at = conn.net().now() + 60 * SECOND;
            conn.set_deadline(Some(at));
        }
    });
    actor.portion = 0; // a request that never gets whole
    let (mut rehearsal, client) = rehearse(&mut actor, Some(2 * SECOND));
    for _ in 0..59 {
        rehearsal.advance(&mut actor, SECOND);
        rehearsal.receive(&mut actor, client, b".");
        assert!(rehearsal.is_open(client));
    }
    rehearsal.advance(&mut actor, SECOND - MOMENT);
    assert!(rehearsal.is_open(client));
    rehearsal.advance(&mut actor, MOMENT);
    assert_eq!(rehearsal.why(client), Some(CloseKind::Deadline));
}

#[test]
fn a_deadline_can_be_moved_and_taken_back() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, None);
    let set = |rehearsal: &mut Rehearsal, after: Option<Duration>| {
        let at = after.map(|after| rehearsal.net().now() + after);
        rehearsal.net().conn(client).unwrap().set_deadline(at);
    };
    set(&mut rehearsal, Some(SECOND));
    set(&mut rehearsal, None);
    rehearsal.advance(&mut actor, DAY);
    set(&mut rehearsal, Some(SECOND));
    set(&mut rehearsal, Some(3 * SECOND));
    rehearsal.advance(&mut actor, 3 * SECOND - MOMENT);
    assert!(rehearsal.is_open(client));
    rehearsal.advance(&mut actor, MOMENT);
    assert_eq!(rehearsal.why(client), Some(CloseKind::Deadline));
    assert_eq!(actor.of_id(client).len(), 2, "opened, and ended once");
}
