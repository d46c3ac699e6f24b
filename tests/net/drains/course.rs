//! Tests of the course of a drain: which clients are served, which callbacks they get, and how the deadline ends the drain.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use tidegate::{CloseKind, EventLoop, Handler, ListenOptions, Net, Options};

use crate::support::{
    Call, Echo, End, Host, PATIENCE, Recorder, Server, connect, connect_open, is_refused, listening,
    pair::{adopt, connected},
    pattern, read_out, turn_until, within,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Makes turns until the loop has finished.
fn turn_until_finished(event_loop: &mut EventLoop<u32>, recorder: &mut impl Handler<Session = u32>) {
    let end = Instant::now() + PATIENCE;
    while !event_loop.turn(recorder, Some(end - Instant::now())).unwrap().finished {
        assert!(Instant::now() < end, "the drain does not end; {:?}", event_loop.net().stats());
    }
}

#[test]
fn a_drain_serves_the_clients_in_the_backlog_and_refuses_later_ones() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let mut recorder = Recorder::new(|net, id, _, call| {
        if *call == Call::Drain {
            net.send_all(id, b"bye");
            net.close(id);
        }
    });
    let mut clients = Vec::from([(); 2].map(|()| connect(at)));
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(1));
    // Three more clients wait in the backlog, and the reactor has no event of them.
    clients.extend([(); 3].map(|()| connect(at)));
    reactor.net().drain(A_DAY);
    assert!(
        !reactor.settle(&mut recorder, now).finished,
        "the drain does not wait for lingering connections"
    );
    let life = [Call::Open, Call::Drain, Call::Close(CloseKind::Drained)];
    (0..5).for_each(|who| assert_eq!(recorder.of(who), life));
    assert!(is_refused(at));
    for mut client in clients {
        assert_eq!(read_out(&mut client), (b"bye".to_vec(), End::Eof));
    }
    host.turn_until(&mut reactor, &mut recorder, now, |_, net| net.stats().open == 0);
    assert_eq!((recorder.notes.len(), reactor.net().stats().drain_resets), (15, 0));
}

#[test]
fn a_drain_reads_from_a_client_in_the_backlog_before_on_drain() {
    for event_came in [false, true] {
        let (mut host, now) = (Host::new(), Instant::now());
        let (mut reactor, at) = host.listening(.., Options::default());
        let mut recorder = Recorder::new(|_, _, _, _| {});
        let mut client = connect(at);
        client.write_all(b"hello").unwrap();
        let event = host.collect(1).remove(0);
        if event_came {
            assert!(reactor.handle(&event));
        }
        reactor.net().drain(A_DAY);
        reactor.settle(&mut recorder, now);
        assert_eq!(
            recorder.of(0)[1],
            Call::Data(b"hello".to_vec()),
            "the listener's event came: {event_came}"
        );
        assert_eq!(recorder.of(0)[2], Call::Drain);
    }
}

#[test]
fn a_drain_delivers_all_bytes_that_were_sent_before() {
    const LEN: usize = 1 << 20;
    // The write budget is small, so nearly all bytes wait in the outbox when the drain begins.
    let recorder = Recorder::new(|net: &mut Net<u32>, id, _, call: &Call| match call {
        Call::Data(_) => _ = net.send_all(id, &pattern(LEN, 3)),
        Call::Drain => net.close(id),
        _ => {}
    });
    let server = Server::start(Options::default().write_budget(4096), recorder);
    let mut client = server.connect();
    client.write_all(b"go").unwrap();
    let mut came = vec![0; 1];
    client.read_exact(&mut came).unwrap();
    server.remote.drain(A_DAY);
    let mut chunk = [0; 1000];
    loop {
        match client.read(&mut chunk).unwrap() {
            0 => break,
            n => came.extend_from_slice(&chunk[..n]),
        }
    }
    assert!(came == pattern(LEN, 3), "{} bytes", came.len());
    drop(client);
    let (recorder, stats) = server.join();
    assert_eq!(recorder.of(0).last(), Some(&Call::Close(CloseKind::Drained)));
    assert_eq!((stats.open, stats.drain_resets, stats.bytes_sent), (0, 0, LEN as u64));
}

#[test]
fn connections_left_at_the_deadline_of_a_drain_are_reset_and_counted() {
    let (mut event_loop, at) = listening(Options::default());
    // The first connection ignores the drain. The other two have more to deliver than their clients read.
    let mut recorder = Recorder::new(|net, id, who, call| match (who, call) {
        (1 | 2, Call::Data(_)) => {
            net.send_all(id, &[0; 8 << 20]);
        }
        (2, Call::Drain) => net.close(id),
        (0, Call::Data(_)) => net.drain(Duration::from_millis(20)),
        _ => {}
    });
    let mut clients = connect_open(&mut event_loop, at, &mut recorder, 3);
    clients[1..].iter_mut().for_each(|client| client.write_all(b"go").unwrap());
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.count(&Call::Data(vec![])) == 2);
    clients[0].write_all(b"go").unwrap();
    turn_until_finished(&mut event_loop, &mut recorder);
    assert_eq!((event_loop.net().stats().open, event_loop.net().stats().drain_resets), (0, 3));
    // The third connection was closed, but the end of the grace came before its bytes were delivered.
    for who in 0..3 {
        assert!(recorder.of(who).ends_with(&[Call::Drain, Call::Close(CloseKind::Aborted)]));
    }
    for client in &mut clients {
        assert_eq!(read_out(client).1, End::of_abort());
    }
}

