//! Taking over sockets that the host made.

#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::{
    io,
    net::{TcpListener, TcpStream},
};

use socket2::{SockRef, Type};

use crate::{
    engine::Opening,
    id::{ConnId, ListenerId},
    options::ListenOptions,
    refused::Refused,
    socket::{handover::HandOver, listener::ListenSocket, platform, stream::Stream},
};

use super::{Net, no_token};

impl<S> Net<S> {
    /// Serves a listener that the host made, or that the host got from the process that started it. It is bound and listens.
    ///
    /// The socket is made nonblocking, and SO_LINGER is cleared, because a close that lingers would block the loop. Its
    /// connections have TCP_NODELAY and the keepalive of the options, also those that have waited in its backlog; where
    /// keepalive cannot be set, they go without.
    ///
    /// # Errors
    /// With the listener: `InvalidInput` if it is not a TCP socket, or (where the system tells) does not listen; what
    /// the poll said if it cannot be registered, for instance because a copy of it is registered there already; no token left.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let made_elsewhere = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let mut server = tidegate::EventLoop::<()>::new(tidegate::Options::default())?;
    /// let listener = server.net().adopt_listener(made_elsewhere)?;
    /// println!("listening on {}", server.net().local_address(listener)?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn adopt_listener(&mut self, listener: TcpListener) -> Result<ListenerId, Refused<TcpListener>> {
        self.adopt_listener_with(listener, ListenOptions::default())
    }

    /// [`adopt_listener`](Self::adopt_listener) with options. Of these, `reuse_port`,
    /// `recv_buffer` and `send_buffer` have no effect, and `backlog` only says how many clients a drain still accepts: these
    /// were decided when the socket was made.
    ///
    /// # Errors
    /// The errors are those of [`adopt_listener`](Self::adopt_listener).
    pub fn adopt_listener_with(
        &mut self,
        listener: TcpListener,
        options: ListenOptions,
    ) -> Result<ListenerId, Refused<TcpListener>> {
        self.adopt_any_listener(listener, options)
    }

    /// [`adopt_listener`](Self::adopt_listener) for a Unix socket. The host has made the file at the path of the socket, so
    /// the reactor does not remove the file.
    ///
    /// # Errors
    /// `InvalidInput` if the listener is not a Unix stream socket; the other errors are those of
    /// [`adopt_listener`](Self::adopt_listener).
    #[cfg(unix)]
    pub fn adopt_unix_listener(
        &mut self,
        listener: UnixListener,
    ) -> Result<ListenerId, Refused<UnixListener>> {
        self.adopt_unix_listener_with(listener, ListenOptions::default())
    }

    /// [`adopt_unix_listener`](Self::adopt_unix_listener) with options. Of these, `reuse_port` and `unix_mode` have no effect,
    /// and `backlog` only says how many clients a drain still accepts.
    ///
    /// # Errors
    /// The errors are those of [`adopt_unix_listener`](Self::adopt_unix_listener).
    #[cfg(unix)]
    pub fn adopt_unix_listener_with(
        &mut self,
        listener: UnixListener,
        options: ListenOptions,
    ) -> Result<ListenerId, Refused<UnixListener>> {
        self.adopt_any_listener(listener, options)
    }

    fn adopt_any_listener<T>(&mut self, listener: T, options: ListenOptions) -> Result<ListenerId, Refused<T>>
    where
        T: HandOver<Source: Into<ListenSocket>>,
    {
        let checked = check_listener(&listener).and_then(|()| unblock(&listener.sock_ref()));
        let was_nonblocking = match checked {
            Ok(was) => was,
            Err(error) => return Err(Refused { error, back: listener }),
        };
        let id = self.place_listener(listener, options).inspect_err(|refused| {
            // The mode could be changed, so it can be changed back.
            let _ = refused.back.sock_ref().set_nonblocking(was_nonblocking);
        })?;
        self.engine.configure_adopted(id);
        Ok(id)
    }

    /// Serves a stream that the host connected or accepted. Its [`on_open`](crate::Handler::on_open) comes in the next
    /// turn, and then the bytes that it has received and that were not read.
    ///
    /// The socket is made nonblocking, gets TCP_NODELAY and the keepalive of the options, and loses SO_LINGER.
    /// [`max_connections`](crate::Options::max_connections) does not limit this, but it counts.
    ///
    /// # Errors
    /// With the stream and the session: `InvalidInput` if it is not a TCP socket; `NotConnected` if it is not connected, or
    /// no longer; what the poll said if it cannot be registered; no token left.
    pub fn adopt_stream(&mut self, stream: TcpStream, session: S) -> Result<ConnId, Refused<(TcpStream, S)>> {
        self.adopt_any_stream(stream, session)
    }

    /// [`adopt_stream`](Self::adopt_stream) for a Unix socket, for instance for one end of a
    /// [`UnixStream::pair`](std::os::unix::net::UnixStream::pair).
    ///
    /// # Errors
    /// `InvalidInput` if the stream is not a Unix stream socket; the other errors are those of
    /// [`adopt_stream`](Self::adopt_stream).
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let mut server = tidegate::EventLoop::new(tidegate::Options::default())?;
    /// let id = server.net().adopt_unix_stream(ours, "the session")?;
    /// # let _ = (theirs, id);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    pub fn adopt_unix_stream(
        &mut self,
        stream: UnixStream,
        session: S,
    ) -> Result<ConnId, Refused<(UnixStream, S)>> {
        self.adopt_any_stream(stream, session)
    }

    fn adopt_any_stream<T>(&mut self, stream: T, session: S) -> Result<ConnId, Refused<(T, S)>>
    where
        T: HandOver<Source: Into<Stream>>,
    {
        let checked = check_type(&stream)
            .and_then(|()| stream.sock_ref().peer_addr())
            .and_then(|_| unblock(&stream.sock_ref()));
        let was_nonblocking = match checked {
            Ok(checked) => checked,
            Err(error) => return Err(Refused { error, back: (stream, session) }),
        };
        let give_back = |error, stream: T, session| {
            let _ = stream.sock_ref().set_nonblocking(was_nonblocking); // the mode could be changed, so it can be changed back
            Err(Refused { error, back: (stream, session) })
        };
        let Some(slot) = self.engine.reserve_slot() else { return give_back(no_token(), stream, session) };
        match Stream::adopt(stream, self.engine.registry(), self.engine.token(slot)) {
            Ok(stream) => Ok(self.place_opening(slot, stream, Opening::Adopted, session)),
            Err(Refused { error, back }) => {
                self.engine.release_slot(slot);
                give_back(error, back, session)
            }
        }
    }
}

