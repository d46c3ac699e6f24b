//! Tests of `Conn::need`: the handler is not shown fewer bytes than it needs, whatever else happens.

use std::{cell::Cell, time::Duration};

use tidegate::{CloseKind, Conn, ConnId, Flow, Options, testing::Rehearsal};

use crate::support::{Actor, Call};

fn data(bytes: &[u8]) -> Call {
    Call::Data(bytes.to_vec())
}

/// A handler that runs `act` in each `on_data`.
fn actor<'a>(mut act: impl FnMut(&mut Conn<'_>, &[u8]) + 'a) -> Actor<'a> {
    Actor::with_conn(move |conn, call| match call {
        Call::Data(bytes) => act(conn, bytes),
        Call::Eof => conn.close(),
        Call::Drain => conn.close_when_idle(Duration::from_millis(250)),
        _ => {}
    })
}

/// A connection whose handler needs `need` bytes before it is shown the first input.
fn patient(actor: &mut Actor<'_>, need: usize, options: Options) -> (Rehearsal, ConnId) {
    let mut rehearsal = Rehearsal::new(options);
    let client = rehearsal.accept(actor).unwrap();
    rehearsal.net().conn(client).unwrap().need(need);
    actor.take_calls();
    (rehearsal, client)
}

#[test]
fn bytes_that_come_one_at_a_time_are_shown_when_there_are_enough() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = patient(&mut actor, 1000, Options::default());
    let bytes: Vec<u8> = (0..1010_u32).map(|i| i as u8).collect();
    for byte in &bytes {
        rehearsal.receive(&mut actor, client, &[*byte]);
    }
    // After the first call nothing is needed any more.
    let expected = [&bytes[..1000]].into_iter().chain(bytes[1000..].chunks(1)).map(data);
    assert_eq!(actor.take_calls(), expected.collect::<Vec<_>>());
}

#[test]
fn a_need_that_one_receive_meets_does_not_hold_any_longer() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = patient(&mut actor, 5, Options::default());
    for bytes in [&b"enough"[..], b"."] {
        rehearsal.receive(&mut actor, client, bytes);
        assert_eq!(actor.take_calls(), [data(bytes)]);
    }
}

#[test]
fn a_header_can_be_consumed_on_its_own() {
    let body = Cell::new(false);
    // One byte is the length of the body. The handler consumes the length and the body in calls of their own.
    let mut actor = actor(|conn, bytes| {
        conn.need(if body.get() { 1 } else { bytes[0].into() });
        body.set(!body.get());
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    let client = rehearsal.accept(&mut actor).unwrap();
    actor.take_calls();
    actor.portion = 1;
    rehearsal.receive(&mut actor, client, b"\x05");
    actor.portion = 5;
    for byte in b"body" {
        rehearsal.receive(&mut actor, client, &[*byte]);
        assert_eq!(rehearsal.net().conn(client).unwrap().unconsumed().last(), Some(byte));
    }
    rehearsal.receive(&mut actor, client, b"!");
    assert_eq!(actor.take_calls(), [data(b"\x05"), data(b"body!")]);
    assert_eq!(rehearsal.net().stats().buffered, 0);
}

#[test]
fn on_data_is_not_called_again_for_a_rest_that_is_too_short() {
    let mut actor = actor(|conn, bytes| {
        if bytes == b"abc" {
            conn.need(4);
        }
    });
    actor.portion = 3;
    let (mut rehearsal, client) = patient(&mut actor, 0, Options::default());
    rehearsal.receive(&mut actor, client, b"abcdef");
    assert_eq!(actor.take_calls(), [data(b"abc")]);
    actor.portion = usize::MAX;
    rehearsal.receive(&mut actor, client, b"g");
    assert_eq!(actor.take_calls(), [data(b"defg")]);
    // A rest that is long enough is shown at once.
    actor.portion = 3;
    rehearsal.receive(&mut actor, client, b"abcdefg");
    assert_eq!(actor.take_calls(), [data(b"abc"), data(b"def"), data(b"g")]);
}

#[test]
fn a_resume_shows_held_bytes_only_if_there_are_enough() {
    let mut actor = actor(|conn, bytes| {
        if bytes == b"abc" {
            conn.need(4);
            conn.pause_reading();
        }
    });
    actor.portion = 3;
    let (mut rehearsal, client) = patient(&mut actor, 0, Options::default());
    rehearsal.receive(&mut actor, client, b"abcdef");
    actor.portion = usize::MAX;
    let turns = rehearsal.net().stats().turns;
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut actor);
    assert_eq!(actor.take_calls(), [data(b"abc")]);
    assert_eq!(rehearsal.net().stats().turns - turns, 1, "a connection that needs more is not due");
    rehearsal.net().conn(client).unwrap().pause_reading();
    rehearsal.receive(&mut actor, client, b"gh");
    assert_eq!(actor.take_calls(), []);
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut actor);
    assert_eq!(actor.take_calls(), [data(b"defgh")]);
}

