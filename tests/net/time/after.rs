//! Tests of timers that count from now: in a turn from its time, between turns from the time of the next turn.

use std::time::{Duration, Instant};

use tidegate::{EventLoop, Options, Reactor, testing::Rehearsal};

use crate::support::{Actor, Call, Host};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_timer_set_between_turns_counts_from_the_next_turn() {
    let (host, start) = (Host::new(), Instant::now());
    let mut reactor: Reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let mut actor = Actor::idle();
    reactor.settle(&mut actor, start);
    // The last turn is an hour ago when the host sets the timer.
    let now = start + 3600 * SECOND;
    reactor.net().after(2 * SECOND, 7);
    assert_eq!(reactor.timeout(now), Some(Duration::ZERO), "a turn is due, which tells the time");
    reactor.settle(&mut actor, now);
    assert_eq!((reactor.timeout(now), actor.notes.len()), (Some(2 * SECOND), 0));
    reactor.settle(&mut actor, now + 2 * SECOND);
    assert_eq!(actor.take_calls(), [Call::Timer(7)]);
    assert_eq!(reactor.timeout(now + 2 * SECOND), None);
}

#[test]
fn a_timer_set_in_a_callback_counts_from_the_time_of_the_turn() {
    let (host, start) = (Host::new(), Instant::now());
    let mut reactor: Reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let mut actor = Actor::idle().with_net(|net, call| {
        if *call == Call::Timer(1) {
            net.after(SECOND, 2);
        }
    });
    reactor.net().set_timer(start + SECOND, 1);
    reactor.settle(&mut actor, start + 5 * SECOND);
    assert_eq!(reactor.timeout(start + 5 * SECOND), Some(SECOND));
    // The timer does not move although further turns are made.
    reactor.settle(&mut actor, start + 5 * SECOND + SECOND / 2);
    assert_eq!(reactor.timeout(start + 5 * SECOND + SECOND / 2), Some(SECOND / 2));
    reactor.settle(&mut actor, start + 6 * SECOND);
    assert_eq!(actor.take_calls(), [Call::Timer(1), Call::Timer(2)]);
}

#[test]
fn a_timer_set_before_the_first_turn_counts_from_the_first_turn() {
    let mut event_loop: EventLoop = EventLoop::new(Options::default()).unwrap();
    let mut actor = Actor::idle();
    event_loop.net().after(3600 * SECOND, 7);
    let before = Instant::now();
    event_loop.turn(&mut actor, Some(SECOND)).unwrap();
    let due = event_loop.next_deadline().unwrap();
    assert!(due >= before + 3600 * SECOND && actor.notes.is_empty());
}

#[test]
fn timers_of_no_time_fire_in_the_next_turn_in_the_order_of_setting() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), Actor::idle());
    for tag in 1..=3 {
        rehearsal.net().after(Duration::ZERO, tag);
    }
    let cancelled = rehearsal.net().after(Duration::ZERO, 4);
    assert!(rehearsal.net().cancel_timer(cancelled));
    rehearsal.net().after(Duration::MAX, 5);
    rehearsal.settle(&mut actor);
    assert_eq!(actor.take_calls(), [Call::Timer(1), Call::Timer(2), Call::Timer(3)]);
}

#[test]
fn a_timeout_of_a_connection_counts_from_now_and_ends_with_the_connection() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), Actor::idle());
    let [stays, goes] = [(); 2].map(|()| rehearsal.accept(&mut actor).unwrap());
    for id in [stays, goes] {
        rehearsal.net().conn(id).unwrap().after(SECOND, 7);
    }
    rehearsal.net().abort(goes);
    rehearsal.advance(&mut actor, SECOND - Duration::from_millis(1));
    assert!(!actor.has_heard(&Call::Timeout(7)));
    rehearsal.advance(&mut actor, Duration::from_millis(1));
    assert_eq!(actor.of_id(stays), [Call::Open, Call::Timeout(7)]);
    assert!(!actor.of_id(goes).contains(&Call::Timeout(7)));
}
