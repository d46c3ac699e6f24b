//! Tests of connections that move from one loop to another: no byte is lost, and both loops count them right.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use tidegate::{
    CloseKind, ConnectOptions, Detached, EventLoop, Flow, Net, Options, Reactor, Refused, testing::Rehearsal,
};

use crate::support::{
    Actor, Call, End, Host, PATIENCE, assert_same, connect_narrow, exchange, listening, pair::Pair, pattern,
    read_out, read_to_end, turn_until, turn_until_quiet, within,
};

fn event_loop() -> EventLoop {
    EventLoop::new(Options::default()).unwrap()
}

/// Moves a connection from one loop to another.
fn moved(pair: &Pair, from: &mut EventLoop, to: &mut EventLoop) -> tidegate::ConnId {
    let detached = from.net().detach(pair.id).expect("the connection is there");
    to.net().attach(detached).expect("the other loop has room")
}

#[test]
fn a_connection_that_was_handed_over_is_served_by_the_other_loop_alone() {
    let ([mut old, mut new], [mut left, mut got]) =
        ([event_loop(), event_loop()], [Actor::echo(), Actor::echo()]);
    let mut pair = Pair::adopted_by(old.net(), ());
    turn_until_quiet(&mut old, &mut left);
    let id = moved(&pair, &mut old, &mut new);
    assert!(old.net().conn(pair.id).is_none() && old.net().session(pair.id).is_none());
    assert!(old.net().sessions().next().is_none());
    pair.client.write_all(b"hello").unwrap();
    turn_until(&mut new, &mut got, |actor, _| actor.has_heard(&Call::Data(b"hello".to_vec())));
    assert_eq!(pair.read(5), b"hello");
    turn_until_quiet(&mut old, &mut left);
    assert_eq!((left.take_calls(), got.of_id(id).remove(0)), (vec![Call::Open], Call::Open));
    let (old, new) = (old.net().stats(), new.net().stats());
    assert_eq!((old.open, old.connected, old.detached, old.closed), (0, 1, 1, 0));
    assert_eq!((new.open, new.connected, new.detached, new.closed), (1, 1, 0, 0));
}

#[test]
fn received_bytes_go_along_and_are_shown_without_a_new_byte() {
    let ([mut old, mut new], mut got) = ([event_loop(), event_loop()], Actor::echo());
    let mut left = Actor::idle().with_data(|_, input| input.len().min(4));
    let pair = Pair::adopted_by(old.net(), ());
    pair.send(b"usedkept");
    turn_until(&mut old, &mut left, |actor, _| actor.count(&Call::Data(vec![])) == 2);
    left = Actor::idle().with_data(|_, _| 0);
    pair.send(b"left");
    turn_until(&mut old, &mut left, |actor, _| actor.count(&Call::Data(vec![])) == 1);
    pair.send(b"unread");
    let id = moved(&pair, &mut old, &mut new);
    turn_until(&mut new, &mut got, |_, net| net.stats().bytes_sent == 10);
    assert_eq!(pair.read(10), b"leftunread");
    assert_eq!(got.of_id(id)[..2], [Call::Open, Call::Data(b"left".to_vec())]);
    assert_eq!((old.net().stats().buffered, new.net().stats().buffered), (0, 0));
}

#[test]
fn unsent_bytes_of_each_kind_go_along_in_order_and_before_those_of_the_new_loop() {
    let (mut old, at) = listening(Options::default().max_outbox(64 << 20));
    let mut new = event_loop();
    let (mut left, mut got) = (
        Actor::idle(),
        Actor::with_conn(|conn, call| {
            if *call == Call::Open {
                conn.send_all(b"last");
                conn.close();
            }
        }),
    );
    let mut client = connect_narrow(at);
    turn_until(&mut old, &mut left, |actor, _| actor.has_heard(&Call::Open));
    let id = left.notes[0].id.unwrap();
    let (copied, owned, shared) = (pattern(12 << 20, 1), pattern(1 << 20, 2), pattern(1 << 20, 3));
    let block: Arc<[u8]> = shared.clone().into();
    let path = std::env::temp_dir().join(format!("tidegate-detached-{}", std::process::id()));
    std::fs::write(&path, b"of a file, ").unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    old.net().send_all(id, &copied);
    old.net().send_owned(id, owned.clone());
    old.net().send_shared(id, &block);
    old.net().send_file(id, file, 0..11);
    turn_until_quiet(&mut old, &mut left);
    let unsent = old.net().queued(id);
    assert!(unsent > 2 << 20, "the client does not read");
    let detached = old.net().detach(id).unwrap();
    assert_eq!((detached.unsent_len(), detached.unsent().flatten().count()), (unsent, unsent - 11));
    assert_eq!(old.net().stats().buffered, 0);
    new.net().attach(detached).unwrap();
    old.turn(&mut left, Some(Duration::ZERO)).unwrap();
    new.turn(&mut got, Some(Duration::ZERO)).unwrap();
    assert_eq!(old.net().stats().shared, 0, "the other loop counts the shared bytes");
    let reader = std::thread::spawn(move || read_to_end(&mut client));
    turn_until(&mut new, &mut got, |actor, _| !actor.ended.is_empty());
    turn_until(&mut new, &mut got, |_, net| net.stats().open == 0);
    assert_eq!((got.ends(), got.ended[0].undelivered), (vec![CloseKind::Closed], false));
    let expected = [&copied[..], &owned, &shared, b"of a file, last"].concat();
    assert_same(&reader.join().unwrap(), &expected);
    let stats = new.net().stats();
    assert_eq!((stats.buffered, stats.shared, Arc::strong_count(&block)), (0, 0, 1));
}

