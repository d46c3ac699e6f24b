//! What can be registered, one file for each kind, and the slot of the slab that it lives in.

pub(crate) mod connection;
pub(crate) mod listener;
pub(crate) mod socket;

use std::time::{Duration, Instant};

use crate::{address::Address, options::Options, shared::Head, stream::Stream, timers::TimerId};

use connection::Connection;
use listener::Listener;

/// One place in the slab.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) head: Head,
    pub(crate) source: Source,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// An id that is promised and not yet, or no longer, in use: a late event meets nothing here.
    Empty,
    Listener(Box<Listener>),
    Connection(Link),
}

/// A connection with what the reactor knows about it beyond bytes.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: Connection<Stream>,
    pub(crate) idle: Idle,
    /// What few connections have, and not for long: the others do not pay for the room.
    pub(crate) extra: Option<Box<Extra>>,
}

/// The idle timeout of a connection. Traffic only notes the time; the timer finds out when it fires.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// In milliseconds; 0 is never.
    pub(crate) after: u32,
    /// The tick at which bytes moved last.
    pub(crate) since: u32,
    pub(crate) timer: Option<TimerId>,
}

#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// While it is being connected.
    pub(crate) dial: Option<Dial>,
    /// Once a close takes longer than one turn.
    pub(crate) closing: Option<Closing>,
    pub(crate) deadline: Option<TimerId>,
    /// The handler's own, of `set_timeout`.
    pub(crate) timeouts: Vec<TimerId>,
}

/// An outgoing connection that is not open yet.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) to: Address,
    /// The index of the address to try after the present one.
    pub(crate) next: usize,
    pub(crate) state: DialState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DialState {
    NotBegun,
    UnderWay,
    /// Someone else connected it: only the handler has still to be told.
    Established,
}

/// The two bounds of a close.
#[derive(Debug)]
pub(crate) struct Closing {
    /// The whole of it ends here.
    pub(crate) by: Instant,
    /// When the peer was last heard while it lingers.
    pub(crate) heard: Instant,
    pub(crate) timer: TimerId,
}

impl Link {
    pub(crate) fn new(connection: Connection<Stream>) -> Self {
        Self { connection, idle: Idle::default(), extra: None }
    }

    pub(crate) fn closing(&mut self) -> Option<&mut Closing> {
        self.extra.as_mut()?.closing.as_mut()
    }

    pub(crate) fn is_dialing(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.dial.is_some())
    }

    /// Whether there is nothing to do before new input, and input is wanted: see [`Connection::has_only_input`].
    #[inline]
    pub(crate) fn has_only_input(&self) -> bool {
        self.connection.has_only_input() && !self.is_dialing()
    }

    /// Notes that bytes moved, if they did: all that traffic costs an idle timeout.
    #[inline]
    pub(crate) fn note_activity(&mut self, tick: u32) {
        if self.connection.has_moved() {
            self.note_moved(tick);
        }
    }

    /// The same when they are known to have.
    #[inline]
    pub(crate) fn note_moved(&mut self, tick: u32) {
        self.connection.forget_moved();
        self.idle.since = tick;
    }

    /// Whether there is work that no further event will announce.
    pub(crate) fn is_due(&self, limits: &Options) -> bool {
        // What is asked of a connection that is not there yet has to wait for it.
        if self.is_dialing() { self.connection.is_over() } else { self.connection.is_due(limits) }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.closing.is_some())
    }

    /// The connection is established: most need no more room for what they are not.
    pub(crate) fn end_dialing(&mut self) {
        if let Some(extra) = &mut self.extra {
            extra.dial = None;
            if extra.closing.is_none() && extra.deadline.is_none() && extra.timeouts.is_empty() {
                self.extra = None;
            }
        }
    }

    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// The timers that end with the session.
    pub(crate) fn take_timers(&mut self) -> impl Iterator<Item = TimerId> {
        let extra = self.extra.as_mut();
        let (deadline, timeouts) = match extra {
            Some(extra) => (extra.deadline.take(), std::mem::take(&mut extra.timeouts)),
            None => (None, Vec::new()),
        };
        self.idle.timer.take().into_iter().chain(deadline).chain(timeouts)
    }
}

impl Idle {
    /// Rounded up to milliseconds; what is too long for them, 49 days, is as good as never.
    pub(crate) fn set(&mut self, head: &mut Head, after: Option<Duration>) {
        let milliseconds = after.map_or(0, |after| after.as_nanos().div_ceil(1_000_000).max(1));
        self.after = u32::try_from(milliseconds).unwrap_or(0);
        head.arm_idle = true;
    }
}

impl Slot {
    pub(crate) fn listener_mut(&mut self) -> Option<&mut Listener> {
        match &mut self.source {
            Source::Listener(listener) => Some(listener),
            _ => None,
        }
    }
}
