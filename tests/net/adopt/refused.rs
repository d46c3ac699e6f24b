//! Tests of sockets that cannot be adopted. Such a socket is given back as it was, with its session and the reason.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use socket2::{Domain, SockRef, Socket, Type};
use tidegate::{ConnId, EventLoop, Net, Options, Reactor};

use crate::support::{self, Call, Host, Recorder, connect, pair::connected, reset};

/// Makes a loop that has no reason of its own to refuse a socket.
fn willing() -> EventLoop<u32> {
    EventLoop::new(Options::default()).unwrap()
}

/// Makes a reactor whose only token is taken.
fn full(host: &Host) -> Reactor<u32> {
    host.listening(5..6, Options::default()).0
}

fn quiet() -> Recorder<impl FnMut(&mut Net<u32>, ConnId, u32, &Call)> {
    Recorder::new(|_, _, _, _| {})
}

fn assert_is_as_before(socket: SockRef<'_>, was_nonblocking: bool) {
    #[cfg(unix)]
    assert_eq!(socket.nonblocking().unwrap(), was_nonblocking);
    let _ = (socket, was_nonblocking);
}

/// Asserts that the listener can accept a client.
fn assert_listens(listener: &TcpListener) {
    let _client = connect(listener.local_addr().unwrap());
    listener.set_nonblocking(false).unwrap();
    listener.accept().unwrap();
}

fn assert_connected(stream: &mut TcpStream, client: &mut TcpStream) {
    stream.set_nonblocking(false).unwrap();
    stream.write_all(b"still there").unwrap();
    client.read_exact(&mut [0; 11]).unwrap();
    client.write_all(b"as well").unwrap();
    stream.read_exact(&mut [0; 7]).unwrap();
}

#[test]
fn sockets_without_a_token_are_given_back_unchanged() {
    let host = Host::new();
    let mut reactor = full(&host);
    // An adopted socket loses its linger time; a refused socket has to keep it.
    let linger = Some(Duration::from_secs(7));
    for nonblocking in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(nonblocking).unwrap();
        SockRef::from(&listener).set_linger(linger).unwrap();
        let refused = reactor.net().adopt_listener(listener).unwrap_err();
        assert!(refused.to_string().contains("token"), "{refused}");
        assert_is_as_before((&refused.back).into(), nonblocking);
        assert_eq!(SockRef::from(&refused.back).linger().unwrap(), linger);
        assert_listens(&refused.back);

        let (mut client, stream) = connected();
        stream.set_nonblocking(nonblocking).unwrap();
        SockRef::from(&stream).set_linger(linger).unwrap();
        let refused = reactor.net().adopt_stream(stream, 7).unwrap_err();
        assert!(refused.to_string().contains("token"), "{refused}");
        let (mut stream, session) = refused.back;
        assert_eq!(session, 7);
        assert_is_as_before((&stream).into(), nonblocking);
        assert_eq!(SockRef::from(&stream).linger().unwrap(), linger);
        assert_connected(&mut stream, &mut client);
    }
    assert_eq!(reactor.net().stats().open, 0);
    assert_eq!(reactor.timeout(Instant::now()), None, "a refusal leaves no work");
}

#[test]
fn a_freed_token_can_be_used_for_another_socket() {
    let (mut host, now) = (Host::new(), Instant::now());
    let mut reactor = Reactor::new(host.poll.registry(), 5..6, Options::default()).unwrap();
    let mut quiet = quiet();
    let (_first_client, first) = connected();
    let id = reactor.net().adopt_stream(first, 0).unwrap();
    host.turn_until(&mut reactor, &mut quiet, now, |quiet, _| quiet.has_opened(0));
    let (mut client, second) = connected();
    let (second, session) = reactor.net().adopt_stream(second, 1).unwrap_err().back;
    reactor.net().abort(id);
    host.turn_until(&mut reactor, &mut quiet, now, |quiet, _| quiet.has_closed(0));
    reactor.net().adopt_stream(second, session).unwrap();
    client.write_all(b"hello").unwrap();
    let came = Call::Data(b"hello".to_vec());
    host.turn_until(&mut reactor, &mut quiet, now, |quiet, _| quiet.of(1) == [Call::Open, came.clone()]);
}

