//! Tests of the socket options that one listener sets for its connections.

use socket2::SockRef;
use tidegate::{EventLoop, Keepalive, ListenOptions, Net, Options};

use crate::support::{Actor, Call, connect, turn_until};

/// Accepts a client with these options, and returns what `look` reads from the socket of the connection.
fn accepted<T>(
    reactor: Options,
    listen: impl Fn(&mut Net) -> tidegate::ListenerId,
    look: impl Fn(&SockRef<'_>) -> T,
) -> T {
    let mut event_loop = EventLoop::new(reactor).unwrap();
    let listener = listen(event_loop.net());
    let at = event_loop.net().local_address(listener).unwrap().socket_addrs()[0];
    let _client = connect(at);
    let mut actor = Actor::idle();
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    let id = actor.notes[0].id.unwrap();
    let conn = event_loop.net().conn(id).unwrap();
    look(&conn.socket().unwrap())
}

fn listened(options: ListenOptions) -> impl Fn(&mut Net) -> tidegate::ListenerId {
    move |net| net.listen_with("127.0.0.1:0", options.clone()).unwrap()
}

fn adopted(options: ListenOptions) -> impl Fn(&mut Net) -> tidegate::ListenerId {
    move |net| {
        let made = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        net.adopt_listener_with(made, options.clone()).unwrap()
    }
}

#[test]
fn a_listener_decides_whether_small_sends_leave_at_once() {
    let nodelay = |socket: &SockRef<'_>| socket.tcp_nodelay().unwrap();
    for on in [true, false] {
        let options = ListenOptions::default().nodelay(on);
        assert_eq!(accepted(Options::default(), listened(options.clone()), nodelay), on);
        assert_eq!(accepted(Options::default(), adopted(options), nodelay), on);
    }
    assert!(accepted(Options::default(), listened(ListenOptions::default()), nodelay));
}

#[test]
fn a_listener_has_a_keepalive_of_its_own() {
    let probes = |socket: &SockRef<'_>| socket.keepalive().unwrap();
    let own = ListenOptions::default().keepalive(Some(Keepalive::default()));
    let of_all = Options::default().keepalive(Some(Keepalive::default()));
    assert!(accepted(Options::default(), listened(own.clone()), probes));
    assert!(accepted(Options::default(), adopted(own), probes));
    assert!(accepted(of_all, listened(ListenOptions::default()), probes));
    assert!(!accepted(Options::default(), listened(ListenOptions::default()), probes));
}

#[test]
fn a_listener_sets_the_buffer_sizes_of_its_connections() {
    let sizes =
        |socket: &SockRef<'_>| (socket.recv_buffer_size().unwrap(), socket.send_buffer_size().unwrap());
    let options = ListenOptions::default().recv_buffer(Some(16 << 10)).send_buffer(Some(20 << 10));
    let (received, sent) = accepted(Options::default(), listened(options), sizes);
    if cfg!(target_os = "linux") {
        assert_eq!((received, sent), (32 << 10, 40 << 10), "Linux doubles the numbers, socket(7)");
    } else {
        assert!(received >= 16 << 10 && sent >= 20 << 10);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_option_that_the_system_does_not_take_is_named() {
    let mut event_loop = EventLoop::<()>::new(Options::default()).unwrap();
    let keepalive = Keepalive::default().after(std::time::Duration::from_secs(1 << 20)); // at most 32767 s on Linux
    let options = ListenOptions::default().keepalive(Some(keepalive));
    let Err(error) = event_loop.net().listen_with("127.0.0.1:0", options) else {
        return; // portable rules set keepalive for each connection
    };
    assert!(
        error.to_string().starts_with("cannot listen on 127.0.0.1:0: the option keepalive (SO_KEEPALIVE): "),
        "{error}"
    );
}
