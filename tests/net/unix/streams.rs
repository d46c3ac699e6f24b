//! Tests of connections over Unix sockets, as far as they differ from connections over TCP.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    thread,
};

use tidegate::{
    Accepted, Address, CloseKind, CloseReason, Conn, EventLoop, Handler, ListenOptions, Net, Options,
};

use crate::support::{
    Actor, Call, PATIENCE, as_by_default, assert_same, pattern, turn_until, turn_until_quiet, unix::Folder,
};

fn event_loop() -> EventLoop {
    EventLoop::new(Options::default()).unwrap()
}

fn patient(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Makes a loop that has adopted one end of a pair, and returns the other end.
fn adopted() -> (EventLoop, tidegate::ConnId, UnixStream) {
    let mut event_loop = event_loop();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let id = event_loop.net().adopt_unix_stream(ours, ()).unwrap();
    (event_loop, id, patient(theirs))
}

#[test]
fn a_loop_is_its_own_client_by_a_path_and_by_an_abstract_name() {
    let folder = Folder::new();
    let mut names = vec![Address::unix(folder.file("socket")).unwrap()];
    if cfg!(any(target_os = "linux", target_os = "android")) {
        let name = format!("unix:@tidegate-{}-echo", std::process::id());
        names.push(Address::resolve(&name).unwrap());
        assert_eq!(names[1].to_string(), name);
    }
    for name in names {
        let mut event_loop = event_loop();
        let listener = event_loop.net().listen(&name).unwrap();
        assert_eq!(event_loop.net().local_address(listener).unwrap(), name);
        let client = event_loop.net().connect(&name, ());
        event_loop.net().send_all(client, b"hello");
        let (mut peers, mut echo) = (Vec::new(), Vec::new());
        let mut actor = Actor::with_conn(|conn, call| match call {
            Call::Open => peers.push((conn.id() == client, conn.peer().unwrap())),
            Call::Data(bytes) if conn.id() == client => {
                echo.extend_from_slice(bytes);
                conn.close();
            }
            Call::Data(bytes) => _ = conn.send_all(bytes),
            call => as_by_default(conn, call),
        });
        turn_until(&mut event_loop, &mut actor, |_, net| net.stats().closed == 2 && net.stats().open == 0);
        assert!(actor.ended.iter().all(|end| end.why.is_clean()), "{:?}", actor.ended);
        drop(actor);
        assert_eq!(echo, b"hello");
        let of_client = peers.iter().find(|(is_client, _)| *is_client).unwrap();
        let of_server = peers.iter().find(|(is_client, _)| !is_client).unwrap();
        assert_eq!(of_client.1, name);
        assert_eq!(of_server.1.to_string(), "unix:(unnamed)");
    }
}

/// Remembers the address of each client.
struct Doorkeeper(Vec<Address>);

impl Handler for Doorkeeper {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, from: &Accepted) -> Option<()> {
        self.0.push(from.peer.clone());
        None
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, input: &[u8]) -> usize {
        input.len()
    }
}

#[test]
fn on_accept_gets_the_name_of_the_client() {
    let folder = Folder::new();
    let (at, from) = (folder.file("server"), folder.file("client"));
    let mut event_loop = event_loop();
    event_loop.net().listen(Address::unix(&at).unwrap()).unwrap();
    let named = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    named.bind(&socket2::SockAddr::unix(&from).unwrap()).unwrap();
    named.connect(&socket2::SockAddr::unix(&at).unwrap()).unwrap();
    let _unnamed = UnixStream::connect(&at).unwrap();
    let mut doorkeeper = Doorkeeper(Vec::new());
    turn_until(&mut event_loop, &mut doorkeeper, |doorkeeper, _| doorkeeper.0.len() == 2);
    let [named, unnamed] = &doorkeeper.0[..] else { unreachable!() };
    assert_eq!((named.unix_path(), named.is_unix()), (Some(from.as_path()), true));
    assert_eq!((unnamed.unix_path(), unnamed.is_unix()), (None, true));
    assert!(unnamed.socket_addrs().is_empty() && unnamed.port().is_none());
    assert_eq!(unnamed.to_string(), "unix:(unnamed)");
}

