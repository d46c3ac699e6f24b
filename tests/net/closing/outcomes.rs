//! Tests that `on_close` tells whether everything that was sent has reached the kernel, and that a clean reason means the
//! same.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use tidegate::{CloseKind, CloseReason, Conn, ConnId, EventLoop, Flow, Options, Reactor, testing::Rehearsal};

use crate::support::{
    Actor, Call, Host,
    pair::{Pair, turn_until_quiet},
};

const SECOND: Duration = Duration::from_secs(1);

/// The outcome of a connection as `on_close` reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Outcome {
    kind: CloseKind,
    is_clean: bool,
    undelivered: bool,
}

const fn delivered(kind: CloseKind) -> Outcome {
    let is_clean = matches!(kind, CloseKind::Closed | CloseKind::Drained | CloseKind::Eof);
    Outcome { kind, is_clean, undelivered: false }
}

const fn lost(kind: CloseKind) -> Outcome {
    Outcome { kind, is_clean: false, undelivered: true }
}

/// Returns the outcome of a connection that has ended.
fn outcome(actor: &Actor<'_>, id: ConnId) -> Option<Outcome> {
    let mut ends = actor.ended.iter().filter(|end| end.id == id);
    let outcome = ends.next().map(|end| {
        let (kind, is_clean) = (end.why.kind(), end.why.is_clean());
        Outcome { kind, is_clean, undelivered: end.undelivered }
    });
    assert!(ends.next().is_none(), "{id:?} ended twice");
    outcome
}

/// Closes at an end of file and when a drain begins.
fn closes(conn: &mut Conn<'_>, call: &Call) {
    if let Call::Eof | Call::Drain = call {
        conn.close();
    }
}

/// Makes a recorder that keeps a part of a message in the inbox, and closes at an end of file and when a drain begins.
fn witness<'a>() -> Actor<'a> {
    Actor::with_conn(closes).with_data(|_, input| if input.starts_with(b"a part") { 0 } else { input.len() })
}

/// A step in the life of a connection in memory. The reactor comes to rest after each step.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    Send,
    /// The peer takes the first bytes of the send, and no more.
    SendInVain,
    /// The peer takes bytes again.
    Room,
    Close,
    Abort,
    /// Close and abort are called in the same turn.
    CloseAndAbort,
    ShutdownWrite,
    /// A drain with one second of grace.
    Drain,
    /// A drain with more grace than the close timeout.
    LongDrain,
    Eof,
    Reset,
    Deadline,
    IdleTimeout,
    MoreThanMaxOutbox,
    MoreThanMaxInbox,
}

impl Step {
    fn take(self, rehearsal: &mut Rehearsal, witness: &mut Actor<'_>, id: ConnId) {
        let at = rehearsal.net().now() + SECOND;
        match self {
            Self::Send => assert_eq!(rehearsal.net().send_all(id, b"an answer"), Flow::Open),
            Self::SendInVain => send_in_vain(rehearsal, id),
            Self::Room => rehearsal.capacity(id, usize::MAX),
            Self::Close => rehearsal.net().close(id),
            Self::Abort => rehearsal.net().abort(id),
            Self::CloseAndAbort => {
                rehearsal.net().close(id);
                rehearsal.net().abort(id);
            }
            Self::ShutdownWrite => rehearsal.net().shutdown_write(id),
            Self::Drain => rehearsal.net().drain(SECOND),
            Self::LongDrain => rehearsal.net().drain(1000 * SECOND),
            Self::Eof => rehearsal.eof(witness, id),
            Self::Reset => rehearsal.reset(witness, id),
            Self::Deadline => rehearsal.net().conn(id).unwrap().set_deadline(Some(at)),
            Self::IdleTimeout => rehearsal.net().conn(id).unwrap().set_idle_timeout(Some(SECOND)),
            Self::MoreThanMaxOutbox => {
                assert_eq!(rehearsal.net().send_all(id, &[b'.'; 1001]), Flow::Gone);
            }
            Self::MoreThanMaxInbox => rehearsal.receive(witness, id, &b"a part".repeat(200)),
        }
        rehearsal.settle(witness);
    }
}

/// Makes the peer take only a part of the bytes, and sends.
fn send_in_vain(rehearsal: &mut Rehearsal, id: ConnId) {
    rehearsal.capacity(id, 3);
    assert_eq!(rehearsal.net().send_all(id, b"more than the peer takes"), Flow::Open);
}

