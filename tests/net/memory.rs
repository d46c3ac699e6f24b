//! Tests of the memory budget for the buffers of all connections: beyond the budget, the connection that holds the most is
//! reset.

use std::{cell::Cell, sync::Arc};

use tidegate::{CloseKind, Conn, ConnId, Flow, Options, framing, testing::Rehearsal};

use crate::support::{Actor, Call, Recorder, assert_same, listening, pair::Pair, pattern};

const KIB: usize = 1 << 10;
const BUDGET: usize = 100 * KIB;

fn rehearsal() -> Rehearsal {
    Rehearsal::new(Options::default().memory_budget(BUDGET).high_water(BUDGET))
}

/// Accepts clients whose peers take no bytes.
fn never_readers<const N: usize>(rehearsal: &mut Rehearsal, actor: &mut Actor<'_>) -> [ConnId; N] {
    [(); N].map(|()| {
        let id = rehearsal.accept(actor).unwrap();
        rehearsal.capacity(id, 0);
        id
    })
}

fn whys<const N: usize>(rehearsal: &Rehearsal, ids: [ConnId; N]) -> [Option<CloseKind>; N] {
    ids.map(|id| rehearsal.why(id))
}

const TOO_MUCH: Option<CloseKind> = Some(CloseKind::MemoryLimit);

#[test]
fn beyond_the_budget_the_connection_that_holds_the_most_is_reset_and_no_other() {
    let mut actor = Actor::idle();
    let mut rehearsal = rehearsal();
    let ids = never_readers(&mut rehearsal, &mut actor);
    for (id, kib) in ids.iter().zip([20, 45, 30, 5]) {
        assert_ne!(rehearsal.net().send_all(*id, &pattern(kib * KIB, 1)), Flow::Gone);
        rehearsal.settle(&mut actor);
    }
    assert_eq!(
        (rehearsal.net().stats().buffered, whys(&rehearsal, ids)),
        (BUDGET, [None; 4]),
        "a connection was reset within the budget"
    );
    assert_ne!(
        rehearsal.net().send_all(ids[3], b"."),
        Flow::Gone,
        "the send of a connection that holds little was discarded"
    );
    rehearsal.settle(&mut actor);
    assert_eq!(whys(&rehearsal, ids), [None, TOO_MUCH, None, None]);
    assert!(rehearsal.is_reset(ids[1]));
    assert!(rehearsal.net().stats().buffered <= 65 * KIB);
    // The other connections lose no bytes.
    for (id, kib) in [(ids[0], 20), (ids[2], 30)] {
        rehearsal.capacity(id, usize::MAX);
        rehearsal.settle(&mut actor);
        assert_same(&rehearsal.sent(id), &pattern(kib * KIB, 1));
    }
}

#[test]
fn a_send_larger_than_the_budget_returns_gone_at_once() {
    let flows = Cell::new([Flow::Open; 2]);
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Data(_) = cue {
            flows.set([conn.send_all(&[0; BUDGET + 1]), conn.send_all(b"more")]);
        }
    });
    let mut rehearsal = rehearsal();
    let [client] = never_readers(&mut rehearsal, &mut actor);
    rehearsal.receive(&mut actor, client, b"go");
    assert_eq!(flows.get(), [Flow::Gone; 2]);
    let life = [Call::Open, Call::Data(b"go".to_vec()), Call::Close(CloseKind::MemoryLimit)];
    assert_eq!(actor.of_id(client), life);
    assert_eq!((rehearsal.sent(client), rehearsal.net().stats().buffered), (vec![], 0));
}

