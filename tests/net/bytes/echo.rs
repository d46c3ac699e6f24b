//! Tests of an echo server with one client.

use tidegate::Options;

use crate::support::{Echo, Server, exchange, pattern};

#[test]
fn a_message_comes_back() {
    let server = Server::start(Options::default(), Echo);
    let mut client = server.connect();
    assert_eq!(exchange(&mut client, b"hello"), b"hello");
    let long = pattern(100_000, 1);
    assert_eq!(exchange(&mut client, &long), long);
    let (_, stats) = server.stop();
    assert_eq!((stats.accepted, stats.open), (1, 1));
    assert_eq!(stats.bytes_sent, 100_005);
}
