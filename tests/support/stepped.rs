//! A loop that the test turns, so that the test decides what happens between two turns.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use tidegate::{EventLoop, Net, Options};

use super::{
    PATIENCE, Server, listening,
    script::{Script, Told},
    turn_until,
};

pub struct Stepped {
    pub address: SocketAddr,
    event_loop: EventLoop,
    script: Script,
    told: Receiver<Told>,
}

impl Stepped {
    /// Listens, and makes no turn yet. Clients can connect, and the system keeps the bytes that they send.
    pub fn new(options: Options, mut script: Script) -> Self {
        let ((event_loop, address), told) = (listening(options), script.take_told());
        Self { address, event_loop, script, told }
    }

    pub fn net(&mut self) -> &mut Net {
        self.event_loop.net()
    }

    pub fn flush(&mut self) {
        self.event_loop.flush();
    }

    /// True if the next poll would sleep until an event comes.
    pub fn is_idle(&self) -> bool {
        self.event_loop.next_deadline().is_none()
    }

    /// Makes one turn that does not wait.
    pub fn turn(&mut self) {
        self.event_loop.turn(&mut self.script, Some(Duration::ZERO)).unwrap();
    }

    /// Turns until `done` returns true.
    pub fn turn_until(&mut self, mut done: impl FnMut(&mut Net) -> bool) {
        turn_until(&mut self.event_loop, &mut self.script, |_, net| done(net));
    }

    /// Turns until a callback sends a message, and returns the message.
    pub fn next(&mut self) -> Told {
        let mut next = None;
        turn_until(&mut self.event_loop, &mut self.script, |_, _| {
            next = self.told.try_recv().ok();
            next.is_some()
        });
        next.unwrap()
    }

    /// Sends `message`, and turns until the client has received as many bytes as `message` has. Returns those bytes.
    pub fn exchange(&mut self, client: &mut TcpStream, message: &[u8]) -> Vec<u8> {
        client.write_all(message).unwrap();
        client.set_nonblocking(true).unwrap();
        let (mut echo, mut len, end) = (vec![0; message.len()], 0, Instant::now() + PATIENCE);
        while len < echo.len() {
            assert!(Instant::now() < end, "the echo does not come back");
            self.turn();
            match client.read(&mut echo[len..]) {
                Ok(0) => panic!("the echo ends after {len} bytes"),
                Ok(n) => len += n,
                // The echo may be on its way to the client, and no event of the server announces that: the loop must not sleep.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        client.set_nonblocking(false).unwrap();
        echo
    }

    /// Returns the messages that callbacks have sent since the last call.
    pub fn rest(&self) -> Vec<Told> {
        self.told.try_iter().collect()
    }

    /// Lets the loop run in a thread of its own, so that the test can use blocking clients.
    pub fn run(self) -> (Server<Script>, Receiver<Told>) {
        let Self { address, event_loop, script, told } = self;
        (Server::run((event_loop, address), script), told)
    }
}
