//! A loop in the test's own thread: a handler that writes its calls down, and a host that hands events on by hand.

use std::{
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    ops::RangeBounds,
    time::{Duration, Instant},
};

use mio::{Events, Poll, event::Event};
use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options, Reactor};

use super::{PATIENCE, connect, descriptors::raise_limit};

/// What a [`Recorder`] was called for.
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    Open,
    Data(Vec<u8>),
    Writable,
    Eof,
    Drain,
    Close(CloseKind),
}

impl Call {
    pub fn is_a(&self, other: &Call) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Numbers its clients as they come, writes every call down, and does what the test says about it. Its sessions are
/// the numbers.
pub struct Recorder<A> {
    pub calls: Vec<(u32, Call)>,
    pub wakes: usize,
    /// How many bytes `on_data` uses at the most; all of them at first.
    pub portion: usize,
    clients: u32,
    act: A,
}

impl<A: FnMut(&mut Net<u32>, ConnId, u32, &Call)> Recorder<A> {
    /// `act` is called in every callback of a connection: with its id, its number, and which callback it is.
    pub fn new(act: A) -> Self {
        Self { calls: Vec::new(), wakes: 0, portion: usize::MAX, clients: 0, act }
    }

    /// The calls for one connection.
    pub fn of(&self, who: u32) -> Vec<Call> {
        self.calls.iter().filter(|(other, _)| *other == who).map(|(_, call)| call.clone()).collect()
    }

    pub fn count(&self, kind: &Call) -> usize {
        self.calls.iter().filter(|(_, call)| call.is_a(kind)).count()
    }

    pub fn has_opened(&self, who: u32) -> bool {
        self.of(who).contains(&Call::Open)
    }

    pub fn has_closed(&self, who: u32) -> bool {
        self.of(who).iter().any(|call| matches!(call, Call::Close(_)))
    }

    fn on(&mut self, conn: &mut Conn<'_, u32>, call: Call) {
        let (who, id) = (*conn.session(), conn.id());
        self.note(conn.net(), id, who, call);
    }

    fn note(&mut self, net: &mut Net<u32>, id: ConnId, who: u32, call: Call) {
        assert!(!self.has_closed(who), "{call:?} for {who} after its on_close");
        (self.act)(net, id, who, &call);
        self.calls.push((who, call));
    }
}

impl<A: FnMut(&mut Net<u32>, ConnId, u32, &Call)> Handler for Recorder<A> {
    type Session = u32;

    fn on_accept(&mut self, _net: &mut Net<u32>, _from: &Accepted) -> Option<u32> {
        self.clients += 1;
        Some(self.clients - 1)
    }

    fn on_data(&mut self, conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        let used = input.len().min(self.portion);
        self.on(conn, Call::Data(input[..used].to_vec()));
        used
    }

    fn on_open(&mut self, conn: &mut Conn<'_, u32>) {
        self.on(conn, Call::Open);
    }

    fn on_eof(&mut self, conn: &mut Conn<'_, u32>) {
        self.on(conn, Call::Eof);
    }

    fn on_writable(&mut self, conn: &mut Conn<'_, u32>) {
        self.on(conn, Call::Writable);
    }

    fn on_drain(&mut self, conn: &mut Conn<'_, u32>) {
        self.on(conn, Call::Drain);
    }

    fn on_close(&mut self, net: &mut Net<u32>, id: ConnId, who: u32, why: CloseReason) {
        assert!(net.conn(id).is_none() && net.session(id).is_none(), "{who} is still there in its on_close");
        assert!(net.sessions().all(|(other, _)| other != id), "{who} is still listed in its on_close");
        self.note(net, id, who, Call::Close(why.kind()));
    }

    fn on_wake(&mut self, _net: &mut Net<u32>) {
        self.wakes += 1;
    }
}

/// Sends everything back.
pub fn echo() -> Recorder<impl FnMut(&mut Net<u32>, ConnId, u32, &Call)> {
    Recorder::new(|net, id, _, call| {
        if let Call::Data(bytes) = call {
            net.send_all(id, bytes);
        }
    })
}

/// A loop with a listener, to be turned by the test.
pub fn listening<S>(options: Options) -> (EventLoop<S>, SocketAddr) {
    raise_limit();
    let mut event_loop = EventLoop::new(options).unwrap();
    let at = listen(event_loop.net());
    (event_loop, at)
}

fn listen<S>(net: &mut Net<S>) -> SocketAddr {
    let listener = net.listen("127.0.0.1:0").unwrap();
    net.local_address(listener).unwrap().socket_addrs()[0]
}

/// Turns until `done`; what never comes fails the test.
pub fn turn_until<S, H: Handler<Session = S>>(
    event_loop: &mut EventLoop<S>,
    handler: &mut H,
    mut done: impl FnMut(&H, &mut Net<S>) -> bool,
) {
    let end = Instant::now() + PATIENCE;
    while !done(handler, event_loop.net()) {
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "it does not come; {:?}", event_loop.net().stats());
        event_loop.turn(handler, Some(left)).unwrap();
    }
}

