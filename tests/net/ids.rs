//! Tests that an id names only one connection for ever. The id never names a later connection in the slot, whatever events
//! come late.

use std::{
    collections::HashSet,
    io::{ErrorKind, Read, Write},
    net::UdpSocket,
    ops::Bound,
    time::{Duration, Instant},
};

use mio::{Interest, Token};
use tidegate::{Accepted, CloseKind, Conn, ConnId, Flow, Handler, Net, Options, Reactor};

use crate::support::{
    Call, Echo, End, Host, Recorder, address_of, connect, id_of, listening, read_out, turn_until,
};

/// Makes each call that takes an id with the id of an ended connection. No call may reach another connection.
fn use_in_vain(net: &mut Net<u32>, id: ConnId) {
    assert!(net.conn(id).is_none() && net.session(id).is_none());
    assert_eq!(net.send_all(id, b"to nobody"), Flow::Gone);
    assert_eq!(net.send_shared(id, &b"to nobody"[..].into()), Flow::Gone);
    net.resume_reading(id);
    net.shutdown_write(id);
    net.close(id);
    net.abort(id);
}

#[test]
fn the_id_of_an_ended_connection_does_not_reach_the_next_connection_in_its_slot() {
    // There are two tokens, so each client gets the slot of the client before.
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(100..102, Options::default());
    let mut ids = Vec::new();
    let mut recorder = Recorder::new(|net, id, _, call| match call {
        Call::Open => ids.push(id),
        Call::Data(bytes) => {
            net.send_all(id, bytes);
        }
        Call::Eof => net.close(id),
        _ => {}
    });
    let mut greeted = |who| {
        let mut client = connect(at);
        client.write_all(b"hello").unwrap();
        let came = Call::Data(b"hello".to_vec());
        host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.of(who).contains(&came));
        client.read_exact(&mut [0; 5]).unwrap();
        client
    };
    (0..19).for_each(|who| drop(greeted(who)));
    let mut last = greeted(19);
    drop(recorder);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 20, "an id was used twice");

    ids[..19].iter().for_each(|dead| use_in_vain(reactor.net(), *dead));
    let mut recorder = Recorder::new(|net, id, _, _| net.close(id));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    assert_eq!(recorder.calls(), [], "a call with an old id reached the present connection");
    assert_eq!(reactor.net().session(ids[19]), Some(&mut 19));
    last.write_all(b"now close").unwrap();
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_closed(19));
    assert_eq!(
        read_out(&mut last),
        (vec![], End::Eof),
        "bytes sent with an old id reached the present client"
    );
}

