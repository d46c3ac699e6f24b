//! Tests of sockets that the host made and that a reactor adopts. They are served like sockets of the reactor.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tidegate::{
    Accepted, CloseKind, Conn, EventLoop, Handler, Keepalive, ListenOptions, Net, Options, Reactor,
};

use crate::support::{
    self, Call, Echo, End, Host, Recorder, connect, echo, exchange, is_due, listening,
    pair::{await_arrival, connected, turn_until_quiet},
    read_out, reset, turn_until,
};

fn a_listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// Returns true if the socket is nonblocking. The system is asked, because a blocking call could show that only by never
/// returning.
#[cfg(unix)]
fn is_nonblocking<'a>(socket: impl Into<SockRef<'a>>) -> bool {
    socket.into().nonblocking().unwrap()
}

#[test]
fn an_adopted_listener_is_served() {
    let (listener, at) = a_listener();
    let mut early = connect(at); // This client waits in the backlog before the loop exists.
    early.write_all(b"early").unwrap();
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let id = event_loop.net().adopt_listener(listener).unwrap();
    assert_eq!(event_loop.net().local_address(id).unwrap().socket_addrs(), [at]);
    let remote = event_loop.remote();
    let serving = thread::spawn(move || {
        event_loop.run(&mut Echo).unwrap();
        event_loop
    });
    early.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(exchange(&mut early, b"hello"), b"hello");
    assert_eq!(exchange(&mut connect(at), b"late"), b"late");
    remote.stop();
    let mut event_loop = serving.join().unwrap();
    assert_eq!(event_loop.net().stats().accepted, 2);
    event_loop.net().close_listener(id);
    assert!(TcpStream::connect(at).is_err(), "the reactor did not close the adopted listener");
}

#[test]
#[cfg(unix)]
fn an_adopted_socket_does_not_block() {
    let mut event_loop = EventLoop::<()>::new(Options::default()).unwrap();
    let (listener, _) = a_listener();
    let twin = listener.try_clone().unwrap();
    assert!(!is_nonblocking(&twin));
    event_loop.net().adopt_listener(listener).unwrap();
    assert!(is_nonblocking(&twin));

    let (_client, stream) = connected();
    let twin = stream.try_clone().unwrap();
    assert!(!is_nonblocking(&twin));
    event_loop.net().adopt_stream(stream, ()).unwrap();
    assert!(is_nonblocking(&twin));
    // A listener that is nonblocking already can be adopted as well.
    let (listener, _) = a_listener();
    listener.set_nonblocking(true).unwrap();
    event_loop.net().adopt_listener(listener).unwrap();
}

#[test]
#[cfg_attr(
    any(not(any(target_os = "linux", target_os = "android")), mio_unsupported_force_poll_poll),
    ignore = "with the portable rules, each connection gets the options after it was accepted"
)]
fn the_connections_of_an_adopted_listener_inherit_its_options() {
    let keepalive = Keepalive::default().after(Duration::from_secs(77));
    let mut event_loop = EventLoop::<()>::new(Options::default().keepalive(Some(keepalive))).unwrap();
    let (listener, at) = a_listener();
    let twin = listener.try_clone().unwrap();
    event_loop.net().adopt_listener(listener).unwrap();
    // The loop makes no turn, so the test accepts the client.
    let _client = connect(at);
    twin.set_nonblocking(false).unwrap();
    let accepted = twin.accept().unwrap().0;
    assert!(accepted.nodelay().unwrap());
    let socket = SockRef::from(&accepted);
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
}

