//! Tests of the arguments that several example programs have in common.

use std::{fs::File, net::TcpListener, process::Command};

use crate::support::programs::{example, finish, line};

/// The examples that listen at an address of TCP, or at a Unix socket.
const SERVERS: &[&str] = &["chat", "worker", "per_core", "http", "kv", "proxy"];

fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = example(name);
    command.args(arguments);
    if name == "proxy" {
        command.args(["--to", "127.0.0.1:1"]); // the only argument that an example needs beside the address
    }
    command
}

#[test]
fn help_exits_with_0_and_bad_arguments_exit_with_2() {
    for name in SERVERS.iter().chain(&["ipc"]) {
        let help = finish(program(name, &["--help"]));
        assert!(help.status.success() && !help.stdout.is_empty() && help.stderr.is_empty(), "{help:?}");
        let zero = match *name {
            "chat" => "--rate=0",
            "worker" => "--threads=0",
            "ipc" => "--fps=0",
            "http" | "kv" | "proxy" => "--max-clients=0",
            _ => "--cores=0",
        };
        for bad in ["--no-such-option", zero] {
            let output = finish(program(name, &["--listen", "unix:/nonexistent/socket", bad]));
            assert_eq!(output.status.code(), Some(2), "{name} {bad}: {output:?}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
        }
    }
}

#[test]
fn a_time_out_of_range_is_refused_with_the_range() {
    for (name, option) in [
        ("http", "--request-timeout"),
        ("http", "--idle-timeout"),
        ("http", "--drain"),
        ("kv", "--idle-timeout"),
        ("kv", "--drain"),
        ("proxy", "--connect-timeout"),
        ("proxy", "--idle-timeout"),
        ("proxy", "--drain"),
    ] {
        for time in ["-1", "31536001"] {
            let output = finish(program(name, &[option, time]));
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("not a number of seconds from 0 to 31536000"), "{name} {option}: {text}");
        }
    }
}

#[test]
fn an_address_that_cannot_be_listened_at_exits_with_1_and_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for name in SERVERS {
        let output = finish(program(name, &["--listen", &at]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(line(&output).starts_with(&format!("{name}: cannot listen on {at}: ")), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
#[cfg(unix)]
fn a_file_that_is_no_socket_is_not_replaced() {
    let folder = crate::support::unix::Folder::new();
    let path = folder.file("file");
    File::create(&path).unwrap();
    let name = format!("unix:{}", path.display());
    for example in SERVERS.iter().chain(&["ipc"]) {
        let mut command = program(example, &["--listen", &name]);
        if *example == "per_core" {
            command.arg("--hand-over"); // without this option, the example takes no Unix socket
        }
        let output = finish(command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(line(&output).starts_with(&format!("{example}: cannot listen on {name}: ")), "{output:?}");
        assert!(path.metadata().unwrap().is_file());
    }
}

/// The program that started a server may end after it has read the address, and its pipes end with it.
#[test]
#[cfg(unix)]
fn a_server_whose_pipes_are_closed_goes_on_until_a_signal() {
    use crate::support::programs::start_server;

    for name in SERVERS {
        let (mut server, stdout, at) = start_server(program(name, &["--listen=127.0.0.1:0"]));
        drop((stdout, server.child().stderr.take()));
        let client = crate::support::connect(at.parse().unwrap());
        drop(client);
        server.signal("-INT");
        assert!(server.finish().status.success(), "{name}");
    }
}