#[test]
fn a_pause_of_the_old_handler_ends_and_backpressure_goes_on() {
    let (mut old, at) = listening(Options::default());
    let (mut new, mut left, mut got) = (event_loop(), Actor::idle(), Actor::idle());
    let mut client = connect_narrow(at);
    turn_until(&mut old, &mut left, |actor, _| actor.has_heard(&Call::Open));
    let id = left.notes[0].id.unwrap();
    assert_eq!(old.net().send_all(id, &pattern(12 << 20, 1)), Flow::Full);
    turn_until_quiet(&mut old, &mut left);
    old.net().pause_reading(id);
    let detached = old.net().detach(id).unwrap();
    let id = new.net().attach(detached).unwrap();
    client.write_all(b"waits").unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = vec![0; 12 << 20];
        client.read_exact(&mut all).unwrap();
        all
    });
    turn_until(&mut new, &mut got, |actor, _| actor.has_heard(&Call::Data(b"waits".to_vec())));
    assert_eq!(got.of_id(id), [Call::Open, Call::Writable, Call::Data(b"waits".to_vec())]);
    turn_until(&mut new, &mut got, |_, net| net.queued(id) == 0);
    assert_same(&reader.join().unwrap(), &pattern(12 << 20, 1));
}

#[test]
fn an_end_of_file_that_the_old_handler_has_seen_comes_again() {
    let ([mut old, mut new], mut got) = ([event_loop(), event_loop()], Actor::by_default());
    let mut left = Actor::idle().with_data(|_, _| 0);
    let pair = Pair::adopted_by(old.net(), ());
    pair.send(b"kept");
    pair.client.shutdown(Shutdown::Write).unwrap();
    turn_until(&mut old, &mut left, |actor, _| actor.has_heard(&Call::Eof));
    let id = moved(&pair, &mut old, &mut new);
    turn_until(&mut new, &mut got, |actor, _| !actor.ended.is_empty());
    let expected = [Call::Open, Call::Data(b"kept".to_vec()), Call::Eof, Call::Close(CloseKind::Eof)];
    assert_eq!(got.of_id(id), expected);
}

#[test]
fn a_half_that_was_shut_down_stays_shut_down() {
    let ([mut old, mut new], [mut left, mut got]) =
        ([event_loop(), event_loop()], [Actor::idle(), Actor::by_default()]);
    let pair = Pair::adopted_by(old.net(), ());
    old.net().send_all(pair.id, b"all");
    old.net().shutdown_write(pair.id);
    turn_until_quiet(&mut old, &mut left);
    let id = moved(&pair, &mut old, &mut new);
    assert_eq!(new.net().send_all(id, b"more"), Flow::Gone);
    assert_eq!(read_to_end(&mut pair.client.try_clone().unwrap()), b"all");
    drop(pair);
    turn_until(&mut new, &mut got, |actor, _| !actor.ended.is_empty());
    assert_eq!(got.ends(), [CloseKind::Eof]);
}

