//! A listening socket: clients wait in its backlog until they are accepted.

use std::io;

#[cfg(unix)]
use mio::net::UnixListener;
use mio::{Registry, Token, event::Source, net::TcpListener};
use socket2::SockRef;

#[cfg(unix)]
use super::unix::SocketFile;
use crate::{
    address::{Address, canonical},
    refused::Refused,
};

#[cfg(test)]
use super::simulated::SimulatedListener;
use super::{
    handover::{self, HandOver},
    options::{self, Wishes},
    platform::{self, OPTIONS_ARE_INHERITED},
    stream::Stream,
};

#[derive(Debug)]
pub(crate) struct Listener {
    /// The file of a Unix socket that this process has made. The field stands before the socket, because fields are dropped
    /// in order, and the file must go first.
    #[cfg(unix)]
    file: Option<SocketFile>,
    socket: ListenSocket,
    /// True if the next client that is accepted has the options of this socket already.
    inherits: bool,
    /// The host made the socket, so SO_LINGER may be set on the clients that wait in its backlog.
    adopted: bool,
}

#[derive(Debug)]
pub(crate) enum ListenSocket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
    #[cfg(test)]
    Simulated(SimulatedListener),
}

impl From<TcpListener> for ListenSocket {
    fn from(socket: TcpListener) -> Self {
        Self::Tcp(socket)
    }
}

#[cfg(unix)]
impl From<UnixListener> for ListenSocket {
    fn from(socket: UnixListener) -> Self {
        Self::Unix(socket)
    }
}

/// The result of one `accept`.
#[derive(Debug)]
pub(crate) enum Accept {
    Stream(Stream, Address),
    /// The backlog is empty.
    WouldBlock,
    /// The error concerns this client alone, or the call was interrupted: the next client may be well.
    Again(io::Error),
    /// The process or the system has no descriptor left.
    NoDescriptor(io::Error),
    /// Another resource is used up: a retry at once would fail as well.
    Exhausted(io::Error),
}

impl Listener {
    pub(crate) fn register<T>(socket: T, registry: &Registry, token: Token) -> Result<Self, Refused<T>>
    where
        T: HandOver<Source: Into<ListenSocket>>,
    {
        let socket = handover::register(socket, registry, token)?.into();
        Ok(Self::new(socket))
    }

    #[cfg(test)]
    pub(crate) fn register_simulated(socket: SimulatedListener, token: Token) -> io::Result<Self> {
        socket.register(token)?;
        Ok(Self::new(ListenSocket::Simulated(socket)))
    }

    fn new(socket: ListenSocket) -> Self {
        Self {
            #[cfg(unix)]
            file: None,
            socket,
            inherits: OPTIONS_ARE_INHERITED,
            adopted: false,
        }
    }

    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self.socket, ListenSocket::Tcp(_))
    }

    /// Removes the file when the listener is closed.
    #[cfg(unix)]
    pub(crate) fn own(&mut self, file: SocketFile) {
        self.file = Some(file);
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match &mut self.socket {
            ListenSocket::Tcp(socket) => socket.deregister(registry),
            #[cfg(unix)]
            ListenSocket::Unix(socket) => socket.deregister(registry),
            #[cfg(test)]
            ListenSocket::Simulated(socket) => socket.deregister(),
        }
    }

    /// Sets the options that the clients of a socket that the host made inherit, where clients inherit options. The
    /// clients that wait in the backlog have connected before, so each of them is configured by itself.
    pub(crate) fn configure_adopted(&mut self, wishes: Wishes<'_>) {
        match &self.socket {
            ListenSocket::Tcp(socket) => {
                let socket = SockRef::from(socket);
                options::clear_linger(&socket);
                if OPTIONS_ARE_INHERITED {
                    options::configure(&socket, wishes);
                }
            }
            #[cfg(unix)]
            ListenSocket::Unix(_) => {}
            #[cfg(test)]
            ListenSocket::Simulated(_) => {}
        }
        self.inherits = false;
        self.adopted = true;
    }

    /// Takes the next client from the backlog and sets the options that it does not have yet.
    pub(crate) fn accept(&mut self, wishes: Wishes<'_>) -> Accept {
        let error = match self.next() {
            Ok((stream, peer)) => {
                if !self.inherits {
                    stream.configure(wishes);
                    if self.adopted {
                        stream.clear_linger();
                    }
                }
                return Accept::Stream(stream, peer);
            }
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                self.inherits = OPTIONS_ARE_INHERITED; // the clients that waited at the adoption are accepted
                Accept::WouldBlock
            }
            kind if concerns_one_client(kind) => Accept::Again(error),
            _ if platform::is_out_of_descriptors(&error) => Accept::NoDescriptor(error),
            _ => Accept::Exhausted(error),
        }
    }

    fn next(&self) -> io::Result<(Stream, Address)> {
        match &self.socket {
            ListenSocket::Tcp(socket) => {
                let (stream, peer) = socket.accept()?;
                Ok((Stream::Tcp(stream), canonical(peer).into()))
            }
            #[cfg(unix)]
            ListenSocket::Unix(socket) => {
                let (stream, peer) = socket.accept()?;
                Ok((Stream::from(stream), Address::from_unix(&peer)))
            }
            #[cfg(test)]
            ListenSocket::Simulated(socket) => {
                let (stream, peer) = socket.accept()?;
                Ok((Stream::Simulated(stream), Address::from(peer)))
            }
        }
    }

    pub(crate) fn socket(&self) -> SockRef<'_> {
        match &self.socket {
            ListenSocket::Tcp(socket) => SockRef::from(socket),
            #[cfg(unix)]
            ListenSocket::Unix(socket) => SockRef::from(socket),
            #[cfg(test)]
            ListenSocket::Simulated(_) => unreachable!("a simulated listener has no socket"),
        }
    }

    pub(crate) fn local_address(&self) -> io::Result<Address> {
        match &self.socket {
            ListenSocket::Tcp(socket) => socket.local_addr().map(Address::from),
            #[cfg(unix)]
            ListenSocket::Unix(socket) => socket.local_addr().map(|at| Address::from_unix(&at)),
            #[cfg(test)]
            ListenSocket::Simulated(socket) => socket.local_address().map(Address::from),
        }
    }
}

/// The socket goes on without the reactor. The file of a Unix socket stays.
impl From<Listener> for ListenSocket {
    fn from(listener: Listener) -> Self {
        #[cfg(unix)]
        if let Some(file) = listener.file {
            file.keep();
        }
        listener.socket
    }
}

/// True for errors that were waiting with one connection: accept(2), "Error handling".
fn concerns_one_client(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        PermissionDenied, TimedOut,
    };
    matches!(
        kind,
        Interrupted
            | ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}
