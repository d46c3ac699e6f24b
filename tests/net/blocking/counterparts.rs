//! Tests of the reactor and the blocking version as peers of each other, and of connects that fail.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    thread::JoinHandle,
    time::Instant,
};

use socket2::{Domain, Socket, Type};
use tidegate::{
    Accepted, Address, CloseReason, Conn, ConnId, EventLoop, Flow, Handler, Net, Options, Reactor, blocking,
};

use crate::support::{
    self, Call, Echo, End, Host, PATIENCE, Recorder, Server, id_of, is_due, pattern, read_out, within,
};

/// A blocking server on a thread, which runs until the `Blocking` is dropped.
struct Blocking {
    at: SocketAddr,
    stopper: blocking::Stopper,
    thread: Option<JoinHandle<()>>,
}

const MODES: [fn(blocking::Server); 2] =
    [blocking::Server::serve_one_at_a_time, blocking::Server::serve_with_threads];

impl Blocking {
    fn start(serve: fn(blocking::Server)) -> Self {
        let server = blocking::Server::bind("127.0.0.1:0").unwrap();
        let (at, stopper) = (server.local_addr().unwrap(), server.stopper().unwrap());
        Self { at, stopper, thread: Some(std::thread::spawn(move || serve(server))) }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.stopper.stop();
        let thread = self.thread.take().expect("drop is called once");
        if !std::thread::panicking() {
            within(|| thread.join()).unwrap();
        }
    }
}

/// The bytes that a connection has to send, and the echo that has come back.
struct Message {
    bytes: Vec<u8>,
    sent: usize,
    echo: Vec<u8>,
}

impl Message {
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, sent: 0, echo: Vec::new() }
    }
}

/// Sends the message of each session in pieces, waits for `on_writable` after each `Full`, and closes when the echo is
/// complete.
#[derive(Default)]
struct Client {
    opened: usize,
    ended: HashMap<ConnId, (Message, CloseReason)>,
}

impl Client {
    fn produce(conn: &mut Conn<'_, Message>) {
        let (message, mut out) = conn.split();
        while message.sent < message.bytes.len() {
            let rest = &message.bytes[message.sent..];
            let piece = &rest[..rest.len().min(50_000)];
            message.sent += piece.len();
            match out.send_all(piece) {
                Flow::Open => {}
                Flow::Full => return,
                Flow::Gone => panic!("the connection has ended"),
            }
        }
    }
}

impl Handler for Client {
    type Session = Message;

    fn on_accept(&mut self, _net: &mut Net<Message>, _from: &Accepted) -> Option<Message> {
        None
    }

    fn on_open(&mut self, conn: &mut Conn<'_, Message>) {
        self.opened += 1;
        // An echo server that cannot send does not read. A client that stops reading until it has sent everything would
        // wait for ever.
        conn.pause_when_full(false);
        Self::produce(conn);
    }

    fn on_writable(&mut self, conn: &mut Conn<'_, Message>) {
        Self::produce(conn);
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Message>, input: &[u8]) -> usize {
        let message = conn.session();
        message.echo.extend_from_slice(input);
        if message.echo.len() == message.bytes.len() {
            conn.close();
        }
        input.len()
    }

    fn on_close(&mut self, net: &mut Net<Message>, id: ConnId, session: Message, why: CloseReason) {
        assert!(self.ended.insert(id, (session, why)).is_none(), "on_close came twice");
        if net.sessions().next().is_none() {
            net.stop();
        }
    }
}

/// Connects, runs until all connections have ended, and returns how each ended.
fn run(
    connects: impl FnOnce(&mut Net<Message>) -> Vec<ConnId> + Send + 'static,
) -> Vec<(Message, CloseReason)> {
    within(|| {
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        let mut client = Client::default();
        let ids = connects(event_loop.net());
        assert!(
            ids.iter().all(|id| event_loop.net().conn(*id).is_some()),
            "a connection has no `Conn` before it is established"
        );
        event_loop.run(&mut client).unwrap();
        ids.iter().map(|id| client.ended.remove(id).expect("the connection has ended")).collect()
    })
}

