//! Tests of an `on_data` that claims to have used more bytes than it was shown: it panics with the documented message.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tidegate::{Options, testing::Rehearsal};

use crate::support::Actor;

const MESSAGE: &str = "on_data says that it used more bytes than it was shown";

/// Asserts that the last of these claims panics, and that the claims before it do not. For each call of `on_data`, a claim
/// has the number of bytes that are shown and the number of bytes that the call claims to have used.
#[track_caller]
fn assert_panics(pieces: &[&[u8]], claims: &[(usize, usize)]) {
    let mut left = claims.iter();
    let mut handler = Actor::consuming(|_, input| {
        let (shown, used) = left.next().expect("`on_data` is called once for each claim");
        assert_eq!(input.len(), *shown);
        *used
    });
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut rehearsal = Rehearsal::new(Options::default());
        let client = rehearsal.accept(&mut handler).unwrap();
        pieces.iter().for_each(|piece| rehearsal.receive(&mut handler, client, piece));
    }));
    let panic = panic.expect_err("the claim does not panic");
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    assert_eq!(text.or_else(|| panic.downcast_ref::<String>().cloned()).as_deref(), Some(MESSAGE));
    drop(handler);
    assert!(left.next().is_none(), "the panic came before the last claim");
}

#[test]
fn claiming_more_than_the_input_of_a_first_call_panics() {
    assert_panics(&[b"hello"], &[(5, 6)]);
    assert_panics(&[b"hello"], &[(5, usize::MAX)]);
}

#[test]
fn claiming_more_than_the_input_of_a_further_call_panics() {
    assert_panics(&[b"hello"], &[(5, 3), (2, 3)]);
    assert_panics(&[b"hello"], &[(5, 3), (2, 5)]);
    assert_panics(&[b"hello"], &[(5, 3), (2, usize::MAX)]);
}

#[test]
fn claiming_more_than_the_inbox_holds_panics() {
    assert_panics(&[b"hel", b"lo"], &[(3, 0), (5, 6)]);
    assert_panics(&[b"hel", b"lo"], &[(3, 1), (2, 0), (4, 5)]);
    assert_panics(&[b"hel", b"lo"], &[(3, 0), (5, usize::MAX)]);
}

#[test]
fn claiming_more_than_the_rest_of_the_inbox_panics() {
    assert_panics(&[b"hel", b"lo"], &[(3, 0), (5, 4), (1, 2)]);
    assert_panics(&[b"hel", b"lo"], &[(3, 0), (5, 4), (1, usize::MAX)]);
}
