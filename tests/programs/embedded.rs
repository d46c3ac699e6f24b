//! Tests of the programs that embed a server in a larger loop. Each of them is an echo server to its clients.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::support::{
    self, assert_same, exchange, pattern,
    programs::{example, finish, line, start_server},
    within,
};

/// True if the poll of mio is a descriptor. The condition is that of `AsFd for EventLoop`.
const POLL_IS_A_DESCRIPTOR: bool = cfg!(all(unix, not(mio_unsupported_force_poll_poll)));

/// In two examples, another poller watches the descriptor of the loop.
const EXAMPLES: &[&str] = if POLL_IS_A_DESCRIPTOR {
    &["embed_mio", "embed_frames", "embed_calloop", "embed_tokio"]
} else {
    &["embed_mio", "embed_frames"]
};

/// Runs the test for all examples in parallel, because most of the time is spent waiting.
fn for_each_example(test: impl Fn(&str) + Sync) {
    std::thread::scope(|scope| EXAMPLES.iter().for_each(|name| drop(scope.spawn(|| test(name)))));
}

fn server(name: &str, arguments: &[&str]) -> Command {
    let mut command = example(name);
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    command
}

fn connect(at: &str) -> TcpStream {
    support::connect(at.parse().expect("the server printed an address"))
}

/// Sends `bytes` and returns the echo. The bytes are more than the kernel holds, so both directions are active at once.
fn stream_through(client: &TcpStream, bytes: Vec<u8>) -> Vec<u8> {
    let (mut reader, mut writer) = (client, client.try_clone().unwrap());
    let mut echo = vec![0; bytes.len()];
    let sending = std::thread::spawn(move || writer.write_all(&bytes));
    reader.read_exact(&mut echo).unwrap();
    within(|| sending.join()).unwrap().unwrap();
    echo
}

#[test]
fn an_embedded_server_prints_its_address_and_echoes() {
    for_each_example(|name| {
        let (_server, _stdout, at) = start_server(server(name, &[]));
        let (mut first, mut second) = (connect(&at), connect(&at));
        assert_eq!(exchange(&mut first, b"hello"), b"hello", "{name}");
        let bytes = pattern(4 << 20, 1);
        assert_same(&stream_through(&second, bytes.clone()), &bytes);
        assert_eq!(exchange(&mut first, b"and you?"), b"and you?", "{name}");
        assert_eq!(exchange(&mut second, b"me too"), b"me too", "{name}");
        second.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(support::read_to_end(&mut second), b"", "{name}");
    });
}