/// Each way to end, with everything sent and with bytes that could not be sent.
const ENDS: [(&[Step], Outcome); 31] = {
    use CloseKind as Kind;
    use Step::*;
    [
        (&[Close], delivered(Kind::Closed)),
        (&[Send, Close], delivered(Kind::Closed)),
        (&[SendInVain, Close, Room], delivered(Kind::Closed)),
        (&[SendInVain, Close], lost(Kind::CloseTimeout)),
        (&[SendInVain, Close, Reset], lost(Kind::Reset)),
        (&[SendInVain, Close, Abort], lost(Kind::Aborted)),
        (&[SendInVain, CloseAndAbort], lost(Kind::Aborted)),
        (&[SendInVain, Close, Drain], lost(Kind::Aborted)),
        (&[SendInVain, Close, Drain, Drain], lost(Kind::Aborted)),
        (&[SendInVain, Deadline, Close], lost(Kind::Deadline)),
        (&[Drain], delivered(Kind::Drained)),
        (&[Send, Drain], delivered(Kind::Drained)),
        (&[SendInVain, Drain, Room], delivered(Kind::Drained)),
        (&[SendInVain, Drain], lost(Kind::Aborted)),
        (&[SendInVain, Drain, Drain], lost(Kind::Aborted)),
        (&[SendInVain, LongDrain], lost(Kind::CloseTimeout)),
        (&[SendInVain, Drain, Reset], lost(Kind::Reset)),
        (&[Eof], delivered(Kind::Eof)),
        (&[Send, Eof], delivered(Kind::Eof)),
        (&[SendInVain, Eof, Room], delivered(Kind::Eof)),
        (&[SendInVain, Eof], lost(Kind::CloseTimeout)),
        (&[SendInVain, Eof, Reset], lost(Kind::Reset)),
        (&[Send, ShutdownWrite, Eof], delivered(Kind::Eof)),
        (&[Abort], delivered(Kind::Aborted)),
        (&[Send, Abort], delivered(Kind::Aborted)),
        (&[SendInVain, Abort], lost(Kind::Aborted)),
        (&[Send, Reset], delivered(Kind::Reset)),
        (&[SendInVain, Reset], lost(Kind::Reset)),
        (&[SendInVain, IdleTimeout], lost(Kind::IdleTimeout)),
        (&[SendInVain, MoreThanMaxOutbox], lost(Kind::OutboxLimit)),
        (&[Send, MoreThanMaxInbox], delivered(Kind::InboxLimit)),
    ]
};

#[test]
fn a_clean_reason_means_that_everything_was_delivered() {
    for (steps, expected) in ENDS {
        let mut witness = witness();
        let options = Options::default().max_outbox(1000).max_inbox(1000).close_timeout(30 * SECOND);
        let mut rehearsal = Rehearsal::new(options);
        let id = rehearsal.accept(&mut witness).unwrap();
        for step in steps {
            assert!(rehearsal.is_open(id), "{steps:?}: the connection has ended before {step:?}");
            step.take(&mut rehearsal, &mut witness, id);
        }
        rehearsal.advance(&mut witness, 100 * SECOND);
        assert_eq!(outcome(&witness, id), Some(expected), "{steps:?}");
        assert_eq!(rehearsal.why(id), Some(expected.kind), "{steps:?}");
        let stats = rehearsal.net().stats();
        assert_eq!((stats.undelivered, stats.open), (u64::from(expected.undelivered), 0), "{steps:?}");
        assert_eq!(stats.closed_by(expected.kind), 1, "{steps:?}");
        let is_reset = !expected.is_clean && expected.kind != CloseKind::Reset;
        assert_eq!(rehearsal.is_reset(id), is_reset, "{steps:?}: a truncated stream has to end with a reset");
    }
}

#[test]
fn the_outcome_of_a_connection_does_not_change_that_of_the_next_connection() {
    let mut witness = witness();
    let mut rehearsal = Rehearsal::new(Options::default());
    let ids = [(); 4].map(|()| rehearsal.accept(&mut witness).unwrap());
    for id in [ids[0], ids[2]] {
        send_in_vain(&mut rehearsal, id);
        rehearsal.settle(&mut witness);
        rehearsal.net().abort(id);
    }
    [ids[1], ids[3]].iter().for_each(|id| rehearsal.net().close(*id));
    rehearsal.settle(&mut witness);
    let outcomes = ids.map(|id| outcome(&witness, id).expect("the connection has ended"));
    let (lost, delivered) = (lost(CloseKind::Aborted), delivered(CloseKind::Closed));
    assert_eq!(outcomes, [lost, delivered, lost, delivered]);
    assert!(!rehearsal.net().undelivered(), "undelivered is true outside of on_close");
}

