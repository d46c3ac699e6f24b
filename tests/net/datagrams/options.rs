//! The options of datagram sockets, and the errors that name them.

use std::io::ErrorKind;

use tidegate::{DatagramOptions, EventLoop, Options};

use crate::support::datagrams::{bind, bound};

#[test]
fn an_address_in_use_is_named_in_one_line() {
    let (mut event_loop, _, at) = bound(DatagramOptions::default());
    let error = event_loop.net().bind(at, DatagramOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot bind a datagram socket to {at}: ")), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn an_option_that_is_refused_is_named() {
    let mut event_loop = EventLoop::<()>::new(Options::default()).unwrap();
    let options = DatagramOptions::default().multicast_interface_v4(Some([192, 0, 2, 1].into())); // RFC 5737: nobody's
    let error = event_loop.net().bind("127.0.0.1:0", options).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot set multicast_interface_v4 for the datagram socket 127.0.0.1:0: "),
        "{text}"
    );
    let options = DatagramOptions::default().ttl(Some(256));
    let error = event_loop.net().bind("127.0.0.1:0", options).unwrap_err();
    assert!(error.to_string().starts_with("cannot set ttl for "), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_port_can_be_shared_by_sockets_that_ask_for_it() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    for options in
        [DatagramOptions::default().reuse_port(true), DatagramOptions::default().reuse_address(true)]
    {
        let (_, at) = bind(event_loop.net(), "127.0.0.1:0", options.clone());
        event_loop.net().bind(at, options).unwrap();
        assert!(event_loop.net().bind(at, DatagramOptions::default()).is_err());
    }
}

#[test]
fn every_option_is_taken() {
    let mut event_loop = EventLoop::<()>::new(Options::default()).unwrap();
    let options = DatagramOptions::default()
        .receive_buffer(Some(32 << 10))
        .send_buffer(Some(32 << 10))
        .broadcast(true)
        .ttl(Some(3))
        .multicast_loop(Some(false))
        .multicast_ttl(Some(2));
    for at in ["127.0.0.1:0", ":0"] {
        event_loop.net().bind(at, options.clone()).unwrap();
    }
}

#[test]
fn a_socket_without_a_token_is_refused() {
    let poll = mio::Poll::new().unwrap();
    let mut reactor = tidegate::Reactor::<()>::new(poll.registry(), 0..1, Options::default()).unwrap();
    let first = reactor.net().bind("127.0.0.1:0", DatagramOptions::default()).unwrap();
    let error = reactor.net().bind("127.0.0.1:0", DatagramOptions::default()).unwrap_err();
    assert!(error.to_string().ends_with("no token is left for a further source"), "{error}");
    assert!(reactor.net().socket(first).is_some());
}
