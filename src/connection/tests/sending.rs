//! Tests of the sending direction: partial writes, budgets, marks and limits, one rule at a time.

use std::io::ErrorKind;

use crate::CloseReason;

use super::{Step::*, *};

#[test]
fn a_short_write_keeps_order() {
    let mut bench = Bench::writing([Bytes(3), WouldBlock, Bytes(1), Bytes(2), WouldBlock]);
    assert_eq!(bench.send(b"abcdef"), Flow::Open);
    assert_eq!(bench.written(), b"abc");
    assert_eq!(bench.send(b"gh"), Flow::Open);
    bench.flush_with_room();
    assert_eq!(bench.written(), b"abcdefgh");
    assert_eq!(bench.connection.queued(), 0);
    assert_eq!((bench.stats.bytes_sent, bench.stats.partial_sends), (8, 3));
}

#[test]
fn gathered_bytes_and_a_large_send_are_one_write() {
    let mut bench = Bench::writing([]);
    assert_eq!(bench.send_behind(b"head ", b"and body"), Flow::Open);
    assert_eq!(bench.written(), b"head and body");
    assert_eq!(bench.connection.stream().write_calls, 1);
}

#[test]
fn a_vectored_write_may_stop_in_either_slice_or_between_them() {
    for first in 1..8 {
        let mut bench = Bench::writing([Bytes(first), WouldBlock, Bytes(1), WouldBlock]);
        bench.send_behind(b"abc", b"defgh");
        assert_eq!(bench.connection.queued(), 8 - first);
        bench.flush_with_room();
        assert_eq!(bench.written(), b"abcdefgh", "the first write took {first}");
    }
}

#[test]
fn a_large_send_and_the_outbox_before_it_are_one_write() {
    let mut bench = Bench::writing([Bytes(1), WouldBlock]);
    bench.send(b"ab");
    let room = bench.connection.stream_mut().let_write().unwrap();
    bench.note(room);
    bench.send(b"cdef");
    assert_eq!(bench.written(), b"abcdef");
    assert_eq!(
        bench.connection.stream().write_calls,
        3,
        "the first write took one byte, the second none, and the third the rest"
    );
}

#[test]
fn keep_makes_no_system_call() {
    let mut bench = Bench::writing([]);
    assert_eq!(bench.keep(b"later"), Flow::Open);
    assert_eq!((bench.written(), bench.connection.queued()), (&b""[..], 5));
    assert!(bench.is_due(), "no event will report that there are bytes to send");
    bench.flush();
    assert_eq!(bench.written(), b"later");
    assert!(!bench.is_due());
}

#[test]
fn gathered_bytes_are_written_in_order_however_few_the_kernel_takes() {
    for steps in [
        vec![],
        vec![Bytes(2), WouldBlock, Bytes(1), WouldBlock],
        vec![WouldBlock],
        vec![Interrupted, Bytes(1), Interrupted],
        vec![Bytes(5), WouldBlock],
    ] {
        let mut bench = Bench::writing(steps.clone());
        bench.send_gathered(b"abcdef");
        bench.flush_with_room();
        assert_eq!(bench.written(), b"abcdef", "{steps:?}");
        assert_eq!((bench.stats.bytes_sent, bench.connection.queued()), (6, 0));
    }
    let mut bench = Bench::writing([]).limits(|limits| limits.write_budget(4));
    bench.send_gathered(b"abcdef");
    assert_eq!((bench.written(), bench.connection.queued()), (&b"abcd"[..], 2));
    assert!(!bench.connection.wants_input(), "the budget of this turn is spent");
    let mut bench = Bench::writing([]).limits(|limits| limits.write_budget(6));
    bench.send_gathered(b"abcdef");
    assert!(
        bench.connection.queued() == 0 && !bench.connection.wants_input(),
        "the last byte uses up the budget"
    );
    let mut bench = Bench::writing([OutOfBuffers]);
    bench.send_gathered(b"abcdef");
    assert!(bench.connection.take_out_of_buffers() && bench.connection.queued() == 6);
    let mut bench = Bench::writing([Zero]);
    bench.send_gathered(b"abcdef");
    assert_eq!((bench.connection.phase(), bench.reason()), (Phase::Failing, Some(CloseKind::Io)));
}

