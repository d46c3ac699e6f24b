//! Tests of every reason for which a connection can end, except `Io`. `Io` needs an error of a system call:
//! `tests/faults/echo_server.rs` has that test.

use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use tidegate::{CloseKind, ConnId, Options, Reactor, Stats, testing::Rehearsal};

use crate::support::{Actor, Call, Host};

const SECOND: Duration = Duration::from_secs(1);

const KINDS: [CloseKind; 13] = [
    CloseKind::Eof,
    CloseKind::Closed,
    CloseKind::Drained,
    CloseKind::Aborted,
    CloseKind::Reset,
    CloseKind::Io,
    CloseKind::ConnectFailed,
    CloseKind::IdleTimeout,
    CloseKind::Deadline,
    CloseKind::CloseTimeout,
    CloseKind::OutboxLimit,
    CloseKind::InboxLimit,
    CloseKind::MemoryLimit,
];

#[track_caller]
fn assert_counted(stats: &Stats, kind: CloseKind) {
    assert_eq!((stats.closed, stats.open, stats.buffered), (1, 0, 0), "{kind}: {stats}");
    for other in KINDS {
        assert_eq!(
            stats.closed_by(other),
            u64::from(other == kind),
            "the count of {other} after an end by {kind}"
        );
    }
    assert!(stats.to_string().contains(&format!("\nclosed: 1, {kind} 1")), "{kind}: {stats}");
}

#[test]
fn every_reason_is_passed_to_on_close_and_counted() {
    type Drive = fn(&mut Rehearsal, &mut Actor<'_>, ConnId);
    let cases: [(CloseKind, Drive); 14] = [
        (CloseKind::Eof, |rehearsal, actor, id| rehearsal.eof(actor, id)),
        // The end of file of the peer comes after `shutdown_write`, so both directions have ended.
        (CloseKind::Eof, |rehearsal, actor, id| {
            rehearsal.net().shutdown_write(id);
            rehearsal.eof(actor, id);
        }),
        (CloseKind::Closed, |rehearsal, _, id| rehearsal.net().close(id)),
        (CloseKind::Drained, |rehearsal, _, _| rehearsal.net().drain(SECOND)),
        (CloseKind::Aborted, |rehearsal, _, id| rehearsal.net().abort(id)),
        // A second drain ends the grace of the first drain.
        (CloseKind::Aborted, |rehearsal, _, _| {
            rehearsal.net().drain(SECOND);
            rehearsal.net().drain(SECOND);
        }),
        (CloseKind::Reset, |rehearsal, actor, id| rehearsal.reset(actor, id)),
        (CloseKind::IdleTimeout, |rehearsal, _, id| {
            rehearsal.net().conn(id).unwrap().set_idle_timeout(Some(SECOND));
        }),
        (CloseKind::Deadline, |rehearsal, _, id| {
            let at = rehearsal.net().now() + SECOND;
            rehearsal.net().conn(id).unwrap().set_deadline(Some(at));
        }),
        (CloseKind::CloseTimeout, |rehearsal, _, id| {
            rehearsal.capacity(id, 0);
            rehearsal.net().send_all(id, b"an answer");
            rehearsal.net().close(id);
        }),
        (CloseKind::OutboxLimit, |rehearsal, _, id| {
            rehearsal.capacity(id, 0);
            rehearsal.net().send_all(id, &[b'.'; 1001]);
        }),
        (CloseKind::InboxLimit, |rehearsal, actor, id| rehearsal.receive(actor, id, &[b'.'; 1016])),
        (CloseKind::MemoryLimit, |rehearsal, _, id| {
            rehearsal.capacity(id, 0);
            rehearsal.net().send_all(id, &[b'.'; 701]);
        }),
        (CloseKind::MemoryLimit, |rehearsal, actor, id| rehearsal.receive(actor, id, &[b'.'; 800])),
    ];
    let options = Options::default().max_outbox(1000).max_inbox(1000).memory_budget(700);
    for (kind, drive) in cases {
        let mut actor = Actor::with_conn(|conn, cue| {
            if let Call::Eof | Call::Drain = cue {
                conn.close();
            }
        });
        actor.portion = 0;
        let mut rehearsal = Rehearsal::new(options.clone());
        let id = rehearsal.accept(&mut actor).unwrap();
        drive(&mut rehearsal, &mut actor, id);
        rehearsal.settle(&mut actor);
        rehearsal.advance(&mut actor, 100 * SECOND);
        assert_eq!(rehearsal.why(id), Some(kind));
        let ends = actor.of_id(id).into_iter().filter(|cue| matches!(cue, Call::Close(_)));
        assert_eq!(ends.collect::<Vec<_>>(), [Call::Close(kind)]);
        assert_counted(rehearsal.net().stats(), kind);
    }
}

/// Returns an address at which nothing listens any more.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_failed_connect_is_passed_to_on_close_and_counted() {
    let (mut host, now) = (Host::new(), Instant::now());
    let mut reactor = Reactor::new(host.poll.registry(), .., Options::default()).unwrap();
    let mut actor = Actor::idle();
    let id = reactor.net().connect(nobody(), ());
    let why = CloseKind::ConnectFailed;
    host.turn_until(&mut reactor, &mut actor, now, |actor, _| actor.has_heard(&Call::Close(why)));
    assert_eq!(actor.of_id(id), [Call::Close(why)]);
    assert_counted(reactor.net().stats(), why);
}