#[test]
fn a_connection_that_is_ending_ends_in_the_other_loop() {
    type Act = fn(&mut Net, tidegate::ConnId);
    let ends: [(Act, CloseKind, bool); 3] = [
        (|net, id| net.close(id), CloseKind::Closed, true),
        (|net, id| net.abort(id), CloseKind::Aborted, true),
        (|net, id| net.set_deadline(id, net.now()), CloseKind::Closed, true),
    ];
    for (act, kind, was_open) in ends {
        let ([mut old, mut new], mut left) = ([event_loop(), event_loop()], Actor::idle());
        let pair = Pair::adopted_by(old.net(), ());
        turn_until_quiet(&mut old, &mut left);
        act(old.net(), pair.id);
        let id = moved(&pair, &mut old, &mut new);
        let (told, opened) = mpsc::channel();
        let mut got = Actor::with_conn(|conn, call| {
            if *call == Call::Open {
                conn.close(); // the deadline stayed behind
            }
        })
        .with_net(move |net, _| told.send(net.was_open()).unwrap());
        turn_until(&mut new, &mut got, |actor, _| !actor.ended.is_empty());
        assert_eq!((got.of_id(id).pop(), opened.recv().unwrap()), (Some(Call::Close(kind)), was_open));
        turn_until_quiet(&mut old, &mut left);
        assert_eq!(left.take_calls(), [Call::Open]);
    }
}

#[test]
fn timers_end_with_the_hand_over() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), Actor::idle());
    let (client, second) = (rehearsal.accept(&mut actor).unwrap(), Duration::from_secs(1));
    let now = rehearsal.net().now();
    rehearsal.net().set_deadline(client, now + second);
    rehearsal.net().set_timeout(client, now + second, 1);
    rehearsal.net().set_idle_timeout(client, second);
    rehearsal.net().close_when_idle(client, second);
    rehearsal.settle(&mut actor);
    let detached = rehearsal.net().detach(client).unwrap();
    let id = rehearsal.net().attach(detached).unwrap();
    rehearsal.settle(&mut actor);
    rehearsal.advance(&mut actor, 10 * second);
    assert_eq!((actor.of_id(id), actor.of_id(client)), (vec![Call::Open], vec![Call::Open]));
}

#[test]
fn a_connect_that_is_under_way_goes_on_in_the_other_loop_with_its_limits() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (to, begun) in
        [(listener.local_addr().unwrap(), true), (listener.local_addr().unwrap(), false), (nobody, true)]
    {
        let ([mut old, mut new], [mut left, mut got]) =
            ([event_loop(), event_loop()], [Actor::idle(), Actor::idle()]);
        let options = ConnectOptions::default().high_water(Some(10)).timeout(Some(PATIENCE));
        let id = old.net().connect_with(to, (), options);
        if begun {
            old.turn(&mut left, Some(Duration::ZERO)).unwrap();
        }
        if left.notes.is_empty() {
            let id = {
                let detached = old.net().detach(id).unwrap();
                assert!(detached.peer().is_err() || begun);
                let detached = detached.into_parts().expect_err("there is no stream that is open");
                new.net().attach(detached).unwrap()
            };
            assert_eq!(new.net().send_all(id, &[b'.'; 10]), Flow::Full);
            turn_until(&mut new, &mut got, |actor, _| !actor.notes.is_empty());
            let expected = if to == nobody { Call::Close(CloseKind::ConnectFailed) } else { Call::Open };
            assert_eq!(got.of_id(id)[0], expected);
        }
        turn_until_quiet(&mut old, &mut left);
        assert_eq!(old.next_deadline(), None, "the timer of the connect went along");
    }
}

#[test]
fn limits_that_are_not_the_connections_own_are_those_of_the_other_loop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut old: EventLoop = EventLoop::new(Options::default().max_outbox(1000)).unwrap();
    let mut new: EventLoop = EventLoop::new(Options::default().max_outbox(10_000)).unwrap();
    let options = ConnectOptions::default().high_water(Some(10));
    let id = old.net().connect_with(listener.local_addr().unwrap(), (), options);
    let detached = old.net().detach(id).unwrap();
    let id = new.net().attach(detached).unwrap();
    assert_eq!(new.net().send_all(id, &[b'.'; 10_000]), Flow::Full);
    assert_eq!(new.net().send_all(id, b"."), Flow::Gone);
}

