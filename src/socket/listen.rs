//! The calls of a TCP server before its first client, in one place for the reactor and the blocking version:
//! `socket()`, the options that must stand before `bind()`, `bind()`, `listen()`.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{address::Address, options::ListenOptions};

use super::platform;

/// Opens a socket that listens: nonblocking, close-on-exec, with the socket options that were asked for, and `SO_REUSEADDR` on
/// Unix.
///
/// Of several addresses, the first that this machine has is taken. An address in use or forbidden ends the search: what
/// a name stands for must not depend on which of its addresses another program left free. The address for every
/// interface is tried as one socket for IPv6 and IPv4, and as IPv4 alone where there is no such socket.
///
/// The backlog is cut to what fits an `int`, and by the kernel to its own limit (listen(2): `net.core.somaxconn`).
///
/// The error says what was tried and the cause, in one line, and keeps the kind of the last cause. If an option cannot be set,
/// the error names the option.
pub(crate) fn listen_socket(address: &Address, options: &ListenOptions) -> io::Result<TcpListener> {
    if address.is_unix() {
        let why = format!("cannot listen on {address}: it is no address of TCP");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut tried = Vec::new();
    for at in candidates(address) {
        let error = match create(at, address.is_any_interface()) {
            Ok(socket) => match bind_and_listen(&socket, at, options) {
                Ok(()) => return Ok(socket.into()),
                Err(error) => error,
            },
            // No IPv6 in this kernel, or none that takes IPv4 as well (OpenBSD). No kind or portable number says so, but
            // creating a socket has no other reason to fail that would not also fail for the next address.
            Err(error) => {
                tried.push((at, error));
                continue;
            }
        };
        let absent = error.kind() == io::ErrorKind::AddrNotAvailable;
        tried.push((at, error));
        if !absent {
            break;
        }
    }
    Err(failure(&tried))
}

/// `error`, with what could not be done before its cause: one line, of the same kind.
pub(crate) fn explain(what: fmt::Arguments<'_>, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// The addresses to try, in order.
pub(super) fn candidates(address: &Address) -> impl Iterator<Item = SocketAddr> {
    let given = address.socket_addrs().iter().copied();
    let without_ipv6 = address.port().filter(|_| address.is_any_interface());
    given.chain(without_ipv6.map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
}

fn create(at: SocketAddr, any_interface: bool) -> io::Result<Socket> {
    // socket2 sets close-on-exec with the call itself where the system can, so that no fork() of another thread's falls
    // between the two.
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    if any_interface && at.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

fn bind_and_listen(socket: &Socket, at: SocketAddr, options: &ListenOptions) -> io::Result<()> {
    platform::reuse_address(socket)?;
    set_options(socket, options)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))
}

/// Sets the options that must stand before `bind()` and `listen()`. The sizes of the buffers have their full effect only there,
/// tcp(7).
fn set_options(socket: &Socket, options: &ListenOptions) -> io::Result<()> {
    let named = |name: &'static str| move |error| explain(format_args!("the option {name}"), &error);
    if options.reuse_port {
        platform::share_port(socket).map_err(named("reuse_port (SO_REUSEPORT)"))?;
    }
    if let Some(bytes) = options.recv_buffer {
        socket.set_recv_buffer_size(bytes).map_err(named("recv_buffer (SO_RCVBUF)"))?;
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes).map_err(named("send_buffer (SO_SNDBUF)"))?;
    }
    socket.set_tcp_nodelay(options.nodelay).map_err(named("nodelay (TCP_NODELAY)"))
}

fn failure(tried: &[(SocketAddr, io::Error)]) -> io::Error {
    let kind = tried.last().map_or(io::ErrorKind::InvalidInput, |(_, error)| error.kind());
    let causes: Vec<String> = tried.iter().map(|(at, error)| format!("{at}: {error}")).collect();
    io::Error::new(kind, format!("cannot listen on {}", causes.join("; ")))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn listen_socket(address: &Address, backlog: u32, reuse_port: bool) -> io::Result<TcpListener> {
        super::listen_socket(address, &ListenOptions::default().backlog(backlog).reuse_port(reuse_port))
    }

    fn listen(text: &str) -> io::Result<TcpListener> {
        listen_socket(&Address::resolve(text)?, 16, false)
    }

    /// The next client, waited for: the listener of the tests below is nonblocking.
    fn accept(listener: &TcpListener) -> TcpStream {
        listener.set_nonblocking(false).expect("a flag of an open socket");
        listener.accept().expect("a client has connected").0
    }

    #[test]
    fn port_zero_listens_at_a_free_port() {
        let listener = listen("127.0.0.1:0").expect("loopback");
        let at = listener.local_addr().expect("it is bound");
        assert_ne!(at.port(), 0);
        TcpStream::connect(at).expect("it listens");
    }

    #[test]
    fn the_listener_does_not_block() {
        let listener = listen("127.0.0.1:0").expect("loopback");
        assert_eq!(listener.accept().expect_err("nobody came").kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_port_in_use_is_named_in_one_line() {
        let first = listen("127.0.0.1:0").expect("loopback");
        let at = first.local_addr().expect("it is bound");
        let error = listen(&at.to_string()).expect_err("it is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let line = error.to_string();
        assert!(line.starts_with(&format!("cannot listen on {at}: ")) && !line.contains('\n'), "{line}");
    }

    #[test]
    fn an_address_that_is_not_this_machines_is_named() {
        let error = listen("192.0.2.1:0").expect_err("RFC 5737: nobody's");
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        assert!(error.to_string().starts_with("cannot listen on 192.0.2.1:0: "), "{error}");
    }

    #[test]
    fn addresses_are_tried_in_order_until_one_is_this_machines() {
        let absent = "192.0.2.1:0".parse().expect("a literal");
        let here = "127.0.0.1:0".parse().expect("a literal");
        let listener = listen_socket(&several([absent, here]), 16, false).expect("the second is loopback");
        let taken = listener.local_addr().expect("it is bound");
        assert!(taken.ip().is_loopback());

        let error = listen_socket(&several([absent, taken]), 16, false).expect_err("one absent, one in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let line = error.to_string();
        assert!(line.contains("192.0.2.1:0: ") && line.contains(&format!("; {taken}: ")), "{line}");

        let error = listen_socket(&several([taken, here]), 16, false).expect_err("in use is not passed over");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn every_interface_is_one_socket_for_both_families() {
        let listener = listen(":0").expect("IPv4 at least");
        let at = listener.local_addr().expect("it is bound");
        TcpStream::connect(("127.0.0.1", at.port())).expect("IPv4 is always served");
        accept(&listener);
        if TcpListener::bind("[::1]:0").is_err() {
            eprintln!("skipped the other half: this machine has no IPv6");
            return;
        }
        assert!(at.is_ipv6(), "{at}");
        TcpStream::connect(("::1", at.port())).expect("IPv6 where there is any");
        assert!(accept(&listener).local_addr().expect("connected").is_ipv6());
    }

    #[test]
    fn every_interface_falls_back_to_ipv4() {
        let every = Address::resolve(":7").expect("a form that is documented");
        let tried: Vec<String> = candidates(&every).map(|at| at.to_string()).collect();
        assert_eq!(tried, ["[::]:7", "0.0.0.0:7"]);
        let plain = Address::resolve("[::]:7").expect("a literal");
        assert_eq!(candidates(&plain).count(), 1);
    }

    // Without epoll the crate sets the options of each connection by itself.
    #[cfg(all(any(target_os = "linux", target_os = "android"), not(mio_unsupported_force_poll_poll)))]
    #[test]
    fn a_connection_inherits_nodelay_from_the_listener() {
        const { assert!(platform::OPTIONS_ARE_INHERITED) }
        let listener = listen("127.0.0.1:0").expect("loopback");
        let _client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        assert!(accept(&listener).nodelay().expect("an option of an open socket"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_shared_port_can_be_bound_twice() {
        let port_zero = Address::resolve("127.0.0.1:0").expect("a literal");
        let first = listen_socket(&port_zero, u32::MAX, true).expect("loopback");
        let at = Address::from(first.local_addr().expect("it is bound"));
        listen_socket(&at, 16, true).expect("both asked to share");
        assert_eq!(listen_socket(&at, 16, false).expect_err("not shared").kind(), io::ErrorKind::AddrInUse);
    }

    fn several(addresses: [SocketAddr; 2]) -> Address {
        Address::from_found(addresses.into_iter()).expect("two")
    }
}
