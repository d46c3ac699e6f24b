//! Tests of a connect to a peer that has sent bytes, an end of file or a reset before the connection is open for the handler.

use std::{
    io::Write,
    net::{Shutdown, TcpListener, TcpStream},
    time::Instant,
};

use tidegate::{Address, CloseKind, ConnId, Options, Reactor};

use crate::support::{self, Actor, Call, Host};

/// A reactor whose connect has reached the peer. The turn that opens the connection has not begun.
struct Caller {
    host: Host,
    reactor: Reactor,
    actor: Actor<'static>,
    id: ConnId,
    now: Instant,
}

impl Caller {
    /// Returns the peer as well. The reactor has been refused by this number of addresses before.
    fn new(refusals: usize) -> (Self, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed: Vec<_> = (0..refusals).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = closed.iter().chain([&listener]).map(|listener| listener.local_addr().unwrap());
        let addresses: Vec<_> = addresses.collect();
        drop(closed);
        let (mut host, now) = (Host::new(), Instant::now());
        let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
        let mut actor = Actor::by_default();
        let id = reactor.net().connect(Address::from_list(&addresses).expect("the list is not empty"), ());
        reactor.settle(&mut actor, now);
        for _ in 0..refusals {
            host.collect(1).iter().for_each(|event| assert!(reactor.handle(event)));
            reactor.settle(&mut actor, now);
        }
        assert!(actor.notes.is_empty(), "the connection is not open yet");
        let peer = listener.accept().unwrap().0;
        (Self { host, reactor, actor, id, now }, peer)
    }

    /// Makes the turn that opens the connection.
    fn opens(&mut self) {
        self.host.collect(1).iter().for_each(|event| assert!(self.reactor.handle(event)));
        self.reactor.settle(&mut self.actor, self.now);
        assert_eq!(self.actor.of_id(self.id), [Call::Open]);
    }

    /// Hands events to the reactor until an event has told of the input or of the reset, and makes no turn.
    fn is_told(&mut self) {
        let mut is_told = false;
        while !is_told {
            for event in self.host.collect(1) {
                assert!(self.reactor.handle(&event));
                is_told |= event.is_readable() || event.is_read_closed() || event.is_error();
            }
        }
    }

    /// Makes turns until the reactor has nothing to do, and returns all calls of the handler.
    fn calls(&mut self) -> Vec<Call> {
        self.host.turn_until_quiet(&mut self.reactor, &mut self.actor, self.now);
        self.actor.of_id(self.id)
    }
}

/// The acts of a peer. The caller keeps the peer, so that the socket is not closed.
type Act = fn(&mut TcpStream);

const SENDS: Act = |peer| peer.write_all(b"hello").unwrap();
const ENDS: Act = |peer| peer.shutdown(Shutdown::Write).unwrap();
const SENDS_AND_ENDS: Act = |peer| {
    SENDS(peer);
    ENDS(peer);
};

fn hello() -> Call {
    Call::Data(b"hello".to_vec())
}

#[test]
fn input_that_has_come_before_the_opening_is_shown_in_order() {
    let closed = Call::Close(CloseKind::Eof);
    for refusals in [0, 2] {
        for (act, expected) in [
            (SENDS, vec![Call::Open, hello()]),
            (ENDS, vec![Call::Open, Call::Eof, closed.clone()]),
            (SENDS_AND_ENDS, vec![Call::Open, hello(), Call::Eof, closed.clone()]),
        ] {
            let (mut caller, mut peer) = Caller::new(refusals);
            act(&mut peer);
            caller.is_told();
            assert_eq!(caller.calls(), expected, "after {refusals} refusals");
        }
    }
}

#[test]
fn input_that_comes_after_the_opening_is_shown_in_order() {
    let closed = Call::Close(CloseKind::Eof);
    for (act, expected) in [
        (SENDS, vec![Call::Open, hello()]),
        (ENDS, vec![Call::Open, Call::Eof, closed.clone()]),
        (SENDS_AND_ENDS, vec![Call::Open, hello(), Call::Eof, closed]),
    ] {
        let (mut caller, mut peer) = Caller::new(0);
        caller.opens();
        act(&mut peer);
        caller.is_told();
        assert_eq!(caller.calls(), expected);
    }
}

/// The peer may answer and reset the connection before the loop looks at the connection for the first time.
#[test]
fn a_reset_before_the_opening_comes_after_the_bytes_before_the_reset() {
    let nothing: Act = |_| {};
    for refusals in [0, 2] {
        for (act, expected) in [
            (nothing, vec![Call::Open, Call::Close(CloseKind::Reset)]),
            (SENDS, vec![Call::Open, hello(), Call::Close(CloseKind::Reset)]),
            // The end of file is not told, as in every connection that fails with input left.
            (SENDS_AND_ENDS, vec![Call::Open, hello(), Call::Close(CloseKind::Reset)]),
        ] {
            let (mut caller, mut peer) = Caller::new(refusals);
            act(&mut peer);
            support::reset(peer);
            caller.is_told();
            assert_eq!(caller.calls(), expected, "after {refusals} refusals");
            assert!(!caller.actor.ended[0].why.is_clean());
        }
    }
}

#[test]
fn a_reset_after_the_opening_ends_the_connection_with_reset() {
    for paused in [false, true] {
        let (mut caller, peer) = Caller::new(0);
        caller.opens();
        if paused {
            caller.reactor.net().conn(caller.id).unwrap().pause_reading();
        }
        support::reset(peer);
        caller.is_told();
        assert_eq!(caller.calls(), [Call::Open, Call::Close(CloseKind::Reset)], "paused: {paused}");
    }
}

/// The event that reports the input goes to the old reactor alone, and the new reactor has the stream registered anew.
#[test]
fn input_that_has_come_before_a_hand_over_of_a_connect_is_shown_by_the_new_reactor() {
    let (mut old, mut peer) = Caller::new(0);
    SENDS_AND_ENDS(&mut peer);
    old.is_told();
    let detached = old.reactor.net().detach(old.id).expect("the connection is there");
    assert_eq!(old.calls(), []);
    let (mut host, mut actor) = (Host::new(), Actor::by_default());
    let mut new = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let id = new.net().attach(detached).unwrap();
    host.turn_until_quiet(&mut new, &mut actor, old.now);
    let expected = [Call::Open, hello(), Call::Eof, Call::Close(CloseKind::Eof)];
    assert_eq!(actor.of_id(id), expected);
}

/// The events say that there is nothing to receive, which saves a system call for each connection of a proxy.
#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
#[cfg_attr(mio_unsupported_force_poll_poll, ignore = "only events of epoll tell of all input")]
fn a_connection_that_opens_without_input_makes_no_recv() {
    let (mut caller, mut peer) = Caller::new(0);
    assert_eq!(caller.calls(), [Call::Open]);
    let stats = caller.reactor.net().stats();
    assert_eq!((stats.receives, stats.would_blocks), (0, 0));
    peer.write_all(b"hello").unwrap();
    caller.is_told();
    assert_eq!(caller.calls(), [Call::Open, hello()]);
}
