//! The transports that a test can run over.

use std::net::SocketAddr;

use tidegate::{Address, ListenOptions, Net};

/// The transport of the connections of a test.
///
/// A test has one type of address for both: over Unix sockets, a socket address stands for a path. [`connect`] and
/// [`connect_narrow`] connect to the path, and [`address_of`] returns the path for a call of the crate.
///
/// [`connect`]: super::connect
/// [`connect_narrow`]: super::connect_narrow
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    Tcp,
    #[cfg(unix)]
    Unix,
}

impl Transport {
    /// Makes a listener, on a loopback address or at a path.
    pub fn listen<S>(self, net: &mut Net<S>, options: ListenOptions) -> SocketAddr {
        match self {
            Self::Tcp => {
                let listener = net.listen_with("127.0.0.1:0", options).unwrap();
                net.local_address(listener).unwrap().socket_addrs()[0]
            }
            #[cfg(unix)]
            Self::Unix => {
                let at = super::unix::stand_in();
                net.listen_with(address_of(at), options).unwrap();
                at
            }
        }
    }
}

/// Returns the address for a call of the crate.
pub fn address_of(at: SocketAddr) -> Address {
    #[cfg(unix)]
    if let Some(path) = super::unix::path_of(at) {
        return Address::unix(path).unwrap();
    }
    at.into()
}
