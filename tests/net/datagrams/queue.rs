//! The queue of datagrams that the kernel does not take, and the outcome of a send.
//!
//! A UDP socket on loopback takes everything at once, so most of these tests spend the send budget of a turn.

use std::{io::ErrorKind, net::SocketAddr};

use tidegate::{DatagramOptions, EventLoop, Options, Sent, SocketId};

use crate::support::{
    datagrams::{Post, bind, bound, client, receive},
    turn_until, turn_until_quiet,
};

/// Sends the datagrams `numbers` of one byte, and returns the outcomes as text.
fn send(event_loop: &mut EventLoop, socket: SocketId, to: SocketAddr, numbers: &[u8]) -> Vec<String> {
    let mut socket = event_loop.net().socket(socket).unwrap();
    numbers.iter().map(|number| format!("{:?}", socket.send_to(&[*number], to))).collect()
}

#[test]
fn datagrams_above_the_send_budget_wait_in_order_for_the_next_turns() {
    let (mut event_loop, socket, _) = bound(DatagramOptions::default().send_budget(2));
    let (client, mut post) = (client(), Post::silent());
    let to = client.local_addr().unwrap();
    let outcomes = send(&mut event_loop, socket, to, &[1, 2, 3, 4, 5]);
    assert_eq!(outcomes, ["Sent", "Sent", "Queued", "Queued", "Queued"]);
    assert_eq!(event_loop.net().socket(socket).unwrap().queued(), 3);
    assert!(event_loop.next_deadline().is_some(), "the next turn does not sleep");
    turn_until_quiet(&mut event_loop, &mut post);
    assert_eq!([(); 5].map(|()| receive(&client).0[0]), [1, 2, 3, 4, 5]);
    assert_eq!(event_loop.net().socket(socket).unwrap().queued(), 0);
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts() {
    let (mut event_loop, socket, _) = bound(DatagramOptions::default().send_budget(1).queue(2));
    let (client, mut post) = (client(), Post::silent());
    let to = client.local_addr().unwrap();
    let outcomes = send(&mut event_loop, socket, to, &[1, 2, 3, 4, 5]);
    assert_eq!(outcomes, ["Sent", "Queued", "Queued", "DroppedOldest", "DroppedOldest"]);
    turn_until_quiet(&mut event_loop, &mut post);
    assert_eq!([(); 3].map(|()| receive(&client).0[0]), [1, 4, 5]);
    let stats = event_loop.net().stats();
    assert_eq!((stats.datagrams_sent, stats.datagrams_dropped), (3, 2));
}

#[test]
fn the_bytes_of_the_queue_are_bounded() {
    let options = DatagramOptions::default().send_budget(1).queue_bytes(100);
    let (mut event_loop, id, _) = bound(options);
    let to = client().local_addr().unwrap();
    let mut socket = event_loop.net().socket(id).unwrap();
    assert!(matches!(socket.send_to(&[0; 10], to), Sent::Sent));
    assert!(matches!(socket.send_to(&[0; 101], to), Sent::Full), "it never fits");
    assert!(matches!(socket.send_to(&[0; 60], to), Sent::Queued));
    assert!(matches!(socket.send_to(&[0; 40], to), Sent::Queued));
    assert!(matches!(socket.send_to(&[0; 60], to), Sent::DroppedOldest));
    assert_eq!(socket.queued(), 2);
    assert_eq!(event_loop.net().stats().datagrams_dropped, 2);
}

#[test]
fn without_a_queue_nothing_waits() {
    let (mut event_loop, socket, _) = bound(DatagramOptions::default().send_budget(1).queue(0));
    let to = client().local_addr().unwrap();
    assert_eq!(send(&mut event_loop, socket, to, &[1, 2]), ["Sent", "Full"]);
    assert_eq!(event_loop.net().stats().datagrams_dropped, 1);
}

#[test]
fn the_write_budget_bounds_the_bytes_of_a_turn() {
    let mut event_loop = EventLoop::new(Options::default().write_budget(100)).unwrap();
    let (id, _) = bind(event_loop.net(), "127.0.0.1:0", DatagramOptions::default());
    let (client, mut post) = (client(), Post::silent());
    let mut socket = event_loop.net().socket(id).unwrap();
    let to = client.local_addr().unwrap();
    let outcomes = [(); 3].map(|()| socket.send_to(&[7; 60], to));
    assert!(matches!(outcomes, [Sent::Sent, Sent::Sent, Sent::Queued]), "{outcomes:?}");
    turn_until_quiet(&mut event_loop, &mut post);
    assert_eq!([(); 3].map(|()| receive(&client).0.len()), [60; 3]);
}

/// A datagram of a local stream protocol would block here; UDP over loopback does not. The queue of the kernel counts the
/// datagrams that the receiver has not read only for sockets of one machine, and then drops them.
#[test]
fn a_send_without_a_peer_or_to_another_family_fails_and_the_socket_goes_on() {
    let (mut event_loop, id, _) = bound(DatagramOptions::default());
    let client = client();
    let mut socket = event_loop.net().socket(id).unwrap();
    let unconnected = socket.send(b"to nobody");
    assert!(matches!(unconnected, Sent::Failed(ref error) if error.kind() == ErrorKind::NotConnected));
    let broadcast = socket.send_to(b"not allowed", "255.255.255.255:7".parse().unwrap());
    assert!(matches!(broadcast, Sent::Failed(_)), "{broadcast:?}");
    let family = socket.send_to(b"over IPv6", "[::1]:7".parse().unwrap());
    assert!(matches!(family, Sent::Failed(_)), "{family:?}");
    assert!(matches!(socket.send_to(b"after them", client.local_addr().unwrap()), Sent::Sent));
    assert_eq!(receive(&client).0, b"after them");
    assert_eq!(event_loop.net().stats().datagrams_dropped, 3);
}

#[test]
fn a_turn_that_begins_sends_what_an_earlier_turn_has_queued_before_it_receives() {
    let (mut event_loop, socket, at) = bound(DatagramOptions::default().send_budget(2));
    let client = client();
    let to = client.local_addr().unwrap();
    let mut post = Post::echo();
    send(&mut event_loop, socket, to, &[1, 2, 3]);
    client.send_to(&[4], at).unwrap();
    turn_until(&mut event_loop, &mut post, |post, _| !post.received.is_empty());
    turn_until_quiet(&mut event_loop, &mut post);
    assert_eq!([(); 4].map(|()| receive(&client).0[0]), [1, 2, 3, 4]);
}
