//! Tests of `testing::Rehearsal` itself: the actions of its peer, and its view of the connection.

use std::{cell::Cell, time::Duration};

use tidegate::{
    Accepted, CloseKind, Conn, ConnId, DatagramOptions, Flow, Handler, Net, Options, testing::Rehearsal,
};

use crate::support::{
    Actor, Call, assert_same,
    datagrams::{Post, bind, client},
    pattern,
};

const SECOND: Duration = Duration::from_secs(1);

fn rehearse(actor: &mut Actor<'_>) -> (Rehearsal, ConnId) {
    let mut rehearsal = Rehearsal::new(Options::default());
    let client = rehearsal.accept(actor).unwrap();
    (rehearsal, client)
}

#[test]
fn a_client_that_the_handler_turns_away_gets_no_id() {
    let mut actor = Actor::idle();
    actor.accepts = false;
    let mut rehearsal = Rehearsal::new(Options::default());
    assert_eq!(rehearsal.accept(&mut actor), None);
    assert_eq!(actor.take_calls(), []);
    assert_eq!((rehearsal.net().stats().refused_handler, rehearsal.net().stats().open), (1, 0));
    actor.accepts = true;
    let client = rehearsal.accept(&mut actor).unwrap();
    assert!(rehearsal.is_open(client) && !rehearsal.is_ended(client));
    assert_eq!(actor.of_id(client), [Call::Open]);
}

#[test]
fn bytes_come_in_the_portions_that_the_test_makes() {
    let message = pattern(10_000, 1);
    for portion in [1, 7, 4096, 10_000] {
        let mut actor = Actor::echo();
        let (mut rehearsal, client) = rehearse(&mut actor);
        let mut back = Vec::new();
        for part in message.chunks(portion) {
            rehearsal.receive(&mut actor, client, part);
            assert_eq!(actor.notes.last().unwrap().call, Call::Data(part.to_vec()));
            back.extend(rehearsal.sent(client));
        }
        assert_same(&back, &message);
        assert_eq!(actor.notes.len(), 1 + message.len().div_ceil(portion));
    }
}

#[test]
fn one_portion_is_cut_by_the_read_buffer_and_read_to_its_end() {
    let mut actor = Actor::echo();
    let mut rehearsal = Rehearsal::new(Options::default().read_buffer(1000).read_budget(1));
    let client = rehearsal.accept(&mut actor).unwrap();
    let message = pattern(10_500, 2);
    rehearsal.receive(&mut actor, client, &message);
    assert_same(&rehearsal.sent(client), &message);
    assert_eq!(actor.of_id(client).len(), 1 + 11);
}

#[test]
fn sent_returns_each_byte_once() {
    let mut actor = Actor::echo();
    let (mut rehearsal, client) = rehearse(&mut actor);
    rehearsal.receive(&mut actor, client, b"one");
    rehearsal.receive(&mut actor, client, b"two");
    assert_eq!(rehearsal.sent(client), b"onetwo");
    assert_eq!(rehearsal.sent(client), b"");
}

#[test]
fn bytes_and_ends_of_one_client_do_not_reach_another_client() {
    let mut actor = Actor::echo();
    let mut rehearsal = Rehearsal::new(Options::default());
    let clients = [(); 3].map(|()| rehearsal.accept(&mut actor).unwrap());
    for (client, message) in clients.iter().zip([b"a", b"b", b"c"]) {
        rehearsal.receive(&mut actor, *client, message);
    }
    assert_eq!(clients.map(|client| rehearsal.sent(client)), [b"a", b"b", b"c"]);
    rehearsal.eof(&mut actor, clients[1]);
    assert_eq!(clients.map(|client| rehearsal.is_open(client)), [true, false, true]);
    assert_eq!(clients.map(|client| rehearsal.why(client)), [None, Some(CloseKind::Eof), None]);
}

#[test]
fn an_end_of_file_comes_after_the_bytes_before_it() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if *cue == Call::Eof {
            conn.send_all(b"bye");
            conn.close();
        }
    });
    let (mut rehearsal, client) = rehearse(&mut actor);
    rehearsal.net().conn(client).unwrap().pause_reading();
    rehearsal.receive(&mut actor, client, b"last");
    rehearsal.eof(&mut actor, client);
    assert_eq!(actor.of_id(client), [Call::Open], "reading is paused");
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut actor);
    let life = [Call::Open, Call::Data(b"last".to_vec()), Call::Eof, Call::Close(CloseKind::Eof)];
    assert_eq!(actor.of_id(client), life);
    assert_eq!(rehearsal.sent(client), b"bye");
    assert!(rehearsal.is_ended(client) && !rehearsal.is_reset(client));
    assert_eq!(rehearsal.net().stats().open, 0, "the connection lingers although the peer has ended");
}

