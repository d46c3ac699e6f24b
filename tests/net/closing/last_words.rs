//! Tests of a peer that sends bytes and then resets while the handler has paused reading. The handler gets these last bytes
//! at the resume, and then `on_close`.

use std::{
    io::{Read, Write},
    time::Duration,
};

use tidegate::{CloseKind, ConnId, EventLoop, Flow, Net, Options, testing::Rehearsal};

use crate::support::{
    self, Actor, Call, assert_same, connect_narrow,
    pair::{Pair, turn_until_quiet},
    pattern,
    proxy::Proxy,
    turn_until,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);
const RESET: Call = Call::Close(CloseKind::Reset);

/// How the reactor learns of a reset.
#[derive(Clone, Copy, PartialEq, Debug)]
enum By {
    Event,
    Send,
}

const BYS: [By; 2] = [By::Event, By::Send];

/// Returns a handler that consumes at most `portion` bytes in each `on_data`, and pauses reading after each `on_data`.
fn pausing<'a>(portion: usize) -> Actor<'a> {
    let mut actor = Actor::with_conn(|conn, cue| {
        if let Call::Data(_) = cue {
            conn.pause_reading();
        }
    });
    actor.portion = portion;
    actor
}

/// Returns all bytes that `on_data` consumed.
fn heard(actor: &Actor<'_>) -> Vec<u8> {
    let of_data = actor.notes.iter().filter_map(|note| match &note.call {
        Call::Data(bytes) => Some(bytes.clone()),
        _ => None,
    });
    of_data.flatten().collect()
}

/// Makes a loop with one connection, whose handler is [`pausing`].
fn paired<'a>(portion: usize) -> (EventLoop, Actor<'a>, Pair) {
    let (mut event_loop, mut actor) = (EventLoop::new(Options::default()).unwrap(), pausing(portion));
    let pair = Pair::adopted_by(event_loop.net(), ());
    turn_until_quiet(&mut event_loop, &mut actor);
    (event_loop, actor, pair)
}

/// Makes the reactor notice that the peer of a paused connection has reset the connection.
fn notice(event_loop: &mut EventLoop, actor: &mut Actor<'_>, id: ConnId, by: By) {
    if by == By::Send {
        event_loop.net().send_all(id, b"this send meets the reset");
        event_loop.flush();
    }
    turn_until_quiet(event_loop, actor);
}

#[test]
fn bytes_before_a_reset_are_delivered_at_the_resume_of_a_paused_connection() {
    for by in BYS {
        // The first portion decides where the other bytes wait: in the kernel, in the inbox, or in both places.
        for (first, second) in [(1, 1000), (1000, 0), (1000, 1000)] {
            let (mut event_loop, mut actor, pair) = paired(1);
            let (id, words) = (pair.id, pattern(first + second, 1));
            pair.send(&words[..first]);
            turn_until_quiet(&mut event_loop, &mut actor);
            assert_same(&heard(&actor), &words[..1]);
            if second > 0 {
                pair.send(&words[first..]);
            }
            let _socket = pair.reset();
            notice(&mut event_loop, &mut actor, id, by);
            assert!(!actor.has_heard(&RESET), "{by:?}, {first} + {second} bytes: the last bytes were lost");
            assert_same(&heard(&actor), &words[..1]);

            actor.portion = usize::MAX;
            while !actor.has_heard(&RESET) {
                let before = heard(&actor).len();
                event_loop.net().resume_reading(id);
                turn_until_quiet(&mut event_loop, &mut actor);
                assert!(
                    heard(&actor).len() > before || actor.has_heard(&RESET),
                    "the resume delivers nothing"
                );
            }
            assert_same(&heard(&actor), &words);
            assert_eq!(actor.of_id(id).last(), Some(&RESET));
            assert!(!actor.has_heard(&Call::Eof), "a reset is no end of file");
            assert_eq!((event_loop.net().stats().open, event_loop.net().stats().buffered), (0, 0));
        }
    }
}

#[test]
fn bytes_before_a_reset_are_delivered_with_pauses_in_between() {
    let mut actor = pausing(100);
    let mut rehearsal = Rehearsal::new(Options::default().read_buffer(300).read_budget(300));
    let client = rehearsal.accept(&mut actor).unwrap();
    let words = pattern(1000, 2);
    rehearsal.receive(&mut actor, client, &words);
    rehearsal.reset(&mut actor, client);
    for portions in 1..10 {
        assert_same(&heard(&actor), &words[..100 * portions]);
        rehearsal.advance(&mut actor, A_DAY); // No timeout ends a pause.
        assert_eq!(rehearsal.why(client), None, "after {portions} portions");
        rehearsal.net().resume_reading(client);
        rehearsal.settle(&mut actor);
    }
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut actor);
    assert_same(&heard(&actor), &words);
    assert_eq!(actor.of_id(client).last(), Some(&RESET));
}

#[test]
fn an_end_of_file_before_a_reset_does_not_hide_the_bytes_before_it() {
    for by in BYS {
        let (mut event_loop, mut actor, pair) = paired(usize::MAX);
        let id = pair.id;
        pair.send(b"one");
        turn_until_quiet(&mut event_loop, &mut actor);
        pair.send(b"two");
        pair.client.shutdown(std::net::Shutdown::Write).unwrap();
        let _socket = pair.reset();
        notice(&mut event_loop, &mut actor, id, by);
        assert!(!actor.has_heard(&RESET), "{by:?}: the last bytes were lost");
        for _ in 0..2 {
            event_loop.net().resume_reading(id);
            turn_until_quiet(&mut event_loop, &mut actor);
        }
        assert_same(&heard(&actor), b"onetwo");
        assert_eq!(actor.of_id(id).last(), Some(&RESET));
    }
}

