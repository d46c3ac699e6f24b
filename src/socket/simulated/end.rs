//! One end of a stream.

use std::{io::ErrorKind, net::SocketAddr, time::Instant};

#[derive(Debug)]
pub(super) struct End {
    pub(super) peer: usize,
    pub(super) local: SocketAddr,
    /// A stream with the rules of Unix sockets: no latency, and no reset on close.
    pub(super) is_unix: bool,
    /// The key of the session whose bytes this end sends.
    pub(super) key: Option<u32>,
    pub(super) token: Option<usize>,
    pub(super) stage: Stage,
    /// How many bytes the program has written, and how many of them are in the buffer of the peer or were read.
    pub(super) written: u64,
    pub(super) arrived: u64,
    pub(super) fin_sent: bool,
    /// A shutdown has failed.
    pub(super) shutdown_failed: bool,
    /// A write has returned zero.
    pub(super) wrote_nothing: bool,
    /// The number of bytes that the program has read.
    pub(super) read: u64,
    pub(super) fin_arrived: bool,
    pub(super) was_reset: bool,
    pub(super) error: Option<ErrorKind>,
    /// An urgent mark stands in the incoming stream at this position.
    pub(super) mark: Option<u64>,
    pub(super) closed: bool,
    pub(super) closed_at: Option<Instant>,
    pub(super) resets_on_close: bool,
    /// The size of the buffer for what this end writes.
    pub(super) capacity: u64,
    /// A write has met the end of the room, or a poll has seen no room: room is then an edge.
    pub(super) awaits_room: bool,
    /// The time of the last turn in which the program has moved a byte.
    pub(super) last_moved: Instant,
    /// The program has read the end of file.
    pub(super) eof_read: bool,
    /// The bytes that were written and read since the budgets began.
    pub(super) moved: Moved,
    /// The last thing that this end has sent arrives then. Nothing overtakes it.
    pub(super) last_arrival: Instant,
    pub(super) armed: Armed,
}

/// How many bytes have moved since the budgets began that have this number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moved {
    pub(super) budgets: u64,
    pub(crate) written: u64,
    pub(crate) read: u64,
}

/// The selectors other than epoll: which interests are armed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Armed {
    pub(super) reads: bool,
    pub(super) writes: bool,
}

impl Armed {
    pub(super) const BOTH: Self = Self { reads: true, writes: true };
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Connecting,
    Failed,
    Open,
}

impl End {
    pub(super) fn new(peer: usize, local: SocketAddr, capacity: usize, now: Instant) -> Self {
        Self {
            peer,
            local,
            is_unix: false,
            key: None,
            token: None,
            stage: Stage::Connecting,
            written: 0,
            arrived: 0,
            fin_sent: false,
            shutdown_failed: false,
            wrote_nothing: false,
            read: 0,
            fin_arrived: false,
            was_reset: false,
            error: None,
            mark: None,
            closed: false,
            closed_at: None,
            resets_on_close: false,
            capacity: capacity as u64,
            awaits_room: false,
            last_moved: now,
            eof_read: false,
            moved: Moved::default(),
            last_arrival: now,
            armed: Armed::default(),
        }
    }
}
