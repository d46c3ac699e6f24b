//! Tests of the ids and the tokens of watched sources.

use std::io::{ErrorKind, Write};

use mio::{
    Interest, Token,
    unix::pipe::{self, Receiver, Sender},
};
use tidegate::{Options, Reactor, Readiness};

use crate::support::{Actor, Call, Guest, Host};

const READABLE: Interest = Interest::READABLE;

/// Returns a pipe that is ready to be read.
fn full_pipe() -> (Sender, Receiver) {
    let (mut sender, receiver) = pipe::new().unwrap();
    sender.write_all(b"x").unwrap();
    (sender, receiver)
}

#[test]
fn a_source_unwatched_by_the_callback_of_another_source_has_no_call() {
    let mut pipes = [(); 2].map(|()| full_pipe());
    let mut guest = Guest::in_poll(1..100, Options::default(), Actor::idle());
    let ids = [0, 1].map(|which| guest.net().watch(&mut pipes[which].1, READABLE).unwrap());
    let mut unwatched = None;
    guest.handler = Actor::idle().with_net(move |net, call| {
        let Call::Ready(source, _) = call else { panic!("{call:?}") };
        let other = usize::from(*source == ids[0]);
        net.unwatch(ids[other], &mut pipes[other].1);
        assert_eq!(unwatched.replace(other), None, "the other source is unwatched");
    });
    guest.collect(2);
    guest.settle();
    guest.turn_until_quiet();
    assert_eq!(guest.handler.notes.len(), 1);
}

#[test]
fn a_source_may_unwatch_itself_and_be_watched_again_in_its_callback() {
    let (_sender, mut receiver) = full_pipe();
    let mut guest = Guest::in_poll(1..100, Options::default(), Actor::idle());
    let first = guest.net().watch(&mut receiver, READABLE).unwrap();
    guest.handler = Actor::idle().with_net(move |net, call| {
        let Call::Ready(source, ready) = call else { panic!("{call:?}") };
        net.unwatch(*source, &mut receiver);
        net.ready_again(*source, *ready); // the id names nothing any more
        if *source == first {
            assert_ne!(net.watch(&mut receiver, READABLE).unwrap(), first);
        }
    });
    guest.collect(1);
    guest.settle();
    assert_eq!(guest.handler.notes.len(), 1);
    guest.collect(1); // the pipe is still ready, and the second registration says so
    guest.settle();
    guest.turn_until_quiet();
    assert_eq!(guest.handler.notes.len(), 2);
}

#[test]
fn a_late_event_of_an_unwatched_source_reaches_nobody() {
    let mut host = Host::new();
    let (mut reactor, _at) = host.listening(1..100, Options::default());
    let mut actor = Actor::idle();
    let (_sender, mut old) = full_pipe();
    let id = reactor.net().watch(&mut old, READABLE).unwrap();
    let events = host.collect(1);
    reactor.net().unwatch(id, &mut old);
    let (_writer, mut new) = pipe::new().unwrap();
    let new_id = reactor.net().watch(&mut new, READABLE).unwrap();
    assert_ne!(id, new_id);
    assert!(reactor.handle(&events[0]), "the token is still one of the reactor");
    let now = std::time::Instant::now();
    reactor.settle(&mut actor, now);
    assert_eq!(actor.take_calls(), []);

    // An event that came before the source was unwatched.
    reactor.net().ready_again(new_id, Readiness::READABLE);
    reactor.net().unwatch(new_id, &mut new);
    reactor.settle(&mut actor, now);
    assert_eq!(actor.take_calls(), []);
}

#[test]
fn the_next_source_in_a_slot_does_not_answer_to_the_old_id() {
    // One token: the second source has the slot of the first source.
    let mut guest = Guest::in_poll(5..6, Options::default(), Actor::idle());
    let (_sender, mut first) = full_pipe();
    let (_writer, mut second) = pipe::new().unwrap();
    let old = guest.net().watch(&mut first, READABLE).unwrap();
    let refused = guest.net().watch(&mut second, READABLE).unwrap_err();
    assert!(refused.to_string().contains("token"), "{refused}");
    guest.net().unwatch(old, &mut first);
    assert!(guest.net().watch(&mut second, READABLE).is_err(), "the slot is free only after a pass");
    guest.settle();
    let new = guest.net().watch(&mut second, READABLE).unwrap();
    assert_ne!(old, new);

    guest.net().ready_again(old, Readiness::READABLE);
    guest.net().unwatch(old, &mut second);
    let error = guest.net().rewatch(old, &mut second, READABLE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    guest.turn_until_quiet();
    assert_eq!(guest.handler.take_calls(), []);
    guest.net().ready_again(new, Readiness::READABLE);
    guest.turn_until_quiet();
    assert_eq!(guest.handler.take_calls(), [Call::Ready(new, Readiness::READABLE)]);
}

#[test]
fn the_tokens_of_watched_sources_are_those_of_their_reactor() {
    let mut host = Host::new();
    let mut guests = [10..20, 20..30]
        .map(|tokens| Reactor::<()>::new(host.poll.registry(), tokens, Options::default()).unwrap());
    let mut actors = [Actor::idle(), Actor::idle()];
    let mut pipes = [(); 2].map(|()| full_pipe());
    let mut own = full_pipe();
    host.poll.registry().register(&mut own.1, Token(7), READABLE).unwrap();
    let ids = [0, 1].map(|n| guests[n].net().watch(&mut pipes[n].1, READABLE).unwrap());
    let mut events_of_host = 0;
    for event in host.collect(3) {
        let takers = [guests[0].handle(&event), guests[1].handle(&event)];
        assert!(takers != [true, true]);
        if takers == [false, false] {
            assert_eq!(event.token(), Token(7));
            events_of_host += 1;
        }
    }
    assert_eq!(events_of_host, 1);
    for n in [0, 1] {
        guests[n].settle(&mut actors[n], std::time::Instant::now());
        assert_eq!(actors[n].take_calls(), [Call::Ready(ids[n], Readiness::READABLE)]);
    }
}

#[test]
fn a_source_that_is_registered_already_is_refused_and_costs_no_token() {
    let mut guest = Guest::in_poll(5..7, Options::default(), Actor::idle());
    let (_sender, mut receiver) = full_pipe();
    guest.net().watch(&mut receiver, READABLE).unwrap();
    let error = guest.net().watch(&mut receiver, READABLE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let (_writer, mut other) = full_pipe();
    guest.net().watch(&mut other, READABLE).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(mio_unsupported_force_poll_poll, ignore = "poll(2) takes regular files")]
fn epoll_refuses_a_regular_file() {
    use std::os::fd::AsRawFd;

    let mut guest = Guest::in_poll(5..6, Options::default(), Actor::idle());
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let fd = file.as_raw_fd();
    let error = guest.net().watch(&mut mio::unix::SourceFd(&fd), READABLE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}
