//! Addresses to listen at and to connect to, resolved from texts such as `"host:port"` and `"unix:/path"`.
//!
//! A name look-up may block for seconds, and a loop that blocks serves nobody. So the look-up is a call of its own,
//! [`Address::resolve`], and [`Net::connect`](crate::Net::connect) takes an [`Address`], which is ready to use.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::slice;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::{UnixName, no_name};

/// The forms that [`Address::resolve`] takes, as the end of each of its errors.
const FORMS: &str =
    "expected 127.0.0.1:7000, [::1]:7000, localhost:7000, :7000 for every interface, or unix:/path";

/// An address to listen at or to connect to: one or more socket addresses, or the name of a Unix socket.
///
/// An `Address` is made from a text by [`resolve`](Address::resolve), from a [`SocketAddr`], from a list of socket
/// addresses by [`from_list`](Address::from_list), or from a path by [`unix`](Address::unix). A single socket address needs
/// no allocation. The socket addresses of a name are kept in the order of the resolver, in which they are also tried.
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
    #[cfg(unix)]
    Unix(UnixName),
}

/// A place that an address names: the argument of one bind(2) or connect(2).
#[derive(Debug)]
pub(crate) enum Endpoint {
    Internet(SocketAddr),
    #[cfg(unix)]
    Unix(UnixName),
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
    /// | `"unix:/run/server.sock"` | the Unix socket at this path; a path without a leading slash is relative to the working directory |
    /// | `"unix:@name"` | the Unix socket with this abstract name, which is not in the file system; Linux and Android alone have such names |
    ///
    /// A text that begins with `unix:` is always the name of a Unix socket: a host with the name `unix` is written `unix.`.
    /// The path `@name` is written `unix:./@name`.
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
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the text has none of these forms, or the path is longer than an address
    /// can hold (107 bytes on Linux, 103 on macOS and the BSDs); the error says what is wrong.
    /// [`NotFound`](io::ErrorKind::NotFound) if the name does not resolve. [`Unsupported`](io::ErrorKind::Unsupported) if the
    /// system has no such Unix sockets. All errors name the address, in one line.
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
        let bad = |kind, wrong| io::Error::new(kind, format!("bad address {text:?}: {wrong}; {FORMS}"));
        if let Some(name) = text.strip_prefix("unix:") {
            return parse_unix(name).map_err(|(kind, wrong)| bad(kind, wrong));
        }
        let (host, port) = split(text).map_err(|wrong| bad(io::ErrorKind::InvalidInput, wrong))?;
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

    /// Makes the address of the Unix socket at a path. The path may be one that no text can hold.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is empty, contains a zero byte, or is longer than an address
    /// can hold. [`Unsupported`](io::ErrorKind::Unsupported) if the system has no Unix sockets.
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate::Address;
    ///
    /// # if cfg!(unix) {
    /// let address = Address::unix("/run/server.sock")?;
    /// assert_eq!(address, Address::resolve("unix:/run/server.sock")?);
    /// assert_eq!(address.to_string(), "unix:/run/server.sock");
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn unix(path: impl AsRef<Path>) -> io::Result<Address> {
        let path = path.as_ref();
        from_unix_path(path).map_err(|(kind, wrong)| {
            io::Error::new(kind, format!("bad path {path:?} of a Unix socket: {wrong}"))
        })
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
    /// The list is empty for a Unix socket. The socket address of `":7000"` is `[::]:7000`.
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
            #[cfg(unix)]
            Kind::Unix(_) => &[],
        }
    }

    /// True for the address of a Unix socket, be it a path, an abstract name, or the socket of a client without a name.
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate::Address;
    ///
    /// assert!(!Address::resolve("127.0.0.1:7000")?.is_unix());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn is_unix(&self) -> bool {
        #[cfg(unix)]
        if let Kind::Unix(_) = self.0 {
            return true;
        }
        false
    }

    /// The path, if the address is the path of a Unix socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::path::Path;
    /// use tidegate::Address;
    ///
    /// # if cfg!(unix) {
    /// let address = Address::resolve("unix:/run/server.sock")?;
    /// assert_eq!(address.unix_path(), Some(Path::new("/run/server.sock")));
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn unix_path(&self) -> Option<&Path> {
        #[cfg(unix)]
        if let Kind::Unix(UnixName::Path(path)) = &self.0 {
            return Some(path);
        }
        None
    }

    /// The place with this number, in the order in which the places are tried.
    pub(crate) fn endpoint(&self, index: usize) -> Option<Endpoint> {
        match &self.0 {
            #[cfg(unix)]
            Kind::Unix(name) => (index == 0).then(|| Endpoint::Unix(name.clone())),
            _ => self.socket_addrs().get(index).copied().map(Endpoint::Internet),
        }
    }

    #[cfg(unix)]
    pub(crate) fn from_unix(address: &std::os::unix::net::SocketAddr) -> Address {
        Address(Kind::Unix(UnixName::from_std(address)))
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

/// Writes a text that [`Address::resolve`] takes: `127.0.0.1:7000`, `[::1]:7000`, `:7000`, `unix:/path`, `unix:@name`.
///
/// The other addresses have no such text. The addresses of a name are written as a list with commas,
/// `[::1]:7000, 127.0.0.1:7000`, because the name itself is not kept. A Unix socket without a name, as most clients have, is
/// `unix:(unnamed)`. Names of Unix sockets that are not printable text are written with escapes, in one line.
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
            #[cfg(unix)]
            Kind::Unix(name) => write!(f, "unix:{name}"),
        }
    }
}

/// Reads the text behind `unix:`.
#[cfg(unix)]
fn parse_unix(name: &str) -> Result<Address, (io::ErrorKind, String)> {
    UnixName::parse(name).map(|name| Address(Kind::Unix(name)))
}

#[cfg(unix)]
fn from_unix_path(path: &Path) -> Result<Address, (io::ErrorKind, String)> {
    UnixName::path(path).map(|name| Address(Kind::Unix(name)))
}

#[cfg(not(unix))]
fn parse_unix(_: &str) -> Result<Address, (io::ErrorKind, String)> {
    Err((io::ErrorKind::Unsupported, "this system has no Unix sockets".into()))
}

#[cfg(not(unix))]
fn from_unix_path(_: &Path) -> Result<Address, (io::ErrorKind, String)> {
    parse_unix("")
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
mod to_address;
mod without_lookup;

pub(crate) use canonical::canonical;
pub use to_address::ToAddress;

#[cfg(test)]
mod tests;
#[cfg(all(test, unix))]
mod unix_tests;
