//! Tests with many connections at once, and with bytes that do not belong to the stream.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use tidegate::Options;

use crate::support::{Echo, Server, Stepped, connect, descriptors::affordable, exchange, script::Script};

#[test]
fn a_thousand_connections_are_served_side_by_side() {
    let count = affordable(1000);
    let server = Server::start(Options::default(), Echo);
    let mut clients: Vec<TcpStream> = (0..count).map(|_| server.connect()).collect();
    let messages: Vec<String> = (0..count).map(|i| format!("client {i:04}")).collect();
    // In the first round some clients may still wait to be accepted. In the second round all clients are known and idle.
    for _round in 0..2 {
        for (client, message) in clients.iter_mut().zip(&messages) {
            client.write_all(message.as_bytes()).unwrap();
        }
        for (client, message) in clients.iter_mut().zip(&messages) {
            let mut echo = vec![0; message.len()];
            client.read_exact(&mut echo).unwrap();
            assert_eq!(echo, message.as_bytes());
        }
    }
    let (_, stats) = server.stop();
    assert_eq!((stats.accepted, stats.open, stats.closed), (count as u64, count, 0));
}

#[test]
fn clients_that_wait_in_the_backlog_are_all_accepted() {
    // One edge announces all clients, and a turn does not accept all of them.
    let mut server = Stepped::new(Options::default().accept_budget(7), Script::echo());
    let mut clients: Vec<TcpStream> = (0..100).map(|_| connect(server.address)).collect();
    let mut accepted = 0;
    while accepted < 100 {
        server.turn_until(|_, net| net.stats().accepted > accepted);
        let before = std::mem::replace(&mut accepted, server.net().stats().accepted);
        assert!(accepted - before <= 7, "{} in one turn", accepted - before);
    }
    let (_server, _told) = server.run();
    for client in &mut clients {
        assert_eq!(exchange(client, b"hello"), b"hello");
    }
}

/// On Linux a `recv` stops at the mark, and one edge announces all queued bytes. A loop that reads no more after a
/// short `recv` never reads the bytes behind the mark.
#[cfg(target_os = "linux")]
mod urgent {
    use std::{
        io::{Read, Write},
        net::Shutdown,
    };

    use socket2::SockRef;

    use crate::support::{Stepped, connect, exchange, read_to_end, script::Script};
    use tidegate::Options;

    #[test]
    fn bytes_before_and_after_an_urgent_mark_come_back_without_the_mark() {
        for (before, after) in [("before", " and after"), ("", "after"), ("before", ""), ("", "")] {
            for accepted_before in [false, true] {
                for half_closes in [true, false] {
                    echoes_around_the_mark(before, after, accepted_before, half_closes);
                }
            }
        }
    }

    /// Sends bytes around a mark. All bytes are queued before the server reads for the first time.
    fn echoes_around_the_mark(before: &str, after: &str, accepted_before: bool, half_closes: bool) {
        let mut server = Stepped::new(Options::default(), Script::echo());
        let mut client = connect(server.address);
        if accepted_before {
            server.next().open();
            server.turn();
        }
        client.write_all(before.as_bytes()).unwrap();
        SockRef::from(&client).send_out_of_band(b"!").unwrap();
        client.write_all(after.as_bytes()).unwrap();
        if half_closes {
            client.shutdown(Shutdown::Write).unwrap();
        }
        let (_server, _told) = server.run();
        let expected = [before, after].concat();
        if half_closes {
            assert_eq!(read_to_end(&mut client), expected.as_bytes());
        } else {
            let mut echo = vec![0; expected.len()];
            client.read_exact(&mut echo).unwrap();
            assert_eq!(echo, expected.as_bytes());
            assert_eq!(exchange(&mut client, b"more"), b"more");
        }
    }
}
