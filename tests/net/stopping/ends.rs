//! How a loop ends, in good order, at once, or for a while; and who may say so from elsewhere.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use tidegate::{Accepted, CloseKind, Conn, EventLoop, Handler, ListenOptions, Net, Options};

use crate::support::{
    self, Call, Echo, End, Host, PATIENCE, Recorder, Server, connect, connect_open, exchange, listening,
    pair::connected, pattern, read_out, turn_until, within,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Turns until the loop says that it has ended.
fn turn_until_finished(event_loop: &mut EventLoop<u32>, recorder: &mut impl Handler<Session = u32>) {
    let end = Instant::now() + PATIENCE;
    while !event_loop.turn(recorder, Some(end - Instant::now())).unwrap().finished {
        assert!(Instant::now() < end, "it does not end; {:?}", event_loop.net().stats());
    }
}

#[test]
fn a_drain_serves_whoever_had_connected_and_nobody_else() {
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
    // Three more stand in the backlog, and nobody has told the reactor.
    clients.extend([(); 3].map(|()| connect(at)));
    reactor.net().drain(A_DAY);
    assert!(!reactor.settle(&mut recorder, now).finished, "they linger");
    let life = [Call::Open, Call::Drain, Call::Close(CloseKind::Drained)];
    (0..5).for_each(|who| assert_eq!(recorder.of(who), life));
    assert_eq!(TcpStream::connect(at).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    for mut client in clients {
        assert_eq!(read_out(&mut client), (b"bye".to_vec(), End::Eof));
    }
    host.turn_until(&mut reactor, &mut recorder, now, |_, net| net.stats().open == 0);
    assert_eq!((recorder.calls.len(), reactor.net().stats().drain_resets), (15, 0));
}

#[test]
fn a_drain_hears_a_client_whether_or_not_its_event_came_first() {
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
fn a_drain_delivers_whole_what_was_sent_before() {
    const LEN: usize = 1 << 20;
    // The kernel is given little at a time, so nearly all of it waits in the outbox when the drain comes.
    let server = Server::start(Options::default().write_budget(4096), || {
        Recorder::new(|net: &mut Net<u32>, id, _, call: &Call| match call {
            Call::Data(_) => {
                net.send_all(id, &pattern(LEN, 3));
            }
            Call::Drain => net.close(id),
            _ => {}
        })
    });
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
fn what_a_drain_leaves_at_its_deadline_is_reset_and_counted() {
    let (mut event_loop, at) = listening(Options::default());
    // One does not care about the drain, the other two have more to deliver than anyone reads.
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
    // The close of the third one is an intention that the end of the grace did not let it carry out.
    for who in 0..3 {
        assert!(recorder.of(who).ends_with(&[Call::Drain, Call::Close(CloseKind::Aborted)]));
    }
    for client in &mut clients {
        assert_eq!(read_out(client).1, End::Reset);
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
    clients.iter_mut().for_each(|client| assert_eq!(read_out(client).1, End::Reset));
    assert_eq!(event_loop.net().stats().drain_resets, 2);
}

#[test]
fn a_connection_that_is_closing_already_is_not_asked_to_drain() {
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
    assert_eq!(recorder.of(0), life, "close() was the mark");
}

#[test]
fn a_drain_does_not_walk_a_backlog_that_nobody_accepts_from() {
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
fn who_comes_after_a_drain_began_is_asked_to_finish_right_after_on_open() {
    const DIALING: u32 = 1;
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap().into();
    // The client and who dials stay for as long as their peers do, so the drain takes a while.
    let mut recorder = Recorder::new(|net, id, who, call| {
        if *call == Call::Eof || (*call == Call::Drain && who > DIALING) {
            net.close(id);
        }
    });
    let client = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    reactor.net().connect(&to, DIALING);
    reactor.settle(&mut recorder, now); // the connect begins, and nobody has been told what became of it
    reactor.net().drain(A_DAY);
    reactor.settle(&mut recorder, now);
    assert_eq!((recorder.of(0), recorder.of(DIALING)), (vec![Call::Open, Call::Drain], vec![Call::Drain]));

    let (adopted_client, stream) = connected();
    reactor.net().adopt_stream(stream, 2).unwrap();
    reactor.net().connect(&to, 3);
    let late = [2, 3];
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| {
        recorder.has_opened(DIALING) && late.iter().all(|who| recorder.has_closed(*who))
    });
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    let life = [Call::Open, Call::Drain, Call::Close(CloseKind::Drained)];
    late.iter().for_each(|who| assert_eq!(recorder.of(*who), life));
    assert_eq!(recorder.of(DIALING), [Call::Drain, Call::Open], "once is enough");
    // Nobody else holds the drain up, and it ends when none of its grace has passed.
    drop((client, adopted_client, elsewhere));
    host.turn_until(&mut reactor, &mut recorder, now, |_, net| net.stats().open == 0);
    assert_eq!((reactor.net().stats().drain_resets, reactor.next_deadline()), (0, None));
}

#[test]
fn who_is_connected_by_an_on_drain_is_asked_to_finish_once() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap().into();
    let mut recorder = Recorder::new(|net, id, who, call| match call {
        Call::Drain if who == 0 => _ = net.connect(&to, 2),
        Call::Eof => net.close(id),
        _ => {}
    });
    let client = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    // Behind the first one, another leaves its place to whom that one connects.
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
fn the_deadline_of_a_drain_that_has_ended_concerns_nobody() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, _) = host.listening(.., Options::default());
    let mut recorder = Recorder::new(|_, _, _, _| {});
    reactor.net().drain(Duration::from_secs(5));
    assert!(reactor.settle(&mut recorder, now).finished, "there is nobody");

    // The host goes on with another listener.
    let listener = reactor.net().listen("127.0.0.1:0").unwrap();
    let at = reactor.net().local_address(listener).unwrap().socket_addrs()[0];
    let _client = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    let turn = reactor.settle(&mut recorder, now + Duration::from_secs(10));
    assert!(!turn.finished && !recorder.has_closed(0), "{:?}", recorder.calls);
    assert_eq!(reactor.timeout(now), None);
}

#[test]
fn stop_returns_from_run_and_leaves_everything_in_place() {
    within(|| {
        let (mut event_loop, at) = listening(Options::default());
        let mut recorder = Recorder::new(|net, id, _, call| {
            if let Call::Data(bytes) = call {
                net.send_all(id, bytes);
                net.stop();
            }
        });
        let mut first = connect(at);
        for round in 1..=3 {
            first.write_all(b"hello").unwrap();
            event_loop.run(&mut recorder).unwrap();
            assert_eq!((event_loop.net().stats().open, recorder.calls.len()), (1, 1 + round));
            first.read_exact(&mut [0; 5]).unwrap();
        }
        // Who came while it stood still is served like anyone else, by the same listener.
        let mut second = connect(at);
        second.write_all(b"hello").unwrap();
        event_loop.run(&mut recorder).unwrap();
        second.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(event_loop.net().stats().open, 2);
    });
}

#[test]
fn another_thread_can_stop_and_drain_a_loop_that_sleeps() {
    let server = Server::start(Options::default(), Echo::default);
    let _client = server.connect();
    let (_, stats) = server.stop();
    assert_eq!(stats.closed, 0);

    let server = Server::start(Options::default(), Echo::default);
    let mut client = server.connect();
    assert_eq!(exchange(&mut client, b"hello"), b"hello");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_out(&mut client).1, End::Eof);
    assert_eq!(server.drain(A_DAY).1.drain_resets, 0);

    // Twice: nobody waits for the one who stays.
    let server = Server::start(Options::default(), support::echo);
    let mut client = server.connect();
    assert_eq!(exchange(&mut client, b"hello"), b"hello"); // in the backlog, it would not be accepted any more
    let remote = server.remote.clone();
    remote.drain(A_DAY);
    let (recorder, stats) = server.drain(A_DAY);
    assert_eq!((stats.drain_resets, recorder.has_closed(0)), (1, true));
    assert_eq!(read_out(&mut client).1, End::Reset);

    // They may outlive the loop.
    remote.wake();
    remote.stop();
    remote.drain(A_DAY);
    remote.clone().wake();
}

#[test]
fn many_wakes_before_a_turn_are_one_call() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let remote = event_loop.remote();
    for round in 1..=3 {
        (0..1000).for_each(|_| remote.wake());
        assert!(event_loop.next_deadline().is_some_and(|due| due <= Instant::now()));
        event_loop.turn(&mut recorder, Some(PATIENCE)).unwrap();
        assert_eq!(recorder.wakes, round);
        let turn = event_loop.turn(&mut recorder, Some(Duration::ZERO)).unwrap();
        assert_eq!((turn.events, turn.more, recorder.wakes), (0, false, round));
    }
}

/// Serves nobody; for its `on_wake` only.
struct OnWake<F>(F);

impl<F: FnMut(&mut Net)> Handler for OnWake<F> {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        None
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, _input: &[u8]) -> usize {
        0
    }

    fn on_wake(&mut self, net: &mut Net) {
        self.0(net);
    }
}

