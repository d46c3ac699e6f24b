//! Tests of the options of one connect: its local address, its own limits, and the forms of its address.

use std::{
    io::{ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use tidegate::{
    Address, CloseKind, CloseReason, ConnectOptions, EventLoop, Flow, Keepalive, Options, ToAddress,
};

use crate::support::{Actor, Call, PATIENCE, turn_until, turn_until_quiet};

/// A loop that has connected to a listener of the test.
struct Caller {
    event_loop: EventLoop,
    actor: Actor<'static>,
    peer: TcpStream,
}

fn caller(actor: Actor<'static>, options: ConnectOptions) -> Caller {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let mut actor = actor;
    event_loop.net().connect_with(listener.local_addr().unwrap(), (), options);
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    let peer = listener.accept().unwrap().0;
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    Caller { event_loop, actor, peer }
}

fn failure(to: impl ToAddress, options: ConnectOptions) -> std::io::Error {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let mut actor = Actor::idle();
    event_loop.net().connect_with(to, (), options);
    turn_until(&mut event_loop, &mut actor, |actor, _| !actor.ended.is_empty());
    assert_eq!(actor.notes.len(), 1);
    match actor.ended.remove(0).why {
        CloseReason::ConnectFailed(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_comes_from_the_local_address_that_was_asked_for() {
    // All of 127.0.0.0/8 is loopback on Linux.
    let from = if cfg!(target_os = "linux") { [127, 0, 0, 2] } else { [127, 0, 0, 1] };
    let local = SocketAddr::from((from, 0));
    let mut caller = caller(Actor::idle(), ConnectOptions::default().local(Some(local)));
    assert_eq!(caller.peer.peer_addr().unwrap().ip(), local.ip());
    // The connection is served like any other.
    caller.peer.write_all(b"hello").unwrap();
    turn_until(&mut caller.event_loop, &mut caller.actor, |actor, _| {
        actor.has_heard(&Call::Data(b"hello".to_vec()))
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_connect_has_a_keepalive_of_its_own_before_that_of_all_connections() {
    let keepalive = |seconds| Some(Keepalive::default().after(Duration::from_secs(seconds)));
    for (of_all, own, expected) in [(None, Some(77), 77), (Some(55), None, 55), (Some(55), Some(77), 77)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = Options::default().keepalive(of_all.and_then(keepalive));
        let mut event_loop = EventLoop::new(options).unwrap();
        let options = ConnectOptions::default().keepalive(own.and_then(keepalive));
        let id = event_loop.net().connect_with(listener.local_addr().unwrap(), (), options);
        turn_until(&mut event_loop, &mut Actor::idle(), |actor, _| actor.has_heard(&Call::Open));
        let conn = event_loop.net().conn(id).unwrap();
        let socket = conn.socket().unwrap();
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(expected));
    }
}

#[test]
fn a_refusal_of_a_connect_from_a_local_address_is_reported() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let error = failure(nobody, ConnectOptions::default().local(Some(local)));
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_local_address_of_another_family_or_machine_is_an_error_that_names_it() {
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ipv6 = "[::1]:0".parse().unwrap();
    let error = failure(at, ConnectOptions::default().local(Some(ipv6)));
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("from [::1]:0"), "{error}");
    let elsewhere = "192.0.2.1:0".parse().unwrap(); // RFC 5737: no machine has this address
    let error = failure(at, ConnectOptions::default().local(Some(elsewhere)));
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(error.to_string().contains("192.0.2.1:0"), "{error}");
}

#[test]
fn a_text_with_a_name_fails_in_on_close_and_is_not_looked_up() {
    let error = failure("localhost:7000", ConnectOptions::default());
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("Address::resolve"), "{error}");
    assert_eq!(failure("no address", ConnectOptions::default()).kind(), ErrorKind::InvalidInput);
}

#[test]
fn connect_takes_the_forms_of_address_that_listen_takes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let net = event_loop.net();
    net.connect(at, ());
    net.connect(Address::from(at), ());
    let address = Address::from(at);
    net.connect(&address, ());
    net.connect(at.to_string(), ());
    net.connect(at.to_string().as_str(), ());
    net.connect((at.ip(), at.port()), ());
    net.connect((Ipv4Addr::LOCALHOST, at.port()), ());
    net.connect((IpAddr::from([127, 0, 0, 1]), at.port()), ());
    let mut actor = Actor::idle();
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.count(&Call::Open) == 8);
    event_loop.net().listen((Ipv4Addr::LOCALHOST, 0)).unwrap();
}

#[test]
fn a_connection_has_watermarks_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut event_loop, mut actor) = (EventLoop::new(Options::default()).unwrap(), Actor::idle());
    let options = ConnectOptions::default().high_water(Some(1000)).low_water(Some(10));
    let id = event_loop.net().connect_with(listener.local_addr().unwrap(), (), options);
    // Until the connection is open, all bytes are unsent.
    assert_eq!(event_loop.net().send_all(id, &[b'.'; 999]), Flow::Open);
    assert_eq!(event_loop.net().send_all(id, b"."), Flow::Full);
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Writable));
    assert_eq!(actor.of_id(id), [Call::Open, Call::Writable]);
}