#[test]
fn a_connect_that_fails_ends_in_on_close_with_the_cause() {
    let folder = Folder::new();
    let [missing, stale, full] = ["missing", "stale", "full"].map(|name| folder.file(name));
    drop(UnixListener::bind(&stale).unwrap());
    let mut elsewhere = event_loop();
    elsewhere.net().listen_with(Address::unix(&full).unwrap(), ListenOptions::default().backlog(0)).unwrap();
    let mut waiting = Vec::new();
    let full_is = |path: &std::path::Path, waiting: &mut Vec<socket2::Socket>| loop {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&socket2::SockAddr::unix(path).unwrap()) {
            Ok(()) => waiting.push(socket),
            Err(error) => return error.kind(),
        }
    };
    let full_kind = full_is(&full, &mut waiting);
    if cfg!(target_os = "linux") {
        assert_eq!(full_kind, ErrorKind::WouldBlock);
    }
    let cases = [(missing, ErrorKind::NotFound), (stale, ErrorKind::ConnectionRefused), (full, full_kind)];
    for (path, kind) in cases {
        let mut event_loop = event_loop();
        let id = event_loop.net().connect(Address::unix(&path).unwrap(), ());
        event_loop.net().send_all(id, b"lost");
        let mut actor = Actor::by_default();
        turn_until(&mut event_loop, &mut actor, |_, net| net.stats().closed == 1);
        let [end] = &actor.ended[..] else { panic!("one connection has one end") };
        assert!(
            matches!(&end.why, CloseReason::ConnectFailed(error) if error.kind() == kind),
            "{:?}",
            end.why
        );
        assert!(end.undelivered && actor.count(&Call::Open) == 0);
        if kind == ErrorKind::WouldBlock {
            assert!(end.why.to_string().contains("the backlog of the listener is full"), "{}", end.why);
        }
    }
    // A peer without a name cannot be connected to.
    let (mut event_loop, id, _client) = adopted();
    let unnamed = event_loop.net().conn(id).unwrap().peer().unwrap();
    event_loop.net().connect(&unnamed, ());
    let mut actor = Actor::by_default();
    turn_until(&mut event_loop, &mut actor, |_, net| net.stats().closed == 1);
    assert_eq!(actor.ends(), [CloseKind::ConnectFailed]);
}

/// A listener that is closed resets the clients in its backlog, whose connect has succeeded.
#[test]
fn a_connection_that_is_never_accepted_ends_with_a_reset() {
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.file("socket")).unwrap();
    let mut event_loop = event_loop();
    event_loop.net().connect(Address::unix(folder.file("socket")).unwrap(), ());
    let mut actor = Actor::idle();
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    drop(listener);
    turn_until(&mut event_loop, &mut actor, |_, net| net.stats().closed == 1);
    assert_eq!(actor.ends(), [CloseKind::Reset]);
}

/// Linux alone tells the peer that bytes were not read.
#[test]
fn a_peer_that_closes_with_unread_bytes_is_a_reset_and_otherwise_an_end_of_file() {
    for unread in [true, false] {
        let (mut event_loop, id, client) = adopted();
        let mut actor = Actor::by_default();
        turn_until_quiet(&mut event_loop, &mut actor);
        if unread {
            event_loop.net().send_all(id, b"never read");
            turn_until_quiet(&mut event_loop, &mut actor);
        }
        (&client).write_all(b"last words").unwrap();
        drop(client);
        turn_until(&mut event_loop, &mut actor, |_, net| net.stats().closed == 1);
        assert!(actor.has_heard(&Call::Data(b"last words".to_vec())), "bytes before the end are delivered");
        if cfg!(target_os = "linux") {
            let expected = if unread { CloseKind::Reset } else { CloseKind::Eof };
            assert_eq!(actor.ends(), [expected]);
        }
    }
}

#[test]
fn a_send_to_a_peer_that_has_gone_ends_the_connection_once() {
    for len in [10, 200_000] {
        let (mut event_loop, id, client) = adopted();
        let mut actor = Actor::idle();
        turn_until_quiet(&mut event_loop, &mut actor);
        event_loop.net().conn(id).unwrap().pause_reading();
        drop(client);
        event_loop.net().send_all(id, &vec![1; len]);
        turn_until(&mut event_loop, &mut actor, |_, net| {
            if let Some(mut conn) = net.conn(id) {
                conn.resume_reading();
            }
            net.stats().closed == 1
        });
        assert_eq!(actor.ends(), [CloseKind::Reset]);
        assert!(actor.ended[0].undelivered);
    }
}

/// Unix sockets have no reset, so an abort looks like an end of file. On Linux it looks like a reset if bytes of the client
/// were not read.
#[test]
fn the_client_of_an_aborted_connection_reads_an_end_unless_its_bytes_were_not_read() {
    for unread in [false, true] {
        let (mut event_loop, id, mut client) = adopted();
        let mut actor = Actor::idle();
        turn_until_quiet(&mut event_loop, &mut actor);
        if unread {
            event_loop.net().conn(id).unwrap().pause_reading();
            client.write_all(b"never read").unwrap();
        }
        event_loop.net().send_all(id, b"before the end");
        event_loop.flush();
        event_loop.net().abort(id);
        turn_until(&mut event_loop, &mut actor, |_, net| net.stats().open == 0);
        assert_eq!(actor.ends(), [CloseKind::Aborted]);
        let mut received = [0; 14];
        client.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"before the end");
        match client.read(&mut received).map_err(|error| error.kind()) {
            Err(ErrorKind::ConnectionReset) if unread => {}
            Ok(0) if !unread || cfg!(not(target_os = "linux")) => {}
            other => panic!("unread: {unread}, {other:?}"),
        }
    }
}