#[test]
fn a_loop_in_another_thread_serves_a_connection_that_it_is_sent() {
    let (mut acceptor, at) = listening(Options::default());
    let (sender, newcomers) = mpsc::channel::<Detached>();
    let mut worker = event_loop();
    let remote = worker.remote();
    let serving = std::thread::spawn(move || {
        let mut echo = Actor::echo().with_net(move |net, call| {
            if *call == Call::Wake {
                newcomers.try_iter().for_each(|newcomer| _ = net.attach(newcomer).unwrap());
            }
        });
        worker.run(&mut echo).unwrap();
        (echo.ends(), worker.net().stats().bytes_sent)
    });
    let wake = remote.clone();
    let mut actor = Actor::with_conn(move |conn, call| {
        if *call == Call::Open {
            conn.send_all(b"welcome, ");
            sender.send(conn.detach()).unwrap();
            wake.wake();
        }
    });
    let clients = std::thread::spawn(move || {
        for _ in 0..20 {
            let mut client = crate::support::connect(at);
            client.write_all(b"hello").unwrap();
            let mut answer = [0; 14];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"welcome, hello");
            assert_eq!(exchange(&mut client, b"again"), b"again");
        }
    });
    turn_until(&mut acceptor, &mut actor, |_, net| net.stats().detached == 20);
    turn_until_quiet(&mut acceptor, &mut actor);
    let stats = acceptor.net().stats();
    assert_eq!((stats.accepted, stats.open, stats.closed), (20, 0, 0));
    clients.join().unwrap();
    remote.drain(PATIENCE);
    let (ends, _) = within(move || serving.join().unwrap());
    assert_eq!(ends.len(), 20);
}

#[test]
fn a_loop_without_a_token_gives_the_connection_back() {
    let (host, mut actor) = (Host::new(), Actor::echo());
    let mut full: Reactor = Reactor::new(host.poll.registry(), 0..1, Options::default()).unwrap();
    full.net().listen("127.0.0.1:0").unwrap();
    let mut old = event_loop();
    let mut pair = Pair::adopted_by(old.net(), ());
    turn_until_quiet(&mut old, &mut actor);
    let detached = old.net().detach(pair.id).unwrap();
    let Err(Refused { back, .. }) = full.net().attach(detached) else { panic!("there is no token") };
    old.net().attach(back).unwrap();
    pair.client.write_all(b"hello").unwrap();
    turn_until(&mut old, &mut actor, |_, net| net.stats().bytes_sent == 5);
    assert_eq!(pair.read(5), b"hello");
}

#[test]
fn a_drain_is_over_when_its_last_connection_was_detached_between_turns() {
    let (mut old, mut actor) = (event_loop(), Actor::idle());
    let pair = Pair::adopted_by(old.net(), ());
    turn_until_quiet(&mut old, &mut actor);
    old.net().drain(PATIENCE);
    assert!(!old.turn(&mut actor, Some(Duration::ZERO)).unwrap().finished);
    let detached = old.net().detach(pair.id).unwrap();
    let before = Instant::now();
    assert!(old.turn(&mut actor, None).unwrap().finished);
    assert!(before.elapsed() < PATIENCE / 2, "the loop has slept until the end of the grace");
    drop(detached);
}

#[test]
fn a_detached_connection_that_is_dropped_closes_its_socket_without_callbacks() {
    for (unsent, end) in [(0, End::Eof), (12 << 20, End::Reset)] {
        let (mut old, at) = listening(Options::default());
        let mut actor = Actor::idle();
        let mut client = connect_narrow(at);
        turn_until(&mut old, &mut actor, |actor, _| actor.has_heard(&Call::Open));
        let id = actor.notes[0].id.unwrap();
        old.net().send_all(id, &pattern(unsent, 1));
        turn_until_quiet(&mut old, &mut actor);
        drop(old.net().detach(id).unwrap());
        assert!(old.net().detach(id).is_none());
        turn_until_quiet(&mut old, &mut actor);
        assert_eq!(actor.take_calls(), [Call::Open]);
        assert_eq!(read_out(&mut client).1, end, "{unsent} bytes were unsent");
    }
}

/// The peer resets the connection, and the old handler notices at a send. The bytes before the reset are left.
#[test]
fn the_last_words_of_a_peer_are_delivered_by_the_other_loop() {
    let ([mut old, mut new], [mut left, mut got]) =
        ([event_loop(), event_loop()], [Actor::idle(), Actor::idle()]);
    let pair = Pair::adopted_by(old.net(), ());
    turn_until_quiet(&mut old, &mut left);
    old.net().pause_reading(pair.id);
    pair.send(b"last words");
    let id = pair.id;
    let _twin = pair.reset();
    old.net().send_all(id, &pattern(100_000, 1));
    let detached = old.net().detach(id).unwrap();
    let id = new.net().attach(detached).unwrap();
    turn_until(&mut new, &mut got, |actor, _| !actor.ended.is_empty());
    let expected = [Call::Open, Call::Data(b"last words".to_vec()), Call::Close(CloseKind::Reset)];
    assert_eq!(got.of_id(id), expected);
    assert!(got.ended[0].undelivered);
}
