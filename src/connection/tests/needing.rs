//! Tests of a handler that needs a certain number of bytes before it is shown input, one rule at a time.

use std::io::ErrorKind;

use crate::socket::stream::Stream;

use super::{Step::*, *};

/// Makes a bench without readiness whose handler left `left` in the inbox and needs `need` bytes.
fn needing(need: usize, left: &[u8], held: bool) -> Bench {
    let mut bench = Bench::reading([]);
    bench.receive(8);
    bench.connection.need(need);
    let mut inbox = Inbox::default();
    inbox.push(left);
    bench.connection.put_inbox(inbox, held);
    bench
}

#[test]
fn bytes_that_the_handler_needs_cost_a_connection_no_space() {
    assert_eq!(
        size_of::<Connection<Stream>>(),
        size_of::<(Stream, Outbox, Inbox, io::Error)>() + size_of::<[u32; 6]>()
    );
}

#[test]
fn a_need_holds_until_input_is_shown() {
    let mut bench = needing(5, b"abc", false);
    assert!(bench.connection.needs_more(0) && bench.connection.needs_more(1));
    assert!(!bench.connection.needs_more(2));
    bench.connection.keep_input(b"d");
    assert!(bench.connection.needs_more(0) && !bench.connection.needs_more(1));
    assert_eq!(bench.connection.take_inbox().unconsumed(), b"abcd");
    assert!(!bench.connection.needs_more(0), "the need is forgotten when the input is shown");
}

#[test]
fn a_need_holds_also_if_everything_was_consumed() {
    let mut bench = needing(3, b"", false);
    bench.note(READABLE);
    assert!(bench.connection.needs_more(2) && !bench.connection.needs_more(3));
    assert!(!bench.connection.has_only_input() && bench.connection.has_only_more_input());
    bench.connection.forget_need();
    assert!(bench.connection.has_only_input());
}

#[test]
fn neither_a_resume_nor_room_shows_fewer_bytes_than_are_needed() {
    let mut bench = needing(5, b"abc", true);
    assert!(!bench.connection.is_held() && !bench.is_due());
    bench.connection.pause();
    bench.connection.resume();
    assert!(!bench.connection.is_held() && !bench.is_due());
    bench.connection.pause();
    bench.connection.keep_input(b"de");
    bench.connection.resume();
    assert!(bench.connection.is_held() && bench.is_due(), "the resume shows enough bytes");
}

#[test]
fn a_changed_need_shows_and_holds_back_the_bytes_that_are_there() {
    let mut bench = needing(5, b"abc", false);
    bench.connection.need(2);
    assert!(
        bench.connection.is_held() && bench.is_due(),
        "the handler has not seen that two bytes are there"
    );
    bench.connection.need(4);
    assert!(!bench.connection.is_held() && !bench.is_due());
    bench.connection.need(0);
    assert!(bench.connection.is_held() && bench.is_due());
    let mut bench = needing(2, b"abc", false);
    bench.connection.need(3);
    assert!(!bench.connection.is_held(), "the handler has declined these bytes");
}

#[test]
fn an_incomplete_message_of_a_failed_connection_is_not_kept_for_a_resume() {
    for (left, waits) in [(&b"abc"[..], false), (b"abcde", true)] {
        let mut bench = needing(5, b"", false);
        bench.connection.pause();
        bench.connection.fail(ErrorKind::ConnectionReset.into());
        assert!(!bench.connection.is_over(), "the last bytes of the peer are still to be read");
        bench.connection.hold(left);
        assert_eq!(bench.receive(8).0, Received::WouldBlock);
        assert_eq!(bench.connection.is_held(), waits);
        assert_eq!(bench.connection.is_over(), !waits);
    }
}

#[test]
fn a_message_that_is_waited_for_does_not_keep_a_connection_from_being_idle_before_it_begins() {
    assert!(needing(4, b"", false).connection.is_idle());
    assert!(!needing(4, b"a", false).connection.is_idle());
}

#[test]
fn the_recv_of_a_large_message_ends_with_the_beginning_of_the_next_message() {
    let limit_with = |read_buffer: usize, need: usize, left: usize| {
        let mut bench = needing(need, &vec![b'.'; left], false);
        let max_inbox = read_buffer + read_buffer / 4;
        bench.limits = Options::default().max_inbox(max_inbox).read_buffer(read_buffer).checked();
        bench.connection.receive_limit(&bench.limits)
    };
    let limit = |need, left| limit_with(800, need, left);
    assert_eq!((limit(0, 0), limit(0, 500)), (800, 1016 - 500), "no message is waited for");
    assert_eq!((limit(400, 0), limit(400, 300)), (800, 1016 - 300), "the message is not large");
    assert_eq!((limit(600, 0), limit(600, 590)), (616, 26));
    assert_eq!(
        limit_with(6400, 6390, 6380),
        100,
        "a handler that raises its need by steps gets more than a step"
    );
    assert_eq!(limit(600, 600), 1016 - 600, "the message is there");
    assert_eq!((limit(1016, 0), limit(1016, 900)), (800, 116), "the inbox takes no more");
}

#[test]
fn pausing_and_resuming_keeps_a_need() {
    let mut bench = Bench::reading([Bytes(3), WouldBlock, Bytes(3)]);
    bench.connection.need(6);
    let first = bench.receive(8).1;
    assert!(bench.connection.needs_more(first.len()));
    bench.connection.pause();
    bench.connection.resume();
    assert!(bench.connection.needs_more(first.len()) && !bench.connection.needs_more(6));
}

#[test]
fn a_recv_asks_for_little_after_much_input_was_held_back() {
    const KIB: usize = 1 << 10;
    let mut bench = Bench::reading([]);
    let limit = |bench: &Bench| bench.connection.receive_limit(&bench.limits);
    bench.leave_in_inbox(&vec![b'.'; 16 * KIB], true);
    bench.connection.take_inbox();
    assert_eq!(limit(&bench), 256 * KIB, "little was held back");
    bench.leave_in_inbox(&vec![b'.'; 200 * KIB], true);
    bench.connection.take_inbox();
    assert_eq!(limit(&bench), 16 * KIB);
    assert!(!bench.connection.has_only_input() && !bench.connection.takes_whole(10));
    bench.connection.need(100 * KIB);
    assert_eq!(limit(&bench), 100 * KIB + 16, "a large message is received whole");
    bench.connection.read_much_again();
    assert_eq!(limit(&bench), 256 * KIB);
}

#[test]
fn a_need_that_is_taken_back_shows_the_last_bytes_of_a_peer_that_has_failed() {
    let mut bench = Bench::reading([Step::Bytes(50), Step::Zero]);
    bench.connection.pause();
    bench.connection.need(100);
    bench.connection.fail(io::ErrorKind::ConnectionReset.into());
    assert_eq!(bench.receive(100).0, Received::Data(50));
    bench.connection.hold(&incoming_bytes(0, 50));
    assert_eq!(bench.receive(100).0, Received::Eof);
    assert!(!bench.connection.is_held(), "the message cannot become whole");
    bench.connection.need(0);
    bench.connection.resume();
    assert!(bench.connection.is_held() && bench.is_due(), "the bytes were never shown");
}
