//! Tests of `on_peer_closed`, which tells a handler that has paused reading that the peer has ended.

use std::cell::Cell;

use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, Handler, Net, Options, testing::Rehearsal};

/// Counts the calls. It pauses reading in `on_open`, or in `on_data`.
#[derive(Default)]
struct Waiting {
    pauses_in_on_data: bool,
    told: Cell<u32>,
    ended: u32,
    data: Vec<u8>,
    aborts: bool,
    why: Option<CloseKind>,
}

impl Handler for Waiting {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_open(&mut self, conn: &mut Conn<'_>) {
        if !self.pauses_in_on_data {
            conn.pause_reading();
        }
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        if self.pauses_in_on_data {
            conn.pause_reading();
        }
        self.data.extend_from_slice(input);
        input.len()
    }

    fn on_peer_closed(&mut self, conn: &mut Conn<'_>) {
        self.told.set(self.told.get() + 1);
        if self.aborts {
            conn.abort();
        }
    }

    fn on_eof(&mut self, conn: &mut Conn<'_>) {
        self.ended += 1;
        conn.close();
    }

    fn on_close(&mut self, _net: &mut Net, _id: ConnId, _session: (), why: CloseReason) {
        self.why = Some(why.kind());
    }
}

#[test]
fn a_paused_handler_is_told_once_that_the_peer_has_ended() {
    let (mut rehearsal, mut handler) = (Rehearsal::new(Options::default()), Waiting::default());
    let client = rehearsal.accept(&mut handler).unwrap();
    rehearsal.receive(&mut handler, client, b"unread");
    assert_eq!(handler.told.get(), 0);
    rehearsal.eof(&mut handler, client);
    assert_eq!((handler.told.get(), handler.ended, handler.data.len()), (1, 0, 0));
    // The end itself comes after the resume, behind the bytes before it. A second pause is not told again.
    rehearsal.net().resume_reading(client);
    rehearsal.net().pause_reading(client);
    rehearsal.settle(&mut handler);
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut handler);
    assert_eq!((handler.told.get(), handler.ended, &handler.data[..]), (1, 1, &b"unread"[..]));
    assert_eq!(handler.why, Some(CloseKind::Eof));
}

#[test]
fn a_pause_that_comes_after_the_event_is_told_as_well() {
    let (mut rehearsal, mut handler) = (Rehearsal::new(Options::default()), Waiting::default());
    handler.pauses_in_on_data = true;
    let client = rehearsal.accept(&mut handler).unwrap();
    rehearsal.net().pause_reading(client);
    rehearsal.receive(&mut handler, client, b"a request");
    rehearsal.net().resume_reading(client);
    // The bytes and the end come in one event. The handler pauses when it has the bytes.
    rehearsal.eof(&mut handler, client);
    assert_eq!((handler.told.get(), handler.ended, &handler.data[..]), (1, 0, &b"a request"[..]));
}

#[test]
fn a_handler_that_reads_is_not_told() {
    let (mut rehearsal, mut handler) = (Rehearsal::new(Options::default()), Waiting::default());
    let client = rehearsal.accept(&mut handler).unwrap();
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut handler);
    rehearsal.eof(&mut handler, client);
    assert_eq!((handler.told.get(), handler.ended), (0, 1));
}

#[test]
fn a_reset_is_told_also_while_the_last_words_of_the_peer_wait_for_a_resume() {
    let (mut rehearsal, mut handler) = (Rehearsal::new(Options::default()), Waiting::default());
    let client = rehearsal.accept(&mut handler).unwrap();
    rehearsal.receive(&mut handler, client, b"last words");
    rehearsal.reset(&mut handler, client);
    assert_eq!((handler.told.get(), handler.why), (1, None));
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut handler);
    assert_eq!((&handler.data[..], handler.why), (&b"last words"[..], Some(CloseKind::Reset)));
}

