//! Tests of the contract between loop and handler: the handler is borrowed for a turn, its methods are called one at a
//! time, and they may use every connection.

use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use tidegate::{
    Accepted, CloseReason, Conn, ConnId, EventLoop, Flow, Handler, Net, Options, Output, testing::Rehearsal,
};

use crate::support::{
    Actor, Call, Host, PATIENCE, Recorder, connect, connect_open, id_of, is_due, listening, read_out,
    turn_until, within,
};

fn expect(client: &mut TcpStream, bytes: &[u8]) {
    let mut came = vec![0; bytes.len()];
    client.read_exact(&mut came).unwrap();
    assert_eq!(came, bytes);
}

/// The state of a host. The host lends a part of it to the loop for a turn.
struct Game {
    tick: u64,
    scores: Vec<u64>,
    title: String,
}

struct Room<'g> {
    scores: &'g mut Vec<u64>,
    title: &'g str,
}

impl Handler for Room<'_> {
    type Session = usize;

    fn on_accept(&mut self, _net: &mut Net<usize>, _from: &Accepted) -> Option<usize> {
        self.scores.push(0);
        Some(self.scores.len() - 1)
    }

    fn on_open(&mut self, conn: &mut Conn<'_, usize>) {
        write!(conn, "welcome to {}", self.title);
    }

    fn on_data(&mut self, conn: &mut Conn<'_, usize>, input: &[u8]) -> usize {
        self.scores[*conn.session()] += input.len() as u64;
        input.len()
    }
}

#[test]
fn a_handler_may_borrow_the_hosts_state_anew_for_each_turn() {
    let (mut event_loop, at) = listening(Options::default());
    let mut game = Game { tick: 0, scores: Vec::new(), title: "tide".into() };
    let mut client = connect(at);
    client.write_all(b"1234567").unwrap();
    while game.scores != [7] {
        let Game { scores, title, .. } = &mut game;
        event_loop.turn(&mut Room { scores, title }, Some(Duration::from_millis(100))).unwrap();
        // After the turn, the host owns all of its state again.
        game.tick += 1;
        game.title = format!("tick {}", game.tick);
        assert!(game.tick < 300, "the input does not come: {:?}", game.scores);
    }
    let mut welcome = [0; 11];
    client.read_exact(&mut welcome).unwrap();
    assert!(welcome.starts_with(b"welcome to "));
}

/// A kind of handler. `Counts` is another kind with the same kind of session.
struct Says(&'static str);
struct Counts;

impl Handler for Says {
    type Session = u32;

    fn on_accept(&mut self, _net: &mut Net<u32>, _from: &Accepted) -> Option<u32> {
        Some(0)
    }

    fn on_data(&mut self, conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        *conn.session() += 1;
        conn.send_all(self.0.as_bytes());
        input.len()
    }
}

/// A protocol as a plain function over its state and an output.
fn count(state: &mut u32, out: &mut Output<'_>, input: &[u8]) -> io::Result<()> {
    for byte in input {
        *state += 1;
        assert_eq!(write!(out, "{state}:{};", *byte as char), Flow::Open);
    }
    let writer: &mut dyn io::Write = out;
    writer.write_all(b"end")?;
    writer.write_fmt(format_args!(" of {}", input.len()))?;
    writer.flush()
}

impl Handler for Counts {
    type Session = u32;

    fn on_accept(&mut self, _net: &mut Net<u32>, _from: &Accepted) -> Option<u32> {
        Some(10)
    }

    fn on_data(&mut self, conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        let (state, mut out) = conn.split();
        count(state, &mut out, input).unwrap();
        assert!(out.queued() > 0, "the bytes are not gathered until the callback returns");
        input.len()
    }
}

#[test]
fn the_handler_may_be_a_trait_object_and_differ_in_each_turn() {
    let (mut event_loop, at) = listening(Options::default());
    let mut client = connect(at);
    let mut handlers: [Box<dyn Handler<Session = u32>>; 2] =
        [Box::new(Says("left")), Box::new(Says("right"))];
    for (n, says) in ["left", "right", "left"].into_iter().enumerate() {
        let handler: &mut dyn Handler<Session = u32> = &mut *handlers[n % 2];
        client.write_all(b"x").unwrap();
        let (end, all) = (Instant::now() + PATIENCE, event_loop.net().stats().bytes_sent);
        while event_loop.net().stats().bytes_sent == all {
            assert!(Instant::now() < end);
            event_loop.turn(handler, Some(end - Instant::now())).unwrap();
        }
        expect(&mut client, says.as_bytes());
    }
    assert_eq!(event_loop.net().sessions().map(|(_, count)| *count).collect::<Vec<_>>(), [3]);
}

#[test]
fn run_takes_a_trait_object_as_well() {
    within(|| {
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        event_loop.net().stop();
        let handler: &mut dyn Handler<Session = u32> = &mut Counts;
        event_loop.run(handler).unwrap();
    });
}

#[test]
fn a_protocol_can_be_a_function_over_its_state_and_an_output() {
    let (mut event_loop, at) = listening(Options::default());
    let mut client = connect(at);
    client.write_all(b"ab").unwrap();
    turn_until(&mut event_loop, &mut Counts, |_, net| net.stats().bytes_sent > 0);
    expect(&mut client, b"11:a;12:b;end of 2");
    assert_eq!(event_loop.net().stats().sends, 1, "the bytes of one callback took more than one send");
}

#[test]
fn flow_orders_open_before_full_before_gone() {
    assert_eq!([Flow::Open, Flow::Gone, Flow::Full].into_iter().max(), Some(Flow::Gone));
    assert_eq!(Flow::Open.max(Flow::Full), Flow::Full);
}

#[test]
fn write_returns_the_worst_flow_of_its_pieces() {
    let mut actor = Actor::idle();
    let mut rehearsal = Rehearsal::new(Options::default().high_water(100).max_outbox(200));
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.capacity(client, 0);
    let mut conn = rehearsal.net().conn(client).unwrap();
    let full = "x".repeat(100);
    assert_eq!(write!(conn, ""), Flow::Open);
    assert_eq!(write!(conn, "{}{}{}", 1, full, 2), Flow::Full);
    assert_eq!(write!(conn, ""), Flow::Full, "write! of an empty string does not return the flow of a send");
    // The second piece passes the limit, and the pieces behind it are not sent.
    assert_eq!(write!(conn, "1{full}2"), Flow::Gone);
    assert_eq!(rehearsal.net().stats().sends_discarded, 2);
}

#[test]
fn write_returns_gone_on_a_closing_connection_even_for_an_empty_text() {
    /// Displays nothing: `fmt` writes no piece.
    struct Nothing;

    impl fmt::Display for Nothing {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Ok(())
        }
    }

    let mut actor = Actor::idle();
    let mut rehearsal = Rehearsal::new(Options::default());
    let client = rehearsal.accept(&mut actor).unwrap();
    let mut conn = rehearsal.net().conn(client).unwrap();
    conn.close();
    assert_eq!(write!(conn, "{Nothing}"), Flow::Gone);
    assert_eq!(
        conn.net().stats().sends_discarded,
        1,
        "write! of an empty text is not counted like send_all(b\"\")"
    );
    assert_eq!(write!(conn, "{}", 1), Flow::Gone);
    assert_eq!(conn.net().stats().sends_discarded, 2, "write! of one piece is not counted as one send");
}

