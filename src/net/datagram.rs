//! Datagram sockets.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{
    address::{Address, ToAddress},
    datagram::{Datagram, Sent},
    engine::DatagramEntry,
    id::SocketId,
    options::DatagramOptions,
    socket::{datagram::DatagramSocket, listen::explain},
};

use super::{Net, no_token};

impl<S> Net<S> {
    /// `socket()`, `bind()` for datagrams, over UDP: what is received comes in
    /// [`on_datagram`](crate::Handler::on_datagram), from the next turn on.
    ///
    /// `":0"` gives a socket for IPv6 and IPv4 at a port of the system's choice, for a client.
    ///
    /// # Errors
    /// The error of the system, with the address in the text, and with the name of the option if an option was refused:
    /// the address is in use, not allowed, or no address at all. `Other` if all tokens are taken.
    pub fn bind(&mut self, at: impl ToAddress, options: DatagramOptions) -> io::Result<SocketId> {
        let (address, options) = (at.to_address()?, options.checked());
        let mut socket = DatagramSocket::bind(&address, &options)?;
        let slot = self.engine.reserve_slot().ok_or_else(no_token);
        let registered = slot.and_then(|slot| {
            let registered = socket.register(self.engine.registry(), self.engine.token(slot));
            registered.map(|()| slot).inspect_err(|_| self.engine.release_slot(slot))
        });
        match registered {
            Ok(slot) => Ok(self.engine.place_datagram(slot, socket, options)),
            Err(error) => Err(explain(format_args!("cannot bind a datagram socket to {address}"), &error)),
        }
    }

    /// The datagram socket of an id, to send with it; `None` if it is closed.
    pub fn socket(&mut self, id: SocketId) -> Option<Socket<'_, S>> {
        self.engine.has_datagram(id).then(|| Socket::at(self, id))
    }

    /// The address that a datagram socket is bound to: with port 0, the system has chosen a port.
    ///
    /// # Errors
    /// `NotFound` if the socket is closed.
    pub fn socket_address(&self, id: SocketId) -> io::Result<Address> {
        match self.engine.datagram_record(id) {
            Some(record) => Ok(record.socket().local().into()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the datagram socket is closed")),
        }
    }

    /// Closes a datagram socket. Datagrams that wait in its queue are dropped and counted.
    pub fn close_socket(&mut self, id: SocketId) {
        self.engine.close_socket(id);
    }
}

/// A datagram socket, for the length of a callback or of a [`Net::socket`] call.
///
/// After a [`close`](Self::close), or if another call has closed the socket meanwhile, sends drop their datagram with
/// [`Sent::Failed`] of the kind `NotConnected`.
pub struct Socket<'a, S = ()> {
    net: &'a mut Net<S>,
    id: SocketId,
}

impl<'a, S> Socket<'a, S> {
    #[inline]
    pub(crate) fn at(net: &'a mut Net<S>, id: SocketId) -> Self {
        Self { net, id }
    }

    /// The whole reactor: connections, other sockets, timers.
    pub fn net(&mut self) -> &mut Net<S> {
        self.net
    }

    /// The id of the socket, to keep it and to find the socket by.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// `sendto()`: sends one datagram to this address, at once. See [`Sent`] for the outcomes, and
    /// [`DatagramOptions::queue`] for the datagrams that the kernel does not take now.
    ///
    /// The system chooses the address that the datagram leaves from, unless the socket is bound to one.
    pub fn send_to(&mut self, bytes: &[u8], to: SocketAddr) -> Sent {
        self.send_by(|entry| entry.send(bytes, Some(&to), None))
    }

    /// `send()`: sends one datagram to the peer of [`connect`](Self::connect), as [`send_to`](Self::send_to) does.
    pub fn send(&mut self, bytes: &[u8]) -> Sent {
        self.send_by(|entry| entry.send_to_peer(bytes))
    }

