//! IPv4 addresses that an IPv6 socket reports as IPv6 addresses.

use std::net::{IpAddr, SocketAddr};

use super::Address;

/// The address of a peer as the peer knows it: a socket for both families reports an IPv4 peer as `::ffff:192.0.2.1`, RFC 4291.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

impl Address {
    /// The IP address, if the address has one; of several, the first. An IPv4 address that is mapped into IPv6
    /// (`::ffff:192.0.2.1`) is an IPv4 address here.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{IpAddr, Ipv4Addr};
    /// use tidegate::Address;
    ///
    /// let mapped: Address = "[::ffff:127.0.0.1]:7000".parse()?;
    /// assert_eq!(mapped.ip(), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addrs().first().map(|address| address.ip().to_canonical())
    }
}
