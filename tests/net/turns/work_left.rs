//! Tests that work without an event is done, and that work that waits for an event asks for no turn.

use std::time::{Duration, Instant};

use tidegate::{
    Accepted, Address, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options, Reactor,
    testing::Rehearsal,
};

/// Pauses reading in `on_open`, and closes at the first byte.
#[derive(Default)]
struct ClosesAtOnce {
    why: Option<CloseReason>,
}

impl Handler for ClosesAtOnce {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_open(&mut self, conn: &mut Conn<'_>) {
        conn.pause_reading();
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        conn.close();
        input.len()
    }

    fn on_close(&mut self, _net: &mut Net, _id: ConnId, _session: (), why: CloseReason) {
        self.why = Some(why);
    }
}

#[test]
fn lingering_reads_input_that_an_event_announced_before_the_close() {
    // The socket holds more bytes than a turn may read when the connection is closed, and the end of file behind them.
    let (mut handler, options) = (ClosesAtOnce::default(), Options::default().read_buffer(4).read_budget(4));
    let mut rehearsal = Rehearsal::new(options);
    let client = rehearsal.accept(&mut handler).unwrap();
    rehearsal.receive(&mut handler, client, &[0; 100]);
    rehearsal.eof(&mut handler, client);
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut handler);
    assert!(matches!(handler.why, Some(CloseReason::Closed)));
    assert_eq!(rehearsal.net().stats().bytes_received, 100, "unread input would turn the close into a reset");
    assert_eq!(rehearsal.net().stats().open, 0, "the connection lingers although the peer has ended");
}

#[test]
fn a_connection_that_waits_for_its_connect_asks_for_no_turn() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = Address::from(listener.local_addr().unwrap());
    let asks: [fn(&mut Conn<'_>); 3] = [|_| {}, |conn| conn.notify_writable(), |conn| conn.shutdown_write()];
    for (case, ask) in asks.into_iter().enumerate() {
        let mut client = EventLoop::<()>::new(Options::default()).unwrap();
        let id = client.net().connect(&to, ());
        ask(&mut client.net().conn(id).unwrap());
        // The connect begins in this turn, so only the next poll can bring its event.
        let turn = client.turn(&mut ClosesAtOnce::default(), Some(Duration::ZERO)).unwrap();
        assert!(!turn.more, "case {case}: the loop would spin until the peer answers");
    }
}

#[test]
fn a_flush_does_not_touch_a_stream_that_is_not_connected_yet() {
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut poll = mio::Poll::new().unwrap();
    let mut events = mio::Events::with_capacity(8);
    let mut reactor = Reactor::<()>::new(poll.registry(), .., Options::default()).unwrap();
    let mut handler = ClosesAtOnce::default();
    let id = reactor.net().connect(&Address::from(refused), ());
    reactor.settle(&mut handler, Instant::now());
    poll.poll(&mut events, Some(Duration::from_secs(30))).unwrap();
    for event in &events {
        reactor.handle(event);
    }
    reactor.net().send_all(id, b"hello");
    reactor.flush();
    reactor.settle(&mut handler, Instant::now());
    assert!(matches!(handler.why, Some(CloseReason::ConnectFailed(_))), "{:?}", handler.why);
}
