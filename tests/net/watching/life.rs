//! Tests of watched sources beside connections, in a drain, after a panic, and after the end of the reactor.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use mio::{
    Interest,
    unix::pipe::{self, Receiver, Sender},
};
use tidegate::{CloseKind, Options, Reactor, Readiness};

use crate::support::{
    Actor, Call, Host, connect, listening,
    panicky::{Panicky, Place, World},
    turn_until,
};

const READABLE: Interest = Interest::READABLE;

fn full_pipe() -> (Sender, Receiver) {
    let (mut sender, receiver) = pipe::new().unwrap();
    sender.write_all(b"x").unwrap();
    (sender, receiver)
}

#[test]
fn watched_sources_do_not_count_as_connections() {
    let (mut event_loop, at) = listening::<()>(Options::default().max_connections(1));
    let mut pipes = [(); 3].map(|()| full_pipe());
    for (_, receiver) in &mut pipes {
        event_loop.net().watch(receiver, READABLE).unwrap();
    }
    assert_eq!(event_loop.net().stats().open, 0);
    let _client = connect(at);
    turn_until(&mut event_loop, &mut Actor::idle(), |actor, _| actor.has_heard(&Call::Open));
    assert_eq!(event_loop.net().stats().open, 1);
}

#[test]
fn a_drain_does_not_wait_for_watched_sources_and_leaves_them_watched() {
    let (mut event_loop, at) = listening::<()>(Options::default());
    let (mut sender, mut receiver) = pipe::new().unwrap();
    let id = event_loop.net().watch(&mut receiver, READABLE).unwrap();
    let mut actor = Actor::by_default();
    let client = connect(at);
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    drop(client);
    event_loop.net().drain(Duration::from_secs(24 * 3600));
    event_loop.run(&mut actor).unwrap();
    assert_eq!(event_loop.net().stats().open, 0);

    sender.write_all(b"x").unwrap();
    turn_until(&mut event_loop, &mut actor, |actor, _| {
        actor.has_heard(&Call::Ready(id, Readiness::READABLE))
    });
}

#[test]
fn a_drain_can_begin_and_be_cut_off_by_on_ready() {
    let (mut event_loop, at) = listening::<()>(Options::default());
    let (mut sender, mut receiver) = pipe::new().unwrap();
    let id = event_loop.net().watch(&mut receiver, READABLE).unwrap();
    let mut actor = Actor::idle().with_net(|net, call| {
        if let Call::Ready(..) = call {
            net.drain(Duration::from_secs(24 * 3600));
        }
    });
    let _client = connect(at);
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    sender.write_all(b"x").unwrap();
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Drain));
    event_loop.net().ready_again(id, Readiness::READABLE);
    event_loop.run(&mut actor).unwrap();
    assert!(actor.has_heard(&Call::Close(CloseKind::Aborted)));
}

#[test]
fn after_a_panic_in_on_ready_the_call_is_made_again_and_everything_else_goes_on() {
    let (_sender, mut receiver) = full_pipe();
    let mut world = World::new(Panicky::at(None, Call::Wake), 1);
    let id = world.net().watch(&mut receiver, READABLE).unwrap();
    let ready = Call::Ready(id, Readiness::READABLE);
    world.handler.act.at = Some(Place::Call(None, ready.clone()));
    world.collect(1);
    world.clients[0].write_all(b"hello").unwrap();
    world.collect(1);
    world.handler.notes.clear();
    assert_eq!(world.settle(), Err(()));
    assert_eq!(world.handler.take_calls(), std::slice::from_ref(&ready));
    assert_eq!(world.reactor.timeout(world.now), Some(Duration::ZERO), "the next turn is due");
    // The edge is not reported again, so the readiness of the call that panicked is shown again.
    assert_eq!(world.settle(), Ok(false));
    let calls = world.handler.take_calls();
    assert!(calls.contains(&ready) && calls.contains(&Call::Data(b"hello".to_vec())), "{calls:?}");
    world.turn_until_quiet();
    assert_eq!(world.handler.take_calls(), []);
    world.assert_serves();
}

/// A dropped reactor cannot deregister a source that the program has.
#[test]
fn a_source_outlives_its_reactor_and_stays_in_the_poll_of_the_host() {
    let mut host = Host::new();
    let mut reactor = Reactor::<()>::new(host.poll.registry(), 40..50, Options::default()).unwrap();
    let (mut sender, mut receiver) = pipe::new().unwrap();
    reactor.net().watch(&mut receiver, READABLE).unwrap();
    drop(reactor);
    sender.write_all(b"x").unwrap();
    assert!((40..50).contains(&host.collect(1)[0].token().0));
    host.poll.registry().deregister(&mut receiver).unwrap();

    let mut reactor = Reactor::<()>::new(host.poll.registry(), 40..50, Options::default()).unwrap();
    let id = reactor.net().watch(&mut receiver, READABLE).unwrap();
    host.collect(1).iter().for_each(|event| assert!(reactor.handle(event)));
    let mut actor = Actor::idle();
    reactor.settle(&mut actor, Instant::now());
    assert_eq!(actor.take_calls(), [Call::Ready(id, Readiness::READABLE)]);
}

#[test]
fn the_token_of_a_source_whose_descriptor_is_closed_can_be_freed() {
    use std::os::fd::{AsRawFd, OwnedFd};

    let host = Host::new();
    let mut reactor = Reactor::<()>::new(host.poll.registry(), 40..41, Options::default()).unwrap();
    let (_sender, receiver) = pipe::new().unwrap();
    let fd = OwnedFd::from(receiver);
    let raw = fd.as_raw_fd();
    let id = reactor.net().watch(&mut mio::unix::SourceFd(&raw), READABLE).unwrap();
    drop(fd);
    reactor.net().unwatch(id, &mut mio::unix::SourceFd(&raw));
    reactor.settle(&mut Actor::idle(), Instant::now());
    let (_writer, mut other) = full_pipe();
    reactor.net().watch(&mut other, READABLE).unwrap();
}

#[test]
fn a_rehearsal_makes_the_calls_that_ready_again_asks_for() {
    let mut rehearsal = tidegate::testing::Rehearsal::new(Options::default());
    let (_sender, mut receiver) = full_pipe();
    let id = rehearsal.net().watch(&mut receiver, READABLE).unwrap();
    let mut actor = Actor::idle();
    rehearsal.settle(&mut actor);
    assert_eq!(actor.take_calls(), []);
    rehearsal.net().ready_again(id, Readiness::READABLE);
    rehearsal.settle(&mut actor);
    assert_eq!(actor.take_calls(), [Call::Ready(id, Readiness::READABLE)]);
}