#[test]
fn interrupted_is_retried() {
    let mut bench = Bench::writing([Interrupted, Interrupted, Bytes(1), Interrupted, Bytes(9)]);
    bench.send(b"abc");
    assert_eq!(bench.written(), b"abc");
    let mut bench = Bench::writing([Interrupted]);
    assert_eq!(bench.try_send(b"abc").unwrap(), 3);
}

#[test]
fn no_write_is_made_after_would_block_until_an_event() {
    let mut bench = Bench::writing([WouldBlock]);
    bench.send(b"abc");
    assert!(!bench.is_due(), "an event will report when the stream is writable");
    // The script panics at a write that no event has announced.
    bench.send(b"def");
    bench.flush();
    assert!(bench.try_send(b"ghi").is_err());
    assert_eq!((bench.connection.stream().write_calls, bench.stats.would_blocks), (1, 1));
    bench.note(WRITABLE); // The event comes too early: the next write still returns WouldBlock.
    bench.flush();
    bench.flush();
    assert_eq!(bench.connection.stream().write_calls, 2);
    bench.flush_with_room();
    assert_eq!(bench.written(), b"abcdef");
}

#[test]
fn zero_bytes_written_is_an_error() {
    let mut bench = Bench::writing([Zero]);
    assert_eq!(bench.send(b"abc"), Flow::Gone);
    assert_eq!((bench.connection.phase(), bench.reason()), (Phase::Failing, Some(CloseKind::Io)));
    assert_eq!(bench.connection.stream().write_calls, 1, "a write of 0 bytes was repeated");
}

#[test]
fn out_of_buffers_waits_for_a_timer() {
    let mut bench = Bench::writing([Bytes(1), OutOfBuffers]);
    assert_eq!(bench.send(b"abc"), Flow::Open, "ENOBUFS is no error of the connection");
    assert!(bench.connection.take_out_of_buffers());
    assert!(!bench.connection.take_out_of_buffers(), "the request for a timer was not cleared");
    bench.flush(); // The script panics at a write before the timer.
    assert!(!bench.is_due(), "the timer will make the connection due");
    bench.note(WRITABLE); // The reactor does this when the timer fires.
    bench.flush();
    assert_eq!(bench.written(), b"abc");
    assert!(!bench.connection.take_out_of_buffers());
}

#[test]
fn out_of_buffers_makes_a_connection_due_until_its_timer_is_set() {
    // The send may come from a callback of another connection or from outside of the loop. Then the reactor looks at this
    // connection again only if the connection is due.
    let mut bench = Bench::writing([OutOfBuffers]);
    bench.send(b"abc");
    assert!(bench.is_due(), "the timer has not been set yet");
    assert!(bench.connection.take_out_of_buffers());
    assert!(!bench.is_due());
}

#[test]
fn a_turn_writes_no_more_than_its_budget() {
    let mut bench = Bench::writing([Bytes(2)]).limits(|limits| limits.write_budget(5));
    bench.connection.begin_turn(1);
    assert_eq!(
        bench.send_behind(b"abc", b"defghijkl"),
        Flow::Full,
        "the send uses up the budget of this turn"
    );
    assert_eq!(bench.written(), b"abcde");
    bench.flush();
    bench.connection.begin_turn(1);
    bench.flush();
    assert_eq!(bench.written(), b"abcde", "the same turn has the same budget");
    assert!(bench.is_due(), "no event will announce the next turn");
    bench.connection.begin_turn(2);
    bench.flush();
    assert_eq!(bench.written(), b"abcdefghij");
    bench.connection.begin_turn(3);
    bench.flush();
    assert_eq!(bench.written(), b"abcdefghijkl");
}

#[test]
fn a_spent_budget_returns_full_and_owes_on_writable() {
    let mut bench = Bench::writing([]).limits(|limits| limits.write_budget(3));
    assert_eq!(bench.send(b"abc"), Flow::Full, "the budget is spent although all bytes are written");
    assert_eq!(bench.connection.queued(), 0);
    assert!(!bench.connection.wants_input());
    assert!(bench.is_due() && bench.take_writable());
    assert!(bench.connection.wants_input() && !bench.is_due());
}