#[test]
fn a_reset_without_bytes_before_it_shows_nothing_at_the_resume() {
    for by in BYS {
        let (mut event_loop, mut actor, pair) = paired(usize::MAX);
        let id = pair.id;
        event_loop.net().conn(id).unwrap().pause_reading();
        let _socket = pair.reset();
        notice(&mut event_loop, &mut actor, id, by);
        // The connection may have ended already, because no bytes wait for the resume.
        event_loop.net().resume_reading(id);
        turn_until_quiet(&mut event_loop, &mut actor);
        assert_eq!(actor.of_id(id), [Call::Open, RESET]);
    }
}

#[test]
fn a_reset_connection_that_waits_for_a_resume_takes_no_sends() {
    let mut actor = pausing(1);
    let mut rehearsal = Rehearsal::new(Options::default());
    let client = rehearsal.accept(&mut actor).unwrap();
    rehearsal.receive(&mut actor, client, b"words");
    rehearsal.reset(&mut actor, client);
    assert_eq!(rehearsal.net().send_all(client, b"too late"), Flow::Gone);
    actor.portion = usize::MAX;
    for _ in 0..2 {
        rehearsal.net().resume_reading(client);
        rehearsal.settle(&mut actor);
    }
    assert_same(&heard(&actor), b"words");
    assert_eq!(actor.of_id(client).last(), Some(&RESET));
}

#[test]
fn a_reset_connection_that_waits_for_a_resume_can_be_ended() {
    let ends: [fn(&mut Net, ConnId); 3] = [Net::close, Net::abort, |net, _| {
        net.drain(A_DAY);
        net.drain(A_DAY);
    }];
    for end in ends {
        let mut actor = pausing(1);
        let mut rehearsal = Rehearsal::new(Options::default());
        let client = rehearsal.accept(&mut actor).unwrap();
        rehearsal.receive(&mut actor, client, b"words");
        rehearsal.reset(&mut actor, client);
        assert_eq!(rehearsal.why(client), None);
        end(rehearsal.net(), client);
        rehearsal.settle(&mut actor);
        let life = [Call::Open, Call::Data(b"w".to_vec()), RESET];
        assert_eq!(actor.of_id(client), life, "the first reason was replaced");
        assert_eq!((rehearsal.net().stats().open, rehearsal.net().stats().buffered), (0, 0));
    }
}

#[test]
fn a_proxy_passes_on_the_answer_of_a_backend_that_resets() {
    for by in BYS {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = connect_narrow(listener.local_addr().unwrap());
        let at_proxy = listener.accept().unwrap().0;
        socket2::SockRef::from(&at_proxy).set_send_buffer_size(16 << 10).unwrap();
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        let (backend, to_backend) = support::pair::connected();
        let twin = to_backend.try_clone().unwrap();
        let end = |net: &mut Net, other, _| net.close(other);
        let (mut proxy, ids) = Proxy::between(event_loop.net(), at_proxy, to_backend, end);
        for id in ids {
            event_loop.net().conn(id).unwrap().pause_when_full(false); // The two directions are independent.
        }
        let [client_id, backend_id] = ids;
        turn_until_quiet(&mut event_loop, &mut proxy);

        // The client uploads and does not read. So a first answer fills the outbox of the client, and the proxy pauses the
        // backend.
        let upload = b"an upload";
        client.write_all(upload).unwrap();
        turn_until(&mut event_loop, &mut proxy, |_, net| net.stats().bytes_received == upload.len() as u64);
        let mut answer = pattern(1 << 20, 3);
        let mut sent = 0;
        turn_until(&mut event_loop, &mut proxy, |proxy, _| {
            let paused = proxy.act.paused == Some(backend_id);
            if !paused && sent < answer.len() {
                let chunk = &answer[sent..answer.len().min(sent + (16 << 10))];
                (&backend).write_all(chunk).unwrap();
                sent += chunk.len();
            }
            paused
        });
        let unread = sent + upload.len() - event_loop.net().stats().bytes_received as usize;
        let words = b"413 Content Too Large\r\n";
        (&backend).write_all(words).unwrap();
        support::pair::await_arrival(&twin, unread + words.len());
        answer.truncate(sent);
        answer.extend_from_slice(words);
        support::reset(backend);
        if by == By::Send {
            client.write_all(b"and more of the upload").unwrap();
        }
        turn_until_quiet(&mut event_loop, &mut proxy);

        client.set_nonblocking(true).unwrap();
        let (mut came, mut chunk) = (Vec::new(), vec![0; 16 << 10]);
        turn_until_read(&mut event_loop, &mut proxy, |proxy| {
            match client.read(&mut chunk) {
                Ok(0) => return true,
                Ok(n) => came.extend_from_slice(&chunk[..n]),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{:?}", proxy.ends()),
            }
            false
        });
        assert_same(&came, &answer);
        assert_eq!(proxy.of_id(backend_id).last(), Some(&RESET));
        assert_eq!(proxy.of_id(client_id).last(), Some(&Call::Close(CloseKind::Closed)));
        assert_eq!(proxy.ends(), [CloseKind::Reset, CloseKind::Closed]);
    }
}

/// Makes turns that do not wait, and calls `done` between them.
fn turn_until_read(event_loop: &mut EventLoop, proxy: &mut Proxy, mut done: impl FnMut(&Proxy) -> bool) {
    let end = std::time::Instant::now() + support::PATIENCE;
    while !done(proxy) {
        assert!(
            std::time::Instant::now() < end,
            "the connection of the client does not end: {:?}",
            proxy.ends()
        );
        event_loop.turn(proxy, Some(Duration::ZERO)).unwrap();
        std::thread::yield_now();
    }
}
