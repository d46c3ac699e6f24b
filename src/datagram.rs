//! A received datagram, and the outcome of a send.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

/// A datagram that was received, for the length of [`on_datagram`](crate::Handler::on_datagram).
///
/// A datagram is always whole. It may be empty.
#[derive(Clone, Copy)]
pub struct Datagram<'a> {
    bytes: &'a [u8],
    addresses: &'a Addresses,
}

/// The addresses of a received datagram.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) from: SocketAddr,
    pub(crate) to: Option<IpAddr>,
}

impl<'a> Datagram<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], addresses: &'a Addresses) -> Self {
        Self { bytes, addresses }
    }

    #[inline]
    pub(crate) fn addresses(&self) -> &'a Addresses {
        self.addresses
    }

    /// The bytes of the datagram: exactly those of one send.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The address that the datagram came from, or claims to come from: a sender can write any address into it. A sender
    /// over IPv4 has an IPv4 address here, also if the socket is one for IPv6.
    pub fn from(&self) -> SocketAddr {
        self.addresses.from
    }

    /// The address that the datagram was sent to, if it is known: one of this machine's, a multicast group, or a broadcast
    /// address.
    ///
    /// The address is known if the socket is bound to one address, and with the feature `packet-info` for every socket, on the
    /// systems that tell it.
    pub fn to(&self) -> Option<IpAddr> {
        self.addresses.to
    }
}

impl fmt::Debug for Datagram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Datagram");
        fields.field("len", &self.bytes.len()).field("from", &self.from()).field("to", &self.to()).finish()
    }
}

/// The outcome of sending a datagram. None of them says that the datagram arrives.
#[derive(Debug)]
#[non_exhaustive]
pub enum Sent {
    /// The kernel has taken the datagram.
    Sent,
    /// The kernel takes nothing now, or the send budget of the turn is spent: the datagram waits in the queue of the socket.
    Queued,
    /// The datagram waits in the queue of the socket. The queue was full, so its oldest datagrams were dropped to make room.
    DroppedOldest,
    /// The kernel takes nothing now, and the queue can never hold this datagram. The datagram was dropped.
    Full,
    /// The datagram is larger than the protocol allows, or than the route takes where the system does not cut datagrams into
    /// fragments (EMSGSIZE). The datagram was dropped.
    TooLarge,
    /// The system refused the datagram for another reason, which concerns this datagram alone: there is no route to the address,
    /// a firewall forbids it, or it is a broadcast address and [`broadcast`](crate::DatagramOptions::broadcast) is off.
    /// [`NotConnected`](io::ErrorKind::NotConnected): the socket is closed, or `send` was called before `connect`.
    Failed(io::Error),
}

impl Sent {
    /// True if the datagram was not dropped: the kernel has it, or it waits in the queue.
    ///
    /// ```
    /// use tidegate::Sent;
    ///
    /// assert!(Sent::Queued.is_taken() && Sent::DroppedOldest.is_taken() && !Sent::Full.is_taken());
    /// ```
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Sent | Self::Queued | Self::DroppedOldest)
    }
}
