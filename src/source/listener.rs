//! A listening socket: where connections wait until they are accepted.

use std::io;

use mio::{Interest, Registry, Token, event::Source, net::TcpListener};
use socket2::SockRef;

use crate::{
    address::Address,
    options::{ListenOptions, Options},
    platform::{self, OPTIONS_ARE_INHERITED},
    refused::Refused,
    stream::{self, Stream},
    timers::TimerId,
};

/// A listener in a [`Net`](crate::Net). Ids are not reused: that of a closed listener names nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    pub(crate) options: ListenOptions,
    /// An event said so, and no `accept` has said otherwise since.
    pub(crate) readable: bool,
    /// The host asked for no more clients.
    pub(crate) paused: bool,
    /// How many connections that came in here are open.
    pub(crate) open: usize,
    /// Whether whoever is accepted next has the options of this socket from it.
    pub(crate) inherits: bool,
    /// Accepting was exhausted and is tried again then.
    pub(crate) retry: Option<TimerId>,
}

/// The result of one `accept`.
#[derive(Debug)]
pub(crate) enum Accept {
    Stream(Stream, Address),
    /// The backlog is empty.
    WouldBlock,
    /// That one is gone or was interrupted, the next may be well.
    Again,
    /// There is no descriptor left for it.
    NoDescriptor(io::Error),
    /// Something else is used up: it makes no sense to go on at once.
    Exhausted(io::Error),
}

impl Listener {
    pub(crate) fn register(
        socket: std::net::TcpListener,
        options: ListenOptions,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, Refused<std::net::TcpListener>> {
        let mut socket = TcpListener::from_std(socket);
        match socket.register(registry, token, Interest::READABLE) {
            Ok(()) => Ok(Self {
                socket,
                options,
                readable: false,
                paused: false,
                open: 0,
                inherits: OPTIONS_ARE_INHERITED,
                retry: None,
            }),
            Err(error) => Err(Refused { error, back: socket.into() }),
        }
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }

    /// Sets the options that its connections inherit, where they do: whoever has connected before has not.
    pub(crate) fn configure_adopted(&mut self, options: &Options) {
        if OPTIONS_ARE_INHERITED {
            stream::configure(&SockRef::from(&self.socket), options);
            self.inherits = false;
        }
    }

    pub(crate) fn accept(&mut self) -> Accept {
        let error = match self.socket.accept() {
            Ok((stream, peer)) => return Accept::Stream(stream.into(), peer.into()),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                self.readable = false;
                self.inherits = OPTIONS_ARE_INHERITED; // those that waited are through
                Accept::WouldBlock
            }
            kind if concerns_one_client(kind) => Accept::Again,
            _ if platform::is_out_of_descriptors(&error) => Accept::NoDescriptor(error),
            _ => Accept::Exhausted(error),
        }
    }

    pub(crate) fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(Address::from)
    }
}

/// Errors that were waiting with that one connection: accept(2), "Error handling".
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