#[test]
fn the_blocking_client_gets_its_echo_from_the_reactor() {
    let server = Server::start(Options::default(), Echo);
    let at = server.address;
    let clients = [0, 1, 5, 100_000, 4 << 20].map(|len| {
        std::thread::spawn(move || {
            let message = pattern(len, len as u64);
            assert!(blocking::echo(at, &message).unwrap() == message, "{len} bytes");
        })
    });
    within(|| clients.into_iter().for_each(|client| client.join().unwrap()));
    let (_, stats) = server.drain(PATIENCE);
    assert_eq!((stats.accepted, stats.closed, stats.drain_resets), (5, 5, 0));
}

#[test]
fn connections_of_the_reactor_get_their_echo_from_the_blocking_server() {
    for mode in MODES {
        let server = Blocking::start(mode);
        let to = Address::from(server.at);
        let ended = run(move |net| {
            (0..3).map(|seed| net.connect(&to, Message::new(pattern(4 << 20, seed)))).collect()
        });
        for (message, why) in ended {
            assert!(message.echo == message.bytes, "{} bytes", message.echo.len());
            assert!(matches!(why, CloseReason::Closed), "{why}");
        }
    }
}

#[test]
fn bytes_sent_before_the_connection_is_established_arrive() {
    for mode in MODES {
        let server = Blocking::start(mode);
        let to = Address::from(server.at);
        let ended = run(move |net| {
            let bytes = pattern(4 << 20, 9);
            let id = net.connect(to, Message { sent: bytes.len(), ..Message::new(bytes.clone()) });
            assert_eq!(net.send_all(id, &bytes[..10]), Flow::Open);
            let mut conn = net.conn(id).unwrap();
            assert_eq!(conn.try_send(b"out of order").unwrap_err().kind(), ErrorKind::WouldBlock);
            assert_eq!(conn.send_all(&bytes[10..]), Flow::Full);
            // The end of the stream is also asked for before the connection is established.
            conn.shutdown_write();
            vec![id]
        });
        assert!(ended[0].0.echo == ended[0].0.bytes, "{} bytes", ended[0].0.echo.len());
    }
}

/// Returns an address at which nothing listens. The socket holds the port, so no other program can listen there.
fn mute() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let at = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, at)
}

#[test]
fn a_refused_connect_gives_the_session_back_in_on_close_alone() {
    let (_mute, at) = mute();
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let id = event_loop.net().connect(at, 42);
    event_loop.net().send_all(id, b"to nobody");
    support::turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(42));
    assert_eq!(recorder.of(42), [Call::Close(tidegate::CloseKind::ConnectFailed)]);
    assert_eq!((event_loop.net().stats().open, event_loop.net().stats().connected), (0, 0));

    let end = recorder.ended.pop().expect("the session has ended");
    assert_eq!(end.id, id);
    match end.why {
        CloseReason::ConnectFailed(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        other => panic!("{other:?}"),
    }
}

/// A connect to this address fails at once, because a TCP connection cannot have a broadcast address as its peer.
const BROADCAST: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::BROADCAST), 1);

#[test]
fn the_next_address_is_tried_when_a_connect_fails_at_once_or_is_refused() {
    let (_mutes, refusing): (Vec<_>, Vec<_>) = [(); 2].map(|()| mute()).into_iter().unzip();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listening = listener.local_addr().unwrap();
    for before in [&refusing[..1], &refusing, &[BROADCAST], &[BROADCAST, refusing[0]]] {
        let to = Address::from_list(&[before, &[listening]].concat()).unwrap();
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        let mut recorder = Recorder::new(|net, id, _, call| {
            if *call == Call::Open {
                assert_eq!(net.conn(id).unwrap().peer().unwrap(), listening.into());
            }
        });
        let id = event_loop.net().connect(&to, 7);
        event_loop.net().send_all(id, b"hello");
        support::turn_until(&mut event_loop, &mut recorder, |recorder, net| {
            recorder.has_closed(7) || net.stats().bytes_sent == 5
        });
        assert_eq!(recorder.of(7), [Call::Open], "{to}");
        assert_eq!(event_loop.net().stats().connected, 1, "{to}");
        let (mut peer, mut said) = (listener.accept().unwrap().0, [0; 5]);
        peer.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"hello", "{to}");
    }
}

