//! Addresses to listen at and to connect to, resolved from texts such as `"host:port"`.
//!
//! A name look-up may block for seconds, and a loop that blocks serves nobody. So the look-up is a call of its own,
//! [`Address::resolve`], and [`Net::connect`](crate::Net::connect) takes an [`Address`], which is ready to use.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::slice;

/// The forms that [`Address::resolve`] takes, as the end of each of its errors.
const FORMS: &str = "expected 127.0.0.1:7000, [::1]:7000, localhost:7000, or :7000 for every interface";

/// One or more socket addresses, resolved: to listen at or to connect to.
///
/// An `Address` is made from a text by [`resolve`](Address::resolve), from a [`SocketAddr`], or from a list of socket
/// addresses by [`from_list`](Address::from_list). A single socket address needs no allocation. The socket addresses of a
/// name are kept in the order of the resolver, in which they are also tried.
///
/// An address that was made from `":7000"` means every interface, over IPv6 and IPv4 alike. It is not equal to an address
/// that was made from `"[::]:7000"`, which leaves IPv4 to the system's default (see [`resolve`](Address::resolve)).
///
/// # Examples
///
/// ```
/// use std::net::SocketAddr;
/// use tidegate::Address;
///
/// let one = Address::resolve("127.0.0.1:7000")?;
/// assert_eq!(one, Address::from(SocketAddr::from(([127, 0, 0, 1], 7000))));
/// assert_eq!(one.to_string(), "127.0.0.1:7000");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Kind);

/// The kinds of address. The type is private so that paths can be added: other code must not assume socket addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    One(SocketAddr),
    /// The socket addresses of a name or a list: two or more, all different.
    Several(Box<[SocketAddr]>),
    /// `":port"`, stored as `[::]:port`. The code that opens a socket for this address must ask for IPv4 as well, because the
    /// system's defaults differ: ipv6(7) on `IPV6_V6ONLY` and `/proc/sys/net/ipv6/bindv6only`, and Windows where it is on.
    AnyInterface(SocketAddr),
}