#[test]
fn a_reset_ends_the_connection_after_the_bytes_before_it() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor);
    // Reading is paused while the outbox is full, so the input is unread when the reset comes.
    rehearsal.capacity(client, 0);
    rehearsal.net().send_all(client, &[b'.'; 100 << 10]);
    rehearsal.settle(&mut actor);
    rehearsal.receive(&mut actor, client, b"last words");
    assert_eq!(actor.of_id(client), [Call::Open]);
    rehearsal.reset(&mut actor, client);
    let life = [Call::Open, Call::Data(b"last words".to_vec()), Call::Close(CloseKind::Reset)];
    assert_eq!(actor.of_id(client), life);
    assert_eq!(rehearsal.why(client), Some(CloseKind::Reset));
    assert!(rehearsal.is_ended(client));
    assert!(!rehearsal.is_reset(client), "the reset of the peer counts as a reset by this side");
}

#[test]
fn a_reset_of_a_connection_that_is_not_being_read_waits_for_the_resume() {
    let mut actor = Actor::idle();
    let (mut rehearsal, client) = rehearse(&mut actor);
    rehearsal.net().conn(client).unwrap().pause_reading();
    rehearsal.receive(&mut actor, client, b"not wanted now");
    rehearsal.reset(&mut actor, client);
    assert_eq!(actor.of_id(client), [Call::Open]);
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut actor);
    let words = Call::Data(b"not wanted now".to_vec());
    assert_eq!(actor.of_id(client), [Call::Open, words, Call::Close(CloseKind::Reset)]);
}

#[test]
fn a_reset_between_messages_is_closed_once() {
    let mut actor = Actor::echo();
    let (mut rehearsal, client) = rehearse(&mut actor);
    rehearsal.reset(&mut actor, client);
    rehearsal.reset(&mut actor, client);
    assert_eq!(actor.of_id(client), [Call::Open, Call::Close(CloseKind::Reset)]);
}

#[test]
fn the_peer_takes_as_many_bytes_as_capacity_allows() {
    let mut actor = Actor::echo();
    let (mut rehearsal, client) = rehearse(&mut actor);
    rehearsal.capacity(client, 0);
    rehearsal.receive(&mut actor, client, b"0123456789");
    assert_eq!(rehearsal.sent(client), b"");
    assert_eq!(rehearsal.net().conn(client).unwrap().queued(), 10);
    for (capacity, expected) in [(3, b"012".as_slice()), (0, b""), (1, b"3")] {
        rehearsal.capacity(client, capacity);
        rehearsal.settle(&mut actor);
        assert_eq!(rehearsal.sent(client), expected);
        rehearsal.settle(&mut actor);
        assert_eq!(rehearsal.sent(client), b"", "the peer took more than its capacity");
    }
    rehearsal.capacity(client, usize::MAX);
    rehearsal.settle(&mut actor);
    assert_eq!(rehearsal.sent(client), b"456789");
    rehearsal.receive(&mut actor, client, &[b'.'; 1 << 20]);
    assert_eq!(rehearsal.sent(client).len(), 1 << 20, "the peer does not take everything");
    assert_eq!(rehearsal.net().stats().buffered, 0);
}

#[test]
fn a_peer_with_room_again_causes_on_writable() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if *cue == Call::Writable {
            conn.send_all(b"and more");
        }
    });
    let (mut rehearsal, client) = rehearse(&mut actor);
    rehearsal.capacity(client, 0);
    assert_eq!(rehearsal.net().send_all(client, &[b'.'; 100 << 10]), Flow::Full);
    rehearsal.settle(&mut actor);
    assert_eq!(actor.of_id(client), [Call::Open]);
    rehearsal.capacity(client, 70 << 10);
    rehearsal.settle(&mut actor);
    assert_eq!(
        actor.of_id(client),
        [Call::Open, Call::Writable],
        "on_writable does not come below low water"
    );
    rehearsal.capacity(client, usize::MAX);
    rehearsal.settle(&mut actor);
    assert!(rehearsal.sent(client).ends_with(b"...and more"));
}

