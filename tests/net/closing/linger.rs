//! Tests of the time for which a closed connection waits for its peer. The tests pass the time to the reactor, so no test
//! sleeps.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use tidegate::{CloseKind, ConnId, Options, testing::Rehearsal};

use crate::support::{
    Actor, Call, End, Guest, assert_same, connect, connect_narrow, listen, read_out, read_to_end,
};

const LINGER: Duration = Duration::from_secs(2);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
const MOMENT: Duration = Duration::from_millis(1);

type Server = Guest<Actor<'static>>;

/// Makes a server that sends this number of bytes to each client, and closes.
fn farewell(len: usize) -> (Server, SocketAddr) {
    let actor = Actor::with_conn(move |conn, call| {
        if *call == Call::Open {
            conn.send_all(&vec![b'.'; len]);
            conn.close();
        }
    });
    let options = Options::default().linger(LINGER).close_timeout(CLOSE_TIMEOUT).write_budget(64 << 20);
    let mut server = Guest::in_poll(.., options, actor);
    let at = listen(server.reactor.net());
    (server, at)
}

fn open(server: &mut Server) -> usize {
    server.reactor.net().stats().open
}

/// Connects, and returns when the session has ended and the connection lingers.
fn lingering(server: &mut Server, at: SocketAddr) -> TcpStream {
    let client = connect(at);
    server.turn_until(|actor, _| !actor.ended.is_empty());
    server.turn_until_quiet();
    assert_eq!(server.handler.take_calls(), [Call::Open, Call::Close(CloseKind::Closed)]);
    assert_eq!((open(server), server.reactor.timeout(server.now)), (1, Some(LINGER)));
    client
}

#[test]
fn the_linger_time_ends_a_connection_whose_peer_sends_nothing() {
    let (mut server, at) = farewell(3);
    let mut client = lingering(&mut server, at);
    server.pass(LINGER - MOMENT);
    assert_eq!((open(&mut server), server.reactor.timeout(server.now)), (1, Some(MOMENT)));
    server.pass(MOMENT);
    assert_eq!((open(&mut server), server.reactor.timeout(server.now)), (0, None));
    assert_same(&read_to_end(&mut client), b"...");
    assert_eq!(server.handler.take_calls(), []);
}

#[test]
fn input_prolongs_lingering_up_to_the_close_timeout() {
    let (mut server, at) = farewell(3);
    let mut client = lingering(&mut server, at);
    let mut passed = Duration::ZERO;
    while passed + LINGER < CLOSE_TIMEOUT {
        server.pass(LINGER - MOMENT);
        passed += LINGER - MOMENT;
        let before = server.reactor.net().stats().bytes_received;
        client.write_all(b"I am still here").unwrap();
        server.turn_until(|_, net| net.stats().bytes_received > before);
        assert_eq!(open(&mut server), 1, "after {passed:?}");
    }
    server.pass(CLOSE_TIMEOUT - passed - MOMENT);
    assert_eq!(open(&mut server), 1);
    server.pass(MOMENT);
    assert_eq!((open(&mut server), server.reactor.timeout(server.now)), (0, None));
}

#[test]
fn an_answer_that_the_peer_does_not_read_ends_at_the_close_timeout() {
    let (mut server, at) = farewell(8 << 20);
    let mut client = connect_narrow(at);
    server.turn_until(|_, net| net.stats().open == 1);
    server.pass(CLOSE_TIMEOUT - MOMENT);
    assert_eq!((open(&mut server), server.handler.take_calls()), (1, vec![Call::Open]));
    server.pass(MOMENT);
    let end = Call::Close(CloseKind::CloseTimeout);
    assert_eq!((open(&mut server), server.handler.take_calls()), (0, vec![end]));
    // The client must not mistake the truncated answer for a complete one.
    assert_eq!(read_out(&mut client).1, End::of_abort());
}

/// Closes a connection whose flush takes this long, because the peer takes nothing before. The socket then lingers.
fn lingering_after_a_flush_of(flush: Duration, actor: &mut Actor<'_>) -> (Rehearsal, ConnId) {
    let options = Options::default().linger(LINGER).close_timeout(CLOSE_TIMEOUT);
    let mut rehearsal = Rehearsal::new(options);
    let client = rehearsal.accept(actor).unwrap();
    rehearsal.capacity(client, 0);
    rehearsal.net().send_all(client, b"answer");
    rehearsal.net().close(client);
    rehearsal.advance(actor, flush);
    assert!(rehearsal.is_open(client), "the answer is not sent yet");
    rehearsal.capacity(client, usize::MAX);
    rehearsal.settle(actor);
    assert_eq!(rehearsal.sent(client), b"answer");
    assert_eq!((rehearsal.why(client), rehearsal.net().stats().open), (Some(CloseKind::Closed), 1));
    (rehearsal, client)
}

#[test]
fn the_linger_time_counts_from_the_end_of_a_slow_flush() {
    for flush in [MOMENT, LINGER, 5 * LINGER, CLOSE_TIMEOUT - LINGER - MOMENT] {
        let mut actor = Actor::idle();
        let (mut rehearsal, client) = lingering_after_a_flush_of(flush, &mut actor);
        rehearsal.advance(&mut actor, LINGER - MOMENT);
        assert_eq!(rehearsal.net().stats().open, 1, "too early after a flush of {flush:?}");
        rehearsal.advance(&mut actor, MOMENT);
        assert_eq!(rehearsal.net().stats().open, 0, "too late after a flush of {flush:?}");
        assert!(!rehearsal.is_reset(client), "after a flush of {flush:?}");
    }
}

#[test]
fn the_close_timeout_bounds_a_slow_flush_and_the_linger_time_together() {
    for left in [MOMENT, LINGER - MOMENT] {
        let mut actor = Actor::idle();
        let (mut rehearsal, client) = lingering_after_a_flush_of(CLOSE_TIMEOUT - left, &mut actor);
        rehearsal.advance(&mut actor, left - MOMENT);
        assert_eq!(rehearsal.net().stats().open, 1, "{left:?}");
        rehearsal.advance(&mut actor, MOMENT);
        assert_eq!(rehearsal.net().stats().open, 0, "{left:?}");
        assert!(rehearsal.is_reset(client), "{left:?}");
    }
}