#[test]
fn a_connect_that_no_address_answers_ends_once_after_the_last_address() {
    let (_mutes, refusing): (Vec<_>, Vec<_>) = [(); 3].map(|()| mute()).into_iter().unzip();
    let to = Address::from_list(&refusing).unwrap();
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let mut recorder = Recorder::new(|_, _, _, _| {});
    event_loop.net().connect(to, 7);
    support::turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(7));
    assert_eq!(recorder.of(7), [Call::Close(tidegate::CloseKind::ConnectFailed)]);
    assert_eq!((event_loop.net().stats().open, event_loop.next_deadline()), (0, None));
}

/// Connects, and ends the connection before it is established: once before the reactor has begun to connect, and once when
/// the reactor has begun but does not know the outcome yet.
fn ended_early(says: &[u8], end: fn(&mut Net<u32>, ConnId)) -> [(Vec<Call>, Option<TcpStream>); 2] {
    [false, true].map(|has_begun| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut host, now) = (Host::new(), Instant::now());
        let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
        let mut recorder = Recorder::new(|_, _, _, _| {});
        let id = reactor.net().connect(listener.local_addr().unwrap(), 7);
        if !says.is_empty() {
            assert_eq!(reactor.net().send_all(id, says), Flow::Open);
        }
        if has_begun {
            reactor.settle(&mut recorder, now);
            assert_eq!(id_of(reactor.net(), 7), id);
        }
        end(reactor.net(), id);
        host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_closed(7));
        listener.set_nonblocking(true).unwrap();
        let peer = listener.accept().ok().map(|(stream, _)| stream);
        if let Some(peer) = &peer {
            peer.set_nonblocking(false).unwrap();
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        (recorder.of(7), peer)
    })
}

#[test]
fn a_connection_closed_before_it_is_established_delivers_the_sent_bytes() {
    for (calls, peer) in ended_early(b"hello", |net, id| net.close(id)) {
        assert_eq!(calls, [Call::Close(tidegate::CloseKind::Closed)]);
        assert_eq!(
            read_out(&mut peer.expect("the connection was established to deliver the bytes")),
            (b"hello".to_vec(), End::Eof)
        );
    }
    for (calls, peer) in ended_early(b"", |net, id| net.close(id)) {
        assert_eq!(calls, [Call::Close(tidegate::CloseKind::Closed)]);
        // The connection may or may not have been established, but no bytes came over it.
        assert!(peer.is_none_or(|mut peer| read_out(&mut peer).0.is_empty()));
    }
}

#[test]
fn a_connection_aborted_before_it_is_established_delivers_no_bytes() {
    for (calls, peer) in ended_early(b"hello", |net, id| net.abort(id)) {
        assert_eq!(calls, [Call::Close(tidegate::CloseKind::Aborted)]);
        assert!(peer.is_none_or(|mut peer| matches!(peer.read(&mut [0; 8]), Ok(0) | Err(_))));
    }
}

#[test]
fn a_connection_that_is_not_established_yet_waits_for_its_event() {
    let wishes: [fn(&mut Conn<'_, u32>); 5] = [
        |conn| assert_eq!(conn.send_all(b"hello"), Flow::Open),
        |conn| assert_eq!(conn.try_send(b"hello").unwrap_err().kind(), ErrorKind::WouldBlock),
        |conn| conn.resume_reading(),
        |conn| conn.notify_writable(),
        |conn| conn.shutdown_write(),
    ];
    for (n, wish) in wishes.into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (host, now) = (Host::new(), Instant::now());
        let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
        let id = reactor.net().connect(listener.local_addr().unwrap(), 7);
        wish(&mut reactor.net().conn(id).unwrap());
        // The first turn begins to connect. An event reports the outcome, and may take minutes to come.
        let more = reactor.settle(&mut Recorder::new(|_, _, _, _| {}), now).more;
        assert!(!more && !is_due(&reactor, now), "wish {n} makes the host's poll spin");
    }
}
