//! The two blocking example programs as a user meets them: what they print, and what they exit with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::support::programs::{Killed, example, finish, line, start_server};

use crate::support::PATIENCE;

fn server(arguments: &[&str]) -> Command {
    let mut command = example("blocking_echo_server");
    command.args(arguments);
    command
}

fn client(at: &str, message: &str) -> Output {
    let mut command = example("blocking_echo_client");
    command.args([at, message]);
    finish(command)
}

#[test]
fn the_client_prints_the_echo_and_nothing_else() {
    for mode in [&["--listen", "127.0.0.1:0"][..], &["--threads", "--listen", "127.0.0.1:0"]] {
        let (_server, _stdout, at) = start_server(server(mode));
        let large = "x".repeat(100_000);
        for message in ["hello", "", "zwölf\n", &large] {
            let output = client(&at, message);
            assert!(output.status.success(), "{output:?}");
            assert!(output.stdout == message.as_bytes() && output.stderr.is_empty(), "{output:?}");
        }
    }
}

#[test]
fn help_is_an_exit_with_0_and_bad_arguments_with_2() {
    for name in ["blocking_echo_server", "blocking_echo_client"] {
        let run = |argument| {
            let mut command = example(name);
            command.arg(argument);
            finish(command)
        };
        let help = run("--help");
        assert!(help.status.success() && !help.stdout.is_empty() && help.stderr.is_empty(), "{help:?}");
        assert_eq!(run("--no-such-option").status.code(), Some(2));
    }
    assert_eq!(finish(example("blocking_echo_client")).status.code(), Some(2));
}

#[test]
fn a_server_that_cannot_listen_says_why_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let at = taken.local_addr().expect("it is bound").to_string();
    for (listen, why) in [
        (at.as_str(), format!("cannot listen on {at}: ")),
        ("192.0.2.1:0", "cannot listen on 192.0.2.1:0: ".into()), // RFC 5737: nobody's
        ("::1:7000", "bad address \"::1:7000\": ".into()),
    ] {
        let output = finish(server(&["--listen", listen]));
        assert_eq!(output.status.code(), Some(1));
        assert!(line(&output).starts_with(&format!("blocking_echo_server: {why}")), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn a_client_without_its_echo_says_why_in_one_line() {
    let output = client("127.0.0.1", "hello");
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output).contains("the port is missing"), "{output:?}");

    // A server that closes at once.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let at = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || listener.accept().map(drop));
    let output = client(&at, "hello");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        line(&output).starts_with(&format!("blocking_echo_client: no whole echo from {at}: ")),
        "{output:?}"
    );

    // One that sends back something else.
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let at = listener.local_addr().expect("it is bound").to_string();
    let liar = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.write_all(b"help!")?;
        stream.read_to_end(&mut Vec::new())
    });
    let output = client(&at, "hello");
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output).ends_with("from byte 3 on"), "{output:?}");
    drop(liar);
}

#[cfg(unix)]
mod unix {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_signal_ends_the_server_with_0() {
        for (mode, signal) in [("--listen=127.0.0.1:0", "-INT"), ("--listen=:0", "-TERM")] {
            for threads in [&["--threads"][..], &[]] {
                let mut command = server(threads);
                command.arg(mode);
                let (mut server, mut stdout, at) = start_server(command);
                // One who is connected and says nothing does not hold it up.
                let _silent = TcpStream::connect(&at).expect("it listens");
                server.signal(signal);
                let output = server.finish();
                assert!(output.status.success(), "{output:?}");
                let mut rest = String::new();
                stdout.read_to_string(&mut rest).expect("a pipe");
                assert_eq!(rest, "", "exactly one line on standard output");
            }
        }
    }

