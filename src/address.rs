//! Where to listen and where to connect to: `"host:port"` and its relatives, resolved.
//!
//! A name look-up may block for seconds, and a loop that blocks serves nobody. So what may block has a name of its own,
//! [`Address::resolve`], and what runs inside the loop takes an [`Address`], which is ready to use.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::slice;

/// The forms that [`Address::resolve`] takes, as the end of each of its errors.
const FORMS: &str = "expected 127.0.0.1:7000, [::1]:7000, localhost:7000, or :7000 for every interface";

/// One or more socket addresses, resolved: to listen at or to connect to.
///
/// Made from a text by [`resolve`](Address::resolve), from a [`SocketAddr`], or from a list of them by
/// [`from_list`](Address::from_list). A single socket address is kept in place,
/// without an allocation; what a name resolved to is kept in the order of the resolver, which is the order of trying.
///
/// An address that was made from `":7000"` means every interface, over IPv6 and IPv4 alike. It is not equal to one made
/// from `"[::]:7000"`, which leaves the question of IPv4 to the system's default (see [`resolve`](Address::resolve)).
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

/// Private, so that a path can join: nothing outside may count on an address being a socket address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    One(SocketAddr),
    /// What a name resolved to, or a list: two or more, no two of them equal.
    Several(Box<[SocketAddr]>),
    /// `":port"`. Holds `[::]:port`; whoever opens a socket for it must ask for IPv4 as well, as the system's default
    /// differs: ipv6(7) on `IPV6_V6ONLY` and `/proc/sys/net/ipv6/bindv6only`, and Windows where it is on.
    AnyInterface(SocketAddr),
}

impl Address {
    /// Reads an address, and looks its name up if it has one.
    ///
    /// | text | means |
    /// |---|---|
    /// | `"127.0.0.1:7000"` | this IPv4 address |
    /// | `"[::1]:7000"` | this IPv6 address; a scope is allowed, as in `"[fe80::1%eth0]:7000"` |
    /// | `"localhost:7000"` | what the system's resolver says, in its order |
    /// | `":7000"` | every interface: IPv6 and IPv4 from one socket, or IPv4 alone where there is no IPv6 |
    ///
    /// Port 0 asks the system for a free port when one listens. `"[::]:7000"` and `"0.0.0.0:7000"` are taken as they are
    /// written: the latter is IPv4 alone, and whether the former takes IPv4 too is the system's default (on Linux it
    /// does unless `net.ipv6.bindv6only` is set, on Windows and the BSDs it does not).
    ///
    /// # Blocking
    ///
    /// A name is looked up with the system's resolver, which **may block**, for as long as a name server that does not
    /// answer lets it wait. Call this before the loop starts, or on another thread. The other forms never block.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the text is none of these forms, with what is wrong about it, and
    /// [`NotFound`](io::ErrorKind::NotFound) if the name does not resolve. Both name the address, in one line.
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

    /// An address of several socket addresses, to be tried in this order. Repeated socket addresses are dropped. `None`
    /// if the list is empty.
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

    /// Keeps the resolver's order (RFC 6724 sorted it) and drops repeats: `/etc/hosts` may well list a name twice.
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

    /// The socket addresses, in the order in which they are to be tried.
    ///
    /// At least one for every address there is today; code that handles none as well will not have to change when an
    /// address can be a path. For `":7000"` it is `[::]:7000`.
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

    /// The port, if this is an address that has one. All socket addresses of a name share their port; of a list
    /// ([`from_list`](Address::from_list)) this is the port of the first.
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

    /// Whether this is `":port"`, which a listener has to open for IPv6 and IPv4.
    pub(crate) fn is_any_interface(&self) -> bool {
        matches!(self.0, Kind::AnyInterface(_))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address(Kind::One(address))
    }
}

/// What [`Address::resolve`] would take: `127.0.0.1:7000`, `[::1]:7000`, `:7000`. What a name resolved to is a list with
/// commas, `[::1]:7000, 127.0.0.1:7000`, as the name itself is not kept.
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

/// What can be given where an address is asked for: a text, a [`SocketAddr`] or an [`Address`].
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
    /// The address.
    ///
    /// # Errors
    ///
    /// Those of [`Address::resolve`] for a text; none for the others.
    fn to_address(&self) -> io::Result<Address>;
}

impl ToAddress for str {
    fn to_address(&self) -> io::Result<Address> {
        Address::resolve(self)
    }
}

impl ToAddress for String {
    fn to_address(&self) -> io::Result<Address> {
        Address::resolve(self)
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
}

/// Host and port of a text that is not a literal socket address, or what is wrong with it.
fn split(text: &str) -> Result<(&str, u16), String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        // "::1:7000" is a whole IPv6 address, of which nobody can say where its port would begin.
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

#[cfg(test)]
mod tests;
