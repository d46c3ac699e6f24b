//! Tests of the limits on connections: which clients wait, which are turned away, and when accepting goes on.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use tidegate::{Accepted, Conn, Handler, Keepalive, ListenOptions, ListenerId, Net, Options, WhenFull};

use crate::support::{
    self, Actor, Call, Echo, End, Guest, PATIENCE, Server, connect, exchange, is_due, is_refused, read_out,
    turn_until, turn_until_quiet,
};

/// A reactor in a poll of the test. The time of the turns stands still.
type Door = Guest<Echo>;

fn door(options: Options) -> Door {
    Guest::in_poll(.., options, Echo)
}

impl Door {
    fn listen(&mut self, options: ListenOptions) -> (ListenerId, SocketAddr) {
        let listener = self.reactor.net().listen_with("127.0.0.1:0", options).unwrap();
        (listener, self.reactor.net().local_address(listener).unwrap().socket_addrs()[0])
    }

    /// Turns until `accepted` clients were accepted and no work is left. Returns the number of open connections.
    fn open_after(&mut self, accepted: u64) -> usize {
        self.turn_until(|_, net| net.stats().accepted >= accepted);
        self.turn_until_quiet();
        let stats = self.reactor.net().stats();
        assert_eq!(stats.accepted, accepted, "{stats}");
        stats.open
    }

    /// Connects a client and sends a message.
    fn caller(at: SocketAddr) -> TcpStream {
        let mut client = connect(at);
        client.write_all(b"hello").unwrap();
        client
    }

    /// Makes turns until the client has its echo.
    fn assert_served(&mut self, client: &mut TcpStream) {
        let echoed = |client: &TcpStream| {
            client.set_nonblocking(true).unwrap();
            let peeked = client.peek(&mut [0; 5]);
            client.set_nonblocking(false).unwrap();
            matches!(peeked, Ok(5))
        };
        let end = Instant::now() + PATIENCE;
        while !echoed(client) {
            assert!(Instant::now() < end, "{:?}", self.reactor.net().stats());
            self.turn_until_quiet();
            std::thread::yield_now(); // No event of the server tells when the echo has arrived at the client.
        }
        let mut echo = [0; 5];
        client.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"hello");
    }
}

#[test]
fn a_full_listener_leaves_clients_in_the_backlog_until_one_of_its_connections_ends() {
    let mut door = door(Options::default());
    let (_, narrow) = door.listen(ListenOptions::default().max_connections(2));
    let (_, wide) = door.listen(ListenOptions::default());
    let [first, second, third] = [(); 3].map(|()| Door::caller(narrow));
    assert_eq!(door.open_after(2), 2);
    // The limit holds for one listener. Another listener still accepts, and an end of its connections frees no place at
    // this listener.
    let mut elsewhere = Door::caller(wide);
    assert_eq!(door.open_after(3), 3);
    door.assert_served(&mut elsewhere);
    drop(elsewhere);
    door.turn_until(|_, net| net.stats().open == 2);
    assert_eq!(door.open_after(3), 2);
    drop(first);
    assert_eq!(door.open_after(4), 2);
    [second, third].iter_mut().for_each(|client| door.assert_served(client));
}

#[test]
fn all_listeners_share_the_limit_of_the_loop() {
    let mut door = door(Options::default().max_connections(2));
    let ats = [(); 2].map(|()| door.listen(ListenOptions::default()).1);
    let [first, second] = ats.map(Door::caller);
    assert_eq!(door.open_after(2), 2);
    let [third, fourth] = ats.map(Door::caller);
    assert_eq!(door.open_after(2), 2);
    drop(first);
    door.turn_until(|_, net| net.stats().accepted == 3);
    assert_eq!(door.open_after(3), 2);
    drop(second);
    assert_eq!(door.open_after(4), 2);
    [third, fourth].iter_mut().for_each(|client| door.assert_served(client));
}

#[test]
fn a_lingering_connection_keeps_its_place_until_its_end() {
    let mut door = door(Options::default().max_connections(1));
    let (_, at) = door.listen(ListenOptions::default());
    let first = Door::caller(at);
    assert_eq!(door.open_after(1), 1);
    let (id, ()) = door.reactor.net().sessions().next().unwrap();
    door.reactor.net().close(id);
    let mut second = Door::caller(at);
    door.turn_until(|_, net| net.stats().closed == 1);
    assert_eq!(door.open_after(1), 1, "the socket of the first client still lingers");
    drop(first);
    assert_eq!(door.open_after(2), 1);
    door.assert_served(&mut second);
}

