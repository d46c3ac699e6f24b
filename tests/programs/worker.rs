//! Tests of the example `worker`: the order of the answers, clients that end early, and the end of the server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
};

use crate::support::{
    self, connect,
    programs::{Killed, example, start_server},
};

/// A thread needs years for a request with this number.
const ENDLESS: &str = "4294967295\n";

fn server(arguments: &[&str]) -> Command {
    let mut command = example("worker");
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    command
}

fn start(arguments: &[&str]) -> (Killed, String) {
    let (server, _, at) = start_server(server(arguments));
    (server, at)
}

fn client(at: &str, requests: &str) -> TcpStream {
    let mut client = connect(at.parse().unwrap());
    client.write_all(requests.as_bytes()).unwrap();
    client
}

/// Reads lines up to the end of file, and leaves the comments out.
fn answers(client: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(client).lines().map(|line| line.unwrap());
    lines.filter(|line| !line.starts_with('#')).collect()
}

/// Asks for an answer that a thread computes at once when the thread is free.
fn assert_a_thread_is_free(at: &str) {
    let client = client(at, "10\n");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answers(&client), ["10 4"]);
}

#[test]
fn a_client_that_has_half_closed_gets_all_answers_in_the_order_of_its_requests() {
    let (_server, at) = start(&["--threads", "4"]);
    let requests = "300000\n1\nping\n200\nnonsense\n100000\n2\n".repeat(5);
    let client = client(&at, &requests);
    client.shutdown(Shutdown::Write).unwrap();
    let error = "error: write ping or a number up to 4294967295";
    let expected = ["300000 25997", "1 0", "pong", "200 46", error, "100000 9592", "2 1"];
    assert_eq!(answers(&client), expected.repeat(5));
}

#[test]
fn the_loop_answers_while_all_threads_compute() {
    let (_server, at) = start(&["--threads", "1"]);
    let busy = client(&at, ENDLESS);
    let mut other = client(&at, "");
    for _ in 0..100 {
        other.write_all(b"ping\n").unwrap();
        let mut pong = [0; 5];
        other.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"pong\n");
    }
    drop(busy);
}

/// A client that is gone has sent an end of file, or a reset. Nine requests make the server pause reading before it reads the
/// end.
#[test]
fn the_work_for_a_client_that_has_gone_is_cancelled() {
    // The cases run at the same time, because most of the time is spent waiting for comments of the server.
    std::thread::scope(|scope| {
        for requests in [1, 9, 100] {
            for end in [drop::<TcpStream>, support::reset] {
                scope.spawn(move || {
                    let (_server, at) = start(&["--threads", "1"]);
                    end(client(&at, &ENDLESS.repeat(requests)));
                    assert_a_thread_is_free(&at);
                });
            }
        }
    });
}

/// The requests of these clients would stay in the queue for as long as the one thread computes.
#[test]
#[cfg(target_os = "linux")]
fn the_requests_of_clients_that_have_gone_need_no_memory_while_all_threads_compute() {
    const CLIENTS: usize = 6000;
    let (mut server, at) = start(&["--threads", "1"]);
    let _busy = client(&at, ENDLESS);
    let mut come_and_go = |count| {
        for _ in 0..count {
            let mut client = client(&at, &format!("ping\n{}", ENDLESS.repeat(7)));
            client.read_exact(&mut [0; 5]).unwrap(); // the server has read the requests
            support::reset(client);
        }
        crate::support::programs::memory(&mut server, "VmRSS:")
    };
    let before = come_and_go(500);
    let growth = come_and_go(CLIENTS).saturating_sub(before);
    assert!(growth < 1 << 20, "the server needs {growth} bytes");
}

/// The client reads the comments of the server while it waits.
#[test]
fn a_client_that_has_half_closed_reads_comments_and_keeps_its_work() {
    let (_server, at) = start(&["--threads", "1"]);
    let mut busy = client(&at, ENDLESS);
    busy.shutdown(Shutdown::Write).unwrap();
    let mut reader = BufReader::new(busy.try_clone().unwrap());
    for _ in 0..3 {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "# the server computes\n");
    }
    busy.set_nonblocking(true).unwrap();
    assert!(busy.read(&mut [0; 100]).is_err(), "the server has not ended the connection");
}

#[test]
fn a_line_that_is_too_long_is_answered_with_a_reset() {
    let (_server, at) = start(&[]);
    let mut client = client(&at, &"1".repeat(100));
    assert_eq!(support::read_out(&mut client), (vec![], support::End::Reset));
}

#[test]
#[cfg(unix)]
fn a_signal_ends_the_server_after_the_answers_that_are_owed() {
    let folder = support::unix::Folder::new();
    let name = format!("unix:{}", folder.file("worker").display());
    let mut command = example("worker");
    command.args(["--listen", &name]);
    let (mut server, _stdout, at) = start_server(command);
    assert_eq!(at, name);
    let mut client = support::unix::connect_to(&folder.file("worker"), |_| {});
    client.set_read_timeout(Some(support::PATIENCE)).unwrap();
    // The pong tells that the server has read the other request too.
    client.write_all(b"ping\n1500000\n").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    server.signal("-TERM");
    assert_eq!(answers(&client), ["1500000 114155"]);
    drop(client);
    let output = server.finish();
    assert!(output.status.success(), "{output:?}");
    assert!(folder.names().is_empty(), "the server leaves its file behind");
}

#[test]
#[cfg(unix)]
fn work_that_is_not_done_at_the_end_of_the_grace_is_cancelled() {
    let (mut server, at) = start(&["--drain", "0"]);
    let mut client = client(&at, &format!("ping\n{ENDLESS}"));
    client.read_exact(&mut [0; 5]).unwrap();
    server.signal("-TERM");
    assert!(server.finish().status.success());
    assert_eq!(support::read_out(&mut client), (vec![], support::End::Reset));
}