#[test]
fn a_broadcast_is_sent_before_the_turn_ends() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let mut recorder = Recorder::new(|net, id, _, call| {
        if let Call::Data(_) = call {
            net.for_each(|conn| {
                conn.send_all(b"to all,");
            });
            for who in 0..5 {
                let other = id_of(net, who);
                net.send_all(other, b"to each");
            }
            net.send_all(id, b"!");
        }
    });
    let mut clients: Vec<_> = (0..5)
        .map(|who| {
            let client = connect(at);
            host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(who));
            client
        })
        .collect();
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    clients[3].write_all(b"go").unwrap();
    host.collect(1).iter().for_each(|event| assert!(reactor.handle(event)));
    // A single settle sends to all connections, without an event.
    reactor.settle(&mut recorder, now);
    assert!(!is_due(&reactor, now));
    assert_eq!(reactor.net().stats().sends, 5, "a connection needed more than one send");
    for (who, client) in clients.iter_mut().enumerate() {
        expect(client, if who == 3 { b"to all,to each!" } else { b"to all,to each" });
    }
}

#[test]
fn bytes_sent_between_turns_leave_with_flush_or_with_the_next_turn() {
    let (mut event_loop, at) = listening(Options::default());
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let mut clients = connect_open(&mut event_loop, at, &mut recorder, 3);
    assert_eq!(event_loop.next_deadline(), None);

    event_loop.net().for_each(|conn| assert_eq!(write!(conn, "for {}", "all"), Flow::Open));
    assert_eq!(event_loop.net().stats().sends, 0, "the bytes were sent before the flush");
    assert!(
        event_loop.next_deadline().is_some_and(|due| due <= Instant::now()),
        "unsent bytes do not ask for a turn"
    );
    event_loop.flush();
    assert_eq!((event_loop.net().stats().sends, event_loop.next_deadline()), (3, None));
    clients.iter_mut().for_each(|client| expect(client, b"for all"));

    let id = id_of(event_loop.net(), 1);
    event_loop.net().send_all(id, b"with ");
    event_loop.net().send_all(id, b"the turn");
    assert!(event_loop.next_deadline().is_some_and(|due| due <= Instant::now()));
    event_loop.turn(&mut recorder, Some(PATIENCE)).unwrap();
    assert_eq!((event_loop.net().stats().sends, event_loop.next_deadline()), (4, None));
    expect(&mut clients[1], b"with the turn");
    assert_eq!(recorder.notes.len(), 3, "sends between turns made callbacks");
}

