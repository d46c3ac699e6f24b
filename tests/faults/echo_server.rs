//! Tests with rare errors of system calls, which strace(1) injects into the built echo server.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use crate::support::{
    End, PATIENCE, connect, exchange, pattern,
    programs::{Killed, Turns, example, has_strace, start_server},
    read_out,
};

/// An echo server with errors injected into the system calls of its main thread.
struct Injected {
    server: Killed,
    at: std::net::SocketAddr,
    log: PathBuf,
}

impl Injected {
    /// Starts the server. `error` is written as in strace(1), for example "EINTR:when=1". `name` is the name of the test,
    /// which keeps the files of the tests apart. The last `sendto` is that of the signal handler, which tells the loop of the
    /// signal that ends the server, so `error` must not concern it.
    fn start(name: &str, calls: &str, error: &str) -> Self {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}", std::process::id()));
        let mut command = Command::new("strace");
        // With -D, the server is the child of this test and strace is a child of the server. So signals reach the server,
        // and neither outlives the test.
        command.args(["-D", "-qq", "-o"]).arg(&log);
        command.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error={error}")]);
        command.arg(example("echo_server").get_program()).args(["--listen", "127.0.0.1:0"]);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (server, _, at) = start_server(command);
        Self { server, at: at.parse().unwrap(), log }
    }

    /// Returns how many times the log names this call so far.
    fn count(&self, call: &str) -> usize {
        fs::read_to_string(&self.log).unwrap().matches(&format!("{call}(")).count()
    }

    /// Ends the server, and returns its statistics.
    fn end(mut self) -> String {
        self.server.signal("-TERM");
        let output = self.server.finish();
        assert!(output.status.success(), "{output:?}");
        let log = fs::read_to_string(&self.log).unwrap();
        assert!(log.contains("(INJECTED)"), "strace injected no error: {log}");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.log);
    }
}

/// Asserts that three clients get their whole echoes over their first connections, in spite of the errors.
fn assert_echoes(name: &str, calls: &str, errors: &[&str]) {
    if !has_strace() {
        return;
    }
    for (n, error) in errors.iter().enumerate() {
        let server = Injected::start(&format!("{name}{n}"), calls, error);
        let mut clients = Vec::new();
        for seed in 1..=3 {
            let mut client = connect(server.at);
            for len in [1, 10_000, 60_000] {
                let message = pattern(len, seed);
                assert!(exchange(&mut client, &message) == message, "{len} bytes, {calls}: {error}");
            }
            clients.push(client);
        }
        for client in &mut clients {
            assert_eq!(exchange(client, b"still there"), b"still there");
        }
        drop(clients);
        let statistics = server.end();
        assert!(statistics.contains(" 3 accepted"), "{calls}, {error}: {statistics}");
    }
}

/// Returns true if the client gets its echo, and false if its connection is closed.
fn is_echoed(client: &mut TcpStream) -> bool {
    let mut echo = [0; 5];
    match client.write_all(b"hello").and_then(|()| client.read_exact(&mut echo)) {
        Ok(()) => &echo == b"hello",
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("neither served nor closed"),
        Err(_) => false,
    }
}

#[test]
fn an_aborted_client_in_the_backlog_does_not_stop_the_server() {
    assert_echoes("aborted", "accept4", &["ECONNABORTED:when=1", "ECONNABORTED:when=1..3"]);
}

#[test]
fn an_interrupted_accept_is_tried_again() {
    assert_echoes("interrupted", "accept4", &["EINTR:when=1", "EINTR:when=1+3"]);
}

#[test]
fn an_accept_without_memory_is_tried_again_without_a_new_client() {
    let errors = ["ENOBUFS:when=1", "ENOMEM:when=1", "ENOMEM:when=1..2", "EPROTO:when=1"];
    assert_echoes("memory", "accept4", &errors);
}

/// The second call is the accept that turns the client away. If that accept fails as well, the client stays in the backlog.
#[test]
fn a_client_that_cannot_be_turned_away_without_a_descriptor_is_served_later() {
    assert_echoes("descriptors", "accept4", &["EMFILE:when=1..2", "ENFILE:when=1..2", "EMFILE:when=1..6"]);
}

#[test]
fn a_client_without_a_descriptor_is_closed_and_the_next_one_is_served() {
    if !has_strace() {
        return;
    }
    for (n, error) in ["EMFILE:when=1", "ENFILE:when=1", "EMFILE:when=1..3"].iter().enumerate() {
        let server = Injected::start(&format!("away{n}"), "accept4", error);
        assert_eq!(read_out(&mut connect(server.at)).0, b"");
        // A client that comes while the server still turns clients away is turned away as well.
        let end = Instant::now() + PATIENCE;
        while !is_echoed(&mut connect(server.at)) {
            assert!(Instant::now() < end, "{error}");
        }
        let statistics = server.end();
        assert!(statistics.contains(" 1 accepted, refused without a descriptor "), "{error}: {statistics}");
    }
}

