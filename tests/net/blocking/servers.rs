//! Tests of the blocking server and client, with each other and with peers that misbehave.
//!
//! No test may hang: every socket of a test has timeouts, and calls that block without a timeout run under [`within`].

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tidegate::blocking::{self, Server, ServerOptions, Stopper};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Mode {
    OneAtATime,
    Threads,
}

const MODES: [Mode; 2] = [Mode::OneAtATime, Mode::Threads];

/// A server on a thread. Dropping a `Running` stops the server and waits for its end.
struct Running {
    at: SocketAddr,
    stopper: Stopper,
    serving: Option<JoinHandle<()>>,
}

impl Running {
    fn start(mode: Mode) -> Running {
        Running::serve(mode, Server::bind("127.0.0.1:0").expect("a loopback address can be bound"))
    }

    fn serve(mode: Mode, server: Server) -> Running {
        let at = server.local_addr().expect("the socket is bound");
        let stopper = server.stopper().expect("the socket is bound");
        let serving = thread::spawn(move || match mode {
            Mode::OneAtATime => server.serve_one_at_a_time(),
            Mode::Threads => server.serve_with_threads(),
        });
        Running { at, stopper, serving: Some(serving) }
    }

    fn connect(&self) -> TcpStream {
        connect(self.at)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        let serving = self.serving.take().expect("drop is called once");
        let ended = within(move || serving.join());
        if !thread::panicking() {
            ended.expect("the server does not panic");
        }
    }
}

/// Connects a client whose calls fail after [`PATIENCE`].
fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&at, PATIENCE).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    stream.set_write_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    stream
}

/// Runs `work` in a thread and returns its result. Panics if `work` takes too long.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(PATIENCE).expect("the work ends in time")
}

/// Makes bytes without a repeated stretch, so that a comparison finds a byte that was lost or doubled.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Asserts that both are equal, without printing all bytes as `assert_eq!` would.
fn assert_same(came: &[u8], sent: &[u8]) {
    let differ = came.iter().zip(sent).position(|(came, sent)| came != sent);
    assert!(came.len() == sent.len() && differ.is_none(), "{} of {}, {differ:?}", came.len(), sent.len());
}

#[test]
fn a_message_comes_back() {
    for mode in MODES {
        let server = Running::start(mode);
        let at = server.at;
        for message in [&b"hello"[..], b"", b"\0\xff", &pattern(100_000)] {
            let sent = message.to_vec();
            let came = within(move || blocking::echo(at, &sent)).expect("the echo comes back");
            assert_same(&came, message);
        }
    }
}

#[test]
fn sixteen_mebibytes_come_back_whole() {
    for mode in MODES {
        let server = Running::start(mode);
        let sent = pattern(16 << 20);
        assert_same(&blocking::exchange(&server.connect(), &sent).expect("the echo comes back"), &sent);
    }
}

#[test]
fn a_buffer_of_any_size_gives_a_whole_echo() {
    for bytes in [0, 1, 7, 256 << 10] {
        let server = Server::bind_with("127.0.0.1:0", ServerOptions::default().buffer(bytes).backlog(1));
        let server = Running::serve(Mode::OneAtATime, server.expect("a loopback address can be bound"));
        let sent = pattern(10_000);
        assert_same(&blocking::exchange(&server.connect(), &sent).expect("the echo comes back"), &sent);
    }
}

#[test]
fn a_message_larger_than_all_buffers_does_not_deadlock_client_and_server() {
    // The kernel does not tune buffer sizes that are set (tcp(7)), and accepted sockets inherit the sizes of their
    // listener.
    let shrink = |socket: SockRef<'_>| {
        socket.set_send_buffer_size(4096).expect("the kernel has its own minimum");
        socket.set_recv_buffer_size(4096).expect("the kernel has its own minimum");
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback address can be bound");
    shrink(SockRef::from(&listener));
    let stream = connect(listener.local_addr().expect("the socket is bound"));
    shrink(SockRef::from(&stream));
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        blocking::echo_connection(&stream, &mut [0; 1000])
    });

    let sent = pattern(128 << 10);
    assert_same(&blocking::exchange(&stream, &sent).expect("the echo comes back"), &sent);
    drop(stream);
    assert_eq!(
        within(move || server.join()).expect("the server does not panic").expect("the echo has no error"),
        128 << 10
    );
}

#[test]
fn one_connection_carries_many_messages() {
    let server = Running::start(Mode::OneAtATime);
    let stream = server.connect();
    for length in 1..100 {
        let sent = pattern(length);
        assert_same(&blocking::exchange(&stream, &sent).expect("the echo comes back"), &sent);
    }
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_whole_echo() {
    for mode in MODES {
        let server = Running::start(mode);
        let stream = server.connect();
        let sent = pattern(1 << 20);
        let mut came = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                blocking::send_all(&stream, &sent).expect("the server reads");
                stream.shutdown(Shutdown::Write).expect("connected");
            });
            // The client reads up to the end of file of the server, which closes when it has sent everything.
            (&stream).read_to_end(&mut came).expect("the stream ends without a reset or a timeout");
        });
        assert_same(&came, &sent);
    }
}

