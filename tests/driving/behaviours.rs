//! The behaviours that a client and a handler may expect of a server, whichever driver drives the loop.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tidegate::{CloseKind, Options, Stats};

use crate::{
    subject::{Driven, Driver, assert_nothing_comes},
    support::{Call, PATIENCE, assert_same, connect_narrow, exchange, pattern, read_to_end},
};

/// Sends from another thread, because the send may block until the client reads.
fn send_aside(stream: &TcpStream, bytes: Vec<u8>, ends: bool) -> JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    thread::spawn(move || {
        stream.write_all(&bytes).unwrap();
        if ends {
            stream.shutdown(Shutdown::Write).unwrap();
        }
    })
}

/// Asks the server for its statistics until `done` returns true.
fn until(server: &Driven, done: impl Fn(&Stats) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done(&server.ask()) {
        assert!(Instant::now() < end, "the statistics do not become as expected; {}", server.ask());
        thread::yield_now();
    }
}

/// An echo of 16 MiB passes buffers that hold only a part of it, so the server has to keep bytes that the kernel did not
/// take.
pub fn echo(driver: &Driver) {
    let server = Driven::echo(driver, Options::default());
    let mut client = connect_narrow(server.address);
    let sent = pattern(16 << 20, 1);
    let sender = send_aside(&client, sent.clone(), false);
    // Until the client reads, the kernel takes only the bytes that fit into its buffers, and so a part of the last send.
    until(&server, |stats| stats.buffered > 0 && server.sleeps());
    let stats = server.ask();
    assert!(
        stats.bytes_received < sent.len() as u64,
        "the buffers of the system hold too much for this test: {stats}"
    );
    let mut echo = vec![0; sent.len()];
    client.read_exact(&mut echo).unwrap();
    sender.join().unwrap();
    assert_same(&echo, &sent);
    drop(client);
    server.until_close();
    server.falls_asleep();
    let (_, stats) = server.stop();
    assert_eq!((stats.bytes_received, stats.bytes_sent), (16 << 20, 16 << 20));
    assert_eq!((stats.open, stats.buffered), (0, 0));
}

/// A client that ends its side still gets the whole echo, the bytes that `on_eof` adds, and then the end of the stream.
pub fn half_close(driver: &Driver) {
    let server = Driven::start(driver, Options::default(), |subject| {
        subject.on_eof = |conn| {
            conn.send_all(b"that was all");
            conn.close();
        };
    });
    let mut client = connect_narrow(server.address);
    let sent = pattern(1 << 20, 2);
    let sender = send_aside(&client, sent.clone(), true);
    let echo = read_to_end(&mut client);
    sender.join().unwrap();
    assert_same(&echo, &[&sent, &b"that was all"[..]].concat());
    let (before, why) = server.until_close();
    assert_eq!(why, CloseKind::Eof);
    assert_eq!((before.first(), before.last()), (Some(&Call::Open), Some(&Call::Eof)));
    server.falls_asleep();
    assert_eq!(server.stop().0, []);
}

/// The outbox of a client that does not read is bounded. The client costs no turns, and other clients are served. When the
/// client begins to read, the client gets all bytes.
pub fn slow_reader(driver: &Driver) {
    const BOUND: usize = 128 << 10;
    let options = Options::default().high_water(16 << 10).low_water(8 << 10).read_buffer(16 << 10);
    let server = Driven::echo(driver, options);
    let mut slow = connect_narrow(server.address);
    let sent = pattern(12 << 20, 3);
    let sender = send_aside(&slow, sent.clone(), true);
    until(&server, |stats| stats.reads_paused > 0);
    let mut other = server.connect();
    for round in 0..50 {
        let message = pattern(500, round);
        assert_eq!(exchange(&mut other, &message), message);
        assert!(server.ask().buffered <= BOUND);
    }
    until(&server, |stats| stats.buffered > 0 && server.sleeps());
    let stats = server.ask();
    assert!(stats.buffered > 0 && stats.buffered <= BOUND, "{stats}");
    assert!(
        stats.bytes_received < sent.len() as u64,
        "the buffers of the system hold too much for this test: {stats}"
    );

    let echo = read_to_end(&mut slow);
    sender.join().unwrap();
    assert_same(&echo, &sent);
    assert_eq!(server.until_close().1, CloseKind::Eof);
    assert_eq!(exchange(&mut other, b"still here"), b"still here");
    assert_eq!(server.ask().buffered, 0);
    server.stop();
}