#[test]
fn room_in_the_outbox_shows_held_bytes_only_if_there_are_enough() {
    for (rest, shown) in [(&b"de"[..], false), (b"defg", true)] {
        let mut actor = actor(|conn, bytes| {
            if bytes == b"abc" {
                conn.need(4);
                assert_eq!(conn.send_all(&[b'.'; 100]), Flow::Full);
            }
        });
        actor.portion = 3;
        let (mut rehearsal, client) =
            patient(&mut actor, 0, Options::default().high_water(100).low_water(50));
        rehearsal.capacity(client, 0);
        rehearsal.receive(&mut actor, client, &[b"abc", rest].concat());
        actor.portion = usize::MAX;
        rehearsal.capacity(client, usize::MAX);
        rehearsal.settle(&mut actor);
        let expected = [data(b"abc"), Call::Writable, data(rest)];
        assert_eq!(actor.take_calls(), expected[..if shown { 3 } else { 2 }]);
    }
}

#[test]
fn a_need_that_is_lowered_between_turns_shows_the_bytes_that_are_there() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = patient(&mut actor, 10, Options::default());
    rehearsal.receive(&mut actor, client, b"abc");
    rehearsal.net().conn(client).unwrap().need(4);
    rehearsal.settle(&mut actor);
    assert_eq!(actor.take_calls(), []);
    rehearsal.net().conn(client).unwrap().need(0);
    rehearsal.settle(&mut actor);
    assert_eq!(actor.take_calls(), [data(b"abc")]);
}

#[test]
fn on_eof_comes_before_there_are_enough_bytes_and_finds_the_rest() {
    let left = Cell::new(0);
    let mut actor = Actor::with_conn(|conn, call| {
        if *call == Call::Eof {
            left.set(conn.unconsumed().len());
            conn.close();
        }
    });
    let (mut rehearsal, client) = patient(&mut actor, 10, Options::default());
    rehearsal.receive(&mut actor, client, b"abc");
    rehearsal.eof(&mut actor, client);
    assert_eq!(actor.take_calls(), [Call::Eof, Call::Close(CloseKind::Eof)]);
    assert_eq!(left.get(), 3);
}

