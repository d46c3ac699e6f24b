//! Tests of the example `hand_over`: the loop with the fewest clients gets the next client, and a signal ends all loops.

use std::net::TcpListener;

use crate::support::{
    assert_same, connect, exchange, pattern,
    programs::{example, finish, line, start_server},
};

#[test]
fn a_port_in_use_exits_with_1_and_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let mut command = example("hand_over");
    command.args(["--listen", &at]);
    let output = finish(command);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(line(&output).starts_with(&format!("hand_over: cannot listen on {at}: ")), "{output:?}");
}

#[test]
#[cfg(unix)]
fn clients_are_spread_over_the_loops_and_served_until_a_signal() {
    let mut command = example("hand_over");
    command.args(["--listen", "127.0.0.1:0", "--loops", "3"]).env("RUST_LOG", "debug");
    let (mut server, _stdout, at) = start_server(command);
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
