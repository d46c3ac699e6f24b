//! Reaching connections by their ids.

use std::{fs::File, ops::Range, sync::Arc};

use crate::{flow::Flow, id::ConnId};

use super::{Net, conn::Conn};

/// Reaching connections by their ids.
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

    /// See [`Conn::resume_reading`].
    pub fn resume_reading(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conn(id) {
            conn.resume_reading();
        }
    }

    /// See [`Conn::shutdown_write`].
    pub fn shutdown_write(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conn(id) {
            conn.shutdown_write();
        }
    }

    /// See [`Conn::close`].
    pub fn close(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conn(id) {
            conn.close();
        }
    }

    /// See [`Conn::abort`].
    pub fn abort(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conn(id) {
            conn.abort();
        }
    }
}
