//! A datagram is delivered whole, with its addresses, or not at all.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use tidegate::{DatagramOptions, EventLoop, Options, Sent};

use crate::support::{
    PATIENCE, assert_same,
    datagrams::{Post, bind, bound, client, receive, turn_until_received},
    pattern, skip, turn_until,
};

#[test]
fn datagrams_of_every_size_come_back_whole_and_empty_ones_too() {
    let (mut event_loop, _, at) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::echo());
    for (count, size) in [0, 1, 2, 1471, 1472, 1473, 9000, 65_506, 65_507].into_iter().enumerate() {
        let message = pattern(size, size as u64);
        client.send_to(&message, at).unwrap();
        turn_until_received(&mut event_loop, &mut post, count + 1);
        let (back, from) = receive(&client);
        assert_same(&back, &message);
        assert_eq!(from, at);
    }
    let stats = event_loop.net().stats();
    assert_eq!((stats.datagrams_received, stats.datagrams_sent, stats.datagrams_dropped), (9, 9, 0));
}

#[test]
fn datagrams_that_wait_together_are_delivered_one_by_one_in_order() {
    let (mut event_loop, socket, at) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::silent());
    let sent: Vec<_> = (0..100).map(|size| pattern(size, size as u64)).collect();
    sent.iter().for_each(|message| _ = client.send_to(message, at).unwrap());
    turn_until_received(&mut event_loop, &mut post, sent.len());
    assert_eq!(post.of(socket), sent);
    let from = client.local_addr().unwrap();
    assert!(post.received.iter().all(|letter| letter.from == from));
    assert!(post.received.iter().all(|letter| letter.to == Some(IpAddr::V4(Ipv4Addr::LOCALHOST))));
}

#[test]
fn a_datagram_above_the_greatest_size_is_counted_and_not_delivered() {
    let (mut event_loop, socket, at) = bound(DatagramOptions::default().max_size(100));
    let (client, mut post) = (client(), Post::echo());
    for size in [101, 100, 60_000, 99] {
        client.send_to(&pattern(size, 1), at).unwrap();
    }
    turn_until_received(&mut event_loop, &mut post, 2);
    assert_eq!(post.of(socket), [pattern(100, 1), pattern(99, 1)]);
    assert_eq!(event_loop.net().stats().datagrams_truncated, 2);
}

#[test]
fn a_read_buffer_that_is_small_cuts_no_datagram_off() {
    let mut event_loop = EventLoop::new(Options::default().read_buffer(1)).unwrap();
    let (socket, at) = bind(event_loop.net(), "127.0.0.1:0", DatagramOptions::default());
    let (client, mut post) = (client(), Post::silent());
    for size in [65_507, 3] {
        client.send_to(&pattern(size, 1), at).unwrap();
    }
    turn_until_received(&mut event_loop, &mut post, 2);
    assert_eq!(post.of(socket), [pattern(65_507, 1), pattern(3, 1)]);
}

#[test]
fn a_datagram_that_no_packet_can_hold_is_too_large() {
    let (mut event_loop, socket, at) = bound(DatagramOptions::default());
    let mut socket = event_loop.net().socket(socket).unwrap();
    assert!(matches!(socket.send_to(&[0; 70_000], at), Sent::TooLarge));
    assert_eq!(event_loop.net().stats().datagrams_dropped, 1);
}

#[test]
fn a_socket_on_every_interface_serves_both_families_and_shows_ipv4_as_such() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (_, at) = bind(event_loop.net(), ":0", DatagramOptions::default());
    let (client4, mut post) = (client(), Post::echo());
    client4.send_to(b"four", (Ipv4Addr::LOCALHOST, at.port())).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    assert_eq!(receive(&client4), (b"four".to_vec(), SocketAddr::from((Ipv4Addr::LOCALHOST, at.port()))));
    assert_eq!(post.received[0].from, client4.local_addr().unwrap());

    let Ok(client6) = UdpSocket::bind("[::1]:0") else {
        return skip("this machine has no IPv6");
    };
    client6.set_read_timeout(Some(PATIENCE)).unwrap();
    client6.send_to(b"six", ("::1", at.port())).unwrap();
    turn_until_received(&mut event_loop, &mut post, 2);
    assert_eq!(receive(&client6).0, b"six");
    assert_eq!(post.received[1].from, client6.local_addr().unwrap());
}

/// Linux has all addresses of 127.0.0.0/8 on its loopback interface.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let asked: IpAddr = [127, 0, 0, 2].into();
    for listen in ["0.0.0.0:0", ":0", "127.0.0.2:0"] {
        let bound_to_all = !listen.starts_with("127");
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        let (_, at) = bind(event_loop.net(), listen, DatagramOptions::default());
        let (client, mut post) = (client(), Post::echo());
        client.send_to(b"hello", (asked, at.port())).unwrap();
        turn_until_received(&mut event_loop, &mut post, 1);
        let (_, from) = receive(&client);
        if cfg!(feature = "packet-info") || !bound_to_all {
            assert_eq!((from.ip(), post.received[0].to), (asked, Some(asked)), "{listen}");
        } else {
            // The documented limit: the system's choice.
            assert_eq!((from.ip(), post.received[0].to), ([127, 0, 0, 1].into(), None), "{listen}");
        }
    }
}

/// With the feature, an answer over IPv6 leaves by control messages as well.
#[test]
fn an_answer_over_ipv6_comes_back() {
    let Ok(client) = UdpSocket::bind("[::1]:0") else {
        return skip("this machine has no IPv6");
    };
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (_, at) = bind(event_loop.net(), "[::]:0", DatagramOptions::default().only_v6(Some(true)));
    let mut post = Post::echo();
    client.send_to(&pattern(9000, 1), ("::1", at.port())).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    let (bytes, from) = receive(&client);
    assert_same(&bytes, &pattern(9000, 1));
    assert_eq!(from, SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, at.port())));
}

#[test]
fn connections_and_datagrams_share_a_loop() {
    let (mut event_loop, socket, at) = bound(DatagramOptions::default());
    let stream = crate::support::listen(event_loop.net());
    let mut post = Post::echo();
    let (datagrams, mut stream) = (client(), crate::support::connect(stream));
    datagrams.send_to(b"datagram", at).unwrap();
    std::io::Write::write_all(&mut stream, b"stream").unwrap();
    turn_until(&mut event_loop, &mut post, |post, _| post.stream_bytes == 6 && post.received.len() == 1);
    assert_eq!(post.of(socket), [b"datagram"]);
    assert_eq!(receive(&datagrams).0, b"datagram");
}

#[test]
fn the_reply_of_a_socket_that_was_connected_since_goes_to_the_sender() {
    let (peer, stranger) = (client(), client());
    let to = peer.local_addr().unwrap();
    let mut post = Post::new(move |socket, datagram| {
        socket.connect(to).unwrap();
        assert!(socket.reply(datagram, b"to the sender").is_taken());
        assert!(socket.send(b"to the peer").is_taken());
    });
    let (mut event_loop, _, at) = bound(DatagramOptions::default());
    stranger.send_to(b"hello", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    turn_until(&mut event_loop, &mut post, |_, net| net.stats().datagrams_sent == 2);
    assert_eq!(receive(&stranger), (b"to the sender".to_vec(), at));
    assert_eq!(receive(&peer), (b"to the peer".to_vec(), at));
}