#[test]
fn a_refusal_takes_no_token() {
    // The reactor has three tokens, and many sockets are refused for other reasons.
    let host = Host::new();
    let mut reactor: Reactor<u32> = Reactor::new(host.poll.registry(), 5..8, Options::default()).unwrap();
    for _ in 0..10 {
        let unconnected = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        reactor.net().adopt_stream(unconnected.into(), 0).unwrap_err();
    }
    let mut clients = Vec::new();
    for session in 0..3 {
        let (client, stream) = connected();
        clients.push(client);
        reactor.net().adopt_stream(stream, session).unwrap();
    }
    assert_eq!(reactor.net().stats().open, 3);
}

#[test]
#[cfg_attr(
    any(not(any(target_os = "linux", target_os = "android")), mio_unsupported_force_poll_poll),
    ignore = "the portable rules do not ask whether a socket listens"
)]
fn a_listener_that_does_not_listen_is_refused() {
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    bound.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let at = bound.local_addr().unwrap().as_socket().unwrap();
    let refused = willing().net().adopt_listener(bound.into()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
    assert!(refused.to_string().contains("does not listen"), "{refused}");
    assert_is_as_before((&refused.back).into(), false);
    // The socket is unchanged: it can still be made to listen.
    SockRef::from(&refused.back).listen(1).unwrap();
    assert_eq!(refused.back.local_addr().unwrap(), at);
    assert_listens(&refused.back);

    let (_client, stream) = connected();
    let stream: std::os::fd::OwnedFd = stream.into();
    let refused = willing().net().adopt_listener(stream.into()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::InvalidInput, "a connected stream was adopted as a listener");
}

#[test]
#[cfg(unix)]
fn unix_sockets_and_pipes_given_as_tcp_sockets_are_refused() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    let path = std::env::temp_dir().join(format!("tidegate-{}-refused", std::process::id()));
    let unix = UnixListener::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let refused = willing().net().adopt_listener(OwnedFd::from(unix).into()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
    assert!(refused.to_string().contains("not a TCP socket"), "{refused}");
    assert_is_as_before((&refused.back).into(), false);

    let (one, _other) = UnixStream::pair().unwrap();
    let refused = willing().net().adopt_stream(OwnedFd::from(one).into(), 7).unwrap_err();
    assert_eq!(refused.back.1, 7);
    assert_is_as_before((&refused.back.0).into(), false);

    let (reader, _writer) = io::pipe().unwrap();
    let refused = willing().net().adopt_stream(OwnedFd::from(reader).into(), 7).unwrap_err();
    assert_eq!(refused.back.1, 7);
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn a_udp_socket_given_as_a_tcp_listener_is_refused() {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let refused = willing().net().adopt_listener(std::os::fd::OwnedFd::from(udp).into()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
    assert_is_as_before((&refused.back).into(), false);
    let udp: std::net::UdpSocket = std::os::fd::OwnedFd::from(refused.back).into();
    udp.connect(udp.local_addr().unwrap()).unwrap();
    udp.send(b"to myself").unwrap();
    assert_eq!(udp.recv(&mut [0; 16]).unwrap(), 9, "the socket does not work as before");
}

#[test]
#[cfg(unix)]
fn a_udp_socket_given_as_a_tcp_stream_is_refused() {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(udp.local_addr().unwrap()).unwrap();
    // A reactor would take the datagrams of the socket for a stream, and an empty datagram for the end of file.
    let refused = willing().net().adopt_stream(std::os::fd::OwnedFd::from(udp).into(), 7).unwrap_err();
    assert_eq!(refused.back.1, 7);
}

#[test]
fn a_stream_that_is_not_connected_is_refused() {
    let unconnected: TcpStream = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap().into();
    let refused = willing().net().adopt_stream(unconnected, 7).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::NotConnected);
    let (stream, session) = refused.back;
    assert_eq!(session, 7);
    assert_is_as_before((&stream).into(), false);
    // The socket is unchanged: it can still be connected.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&stream).connect(&listener.local_addr().unwrap().into()).unwrap();
    listener.accept().unwrap();
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android"))] // On other systems, getpeername(2) may still know the peer.
fn a_stream_that_its_peer_has_reset_is_refused() {
    let (client, stream) = connected();
    reset(client);
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let refused = willing().net().adopt_stream(stream, 7).unwrap_err();
    assert_eq!((refused.error.kind(), refused.back.1), (ErrorKind::NotConnected, 7));
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android"))] // On other systems, kqueue(2) would replace the registration.
fn sockets_that_the_same_poll_has_registered_are_refused() {
    use mio::{Interest, Token, unix::SourceFd};
    use std::os::fd::AsRawFd;

    let (mut host, now) = (Host::new(), Instant::now());
    // There are as many tokens as sockets at the end of the test, so a refusal must not keep a token.
    let mut reactor = Reactor::new(host.poll.registry(), 10..13, Options::default()).unwrap();
    let register = |host: &Host, fd: i32| {
        host.poll.registry().register(&mut SourceFd(&fd), Token(1), Interest::READABLE)
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    register(&host, listener.as_raw_fd()).unwrap();
    let (mut client, stream) = connected();
    register(&host, stream.as_raw_fd()).unwrap();

    let refused = reactor.net().adopt_listener(listener).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::AlreadyExists);
    assert_is_as_before((&refused.back).into(), false);
    let listener = refused.back;
    let refused = reactor.net().adopt_stream(stream, 7).unwrap_err();
    assert_eq!((refused.error.kind(), refused.back.1), (ErrorKind::AlreadyExists, 7));
    assert_is_as_before((&refused.back.0).into(), false);
    let mut stream = refused.back.0;
    assert_connected(&mut stream, &mut client);

    // The registration of the host still exists, and the reactor does not take its event.
    client.write_all(b"hello").unwrap();
    for event in host.collect(1) {
        assert!(event.token() == Token(1) && !reactor.handle(&event));
    }
    assert_eq!(reactor.timeout(now), None);
    reactor.settle(&mut quiet(), now);
    // After the host has deregistered both sockets, they can be adopted.
    for fd in [listener.as_raw_fd(), stream.as_raw_fd()] {
        host.poll.registry().deregister(&mut SourceFd(&fd)).unwrap();
    }
    let at = listener.local_addr().unwrap();
    reactor.net().adopt_listener(listener).unwrap();
    reactor.net().adopt_stream(stream, 100).unwrap();
    let mut quiet = quiet();
    let _other = connect(at);
    host.turn_until(&mut reactor, &mut quiet, now, |quiet, _| {
        quiet.of(100) == [Call::Open, Call::Data(b"hello".to_vec())] && quiet.has_opened(0)
    });
}

#[test]
fn a_refusal_has_a_source_and_converts_to_an_io_error() {
    fn adopt(net: &mut Net<u32>) -> io::Result<()> {
        let unconnected = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        net.adopt_stream(unconnected.into(), 7)?;
        Ok(())
    }
    assert_eq!(adopt(willing().net()).unwrap_err().kind(), ErrorKind::NotConnected);

    // The refusal itself is an error with a source, and keeps the socket.
    let host = Host::new();
    let refused = full(&host).net().adopt_stream(connected().1, 7).unwrap_err();
    let error: &dyn std::error::Error = &refused;
    assert!(error.source().is_some() && error.to_string().contains(&refused.error.to_string()), "{error}");
}
