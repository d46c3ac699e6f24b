//! Tests of the receiving direction and of held input, one rule at a time.

use std::io::ErrorKind;

use crate::CloseReason;

use super::{Step::*, *};

#[test]
fn bytes_are_received_in_order_however_few_a_read_returns() {
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
fn only_would_block_shows_that_the_stream_is_empty() {
    let mut bench = Bench::reading([Bytes(3), WouldBlock, Bytes(8)]);
    bench.receive(8);
    assert!(
        bench.connection.can_receive(&bench.limits) && bench.is_due(),
        "a short read does not prove that this stream is empty"
    );
    assert_eq!(bench.receive(8).0, Received::WouldBlock);
    assert!(!bench.connection.can_receive(&bench.limits) && !bench.is_due());
    bench.note(WRITABLE);
    assert!(!bench.connection.can_receive(&bench.limits), "the event concerns the other direction");
    let news = bench.connection.stream_mut().let_read().unwrap();
    bench.note(news);
    assert_eq!(bench.receive(8).1, incoming_bytes(3, 11));
}

#[test]
fn a_short_read_shows_an_empty_stream_where_the_stream_promises_that() {
    let mut bench = Bench::new(Script::new([Bytes(12)], []), true, Options::default());
    bench.note(READABLE);
    assert_eq!(bench.receive(8).0, Received::Data(8));
    assert!(
        bench.connection.can_receive(&bench.limits),
        "a full buffer does not prove that the stream is empty"
    );
    assert_eq!(bench.receive(8).0, Received::Data(4));
    assert!(
        !bench.connection.can_receive(&bench.limits),
        "a short read proves that this stream is empty, so no read has to return WouldBlock"
    );
}

#[test]
fn a_short_read_does_not_show_an_empty_stream_after_a_hang_up_or_an_urgent_mark() {
    let reads = [Bytes(2), Mark, Bytes(3), WouldBlock, Bytes(1), Zero];
    let mut bench = Bench::new(Script::new(reads, []).coalescing(true), true, Options::default());
    let news = bench.connection.stream().arrival(0);
    assert!(news.short_reads_unreliable);
    bench.note(news);
    bench.note(READABLE); // The mark of the first event still counts after a second event without a mark.
    assert_eq!(bench.receive(8).0, Received::Data(2));
    assert_eq!(bench.receive(8).0, Received::Data(3), "the bytes behind the mark arrive");
    assert_eq!(bench.receive(8).0, Received::WouldBlock);
    let news = bench.connection.stream_mut().let_read().unwrap();
    bench.note(news);
    assert_eq!(bench.receive(8).0, Received::Data(1));
    assert_eq!(bench.receive(8).0, Received::Eof, "the end of file had no event of its own");
}

#[test]
fn short_reads_are_reliable_again_after_would_block() {
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
    let bytes = vec![b'.'; bench.limits.inbox_limit()];
    assert_eq!(bench.connection.receive_limit(&bench.limits), 8);
    bench.leave_in_inbox(&bytes[3..], false);
    assert_eq!(bench.connection.receive_limit(&bench.limits), 3);
    bench.leave_in_inbox(&bytes[..3], false);
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
    bench.receive(8); // The read returns WouldBlock, so only the inbox can make the connection due.
    bench.connection.pause();
    bench.leave_in_inbox(b"abc", true);
    assert!(bench.connection.is_held() && !bench.is_due());
    bench.connection.resume();
    assert!(bench.connection.is_held() && bench.connection.wants_input() && bench.is_due());
    assert_eq!(bench.connection.take_inbox().unconsumed(), b"abc");
    assert!(!bench.is_due(), "held input is due only once");
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
    assert!(bench.is_due(), "a resume shows declined input again");
}

#[test]
fn resume_after_the_end_of_file_does_not_show_the_inbox_again() {
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
fn a_connection_at_rest_is_quiet_and_owns_no_storage() {
    let mut bench = Bench::new(Script::new([Bytes(9)], [WouldBlock]), false, Options::default());
    let mut memory = 0;
    assert!(bench.connection.is_quiet());
    bench.note(WRITABLE);
    assert!(bench.connection.is_quiet(), "a writable connection without bytes to send has no work");
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
    assert!(memory >= 6 + 8 && memory as u64 == bench.connection.memory());
    bench.flush_with_room();
    bench.connection.take_inbox();
    assert!(!bench.connection.is_quiet(), "the freed storage has not been counted yet");
    bench.connection.count_memory(&mut memory);
    assert_eq!(memory, 0);
    assert!(bench.connection.is_quiet() && !bench.connection.owns_buffers());
    bench.connection.shutdown_write();
    assert!(!bench.connection.is_quiet());
}

#[test]
fn an_error_that_no_read_will_return_is_queried_once() {
    let error = Readiness { readable: true, writable: true, error: true, ..Readiness::default() };
    let mut bench = Bench::reading([WouldBlock, Zero]);
    bench.note(error);
    bench.note(READABLE); // An event without the error flag does not clear the flag of the event before.
    assert!(!bench.connection.take_unseen_error(), "a read will return the error");
    assert_eq!(
        bench.receive(8).0,
        Received::WouldBlock,
        "the error flag stays set although the read did not return the error"
    );
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
    assert!(!bench.connection.take_unseen_error(), "the connection knows the error already");
}

#[test]
fn a_replaced_stream_starts_without_readiness() {
    let mut bench = Bench::reading([Error(ErrorKind::ConnectionRefused)]);
    bench.note(WRITABLE);
    bench.keep(b"for the next address");
    bench.connection.replace_stream(Script::new([], []));
    assert!(!bench.connection.can_receive(&bench.limits) && !bench.is_due());
    bench.flush();
    assert_eq!(bench.written(), b"");
    bench.note(WRITABLE);
    bench.flush();
    assert_eq!(bench.written(), b"for the next address");
}

#[test]
fn an_incomplete_message_keeps_a_connection_from_being_idle_until_the_peer_has_ended() {
    let mut bench = Bench::reading([Zero]);
    assert!(bench.connection.is_idle());
    bench.leave_in_inbox(b"half a message", false);
    assert!(!bench.connection.is_idle(), "the rest of the message may come");
    assert_eq!(bench.receive(8).0, Received::Eof);
    assert!(bench.connection.is_idle(), "the rest of the message cannot come");
}
