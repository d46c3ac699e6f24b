//! The duties of a reactor towards its host, and the mistakes of a host that a reactor tolerates.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use mio::{Interest, Token};
use tidegate::{CloseKind, Options, Reactor};

use crate::support::{
    Call, Echo, End, Host, PATIENCE, Recorder, connect, echo, id_of, listening,
    pair::{Pair, is_due, turn_on_hints_alone},
    read_out,
};

#[test]
fn work_left_by_a_turn_is_done_without_a_new_event() {
    const CLIENTS: u32 = 6;
    const BYTES: usize = 1000;
    let small = Options::default();
    // Each case has the limits of a turn, and the smallest number of turns that the work takes then.
    let cases = [
        (small.clone().event_capacity(1).event_budget(1), 6),
        (small.clone().event_capacity(2).event_budget(1), 3),
        (small.clone().read_buffer(100).read_budget(100), 10),
        (small.clone().write_budget(100), 10),
        (small.clone().turn_budget(1), 6),
        (small.event_capacity(1).event_budget(1).read_buffer(100).read_budget(100).turn_budget(1), 60),
    ];
    // The selector on poll(2) returns all events at once, whatever the capacity, so the first two cases do not apply to
    // that selector.
    let first = if cfg!(mio_unsupported_force_poll_poll) { 2 } else { 0 };
    for (case, (options, turns)) in cases.into_iter().enumerate().skip(first) {
        let (mut event_loop, _) = listening(options);
        let mut echo = echo();
        let pairs = Pair::several(&mut event_loop, &mut echo, CLIENTS);
        pairs.iter().for_each(|pair| pair.send(&[7; BYTES]));
        assert!(!is_due(&event_loop), "case {case}: events that no poll has returned are not due");

        let turn = event_loop.turn(&mut echo, Some(PATIENCE)).unwrap();
        assert!(turn.more && is_due(&event_loop), "case {case}: {turn:?}");
        let made = 1 + turn_on_hints_alone(&mut event_loop, &mut echo);
        assert!(made >= turns, "case {case}: {made} turns were enough");
        let stats = event_loop.net().stats();
        let all = u64::from(CLIENTS) * BYTES as u64;
        assert_eq!((stats.bytes_received, stats.bytes_sent), (all, all), "case {case}");
        pairs.iter().for_each(|pair| assert_eq!(pair.read(BYTES), [7; BYTES]));
    }
}

#[test]
fn a_foreign_event_is_refused_and_changes_nothing() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(10..20, Options::default());
    let mut echo = echo();
    let mut client = connect(at);
    host.turn_until(&mut reactor, &mut echo, now, |echo, _| echo.has_opened(0));
    host.turn_until_quiet(&mut reactor, &mut echo, now);
    reactor.net().set_timer(now + PATIENCE, 1);
    let mut sockets = [9, 20].map(|token| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut socket = mio::net::UdpSocket::from_std(socket);
        host.poll.registry().register(&mut socket, Token(token), Interest::READABLE).unwrap();
        socket.connect(socket.local_addr().unwrap()).unwrap();
        socket
    });
    sockets.iter_mut().for_each(|socket| _ = socket.send(b"to myself").unwrap());
    let foreign = host.collect(2);
    client.write_all(b"hello").unwrap();
    let own = host.collect(1);

    let look =
        |reactor: &Reactor<u32>| (format!("{reactor:?}"), reactor.timeout(now), reactor.next_deadline());
    let refuse = |reactor: &mut Reactor<u32>| {
        let before = look(reactor);
        foreign.iter().for_each(|event| assert!(!reactor.handle(event), "{event:?}"));
        assert_eq!(look(reactor), before);
    };
    refuse(&mut reactor);
    assert_eq!(reactor.timeout(now), Some(PATIENCE), "the timeout is not the time until the timer");
    own.iter().for_each(|event| assert!(reactor.handle(event)));
    refuse(&mut reactor);
    assert_eq!(reactor.timeout(now), Some(Duration::ZERO));
    reactor.settle(&mut echo, now);
    refuse(&mut reactor);
    assert_eq!(echo.of(0), [Call::Open, Call::Data(b"hello".to_vec())]);
}

#[test]
fn a_host_may_drop_its_poll_first() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let mut echo = echo();
    let mut clients = [0, 1, 2, 3].map(|who| {
        let client = connect(at);
        host.turn_until(&mut reactor, &mut echo, now, |echo, _| echo.has_opened(who));
        client
    });
    let ids = [0, 1, 2, 3].map(|who| id_of(reactor.net(), who));
    clients[0].write_all(b"hello").unwrap();
    let events = host.collect(1);
    drop(host);

    // Events that the poll returned before still count, and all methods can still be called.
    events.iter().for_each(|event| assert!(reactor.handle(event)));
    reactor.net().send_all(ids[1], b"goodbye");
    reactor.flush();
    reactor.net().close(ids[1]);
    reactor.net().abort(ids[2]);
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    reactor.net().connect(elsewhere.local_addr().unwrap(), 9);
    reactor.net().set_timer(now, 1);
    let _ = reactor.net().listen("127.0.0.1:0");
    reactor.settle(&mut echo, now);
    clients[0].read_exact(&mut [0; 5]).unwrap();
    assert_eq!(read_out(&mut clients[1]), (b"goodbye".to_vec(), End::Eof));
    assert_eq!(read_out(&mut clients[2]).1, End::Reset);

    // No event of the remaining connections can come any more, and yet the drain ends at its deadline.
    reactor.net().drain(Duration::ZERO);
    assert!(!reactor.settle(&mut echo, now).finished);
    assert!(reactor.settle(&mut echo, now + PATIENCE).finished);
    assert_eq!(reactor.net().stats().open, 0);
    assert_eq!(echo.count(&Call::Close(CloseKind::Aborted)), 5, "each session had its on_close");
    drop(reactor);
}