#[test]
fn the_id_of_a_closed_listener_does_not_reach_the_next_listener_in_its_slot() {
    let (mut event_loop, at) = listening::<()>(Options::default());
    let net = event_loop.net();
    let second = net.listen("127.0.0.1:0").unwrap();
    net.close_listener(second);
    assert_eq!(net.local_address(second).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    event_loop.turn(&mut Echo, Some(Duration::ZERO)).unwrap();
    let third = event_loop.net().listen("127.0.0.1:0").unwrap();
    assert_ne!(second, third);
    event_loop.net().close_listener(second);
    let of_third = event_loop.net().local_address(third).unwrap().socket_addrs()[0];
    for (at, so_far) in [(at, 0), (of_third, 5)] {
        let mut client = connect(at);
        client.write_all(b"hello").unwrap();
        turn_until(&mut event_loop, &mut Echo, |_, net| net.stats().bytes_sent > so_far);
        client.read_exact(&mut [0; 5]).unwrap();
    }
}

#[test]
fn a_client_accepted_in_the_batch_of_a_close_is_not_reached_by_the_old_id() {
    for close_is_first in [true, false] {
        let (mut host, now) = (Host::new(), Instant::now());
        let (mut reactor, at) = host.listening(.., Options::default());
        let (mut old, mut new) = (None, None);
        let mut recorder = Recorder::new(|net, id, who, call| match (who, call) {
            (0, Call::Open) => old = Some(id),
            (0, Call::Data(_)) => net.abort(id),
            (1, Call::Open) => new = Some(id),
            _ => {}
        });
        let mut first = connect(at);
        host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
        host.turn_until_quiet(&mut reactor, &mut recorder, now);
        first.write_all(b"go").unwrap();
        let closes = host.collect(1);
        let second = connect(at);
        let accepts = host.collect(1);
        let batch = if close_is_first { [closes, accepts] } else { [accepts, closes] };
        batch.concat().iter().for_each(|event| assert!(reactor.handle(event)));
        reactor.settle(&mut recorder, now);
        assert!(recorder.has_closed(0) && recorder.of(1) == [Call::Open], "{:?}", recorder.calls());
        drop(recorder);
        let (old, new) = (old.unwrap(), new.unwrap());
        assert_ne!(old, new);
        use_in_vain(reactor.net(), old);
        let mut recorder = Recorder::new(|_, _, _, _| {});
        host.turn_until_quiet(&mut reactor, &mut recorder, now);
        assert_eq!((recorder.calls().as_slice(), reactor.net().session(new)), (&[][..], Some(&mut 1)));
        drop(second);
    }
}

/// Uses the id of a client in `on_accept`, before the connection exists.
#[derive(Default)]
struct Early {
    announced: Vec<ConnId>,
    opened: Vec<ConnId>,
}

impl Handler for Early {
    type Session = u32;

    fn on_accept(&mut self, net: &mut Net<u32>, from: &Accepted) -> Option<u32> {
        use_in_vain(net, from.id);
        net.for_each(|conn| assert_ne!(conn.id(), from.id));
        self.announced.push(from.id);
        (self.announced.len() % 2 == 1).then_some(7)
    }

    fn on_open(&mut self, conn: &mut Conn<'_, u32>) {
        let id = conn.id();
        assert_eq!(conn.net().session(id), Some(&mut 7));
        self.opened.push(id);
        conn.send_all(b"welcome");
    }

    fn on_data(&mut self, _conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        input.len()
    }
}

#[test]
fn the_id_of_a_client_is_known_in_on_accept_and_reaches_nothing_yet() {
    let (mut event_loop, at) = listening(Options::default());
    let mut early = Early::default();
    let mut clients = [(); 4].map(|()| connect(at));
    turn_until(&mut event_loop, &mut early, |early, _| early.announced.len() == 4);
    // The handler has turned the second and the fourth client away.
    assert_eq!(early.opened, [early.announced[0], early.announced[2]]);
    assert_eq!(early.announced.iter().collect::<HashSet<_>>().len(), 4);
    use_in_vain(event_loop.net(), early.announced[1]);
    for welcome in [0, 2] {
        clients[welcome].read_exact(&mut [0; 7]).unwrap();
        assert_eq!(read_out(&mut clients[welcome + 1]), (vec![], End::Eof));
    }
    assert_eq!((event_loop.net().stats().accepted, event_loop.net().stats().refused_handler), (2, 2));
}

#[test]
fn a_late_event_of_a_closed_source_is_ignored() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let mut recorder = Recorder::new(|net, _, who, call| {
        if (who, call) == (0, &Call::Data(b"go".to_vec())) {
            let other = id_of(net, 1);
            net.abort(other);
        }
    });
    let mut first = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    let mut second = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(1));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    first.write_all(b"go").unwrap();
    let of_first = host.collect(1);
    second.write_all(b"too late").unwrap();
    let of_second = host.collect(1);

    // The host settles in the middle of a batch, so the rest of the batch comes late.
    of_first.iter().for_each(|event| assert!(reactor.handle(event)));
    while !recorder.has_closed(1) {
        reactor.settle(&mut recorder, now);
    }
    of_second
        .iter()
        .for_each(|event| assert!(reactor.handle(event), "the token is in the range of the reactor"));
    reactor.settle(&mut recorder, now);
    assert_eq!(recorder.of(1), [Call::Open, Call::Close(CloseKind::Aborted)]);

    // If a new connection has taken the slot, the late event is only a false hint for the new connection.
    let mut third = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(2));
    of_second.iter().for_each(|event| assert!(reactor.handle(event)));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    assert_eq!(recorder.of(2), [Call::Open]);
    third.write_all(b"hello").unwrap();
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.of(2).len() > 1);
    assert_eq!(recorder.of(2), [Call::Open, Call::Data(b"hello".to_vec())]);
}

#[test]
fn events_of_tokens_outside_of_the_range_are_refused() {
    let mut host = Host::new();
    let (mut reactor, at) = host.listening(10..13, Options::default());
    let mut sockets: Vec<_> = [0, 9, 13, 14, usize::MAX - 1]
        .map(|token| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            let mut socket = mio::net::UdpSocket::from_std(socket);
            host.poll.registry().register(&mut socket, Token(token), Interest::READABLE).unwrap();
            socket.connect(socket.local_addr().unwrap()).unwrap();
            socket.send(b"to myself").unwrap();
            (token, socket)
        })
        .into();
    host.collect(sockets.len()).iter().for_each(|event| assert!(!reactor.handle(event), "{event:?}"));
    assert_eq!(reactor.timeout(Instant::now()), None, "a refused event asks for a turn");
    sockets.clear();

    let _client = connect(at);
    host.collect(1).iter().for_each(|event| assert!(reactor.handle(event), "{event:?}"));
    assert_eq!(reactor.timeout(Instant::now()), Some(Duration::ZERO));
    reactor.settle(&mut Echo, Instant::now());
    assert_eq!(reactor.net().stats().accepted, 1);
}

