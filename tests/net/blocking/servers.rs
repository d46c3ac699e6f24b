//! The blocking server and client, against each other and against peers that misbehave.
//!
//! Nothing here may hang: every socket of a test has timeouts, and what blocks without one runs under [`within`].

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

/// A server on a thread; stopped, and seen to stop, when it is dropped.
struct Running {
    at: SocketAddr,
    stopper: Stopper,
    serving: Option<JoinHandle<()>>,
}

impl Running {
    fn start(mode: Mode) -> Running {
        Running::serve(mode, Server::bind("127.0.0.1:0").expect("loopback"))
    }

    fn serve(mode: Mode, server: Server) -> Running {
        let at = server.local_addr().expect("it is bound");
        let stopper = server.stopper().expect("it is bound");
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
        let serving = self.serving.take().expect("dropped once");
        let ended = within(move || serving.join());
        if !thread::panicking() {
            ended.expect("the server does not panic");
        }
    }
}

/// A client's stream that gives up where it would wait for ever.
fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&at, PATIENCE).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

/// What `work` returns, or a failed test if it takes for ever.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(PATIENCE).expect("it ends, and in time")
}

/// Bytes of which no two stretches look the same, so that one lost or doubled shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Not assert_eq!, which would print both.
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
            let came = within(move || blocking::echo(at, &sent)).expect("an echo");
            assert_same(&came, message);
        }
    }
}

#[test]
fn sixteen_mebibytes_come_back_whole() {
    for mode in MODES {
        let server = Running::start(mode);
        let sent = pattern(16 << 20);
        assert_same(&blocking::exchange(&server.connect(), &sent).expect("an echo"), &sent);
    }
}

#[test]
fn a_buffer_of_any_size_serves() {
    for bytes in [0, 1, 7, 256 << 10] {
        let server = Server::bind_with("127.0.0.1:0", ServerOptions::default().buffer(bytes).backlog(1));
        let server = Running::serve(Mode::OneAtATime, server.expect("loopback"));
        let sent = pattern(10_000);
        assert_same(&blocking::exchange(&server.connect(), &sent).expect("an echo"), &sent);
    }
}

#[test]
fn a_message_larger_than_every_buffer_does_not_lock_the_pair() {
    // Sizes that are set are not tuned by the kernel (tcp(7)), and what listens passes its own on.
    let shrink = |socket: SockRef<'_>| {
        socket.set_send_buffer_size(4096).expect("the kernel has its own minimum");
        socket.set_recv_buffer_size(4096).expect("the kernel has its own minimum");
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    shrink(SockRef::from(&listener));
    let stream = connect(listener.local_addr().expect("it is bound"));
    shrink(SockRef::from(&stream));
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        blocking::echo_connection(&stream, &mut [0; 1000])
    });

    let sent = pattern(128 << 10);
    assert_same(&blocking::exchange(&stream, &sent).expect("an echo"), &sent);
    drop(stream);
    assert_eq!(within(move || server.join()).expect("no panic").expect("no error"), 128 << 10);
}

#[test]
fn one_connection_carries_many_messages() {
    let server = Running::start(Mode::OneAtATime);
    let stream = server.connect();
    for length in 1..100 {
        let sent = pattern(length);
        assert_same(&blocking::exchange(&stream, &sent).expect("an echo"), &sent);
    }
}

#[test]
fn a_client_that_ends_its_side_still_gets_the_rest() {
    for mode in MODES {
        let server = Running::start(mode);
        let stream = server.connect();
        let sent = pattern(1 << 20);
        let mut came = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                blocking::send_all(&stream, &sent).expect("it reads");
                stream.shutdown(Shutdown::Write).expect("connected");
            });
            // Up to the server's own end of file: it closes when it has sent everything.
            (&stream).read_to_end(&mut came).expect("no reset, no timeout");
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
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option of an open socket");
            drop(stream); // with a linger of zero, close(2) is a reset
        }
        assert_eq!(blocking::exchange(&server.connect(), b"still here").expect("an echo"), b"still here");
    }
}

