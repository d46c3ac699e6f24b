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
    PATIENCE, Server,
    descriptors::raise_limit,
    script::{Script, Told},
};

pub struct Stepped {
    pub address: SocketAddr,
    event_loop: EventLoop,
    script: Script,
    told: Receiver<Told>,
}

impl Stepped {
    /// Listens, and makes no turn yet. Clients can connect, and the system keeps the bytes that they send.
    pub fn new(options: Options, script: Script, told: Receiver<Told>) -> Self {
        raise_limit();
        let mut event_loop = EventLoop::new(options).unwrap();
        let listener = event_loop.net().listen("127.0.0.1:0").unwrap();
        let address = event_loop.net().local_address(listener).unwrap().socket_addrs()[0];
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

    /// Turns until `done` returns true; `done` is called before each turn. A turn sleeps until the server has an event, so
    /// `done` has to look at the server and not at a client.
    pub fn turn_until(&mut self, mut done: impl FnMut(&mut Net) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self.event_loop.net()) {
            let wait = end.saturating_duration_since(Instant::now());
            assert!(!wait.is_zero(), "the condition of the test does not come true");
            self.event_loop.turn(&mut self.script, Some(wait)).unwrap();
        }
    }

    /// Turns until a callback sends a message, and returns the message.
    pub fn next(&mut self) -> Told {
        let mut next = self.told.try_recv().ok();
        let end = Instant::now() + PATIENCE;
        while next.is_none() {
            let wait = end.saturating_duration_since(Instant::now());
            assert!(!wait.is_zero(), "no callback sends a message");
            self.event_loop.turn(&mut self.script, Some(wait)).unwrap();
            next = self.told.try_recv().ok();
        }
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
        let Self { address, mut event_loop, mut script, told } = self;
        let remote = event_loop.remote();
        let thread = thread::spawn(move || {
            event_loop.run(&mut script).unwrap();
            (script, event_loop.net().stats().clone())
        });
        (Server { address, remote, thread: Some(thread) }, told)
    }
}
