//! Tests of `close_when_idle`, which is also the default `on_drain`: when a connection is idle, and that a connection is
//! served until then.

use std::time::{Duration, Instant};

use tidegate::{CloseKind, ConnId, Options, testing::Rehearsal};

use crate::support::{Actor, Call, Host, connect};

const A_DAY: Duration = Duration::from_secs(24 * 3600);
const QUIET: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);

/// Makes a recorder that sends each line back, and has the default `on_drain`. An incomplete line stays in the inbox.
fn lines() -> Actor<'static> {
    Actor::consuming(|conn, input| {
        let lines = input.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        conn.send_all(&input[..lines]);
        lines
    })
}

/// Makes a connection on which a byte has just moved, in a reactor whose drain has just begun.
fn draining() -> (Actor<'static>, Rehearsal, ConnId) {
    let mut lines = lines();
    let mut rehearsal = Rehearsal::new(Options::default().drain_quiet(QUIET));
    let id = rehearsal.accept(&mut lines).unwrap();
    rehearsal.receive(&mut lines, id, b"hello\n");
    assert_eq!(rehearsal.sent(id), b"hello\n");
    rehearsal.net().drain(A_DAY);
    rehearsal.settle(&mut lines);
    (lines, rehearsal, id)
}

/// Asserts that the connection is closed when no byte moves for the rest of the quiet time, and not before.
#[track_caller]
fn assert_closes_after(rehearsal: &mut Rehearsal, lines: &mut Actor<'_>, id: ConnId, left: Duration) {
    rehearsal.advance(lines, left - MOMENT);
    assert!(rehearsal.is_open(id), "the connection closed too early: {:?}", rehearsal.why(id));
    rehearsal.advance(lines, MOMENT);
    assert_eq!(rehearsal.why(id), Some(CloseKind::Drained));
    assert!(!rehearsal.is_reset(id));
}

#[test]
fn the_quiet_time_of_a_drain_is_a_quarter_of_a_second_by_default() {
    assert_eq!(Options::default().drain_quiet, Duration::from_millis(250));
}

#[test]
fn the_default_on_drain_closes_a_connection_that_is_quiet() {
    let (mut lines, mut rehearsal, id) = draining();
    assert_closes_after(&mut rehearsal, &mut lines, id, QUIET);
    assert_eq!(lines.ends(), [CloseKind::Drained]);
    // The connection lingers until the end of file of the peer.
    rehearsal.eof(&mut lines, id);
    assert_eq!((rehearsal.net().stats().open, rehearsal.net().stats().drain_resets), (0, 0));
}

#[test]
fn each_byte_that_is_received_begins_the_quiet_time_again() {
    let (mut lines, mut rehearsal, id) = draining();
    for _ in 0..10 {
        rehearsal.advance(&mut lines, QUIET - MOMENT);
        rehearsal.receive(&mut lines, id, b"hello\n");
        assert_eq!(rehearsal.sent(id), b"hello\n", "the connection is served until it is idle");
    }
    assert_closes_after(&mut rehearsal, &mut lines, id, QUIET);
}

#[test]
fn each_byte_that_the_kernel_takes_begins_the_quiet_time_again() {
    let (mut lines, mut rehearsal, id) = draining();
    for _ in 0..10 {
        rehearsal.advance(&mut lines, QUIET - MOMENT);
        rehearsal.net().send_all(id, b"news");
        rehearsal.settle(&mut lines);
        assert_eq!(rehearsal.sent(id), b"news");
    }
    assert_closes_after(&mut rehearsal, &mut lines, id, QUIET);
}

#[test]
fn a_connection_with_unsent_bytes_is_not_idle() {
    let (mut lines, mut rehearsal, id) = draining();
    rehearsal.capacity(id, 0);
    rehearsal.receive(&mut lines, id, b"a long answer\n");
    rehearsal.advance(&mut lines, 100 * QUIET);
    assert!(rehearsal.is_open(id));
    rehearsal.capacity(id, 1);
    rehearsal.advance(&mut lines, 100 * QUIET);
    assert!(rehearsal.is_open(id), "the connection closed although a part of the answer is unsent");
    rehearsal.capacity(id, usize::MAX);
    rehearsal.settle(&mut lines);
    assert_eq!(rehearsal.sent(id), b"a long answer\n");
    assert_closes_after(&mut rehearsal, &mut lines, id, QUIET);
}

