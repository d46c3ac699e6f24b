//! Tests that a dropped loop leaves no socket and no session behind, also after a panic.

use std::{
    io::Write,
    net::{Shutdown, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use mio::{Events, Token};
use tidegate::{Accepted, CloseReason, Conn, ConnId, Handler, Net, Options, Reactor};

use crate::support::{
    End, Host, address_of, connect, is_refused, listening,
    pair::{adopt, await_arrival, connected},
    read_out, turn_until,
};

/// Counts its sessions by the `Rc` that it shares with them, and panics in the callback that the test names.
struct Shared {
    counter: Rc<()>,
    panics_in: &'static str,
    writables: usize,
    closes: usize,
}

impl Shared {
    fn new(panics_in: &'static str) -> Self {
        Self { counter: Rc::default(), panics_in, writables: 0, closes: 0 }
    }

    fn at(&self, place: &str) {
        assert!(self.panics_in != place, "on purpose, in {place}");
    }
}

impl Handler for Shared {
    type Session = Rc<()>;

    fn on_accept(&mut self, _net: &mut Net<Rc<()>>, _from: &Accepted) -> Option<Rc<()>> {
        self.at("on_accept");
        Some(Rc::clone(&self.counter))
    }

    fn on_open(&mut self, conn: &mut Conn<'_, Rc<()>>) {
        conn.notify_writable();
        self.at("on_open");
    }

    fn on_writable(&mut self, _conn: &mut Conn<'_, Rc<()>>) {
        self.writables += 1;
        self.at("on_writable");
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Rc<()>>, input: &[u8]) -> usize {
        match input {
            b"close" => conn.close(),
            b"flush" => {
                conn.send_all(&[0; 8 << 20]);
                conn.close();
            }
            _ => {
                conn.send_all(b"gathered, and never sent if this panics");
                self.at("on_data");
            }
        }
        0 // The input stays in the inbox.
    }

    fn on_eof(&mut self, conn: &mut Conn<'_, Rc<()>>) {
        self.at("on_eof");
        conn.close();
    }

    fn on_close(&mut self, _net: &mut Net<Rc<()>>, _id: ConnId, _session: Rc<()>, _why: CloseReason) {
        self.closes += 1;
        self.at("on_close");
    }
}

#[test]
fn a_dropped_loop_drops_its_sessions_and_sockets_without_callbacks() {
    let (mut event_loop, at) = listening(Options::default());
    let mut handler = Shared::new("nowhere");
    // One client is at rest, one has sent a part of a message, one prevents a flush, and one lets its connection linger. A
    // further connection is still connecting.
    let mut clients = [&b""[..], b"part of a message", b"flush", b"close"].map(|says| {
        let mut client = connect(at);
        client.write_all(says).unwrap();
        client
    });
    turn_until(&mut event_loop, &mut handler, |handler, net| {
        net.stats().accepted == 4 && net.stats().receives == 3 && handler.closes == 1
    });
    event_loop.net().connect(address_of(at), Rc::clone(&handler.counter));
    assert_eq!((event_loop.net().stats().open, Rc::strong_count(&handler.counter)), (5, 1 + 4));
    drop(event_loop);
    assert_eq!((handler.closes, Rc::strong_count(&handler.counter)), (1, 1));
    for client in &mut clients {
        read_out(client);
    }
    // The connect fails, so the listener is closed as well.
    assert!(is_refused(at));
}

#[test]
fn a_dropped_loop_resets_connections_with_unsent_bytes() {
    let (mut event_loop, at) = listening(Options::default());
    let mut handler = Shared::new("nowhere");
    let mut clients = [&b"flush"[..], b"request"].map(|says| {
        let mut client = connect(at);
        client.write_all(says).unwrap();
        client
    });
    turn_until(&mut event_loop, &mut handler, |_, net| net.stats().receives == 2);
    drop(event_loop);
    assert_eq!(read_out(&mut clients[0]).1, End::of_abort(), "the client takes a part for the whole");
    assert_eq!(read_out(&mut clients[1]), (b"gathered, and never sent if this panics".to_vec(), End::Eof));
}

#[test]
fn a_handler_that_panics_leaves_a_loop_that_can_be_dropped() {
    for place in ["on_accept", "on_open", "on_writable", "on_data", "on_eof", "on_close"] {
        let (mut event_loop, at) = listening(Options::default());
        let mut quiet = Shared::new("nowhere");
        let mut bystander = connect(at);
        turn_until(&mut event_loop, &mut quiet, |handler, _| handler.writables == 1);

        let mut handler = Shared { counter: Rc::clone(&quiet.counter), ..Shared::new(place) };
        let mut client = connect(at);
        client.write_all(b"request").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            turn_until(&mut event_loop, &mut handler, |handler, _| handler.closes == 1);
        }));
        let panic = panic.unwrap_err();
        assert_eq!(panic.downcast_ref::<String>(), Some(&format!("on purpose, in {place}")));
        drop(event_loop);
        drop(handler);
        assert_eq!(Rc::strong_count(&quiet.counter), 1, "a session was not dropped");
        read_out(&mut client);
        assert_eq!(read_out(&mut bystander), (vec![], End::Eof));
    }
}

/// The registration of a socket lasts as long as any duplicate of its descriptor: epoll(7).
#[test]
fn a_dropped_reactor_leaves_no_registration_in_the_poll_of_its_host() {
    const TOKENS: [Token; 2] = [Token(10), Token(11)];
    let mut host = Host::new();
    let mut reactor = Reactor::new(host.poll.registry(), TOKENS[0].0.., Options::default()).unwrap();
    let (mut client, end) = connected();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (end_twin, _listener_twin) = (end.try_clone().unwrap(), listener.try_clone().unwrap());
    adopt(reactor.net(), end, ());
    reactor.net().adopt_listener(listener).unwrap();
    let _before = connect(at);
    client.write_all(b"before").unwrap();
    let events = host.collect(TOKENS.len());
    assert!(TOKENS.iter().all(|token| events.iter().any(|event| event.token() == *token)), "{events:?}");

    drop(reactor);
    let _after = connect(at);
    client.write_all(b"after").unwrap();
    await_arrival(&end_twin, b"beforeafter".len());
    let mut events = Events::with_capacity(8);
    host.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty(), "{events:?}");
}
