//! Sockets that the host made.

use std::{
    io,
    net::{TcpListener, TcpStream},
};

use socket2::{SockRef, Type};

use crate::{
    conn::ConnId,
    net::{Net, no_token},
    options::ListenOptions,
    platform,
    refused::Refused,
    source::{Dial, DialState, listener::ListenerId},
    stream::Stream,
};

impl<S> Net<S> {
    /// Serves a listener that the host made: bound and listening, for instance by whoever started the process.
    ///
    /// It is made nonblocking. Its connections have TCP_NODELAY and the keepalive of the options, also those that have
    /// waited in its backlog; where keepalive cannot be set, they go without.
    ///
    /// # Errors
    /// With the listener: `InvalidInput` if it is not a TCP socket, or (where the system tells) does not listen; what
    /// the poll said if it cannot be registered, as when a part of it is registered there already; no token left.
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

    /// The same with options. Of these, `reuse_port` was its maker's to decide, and `backlog` only says how many clients
    /// a drain still accepts.
    ///
    /// # Errors
    /// As [`adopt_listener`](Self::adopt_listener).
    pub fn adopt_listener_with(
        &mut self,
        listener: TcpListener,
        options: ListenOptions,
    ) -> Result<ListenerId, Refused<TcpListener>> {
        let was_nonblocking = match check_listener(&listener).and_then(|()| unblock(&(&listener).into())) {
            Ok(was) => was,
            Err(error) => return Err(Refused { error, back: listener }),
        };
        let id = self.place_listener(listener, options).inspect_err(|refused| {
            let _ = refused.back.set_nonblocking(was_nonblocking); // it could be changed, so it can be changed back
        })?;
        if let Some(listener) = self.sockets.slots[id.slot as usize].listener_mut() {
            listener.configure_adopted(&self.sockets.shared.options);
        }
        Ok(id)
    }

    /// Serves a stream that the host connected or accepted. Its [`on_open`](crate::Handler::on_open) comes in the next
    /// turn, and then what it has received and nobody has read.
    ///
    /// It is made nonblocking and gets TCP_NODELAY and the keepalive of the options.
    /// [`max_connections`](crate::Options::max_connections) does not limit this, but it counts.
    ///
    /// # Errors
    /// With the stream and the session: `InvalidInput` if it is not a TCP socket; `NotConnected` if it is not connected, or
    /// no longer; what the poll said if it cannot be registered; no token left.
    pub fn adopt_stream(&mut self, stream: TcpStream, session: S) -> Result<ConnId, Refused<(TcpStream, S)>> {
        let checked = check_type(&SockRef::from(&stream))
            .and_then(|()| stream.peer_addr())
            .and_then(|peer| Ok((peer, unblock(&SockRef::from(&stream))?)));
        let (peer, was_nonblocking) = match checked {
            Ok(checked) => checked,
            Err(error) => return Err(Refused { error, back: (stream, session) }),
        };
        let give_back = |error, stream: TcpStream, session| {
            let _ = stream.set_nonblocking(was_nonblocking); // as above
            Err(Refused { error, back: (stream, session) })
        };
        let Some(slot) = self.sockets.reserve() else { return give_back(no_token(), stream, session) };
        let shared = &mut self.sockets.shared;
        match Stream::adopt(stream, &shared.registry, shared.token(slot)) {
            Ok(stream) => {
                let dial = Dial { to: peer.into(), next: 1, state: DialState::Established };
                Ok(self.place_connection(slot, stream, dial, session))
            }
            Err(Refused { error, back }) => {
                self.sockets.release(slot);
                give_back(error, back, session)
            }
        }
    }
}

fn check_listener(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    check_type(&socket)?;
    if !platform::may_listen(&socket) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    Ok(())
}

/// A type of the standard library's says nothing: it can be made of any descriptor.
fn check_type(socket: &SockRef<'_>) -> io::Result<()> {
    let is_internet = socket.local_addr()?.as_socket().is_some();
    if !is_internet || socket.r#type()? != Type::STREAM {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a TCP socket"));
    }
    Ok(())
}

/// Makes a socket nonblocking, and says whether it was.
fn unblock(socket: &SockRef<'_>) -> io::Result<bool> {
    let was = platform::is_nonblocking(socket)?;
    socket.set_nonblocking(true)?;
    Ok(was)
}
