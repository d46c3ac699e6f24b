//! Tests with errors of the system calls of datagram sockets, which strace(1) injects. Each test starts a second process of
//! itself under strace, and that process runs the second half of the test. A UDP socket on loopback takes every datagram at
//! once, so an injected error stands for a full send buffer.
#![cfg(target_os = "linux")]

use std::time::Duration;

use tidegate::{DatagramOptions, EventLoop, SocketId};

use crate::support::{
    datagrams::{Post, bound, client, receive, turn_until_received},
    programs::{has_strace, is_child, run_under_strace},
    turn_until, turn_until_quiet,
};

/// The call that receives datagrams.
const RECEIVE: &str = if cfg!(feature = "packet-info") { "recvmmsg" } else { "recvfrom" };

/// Sends the datagrams 0, 1, 2, …, and returns the outcomes as text.
fn send(event_loop: &mut EventLoop, socket: SocketId, to: std::net::SocketAddr, count: u8) -> Vec<String> {
    let mut socket = event_loop.net().socket(socket).unwrap();
    (0..count).map(|number| format!("{:?}", socket.send_to(&[number], to))).collect()
}

#[test]
fn a_full_send_buffer_queues_and_the_event_that_says_that_there_is_room_sends() {
    const NAME: &str =
        "datagrams::a_full_send_buffer_queues_and_the_event_that_says_that_there_is_room_sends";
    if !is_child() {
        if has_strace() {
            let log = run_under_strace(NAME, "sendto", "EAGAIN:when=2");
            assert_eq!(log.matches("sendto(").count(), 5, "{log}"); // 4 datagrams, and a vain attempt
        }
        return;
    }
    let (mut event_loop, socket, _) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::silent());
    let to = client.local_addr().unwrap();
    assert_eq!(send(&mut event_loop, socket, to, 4), ["Sent", "Queued", "Queued", "Queued"]);
    assert_eq!(event_loop.next_deadline(), None, "an event announces the room");
    turn_until(&mut event_loop, &mut post, |_, net| net.socket(socket).unwrap().queued() == 0);
    assert_eq!([(); 4].map(|()| receive(&client).0[0]), [0, 1, 2, 3]);
    turn_until_quiet(&mut event_loop, &mut post);
    let stats = event_loop.net().stats();
    assert_eq!((stats.datagrams_sent, stats.datagrams_dropped), (4, 0));
}

/// While the queue is empty, the socket must not be told of each datagram that leaves.
#[test]
fn a_socket_is_registered_for_writing_only_while_its_queue_waits() {
    const NAME: &str = "datagrams::a_socket_is_registered_for_writing_only_while_its_queue_waits";
    if !is_child() {
        if has_strace() {
            // The loop asks for the event that the socket is writable, and does not ask any more when its queue is empty: the
            // only calls of epoll_ctl that change a registration. strace counts the calls of each name by itself, and there are
            // fewer than six calls of epoll_ctl.
            let calls = if cfg!(mio_unsupported_force_poll_poll) { "sendto" } else { "sendto,epoll_ctl" };
            let log = run_under_strace(NAME, calls, "EAGAIN:when=6");
            let changes = log.matches("EPOLL_CTL_MOD").count();
            assert_eq!(changes, if cfg!(mio_unsupported_force_poll_poll) { 0 } else { 2 }, "{log}");
        }
        return;
    }
    let (mut event_loop, socket, _) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::silent());
    let to = client.local_addr().unwrap();
    assert_eq!(send(&mut event_loop, socket, to, 6), ["Sent", "Sent", "Sent", "Sent", "Sent", "Queued"]);
    turn_until(&mut event_loop, &mut post, |_, net| net.socket(socket).unwrap().queued() == 0);
    assert_eq!(send(&mut event_loop, socket, to, 1), ["Sent"]);
    turn_until_quiet(&mut event_loop, &mut post);
}

