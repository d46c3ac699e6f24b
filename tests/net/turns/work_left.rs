//! Tests that work without an event is done, and that work that waits for an event asks for no turn.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use tidegate::{Address, CloseKind, Conn, EventLoop, Options, Reactor, testing::Rehearsal};

use crate::support::{Actor, Call, as_by_default, connect_narrow, listening, turn_until, turn_until_quiet};

/// Pauses reading in `on_open`, and closes at the first byte.
fn closes_at_once<'a>() -> Actor<'a> {
    Actor::with_conn(|conn, call| match call {
        Call::Open => conn.pause_reading(),
        Call::Data(_) => conn.close(),
        call => as_by_default(conn, call),
    })
}

#[test]
fn lingering_reads_input_that_an_event_announced_before_the_close() {
    // The socket holds more bytes than a turn may read when the connection is closed, and the end of file behind them.
    let (mut handler, options) = (closes_at_once(), Options::default().read_buffer(4).read_budget(4));
    let mut rehearsal = Rehearsal::new(options);
    let client = rehearsal.accept(&mut handler).unwrap();
    rehearsal.receive(&mut handler, client, &[0; 100]);
    rehearsal.eof(&mut handler, client);
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut handler);
    assert_eq!(handler.ends(), [CloseKind::Closed]);
    assert_eq!(rehearsal.net().stats().bytes_received, 100, "unread input would turn the close into a reset");
    assert_eq!(rehearsal.net().stats().open, 0, "the connection lingers although the peer has ended");
}

#[test]
fn a_connection_that_is_still_connecting_asks_for_no_turn() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = Address::from(listener.local_addr().unwrap());
    let asks: [fn(&mut Conn<'_>); 3] = [|_| {}, |conn| conn.notify_writable(), |conn| conn.shutdown_write()];
    for (case, ask) in asks.into_iter().enumerate() {
        let mut client = EventLoop::<()>::new(Options::default()).unwrap();
        let id = client.net().connect(&to, ());
        ask(&mut client.net().conn(id).unwrap());
        // The connect begins in this turn, so only the next poll can bring its event.
        let turn = client.turn(&mut closes_at_once(), Some(Duration::ZERO)).unwrap();
        assert!(!turn.more, "case {case}: the loop would spin until the peer answers");
    }
}

#[test]
fn a_client_that_has_ended_its_side_and_does_not_read_costs_no_turns() {
    let mut actor = Actor::with_conn(|conn, call| {
        if *call == Call::Open {
            conn.send_all(&[b'.'; 8 << 20]); // above high water, so the connection is not read
        }
    });
    let (mut event_loop, at) = listening(Options::default());
    let mut client = connect_narrow(at);
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    turn_until_quiet(&mut event_loop, &mut actor);
    client.write_all(b"unread").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    // The event of the end of file comes first, and then a turn sends again: the client makes room for that.
    turn_until_quiet(&mut event_loop, &mut actor);
    client.read_exact(&mut [0; 64 << 10]).unwrap();
    turn_until_quiet(&mut event_loop, &mut actor);
    let (id, ()) = event_loop.net().sessions().next().expect("the connection is open");
    assert!(event_loop.net().conn(id).unwrap().queued() > 0);
}

#[test]
fn a_flush_does_not_send_on_a_stream_that_is_not_connected_yet() {
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut poll = mio::Poll::new().unwrap();
    let mut events = mio::Events::with_capacity(8);
    let mut reactor = Reactor::<()>::new(poll.registry(), .., Options::default()).unwrap();
    let mut handler = closes_at_once();
    let id = reactor.net().connect(refused, ());
    reactor.settle(&mut handler, Instant::now());
    poll.poll(&mut events, Some(Duration::from_secs(30))).unwrap();
    for event in &events {
        reactor.handle(event);
    }
    reactor.net().send_all(id, b"hello");
    reactor.flush();
    reactor.settle(&mut handler, Instant::now());
    assert_eq!(handler.ends(), [CloseKind::ConnectFailed]);
}