/// A callback answers and closes. The answer is delivered whole although the client goes on sending, and the session ends
/// once.
pub fn close_in_callback(driver: &Driver) {
    const ANSWER: usize = 3 << 20;
    let server = Driven::start(driver, Options::default(), |subject| {
        subject.on_data = |conn, _| {
            conn.send_all(&pattern(ANSWER, 4));
            conn.close();
            conn.send_all(b"too late");
        };
    });
    let mut client = connect_narrow(server.address);
    client.write_all(b"request").unwrap();
    let sender = send_aside(&client, vec![7; 200_000], true);
    let answer = read_to_end(&mut client);
    assert_same(&answer, &pattern(ANSWER, 4));
    sender.join().unwrap();
    let (before, why) = server.until_close();
    assert_eq!(why, CloseKind::Closed);
    assert!(matches!(before[..], [Call::Open, Call::Data(_)]), "{before:?}");
    until(&server, |stats| stats.open == 0); // The connection lingers until the end of file of the client.
    server.falls_asleep();
    let (after, stats) = server.stop();
    assert_eq!((after, stats.closed, stats.undelivered), (vec![], 1, 0));
}

/// No event announces an idle timeout, so the driver has to sleep until the deadline and no longer.
pub fn idle_timeout(driver: &Driver) {
    const IDLE: Duration = Duration::from_millis(300);
    let server = Driven::echo(driver, Options::default().idle_timeout(Some(IDLE)));
    let begin = Instant::now();
    let mut client = server.connect();
    assert_eq!(server.next(), Call::Open);
    let before = server.ask().turns;
    assert_eq!(server.next(), Call::Close(CloseKind::IdleTimeout));
    let elapsed = begin.elapsed();
    assert!(elapsed >= IDLE, "the timeout came after {elapsed:?}");
    assert_eq!(read_to_end(&mut client), []);
    let turns = server.ask().turns - before;
    assert!(turns <= 20 + driver.turns_of_its_own(elapsed), "{turns} turns: the loop did not sleep");
    server.falls_asleep();
    assert_eq!(server.stop().0, []);
}

/// Other threads reach a loop that sleeps, and end it.
pub fn wake(driver: &Driver) {
    let server = Driven::echo(driver, Options::default());
    let mut client = server.connect();
    assert_eq!(server.next(), Call::Open);
    server.falls_asleep();
    let remotes = [(); 3].map(|()| server.remote.clone());
    let threads = remotes.map(|remote| thread::spawn(move || remote.wake()));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let stats = server.ask();
    assert_eq!((stats.accepted, stats.open), (1, 1));
    assert_nothing_comes(&mut client);

    server.remote.drain(Duration::from_secs(24 * 3600));
    assert_eq!(server.next(), Call::Close(CloseKind::Drained));
    assert_eq!(read_to_end(&mut client), []);
    drop(client); // The drain also waits for a connection that lingers for the end of file.
    let (told, stats) = server.join();
    assert_eq!((told, stats.open, stats.drain_resets), (vec![], 0, 0));
}

/// A source of the program is reported in whatever the loop sleeps, until the program unwatches the source.
#[cfg(unix)]
pub fn watched_pipe(driver: &Driver) {
    let (mut pipe, receiver) = mio::unix::pipe::new().unwrap();
    let server = Driven::start(driver, Options::default(), |subject| subject.pipe = Some(receiver));
    let mut client = server.connect();
    assert_eq!(server.next(), Call::Open);
    for round in 0..10 {
        if round % 2 == 0 {
            server.falls_asleep();
        }
        let bytes = pattern(1000, round);
        pipe.write_all(&bytes).unwrap();
        let mut received = Vec::new();
        while received.len() < bytes.len() {
            let Call::Data(part) = server.next() else { panic!("only the pipe has bytes") };
            received.extend(part);
        }
        assert_same(&received, &bytes);
    }
    let message = pattern(1000, 99);
    assert_same(&exchange(&mut client, &message), &message);
    assert_eq!(server.next(), Call::Data(message));
    drop(pipe);
    assert_eq!(server.next(), Call::Data(vec![]));
    server.falls_asleep();
    assert_eq!(server.stop().0, []);
}
