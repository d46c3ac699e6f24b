//! Addresses that are made without a name look-up, and so without blocking.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use super::{Address, ToAddress, split};

/// Reads an address as [`Address::resolve`] does, but never looks a name up, and so never blocks.
///
/// # Examples
///
/// ```
/// use tidegate::Address;
///
/// assert_eq!("127.0.0.1:7000".parse::<Address>()?, Address::resolve("127.0.0.1:7000")?);
/// let error = "localhost:7000".parse::<Address>().unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// # std::io::Result::Ok(())
/// ```
impl FromStr for Address {
    /// The errors are those of [`Address::resolve`], and `InvalidInput` for a text that has a name.
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        if has_name(text) {
            let explanation = format!("{text:?} has a name, which must be resolved first: Address::resolve");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, explanation));
        }
        Address::resolve(text) // without a name, nothing is looked up
    }
}

/// True if [`Address::resolve`] would look a name up. A text that begins with `unix:` has a path.
fn has_name(text: &str) -> bool {
    text.parse::<SocketAddr>().is_err()
        && !text.starts_with("unix:")
        && split(text).is_ok_and(|(host, _)| !host.is_empty())
}

/// An IP address and a port.
///
/// # Examples
///
/// ```
/// use std::net::Ipv4Addr;
/// use tidegate::ToAddress;
///
/// assert_eq!((Ipv4Addr::LOCALHOST, 7000).to_address()?, "127.0.0.1:7000".to_address()?);
/// # std::io::Result::Ok(())
/// ```
impl<I: Into<IpAddr> + Copy> ToAddress for (I, u16) {
    fn to_address(&self) -> io::Result<Address> {
        Ok(Address::from(SocketAddr::from((self.0, self.1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_with_a_name_needs_a_look_up() {
        for text in ["127.0.0.1:1", "[::1]:1", ":1", "", "host", "::1:1", "unix:/run/a", "unix:@a"] {
            assert!(!has_name(text), "{text:?}");
        }
        for text in ["localhost:1", "a.example:80"] {
            assert!(has_name(text), "{text:?}");
            assert_eq!(text.parse::<Address>().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