#[test]
fn an_accept_that_keeps_failing_does_not_make_the_server_spin() {
    if !has_strace() {
        return;
    }
    let errors = ["ENOMEM:when=2+", "EMFILE:when=2+", "ENFILE:when=2+", "EPERM:when=2+"];
    for (n, error) in errors.iter().enumerate() {
        println!("{error}"); // If the test fails, its output names the error.
        let begin = Instant::now();
        // The first call of accept4 succeeds, and all others fail.
        let mut server = Injected::start(&format!("spin{n}"), "accept4", error);
        let turns = Turns::of(&mut server.server);
        let mut served = connect(server.at);
        assert_eq!(exchange(&mut served, b"hello"), b"hello");
        let _waits = connect(server.at);
        assert_eq!(exchange(&mut served, b"hello"), b"hello");
        turns.assert_rest(&mut server.server, &mut served);
        assert_eq!(exchange(&mut served, b"hello"), b"hello", "{error}");
        // The listener may use an accept budget for each of its events, for the rest of the turn that accepted a client,
        // and for each retry, which comes after 100 ms.
        let (calls, retries) = (server.count("accept4"), begin.elapsed().as_millis() as usize / 100);
        assert!(calls <= 256 * (4 + retries), "{error}: {calls} calls and time for {retries} retries");
    }
}

#[test]
fn an_interrupted_send_is_tried_again() {
    assert_echoes("send", "sendto", &["EINTR:when=1", "EINTR:when=1..10+3"]);
}

#[test]
fn a_send_that_finds_the_queue_of_the_interface_full_is_tried_again() {
    // No event reports that the queue has room, so a timer has to.
    assert_echoes("queue", "sendto", &["ENOBUFS:when=1", "ENOBUFS:when=1..3", "ENOBUFS:when=2..7+5"]);
}

#[test]
fn an_interrupted_receive_is_tried_again() {
    assert_echoes("receive", "recvfrom", &["EINTR:when=1", "EINTR:when=1+2"]);
}

#[test]
fn an_interrupted_wait_is_a_turn_without_events() {
    // Each architecture has one of the two calls. The standard library makes the first poll(2) of a program, at its start.
    let (calls, errors) = if cfg!(mio_unsupported_force_poll_poll) {
        ("?poll,?ppoll", ["EINTR:when=2", "EINTR:when=2+2"])
    } else {
        ("?epoll_wait,?epoll_pwait", ["EINTR:when=1", "EINTR:when=2+2"])
    };
    assert_echoes("wait", calls, &errors);
}

/// Such a connection ends with `CloseReason::Io`.
#[test]
fn an_error_of_the_socket_ends_its_connection_and_no_other() {
    if !has_strace() {
        return;
    }
    for (n, calls) in ["recvfrom", "sendto"].iter().enumerate() {
        let server = Injected::start(&format!("io{n}"), calls, "EIO:when=1");
        let mut first = connect(server.at);
        let mut second = connect(server.at);
        assert!(!is_echoed(&mut first), "a client whose socket failed got its echo");
        assert_eq!(exchange(&mut second, b"hello"), b"hello");
        drop(second);
        let statistics = server.end();
        assert!(statistics.contains(", failed 1"), "{calls}: {statistics}");
    }
}

/// A clean end of file would make a truncated answer look complete.
#[test]
fn a_send_error_that_loses_bytes_ends_the_connection_with_a_reset() {
    if !has_strace() {
        return;
    }
    let server = Injected::start("lost", "sendto", "EIO:when=2..6"); // one send of each connection below
    let mut served = connect(server.at);
    assert_eq!(exchange(&mut served, b"hello"), b"hello");
    // A small echo is gathered and a large echo is sent directly from the input, so each has its own error path.
    for (len, ends_first) in [(10, false), (10, true), (10_000, false), (10_000, true)] {
        let mut client = connect(server.at);
        client.write_all(&pattern(len, 1)).unwrap();
        if ends_first {
            let _ = client.shutdown(Shutdown::Write); // The call fails if the reset came first.
        }
        assert_eq!(read_out(&mut client), (vec![], End::Reset), "{len} bytes, {ends_first}");
    }
    // This client got its first echo, and the send of its second echo fails. The reset tells the client that bytes are
    // missing.
    served.write_all(b"is lost").unwrap();
    assert_eq!(read_out(&mut served), (vec![], End::Reset));
    let statistics = server.end();
    assert!(statistics.contains("undelivered 5"), "{statistics}");
}
