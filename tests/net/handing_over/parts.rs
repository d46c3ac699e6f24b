//! Tests of what a program may do with a detached connection by itself, and of the socket that goes along.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use tidegate::{EventLoop, Keepalive, ListenOptions, Options};

use crate::support::{Actor, Call, Recorder, pair::Pair, read_to_end, turn_until, turn_until_quiet};

#[test]
fn the_parts_are_the_stream_the_session_and_the_bytes_of_both_directions() {
    let mut event_loop: EventLoop<u32> = EventLoop::new(Options::default()).unwrap();
    let mut recorder = Recorder::new(|_, _, _, _: &Call| {});
    let mut pair = Pair::adopted_by(event_loop.net(), 42);
    turn_until_quiet(&mut event_loop, &mut recorder);
    event_loop.net().send_all(pair.id, b"un");
    event_loop.net().send_shared(pair.id, &Arc::from(&b"sent"[..]));
    let mut detached = event_loop.net().detach(pair.id).unwrap();
    detached.put_back(b"received");
    assert_eq!(detached.peer().unwrap(), pair.client.local_addr().unwrap().into());
    *detached.session_mut() += 1;
    assert_eq!(*detached.session(), 43);
    let detached = detached.map(|number| format!("number {number}"));
    let mut parts = detached.into_parts().expect("the stream is open");
    assert_eq!(
        (parts.session.as_str(), &parts.received[..], &parts.unsent[..]),
        ("number 43", &b"received"[..], &b"unsent"[..])
    );
    drop(event_loop);
    parts.stream.set_nonblocking(false).unwrap();
    parts.stream.write_all(&parts.unsent).unwrap();
    assert_eq!(pair.read(6), b"unsent");
    pair.client.write_all(b"hello").unwrap();
    parts.stream.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_connection_that_was_closed_has_no_parts() {
    let mut event_loop: EventLoop = EventLoop::new(Options::default()).unwrap();
    let mut actor = Actor::idle();
    let pair = Pair::adopted_by(event_loop.net(), ());
    turn_until_quiet(&mut event_loop, &mut actor);
    event_loop.net().close(pair.id);
    let detached = event_loop.net().detach(pair.id).unwrap();
    assert!(detached.into_parts().is_err());
}

#[test]
fn the_socket_keeps_the_options_that_its_listener_gave_it() {
    let mut old: EventLoop = EventLoop::new(Options::default()).unwrap();
    let options = ListenOptions::default().nodelay(false);
    let listener = old.net().listen_with("127.0.0.1:0", options).unwrap();
    let at = old.net().local_address(listener).unwrap().socket_addrs()[0];
    let (mut left, mut got) = (Actor::idle(), Actor::idle());
    let _client = crate::support::connect(at);
    turn_until(&mut old, &mut left, |actor, _| actor.has_heard(&Call::Open));
    let detached = old.net().detach(left.notes[0].id.unwrap()).unwrap();
    let mut new: EventLoop =
        EventLoop::new(Options::default().keepalive(Some(Keepalive::default()))).unwrap();
    let id = new.net().attach(detached).unwrap();
    turn_until(&mut new, &mut got, |actor, _| actor.has_heard(&Call::Open));
    let conn = new.net().conn(id).unwrap();
    let socket = conn.socket().unwrap();
    assert_eq!((socket.tcp_nodelay().unwrap(), socket.keepalive().unwrap()), (false, false));
}

#[test]
fn a_connection_that_was_adopted_or_attached_in_this_turn_has_parts() {
    for attached in [false, true] {
        let mut event_loop: EventLoop = EventLoop::new(Options::default()).unwrap();
        let mut pair = Pair::adopted_by(event_loop.net(), ());
        let mut detached = event_loop.net().detach(pair.id).unwrap();
        if attached {
            let id = event_loop.net().attach(detached).unwrap();
            detached = event_loop.net().detach(id).unwrap();
        }
        let mut parts = detached.into_parts().expect("the stream is open");
        parts.stream.write_all(b"hello").unwrap();
        assert_eq!(pair.read(5), b"hello");
        pair.client.write_all(b"hello").unwrap();
    }
}

#[test]
fn an_end_of_file_that_was_asked_for_is_sent_before_the_parts_leave() {
    let mut event_loop: EventLoop = EventLoop::new(Options::default()).unwrap();
    let mut actor = Actor::idle();
    let mut pair = Pair::adopted_by(event_loop.net(), ());
    turn_until_quiet(&mut event_loop, &mut actor);
    event_loop.net().shutdown_write(pair.id);
    let parts = event_loop.net().detach(pair.id).unwrap().into_parts().expect("the stream is open");
    assert_eq!(read_to_end(&mut pair.client), b"");
    drop(parts);
}
