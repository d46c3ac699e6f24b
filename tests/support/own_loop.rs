//! An `EventLoop` in the thread of the test.

use std::{
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use tidegate::{ConnId, EventLoop, Handler, Net, Options};

use super::{Act, Call, PATIENCE, Recorder, connect, descriptors::raise_limit};

/// Makes a loop with a listener.
pub fn listening<S>(options: Options) -> (EventLoop<S>, SocketAddr) {
    raise_limit();
    let mut event_loop = EventLoop::new(options).unwrap();
    let at = listen(event_loop.net());
    (event_loop, at)
}

pub(super) fn listen<S>(net: &mut Net<S>) -> SocketAddr {
    let listener = net.listen("127.0.0.1:0").unwrap();
    net.local_address(listener).unwrap().socket_addrs()[0]
}

/// Turns until `done` returns true. Fails after [`PATIENCE`].
pub fn turn_until<S, H: Handler<Session = S>>(
    event_loop: &mut EventLoop<S>,
    handler: &mut H,
    mut done: impl FnMut(&H, &mut Net<S>) -> bool,
) {
    let end = Instant::now() + PATIENCE;
    while !done(handler, event_loop.net()) {
        let left = end.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "the condition of the test does not come true; {:?}",
            event_loop.net().stats()
        );
        event_loop.turn(handler, Some(left)).unwrap();
    }
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
