//! Tests of a server that has run out of descriptors. The server goes on serving its clients, closes the connections of new
//! clients, and does not spin.
#![cfg(target_os = "linux")]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::Instant,
};

use crate::support::{
    PATIENCE, connect, exchange,
    programs::{Killed, Turns, example, start_server},
};

/// Starts the echo server with descriptors for about fifty clients.
fn poor_server(options: &[&str]) -> (Killed, String) {
    let server = example("echo_server");
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 64 && exec "$0" "$@""#]).arg(server.get_program());
    command.args(["--listen", "127.0.0.1:0"]).args(options).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (server, _, at) = start_server(command);
    (server, at)
}

/// Connects a client and sends "hello". The send may fail if the server turns the client away at once.
fn caller(at: &str) -> TcpStream {
    let mut client = connect(at.parse().unwrap());
    let _ = client.write_all(b"hello");
    client
}

/// Returns true if the client is served, and false if its connection is closed. Fails if neither happens.
fn is_served(client: &mut TcpStream) -> bool {
    let mut echo = [0; 5];
    match client.read_exact(&mut echo) {
        Ok(()) => {
            assert_eq!(&echo, b"hello");
            true
        }
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => false,
        Err(error) => panic!("neither served nor closed: {error}"),
    }
}

/// Connects `count` clients, and returns those that are served.
fn crowd(at: &str, count: usize) -> Vec<TcpStream> {
    let mut clients: Vec<_> = (0..count).map(|_| caller(at)).collect();
    clients.retain_mut(is_served);
    clients
}

#[test]
fn beyond_the_descriptor_limit_each_client_is_served_or_closed() {
    let (mut server, at) = poor_server(&[]);
    let turns = Turns::of(&mut server);
    let mut served = crowd(&at, 150);
    assert!((40..64).contains(&served.len()), "{} of 150 are served", served.len());
    served.iter_mut().for_each(|client| assert_eq!(exchange(client, b"again"), b"again"));

    // At the limit, the server needs one turn for each new client and one for each message of a served client.
    let before = turns.ask(&mut server);
    for _ in 0..50 {
        assert!(!is_served(&mut caller(&at)), "a client is served although no descriptor is free");
        assert_eq!(exchange(&mut served[0], b"ping"), b"ping");
    }
    let made = turns.ask(&mut server) - before;
    assert!(made <= 4 * 50, "{made} turns for 50 clients and 50 messages");
    turns.assert_rest(&mut server, &mut served[0]);
}

/// The reserve descriptor, which the server gives up to turn clients away, must be available again for the next clients.
#[test]
fn clients_without_a_descriptor_are_turned_away_at_once_each_time() {
    let (mut server, at) = poor_server(&[]);
    let served = crowd(&at, 150);
    for _ in 0..2 {
        assert_eq!(crowd(&at, 30).len(), 0, "a client is served although no descriptor is free");
    }
    let refused = 150 - served.len() + 2 * 30;
    drop(served);
    server.signal("-TERM");
    let output = server.finish();
    let statistics = String::from_utf8_lossy(&output.stderr);
    assert!(statistics.contains(&format!("refused without a descriptor {refused}\n")), "{statistics}");
    assert!(!statistics.contains("pauses of accepting"), "accepting paused: {statistics}");
}

#[test]
fn closed_connections_free_their_descriptors_for_new_clients() {
    let (_server, at) = poor_server(&[]);
    let mut served = crowd(&at, 100);
    for _ in 0..3 {
        let kept = served.split_off(10);
        assert!(!is_served(&mut caller(&at)));
        drop(served);
        served = kept;
        // A client that comes before the server has closed the old connections is still turned away.
        let (mut came, end) = (0, Instant::now() + PATIENCE);
        while came < 10 {
            assert!(Instant::now() < end, "{came} of 10 places are free again");
            let mut client = caller(&at);
            if is_served(&mut client) {
                served.push(client);
                came += 1;
            }
        }
        assert!(!is_served(&mut caller(&at)), "more clients are served than before");
    }
    served.iter_mut().for_each(|client| assert_eq!(exchange(client, b"again"), b"again"));
}

#[test]
fn clients_in_the_backlog_are_served_when_others_leave_without_a_new_client() {
    let (mut server, at) = poor_server(&["--max-connections", "20"]);
    let turns = Turns::of(&mut server);
    let mut clients: Vec<_> = (0..60).map(|_| caller(&at)).collect();
    let rest = clients.split_off(20);
    assert!(clients.iter_mut().all(is_served));
    turns.assert_rest(&mut server, &mut clients[0]);
    drop(clients);
    for mut client in rest {
        assert!(is_served(&mut client));
    }
}
