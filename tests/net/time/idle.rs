//! Tests of peers that send nothing or very little: the idle timeout and the deadline.

use std::{
    cell::Cell,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use tidegate::{CloseKind, ConnId, Options, Reactor, testing::Rehearsal};

use crate::support::{Actor, Call, Host, address_of, connect};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MOMENT: Duration = Duration::from_millis(1);
pub(super) const IDLE: Duration = Duration::from_secs(10);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
const TOO_IDLE: Option<CloseKind> = Some(CloseKind::IdleTimeout);

/// Makes a rehearsal with this idle timeout and one client.
pub(super) fn rehearse(actor: &mut Actor<'_>, idle_timeout: Option<Duration>) -> (Rehearsal, ConnId) {
    let mut rehearsal = Rehearsal::new(Options::default().idle_timeout(idle_timeout));
    let client = rehearsal.accept(actor).unwrap();
    (rehearsal, client)
}

/// Asserts that the connection is open at the last moment before `left` has passed, and ends by the idle timeout then.
#[track_caller]
pub(super) fn assert_ends_after(
    rehearsal: &mut Rehearsal,
    actor: &mut Actor<'_>,
    client: ConnId,
    left: Duration,
) {
    rehearsal.advance(actor, left - MOMENT);
    assert_eq!(rehearsal.why(client), None, "too early");
    rehearsal.advance(actor, MOMENT);
    assert_eq!(rehearsal.why(client), TOO_IDLE, "too late");
}

/// Makes a reactor with an idle timeout and one connection, and returns the socket of its peer.
fn connected(actor: &mut Actor<'_>) -> (Host, Reactor, TcpStream, Instant) {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default().idle_timeout(Some(IDLE)));
    let client = connect(at);
    host.turn_until(&mut reactor, actor, now, |actor, _| actor.has_heard(&Call::Open));
    host.turn_until_quiet(&mut reactor, actor, now);
    (host, reactor, client, now)
}

#[test]
fn close_when_idle_does_not_begin_the_idle_time_anew() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    rehearsal.advance(&mut actor, IDLE / 2);
    rehearsal.net().conn(client).unwrap().close_when_idle(DAY);
    rehearsal.settle(&mut actor);
    assert_ends_after(&mut rehearsal, &mut actor, client, IDLE / 2);
}

#[test]
fn the_idle_timeout_ends_a_silent_connection_at_its_time_and_not_before() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    assert_ends_after(&mut rehearsal, &mut actor, client, IDLE);
    assert_eq!(actor.of_id(client), [Call::Open, Call::Close(CloseKind::IdleTimeout)]);
    assert!(
        rehearsal.is_ended(client) && !rehearsal.is_reset(client),
        "the connection was reset although no bytes were unsent"
    );
    assert_eq!(rehearsal.net().stats().closed_by(CloseKind::IdleTimeout), 1);
}

#[test]
fn each_connection_has_its_own_idle_time() {
    let mut actor = Actor::idle();
    let (mut rehearsal, first) = rehearse(&mut actor, Some(IDLE));
    rehearsal.advance(&mut actor, 4 * SECOND);
    let second = rehearsal.accept(&mut actor).unwrap();
    assert_ends_after(&mut rehearsal, &mut actor, first, 6 * SECOND);
    assert_ends_after(&mut rehearsal, &mut actor, second, 4 * SECOND);
}

#[test]
fn received_bytes_postpone_the_idle_timeout() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    for _ in 0..5 {
        rehearsal.advance(&mut actor, IDLE - MOMENT);
        rehearsal.receive(&mut actor, client, b".");
    }
    // A byte that comes only a moment after the timer was set puts the timeout off as well.
    rehearsal.advance(&mut actor, MOMENT);
    rehearsal.receive(&mut actor, client, b".");
    assert_ends_after(&mut rehearsal, &mut actor, client, IDLE);
}

#[test]
fn declined_input_postpones_the_idle_timeout() {
    let mut actor = Actor::idle();
    actor.portion = 0;
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    rehearsal.advance(&mut actor, 9 * SECOND);
    rehearsal.receive(&mut actor, client, b"a part of a mess");
    assert_ends_after(&mut rehearsal, &mut actor, client, IDLE);
}

#[test]
fn bytes_taken_by_the_kernel_postpone_the_idle_timeout_and_queued_bytes_do_not() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    // The peer takes ten bytes every nine seconds, and no bytes at the end.
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
    assert!(rehearsal.is_reset(client), "the connection has unsent bytes and was not reset");
}