#[test]
fn a_send_without_buffer_space_is_tried_again_by_a_timer() {
    const NAME: &str = "datagrams::a_send_without_buffer_space_is_tried_again_by_a_timer";
    if !is_child() {
        if has_strace() {
            run_under_strace(NAME, "sendto", "ENOBUFS:when=1..2");
        }
        return;
    }
    let (mut event_loop, socket, _) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::silent());
    let to = client.local_addr().unwrap();
    assert_eq!(send(&mut event_loop, socket, to, 2), ["Queued", "Queued"]);
    assert!(event_loop.next_deadline().is_some(), "no event will come");
    turn_until(&mut event_loop, &mut post, |_, net| net.socket(socket).unwrap().queued() == 0);
    assert_eq!([(); 2].map(|()| receive(&client).0[0]), [0, 1]);
    assert_eq!(event_loop.next_deadline(), None, "no timer is left");
}

#[test]
fn errors_of_receives_neither_end_the_socket_nor_stop_its_reading() {
    const NAME: &str = "datagrams::errors_of_receives_neither_end_the_socket_nor_stop_its_reading";
    if !is_child() {
        if has_strace() {
            for error in ["ENETDOWN", "ECONNREFUSED", "ENOMEM"] {
                run_under_strace(NAME, RECEIVE, &format!("{error}:when=1..3"));
            }
        }
        return;
    }
    let (mut event_loop, _, at) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::silent());
    client.send_to(b"hello", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    assert_eq!(post.errors.len(), 3);
    assert_eq!(event_loop.net().stats().datagram_errors, 3);
}

#[test]
fn a_whole_turn_of_errors_makes_the_socket_rest_and_not_spin() {
    const NAME: &str = "datagrams::a_whole_turn_of_errors_makes_the_socket_rest_and_not_spin";
    if !is_child() {
        if has_strace() {
            run_under_strace(NAME, RECEIVE, "ENETDOWN:when=1..8");
        }
        return;
    }
    let (mut event_loop, _, at) = bound(DatagramOptions::default().receive_budget(4));
    let (client, mut post) = (client(), Post::silent());
    client.send_to(b"hello", at).unwrap();
    for rests in 1..=2 {
        turn_until(&mut event_loop, &mut post, |post, _| post.errors.len() == 4 * rests);
        let turn = event_loop.turn(&mut post, Some(Duration::ZERO)).unwrap();
        assert!(!turn.more && post.errors.len() == 4 * rests, "the socket rests");
    }
    turn_until_received(&mut event_loop, &mut post, 1);
    turn_until_quiet(&mut event_loop, &mut post);
    assert_eq!(event_loop.next_deadline(), None, "no timer is left");
}

#[test]
fn interrupted_calls_are_made_again() {
    const NAME: &str = "datagrams::interrupted_calls_are_made_again";
    if !is_child() {
        if has_strace() {
            run_under_strace(NAME, RECEIVE, "EINTR:when=1..2");
            run_under_strace(NAME, "sendto", "EINTR:when=2..3");
        }
        return;
    }
    let (mut event_loop, _, at) = bound(DatagramOptions::default());
    let (client, mut post) = (client(), Post::echo());
    client.send_to(b"hello", at).unwrap();
    turn_until_received(&mut event_loop, &mut post, 1);
    assert!(post.errors.is_empty());
    let stats = event_loop.net().stats();
    assert_eq!((stats.datagrams_sent, stats.datagrams_dropped, stats.datagram_errors), (1, 0, 0));
}

/// A firewall refuses a datagram with EPERM, and a missing route with ENETUNREACH. Both concern one datagram.
#[test]
fn a_datagram_that_the_system_refuses_fails_alone() {
    const NAME: &str = "datagrams::a_datagram_that_the_system_refuses_fails_alone";
    if !is_child() {
        if has_strace() {
            run_under_strace(NAME, "sendto", "EPERM:when=2");
        }
        return;
    }
    let (mut event_loop, socket, _) = bound(DatagramOptions::default());
    let client = client();
    let to = client.local_addr().unwrap();
    let outcomes = send(&mut event_loop, socket, to, 3);
    assert_eq!((outcomes[0].as_str(), outcomes[2].as_str()), ("Sent", "Sent"));
    assert!(outcomes[1].contains("PermissionDenied"), "{outcomes:?}");
    assert_eq!(event_loop.net().stats().datagrams_dropped, 1);
}
