//! Tests of turns that a panic cuts short outside of a connection's own callback, and of callbacks that close and then
//! abort or panic.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use crate::support::{
    Actor, Call, connect,
    panicky::{Panicky, World, panic_silently, panics},
};
use tidegate::{CloseKind, Options, testing::Rehearsal};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns the kind of each `on_close`, whether it was clean, and whether bytes were undelivered.
fn outcomes(actor: &Actor<'_>) -> Vec<(CloseKind, bool, bool)> {
    actor.ended.iter().map(|end| (end.why.kind(), end.why.is_clean(), end.undelivered)).collect()
}

#[test]
fn bytes_that_a_callback_gathers_and_then_closes_and_aborts_are_undelivered() {
    let mut handler = Actor::consuming(|conn, input| {
        conn.send_all(b"taken, and gathered");
        conn.close();
        conn.abort();
        input.len()
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    let id = rehearsal.accept(&mut handler).unwrap();
    rehearsal.receive(&mut handler, id, b"go");
    assert_eq!(outcomes(&handler), [(CloseKind::Aborted, false, true)]);
    assert_eq!((rehearsal.sent(id), rehearsal.is_reset(id)), (vec![], true));
}

#[test]
fn bytes_that_a_callback_gathers_and_then_closes_and_panics_are_undelivered() {
    let mut handler = Actor::consuming(|conn, _| {
        conn.send_all(b"taken, and gathered");
        conn.close();
        panic_silently();
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    let id = rehearsal.accept(&mut handler).unwrap();
    assert!(panics(|| rehearsal.receive(&mut handler, id, b"go")));
    rehearsal.settle(&mut handler);
    assert_eq!(outcomes(&handler), [(CloseKind::Aborted, false, true)]);
    assert_eq!((rehearsal.sent(id), rehearsal.is_reset(id)), (vec![], true));
}

#[test]
fn the_input_that_a_close_discards_does_not_count_for_the_memory_budget() {
    let other = Cell::new(None);
    let mut handler = Actor::consuming(|conn, input| {
        if input.len() == 600 {
            return 0; // A part of the message stays in the inbox, and is counted there.
        }
        conn.send_all(b"taken, and gathered");
        conn.close();
        conn.net().send_all(other.get().unwrap(), &[0; 900]); // Together with the inbox, these bytes exceed the budget.
        input.len()
    });
    let mut rehearsal = Rehearsal::new(Options::default().memory_budget(1000));
    let [id, silent] = [(); 2].map(|()| rehearsal.accept(&mut handler).unwrap());
    other.set(Some(silent));
    rehearsal.capacity(silent, 0);
    rehearsal.receive(&mut handler, id, &[1; 600]);
    rehearsal.receive(&mut handler, id, &[1]);
    assert_eq!(outcomes(&handler), [(CloseKind::Closed, true, false)]);
    assert_eq!((rehearsal.sent(id), rehearsal.is_open(silent)), (b"taken, and gathered".to_vec(), true));
}

#[test]
fn the_memory_budget_finds_a_closed_connection_whose_outbox_has_just_grown() {
    let others = Cell::new(None);
    let mut handler = Actor::consuming(|conn, input| {
        conn.send_all(&[1; 600]);
        assert!(conn.try_send(&[1]).is_err()); // The gathered bytes must go first, and fill the outbox.
        conn.close();
        conn.net().send_all(others.get().unwrap(), &[0; 500]);
        input.len()
    });
    let mut rehearsal = Rehearsal::new(Options::default().memory_budget(1000));
    let [largest, id, silent] = [(); 3].map(|()| rehearsal.accept(&mut handler).unwrap());
    others.set(Some(silent));
    for id in [largest, id, silent] {
        rehearsal.capacity(id, 0);
    }
    // From the first excess on, the reactor keeps a heap of the connections that own memory.
    rehearsal.net().send_all(largest, &[0; 1100]);
    rehearsal.settle(&mut handler);
    rehearsal.receive(&mut handler, id, &[1]);
    assert_eq!(outcomes(&handler), [(CloseKind::MemoryLimit, false, true); 2]);
    assert!(rehearsal.is_open(silent));
}

#[test]
fn a_connection_whose_on_data_claims_too_much_is_aborted_in_the_next_turn() {
    for before in [&b""[..], b"kept"] {
        let (overclaim, shown) = (Cell::new(None), RefCell::new(Vec::new()));
        let mut handler = Actor::consuming(|_, input| {
            // Before the overclaim, `on_data` consumes nothing.
            let Some(overclaim) = overclaim.get() else { return 0 };
            shown.borrow_mut().extend_from_slice(input);
            input.len() + overclaim
        });
        let mut rehearsal = Rehearsal::new(Options::default());
        let id = rehearsal.accept(&mut handler).unwrap();
        rehearsal.receive(&mut handler, id, before);
        overclaim.set(Some(1));
        assert!(panics(|| rehearsal.receive(&mut handler, id, b"claimed")));
        rehearsal.receive(&mut handler, id, b"never shown");
        assert_eq!(*shown.borrow(), [before, b"claimed"].concat());
        assert_eq!(outcomes(&handler), [(CloseKind::Aborted, false, false)]);
        assert!(rehearsal.is_reset(id));
    }
}

#[test]
fn a_listener_goes_on_after_a_panic_in_the_on_close_of_a_client_that_it_has_just_accepted() {
    let mut world = World::new(Panicky::at(0, Call::Close(CloseKind::Aborted)), 0);
    // The first client is aborted in its `on_open`, so that its `on_close` comes while the listener accepts.
    world.handler.act.act = |conn, call| {
        if (*conn.session(), call) == (0, &Call::Open) {
            conn.abort();
        }
    };
    let _clients = [(); 4].map(|()| connect(world.at));
    world.collect(1);
    assert_eq!(world.settle(), Err(()));
    // No further event reports the clients that wait.
    while world.reactor.timeout(world.now) == Some(Duration::ZERO) {
        assert!(world.settle().is_ok());
    }
    for who in 1..4 {
        assert_eq!(world.handler.of(who), [Call::Open], "client {who}");
    }
    assert_eq!(world.handler.clients, 4, "each client has one on_accept");
}

#[test]
fn a_drain_ends_at_once_if_its_last_on_close_panics() {
    let mut world = World::new(Panicky::at(0, Call::Close(CloseKind::Eof)), 1);
    // The connection goes on in the drain until the client ends.
    world.handler.act.act = |conn, call| {
        if *call == Call::Eof {
            conn.close();
        }
    };
    world.reactor.net().drain(HOUR);
    assert_eq!(world.settle(), Ok(false));
    world.clients.clear();
    world.collect(1);
    assert_eq!(world.settle(), Err(()));
    let now = world.now;
    assert_eq!(
        world.reactor.timeout(now),
        Some(Duration::ZERO),
        "the end of the drain does not ask for a turn"
    );
    assert_eq!(world.settle(), Ok(true));
    assert_eq!(world.reactor.timeout(now), None);
}

#[test]
fn undelivered_bytes_are_not_reported_again_after_a_panic_in_on_close() {
    let undelivered = Cell::new(None);
    let mut handler = Actor::consuming(|conn, input| {
        conn.send_all(b"taken, and gathered");
        conn.abort();
        input.len()
    })
    .with_net(|net, call| match call {
        Call::Close(_) => panic_silently(),
        _ => undelivered.set(Some(net.undelivered())),
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    let id = rehearsal.accept(&mut handler).unwrap();
    assert!(panics(|| rehearsal.receive(&mut handler, id, b"go")));
    let now = rehearsal.net().now();
    rehearsal.net().set_timer(now, 0);
    rehearsal.settle(&mut handler);
    assert_eq!(undelivered.get(), Some(false));
    assert_eq!(handler.count(&Call::Timer(0)), 1);
}

#[test]
fn a_second_drain_in_on_drain_resets_the_other_connections_without_their_on_drain() {
    let mut handler = Actor::with_conn(|conn, call| {
        if *call == Call::Drain {
            conn.net().drain(HOUR);
        }
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    (0..3).for_each(|_| _ = rehearsal.accept(&mut handler).unwrap());
    rehearsal.net().drain(HOUR);
    rehearsal.settle(&mut handler);
    assert_eq!(handler.count(&Call::Drain), 1);
    assert_eq!(outcomes(&handler), [(CloseKind::Aborted, false, false); 3]);
}