/// Checks that no callback runs inside another one, and makes each call that could cause another callback.
#[derive(Default)]
struct Watchful {
    log: Vec<&'static str>,
    inside: bool,
}

impl Watchful {
    fn during(&mut self, what: &'static str, net: &mut Net<u32>, work: impl FnOnce(&mut Net<u32>)) {
        assert!(!std::mem::replace(&mut self.inside, true), "{what} was called inside of another callback");
        self.log.push(what);
        let (closed, open) = (net.stats().closed, net.stats().open);
        net.for_each(|conn| {
            conn.notify_writable();
            conn.resume_reading();
        });
        work(net);
        assert_eq!((closed, open), (net.stats().closed, net.stats().open));
        self.inside = false;
    }
}

impl Handler for Watchful {
    type Session = u32;

    fn on_accept(&mut self, net: &mut Net<u32>, _from: &Accepted) -> Option<u32> {
        self.during("accept", net, |_| {});
        Some(0)
    }

    fn on_open(&mut self, conn: &mut Conn<'_, u32>) {
        self.during("open", conn.net(), |_| {});
    }

    fn on_data(&mut self, conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        let id = conn.id();
        self.during("data", conn.net(), |net| {
            net.conn(id).unwrap().abort();
            assert!(net.conn(id).is_some(), "the connection exists until on_close");
        });
        input.len()
    }

    fn on_close(&mut self, net: &mut Net<u32>, _id: ConnId, _session: u32, _why: CloseReason) {
        self.during("close", net, |_| {});
    }
}

#[test]
fn no_callback_is_made_inside_another() {
    let (mut event_loop, at) = listening(Options::default());
    let mut watchful = Watchful::default();
    let mut client = connect(at);
    client.write_all(b"x").unwrap();
    turn_until(&mut event_loop, &mut watchful, |watchful, _| watchful.log.contains(&"close"));
    assert_eq!(watchful.log, ["accept", "open", "data", "close"]);
    read_out(&mut client);
}

#[test]
fn a_turn_with_nothing_to_do_returns_at_once_when_it_may_not_wait() {
    let (mut event_loop, _) = listening::<u32>(Options::default());
    let turn = event_loop.turn(&mut Counts, Some(Duration::ZERO)).unwrap();
    assert_eq!((turn.events, turn.more, turn.finished), (0, false, false));
    assert_eq!(event_loop.next_deadline(), None);
    let turn = event_loop.turn(&mut Counts, Some(Duration::from_millis(1))).unwrap();
    assert_eq!((turn.events, turn.more, turn.finished), (0, false, false));
}

#[test]
fn work_left_at_the_end_of_a_turn_is_due_in_the_next_turn() {
    const CONNECTIONS: usize = 100;
    let (mut event_loop, at): (EventLoop<u32>, _) = listening(Options::default());
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let _clients = connect_open(&mut event_loop, at, &mut recorder, CONNECTIONS);
    // There is work for each connection, and no event announces the work.
    event_loop.net().for_each(|conn| conn.notify_writable());
    let past = Instant::now();
    let mut turns = 0;
    while recorder.count(&Call::Writable) < CONNECTIONS {
        assert!(
            event_loop.next_deadline().is_some_and(|due| due <= Instant::now()),
            "work that is left is not due"
        );
        let before = recorder.count(&Call::Writable);
        let turn = event_loop.turn_until(&mut recorder, None, past).unwrap();
        let after = recorder.count(&Call::Writable);
        assert!(before < after, "a turn whose end has passed does no work");
        assert!(after - before < CONNECTIONS / 2, "a turn whose end has passed does all the work");
        assert_eq!(turn.more, after < CONNECTIONS);
        turns += 1;
    }
    assert!(turns > 2 && event_loop.next_deadline().is_none());
    let order: Vec<_> = recorder.calls()[CONNECTIONS..].iter().map(|(who, _)| *who).collect();
    assert_eq!(
        order,
        (0..CONNECTIONS as u32).collect::<Vec<_>>(),
        "each connection is served once, and those left over come first"
    );
}

#[test]
fn settle_tells_the_host_whether_work_is_left() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default().read_buffer(1000).read_budget(1000));
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let mut client = connect(at);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    client.write_all(&[7; 3000]).unwrap();
    let event = host.collect(1).remove(0);
    assert_eq!(reactor.timeout(now), None);
    reactor.handle(&event);
    // A host that forgets to settle notices by a poll that does not sleep.
    assert_eq!(reactor.timeout(now), Some(Duration::ZERO));
    assert!(reactor.next_deadline().is_some_and(|due| due <= Instant::now()));
    for turn in 1..=3 {
        let more = reactor.settle(&mut recorder, now).more;
        assert_eq!(recorder.count(&Call::Data(vec![])), turn, "a turn does not read just its budget");
        assert_eq!(more, is_due(&reactor, now));
        assert!(more || turn == 3, "the turn reports no more work although bytes are left");
    }
    host.turn_until_quiet(&mut reactor, &mut recorder, now);
    assert_eq!(reactor.net().stats().bytes_received, 3000);
    drop(client);
}
