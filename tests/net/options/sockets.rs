//! Tests of the options of sockets that a reactor made itself, read from these sockets.
#![cfg(target_os = "linux")]

use std::{net::TcpListener, os::fd::AsFd, time::Duration};

use socket2::SockRef;
use tidegate::{EventLoop, Keepalive, Options};

use crate::support::{Recorder, connect_open, listening, turn_until, twin};

/// Returns keepalive values that are no defaults of Linux or of this crate.
fn wish() -> Keepalive {
    Keepalive::default().after(Duration::from_secs(4000)).interval(Duration::from_secs(77)).retries(5)
}

/// Returns pairs of the values that the options ask for and the values that the socket then has. The last values are below
/// the smallest values that the system takes.
fn wishes() -> [(Option<Keepalive>, Option<Keepalive>); 3] {
    let second = Duration::from_secs(1);
    let zero = Keepalive::default().after(Duration::ZERO).interval(second / 2).retries(0);
    let one = Keepalive::default().after(second).interval(second).retries(1);
    [(None, None), (Some(wish()), Some(wish())), (Some(zero), Some(one))]
}

#[track_caller]
fn assert_options(end: impl AsFd, keepalive: Option<Keepalive>) {
    let socket = SockRef::from(&end);
    assert!(socket.tcp_nodelay().unwrap());
    assert_eq!(socket.keepalive().unwrap(), keepalive.is_some());
    if let Some(expected) = keepalive {
        let times = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        assert_eq!(times, (expected.after, expected.interval));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), expected.retries);
    }
}

#[test]
fn an_accepted_socket_has_nodelay_and_the_keepalive_that_was_asked_for() {
    for (keepalive, expected) in wishes() {
        let (mut event_loop, at) = listening(Options::default().keepalive(keepalive));
        let mut recorder = Recorder::new(|_, _, _, _| {});
        let clients = connect_open(&mut event_loop, at, &mut recorder, 1);
        let Some(end) = twin::of_the_other_end(&clients[0]) else { return };
        assert_options(end, expected);
    }
}

#[test]
fn a_connected_socket_has_nodelay_and_the_keepalive_that_was_asked_for() {
    for (keepalive, expected) in wishes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut event_loop = EventLoop::new(Options::default().keepalive(keepalive)).unwrap();
        let mut recorder = Recorder::new(|_, _, _, _| {});
        event_loop.net().connect(listener.local_addr().unwrap(), 7);
        turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_opened(7));
        let Some(end) = twin::of_the_other_end(&listener.accept().unwrap().0) else { return };
        assert_options(end, expected);
    }
}
