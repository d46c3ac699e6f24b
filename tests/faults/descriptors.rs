//! A server that has run out of descriptors: it serves whom it has, tells the others that there is no place, and does
//! not spin.
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

/// The echo server with room for hardly fifty clients.
fn poor_server(options: &[&str]) -> (Killed, String) {
    let server = example("echo_server");
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 64 && exec "$0" "$@""#]).arg(server.get_program());
    command.args(["--listen", "127.0.0.1:0"]).args(options).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (server, _, at) = start_server(command);
    (server, at)
}

/// A client that has said hello. Who is turned away at once may not even get that far.
fn caller(at: &str) -> TcpStream {
    let mut client = connect(at.parse().unwrap());
    let _ = client.write_all(b"hello");
    client
}

/// Whether the client is served. If not, it has to be told by a close: who hears nothing at all fails the test.
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

/// So many clients, and those of them that are served.
fn crowd(at: &str, count: usize) -> Vec<TcpStream> {
    let mut clients: Vec<_> = (0..count).map(|_| caller(at)).collect();
    clients.retain_mut(is_served);
    clients
}

#[test]
fn of_a_crowd_many_are_served_and_nobody_is_left_without_an_answer() {
    let (mut server, at) = poor_server(&[]);
    let turns = Turns::of(&mut server);
    let mut served = crowd(&at, 150);
    assert!((40..64).contains(&served.len()), "{} of 150 are served", served.len());
    served.iter_mut().for_each(|client| assert_eq!(exchange(client, b"again"), b"again"));

    // At the limit: one turn for each who comes, and one for each message of those who are there.
    let before = turns.ask(&mut server);
    for _ in 0..50 {
        assert!(!is_served(&mut caller(&at)), "there is no place");
        assert_eq!(exchange(&mut served[0], b"ping"), b"ping");
    }
    let made = turns.ask(&mut server) - before;
    assert!(made <= 4 * 50, "{made} turns for 50 clients and 50 messages");
    turns.assert_rest(&mut server, &mut served[0]);
}

/// The descriptor that is given up to turn clients away has to be there again for the next crowd.
#[test]
fn each_crowd_without_a_place_is_turned_away_at_once() {
    let (mut server, at) = poor_server(&[]);
    let served = crowd(&at, 150);
    for _ in 0..2 {
        assert_eq!(crowd(&at, 30).len(), 0, "there is no place");
    }
    let refused = 150 - served.len() + 2 * 30;
    drop(served);
    server.signal("-TERM");
    let output = server.finish();
    let statistics = String::from_utf8_lossy(&output.stderr);
    assert!(statistics.contains(&format!("refused without a descriptor {refused}\n")), "{statistics}");
    assert!(!statistics.contains("pauses of accepting"), "nobody waited for a retry: {statistics}");
}

#[test]
fn there_is_a_place_again_when_others_leave() {
    let (_server, at) = poor_server(&[]);
    let mut served = crowd(&at, 100);
    for _ in 0..3 {
        let kept = served.split_off(10);
        assert!(!is_served(&mut caller(&at)));
        drop(served);
        served = kept;
        // Who comes before the server has noticed is turned away still.
        let (mut came, end) = (0, Instant::now() + PATIENCE);
        while came < 10 {
            assert!(Instant::now() < end, "{came} of 10 places are free again");
            let mut client = caller(&at);
            if is_served(&mut client) {
                served.push(client);
                came += 1;
            }
        }
        assert!(!is_served(&mut caller(&at)), "and not more than there were");
    }
    served.iter_mut().for_each(|client| assert_eq!(exchange(client, b"again"), b"again"));
}

#[test]
fn who_waits_in_the_backlog_is_served_when_others_leave_though_nobody_else_comes() {
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
