//! Tests of the programs `echo_server` and `echo_client`: their output and their exit status.

use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output, Stdio},
};

use tidegate::blocking;

use crate::support::{
    self, PATIENCE, exchange, pattern,
    programs::{Killed, example, finish, line, start_server},
    within,
};

fn server(arguments: &[&str]) -> Command {
    let mut command = example("echo_server");
    command.args(arguments);
    command
}

/// Returns the command of a client that logs errors alone, so that any output on standard error is an error.
fn client(arguments: &[&str]) -> Command {
    let mut command = example("echo_client");
    command.env("RUST_LOG", "error").args(arguments);
    command
}

fn connect(at: &str) -> TcpStream {
    support::connect(at.parse().expect("the server printed an address"))
}

#[test]
fn the_server_prints_its_address_and_echoes() {
    let (_server, _stdout, at) = start_server(server(&["--listen", "127.0.0.1:0"]));
    let message = pattern(100_000, 5);
    assert!(exchange(&mut connect(&at), &message) == message);
    let from_blocking = within(move || blocking::echo(at.as_str(), &message).map(|echo| echo == message));
    assert!(from_blocking.unwrap());
}

#[test]
fn the_client_prints_the_echo_and_nothing_else() {
    let (_server, _stdout, at) = start_server(server(&["--listen", "127.0.0.1:0"]));
    let large = "x".repeat(100_000);
    for message in ["hello", "", "zwölf\n", &large] {
        let output = finish(client(&[&at, message]));
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout == message.as_bytes() && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn the_client_gets_its_echo_from_a_blocking_server_too() {
    let server = blocking::Server::bind("127.0.0.1:0").unwrap();
    let (at, stopper) = (server.local_addr().unwrap().to_string(), server.stopper().unwrap());
    let serving = std::thread::spawn(move || server.serve_one_at_a_time());
    let output = finish(client(&[&at, "hello"]));
    assert!(output.status.success() && output.stdout == b"hello" && output.stderr.is_empty(), "{output:?}");
    stopper.stop();
    within(|| serving.join()).unwrap();
}

/// Starts a client, writes `bytes` to its standard input on a thread, and waits for its end.
fn stream(mut command: Command, bytes: Vec<u8>) -> Output {
    let mut client = Killed::start(command.stdin(Stdio::piped()));
    let mut stdin = client.child().stdin.take().expect("standard input is a pipe");
    let feeding = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = client.finish();
    // The write may fail, because a client without a server need not read its whole input. The test checks the output.
    let _ = within(|| feeding.join()).unwrap();
    output
}

#[test]
fn the_client_streams_its_standard_input_through() {
    let (_server, _stdout, at) = start_server(server(&["--listen", "127.0.0.1:0"]));
    let bytes = pattern(16 << 20, 6);
    let output = stream(client(&[&at]), bytes.clone());
    assert!(output.status.success() && output.stderr.is_empty(), "{:?}", output.status);
    assert!(output.stdout == bytes, "{} bytes", output.stdout.len());

    // Standard input is a regular file, which epoll refuses, and then an empty file.
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("the_client_streams_its_standard_input_through");
    for len in [1 << 20, 0] {
        std::fs::write(&path, &bytes[..len]).unwrap();
        let mut command = client(&[&at]);
        command.stdin(File::open(&path).unwrap());
        let output = finish(command);
        assert!(output.status.success() && output.stdout == bytes[..len], "{:?}", output.status);
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_client_sends_each_piece_of_a_pipe_when_the_piece_comes() {
    let (_server, _stdout, at) = start_server(server(&["--listen", "127.0.0.1:0"]));
    let mut client = Killed::start(client(&[&at]).stdin(Stdio::piped()));
    let mut stdin = client.child().stdin.take().expect("standard input is a pipe");
    let mut stdout = client.child().stdout.take().expect("standard output is a pipe");
    for seed in 0..20 {
        let piece = pattern(1 + 997 * seed as usize, seed);
        stdin.write_all(&piece).unwrap();
        let mut echo = vec![0; piece.len()];
        let (reader, echo) = within(move || {
            stdout.read_exact(&mut echo).unwrap();
            (stdout, echo)
        });
        assert!(echo == piece, "piece {seed}");
        stdout = reader;
    }
    drop(stdin);
    assert!(client.finish().status.success());
}

#[test]
fn a_client_without_its_echo_prints_the_cause_in_one_line() {
    // Nothing listens at this address, because a socket that does not listen holds the port.
    let mute = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    mute.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let nobody = mute.local_addr().unwrap().as_socket().unwrap().to_string();
    for output in [finish(client(&[&nobody, "hello"])), stream(client(&[&nobody]), pattern(1 << 20, 1))] {
        assert_eq!(output.status.code(), Some(1));
        assert!(
            line(&output).starts_with(&format!("echo_client: {nobody}: could not connect: ")),
            "{output:?}"
        );
        assert!(output.stdout.is_empty(), "{output:?}");
    }

    let output = finish(client(&["127.0.0.1", "hello"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output).contains("the port is missing"), "{output:?}");

    // These servers receive the whole message and send back too few bytes, or other bytes.
    for (answer, why) in [(&b"he"[..], "short by 3 of 5 bytes"), (b"help!", "not the content")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let wrong_server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
            stream.write_all(answer).unwrap();
        });
        let output = finish(client(&[&at, "hello"]));
        assert_eq!(output.status.code(), Some(1));
        assert!(line(&output).starts_with(&format!("echo_client: {at}: ")), "{output:?}");
        assert!(line(&output).contains(why), "{output:?}");
        within(|| wrong_server.join()).unwrap();
    }
}

#[test]
fn help_exits_with_0_and_bad_arguments_exit_with_2() {
    for (name, bad) in [
        ("echo_server", &["--max-connections", "many"][..]),
        ("echo_server", &["--drain", "soon"]),
        ("echo_client", &[]),
        ("echo_client", &["127.0.0.1:1", "two", "messages"]),
    ] {
        let run = |arguments: &[&str]| {
            let mut command = example(name);
            command.args(arguments);
            finish(command)
        };
        let help = run(&["--help"]);
        assert!(help.status.success() && !help.stdout.is_empty() && help.stderr.is_empty(), "{help:?}");
        for bad in [bad, &["--no-such-option"]] {
            let output = run(bad);
            assert_eq!(output.status.code(), Some(2), "{bad:?}: {output:?}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
        }
    }
}

#[test]
fn a_time_out_of_range_is_refused_with_the_range() {
    for option in ["--drain", "--idle-timeout"] {
        for time in ["-1", "-0.5", "31536001"] {
            let output = finish(server(&[option, time]));
            assert_eq!(output.status.code(), Some(2));
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("not a number of seconds from 0 to 31536000"), "{option} {time}: {text}");
        }
    }
}

#[test]
fn a_server_that_cannot_listen_prints_the_cause_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for (listen, why) in [
        (at.as_str(), format!("cannot listen on {at}: ")),
        ("192.0.2.1:0", "cannot listen on 192.0.2.1:0: ".into()), // No host has this address: RFC 5737.
        ("127.0.0.1", "bad address \"127.0.0.1\": ".into()),
    ] {
        let output = finish(server(&["--listen", listen]));
        assert_eq!(output.status.code(), Some(1));
        assert!(line(&output).starts_with(&format!("echo_server: {why}")), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[cfg(unix)]
mod unix {
    use std::io::{BufRead, BufReader};
    use std::sync::mpsc;

    use crate::signals::{terminate_and_hang_up, terminate_until_the_end};
    use crate::support::{End, read_out};

    use super::*;

    #[test]
    fn the_client_takes_an_empty_device_and_a_closed_descriptor_for_empty_input() {
        let (_server, _stdout, at) = start_server(server(&["--listen", "127.0.0.1:0"]));
        let program = example("echo_client").get_program().to_owned();
        for redirection in ["< /dev/null", "<&-"] {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("exec \"$0\" \"$1\" {redirection}")]).arg(&program).arg(&at);
            shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let output = finish(shell);
            assert!(output.status.success() && output.stdout.is_empty(), "{redirection}: {output:?}");
        }
    }

    #[test]
    fn a_client_that_cannot_read_its_standard_input_prints_the_cause() {
        let (_server, _stdout, at) = start_server(server(&["--listen", "127.0.0.1:0"]));
        let mut command = client(&[&at]);
        command.stdin(File::open(env!("CARGO_TARGET_TMPDIR")).unwrap()); // a directory
        let output = finish(command);
        assert_eq!(output.status.code(), Some(1));
        assert!(line(&output).contains("cannot read standard input: "), "{output:?}");
    }

    /// script(1) gives the client a terminal. The end of the input is the character 4 at the start of a line.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_client_sends_the_lines_of_a_terminal() {
        let has_script = Command::new("script").args(["-qec", "true", "/dev/null"]).output();
        if !has_script.is_ok_and(|output| output.status.success()) {
            return support::skip("script(1) does not work here");
        }
        let (_server, _stdout, at) = start_server(server(&["--listen", "127.0.0.1:0"]));
        let program = example("echo_client").get_program().to_str().unwrap().to_owned();
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &format!("'{program}' {at}"), "/dev/null"]);
        terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut session = Killed::start(&mut terminal);
        let mut keyboard = session.child().stdin.take().expect("standard input is a pipe");
        let screen = BufReader::new(session.child().stdout.take().expect("standard output is a pipe"));
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            screen.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
        });
        for typed in ["one line", "and another"] {
            keyboard.write_all(format!("{typed}\n").as_bytes()).unwrap();
            // The terminal shows what is typed, and the client prints its echo.
            for _ in 0..2 {
                let shown = lines.recv_timeout(PATIENCE).expect("the terminal shows the line twice");
                assert_eq!(shown.trim_end(), typed);
            }
        }
        keyboard.write_all(b"\x04").unwrap();
        assert!(session.finish().status.success());
    }

    /// A thread would make each `recv` and `send` more expensive: glibc then makes them cancellable.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_server_has_no_thread_but_the_main_thread() {
        let (mut server, _stdout, at) = start_server(server(&["--listen", "127.0.0.1:0"]));
        let mut client = connect(&at);
        assert_eq!(exchange(&mut client, b"hello"), b"hello");
        let tasks = format!("/proc/{}/task", server.child().id());
        assert_eq!(std::fs::read_dir(tasks).unwrap().count(), 1);
    }

    #[test]
    fn a_signal_ends_the_server_with_0_and_one_line_on_standard_output() {
        for (listen, signal) in
            [("--listen=127.0.0.1:0", "-INT"), ("--listen=:0", "-TERM"), ("--listen=:0", "-HUP")]
        {
            let (mut server, mut stdout, at) = start_server(server(&[listen]));
            let mut idle = connect(&at);
            assert_eq!(exchange(&mut idle, b"hello"), b"hello");
            server.signal(signal);
            assert_eq!(read_out(&mut idle), (vec![], End::Eof));
            drop(idle);
            let output = server.finish();
            assert!(output.status.success(), "{output:?}");
            let mut rest = String::new();
            stdout.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, "");
        }
    }

    #[test]
    fn the_programs_talk_over_a_unix_socket() {
        let folder = support::unix::Folder::new();
        let path = format!("unix:{}", folder.file("socket").display());
        let mut names = vec![path.clone()];
        if cfg!(target_os = "linux") {
            names.push(format!("unix:@tidegate-{}-programs", std::process::id()));
        }
        for name in names {
            let (mut server, _stdout, at) = start_server(server(&["--listen", &name]));
            assert_eq!(at, name);
            let message = "x".repeat(100_000);
            let output = finish(client(&[&at, &message]));
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            assert!(output.stdout == message.as_bytes());
            server.signal("-TERM");
            assert!(server.finish().status.success());
            assert!(folder.names().is_empty(), "the server leaves its file behind");
            let output = finish(client(&[&at, "hello"]));
            assert_eq!(output.status.code(), Some(1));
            assert!(line(&output).starts_with(&format!("echo_client: {name}: ")), "{output:?}");
        }
    }

    #[test]
    #[cfg_attr(
        not(any(target_os = "linux", target_os = "android")),
        ignore = "only Linux tells a socket that nobody listens on from a socket with a full backlog"
    )]
    fn a_server_takes_the_path_of_a_server_that_was_killed_and_of_no_other() {
        let folder = support::unix::Folder::new();
        let name = format!("unix:{}", folder.file("socket").display());
        let (mut killed, _stdout, _) = start_server(server(&["--listen", &name]));
        let output = finish(server(&["--listen", &name]));
        assert_eq!(output.status.code(), Some(1));
        assert!(line(&output).starts_with(&format!("echo_server: cannot listen on {name}: ")), "{output:?}");
        killed.child().kill().unwrap();
        killed.child().wait().unwrap();
        assert_eq!(folder.names(), ["socket"]);
        let (_server, _stdout, at) = start_server(server(&["--listen", &name]));
        assert_eq!(finish(client(&[&at, "hello"])).stdout, b"hello");
    }

    /// Starts a server that has more echo bytes for a client than the kernel holds. A high water mark of this size lets the
    /// bytes wait in the server.
    fn server_with_unread_echo(drain: &str, message: &[u8]) -> (Killed, TcpStream) {
        let options = ["--listen", "127.0.0.1:0", "--high-water", "100000000", "--drain", drain];
        let (mut server, _, at) = start_server(server(&options));
        let mut client = connect(&at);
        client.write_all(message).unwrap();
        // The server reads the message in portions, and serves the pings of another client in between. After the pings, the
        // server has read the message.
        let mut other = connect(&at);
        (0..100).for_each(|_| assert_eq!(exchange(&mut other, b"ping"), b"ping"));
        drop(other);
        assert!(server.child().try_wait().unwrap().is_none());
        (server, client)
    }

    const MORE_THAN_THE_KERNEL_HOLDS: usize = 12 << 20;

    #[test]
    fn after_a_signal_the_server_delivers_all_unsent_bytes() {
        let message = pattern(MORE_THAN_THE_KERNEL_HOLDS, 8);
        let (mut server, mut client) = server_with_unread_echo("60", &message);
        server.signal("-TERM");
        let (echo, end) = read_out(&mut client);
        assert!(echo == message && end == End::Eof, "{} bytes, {end:?}", echo.len());
        drop(client);
        assert!(server.finish().status.success());
    }

    /// Each signal asks for a drain, and a second drain would reset the client.
    #[test]
    fn two_signals_together_are_one_request_to_end() {
        let message = pattern(MORE_THAN_THE_KERNEL_HOLDS, 8);
        let (mut server, mut client) = server_with_unread_echo("60", &message);
        terminate_and_hang_up(&mut server);
        let (echo, end) = read_out(&mut client);
        assert!(echo == message && end == End::Eof, "{} bytes, {end:?}", echo.len());
        drop(client);
        assert!(server.finish().status.success());
    }

    #[test]
    fn a_client_that_does_not_read_is_reset_at_the_end_of_the_grace() {
        let (mut server, mut client) =
            server_with_unread_echo("0.05", &pattern(MORE_THAN_THE_KERNEL_HOLDS, 8));
        server.signal("-TERM");
        assert!(server.finish().status.success());
        assert_eq!(read_out(&mut client).1, End::Reset, "a truncated echo has to end with a reset");
    }

    #[test]
    fn a_second_signal_after_a_second_ends_the_server_at_once() {
        let (mut server, mut client) =
            server_with_unread_echo("3600", &pattern(MORE_THAN_THE_KERNEL_HOLDS, 8));
        let log = BufReader::new(server.child().stderr.take().expect("standard error is a pipe")).lines();
        let (done, heard) = mpsc::channel();
        std::thread::spawn(move || {
            // The thread reads the whole log, because a full pipe would block the server.
            for line in log.map_while(Result::ok).filter(|line| line.contains("asked ")) {
                let _ = done.send(line);
            }
        });
        server.signal("-TERM");
        let first = heard.recv_timeout(PATIENCE).expect("the server logs that a signal came");
        assert!(first.contains("asked to end by a signal") && first.contains("(open: 1)"), "{first}");
        terminate_until_the_end(&mut server);
        let second = heard.recv_timeout(PATIENCE).expect("the server logs that a second signal came");
        assert!(second.contains("asked by a further signal to end at once"), "{second}");
        assert!(server.finish().status.success());
        assert_eq!(read_out(&mut client).1, End::Reset);
    }
}
