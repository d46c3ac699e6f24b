//! Tests of a callback that panics while the host catches the panic. The next turn aborts the connection of that callback,
//! and everything else goes on.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use tidegate::{CloseKind, Options, Remote};

use crate::support::{
    End, Host, PATIENCE, connect,
    panicky::{NOBODY, On, Panicky, World},
    read_out,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Causes a callback of the first client. The next turn makes the callback.
fn provoke(world: &mut World, on: On) {
    let id = world.id(0);
    match on {
        On::Data => world.clients[0].write_all(b"first").unwrap(),
        On::Eof => world.clients[0].shutdown(Shutdown::Write).unwrap(),
        On::Writable => world.reactor.net().conn(id).unwrap().notify_writable(),
        On::Timeout => {
            let now = world.now;
            world.reactor.net().conn(id).unwrap().set_timeout(now, 1);
        }
        On::Drain => world.reactor.net().drain(A_DAY),
        other => panic!("`provoke` cannot cause {other:?}"),
    }
    if let On::Data | On::Eof = on {
        world.collect(1);
    }
}

const OF_A_CONNECTION: [On; 5] = [On::Data, On::Eof, On::Writable, On::Timeout, On::Drain];

#[test]
fn the_connection_of_a_callback_that_panicked_is_aborted_in_the_next_turn() {
    for on in OF_A_CONNECTION {
        let mut world = World::new(Panicky::at(0, on), 3);
        world.handler.send = b"half an answer";
        provoke(&mut world, on);
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
        assert_eq!(world.handler.of(0)[2..], [on, On::Close(CloseKind::Aborted)], "{on:?}");
        assert_eq!(read_out(&mut world.clients[0]).1, End::Reset, "{on:?}");

        world.turn_until(|handler, _| (1..3).all(|who| handler.of(who).contains(&On::Data)));
        world.turn_until_quiet();
        for who in 1..3 {
            let client = &mut world.clients[who];
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_next(client, 19), b"half an answerhello", "{on:?}");
        }
        world.turn_until(|_, net| net.stats().open == 0);
        for who in 1..3 {
            assert_eq!(read_out(&mut world.clients[who as usize]), (vec![], End::Eof), "{on:?}");
            let end = if on == On::Drain { CloseKind::Drained } else { CloseKind::Eof };
            assert_eq!(world.handler.of(who).last(), Some(&On::Close(end)), "{on:?}");
        }
        assert_eq!(world.reactor.net().stats().buffered, 0, "{on:?}");
        if on != On::Drain {
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
fn a_listener_goes_on_after_a_panic_in_on_accept_or_on_open() {
    for on in [On::Accept, On::Open] {
        let mut world = World::new(Panicky::at(1, on), 0);
        let mut clients = [(); 4].map(|()| connect(world.at));
        world.collect(1);
        assert_eq!(world.settle(), Err(()), "{on:?}");
        // No further event reports the clients that wait.
        while world.reactor.timeout(world.now) == Some(Duration::ZERO) {
            assert!(world.settle().is_ok(), "{on:?}");
        }
        for who in [0, 2, 3] {
            assert_eq!(world.handler.of(who), [On::Accept, On::Open], "{on:?}");
        }
        // A client without a session has no on_close, and a client with a session has one.
        let second =
            if on == On::Accept { vec![on] } else { vec![On::Accept, on, On::Close(CloseKind::Aborted)] };
        assert_eq!(world.handler.of(1), second);
        let end = read_out(&mut clients[1]);
        assert!(on == On::Accept || end == (vec![], End::Reset), "{end:?}");
        assert_eq!(world.reactor.net().stats().open, 3, "{on:?}");
        world.assert_serves();
    }
}

#[test]
fn a_panic_in_on_accept_costs_no_token() {
    // The tokens are enough for the listener and two connections.
    let mut world = World::with_tokens(1..4, Panicky::at(0, On::Accept), 0);
    for who in 0..10 {
        world.handler.at = Some((who, On::Accept));
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
        let mut world = World::new(Panicky::at(0, On::Close(CloseKind::Aborted)), 4);
        world.handler.at = Some((1, On::Close(CloseKind::Aborted)));
        end(&mut world);
        assert_eq!(world.settle(), Err(()));
        let finished = world.settle();
        for who in 0..4 {
            assert_eq!(world.handler.of(who), [On::Accept, On::Open, On::Close(CloseKind::Aborted)]);
        }
        for client in &mut world.clients {
            assert_eq!(read_out(client), (vec![], End::Reset));
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
    let to = elsewhere.local_addr().unwrap().into();
    let (mut reactor, _) = host.listening(1..2, Options::default());
    let mut handler = Panicky::at(1, On::Close(CloseKind::ConnectFailed));
    (0..4).for_each(|who| _ = reactor.net().connect(&to, who));
    let turn = catch_unwind(AssertUnwindSafe(|| reactor.settle(&mut handler, now)));
    assert!(turn.is_err());
    assert!(reactor.timeout(now).is_some_and(|wait| wait.is_zero()), "two sessions are owed their on_close");
    reactor.settle(&mut handler, now);
    for who in 0..4 {
        assert_eq!(handler.of(who), [On::Close(CloseKind::ConnectFailed)]);
    }
}

#[test]
fn a_drain_goes_on_after_a_panic_in_on_drain() {
    for panics in 0..3 {
        let mut world = World::new(Panicky::at(panics, On::Drain), 3);
        world.reactor.net().drain(A_DAY);
        assert_eq!(world.settle(), Err(()));
        for who in 0..3 {
            let client = &world.clients[who as usize];
            client.shutdown(Shutdown::Write).unwrap();
        }
        let end = Instant::now() + PATIENCE;
        while world.settle() != Ok(true) {
            assert!(Instant::now() < end, "the drain does not end: {:?}", world.handler.calls);
            if world.reactor.timeout(world.now) != Some(Duration::ZERO) {
                world.collect(1);
            }
        }
        for who in 0..3 {
            let kind = if who == panics { CloseKind::Aborted } else { CloseKind::Drained };
            let of_who = world.handler.of(who);
            assert_eq!(of_who.iter().filter(|on| **on == On::Drain).count(), 1, "{of_who:?}");
            assert_eq!(of_who.last(), Some(&On::Close(kind)), "{of_who:?}");
        }
        assert_eq!(world.reactor.net().stats().open, 0);
        assert!(TcpStream::connect(world.at).is_err(), "the listener is closed");
    }
}

#[test]
fn timers_that_are_due_fire_after_a_panic_of_another_timer() {
    for (who, on) in [(NOBODY, On::Timer(0)), (0, On::Timeout)] {
        let mut world = World::new(Panicky::at(who, on), 2);
        let (now, ids) = (world.now, [world.id(0), world.id(1)]);
        ids.iter().for_each(|id| _ = world.reactor.net().conn(*id).unwrap().set_timeout(now, 7));
        (1..4).for_each(|tag| _ = world.reactor.net().set_timer(now, tag));
        assert_eq!(world.settle(), Err(()));
        assert!(world.settle().is_ok());
        (1..4).for_each(|tag| assert_eq!(world.handler.count(On::Timer(tag)), 1, "{on:?}: timer {tag}"));
        assert_eq!(world.handler.count(On::Timeout), 2, "{on:?}");
        assert_eq!(world.reactor.net().stats().closed, u64::from(on == On::Timeout));
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
        let mut world = World::new(Panicky::at(NOBODY, On::Wake), 1);
        let remote = world.remote();
        remote.wake();
        ask(&remote);
        assert_eq!(world.settle(), Err(()));
        assert_eq!(world.reactor.timeout(world.now), Some(Duration::ZERO), "ask {n}: the next turn is due");
        assert_eq!(world.settle(), Ok(n != 1), "ask {n}");
        let then =
            [vec![], vec![On::Drain, On::Close(CloseKind::Drained)], vec![On::Close(CloseKind::Aborted)]];
        assert_eq!(world.handler.of(0)[2..], then[n]);
        assert_eq!(world.handler.count(On::Wake), 1);
    }
}

#[test]
fn bytes_sent_to_other_connections_before_a_panic_are_delivered() {
    let mut world = World::new(Panicky::at(0, On::Data), 2);
    let second = world.id(1);
    world.reactor.net().send_all(second, b"a message from between the turns");
    provoke(&mut world, On::Data);
    assert_eq!(world.settle(), Err(()));
    assert!(world.settle().is_ok());
    assert_eq!(read_next(&mut world.clients[1], 32), b"a message from between the turns");
    assert_eq!(world.handler.of(0).last(), Some(&On::Close(CloseKind::Aborted)));
    world.assert_serves();
}

#[test]
fn each_of_several_panics_aborts_its_own_connection() {
    let mut world = World::new(Panicky::at(0, On::Data), 4);
    for who in 0..4 {
        // Each event is handled before the next client sends, so that the clients stand in the queue in this order.
        world.clients[who].write_all(b"hello").unwrap();
        world.collect(1);
    }
    for who in 0..3 {
        world.handler.at = Some((who, On::Data));
        assert_eq!(world.settle(), Err(()), "client {who}");
    }
    assert!(world.settle().is_ok());
    for who in 0..3 {
        let calls = [On::Accept, On::Open, On::Data, On::Close(CloseKind::Aborted)];
        assert_eq!(world.handler.of(who), calls);
        assert_eq!(read_out(&mut world.clients[who as usize]).1, End::Reset);
    }
    assert_eq!(world.handler.of(3), [On::Accept, On::Open, On::Data]);
    assert_eq!(read_next(&mut world.clients[3], 5), b"hello");
}
