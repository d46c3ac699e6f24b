//! Loops in the thread of the test, and how the test turns them.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use tidegate::{ConnId, EventLoop, Handler, ListenOptions, Net, Options};

use super::{Act, Call, PATIENCE, Recorder, connect, descriptors::raise_limit};

/// A loop that the test turns: an `EventLoop`, or a reactor in a poll of the test.
pub trait Turns<S> {
    fn net(&mut self) -> &mut Net<S>;

    /// Makes one turn, which sleeps no longer than `wait`. Returns false if there was nothing to do.
    fn make_turn<H: Handler<Session = S>>(&mut self, handler: &mut H, wait: Duration) -> bool;
}

impl<S> Turns<S> for EventLoop<S> {
    fn net(&mut self) -> &mut Net<S> {
        self.net()
    }

    fn make_turn<H: Handler<Session = S>>(&mut self, handler: &mut H, wait: Duration) -> bool {
        let turn = self.turn(handler, Some(wait)).unwrap();
        turn.events > 0 || turn.more
    }
}

/// Turns until `done` returns true; `done` is called before each turn. Fails after [`PATIENCE`]. A turn sleeps until the
/// loop has an event, so `done` has to look at the loop or its handler and not at a client.
pub fn turn_until<S, H: Handler<Session = S>>(
    turns: &mut impl Turns<S>,
    handler: &mut H,
    mut done: impl FnMut(&H, &mut Net<S>) -> bool,
) {
    let end = Instant::now() + PATIENCE;
    while !done(handler, turns.net()) {
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "the condition of the test does not come true; {:?}", turns.net().stats());
        turns.make_turn(handler, left);
    }
}

/// Turns until no event comes and the loop has nothing left to do. The loop makes no callback after that by itself.
pub fn turn_until_quiet<S>(turns: &mut impl Turns<S>, handler: &mut impl Handler<Session = S>) {
    let end = Instant::now() + PATIENCE;
    while turns.make_turn(handler, Duration::ZERO) {
        assert!(Instant::now() < end, "the loop always has more to do");
    }
}

/// Makes a loop with a listener.
pub fn listening<S>(options: Options) -> (EventLoop<S>, SocketAddr) {
    raise_limit();
    let mut event_loop = EventLoop::new(options).unwrap();
    let at = listen(event_loop.net());
    (event_loop, at)
}

/// Makes a listener for the transport of the test.
pub fn listen<S>(net: &mut Net<S>) -> SocketAddr {
    crate::TRANSPORT.listen(net, ListenOptions::default())
}

/// Connects `count` clients to a loop in this thread. Each client connects after the client before was accepted.
pub fn connect_open<A: Act<u32>>(
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

/// Returns the id of the open connection with this session.
pub fn id_of(net: &Net<u32>, who: u32) -> ConnId {
    net.sessions().find(|(_, session)| **session == who).expect("the connection is open").0
}