#[test]
fn help_exits_with_0_and_bad_arguments_exit_with_2() {
    for_each_example(|name| {
        let help = finish(server(name, &["--help"]));
        assert!(help.status.success() && !help.stdout.is_empty() && help.stderr.is_empty(), "{help:?}");
        for bad in [&["--no-such-option"][..], &["--report", "0"], &["--drain", "-1"]] {
            let output = finish(server(name, bad));
            assert_eq!(output.status.code(), Some(2), "{name} {bad:?}: {output:?}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
        }
    });
}

#[test]
fn a_port_in_use_exits_with_1_and_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for_each_example(|name| {
        let mut command = example(name);
        command.args(["--listen", &at]);
        let output = finish(command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(line(&output).starts_with(&format!("{name}: cannot listen on {at}: ")), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    });
}

#[test]
#[cfg(mio_unsupported_force_poll_poll)]
fn an_example_that_needs_a_descriptor_prints_an_error_where_there_is_none() {
    for name in ["embed_calloop", "embed_tokio"] {
        let output = finish(server(name, &[]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(line(&output).starts_with(&format!("{name}: ")), "{output:?}");
        assert!(line(&output).contains("no descriptor"), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[cfg(unix)]
mod unix {
    use std::{
        io::{BufRead, BufReader, ErrorKind},
        net::{SocketAddr, UdpSocket},
        sync::mpsc::{self, Receiver},
        time::{Duration, Instant},
    };

    use crate::signals::{terminate_and_hang_up, terminate_until_the_end};
    use crate::support::{End, PATIENCE, connect_narrow, next, programs::Killed, read_out};

    use super::*;

    #[test]
    fn a_signal_ends_an_embedded_server_with_0_and_one_line_on_standard_output() {
        for_each_example(|name| {
            for signal in ["-INT", "-TERM", "-HUP"] {
                let (mut server, mut stdout, at) = start_server(server(name, &[]));
                let mut idle = connect(&at);
                assert_eq!(exchange(&mut idle, b"hello"), b"hello");
                server.signal(signal);
                assert_eq!(read_out(&mut idle), (vec![], End::Eof), "{name}");
                drop(idle);
                let output = server.finish();
                assert!(output.status.success(), "{output:?}");
                let mut rest = String::new();
                stdout.read_to_string(&mut rest).unwrap();
                assert_eq!(rest, "", "{name}");
            }
        });
    }

    /// Connects a client that sends as many of `bytes` as the server and the kernel take, and that reads nothing. The
    /// server then has more echo bytes than the kernel takes.
    fn client_with_unread_echo(at: &str, bytes: &[u8]) -> TcpStream {
        let mut client = connect_narrow(at.parse().unwrap());
        let mut other = connect(at);
        // The timeout is longer than TCP delays a send to a receiver with room.
        client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let (mut sent, mut before) = (0, 0);
        loop {
            while let Ok(count) = client.write(&bytes[sent..]) {
                assert!(count > 0, "the server and the kernel took all bytes");
                sent += count;
            }
            if sent > 0 && sent == before {
                return client;
            }
            before = sent;
            // The client tries again after the server has served another client, because the server may only have lacked
            // time.
            (0..5).for_each(|_| assert_eq!(exchange(&mut other, b"ping"), b"ping"));
        }
    }

    fn more_than_server_and_kernel_hold() -> Vec<u8> {
        pattern(32 << 20, 3)
    }

    #[test]
    fn after_a_signal_an_embedded_server_delivers_the_whole_echo() {
        let bytes = more_than_server_and_kernel_hold();
        for_each_example(|name| {
            let (mut server, _stdout, at) = start_server(server(name, &["--drain", "3600"]));
            let mut client = client_with_unread_echo(&at, &bytes);
            server.signal("-TERM");
            let (echo, end) = read_out(&mut client);
            assert_eq!(end, End::Eof, "{name}: {} bytes", echo.len()); // Lost bytes would cause a reset.
            assert!(!echo.is_empty(), "{name}");
            assert_same(&echo, &bytes[..echo.len()]);
            drop(client);
            assert!(server.finish().status.success(), "{name}");
        });
    }

    /// Each signal asks for a drain, and a second drain would reset the client.
    #[test]
    fn two_signals_together_are_one_request_to_an_embedded_server_to_end() {
        let bytes = more_than_server_and_kernel_hold();
        for_each_example(|name| {
            let (mut server, _stdout, at) = start_server(server(name, &["--drain", "3600"]));
            let mut client = client_with_unread_echo(&at, &bytes);
            terminate_and_hang_up(&mut server);
            let (echo, end) = read_out(&mut client);
            assert_eq!(end, End::Eof, "{name}: {} bytes", echo.len());
            assert!(!echo.is_empty(), "{name}");
            assert_same(&echo, &bytes[..echo.len()]);
            drop(client);
            assert!(server.finish().status.success(), "{name}");
        });
    }

    /// The only other event that wakes the host is its report, which comes after an hour. So the host must learn of the
    /// deadline.
    #[test]
    fn a_client_that_does_not_read_is_reset_at_the_end_of_the_grace() {
        let bytes = more_than_server_and_kernel_hold();
        for_each_example(|name| {
            let (mut server, _stdout, at) = start_server(server(name, &["--drain", "1", "--report", "3600"]));
            let mut client = client_with_unread_echo(&at, &bytes);
            server.signal("-TERM");
            assert!(server.finish().status.success(), "{name}");
            assert_eq!(read_out(&mut client).1, End::Reset, "{name}");
        });
    }

    #[test]
    fn a_second_signal_after_a_second_ends_an_embedded_server_at_once() {
        let bytes = more_than_server_and_kernel_hold();
        for_each_example(|name| {
            let (mut server, _stdout, at) = start_server(server(name, &["--drain", "3600"]));
            let mut client = client_with_unread_echo(&at, &bytes);
            terminate_until_the_end(&mut server);
            assert!(server.finish().status.success(), "{name}");
            assert_eq!(read_out(&mut client).1, End::Reset, "{name}");
        });
    }

    /// Returns the lines of the log. A thread reads the whole log, because a full pipe would block the server.
    fn log(server: &mut Killed) -> Receiver<String> {
        let lines = BufReader::new(server.child().stderr.take().expect("standard error is a pipe")).lines();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        told
    }

    fn next_with(told: &Receiver<String>, text: &str) -> String {
        std::iter::repeat_with(|| next(told))
            .find(|line| line.contains(text))
            .expect("the iterator has no end")
    }

    #[test]
    fn the_work_of_the_host_itself_goes_on() {
        for_each_example(|name| {
            let text = match name {
                "embed_mio" => " datagrams, ",
                "embed_frames" => "p99.9",
                "embed_calloop" => "App {",
                _ => " bytes were echoed",
            };
            let (mut server, _stdout, at) = start_server(server(name, &["--report", "1"]));
            let told = log(&mut server);
            let mut client = connect(&at);
            for _ in 0..2 {
                next_with(&told, text);
                assert_eq!(exchange(&mut client, b"hello"), b"hello", "{name}");
            }
        });
    }

    #[test]
    fn the_host_of_a_guest_serves_its_own_socket() {
        let (mut server, _stdout, at) = start_server(server("embed_mio", &["--report", "1"]));
        let told = log(&mut server);
        let line = next_with(&told, "datagrams on ");
        let (_, rest) = line.split_once("datagrams on ").unwrap();
        let datagrams: SocketAddr = rest.split(';').next().unwrap().parse().unwrap();
        let (socket, mut client) = (UdpSocket::bind("127.0.0.1:0").unwrap(), connect(&at));
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        for message in [&b"one"[..], b"two", b"three"] {
            socket.send_to(message, datagrams).unwrap();
            assert_eq!(exchange(&mut client, message), message);
            let mut echo = [0; 10];
            let (len, _) = socket.recv_from(&mut echo).unwrap();
            assert_eq!(&echo[..len], message);
        }
        next_with(&told, " 3 datagrams, 1 clients are here, 11 bytes");
    }

    #[test]
    #[cfg_attr(mio_unsupported_force_poll_poll, ignore = "embed_tokio needs the descriptor of the poll")]
    fn another_task_sends_to_a_client_between_turns() {
        let (_server, _stdout, at) = start_server(server("embed_tokio", &["--greet", "welcome"]));
        for _ in 0..3 {
            let mut client = connect(&at);
            let mut greeting = [0; 7];
            client.read_exact(&mut greeting).unwrap(); // The greeting comes although the client sends nothing.
            assert_eq!(&greeting, b"welcome");
            assert_eq!(exchange(&mut client, b"hello"), b"hello");
        }
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use std::fs;

        use super::*;

        /// Returns the state of the server, and its CPU time in ticks of 10 ms: proc_pid_stat(5).
        fn stat(server: &mut Killed) -> (String, u64) {
            let stat = fs::read_to_string(format!("/proc/{}/stat", server.child().id())).unwrap();
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            let fields: Vec<&str> = fields.split(' ').collect();
            let ticks = |at: usize| fields[at].parse::<u64>().unwrap();
            (fields[0].into(), ticks(11) + ticks(12))
        }

        fn wait_until_the_server_sleeps(server: &mut Killed) {
            let begin = Instant::now();
            while stat(server).0 != "S" {
                assert!(begin.elapsed() < PATIENCE, "the server does not sleep");
                std::thread::yield_now();
            }
        }

        #[test]
        fn a_message_wakes_a_sleeping_server() {
            for_each_example(|name| {
                let (mut server, _stdout, at) = start_server(server(name, &[]));
                let mut client = connect(&at);
                for seed in 1..=5 {
                    wait_until_the_server_sleeps(&mut server);
                    let message = pattern(1000, seed);
                    assert_same(&exchange(&mut client, &message), &message);
                }
            });
        }

        #[test]
        fn an_embedded_server_without_work_sleeps() {
            let bytes = more_than_server_and_kernel_hold();
            for_each_example(|name| {
                let (mut server, _stdout, at) = start_server(server(name, &[]));
                let mut idle = connect(&at);
                assert_eq!(exchange(&mut idle, b"hello"), b"hello");
                let _does_not_read = client_with_unread_echo(&at, &bytes);

                let (begin, before) = (Instant::now(), stat(&mut server).1);
                idle.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                let nothing =
                    idle.read(&mut [0]).expect_err("the server sends nothing to the idle client").kind();
                assert!(matches!(nothing, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{nothing}");
                let ticks = stat(&mut server).1 - before;
                // Frames take a small part of the time. A loop that spins takes all the time it gets.
                let enough = 5 + begin.elapsed().as_millis() / 100;
                assert!(u128::from(ticks) <= enough, "{name} took {ticks} ticks in {:?}", begin.elapsed());

                idle.set_read_timeout(Some(PATIENCE)).unwrap();
                assert_eq!(exchange(&mut idle, b"still there?"), b"still there?", "{name}");
            });
        }
    }
}
