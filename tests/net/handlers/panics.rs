//! Tests of a callback that panics while the host catches the panic. The connection of that callback is aborted before the
//! host or a turn can use the connection, and everything else goes on.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use tidegate::{CloseKind, Flow, Options, Remote};

use crate::support::{
    Call, End, Host, PATIENCE, connect, is_refused,
    panicky::{Panicky, Place, World, panics},
    read_out,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Causes a callback of the first client. The next turn makes the callback.
fn provoke(world: &mut World, on: &Call) {
    let id = world.id(0);
    match on {
        Call::Data(bytes) => world.clients[0].write_all(bytes).unwrap(),
        Call::Eof => world.clients[0].shutdown(Shutdown::Write).unwrap(),
        Call::Writable => world.reactor.net().conn(id).unwrap().notify_writable(),
        Call::Timeout(tag) => {
            let now = world.now;
            world.reactor.net().conn(id).unwrap().set_timeout(now, *tag);
        }
        Call::Drain => world.reactor.net().drain(A_DAY),
        other => panic!("`provoke` cannot cause {other:?}"),
    }
    if let Call::Data(_) | Call::Eof = on {
        world.collect(1);
    }
}

fn first() -> Call {
    Call::Data(b"first".to_vec())
}

fn hello() -> Call {
    Call::Data(b"hello".to_vec())
}

#[test]
fn the_connection_of_a_callback_that_panicked_is_aborted_in_the_next_turn() {
    for on in [first(), Call::Eof, Call::Writable, Call::Timeout(1), Call::Drain] {
        let mut world = World::new(Panicky::at(0, on.clone()), 3);
        world.handler.act.send = b"half an answer";
        provoke(&mut world, &on);
        // Two other clients have input in the same turn, behind the first client.
        world.clients[1..].iter_mut().for_each(|client| client.write_all(b"hello").unwrap());
        world.collect(2);
        assert_eq!(world.settle(), Err(()), "{on:?}");
        assert_eq!(world.handler.of(0).last(), Some(&on));
        assert!(
            world.reactor.timeout(world.now).is_some_and(|wait| wait.is_zero()),
            "{on:?}: the next turn is due"
        );
        assert!(world.settle().is_ok());
        assert_eq!(world.handler.of(0)[1..], [on.clone(), Call::Close(CloseKind::Aborted)], "{on:?}");
        assert_eq!(read_out(&mut world.clients[0]).1, End::of_abort(), "{on:?}");

        world.turn_until(|handler, _| (1..3).all(|who| handler.of(who).contains(&hello())));
        world.turn_until_quiet();
        for who in 1..3 {
            let client = &mut world.clients[who];
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_next(client, 19), b"half an answerhello", "{on:?}");
        }
        world.turn_until(|_, net| net.stats().open == 0);
        for who in 1..3 {
            assert_eq!(read_out(&mut world.clients[who as usize]), (vec![], End::Eof), "{on:?}");
            let end = if on == Call::Drain { CloseKind::Drained } else { CloseKind::Eof };
            assert_eq!(world.handler.of(who).last(), Some(&Call::Close(end)), "{on:?}");
        }
        assert_eq!(world.reactor.net().stats().buffered, 0, "{on:?}");
        if on != Call::Drain {
            world.assert_serves();
        }
    }
}

