//! Tests of turns that a panic cuts short outside of a connection's own callback, and of callbacks that close and then
//! abort or panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use crate::support::{
    connect,
    panicky::{On, Panicky, World},
};
use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, Handler, Net, Options, testing::Rehearsal};

const HOUR: Duration = Duration::from_secs(3600);

type Act<'a> = Box<dyn FnMut(&mut Conn<'_>, On) + 'a>;

/// Runs the code of the test in `on_data` and `on_drain`, and records the outcomes.
struct Told<'a> {
    act: Act<'a>,
    /// The number of bytes by which the next `on_data` claims too much.
    overclaim: usize,
    shown: Vec<u8>,
    drains: usize,
    /// The kind of each `on_close`, whether it was clean, and whether bytes were undelivered.
    outcomes: Vec<(CloseKind, bool, bool)>,
    /// The result of `Net::undelivered` in each `on_timer`.
    timers: Vec<bool>,
    on_close_panics: bool,
}

impl<'a> Told<'a> {
    fn new(act: impl FnMut(&mut Conn<'_>, On) + 'a) -> Self {
        Self {
            act: Box::new(act),
            overclaim: 0,
            shown: Vec::new(),
            drains: 0,
            outcomes: Vec::new(),
            timers: Vec::new(),
            on_close_panics: false,
        }
    }
}

impl Handler for Told<'_> {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        self.shown.extend(input);
        (self.act)(conn, On::Data);
        input.len() + std::mem::take(&mut self.overclaim)
    }

    fn on_drain(&mut self, conn: &mut Conn<'_>) {
        self.drains += 1;
        (self.act)(conn, On::Drain);
    }

    fn on_close(&mut self, net: &mut Net, _id: ConnId, _session: (), why: CloseReason) {
        self.outcomes.push((why.kind(), why.is_clean(), net.undelivered()));
        if self.on_close_panics {
            resume_unwind(Box::new("a panic that the test wants"));
        }
    }

    fn on_timer(&mut self, net: &mut Net, _tag: u64) {
        self.timers.push(net.undelivered());
    }
}

