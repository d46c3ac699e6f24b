//! Tests of the example `udp_echo` as a process, with clients that are not written in Rust.

use std::{
    io::Write,
    net::{Ipv4Addr, UdpSocket},
    process::{Command, Output, Stdio},
};

use crate::support::{
    PATIENCE, assert_same,
    datagrams::{client, receive},
    pattern,
    programs::{Killed, example, finish, is_installed, line, start_server},
};

fn udp_echo(listen: &str) -> Command {
    let mut command = example("udp_echo");
    command.args(["--listen", listen]);
    command
}

#[test]
fn datagrams_of_many_clients_come_back() {
    let (_server, _stdout, at) = start_server(udp_echo("127.0.0.1:0"));
    let clients = [(); 10].map(|()| client());
    for (index, size) in [0, 1, 1000, 65_507].into_iter().enumerate() {
        for (client, seed) in clients.iter().zip(0..) {
            client.send_to(&pattern(size, seed), &at).unwrap();
            assert_same(&receive(client).0, &pattern(size, seed));
        }
        assert!(index < 4);
    }
}

/// Each datagram goes out as one call of Python's `sendto`, and the answer must be one `recvfrom`.
#[test]
fn a_client_in_python_gets_each_datagram_back() {
    const CLIENT: &str = "
import socket, sys
host, port = sys.argv[1].rsplit(':', 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(30)
for size in (0, 1, 1472, 9000, 65507):
    message = bytes(i * 7 % 251 for i in range(size))
    s.sendto(message, (host, int(port)))
    answer, sender = s.recvfrom(70000)
    assert answer == message, (size, len(answer))
    assert sender == (host, int(port)), sender
print('well')
";
    if !is_installed("python3") {
        return;
    }
    let (_server, _stdout, at) = start_server(udp_echo("127.0.0.1:0"));
    let mut client = Command::new("python3");
    client.args(["-c", CLIENT, &at]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = finish(client);
    assert_eq!(output.stdout, b"well\n", "{}", String::from_utf8_lossy(&output.stderr));
}

/// socat reads standard input in one piece and sends it as a datagram.
#[test]
fn a_datagram_of_socat_comes_back() {
    if !is_installed("socat") {
        return;
    }
    let (_server, _stdout, at) = start_server(udp_echo("127.0.0.1:0"));
    let mut command = Command::new("socat");
    command.args(["-t", "30", "-", &format!("UDP4:{at}")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut socat = Killed::start(&mut command);
    socat.child().stdin.as_mut().unwrap().write_all(b"hello, datagrams").unwrap();
    let mut answer = [0; 16];
    let mut stdout = socat.child().stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut answer).unwrap();
    assert_eq!(&answer, b"hello, datagrams");
}

#[test]
fn a_port_in_use_is_named_in_one_line_and_the_status_is_1() {
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let _taken = UdpSocket::bind(taken).unwrap();
    let output = finish(udp_echo(&taken.to_string()));
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output).contains(&taken.to_string()), "{}", line(&output));
}

#[test]
fn help_names_the_option() {
    let mut command = example("udp_echo");
    command.arg("--help");
    let Output { status, stdout, .. } = finish(command);
    assert!(status.success() && String::from_utf8(stdout).unwrap().contains("--listen"));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_server_in_order() {
    for signal in ["-TERM", "-INT"] {
        let (mut server, _stdout, at) = start_server(udp_echo("127.0.0.1:0"));
        let client = client();
        client.send_to(b"hello", &at).unwrap();
        assert_eq!(receive(&client).0, b"hello");
        server.signal(signal);
        let output = server.finish();
        assert!(output.status.success(), "{signal}: {:?}", output.status);
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        UdpSocket::bind(&at).expect("the port is free");
    }
}

/// Counts the system calls of the server for each datagram.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(mio_unsupported_force_poll_poll, ignore = "the system calls are those of epoll")]
fn a_datagram_alone_takes_four_system_calls_and_in_company_about_two() {
    use crate::support::programs::has_strace;

    if !has_strace() || cfg!(feature = "packet-info") {
        return;
    }
    let path =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("udp_echo.{}", std::process::id()));
    let calls = |clients: usize, rounds: usize| {
        let mut command = Command::new("strace");
        let trace = "trace=?epoll_wait,?epoll_pwait,epoll_ctl,recvfrom,sendto";
        command.args(["-D", "-qq", "-e", trace, "-o"]).arg(&path);
        command.arg(example("udp_echo").get_program()).args(["--listen", "127.0.0.1:0"]);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut server, _stdout, at) = start_server(command);
        let clients: Vec<_> = (0..clients).map(|_| client()).collect();
        for _ in 0..rounds {
            // A stopped server finds the datagrams of all clients together.
            server.signal("-STOP");
            clients.iter().for_each(|client| _ = client.send_to(b"hello", &at).unwrap());
            server.signal("-CONT");
            clients.iter().for_each(|client| assert_eq!(receive(client).0, b"hello"));
        }
        server.signal("-TERM");
        assert!(server.finish().status.success());
        let log = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        log.lines().filter(|line| line.contains("(")).count()
    };
    // The signals interrupt epoll_wait, and the beginning and the end make some calls.
    let alone = calls(1, 20);
    assert!(alone <= 20 * (4 + 2) + 20, "{alone} calls for 20 datagrams");
    let together = calls(100, 5);
    assert!(together <= 500 * 2 + 5 * 8 + 20, "{together} calls for 500 datagrams");
}