#[test]
fn a_session_without_a_token_has_no_undelivered_bytes() {
    let (host, now) = (Host::new(), Instant::now());
    let mut reactor = Reactor::new(host.poll.registry(), 0..1, Options::default()).unwrap();
    let mut witness = witness();
    let pair = Pair::adopted_by(reactor.net(), ());
    reactor.settle(&mut witness, now);
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let unplaced = reactor.net().connect(elsewhere.local_addr().unwrap(), ());
    assert_eq!(
        reactor.net().send_all(unplaced, b"a greeting"),
        Flow::Gone,
        "a connection without a token accepted bytes"
    );
    reactor.net().send_all(pair.id, b"taken, and not sent when the connection is aborted");
    reactor.net().abort(pair.id);
    reactor.settle(&mut witness, now);
    assert_eq!(outcome(&witness, pair.id), Some(lost(CloseKind::Aborted)));
    assert_eq!(outcome(&witness, unplaced), Some(delivered(CloseKind::ConnectFailed)));
}

#[test]
fn bytes_that_a_callback_sends_before_its_abort_are_undelivered() {
    for closes_first in [false, true] {
        let mut witness = Actor::with_conn(|conn, cue| {
            closes(conn, cue);
            if let Call::Data(_) = cue {
                assert_eq!(conn.send_all(b"taken, and gathered"), Flow::Open);
                if closes_first {
                    conn.close();
                }
                conn.abort();
            }
        });
        let mut rehearsal = Rehearsal::new(Options::default());
        let id = rehearsal.accept(&mut witness).unwrap();
        rehearsal.receive(&mut witness, id, b"go");
        assert_eq!(outcome(&witness, id), Some(lost(CloseKind::Aborted)));
        assert_eq!(rehearsal.sent(id), b"");
    }
}

#[test]
fn bytes_of_a_send_that_fails_with_a_reset_are_undelivered() {
    // The first send is gathered. The second send is too large to be gathered.
    for len in [100, 100_000] {
        let mut event_loop = EventLoop::new(Options::default()).unwrap();
        let mut witness = Actor::with_conn(|conn, cue| {
            closes(conn, cue);
            if let Call::Data(_) = cue {
                conn.send_all(&vec![b'.'; len]);
                conn.close();
            }
        });
        let pair = Pair::adopted_by(event_loop.net(), ());
        let id = pair.id;
        turn_until_quiet(&mut event_loop, &mut witness);
        pair.send(b"go");
        let _socket = pair.reset();
        turn_until_quiet(&mut event_loop, &mut witness);
        assert_eq!(outcome(&witness, id), Some(lost(CloseKind::Reset)), "{len} bytes");
        assert_eq!(event_loop.net().stats().undelivered, 1);
    }
}

#[test]
fn bytes_sent_to_an_address_that_refuses_are_undelivered() {
    for (sends, closes, expected) in [
        (false, false, delivered(CloseKind::ConnectFailed)),
        (true, false, lost(CloseKind::ConnectFailed)),
        (false, true, delivered(CloseKind::Closed)),
        (true, true, lost(CloseKind::ConnectFailed)),
    ] {
        let (mut host, now) = (Host::new(), Instant::now());
        let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
        let mut witness = witness();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let id = reactor.net().connect(nobody, ());
        if sends {
            assert_eq!(reactor.net().send_all(id, b"a greeting"), Flow::Open);
        }
        if closes {
            reactor.net().close(id);
        }
        host.turn_until(&mut reactor, &mut witness, now, |witness, _| !witness.ended.is_empty());
        assert_eq!(outcome(&witness, id), Some(expected), "sends: {sends}, closes: {closes}");
        assert_eq!(reactor.net().stats().undelivered, u64::from(expected.undelivered));
    }
}

#[test]
fn a_close_timeout_is_a_reason_of_its_own() {
    let mut handler = Actor::with_conn(|conn, call| {
        if let Call::Data(input) = call {
            conn.send_all(input);
            conn.close();
        }
    });
    let mut rehearsal = Rehearsal::new(Options::default().close_timeout(SECOND));
    let id = rehearsal.accept(&mut handler).unwrap();
    rehearsal.capacity(id, 0);
    rehearsal.receive(&mut handler, id, b"hello");
    rehearsal.advance(&mut handler, SECOND);
    let why = handler.ended.pop().expect("on_close has come").why;
    assert!(matches!(why, CloseReason::CloseTimeout), "{why}");
    assert_eq!((why.kind(), why.is_clean()), (CloseKind::CloseTimeout, false));
    assert_eq!(why.to_string(), CloseKind::CloseTimeout.to_string());
    for other in [CloseKind::Closed, CloseKind::Deadline, CloseKind::IdleTimeout, CloseKind::Aborted] {
        assert_ne!(why.to_string(), other.to_string(), "two reasons have the same text");
    }
}
