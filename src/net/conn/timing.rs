//! The timers of a connection.

use std::time::{Duration, Instant};

use crate::id::TimerId;
#[cfg(doc)]
use crate::net::Net;

use super::Conn;

/// Time. A point in time is an `Instant`, and a span is a `Duration`. Where a timer can be taken back by the same call, the
/// argument may be `None`, and a plain value works like `Some`.
impl<S> Conn<'_, S> {
    /// Ends the connection with [`CloseReason::IdleTimeout`](crate::CloseReason::IdleTimeout) when for so long no byte was
    /// received and the kernel took none; `None` is never. The time counts from now, between turns from the next one, in
    /// milliseconds; a time of more than 49 days is as good as never. The end is a reset only if bytes were left unsent.
    /// With nothing unsent the peer reads an end of file, so a protocol whose end is the end of file needs
    /// [`set_timeout`](Self::set_timeout), with [`abort`](Self::abort) in `on_timeout`.
    ///
    /// The time runs while reading pauses by itself, because the connection then waits for the peer. It does not run while
    /// the handler has paused reading, nor after [`close`](Self::close). Bytes that move between turns, as by
    /// [`EventLoop::flush`](crate::EventLoop::flush), count as if they had moved in the next turn. Against a peer that
    /// sends a byte now and then, set a deadline.
    pub fn set_idle_timeout(&mut self, after: impl Into<Option<Duration>>) {
        self.output().set_idle_timeout(after);
    }

    /// Ends the connection with [`CloseReason::Deadline`](crate::CloseReason::Deadline) at this time, whatever it does until
    /// then, with a reset if bytes were left unsent; `None` takes the deadline back. With nothing unsent the peer reads an
    /// end of file, so a protocol whose end is the end of file needs [`set_timeout`](Self::set_timeout), with
    /// [`abort`](Self::abort) in `on_timeout`.
    pub fn set_deadline(&mut self, at: impl Into<Option<Instant>>) {
        self.output().set_deadline(at);
    }

    /// Calls [`on_timeout`](crate::Handler::on_timeout) with `tag` once `at` has come. The timer ends with the
    /// connection; [`Net::cancel_timer`] ends it before.
    pub fn set_timeout(&mut self, at: Instant, tag: u64) -> TimerId {
        self.output().set_timeout(at, tag)
    }

    /// [`set_timeout`](Self::set_timeout) after a time that counts from now: from the time of the turn, and between turns from
    /// the time of the next turn, which is then due at once.
    pub fn after(&mut self, time: Duration, tag: u64) -> TimerId {
        self.output().after(time, tag)
    }

    /// The time of this turn: see [`Net::now`].
    pub fn now(&self) -> Instant {
        self.net.now()
    }
}
