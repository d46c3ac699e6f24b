//! How datagram sockets end: by a close, by a drain, with their loop; and panics.

use std::{
    cell::Cell,
    io::{ErrorKind, Write},
    net::UdpSocket,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tidegate::{DatagramOptions, EventLoop, Options, Sent};

use crate::support::{
    PATIENCE, connect,
    datagrams::{Post, bind, bound, client, receive, turn_until_received},
    listen, turn_until, turn_until_quiet,
};

#[test]
fn a_socket_that_is_closed_in_its_callback_delivers_nothing_more() {
    let (mut event_loop, id, at) = bound(DatagramOptions::default());
    let client = client();
    let mut post = Post::new(|socket, datagram| {
        socket.close();
        let sent = socket.reply(datagram, b"too late");
        assert!(matches!(sent, Sent::Failed(error) if error.kind() == ErrorKind::NotConnected));
        assert!(socket.local_address().is_err() && socket.queued() == 0 && socket.peer().is_none());
        assert!(socket.connect(datagram.from()).is_err());
    });
    (0..10).for_each(|number| _ = client.send_to(&[number], at).unwrap());
    turn_until_received(&mut event_loop, &mut post, 1);
    turn_until_quiet(&mut event_loop, &mut post);
    assert_eq!(post.of(id), [[0]]);
    assert!(event_loop.net().socket(id).is_none());
    UdpSocket::bind(at).expect("the port is free");
}

#[test]
fn the_id_of_a_closed_socket_does_not_reach_the_next_source_in_its_slot() {
    let (mut event_loop, old, _) = bound(DatagramOptions::default());
    let mut post = Post::silent();
    event_loop.net().close_socket(old);
    event_loop.turn(&mut post, Some(Duration::ZERO)).unwrap(); // the slot is free
    let (new, at) = bind(event_loop.net(), "127.0.0.1:0", DatagramOptions::default());
    assert_ne!(old, new);
    assert!(event_loop.net().socket(old).is_none());
    assert_eq!(event_loop.net().socket_address(old).unwrap_err().kind(), ErrorKind::NotFound);
    event_loop.net().close_socket(old);
    client().send_to(b"to the new one", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    assert_eq!(post.of(new), [b"to the new one"]);
}

#[test]
fn a_socket_may_be_bound_and_used_in_a_callback() {
    let (mut event_loop, first, at) = bound(DatagramOptions::default());
    let client = client();
    let mut post = Post::new(|socket, datagram| {
        if socket.id() == first {
            let second = socket.net().bind("127.0.0.1:0", DatagramOptions::default()).unwrap();
            let mut second = socket.net().socket(second).unwrap();
            assert!(second.send_to(b"from another port", datagram.from()).is_taken());
        }
    });
    client.send_to(b"hello", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    let (bytes, from) = receive(&client);
    assert_eq!(bytes, b"from another port");
    assert_ne!(from, at);
    client.send_to(b"to the second", from).unwrap();
    turn_until_received(&mut event_loop, &mut post, 2);
}

#[test]
fn a_close_drops_and_counts_the_queue() {
    let (mut event_loop, id, _) = bound(DatagramOptions::default().send_budget(1));
    let mut socket = event_loop.net().socket(id).unwrap();
    let to = client().local_addr().unwrap();
    (0..3).for_each(|_| assert!(socket.send_to(b"hello", to).is_taken()));
    socket.close();
    assert_eq!(event_loop.net().stats().datagrams_dropped, 2);
}

#[test]
fn a_drain_answers_the_datagrams_that_have_come_and_ends() {
    let (mut event_loop, _, at) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::echo());
    (0..5).for_each(|number| _ = client.send_to(&[number], at).unwrap());
    event_loop.net().drain(PATIENCE);
    event_loop.run(&mut post).unwrap();
    assert_eq!([(); 5].map(|()| receive(&client).0[0]), [0, 1, 2, 3, 4]);
    UdpSocket::bind(at).expect("the socket is closed");
}

#[test]
fn a_drain_hands_the_queue_over_before_it_ends() {
    let (mut event_loop, id, _) = bound(DatagramOptions::default().send_budget(1));
    let (client, mut post) = (client(), Post::silent());
    let mut socket = event_loop.net().socket(id).unwrap();
    let to = client.local_addr().unwrap();
    (0..5).for_each(|number| assert!(socket.send_to(&[number], to).is_taken()));
    event_loop.net().drain(PATIENCE);
    event_loop.run(&mut post).unwrap();
    assert_eq!([(); 5].map(|()| receive(&client).0[0]), [0, 1, 2, 3, 4]);
    assert_eq!(event_loop.net().stats().datagrams_dropped, 0);
}

#[test]
fn a_second_drain_drops_and_counts_the_queue() {
    let (mut event_loop, id, _) = bound(DatagramOptions::default().send_budget(1));
    let mut socket = event_loop.net().socket(id).unwrap();
    let to = client().local_addr().unwrap();
    (0..5).for_each(|_| assert!(socket.send_to(b"hello", to).is_taken()));
    event_loop.net().drain(PATIENCE);
    event_loop.net().drain(PATIENCE);
    event_loop.run(&mut Post::silent()).unwrap();
    assert_eq!(event_loop.net().stats().datagrams_dropped, 4);
    assert!(event_loop.net().socket(id).is_none());
}

#[test]
fn in_a_drain_a_socket_works_as_long_as_there_are_connections() {
    let (mut event_loop, id, at) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::echo());
    let mut stream = connect(listen(event_loop.net()));
    stream.write_all(b"hello").unwrap();
    turn_until(&mut event_loop, &mut post, |post, _| post.stream_bytes == 5);
    event_loop.net().drain(PATIENCE);
    event_loop.turn(&mut post, Some(Duration::ZERO)).unwrap(); // the drain has begun
    client.send_to(b"still there?", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    assert!(event_loop.net().socket(id).is_some());
    drop(stream);
    event_loop.run(&mut post).unwrap();
    assert!(event_loop.net().socket(id).is_none());
}

#[test]
fn a_flood_does_not_hold_a_drain_up() {
    let (mut event_loop, id, at) = bound(DatagramOptions::default());
    let mut post = Post::echo(); // the socket answers itself for ever
    assert!(event_loop.net().socket(id).unwrap().send_to(b"forever", at).is_taken());
    turn_until_received(&mut event_loop, &mut post, 1000);
    event_loop.net().drain(PATIENCE);
    event_loop.run(&mut post).unwrap();
    assert!(event_loop.net().socket(id).is_none());
}

#[test]
fn a_dropped_loop_deregisters_and_closes_its_sockets() {
    let host = crate::support::Host::new();
    let mut reactor = tidegate::Reactor::<()>::new(host.poll.registry(), .., Options::default()).unwrap();
    let (_, at) = bind(reactor.net(), "127.0.0.1:0", DatagramOptions::default());
    drop(reactor);
    UdpSocket::bind(at).expect("the port is free");
}

#[test]
fn after_a_panic_in_a_callback_the_socket_goes_on() {
    let (mut event_loop, id, at) = bound(DatagramOptions::default());
    let (client, panics) = (client(), Cell::new(true));
    let mut post = Post::new(|socket, datagram| {
        assert!(!panics.get(), "the panic of this test");
        let _ = socket.reply(datagram, datagram.bytes());
    });
    client.send_to(b"lost", at).unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        turn_until_received(&mut event_loop, &mut post, 2);
    }));
    assert!(caught.is_err() && post.received.len() == 1);
    panics.set(false);
    client.send_to(b"answered", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 2);
    assert_eq!(receive(&client).0, b"answered");
    assert!(event_loop.net().socket(id).is_some());
}

#[test]
fn a_loop_that_has_only_a_socket_runs_until_it_is_stopped() {
    let mut event_loop = EventLoop::new(Options::default()).unwrap();
    let (_, at) = bind(event_loop.net(), "127.0.0.1:0", DatagramOptions::default());
    let mut post = Post::new(|socket, _| socket.net().stop());
    client().send_to(b"stop", at).unwrap();
    event_loop.run(&mut post).unwrap();
    assert_eq!(post.received.len(), 1);
}
