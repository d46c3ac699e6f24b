//! An `on_data` that says that it used more than it was shown: a panic with the message that its documentation promises.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tidegate::{Accepted, Conn, Handler, Net, Options, testing::Rehearsal};

const MESSAGE: &str = "on_data says that it used more bytes than it was shown";

/// For each call of `on_data`, how many bytes it is to be shown and how many it says that it used.
struct Claims(Vec<(usize, usize)>);

impl Handler for Claims {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, input: &[u8]) -> usize {
        let (shown, used) = self.0.remove(0);
        assert_eq!(input.len(), shown);
        used
    }
}

/// The last of these claims is too high.
#[track_caller]
fn assert_panics(pieces: &[&[u8]], claims: &[(usize, usize)]) {
    let mut handler = Claims(claims.to_vec());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut rehearsal = Rehearsal::new(Options::default());
        let client = rehearsal.accept(&mut handler).unwrap();
        pieces.iter().for_each(|piece| rehearsal.receive(&mut handler, client, piece));
    }));
    let panic = panic.expect_err("the claim is believed");
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    assert_eq!(text.or_else(|| panic.downcast_ref::<String>().cloned()).as_deref(), Some(MESSAGE));
    assert!(handler.0.is_empty(), "the panic came before the last claim");
}

#[test]
fn more_than_the_input_of_a_first_call_is_a_panic() {
    assert_panics(&[b"hello"], &[(5, 6)]);
    assert_panics(&[b"hello"], &[(5, usize::MAX)]);
}

#[test]
fn more_than_the_rest_that_a_further_call_shows_is_a_panic() {
    assert_panics(&[b"hello"], &[(5, 3), (2, 3)]);
    assert_panics(&[b"hello"], &[(5, 3), (2, 5)]);
    assert_panics(&[b"hello"], &[(5, 3), (2, usize::MAX)]);
}

#[test]
fn more_than_the_inbox_holds_is_a_panic() {
    assert_panics(&[b"hel", b"lo"], &[(3, 0), (5, 6)]);
    assert_panics(&[b"hel", b"lo"], &[(3, 1), (2, 0), (4, 5)]);
    assert_panics(&[b"hel", b"lo"], &[(3, 0), (5, usize::MAX)]);
}

#[test]
fn more_than_the_rest_of_the_inbox_is_a_panic() {
    assert_panics(&[b"hel", b"lo"], &[(3, 0), (5, 4), (1, 2)]);
    assert_panics(&[b"hel", b"lo"], &[(3, 0), (5, 4), (1, usize::MAX)]);
}
