//! A connection of which a reactor has adopted one end. The test has a second descriptor of that end, and so can wait until
//! bytes or a reset have arrived before it makes a turn.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

use tidegate::{ConnId, EventLoop, Handler, Net};

pub use super::turn_until_quiet;
use super::{PATIENCE, Transport, connect};

pub struct Pair {
    pub client: TcpStream,
    pub id: ConnId,
    /// A second descriptor of the socket that the reactor has.
    twin: TcpStream,
}

/// Returns both ends of a connection over the transport of the test.
pub fn connected() -> (TcpStream, TcpStream) {
    #[cfg(unix)]
    if crate::TRANSPORT == Transport::Unix {
        let (client, end) =
            socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        return (super::patient(client.into()), end.into());
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = connect(listener.local_addr().unwrap());
    (client, listener.accept().unwrap().0)
}

impl Pair {
    pub fn adopted_by<S: std::fmt::Debug>(net: &mut Net<S>, session: S) -> Self {
        let (client, end) = connected();
        let twin = end.try_clone().unwrap();
        Self { client, id: adopt(net, end, session), twin }
    }

    /// Makes `count` pairs, whose sessions are the numbers from 0, and turns until the loop has nothing to do.
    pub fn several(
        event_loop: &mut EventLoop<u32>,
        handler: &mut impl Handler<Session = u32>,
        count: u32,
    ) -> Vec<Self> {
        let pairs = (0..count).map(|who| Self::adopted_by(event_loop.net(), who)).collect();
        turn_until_quiet(event_loop, handler);
        pairs
    }

    /// Sends to the reactor, and returns when the bytes have arrived at its socket.
    pub fn send(&self, bytes: &[u8]) {
        (&self.client).write_all(bytes).unwrap();
        await_arrival(&self.twin, bytes.len());
    }

    /// Resets the connection, and returns when the socket of the reactor has received the reset. The error stays in that
    /// socket, because nothing here reads it.
    pub fn reset(self) -> TcpStream {
        super::reset(self.client);
        let mut host = super::Host::new();
        let mut watched = mio::net::TcpStream::from_std(self.twin.try_clone().unwrap());
        host.poll.registry().register(&mut watched, mio::Token(0), mio::Interest::READABLE).unwrap();
        while !host.collect(1).iter().any(|event| event.is_error() || event.is_write_closed()) {}
        self.twin
    }

    /// Reads what the reactor has sent.
    pub fn read(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        (&self.client).read_exact(&mut bytes).unwrap();
        bytes
    }
}

/// Adopts an end of a connection over the transport of the test.
pub fn adopt<S: std::fmt::Debug>(net: &mut Net<S>, end: TcpStream, session: S) -> ConnId {
    #[cfg(unix)]
    if crate::TRANSPORT == Transport::Unix {
        return net.adopt_unix_stream(std::os::fd::OwnedFd::from(end).into(), session).unwrap();
    }
    net.adopt_stream(end, session).unwrap()
}

/// Waits until `len` bytes can be received, and receives none of them.
pub fn await_arrival(stream: &TcpStream, len: usize) {
    let (mut bytes, end) = (vec![0; len], Instant::now() + PATIENCE);
    loop {
        match stream.peek(&mut bytes) {
            Ok(found) if found == len => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        assert!(Instant::now() < end, "the bytes do not arrive");
        thread::yield_now();
    }
}

/// True if the loop asks for a turn now.
pub fn is_due<S>(event_loop: &EventLoop<S>) -> bool {
    event_loop.next_deadline().is_some_and(|due| due <= Instant::now())
}

/// Makes turns as long as the loop asks for turns, without waiting for an event. Returns the number of turns.
pub fn turn_on_hints_alone<S>(
    event_loop: &mut EventLoop<S>,
    handler: &mut impl Handler<Session = S>,
) -> usize {
    let (mut turns, end) = (0, Instant::now() + PATIENCE);
    while is_due(event_loop) {
        // The loop must not sleep here, although the test allows a long sleep: a loop that asks for a turn has work.
        let turn = event_loop.turn(handler, Some(PATIENCE)).unwrap();
        assert!(Instant::now() < end, "the loop slept, or it asks for turns for ever");
        assert_eq!(turn.more, is_due(event_loop), "`Turn::more` and `next_deadline` agree");
        turns += 1;
    }
    turns
}
