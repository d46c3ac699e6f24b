//! Tests of how long a close takes in an `EventLoop`: until the peer has ended, and at most the close timeout.

use std::{
    io::{ErrorKind, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use mio::{Interest, Token};
use tidegate::{CloseKind, ConnId, EventLoop, Net, Options};

use crate::support::{
    Call, End, Host, PATIENCE, Recorder, Transport, connect, connect_open, listening, read_out, turn_until,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Answers the first bytes and closes.
fn answer_and_close(net: &mut Net<u32>, id: ConnId, _who: u32, call: &Call) {
    if let Call::Data(_) = call {
        net.send_all(id, b"answer");
        net.close(id);
    }
}

/// Makes turns until no work is left, and returns the time of the next turn.
fn next_deadline(event_loop: &mut EventLoop<u32>) -> Option<Instant> {
    let mut recorder = Recorder::new(|_, _, _, call| panic!("{call:?}"));
    let end = Instant::now() + PATIENCE;
    while event_loop.turn(&mut recorder, Some(Duration::ZERO)).unwrap().more {
        assert!(Instant::now() < end, "the loop always has more to do");
    }
    event_loop.next_deadline()
}

#[test]
fn a_silent_peer_is_dropped_after_the_linger_time() {
    const LINGER: Duration = Duration::from_millis(20);
    let (mut event_loop, at) = listening(Options::default().linger(LINGER));
    let mut recorder = Recorder::new(answer_and_close);
    let mut client = connect_open(&mut event_loop, at, &mut recorder, 1).remove(0);
    let before = Instant::now();
    client.write_all(b"go").unwrap();
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(0));
    assert_eq!(
        (event_loop.net().stats().open, event_loop.net().stats().closed),
        (1, 1),
        "the socket does not linger"
    );
    assert_eq!(event_loop.net().sessions().count(), 0, "a lingering connection has a session");
    turn_until(&mut event_loop, &mut recorder, |_, net| net.stats().open == 0);
    assert!(before.elapsed() >= LINGER, "the connection ended too early");
    assert_eq!(read_out(&mut client), (b"answer".to_vec(), End::Eof));
    assert_eq!(recorder.of(0).last(), Some(&Call::Close(CloseKind::Closed)));
    assert_eq!(next_deadline(&mut event_loop), None, "a timer is left");
}

#[test]
fn a_lingering_connection_ends_at_the_end_of_file_of_its_peer() {
    let (mut event_loop, at) = listening(Options::default().linger(A_DAY).close_timeout(A_DAY));
    let mut recorder = Recorder::new(answer_and_close);
    let mut client = connect_open(&mut event_loop, at, &mut recorder, 1).remove(0);
    client.write_all(b"go").unwrap();
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(0));
    assert_eq!(read_out(&mut client), (b"answer".to_vec(), End::Eof));
    assert!(next_deadline(&mut event_loop).is_some_and(|due| due > Instant::now()));
    client.shutdown(Shutdown::Write).unwrap();
    turn_until(&mut event_loop, &mut recorder, |_, net| net.stats().open == 0);
    assert_eq!(next_deadline(&mut event_loop), None, "a timer is left");
}

#[test]
fn without_a_linger_time_a_closed_connection_ends_at_once() {
    let (mut event_loop, at) = listening(Options::default().linger(Duration::ZERO));
    let mut recorder = Recorder::new(answer_and_close);
    let mut client = connect_open(&mut event_loop, at, &mut recorder, 1).remove(0);
    client.write_all(b"go").unwrap();
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(0));
    assert_eq!((event_loop.net().stats().open, next_deadline(&mut event_loop)), (0, None));
    assert_eq!(read_out(&mut client), (b"answer".to_vec(), End::Eof));
}