#[test]
fn sent_bytes_and_the_close_reason_can_be_read_after_the_end() {
    type End = fn(&mut Conn<'_>);
    let ends: [(End, CloseKind, bool); 2] =
        [(|conn| conn.close(), CloseKind::Closed, false), (|conn| conn.abort(), CloseKind::Aborted, true)];
    for (end, why, is_reset) in ends {
        let mut actor = Actor::with_conn(|conn, cue| {
            if let Call::Data(_) = cue {
                end(conn);
            }
        });
        let (mut rehearsal, client) = rehearse(&mut actor);
        rehearsal.net().send_all(client, b"before");
        rehearsal.settle(&mut actor);
        assert_eq!((rehearsal.is_open(client), rehearsal.why(client)), (true, None));
        assert!(!rehearsal.is_ended(client) && !rehearsal.is_reset(client));
        rehearsal.receive(&mut actor, client, b"go");
        assert_eq!((rehearsal.is_open(client), rehearsal.why(client)), (false, Some(why)));
        assert_eq!((rehearsal.is_ended(client), rehearsal.is_reset(client)), (true, is_reset));
        assert_eq!(rehearsal.sent(client), b"before");
        // Further actions of the peer have no effect.
        rehearsal.receive(&mut actor, client, b"hello?");
        rehearsal.eof(&mut actor, client);
        rehearsal.reset(&mut actor, client);
        assert_eq!(actor.of_id(client).last(), Some(&Call::Close(why)));
        assert_eq!((rehearsal.why(client), rehearsal.sent(client)), (Some(why), vec![]));
    }
}

#[test]
fn the_clock_of_a_rehearsal_moves_only_with_advance() {
    let mut actor = Actor::idle();
    let mut rehearsal = Rehearsal::new(Options::default());
    let begin = rehearsal.net().now();
    assert_eq!(rehearsal.net().now(), begin, "the time passes by itself");
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.receive(&mut actor, client, b"hello");
    assert_eq!(rehearsal.net().now(), begin);
    rehearsal.advance(&mut actor, 3 * SECOND);
    assert_eq!(rehearsal.net().now(), begin + 3 * SECOND);
    rehearsal.advance(&mut actor, Duration::ZERO);
    assert_eq!(rehearsal.net().now(), begin + 3 * SECOND);
}

#[test]
fn time_passes_from_one_deadline_to_the_next() {
    let mut actor = Actor::idle().with_net(|net, cue| {
        if let Call::Timer(tag) = cue {
            net.set_timer(net.now() + SECOND, tag + 1);
        }
    });
    let mut rehearsal = Rehearsal::new(Options::default());
    rehearsal.settle(&mut actor);
    let begin = rehearsal.net().now();
    rehearsal.net().set_timer(begin + SECOND, 1);
    rehearsal.advance(&mut actor, 5 * SECOND);
    let times: Vec<_> = actor.notes.iter().map(|note| note.at - begin).collect();
    assert_eq!(times, [1, 2, 3, 4, 5].map(|n| n * SECOND), "a timer at the end of the advance fires as well");
    rehearsal.advance(&mut actor, SECOND / 2);
    assert_eq!((actor.notes.len(), rehearsal.net().now()), (5, begin + 11 * SECOND / 2));
}

#[test]
fn the_handler_may_differ_in_each_call_and_be_a_trait_object() {
    struct Adds<'a>(&'a Cell<u32>);
    impl Handler for Adds<'_> {
        type Session = u32;

        fn on_accept(&mut self, _net: &mut Net<u32>, _from: &Accepted) -> Option<u32> {
            Some(self.0.get())
        }

        fn on_data(&mut self, conn: &mut Conn<'_, u32>, input: &[u8]) -> usize {
            *conn.session() += self.0.get();
            input.len()
        }
    }
    let total = Cell::new(1);
    let mut rehearsal = Rehearsal::<u32>::new(Options::default());
    let client = rehearsal.accept(&mut Adds(&total)).unwrap();
    total.set(41);
    let handler: &mut dyn Handler<Session = u32> = &mut Adds(&total);
    rehearsal.receive(handler, client, b"go");
    assert_eq!(rehearsal.net().session(client), Some(&mut 42));
}

#[test]
#[should_panic(expected = "does not come to rest")]
fn a_handler_that_makes_endless_work_causes_a_panic() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Open | Call::Writable = cue {
            conn.notify_writable();
        }
    });
    Rehearsal::new(Options::default()).accept(&mut actor);
}

#[test]
fn a_handler_is_told_of_the_datagrams_that_wait_when_a_drain_begins() {
    let mut post = Post::silent();
    let mut rehearsal = Rehearsal::new(Options::default());
    let (socket, at) = bind(rehearsal.net(), "127.0.0.1:0", DatagramOptions::default());
    client().send_to(b"hello", at).unwrap(); // On loopback, the datagram has arrived when the call returns.
    rehearsal.net().drain(SECOND);
    rehearsal.settle(&mut post);
    assert_eq!(post.of(socket), [b"hello"]);
}