#[test]
fn sends_return_full_from_high_water_on() {
    let mut bench = Bench::writing([WouldBlock]).limits(|limits| limits.high_water(5).low_water(2));
    assert_eq!(bench.send(b"abcd"), Flow::Open);
    assert_eq!(bench.send(b"e"), Flow::Full);
    assert_eq!(bench.send(b"f"), Flow::Full, "a send above high water is still accepted");
    assert_eq!(bench.keep(b"g"), Flow::Full);
    bench.flush_with_room();
    assert_eq!(bench.written(), b"abcdefg");
}

#[test]
fn writable_comes_once_and_only_below_low_water() {
    let mut bench = Bench::writing([WouldBlock, Bytes(3), WouldBlock, Bytes(1), WouldBlock])
        .limits(|limits| limits.high_water(5).low_water(2));
    assert_eq!(bench.send(b"abcde"), Flow::Full);
    for still_queued in [5, 2] {
        assert_eq!(bench.connection.queued(), still_queued);
        assert!(!bench.take_writable() && !bench.is_due());
        let room = bench.connection.stream_mut().let_write().unwrap();
        bench.note(room);
        bench.flush();
    }
    assert_eq!(bench.connection.queued(), 1);
    assert!(bench.is_due() && bench.take_writable());
    assert!(!bench.take_writable() && !bench.is_due(), "on_writable is not owed any more");
}

#[test]
fn reading_pauses_above_high_water_unless_that_is_switched_off() {
    let mut bench = Bench::new(
        Script::new([Bytes(1)], [WouldBlock]),
        false,
        Options::default().high_water(5).low_water(2),
    );
    bench.note(READABLE);
    bench.note(WRITABLE);
    bench.send(b"abcde");
    assert!(
        !bench.connection.wants_input() && !bench.connection.can_receive(&bench.limits) && !bench.is_due()
    );
    bench.connection.pause_when_full(false);
    assert!(bench.connection.wants_input() && bench.connection.can_receive(&bench.limits) && bench.is_due());
    bench.connection.pause_when_full(true);
    bench.flush_with_room();
    assert!(!bench.connection.wants_input(), "reading stays paused until on_writable was called");
    assert!(bench.take_writable());
    assert!(bench.connection.can_receive(&bench.limits));
}

#[test]
fn a_send_over_the_limit_frees_the_outbox_and_ends_the_connection() {
    let mut bench = Bench::writing([WouldBlock]).limits(|limits| limits.max_outbox(5));
    assert_eq!(
        bench.send(b"abcde"),
        Flow::Full,
        "the limit itself is allowed, and high water is never above it"
    );
    assert_eq!(bench.keep(b"f"), Flow::Gone);
    assert_eq!(bench.reason(), Some(CloseKind::OutboxLimit));
    assert_eq!((bench.connection.phase(), bench.connection.queued()), (Phase::Resetting, 0));
    assert!(bench.connection.is_over() && bench.is_due());
    assert_eq!((bench.keep(b"g"), bench.stats.sends_discarded), (Flow::Gone, 2));
}

#[test]
fn the_limit_counts_gathered_bytes_too() {
    let mut bench = Bench::writing([Bytes(1), WouldBlock]).limits(|limits| limits.max_outbox(5));
    assert_eq!(
        bench.send_behind(b"abc", b"defg"),
        Flow::Gone,
        "six bytes would be left, which is above the limit"
    );
    assert_eq!(bench.reason(), Some(CloseKind::OutboxLimit));
    let mut bench = Bench::writing([Bytes(2), WouldBlock]).limits(|limits| limits.max_outbox(5));
    assert_eq!(bench.send_behind(b"abc", b"defg"), Flow::Full, "five bytes are left, which the limit allows");
}

#[test]
fn notify_writable_is_answered_at_once_if_there_is_room() {
    let mut bench = Bench::writing([WouldBlock]).limits(|limits| limits.low_water(3));
    bench.connection.notify_writable();
    assert!(bench.is_due() && bench.take_writable() && !bench.is_due());
    bench.send(b"abc");
    bench.connection.notify_writable();
    assert!(
        !bench.take_writable() && bench.connection.wants_input(),
        "notify_writable does not pause reading"
    );
    bench.flush_with_room();
    assert!(bench.take_writable());
}