#[test]
fn a_connection_with_a_part_of_a_message_in_its_inbox_is_not_idle() {
    let (mut lines, mut rehearsal, id) = draining();
    rehearsal.receive(&mut lines, id, b"half a ");
    rehearsal.advance(&mut lines, 100 * QUIET);
    assert!(rehearsal.is_open(id));
    rehearsal.receive(&mut lines, id, b"line\n");
    assert_eq!(rehearsal.sent(id), b"half a line\n");
    assert_closes_after(&mut rehearsal, &mut lines, id, QUIET);
}

#[test]
fn a_connection_whose_reading_is_paused_is_not_idle() {
    let (mut lines, mut rehearsal, id) = draining();
    rehearsal.net().conn(id).unwrap().pause_reading();
    rehearsal.advance(&mut lines, 100 * QUIET);
    assert!(rehearsal.is_open(id));
    rehearsal.receive(&mut lines, id, b"hello\n");
    rehearsal.advance(&mut lines, 100 * QUIET);
    assert!(rehearsal.is_open(id));
    rehearsal.net().resume_reading(id);
    rehearsal.settle(&mut lines);
    assert_eq!(rehearsal.sent(id), b"hello\n", "input that came during the pause is not served");
    assert_closes_after(&mut rehearsal, &mut lines, id, QUIET);

    // Without new bytes, the connection is closed after the resume as well.
    let (mut lines, mut rehearsal, id) = draining();
    rehearsal.net().conn(id).unwrap().pause_reading();
    rehearsal.advance(&mut lines, 100 * QUIET);
    rehearsal.net().resume_reading(id);
    rehearsal.advance(&mut lines, QUIET);
    assert_eq!(rehearsal.why(id), Some(CloseKind::Drained));
}

#[test]
fn a_connection_that_is_owed_an_on_writable_is_not_idle() {
    let (mut lines, mut rehearsal, id) = draining();
    rehearsal.capacity(id, 0);
    assert!(rehearsal.net().conn(id).unwrap().try_send(b"not taken").is_err());
    rehearsal.advance(&mut lines, 100 * QUIET);
    assert!(rehearsal.is_open(id));
    assert_eq!(lines.count(&Call::Writable), 0);
    rehearsal.capacity(id, usize::MAX);
    rehearsal.settle(&mut lines);
    assert_eq!(lines.count(&Call::Writable), 1);
    rehearsal.advance(&mut lines, QUIET);
    assert_eq!(rehearsal.why(id), Some(CloseKind::Drained));
}

#[test]
fn a_connection_that_is_never_idle_is_reset_at_the_end_of_the_grace() {
    let busy: [fn(&mut Rehearsal, &mut Actor<'_>, ConnId); 3] = [
        |rehearsal, _, id| rehearsal.net().conn(id).unwrap().pause_reading(),
        |rehearsal, lines, id| rehearsal.receive(lines, id, b"half a line"),
        |rehearsal, lines, id| {
            rehearsal.capacity(id, 0);
            rehearsal.receive(lines, id, b"hello\n");
        },
    ];
    for busy in busy {
        let (mut lines, mut rehearsal, id) = draining();
        busy(&mut rehearsal, &mut lines, id);
        rehearsal.advance(&mut lines, A_DAY - MOMENT);
        assert!(rehearsal.is_open(id));
        rehearsal.advance(&mut lines, MOMENT);
        assert_eq!(lines.ends(), [CloseKind::Aborted]);
        assert!(rehearsal.is_reset(id));
        assert_eq!(rehearsal.net().stats().drain_resets, 1);
    }
}

#[test]
fn close_when_idle_without_a_drain_ends_with_closed() {
    let mut lines = lines();
    let mut rehearsal = Rehearsal::new(Options::default());
    let ids = [(); 2].map(|()| rehearsal.accept(&mut lines).unwrap());
    rehearsal.receive(&mut lines, ids[0], b"hello\n");
    rehearsal.net().conn(ids[0]).unwrap().close_when_idle(3 * QUIET);
    rehearsal.settle(&mut lines);
    rehearsal.advance(&mut lines, 3 * QUIET - MOMENT);
    assert!(rehearsal.is_open(ids[0]));
    rehearsal.receive(&mut lines, ids[0], b"and more\n");
    rehearsal.advance(&mut lines, 3 * QUIET - MOMENT);
    assert!(rehearsal.is_open(ids[0]));
    rehearsal.advance(&mut lines, MOMENT);
    assert_eq!(rehearsal.why(ids[0]), Some(CloseKind::Closed));
    assert_eq!(rehearsal.sent(ids[0]), b"hello\nand more\n");
    assert!(rehearsal.is_open(ids[1]), "the other connection was closed as well");
}

#[test]
fn close_when_idle_with_no_quiet_time_closes_when_nothing_is_left_to_do() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Data(bytes) = cue {
            conn.close_when_idle(Duration::ZERO);
            conn.send_all(bytes);
        }
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    let ids = [(); 2].map(|()| rehearsal.accept(&mut actor).unwrap());
    rehearsal.receive(&mut actor, ids[0], b"hello");
    rehearsal.advance(&mut actor, MOMENT);
    assert_eq!(rehearsal.why(ids[0]), Some(CloseKind::Closed));
    assert_eq!(rehearsal.sent(ids[0]), b"hello");
    rehearsal.capacity(ids[1], 2);
    rehearsal.receive(&mut actor, ids[1], b"hello");
    rehearsal.advance(&mut actor, QUIET);
    assert!(rehearsal.is_open(ids[1]), "three bytes are unsent");
    rehearsal.capacity(ids[1], 3);
    rehearsal.advance(&mut actor, MOMENT);
    assert_eq!((rehearsal.why(ids[1]), rehearsal.sent(ids[1])), (Some(CloseKind::Closed), b"hello".to_vec()));
}

