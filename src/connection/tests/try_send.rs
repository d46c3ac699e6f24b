//! Tests of `try_send`: the bytes that the kernel does not take stay with the handler, and `on_writable` says when to go on.

use std::io::ErrorKind;

use super::{Step::*, *};

#[test]
fn try_send_returns_how_many_bytes_the_kernel_took() {
    let mut bench = Bench::writing([Bytes(2), WouldBlock]);
    assert_eq!(bench.try_send(b"abc").unwrap(), 2);
    assert_eq!((bench.written(), bench.connection.queued()), (&b"ab"[..], 0), "try_send queues nothing");
    assert_eq!(bench.try_send(b"").unwrap(), 0);
    assert_eq!(bench.try_send(b"c").unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn bytes_that_a_failed_try_send_has_not_taken_are_not_undelivered() {
    let mut bench = Bench::writing([Bytes(2), Error(ErrorKind::ConnectionReset)]);
    assert_eq!(bench.try_send(b"abc").unwrap(), 2);
    assert!(!bench.connection.takes_sends() && !bench.connection.has_lost());
    let mut bench = Bench::writing([WouldBlock, Error(ErrorKind::ConnectionReset)]);
    bench.send(b"a");
    let room = bench.connection.stream_mut().let_write().unwrap();
    bench.note(room);
    bench.flush();
    assert_eq!(bench.try_send(b"b").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(bench.connection.has_lost(), "the failed send lost a byte before");
}

#[test]
fn on_writable_after_a_blocked_try_send_waits_for_a_writable_stream() {
    let mut bench = Bench::writing([WouldBlock]);
    assert!(bench.try_send(b"a").is_err());
    assert!(
        !bench.take_writable() && !bench.is_due(),
        "an empty outbox alone does not make the stream writable"
    );
    let room = bench.connection.stream_mut().let_write().unwrap();
    bench.note(room);
    assert!(bench.is_due() && bench.take_writable());
    assert_eq!(bench.try_send(b"a").unwrap(), 1);
    assert!(!bench.take_writable());
}

#[test]
fn a_blocked_try_send_does_not_delay_a_later_on_writable() {
    let mut bench = Bench::writing([WouldBlock, WouldBlock]);
    assert!(bench.try_send(b"a").is_err());
    let room = bench.connection.stream_mut().let_write().unwrap();
    bench.note(room);
    assert!(bench.take_writable());
    assert!(bench.try_send(b"").is_ok());
    bench.send(b"a"); // The write returns WouldBlock again.
    bench.connection.notify_writable();
    assert!(bench.take_writable(), "notify_writable asks only for room in the outbox");
}

#[test]
fn try_send_does_not_overtake_the_outbox() {
    let mut bench = Bench::writing([]);
    bench.keep(b"first");
    assert_eq!(bench.try_send(b"second").unwrap_err().kind(), ErrorKind::WouldBlock);
    bench.flush();
    assert!(bench.take_writable());
    assert_eq!(bench.try_send(b"second").unwrap(), 6);
    assert_eq!(bench.written(), b"firstsecond");
}

#[test]
fn try_send_with_a_spent_budget_goes_on_in_the_next_turn() {
    let mut bench = Bench::writing([]).limits(|limits| limits.write_budget(2));
    assert_eq!(bench.try_send(b"abc").unwrap(), 2);
    assert_eq!(bench.try_send(b"c").unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(bench.is_due(), "the stream is writable already, so no event will come");
    bench.connection.begin_turn(1);
    assert!(bench.take_writable());
    assert_eq!(bench.try_send(b"c").unwrap(), 1);
}

#[test]
fn try_send_on_a_broken_connection_returns_broken_pipe() {
    let mut bench = Bench::writing([Error(ErrorKind::ConnectionReset)]);
    assert_eq!(bench.try_send(b"abc").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(bench.reason(), Some(CloseKind::Reset), "the cause is kept for on_close");
    let mut bench = Bench::writing([Bytes(1), Error(ErrorKind::ConnectionReset)]);
    assert_eq!(bench.try_send(b"abc").unwrap(), 1, "the bytes before the error are reported first");
    assert!(!bench.connection.takes_sends());
}