fn panics(work: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

#[test]
fn bytes_that_a_callback_gathers_and_then_closes_and_aborts_are_undelivered() {
    let mut handler = Told::new(|conn, _| {
        conn.send_all(b"taken, and gathered");
        conn.close();
        conn.abort();
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    let id = rehearsal.accept(&mut handler).unwrap();
    rehearsal.receive(&mut handler, id, b"go");
    assert_eq!(handler.outcomes, [(CloseKind::Aborted, false, true)]);
    assert_eq!((rehearsal.sent(id), rehearsal.is_reset(id)), (vec![], true));
}

#[test]
fn bytes_that_a_callback_gathers_and_then_closes_and_panics_are_undelivered() {
    let mut handler = Told::new(|conn, _| {
        conn.send_all(b"taken, and gathered");
        conn.close();
        resume_unwind(Box::new("a panic that the test wants"));
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    let id = rehearsal.accept(&mut handler).unwrap();
    assert!(panics(|| rehearsal.receive(&mut handler, id, b"go")));
    rehearsal.settle(&mut handler);
    assert_eq!(handler.outcomes, [(CloseKind::Aborted, false, true)]);
    assert_eq!((rehearsal.sent(id), rehearsal.is_reset(id)), (vec![], true));
}

#[test]
fn bytes_that_a_closing_callback_gathers_before_the_memory_budget_ends_it_are_undelivered() {
    let other = std::cell::Cell::new(None);
    let mut handler = Told::new(|conn, _| {
        conn.send_all(b"taken, and gathered");
        conn.close();
        conn.net().send_all(other.get().unwrap(), &[0; 500]); // The connection of this callback owns the most memory.
    });
    let mut rehearsal = Rehearsal::new(Options::default().memory_budget(1000));
    let [id, silent] = [(); 2].map(|()| rehearsal.accept(&mut handler).unwrap());
    other.set(Some(silent));
    rehearsal.capacity(silent, 0);
    // A part of the message stays in the inbox, and is counted there.
    rehearsal.receive(&mut Declining(&mut handler), id, &[1; 600]);
    rehearsal.receive(&mut handler, id, &[1]);
    assert_eq!(handler.outcomes, [(CloseKind::MemoryLimit, false, true)]);
    assert_eq!((rehearsal.sent(id), rehearsal.is_open(silent)), (vec![], true));
}

/// Consumes no input.
struct Declining<'a, 'b>(&'a mut Told<'b>);

impl Handler for Declining<'_, '_> {
    type Session = ();

    fn on_accept(&mut self, net: &mut Net, from: &Accepted) -> Option<()> {
        self.0.on_accept(net, from)
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, _input: &[u8]) -> usize {
        0
    }
}

#[test]
fn a_connection_whose_on_data_claims_too_much_is_aborted_in_the_next_turn() {
    for before in [&b""[..], b"kept"] {
        let mut handler = Told::new(|_, _| {});
        let mut rehearsal = Rehearsal::new(Options::default());
        let id = rehearsal.accept(&mut handler).unwrap();
        rehearsal.receive(&mut Declining(&mut handler), id, before);
        handler.overclaim = 1;
        assert!(panics(|| rehearsal.receive(&mut handler, id, b"claimed")));
        rehearsal.receive(&mut handler, id, b"never shown");
        assert_eq!(handler.shown, [before, b"claimed"].concat());
        assert_eq!(handler.outcomes, [(CloseKind::Aborted, false, false)]);
        assert!(rehearsal.is_reset(id));
    }
}

/// Aborts the first client in its `on_open`, so that its `on_close` comes while the listener accepts.
struct Aborting<'a>(&'a mut Panicky);

impl Handler for Aborting<'_> {
    type Session = u32;

    fn on_accept(&mut self, net: &mut Net<u32>, from: &Accepted) -> Option<u32> {
        self.0.on_accept(net, from)
    }

    fn on_open(&mut self, conn: &mut Conn<'_, u32>) {
        self.0.on_open(conn);
        if *conn.session() == 0 {
            conn.abort();
        }
    }

    fn on_data(&mut self, conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        self.0.on_data(conn, input)
    }

    fn on_close(&mut self, net: &mut Net<u32>, id: ConnId, who: u32, why: CloseReason) {
        self.0.on_close(net, id, who, why);
    }
}

#[test]
fn a_listener_goes_on_after_a_panic_in_the_on_close_of_a_client_that_it_has_just_accepted() {
    let mut world = World::new(Panicky::at(0, On::Close(CloseKind::Aborted)), 0);
    let _clients = [(); 4].map(|()| connect(world.at));
    world.collect(1);
    let World { reactor, handler, now, .. } = &mut world;
    assert!(panics(|| _ = reactor.settle(&mut Aborting(handler), *now)));
    // No further event reports the clients that wait.
    while reactor.timeout(*now) == Some(Duration::ZERO) {
        reactor.settle(&mut Aborting(handler), *now);
    }
    for who in 1..4 {
        assert_eq!(handler.of(who), [On::Accept, On::Open], "client {who}");
    }
}

#[test]
fn a_drain_ends_at_once_if_its_last_on_close_panics() {
    let mut world = World::new(Panicky::at(0, On::Close(CloseKind::Eof)), 1);
    world.reactor.net().drain(HOUR);
    let World { reactor, handler, now, .. } = &mut world;
    assert!(!reactor.settle(&mut Lasting(handler), *now).finished);
    world.clients.clear();
    world.collect(1);
    let World { reactor, handler, now, .. } = &mut world;
    assert!(panics(|| _ = reactor.settle(&mut Lasting(handler), *now)));
    assert_eq!(reactor.timeout(*now), Some(Duration::ZERO), "the end of the drain does not ask for a turn");
    assert!(reactor.settle(&mut Lasting(handler), *now).finished);
    assert_eq!(reactor.timeout(*now), None);
}

/// Goes on in a drain until the client ends.
struct Lasting<'a>(&'a mut Panicky);

impl Handler for Lasting<'_> {
    type Session = u32;

    fn on_accept(&mut self, net: &mut Net<u32>, from: &Accepted) -> Option<u32> {
        self.0.on_accept(net, from)
    }

    fn on_data(&mut self, conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
        self.0.on_data(conn, input)
    }

    fn on_drain(&mut self, _conn: &mut Conn<'_, u32>) {}

    fn on_close(&mut self, net: &mut Net<u32>, id: ConnId, who: u32, why: CloseReason) {
        self.0.on_close(net, id, who, why);
    }
}

#[test]
fn undelivered_bytes_are_forgotten_after_a_panic_in_on_close() {
    let mut handler = Told::new(|conn, _| {
        conn.send_all(b"taken, and gathered");
        conn.abort();
    });
    handler.on_close_panics = true;
    let mut rehearsal = Rehearsal::new(Options::default());
    let id = rehearsal.accept(&mut handler).unwrap();
    assert!(panics(|| rehearsal.receive(&mut handler, id, b"go")));
    let now = rehearsal.net().now();
    rehearsal.net().set_timer(now, 0);
    rehearsal.settle(&mut handler);
    assert_eq!(handler.timers, [false]);
}

#[test]
fn a_second_drain_in_on_drain_resets_the_other_connections_without_their_on_drain() {
    let mut handler = Told::new(|conn, on| {
        if on == On::Drain {
            conn.net().drain(HOUR);
        }
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    (0..3).for_each(|_| _ = rehearsal.accept(&mut handler).unwrap());
    rehearsal.net().drain(HOUR);
    rehearsal.settle(&mut handler);
    assert_eq!(handler.drains, 1);
    assert_eq!(handler.outcomes, [(CloseKind::Aborted, false, false); 3]);
}