impl Address {
    /// Reads an address, and looks up the name if the address has a name.
    ///
    /// | text | means |
    /// |---|---|
    /// | `"127.0.0.1:7000"` | this IPv4 address |
    /// | `"[::1]:7000"` | this IPv6 address; a scope is allowed, as in `"[fe80::1%eth0]:7000"` |
    /// | `"localhost:7000"` | the addresses that the system's resolver returns, in their order |
    /// | `":7000"` | every interface: IPv6 and IPv4 from one socket, or IPv4 alone where there is no IPv6 |
    ///
    /// A listener at port 0 gets a free port from the system. `"[::]:7000"` and `"0.0.0.0:7000"` are taken as they are
    /// written: `"0.0.0.0:7000"` is IPv4 alone, and the system's default decides whether `"[::]:7000"` takes IPv4 too (Linux
    /// takes it unless `net.ipv6.bindv6only` is set; Windows and the BSDs do not).
    ///
    /// # Blocking
    ///
    /// A name is looked up with the system's resolver, which **may block** for as long as a name server does not answer.
    /// Resolve names before the loop starts, or on another thread. The other forms never block.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the text has none of these forms; the error says what is wrong.
    /// [`NotFound`](io::ErrorKind::NotFound) if the name does not resolve. Both errors name the address, in one line.
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate::Address;
    ///
    /// let everywhere = Address::resolve(":7000")?;
    /// assert_eq!(everywhere.to_string(), ":7000");
    ///
    /// let error = Address::resolve("localhost").unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    /// assert!(error.to_string().starts_with(r#"bad address "localhost": the port is missing"#));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn resolve(text: &str) -> io::Result<Address> {
        if let Ok(literal) = text.parse::<SocketAddr>() {
            return Ok(Address(Kind::One(literal)));
        }
        let (host, port) = split(text).map_err(|wrong| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("bad address {text:?}: {wrong}; {FORMS}"))
        })?;
        if host.is_empty() {
            let wildcard = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            return Ok(Address(Kind::AnyInterface(wildcard)));
        }
        // std gives the resolver's errors no kind that has a name (EAI_NONAME is not an errno), so the text is the cause.
        let failed = |cause: &dyn fmt::Display| {
            io::Error::new(io::ErrorKind::NotFound, format!("cannot resolve {text:?}: {cause}"))
        };
        let found = (host, port).to_socket_addrs().map_err(|error| failed(&error))?;
        Address::from_found(found).ok_or_else(|| failed(&"the name has no address"))
    }

    /// Makes an address of several socket addresses, which are tried in this order. Repeated socket addresses are dropped.
    /// Returns `None` if the list is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use tidegate::Address;
    ///
    /// let [first, second] = [7000, 7001].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    /// let address = Address::from_list(&[first, second, first]).unwrap();
    /// assert_eq!(address.socket_addrs(), [first, second]);
    /// assert_eq!(Address::from_list(&[]), None);
    /// ```
    #[must_use]
    pub fn from_list(list: &[SocketAddr]) -> Option<Address> {
        Address::from_found(list.iter().copied())
    }

    /// Keeps the order of the resolver, which RFC 6724 defines, and drops repeats: `/etc/hosts` may list a name twice.
    pub(crate) fn from_found(found: impl Iterator<Item = SocketAddr>) -> Option<Address> {
        let mut addresses = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        match addresses[..] {
            [] => None,
            [one] => Some(Address(Kind::One(one))),
            _ => Some(Address(Kind::Several(addresses.into_boxed_slice()))),
        }
    }

    /// The socket addresses, in the order in which they are tried.
    ///
    /// Today every address has at least one socket address; code that can handle an empty list will not have to change when
    /// an address can be a path. The socket address of `":7000"` is `[::]:7000`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate::Address;
    ///
    /// let address = Address::resolve("[::1]:7000")?;
    /// assert_eq!(address.socket_addrs(), ["[::1]:7000".parse().unwrap()]);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn socket_addrs(&self) -> &[SocketAddr] {
        match &self.0 {
            Kind::One(address) | Kind::AnyInterface(address) => slice::from_ref(address),
            Kind::Several(addresses) => addresses,
        }
    }

    /// The port, if the address has a port. All socket addresses of a name have the same port; for a list
    /// ([`from_list`](Address::from_list)), the port is that of the first socket address.
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate::Address;
    ///
    /// assert_eq!(Address::resolve(":7000")?.port(), Some(7000));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn port(&self) -> Option<u16> {
        self.socket_addrs().first().map(SocketAddr::port)
    }

    /// True for `":port"`, which a listener has to open for IPv6 and IPv4.
    pub(crate) fn is_any_interface(&self) -> bool {
        matches!(self.0, Kind::AnyInterface(_))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address(Kind::One(address))
    }
}

/// Writes a text that [`Address::resolve`] takes: `127.0.0.1:7000`, `[::1]:7000`, `:7000`. The addresses of a name are
/// written as a list with commas, `[::1]:7000, 127.0.0.1:7000`, because the name itself is not kept.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::One(address) => address.fmt(f),
            Kind::AnyInterface(address) => write!(f, ":{}", address.port()),
            Kind::Several(addresses) => {
                for (index, address) in addresses.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{address}")?;
                }
                Ok(())
            }
        }
    }
}

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
    /// As [`to_address`](Self::to_address), and [`InvalidInput`](io::ErrorKind::InvalidInput) for a text that has a name.
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

/// Splits a text that is not a literal socket address into host and port, or returns what is wrong with the text.
fn split(text: &str) -> Result<(&str, u16), String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        // "::1:7000" is a whole IPv6 address: a port without brackets could not be told from the address.
        return Err("an IPv6 address needs brackets around it, and a port behind them".into());
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the closing bracket is missing")?;
            if !host.contains(':') {
                return Err("what stands in the brackets is not an IPv6 address".into());
            }
            let port = match after {
                "" => None,
                _ => Some(after.strip_prefix(':').ok_or("after the bracket comes a colon and the port")?),
            };
            (host, port)
        }
        None => match text.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return Err("it has more than one colon".into()),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.filter(|port| !port.is_empty()).ok_or("the port is missing")?;
    // u16's own parser would take "+7000".
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("the port {port:?} is not a number"));
    }
    let port = port.parse().map_err(|_| format!("the port {port} is out of range (0 to 65535)"))?;
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '/')) {
        return Err(format!("{host:?} is not the name of a host"));
    }
    Ok((host, port))
}

mod canonical;
mod without_lookup;

pub(crate) use canonical::canonical;

#[cfg(test)]
mod tests;