#[test]
fn a_close_delivers_everything_although_the_client_still_sends() {
    let (mut event_loop, id, mut client) = adopted();
    let answer = pattern(3 << 20, 1);
    let mut actor = Actor::by_default();
    event_loop.net().send_all(id, &answer);
    event_loop.net().close(id);
    let reader = thread::spawn(move || {
        client.write_all(&[1; 10_000]).unwrap();
        let mut all = Vec::new();
        client.read_to_end(&mut all).map(|_| all)
    });
    turn_until(&mut event_loop, &mut actor, |_, net| net.stats().open == 0);
    assert_same(&reader.join().unwrap().unwrap(), &answer);
    assert_eq!(actor.ends(), [CloseKind::Closed]);
}

#[test]
fn files_are_sent_whole_between_other_bytes() {
    let folder = Folder::new();
    let content = pattern(1 << 20, 2);
    std::fs::write(folder.file("content"), &content).unwrap();
    let (mut event_loop, id, mut client) = adopted();
    let mut actor = Actor::by_default();
    event_loop.net().send_all(id, b"head");
    let file = std::fs::File::open(folder.file("content")).unwrap();
    event_loop.net().send_file(id, file, 0..content.len() as u64);
    event_loop.net().send_all(id, b"tail");
    event_loop.net().close(id);
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).map(|_| all)
    });
    turn_until(&mut event_loop, &mut actor, |_, net| net.stats().open == 0);
    assert_same(&reader.join().unwrap().unwrap(), &[&b"head"[..], &content, b"tail"].concat());
}

#[test]
fn the_credentials_of_a_peer_are_those_of_its_process() {
    let folder = Folder::new();
    let mut event_loop = event_loop();
    event_loop.net().listen(Address::unix(folder.file("socket")).unwrap()).unwrap();
    let _client = UnixStream::connect(folder.file("socket")).unwrap();
    let tcp = event_loop.net().listen("127.0.0.1:0").unwrap();
    let at = event_loop.net().local_address(tcp).unwrap();
    let _other = std::net::TcpStream::connect(at.socket_addrs()).unwrap();
    let mut found = Vec::new();
    let mut actor = Actor::with_conn(|conn, call| {
        if *call == Call::Open {
            found.push((conn.peer().unwrap().is_unix(), conn.peer_credentials()));
        }
    });
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.count(&Call::Open) == 2);
    drop(actor);
    for (is_unix, credentials) in found {
        if is_unix && cfg!(target_os = "linux") {
            let found = credentials.unwrap();
            assert_eq!(found.pid, std::process::id() as i32);
            assert_eq!(found.uid, rustix::process::geteuid().as_raw());
            assert_eq!(found.gid, rustix::process::getegid().as_raw());
        } else {
            assert_eq!(credentials.unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }
}

#[test]
fn an_adopted_listener_is_served_and_its_file_is_kept() {
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.file("socket")).unwrap();
    let mut early = patient(UnixStream::connect(folder.file("socket")).unwrap());
    early.write_all(b"early").unwrap();
    let mut event_loop = event_loop();
    let id = event_loop.net().adopt_unix_listener(listener).unwrap();
    let mut actor = Actor::echo();
    turn_until(&mut event_loop, &mut actor, |_, net| net.stats().bytes_sent == 5);
    early.read_exact(&mut [0; 5]).unwrap();
    event_loop.net().close_listener(id);
    drop(event_loop);
    assert_eq!(folder.names(), ["socket"]);
}

#[test]
fn a_socket_of_another_kind_is_given_back_as_it_was() {
    fn is_blocking(socket: &impl AsFd) -> bool {
        !rustix::fs::fcntl_getfl(socket).unwrap().contains(rustix::fs::OFlags::NONBLOCK)
    }
    let mut event_loop = event_loop();
    let folder = Folder::new();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = event_loop.net().adopt_unix_listener(OwnedFd::from(tcp).into()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
    assert!(is_blocking(&refused.back));
    std::net::TcpListener::from(OwnedFd::from(refused.back)).local_addr().unwrap();

    let unix = UnixListener::bind(folder.file("socket")).unwrap();
    let refused = event_loop.net().adopt_listener(OwnedFd::from(unix).into()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);

    let (datagram, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let refused = event_loop.net().adopt_unix_stream(OwnedFd::from(datagram).into(), ()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
    assert!(is_blocking(&refused.back.0));

    let unconnected = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let refused = event_loop.net().adopt_unix_stream(OwnedFd::from(unconnected).into(), ()).unwrap_err();
    let error: io::Error = refused.into();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
}
