//! Tests with errors of accept4(2) and epoll_ctl(2). strace(1) injects the errors into a loop in the thread of the test.
//! Each test starts a second process of itself under strace, and that process runs the second half of the test.
#![cfg(target_os = "linux")]

use std::{
    io::{Read, Write},
    time::Instant,
};

use tidegate::{EventLoop, ListenOptions, Options};

use crate::support::{
    Call, End, Host, connect, echo, is_due,
    programs::{has_strace, is_child, run_under_strace},
    read_out, reset, turn_until,
};

const BUDGET: usize = 4;

/// accept(2) says that these errors may concern only one client. A security module, or an interface that is down, makes the
/// errors last.
#[test]
fn a_whole_budget_of_failed_accepts_pauses_the_listener() {
    const NAME: &str = "accept::a_whole_budget_of_failed_accepts_pauses_the_listener";
    const PAUSES: usize = 2;
    if !is_child() {
        if has_strace() {
            for error in ["EPERM", "EACCES", "ENETDOWN"] {
                let log = run_under_strace(NAME, "accept4", &format!("{error}:when=1..{}", PAUSES * BUDGET));
                assert_eq!(log.matches("(INJECTED)").count(), PAUSES * BUDGET, "{error}: {log}");
                // Two further calls are allowed: a call that accepts the client, and a call that finds the backlog empty.
                assert!(log.matches("accept4(").count() <= PAUSES * BUDGET + 2, "{error}: {log}");
            }
        }
        return;
    }
    let (mut host, mut now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default().accept_budget(BUDGET));
    let mut echo = echo();
    let mut client = connect(at);
    client.write_all(b"hello").unwrap();
    host.collect(1).iter().for_each(|event| assert!(reactor.handle(event)));
    for pause in 1..=PAUSES {
        reactor.settle(&mut echo, now);
        assert!(!is_due(&reactor, now), "the listener asks for a turn at once after a budget of failures");
        assert_eq!(reactor.net().stats().accept_errors, pause as u64);
        let wait = reactor.timeout(now).expect("no event will come, so a timer has to try again");
        now += wait;
    }
    host.turn_until(&mut reactor, &mut echo, now, |_, net| net.stats().bytes_sent == 5);
    client.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(reactor.net().stats().accept_errors, PAUSES as u64, "the fault has ended");
    host.turn_until_quiet(&mut reactor, &mut echo, now);
    assert_eq!(reactor.timeout(now), None, "no timer is left");
}

#[test]
fn failures_between_clients_do_not_pause_the_listener() {
    const NAME: &str = "accept::failures_between_clients_do_not_pause_the_listener";
    if !is_child() {
        if has_strace() {
            run_under_strace(NAME, "accept4", "EPERM:when=1+2"); // Every second call fails.
        }
        return;
    }
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default().accept_budget(BUDGET));
    let mut echo = echo();
    let _clients: Vec<_> = (0..2 * BUDGET).map(|_| connect(at)).collect();
    host.turn_until(&mut reactor, &mut echo, now, |_, net| net.stats().accepted == 2 * BUDGET as u64);
    host.turn_until_quiet(&mut reactor, &mut echo, now);
    assert_eq!(reactor.net().stats().accept_errors, 0);
}

/// The tenth call fails. It registers a client, because a loop that listens has registered all other sources before, in
/// fewer calls.
#[test]
#[cfg_attr(
    mio_unsupported_force_poll_poll,
    ignore = "the selector on poll(2) registers without a system call"
)]
fn a_client_that_cannot_be_registered_takes_no_place() {
    const NAME: &str = "accept::a_client_that_cannot_be_registered_takes_no_place";
    if !is_child() {
        if has_strace() {
            let log = run_under_strace(NAME, "epoll_ctl", "ENOMEM:when=10");
            let injected: Vec<_> = log.lines().filter(|line| line.contains("(INJECTED)")).collect();
            assert!(matches!(injected[..], [one] if one.contains("EPOLL_CTL_ADD")), "{injected:?}");
        }
        return;
    }
    const PLACES: usize = 20;
    let mut event_loop = EventLoop::new(Options::default().max_connections(PLACES)).unwrap();
    let listen = ListenOptions::default().max_connections(PLACES);
    let listener = event_loop.net().listen_with("127.0.0.1:0", listen).unwrap();
    let at = event_loop.net().local_address(listener).unwrap().socket_addrs()[0];
    let mut echo = echo();
    let mut clients = Vec::new();
    for came in 1..=PLACES as u64 + 1 {
        let mut client = connect(at);
        let refused = event_loop.net().stats().refused_error;
        turn_until(&mut event_loop, &mut echo, |_, net| {
            net.stats().accepted + net.stats().refused_error == came
        });
        if event_loop.net().stats().refused_error == refused {
            clients.push(client);
        } else {
            assert_eq!(read_out(&mut client), (vec![], End::Eof));
        }
    }
    let stats = event_loop.net().stats();
    assert_eq!((stats.accepted, stats.refused_error, stats.open), (PLACES as u64, 1, PLACES));
    assert_eq!(
        echo.count(&Call::Open),
        PLACES,
        "the handler is not asked about a client that cannot be served"
    );

    clients.into_iter().for_each(reset);
    turn_until(&mut event_loop, &mut echo, |_, net| net.stats().open == 0);
    let mut client = connect(at);
    client.write_all(b"hello").unwrap();
    turn_until(&mut event_loop, &mut echo, |_, net| net.stats().bytes_sent == 5);
    client.read_exact(&mut [0; 5]).unwrap();
}
