//! The calls of an `Output` beside the sends: every call of a `Conn` that needs no session.

use std::{
    io,
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::{
    address::Address,
    id::{ConnId, ListenerId, TimerId},
    socket::clock,
};

use super::Output;

/// Receiving and backpressure.
impl Output<'_> {
    /// See [`Conn::queued`](crate::Conn::queued).
    pub fn queued(&self) -> usize {
        self.engine.unsent(self.slot)
    }

    /// See [`Conn::unconsumed`](crate::Conn::unconsumed).
    pub fn unconsumed(&self) -> &[u8] {
        self.engine.unconsumed(self.slot)
    }

    /// See [`Conn::notify_writable`](crate::Conn::notify_writable).
    pub fn notify_writable(&mut self) {
        if let Some(mut entry) = self.entry() {
            entry.notify_writable();
        }
    }

    /// See [`Conn::need`](crate::Conn::need).
    pub fn need(&mut self, n: usize) {
        if let Some(mut entry) = self.entry() {
            entry.need(n);
        }
    }

    /// See [`Conn::pause_reading`](crate::Conn::pause_reading).
    pub fn pause_reading(&mut self) {
        if let Some(mut entry) = self.entry() {
            entry.pause_reading();
        }
    }

    /// See [`Conn::resume_reading`](crate::Conn::resume_reading).
    pub fn resume_reading(&mut self) {
        if let Some(mut entry) = self.entry() {
            entry.resume_reading();
        }
    }

    /// See [`Conn::pause_when_full`](crate::Conn::pause_when_full).
    pub fn pause_when_full(&mut self, on: bool) {
        if let Some(mut entry) = self.entry() {
            entry.pause_when_full(on);
        }
    }
}

/// Time.
impl Output<'_> {
    /// See [`Conn::now`](crate::Conn::now).
    pub fn now(&self) -> Instant {
        self.engine.now().unwrap_or_else(clock::now)
    }

    /// See [`Conn::set_idle_timeout`](crate::Conn::set_idle_timeout).
    pub fn set_idle_timeout(&mut self, after: impl Into<Option<Duration>>) {
        if let Some(mut entry) = self.entry() {
            entry.set_idle_timeout(after.into());
        }
    }

    /// See [`Conn::set_deadline`](crate::Conn::set_deadline).
    pub fn set_deadline(&mut self, at: impl Into<Option<Instant>>) {
        if let Some(mut entry) = self.entry() {
            entry.set_deadline(at.into());
        }
    }

    /// See [`Conn::set_timeout`](crate::Conn::set_timeout).
    pub fn set_timeout(&mut self, at: Instant, tag: u64) -> TimerId {
        self.entry().map_or(TimerId::NONE, |mut entry| entry.set_timeout(at, tag))
    }

    /// See [`Conn::after`](crate::Conn::after).
    pub fn after(&mut self, time: Duration, tag: u64) -> TimerId {
        self.entry().map_or(TimerId::NONE, |mut entry| entry.set_timeout_after(time, tag))
    }
}

/// Ending.
impl Output<'_> {
    /// See [`Conn::shutdown_write`](crate::Conn::shutdown_write).
    pub fn shutdown_write(&mut self) {
        if let Some(mut entry) = self.entry() {
            entry.shutdown_write();
        }
    }

    /// See [`Conn::close`](crate::Conn::close).
    pub fn close(&mut self) {
        if let Some(mut entry) = self.entry() {
            entry.close();
        }
    }

    /// See [`Conn::close_when_idle`](crate::Conn::close_when_idle).
    pub fn close_when_idle(&mut self, quiet: Duration) {
        if let Some(mut entry) = self.entry() {
            entry.close_when_idle(quiet);
        }
    }

    /// See [`Conn::abort`](crate::Conn::abort).
    pub fn abort(&mut self) {
        if let Some(mut entry) = self.entry() {
            entry.abort();
        }
    }
}

/// Questions.
impl Output<'_> {
    /// See [`Conn::id`](crate::Conn::id).
    pub fn id(&self) -> ConnId {
        self.engine.id(self.slot)
    }

    /// See [`Conn::peer`](crate::Conn::peer).
    pub fn peer(&self) -> io::Result<Address> {
        self.engine.peer(self.slot)
    }

    /// See [`Conn::local`](crate::Conn::local).
    pub fn local(&self) -> io::Result<Address> {
        self.engine.local(self.slot)
    }

    /// See [`Conn::listener`](crate::Conn::listener).
    pub fn listener(&self) -> Option<ListenerId> {
        self.engine.listener_of(self.slot)
    }

    /// See [`Conn::is_connecting`](crate::Conn::is_connecting).
    pub fn is_connecting(&self) -> bool {
        self.engine.is_connecting(self.slot)
    }

    /// See [`Conn::is_closing`](crate::Conn::is_closing).
    pub fn is_closing(&self) -> bool {
        self.engine.is_closing(self.slot)
    }

    /// See [`Conn::socket`](crate::Conn::socket).
    pub fn socket(&self) -> io::Result<SockRef<'_>> {
        self.engine.socket(self.slot)
    }
}
