//! Tests of when a watched source is reported as ready, and how often.

use std::{
    io::{ErrorKind, Read, Write},
    time::Duration,
};

use mio::{
    Interest,
    net::UnixStream,
    unix::{
        SourceFd,
        pipe::{self, Receiver, Sender},
    },
};
use tidegate::{EventLoop, Options, Readiness, SourceId};

use crate::support::{
    Actor, Call, Guest, Turns, listening,
    pair::{Pair, turn_on_hints_alone},
    pattern, turn_until, turn_until_quiet,
};

fn watched_pipe(net: &mut tidegate::Net) -> (Sender, Receiver, SourceId) {
    let (sender, mut receiver) = pipe::new().unwrap();
    let id = net.watch(&mut receiver, Interest::READABLE).unwrap();
    (sender, receiver, id)
}

fn guest() -> Guest<Actor<'static>> {
    Guest::in_poll(1..100, Options::default(), Actor::idle())
}

/// Reads until `WouldBlock`, and returns true at the end of the stream.
fn read_all(source: &mut impl Read, into: &mut Vec<u8>) -> bool {
    match source.read_to_end(into) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

#[test]
fn all_bytes_of_a_pipe_and_its_end_reach_the_program() {
    let mut event_loop: EventLoop = EventLoop::new(Options::default()).unwrap();
    let (sender, mut receiver, id) = watched_pipe(event_loop.net());
    let bytes = pattern(1 << 20, 3);
    let sent = bytes.clone();
    let writing = std::thread::spawn(move || {
        sender.set_nonblocking(false).unwrap();
        (&sender).write_all(&sent).unwrap();
    });
    let mut received = Vec::new();
    let mut actor = Actor::idle().with_net(|net, call| {
        let Call::Ready(source, _) = call else { panic!("{call:?}") };
        assert_eq!(*source, id);
        if read_all(&mut receiver, &mut received) {
            net.unwatch(id, &mut receiver);
            net.stop();
        }
    });
    event_loop.run(&mut actor).unwrap();
    drop(actor);
    writing.join().unwrap();
    assert!(received == bytes, "{} bytes", received.len());
}

#[test]
fn a_ready_source_is_reported_by_a_turn_and_not_by_the_event() {
    let mut guest = guest();
    let (mut sender, _receiver, id) = watched_pipe(guest.net());
    sender.write_all(b"x").unwrap();
    guest.collect(1);
    assert_eq!(guest.handler.take_calls(), []);
    guest.settle();
    assert_eq!(guest.handler.take_calls(), [Call::Ready(id, Readiness::READABLE)]);
    guest.turn_until_quiet();
    assert_eq!(guest.handler.take_calls(), [], "the readiness is not reported again");
}

#[test]
fn events_between_two_calls_are_merged_into_one_call() {
    let mut guest = guest();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let both = Interest::READABLE | Interest::WRITABLE;
    let id = guest.net().watch(&mut near, both).unwrap();
    guest.collect(1); // writable
    far.write_all(b"x").unwrap();
    guest.collect(1); // readable
    guest.settle();
    let merged = Readiness::READABLE | Readiness::WRITABLE;
    assert_eq!(guest.handler.take_calls(), [Call::Ready(id, merged)]);

    assert!(!read_all(&mut near, &mut Vec::new()));
    drop(far);
    guest.collect(1);
    guest.settle();
    let calls = guest.handler.take_calls();
    let [Call::Ready(_, ready)] = calls[..] else { panic!("{calls:?}") };
    assert!(ready.is_readable() && ready.is_read_closed(), "{ready:?}");
}

#[test]
fn each_of_two_sources_has_calls_of_its_own_in_the_order_of_the_events() {
    let mut guest = guest();
    let mut pipes = [(); 2].map(|()| watched_pipe(guest.net()));
    for first in [0, 1] {
        for which in [first, 1 - first] {
            pipes[which].0.write_all(b"x").unwrap();
            guest.collect(1);
        }
        guest.settle();
        let expected = [first, 1 - first].map(|which| Call::Ready(pipes[which].2, Readiness::READABLE));
        assert_eq!(guest.handler.take_calls(), expected);
        pipes.iter_mut().for_each(|(_, receiver, _)| _ = read_all(receiver, &mut Vec::new()));
    }
}

#[test]
fn ready_again_makes_a_call_in_each_turn_until_the_source_is_empty() {
    let mut event_loop: EventLoop = EventLoop::new(Options::default()).unwrap();
    let (mut sender, mut receiver, id) = watched_pipe(event_loop.net());
    sender.write_all(b"ten bytes.").unwrap();
    let mut byte = [0];
    let mut received = Vec::<u8>::new();
    let mut actor = Actor::idle().with_net(|net, call| {
        let Call::Ready(source, ready) = call else { panic!("{call:?}") };
        assert_eq!(*ready, Readiness::READABLE);
        match receiver.read(&mut byte) {
            Ok(n) => {
                received.extend(&byte[..n]);
                net.ready_again(*source, *ready);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    });
    turn_until(&mut event_loop, &mut actor, |actor, _| !actor.notes.is_empty());
    assert_eq!(actor.notes.len(), 1, "a turn makes one call");
    assert_eq!(turn_on_hints_alone(&mut event_loop, &mut actor), 10);
    assert_eq!(actor.notes.len(), 11);
    assert_eq!(event_loop.next_deadline(), None);

    // Between turns, as when there is room again for bytes that the handler has left in the pipe.
    event_loop.net().ready_again(id, Readiness::READABLE);
    assert_eq!(turn_on_hints_alone(&mut event_loop, &mut actor), 1);
    drop(actor);
    assert_eq!(received, b"ten bytes.");
}

#[test]
fn a_source_that_is_always_ready_keeps_no_connection_waiting() {
    let (mut event_loop, _at) = listening::<()>(Options::default());
    let (_sender, _receiver, id) = watched_pipe(event_loop.net());
    let mut actor = Actor::idle().with_net(|net, call| {
        if let Call::Ready(source, ready) = call {
            net.ready_again(*source, *ready);
        }
    });
    let pair = Pair::adopted_by(event_loop.net(), ());
    turn_until_quiet(&mut event_loop, &mut actor);
    event_loop.net().ready_again(id, Readiness::READABLE);
    for turn in 0..100 {
        pair.send(b"hello");
        actor.take_calls();
        event_loop.make_turn(&mut actor, Duration::ZERO);
        let hello = Call::Data(b"hello".to_vec());
        let calls = actor.take_calls();
        assert!(calls.contains(&hello), "turn {turn}: {calls:?}");
        assert_eq!(calls.len(), 2, "turn {turn}: {calls:?}");
    }
}

#[test]
fn bytes_that_on_ready_sends_to_a_connection_leave_in_the_same_turn() {
    let (mut event_loop, _at) = listening::<()>(Options::default());
    let (mut sender, _receiver, _) = watched_pipe(event_loop.net());
    let pair = Pair::adopted_by(event_loop.net(), ());
    let mut actor = Actor::idle().with_net(|net, call| {
        if let Call::Ready(..) = call {
            net.for_each(|conn| _ = conn.send_all(b"tick"));
        }
    });
    turn_until_quiet(&mut event_loop, &mut actor);
    sender.write_all(b"x").unwrap();
    turn_until(&mut event_loop, &mut actor, |actor, _| {
        !actor.notes.iter().all(|note| note.call == Call::Open)
    });
    assert_eq!(pair.read(4), b"tick");
}

#[test]
fn rewatch_changes_the_interest_and_reports_a_source_that_is_still_ready() {
    let mut guest = guest();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let id = guest.net().watch(&mut near, Interest::READABLE).unwrap();
    far.write_all(b"xy").unwrap();
    guest.collect(1);
    for byte in [b'x', b'y'] {
        guest.settle();
        let calls = guest.handler.take_calls();
        assert_eq!(calls, [Call::Ready(id, Readiness::READABLE)]);
        let mut one = [0];
        assert_eq!((near.read(&mut one).unwrap(), one[0]), (1, byte));
        guest.net().rewatch(id, &mut near, Interest::READABLE).unwrap();
        if byte == b'x' {
            guest.collect(1); // the second byte, of which no further event would tell
        }
    }
    guest.turn_until_quiet();
    assert_eq!(guest.handler.take_calls(), []);

    guest.net().rewatch(id, &mut near, Interest::WRITABLE).unwrap();
    guest.collect(1);
    guest.settle();
    assert_eq!(guest.handler.take_calls(), [Call::Ready(id, Readiness::WRITABLE)]);
}

/// The writer has gone, so the poll reports a hang-up with the first event.
#[test]
fn rewatch_brings_each_byte_and_the_end_of_a_pipe_that_is_read_once_for_an_event() {
    let mut guest = guest();
    let (mut sender, receiver) = pipe::new().unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&receiver);
    let id = guest.net().watch(&mut SourceFd(&fd), Interest::READABLE).unwrap();
    sender.write_all(b"abc").unwrap();
    drop(sender);
    let mut received = Vec::<u8>::new();
    for expected in [1, 1, 1, 0] {
        guest.collect(1);
        guest.settle();
        let calls = guest.handler.take_calls();
        assert!(matches!(calls[..], [Call::Ready(_, ready)] if ready.is_readable()), "{calls:?}");
        let mut byte = [0];
        let n = (&receiver).read(&mut byte).unwrap();
        assert_eq!(n, expected, "after {received:?}");
        received.extend(&byte[..n]);
        guest.net().rewatch(id, &mut SourceFd(&fd), Interest::READABLE).unwrap();
    }
    assert_eq!(received, b"abc");
    guest.net().unwatch(id, &mut SourceFd(&fd));
    guest.turn_until_quiet();
}
