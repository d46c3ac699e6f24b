//! Reaching connections by their ids.

use std::{
    fs::File,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    flow::Flow,
    id::{ConnId, TimerId},
};

use super::{Net, conn::Conn};

/// Reaching connections by their ids.
///
/// The verbs of a connection do nothing if the connection is gone. Questions whose answer would need one more `Option`, as the
/// address of the peer, are left to [`conn`](Net::conn).
impl<S> Net<S> {
    /// The connection of this id, unless it is gone.
    pub fn conn(&mut self, id: ConnId) -> Option<Conn<'_, S>> {
        self.is_open(id).then(|| Conn::at(self, id.slot()))
    }

    /// Calls `f` for every connection that has a session, the connection of the present callback included, but not for
    /// connections that `f` itself makes. The order is not defined. No list is made, so a broadcast allocates nothing.
    pub fn for_each(&mut self, mut f: impl FnMut(&mut Conn<'_, S>)) {
        // Connections are appended, and none leaves while a callback runs.
        for index in 0..self.connections().len() {
            let slot = self.connections()[index];
            if self.has_session(slot) {
                f(&mut Conn::at(self, slot));
            }
        }
    }

    /// See [`Conn::send_all`]. [`Flow::Gone`] if the connection is gone.
    pub fn send_all(&mut self, to: ConnId, bytes: &[u8]) -> Flow {
        match self.conn(to) {
            Some(mut conn) => conn.send_all(bytes),
            None => self.discard_send(),
        }
    }

    /// See [`Conn::send_shared`].
    pub fn send_shared(&mut self, to: ConnId, bytes: &Arc<[u8]>) -> Flow {
        match self.conn(to) {
            Some(mut conn) => conn.send_shared(bytes),
            None => self.discard_send(),
        }
    }

    /// See [`Conn::send_shared_range`].
    ///
    /// # Panics
    /// Panics if the connection is there and the range is not within the bytes.
    pub fn send_shared_range(&mut self, to: ConnId, bytes: &Arc<[u8]>, range: Range<usize>) -> Flow {
        match self.conn(to) {
            Some(mut conn) => conn.send_shared_range(bytes, range),
            None => self.discard_send(),
        }
    }

    /// See [`Conn::send_owned`].
    pub fn send_owned(&mut self, to: ConnId, bytes: Vec<u8>) -> Flow {
        match self.conn(to) {
            Some(mut conn) => conn.send_owned(bytes),
            None => self.discard_send(),
        }
    }

    /// See [`Conn::send_file`].
    pub fn send_file(&mut self, to: ConnId, file: File, range: Range<u64>) -> Flow {
        match self.conn(to) {
            Some(mut conn) => conn.send_file(file, range),
            None => self.discard_send(),
        }
    }

    /// Sends the bytes that `on_data` of one connection left unused to another connection, without a copy of them first, and
    /// consumes them; see [`Conn::send_unconsumed`]. If the other connection is gone or takes no sends any more, the result is
    /// [`Flow::Gone`] and the bytes stay.
    pub fn forward(&mut self, from: ConnId, to: ConnId) -> Flow {
        if !self.is_open(to) {
            return self.discard_send();
        }
        if !self.is_open(from) {
            return self.send_all(to, &[]);
        }
        self.engine.forward(from.slot(), to.slot())
    }

    /// See [`Conn::queued`]; 0 if the connection is gone.
    pub fn queued(&self, id: ConnId) -> usize {
        if self.is_open(id) { self.unsent(id.slot()) } else { 0 }
    }

    /// See [`Conn::notify_writable`].
    pub fn notify_writable(&mut self, id: ConnId) {
        self.with(id, |mut conn| conn.notify_writable());
    }

    /// See [`Conn::pause_reading`].
    pub fn pause_reading(&mut self, id: ConnId) {
        self.with(id, |mut conn| conn.pause_reading());
    }

    /// See [`Conn::resume_reading`].
    pub fn resume_reading(&mut self, id: ConnId) {
        self.with(id, |mut conn| conn.resume_reading());
    }

    /// See [`Conn::pause_when_full`].
    pub fn pause_when_full(&mut self, id: ConnId, on: bool) {
        self.with(id, |mut conn| conn.pause_when_full(on));
    }

    /// See [`Conn::set_idle_timeout`].
    pub fn set_idle_timeout(&mut self, id: ConnId, after: impl Into<Option<Duration>>) {
        self.with(id, |mut conn| conn.set_idle_timeout(after));
    }

    /// See [`Conn::set_deadline`].
    pub fn set_deadline(&mut self, id: ConnId, at: impl Into<Option<Instant>>) {
        self.with(id, |mut conn| conn.set_deadline(at));
    }

    /// See [`Conn::set_timeout`]. `None` if the connection is gone.
    pub fn set_timeout(&mut self, id: ConnId, at: Instant, tag: u64) -> Option<TimerId> {
        self.conn(id).map(|mut conn| conn.set_timeout(at, tag))
    }

    /// See [`Conn::shutdown_write`].
    pub fn shutdown_write(&mut self, id: ConnId) {
        self.with(id, |mut conn| conn.shutdown_write());
    }

    /// See [`Conn::close`].
    pub fn close(&mut self, id: ConnId) {
        self.with(id, |mut conn| conn.close());
    }

    /// See [`Conn::close_when_idle`].
    pub fn close_when_idle(&mut self, id: ConnId, quiet: Duration) {
        self.with(id, |mut conn| conn.close_when_idle(quiet));
    }

    /// See [`Conn::abort`].
    pub fn abort(&mut self, id: ConnId) {
        self.with(id, |mut conn| conn.abort());
    }

    fn with(&mut self, id: ConnId, act: impl FnOnce(Conn<'_, S>)) {
        if let Some(conn) = self.conn(id) {
            act(conn);
        }
    }
}
