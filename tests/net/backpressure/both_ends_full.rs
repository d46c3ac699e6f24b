//! Tests of connections on which both ends send more than the kernel takes: whether the ends go on reading, and how
//! `pause_when_full` decides this.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    time::Instant,
};

use tidegate::{EventLoop, Flow, Options, Reactor};

use crate::support::{
    Act, Call, Host, PATIENCE, Recorder, address_of, assert_same, connect_narrow, id_of, listening,
    pair::{Pair, turn_until_quiet},
    pattern, turn_until,
};

/// A number of bytes that is more than the kernel takes while nobody reads.
const LEN: usize = 8 << 20;

const CALLER: u32 = 100;

/// Returns the bytes that were shown for one session.
fn heard<A: Act<u32>>(recorder: &Recorder<A>, who: u32) -> Vec<u8> {
    let pieces = recorder.notes.iter().filter_map(|note| match &note.call {
        Call::Data(bytes) if note.who == who => Some(bytes.as_slice()),
        _ => None,
    });
    pieces.collect::<Vec<_>>().concat()
}

#[test]
fn a_connection_whose_both_ends_are_full_does_not_deadlock() {
    let (mut event_loop, at) = listening(Options::default().write_budget(64 << 20));
    let mut recorder = Recorder::new(|net, id, who, call| {
        if *call == Call::Open {
            assert_eq!(net.conn(id).unwrap().send_all(&pattern(LEN, who.into())), Flow::Full);
        }
    });
    // Both ends are in one loop, and neither end reads before both have sent everything.
    event_loop.net().connect(address_of(at), CALLER);
    let (mut came, mut seen) = ([0; 2], 0);
    turn_until(&mut event_loop, &mut recorder, |recorder, _| {
        for note in &recorder.notes[seen..] {
            if let Call::Data(bytes) = &note.call {
                came[usize::from(note.who == CALLER)] += bytes.len();
            }
        }
        seen = recorder.notes.len();
        came == [LEN, LEN]
    });
    assert_same(&heard(&recorder, 0), &pattern(LEN, CALLER.into()));
    assert_same(&heard(&recorder, CALLER), &pattern(LEN, 0));
}

/// A way of making a connection. Returns the end of the peer and the number of the session.
type Way = fn(&mut EventLoop<u32>, &mut dyn FnMut(&mut EventLoop<u32>, u32)) -> (TcpStream, u32);

/// Each kind of connection, and whether its reading pauses by default when the outbox is full.
const WAYS: [(&str, Way, bool); 3] =
    [("connected", connect_out, false), ("accepted", accept, true), ("adopted", adopt, true)];

fn connect_out(
    event_loop: &mut EventLoop<u32>,
    open: &mut dyn FnMut(&mut EventLoop<u32>, u32),
) -> (TcpStream, u32) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    event_loop.net().connect(listener.local_addr().unwrap(), 0);
    open(event_loop, 0);
    (listener.accept().unwrap().0, 0)
}

fn accept(
    event_loop: &mut EventLoop<u32>,
    open: &mut dyn FnMut(&mut EventLoop<u32>, u32),
) -> (TcpStream, u32) {
    let listener = event_loop.net().listen("127.0.0.1:0").unwrap();
    let at = event_loop.net().local_address(listener).unwrap().socket_addrs()[0];
    let client = connect_narrow(at);
    open(event_loop, 0);
    (client, 0)
}

fn adopt(
    event_loop: &mut EventLoop<u32>,
    open: &mut dyn FnMut(&mut EventLoop<u32>, u32),
) -> (TcpStream, u32) {
    let pair = Pair::adopted_by(event_loop.net(), 0);
    open(event_loop, 0);
    (pair.client, 0)
}

#[test]
fn only_accepted_and_adopted_connections_pause_when_full_by_default() {
    for (what, way, pauses) in WAYS {
        for told in [None, Some(false), Some(true)] {
            let mut event_loop = EventLoop::new(Options::default().write_budget(64 << 20)).unwrap();
            let mut recorder = Recorder::new(|net, id, _, call| {
                if *call == Call::Open {
                    let mut conn = net.conn(id).unwrap();
                    if let Some(on) = told {
                        conn.pause_when_full(on);
                    }
                    assert_eq!(conn.send_all(&vec![b'.'; LEN]), Flow::Full);
                    assert!(conn.queued() > 64 << 10);
                }
            });
            let mut open = |event_loop: &mut EventLoop<u32>, who| {
                turn_until(event_loop, &mut recorder, |recorder, _| recorder.has_opened(who));
            };
            let (peer, who) = way(&mut event_loop, &mut open);
            (&peer).write_all(b"hello").unwrap();
            if told.unwrap_or(pauses) {
                // The event of a connect comes after the event of the bytes. So the bytes were not read although their
                // event has come.
                let (fence, number) = (TcpListener::bind("127.0.0.1:0").unwrap(), CALLER);
                event_loop.net().connect(fence.local_addr().unwrap(), number);
                turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_opened(number));
                assert_eq!(heard(&recorder, who), b"", "{what}, told {told:?}");
                let stats = event_loop.net().stats();
                assert!(stats.reads_paused > 0, "{what}, told {told:?}");
            } else {
                turn_until(&mut event_loop, &mut recorder, |recorder, _| heard(recorder, who) == b"hello");
                let id = id_of(event_loop.net(), who);
                assert!(event_loop.net().conn(id).unwrap().queued() > 64 << 10, "{what}, told {told:?}");
            }
        }
    }
}

#[test]
fn pause_when_full_during_a_connect_is_kept() {
    let (mut host, now) = (Host::new(), Instant::now());
    let options = Options::default().write_budget(64 << 20);
    let mut reactor = Reactor::new(host.poll.registry(), .., options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut recorder = Recorder::new(|_, _, _, _| {});
    let id = reactor.net().connect(listener.local_addr().unwrap(), 0);
    reactor.net().conn(id).unwrap().pause_when_full(true);
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, _| recorder.has_opened(0));
    let mut peer = listener.accept().unwrap().0;
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(reactor.net().send_all(id, &vec![b'.'; LEN]), Flow::Full);
    peer.write_all(b"hello").unwrap();
    host.collect(1).iter().for_each(|event| assert!(reactor.handle(event)));
    reactor.settle(&mut recorder, now);
    assert_eq!(recorder.of(0), [Call::Open], "reading did not pause at high water");
    // The pause ends when the peer has read.
    let reader =
        std::thread::spawn(move || std::io::Read::read_exact(&mut peer, &mut vec![0; LEN]).map(|()| peer));
    host.turn_until(&mut reactor, &mut recorder, now, |recorder, net| {
        heard(recorder, 0) == b"hello" && net.stats().bytes_sent == LEN as u64
    });
    reader.join().unwrap().unwrap();
}

#[test]
fn a_loop_with_full_outgoing_connections_asks_for_no_turn() {
    let mut event_loop = EventLoop::new(Options::default().write_budget(64 << 20)).unwrap();
    let mut recorder = Recorder::new(|net, id, _, call| {
        if *call == Call::Open {
            assert_eq!(net.send_all(id, &vec![b'.'; LEN]), Flow::Full);
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    event_loop.net().connect(listener.local_addr().unwrap(), 0);
    turn_until(&mut event_loop, &mut recorder, |recorder, _| recorder.has_opened(0));
    let _peer = listener.accept().unwrap();
    turn_until_quiet(&mut event_loop, &mut recorder);
    assert_eq!(event_loop.next_deadline(), None, "a full connection must not ask for turns");
}