#[test]
fn a_handler_may_abort_when_it_is_told() {
    let (mut rehearsal, mut handler) = (Rehearsal::new(Options::default()), Waiting::default());
    handler.aborts = true;
    let client = rehearsal.accept(&mut handler).unwrap();
    rehearsal.eof(&mut handler, client);
    assert_eq!((handler.told.get(), handler.why), (1, Some(CloseKind::Aborted)));
}

/// Above high water, the connection is not read. The reset, the input before it and the end behind it are found in one turn, and
/// the handler pauses in the midst of that turn.
#[test]
fn a_handler_that_pauses_while_the_last_words_of_a_peer_are_shown_is_told_of_the_reset() {
    let (mut rehearsal, mut handler) = (Rehearsal::new(Options::default()), KeepsInput::default());
    let client = rehearsal.accept(&mut handler).unwrap();
    rehearsal.capacity(client, 0);
    rehearsal.net().send_all(client, &[b'.'; 100_000]);
    rehearsal.settle(&mut handler);
    rehearsal.receive(&mut handler, client, b"last words");
    assert_eq!((handler.shown, handler.told), (0, 0));
    rehearsal.reset(&mut handler, client);
    assert_eq!((handler.shown, handler.told, rehearsal.is_open(client)), (1, 1, true));
    rehearsal.net().resume_reading(client);
    rehearsal.settle(&mut handler);
    assert_eq!((handler.told, rehearsal.why(client)), (1, Some(CloseKind::Reset)));
}

/// Pauses reading in the first `on_data`, and consumes nothing then.
#[derive(Default)]
struct KeepsInput {
    shown: u32,
    told: u32,
}

impl Handler for KeepsInput {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        self.shown += 1;
        if self.shown > 1 {
            return input.len();
        }
        conn.pause_reading();
        0
    }

    fn on_peer_closed(&mut self, _conn: &mut Conn<'_>) {
        self.told += 1;
    }
}

#[cfg(target_os = "linux")]
mod sockets {
    use std::net::Shutdown;

    use tidegate::EventLoop;

    use super::*;
    use crate::support::{pair::Pair, reset, turn_until, turn_until_quiet};

    fn paused(event_loop: &mut EventLoop, handler: &mut Waiting) -> Pair {
        let pair = Pair::adopted_by(event_loop.net(), ());
        turn_until_quiet(event_loop, handler);
        pair
    }

    #[test]
    fn a_paused_handler_is_told_of_an_end_of_file() {
        let (mut event_loop, mut handler) = (EventLoop::new(Options::default()).unwrap(), Waiting::default());
        let pair = paused(&mut event_loop, &mut handler);
        pair.client.shutdown(Shutdown::Write).unwrap();
        turn_until(&mut event_loop, &mut handler, |handler, _| handler.told.get() == 1);
        // The peer still reads: this was half a close.
        event_loop.net().send_all(pair.id, b"the answer");
        event_loop.net().resume_reading(pair.id);
        turn_until(&mut event_loop, &mut handler, |handler, _| handler.ended == 1);
        assert_eq!(pair.read(10), b"the answer");
    }

    #[test]
    fn a_paused_handler_is_told_of_an_end_behind_unread_bytes() {
        let (mut event_loop, mut handler) = (EventLoop::new(Options::default()).unwrap(), Waiting::default());
        let pair = paused(&mut event_loop, &mut handler);
        pair.send(b"unread");
        turn_until_quiet(&mut event_loop, &mut handler);
        assert_eq!(handler.told.get(), 0);
        pair.client.shutdown(Shutdown::Write).unwrap();
        turn_until(&mut event_loop, &mut handler, |handler, _| handler.told.get() == 1);
        assert!(handler.data.is_empty());
    }

    #[test]
    fn a_paused_handler_is_told_of_a_reset() {
        let (mut event_loop, mut handler) = (EventLoop::new(Options::default()).unwrap(), Waiting::default());
        let pair = paused(&mut event_loop, &mut handler);
        reset(pair.client);
        turn_until(&mut event_loop, &mut handler, |handler, _| handler.why.is_some());
        assert_eq!((handler.told.get(), handler.why), (1, Some(CloseKind::Reset)));
    }
}
