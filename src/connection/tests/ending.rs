//! Tests of how a connection ends: by failures, closes and limits, and for which reasons.

use std::io::ErrorKind;

use crate::CloseReason;

use super::{Step::*, *};

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
    assert!(bench.connection.has_unsent_fin());
    assert!(!bench.connection.owes_fin(), "the close of the socket sends it");
    assert!(bench.connection.is_over() && bench.is_due(), "both directions have ended");
    assert_eq!(bench.reason(), None, "no reason is recorded, which stands for an end of file");
}

#[test]
fn input_is_received_to_its_end_after_a_failed_send() {
    let script =
        Script::new([Bytes(3), WouldBlock, Bytes(2), Interrupted, Zero], [Error(ErrorKind::BrokenPipe)]);
    let mut bench = Bench::new(script.coalescing(true), true, Options::default());
    bench.note(READABLE);
    bench.receive(8); // The read is short, so the stream is known to be empty.
    bench.connection.stream_mut().let_read().unwrap(); // The peer sends more input and resets.
    bench.note(WRITABLE);
    assert_eq!(bench.send(b"abc"), Flow::Gone);
    assert_eq!(bench.connection.phase(), Phase::Failing);
    assert!(bench.connection.wants_input() && !bench.connection.is_over() && bench.is_due());
    assert_eq!(bench.receive(8).1, incoming_bytes(3, 5));
    assert!(
        bench.connection.can_receive(&bench.limits),
        "a short read does not prove that the stream is empty after a failed send"
    );
    assert_eq!(bench.receive(8).0, Received::Eof);
    bench.note(READABLE); // The kernel reports the hang-up as well.
    assert!(bench.connection.is_over(), "both directions have ended");
    assert_eq!(
        bench.reason(),
        Some(CloseKind::Reset),
        "the failed send is the reason, and not the end of file"
    );
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
    assert!(!bench.take_writable(), "on_writable does not come after a failed send");
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
fn the_last_bytes_of_a_peer_wait_for_the_resume_after_a_failed_send() {
    let mut bench =
        Bench::new(Script::new([Bytes(4), Zero], [Error(ErrorKind::BrokenPipe)]), false, Options::default());
    bench.note(WRITABLE);
    bench.connection.pause();
    bench.send(b"a");
    assert_eq!(bench.connection.phase(), Phase::Failing);
    assert!(
        !bench.connection.is_over() && bench.connection.can_receive(&bench.limits),
        "the last bytes may still be in the kernel"
    );
    let (_, last) = bench.receive(8);
    bench.connection.hold(&last);
    assert_eq!(bench.receive(8).0, Received::Eof);
    assert!(!bench.connection.is_over() && !bench.is_due(), "the handler has not seen the last bytes");
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
fn a_paused_connection_ends_at_once_when_a_send_fails_and_no_input_is_left() {
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
fn a_close_after_a_failed_send_owes_no_shutdown_and_ends_at_once() {
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
    bench.leave_in_inbox(b"left by the callback that closed", true);
    assert!(bench.connection.inbox().is_empty());
    assert!(bench.connection.can_receive(&bench.limits), "unread input would turn the close into a reset");
    bench.receive(8);
    assert!(bench.connection.owes_fin());
    bench.connection.fin_was_sent();
    assert!(bench.connection.is_over(), "the session may end");
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
fn a_reset_by_the_peer_ends_lingering() {
    let mut bench = Bench::reading([Error(ErrorKind::ConnectionReset)]);
    bench.connection.close(false);
    bench.connection.fin_was_sent();
    bench.connection.take_reason();
    bench.connection.linger();
    assert_eq!(bench.receive(8).0, Received::Failed);
    assert!(bench.connection.is_over() && !bench.connection.can_receive(&bench.limits));
}

#[test]
fn close_after_the_end_of_file_owes_no_shutdown() {
    let mut bench = Bench::reading([Zero]);
    bench.receive(8);
    bench.keep(b"answer");
    bench.connection.close(true);
    assert_eq!(bench.reason(), Some(CloseKind::Eof));
    assert!(!bench.connection.is_over(), "the answer has to be delivered first");
    bench.note(WRITABLE);
    bench.flush();
    assert!(
        !bench.connection.owes_fin() && bench.connection.is_over(),
        "dropping the socket ends the stream"
    );
    assert_eq!(bench.written(), b"answer");
}

#[test]
fn the_first_reason_is_kept_and_phases_only_advance() {
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
fn a_limit_frees_both_buffers_and_cancels_on_writable_and_shutdown() {
    let mut bench = Bench::writing([]).limits(|limits| limits.high_water(2));
    bench.keep(b"unsent");
    bench.leave_in_inbox(b"unread", true);
    bench.connection.end(CloseReason::InboxLimit, Phase::Resetting);
    assert_eq!((bench.connection.queued(), bench.connection.inbox().len()), (0, 0));
    assert!(!bench.take_writable() && !bench.connection.wants_input() && !bench.connection.owes_fin());
    assert!(bench.connection.is_over());
}

#[test]
fn a_timeout_resets_only_a_connection_with_unsent_bytes() {
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
