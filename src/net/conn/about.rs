//! Questions about a connection.

use std::io;

use socket2::SockRef;

#[cfg(doc)]
use crate::net::Net;
use crate::{
    address::Address,
    credentials::PeerCredentials,
    id::{ConnId, ListenerId},
};

use super::Conn;

/// Questions.
impl<S> Conn<'_, S> {
    /// The id of the connection, to keep it and to find the connection by.
    pub fn id(&self) -> ConnId {
        self.net.id(self.slot)
    }

    /// The address of the peer. An IPv4 client of a listener for both families has an IPv4 address here. The peer of a Unix
    /// socket seldom has a name: see [`Address`].
    ///
    /// # Errors
    /// `NotConnected` if the peer is gone, or the connection is not open yet.
    pub fn peer(&self) -> io::Result<Address> {
        self.net.engine.peer(self.slot)
    }

    /// The user and the process at the other end of a Unix socket. A handler that serves only some users asks in
    /// [`on_open`](crate::Handler::on_open).
    ///
    /// # Errors
    /// `Unsupported` if the connection is not over a Unix socket, or on other systems than Linux and Android. `NotConnected`
    /// if the connection has not begun to connect.
    ///
    /// ```
    /// # use tidegate::Conn;
    /// # fn my_uid() -> u32 { 0 }
    /// fn on_open(conn: &mut Conn<'_>) {
    ///     if !conn.peer_credentials().is_ok_and(|peer| peer.uid == my_uid()) {
    ///         conn.abort();
    ///     }
    /// }
    /// ```
    pub fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        self.net.engine.peer_credentials(self.slot)
    }

    /// The local address of the connection. For a client that was accepted it is the address that the client connected to, also
    /// where the listener listens on every interface.
    ///
    /// # Errors
    /// `NotConnected` if the connection has no socket yet; otherwise as getsockname(2).
    pub fn local(&self) -> io::Result<Address> {
        self.net.engine.local(self.slot)
    }

    /// The listener that accepted the connection. `None` for a connection of [`Net::connect`], [`Net::adopt_stream`] or
    /// [`Net::attach`], and once the listener is closed.
    pub fn listener(&self) -> Option<ListenerId> {
        self.net.engine.listener_of(self.slot)
    }

    /// True until the connection is established: before its [`on_open`](crate::Handler::on_open).
    pub fn is_connecting(&self) -> bool {
        self.net.engine.is_connecting(self.slot)
    }

    /// True once no callback but `on_close` comes for the connection any more: after [`close`](Self::close) or
    /// [`abort`](Self::abort), a limit or a timeout. Bytes of a `close` may still be on their way. After a send that failed, the
    /// connection still delivers the last input of its peer and is not closing yet.
    pub fn is_closing(&self) -> bool {
        self.net.engine.is_closing(self.slot)
    }

    /// The socket, to read and set options that the crate has no call for, such as the type of service.
    ///
    /// [`SockRef`] is the type of the crate `socket2`, and it implements `AsFd` (`AsSocket` on Windows) for other crates. The
    /// reactor relies on its own calls: a program must not receive, send, shut down, or change the nonblocking mode or
    /// SO_LINGER.
    ///
    /// # Errors
    /// `NotConnected` if the connection has no socket: before its connect has begun, and in a
    /// [`Rehearsal`](crate::testing::Rehearsal).
    ///
    /// ```
    /// use tidegate::Conn;
    ///
    /// fn on_open(conn: &mut Conn<'_>) {
    ///     if let Ok(socket) = conn.socket() {
    ///         println!("the kernel keeps {:?} bytes for this peer", socket.send_buffer_size());
    ///     }
    /// }
    /// ```
    pub fn socket(&self) -> io::Result<SockRef<'_>> {
        self.net.engine.socket(self.slot)
    }
}
