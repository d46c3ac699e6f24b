//! A nonblocking stream, whatever it runs over.

use std::{
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr},
};

#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Registry, Token, event::Source, net::TcpStream};
use socket2::SockRef;

#[cfg(unix)]
use super::unix;
use crate::{
    address::{Address, Endpoint, canonical},
    credentials::PeerCredentials,
    refused::Refused,
};

#[cfg(test)]
use super::simulated::{self, SimulatedStream};
use super::{
    connect,
    file::{FileError, FileRange, SendFile},
    handover::{self, HandOver},
    memory::MemoryStream,
    options::{self, Wishes},
    platform::{self, MioStream},
};

/// A nonblocking stream.
#[derive(Debug)]
pub(crate) enum Stream {
    /// No socket yet: a connection that has not begun to connect.
    Unconnected,
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix {
        stream: UnixStream,
        /// The next `read` returns this error: see [`platform::receive_unix`].
        failed: Option<io::Error>,
    },
    /// No socket at all: both ends are in memory, for tests.
    Memory(MemoryStream),
    /// One end of a stream of the simulated system.
    #[cfg(test)]
    Simulated(SimulatedStream),
}

impl Stream {
    /// Begins to connect, from a local address if there is one. Success and failure show with the first writable event.
    pub(crate) fn connect(to: Endpoint, local: Option<SocketAddr>) -> io::Result<Self> {
        #[cfg(test)]
        if let Some(begun) = simulated::connect(&to, local) {
            return begun.map(Self::Simulated);
        }
        match (to, local) {
            (Endpoint::Internet(to), None) => TcpStream::connect(to).map(Self::Tcp),
            (Endpoint::Internet(to), Some(local)) => connect::connect_from(local, to).map(Self::Tcp),
            #[cfg(unix)]
            (Endpoint::Unix(to), _) => unix::connect(&to).map(Self::from),
        }
    }