/// For the simulation.
#[cfg(test)]
impl<S> Net<S> {
    pub(crate) fn adopt_simulated(
        &mut self,
        stream: crate::socket::simulated::SimulatedStream,
        session: S,
    ) -> io::Result<ConnId> {
        let slot = self.engine.reserve_slot().ok_or_else(no_token)?;
        match stream.register(self.engine.token(slot)) {
            Ok(()) => Ok(self.place_opening(slot, Stream::Simulated(stream), Opening::Adopted, session)),
            Err(error) => {
                self.engine.release_slot(slot);
                Err(error)
            }
        }
    }

    pub(crate) fn adopt_simulated_listener(
        &mut self,
        listener: crate::socket::simulated::SimulatedListener,
    ) -> io::Result<ListenerId> {
        let id = self.listen_simulated(listener, ListenOptions::default())?;
        self.engine.configure_adopted(id);
        Ok(id)
    }

    pub(crate) fn release_simulated_listener(
        &mut self,
        listener: ListenerId,
    ) -> Option<crate::socket::simulated::SimulatedListener> {
        match self.engine.release_listener(listener, false)? {
            ListenSocket::Simulated(socket) => Some(socket),
            _ => None,
        }
    }
}

fn check_listener<T: HandOver>(listener: &T) -> io::Result<()> {
    check_type(listener)?;
    if !platform::may_listen(&listener.sock_ref()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen"));
    }
    Ok(())
}

/// A listener or a stream of the standard library can be made of any descriptor, so its type proves nothing.
fn check_type<T: HandOver>(socket: &T) -> io::Result<()> {
    let found = socket.sock_ref();
    if !T::is_family(&found.local_addr()?) || found.r#type()? != Type::STREAM {
        let why = format!("the socket is not a {}", T::KIND);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(())
}

/// Makes a socket nonblocking. Returns whether it was nonblocking before.
fn unblock(socket: &SockRef<'_>) -> io::Result<bool> {
    let was = platform::is_nonblocking(socket)?;
    socket.set_nonblocking(true)?;
    Ok(was)
}
