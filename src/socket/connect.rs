//! A connect from a local address of the program's choice.

use std::{io, net::SocketAddr};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    listen::explain,
    platform::{is_in_progress, reuse_address},
};

/// Binds a socket to `local`, and begins to connect.
pub(super) fn connect_from(local: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    if local.is_ipv4() != to.is_ipv4() {
        let explanation = format!("{to} cannot be reached from {local}: one is IPv4, the other is IPv6");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, explanation));
    }
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if local.port() != 0 {
        reuse_address(&socket)?;
    }
    socket.bind(&local.into()).map_err(|error| explain(format_args!("cannot bind {local}"), &error))?;
    match socket.connect(&to.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}