/// Broadcasts 20 messages of 10 KiB to 10 clients that read and to 25 that do not, and checks that the budget holds and that
/// it costs none of the readers a byte.
fn broadcast_beyond_the_budget(send: fn(&mut Conn<'_>, &Arc<[u8]>) -> Flow) {
    let (most, round) = (Cell::new(0), Cell::new(0));
    let text = |round: u64| pattern(10 * KIB, round);
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Data(_) = cue {
            let text: Arc<[u8]> = text(round.get()).into();
            conn.net().for_each(|other| {
                send(other, &text);
                let stats = other.net().stats();
                most.set(most.get().max(stats.buffered + stats.shared));
            });
        }
    });
    let mut rehearsal = rehearsal();
    let readers = [(); 10].map(|()| rehearsal.accept(&mut actor).unwrap());
    let lazy: [_; 25] = never_readers(&mut rehearsal, &mut actor);
    for n in 1..=20 {
        round.set(n);
        rehearsal.receive(&mut actor, readers[0], b"tell them");
        assert!((1..=BUDGET).contains(&most.get()), "{} in round {n}", most.get());
        let stats = rehearsal.net().stats();
        assert!(stats.buffered + stats.shared <= BUDGET);
    }
    let ended = whys(&rehearsal, lazy);
    assert!(ended.iter().all(|why| why.is_none() || *why == TOO_MUCH), "{ended:?}");
    assert!(ended.contains(&TOO_MUCH), "no connection was reset although 200 KiB pass the budget");
    assert_eq!(whys(&rehearsal, readers), [None; 10]);
    for reader in readers {
        assert_same(&rehearsal.sent(reader), &(1..=20).flat_map(text).collect::<Vec<_>>());
    }
    let ended = ended.iter().flatten().count() as u64;
    assert_eq!(rehearsal.net().stats().closed_by(CloseKind::MemoryLimit), ended);
}

#[test]
fn the_budget_holds_in_the_middle_of_a_broadcast() {
    broadcast_beyond_the_budget(|conn, text| conn.send_all(text));
    broadcast_beyond_the_budget(|conn, text| conn.send_shared(text));
}

#[test]
fn two_hundred_subscribers_that_do_not_read_hold_each_message_once() {
    const MESSAGES: usize = 2048;
    let mut actor = Actor::idle();
    let mut rehearsal = Rehearsal::new(Options::default().memory_budget(32 << 20));
    let deaf: [_; 200] = never_readers(&mut rehearsal, &mut actor);
    let mut kept = Vec::new();
    for n in 0..MESSAGES {
        let message: Arc<[u8]> = pattern(KIB, n as u64).into();
        rehearsal.net().for_each(|subscriber| {
            subscriber.send_shared(&message);
        });
        kept.push(Arc::downgrade(&message));
    }
    rehearsal.settle(&mut actor);
    let stats = rehearsal.net().stats();
    assert_eq!(stats.shared, MESSAGES * KIB);
    let queues = deaf.len() * MESSAGES.next_power_of_two() * 32; // an outbox knows each of its segments by 32 bytes
    assert!(stats.buffered <= queues, "{} bytes are not shared", stats.buffered);
    assert!(deaf.iter().all(|id| rehearsal.is_open(*id)));
    for id in &deaf[1..] {
        rehearsal.net().abort(*id);
    }
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.net().stats().shared, MESSAGES * KIB, "one subscriber still holds the messages");
    rehearsal.capacity(deaf[0], usize::MAX);
    rehearsal.settle(&mut actor);
    let all: Vec<u8> = (0..MESSAGES).flat_map(|n| pattern(KIB, n as u64)).collect();
    assert_same(&rehearsal.sent(deaf[0]), &all);
    assert!(kept.iter().all(|message| message.strong_count() == 0), "the last subscriber frees a message");
    let stats = rehearsal.net().stats();
    assert_eq!((stats.shared, stats.buffered), (0, 0));
}

#[test]
fn a_connection_that_holds_a_large_block_for_its_last_byte_is_reset_before_connections_that_hold_less() {
    let mut actor = Actor::idle();
    let mut rehearsal = rehearsal();
    let [small, large] = never_readers(&mut rehearsal, &mut actor);
    rehearsal.net().send_all(small, &pattern(10 * KIB, 1));
    rehearsal.capacity(large, 80 * KIB - 1);
    let block: Arc<[u8]> = pattern(80 * KIB, 2).into();
    rehearsal.net().send_shared(large, &block);
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.net().conn(large).unwrap().queued(), 1);
    let [third] = never_readers(&mut rehearsal, &mut actor);
    rehearsal.net().send_all(third, &pattern(20 * KIB, 3));
    rehearsal.settle(&mut actor);
    assert_eq!(whys(&rehearsal, [small, large, third]), [None, TOO_MUCH, None]);
}

/// Answers each line with its length. An incomplete line stays in the inbox.
fn lengths<'a>() -> Actor<'a> {
    Actor::consuming(|conn, input| {
        let mut lines = framing::lines(input, 64 * KIB);
        for line in lines.by_ref().flatten() {
            writeln!(conn, "{}", line.len());
        }
        lines.used()
    })
}

