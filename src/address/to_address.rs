//! The types that stand for an address.

use std::{io, net::SocketAddr};

use super::Address;

/// A value that stands for an address: a text, a [`SocketAddr`], an IP address with a port, or an [`Address`].
///
/// # Blocking
///
/// A text is resolved, which may block: see [`Address::resolve`].
///
/// # Examples
///
/// ```
/// use std::net::SocketAddr;
/// use tidegate::ToAddress;
///
/// let text = "127.0.0.1:7000".to_address()?;
/// let socket = SocketAddr::from(([127, 0, 0, 1], 7000)).to_address()?;
/// assert_eq!(text, socket);
/// # std::io::Result::Ok(())
/// ```
pub trait ToAddress {
    /// Converts the value to an address.
    ///
    /// # Errors
    ///
    /// A text has the errors of [`Address::resolve`]; the other types have none.
    fn to_address(&self) -> io::Result<Address>;

    /// Converts the value without a look-up, so the call never blocks. By default it is [`to_address`](Self::to_address);
    /// a text that has a name is an error instead.
    ///
    /// # Errors
    ///
    /// The errors are those of [`to_address`](Self::to_address), and
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a text that has a name.
    fn to_address_without_lookup(&self) -> io::Result<Address> {
        self.to_address()
    }
}

impl ToAddress for str {
    fn to_address(&self) -> io::Result<Address> {
        Address::resolve(self)
    }

    fn to_address_without_lookup(&self) -> io::Result<Address> {
        self.parse()
    }
}

impl ToAddress for String {
    fn to_address(&self) -> io::Result<Address> {
        Address::resolve(self)
    }

    fn to_address_without_lookup(&self) -> io::Result<Address> {
        self.parse()
    }
}

impl ToAddress for SocketAddr {
    fn to_address(&self) -> io::Result<Address> {
        Ok(Address::from(*self))
    }
}

impl ToAddress for Address {
    fn to_address(&self) -> io::Result<Address> {
        Ok(self.clone())
    }
}

impl<T: ToAddress + ?Sized> ToAddress for &T {
    fn to_address(&self) -> io::Result<Address> {
        (**self).to_address()
    }

    fn to_address_without_lookup(&self) -> io::Result<Address> {
        (**self).to_address_without_lookup()
    }
}
