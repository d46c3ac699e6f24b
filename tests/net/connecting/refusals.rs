//! Tests of refused connects: the reason is `ConnectFailed`, whatever else the turn does before it handles the refusal.

use std::{
    net::{SocketAddr, TcpListener},
    time::Instant,
};

use tidegate::{CloseKind, ConnId, Net, Options, Reactor};

use crate::support::{Actor, Call, Host};

const REFUSED: Call = Call::Close(CloseKind::ConnectFailed);

/// Returns an address at which nothing listens any more.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

type Act = fn(&mut Net, ConnId);

/// The calls on a connection after its connect has begun and before the turn that handles the refusal.
const MEANWHILE: [(&str, Act); 6] = [
    ("paused, with a timeout", |net, id| {
        let now = net.now();
        let mut conn = net.conn(id).unwrap();
        conn.pause_reading();
        conn.set_timeout(now, 7);
    }),
    ("a timeout", |net, id| {
        let now = net.now();
        net.conn(id).unwrap().set_timeout(now, 7);
    }),
    ("paused", |net, id| net.conn(id).unwrap().pause_reading()),
    ("sent to", |net, id| _ = net.send_all(id, b"a greeting")),
    ("shut down", |net, id| net.shutdown_write(id)),
    ("paused, sent to, shut down, with a timeout", |net, id| {
        let now = net.now();
        let mut conn = net.conn(id).unwrap();
        conn.pause_reading();
        conn.set_timeout(now, 7);
        conn.send_all(b"a greeting");
        conn.shutdown_write();
    }),
];

#[test]
fn a_refusal_ends_a_connection_that_is_still_connecting_with_connect_failed() {
    for (what, meanwhile) in MEANWHILE {
        let (mut host, now) = (Host::new(), Instant::now());
        let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
        let mut actor = Actor::idle();
        let id = reactor.net().connect(nobody(), ());
        reactor.settle(&mut actor, now);
        meanwhile(reactor.net(), id);
        host.collect(1).iter().for_each(|event| assert!(reactor.handle(event)));
        reactor.settle(&mut actor, now);
        host.turn_until_quiet(&mut reactor, &mut actor, now);
        let timeout = actor.notes.iter().position(|note| note.call == Call::Timeout(7));
        let expected = if timeout.is_some() { vec![Call::Timeout(7), REFUSED] } else { vec![REFUSED] };
        assert_eq!(actor.of_id(id), expected, "{what}");
        assert_eq!(what.contains("timeout"), timeout.is_some(), "{what}");
        assert_eq!((reactor.net().stats().open, reactor.net().stats().buffered), (0, 0), "{what}");
    }
}

#[test]
fn a_timeout_of_a_paused_connection_does_not_hide_its_on_open() {
    let (mut host, now) = (Host::new(), Instant::now());
    let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut actor = Actor::idle();
    let id = reactor.net().connect(elsewhere.local_addr().unwrap(), ());
    reactor.settle(&mut actor, now);
    MEANWHILE[0].1(reactor.net(), id);
    host.collect(1).iter().for_each(|event| assert!(reactor.handle(event)));
    host.turn_until(&mut reactor, &mut actor, now, |actor, _| actor.has_heard(&Call::Open));
    assert_eq!(actor.of_id(id), [Call::Timeout(7), Call::Open]);
}

#[test]
fn the_error_of_a_connect_names_the_address() {
    let nobody = nobody();
    let (mut event_loop, mut actor) = (tidegate::EventLoop::new(Options::default()).unwrap(), Actor::idle());
    event_loop.net().connect(nobody, ());
    crate::support::turn_until(&mut event_loop, &mut actor, |actor, _| !actor.ended.is_empty());
    let why = actor.ended[0].why.to_string();
    assert!(why.contains(&format!("cannot connect to {nobody}: ")), "{why}");
}
