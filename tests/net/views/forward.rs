//! Tests of sending the bytes that `on_data` left unused, back or to another connection.

use tidegate::{CloseKind, Flow, Options, testing::Rehearsal};

use crate::support::{Actor, Call, assert_same, pattern};

/// A handler that consumes nothing.
fn hoarder() -> Actor<'static> {
    Actor::idle().with_data(|_, _| 0)
}

#[test]
fn unconsumed_bytes_are_sent_back_whole_and_consumed() {
    for len in [1, 5000, 200_000] {
        let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), hoarder());
        let client = rehearsal.accept(&mut actor).unwrap();
        let bytes = pattern(len, 1);
        rehearsal.receive(&mut actor, client, &bytes);
        let mut conn = rehearsal.net().conn(client).unwrap();
        assert_eq!(conn.unconsumed().len(), len);
        conn.send_unconsumed();
        assert!(conn.unconsumed().is_empty());
        rehearsal.settle(&mut actor);
        assert_same(&rehearsal.sent(client), &bytes);
        assert_eq!(rehearsal.net().stats().buffered, 0);
        // The connection goes on.
        rehearsal.receive(&mut actor, client, b"more");
        assert_eq!(rehearsal.net().conn(client).unwrap().unconsumed(), b"more");
    }
}

#[test]
fn a_consumed_part_is_not_forwarded() {
    let mut rehearsal = Rehearsal::new(Options::default());
    let mut actor = Actor::idle().with_data(|conn, input| {
        conn.pause_reading();
        input.len().min(1000)
    });
    let client = rehearsal.accept(&mut actor).unwrap();
    let bytes = pattern(100_000, 2);
    rehearsal.receive(&mut actor, client, &bytes);
    rehearsal.net().conn(client).unwrap().send_unconsumed();
    rehearsal.settle(&mut actor);
    assert_same(&rehearsal.sent(client), &bytes[1000..]);
}

#[test]
fn bytes_are_forwarded_to_another_connection_behind_what_it_was_sent() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), hoarder());
    let [from, to] = [(); 2].map(|()| rehearsal.accept(&mut actor).unwrap());
    let bytes = pattern(50_000, 3);
    rehearsal.receive(&mut actor, from, &bytes);
    rehearsal.net().send_all(to, b"first, ");
    rehearsal.net().forward(from, to);
    rehearsal.net().send_all(to, b", last");
    rehearsal.settle(&mut actor);
    assert_same(&rehearsal.sent(to), &[b"first, ", &bytes[..], b", last"].concat());
    assert!(rehearsal.sent(from).is_empty());
}

#[test]
fn bytes_are_sent_back_in_the_callback_of_the_connection_in_order() {
    let mut rehearsal = Rehearsal::new(Options::default());
    let mut actor = Actor::with_conn(|conn, call| {
        if *call == Call::Eof {
            conn.send_all(b"you said: ");
            conn.send_unconsumed();
            conn.close();
        }
    })
    .with_data(|conn, _| {
        assert_eq!(conn.send_unconsumed(), Flow::Open, "on_data has the bytes, so there are none");
        0
    });
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.receive(&mut actor, client, b"hello");
    rehearsal.eof(&mut actor, client);
    assert_eq!(rehearsal.sent(client), b"you said: hello");
    assert_eq!(rehearsal.why(client), Some(CloseKind::Eof));
}

#[test]
fn bytes_stay_if_the_receiver_takes_no_sends() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), hoarder());
    let [from, ended, gone] = [(); 3].map(|()| rehearsal.accept(&mut actor).unwrap());
    rehearsal.receive(&mut actor, from, b"kept");
    rehearsal.net().shutdown_write(ended);
    rehearsal.net().abort(gone);
    rehearsal.settle(&mut actor);
    for to in [ended, gone] {
        assert_eq!(rehearsal.net().forward(from, to), Flow::Gone);
    }
    assert_eq!(rehearsal.net().conn(from).unwrap().unconsumed(), b"kept");
    assert_eq!(rehearsal.net().stats().sends_discarded, 2);
    assert_eq!(rehearsal.net().forward(gone, from), Flow::Open, "a connection that is gone has no bytes");
}

#[test]
fn a_full_inbox_that_was_forwarded_is_filled_again() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default().max_inbox(100)), Actor::idle());
    let client = rehearsal.accept(&mut actor).unwrap();
    actor = Actor::idle().with_data(|conn, _| {
        conn.pause_reading();
        0
    });
    rehearsal.receive(&mut actor, client, &pattern(250, 4));
    let mut all = Vec::new();
    for _ in 0..3 {
        rehearsal.net().conn(client).unwrap().send_unconsumed();
        rehearsal.settle(&mut actor);
        all.extend(rehearsal.sent(client));
        rehearsal.net().resume_reading(client);
        rehearsal.settle(&mut actor);
    }
    assert_same(&all, &pattern(250, 4));
}
