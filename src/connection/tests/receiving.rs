//! The receiving direction, held input, and how a connection ends, one rule at a time.

use std::io::ErrorKind;

use crate::CloseReason;

use super::{Step::*, *};

#[test]
fn bytes_are_received_in_order_whatever_a_read_gives() {
    let mut bench = Bench::reading([Bytes(5), Interrupted, Bytes(1), Interrupted, Bytes(30)]);
    let mut received = Vec::new();
    for _ in 0..8 {
        assert!(bench.connection.can_receive(&bench.limits));
        received.extend(bench.receive(7).1);
    }
    assert!(!bench.connection.can_receive(&bench.limits));
    assert_eq!(received, incoming_bytes(0, 36));
    assert_eq!((bench.stats.bytes_received, bench.stats.receives), (36, 7));
    assert_eq!(bench.stats.would_blocks, 1);
}

#[test]
fn only_would_block_says_that_nothing_more_is_there() {
    let mut bench = Bench::reading([Bytes(3), WouldBlock, Bytes(8)]);
    bench.receive(8);
    assert!(bench.connection.can_receive(&bench.limits) && bench.is_due(), "a short read means nothing here");
    assert_eq!(bench.receive(8).0, Received::WouldBlock);
    assert!(!bench.connection.can_receive(&bench.limits) && !bench.is_due());
    bench.note(WRITABLE);
    assert!(!bench.connection.can_receive(&bench.limits), "the other direction's event");
    let news = bench.connection.stream_mut().let_read().unwrap();
    bench.note(news);
    assert_eq!(bench.receive(8).1, incoming_bytes(3, 11));
}

#[test]
fn a_short_read_drains_where_the_stream_promises_it() {
    let mut bench = Bench::new(Script::new([Bytes(12)], []), true, Options::default());
    bench.note(READABLE);
    assert_eq!(bench.receive(8).0, Received::Data(8));
    assert!(bench.connection.can_receive(&bench.limits), "a full buffer says nothing");
    assert_eq!(bench.receive(8).0, Received::Data(4));
    assert!(!bench.connection.can_receive(&bench.limits), "no read is spent on WouldBlock");
}

#[test]
fn a_short_read_proves_nothing_after_a_hang_up_or_an_urgent_mark() {
    let reads = [Bytes(2), Mark, Bytes(3), WouldBlock, Bytes(1), Zero];
    let mut bench = Bench::new(Script::new(reads, []).coalescing(true), true, Options::default());
    let news = bench.connection.stream().arrival(0);
    assert!(news.short_reads_unreliable);
    bench.note(news);
    bench.note(READABLE); // a later event does not take back what the first one said
    assert_eq!(bench.receive(8).0, Received::Data(2));
    assert_eq!(bench.receive(8).0, Received::Data(3), "what stood behind the mark");
    assert_eq!(bench.receive(8).0, Received::WouldBlock);
    let news = bench.connection.stream_mut().let_read().unwrap();
    bench.note(news);
    assert_eq!(bench.receive(8).0, Received::Data(1));
    assert_eq!(bench.receive(8).0, Received::Eof, "data and end of file were one event");
}

#[test]
fn would_block_restores_the_faith_in_short_reads() {
    let reads = [Mark, Bytes(2), WouldBlock, Bytes(2), WouldBlock];
    let mut bench = Bench::new(Script::new(reads, []).coalescing(true), true, Options::default());
    let news = bench.connection.stream().arrival(0);
    bench.note(news);
    bench.receive(8);
    assert_eq!(bench.receive(8).0, Received::WouldBlock);
    let news = bench.connection.stream_mut().let_read().unwrap();
    bench.note(news);
    bench.receive(8);
    assert!(!bench.connection.can_receive(&bench.limits));
}

#[test]
fn an_inbox_cannot_pass_its_limit() {
    let mut bench = Bench::reading([]).limits(|limits| limits.max_inbox(10).read_buffer(8));
    assert_eq!(bench.connection.receive_limit(&bench.limits), 8);
    bench.leave_in_inbox(b"abcdefg", false);
    assert_eq!(bench.connection.receive_limit(&bench.limits), 3);
    bench.leave_in_inbox(b"hij", false);
    assert_eq!(bench.connection.receive_limit(&bench.limits), 0);
}

#[test]
fn pausing_loses_no_event() {
    let mut bench = Bench::reading([Bytes(3)]);
    bench.connection.pause();
    assert!(
        !bench.connection.can_receive(&bench.limits) && !bench.connection.wants_input() && !bench.is_due()
    );
    bench.note(READABLE);
    assert!(!bench.is_due());
    bench.connection.resume();
    assert!(bench.connection.can_receive(&bench.limits) && bench.is_due());
}

#[test]
fn held_input_is_due_again_after_resume_without_a_new_byte() {
    let mut bench = Bench::reading([]);
    bench.receive(8); // WouldBlock: only the inbox can be a reason to go on
    bench.connection.pause();
    bench.leave_in_inbox(b"abc", true);
    assert!(bench.connection.is_held() && !bench.is_due());
    bench.connection.resume();
    assert!(bench.connection.is_held() && bench.connection.wants_input() && bench.is_due());
    assert_eq!(bench.connection.take_inbox().unconsumed(), b"abc");
    assert!(!bench.is_due(), "once");
}

