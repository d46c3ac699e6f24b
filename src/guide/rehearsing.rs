//! Recipe: tests of a handler without sockets, in time that the test moves.
//!
//! A test plays the peers of a [`Rehearsal`](crate::testing::Rehearsal). Each call that takes the handler does all the work
//! that follows from it before the call returns. So the test needs no thread, no port and no waiting, and has the same
//! result each time. The reactor and its connections are the ones that serve sockets.
//!
//! ```
//! use std::time::Duration;
//! use tidegate::{Accepted, CloseKind, Conn, Flow, Handler, Net, Options, framing, testing::Rehearsal};
//!
//! /// Answers each line with its letters in reverse order.
//! struct Reverse;
//!
//! impl Handler for Reverse {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         let mut lines = framing::lines(input, 80);
//!         for line in &mut lines {
//!             let Ok(line) = line else {
//!                 conn.abort();
//!                 break;
//!             };
//!             let answer: Vec<u8> = line.iter().rev().copied().chain([b'\n']).collect();
//!             if conn.send_all(&answer) != Flow::Open {
//!                 break;
//!             }
//!         }
//!         lines.used()
//!     }
//! }
//!
//! fn the_answers_do_not_depend_on_the_portions_of_the_input() {
//!     let requests = b"tide\r\n\ngate\n";
//!     for size in 1..=requests.len() {
//!         let mut rehearsal = Rehearsal::new(Options::default());
//!         let client = rehearsal.accept(&mut Reverse).unwrap();
//!         for portion in requests.chunks(size) {
//!             rehearsal.receive(&mut Reverse, client, portion);
//!         }
//!         assert_eq!(rehearsal.sent(client), b"edit\n\netag\n", "in portions of {size} bytes");
//!     }
//! }
//!
//! fn a_client_that_reads_slowly_gets_all_answers() {
//!     let mut rehearsal = Rehearsal::new(Options::default().high_water(20).low_water(10));
//!     let client = rehearsal.accept(&mut Reverse).unwrap();
//!     rehearsal.capacity(client, 0); // the client reads nothing
//!     rehearsal.receive(&mut Reverse, client, &b"tide\n".repeat(10));
//!     assert_eq!(rehearsal.net().conn(client).unwrap().queued(), 20); // the handler has stopped at `Full`
//!     let mut answers = Vec::new();
//!     while answers.len() < 50 {
//!         rehearsal.capacity(client, 1); // the client reads one byte more
//!         rehearsal.settle(&mut Reverse);
//!         answers.extend(rehearsal.sent(client));
//!     }
//!     assert_eq!(answers, b"edit\n".repeat(10));
//! }
//!
//! fn a_line_that_is_too_long_ends_the_connection() {
//!     let mut rehearsal = Rehearsal::new(Options::default());
//!     let client = rehearsal.accept(&mut Reverse).unwrap();
//!     rehearsal.receive(&mut Reverse, client, &[b'.'; 81]);
//!     assert_eq!(rehearsal.why(client), Some(CloseKind::Aborted));
//!     assert!(rehearsal.is_reset(client));
//! }
//!
//! fn a_silent_client_is_closed_after_a_minute() {
//!     let minute = Duration::from_secs(60);
//!     let mut rehearsal = Rehearsal::new(Options::default().idle_timeout(Some(minute)));
//!     let client = rehearsal.accept(&mut Reverse).unwrap();
//!     rehearsal.advance(&mut Reverse, minute - Duration::from_millis(1));
//!     assert!(rehearsal.is_open(client));
//!     rehearsal.advance(&mut Reverse, Duration::from_millis(1));
//!     assert_eq!(rehearsal.why(client), Some(CloseKind::IdleTimeout));
//! }
//!
//! fn a_drain_answers_requests_before_it_closes_the_connection() {
//!     let mut rehearsal = Rehearsal::new(Options::default());
//!     let client = rehearsal.accept(&mut Reverse).unwrap();
//!     rehearsal.net().drain(Duration::from_secs(5));
//!     rehearsal.receive(&mut Reverse, client, b"tide\n");
//!     assert_eq!(rehearsal.sent(client), b"edit\n");
//!     rehearsal.advance(&mut Reverse, Duration::from_secs(1));
//!     assert_eq!(rehearsal.why(client), Some(CloseKind::Drained));
//! }
//! #
//! # the_answers_do_not_depend_on_the_portions_of_the_input();
//! # a_client_that_reads_slowly_gets_all_answers();
//! # a_line_that_is_too_long_ends_the_connection();
//! # a_silent_client_is_closed_after_a_minute();
//! # a_drain_answers_requests_before_it_closes_the_connection();
//! ```
//!
//! In a program, each of these functions is a `#[test]`. They are worth copying: portions, a slow reader, a message that is
//! too long, silence and a drain are the cases that a test with a quick client on loopback does not meet.
//!
//! * **Cuts by the peer.** [`eof`](crate::testing::Rehearsal::eof) ends the sending direction of the peer, and
//!   [`reset`](crate::testing::Rehearsal::reset) resets the connection, in the middle of a message for instance.
//! * **The work of other threads** is not part of a rehearsal. The test puts the answer into the channel of the handler and
//!   calls `on_wake` itself: `handler.on_wake(rehearsal.net())`, and then
//!   [`settle`](crate::testing::Rehearsal::settle).
//! * **Real sockets.** Listeners and outgoing connections that the handler makes are real sockets, and their events do not
//!   arrive. A handler with outgoing connections is tested on loopback, with port 0.
