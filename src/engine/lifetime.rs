//! The timers of a connection, and its state while it opens or closes.

use std::time::{Duration, Instant};

use crate::{
    id::TimerId,
    options::{Options, OwnLimits},
    socket::{platform::events_tell_of_input, readiness::Readiness},
};

use super::opening::Opening;

/// The timers of a connection, and its state while it opens or closes.
#[derive(Debug, Default)]
pub(super) struct Lifetime {
    pub(super) idle: IdleTimeout,
    /// State that few connections have, and not for long. It is boxed, so that other connections need no room for it.
    pub(super) rare: Option<Box<RareState>>,
}

/// The idle timeout of a connection. Traffic only stores the time; the timer compares it when it fires.
#[derive(Debug, Default)]
pub(super) struct IdleTimeout {
    /// Milliseconds; 0 is never.
    pub(super) after: u32,
    /// The tick of the clock at which bytes moved last.
    pub(super) since: u32,
    pub(super) timer: Option<TimerId>,
}

#[derive(Debug, Default)]
pub(super) struct RareState {
    /// Until the connection is open.
    pub(super) opening: Option<Opening>,
    /// Once a close takes longer than one turn.
    pub(super) closing: Option<Closing>,
    /// Once the handler has called `close_when_idle`.
    pub(super) quiet: Option<QuietClose>,
    pub(super) deadline: Option<TimerId>,
    pub(super) limits: Option<Box<OwnLimits>>,
    /// The timers of `set_timeout`, each with its tag.
    pub(super) timeouts: Vec<(TimerId, u64)>,
}

/// The two bounds of a close.
#[derive(Debug)]
pub(super) struct Closing {
    /// The end of `close_timeout`.
    pub(super) by: Instant,
    /// The time at which the peer was heard last while the connection lingers.
    pub(super) heard: Instant,
    pub(super) timer: TimerId,
}

/// A `close_when_idle` that waits for the connection to be idle.
#[derive(Debug)]
pub(super) struct QuietClose {
    /// Milliseconds without a byte in either direction.
    pub(super) quiet: u32,
    /// The tick of the last byte when the timer was set.
    pub(super) armed: u32,
    pub(super) timer: Option<TimerId>,
}

impl Lifetime {
    pub(super) fn rare(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    pub(super) fn opening(&mut self) -> Option<&mut Opening> {
        self.rare.as_mut()?.opening.as_mut()
    }

    pub(super) fn closing(&mut self) -> Option<&mut Closing> {
        self.rare.as_mut()?.closing.as_mut()
    }

    #[inline]
    pub(super) fn is_opening(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.opening.is_some())
    }

    /// Stores that an event has told of input while the connection opens. Events of the addresses before count too: at worst,
    /// the connection makes a `recv` that finds nothing.
    pub(super) fn saw_input(&mut self, Readiness { readable, short_reads_unreliable, .. }: Readiness) {
        if let Some(Opening::Connecting(connecting)) = self.opening() {
            connecting.input.readable |= readable;
            connecting.input.short_reads_unreliable |= short_reads_unreliable;
        }
    }

    /// The input that the connection may have at the end of its opening. A stream that was connected before its registration is
    /// assumed to have input.
    pub(super) fn input_while_opening(&mut self) -> Readiness {
        match self.opening() {
            Some(Opening::Connecting(connecting)) if events_tell_of_input() => connecting.input,
            _ => Readiness { readable: true, short_reads_unreliable: true, ..Readiness::default() },
        }
    }

    /// The connection is open. Most connections need no rare state from then on. Returns the timer of the connect.
    pub(super) fn end_opening(&mut self) -> Option<TimerId> {
        let rare = self.rare.as_mut()?;
        let mut opening = rare.opening.take();
        if rare.is_empty() {
            self.rare = None;
        }
        opening.as_mut()?.timer()?.take()
    }

    /// The limits of the connection: its own, or those of all connections.
    #[inline]
    pub(super) fn limits<'a>(&'a self, of_all: &'a Options) -> &'a Options {
        let own = self.rare.as_ref().and_then(|rare| rare.limits.as_deref());
        own.map_or(of_all, OwnLimits::options)
    }

    /// Takes the timers that end with the session.
    pub(super) fn take_session_timers(&mut self) -> impl Iterator<Item = TimerId> {
        let (mut others, mut timeouts) = ([self.idle.timer.take(), None, None, None], Vec::new());
        if let Some(rare) = &mut self.rare {
            others[1] = rare.deadline.take();
            others[2] = rare.quiet.take().and_then(|quiet| quiet.timer);
            others[3] = rare.opening.as_mut().and_then(Opening::timer).and_then(Option::take);
            timeouts = std::mem::take(&mut rare.timeouts);
        }
        others.into_iter().flatten().chain(timeouts.into_iter().map(|(timer, _)| timer))
    }

    /// Takes all timers of the connection.
    pub(super) fn take_timers(&mut self) -> impl Iterator<Item = TimerId> {
        let closing = self.closing().map(|closing| closing.timer);
        self.take_session_timers().chain(closing)
    }
}

impl RareState {
    fn is_empty(&self) -> bool {
        self.opening.is_none()
            && self.closing.is_none()
            && self.quiet.is_none()
            && self.deadline.is_none()
            && self.limits.is_none()
            && self.timeouts.is_empty()
    }
}

/// Whole milliseconds, rounded up, at least 1; 0 for a time that milliseconds in 32 bits cannot hold (49 days).
pub(super) fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(1_000_000).max(1)).unwrap_or(0)
}
