//! Tests of what a program may do with a detached connection by itself.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use tidegate::{EventLoop, Options};

use crate::support::{Actor, Call, Recorder, pair::Pair, turn_until_quiet};

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
