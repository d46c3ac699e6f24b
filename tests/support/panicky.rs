//! A handler that panics where the test says, and a reactor that the test turns.

use std::{
    io::Write,
    net::{Shutdown, SocketAddr, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Instant,
};

use mio::{Token, Waker};
use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, Handler, Net, Options, Reactor, Remote};

use super::{End, Host, connect, read_out};

/// A callback of the handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    Accept,
    Open,
    Data,
    Writable,
    Eof,
    Timeout,
    Drain,
    Close(CloseKind),
    Timer(u64),
    Wake,
}

/// Records its calls, and panics once: in the callback of the connection that `at` names.
pub struct Panicky {
    pub calls: Vec<(u32, On)>,
    /// The callback that panics, with the number of its client. The number is [`NOBODY`] for callbacks that concern no
    /// connection.
    pub at: Option<(u32, On)>,
    pub clients: u32,
    /// The bytes that `on_data` sends before it can panic.
    pub send: &'static [u8],
}

pub const NOBODY: u32 = u32::MAX;

impl Panicky {
    pub fn at(who: u32, on: On) -> Self {
        Self { calls: Vec::new(), at: Some((who, on)), clients: 0, send: b"" }
    }

    fn on(&mut self, who: u32, on: On) {
        self.calls.push((who, on));
        if self
            .at
            .is_some_and(|at| at.0 == who && std::mem::discriminant(&at.1) == std::mem::discriminant(&on))
        {
            self.at = None;
            resume_unwind(Box::new("a panic that the test wants")); // `resume_unwind` prints no message, unlike `panic!`
        }
    }

    pub fn of(&self, who: u32) -> Vec<On> {
        self.calls.iter().filter(|(other, _)| *other == who).map(|(_, on)| *on).collect()
    }

    pub fn count(&self, on: On) -> usize {
        self.calls.iter().filter(|(_, other)| *other == on).count()
    }
}

impl Handler for Panicky {
    type Session = u32;

    fn on_accept(&mut self, _net: &mut Net<u32>, _from: &Accepted) -> Option<u32> {
        self.clients += 1;
        self.on(self.clients - 1, On::Accept);
        Some(self.clients - 1)
    }

    fn on_open(&mut self, conn: &mut Conn<'_, u32>) {
        self.on(*conn.session(), On::Open);
    }

    fn on_data(&mut self, conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        conn.send_all(self.send);
        self.on(*conn.session(), On::Data);
        conn.send_all(input);
        input.len()
    }

    fn on_writable(&mut self, conn: &mut Conn<'_, u32>) {
        self.on(*conn.session(), On::Writable);
    }

    fn on_eof(&mut self, conn: &mut Conn<'_, u32>) {
        self.on(*conn.session(), On::Eof);
        conn.close();
    }

    fn on_timeout(&mut self, conn: &mut Conn<'_, u32>, _tag: u64) {
        self.on(*conn.session(), On::Timeout);
    }

    fn on_drain(&mut self, conn: &mut Conn<'_, u32>) {
        self.on(*conn.session(), On::Drain);
        conn.close();
    }

    fn on_close(&mut self, _net: &mut Net<u32>, _id: ConnId, who: u32, why: CloseReason) {
        self.on(who, On::Close(why.kind()));
    }

    fn on_timer(&mut self, _net: &mut Net<u32>, tag: u64) {
        self.on(NOBODY, On::Timer(tag));
    }

    fn on_wake(&mut self, _net: &mut Net<u32>) {
        self.on(NOBODY, On::Wake);
    }
}

/// A reactor in a poll of the test, with clients.
pub struct World {
    pub host: Host,
    pub reactor: Reactor<u32>,
    pub handler: Panicky,
    pub at: SocketAddr,
    pub clients: Vec<TcpStream>,
    pub now: Instant,
}

impl World {
    pub fn new(handler: Panicky, clients: usize) -> Self {
        Self::with_tokens(1..1000, handler, clients)
    }

    pub fn with_tokens(tokens: std::ops::Range<usize>, handler: Panicky, clients: usize) -> Self {
        let (host, now) = (Host::new(), Instant::now());
        let (reactor, at) = host.listening(tokens, Options::default());
        let mut world = Self { host, reactor, handler, at, clients: Vec::new(), now };
        for n in 1..=clients {
            world.clients.push(connect(at));
            world.turn_until(|handler, _| handler.count(On::Open) == n);
        }
        world.turn_until_quiet();
        world
    }

    pub fn turn_until(&mut self, done: impl FnMut(&Panicky, &mut Net<u32>) -> bool) {
        self.host.turn_until(&mut self.reactor, &mut self.handler, self.now, done);
    }

    pub fn turn_until_quiet(&mut self) {
        self.host.turn_until_quiet(&mut self.reactor, &mut self.handler, self.now);
    }

    /// Makes one turn. Returns an error if a callback panicked, and otherwise `Turn::finished`.
    pub fn settle(&mut self) -> Result<bool, ()> {
        let (reactor, handler, now) = (&mut self.reactor, &mut self.handler, self.now);
        let turn = catch_unwind(AssertUnwindSafe(|| reactor.settle(handler, now)));
        turn.map(|turn| turn.finished).map_err(drop)
    }

    pub fn id(&mut self, who: u32) -> ConnId {
        self.reactor.net().sessions().find(|(_, session)| **session == who).expect("the connection is open").0
    }

    /// Waits for events of `sources` different sources, and hands them to the reactor without a turn.
    pub fn collect(&mut self, sources: usize) {
        self.host.collect(sources).iter().for_each(|event| assert!(self.reactor.handle(event)));
    }

    pub fn remote(&mut self) -> Remote {
        let waker = Waker::new(self.host.poll.registry(), Token(0)).unwrap();
        self.reactor.remote(waker.into())
    }

    /// Asserts that a new client is served.
    pub fn assert_serves(&mut self) {
        let mut client = connect(self.at);
        client.write_all(b"hello").unwrap();
        let who = self.handler.clients;
        self.handler.send = b"";
        self.turn_until(|handler, _| handler.of(who).contains(&On::Data));
        self.turn_until_quiet();
        client.shutdown(Shutdown::Write).unwrap();
        self.turn_until(|handler, _| handler.of(who).last() == Some(&On::Close(CloseKind::Eof)));
        assert_eq!(read_out(&mut client), (b"hello".to_vec(), End::Eof));
    }
}
