//! Errors that concern datagrams which were sent before.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use tidegate::{DatagramOptions, Sent};

use crate::support::{
    datagrams::{Post, bound, client, receive, turn_until_received},
    turn_until, turn_until_quiet,
};

/// An address to which no socket is bound.
fn nobody() -> SocketAddr {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[test]
fn a_refused_datagram_is_told_and_the_socket_goes_on_receiving() {
    let (mut event_loop, id, at) = bound(DatagramOptions::default());
    let (peer, mut post) = (client(), Post::echo());
    let to = peer.local_addr().unwrap();
    drop(peer);
    let mut socket = event_loop.net().socket(id).unwrap();
    socket.connect(to).unwrap();
    assert!(matches!(socket.send(b"is anybody there?"), Sent::Sent));
    turn_until(&mut event_loop, &mut post, |post, _| !post.errors.is_empty());
    assert_eq!(post.errors, [(id, ErrorKind::ConnectionRefused)]);
    assert_eq!(event_loop.net().stats().datagram_errors, 1);

    let peer = UdpSocket::bind(to).unwrap(); // the peer is back
    peer.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    peer.send_to(b"now there is", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    assert_eq!(receive(&peer).0, b"now there is");
}

#[test]
fn the_news_of_a_lost_datagram_does_not_cost_the_next_one() {
    let (mut event_loop, id, _) = bound(DatagramOptions::default());
    let peer = client();
    let to = peer.local_addr().unwrap();
    drop(peer);
    let mut socket = event_loop.net().socket(id).unwrap();
    socket.connect(to).unwrap();
    // Loopback reports at once, so each send after the first meets the news of the send before.
    for _ in 0..3 {
        assert!(matches!(socket.send(b"nobody"), Sent::Sent));
    }
    let peer = UdpSocket::bind(to).unwrap();
    peer.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    assert!(matches!(socket.send(b"somebody"), Sent::Sent));
    assert_eq!(receive(&peer).0, b"somebody");
    assert_eq!(event_loop.net().stats().datagrams_sent, 4);
}

#[test]
fn datagrams_to_nobody_do_not_disturb_a_socket_with_many_peers() {
    let (mut event_loop, id, at) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::echo());
    for round in 1..=10 {
        let mut socket = event_loop.net().socket(id).unwrap();
        assert!(socket.send_to(b"nobody", nobody()).is_taken());
        client.send_to(b"somebody", at).unwrap();
        turn_until_received(&mut event_loop, &mut post, round);
        assert_eq!(receive(&client).0, b"somebody");
    }
    turn_until_quiet(&mut event_loop, &mut post);
}

#[test]
fn a_connected_socket_receives_from_its_peer_alone() {
    let (mut event_loop, id, at) = bound(DatagramOptions::default());
    let (peer, stranger, mut post) = (client(), client(), Post::echo());
    let mut socket = event_loop.net().socket(id).unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    assert_eq!(socket.peer(), Some(peer.local_addr().unwrap()));
    stranger.send_to(b"from a stranger", at).unwrap();
    peer.send_to(b"from the peer", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    turn_until_quiet(&mut event_loop, &mut post);
    assert_eq!(post.of(id), [b"from the peer"]);
    assert_eq!(receive(&peer).0, b"from the peer");
}
