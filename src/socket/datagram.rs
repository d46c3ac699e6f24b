//! A nonblocking datagram socket.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

use mio::{Interest, Registry, Token, event::Source, net::UdpSocket};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{address::Address, options::DatagramOptions};

#[cfg(test)]
use super::simulated::{self, SimulatedDatagrams};
use super::{
    listen::{candidates, explain},
    packet_info::PacketInfo,
    platform,
};

#[derive(Debug)]
pub(crate) struct DatagramSocket {
    socket: UdpSocket,
    info: PacketInfo,
    /// The address that the socket is bound to.
    local: SocketAddr,
    /// The only peer, after `connect`.
    peer: Option<SocketAddr>,
    #[cfg(test)]
    simulated: Option<SimulatedDatagrams>,
}

impl DatagramSocket {
    /// `socket()`, the options, `bind()`. Of several addresses, the first that this machine has is taken, as for a listener.
    pub(crate) fn bind(address: &Address, options: &DatagramOptions) -> io::Result<Self> {
        #[cfg(test)]
        if let Some(socket) = simulated::bind(address.socket_addrs()) {
            return Self::of_simulated(socket?);
        }
        let only_v6 = options.only_v6 == Some(true);
        let mut last = None;
        for at in candidates(address) {
            if address.is_any_interface() && only_v6 && at.is_ipv4() {
                continue;
            }
            let error = match create(at) {
                Ok(socket) => match set_up(socket, at, address.is_any_interface(), options) {
                    Ok(socket) => return Ok(socket),
                    Err(error) => error,
                },
                // This system has no IPv6: see `listen_socket`.
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            if error.kind() != io::ErrorKind::AddrNotAvailable {
                return Err(error);
            }
            last = Some(error);
        }
        Err(last.unwrap_or_else(|| {
            let text =
                format!("cannot bind a datagram socket to {address}: this is no IP address with a port");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        }))
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        #[cfg(test)]
        if let Some(socket) = &self.simulated {
            return socket.register(token, false);
        }
        self.socket.register(registry, token, Interest::READABLE)
    }

    /// Waits for room in the send buffer as well, or no longer.
    pub(crate) fn set_writable_interest(
        &mut self,
        registry: &Registry,
        token: Token,
        on: bool,
    ) -> io::Result<()> {
        #[cfg(test)]
        if let Some(socket) = &self.simulated {
            return socket.reregister(on);
        }
        self.socket.reregister(registry, token, interests(on))
    }

    /// Registers the socket anew, whether the selector has dropped it or not.
    pub(crate) fn register_anew(
        &mut self,
        registry: &Registry,
        token: Token,
        writable: bool,
    ) -> io::Result<()> {
        #[cfg(test)]
        if let Some(socket) = &self.simulated {
            let _ = socket.deregister();
            return socket.register(token, writable);
        }
        let _ = self.socket.deregister(registry); // an error means that the socket is not registered
        self.socket.register(registry, token, interests(writable))
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        #[cfg(test)]
        if let Some(socket) = &self.simulated {
            return socket.deregister();
        }
        self.socket.deregister(registry)
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    #[cfg(test)]
    pub(super) fn simulated(&self) -> Option<&SimulatedDatagrams> {
        self.simulated.as_ref()
    }

    /// The real socket stands for nothing and is not registered.
    #[cfg(test)]
    fn of_simulated(simulated: SimulatedDatagrams) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        let socket = UdpSocket::from_std(socket.into());
        let (info, local) = (PacketInfo::of(&socket)?, simulated.local()?);
        Ok(Self { socket, info, local, peer: None, simulated: Some(simulated) })
    }

    pub(super) fn mio(&self) -> &UdpSocket {
        &self.socket
    }

    #[cfg(feature = "packet-info")]
    pub(super) fn info(&self) -> &PacketInfo {
        &self.info
    }

    /// The address that every received datagram was sent to, if the socket is bound to one.
    pub(super) fn only_destination(&self) -> Option<IpAddr> {
        let ip = self.local.ip();
        (!ip.is_unspecified()).then(|| ip.to_canonical())
    }

    /// Sends one datagram to an address, or to the peer of `connect`.
    #[inline]
    pub(crate) fn send(&self, bytes: &[u8], to: Option<&SocketAddr>) -> io::Result<()> {
        #[cfg(test)]
        if let Some(socket) = &self.simulated {
            return socket.send(bytes, to.copied());
        }
        match to {
            Some(to) if self.local.is_ipv4() => self.socket.send_to(bytes, *to),
            Some(to) => self.socket.send_to(bytes, self.reachable(*to)),
            None => self.socket.send(bytes),
        }
        .map(drop)
    }

    /// Sends one datagram from an address of this machine, if the system can be told.
    #[inline]
    pub(crate) fn send_from(&self, bytes: &[u8], to: &SocketAddr, from: IpAddr) -> io::Result<()> {
        // The system itself takes the address to which a socket is bound. An answer cannot come from a group.
        let is_free = self.local.ip().is_unspecified() && self.peer.is_none();
        if !is_free || !can_be_a_source(from) {
            return self.send(bytes, Some(to));
        }
        let from = match (from, self.local) {
            (IpAddr::V4(from), SocketAddr::V6(_)) => IpAddr::V6(from.to_ipv6_mapped()),
            _ => from,
        };
        match self.info.send_from(&self.socket, bytes, self.reachable(*to), from) {
            // The address may be the broadcast address of a network, or may have left this machine. Systems and routes report
            // that by different errors, so a send without the address decides.
            Err(error) if !is_of_the_moment(&error) => self.send(bytes, Some(to)),
            sent => sent,
        }
    }

    /// An address in the form that this socket takes: a socket for IPv6 reaches IPv4 by mapped addresses, RFC 4291, 2.5.5.2.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match (self.local, to) {
            (SocketAddr::V6(_), SocketAddr::V4(to)) => {
                SocketAddrV6::new(to.ip().to_ipv6_mapped(), to.port(), 0, 0).into()
            }
            _ => to,
        }
    }

    /// `connect()`: from now on the socket receives from this peer alone, and can learn that datagrams do not arrive.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> io::Result<()> {
        #[cfg(test)]
        if let Some(socket) = &self.simulated {
            self.peer = Some(to);
            return socket.connect(to);
        }
        self.socket.connect(self.reachable(to))?;
        self.peer = Some(to);
        self.local = self.socket.local_addr()?;
        Ok(())
    }

    /// `on`: joins the group, otherwise leaves it.
    pub(crate) fn set_member_v4(&self, group: Ipv4Addr, interface: Ipv4Addr, on: bool) -> io::Result<()> {
        match on {
            true => self.socket.join_multicast_v4(&group, &interface),
            false => self.socket.leave_multicast_v4(&group, &interface),
        }
    }

    pub(crate) fn set_member_v6(&self, group: Ipv6Addr, interface: u32, on: bool) -> io::Result<()> {
        match on {
            true => self.socket.join_multicast_v6(&group, interface),
            false => self.socket.leave_multicast_v6(&group, interface),
        }
    }
}

