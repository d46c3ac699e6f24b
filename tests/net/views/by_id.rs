//! Tests of the verbs that a program may call with the id of a connection.

use std::time::{Duration, Instant};

use tidegate::{CloseKind, ConnId, Net, Options, testing::Rehearsal};

use crate::support::{Actor, Call};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn verbs_by_id_reach_the_connection() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), Actor::idle());
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.net().pause_reading(client);
    rehearsal.receive(&mut actor, client, b"later");
    assert_eq!(actor.count(&Call::Data(vec![])), 0);
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut actor);
    assert!(actor.has_heard(&Call::Data(b"later".to_vec())));

    rehearsal.capacity(client, 0);
    rehearsal.net().send_all(client, b"unsent");
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.net().queued(client), 6);
    rehearsal.capacity(client, usize::MAX);
    rehearsal.net().notify_writable(client);
    rehearsal.settle(&mut actor);
    assert!(actor.has_heard(&Call::Writable) && rehearsal.net().queued(client) == 0);

    let now = rehearsal.net().now();
    assert!(rehearsal.net().set_timeout(client, now + SECOND, 7).is_some());
    rehearsal.advance(&mut actor, SECOND);
    assert!(actor.has_heard(&Call::Timeout(7)));
    rehearsal.net().pause_when_full(client, false);
    rehearsal.net().shutdown_write(client);
    rehearsal.settle(&mut actor);
    assert!(rehearsal.is_ended(client));
}

#[test]
fn the_ends_that_are_set_by_id_come() {
    type Act = fn(&mut Net, ConnId);
    let ends: [(Act, CloseKind); 5] = [
        (|net, id| net.set_deadline(id, net.now() + SECOND), CloseKind::Deadline),
        (|net, id| net.set_idle_timeout(id, SECOND), CloseKind::IdleTimeout),
        (|net, id| net.close_when_idle(id, SECOND), CloseKind::Closed),
        (|net, id| net.close(id), CloseKind::Closed),
        (|net, id| net.abort(id), CloseKind::Aborted),
    ];
    for (act, kind) in ends {
        let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), Actor::idle());
        let client = rehearsal.accept(&mut actor).unwrap();
        act(rehearsal.net(), client);
        rehearsal.settle(&mut actor);
        rehearsal.advance(&mut actor, SECOND);
        assert_eq!(rehearsal.why(client), Some(kind));
    }
}

#[test]
fn verbs_by_the_id_of_a_connection_that_is_gone_do_nothing() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), Actor::idle());
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.net().abort(client);
    rehearsal.settle(&mut actor);
    let net = rehearsal.net();
    net.pause_reading(client);
    net.resume_reading(client);
    net.pause_when_full(client, true);
    net.notify_writable(client);
    net.set_idle_timeout(client, None);
    net.set_deadline(client, None);
    net.close_when_idle(client, SECOND);
    net.shutdown_write(client);
    assert_eq!(net.queued(client), 0);
    assert_eq!(net.set_timeout(client, Instant::now(), 1), None);
    rehearsal.settle(&mut actor);
    assert_eq!(actor.of_id(client), [Call::Open, Call::Close(CloseKind::Aborted)]);
}