/// Clients that connected before the adoption inherit no options of the listener, because the options are set later.
#[test]
#[cfg(target_os = "linux")]
fn clients_in_the_backlog_before_the_adoption_have_the_options_as_well() {
    let keepalive = Keepalive::default().after(Duration::from_secs(77));
    let mut event_loop =
        EventLoop::new(Options::default().keepalive(Some(keepalive)).accept_budget(2)).unwrap();
    let (listener, at) = a_listener();
    let early = [(); 3].map(|()| connect(at));
    event_loop.net().adopt_listener(listener).unwrap();
    let late = [(); 2].map(|()| connect(at));
    let mut recorder = Recorder::new(|_, _, _, _| {});
    turn_until(&mut event_loop, &mut recorder, |_, net| net.stats().accepted == 5);
    turn_until_quiet(&mut event_loop, &mut recorder);
    let last = connect(at); // This client connects after the backlog was found empty.
    turn_until(&mut event_loop, &mut recorder, |_, net| net.stats().accepted == 6);
    for (who, client) in early.iter().chain(&late).chain([&last]).enumerate() {
        let Some(end) = support::twin::of_the_other_end(client) else { return };
        let socket = SockRef::from(&end);
        assert!(socket.tcp_nodelay().unwrap(), "client {who}");
        assert!(socket.keepalive().unwrap(), "client {who}");
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77), "client {who}");
    }
}

#[test]
fn an_adopted_stream_gets_the_options_of_a_connection() {
    let mut event_loop = EventLoop::new(Options::default().keepalive(Some(Keepalive::default()))).unwrap();
    let (_client, stream) = connected();
    let twin = stream.try_clone().unwrap();
    assert!(!twin.nodelay().unwrap());
    event_loop.net().adopt_stream(stream, 0).unwrap();
    turn_until_quiet(&mut event_loop, &mut echo());
    assert!(twin.nodelay().unwrap() && SockRef::from(&twin).keepalive().unwrap());
}

#[test]
fn the_options_of_an_adopted_listener_are_applied() {
    let (mut host, now) = (Host::new(), Instant::now());
    let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let (listener, at) = a_listener();
    let options = ListenOptions::default().max_connections(1);
    reactor.net().adopt_listener_with(listener, options).unwrap();
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let _clients = [(); 2].map(|()| connect(at));
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    assert_eq!(reactor.net().stats().accepted, 1);
}

#[test]
fn an_adopted_stream_opens_in_the_next_turn_and_shows_bytes_received_before() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (mut client, stream) = connected();
    client.write_all(b"before").unwrap();
    await_arrival(&stream, 6);
    let id = event_loop.net().adopt_stream(stream, 7).unwrap();
    assert_eq!(event_loop.net().session(id), Some(&mut 7));
    assert_eq!(event_loop.net().conn(id).unwrap().peer().unwrap(), client.local_addr().unwrap().into());
    let mut echo = echo();
    // The bytes are shown in the next turn, whether or not the poll reports them.
    event_loop.turn(&mut echo, Some(Duration::ZERO)).unwrap();
    assert_eq!(echo.of(7), [Call::Open, Call::Data(b"before".to_vec())]);
    client.read_exact(&mut [0; 6]).unwrap();
    client.write_all(b"after").unwrap();
    turn_until(&mut event_loop, &mut echo, |echo, _| echo.count(&Call::Data(vec![])) == 2);
    client.shutdown(Shutdown::Write).unwrap();
    turn_until(&mut event_loop, &mut echo, |echo, _| echo.has_closed(7));
    assert_eq!(read_out(&mut client), (b"after".to_vec(), End::Eof));
    assert_eq!(echo.of(7)[2..], [Call::Data(b"after".to_vec()), Call::Eof, Call::Close(CloseKind::Eof)]);
    let stats = event_loop.net().stats();
    assert_eq!((stats.accepted, stats.connected, stats.open), (0, 1, 0));
}

#[test]
fn bytes_sent_before_the_first_turn_are_delivered() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (mut client, stream) = connected();
    let id = event_loop.net().adopt_stream(stream, 0).unwrap();
    event_loop.net().send_all(id, b"welcome");
    event_loop.net().close(id);
    let mut echo = echo();
    turn_until(&mut event_loop, &mut echo, |echo, _| echo.has_closed(0));
    assert_eq!(read_out(&mut client), (b"welcome".to_vec(), End::Eof));
    assert_eq!(
        echo.calls(),
        [(0, Call::Close(CloseKind::Closed))],
        "the connection ended before its on_open"
    );
}