    /// Answers a datagram: sends one to the address that it came from, as [`send_to`](Self::send_to) does, and from the address
    /// that it was sent to. A client drops an answer from another address.
    ///
    /// A socket that is bound to one address always answers from it. A socket that is bound to every interface does so with the
    /// feature `packet-info` of this crate. Without it, the system chooses an address of the interface through which the
    /// answer leaves, which differs where an interface has several addresses. The remedy is then to bind a socket to each
    /// address.
    ///
    /// The answer to a datagram that was sent to a multicast group or a broadcast address leaves from an address of the
    /// system's choice.
    pub fn reply(&mut self, datagram: &Datagram<'_>, bytes: &[u8]) -> Sent {
        self.send_by(|entry| match entry.record().socket().peer() {
            Some(peer) if peer == datagram.from() => entry.send_to_peer(bytes),
            _ => entry.send(bytes, Some(&datagram.addresses().from), datagram.to()),
        })
    }

    /// How many datagrams wait in the queue, because the kernel took none.
    pub fn queued(&self) -> usize {
        self.net.engine.datagram_record(self.id).map_or(0, |record| record.queued())
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// `NotFound` if the socket is closed.
    pub fn local_address(&self) -> io::Result<Address> {
        self.net.socket_address(self.id)
    }

    /// The peer of [`connect`](Self::connect).
    pub fn peer(&self) -> Option<SocketAddr> {
        self.net.engine.datagram_record(self.id)?.socket().peer()
    }

    /// `connect()`: from now on the socket receives from this peer alone, [`send`](Self::send) sends to it, and
    /// [`on_datagram_error`](crate::Handler::on_datagram_error) tells if the peer's machine reports that nobody receives
    /// there. No packet is sent, so the call returns at once. A second call changes the peer. Datagrams of others that came before the
    /// call are still delivered.
    ///
    /// # Errors
    /// connect(2) fails: there is no route to the address, or the socket is of another family.
    pub fn connect(&mut self, to: SocketAddr) -> io::Result<()> {
        self.entry()?.connect(to)
    }

    /// Receives what is sent to a multicast group over IPv4, on the interface with this address;
    /// [`Ipv4Addr::UNSPECIFIED`] is the system's choice.
    ///
    /// # Errors
    /// setsockopt(2) fails: the address is no group, no interface has the address, or the socket is a member already.
    pub fn join_multicast_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.entry()?.record().socket().set_member_v4(group, interface, true)
    }

    /// Takes a [`join_multicast_v4`](Self::join_multicast_v4) back.
    ///
    /// # Errors
    /// setsockopt(2) fails: the socket is no member.
    pub fn leave_multicast_v4(&mut self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.entry()?.record().socket().set_member_v4(group, interface, false)
    }

    /// Receives what is sent to a multicast group over IPv6, on the interface with this index; 0 is the system's choice.
    ///
    /// # Errors
    /// The errors are those of [`join_multicast_v4`](Self::join_multicast_v4).
    pub fn join_multicast_v6(&mut self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.entry()?.record().socket().set_member_v6(group, interface, true)
    }

    /// Takes a [`join_multicast_v6`](Self::join_multicast_v6) back.
    ///
    /// # Errors
    /// The errors are those of [`leave_multicast_v4`](Self::leave_multicast_v4).
    pub fn leave_multicast_v6(&mut self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.entry()?.record().socket().set_member_v6(group, interface, false)
    }

    /// [`Net::close_socket`] for this socket. No callback comes for it any more.
    pub fn close(&mut self) {
        self.net.close_socket(self.id);
    }

    #[inline]
    fn send_by(&mut self, send: impl FnOnce(&mut DatagramEntry<'_>) -> Sent) -> Sent {
        if let Some(mut entry) = self.net.engine.datagram_of(self.id) {
            return send(&mut entry);
        }
        self.net.engine.count_dropped_datagram();
        Sent::Failed(closed())
    }

    fn entry(&mut self) -> io::Result<DatagramEntry<'_>> {
        self.net.engine.datagram_of(self.id).ok_or_else(closed)
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the datagram socket is closed")
}

impl<S> fmt::Debug for Socket<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.id).finish_non_exhaustive()
    }
}