#[test]
fn a_reactor_needs_a_token_for_each_source() {
    let host = Host::new();
    let empty = Reactor::<u32>::new(host.poll.registry(), 5..5, Options::default());
    assert_eq!(empty.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    let (mut reactor, _) = host.listening::<u32>(5..6, Options::default());
    let error = reactor.net().listen("127.0.0.1:0").unwrap_err();
    assert!(error.to_string().starts_with("cannot listen on 127.0.0.1:0: "), "{error}");
}

#[test]
fn two_reactors_share_a_poll() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut left, at) = host.listening(5..10, Options::default());
    let mut right = Reactor::new(host.poll.registry(), 10.., Options::default()).unwrap();
    // The right reactor is a client of the left reactor.
    right.net().connect(address_of(at), 0);
    let mut client = Recorder::new(|net, id, _, call| {
        if *call == Call::Open {
            net.send_all(id, b"over there");
        }
    });
    let came = Call::Data(b"over there".to_vec());
    right.settle(&mut client, now);
    while !client.of(0).contains(&came) {
        for event in host.collect(1) {
            assert!(
                left.handle(&event) != right.handle(&event),
                "{event:?} does not belong to exactly one reactor"
            );
        }
        left.settle(&mut Echo, now);
        right.settle(&mut client, now);
    }
    assert_eq!((left.net().stats().accepted, right.net().stats().connected), (1, 1));
}

/// Checks that, with room for two connections, two more clients wait in the backlog until there is room again.
fn room_for_two(tokens: std::ops::Range<usize>, options: Options) {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(tokens, options);
    let mut turn_until = |accepted, open| {
        host.turn_until(&mut reactor, &mut Echo, now, |_, net| {
            let stats = net.stats();
            stats.accepted >= accepted && stats.open <= open && stats.bytes_sent >= 5 * accepted
        });
        host.turn_until_quiet(&mut reactor, &mut Echo, now);
        assert_eq!((reactor.net().stats().accepted, reactor.net().stats().open), (accepted, open));
    };
    let mut clients = [(); 4].map(|()| connect(at));
    clients.iter_mut().for_each(|client| client.write_all(b"hello").unwrap());
    turn_until(2, 2);
    for (mut client, (accepted, open)) in clients.into_iter().zip([(3, 2), (4, 2), (4, 1), (4, 0)]) {
        client.read_exact(&mut [0; 5]).unwrap();
        drop(client);
        turn_until(accepted, open);
    }
    // There is room again for a new client.
    let mut late = connect(at);
    late.write_all(b"hello").unwrap();
    turn_until(5, 1);
    late.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_full_token_range_leaves_clients_in_the_backlog_until_one_ends() {
    room_for_two(7..10, Options::default());
}

#[test]
fn a_range_of_tokens_may_leave_its_start_out() {
    let host = Host::new();
    let new = |range| Reactor::<()>::new(host.poll.registry(), range, Options::default());
    let empty = new((Bound::Excluded(5), Bound::Excluded(6))).unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::InvalidInput);
    let mut reactor = new((Bound::Excluded(5), Bound::Excluded(7))).unwrap();
    assert!(reactor.net().listen("127.0.0.1:0").is_ok(), "there is one token");
    assert!(reactor.net().listen("127.0.0.1:0").is_err(), "there is no second token");
}

#[test]
fn max_connections_leaves_clients_in_the_backlog_until_one_ends() {
    room_for_two(0..100, Options::default().max_connections(2));
}

#[test]
fn a_connect_without_a_token_gives_the_session_back() {
    let (host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(0..1, Options::default());
    let mut failed = Vec::new();
    let mut recorder = Recorder::new(|_, id, who, _| failed.push((id, who)));
    let ids = [41, 42].map(|session| reactor.net().connect(address_of(at), session));
    ids.iter().for_each(|id| use_in_vain(reactor.net(), *id));
    assert_eq!(reactor.timeout(now), Some(Duration::ZERO), "on_close is due");
    reactor.settle(&mut recorder, now);
    let failure = Call::Close(CloseKind::ConnectFailed);
    assert_eq!(recorder.calls(), [(41, failure.clone()), (42, failure)]);
    drop(recorder);
    assert_eq!(failed, [(ids[0], 41), (ids[1], 42)]);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(reactor.timeout(now), None);
    assert_eq!((reactor.net().stats().open, reactor.net().stats().closed), (0, 2));
}

#[test]
fn for_each_does_not_visit_connections_that_it_makes() {
    let (host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let ids = [0, 1, 2, 3].map(|session| reactor.net().connect(address_of(at), session));
    // The slot of one connection is free again, so the next connection stands before the last one.
    reactor.net().abort(ids[2]);
    reactor.settle(&mut Recorder::new(|_, _, _, _| {}), now);
    let mut visited = Vec::new();
    reactor.net().for_each(|conn| {
        let session = *conn.session();
        visited.push(session);
        conn.net().connect(address_of(at), 10 + session);
    });
    visited.sort();
    assert_eq!(visited, [0, 1, 3]);
    assert_eq!(reactor.net().sessions().count(), 6);
}