#[test]
fn a_connection_ends_while_it_needs_more_bytes() {
    type End = fn(&mut Rehearsal, &mut Actor<'_>, ConnId);
    let ends: [(CloseKind, End); 4] = [
        (CloseKind::Closed, |rehearsal, _, id| rehearsal.net().close(id)),
        (CloseKind::Aborted, |rehearsal, _, id| rehearsal.net().abort(id)),
        (CloseKind::Reset, |rehearsal, actor, id| rehearsal.reset(actor, id)),
        (CloseKind::Drained, |rehearsal, actor, id| {
            // The first byte of a message keeps the connection, and the drain has to wait for the rest.
            rehearsal.net().drain(Duration::from_secs(10));
            rehearsal.advance(actor, Duration::from_secs(5));
            assert!(rehearsal.is_open(id));
            rehearsal.receive(actor, id, &[b'.'; 7]);
            rehearsal.advance(actor, Duration::from_secs(1));
        }),
    ];
    for (why, end) in ends {
        for paused in [false, true] {
            if paused && why == CloseKind::Drained {
                continue; // a connection whose handler has paused reading is not idle
            }
            let mut actor = actor(|_, _| {});
            let (mut rehearsal, client) = patient(&mut actor, 10, Options::default());
            rehearsal.receive(&mut actor, client, b"abc");
            if paused {
                rehearsal.net().conn(client).unwrap().pause_reading();
            }
            end(&mut rehearsal, &mut actor, client);
            rehearsal.settle(&mut actor);
            assert_eq!(rehearsal.why(client), Some(why), "paused: {paused}");
            assert_eq!(rehearsal.net().stats().buffered, 0, "{why:?}");
        }
    }
}

#[test]
fn a_need_for_the_next_message_does_not_keep_a_drain_waiting() {
    let mut actor = actor(|_, _| {});
    let (mut rehearsal, client) = patient(&mut actor, 4, Options::default());
    rehearsal.net().drain(Duration::from_secs(10));
    rehearsal.advance(&mut actor, Duration::from_secs(1));
    assert_eq!(rehearsal.why(client), Some(CloseKind::Drained));
}

#[test]
fn a_need_that_no_inbox_can_meet_ends_the_connection_with_a_reset() {
    const MAX_INBOX: usize = 1000;
    let options = Options::default().max_inbox(MAX_INBOX);
    // An inbox takes 16 bytes beyond `max_inbox`.
    for (need, fits) in [(MAX_INBOX + 16, true), (MAX_INBOX + 17, false), (usize::MAX, false)] {
        let mut actor = actor(|conn, bytes| {
            if bytes == b"!" {
                conn.need(need);
                let flow = conn.send_all(b"answer");
                assert_eq!(flow, if fits { Flow::Open } else { Flow::Gone });
            }
        });
        actor.portion = 1;
        let (mut rehearsal, client) = patient(&mut actor, 0, options.clone());
        rehearsal.receive(&mut actor, client, b"!abc");
        assert_eq!(rehearsal.is_open(client), fits, "{need}");
        if !fits {
            assert_eq!(actor.take_calls(), [data(b"!"), Call::Close(CloseKind::InboxLimit)]);
            assert!(rehearsal.is_reset(client));
            continue;
        }
        actor.portion = usize::MAX;
        rehearsal.receive(&mut actor, client, &[b'.'; MAX_INBOX + 12]);
        assert_eq!(actor.take_calls(), [data(b"!")]);
        rehearsal.receive(&mut actor, client, b".");
        assert_eq!(actor.take_calls(), [data(&[b"abc", &[b'.'; MAX_INBOX + 13][..]].concat())]);
    }
}

#[test]
fn a_full_inbox_that_the_handler_has_declined_ends_the_connection() {
    let mut actor = Actor::idle();
    actor.portion = 0;
    let (mut rehearsal, client) = patient(&mut actor, 0, Options::default().max_inbox(1000));
    rehearsal.receive(&mut actor, client, &[b'.'; 1015]);
    assert!(rehearsal.is_open(client));
    rehearsal.receive(&mut actor, client, b".");
    assert_eq!(rehearsal.why(client), Some(CloseKind::InboxLimit));
}

#[test]
fn a_need_after_a_close_does_not_turn_the_close_into_a_reset() {
    let mut actor = actor(|conn, _| {
        conn.send_all(b"bye");
        conn.close();
        conn.need(usize::MAX);
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.receive(&mut actor, client, b"quit");
    assert_eq!(rehearsal.sent(client), b"bye");
    assert_eq!(rehearsal.why(client), Some(CloseKind::Closed));
    assert!(!rehearsal.is_reset(client));
}
