//! What the simulation knows of one connection: the model that each callback is compared with.

use std::time::Instant;

use crate::{Options, TimerId};

/// The session of a simulated connection.
#[derive(Debug)]
pub(super) struct Session {
    /// Names what this session sends.
    pub(super) key: u32,
    /// The limits of the connection.
    pub(super) limits: Options,
    /// The end of the stream, from the first callback on that can know it.
    pub(super) end: Option<usize>,
    /// `on_open` has come, in this reactor.
    pub(super) opened: bool,
    /// How many bytes of input the handler has consumed.
    pub(super) consumed: u64,
    pub(super) paused: bool,
    pub(super) pauses_when_full: bool,
    /// A send returned `Full`, and no `on_writable` has come since.
    pub(super) full: bool,
    /// An `on_writable` may come.
    pub(super) awaits_writable: bool,
    pub(super) eof: bool,
    pub(super) told_peer_closed: bool,
    /// The handler has called `close` or `abort`: no callback comes but `on_close`.
    pub(super) closed: bool,
    pub(super) aborted: bool,
    pub(super) shut_down: bool,
    pub(super) need: usize,
    pub(super) timeouts: Vec<Timer>,
    pub(super) has_idle_timeout: bool,
    pub(super) has_quiet_close: bool,
    pub(super) deadline: Option<Instant>,
    /// A send was refused because of a limit: the system may have taken a part of it.
    pub(super) refused: bool,
    /// The drain of which `on_drain` has told.
    pub(super) drain: Option<u64>,
    /// A file that was too short was sent.
    pub(super) sent_short_file: bool,
}

/// A timer of the handler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    pub(super) id: TimerId,
    pub(super) tag: u64,
    /// The timer must not fire earlier.
    pub(super) due: Instant,
    /// The timer counts from a turn, so its time is not known exactly.
    pub(super) is_relative: bool,
    /// The number of the turn in which the timer was set, or after which.
    pub(super) turn: u64,
}

impl Session {
    pub(super) fn new(key: u32, limits: Options, pauses_when_full: bool) -> Self {
        let has_idle_timeout = limits.idle_timeout.is_some();
        Self {
            key,
            limits,
            end: None,
            opened: false,
            consumed: 0,
            paused: false,
            pauses_when_full,
            full: false,
            awaits_writable: false,
            eof: false,
            told_peer_closed: false,
            closed: false,
            aborted: false,
            shut_down: false,
            need: 0,
            timeouts: Vec::new(),
            has_idle_timeout,
            has_quiet_close: false,
            deadline: None,
            refused: false,
            drain: None,
            sent_short_file: false,
        }
    }
}