#[test]
fn a_reactor_whose_host_has_gone_can_be_dropped() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening::<u32>(.., Options::default());
    let mut client = connect(at);
    let mut echo = echo();
    host.turn_until(&mut reactor, &mut echo, now, |echo, _| echo.has_opened(0));
    reactor.net().connect(at, 9);
    drop(host);
    drop(reactor);
    read_out(&mut client);
    assert!(TcpStream::connect(at).is_err(), "the listener is closed");
}

#[test]
fn events_of_sources_closed_in_the_same_batch_are_ignored() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let second_listener = reactor.net().listen("127.0.0.1:0").unwrap();
    let of_second = reactor.net().local_address(second_listener).unwrap().socket_addrs()[0];
    // The callback of the first connection closes two other connections and a listener.
    let mut recorder = Recorder::new(|net, _, who, call| {
        if (who, call) == (0, &Call::Data(b"go".to_vec())) {
            let others = [1, 2].map(|who| id_of(net, who));
            net.abort(others[0]);
            net.close(others[1]);
            net.close_listener(second_listener);
        }
    });
    let mut clients = [0, 1, 2, 3].map(|who| {
        let client = connect(at);
        host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(who));
        client
    });
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    clients[0].write_all(b"go").unwrap();
    let mut batch = host.collect(1);
    clients[1..].iter_mut().for_each(|client| client.write_all(b"go").unwrap());
    let late = connect(of_second);
    batch.extend(host.collect(4));

    // The host itself closes a connection after the event of that connection was handed on.
    let closed_by_host = id_of(reactor.net(), 3);
    batch.iter().for_each(|event| assert!(reactor.handle(event)));
    reactor.net().abort(closed_by_host);
    reactor.settle(&mut recorder, now);
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    assert_eq!(recorder.of(1), [Call::Open, Call::Close(CloseKind::Aborted)]);
    assert_eq!(recorder.of(2), [Call::Open, Call::Close(CloseKind::Closed)]);
    assert_eq!(recorder.of(3), [Call::Open, Call::Close(CloseKind::Aborted)]);
    assert_eq!(reactor.net().stats().accepted, 4, "the closed listener accepted a client");
    drop(late);

    // The batch comes once more, when the slots of its sources are free.
    let before = recorder.notes.len();
    batch.iter().for_each(|event| assert!(reactor.handle(event), "the token is in the range of the reactor"));
    reactor.settle(&mut recorder, now);
    assert_eq!(recorder.notes.len(), before, "{:?}", recorder.calls());
}

#[test]
#[cfg_attr(
    mio_unsupported_force_poll_poll,
    ignore = "the selector on poll(2) reports no second event of a socket that was not read empty since the first event"
)]
fn a_host_that_settles_late_loses_nothing() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let mut echo = echo();
    let mut clients = [0, 1, 2].map(|who| {
        let client = connect(at);
        host.turn_until(&mut reactor, &mut echo, now, |echo, _| echo.has_opened(who));
        client
    });
    host.turn_until_quiet(&mut reactor, &mut echo, now);
    let mut settled = echo.notes.len();
    // Many polls return events of the same few sockets before the host calls settle, and that happens twice.
    for poll in 1..=60 {
        for client in &mut clients {
            client.write_all(b"hello").unwrap();
        }
        for event in host.collect(3) {
            assert!(reactor.handle(&event));
            assert_eq!(echo.notes.len(), settled, "all callbacks come from settle");
        }
        (0..3).for_each(|_| assert_eq!(reactor.timeout(now), Some(Duration::ZERO)));
        if poll % 30 == 0 {
            reactor.settle(&mut echo, now);
            settled = echo.notes.len();
        }
    }
    host.turn_until(&mut reactor, &mut echo, now, |_, net| net.stats().bytes_received == 3 * 60 * 5);
    for client in &mut clients {
        let mut all = [0; 60 * 5];
        client.read_exact(&mut all).unwrap();
        assert_eq!(all, *b"hello".repeat(60));
    }
    assert_eq!(reactor.timeout(now), None);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic = "nobody calls `settle`"]
fn a_host_that_never_settles_causes_a_panic_in_debug_builds() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening::<()>(.., Options::default());
    let _client = connect(at);
    host.collect(1).iter().for_each(|event| assert!(reactor.handle(event)));
    (0..1000).for_each(|_| assert_eq!(reactor.timeout(now), Some(Duration::ZERO)));
}

#[test]
fn a_host_may_ask_for_the_deadline_as_often_as_it_likes() {
    let (host, now) = (Host::new(), Instant::now());
    let (mut reactor, _) = host.listening::<()>(.., Options::default());
    reactor.net().stop();
    (0..1000).for_each(|_| assert!(reactor.next_deadline().is_some()));
    assert!(reactor.settle(&mut Echo, now).finished);
}