    /// Takes over a nonblocking stream that the host connected or accepted.
    pub(crate) fn adopt<T>(stream: T, registry: &Registry, token: Token) -> Result<Self, Refused<T>>
    where
        T: HandOver<Source: Into<Self>>,
    {
        let stream = handover::register(stream, registry, token)?.into();
        stream.clear_linger();
        Ok(stream)
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Unconnected | Self::Memory(_) => Ok(()),
            Self::Tcp(stream) => stream.register(registry, token, platform::INTERESTS),
            #[cfg(unix)]
            Self::Unix { stream, .. } => stream.register(registry, token, platform::INTERESTS),
            #[cfg(test)]
            Self::Simulated(stream) => stream.register(token),
        }
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Unconnected | Self::Memory(_) => Ok(()),
            Self::Tcp(stream) => stream.deregister(registry),
            #[cfg(unix)]
            Self::Unix { stream, .. } => stream.deregister(registry),
            #[cfg(test)]
            Self::Simulated(stream) => stream.deregister(),
        }
    }

    /// Sets the options that every connection has. A Unix socket has none of them.
    pub(crate) fn configure(&self, wishes: Wishes<'_>) {
        if let Self::Tcp(stream) = self {
            options::configure(&SockRef::from(stream), wishes);
        }
    }

    /// Clears SO_LINGER: see [`options::clear_linger`].
    pub(crate) fn clear_linger(&self) {
        if let Self::Tcp(stream) = self {
            options::clear_linger(&SockRef::from(stream));
        }
    }

    /// The result of a connect; `None` while it is still under way. See connect(2) on EINPROGRESS.
    pub(crate) fn connected(&self) -> Option<io::Result<()>> {
        match self {
            Self::Tcp(stream) => connected(stream),
            #[cfg(unix)]
            Self::Unix { stream, .. } => connected(stream),
            #[cfg(test)]
            Self::Simulated(stream) => stream.connected(),
            Self::Unconnected | Self::Memory(_) => None,
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Memory(stream) => stream.shutdown_write(),
            #[cfg(test)]
            Self::Simulated(stream) => stream.shutdown_write(),
            _ => self.socket()?.shutdown(Shutdown::Write),
        }
    }

    /// Makes the coming close a reset. Unix sockets have no reset.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        match self {
            Self::Memory(stream) => stream.reset_on_close(),
            #[cfg(test)]
            Self::Simulated(stream) => stream.reset_on_close(),
            #[cfg(unix)]
            Self::Unix { .. } => Ok(()),
            _ => options::reset_on_close(&self.socket()?),
        }
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Memory(stream) => Ok(stream.take_error()),
            #[cfg(test)]
            Self::Simulated(stream) => stream.take_error(),
            _ => self.socket()?.take_error(),
        }
    }

    pub(crate) fn peer(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map(canonical).map(Address::from),
            #[cfg(unix)]
            Self::Unix { stream, .. } => stream.peer_addr().map(|peer| Address::from_unix(&peer)),
            #[cfg(test)]
            Self::Simulated(stream) => stream.addresses().map(|(_, peer)| Address::from(peer)),
            Self::Unconnected | Self::Memory(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn local(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(stream) => stream.local_addr().map(canonical).map(Address::from),
            #[cfg(unix)]
            Self::Unix { stream, .. } => stream.local_addr().map(|local| Address::from_unix(&local)),
            #[cfg(test)]
            Self::Simulated(stream) => stream.addresses().map(|(local, _)| Address::from(local)),
            Self::Unconnected | Self::Memory(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The user and the process at the other end of a Unix socket.
    pub(crate) fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        match self {
            #[cfg(unix)]
            Self::Unix { stream, .. } => platform::peer_credentials(stream),
            Self::Unconnected => Err(io::ErrorKind::NotConnected.into()),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "only Unix sockets have credentials")),
        }
    }

    pub(crate) fn socket(&self) -> io::Result<SockRef<'_>> {
        match self {
            Self::Unconnected | Self::Memory(_) => Err(io::ErrorKind::NotConnected.into()),
            Self::Tcp(stream) => Ok(stream.into()),
            #[cfg(unix)]
            Self::Unix { stream, .. } => Ok(stream.into()),
            #[cfg(test)]
            Self::Simulated(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

fn connected(stream: &impl MioStream) -> Option<io::Result<()>> {
    use io::ErrorKind::{NotConnected, WouldBlock};
    // mio's selectors other than epoll report the socket again only after a `WouldBlock` that mio sees.
    let checked = stream.try_io(|| {
        let socket = stream.sock_ref();
        match (socket.take_error()?, socket.peer_addr()) {
            (Some(error), _) => Err(error),
            (None, Err(error)) if error.kind() == NotConnected => Err(WouldBlock.into()),
            (None, peer) => peer.map(drop),
        }
    });
    match checked {
        Err(error) if matches!(error.kind(), NotConnected | WouldBlock) => None,
        checked => Some(checked),
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

#[cfg(unix)]
impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix { stream, failed: None }
    }
}

// TCP comes first and by itself: with all kinds of stream in one `match`, the compiler no longer inlines these calls into
// the code that serves a connection.

impl TryFrom<Stream> for TcpStream {
    type Error = Stream;

    fn try_from(stream: Stream) -> Result<Self, Stream> {
        match stream {
            Stream::Tcp(stream) => Ok(stream),
            other => Err(other),
        }
    }
}

#[cfg(unix)]
impl TryFrom<Stream> for UnixStream {
    type Error = Stream;

    fn try_from(stream: Stream) -> Result<Self, Stream> {
        match stream {
            Stream::Unix { stream, .. } => Ok(stream),
            other => Err(other),
        }
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            _ => self.read_other(buffer),
        }
    }
}

impl Stream {
    #[inline(never)]
    fn read_other(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Self::Unix { stream, failed } => platform::receive_unix(stream, failed, buffer),
            Self::Memory(stream) => stream.read(buffer),
            #[cfg(test)]
            Self::Simulated(stream) => stream.read(buffer),
            Self::Tcp(_) | Self::Unconnected => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    #[inline(never)]
    fn write_other(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            #[cfg(unix)]
            Self::Unix { stream, .. } => stream.send(bytes),
            Self::Memory(stream) => stream.write(bytes),
            #[cfg(test)]
            Self::Simulated(stream) => stream.write(bytes),
            Self::Tcp(_) | Self::Unconnected => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            _ => self.write_other(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => platform::send_vectored(stream, slices),
            #[cfg(unix)]
            Self::Unix { stream, .. } => platform::send_vectored(stream, slices),
            Self::Memory(stream) => stream.write_vectored(slices),
            #[cfg(test)]
            Self::Simulated(stream) => stream.write_vectored(slices),
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
            Self::Tcp(stream) if !file.copies() => platform::sendfile::send_file(stream, file, most),
            #[cfg(unix)]
            Self::Unix { stream, .. } if !file.copies() => platform::sendfile::send_file(stream, file, most),
            #[cfg(test)]
            Self::Simulated(stream) if !file.copies() => stream.send_file(file, most),
            _ => file.copy_to(self, most),
        }
    }
}
