//! Tests that `on_writable` comes exactly once for each time that a full send or the handler asked for `on_writable`.

use std::{
    cell::Cell, io::ErrorKind, io::Read, io::Write, net::Shutdown, rc::Rc, time::Duration, time::Instant,
};

use tidegate::{Conn, Flow, Options, testing::Rehearsal};

use crate::support::{
    Actor, Call, End, Host, Recorder, connect, connect_narrow, id_of, next, read_out,
    script::{Script, Told},
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);

type Ask = fn(&mut Conn<'_>);

/// The calls that arrange an `on_writable`, while the peer takes nothing.
const WAYS: [(&str, Ask); 4] = [
    ("Full", |conn| assert_eq!(conn.send_all(&[b'.'; 2000]), Flow::Full)),
    ("WouldBlock", |conn| {
        assert_eq!(conn.try_send(b".").unwrap_err().kind(), ErrorKind::WouldBlock);
    }),
    ("notify_writable", |conn| {
        assert_eq!(conn.send_all(&[b'.'; 1000]), Flow::Open);
        conn.notify_writable();
    }),
    ("all three", |conn| {
        assert_eq!(conn.send_all(&[b'.'; 2000]), Flow::Full);
        assert_eq!(conn.try_send(b".").unwrap_err().kind(), ErrorKind::WouldBlock);
        conn.notify_writable();
    }),
];

#[test]
fn shutdown_write_does_not_cancel_an_owed_on_writable() {
    for (way, ask) in WAYS {
        for in_callback in [true, false] {
            let mut actor = Actor::with_conn(|conn, cue| {
                if *cue == Call::Data(b"go".to_vec()) {
                    ask(conn);
                    if in_callback {
                        conn.shutdown_write();
                    }
                }
            });
            let options = Options::default().high_water(2000).low_water(500);
            let mut rehearsal = Rehearsal::new(options);
            let client = rehearsal.accept(&mut actor).unwrap();
            rehearsal.capacity(client, 0);
            rehearsal.receive(&mut actor, client, b"go");
            if !in_callback {
                rehearsal.net().shutdown_write(client);
                rehearsal.settle(&mut actor);
            }
            if way != "WouldBlock" {
                assert_eq!(actor.count(&Call::Writable), 0, "{way}: the peer has taken nothing");
            }
            rehearsal.capacity(client, usize::MAX);
            rehearsal.settle(&mut actor);
            assert_eq!(actor.count(&Call::Writable), 1, "{way}, inside of the callback: {in_callback}");
            assert!(rehearsal.is_ended(client), "the end of file follows the bytes");

            // The connection is still read, and nothing arranges another call.
            rehearsal.receive(&mut actor, client, b"more");
            rehearsal.eof(&mut actor, client);
            assert_eq!(actor.count(&Call::Writable), 1, "{way}");
            assert!(!rehearsal.is_open(client), "both directions have ended");
        }
    }
}

#[test]
fn a_connection_shut_down_after_full_gets_its_on_writable() {
    let script = Script::default().on_data(move |conn, input, tell| {
        if conn.send_all(&vec![b'.'; 8 << 20]) == Flow::Full {
            tell.send(Told::Full(conn.queued()));
        }
        conn.shutdown_write();
        input.len()
    });
    let (server, told) = script.serve(Options::default().write_budget(64 << 20));
    let mut client = connect_narrow(server.address);
    client.write_all(b"go").unwrap();
    next(&told).open();
    let Told::Full(queued) = next(&told) else { panic!("the send did not return Full") };
    assert!(queued > 0);
    let (came, end) = read_out(&mut client);
    assert_eq!((came.len(), end), (8 << 20, End::Eof));
    let Told::Writable(queued) = next(&told) else {
        panic!("on_writable does not come before the end of file")
    };
    assert!(queued < 32 << 10, "{queued} bytes are above low water");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert_eq!(next(&told), Told::Eof(vec![]));
    server.stop();
}

#[test]
fn the_turn_that_begins_a_drain_calls_on_writable_once() {
    for client_is_waiting in [false, true] {
        let (mut host, now) = (Host::new(), Instant::now());
        let (mut reactor, at) = host.listening(.., Options::default());
        let mut left = 5;
        let mut recorder = Recorder::new(|net, id, who, call| {
            if *call == Call::Writable && who == 0 && left > 0 {
                left -= 1;
                net.conn(id).unwrap().notify_writable();
            }
        });
        let _client = connect(at);
        host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
        host.turn_until_quiet(&mut reactor, &mut recorder, now);
        let _waiting = client_is_waiting.then(|| connect(at));
        let id = id_of(reactor.net(), 0);
        reactor.net().conn(id).unwrap().notify_writable();
        reactor.net().drain(A_DAY);
        for turn in 1..=6 {
            assert!(!reactor.settle(&mut recorder, now).finished);
            let calls = recorder.count(&Call::Writable);
            assert_eq!(
                calls, turn,
                "one call in each turn, with the client in the backlog: {client_is_waiting}"
            );
        }
        reactor.settle(&mut recorder, now);
        assert_eq!(recorder.count(&Call::Writable), 6, "nothing arranged a seventh call");
        assert!(recorder.of(0).contains(&Call::Drain));
    }
}

/// Small sends of one callback are gathered. The gathered bytes may be more than the write budget of a turn.
#[test]
fn on_writable_comes_exactly_when_a_gathered_send_returned_full() {
    for pieces in 1..10 {
        let full = Rc::new(Cell::new(0));
        let mut actor = Actor::with_conn({
            let full = Rc::clone(&full);
            move |conn, cue| {
                if let Call::Data(_) = cue {
                    let flows: Vec<_> = (0..pieces).map(|_| conn.send_all(&[b'.'; 400])).collect();
                    assert!(flows.is_sorted(), "{flows:?}");
                    full.set(full.get() + usize::from(flows.contains(&Flow::Full)));
                }
            }
        });
        let mut rehearsal = Rehearsal::new(Options::default().write_budget(1000));
        let client = rehearsal.accept(&mut actor).unwrap();
        for _ in 0..3 {
            rehearsal.receive(&mut actor, client, b"go");
            assert_eq!(rehearsal.sent(client).len(), 400 * pieces);
            assert_eq!(actor.count(&Call::Writable), full.get(), "{pieces} pieces");
        }
        assert_eq!(full.get(), if pieces * 400 > 1000 { 3 } else { 0 }, "{pieces} pieces");
    }
}

#[test]
fn a_send_that_meets_a_spent_write_budget_is_full_and_is_answered_by_one_on_writable() {
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Data(_) = cue {
            assert_eq!(conn.send_all(&[b'.'; 10_000]), Flow::Full);
            assert_eq!(conn.send_all(b"and more"), Flow::Full);
        }
    });
    let mut rehearsal = Rehearsal::new(Options::default().write_budget(1000));
    let client = rehearsal.accept(&mut actor).unwrap();
    for calls in 1..=3 {
        rehearsal.receive(&mut actor, client, b"go");
        assert_eq!((rehearsal.sent(client).len(), actor.count(&Call::Writable)), (10_008, calls));
    }
}
