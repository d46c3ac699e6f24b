//! Tests of reads of a Unix socket that the kernel ends before the socket is empty.

use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg, sockopt};
use tidegate::{Address, CloseKind, EventLoop, Options};

use crate::support::{
    Actor, Call, PATIENCE, assert_same, pattern, turn_until, turn_until_quiet, unix::Folder,
};

fn event_loop() -> EventLoop {
    EventLoop::new(Options::default()).unwrap()
}

fn patient(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The ways by which a connection comes into a loop.
#[derive(Clone, Copy, Debug)]
enum Way {
    Adopted,
    Accepted,
    Connected,
}

/// Makes a loop with an open connection, and returns the other end.
fn opened(way: Way, folder: &Folder) -> (EventLoop, UnixStream) {
    let (mut event_loop, path) = (event_loop(), folder.file(&format!("{way:?}")));
    let mut actor = Actor::idle();
    let other = match way {
        Way::Adopted => {
            let (ours, theirs) = UnixStream::pair().unwrap();
            event_loop.net().adopt_unix_stream(ours, ()).unwrap();
            theirs
        }
        Way::Accepted => {
            event_loop.net().listen(Address::unix(&path).unwrap()).unwrap();
            UnixStream::connect(&path).unwrap()
        }
        Way::Connected => {
            let listener = UnixListener::bind(&path).unwrap();
            event_loop.net().connect(Address::unix(&path).unwrap(), ());
            turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
            let other = listener.accept().unwrap().0;
            std::fs::remove_file(&path).unwrap();
            other
        }
    };
    turn_until_quiet(&mut event_loop, &mut actor);
    (event_loop, patient(other))
}

/// A read of a Unix socket ends behind bytes that came with descriptors, so it returns less than it was asked for although
/// more bytes are there.
#[test]
fn descriptors_among_the_bytes_stop_a_read_and_lose_no_byte() {
    let folder = Folder::new();
    for (way, closes) in [
        (Way::Adopted, true),
        (Way::Adopted, false),
        (Way::Accepted, false),
        (Way::Connected, true),
        (Way::Connected, false),
    ] {
        let (mut event_loop, mut client) = opened(way, &folder);
        let passed = std::fs::File::open("/dev/null").unwrap();
        let pieces: Vec<Vec<u8>> = (0..9).map(|n| pattern(1000 + n, n as u64)).collect();
        for (n, piece) in pieces.iter().enumerate() {
            if n % 3 == 1 {
                send_with_descriptor(&client, piece, passed.as_fd());
            } else {
                client.write_all(piece).unwrap();
            }
        }
        if closes {
            client.shutdown(Shutdown::Write).unwrap();
        }
        let expected = pieces.concat();
        let mut actor = Actor::echo();
        // All bytes are there before this turn, so only one event tells of them.
        turn_until_quiet(&mut event_loop, &mut actor);
        assert_eq!(event_loop.net().stats().bytes_received, expected.len() as u64, "{way:?}");
        let mut echo = vec![0; expected.len()];
        client.read_exact(&mut echo).unwrap();
        assert_same(&echo, &expected);
        assert_eq!(actor.has_heard(&Call::Eof), closes);
        // Bytes that come later are announced by an event of their own.
        if !closes {
            send_with_descriptor(&client, b"later", passed.as_fd());
            client.write_all(b" still").unwrap();
            turn_until_quiet(&mut event_loop, &mut actor);
            client.read_exact(&mut echo[..11]).unwrap();
            assert_eq!(&echo[..11], b"later still");
        }
    }
}

fn send_with_descriptor(stream: &UnixStream, bytes: &[u8], descriptor: std::os::fd::BorrowedFd<'_>) {
    let mut space = [std::mem::MaybeUninit::uninit(); 64];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let sent = sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::empty()).unwrap();
    assert_eq!(sent, bytes.len());
}

/// An error that the kernel reports behind such a read is not lost.
#[test]
fn a_reset_behind_bytes_with_descriptors_is_the_reason_of_the_end() {
    let folder = Folder::new();
    for way in [Way::Adopted, Way::Accepted, Way::Connected] {
        let (mut event_loop, client) = opened(way, &folder);
        let id = event_loop.net().sessions().next().unwrap().0;
        event_loop.net().send_all(id, b"never read");
        event_loop.flush();
        (&client).write_all(b"last words, ").unwrap();
        send_with_descriptor(&client, b"with a descriptor", std::io::stdin().as_fd());
        drop(client);
        let mut actor = Actor::by_default();
        turn_until(&mut event_loop, &mut actor, |_, net| net.stats().closed == 1);
        assert_eq!(heard(&actor), b"last words, with a descriptor");
        if cfg!(target_os = "linux") {
            assert_eq!(actor.ends(), [CloseKind::Reset], "{way:?}");
        }
    }
}

/// A socket that asks for credentials reads the messages of different senders one by one.
#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn an_adopted_socket_that_asks_for_credentials_loses_no_byte() {
    let (ours, client) = UnixStream::pair().unwrap();
    sockopt::set_socket_passcred(&ours, true).unwrap();
    let mut event_loop = event_loop();
    event_loop.net().adopt_unix_stream(ours, ()).unwrap();
    let mut actor = Actor::by_default();
    turn_until_quiet(&mut event_loop, &mut actor);
    for _ in 0..3 {
        (&client).write_all(b"one").unwrap();
        send_with_descriptor(&client, b"two", std::io::stdin().as_fd());
        (&client).write_all(b"three").unwrap();
    }
    turn_until_quiet(&mut event_loop, &mut actor);
    assert_eq!(heard(&actor), b"onetwothree".repeat(3));
}

/// A read ends in front of an urgent mark, which the bytes leave out.
#[test]
#[cfg(target_os = "linux")]
fn an_urgent_mark_among_the_bytes_loses_no_other_byte() {
    let folder = Folder::new();
    for way in [Way::Adopted, Way::Accepted, Way::Connected] {
        for (before, after) in [("before", "after"), ("", "after"), ("before", "")] {
            let (mut event_loop, client) = opened(way, &folder);
            (&client).write_all(before.as_bytes()).unwrap();
            match send(&client, b"!", SendFlags::OOB) {
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    return eprintln!("skipped: before Linux 5.15, Unix sockets have no urgent mark");
                }
                sent => assert_eq!(sent, Ok(1)),
            }
            (&client).write_all(after.as_bytes()).unwrap();
            let mut actor = Actor::by_default();
            turn_until_quiet(&mut event_loop, &mut actor);
            assert_eq!(heard(&actor), [before, after].concat().as_bytes(), "{way:?}");
            (&client).write_all(b", later").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Eof));
            assert_eq!(heard(&actor), [before, after, ", later"].concat().as_bytes(), "{way:?}");
        }
    }
}

/// Returns the bytes that the handler was shown.
fn heard(actor: &Actor<'_>) -> Vec<u8> {
    let bytes = actor.notes.iter().filter_map(|note| match &note.call {
        Call::Data(bytes) => Some(&bytes[..]),
        _ => None,
    });
    bytes.collect::<Vec<_>>().concat()
}
