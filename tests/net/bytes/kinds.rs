//! Tests of sends that share bytes or give them away: the bytes arrive as with `send_all`, and are not copied.

use std::{io::Write, sync::Arc};

use tidegate::{CloseKind, Flow, Options, testing::Rehearsal};

use crate::support::{Actor, Call, assert_same, connect_narrow, listening, pattern, turn_until};

const LENGTHS: [usize; 8] = [0, 1, 255, 256, 5_000, 8_192, 70_000, 700_000];

#[test]
fn all_kinds_of_sends_keep_their_order() {
    let pieces: Vec<Arc<[u8]>> = LENGTHS.iter().map(|len| pattern(*len, *len as u64).into()).collect();
    let mut expected = Vec::new();
    for first in &pieces {
        for second in &pieces {
            expected.extend_from_slice(first);
            expected.extend_from_slice(&second[second.len() / 3..]);
            expected.extend_from_slice(second);
            expected.extend_from_slice(first);
        }
    }
    let total = expected.len();
    let mut actor = Actor::with_conn(|conn, call| match call {
        Call::Data(_) => {
            for first in &pieces {
                for second in &pieces {
                    conn.send_owned(first.to_vec());
                    conn.send_shared_range(second, second.len() / 3..second.len());
                    conn.send_shared(second);
                    conn.send_all(first);
                }
            }
        }
        Call::Eof => conn.close(),
        _ => {}
    });
    let (mut event_loop, at) = listening(Options::default().max_outbox(total));
    let mut client = connect_narrow(at);
    client.write_all(b"?").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let reader = std::thread::spawn(move || crate::support::read_to_end(&mut client));
    turn_until(&mut event_loop, &mut actor, |_, net| net.stats().closed > 0 && net.stats().open == 0);
    assert!(actor.has_heard(&Call::Close(CloseKind::Eof)), "{:?}", event_loop.net().stats());
    assert_same(&reader.join().unwrap(), &expected);
    let stats = event_loop.net().stats();
    assert_eq!((stats.buffered, stats.shared), (0, 0));
}

#[test]
fn the_outbox_holds_a_shared_block_itself_and_frees_it_when_it_is_sent() {
    let mut rehearsal = Rehearsal::new(Options::default());
    let mut actor = Actor::idle();
    let ids = [(); 2].map(|()| rehearsal.accept(&mut actor).unwrap());
    let block: Arc<[u8]> = pattern(100_000, 1).into();
    for id in ids {
        rehearsal.capacity(id, 10);
        assert_eq!(rehearsal.net().send_shared(id, &block), Flow::Full);
    }
    rehearsal.settle(&mut actor);
    let stats = rehearsal.net().stats();
    assert!(stats.shared == 100_000 && stats.buffered < 1000, "{stats}");
    let held = Arc::downgrade(&block);
    drop(block);
    rehearsal.capacity(ids[0], usize::MAX);
    rehearsal.settle(&mut actor);
    assert!(held.strong_count() == 1 && rehearsal.net().stats().shared == 100_000);
    rehearsal.net().abort(ids[1]);
    rehearsal.settle(&mut actor);
    assert_eq!((held.strong_count(), rehearsal.net().stats().shared), (0, 0));
    assert_same(&rehearsal.sent(ids[0]), &pattern(100_000, 1));
}

#[test]
fn a_vector_that_is_given_away_is_not_copied() {
    let mut rehearsal = Rehearsal::new(Options::default());
    let mut actor = Actor::idle();
    let id = rehearsal.accept(&mut actor).unwrap();
    rehearsal.capacity(id, 0);
    let mut bytes = pattern(100_000, 2);
    bytes.reserve_exact(50_000); // a copy would own no more than its length
    let capacity = bytes.capacity();
    rehearsal.net().send_owned(id, bytes);
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.net().stats().buffered, capacity);
    // Of a vector that is mostly empty, only the bytes are kept.
    let mut bytes = pattern(10_000, 3);
    bytes.reserve_exact(90_000);
    rehearsal.net().send_owned(id, bytes);
    rehearsal.settle(&mut actor);
    assert!(rehearsal.net().stats().buffered < capacity + 50_000);
    rehearsal.capacity(id, usize::MAX);
    rehearsal.settle(&mut actor);
    assert_same(&rehearsal.sent(id), &[pattern(100_000, 2), pattern(10_000, 3)].concat());
}

#[test]
fn the_hard_limit_counts_shared_bytes_for_each_connection() {
    let mut rehearsal = Rehearsal::new(Options::default().max_outbox(1500));
    let mut actor = Actor::idle();
    let id = rehearsal.accept(&mut actor).unwrap();
    rehearsal.capacity(id, 0);
    let block: Arc<[u8]> = pattern(1000, 4).into();
    assert_ne!(rehearsal.net().send_shared(id, &block), Flow::Gone);
    assert_eq!(rehearsal.net().send_shared(id, &block), Flow::Gone);
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.why(id), Some(CloseKind::OutboxLimit));
}

#[test]
#[should_panic(expected = "out of range")]
fn a_range_beyond_the_shared_bytes_panics() {
    let mut rehearsal = Rehearsal::new(Options::default());
    let id = rehearsal.accept(&mut Actor::idle()).unwrap();
    let block: Arc<[u8]> = pattern(1000, 5).into();
    assert_ne!(rehearsal.net().send_shared_range(id, &block, 500..1000), Flow::Gone);
    rehearsal.net().send_shared_range(id, &block, 500..1001);
}
