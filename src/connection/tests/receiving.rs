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
fn an_end_of_file_closes_the_reading_side_alone() {
    let mut bench = Bench::reading([Bytes(1), Zero]);
    bench.note(WRITABLE);
    bench.receive(8);
    assert_eq!(bench.receive(8).0, Received::Eof);
    assert!(
        bench.connection.is_eof()
            && !bench.connection.can_receive(&bench.limits)
            && !bench.connection.is_over()
    );
    bench.note(READABLE);
    assert!(
        !bench.connection.can_receive(&bench.limits) && !bench.is_due(),
        "the script panics at a read after the end"
    );
    assert_eq!(bench.send(b"answer"), Flow::Open);
    assert_eq!(bench.written(), b"answer");
    bench.connection.shutdown_write();
    assert!(bench.connection.owes_fin());
    bench.connection.fin_was_sent();
    assert!(bench.connection.is_over() && bench.is_due(), "both directions have ended");
    assert_eq!(bench.reason(), None, "which is an end of file by itself");
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
fn the_last_words_are_heard_after_a_failed_send() {
    let script =
        Script::new([Bytes(3), WouldBlock, Bytes(2), Interrupted, Zero], [Error(ErrorKind::BrokenPipe)]);
    let mut bench = Bench::new(script.coalescing(true), true, Options::default());
    bench.note(READABLE);
    bench.receive(8); // a short read: nothing more is there now
    bench.connection.stream_mut().let_read().unwrap(); // ... but then the peer speaks and resets
    bench.note(WRITABLE);
    assert_eq!(bench.send(b"abc"), Flow::Gone);
    assert_eq!(bench.connection.phase(), Phase::Failing);
    assert!(bench.connection.wants_input() && !bench.connection.is_over() && bench.is_due());
    assert_eq!(bench.receive(8).1, incoming_bytes(3, 5));
    assert!(bench.connection.can_receive(&bench.limits), "a short read proves nothing now");
    assert_eq!(bench.receive(8).0, Received::Eof);
    bench.note(READABLE); // the hang-up that goes with it
    assert!(bench.connection.is_over(), "there is nothing to wait for");
    assert_eq!(bench.reason(), Some(CloseKind::Reset), "and not the end of file");
}

#[test]
fn a_failed_send_lets_input_through_that_high_water_held_back() {
    let mut bench = Bench::writing([WouldBlock, Error(ErrorKind::BrokenPipe)])
        .limits(|limits| limits.high_water(2).low_water(1));
    bench.send(b"ab");
    bench.leave_in_inbox(b"last words", true);
    bench.flush_with_room();
    assert_eq!((bench.connection.phase(), bench.connection.queued()), (Phase::Failing, 0));
    assert!(bench.connection.is_held() && bench.connection.wants_input() && bench.is_due());
    assert_eq!(bench.connection.inbox().unconsumed(), b"last words");
    assert!(!bench.take_writable(), "nothing can be sent any more");
}

#[test]
fn a_failed_send_ends_a_connection_whose_peer_has_ended() {
    let mut bench =
        Bench::new(Script::new([Zero], [Error(ErrorKind::BrokenPipe)]), false, Options::default());
    bench.note(WRITABLE);
    bench.receive(8);
    bench.send(b"a");
    assert_eq!(bench.connection.phase(), Phase::Dropping);
}

#[test]
fn the_last_bytes_of_a_peer_wait_for_the_resume_when_a_send_fails() {
    let mut bench =
        Bench::new(Script::new([Bytes(4), Zero], [Error(ErrorKind::BrokenPipe)]), false, Options::default());
    bench.note(WRITABLE);
    bench.connection.pause();
    bench.send(b"a");
    assert_eq!(bench.connection.phase(), Phase::Failing);
    assert!(
        !bench.connection.is_over() && bench.connection.can_receive(&bench.limits),
        "they may still be in the kernel"
    );
    let (_, last) = bench.receive(8);
    bench.connection.hold(&last);
    assert_eq!(bench.receive(8).0, Received::Eof);
    assert!(!bench.connection.is_over() && !bench.is_due(), "the handler has not seen them");
    bench.connection.resume();
    assert!(bench.connection.is_held() && bench.is_due());
    let mut inbox = bench.connection.take_inbox();
    assert_eq!(inbox.len(), 4);
    inbox.consume(4);
    bench.connection.put_inbox(inbox, false);
    assert!(bench.connection.is_over());
    assert_eq!(bench.reason(), Some(CloseKind::Reset));
}

#[test]
fn a_paused_connection_ends_at_once_when_a_send_fails_and_the_peer_has_said_nothing() {
    for nothing in [Zero, WouldBlock, Error(ErrorKind::ConnectionReset)] {
        let mut bench =
            Bench::new(Script::new([nothing], [Error(ErrorKind::BrokenPipe)]), false, Options::default());
        bench.note(WRITABLE);
        bench.connection.pause();
        bench.send(b"a");
        bench.receive(8);
        assert!(bench.connection.is_over(), "{nothing:?}");
    }
}

#[test]
fn a_close_during_the_last_words_owes_nothing() {
    let mut bench = Bench::writing([Error(ErrorKind::BrokenPipe)]);
    bench.send(b"a");
    bench.connection.close(false);
    assert_eq!((bench.connection.phase(), bench.reason()), (Phase::Dropping, Some(CloseKind::Reset)));
    assert!(!bench.connection.owes_fin() && bench.connection.is_over());
}

#[test]
fn close_discards_input_until_the_end_of_file() {
    let mut bench = Bench::reading([Bytes(1), Bytes(2), WouldBlock, Bytes(2), Zero]);
    bench.leave_in_inbox(b"unread", true);
    bench.connection.pause();
    bench.connection.close(false);
    assert!(bench.connection.inbox().is_empty() && !bench.connection.wants_input());
    bench.leave_in_inbox(b"given back by the callback that closed", true);
    assert!(bench.connection.inbox().is_empty());
    assert!(bench.connection.can_receive(&bench.limits), "unread input would make the end a reset");
    bench.receive(8);
    assert!(bench.connection.owes_fin());
    bench.connection.fin_was_sent();
    assert!(bench.connection.is_over(), "the session may go");
    assert_eq!(bench.connection.take_reason().kind(), CloseKind::Closed);
    bench.connection.linger();
    assert!(!bench.connection.is_over() && bench.connection.can_receive(&bench.limits) && bench.is_due());
    bench.receive(8);
    assert_eq!(bench.receive(8).0, Received::WouldBlock);
    assert!(!bench.is_due());
    let news = bench.connection.stream_mut().let_read().unwrap();
    bench.note(news);
    bench.receive(8);
    assert_eq!(bench.receive(8).0, Received::Eof);
    assert!(bench.connection.is_over() && bench.is_due());
}

#[test]
fn lingering_ends_with_the_peers_reset_too() {
    let mut bench = Bench::reading([Error(ErrorKind::ConnectionReset)]);
    bench.connection.close(false);
    bench.connection.fin_was_sent();
    bench.connection.take_reason();
    bench.connection.linger();
    assert_eq!(bench.receive(8).0, Received::Failed);
    assert!(bench.connection.is_over() && !bench.connection.can_receive(&bench.limits));
}

#[test]
fn close_after_the_end_of_file_owes_no_end_of_its_own() {
    let mut bench = Bench::reading([Zero]);
    bench.receive(8);
    bench.keep(b"answer");
    bench.connection.close(true);
    assert_eq!(bench.reason(), Some(CloseKind::Eof));
    assert!(!bench.connection.is_over(), "the answer comes first");
    bench.note(WRITABLE);
    bench.flush();
    assert!(!bench.connection.owes_fin() && bench.connection.is_over(), "dropping the socket says it");
    assert_eq!(bench.written(), b"answer");
}

#[test]
fn the_first_reason_wins_and_a_harder_end_replaces_a_softer_one() {
    let mut bench = Bench::writing([]);
    bench.connection.end(CloseReason::IdleTimeout, Phase::Dropping);
    bench.connection.end(CloseReason::Aborted, Phase::Resetting);
    bench.connection.close(false);
    bench.connection.end(CloseReason::InboxLimit, Phase::Dropping);
    assert_eq!((bench.connection.phase(), bench.reason()), (Phase::Resetting, Some(CloseKind::IdleTimeout)));
}

#[test]
fn the_cause_of_a_loss_replaces_a_close_that_cannot_be_carried_out() {
    let mut bench = Bench::writing([]);
    bench.keep(b"unsent");
    bench.connection.close(true);
    assert_eq!((bench.connection.phase(), bench.connection.queued()), (Phase::Flushing, 6));
    bench.connection.end(CloseReason::Aborted, Phase::Resetting);
    assert_eq!((bench.connection.phase(), bench.connection.queued()), (Phase::Resetting, 0));
    assert!(bench.connection.has_lost());
    assert_eq!(bench.reason(), Some(CloseKind::Aborted));
    let mut all_sent = Bench::writing([]);
    all_sent.send(b"sent");
    all_sent.connection.close(true);
    all_sent.connection.end(CloseReason::Aborted, Phase::Resetting);
    assert_eq!(all_sent.reason(), Some(CloseKind::Drained), "nothing was lost");
}

#[test]
fn a_limit_frees_both_buffers_and_owes_nothing() {
    let mut bench = Bench::writing([]).limits(|limits| limits.high_water(2));
    bench.keep(b"unsent");
    bench.leave_in_inbox(b"unread", true);
    bench.connection.end(CloseReason::InboxLimit, Phase::Resetting);
    assert_eq!((bench.connection.queued(), bench.connection.inbox().len()), (0, 0));
    assert!(!bench.take_writable() && !bench.connection.wants_input() && !bench.connection.owes_fin());
    assert!(bench.connection.is_over());
}

#[test]
fn a_timeout_resets_only_what_leaves_something_unsent() {
    let mut bench = Bench::reading([]);
    bench.leave_in_inbox(b"unread", false);
    bench.connection.end_by_limit(CloseReason::IdleTimeout);
    assert_eq!((bench.connection.phase(), bench.reason()), (Phase::Dropping, Some(CloseKind::IdleTimeout)));
    let mut bench = Bench::reading([]);
    bench.keep(b"half an answer");
    bench.connection.close(false);
    bench.connection.end_by_limit(CloseReason::Deadline);
    assert_eq!((bench.connection.phase(), bench.reason()), (Phase::Resetting, Some(CloseKind::Deadline)));
    assert_eq!(bench.connection.queued(), 0);
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
