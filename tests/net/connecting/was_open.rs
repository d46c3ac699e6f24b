//! Tests of `Net::was_open`, which tells in `on_close` whether the connection was established, whatever the reason is.

use std::{
    cell::RefCell,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    time::{Duration, Instant},
};

use tidegate::{CloseKind, ConnId, ConnectOptions, Net, Options, Reactor};

use crate::support::{Actor, Call, Host, connect};

/// A reactor whose handler notes `was_open` in each `on_close`.
struct World {
    host: Host,
    reactor: Reactor,
    actor: Actor<'static>,
    ends: Rc<RefCell<Vec<(CloseKind, bool)>>>,
    at: SocketAddr,
    now: Instant,
}

impl World {
    fn new(tokens: usize) -> Self {
        let host = Host::new();
        let (reactor, at) = host.listening(0..tokens, Options::default());
        let ends = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&ends);
        let actor = Actor::by_default().with_net(move |net, call| {
            if let Call::Close(kind) = call {
                noted.borrow_mut().push((*kind, net.was_open()));
            }
        });
        Self { host, reactor, actor, ends, at, now: Instant::now() }
    }

    fn turn_until_ended(&mut self, count: usize) -> Vec<(CloseKind, bool)> {
        let done = |actor: &Actor<'_>, _: &mut Net| actor.ended.len() == count;
        self.host.turn_until(&mut self.reactor, &mut self.actor, self.now, done);
        assert!(!self.reactor.net().was_open(), "outside of on_close there is no connection to ask about");
        self.ends.take()
    }
}

fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_connect_that_failed_was_never_open() {
    let mut world = World::new(10);
    world.reactor.net().connect(nobody(), ());
    assert_eq!(world.turn_until_ended(1), [(CloseKind::ConnectFailed, false)]);
}

#[test]
fn a_connection_closed_or_aborted_while_connecting_was_never_open() {
    type Act = fn(&mut Net, ConnId);
    let acts: [(Act, CloseKind); 4] = [
        (|net, id| net.close(id), CloseKind::Closed),
        (|net, id| net.abort(id), CloseKind::Aborted),
        (|net, id| net.conn(id).unwrap().set_deadline(Some(Instant::now())), CloseKind::Deadline),
        (
            |net, id| {
                net.send_all(id, b"lost");
                net.abort(id);
            },
            CloseKind::Aborted,
        ),
    ];
    for (act, kind) in acts {
        let mut world = World::new(10);
        let id = world.reactor.net().connect(world.at, ());
        act(world.reactor.net(), id);
        world.now += Duration::from_secs(1);
        assert_eq!(world.turn_until_ended(1), [(kind, false)]);
    }
}

#[test]
fn a_connection_that_was_established_was_open_however_it_ended() {
    let mut world = World::new(10);
    let id = world.reactor.net().connect(world.at, ());
    let both_open = |actor: &Actor<'_>, _: &mut Net| actor.count(&Call::Open) == 2;
    world.host.turn_until(&mut world.reactor, &mut world.actor, world.now, both_open);
    world.reactor.net().abort(id);
    let mut ends = world.turn_until_ended(2);
    ends.sort_by_key(|(kind, _)| *kind == CloseKind::Reset);
    assert_eq!(ends, [(CloseKind::Aborted, true), (CloseKind::Reset, true)]);
}

#[test]
fn an_accepted_client_was_open() {
    let mut world = World::new(10);
    drop(connect(world.at));
    assert_eq!(world.turn_until_ended(1), [(CloseKind::Eof, true)]);
}

#[test]
fn a_connection_without_a_token_was_never_open() {
    let mut world = World::new(1);
    world.reactor.net().connect(world.at, ());
    assert_eq!(world.turn_until_ended(1), [(CloseKind::ConnectFailed, false)]);
}

#[test]
fn a_connection_that_delivers_after_a_close_while_connecting_was_open() {
    let mut world = World::new(10);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let id = world.reactor.net().connect_with(to, (), ConnectOptions::default());
    world.reactor.net().send_all(id, b"delivered");
    world.reactor.net().close(id);
    let peer = std::thread::spawn(move || std::io::read_to_string(listener.accept().unwrap().0).unwrap());
    assert_eq!(world.turn_until_ended(1), [(CloseKind::Closed, true)]);
    assert_eq!(world.actor.count(&Call::Open), 0);
    assert_eq!(peer.join().unwrap(), "delivered");
}
