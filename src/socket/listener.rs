//! A listening socket: clients wait in its backlog until they are accepted.

use std::io;

use mio::{Interest, Registry, Token, event::Source, net::TcpListener};
use socket2::SockRef;

use crate::{
    address::{Address, canonical},
    refused::Refused,
};

use super::{
    options::{self, Wishes},
    platform::{self, OPTIONS_ARE_INHERITED},
    stream::Stream,
};

#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    /// True if the next client that is accepted has the options of this socket already.
    inherits: bool,
    /// The host made the socket, so SO_LINGER may be set on the clients that wait in its backlog.
    adopted: bool,
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
    pub(crate) fn register(
        socket: std::net::TcpListener,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, Refused<std::net::TcpListener>> {
        let mut socket = TcpListener::from_std(socket);
        match socket.register(registry, token, Interest::READABLE) {
            Ok(()) => Ok(Self { socket, inherits: OPTIONS_ARE_INHERITED, adopted: false }),
            Err(error) => Err(Refused { error, back: socket.into() }),
        }
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }

    /// Sets the options that the clients of a socket that the host made inherit, where clients inherit options. The
    /// clients that wait in the backlog have connected before, so each of them is configured by itself.
    pub(crate) fn configure_adopted(&mut self, wishes: Wishes<'_>) {
        let socket = SockRef::from(&self.socket);
        options::clear_linger(&socket);
        if OPTIONS_ARE_INHERITED {
            options::configure(&socket, wishes);
        }
        self.inherits = false;
        self.adopted = true;
    }

    /// Takes the next client from the backlog and sets the options that it does not have yet.
    pub(crate) fn accept(&mut self, wishes: Wishes<'_>) -> Accept {
        let error = match self.socket.accept() {
            Ok((stream, peer)) => {
                let stream = Stream::from(stream);
                if !self.inherits {
                    stream.configure(wishes);
                    if self.adopted {
                        stream.clear_linger();
                    }
                }
                return Accept::Stream(stream, canonical(peer).into());
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

    pub(crate) fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(Address::from)
    }
}

impl From<Listener> for std::net::TcpListener {
    fn from(listener: Listener) -> Self {
        listener.socket.into()
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
