//! Tests of a second drain, of listeners that open during a drain, and of the sessions that a drain waits for.

use std::{
    cell::Cell,
    io::Write,
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options, Reactor};

use crate::support::{
    Call, End, Host, PATIENCE, Recorder, connect, connect_open, is_refused, listening,
    pair::{adopt, connected},
    read_out,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

type Ask = fn(&mut EventLoop<u32>);

/// The ways of asking for a drain twice before a turn has begun the first drain.
const TWICE: [(&str, Ask); 4] = [
    ("both by Net", |event_loop| {
        event_loop.net().drain(A_DAY);
        event_loop.net().drain(A_DAY);
    }),
    ("both by Remote", |event_loop| {
        event_loop.remote().drain(A_DAY);
        event_loop.remote().drain(A_DAY);
    }),
    ("Net and Remote", |event_loop| {
        event_loop.net().drain(A_DAY);
        event_loop.remote().drain(A_DAY);
    }),
    ("three times", |event_loop| {
        event_loop.remote().drain(A_DAY);
        event_loop.net().drain(A_DAY);
        event_loop.net().drain(A_DAY);
    }),
];

#[test]
fn a_second_drain_before_the_first_has_begun_resets_without_accepting_the_backlog() {
    for (how, ask_twice) in TWICE {
        let (mut event_loop, at) = listening(Options::default());
        let mut recorder = Recorder::new(|_, _, _, _| {});
        let mut clients = connect_open(&mut event_loop, at, &mut recorder, 2);
        clients.extend([(); 3].map(|()| connect(at)));
        clients[4].write_all(b"a request that is not served").unwrap();
        ask_twice(&mut event_loop);
        let turn = event_loop.turn(&mut recorder, Some(PATIENCE)).unwrap();
        assert!(turn.finished && !turn.more, "{how}: {turn:?}");
        let stats = event_loop.net().stats();
        assert_eq!((stats.accepted, stats.open, stats.drain_resets), (2, 0, 2), "{how}");
        for who in [0, 1] {
            let of_who = recorder.of(who);
            assert_eq!(of_who, [Call::Open, Call::Close(CloseKind::Aborted)], "{how}: on_drain came");
        }
        assert_eq!(recorder.notes.len(), 4, "{how}");
        assert!(is_refused(at), "{how}: the listener is closed");
        clients.iter_mut().for_each(|client| assert_eq!(read_out(client), (vec![], End::of_abort())));
        assert_eq!(event_loop.next_deadline(), None, "{how}: a timer is left");
    }
}

#[test]
fn a_second_drain_during_on_drain_resets_the_other_connections_at_once() {
    let (mut event_loop, at) = listening(Options::default());
    let mut recorder = Recorder::new(|net, _, _, call| {
        if *call == Call::Drain {
            net.drain(A_DAY);
        }
    });
    let mut clients = connect_open(&mut event_loop, at, &mut recorder, 3);
    event_loop.net().drain(A_DAY);
    turn_until_finished(&mut event_loop, &mut recorder);
    for who in 0..3 {
        assert_eq!(recorder.of(who).last(), Some(&Call::Close(CloseKind::Aborted)));
    }
    assert_eq!(recorder.count(&Call::Drain), 1, "the other connections got an on_drain");
    clients.iter_mut().for_each(|client| assert_eq!(read_out(client).1, End::of_abort()));
    assert_eq!(event_loop.next_deadline(), None);
}

/// Opens a listener, by its own address or by adoption.
fn open_listener(net: &mut Net<u32>, adopted: bool) -> SocketAddr {
    let listener = if adopted {
        net.adopt_listener(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap()
    } else {
        net.listen("127.0.0.1:0").unwrap()
    };
    net.local_address(listener).unwrap().socket_addrs()[0]
}

#[test]
fn clients_of_a_listener_that_opened_during_a_drain_get_on_drain_after_on_open() {
    for (adopted, in_on_drain) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut host, now) = (Host::new(), Instant::now());
        let (mut reactor, at) = host.listening(.., Options::default());
        let late = Cell::new(None);
        let mut recorder = Recorder::new(|net, id, who, call| match call {
            Call::Drain if who == 0 && in_on_drain => late.set(Some(open_listener(net, adopted))),
            Call::Drain if who == 2 => net.close(id),
            Call::Eof => net.close(id),
            _ => {}
        });
        let first = connect(at);
        host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
        reactor.net().drain(A_DAY);
        assert!(!reactor.settle(&mut recorder, now).finished);
        assert_eq!(recorder.of(0), [Call::Open, Call::Drain]);
        assert!(is_refused(at));
        if !in_on_drain {
            late.set(Some(open_listener(reactor.net(), adopted)));
        }
        let mut clients = Vec::new();
        for who in 1..=2 {
            let mut client = connect(late.get().unwrap());
            client.write_all(b"hello").unwrap();
            clients.push(client);
            host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(who));
            host.turn_until_quiet(&mut reactor, &mut recorder, now);
        }
        let context = format!("adopted: {adopted}, opened by on_drain: {in_on_drain}");
        let heard = Call::Data(b"hello".to_vec());
        assert_eq!(recorder.of(1), [Call::Open, Call::Drain, heard], "{context}");
        assert_eq!(recorder.of(2), [Call::Open, Call::Drain, Call::Close(CloseKind::Drained)], "{context}");
        drop((first, clients));
        let mut finished = false;
        while !finished {
            host.collect(1).iter().for_each(|event| assert!(reactor.handle(event)));
            finished = reactor.settle(&mut recorder, now).finished;
        }
        assert_eq!((reactor.net().stats().open, reactor.net().stats().drain_resets), (0, 0), "{context}");
    }
}

