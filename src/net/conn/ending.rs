//! How a connection ends.

use std::time::Duration;

use crate::detached::Detached;
#[cfg(doc)]
use crate::net::Net;

use super::Conn;

/// Ending.
impl<S> Conn<'_, S> {
    /// Ends the sending direction once everything before is sent: the peer reads an end of file, shutdown(2).
    /// Receiving goes on. When the peer has ended its direction as well, the connection ends, and the close of the socket sends
    /// the end of file. A duplicate of the socket, made for example through [`socket`](Self::socket), then delays the end of
    /// file until the duplicate is closed.
    pub fn shutdown_write(&mut self) {
        self.output().shutdown_write();
    }

    /// Delivers the bytes that were sent, then ends the connection. No callback but `on_close` comes for it any more. All
    /// this ends within [`close_timeout`](crate::Options::close_timeout) (30 s), even if bytes still move: a large answer to
    /// a slow client needs a longer `close_timeout`, or a `close` once [`queued`](Self::queued) is small.
    ///
    /// If the peer has not ended yet, its further input is discarded for as long as it comes, bounded by
    /// [`linger`](crate::Options::linger) and [`close_timeout`](crate::Options::close_timeout): closing a socket
    /// with unread input would send a reset, which can destroy bytes that the peer has not read yet (RFC 1122,
    /// 4.2.2.13).
    pub fn close(&mut self) {
        self.output().close();
    }

    /// Goes on until the connection is idle, then closes it as [`close`](Self::close) does.
    ///
    /// The connection is idle when nothing is unsent, the inbox is empty, no `on_writable` is owed, the handler has not paused
    /// reading, and no byte has moved in either direction for `quiet`. The time counts from now, between turns from the next
    /// one, in milliseconds. A connection that is not open yet opens first.
    ///
    /// The request stays in force, also when further requests of the peer arrive. A second call replaces the first, so
    /// `Duration::MAX`, which is as good as never, takes it back.
    ///
    /// The default [`on_drain`](crate::Handler::on_drain) is this call, so that requests in the kernel's buffers and streams
    /// that move are finished before the connection ends. An answer that is owed and takes longer than `quiet` is not
    /// noticed: see there.
    pub fn close_when_idle(&mut self, quiet: Duration) {
        self.output().close_when_idle(quiet);
    }

    /// Ends the connection with a reset. Bytes that were not delivered are lost.
    pub fn abort(&mut self) {
        self.output().abort();
    }

    /// Gives the connection away, with its session: see [`Net::detach`].
    ///
    /// In `on_data`, the bytes that `on_data` was shown do not go along by themselves: see
    /// [`Detached::put_back`]. What `on_data` returns then does not matter.
    ///
    /// # Panics
    /// Panics if it is called twice. [`session`](Self::session) and [`split`](Self::split) panic after the call; all other calls
    /// do nothing, and sends return [`Flow::Gone`](crate::Flow::Gone).
    pub fn detach(&mut self) -> Detached<S> {
        self.net.detach_at(self.slot).expect("the connection was detached already")
    }
}
