//! Tests of a detach in each callback, and in a walk over the connections: the turn goes on, and no callback follows.

use tidegate::{Detached, Flow, Options, testing::Rehearsal};

use crate::support::{Actor, Call, turn_until, turn_until_quiet};

/// Detaches the connection in the first call of `cue`, after it has sent bytes.
fn detaching(cue: Call, into: &mut Vec<Detached>) -> Actor<'_> {
    Actor::with_conn(move |conn, call| {
        if call.is_a(&cue) && into.is_empty() {
            conn.send_all(b"before");
            into.push(conn.detach());
            assert_eq!(conn.send_all(b"after"), Flow::Gone);
            conn.pause_reading();
            conn.resume_reading();
            conn.notify_writable();
            conn.set_deadline(conn.now());
            conn.set_idle_timeout(None);
            conn.set_timeout(conn.now(), 9);
            conn.shutdown_write();
            conn.close();
            conn.abort();
            assert!(conn.try_send(b"after").is_err());
            assert!(conn.is_closing() && conn.peer().is_err() && conn.unconsumed().is_empty());
            assert_eq!(conn.queued(), 0);
            let id = conn.id();
            assert!(conn.net().conn(id).is_none());
        }
    })
}

#[test]
fn a_connection_may_be_detached_in_each_of_its_callbacks() {
    let cues = [Call::Open, Call::Data(vec![]), Call::Writable, Call::Eof, Call::Timeout(0), Call::Drain];
    for cue in cues {
        let mut into = Vec::new();
        let mut rehearsal = Rehearsal::new(Options::default());
        let mut actor = detaching(cue.clone(), &mut into);
        let client = rehearsal.accept(&mut actor).unwrap();
        let now = rehearsal.net().now();
        rehearsal.net().set_timeout(client, now, 1);
        rehearsal.net().notify_writable(client);
        rehearsal.receive(&mut actor, client, b"input");
        if cue == Call::Drain {
            rehearsal.net().drain(std::time::Duration::from_secs(1));
        }
        rehearsal.eof(&mut actor, client);
        rehearsal.advance(&mut actor, std::time::Duration::from_secs(60));
        let calls = actor.of_id(client);
        assert!(calls.last().unwrap().is_a(&cue), "a call follows {cue:?}: {calls:?}");
        drop(actor);
        assert_eq!(rehearsal.sent(client), b"before");
        assert!(!rehearsal.is_ended(client), "the stream is open for its next owner");
        let stats = rehearsal.net().stats();
        assert_eq!((stats.open, stats.detached, stats.closed, stats.buffered), (0, 1, 0, 0), "{cue:?}");
        assert_eq!(stats.sends_discarded, 0, "a send to a connection that has left is nobody's loss");
        // The next owner serves the connection with all that belongs to it.
        let mut next = Actor::idle();
        let id = rehearsal.net().attach(into.remove(0)).unwrap();
        rehearsal.settle(&mut next);
        assert_eq!(next.of_id(id)[0], Call::Open);
        assert!(next.of_id(id).contains(&Call::Eof));
    }
}

#[test]
fn input_that_on_data_puts_back_is_shown_to_the_next_handler_first() {
    let mut rehearsal = Rehearsal::new(Options::default());
    let mut into = Vec::new();
    let mut sorter = Actor::idle().with_data(|conn, input| {
        if input.len() < 8 {
            return 0;
        }
        let mut detached = conn.detach();
        assert_eq!(detached.received(), b"");
        detached.put_back(b"back ");
        detached.put_back(&input[4..]);
        into.push(detached);
        3 // does not matter
    });
    let client = rehearsal.accept(&mut sorter).unwrap();
    rehearsal.receive(&mut sorter, client, b"head");
    rehearsal.receive(&mut sorter, client, b"rest");
    drop(sorter);
    let mut next = Actor::idle();
    let id = rehearsal.net().attach(into.remove(0)).unwrap();
    rehearsal.settle(&mut next);
    rehearsal.receive(&mut next, client, b"later");
    rehearsal.net().resume_reading(id);
    rehearsal.settle(&mut next);
    assert_eq!(next.of_id(id)[..2], [Call::Open, Call::Data(b"restback ".to_vec())]);
}

#[test]
fn a_walk_over_the_connections_reaches_each_once_although_some_are_detached() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), Actor::idle());
    let clients: Vec<_> = (0..10).map(|_| rehearsal.accept(&mut actor).unwrap()).collect();
    let (mut reached, mut gone) = (Vec::new(), Vec::new());
    rehearsal.net().for_each(|conn| {
        reached.push(conn.id());
        if reached.len() % 3 == 1 {
            gone.push(conn.detach());
        }
        if reached.len() == 2 {
            gone.extend(conn.net().detach(clients[9]));
        }
    });
    assert_eq!((reached.len(), gone.len()), (9, 4));
    assert_eq!(rehearsal.net().sessions().count(), 6);
    rehearsal.settle(&mut actor);
    let mut left = Vec::new();
    rehearsal.net().for_each(|conn| left.push(conn.id()));
    assert_eq!(left.len(), 6);
    // The slots are used again, and the old ids name nothing.
    let newcomers: Vec<_> = (0..4).map(|_| rehearsal.accept(&mut actor).unwrap()).collect();
    assert!(newcomers.iter().all(|id| !clients.contains(id)));
    assert_eq!(rehearsal.net().stats().open, 10);
    assert!(rehearsal.net().conn(clients[9]).is_none());
}

#[test]
#[should_panic(expected = "detached")]
fn the_session_of_a_detached_connection_cannot_be_asked_for() {
    let (mut rehearsal, mut actor) = (Rehearsal::new(Options::default()), Actor::idle());
    let client = rehearsal.accept(&mut actor).unwrap();
    let mut conn = rehearsal.net().conn(client).unwrap();
    let _detached = conn.detach();
    conn.session();
}

#[test]
fn a_detach_makes_room_for_a_client_in_the_backlog() {
    use crate::support::{connect, listening};

    let (mut event_loop, at) = listening(Options::default().max_connections(1));
    let mut actor = Actor::idle();
    let _clients = [connect(at), connect(at)];
    turn_until(&mut event_loop, &mut actor, |actor, _| actor.has_heard(&Call::Open));
    turn_until_quiet(&mut event_loop, &mut actor);
    assert_eq!(event_loop.net().stats().accepted, 1);
    let id = actor.notes[0].id.unwrap();
    let _first = event_loop.net().detach(id).unwrap();
    turn_until(&mut event_loop, &mut actor, |_, net| net.stats().accepted == 2);
}