/// Counts the sessions that were made, and the sessions that are still owed their `on_close`.
struct Owed<F> {
    owed: u32,
    made: u32,
    ends: Vec<CloseKind>,
    on_close: F,
}

impl<F: FnMut(&mut Net<u32>, u32) -> u32> Owed<F> {
    /// `on_close` gets the session that has ended, and returns how many sessions it has made.
    fn new(on_close: F) -> Self {
        Self { owed: 0, made: 0, ends: Vec::new(), on_close }
    }
}

impl<F: FnMut(&mut Net<u32>, u32) -> u32> Handler for Owed<F> {
    type Session = u32;

    fn on_accept(&mut self, _net: &mut Net<u32>, _from: &Accepted) -> Option<u32> {
        self.owed += 1;
        self.made += 1;
        Some(0)
    }

    fn on_data(&mut self, _conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        input.len()
    }

    /// The peers do not close, so only the handler or the end of the grace ends a connection.
    fn on_drain(&mut self, conn: &mut Conn<'_, u32>) {
        if *conn.session() == 0 {
            conn.close();
        }
    }

    fn on_close(&mut self, net: &mut Net<u32>, _id: ConnId, generation: u32, why: CloseReason) {
        self.owed -= 1;
        self.ends.push(why.kind());
        let made = (self.on_close)(net, generation);
        self.owed += made;
        self.made += made;
    }
}

/// Settles until the drain has ended, and asserts that every session had its `on_close` then.
#[track_caller]
fn settle_until_finished<F: FnMut(&mut Net<u32>, u32) -> u32>(
    host: &mut Host,
    reactor: &mut Reactor<u32>,
    handler: &mut Owed<F>,
    mut now: Instant,
) {
    for _ in 0..1000 {
        if reactor.settle(handler, now).finished {
            assert_eq!(handler.owed, 0, "of {} sessions, after {:?}", handler.made, handler.ends);
            assert_eq!(reactor.net().stats().open, 0);
            assert_eq!(reactor.net().sessions().count(), 0);
            host.turn_until_quiet(reactor, handler, now);
            return;
        }
        now = reactor.next_deadline().map_or(now, |due| due.max(now));
    }
    panic!("the drain does not end: {:?}", reactor.net().stats());
}

