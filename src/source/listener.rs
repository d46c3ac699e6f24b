//! A listening socket: where connections wait until they are accepted.

use std::io;

use mio::{Interest, Registry, Token, event::Source, net::TcpListener};

use crate::{address::Address, stream::Stream};

use super::socket::NODELAY_IS_INHERITED;

/// A listener in a [`Net`](crate::Net). Ids are not reused: that of a closed listener names nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListenerId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    /// An event said so, and no `accept` has said otherwise since.
    pub(crate) readable: bool,
}

/// The result of one `accept`.
#[derive(Debug)]
pub(crate) enum Accept {
    Stream(Stream, Address),
    /// The backlog is empty.
    WouldBlock,
    /// That one is gone or was interrupted, the next may be well.
    Again,
    /// Something is used up, descriptors for instance: it makes no sense to go on at once.
    Exhausted(io::Error),
}

impl Listener {
    pub(crate) fn register(
        socket: std::net::TcpListener,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut socket = TcpListener::from_std(socket);
        socket.register(registry, token, Interest::READABLE)?;
        Ok(Self { socket, readable: false })
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket.deregister(registry)
    }

    pub(crate) fn accept(&mut self) -> Accept {
        match self.socket.accept() {
            Ok((stream, peer)) => {
                if !NODELAY_IS_INHERITED && let Err(error) = stream.set_nodelay(true) {
                    log::debug!("TCP_NODELAY cannot be set: {error}"); // slower, not wrong
                }
                Accept::Stream(stream.into(), peer.into())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    Accept::WouldBlock
                }
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => Accept::Again,
                _ => Accept::Exhausted(error),
            },
        }
    }

    pub(crate) fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(Address::from)
    }
}