#[test]
fn small_sends_of_a_callback_reach_the_connections_own_high_water() {
    let mut flows = Vec::new();
    let (sent, told) = std::sync::mpsc::channel();
    let actor = Actor::with_conn(move |conn, call| {
        if *call == Call::Open {
            for _ in 0..3 {
                let before = conn.net().stats().sends;
                let flow = conn.send_all(&[b'.'; 400]);
                sent.send((flow, conn.net().stats().sends - before)).unwrap();
            }
        }
    });
    let mut caller = caller(actor, ConnectOptions::default().high_water(Some(1000)));
    turn_until_quiet(&mut caller.event_loop, &mut caller.actor);
    flows.extend(told.try_iter());
    // 800 bytes are gathered without a call. The third send would pass 1000 bytes, so all bytes go to the kernel, which takes
    // them: in one call, or in two where there is no vectored send.
    assert_eq!(flows[..2], [(Flow::Open, 0), (Flow::Open, 0)]);
    assert!(flows[2].0 == Flow::Open && flows[2].1 > 0, "{flows:?}");
    std::io::Read::read_exact(&mut caller.peer, &mut [0; 1200]).unwrap();
}

#[test]
fn a_connection_has_a_limit_of_its_own_for_unsent_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut event_loop, mut actor) = (EventLoop::new(Options::default()).unwrap(), Actor::idle());
    let options = ConnectOptions::default().max_outbox(Some(1000));
    let id = event_loop.net().connect_with(listener.local_addr().unwrap(), (), options);
    assert_eq!(event_loop.net().send_all(id, &[b'.'; 1000]), Flow::Full);
    assert_eq!(event_loop.net().send_all(id, b"."), Flow::Gone);
    turn_until_quiet(&mut event_loop, &mut actor);
    assert_eq!(actor.ends(), [CloseKind::OutboxLimit]);
}

#[test]
fn a_connection_has_a_limit_of_its_own_for_received_bytes() {
    let actor = Actor::with_conn(|_, _| {}).with_data(|_, input| {
        assert!(input.len() <= 10 + 16, "on_data is shown {} bytes", input.len());
        0
    });
    let mut caller = caller(actor, ConnectOptions::default().max_inbox(Some(10)));
    caller.peer.write_all(&[b'.'; 30]).unwrap();
    turn_until(&mut caller.event_loop, &mut caller.actor, |actor, _| !actor.ended.is_empty());
    assert_eq!(caller.actor.ends(), [CloseKind::InboxLimit]);
}

#[test]
fn a_connection_with_limits_of_its_own_is_served_like_any_other() {
    let options =
        ConnectOptions::default().max_inbox(Some(100)).high_water(Some(100)).max_outbox(Some(1 << 20));
    let mut caller = caller(Actor::echo(), options);
    let message: Vec<u8> = (0..5000_u32).map(|n| n as u8).collect();
    caller.peer.write_all(&message).unwrap();
    let (event_loop, actor) = (&mut caller.event_loop, &mut caller.actor);
    turn_until(event_loop, actor, |_, net| net.stats().bytes_sent == 5000);
    let mut echo = vec![0; message.len()];
    std::io::Read::read_exact(&mut caller.peer, &mut echo).unwrap();
    assert_eq!(echo, message);
}

#[test]
fn the_idle_timeout_of_a_connect_counts_from_its_opening() {
    use crate::support::Host;
    use tidegate::Reactor;

    let (second, mut host, start) = (Duration::from_secs(1), Host::new(), Instant::now());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let mut actor = Actor::idle();
    let options = ConnectOptions::default().idle_timeout(Some(second));
    reactor.net().connect_with(listener.local_addr().unwrap(), (), options);
    reactor.settle(&mut actor, start);
    let opened = start + 5 * second;
    host.turn_until(&mut reactor, &mut actor, opened, |actor, _| actor.has_heard(&Call::Open));
    reactor.settle(&mut actor, opened);
    assert_eq!(reactor.timeout(opened), Some(second));
    reactor.settle(&mut actor, opened + second);
    reactor.settle(&mut actor, opened + second);
    assert_eq!(actor.ends(), [CloseKind::IdleTimeout]);
}