#[test]
fn many_incomplete_messages_do_not_stop_a_small_request() {
    let (mut rehearsal, mut lengths) = (rehearsal(), lengths());
    let small = rehearsal.accept(&mut lengths).unwrap();
    let mut reset = 0;
    for n in 0..100 {
        let incomplete = rehearsal.accept(&mut lengths).unwrap();
        rehearsal.receive(&mut lengths, incomplete, &[b'.'; 3000]);
        // The request comes in two pieces, so its first piece has to be kept as well.
        rehearsal.receive(&mut lengths, small, b"hel");
        assert!(rehearsal.net().stats().buffered <= BUDGET, "after {n}");
        rehearsal.receive(&mut lengths, small, b"lo\n");
        assert_eq!(rehearsal.sent(small), b"5\n", "after {n}");
        reset = rehearsal.net().stats().closed_by(CloseKind::MemoryLimit);
    }
    assert!(reset >= 100 - BUDGET as u64 / 3000, "only {reset} connections were reset");
    assert!(rehearsal.is_open(small));
    assert_eq!(rehearsal.net().stats().open as u64, 101 - reset);
}

#[test]
fn a_handler_that_pauses_after_each_message_keeps_little_input() {
    let (consumed, largest) = (Cell::new(0), Cell::new(0));
    let pauses = Cell::new(true);
    let mut actor = Actor::with_conn(|conn, call| {
        if let Call::Data(bytes) = call {
            consumed.set(consumed.get() + bytes.len());
            largest.set(largest.get().max(bytes.len()));
            if pauses.get() {
                conn.pause_reading();
            }
        }
    });
    actor.portion = 1000;
    let mut rehearsal = Rehearsal::new(Options::default());
    let client = rehearsal.accept(&mut actor).unwrap();
    let stream = pattern(800 * KIB, 4);
    rehearsal.receive(&mut actor, client, &stream);
    while consumed.get() < stream.len() {
        // Only the first `recv` is large, because nothing is known of the handler then.
        let most = if consumed.get() < 256 * KIB { 256 * KIB } else { 16 * KIB };
        let before = (consumed.get(), rehearsal.net().stats().buffered);
        assert!(before.1 <= most, "{} bytes are owned after {}", before.1, before.0);
        rehearsal.net().resume_reading(client);
        rehearsal.settle(&mut actor);
        assert!(consumed.get() > before.0);
    }
    assert_eq!(rehearsal.net().stats().buffered, 0);
    // A handler that takes its input at once is shown much again.
    actor.portion = usize::MAX;
    pauses.set(false);
    rehearsal.net().resume_reading(client);
    rehearsal.receive(&mut actor, client, &stream);
    assert_eq!((consumed.get(), largest.get()), (2 * stream.len(), 256 * KIB));
}

#[test]
fn a_message_that_is_larger_than_the_budget_ends_its_own_connection() {
    let mut actor = Actor::idle();
    actor.portion = 0;
    let mut rehearsal = rehearsal();
    let clients = [(); 2].map(|()| rehearsal.accept(&mut actor).unwrap());
    rehearsal.receive(&mut actor, clients[0], &[b'.'; KIB]);
    for _ in 0..BUDGET / KIB {
        rehearsal.receive(&mut actor, clients[1], &[b'.'; 2 * KIB]);
        assert!(rehearsal.net().stats().buffered <= BUDGET);
    }
    assert_eq!(whys(&rehearsal, clients), [None, TOO_MUCH]);
    assert_eq!(actor.of_id(clients[1]).last(), Some(&Call::Close(CloseKind::MemoryLimit)));
}

