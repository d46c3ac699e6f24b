//! A nonblocking stream, whatever it runs over.

use std::{
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr},
};

use mio::{Registry, Token, event::Source, net::TcpStream};
use socket2::SockRef;

use crate::{
    address::{Address, canonical},
    refused::Refused,
};

use super::{
    connect,
    file::{FileError, FileRange, SendFile},
    memory::MemoryStream,
    options::{self, Wishes},
    platform,
};

/// A nonblocking stream.
#[derive(Debug)]
pub(crate) enum Stream {
    /// No socket yet: a connection that has not begun to connect.
    Unconnected,
    Tcp(TcpStream),
    /// No socket at all: both ends are in memory, for tests.
    Memory(MemoryStream),
}

impl Stream {
    /// Begins to connect, from a local address if there is one. Success and failure show with the first writable event.
    pub(crate) fn connect(to: SocketAddr, local: Option<SocketAddr>) -> io::Result<Self> {
        match local {
            None => TcpStream::connect(to).map(Self::Tcp),
            Some(local) => connect::connect_from(local, to).map(Self::Tcp),
        }
    }

    /// Takes over a nonblocking stream that the host connected or accepted.
    pub(crate) fn adopt(
        stream: std::net::TcpStream,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, Refused<std::net::TcpStream>> {
        let mut stream = TcpStream::from_std(stream);
        match stream.register(registry, token, platform::INTERESTS) {
            Ok(()) => {
                options::clear_linger(&SockRef::from(&stream));
                Ok(Self::Tcp(stream))
            }
            Err(error) => Err(Refused { error, back: stream.into() }),
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Unconnected | Self::Memory(_) => Ok(()),
            Self::Tcp(stream) => stream.register(registry, token, platform::INTERESTS),
        }
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Unconnected | Self::Memory(_) => Ok(()),
            Self::Tcp(stream) => stream.deregister(registry),
        }
    }

    /// Sets the options that every connection has.
    pub(crate) fn configure(&self, wishes: Wishes<'_>) {
        if let Ok(stream) = self.tcp() {
            options::configure(&SockRef::from(stream), wishes);
        }
    }

    /// Clears SO_LINGER: see [`options::clear_linger`].
    pub(crate) fn clear_linger(&self) {
        if let Ok(stream) = self.tcp() {
            options::clear_linger(&SockRef::from(stream));
        }
    }

    /// The result of a connect; `None` while it is still under way. See connect(2) on EINPROGRESS.
    pub(crate) fn connected(&self) -> Option<io::Result<()>> {
        use io::ErrorKind::{NotConnected, WouldBlock};
        // mio's selectors other than epoll report the socket again only after a `WouldBlock` that mio sees.
        let check = |stream: &TcpStream| {
            stream.try_io(|| match (stream.take_error()?, stream.peer_addr()) {
                (Some(error), _) => Err(error),
                (None, Err(error)) if error.kind() == NotConnected => Err(WouldBlock.into()),
                (None, peer) => peer.map(drop),
            })
        };
        match self.tcp().and_then(check) {
            Err(error) if matches!(error.kind(), NotConnected | WouldBlock) => None,
            checked => Some(checked),
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Memory(stream) => stream.shutdown_write(),
            _ => self.tcp()?.shutdown(Shutdown::Write),
        }
    }

    /// Makes the coming close a reset.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        match self {
            Self::Memory(stream) => stream.reset_on_close(),
            _ => options::reset_on_close(&SockRef::from(self.tcp()?)),
        }
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Memory(stream) => Ok(stream.take_error()),
            _ => self.tcp()?.take_error(),
        }
    }

    pub(crate) fn peer(&self) -> io::Result<Address> {
        self.tcp()?.peer_addr().map(canonical).map(Address::from)
    }

    pub(crate) fn local(&self) -> io::Result<Address> {
        self.tcp()?.local_addr().map(canonical).map(Address::from)
    }

    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        self.tcp().map(SockRef::from)
    }

    #[inline]
    fn tcp(&self) -> io::Result<&TcpStream> {
        match self {
            Self::Unconnected | Self::Memory(_) => Err(io::ErrorKind::NotConnected.into()),
            Self::Tcp(stream) => Ok(stream),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Memory(stream) => stream.read(buffer),
            Self::Unconnected => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Memory(stream) => stream.write(bytes),
            Self::Unconnected => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => platform::send_vectored(stream, slices),
            Self::Memory(stream) => stream.write_vectored(slices),
            Self::Unconnected => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // every write goes to the kernel at once: there is no buffer in between
    }
}

impl SendFile for Stream {
    fn send_file(&mut self, file: &mut FileRange, most: usize) -> Result<usize, FileError> {
        match self {
            Self::Tcp(stream) if !file.copies() => platform::send_file(stream, file, most),
            _ => file.copy_to(self, most),
        }
    }
}
