//! Connecting: the addresses in order, until one answers.

use std::io;

use crate::{
    close::CloseReason,
    connection::Phase,
    socket::{readiness::Readiness, stream::Stream},
};

use super::{common::Common, entry::Entry, lifetime::Opening};

impl Entry<'_> {
    /// Goes on connecting. Returns true once the stream is connected; the connection is then open.
    pub(crate) fn connect(&mut self) -> bool {
        if self.connection.phase() > Phase::Flushing || !self.is_connected() {
            return false;
        }
        self.end_opening();
        let Common { options, .. } = &*self.common;
        self.connection.stream().configure(options);
        // Events that came during the opening were not stored, except an error. So the connection is assumed to be readable
        // and writable, and the first `recv` or `send` finds out. `set_ready` clears no flag, so a stored error stays set.
        self.connection.set_ready(Readiness {
            readable: true,
            writable: true,
            short_reads_unreliable: true,
            error: false,
        });
        true
    }

    fn is_connected(&mut self) -> bool {
        let mut last_error = io::Error::new(io::ErrorKind::InvalidInput, "there is no address");
        loop {
            let (to, next, under_way) = match self.lifetime.opening() {
                None | Some(Opening::Adopted) => return true,
                Some(Opening::Connecting { to, next, under_way }) => (to, next, under_way),
            };
            if std::mem::take(under_way) {
                match self.connection.stream().connected() {
                    None => {
                        *under_way = true;
                        self.connection.forget_readiness();
                        return false;
                    }
                    Some(Ok(())) => return true,
                    Some(Err(error)) => last_error = error,
                }
                // A close does not end the registration if a copy of the descriptor lives, epoll(7).
                let _ = self.connection.stream_mut().deregister(&self.common.registry);
                self.connection.replace_stream(Stream::Unconnected);
            }
            let Some(endpoint) = to.endpoint(*next) else {
                self.connection.end(CloseReason::ConnectFailed(last_error), Phase::Dropping);
                return false;
            };
            *next += 1;
            let token = self.common.token(self.meta.slot());
            let begun = Stream::connect(&endpoint).and_then(|mut stream| {
                stream.register(&self.common.registry, token)?;
                Ok(stream)
            });
            match begun {
                Ok(stream) => {
                    *under_way = true;
                    self.connection.replace_stream(stream);
                    return false;
                }
                Err(error) => last_error = error,
            }
        }
    }

    /// The handler has closed a connection that is not open yet. If it has sent nothing, there is nothing to wait for.
    pub(crate) fn drop_if_closed_unopened(&mut self) {
        if self.connection.phase() == Phase::Flushing && self.connection.queued() == 0 {
            self.connection.end(CloseReason::Closed, Phase::Dropping);
        }
    }
}