#[test]
fn nothing_is_written_after_a_failed_write() {
    let mut bench = Bench::writing([Error(ErrorKind::ConnectionReset)]);
    assert_eq!(bench.send(b"abc"), Flow::Gone);
    // The script panics at a write after an error. A second failure would also end the reading of the remaining input.
    assert_eq!((bench.send(b"def"), bench.connection.phase()), (Flow::Gone, Phase::Failing));
    assert!(bench.try_send(b"ghi").is_err());
}

#[test]
fn nothing_is_written_after_an_abort() {
    let mut bench = Bench::writing([]);
    bench.connection.end(CloseReason::Aborted, Phase::Resetting);
    assert_eq!(bench.send_behind(b"abc", b"def"), Flow::Gone);
    assert_eq!(bench.written(), b"", "no bytes are written after Gone");
    // A callback gathers these bytes before it aborts, and the reactor hands them over when the callback has returned.
    bench.send_gathered(b"ghi");
    assert_eq!(bench.written(), b"", "an abort resets without delivering gathered bytes");
}

#[test]
fn close_delivers_all_bytes_and_then_ends_the_stream() {
    let mut bench = Bench::writing([WouldBlock]);
    bench.connection.close(false);
    assert_eq!(bench.send_behind(b"abc", b"def"), Flow::Open, "the bytes were gathered before close()");
    assert!(!bench.connection.owes_fin() && !bench.connection.is_over());
    bench.flush_with_room();
    assert_eq!(bench.written(), b"abcdef");
    assert!(bench.connection.owes_fin() && !bench.connection.is_over() && bench.is_due());
    bench.connection.fin_was_sent();
    assert!(!bench.connection.owes_fin() && bench.connection.is_over());
    assert_eq!(bench.reason(), Some(CloseKind::Closed));
}

#[test]
fn shutdown_write_waits_for_the_outbox_and_leaves_the_other_direction_open() {
    let mut bench = Bench::writing([WouldBlock]);
    bench.send(b"abc");
    bench.connection.shutdown_write();
    assert!(!bench.connection.takes_sends() && !bench.connection.owes_fin());
    bench.flush_with_room();
    assert_eq!(bench.written(), b"abc");
    assert!(bench.connection.owes_fin() && bench.is_due());
    bench.connection.fin_was_sent();
    assert!(!bench.connection.owes_fin() && !bench.connection.is_over() && bench.connection.wants_input());
}

#[test]
fn an_owed_on_writable_comes_also_after_shutdown_write() {
    let mut bench = Bench::writing([WouldBlock]).limits(|limits| limits.high_water(2));
    assert_eq!(bench.send(b"ab"), Flow::Full);
    bench.connection.shutdown_write();
    bench.flush_with_room();
    assert!(bench.is_due() && !bench.connection.wants_input());
    assert!(bench.take_writable(), "Full promised on_writable before the shutdown");
    assert!(bench.connection.wants_input() && !bench.take_writable());
}

#[test]
fn a_failed_flush_discards_the_outbox() {
    let mut bench = Bench::writing([Bytes(1), WouldBlock, Error(ErrorKind::ConnectionReset)]);
    bench.send(b"abc");
    bench.connection.close(false);
    bench.flush_with_room();
    assert_eq!((bench.connection.queued(), bench.connection.phase()), (0, Phase::Dropping));
    assert_eq!(bench.reason(), Some(CloseKind::Reset), "the close lost bytes, so the error is the reason");
}

#[test]
fn a_send_over_the_limit_counts_as_lost_although_the_kernel_took_a_part() {
    let mut bench = Bench::writing([Bytes(100), WouldBlock]).limits(|limits| limits.max_outbox(1000));
    assert_eq!(bench.send(&[0; 2000]), Flow::Gone);
    assert_eq!((bench.written().len(), bench.reason()), (100, Some(CloseKind::OutboxLimit)));
    assert!(bench.connection.has_lost());
}
