//! Hosts that have a `mio::Poll` with sources of their own in it.

use std::{cell::Cell, net::UdpSocket, sync::Arc, time::Instant};

use mio::{Events, Interest, Poll, Token, Waker, event::Event};
use tidegate::{Options, Reactor, Stats};

use crate::{
    subject::{Driver, Job},
    support::{Actor, Call, as_by_default},
};

pub const ALONE: Driver = Driver::new(alone).with_affairs(ROUNDS);
pub const ONE_OF_TWO: Driver = Driver::new(one_of_two).with_affairs(ROUNDS);

const WAKE: Token = Token(usize::MAX - 1);
const OWN: [Token; 2] = [Token(7), Token(8)];

/// The number of messages that the sockets of the host, or the connection of the other guest, exchange.
const ROUNDS: u64 = 500;

/// Drives a guest whose tokens are above those of the sockets of the host.
fn alone(mut job: Job) -> Stats {
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(16));
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).unwrap());
    let mut own = OwnSockets::new(&poll);
    let mut guest = Reactor::new(poll.registry(), 100..10_000, job.options.clone()).unwrap();
    let remote = guest.remote(waker);
    job.begin(guest.net(), remote);
    let mut is_finished = false;
    while !is_finished || own.rounds < ROUNDS {
        poll.poll(&mut events, guest.timeout(Instant::now())).unwrap();
        for event in &events {
            assert_eq!(
                guest.handle(event),
                !own.handle(event),
                "{event:?} does not belong to exactly one source"
            );
        }
        is_finished |= guest.settle(&mut job.subject, Instant::now()).finished;
    }
    guest.net().stats().clone()
}

/// Two sockets that send a datagram to and fro. They are the work that a host has beside its guest.
struct OwnSockets {
    sockets: [mio::net::UdpSocket; 2],
    rounds: u64,
}

impl OwnSockets {
    fn new(poll: &Poll) -> Self {
        let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        sockets[0].connect(sockets[1].local_addr().unwrap()).unwrap();
        sockets[1].connect(sockets[0].local_addr().unwrap()).unwrap();
        sockets[0].send(b"to and fro").unwrap();
        let mut sockets = sockets.map(|socket| {
            socket.set_nonblocking(true).unwrap();
            mio::net::UdpSocket::from_std(socket)
        });
        for (socket, token) in sockets.iter_mut().zip(OWN) {
            poll.registry().register(socket, token, Interest::READABLE).unwrap();
        }
        Self { sockets, rounds: 0 }
    }

    fn handle(&mut self, event: &Event) -> bool {
        let Some(which) = OWN.iter().position(|token| *token == event.token()) else {
            return event.token() == WAKE;
        };
        while self.sockets[which].recv(&mut [0; 16]).is_ok() {
            self.rounds += 1;
            if self.rounds < ROUNDS {
                self.sockets[which].send(b"to and fro").unwrap();
            }
        }
        true
    }
}

/// Drives two guests in one poll. The other guest is its own client, and so has traffic.
fn one_of_two(mut job: Job) -> Stats {
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(16));
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).unwrap());
    let mut one = Reactor::new(poll.registry(), ..1000, job.options.clone()).unwrap();
    let mut other = Reactor::new(poll.registry(), 1000..1010, Options::default()).unwrap();
    // The two ends of a connection send a message to and fro.
    let rounds = Cell::new(0);
    let mut rally = Actor::with_conn(|conn, call| match call {
        Call::Open => _ = conn.send_all(b"ball"),
        Call::Data(ball) => {
            rounds.set(rounds.get() + 1);
            if rounds.get() < ROUNDS {
                conn.send_all(ball);
            }
        }
        call => as_by_default(conn, call),
    });
    let listener = other.net().listen("127.0.0.1:0").unwrap();
    let to = other.net().local_address(listener).unwrap();
    other.net().connect(to, ());
    let remote = one.remote(waker);
    job.begin(one.net(), remote);
    let mut is_finished = false;
    while !is_finished || rounds.get() < ROUNDS {
        let now = Instant::now();
        let wait = [one.timeout(now), other.timeout(now)].into_iter().flatten().min();
        poll.poll(&mut events, wait).unwrap();
        for event in &events {
            let takers = [one.handle(event), other.handle(event), event.token() == WAKE];
            assert_eq!(
                takers.iter().filter(|takes| **takes).count(),
                1,
                "{event:?} does not belong to exactly one source"
            );
        }
        let now = Instant::now();
        is_finished |= one.settle(&mut job.subject, now).finished;
        other.settle(&mut rally, now);
    }
    one.net().stats().clone()
}