#[test]
fn a_client_that_is_reset_does_not_end_the_server() {
    for mode in MODES {
        let server = Running::start(mode);
        for _ in 0..20 {
            let mut stream = server.connect();
            stream.write_all(b"soon gone").expect("connected");
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("the socket is open");
            drop(stream); // With a linger time of zero, close(2) resets the connection.
        }
        assert_eq!(
            blocking::exchange(&server.connect(), b"still here").expect("the echo comes back"),
            b"still here"
        );
    }
}

#[test]
fn one_at_a_time_keeps_the_second_client_waiting() {
    let server = Running::start(Mode::OneAtATime);
    let first = server.connect();
    blocking::exchange(&first, b"first").expect("the echo comes back");

    let mut second = server.connect();
    second.write_all(b"second").expect("the kernel keeps the bytes of a client in the backlog");
    blocking::exchange(&first, b"first again").expect("the echo comes back");
    second.set_nonblocking(true).expect("the socket is open");
    assert_eq!(
        second.read(&mut [0; 16]).expect_err("the second client is not served yet").kind(),
        io::ErrorKind::WouldBlock
    );
    second.set_nonblocking(false).expect("the socket is open");

    drop(first);
    let mut came = [0; 6];
    blocking::recv_exact(&second, &mut came).expect("the second client is served now");
    assert_eq!(&came, b"second");
}

#[test]
fn silent_clients_do_not_keep_a_server_with_threads_from_serving() {
    let server = Running::start(Mode::Threads);
    let _silent: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    assert_eq!(blocking::exchange(&server.connect(), b"hello").expect("the echo comes back"), b"hello");
}

#[test]
fn a_stop_ends_the_connections_of_present_clients() {
    for mode in MODES {
        let server = Running::start(mode);
        let mut silent = server.connect();
        blocking::exchange(&silent, b"so it is accepted").expect("the echo comes back");
        let deaf = matches!(mode, Mode::Threads).then(|| {
            // This client never reads, so the thread of the server waits in send.
            let mut deaf = server.connect();
            deaf.set_nonblocking(true).expect("the socket is open");
            while deaf.write(&[0; 65536]).is_ok() {}
            deaf
        });
        drop(server); // The drop waits until the server has ended.
        assert_eq!(silent.read(&mut [0; 16]).expect("the connection ends before the timeout"), 0);
        drop(deaf);
    }
}

#[test]
fn a_stop_reaches_a_server_on_every_interface() {
    for any in [":0", "0.0.0.0:0"] {
        let server = Server::bind(any).expect("every machine has an interface");
        let stopper = server.stopper().expect("the socket is bound");
        let (at, (done, served)) = (server.local_addr().expect("the socket is bound"), mpsc::channel());
        thread::spawn(move || {
            server.serve_one_at_a_time();
            done.send(())
        });
        // After this echo, the server has been in accept, and most likely is in accept again.
        let from_here = SocketAddr::from(([127, 0, 0, 1], at.port()));
        within(move || blocking::echo(from_here, b"hello")).expect("the echo comes back");
        stopper.stop();
        stopper.stop();
        served.recv_timeout(PATIENCE).expect("the server returns after a stop");
    }
}

#[test]
fn a_port_in_use_is_an_error_of_one_line() {
    let server = Server::bind("127.0.0.1:0").expect("a loopback address can be bound");
    let at = server.local_addr().expect("the socket is bound");
    let error = Server::bind(at).expect_err("the port is in use");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let line = error.to_string();
    assert!(line.starts_with(&format!("cannot listen on {at}: ")) && !line.contains('\n'), "{line}");
}

#[test]
fn a_client_without_an_echo_gets_an_error_with_the_cause() {
    // The socket is bound, so that no other program gets the port, but does not listen.
    let mute = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    mute.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a loopback address can be bound");
    let at = mute.local_addr().ok().and_then(|at| at.as_socket()).expect("the socket is bound");
    let error = within(move || blocking::echo(at, b"hello")).expect_err("the connection is refused");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with(&format!("cannot connect to {at}: ")), "{error}");

    // This server reads all five bytes, sends two bytes back, and closes.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback address can be bound");
    let at = listener.local_addr().expect("the socket is bound");
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        blocking::recv_exact(&stream, &mut [0; 5])?;
        blocking::send_all(&stream, b"he")
    });
    let error = within(move || blocking::echo(at, b"hello")).expect_err("only two bytes come back");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let why = format!("no whole echo from {at}: the connection ended after 2 of 5 bytes");
    assert_eq!(error.to_string(), why);
    within(move || server.join()).expect("the server does not panic").expect("the server has no error");
}