#[test]
fn a_connection_that_ends_before_it_is_idle_keeps_its_close_reason() {
    type End = fn(&mut Rehearsal, &mut Actor<'_>, ConnId);
    let ends: [(End, CloseKind); 4] = [
        (|rehearsal, lines, id| rehearsal.eof(lines, id), CloseKind::Eof),
        (|rehearsal, lines, id| rehearsal.reset(lines, id), CloseKind::Reset),
        (|rehearsal, _, id| rehearsal.net().abort(id), CloseKind::Aborted),
        (|rehearsal, _, id| rehearsal.net().close(id), CloseKind::Drained),
    ];
    for (end, kind) in ends {
        let (mut lines, mut rehearsal, id) = draining();
        end(&mut rehearsal, &mut lines, id);
        rehearsal.settle(&mut lines);
        assert_eq!(lines.ends(), [kind]);
        rehearsal.eof(&mut lines, id);
        rehearsal.advance(&mut lines, 100 * QUIET);
        assert_eq!(lines.ends(), [kind], "on_close came again");
        assert_eq!(rehearsal.net().stats().open, 0);
    }
}

#[test]
fn a_drain_ends_when_its_connections_have_become_idle() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default().drain_quiet(QUIET).linger(Duration::ZERO));
    let mut lines = lines();
    let clients = [(); 3].map(|()| connect(at));
    host.turn_until(&mut reactor, &mut lines, now, |_, net| net.stats().accepted == 3);
    reactor.net().drain(A_DAY);
    assert!(!reactor.settle(&mut lines, now).finished);
    host.turn_until_quiet(&mut reactor, &mut lines, now);
    let due = reactor.next_deadline().expect("the connections become idle without an event");
    assert!(due <= now + QUIET, "{:?}", due.saturating_duration_since(now));
    let (mut finished, later) = (false, now + QUIET);
    while !finished {
        host.poll_once(&mut reactor);
        finished = reactor.settle(&mut lines, later).finished;
        assert!(finished || reactor.timeout(later).is_some_and(|wait| wait.is_zero()), "{:?}", lines.ends());
    }
    assert_eq!(lines.ends(), [CloseKind::Drained; 3]);
    assert_eq!((reactor.net().stats().open, reactor.next_deadline()), (0, None));
    drop(clients);
}

#[test]
fn close_when_idle_with_the_longest_time_cancels_an_earlier_request() {
    let (mut lines, mut rehearsal, id) = draining();
    let request = |rehearsal: &mut Rehearsal, quiet| rehearsal.net().conn(id).unwrap().close_when_idle(quiet);
    request(&mut rehearsal, Duration::MAX);
    rehearsal.advance(&mut lines, A_DAY / 2);
    assert!(rehearsal.is_open(id), "the first request is still in force");
    request(&mut rehearsal, QUIET);
    rehearsal.settle(&mut lines);
    assert_closes_after(&mut rehearsal, &mut lines, id, QUIET);
}
