//! Tests of `stop`, `drain` and `wake` from a callback and from other threads.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use tidegate::{EventLoop, Options};

use crate::support::{
    self, Actor, Call, Echo, End, PATIENCE, Recorder, Server, connect, exchange, listening, read_out,
    script::Script, turn_until, turn_until_quiet, within,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn stop_returns_from_run_and_keeps_connections_and_listeners() {
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
            assert_eq!((event_loop.net().stats().open, recorder.notes.len()), (1, 1 + round));
            first.read_exact(&mut [0; 5]).unwrap();
        }
        // A client that connects while the loop is stopped is served afterwards, by the same listener.
        let mut second = connect(at);
        second.write_all(b"hello").unwrap();
        event_loop.run(&mut recorder).unwrap();
        second.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(event_loop.net().stats().open, 2);
    });
}

#[test]
fn another_thread_can_stop_and_drain_a_loop_that_sleeps() {
    let server = Server::start(Options::default(), Echo);
    let _client = server.connect();
    let (_, stats) = server.stop();
    assert_eq!(stats.closed, 0);

    let server = Server::start(Options::default(), Echo);
    let mut client = server.connect();
    assert_eq!(exchange(&mut client, b"hello"), b"hello");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_out(&mut client).1, End::Eof);
    assert_eq!(server.drain(A_DAY).1.drain_resets, 0);

    // The second drain does not wait for the client that stays connected.
    let server = Server::start(Options::default(), support::echo());
    let mut client = server.connect();
    assert_eq!(exchange(&mut client, b"hello"), b"hello"); // A second drain would not accept a client in the backlog.
    let remote = server.remote.clone();
    remote.drain(A_DAY);
    let (recorder, stats) = server.drain(A_DAY);
    assert_eq!((stats.drain_resets, recorder.has_closed(0)), (1, true));
    assert_eq!(read_out(&mut client).1, End::of_abort());

    // A `Remote` may outlive its loop.
    remote.wake();
    remote.stop();
    remote.drain(A_DAY);
    remote.clone().wake();
}

#[test]
fn many_wakes_before_a_turn_cause_one_on_wake() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let remote = event_loop.remote();
    for round in 1..=3 {
        (0..1000).for_each(|_| remote.wake());
        assert!(event_loop.next_deadline().is_some_and(|due| due <= Instant::now()));
        event_loop.turn(&mut recorder, Some(PATIENCE)).unwrap();
        assert_eq!(recorder.count(&Call::Wake), round);
        let turn = event_loop.turn(&mut recorder, Some(Duration::ZERO)).unwrap();
        assert_eq!((turn.events, turn.more, recorder.count(&Call::Wake)), (0, false, round));
    }
}

#[test]
fn a_wake_makes_no_source_ready() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let mut recorder = Recorder::new(|_, _, _, _| {});
    event_loop.net().connect(listener.local_addr().unwrap(), 0); // the first source of the loop
    turn_until(&mut event_loop, &mut recorder, |_, net| net.stats().connected == 1);
    turn_until_quiet(&mut event_loop, &mut recorder);
    let before = event_loop.net().stats().would_blocks;
    event_loop.remote().wake();
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.count(&Call::Wake) == 1);
    turn_until_quiet(&mut event_loop, &mut recorder);
    assert_eq!(event_loop.net().stats().would_blocks, before, "a source was read");
}

#[test]
fn a_wake_during_on_wake_causes_another_on_wake() {
    within(|| {
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        let (remote, mut wakes) = (event_loop.remote(), 0);
        remote.wake();
        let mut actor = Actor::idle().with_net(|net, call| {
            assert_eq!(*call, Call::Wake);
            wakes += 1;
            if wakes < 10 { remote.wake() } else { net.stop() }
        });
        event_loop.run(&mut actor).unwrap();
        drop(actor);
        assert_eq!(wakes, 10);
    });
}

#[test]
fn no_wake_of_many_threads_is_lost() {
    const ROUNDS: u64 = 500;
    let asked: Arc<[AtomicU64; 8]> = Arc::default();
    let (answers, receivers): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::channel()).unzip();
    let shared = Arc::clone(&asked);
    let mut answered = [0; 8];
    let script = Script::default().on_wake(move |_| {
        for (n, asked) in shared.iter().enumerate() {
            let asked = asked.load(Ordering::Acquire);
            if asked > answered[n] {
                answered[n] = asked;
                answers[n].send(asked).unwrap();
            }
        }
    });
    let server = Server::start(Options::default(), script);
    std::thread::scope(|scope| {
        for (n, receiver) in receivers.into_iter().enumerate() {
            let (remote, asked) = (server.remote.clone(), &asked[n]);
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    asked.store(round, Ordering::Release);
                    remote.wake();
                    // If the wake is lost, no other wake makes the loop look at this request.
                    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(round));
                }
            });
        }
    });
    server.stop();
}

#[test]
fn a_stop_that_comes_while_a_wake_is_handled_is_not_lost() {
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
        // The stop comes a little later in each round, and in some rounds while the loop handles the wake. No further
        // request wakes the loop.
        remote.wake();
        (0..round % 1000).for_each(|_| std::hint::spin_loop());
        remote.stop();
        assert_eq!(returns.recv_timeout(PATIENCE), Ok(round));
    }
    looping.join().unwrap();
}
