//! Tests of connections that the handler ends: each connection gets one `on_close` with its session, and no other callback
//! after the call that ended the connection.

use std::{
    collections::HashSet,
    io::{self, Write},
    net::Shutdown,
    time::Instant,
};

use tidegate::{CloseKind, ConnId, Flow, Net, Options};

use crate::support::{
    Call, End, Host, Recorder, connect, connect_open, id_of, is_due, listening, read_out, turn_until,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Close,
    Abort,
}

const HOWS: [How; 2] = [How::Close, How::Abort];

impl How {
    fn end(self, net: &mut Net<u32>, id: ConnId) {
        match self {
            How::Close => net.close(id),
            How::Abort => net.abort(id),
        }
    }

    fn kind(self) -> CloseKind {
        match self {
            How::Close => CloseKind::Closed,
            How::Abort => CloseKind::Aborted,
        }
    }

    fn seen_as(self) -> End {
        match self {
            How::Close => End::Eof,
            How::Abort => End::of_abort(),
        }
    }
}

#[test]
fn a_connection_that_ends_itself_in_a_callback_gets_only_on_close_after_that() {
    let calls = [Call::Open, Call::Writable, Call::Data(b"request".to_vec()), Call::Eof];
    for how in HOWS {
        for (n, trigger) in calls.iter().enumerate() {
            let (mut event_loop, at) = listening(Options::default());
            let mut recorder = Recorder::new(|net, id, who, call| {
                if who == 0 && *call == Call::Open {
                    net.conn(id).unwrap().notify_writable();
                }
                if who == 0 && call.is_a(trigger) {
                    how.end(net, id);
                    let mut conn = net.conn(id).expect("the connection exists until on_close");
                    assert_eq!((*conn.session(), conn.id()), (0, id));
                    // None of these calls makes another callback come.
                    conn.notify_writable();
                    conn.resume_reading();
                    conn.shutdown_write();
                    assert_eq!(conn.send_all(b"late"), Flow::Gone);
                }
            });
            let mut client = connect(at);
            client.write_all(b"request").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            turn_until(&mut event_loop, &mut recorder, |recorder, net| {
                recorder.has_closed(0) && net.stats().open == 0
            });
            assert_eq!(read_out(&mut client), (vec![], how.seen_as()), "{how:?} in {trigger:?}");

            // When the bytes of a second connection have come, all events of the first connection have come as well.
            let mut second = connect_open(&mut event_loop, at, &mut recorder, 1).remove(0);
            second.write_all(b"hello").unwrap();
            let heard = Call::Data(b"hello".to_vec());
            turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.of(1).contains(&heard));
            let mut expected = calls[..=n].to_vec();
            // A close after the end of file of the peer ends with the reason `Eof`.
            let is_both = how == How::Close && *trigger == Call::Eof;
            expected.push(Call::Close(if is_both { CloseKind::Eof } else { how.kind() }));
            assert_eq!(recorder.of(0), expected);
            assert_eq!(event_loop.net().stats().closed, 1);
        }
    }
}

#[test]
fn input_received_before_a_close_or_abort_is_not_shown_after_it() {
    for how in HOWS {
        let (mut event_loop, at) = listening(Options::default());
        let mut recorder = Recorder::new(|net, id, _, call| {
            if *call == Call::Data(b"3".to_vec()) {
                how.end(net, id);
            }
        });
        recorder.portion = 1;
        let mut client = connect_open(&mut event_loop, at, &mut recorder, 1).remove(0);
        client.write_all(b"12345").unwrap();
        turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(0));
        assert_eq!(recorder.count(&Call::Data(vec![])), 3, "{:?}", recorder.calls());
        assert_eq!(read_out(&mut client), (vec![], how.seen_as()));
    }
}

#[test]
fn a_close_that_takes_many_turns_makes_no_callback_but_on_close() {
    let (mut event_loop, at) = listening(Options::default().write_budget(4096));
    let mut recorder = Recorder::new(|net, id, _, call| {
        if let Call::Data(_) = call {
            assert_eq!(
                net.send_all(id, &[1; 200_000]),
                Flow::Full,
                "the send returned Full, so on_writable would follow without the close"
            );
            net.close(id);
            net.conn(id).unwrap().notify_writable();
        }
    });
    let mut client = connect_open(&mut event_loop, at, &mut recorder, 1).remove(0);
    client.write_all(b"go").unwrap();
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.of(0).len() == 2);
    // The connection still exists, and the host asks for input and `on_writable`.
    let id = id_of(event_loop.net(), 0);
    event_loop.net().resume_reading(id);
    event_loop.net().conn(id).unwrap().notify_writable();
    client.write_all(b"more").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let reader = std::thread::spawn(move || read_out(&mut client));
    turn_until(&mut event_loop, &mut recorder, |_, net| net.stats().open == 0);
    assert_eq!(reader.join().unwrap(), (vec![1; 200_000], End::Eof));
    let life = [Call::Open, Call::Data(b"go".to_vec()), Call::Close(CloseKind::Closed)];
    assert_eq!(recorder.of(0), life);
}

