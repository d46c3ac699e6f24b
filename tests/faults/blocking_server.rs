//! Tests of the end of a blocking server that has no free descriptor, or to which no connection can be made.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;
use std::{fs, iter, thread};

use crate::support::programs::{Killed, example, has_strace, start_server};
use crate::support::{PATIENCE, connect, exchange, within};

/// The number of repetitions. The race between the signal and the threads of the clients has several outcomes.
const REPETITIONS: usize = 10;

type Started = (Killed, BufReader<ChildStdout>, String);

/// Starts a server with a thread for each client. All numbers of its descriptors are below `limit`.
fn limited_server(limit: usize) -> Started {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" --threads --listen 127.0.0.1:0")]);
    command.arg(example("blocking_echo_server").get_program()).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    start_server(command)
}

/// Returns the limit at which a server that listens can open `count` more descriptors.
fn limit_that_leaves(count: usize) -> usize {
    let (mut server, _stdout, _at) = limited_server(64);
    let pid = server.child().id();
    await_sleep(pid);
    let open: Vec<usize> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the server runs")
        .map(|entry| entry.expect("the server runs").file_name().to_str().unwrap().parse().unwrap())
        .collect();
    (0..).filter(|number| !open.contains(number)).nth(count).expect("the range has no end")
}

/// Waits until the main thread sleeps. A server that listens sleeps in accept, or in the pause after an accept that
/// failed: proc_pid_stat(5).
fn await_sleep(pid: u32) {
    let end = Instant::now() + PATIENCE;
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).expect("the server runs");
        if stat.rsplit_once(')').is_some_and(|(_, fields)| fields.starts_with(" S ")) {
            return;
        }
        assert!(Instant::now() < end, "the server does not sleep");
        thread::yield_now();
    }
}

/// Connects `count` clients, and returns when each client has a thread that waits for the next message.
fn served(count: usize, at: &str) -> Vec<TcpStream> {
    let client = || {
        let mut client = connect(at.parse().expect("an address"));
        assert_eq!(exchange(&mut client, b"hello"), b"hello");
        client
    };
    iter::repeat_with(client).take(count).collect()
}

fn assert_ends(mut server: Killed, mut stdout: BufReader<ChildStdout>) {
    server.signal("-TERM");
    // Standard output ends with the process, and `finish` waits with a limit only for pipes that it reads itself.
    within(move || stdout.read_to_end(&mut Vec::new())).expect("a pipe can be read");
    let output = server.finish();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_server_whose_accept_holds_the_last_descriptor_ends_at_a_signal() {
    for clients in [0, 8] {
        // On Linux, accept takes its descriptor before it sleeps.
        let limit = limit_that_leaves(clients + 1);
        for _ in 0..REPETITIONS {
            let (mut server, stdout, at) = limited_server(limit);
            let _clients = served(clients, &at);
            await_sleep(server.child().id());
            assert_ends(server, stdout);
        }
    }
}

#[test]
fn a_server_that_waits_for_a_descriptor_ends_at_a_signal() {
    for clients in [0, 8] {
        let limit = limit_that_leaves(clients);
        for _ in 0..REPETITIONS {
            let (mut server, stdout, at) = limited_server(limit);
            let _clients = served(clients, &at);
            let log = BufReader::new(server.child().stderr.take().expect("standard error is a pipe")).lines();
            let (told, full) = mpsc::channel();
            // The thread reads to the end, because a full pipe would hold the server up.
            thread::spawn(move || {
                let lines = log.map_while(Result::ok);
                lines.filter(|line| line.contains("cannot accept")).for_each(|_| _ = told.send(()));
            });
            full.recv_timeout(PATIENCE).expect("the server logs that it cannot accept");
            assert_ends(server, stdout);
        }
    }
}

#[test]
fn a_stop_tries_again_when_it_cannot_connect_to_its_own_server() {
    if !has_strace() {
        return;
    }
    for errors in ["EADDRNOTAVAIL:when=1", "ENOBUFS:when=1..3"] {
        let name = format!("blocking_stop.{}", std::process::id());
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut command = Command::new("strace");
        // With -D, the server is the child of this test, so that the server gets the signal. With -f, strace also traces
        // the thread that waits for signals and connects.
        command.args(["-D", "-f", "-qq", "-o"]).arg(&log);
        command.args(["-e", "trace=connect", "-e", &format!("inject=connect:error={errors}")]);
        command.arg(example("blocking_echo_server").get_program()).args([
            "--threads",
            "--listen",
            "127.0.0.1:0",
        ]);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut server, stdout, _at) = start_server(command);
        await_sleep(server.child().id());
        assert_ends(server, stdout);
        let calls = fs::read_to_string(&log).expect("strace has written its log");
        assert!(calls.contains("(INJECTED)"), "no error was injected: {calls}");
        fs::remove_file(log).expect("the log exists");
    }
}
