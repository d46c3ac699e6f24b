//! Work that is asked for between turns shows in `next_deadline` and `timeout`, so that a host that sleeps wakes in time
//! for the work.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use tidegate::{ConnId, EventLoop, Net, Options};

use crate::support::{
    Call, Host, PATIENCE, Recorder, connect, id_of, listening,
    pair::{Pair, connected, is_due, turn_until_quiet},
    read_out,
};

const A_DAY: Duration = Duration::from_secs(24 * 3600);
const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);

/// Makes a recorder that only closes connections in a drain.
fn quiet() -> Recorder<impl FnMut(&mut Net<u32>, ConnId, u32, &Call)> {
    Recorder::new(|net, id, _, call| {
        if *call == Call::Drain {
            net.close(id);
        }
    })
}

/// Makes a loop with one connection that has nothing to do.
fn at_rest(options: Options) -> (EventLoop<u32>, Pair) {
    let (mut event_loop, _) = listening(options);
    let pair = Pair::several(&mut event_loop, &mut quiet(), 1).remove(0);
    assert_eq!(event_loop.next_deadline(), None);
    (event_loop, pair)
}

#[test]
fn work_asked_for_between_turns_is_due_at_once_and_done_after_the_turn() {
    type Ask = fn(&mut Net<u32>, ConnId);
    let asks: [(&str, Ask); 12] = [
        ("send_all", |net, id| _ = net.send_all(id, b"hello")),
        ("a large send_all", |net, id| _ = net.send_all(id, &[7; 20_000])),
        ("try_send", |net, id| _ = net.conn(id).unwrap().try_send(b"hello").unwrap()),
        ("close", |net, id| net.close(id)),
        ("abort", |net, id| net.abort(id)),
        ("shutdown_write", |net, id| net.shutdown_write(id)),
        ("resume_reading", |net, id| net.resume_reading(id)),
        ("notify_writable", |net, id| net.conn(id).unwrap().notify_writable()),
        ("adopt_stream", |net, _| _ = net.adopt_stream(connected().1, 1).unwrap()),
        ("stop", |net, _| net.stop()),
        ("drain", |net, _| net.drain(A_DAY)),
        ("a second drain", |net, _| {
            net.drain(A_DAY);
            net.drain(A_DAY);
        }),
    ];
    for (name, ask) in asks {
        let (mut event_loop, pair) = at_rest(Options::default().linger(Duration::ZERO));
        ask(event_loop.net(), pair.id);
        assert!(is_due(&event_loop), "{name}");
        let turn = event_loop.turn(&mut quiet(), Some(PATIENCE)).unwrap();
        assert!(!turn.more, "{name}");
        // A drain ends with its last connection. Without lingering, the connections end in one turn.
        assert_eq!(turn.finished, matches!(name, "stop" | "drain" | "a second drain"), "{name}");
        turn_until_quiet(&mut event_loop, &mut quiet());
        assert_eq!(event_loop.next_deadline(), None, "{name}");
    }
}

#[test]
fn the_timeout_of_a_reactor_agrees_with_its_deadlines() {
    let (mut host, now) = (Host::new(), Instant::now());
    let (mut reactor, at) = host.listening(.., Options::default());
    let mut quiet = quiet();
    let _client = connect(at);
    host.turn_until(&mut reactor, &mut quiet, now, |quiet, _| quiet.has_opened(0));
    host.turn_until_quiet(&mut reactor, &mut quiet, now);
    let id = id_of(reactor.net(), 0);
    assert_eq!(reactor.timeout(now), None);

    reactor.net().set_timer(now + A_DAY, 1);
    assert_eq!(reactor.timeout(now), Some(A_DAY));
    assert_eq!(
        reactor.timeout(now + 2 * A_DAY),
        NOT_AT_ALL,
        "the timeout of a deadline that has passed is zero"
    );
    reactor.net().send_all(id, b"hello");
    assert_eq!(reactor.timeout(now), NOT_AT_ALL);
    assert!(!reactor.flush().more);
    assert_eq!(reactor.timeout(now), Some(A_DAY));
    reactor.net().abort(id);
    assert_eq!(reactor.timeout(now), NOT_AT_ALL);
    assert!(reactor.flush().more, "a flush makes no callbacks, so on_close is left for the turn");
    assert_eq!(reactor.timeout(now), NOT_AT_ALL);
    reactor.settle(&mut quiet, now);
    assert_eq!(reactor.timeout(now), Some(A_DAY));
}

#[test]
fn a_flush_tells_whether_work_is_left() {
    let (mut event_loop, mut pair) = at_rest(Options::default().write_budget(1 << 30));
    let turn = event_loop.flush();
    assert_eq!(
        (turn.events, turn.more, turn.finished),
        (0, false, false),
        "a flush without work leaves no work"
    );

    event_loop.net().send_all(pair.id, b"hello");
    let turn = event_loop.flush();
    assert_eq!((turn.more, event_loop.next_deadline()), (false, None));
    assert_eq!(pair.read(5), b"hello");

    // An event will announce when the kernel takes the remaining bytes.
    event_loop.net().send_all(pair.id, &vec![7; 15 << 20]);
    let turn = event_loop.flush();
    assert!(
        event_loop.net().conn(pair.id).unwrap().queued() > 0,
        "the kernel took all bytes, so this test needs more bytes"
    );
    assert_eq!((turn.more, event_loop.next_deadline()), (false, None));

    event_loop.net().drain(A_DAY);
    let turn = event_loop.flush();
    assert!(turn.more && !turn.finished, "a drain begins in a turn");
    let reader = std::thread::spawn(move || read_out(&mut pair.client));
    let mut quiet = quiet();
    while event_loop.net().stats().closed == 0 {
        event_loop.turn(&mut quiet, Some(PATIENCE)).unwrap();
    }
    assert_eq!(reader.join().unwrap().0.len(), 15 << 20);
}