/// Clients of a loop in the same thread, accepted in this order.
pub fn connect_open<A: FnMut(&mut Net<u32>, ConnId, u32, &Call)>(
    event_loop: &mut EventLoop<u32>,
    at: SocketAddr,
    recorder: &mut Recorder<A>,
    count: usize,
) -> Vec<TcpStream> {
    let already = recorder.count(&Call::Open);
    (1..=count)
        .map(|opened| {
            let stream = connect(at);
            turn_until(event_loop, recorder, |recorder, _| recorder.count(&Call::Open) == already + opened);
            stream
        })
        .collect()
}

/// The id of a connection that is open.
pub fn id_of(net: &Net<u32>, who: u32) -> ConnId {
    net.sessions().find(|(_, session)| **session == who).expect("it is open").0
}

/// A host with a poll of its own, which decides what a reactor is told, and when.
pub struct Host {
    pub poll: Poll,
    events: Events,
}

impl Host {
    pub fn new() -> Self {
        raise_limit();
        Self { poll: Poll::new().unwrap(), events: Events::with_capacity(64) }
    }

    /// A reactor in this poll, with a listener.
    pub fn listening<S>(
        &self,
        tokens: impl RangeBounds<usize>,
        options: Options,
    ) -> (Reactor<S>, SocketAddr) {
        let mut reactor = Reactor::new(self.poll.registry(), tokens, options).unwrap();
        let at = listen(reactor.net());
        (reactor, at)
    }

    /// Waits for events of that many tokens, and hands none of them on.
    pub fn collect(&mut self, tokens: usize) -> Vec<Event> {
        let (end, mut all) = (Instant::now() + PATIENCE, Vec::<Event>::new());
        loop {
            let mut seen: Vec<_> = all.iter().map(Event::token).collect();
            seen.sort();
            seen.dedup();
            if seen.len() >= tokens {
                return all;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "only {all:?}");
            self.poll.poll(&mut self.events, Some(left)).unwrap();
            all.extend(self.events.iter().cloned());
        }
    }

    /// Hands over the events that are there, without a turn.
    pub fn poll_once<S>(&mut self, reactor: &mut Reactor<S>) {
        self.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
        self.events.iter().for_each(|event| assert!(reactor.handle(event)));
    }

    /// Turns as the own loop does, at a time of the test's choice, until `done`.
    pub fn turn_until<S, H: Handler<Session = S>>(
        &mut self,
        reactor: &mut Reactor<S>,
        handler: &mut H,
        now: Instant,
        mut done: impl FnMut(&H, &mut Net<S>) -> bool,
    ) {
        let end = Instant::now() + PATIENCE;
        while !done(handler, reactor.net()) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it does not come; {:?}", reactor.net().stats());
            // No timer goes off by itself where the time stands still.
            let wait = if is_due(reactor, now) { Duration::ZERO } else { left };
            self.poll.poll(&mut self.events, Some(wait)).unwrap();
            self.events.iter().for_each(|event| assert!(reactor.handle(event)));
            reactor.settle(handler, now);
        }
    }

    /// Turns until nothing is left to do and no event is there: what was not called by then is not going to be.
    pub fn turn_until_quiet<S>(
        &mut self,
        reactor: &mut Reactor<S>,
        handler: &mut impl Handler<Session = S>,
        now: Instant,
    ) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
            if self.events.is_empty() && !is_due(reactor, now) {
                return;
            }
            assert!(Instant::now() < end, "there is always more to do");
            self.events.iter().for_each(|event| assert!(reactor.handle(event)));
            reactor.settle(handler, now);
        }
    }
}

/// Whether a reactor has work that it needs no event for.
pub fn is_due<S>(reactor: &Reactor<S>, now: Instant) -> bool {
    reactor.timeout(now).is_some_and(|wait| wait.is_zero())
}

/// How a stream ended, as its client sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Eof,
    Reset,
}

/// All that still comes, and how it ends.
pub fn read_out(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => (all, End::Eof),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (all, End::Reset),
        Err(error) => panic!("no end after {} bytes: {error}", all.len()),
    }
}