fn read_next(client: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn no_bytes_of_the_host_follow_the_bytes_of_a_callback_that_panicked() {
    let mut world = World::new(Panicky::at(0, first()), 1);
    world.handler.act.send = b"half an answer";
    provoke(&mut world, &first());
    assert_eq!(world.settle(), Err(()));
    let id = world.id(0);
    assert_eq!(world.reactor.net().send_all(id, b", the rest"), Flow::Gone);
    world.reactor.flush();
    assert!(world.settle().is_ok());
    assert_eq!(world.handler.of(0)[1..], [first(), Call::Close(CloseKind::Aborted)]);
    assert_eq!(read_out(&mut world.clients[0]), (vec![], End::of_abort()));
}

#[test]
fn a_listener_goes_on_after_a_panic_in_on_accept_or_on_open() {
    for on in [Place::Accept(1), Place::Call(Some(1), Call::Open)] {
        let mut world = World::new(Panicky::in_place(on.clone()), 0);
        let mut clients = [(); 4].map(|()| connect(world.at));
        world.collect(1);
        assert_eq!(world.settle(), Err(()), "{on:?}");
        // No further event reports the clients that wait.
        while world.reactor.timeout(world.now) == Some(Duration::ZERO) {
            assert!(world.settle().is_ok(), "{on:?}");
        }
        for who in [0, 2, 3] {
            assert_eq!(world.handler.of(who), [Call::Open], "{on:?}");
        }
        assert_eq!(world.handler.clients, 4, "{on:?}: each client has one on_accept");
        // A client without a session has no on_close, and a client with a session has one.
        let in_accept = on == Place::Accept(1);
        let second = if in_accept { vec![] } else { vec![Call::Open, Call::Close(CloseKind::Aborted)] };
        assert_eq!(world.handler.of(1), second);
        let end = read_out(&mut clients[1]);
        assert!(in_accept || end == (vec![], End::of_abort()), "{end:?}");
        assert_eq!(world.reactor.net().stats().open, 3, "{on:?}");
        world.assert_serves();
    }
}

#[test]
fn a_panic_in_on_accept_costs_no_token() {
    // The tokens are enough for the listener and two connections.
    let mut world = World::with_tokens(1..4, Panicky::in_place(Place::Accept(0)), 0);
    for who in 0..10 {
        world.handler.act.at = Some(Place::Accept(who));
        let mut client = connect(world.at);
        world.collect(1);
        assert_eq!(world.settle(), Err(()), "client {who}");
        world.turn_until_quiet();
        read_out(&mut client); // The connection of the client has ended.
    }
    assert_eq!(world.reactor.net().stats().open, 0);
    let _clients = [(); 2].map(|()| connect(world.at));
    world.turn_until(|_, net| net.stats().open == 2);
}

#[test]
fn after_a_panic_in_on_close_every_other_session_still_gets_its_on_close() {
    let ends: [fn(&mut World); 2] = [
        |world| world.reactor.net().for_each(|conn| conn.abort()),
        |world| {
            world.reactor.net().drain(A_DAY);
            world.reactor.net().drain(A_DAY);
        },
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let mut world = World::new(Panicky::at(1, Call::Close(CloseKind::Aborted)), 4);
        end(&mut world);
        assert_eq!(world.settle(), Err(()));
        let finished = world.settle();
        for who in 0..4 {
            assert_eq!(world.handler.of(who), [Call::Open, Call::Close(CloseKind::Aborted)]);
        }
        for client in &mut world.clients {
            assert_eq!(read_out(client), (vec![], End::of_abort()));
        }
        assert_eq!(world.reactor.net().stats().open, 0);
        assert_eq!(finished, Ok(n == 1), "a drain ends with its last on_close");
        if n == 0 {
            world.assert_serves();
        }
    }
}

#[test]
fn after_a_panic_in_on_close_sessions_without_a_token_still_get_their_on_close() {
    let (host, now) = (Host::new(), Instant::now());
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap();
    let (mut reactor, _) = host.listening(1..2, Options::default());
    let mut handler = Panicky::at(1, Call::Close(CloseKind::ConnectFailed));
    (0..4).for_each(|who| _ = reactor.net().connect(to, who));
    assert!(panics(|| _ = reactor.settle(&mut handler, now)));
    assert!(reactor.timeout(now).is_some_and(|wait| wait.is_zero()), "two sessions are owed their on_close");
    reactor.settle(&mut handler, now);
    for who in 0..4 {
        assert_eq!(handler.of(who), [Call::Close(CloseKind::ConnectFailed)]);
    }
}

#[test]
fn a_drain_goes_on_after_a_panic_in_on_drain() {
    for first in 0..3 {
        let mut world = World::new(Panicky::at(first, Call::Drain), 3);
        world.reactor.net().drain(A_DAY);
        assert_eq!(world.settle(), Err(()));
        for who in 0..3 {
            let client = &world.clients[who as usize];
            client.shutdown(Shutdown::Write).unwrap();
        }
        let end = Instant::now() + PATIENCE;
        while world.settle() != Ok(true) {
            assert!(Instant::now() < end, "the drain does not end: {:?}", world.handler.calls());
            if world.reactor.timeout(world.now) != Some(Duration::ZERO) {
                world.collect(1);
            }
        }
        for who in 0..3 {
            let kind = if who == first { CloseKind::Aborted } else { CloseKind::Drained };
            let of_who = world.handler.of(who);
            assert_eq!(of_who.iter().filter(|on| **on == Call::Drain).count(), 1, "{of_who:?}");
            assert_eq!(of_who.last(), Some(&Call::Close(kind)), "{of_who:?}");
        }
        assert_eq!(world.reactor.net().stats().open, 0);
        assert!(is_refused(world.at), "the listener is closed");
    }
}

#[test]
fn timers_that_are_due_fire_after_a_panic_of_another_timer() {
    for (who, on) in [(None, Call::Timer(0)), (Some(0), Call::Timeout(0))] {
        let mut world = World::new(Panicky::at(who, on.clone()), 2);
        let (now, ids) = (world.now, [world.id(0), world.id(1)]);
        ids.iter().for_each(|id| _ = world.reactor.net().conn(*id).unwrap().set_timeout(now, 7));
        (1..4).for_each(|tag| _ = world.reactor.net().set_timer(now, tag));
        assert_eq!(world.settle(), Err(()));
        assert!(world.settle().is_ok());
        (1..4).for_each(|tag| assert!(world.handler.has_heard(&Call::Timer(tag)), "{on:?}: timer {tag}"));
        assert_eq!(world.handler.count(&Call::Timer(0)), 3, "{on:?}: each timer fires once");
        assert_eq!(world.handler.count(&Call::Timeout(0)), 2, "{on:?}");
        assert_eq!(world.reactor.net().stats().closed, u64::from(who.is_some()));
        assert_eq!(world.reactor.timeout(now), None, "a timer is left");
        world.assert_serves();
    }
}

#[test]
fn requests_of_other_threads_survive_a_panic_in_on_wake() {
    let asks: [fn(&Remote); 3] = [
        Remote::stop,
        |remote| remote.drain(A_DAY),
        |remote| {
            remote.drain(A_DAY);
            remote.drain(A_DAY);
        },
    ];
    for (n, ask) in asks.into_iter().enumerate() {
        let mut world = World::new(Panicky::at(None, Call::Wake), 1);
        let remote = world.remote();
        remote.wake();
        ask(&remote);
        assert_eq!(world.settle(), Err(()));
        assert_eq!(world.reactor.timeout(world.now), Some(Duration::ZERO), "ask {n}: the next turn is due");
        assert_eq!(world.settle(), Ok(n != 1), "ask {n}");
        let then = [
            vec![],
            vec![Call::Drain, Call::Close(CloseKind::Drained)],
            vec![Call::Close(CloseKind::Aborted)],
        ];
        assert_eq!(world.handler.of(0)[1..], then[n]);
        assert_eq!(world.handler.count(&Call::Wake), 2, "ask {n}: the call that panicked is made again");
    }
}

#[test]
fn bytes_sent_to_other_connections_before_a_panic_are_delivered() {
    let mut world = World::new(Panicky::at(0, first()), 2);
    let second = world.id(1);
    world.reactor.net().send_all(second, b"a message from between the turns");
    provoke(&mut world, &first());
    assert_eq!(world.settle(), Err(()));
    assert!(world.settle().is_ok());
    assert_eq!(read_next(&mut world.clients[1], 32), b"a message from between the turns");
    assert_eq!(world.handler.of(0).last(), Some(&Call::Close(CloseKind::Aborted)));
    world.assert_serves();
}

#[test]
fn each_of_several_panics_aborts_its_own_connection() {
    let mut world = World::new(Panicky::at(0, hello()), 4);
    for who in 0..4 {
        // Each event is handled before the next client sends, so that the clients stand in the queue in this order.
        world.clients[who].write_all(b"hello").unwrap();
        world.collect(1);
    }
    for who in 0..3 {
        world.handler.act.at = Some(Place::Call(Some(who), hello()));
        assert_eq!(world.settle(), Err(()), "client {who}");
    }
    assert!(world.settle().is_ok());
    for who in 0..3 {
        let calls = [Call::Open, hello(), Call::Close(CloseKind::Aborted)];
        assert_eq!(world.handler.of(who), calls);
        assert_eq!(read_out(&mut world.clients[who as usize]).1, End::of_abort());
    }
    assert_eq!(world.handler.of(3), [Call::Open, hello()]);
    assert_eq!(read_next(&mut world.clients[3], 5), b"hello");
}

#[test]
fn the_answers_of_an_on_close_that_panicked_do_not_outlast_the_call() {
    let mut world = World::new(Panicky::at(0, Call::Close(CloseKind::Aborted)), 1);
    let id = world.id(0);
    world.reactor.net().abort(id);
    assert_eq!(world.settle(), Err(()));
    assert!(!world.reactor.net().was_open() && !world.reactor.net().undelivered());
}