#[test]
#[cfg_attr(
    mio_unsupported_force_poll_poll,
    ignore = "the selector on poll(2) returns all events at once, whatever the capacity"
)]
fn events_that_were_left_stay_due_after_a_flush() {
    let (mut event_loop, _) = listening(Options::default().event_capacity(1).event_budget(1));
    let pairs = Pair::several(&mut event_loop, &mut quiet(), 3);
    pairs.iter().for_each(|pair| pair.send(b"hello"));
    assert!(event_loop.turn(&mut quiet(), Some(PATIENCE)).unwrap().more);
    assert!(event_loop.flush().more && is_due(&event_loop));
    turn_until_quiet(&mut event_loop, &mut quiet());
    assert!(!event_loop.flush().more);
}

#[test]
fn next_deadline_is_the_deadline_of_the_earliest_timer() {
    let (mut event_loop, pair) = at_rest(Options::default());
    let now = Instant::now();
    let net = event_loop.net();
    let late = net.set_timer(now + 3 * A_DAY, 1);
    assert_eq!(event_loop.next_deadline(), Some(now + 3 * A_DAY));
    event_loop.net().set_timer(now + 4 * A_DAY, 2);
    assert_eq!(
        event_loop.next_deadline(),
        Some(now + 3 * A_DAY),
        "a later timer does not change the deadline"
    );
    let early = event_loop.net().set_timer(now + 2 * A_DAY, 3);
    assert_eq!(event_loop.next_deadline(), Some(now + 2 * A_DAY));
    event_loop.net().conn(pair.id).unwrap().set_deadline(Some(now + A_DAY));
    assert_eq!(event_loop.next_deadline(), Some(now + A_DAY));
    event_loop.net().conn(pair.id).unwrap().set_deadline(None);
    assert_eq!(event_loop.next_deadline(), Some(now + 2 * A_DAY));
    assert!(event_loop.net().cancel_timer(early));
    assert_eq!(event_loop.next_deadline(), Some(now + 3 * A_DAY));
    let timeout = event_loop.net().conn(pair.id).unwrap().set_timeout(now + A_DAY, 4);
    assert_eq!(event_loop.next_deadline(), Some(now + A_DAY));
    assert!(event_loop.net().cancel_timer(timeout) && event_loop.net().cancel_timer(late));
    assert_eq!(event_loop.next_deadline(), Some(now + 4 * A_DAY));
    // A timer whose time has passed is due, and fires only in a turn.
    event_loop.net().set_timer(now, 5);
    assert!(is_due(&event_loop));
    event_loop.flush();
    assert!(is_due(&event_loop), "a flush fires no timer");
    event_loop.turn(&mut quiet(), Some(PATIENCE)).unwrap();
    assert_eq!(event_loop.next_deadline(), Some(now + 4 * A_DAY));
}

#[test]
fn an_idle_timeout_set_between_turns_is_due_and_becomes_a_deadline() {
    let (mut event_loop, pair) = at_rest(Options::default());
    event_loop.net().conn(pair.id).unwrap().set_idle_timeout(Some(A_DAY));
    assert!(is_due(&event_loop), "the idle time counts from the next turn, so a turn is due");
    let before = Instant::now();
    event_loop.turn(&mut quiet(), Some(PATIENCE)).unwrap();
    let due = event_loop.next_deadline().unwrap();
    assert!(due >= before + A_DAY && due <= Instant::now() + A_DAY);
}

#[test]
fn work_that_waits_for_an_event_is_not_due() {
    let (mut event_loop, pair) = at_rest(Options::default());
    event_loop.net().listen("127.0.0.1:0").unwrap();
    event_loop.net().adopt_listener(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    assert_eq!(event_loop.next_deadline(), None, "a listener waits for an event");
    let nobody_answers = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = nobody_answers.local_addr().unwrap();
    event_loop.net().connect(to, 7);
    assert!(is_due(&event_loop), "a connect begins in a turn");
    event_loop.turn(&mut quiet(), Some(PATIENCE)).unwrap();
    assert_eq!(event_loop.next_deadline(), None, "a connect that has begun waits for an event");
    drop(pair);
}

#[test]
fn a_wake_is_due_for_a_host_that_watches_no_descriptor() {
    let (mut event_loop, _pair) = at_rest(Options::default());
    let remote = event_loop.remote();
    std::thread::spawn(move || remote.wake()).join().unwrap();
    assert!(is_due(&event_loop));
    let mut quiet = quiet();
    event_loop.turn(&mut quiet, NOT_AT_ALL).unwrap();
    assert_eq!((quiet.count(&Call::Wake), event_loop.next_deadline()), (1, None));
}
