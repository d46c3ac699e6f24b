//! Tests of the example `per_core`: the ways of the clients to the loops, and the end of all loops at a signal. The tests of
//! `shared_port` in `tests/faults` show which clients are lost when listeners at one port come and go.

use std::{net::TcpListener, process::Command};

use crate::support::{
    PATIENCE, assert_same, connect, exchange, pattern,
    programs::{example, finish, line, start_server},
};

fn server(arguments: &[&str]) -> Command {
    let mut command = example("per_core");
    command.args(arguments).env("RUST_LOG", "debug");
    command
}

#[test]
fn a_port_in_use_exits_with_1_and_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for mode in [&[][..], &["--hand-over"]] {
        let output = finish({
            let mut command = server(mode);
            command.args(["--listen", &at]);
            command
        });
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(line(&output).starts_with(&format!("per_core: cannot listen on {at}: ")), "{output:?}");
    }
}

#[test]
fn a_name_is_looked_up() {
    for mode in [&[][..], &["--hand-over"]] {
        let arguments = [&["--listen", "localhost:0", "--cores", "2"], mode].concat();
        let (_server, _stdout, at) = start_server(server(&arguments));
        assert_eq!(exchange(&mut connect(at.parse().unwrap()), b"hello"), b"hello");
    }
    let output = finish(server(&["--listen", "nonsense"]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(line(&output).starts_with("per_core: bad address \"nonsense\": "), "{output:?}");
}

#[cfg(unix)]
mod unix {
    use std::{
        io::{Read, Write},
        thread,
    };

    use crate::{
        signals::terminate_until_the_end,
        support::{End, read_out, unix},
    };

    use super::*;

    #[test]
    fn handed_over_clients_are_spread_evenly_and_served_until_a_signal() {
        let arguments = ["--listen", "127.0.0.1:0", "--cores", "3", "--hand-over"];
        let (mut server, _stdout, at) = start_server(server(&arguments));
        let mut clients = Vec::new();
        for _ in 0..9 {
            let mut client = connect(at.parse().unwrap());
            assert_eq!(exchange(&mut client, b"hello"), b"hello");
            clients.push(client);
        }
        let message = pattern(100_000, 1);
        for client in &mut clients {
            assert_same(&exchange(client, &message), &message);
        }
        server.signal("-TERM");
        let output = server.finish();
        assert!(output.status.success(), "{output:?}");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains("9 clients were handed over"), "{log}");
        for number in 0..3 {
            assert_eq!(log.matches(&format!("loop {number} serves ")).count(), 3, "{log}");
            assert_eq!(log.matches(&format!("loop {number} has closed ")).count(), 3, "{log}");
        }
    }

    /// A loop that gets none of 64 clients would be an event of one in 10⁷ tests.
    #[test]
    #[cfg_attr(
        not(target_os = "linux"),
        ignore = "only Linux spreads clients over listeners with SO_REUSEPORT"
    )]
    fn each_loop_with_a_listener_of_its_own_gets_clients_and_serves_them_until_a_signal() {
        let (mut server, _stdout, at) = start_server(server(&["--listen", "127.0.0.1:0", "--cores", "2"]));
        let mut clients: Vec<_> = (0..64).map(|_| connect(at.parse().unwrap())).collect();
        for client in &mut clients {
            assert_eq!(exchange(client, b"hello"), b"hello");
        }
        server.signal("-TERM");
        for client in &mut clients {
            assert_eq!(read_out(client), (vec![], End::Eof));
        }
        drop(clients);
        let output = server.finish();
        assert!(output.status.success(), "{output:?}");
        let log = String::from_utf8_lossy(&output.stderr);
        let served = [0, 1].map(|number| log.matches(&format!("loop {number} serves ")).count());
        assert_eq!(served.iter().sum::<usize>(), 64, "{log}");
        assert!(served.iter().all(|count| *count > 0), "{served:?}");
    }

    #[test]
    fn a_unix_socket_is_served_by_loops_that_get_their_clients_from_one_listener() {
        let folder = unix::Folder::new();
        let name = format!("unix:{}", folder.file("socket").display());
        let output = finish(server(&["--listen", &name]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(line(&output).contains("needs --hand-over"), "{output:?}");
        let (mut server, _stdout, at) =
            start_server(server(&["--listen", &name, "--cores", "2", "--hand-over"]));
        assert_eq!(at, name);
        let mut clients = [(); 4].map(|()| unix::connect_to(&folder.file("socket"), |_| {}));
        for client in &mut clients {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(exchange(client, b"hello"), b"hello");
        }
        drop(clients);
        server.signal("-TERM");
        assert!(server.finish().status.success());
        assert!(folder.names().is_empty(), "the server leaves its file behind");
    }

    /// Some of the clients are still in a backlog, or on their way to another loop, when the signal comes.
    #[test]
    fn clients_that_have_connected_before_the_signal_are_served() {
        for mode in [&[][..], &["--hand-over"]] {
            let arguments = [&["--listen", "127.0.0.1:0", "--cores", "2"], mode].concat();
            let (mut server, _stdout, at) = start_server(server(&arguments));
            let mut clients: Vec<_> = (0..100)
                .map(|_| {
                    let mut client = connect(at.parse().unwrap());
                    client.write_all(b"hello").unwrap();
                    client
                })
                .collect();
            server.signal("-TERM");
            for client in &mut clients {
                assert_eq!(read_out(client), (b"hello".to_vec(), End::Eof), "{mode:?}");
            }
            drop(clients);
            assert!(server.finish().status.success());
        }
    }

    /// The clients send without a pause and never become idle, so the drain would take its whole grace.
    #[test]
    fn a_second_signal_after_a_second_ends_all_loops_at_once() {
        for mode in [&[][..], &["--hand-over"]] {
            let arguments = [&["--listen", "127.0.0.1:0", "--cores", "2"], mode].concat();
            let (mut server, _stdout, at) = start_server(server(&arguments));
            let busy = [(); 4].map(|()| {
                let mut client = connect(at.parse().unwrap());
                assert_eq!(exchange(&mut client, b"hello"), b"hello");
                thread::spawn(move || {
                    let mut echo = [0; 4];
                    while client.write_all(b"ping").is_ok() && client.read_exact(&mut echo).is_ok() {}
                })
            });
            terminate_until_the_end(&mut server);
            let output = server.finish();
            assert!(output.status.success(), "{output:?}");
            let log = String::from_utf8_lossy(&output.stderr);
            assert!(log.contains("asked by a further signal to end at once"), "{log}");
            busy.into_iter().for_each(|client| client.join().unwrap());
        }
    }
}