#[test]
fn held_input_is_due_again_below_low_water() {
    let mut bench = Bench::writing([WouldBlock]).limits(|limits| limits.high_water(2));
    assert_eq!(bench.send(b"ab"), Flow::Full);
    bench.leave_in_inbox(b"abc", true);
    assert!(!bench.is_due());
    bench.flush_with_room();
    assert!(bench.take_writable() && bench.connection.is_held() && bench.is_due());
}

#[test]
fn declined_input_waits_for_a_new_byte() {
    let mut bench = Bench::reading([]);
    bench.receive(8);
    bench.leave_in_inbox(b"half a message", false);
    assert!(!bench.connection.is_held() && !bench.is_due());
    assert_eq!(bench.connection.inbox().unconsumed(), b"half a message");
    bench.connection.resume();
    assert!(bench.is_due(), "resume shows it again all the same");
}

#[test]
fn resume_after_the_end_of_file_shows_nothing_a_second_time() {
    let mut bench = Bench::reading([Zero]);
    bench.leave_in_inbox(b"half a message", false);
    assert_eq!(bench.receive(8).0, Received::Eof);
    bench.connection.resume();
    assert!(!bench.connection.is_held(), "on_eof comes only after the inbox was shown for the last time");
}

#[test]
fn a_failed_read_ends_the_connection_and_keeps_the_cause() {
    let mut bench = Bench::reading([Bytes(1), Error(ErrorKind::TimedOut)]);
    bench.keep(b"unsent");
    assert_eq!(bench.receive(8).0, Received::Data(1), "data before the error is delivered first");
    assert_eq!(bench.receive(8).0, Received::Failed);
    assert_eq!((bench.connection.phase(), bench.reason()), (Phase::Dropping, Some(CloseKind::Io)));
    assert_eq!(bench.connection.queued(), 0);
    assert!(bench.connection.is_over() && !bench.connection.can_receive(&bench.limits));
    assert!(matches!(bench.connection.take_reason(), CloseReason::Io(e) if e.kind() == ErrorKind::TimedOut));
}

#[test]
fn a_connection_at_rest_is_quiet_and_owns_nothing() {
    let mut bench = Bench::new(Script::new([Bytes(9)], [WouldBlock]), false, Options::default());
    let mut memory = 0;
    assert!(bench.connection.is_quiet());
    bench.note(WRITABLE);
    assert!(bench.connection.is_quiet(), "nobody wants to send");
    bench.note(READABLE);
    assert!(!bench.connection.is_quiet());
    let input = bench.receive(8).1;
    bench.receive(8);
    assert_eq!(bench.receive(8).0, Received::WouldBlock);
    assert!(bench.connection.is_quiet() && bench.connection.has_moved());
    bench.connection.forget_moved();
    assert!(!bench.connection.has_moved());
    bench.send(b"answer");
    bench.leave_in_inbox(&input, false);
    assert!(!bench.connection.is_quiet() && bench.connection.owns_buffers());
    bench.connection.count_memory(&mut memory);
    assert!(memory >= 6 + 8 && memory == bench.connection.memory());
    bench.flush_with_room();
    bench.connection.take_inbox();
    assert!(!bench.connection.is_quiet(), "what it owned has still to be taken from the books");
    bench.connection.count_memory(&mut memory);
    assert_eq!(memory, 0);
    assert!(bench.connection.is_quiet() && !bench.connection.owns_buffers());
    bench.connection.shutdown_write();
    assert!(!bench.connection.is_quiet());
}

#[test]
fn an_error_that_no_read_will_meet_is_asked_about_once() {
    let error = Readiness { readable: true, writable: true, error: true, ..Readiness::default() };
    let mut bench = Bench::reading([WouldBlock, Zero]);
    bench.note(error);
    bench.note(READABLE); // says nothing of the error, and does not take it back
    assert!(!bench.connection.take_unseen_error(), "a read is going to meet it");
    assert_eq!(bench.receive(8).0, Received::WouldBlock, "or not, and then it stays announced");
    bench.connection.pause();
    assert!(!bench.connection.is_quiet());
    assert!(bench.connection.take_unseen_error());
    assert!(!bench.connection.take_unseen_error());
    bench.connection.resume();
    bench.connection.stream_mut().let_read().unwrap();
    bench.note(error);
    assert_eq!(bench.receive(8).0, Received::Eof);
    bench.note(error);
    assert!(bench.connection.take_unseen_error(), "nothing is read after the end of file");
    bench.connection.fail(ErrorKind::ConnectionReset.into());
    bench.note(error);
    assert!(!bench.connection.take_unseen_error(), "it is known already");
}

#[test]
fn another_stream_starts_without_readiness() {
    let mut bench = Bench::reading([Error(ErrorKind::ConnectionRefused)]);
    bench.note(WRITABLE);
    bench.keep(b"for whoever answers");
    bench.connection.replace_stream(Script::new([], []));
    assert!(!bench.connection.can_receive(&bench.limits) && !bench.is_due());
    bench.flush();
    assert_eq!(bench.written(), b"");
    bench.note(WRITABLE);
    bench.flush();
    assert_eq!(bench.written(), b"for whoever answers");
}

#[test]
fn an_incomplete_message_keeps_a_connection_from_being_idle_until_the_peer_has_ended() {
    let mut bench = Bench::reading([Zero]);
    assert!(bench.connection.is_idle());
    bench.leave_in_inbox(b"half a message", false);
    assert!(!bench.connection.is_idle(), "the rest may come");
    assert_eq!(bench.receive(8).0, Received::Eof);
    assert!(bench.connection.is_idle(), "the rest never comes");
}
