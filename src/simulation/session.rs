//! The model of one connection. Each callback is compared with the model.

use std::time::{Duration, Instant};

use crate::{Options, TimerId};

pub(super) type Sessions = Box<Session>;

/// The session of a simulated connection.
#[derive(Debug)]
pub(super) struct Session {
    /// Names what this session sends.
    pub(super) key: u32,
    /// The limits of the connection.
    pub(super) limits: Options,
    pub(super) own: OwnLimits,
    /// The end of the stream, from the first callback on that can know it.
    pub(super) end: Option<usize>,
    /// `on_open` has come, in this reactor.
    pub(super) opened: bool,
    /// The connection has come from another reactor. If it ended there, it gets its `on_close` here and no `on_open`.
    pub(super) was_attached: bool,
    /// The end of the connection was decided in an earlier reactor.
    pub(super) had_ended: bool,
    /// How many bytes of input the handler has consumed.
    pub(super) consumed: u64,
    /// The handler was shown the input up to this position.
    pub(super) shown: u64,
    pub(super) paused: bool,
    pub(super) pauses_when_full: bool,
    /// A send returned `Full`, and no `on_writable` has come since.
    pub(super) full: bool,
    /// `io::Write` does not tell whether the outbox is full.
    pub(super) may_be_full: bool,
    /// An `on_writable` may come.
    pub(super) awaits_writable: bool,
    /// An `on_writable` must come, for `Full`, `notify_writable` or a `try_send` that would have blocked.
    pub(super) owes_writable: bool,
    /// The handler has not declined the rest of its input: a pause or high water keeps it back.
    pub(super) owes_data: bool,
    /// The idle timeout of the options, or of the last `set_idle_timeout`.
    pub(super) idle: Idle,
    /// The connection waits until the system takes bytes again: `try_send` would have blocked.
    pub(super) must_be_ready: bool,
    pub(super) eof: bool,
    /// `on_eof` has come in an earlier reactor.
    pub(super) had_eof: bool,
    pub(super) told_peer_closed: bool,
    /// The handler has called `close` or `abort`: no callback comes but `on_close`.
    pub(super) closed: bool,
    /// When the handler called `close`.
    pub(super) closed_at: Option<Instant>,
    /// The handler called `close` after the faults had ended.
    pub(super) closed_at_rest: bool,
    pub(super) aborted: bool,
    pub(super) shut_down: bool,
    pub(super) need: usize,
    pub(super) timeouts: Vec<Timer>,
    pub(super) has_idle_timeout: bool,
    pub(super) has_quiet_close: bool,
    /// The deadline, or an earlier one that was over when it was replaced, and that may have fired in this turn.
    pub(super) deadline: Option<Instant>,
    /// The deadline that was set last.
    pub(super) last_deadline: Option<Instant>,
    /// A send was refused because of a limit: the system may have taken a part of it.
    pub(super) refused: bool,
    /// The drain of which `on_drain` has told.
    pub(super) drain: Option<u64>,
    /// A file that was too short was sent.
    pub(super) sent_short_file: bool,
}

/// The idle timeout of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub(super) after: Option<Duration>,
    /// The turn in which the timeout was changed: it may have fired before.
    pub(super) changed_in: u64,
    /// The end of the turn from which the idle time counts at the latest, if no byte has moved since. `None`: that is the next
    /// turn after which the connection rests.
    pub(super) since: Option<Instant>,
    /// Bytes may have moved between turns. They count from the time at which the timer fires next.
    pub(super) counts_from_timer: bool,
    /// In how many turns the timeout was due without effect.
    pub(super) late_turns: u32,
}

impl Idle {
    pub(super) fn new(after: Option<Duration>, changed_in: u64) -> Self {
        Self { after, changed_in, since: None, counts_from_timer: false, late_turns: 0 }
    }
}

/// A timer of the handler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    pub(super) id: TimerId,
    pub(super) tag: u64,
    /// The timer must not fire earlier.
    pub(super) due: Instant,
    /// The timer was set for a time that had not come yet, by an instant.
    pub(super) is_exact: bool,
    /// The timer was set in the callback of a timer, so it waits for the next turn.
    pub(super) set_in_turn: bool,
    /// The timer counts from a turn, so its time is not known exactly.
    pub(super) is_relative: bool,
    /// The number of the turn in which the timer was set, or after which.
    pub(super) turn: u64,
}

/// The limits that a connection has of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnLimits {
    pub(super) high_water: Option<usize>,
    pub(super) low_water: Option<usize>,
    pub(super) max_outbox: Option<usize>,
    pub(super) max_inbox: Option<usize>,
}

impl OwnLimits {
    pub(super) fn in_place_of(&self, options: &Options) -> Options {
        let mut limits = options.clone();
        limits.high_water = self.high_water.unwrap_or(limits.high_water);
        limits.low_water = self.low_water.unwrap_or(limits.low_water);
        limits.max_outbox = self.max_outbox.unwrap_or(limits.max_outbox);
        limits.max_inbox = self.max_inbox.unwrap_or(limits.max_inbox);
        limits.checked()
    }
}

impl Session {
    /// The handler wants to be shown input.
    pub(super) fn wants_input(&self) -> bool {
        let is_full = (self.full || self.may_be_full) && self.pauses_when_full;
        !self.paused && !is_full && !self.eof
    }

    /// The connection has left its reactor.
    pub(super) fn leave(&mut self) {
        self.timeouts.clear();
        self.had_eof |= self.eof;
        (self.opened, self.eof, self.told_peer_closed, self.paused) = (false, false, false, false);
        (self.need, self.deadline, self.has_quiet_close, self.drain) = (0, None, false, None);
        self.has_idle_timeout = false;
        self.last_deadline = None;
        self.owes_data = false;
    }

    /// The connection joins a reactor with these options.
    pub(super) fn join(&mut self, options: &Options) {
        self.was_attached = true;
        self.idle = Idle::new(options.idle_timeout, u64::MAX);
        self.limits = self.own.in_place_of(options);
        self.has_idle_timeout = options.idle_timeout.is_some();
    }

    pub(super) fn new(key: u32, limits: Options, pauses_when_full: bool) -> Self {
        let has_idle_timeout = limits.idle_timeout.is_some();
        let idle = Idle::new(limits.idle_timeout, u64::MAX);
        Self {
            key,
            limits,
            own: OwnLimits::default(),
            end: None,
            opened: false,
            was_attached: false,
            had_ended: false,
            consumed: 0,
            shown: 0,
            paused: false,
            pauses_when_full,
            full: false,
            may_be_full: false,
            awaits_writable: false,
            owes_writable: false,
            owes_data: false,
            idle,
            must_be_ready: false,
            eof: false,
            had_eof: false,
            told_peer_closed: false,
            closed: false,
            closed_at: None,
            closed_at_rest: false,
            aborted: false,
            shut_down: false,
            need: 0,
            timeouts: Vec::new(),
            has_idle_timeout,
            has_quiet_close: false,
            deadline: None,
            last_deadline: None,
            refused: false,
            drain: None,
            sent_short_file: false,
        }
    }
}