#[test]
fn clients_above_the_limit_can_be_turned_away() {
    let limits: [fn() -> (Options, ListenOptions); 2] = [
        || (Options::default().max_connections(2), ListenOptions::default()),
        || (Options::default(), ListenOptions::default().max_connections(2)),
    ];
    for limit in limits {
        let (options, listen) = limit();
        let mut door = door(options);
        let (_, at) = door.listen(listen.when_full(WhenFull::Close));
        let mut served = [(); 2].map(|()| Door::caller(at));
        assert_eq!(door.open_after(2), 2);
        let turned_away = [(); 3].map(|()| connect(at));
        door.turn_until(|_, net| net.stats().refused_full == 3);
        for mut client in turned_away {
            assert_eq!(read_out(&mut client).0, b"");
        }
        // The other clients are still served, and there is room for a new client after an end.
        served.iter_mut().for_each(|client| door.assert_served(client));
        drop(served);
        door.turn_until(|_, net| net.stats().open == 0);
        let mut late = Door::caller(at);
        assert_eq!(door.open_after(3), 1);
        door.assert_served(&mut late);
        assert_eq!(door.reactor.net().stats().refused_full, 3);
    }
}

#[test]
fn a_client_that_is_turned_away_and_sent_nothing_gets_an_end_of_file() {
    let mut door = door(Options::default().max_connections(0));
    let (_, at) = door.listen(ListenOptions::default().when_full(WhenFull::Close));
    let mut client = connect(at);
    door.turn_until(|_, net| net.stats().refused_full == 1);
    assert_eq!(read_out(&mut client), (vec![], End::Eof));
}

#[test]
fn a_paused_listener_leaves_clients_in_the_backlog_until_the_resume() {
    let mut door = door(Options::default());
    let (paused, at) = door.listen(ListenOptions::default());
    let (_, other) = door.listen(ListenOptions::default());
    door.reactor.net().pause_listener(paused);
    let mut waiting = [(); 3].map(|()| Door::caller(at));
    let mut elsewhere = Door::caller(other);
    assert_eq!(door.open_after(1), 1);
    door.assert_served(&mut elsewhere);
    // The event of these clients has come and does not come again, so the resume alone has to accept them.
    door.reactor.net().resume_listener(paused);
    assert_eq!(door.open_after(4), 4);
    waiting.iter_mut().for_each(|client| door.assert_served(client));
}

#[test]
fn a_handler_can_pause_its_listener_for_the_rest_of_a_batch() {
    let mut door = door(Options::default());
    let (listener, at) = door.listen(ListenOptions::default());
    let _clients = [(); 3].map(|()| connect(at));
    let mut actor = Actor::with_conn(|conn, cue| {
        if *cue == Call::Open {
            conn.net().pause_listener(listener);
        }
    });
    for accepted in 1..=3 {
        turn_until(&mut *door, &mut actor, |_, net| net.stats().accepted == accepted);
        turn_until_quiet(&mut *door, &mut actor);
        assert_eq!(door.net().stats().accepted, accepted, "each resume accepts one client");
        door.net().resume_listener(listener);
    }
}

#[test]
fn a_closed_listener_refuses_clients_and_keeps_its_connections() {
    let mut door = door(Options::default());
    let (listener, at) = door.listen(ListenOptions::default());
    let mut served = connect(at);
    assert_eq!(door.open_after(1), 1);
    door.reactor.net().close_listener(listener);
    assert!(is_refused(at));
    assert_eq!(door.reactor.net().local_address(listener).unwrap_err().kind(), ErrorKind::NotFound);
    served.write_all(b"hello").unwrap();
    door.assert_served(&mut served);
    // The id of the listener is invalid now, and calls with this id do nothing.
    door.reactor.net().resume_listener(listener);
    door.reactor.net().pause_listener(listener);
    door.reactor.net().close_listener(listener);
    door.turn_until_quiet();
    drop(served);
    door.turn_until(|_, net| net.stats().open == 0);
    assert_eq!(door.reactor.next_deadline(), None);
}

/// Accepts all clients. If the field is true, closes the listener of the next client.
struct ClosesAfterOne(bool);

impl Handler for ClosesAfterOne {
    type Session = ();

    fn on_accept(&mut self, net: &mut Net, from: &Accepted) -> Option<()> {
        if std::mem::take(&mut self.0) {
            net.close_listener(from.listener);
        }
        Some(())
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, input: &[u8]) -> usize {
        input.len()
    }
}

#[test]
fn the_end_of_a_connection_of_a_closed_listener_frees_no_place_at_a_new_listener() {
    let mut door = door(Options::default());
    let (_, at) = door.listen(ListenOptions::default());
    let mut handler = ClosesAfterOne(true);
    let old = connect(at);
    turn_until(&mut *door, &mut handler, |_, net| net.stats().accepted == 1);
    turn_until_quiet(&mut *door, &mut handler);
    // The new listener has the slot of the closed listener.
    let (_, at) = door.listen(ListenOptions::default().max_connections(1));
    assert_takes_no_place(&mut door, old, at);
}

