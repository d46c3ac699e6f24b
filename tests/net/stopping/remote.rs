//! Tests of `Remote`: the requests of other threads to an `EventLoop` or a guest, and several requests together.

use std::{
    net::TcpStream,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};
use tidegate::{CloseKind, EventLoop, Options, Reactor};

use crate::support::{Actor, Call, End, PATIENCE, connect, listening, read_out, turn_until, within};

const A_DAY: Duration = Duration::from_secs(24 * 3600);
const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);

/// Makes a loop with a client that stays connected.
fn with_a_client(actor: &mut Actor<'_>) -> (EventLoop, TcpStream) {
    let (mut event_loop, at) = listening(Options::default());
    let client = connect(at);
    turn_until(&mut event_loop, actor, |actor, _| actor.has_heard(&Call::Open));
    (event_loop, client)
}

#[test]
fn two_drains_before_a_turn_count_as_two() {
    let mut actor = Actor::idle();
    let (mut event_loop, mut client) = with_a_client(&mut actor);
    let remote = event_loop.remote();
    remote.drain(A_DAY);
    remote.drain(A_DAY);
    assert!(
        event_loop.turn(&mut actor, Some(PATIENCE)).unwrap().finished,
        "the second drain does not end the loop at once"
    );
    assert_eq!(actor.notes.last().unwrap().call, Call::Close(CloseKind::Aborted));
    assert_eq!(read_out(&mut client).1, End::of_abort());
    assert_eq!(event_loop.net().stats().drain_resets, 1);
}

#[test]
fn a_second_drain_in_a_later_turn_ends_at_once() {
    let mut actor = Actor::idle();
    let (mut event_loop, _client) = with_a_client(&mut actor);
    let remote = event_loop.remote();
    remote.drain(A_DAY);
    assert!(!event_loop.turn(&mut actor, Some(PATIENCE)).unwrap().finished);
    assert_eq!(actor.notes.last().unwrap().call, Call::Drain);
    assert!(event_loop.next_deadline().unwrap() > Instant::now() + A_DAY / 2);
    remote.clone().drain(A_DAY);
    assert!(event_loop.turn(&mut actor, Some(PATIENCE)).unwrap().finished);
    assert_eq!(event_loop.net().stats().open, 0);
    assert_eq!(event_loop.next_deadline(), None, "the timer of the first drain is left");
}

#[test]
fn a_stop_during_a_drain_returns_and_the_drain_goes_on_with_the_next_turn() {
    let mut actor = Actor::idle();
    let (mut event_loop, client) = with_a_client(&mut actor);
    let remote = event_loop.remote();
    remote.drain(A_DAY);
    assert!(!event_loop.turn(&mut actor, Some(PATIENCE)).unwrap().finished);
    remote.stop();
    assert!(event_loop.turn(&mut actor, Some(PATIENCE)).unwrap().finished);
    assert_eq!(event_loop.net().stats().open, 1, "a stop closed a connection");
    let turn = event_loop.turn(&mut actor, NOT_AT_ALL).unwrap();
    assert!(!turn.finished && !turn.more, "a stop ends more than one turn: {turn:?}");
    drop(client);
    let id = event_loop.net().sessions().next().unwrap().0;
    event_loop.net().close(id);
    let end = Instant::now() + PATIENCE;
    while !event_loop.turn(&mut actor, Some(PATIENCE)).unwrap().finished {
        assert!(Instant::now() < end, "the drain does not end with its last connection");
    }
    assert_eq!(event_loop.net().stats().drain_resets, 0);
}

#[test]
fn a_stop_and_a_drain_before_a_turn_both_take_effect() {
    let mut actor = Actor::idle();
    let (mut event_loop, _client) = with_a_client(&mut actor);
    let remote = event_loop.remote();
    remote.drain(A_DAY);
    remote.stop();
    remote.wake();
    assert!(event_loop.turn(&mut actor, Some(PATIENCE)).unwrap().finished);
    let cues: Vec<_> = actor.take_calls();
    assert!(cues.contains(&Call::Wake) && cues.contains(&Call::Drain), "{cues:?}");
    assert_eq!(event_loop.net().stats().open, 1);
}

#[test]
fn a_guest_is_woken_by_the_hosts_waker() {
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(16));
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
    let mut guests = [1..100, 100..200]
        .map(|tokens| Reactor::<()>::new(poll.registry(), tokens, Options::default()).unwrap());
    let remotes = [0, 1].map(|n| guests[n].remote(Arc::clone(&waker)));
    let mut actors = [(); 2].map(|()| Actor::idle());
    for (asked, other) in [(0, 1), (1, 0)] {
        let remote = remotes[asked].clone();
        let asking = thread::spawn(move || remote.wake());
        poll.poll(&mut events, Some(PATIENCE)).unwrap();
        asking.join().unwrap();
        assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [Token(0)]);
        assert!(events.iter().all(|event| !guests[0].handle(event) && !guests[1].handle(event)));
        let now = Instant::now();
        assert_eq!(guests[asked].timeout(now), NOT_AT_ALL, "a wake does not ask for a turn");
        assert_eq!(guests[other].timeout(now), None, "the wake of a guest wakes the other guest");
        (0..2).for_each(|n| assert!(!guests[n].settle(&mut actors[n], now).finished));
        assert_eq!((actors[asked].take_calls(), actors[other].take_calls()), (vec![Call::Wake], vec![]));
    }
    remotes[0].stop();
    let now = Instant::now();
    let finished = [0, 1].map(|n| guests[n].settle(&mut actors[n], now).finished);
    assert_eq!(finished, [true, false]);
}

#[test]
fn a_guest_that_sleeps_in_the_hosts_poll_can_be_drained() {
    let (told, remotes) = mpsc::channel();
    let hosting = thread::spawn(move || {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(16));
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let mut guest = Reactor::new(poll.registry(), 1.., Options::default()).unwrap();
        told.send(guest.remote(waker)).unwrap();
        let mut actor = Actor::idle();
        loop {
            let now = Instant::now();
            poll.poll(&mut events, guest.timeout(now).or(Some(PATIENCE))).unwrap();
            events.iter().for_each(|event| _ = guest.handle(event));
            if guest.settle(&mut actor, Instant::now()).finished {
                return actor.take_calls();
            }
            assert!(Instant::now() < now + PATIENCE, "the guest was not woken");
        }
    });
    let remote = remotes.recv_timeout(PATIENCE).unwrap();
    remote.wake();
    remote.drain(A_DAY);
    assert_eq!(within(|| hosting.join().unwrap()), [Call::Wake]);
    remote.wake(); // The guest and its poll are dropped; the call has no effect.
}

#[test]
fn on_wake_comes_before_the_timers_of_its_turn() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let mut actor = Actor::idle();
    event_loop.net().set_timer(Instant::now(), 1);
    event_loop.remote().wake();
    event_loop.turn(&mut actor, NOT_AT_ALL).unwrap();
    assert_eq!(actor.take_calls(), [Call::Wake, Call::Timer(1)]);
}
