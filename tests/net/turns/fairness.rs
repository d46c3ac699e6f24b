//! Tests that one connection takes at most its budget in each turn, so that the other connections are served.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use tidegate::{Flow, Options};

use crate::support::{
    Echo, PATIENCE, Server, Stepped, connect, exchange,
    script::{Script, Told},
};

const PIECE: [u8; 16 << 10] = [b'.'; 16 << 10];

/// Makes 200 round trips, and more until `done` returns true.
fn ping(client: &mut TcpStream, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    let mut trips = 0;
    while trips < 200 || !done() {
        assert!(Instant::now() < end, "the other client made no progress during {trips} round trips");
        assert_eq!(exchange(client, b"ping"), b"ping");
        trips += 1;
    }
}

/// Shuts the stream down when it is dropped, also when the test fails. That ends the threads that use the stream.
struct HangUp<'a>(&'a TcpStream);

impl Drop for HangUp<'_> {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

#[test]
fn a_client_is_served_while_another_floods() {
    let server = Server::start(Options::default(), Echo);
    let (flood, mut client) = (server.connect(), server.connect());
    let came_back = AtomicU64::new(0);
    thread::scope(|scope| {
        let _hang_up = HangUp(&flood);
        scope.spawn(|| while (&flood).write_all(&PIECE).is_ok() {});
        scope.spawn(|| {
            let mut echo = vec![0; 1 << 20];
            while let Ok(len @ 1..) = (&flood).read(&mut echo) {
                came_back.fetch_add(len as u64, Ordering::Relaxed);
            }
        });
        ping(&mut client, || came_back.load(Ordering::Relaxed) > 8 << 20);
    });
}

/// Sends without end to each client that has sent a `!`, until a send returns `Full` and again in `on_writable`. All other
/// clients get an echo.
fn endless() -> Script {
    Script::default()
        .on_data(|conn, input, _| {
            if input == b"!" {
                conn.notify_writable();
            } else {
                conn.send_all(input);
            }
            input.len()
        })
        .on_writable(|conn, _| while conn.send_all(&PIECE) == Flow::Open {})
}

#[test]
fn a_client_is_served_while_another_keeps_up_with_an_endless_answer() {
    let server = Server::start(Options::default(), endless());
    let (mut reader, mut client) = (server.connect(), server.connect());
    reader.write_all(b"!").unwrap();
    let read = AtomicU64::new(0);
    thread::scope(|scope| {
        let _hang_up = HangUp(&reader);
        scope.spawn(|| {
            let mut answer = vec![0; 1 << 20];
            while let Ok(len @ 1..) = (&reader).read(&mut answer) {
                read.fetch_add(len as u64, Ordering::Relaxed);
            }
        });
        ping(&mut client, || read.load(Ordering::Relaxed) > 32 << 20);
    });
}

#[test]
fn a_turn_hands_over_no_more_than_the_write_budget() {
    const BUDGET: u64 = 5000;
    const TURNS: u64 = 20;
    let options = Options::default().write_budget(BUDGET as usize);
    let mut server = Stepped::new(options, endless());
    let mut reader = connect(server.address);
    let id = server.next().open();
    reader.write_all(b"!").unwrap();
    // Every kernel takes this number of bytes from a new socket, although the client reads nothing.
    for turn in 0..TURNS {
        server.turn_until(|_, net| net.stats().bytes_sent > turn * BUDGET);
        // The turn hands over the whole budget, although no event has come.
        assert_eq!(server.net().stats().bytes_sent, (turn + 1) * BUDGET);
        // The send returned `Full` when the budget was spent, and not only at high water.
        assert!(server.net().conn(id).unwrap().queued() < Options::default().high_water);
    }
}

#[test]
fn a_turn_receives_no_more_than_the_read_budget() {
    const BUDGET: u64 = 3000;
    let options = Options::default().read_buffer(1000).read_budget(BUDGET as usize);
    let script = Script::default().on_data(|_, input, _| input.len());
    let mut server = Stepped::new(options, script);
    let mut client = connect(server.address);
    server.next().open();
    client.write_all(&[b'.'; 15_000]).unwrap();
    let mut received = 0;
    while received < 15_000 {
        server.turn_until(|_, net| net.stats().bytes_received > received);
        let before = std::mem::replace(&mut received, server.net().stats().bytes_received);
        assert!(received - before <= BUDGET, "{} bytes in one turn", received - before);
    }
}

#[test]
fn on_writable_comes_at_most_once_a_turn() {
    let script = Script::default()
        .on_open(|conn, _| conn.notify_writable())
        .on_writable(|conn, _| (0..3).for_each(|_| conn.notify_writable()));
    let mut server = Stepped::new(Options::default(), script);
    let _client = connect(server.address);
    server.next().open();
    for _ in 0..10 {
        server.turn();
        assert_eq!(server.rest(), [Told::Writable(0)]);
    }
}