#[test]
fn one_at_a_time_keeps_the_second_client_waiting() {
    let server = Running::start(Mode::OneAtATime);
    let first = server.connect();
    blocking::exchange(&first, b"first").expect("an echo");

    let mut second = server.connect();
    second.write_all(b"second").expect("the kernel takes it for the backlog");
    blocking::exchange(&first, b"first again").expect("an echo");
    second.set_nonblocking(true).expect("a flag of an open socket");
    assert_eq!(second.read(&mut [0; 16]).expect_err("not served").kind(), io::ErrorKind::WouldBlock);
    second.set_nonblocking(false).expect("a flag of an open socket");

    drop(first);
    let mut came = [0; 6];
    blocking::recv_exact(&second, &mut came).expect("now it is served");
    assert_eq!(&came, b"second");
}

#[test]
fn a_thread_for_each_serves_beside_clients_that_say_nothing() {
    let server = Running::start(Mode::Threads);
    let _silent: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    assert_eq!(blocking::exchange(&server.connect(), b"hello").expect("an echo"), b"hello");
}

#[test]
fn a_stop_cuts_off_who_is_connected() {
    for mode in MODES {
        let server = Running::start(mode);
        let mut silent = server.connect();
        blocking::exchange(&silent, b"so it is accepted").expect("an echo");
        let deaf = matches!(mode, Mode::Threads).then(|| {
            // Never reads: its server ends up in send.
            let mut deaf = server.connect();
            deaf.set_nonblocking(true).expect("a flag of an open socket");
            while deaf.write(&[0; 65536]).is_ok() {}
            deaf
        });
        drop(server); // which waits until serve has returned
        assert_eq!(silent.read(&mut [0; 16]).expect("an end, not a timeout"), 0);
        drop(deaf);
    }
}

#[test]
fn a_stop_reaches_a_server_on_every_interface() {
    for any in [":0", "0.0.0.0:0"] {
        let server = Server::bind(any).expect("every machine has one");
        let stopper = server.stopper().expect("it is bound");
        let (at, (done, served)) = (server.local_addr().expect("it is bound"), mpsc::channel());
        thread::spawn(move || {
            server.serve_one_at_a_time();
            done.send(())
        });
        // So that it has been in accept, and most likely is there again.
        let from_here = SocketAddr::from(([127, 0, 0, 1], at.port()));
        within(move || blocking::echo(from_here, b"hello")).expect("an echo");
        stopper.stop();
        stopper.stop();
        served.recv_timeout(PATIENCE).expect("it returns");
    }
}

#[test]
fn a_port_in_use_is_an_error_of_one_line() {
    let server = Server::bind("127.0.0.1:0").expect("loopback");
    let at = server.local_addr().expect("it is bound");
    let error = Server::bind(at).expect_err("it is taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let line = error.to_string();
    assert!(line.starts_with(&format!("cannot listen on {at}: ")) && !line.contains('\n'), "{line}");
}

#[test]
fn a_client_says_why_it_got_no_echo() {
    // Bound, so that nobody else gets the port, but not listening.
    let mute = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    mute.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("loopback");
    let at = mute.local_addr().ok().and_then(|at| at.as_socket()).expect("it is bound");
    let error = within(move || blocking::echo(at, b"hello")).expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with(&format!("cannot connect to {at}: ")), "{error}");

    // A server that reads all five bytes, sends two back, and leaves.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let at = listener.local_addr().expect("it is bound");
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        blocking::recv_exact(&stream, &mut [0; 5])?;
        blocking::send_all(&stream, b"he")
    });
    let error = within(move || blocking::echo(at, b"hello")).expect_err("only two bytes");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let why = format!("no whole echo from {at}: the connection ended after 2 of 5 bytes");
    assert_eq!(error.to_string(), why);
    within(move || server.join()).expect("no panic").expect("no error");
}
