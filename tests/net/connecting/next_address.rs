//! Tests that a connect tries the addresses in order until an address answers.

use std::{
    net::{SocketAddr, TcpListener},
    time::Instant,
};

use tidegate::{Address, CloseKind, ConnId, Options, Reactor};

use crate::support::{self, Actor, Call, Host};

/// A reactor that connects to a list of addresses. Its handler only records.
struct Caller {
    host: Host,
    reactor: Reactor,
    actor: Actor<'static>,
    id: ConnId,
    now: Instant,
}

impl Caller {
    /// Makes a reactor that has begun to connect to the first address.
    fn new(to: &[SocketAddr]) -> Self {
        let (host, now) = (Host::new(), Instant::now());
        let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
        let mut actor = Actor::idle();
        let id = reactor.net().connect(Address::from_list(to).expect("the list is not empty"), ());
        reactor.settle(&mut actor, now);
        Self { host, reactor, actor, id, now }
    }

    /// Pauses reading and sets a timer that is due at once. Then makes the turn that handles the event of the next refusal.
    fn meet_refusal_paused_and_with_a_timeout(&mut self, tag: u64) {
        let now = self.now;
        let mut conn = self.reactor.net().conn(self.id).unwrap();
        conn.pause_reading();
        conn.set_timeout(now, tag);
        self.host.collect(1).iter().for_each(|event| assert!(self.reactor.handle(event)));
        self.reactor.settle(&mut self.actor, now);
    }

    fn turn_until_recorded(&mut self, cue: &Call) {
        let done = |actor: &Actor<'_>, _: &mut _| actor.has_heard(cue);
        self.host.turn_until(&mut self.reactor, &mut self.actor, self.now, done);
    }
}

/// Returns addresses at which no socket listens any more. On a system with several loopback addresses, each of them has a
/// different loopback address.
fn nobody(count: u8) -> Vec<SocketAddr> {
    let unused = |n| {
        TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().map(|at| {
            // All of 127.0.0.0/8 is loopback on Linux. On other systems, the addresses differ in their ports alone.
            if cfg!(target_os = "linux") { SocketAddr::from(([127, 0, 0, n], at.port())) } else { at }
        })
    };
    (1..=count).map(|n| unused(n).unwrap()).collect()
}

#[test]
fn an_address_is_not_made_from_an_empty_list() {
    assert_eq!(Address::from_list(&[]), None);
    let one = SocketAddr::from(([127, 0, 0, 1], 7000));
    assert_eq!(Address::from_list(&[one]), Some(Address::from(one)));
    assert_eq!(Address::from_list(&[one, one]).unwrap().socket_addrs()[0], one);
}

#[test]
fn a_connect_goes_on_with_the_next_address_after_a_refusal() {
    for refusals in 0..4 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let mut caller = Caller::new(&[nobody(refusals), vec![at]].concat());
        caller.turn_until_recorded(&Call::Open);
        assert_eq!(caller.actor.of_id(caller.id), [Call::Open], "after {refusals} refusals");
        let peer = caller.reactor.net().conn(caller.id).unwrap().peer().unwrap();
        assert_eq!(peer, Address::from(at));
        let stats = caller.reactor.net().stats();
        assert_eq!((stats.connected, stats.open, stats.closed), (1, 1, 0));
    }
}

#[test]
fn a_refusal_in_the_turn_of_a_timeout_while_paused_leads_to_the_next_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut caller = Caller::new(&[nobody(2), vec![at]].concat());
    for tag in 1..=2 {
        caller.meet_refusal_paused_and_with_a_timeout(tag);
        assert_eq!(
            caller.actor.of_id(caller.id).last(),
            Some(&Call::Timeout(tag)),
            "the refusal ended the connect"
        );
    }
    caller.turn_until_recorded(&Call::Open);
    assert_eq!(caller.actor.of_id(caller.id), [Call::Timeout(1), Call::Timeout(2), Call::Open]);
    // Reading is still paused, and the bytes of the peer are shown at the resume.
    let peer = listener.accept().unwrap().0;
    std::io::Write::write_all(&mut &peer, b"hello").unwrap();
    caller.host.collect(1).iter().for_each(|event| assert!(caller.reactor.handle(event)));
    caller.reactor.settle(&mut caller.actor, caller.now);
    assert_eq!(caller.actor.of_id(caller.id).len(), 3);
    caller.reactor.net().resume_reading(caller.id);
    caller.turn_until_recorded(&Call::Data(b"hello".to_vec()));
}

#[test]
fn the_refusal_of_the_last_address_ends_the_connect() {
    let end = Call::Close(CloseKind::ConnectFailed);
    for timeouts in 0..=3 {
        let mut caller = Caller::new(&nobody(3));
        for tag in 1..=timeouts {
            caller.meet_refusal_paused_and_with_a_timeout(tag);
        }
        caller.turn_until_recorded(&end);
        let of_timeouts = (1..=timeouts).map(Call::Timeout);
        let expected: Vec<_> = of_timeouts.chain([end.clone()]).collect();
        assert_eq!(caller.actor.of_id(caller.id), expected);
        assert_eq!(caller.reactor.net().stats().open, 0);
    }
}

#[test]
fn bytes_sent_while_connecting_go_to_the_address_that_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut caller = Caller::new(&[nobody(2), vec![listener.local_addr().unwrap()]].concat());
    caller.reactor.net().send_all(caller.id, b"a greeting");
    caller.turn_until_recorded(&Call::Open);
    let (host, reactor) = (&mut caller.host, &mut caller.reactor);
    host.turn_until_quiet(reactor, &mut caller.actor, caller.now);
    let mut greeting = [0; 10];
    let mut peer = listener.accept().unwrap().0;
    peer.set_read_timeout(Some(support::PATIENCE)).unwrap();
    std::io::Read::read_exact(&mut peer, &mut greeting).unwrap();
    assert_eq!(&greeting, b"a greeting");
}
