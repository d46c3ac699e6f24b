//! Tests of `release_listener`, the inverse of `adopt_listener`.

use std::{
    io::{ErrorKind, Write},
    net::TcpListener,
};

use tidegate::{EventLoop, Options};

use crate::support::{Actor, Call, connect, listening, turn_until, turn_until_quiet};

#[test]
fn clients_in_the_backlog_are_served_by_the_next_owner_of_the_listener() {
    let (mut old, at) = listening(Options::default());
    let (mut left, mut got) = (Actor::echo(), Actor::echo());
    let first = connect(at);
    turn_until(&mut old, &mut left, |actor, _| actor.has_heard(&Call::Open));
    let id = left.notes[0].id.unwrap();
    let listener = old.net().conn(id).unwrap().listener().unwrap();
    let mut waiting = connect(at);
    waiting.write_all(b"hello").unwrap();
    let socket = old.net().release_listener(listener).unwrap();
    assert!(old.net().release_listener(listener).is_none());
    assert!(old.net().local_address(listener).is_err() && old.net().conn(id).unwrap().listener().is_none());

    let mut new = EventLoop::new(Options::default()).unwrap();
    new.net().adopt_listener(socket).unwrap();
    turn_until(&mut new, &mut got, |_, net| net.stats().bytes_sent == 5);
    std::io::Read::read_exact(&mut waiting, &mut [0; 5]).unwrap();
    turn_until_quiet(&mut old, &mut left);
    assert_eq!((old.net().stats().accepted, new.net().stats().accepted), (1, 1));
    // A client of the old loop is still served there.
    (&first).write_all(b"still here").unwrap();
    turn_until(&mut old, &mut left, |_, net| net.stats().bytes_sent == 10);
}

#[test]
fn a_released_listener_accepts_for_the_program_itself() {
    let mut event_loop = EventLoop::<()>::new(Options::default()).unwrap();
    let listener = event_loop.net().listen("127.0.0.1:0").unwrap();
    let socket = event_loop.net().release_listener(listener).unwrap();
    drop(event_loop);
    let client = connect(socket.local_addr().unwrap());
    socket.set_nonblocking(false).unwrap();
    assert_eq!(socket.accept().unwrap().1, client.local_addr().unwrap());
}

#[test]
fn a_listener_may_be_released_in_the_turn_in_which_it_accepts() {
    let (mut old, at) = listening(Options::default());
    let _clients: Vec<_> = (0..3).map(|_| connect(at)).collect();
    let mut socket = None;
    let mut actor = Actor::with_conn(|conn, call| {
        if *call == Call::Open {
            let listener = conn.listener().unwrap();
            socket = conn.net().release_listener(listener);
        }
    });
    turn_until(&mut old, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    turn_until_quiet(&mut old, &mut actor);
    assert_eq!(actor.count(&Call::Open), 1);
    drop(actor);
    let socket = socket.unwrap();
    assert!(socket.accept().is_ok() && socket.accept().is_ok(), "two clients are left in the backlog");
}

#[test]
fn a_duplicate_of_a_listener_accepts_beside_the_reactor_and_after_its_close() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let listener = event_loop.net().listen("127.0.0.1:0").unwrap();
    let duplicate: TcpListener =
        event_loop.net().listener_socket(listener).unwrap().try_clone().unwrap().into();
    let at = duplicate.local_addr().unwrap();
    let client = connect(at);
    assert_eq!(duplicate.accept().unwrap().1, client.local_addr().unwrap());
    let _served = connect(at);
    turn_until(&mut event_loop, &mut Actor::echo(), |_, net| net.stats().accepted == 1);

    let waits = connect(at);
    event_loop.net().close_listener(listener);
    assert_eq!(event_loop.net().listener_socket(listener).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(duplicate.accept().unwrap().1, waits.local_addr().unwrap());
    let late = connect(at);
    assert_eq!(duplicate.accept().unwrap().1, late.local_addr().unwrap());
}

/// A restart duplicates the socket for the next process, and releases the listener when that process is ready.
#[test]
#[cfg(unix)]
fn a_released_unix_listener_leaves_its_file_to_the_owner_of_the_duplicate() {
    let folder = crate::support::unix::Folder::new();
    let path = folder.file("socket");
    let mut event_loop = EventLoop::<()>::new(Options::default()).unwrap();
    let listener = event_loop.net().listen(format!("unix:{}", path.display())).unwrap();
    let duplicate = event_loop.net().listener_socket(listener).unwrap().try_clone().unwrap();
    assert!(event_loop.net().release_listener(listener).is_none());
    drop(event_loop.net().release_unix_listener(listener).unwrap());
    drop(event_loop);
    let _client = crate::support::unix::connect_to(&path, |_| {});
    duplicate.accept().unwrap();
}