#[test]
fn an_adopted_stream_may_have_ended_already() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (mut client, stream) = connected();
    client.write_all(b"last words").unwrap();
    drop(client);
    await_arrival(&stream, 10);
    event_loop.net().adopt_stream(stream, 0).unwrap();
    let mut quiet = Recorder::new(|net: &mut Net<u32>, id, _, call| {
        if *call == Call::Eof {
            net.close(id);
        }
    });
    turn_until(&mut event_loop, &mut quiet, |quiet, _| quiet.has_closed(0));
    let last_words = Call::Data(b"last words".to_vec());
    assert_eq!(quiet.of(0), [Call::Open, last_words, Call::Eof, Call::Close(CloseKind::Eof)]);
}

#[test]
fn an_adopted_stream_that_is_reset_before_its_turn_is_closed_once() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (client, stream) = connected();
    let id = event_loop.net().adopt_stream(stream, 0).unwrap();
    reset(client);
    let mut echo = echo();
    turn_until(&mut event_loop, &mut echo, |echo, _| echo.has_closed(0));
    assert_eq!(echo.of(0), [Call::Open, Call::Close(CloseKind::Reset)]);
    assert!(event_loop.net().conn(id).is_none());
}

#[test]
fn a_reset_event_before_on_open_ends_a_connection_that_on_open_pauses() {
    let (mut host, now) = (Host::new(), Instant::now());
    let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let mut pauses = Recorder::new(|net: &mut Net<u32>, id, _, call| {
        if *call == Call::Open {
            net.conn(id).unwrap().pause_reading();
        }
    });
    let (client, stream) = connected();
    reactor.net().adopt_stream(stream, 0).unwrap();
    reset(client);
    let mut told = false;
    while !told {
        for event in host.collect(1) {
            told |= event.is_error();
            assert!(reactor.handle(&event));
        }
    }
    // The connection gets no further event, and reading is paused, so no read returns the reset.
    while is_due(&reactor, now) {
        reactor.settle(&mut pauses, now);
    }
    assert_eq!(pauses.of(0), [Call::Open, Call::Close(CloseKind::Reset)]);
    assert_eq!(reactor.net().stats().open, 0);
}

#[test]
fn adopting_in_a_callback_opens_no_connection_inside_it() {
    /// Adopts a stream for each client that is accepted.
    struct Adopts {
        spare: Vec<TcpStream>,
        opened: Vec<&'static str>,
    }

    impl Handler for Adopts {
        type Session = &'static str;

        fn on_accept(&mut self, net: &mut Net<&'static str>, _from: &Accepted) -> Option<&'static str> {
            let before = self.opened.len();
            net.adopt_stream(self.spare.pop().unwrap(), "adopted").unwrap();
            assert_eq!(self.opened.len(), before);
            Some("accepted")
        }

        fn on_open(&mut self, conn: &mut Conn<'_, &'static str>) {
            self.opened.push(*conn.session());
        }

        fn on_data(&mut self, _conn: &mut Conn<'_, &'static str>, input: &[u8]) -> usize {
            input.len()
        }
    }

    let (mut event_loop, at) = listening(Options::default());
    let (_other, stream) = connected();
    let mut adopts = Adopts { spare: vec![stream], opened: Vec::new() };
    let _client = connect(at);
    turn_until(&mut event_loop, &mut adopts, |adopts, _| adopts.opened.len() == 2);
    assert_eq!(adopts.opened, ["accepted", "adopted"]);
}

#[test]
fn max_connections_counts_adopted_connections_and_does_not_limit_them() {
    let (mut event_loop, at) = listening(Options::default().max_connections(1));
    let mut echo = echo();
    let (client, stream) = connected();
    let (other, second) = connected();
    event_loop.net().adopt_stream(stream, 1).unwrap();
    event_loop.net().adopt_stream(second, 2).unwrap();
    let mut waiting = connect(at);
    waiting.write_all(b"hello").unwrap();
    turn_until(&mut event_loop, &mut echo, |_, net| net.stats().connected == 2);
    turn_until_quiet(&mut event_loop, &mut echo);
    assert_eq!((event_loop.net().stats().open, event_loop.net().stats().accepted), (2, 0));
    drop((client, other));
    turn_until(&mut event_loop, &mut echo, |_, net| net.stats().bytes_sent == 5);
    waiting.read_exact(&mut [0; 5]).unwrap();
}