#[test]
fn no_memory_is_counted_when_all_connections_have_ended() {
    type End = fn(&mut Rehearsal, &mut Actor<'_>, ConnId);
    let ends: [End; 5] = [
        |rehearsal, _, id| rehearsal.net().abort(id),
        |rehearsal, _, id| rehearsal.net().close(id),
        // An end of file is not read while the outbox is full, so the peer makes room first.
        |rehearsal, actor, id| {
            rehearsal.capacity(id, usize::MAX);
            rehearsal.eof(actor, id);
        },
        |rehearsal, actor, id| rehearsal.reset(actor, id),
        |rehearsal, actor, id| {
            rehearsal.capacity(id, usize::MAX);
            rehearsal.settle(actor);
            rehearsal.net().close(id);
        },
    ];
    let mut actor = Actor::with_conn(|conn, cue| {
        if *cue == Call::Eof {
            conn.close();
        }
    });
    actor.portion = 3;
    for end in ends {
        let mut rehearsal = Rehearsal::new(Options::default().high_water(BUDGET));
        // Each client has an outbox and an inbox that hold bytes.
        let clients: [_; 4] = never_readers(&mut rehearsal, &mut actor);
        for client in clients {
            rehearsal.net().send_all(client, &[b'.'; 2 * BUDGET]);
            rehearsal.settle(&mut actor);
            rehearsal.receive(&mut actor, client, b"kept while nothing is taken");
        }
        assert!(rehearsal.net().stats().buffered >= 8 * BUDGET);
        for client in clients {
            end(&mut rehearsal, &mut actor, client);
            rehearsal.settle(&mut actor);
        }
        rehearsal.advance(&mut actor, std::time::Duration::from_secs(30));
        assert_eq!((rehearsal.net().stats().open, rehearsal.net().stats().buffered), (0, 0));
    }
}

#[test]
fn unread_input_is_not_counted_after_the_connection_is_closed() {
    type End = fn(&mut Rehearsal, &mut Actor<'_>, ConnId);
    // The number is the number of sockets that are open afterwards.
    let ends: [(&str, usize, End); 4] = [
        // After a close the socket lingers, because the peer has not ended its side. A lingering socket owns no buffer.
        ("close between turns", 1, |rehearsal, _, id| rehearsal.net().close(id)),
        ("close in on_data", 1, |rehearsal, actor, id| rehearsal.receive(actor, id, b"more")),
        ("abort", 0, |rehearsal, _, id| rehearsal.net().abort(id)),
        ("both sides have ended", 0, |rehearsal, actor, id| {
            rehearsal.net().shutdown_write(id);
            rehearsal.eof(actor, id);
        }),
    ];
    for (name, open, end) in ends {
        let closes = Cell::new(false);
        let mut actor = Actor::with_conn(|conn, cue| {
            if matches!(cue, Call::Data(_)) && closes.get() {
                conn.close();
            }
        });
        actor.portion = 0;
        let mut rehearsal = Rehearsal::new(Options::default());
        let client = rehearsal.accept(&mut actor).unwrap();
        rehearsal.receive(&mut actor, client, b"a part of a message");
        assert!(rehearsal.net().stats().buffered > 0, "{name}: the input is kept");
        closes.set(true);
        end(&mut rehearsal, &mut actor, client);
        rehearsal.settle(&mut actor);
        assert!(!rehearsal.is_open(client), "{name}");
        assert_eq!((rehearsal.net().stats().open, rehearsal.net().stats().buffered), (open, 0), "{name}");
    }
}

#[test]
fn bytes_sent_by_a_flush_between_turns_are_no_longer_counted() {
    let (mut event_loop, _) = listening(Options::default());
    let pairs = Pair::several(&mut event_loop, &mut Recorder::new(|_, _, _, _| {}), 3);
    for (kib, pair) in (1..).zip(&pairs) {
        event_loop.net().send_all(pair.id, &vec![7; kib * KIB]);
    }
    assert!(event_loop.net().stats().buffered >= 6 * KIB, "the sends wait for the flush");
    event_loop.flush();
    let stats = event_loop.net().stats();
    assert_eq!((stats.bytes_sent, stats.buffered), (6 << 10, 0));
}

/// The block goes along, so that a loop that hands connections over resets no other connection in their place.
#[test]
fn a_block_of_a_detached_connection_is_outside_of_the_budget() {
    let (mut actor, mut rehearsal) = (Actor::idle(), rehearsal());
    let [leaves, stays] = never_readers(&mut rehearsal, &mut actor);
    let block: Arc<[u8]> = pattern(60 * KIB, 1).into();
    rehearsal.net().send_shared(leaves, &block);
    rehearsal.settle(&mut actor);
    let detached = rehearsal.net().detach(leaves).unwrap();
    assert_eq!((rehearsal.net().stats().shared, detached.unsent_len()), (0, 60 * KIB));
    rehearsal.net().send_all(stays, &pattern(50 * KIB, 2));
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.why(stays), None);
    let id = rehearsal.net().attach(detached).unwrap();
    assert_eq!(
        rehearsal.net().stats().shared,
        0,
        "the budget is exceeded, so the connection that holds the most is reset"
    );
    rehearsal.settle(&mut actor);
    assert_eq!((rehearsal.why(stays), rehearsal.why(id)), (None, TOO_MUCH));
}
