//! The streams behind one type, and what differs between platforms about them.

use std::{
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr},
    time::Duration,
};

use mio::{Registry, Token, event::Source, net::TcpStream};
use socket2::{SockRef, TcpKeepalive};

use crate::{
    options::{Keepalive, Options},
    platform,
    refused::Refused,
    testing::Wire,
};

/// A nonblocking stream.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Not even being connected yet.
    Unconnected,
    Tcp(TcpStream),
    /// No socket at all: see [`testing`](crate::testing).
    Memory(Wire),
}

impl Stream {
    /// Begins to connect; success and failure show with the first writable event.
    pub(crate) fn connect(to: SocketAddr) -> io::Result<Self> {
        TcpStream::connect(to).map(Self::Tcp)
    }

    /// Takes over a nonblocking stream that someone else connected.
    pub(crate) fn adopt(
        stream: std::net::TcpStream,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, Refused<std::net::TcpStream>> {
        let mut stream = TcpStream::from_std(stream);
        match stream.register(registry, token, platform::INTERESTS) {
            Ok(()) => Ok(Self::Tcp(stream)),
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

    pub(crate) fn configure(&self, options: &Options) {
        if let Ok(stream) = self.tcp() {
            configure(&SockRef::from(stream), options);
        }
    }

    /// What became of a connect: `None` while it is still under way. See connect(2) on EINPROGRESS.
    pub(crate) fn connected(&self) -> Option<io::Result<()>> {
        let checked = self.tcp().and_then(|stream| match stream.take_error()? {
            Some(error) => Err(error),
            None => stream.peer_addr().map(drop),
        });
        match checked {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
            checked => Some(checked),
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Memory(wire) => wire.shutdown_write(),
            _ => self.tcp()?.shutdown(Shutdown::Write),
        }
    }

    /// Makes the coming close a reset: socket(7), SO_LINGER with a time of zero.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        match self {
            Self::Memory(wire) => wire.reset_on_close(),
            _ => SockRef::from(self.tcp()?).set_linger(Some(Duration::ZERO)),
        }
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Memory(wire) => Ok(wire.take_error()),
            _ => self.tcp()?.take_error(),
        }
    }

    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp()?.peer_addr()
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
            Self::Memory(wire) => wire.read(buffer),
            Self::Unconnected => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Memory(wire) => wire.write(bytes),
            Self::Unconnected => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => platform::send_vectored(stream, slices),
            Self::Memory(wire) => wire.write_vectored(slices),
            Self::Unconnected => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // the kernel is handed everything at once: there is no buffer in between
    }
}

/// The options that every connection has. What cannot be set makes it slower, or slower to notice that the peer is gone,
/// and not wrong.
pub(crate) fn configure(socket: &SockRef<'_>, options: &Options) {
    let nodelay = socket.set_tcp_nodelay(true);
    let keepalive = options.keepalive.as_ref().map_or(Ok(()), |wish| set_keepalive(socket, wish));
    if let Err(error) = nodelay.and(keepalive) {
        log::debug!("a socket option cannot be set: {error}");
    }
}

/// For a stream, or for a listener whose streams inherit it.
pub(crate) fn set_keepalive(socket: &SockRef<'_>, wish: &Keepalive) -> io::Result<()> {
    let times = TcpKeepalive::new().with_time(wish.after);
    // These have one time for the whole system.
    #[cfg(not(any(target_os = "openbsd", target_os = "haiku", target_os = "aix", target_os = "solaris")))]
    let times = times.with_interval(wish.interval).with_retries(wish.retries);
    socket.set_tcp_keepalive(&times)
}
