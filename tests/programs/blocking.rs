//! Tests of the two blocking example programs: their output and their exit status.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::support::PATIENCE;
use crate::support::programs::{Killed, example, finish, line, start_server};

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
fn help_exits_with_0_and_bad_arguments_exit_with_2() {
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
fn a_server_that_cannot_listen_prints_the_cause_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a loopback address can be bound");
    let at = taken.local_addr().expect("the socket is bound").to_string();
    for (listen, why) in [
        (at.as_str(), format!("cannot listen on {at}: ")),
        ("192.0.2.1:0", "cannot listen on 192.0.2.1:0: ".into()), // No host has this address: RFC 5737.
        ("::1:7000", "bad address \"::1:7000\": ".into()),
    ] {
        let output = finish(server(&["--listen", listen]));
        assert_eq!(output.status.code(), Some(1));
        assert!(line(&output).starts_with(&format!("blocking_echo_server: {why}")), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn a_client_without_its_echo_prints_the_cause_in_one_line() {
    let output = client("127.0.0.1", "hello");
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output).contains("the port is missing"), "{output:?}");

    // This server closes the connection at once.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback address can be bound");
    let at = listener.local_addr().expect("the socket is bound").to_string();
    thread::spawn(move || listener.accept().map(drop));
    let output = client(&at, "hello");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        line(&output).starts_with(&format!("blocking_echo_client: no whole echo from {at}: ")),
        "{output:?}"
    );

    // This server sends other bytes back.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback address can be bound");
    let at = listener.local_addr().expect("the socket is bound").to_string();
    let wrong_server = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.write_all(b"help!")?;
        stream.read_to_end(&mut Vec::new())
    });
    let output = client(&at, "hello");
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output).ends_with("from byte 3 on"), "{output:?}");
    drop(wrong_server);
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
                // A client that is connected and sends nothing does not delay the end.
                let _silent = TcpStream::connect(&at).expect("the server listens");
                server.signal(signal);
                let output = server.finish();
                assert!(output.status.success(), "{output:?}");
                let mut rest = String::new();
                stdout.read_to_string(&mut rest).expect("a pipe can be read");
                assert_eq!(rest, "", "the server printed more than one line on standard output");
            }
        }
    }

    #[test]
    fn a_closed_output_pipe_is_an_error_and_no_panic() {
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
    fn a_server_out_of_descriptors_serves_again_when_descriptors_are_free() {
        let program = server(&[]).get_program().to_owned();
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 20; exec \"$0\" --threads --listen 127.0.0.1:0"]).arg(program);
        limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut server, _stdout, at) = start_server(limited);
        let mut log = BufReader::new(server.child().stderr.take().expect("standard error is a pipe")).lines();

        let many: Vec<TcpStream> =
            (0..30).map(|_| TcpStream::connect(&at).expect("the backlog has room")).collect();
        let (done, out) = mpsc::channel();
        thread::spawn(move || {
            let full = log.find(|line| line.as_ref().is_ok_and(|line| line.contains("cannot accept")));
            done.send(full.is_some())?;
            log.for_each(drop); // A full pipe would block the server.
            Ok::<(), mpsc::SendError<bool>>(())
        });
        assert!(out.recv_timeout(PATIENCE).expect("the server logs in time that it cannot accept"));
        drop(many);
        let output = client(&at, "hello");
        assert_eq!(output.stdout, b"hello", "{output:?}");
    }
}