/// Waits until the reset, or the end of both directions of a Unix socket, has arrived at the client. A read of the client cannot show the reset, because the read returns the
/// end of file that came before the reset.
fn wait_for_reset(client: TcpStream) {
    let is_unix = crate::TRANSPORT != Transport::Tcp;
    client.set_nonblocking(true).unwrap();
    let mut client = mio::net::TcpStream::from_std(client);
    let mut host = Host::new();
    host.poll.registry().register(&mut client, Token(0), Interest::READABLE).unwrap();
    while !host.collect(1).iter().any(|event| event.is_error() || (is_unix && event.is_write_closed())) {}
}

#[test]
fn a_peer_that_still_sends_at_the_close_timeout_is_reset() {
    let seconds = Duration::from_secs;
    let (mut host, start) = (Host::new(), Instant::now());
    let options = Options::default().linger(seconds(10)).close_timeout(seconds(15));
    let (mut reactor, at) = host.listening(.., options);
    let mut recorder = Recorder::new(answer_and_close);
    let mut client = connect(at);
    client.write_all(b"go").unwrap();
    host.turn_until(&mut reactor, &mut recorder, start, |recorder, _| recorder.has_closed(0));
    let received = reactor.net().stats().bytes_received;
    client.write_all(b"x").unwrap();
    host.turn_until(&mut reactor, &mut recorder, start + seconds(9), |_, net| {
        net.stats().bytes_received > received
    });
    // At 12 s the former linger deadline has passed. The new linger deadline would be at 19 s, which is after the close
    // timeout.
    reactor.settle(&mut recorder, start + seconds(12));
    assert_eq!(reactor.net().stats().open, 1);
    assert_eq!(reactor.timeout(start + seconds(12)), Some(seconds(3)));
    reactor.settle(&mut recorder, start + seconds(15));
    assert_eq!((reactor.net().stats().open, reactor.timeout(start)), (0, None));
    wait_for_reset(client);
}

#[test]
fn a_peer_that_uploads_for_ever_is_reset_at_the_close_timeout() {
    const TIMEOUT: Duration = Duration::from_millis(50);
    let (mut event_loop, at) = listening(Options::default().linger(A_DAY).close_timeout(TIMEOUT));
    let mut recorder = Recorder::new(answer_and_close);
    let mut client = connect(at);
    let before = Instant::now();
    let uploader = std::thread::spawn(move || {
        loop {
            if let Err(error) = client.write_all(&[0; 10_000]) {
                return (client, error);
            }
        }
    });
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(0));
    assert_eq!(
        event_loop.net().stats().open,
        1,
        "the connection was reset while the peer could still read the answer"
    );
    turn_until(&mut event_loop, &mut recorder, |_, net| net.stats().open == 0);
    assert!(before.elapsed() >= TIMEOUT, "the connection ended too early");
    let (_, error) = uploader.join().unwrap();
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    assert_eq!(recorder.count(&Call::Data(vec![])), 1, "input after the close was shown");
    assert_eq!(next_deadline(&mut event_loop), None, "a timer is left");
}

#[test]
fn a_peer_that_does_not_read_is_reset_at_the_close_timeout() {
    let (mut event_loop, at) = listening(Options::default().close_timeout(Duration::from_millis(20)));
    let mut recorder = Recorder::new(|net, id, _, call| {
        if let Call::Data(_) = call {
            net.send_all(id, &[0; 8 << 20]);
            net.close(id);
        }
    });
    let mut client = connect_open(&mut event_loop, at, &mut recorder, 1).remove(0);
    let before = Instant::now();
    client.write_all(b"go").unwrap();
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(0));
    assert!(before.elapsed() >= Duration::from_millis(20), "the connection ended before the close timeout");
    assert_eq!(event_loop.net().stats().open, 0, "the connection lingers after a reset");
    assert_eq!(recorder.of(0).last(), Some(&Call::Close(CloseKind::CloseTimeout)));
    let (came, end) = read_out(&mut client);
    assert!(came.len() < 8 << 20 && end == End::of_abort());
    assert_eq!(next_deadline(&mut event_loop), None, "a timer is left");
}