    #[test]
    fn nobody_reading_its_output_is_not_a_panic() {
        let (_server, _stdout, at) = start_server(server(&["--threads", "--listen", "127.0.0.1:0"]));
        let mut command = example("blocking_echo_client");
        command.args([&at, &"x".repeat(100_000)]);
        let mut child = Killed::start(&mut command);
        drop(child.child().stdout.take());
        let output = child.finish();
        assert_eq!(output.status.code(), Some(1));
        assert!(line(&output).contains("cannot write to standard output"), "{output:?}");

        let mut silent = server(&["--listen", "127.0.0.1"]);
        silent.stderr(Stdio::piped());
        let mut child = Killed::start(&mut silent);
        drop(child.child().stderr.take());
        assert_eq!(child.finish().status.code(), Some(1));
    }

    #[test]
    fn a_server_out_of_descriptors_serves_again_once_there_are_some() {
        let program = server(&[]).get_program().to_owned();
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 20; exec \"$0\" --threads --listen 127.0.0.1:0"]).arg(program);
        limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut server, _stdout, at) = start_server(limited);
        let mut log = BufReader::new(server.child().stderr.take().expect("piped")).lines();

        let many: Vec<TcpStream> = (0..30).map(|_| TcpStream::connect(&at).expect("the backlog")).collect();
        let (done, out) = mpsc::channel();
        thread::spawn(move || {
            let full = log.find(|line| line.as_ref().is_ok_and(|line| line.contains("cannot accept")));
            done.send(full.is_some())?;
            log.for_each(drop); // or a full pipe would hold the server up
            Ok::<(), mpsc::SendError<bool>>(())
        });
        assert!(out.recv_timeout(PATIENCE).expect("it says so, and in time"));
        drop(many);
        let output = client(&at, "hello");
        assert_eq!(output.stdout, b"hello", "{output:?}");
    }
}

/// The end of a server for which no descriptor is free, or to which no connection can be made.
#[cfg(target_os = "linux")]
mod ending_without_resources {
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::ChildStdout;
    use std::time::Instant;
    use std::{fs, iter};

    use super::*;
    use crate::support::programs::has_strace;
    use crate::support::{connect, exchange, within};

    /// The race between the signal and the threads of the clients has several outcomes.
    const REPETITIONS: usize = 10;

    type Started = (Killed, BufReader<ChildStdout>, String);

    /// A server with a thread for each client, none of whose descriptors may have the number `limit` or a higher number.
    fn limited_server(limit: usize) -> Started {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" --threads --listen 127.0.0.1:0")]);
        command.arg(server(&[]).get_program()).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        start_server(command)
    }

    /// The limit at which a server that listens can open `count` more descriptors.
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
            assert!(Instant::now() < end, "the server goes to sleep");
            thread::yield_now();
        }
    }

    /// Connects as many clients, and returns when each client has a thread that waits for the next message.
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
        within(move || stdout.read_to_end(&mut Vec::new())).expect("a pipe");
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
                let log = BufReader::new(server.child().stderr.take().expect("piped")).lines();
                let (told, full) = mpsc::channel();
                // The thread reads to the end, because a full pipe would hold the server up.
                thread::spawn(move || {
                    let lines = log.map_while(Result::ok);
                    lines.filter(|line| line.contains("cannot accept")).for_each(|_| _ = told.send(()));
                });
                full.recv_timeout(PATIENCE).expect("the server says that it cannot accept");
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
            // -D makes the server the child of this test, so that the server gets the signal. -f: a thread of its own
            // waits for signals and connects.
            command.args(["-D", "-f", "-qq", "-o"]).arg(&log);
            command.args(["-e", "trace=connect", "-e", &format!("inject=connect:error={errors}")]);
            command.arg(server(&[]).get_program()).args(["--threads", "--listen", "127.0.0.1:0"]);
            command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let (mut server, stdout, _at) = start_server(command);
            await_sleep(server.child().id());
            assert_ends(server, stdout);
            let calls = fs::read_to_string(&log).expect("strace writes a log");
            assert!(calls.contains("(INJECTED)"), "no error was injected: {calls}");
            fs::remove_file(log).expect("the log exists");
        }
    }
}