fn interests(writable: bool) -> Interest {
    if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}

/// The address without the form for IPv4 in a socket for IPv6.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

/// True for errors that concern the moment or the size, and neither the source nor the destination.
fn is_of_the_moment(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        || platform::is_out_of_buffers(error)
        || platform::is_too_large(error)
}

fn can_be_a_source(ip: IpAddr) -> bool {
    !ip.is_multicast() && !ip.is_unspecified() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn create(at: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))
        .map_err(|error| explain(format_args!("cannot open a datagram socket for {at}"), &error))
}

fn set_up(
    socket: Socket,
    at: SocketAddr,
    any_interface: bool,
    options: &DatagramOptions,
) -> io::Result<DatagramSocket> {
    set_options(&socket, at, any_interface, options)?;
    let bound = socket.set_nonblocking(true).and_then(|()| socket.bind(&at.into()));
    bound.map_err(|error| explain(format_args!("cannot bind a datagram socket to {at}"), &error))?;
    let socket = UdpSocket::from_std(socket.into());
    let info = PacketInfo::of(&socket).map_err(|error| {
        explain(format_args!("cannot ask for the destination of datagrams at {at}"), &error)
    })?;
    let local = socket.local_addr()?;
    Ok(DatagramSocket {
        socket,
        info,
        local,
        peer: None,
        #[cfg(test)]
        simulated: None,
    })
}

fn set_options(socket: &Socket, at: SocketAddr, any: bool, options: &DatagramOptions) -> io::Result<()> {
    let name = |option: &'static str| {
        move |error: io::Error| {
            explain(format_args!("cannot set {option} for the datagram socket {at}"), &error)
        }
    };
    let v6 = at.is_ipv6();
    if let Some(only_v6) = options.only_v6.or(any.then_some(false)).filter(|_| v6) {
        socket.set_only_v6(only_v6).map_err(name("only_v6"))?;
    }
    // A socket for IPv6 that takes IPv4 as well has the options of both. One that does not take IPv4 has no use for the others.
    let both = |for_v6: io::Result<()>, for_v4: io::Result<()>| if v6 { for_v6 } else { for_v4 };
    if options.reuse_address {
        socket.set_reuse_address(true).map_err(name("reuse_address"))?;
    }
    if options.reuse_port {
        platform::share_port(socket).map_err(name("reuse_port"))?;
    }
    if let Some(size) = options.receive_buffer {
        socket.set_recv_buffer_size(size).map_err(name("receive_buffer"))?;
    }
    if let Some(size) = options.send_buffer {
        socket.set_send_buffer_size(size).map_err(name("send_buffer"))?;
    }
    if options.broadcast {
        socket.set_broadcast(true).map_err(name("broadcast"))?;
    }
    if let Some(ttl) = options.ttl {
        let for_v4 = socket.set_ttl_v4(ttl);
        both(if v6 { socket.set_unicast_hops_v6(ttl) } else { Ok(()) }, for_v4).map_err(name("ttl"))?;
    }
    if let Some(on) = options.multicast_loop {
        let for_v4 = socket.set_multicast_loop_v4(on);
        both(if v6 { socket.set_multicast_loop_v6(on) } else { Ok(()) }, for_v4)
            .map_err(name("multicast_loop"))?;
    }
    if let Some(ttl) = options.multicast_ttl {
        let for_v4 = socket.set_multicast_ttl_v4(ttl);
        both(if v6 { socket.set_multicast_hops_v6(ttl) } else { Ok(()) }, for_v4)
            .map_err(name("multicast_ttl"))?;
    }
    if let Some(interface) = options.multicast_interface_v4 {
        socket.set_multicast_if_v4(&interface).map_err(name("multicast_interface_v4"))?;
    }
    if let Some(index) = options.multicast_interface_v6 {
        socket.set_multicast_if_v6(index).map_err(name("multicast_interface_v6"))?;
    }
    Ok(())
}
