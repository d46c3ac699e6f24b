//! The socket types of the standard library as sources of `mio`, and back.

#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};

use mio::{Interest, Registry, Token, event::Source};
use socket2::{SockAddr, SockRef};

use crate::refused::Refused;

use super::platform;

/// A socket of the standard library that a reactor can take over.
pub(crate) trait HandOver: Sized {
    /// The type of `mio` for the socket.
    type Source: Source + Into<Self>;

    /// The kind of socket, for error texts.
    const KIND: &str;

    const INTERESTS: Interest;

    /// True for the addresses that such a socket can have. A type of the standard library can be made of any descriptor, so
    /// the type proves nothing.
    fn is_family(address: &SockAddr) -> bool;

    /// The socket must be nonblocking.
    fn into_source(self) -> Self::Source;

    fn sock_ref(&self) -> SockRef<'_>;
}

macro_rules! hand_over {
    ($($of_std:ty => $of_mio:ty, $kind:literal, $is_family:expr, $interests:expr;)*) => {
        $(
            impl HandOver for $of_std {
                type Source = $of_mio;
                const KIND: &str = $kind;
                const INTERESTS: Interest = $interests;

                fn is_family(address: &SockAddr) -> bool {
                    $is_family(address)
                }

                fn into_source(self) -> $of_mio {
                    <$of_mio>::from_std(self)
                }

                fn sock_ref(&self) -> SockRef<'_> {
                    self.into()
                }
            }
        )*
    };
}

fn is_internet(address: &SockAddr) -> bool {
    address.as_socket().is_some()
}

hand_over! {
    std::net::TcpStream => mio::net::TcpStream, "TCP socket", is_internet, platform::INTERESTS;
    std::net::TcpListener => mio::net::TcpListener, "TCP socket", is_internet, Interest::READABLE;
}

#[cfg(unix)]
hand_over! {
    UnixStream => mio::net::UnixStream, "Unix stream socket", SockAddr::is_unix, platform::INTERESTS;
    UnixListener => mio::net::UnixListener, "Unix stream socket", SockAddr::is_unix, Interest::READABLE;
}

/// Registers a nonblocking socket with a poll, or gives the socket back.
pub(crate) fn register<T: HandOver>(
    socket: T,
    registry: &Registry,
    token: Token,
) -> Result<T::Source, Refused<T>> {
    let mut source = socket.into_source();
    match source.register(registry, token, T::INTERESTS) {
        Ok(()) => Ok(source),
        Err(error) => Err(Refused { error, back: source.into() }),
    }
}
