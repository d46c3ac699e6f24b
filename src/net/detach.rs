//! Handing connections and listeners over to another loop, or to the program.

use std::net::TcpListener;
#[cfg(unix)]
use std::os::unix::net::UnixListener;

use crate::{
    detached::Detached,
    id::{ConnId, ListenerId},
    refused::Refused,
    socket::listener::ListenSocket,
};

#[cfg(doc)]
use super::Conn;
use super::{Net, no_token};

/// Handing over.
impl<S> Net<S> {
    /// Gives a connection away: its stream, its session, and the bytes that were received or sent and not yet consumed or taken.
    /// `None` if the connection is gone.
    ///
    /// The slot of the connection is free after this turn. So a reactor whose tokens are all taken cannot attach the connection
    /// again before.
    ///
    /// The stream is deregistered, and the connection has no further callback here, not even `on_close`: its session is in the
    /// result. Its timers, its deadline, its idle timeout and a [`close_when_idle`](Conn::close_when_idle) end; limits of its own
    /// ([`ConnectOptions`](crate::ConnectOptions)) go along. [`Stats::detached`](crate::Stats::detached) counts it.
    ///
    /// A connection that is still connecting goes on connecting where it is attached, and one that is closing or was reset ends
    /// there, with its `on_close`.
    ///
    /// ```
    /// use tidegate::{ConnId, EventLoop, Net, Refused};
    ///
    /// /// Moves a connection to another loop. The connection has another id there.
    /// fn hand_over(id: ConnId, from: &mut Net<String>, to: &mut Net<String>) -> Option<ConnId> {
    ///     let connection = from.detach(id)?;
    ///     match to.attach(connection) {
    ///         Ok(id) => Some(id),
    ///         Err(Refused { back, .. }) => from.attach(back).ok(),
    ///     }
    /// }
    /// ```
    pub fn detach(&mut self, id: ConnId) -> Option<Detached<S>> {
        if self.is_open(id) { self.detach_at(id.slot()) } else { None }
    }

    /// Serves a connection that was detached, from this loop or from another one, in the thread of this loop.
    ///
    /// In the next turn its `on_open` comes. Then the bytes that were unsent are sent, in front of what `on_open` sends, and the
    /// bytes that were received are shown to `on_data` without a new byte. Reading is not paused. If the peer had ended before,
    /// `on_eof` comes again. The idle timeout is that of this reactor's options. The socket keeps the options that it has, as
    /// TCP_NODELAY and keepalive.
    ///
    /// [`max_connections`](crate::Options::max_connections) does not limit this, but it counts.
    ///
    /// # Errors
    /// With the connection: what the poll said if the stream cannot be registered; no token left.
    pub fn attach(&mut self, connection: Detached<S>) -> Result<ConnId, Refused<Detached<S>>> {
        let Some(slot) = self.engine.reserve_slot() else {
            return Err(Refused { error: no_token(), back: connection });
        };
        let (mut loose, session) = connection.into_loose();
        if let Err(error) = loose.stream_mut().register(self.engine.registry(), self.engine.token(slot)) {
            self.engine.release_slot(slot);
            return Err(Refused { error, back: Detached::new(loose, session) });
        }
        let id = self.engine.attach(slot, loose);
        self.put_session(slot, session);
        Ok(id)
    }

    /// Gives a listener away, as the inverse of [`adopt_listener`](Self::adopt_listener). `None` if it is closed, or
    /// listens on a Unix socket: see [`release_unix_listener`](Self::release_unix_listener).
    ///
    /// The socket still listens, and clients wait in its backlog. It stays nonblocking: a program that accepts by itself calls
    /// `set_nonblocking(false)`. Connections that the listener has accepted stay here.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use tidegate::{EventLoop, Options};
    ///
    /// let [mut old, mut new] = [(); 2].map(|()| EventLoop::<()>::new(Options::default()).unwrap());
    /// let listener = old.net().listen("127.0.0.1:0")?;
    /// let socket = old.net().release_listener(listener).unwrap();
    /// new.net().adopt_listener(socket)?; // no client notices
    /// # Ok(())
    /// # }
    /// ```
    pub fn release_listener(&mut self, listener: ListenerId) -> Option<TcpListener> {
        match self.engine.release_listener(listener, true)? {
            ListenSocket::Tcp(socket) => Some(socket.into()),
            #[cfg(unix)]
            ListenSocket::Unix(_) => None,
            #[cfg(test)]
            ListenSocket::Simulated(_) => None,
        }
    }

    /// [`release_listener`](Self::release_listener) for a Unix socket. The file at its path stays, and is the program's to
    /// remove.
    #[cfg(unix)]
    pub fn release_unix_listener(&mut self, listener: ListenerId) -> Option<UnixListener> {
        match self.engine.release_listener(listener, false)? {
            ListenSocket::Unix(socket) => Some(socket.into()),
            ListenSocket::Tcp(_) => None,
            #[cfg(test)]
            ListenSocket::Simulated(_) => None,
        }
    }

    pub(super) fn detach_at(&mut self, slot: u32) -> Option<Detached<S>> {
        let session = self.take_session(slot)?;
        let loose = self.engine.detach(slot)?;
        Some(Detached::new(loose, session))
    }
}