#[test]
fn a_second_drain_ends_at_once() {
    let (mut event_loop, at) = listening(Options::default());
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let mut clients = connect_open(&mut event_loop, at, &mut recorder, 2);
    event_loop.net().drain(A_DAY);
    assert!(!event_loop.turn(&mut recorder, Some(Duration::ZERO)).unwrap().finished);
    event_loop.net().drain(A_DAY);
    assert!(event_loop.turn(&mut recorder, Some(Duration::ZERO)).unwrap().finished);
    let life = [Call::Open, Call::Drain, Call::Close(CloseKind::Aborted)];
    (0..2).for_each(|who| assert_eq!(recorder.of(who), life));
    clients.iter_mut().for_each(|client| assert_eq!(read_out(client).1, End::of_abort()));
    assert_eq!(event_loop.net().stats().drain_resets, 2);
}

#[test]
fn a_connection_that_is_closing_already_gets_no_on_drain() {
    let (mut event_loop, at) = listening(Options::default());
    let mut recorder = Recorder::new(|net, id, _, call| {
        if let Call::Data(_) = call {
            net.send_all(id, &[0; 8 << 20]);
            net.close(id);
        }
    });
    let mut client = connect(at);
    client.write_all(b"go").unwrap();
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.of(0).len() == 2);
    event_loop.net().drain(A_DAY);
    event_loop.turn(&mut recorder, Some(Duration::ZERO)).unwrap();
    let reader = std::thread::spawn(move || read_out(&mut client).0.len());
    turn_until_finished(&mut event_loop, &mut recorder);
    assert_eq!(reader.join().unwrap(), 8 << 20);
    let life = [Call::Open, Call::Data(b"go".to_vec()), Call::Close(CloseKind::Closed)];
    assert_eq!(recorder.of(0), life, "on_drain came after close()");
}

#[test]
fn a_drain_does_not_count_through_the_backlog_of_a_paused_listener() {
    within(|| {
        let mut event_loop = EventLoop::new(Options::default().accept_budget(1)).unwrap();
        let options = ListenOptions::default().backlog(u32::MAX);
        let listener = event_loop.net().listen_with("127.0.0.1:0", options).unwrap();
        let at = event_loop.net().local_address(listener).unwrap().socket_addrs()[0];
        event_loop.net().pause_listener(listener);
        let _waiting = connect(at);
        event_loop.net().drain(A_DAY);
        event_loop.run(&mut Echo).unwrap();
        assert_eq!(event_loop.net().stats().accepted, 0);
    });
}

#[test]
fn connections_that_open_during_a_drain_get_on_drain_right_after_on_open() {
    const DIALING: u32 = 1;
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap();
    // The accepted and the connecting client stay open as long as their peers, so the drain goes on.
    let mut recorder = Recorder::new(|net, id, who, call| {
        if *call == Call::Eof || (*call == Call::Drain && who > DIALING) {
            net.close(id);
        }
    });
    let client = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    reactor.net().connect(to, DIALING);
    reactor.settle(&mut recorder, now); // The connect begins, and its outcome is not known yet.
    reactor.net().drain(A_DAY);
    reactor.settle(&mut recorder, now);
    assert_eq!((recorder.of(0), recorder.of(DIALING)), (vec![Call::Open, Call::Drain], vec![Call::Drain]));

    let (adopted_client, stream) = connected();
    adopt(reactor.net(), stream, 2);
    reactor.net().connect(to, 3);
    let late = [2, 3];
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| {
        recorder.has_opened(DIALING) && late.iter().all(|who| recorder.has_closed(*who))
    });
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    let life = [Call::Open, Call::Drain, Call::Close(CloseKind::Drained)];
    late.iter().for_each(|who| assert_eq!(recorder.of(*who), life));
    assert_eq!(recorder.of(DIALING), [Call::Drain, Call::Open], "on_drain came again after on_open");
    // Without further connections, the drain ends before its grace is over.
    drop((client, adopted_client, elsewhere));
    host.turn_until(&mut reactor, &mut recorder, now, |_, net| net.stats().open == 0);
    assert_eq!((reactor.net().stats().drain_resets, reactor.next_deadline()), (0, None));
}

#[test]
fn a_connection_that_an_on_drain_connects_gets_on_drain_once() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap();
    let mut recorder = Recorder::new(|net, id, who, call| match call {
        Call::Drain if who == 0 => _ = net.connect(to, 2),
        Call::Eof => net.close(id),
        _ => {}
    });
    let client = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    // A second connection ends and frees its slot, which the connect of `on_drain` then takes.
    let gone = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(1));
    drop(gone);
    host.turn_until(&mut reactor, &mut recorder, now, |_, net| net.stats().open == 1);
    reactor.net().drain(A_DAY);
    reactor.settle(&mut recorder, now);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(2));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    assert_eq!(recorder.of(2), [Call::Open, Call::Drain]);
    drop(client);
}

#[test]
fn the_deadline_of_a_finished_drain_does_not_reset_later_connections() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, _) = host.listening(.., Options::default());
    let mut recorder = Recorder::new(|_, _, _, _| {});
    reactor.net().drain(Duration::from_secs(5));
    assert!(reactor.settle(&mut recorder, now).finished, "a drain without connections ends at once");

    // The host goes on with another listener.
    let listener = reactor.net().listen("127.0.0.1:0").unwrap();
    let at = reactor.net().local_address(listener).unwrap().socket_addrs()[0];
    let _client = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    let turn = reactor.settle(&mut recorder, now + Duration::from_secs(10));
    assert!(!turn.finished && !recorder.has_closed(0), "{:?}", recorder.calls());
    assert_eq!(reactor.timeout(now), None);
}