#[test]
fn a_drain_waits_for_sessions_without_a_token() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap();
    // The connection that ends has the only token besides the listener's token.
    for generations in 1..5 {
        let (mut host, now) = (Host::new(), Instant::now());
        let (mut reactor, at) = host.listening(0..2, Options::default().linger(Duration::ZERO));
        let mut handler = Owed::new(|net: &mut Net<u32>, generation| {
            if generation == generations {
                return 0;
            }
            (0..3).for_each(|n| _ = net.connect(to, if n == 0 { generation + 1 } else { generations }));
            3
        });
        let _client = connect(at);
        host.turn_until(&mut reactor, &mut handler, now, |_, net| net.stats().accepted == 1);
        reactor.net().drain(Duration::from_secs(1));
        settle_until_finished(&mut host, &mut reactor, &mut handler, now);
        assert!(handler.ends.contains(&CloseKind::ConnectFailed), "{:?}", handler.ends);
    }
}

#[test]
fn a_drain_waits_for_sessions_that_are_made_while_it_resets_others() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap();
    for adopts in [false, true] {
        for tokens in [2, 3, 100] {
            let (mut host, now) = (Host::new(), Instant::now());
            let (mut reactor, at) = host.listening(0..tokens, Options::default());
            let mut peers = Vec::new();
            let mut handler = Owed::new(|net: &mut Net<u32>, generation| {
                if generation == 4 {
                    return 0;
                }
                if !adopts {
                    net.connect(to, generation + 1);
                    return 1;
                }
                let (peer, stream) = connected();
                peers.push(peer);
                net.adopt_stream(stream, generation + 1).map_or(0, |_| 1)
            });
            let _client = connect(at);
            host.turn_until(&mut reactor, &mut handler, now, |_, net| net.stats().accepted == 1);
            reactor.net().drain(A_DAY);
            reactor.net().drain(A_DAY);
            settle_until_finished(&mut host, &mut reactor, &mut handler, now);
            assert_eq!(handler.ends[0], CloseKind::Aborted);
            assert!(adopts || handler.ends.len() == 5, "{:?}", handler.ends);
        }
    }
}

#[test]
fn the_end_of_the_grace_waits_for_sessions_that_on_close_makes() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap();
    let (mut host, now) = (Host::new(), Instant::now());
    let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let mut handler = Owed::new(|net: &mut Net<u32>, generation| {
        let again = u32::from(generation < 4);
        (0..again).for_each(|_| _ = net.connect(to, generation + 1));
        again
    });
    let (_peer, stream) = connected();
    adopt(reactor.net(), stream, 1);
    (handler.owed, handler.made) = (1, 1);
    reactor.net().drain(Duration::from_secs(5));
    assert!(!reactor.settle(&mut handler, now).finished);
    assert_eq!(handler.ends, [], "generation 1 is not closed by on_drain");
    settle_until_finished(&mut host, &mut reactor, &mut handler, now);
    assert_eq!((handler.ends[0], handler.ends.len()), (CloseKind::Aborted, 4));
}

#[test]
fn a_stop_does_not_wait_for_sessions() {
    let (mut event_loop, _) = listening(Options::default());
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let (_peer, stream) = connected();
    adopt(event_loop.net(), stream, 0);
    event_loop.net().stop();
    assert!(event_loop.turn(&mut recorder, Some(Duration::ZERO)).unwrap().finished);
    assert_eq!((event_loop.net().stats().open, recorder.has_closed(0)), (1, false));
}

/// Makes turns until the loop has finished.
fn turn_until_finished(event_loop: &mut EventLoop<u32>, handler: &mut impl Handler<Session = u32>) {
    let end = Instant::now() + PATIENCE;
    while !event_loop.turn(handler, Some(end - Instant::now())).unwrap().finished {
        assert!(Instant::now() < end, "the drain does not end; {:?}", event_loop.net().stats());
    }
}

#[test]
fn is_draining_is_true_from_the_request_of_a_drain_to_its_end() {
    let (mut event_loop, at) = listening(Options::default());
    let mut seen = Vec::new();
    let mut recorder = Recorder::new(|net, _, _, call| {
        if let Call::Drain | Call::Close(_) = call {
            seen.push(net.is_draining());
        }
    });
    let _client = connect_open(&mut event_loop, at, &mut recorder, 1);
    assert!(!event_loop.net().is_draining());
    event_loop.net().drain(A_DAY);
    assert!(event_loop.net().is_draining());
    event_loop.net().drain(A_DAY);
    turn_until_finished(&mut event_loop, &mut recorder);
    assert!(!event_loop.net().is_draining());
    drop(recorder);
    assert_eq!(seen, [true]);
}