/// Asserts that `old`, the first client of the reactor, takes no place of the listener at `at`, which has one place.
fn assert_takes_no_place(door: &mut Door, old: TcpStream, at: SocketAddr) {
    let [served, _waiting] = [(); 2].map(|()| connect(at));
    assert_eq!(door.open_after(2), 2, "the old connection takes no place of the new listener");
    drop(old);
    door.turn_until(|_, net| net.stats().closed == 1);
    assert_eq!(door.open_after(2), 1, "the end of the old connection makes no place at the new listener");
    drop(served);
    door.turn_until(|_, net| net.stats().closed == 2);
    assert_eq!(door.open_after(3), 1);
}

#[test]
fn a_listener_in_the_slot_of_a_closed_listener_does_not_count_connections_of_the_closed_one() {
    // There are four tokens, and all are taken before the first listener is closed. So the next listener can only get the
    // slot of the closed listener.
    let mut door = Guest::in_poll(0..4, Options::default(), Echo);
    let (closed, at) = door.listen(ListenOptions::default());
    let fillers = [(); 2].map(|()| door.listen(ListenOptions::default()).0);
    let old = connect(at);
    assert_eq!(door.open_after(1), 1);
    door.reactor.net().close_listener(closed);
    door.turn_until_quiet();
    let (_, at) = door.listen(ListenOptions::default().max_connections(1));
    fillers.into_iter().for_each(|filler| door.reactor.net().close_listener(filler));
    assert_takes_no_place(&mut door, old, at);
}

#[test]
fn a_place_that_a_closed_listener_leaves_is_taken_without_an_event() {
    let mut door = Guest::in_poll(0..3, Options::default(), Echo);
    let (closing, at) = door.listen(ListenOptions::default());
    let (_, other) = door.listen(ListenOptions::default());
    let _served = connect(at);
    assert_eq!(door.open_after(1), 1);
    let mut waiting = Door::caller(other);
    // There is no token for the client, so its event changes nothing.
    door.collect(1);
    door.settle();
    assert_eq!((door.reactor.net().stats().accepted, door.reactor.timeout(door.now)), (1, None));
    door.reactor.net().close_listener(closing);
    assert_eq!(door.reactor.timeout(door.now), Some(Duration::ZERO));
    assert!(door.reactor.next_deadline().is_some_and(|due| due <= Instant::now()));
    while is_due(&door.reactor, door.now) {
        door.settle();
    }
    assert_eq!(door.reactor.net().stats().accepted, 2);
    door.assert_served(&mut waiting);
}

#[test]
fn a_turn_accepts_no_more_than_the_accept_budget() {
    let mut door = door(Options::default().accept_budget(2));
    let (_, at) = door.listen(ListenOptions::default());
    let mut clients = [(); 7].map(|()| Door::caller(at));
    door.collect(1);
    for accepted in [2, 4, 6, 7] {
        // No event reports that the other clients still wait.
        assert_eq!(door.reactor.timeout(door.now), Some(Duration::ZERO));
        door.settle();
        assert_eq!(door.reactor.net().stats().accepted, accepted);
    }
    clients.iter_mut().for_each(|client| door.assert_served(client));
}

/// Only the reactor has the accepted socket, but Linux lists the timer of the socket: proc(5), `/proc/net/tcp`.
#[cfg(target_os = "linux")]
#[test]
fn an_accepted_socket_has_the_keepalive_that_was_asked_for() {
    let wish = Keepalive::default().after(Duration::from_secs(4000)).retries(3);
    for (options, expected) in
        [(Options::default(), None), (Options::default().keepalive(Some(wish)), Some(4000))]
    {
        let mut door = door(options);
        let (_, at) = door.listen(ListenOptions::default());
        let mut client = Door::caller(at);
        door.assert_served(&mut client);
        assert_eq!(keepalive_timer(at, client.local_addr().unwrap()), expected);
    }
}

/// Returns the seconds, rounded to thousands, until the server's end of this connection sends a keepalive probe.
#[cfg(target_os = "linux")]
fn keepalive_timer(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let end = Instant::now() + PATIENCE;
    loop {
        let timer = support::socket_column(local, remote, 5);
        let (kind, when) = timer.split_once(':').expect("tr:tm->when");
        match kind {
            "00" => return None,
            // The time is in hundredths of a second, USER_HZ.
            "02" => return Some((u64::from_str_radix(when, 16).unwrap() + 50_000) / 100_000 * 1000),
            // Another timer is running, because sent bytes are not acknowledged yet.
            _ => assert!(Instant::now() < end, "{timer}"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn an_event_loop_keeps_max_connections_and_serves_all_clients_in_turn() {
    let server = Server::start(Options::default().max_connections(1), Echo);
    let mut clients: Vec<_> = (0..10).map(|_| Door::caller(server.address)).collect();
    for mut client in clients.drain(..) {
        client.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(exchange(&mut client, b"again"), b"again");
    }
    let (_, stats) = server.stop();
    assert_eq!((stats.accepted, stats.refused_full), (10, 0));
}