/// The numbers of the two connections, in the order in which they connect.
const VICTIM: u32 = 0;
const OTHER: u32 = 1;

#[test]
fn a_connection_that_another_connection_ends_gets_only_on_close_after_that() {
    let triggers = [Call::Open, Call::Writable, Call::Data(vec![]), Call::Eof];
    for (how, trigger) in HOWS.iter().flat_map(|how| triggers.iter().map(move |trigger| (*how, trigger))) {
        for victim_is_first in [false, true] {
            let (mut host, now) = (Host::new(), Instant::now());
            let (mut reactor, at) = host.listening(.., Options::default());
            let mut marked = false;
            let mut recorder = Recorder::new(|net, _, who, call| {
                assert!(
                    who != VICTIM || !marked || matches!(call, Call::Close(_)),
                    "{call:?} after the close or abort"
                );
                if who == OTHER && call.is_a(trigger) {
                    how.end(net, id_of(net, VICTIM));
                    marked = true;
                }
            });

            let mut victim = connect(at);
            host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(VICTIM));
            let mut other = None;
            if *trigger != Call::Open {
                other = Some(connect(at));
                host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(OTHER));
            }
            host.turn_until_quiet(&mut reactor, &mut recorder, now);
            // Both connections have an event in one batch, in either order.
            let mut events = Vec::new();
            match trigger {
                Call::Writable => {
                    let id = id_of(reactor.net(), OTHER);
                    reactor.net().conn(id).unwrap().notify_writable();
                }
                Call::Open => other = Some(connect(at)),
                Call::Eof => other.as_ref().unwrap().shutdown(Shutdown::Write).unwrap(),
                _ => other.as_ref().unwrap().write_all(b"x").unwrap(),
            }
            if *trigger != Call::Writable {
                events = host.collect(1);
            }
            victim.write_all(b"to be heard or not").unwrap();
            let of_victim = host.collect(1);
            events.splice(if victim_is_first { 0..0 } else { events.len()..events.len() }, of_victim);
            events.iter().for_each(|event| assert!(reactor.handle(event)));
            host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_closed(VICTIM));

            // A source that was queued between the turns comes first, whatever the order of the events.
            let heard = victim_is_first && *trigger != Call::Writable;
            let data = heard.then(|| Call::Data(b"to be heard or not".to_vec()));
            let expected: Vec<_> = [Call::Open].into_iter().chain(data).collect();
            assert_eq!(recorder.of(VICTIM), [expected, vec![Call::Close(how.kind())]].concat());
            assert_eq!(read_out(&mut victim).1, how.seen_as(), "{how:?} by another's {trigger:?}");
            assert!(!recorder.has_closed(OTHER));
            drop((victim, other));
            host.turn_until(&mut reactor, &mut recorder, now, |recorder, net| {
                // The connection stays open after the end of file, because the handler does not close it.
                recorder.of(OTHER).contains(&Call::Eof) && net.stats().open == 1
            });
        }
    }
}