#[test]
fn a_wake_during_on_wake_is_another_one() {
    within(|| {
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        let (remote, mut wakes) = (event_loop.remote(), 0);
        remote.wake();
        let mut handler = OnWake(|net: &mut Net| {
            wakes += 1;
            if wakes < 10 { remote.wake() } else { net.stop() }
        });
        event_loop.run(&mut handler).unwrap();
        assert_eq!(wakes, 10);
    });
}

#[test]
fn no_wake_of_many_threads_is_lost() {
    const ROUNDS: u64 = 500;
    let asked: Arc<[AtomicU64; 8]> = Arc::default();
    let (answers, receivers): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::channel()).unzip();
    let shared = Arc::clone(&asked);
    let server = Server::start(Options::default(), move || {
        let mut answered = [0; 8];
        OnWake(move |_: &mut Net| {
            for (n, asked) in shared.iter().enumerate() {
                let asked = asked.load(Ordering::Acquire);
                if asked > answered[n] {
                    answered[n] = asked;
                    answers[n].send(asked).unwrap();
                }
            }
        })
    });
    std::thread::scope(|scope| {
        for (n, receiver) in receivers.into_iter().enumerate() {
            let (remote, asked) = (server.remote.clone(), &asked[n]);
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    asked.store(round, Ordering::Release);
                    remote.wake();
                    // A wake that is lost leaves this one waiting: nobody else asks for it.
                    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(round));
                }
            });
        }
    });
    server.stop();
}

#[test]
fn a_stop_that_comes_while_a_wake_is_noticed_is_not_lost() {
    const ROUNDS: u64 = 10_000;
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (remote, (returned, returns)) = (event_loop.remote(), mpsc::channel());
    let looping = std::thread::spawn(move || {
        let mut recorder = Recorder::new(|_, _, _, _| {});
        for round in 0..ROUNDS {
            event_loop.run(&mut recorder).unwrap();
            returned.send(round).unwrap();
        }
    });
    for round in 0..ROUNDS {
        // The stop comes a little later each time, some of them while the loop takes note of the wake. Nobody asks again.
        remote.wake();
        (0..round % 1000).for_each(|_| std::hint::spin_loop());
        remote.stop();
        assert_eq!(returns.recv_timeout(PATIENCE), Ok(round));
    }
    looping.join().unwrap();
}