#[test]
fn sends_between_turns_and_from_on_timer_postpone_the_idle_timeout() {
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

/// Sends to a silent client without a turn until the idle time has passed. Asserts that the sends have put the idle timeout
/// off by its whole length.
#[track_caller]
fn assert_sends_put_the_timeout_off(len: usize, pushes: &[fn(&mut Reactor, ConnId)]) {
    let mut actor = Actor::idle();
    let (mut host, mut reactor, mut client, now) = connected(&mut actor);
    let (id, ()) = reactor.net().sessions().next().unwrap();
    pushes.iter().for_each(|push| push(&mut reactor, id));
    // This turn is the first one after the sends, and finds the timer due.
    let late = now + IDLE + SECOND;
    assert_eq!(reactor.timeout(late), Some(Duration::ZERO));
    host.turn_until_quiet(&mut reactor, &mut actor, late);
    assert_eq!(actor.of_id(id), [Call::Open]);
    client.read_exact(&mut vec![0; len]).unwrap();
    host.turn_until_quiet(&mut reactor, &mut actor, late + IDLE - MOMENT);
    assert_eq!(actor.of_id(id), [Call::Open], "the connection ended before the whole idle time had passed");
    host.turn_until_quiet(&mut reactor, &mut actor, late + IDLE);
    assert_eq!(actor.of_id(id), [Call::Open, Call::Close(CloseKind::IdleTimeout)]);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the client got more bytes than were sent");
}

#[test]
fn flushes_between_turns_postpone_the_idle_timeout() {
    let flush = |reactor: &mut Reactor, id| {
        reactor.net().send_all(id, b"ping");
        reactor.flush();
    };
    assert_sends_put_the_timeout_off(8, &[flush, flush]);
}

#[test]
fn a_large_send_between_turns_postpones_the_idle_timeout() {
    // The send is large enough to reach the kernel at once, without a flush.
    assert_sends_put_the_timeout_off(
        10_000,
        &[|reactor, id| {
            reactor.net().send_all(id, &[b'.'; 10_000]);
            assert_eq!(reactor.net().stats().bytes_sent, 10_000);
        }],
    );
}

#[test]
fn a_queued_send_is_flushed_before_the_idle_timeout_and_puts_it_off() {
    assert_sends_put_the_timeout_off(
        4,
        &[|reactor, id| {
            reactor.net().send_all(id, b"ping");
            assert_eq!(reactor.net().stats().bytes_sent, 0);
        }],
    );
}

#[test]
fn sends_from_on_timeout_postpone_the_idle_timeout() {
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
fn traffic_does_not_move_the_idle_timer_before_the_timer_fires() {
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
    assert_eq!(reactor.next_deadline(), Some(now + IDLE), "traffic has moved the timer");
    reactor.settle(&mut actor, now + IDLE);
    assert_eq!(
        reactor.next_deadline(),
        Some(now + 9 * SECOND + IDLE),
        "the timer that fired was not set again"
    );
    reactor.settle(&mut actor, now + 9 * SECOND + IDLE - MOMENT);
    assert_eq!(reactor.net().stats().open, 1);
    reactor.settle(&mut actor, now + 9 * SECOND + IDLE);
    assert_eq!((reactor.net().stats().open, reactor.next_deadline()), (0, None));
}

#[test]
fn a_peer_that_never_reads_is_idle_although_it_sends() {
    let mut actor = Actor::echo();
    let (mut rehearsal, client) = rehearse(&mut actor, Some(IDLE));
    rehearsal.capacity(client, 0);
    rehearsal.receive(&mut actor, client, &[b'.'; 300 << 10]);
    assert_eq!(rehearsal.net().stats().reads_paused, 1);
    // The connection is no longer read, so the bytes that the peer sends now do not count.
    rehearsal.advance(&mut actor, 9 * SECOND);
    rehearsal.receive(&mut actor, client, b"......");
    assert_ends_after(&mut rehearsal, &mut actor, client, SECOND);
    assert!(rehearsal.is_reset(client));
    assert_eq!(rehearsal.net().stats().buffered, 0);
}

#[test]
fn a_connection_that_the_handler_has_paused_is_not_idle() {
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
fn the_whole_idle_time_counts_from_a_resume() {
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
    assert_eq!(ends, [None; 3], "the connection ended before the whole idle time after the resume");
}

#[test]
fn the_idle_timeout_does_not_shorten_a_close() {
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
fn the_idle_timeout_can_be_removed_and_set_again() {
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
    // The new timeout is longer at first, then shorter than the time that is left. Each counts from the call that sets it.
    set(&mut rehearsal, Some(DAY));
    rehearsal.settle(&mut actor);
    rehearsal.advance(&mut actor, DAY - SECOND);
    set(&mut rehearsal, Some(SECOND / 2));
    rehearsal.settle(&mut actor);
    assert_ends_after(&mut rehearsal, &mut actor, client, SECOND / 2);
}

#[test]
fn a_callback_can_set_the_idle_timeout_of_its_connection() {
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
    let id = reactor.net().connect(address_of(at), ());
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
    actor.portion = 0; // The request never becomes complete.
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
fn a_deadline_can_be_moved_and_removed() {
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
    assert_eq!(actor.of_id(client).len(), 2, "more callbacks than on_open and on_close came");
}