#[test]
fn sends_after_a_close_return_gone_and_are_counted() {
    let (mut event_loop, at) = listening(Options::default());
    let mut ended = None;
    let mut recorder = Recorder::new(|net, id, _, call| match call {
        Call::Data(_) => {
            assert_eq!(net.send_all(id, b"before"), Flow::Open);
            net.close(id);
            let before = net.stats().sends_discarded;
            let mut conn = net.conn(id).unwrap();
            assert_eq!(conn.send_all(b"after"), Flow::Gone);
            assert_eq!(write!(conn, "after"), Flow::Gone);
            let (_, mut out) = conn.split();
            assert_eq!(out.send_all(b"after"), Flow::Gone);
            assert_eq!(io::Write::write(&mut out, b"after").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(net.stats().sends_discarded, before + 4);
            let error = net.conn(id).unwrap().try_send(b"after").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
        Call::Close(_) => {
            let before = net.stats().sends_discarded;
            assert_eq!(net.send_all(id, b"after"), Flow::Gone);
            assert_eq!(net.stats().sends_discarded, before + 1);
            ended = Some(id);
        }
        _ => {}
    });
    let mut client = connect(at);
    client.write_all(b"request").unwrap();
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(0));
    assert_eq!(read_out(&mut client), (b"before".to_vec(), End::Eof));
    drop(recorder);
    assert_eq!(event_loop.net().send_all(ended.unwrap(), b"long after"), Flow::Gone);
}

#[test]
fn each_on_close_may_end_another_connection() {
    let (mut event_loop, at) = listening(Options::default());
    let mut recorder = Recorder::new(|net, id, who, call| match call {
        Call::Data(_) => net.close(id),
        Call::Close(_) if who + 1 < 20 => {
            let next = id_of(net, who + 1);
            HOWS[who as usize % 2].end(net, next);
        }
        _ => {}
    });
    let mut clients = connect_open(&mut event_loop, at, &mut recorder, 20);
    clients[0].write_all(b"go").unwrap();
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(19));
    let closed: Vec<_> = recorder
        .notes
        .iter()
        .filter(|note| matches!(note.call, Call::Close(_)))
        .map(|note| note.who)
        .collect();
    assert!(closed.iter().copied().eq(0..20), "{closed:?}");
    for (n, client) in clients.iter_mut().enumerate().skip(1) {
        assert_eq!(read_out(client), (vec![], HOWS[(n - 1) % 2].seen_as()));
    }
}

#[test]
fn the_first_reason_is_kept() {
    for (first, then) in [(How::Close, How::Abort), (How::Abort, How::Close)] {
        let (mut event_loop, at) = listening(Options::default());
        let mut recorder = Recorder::new(|net, id, _, call| {
            if let Call::Data(_) = call {
                first.end(net, id);
                then.end(net, id);
            }
        });
        let mut client = connect_open(&mut event_loop, at, &mut recorder, 1).remove(0);
        client.write_all(b"go").unwrap();
        turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_closed(0));
        assert_eq!(recorder.of(0).last(), Some(&Call::Close(first.kind())));
        assert_eq!(read_out(&mut client).1, End::of_abort(), "{first:?}, {then:?}");
        assert_eq!(event_loop.net().stats().open, 0);
    }
}

#[test]
fn one_callback_can_close_all_connections() {
    let (mut event_loop, at) = listening(Options::default());
    let mut recorder = Recorder::new(|net, _, _, call| {
        if let Call::Data(_) = call {
            let mut seen = HashSet::new();
            net.for_each(|conn| {
                assert!(seen.insert(*conn.session()));
                conn.send_all(b"bye");
                conn.close();
            });
            assert_eq!(seen.len(), 20);
        }
    });
    let mut clients = connect_open(&mut event_loop, at, &mut recorder, 20);
    clients[7].write_all(b"go").unwrap();
    let all_closed = Call::Close(CloseKind::Closed);
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.count(&all_closed) == 20);
    assert_eq!(recorder.notes.len(), 20 + 1 + 20, "{:?}", recorder.calls());
    for client in &mut clients {
        assert_eq!(read_out(client), (b"bye".to_vec(), End::Eof));
    }
    drop(clients);
    turn_until(&mut event_loop, &mut recorder, |_, net| net.stats().open == 0);
}

#[test]
fn a_close_reads_on_beyond_the_read_budget_without_waiting_for_an_event() {
    // The input takes twenty turns, and the answer takes one or five. The linger time does not pass in this test, so only
    // reading to the end of file of the peer ends this connection.
    for write_budget in [1 << 20, 2000] {
        let options = Options::default().read_buffer(1000).read_budget(1000).write_budget(write_budget);
        let (mut host, now) = (Host::new(), Instant::now());
        let (mut reactor, at) = host.listening(.., options);
        let mut recorder = Recorder::new(|net, id, _, call| {
            if let Call::Data(_) = call {
                net.send_all(id, &[1; 10_000]);
                net.close(id);
            }
        });
        let mut client = connect(at);
        client.write_all(&[0; 20_000]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
        // All bytes have come when an event reports the end of file. The test must not depend on a further event.
        let mut has_ended = false;
        while !has_ended {
            for event in host.collect(1) {
                has_ended |= event.is_read_closed();
                assert!(reactor.handle(&event));
            }
        }
        while is_due(&reactor, now) {
            reactor.settle(&mut recorder, now);
        }
        assert!(recorder.has_closed(0));
        assert_eq!(
            reactor.net().stats().open,
            0,
            "the connection lingers although an event has announced the remaining input"
        );
        assert_eq!(read_out(&mut client), (vec![1; 10_000], End::Eof));
    }
}
