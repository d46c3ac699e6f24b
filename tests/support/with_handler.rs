//! A loop with its handler in the thread of the test, so that the test decides what happens between two turns.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    ops::{Deref, DerefMut, RangeBounds},
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use tidegate::{EventLoop, Handler, Net, Options, Reactor, Turn};

use super::{
    AtTime, Host, PATIENCE, Server, Turns, listening,
    script::{Script, Told},
    turn_until, turn_until_quiet,
};

/// A loop and its handler. The fields of the loop can be used like fields of the `WithHandler`.
pub struct WithHandler<L, H> {
    turns: L,
    pub handler: H,
}

impl<L, H> Deref for WithHandler<L, H> {
    type Target = L;

    fn deref(&self) -> &L {
        &self.turns
    }
}

impl<L, H> DerefMut for WithHandler<L, H> {
    fn deref_mut(&mut self) -> &mut L {
        &mut self.turns
    }
}

impl<H: Handler, L: Turns<H::Session>> WithHandler<L, H> {
    pub fn net(&mut self) -> &mut Net<H::Session> {
        self.turns.net()
    }

    /// Makes one turn that does not wait.
    pub fn turn(&mut self) {
        self.turns.make_turn(&mut self.handler, Duration::ZERO);
    }

    /// Turns until `done` returns true.
    pub fn turn_until(&mut self, done: impl FnMut(&H, &mut Net<H::Session>) -> bool) {
        turn_until(&mut self.turns, &mut self.handler, done);
    }

    /// Turns until no event comes and the loop has nothing left to do.
    pub fn turn_until_quiet(&mut self) {
        turn_until_quiet(&mut self.turns, &mut self.handler);
    }
}

/// A reactor in a poll of the test. The time stands still until the test changes it.
pub struct InPoll<S> {
    pub host: Host,
    pub reactor: Reactor<S>,
    pub now: Instant,
}

impl<S> Turns<S> for InPoll<S> {
    fn net(&mut self) -> &mut Net<S> {
        self.reactor.net()
    }

    fn make_turn<H: Handler<Session = S>>(&mut self, handler: &mut H, wait: Duration) -> bool {
        let Self { host, reactor, now } = self;
        AtTime { host, reactor, now: *now }.make_turn(handler, wait)
    }
}

/// A reactor in a poll of the test, with its handler.
pub type Guest<H> = WithHandler<InPoll<<H as Handler>::Session>, H>;

impl<H: Handler> Guest<H> {
    /// Makes a reactor without a listener.
    pub fn in_poll(tokens: impl RangeBounds<usize>, options: Options, handler: H) -> Self {
        let host = Host::new();
        let reactor = Reactor::new(host.poll.registry(), tokens, options).unwrap();
        Self { turns: InPoll { host, reactor, now: Instant::now() }, handler }
    }

    /// Makes one turn without a poll.
    pub fn settle(&mut self) -> Turn {
        self.turns.reactor.settle(&mut self.handler, self.turns.now)
    }

    /// Waits for events of `sources` different sources, and hands them to the reactor without a turn.
    pub fn collect(&mut self, sources: usize) {
        let InPoll { host, reactor, .. } = &mut self.turns;
        host.collect(sources).iter().for_each(|event| assert!(reactor.handle(event)));
    }

    /// Lets this time pass, and makes turns until the reactor is quiet.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.turn_until_quiet();
    }
}

/// An event loop with a listener at this address.
pub struct Listening {
    pub address: SocketAddr,
    event_loop: EventLoop,
}

impl Turns<()> for Listening {
    fn net(&mut self) -> &mut Net {
        self.event_loop.net()
    }

    fn make_turn<H: Handler<Session = ()>>(&mut self, handler: &mut H, wait: Duration) -> bool {
        self.event_loop.make_turn(handler, wait)
    }
}

/// An event loop with its handler, which can run in a thread later.
pub type Stepped = WithHandler<Listening, Script>;

impl Stepped {
    /// Listens, and makes no turn yet. Clients can connect, and the system keeps the bytes that they send.
    pub fn new(options: Options, handler: Script) -> Self {
        let (event_loop, address) = listening(options);
        Self { turns: Listening { address, event_loop }, handler }
    }

    pub fn flush(&mut self) {
        self.event_loop.flush();
    }

    /// True if the next poll would sleep until an event comes.
    pub fn is_idle(&self) -> bool {
        self.event_loop.next_deadline().is_none()
    }

    /// Turns until a callback sends a message, and returns the message.
    pub fn next(&mut self) -> Told {
        let mut next = None;
        self.turn_until(|script, _| {
            next = script.told().try_recv().ok();
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
        self.handler.told().try_iter().collect()
    }

    /// Lets the loop run in a thread of its own, so that the test can use blocking clients.
    pub fn run(self) -> (Server<Script>, Receiver<Told>) {
        let Self { turns: Listening { address, event_loop }, mut handler } = self;
        let told = handler.take_told();
        (Server::run((event_loop, address), handler), told)
    }
}
