//! The control messages of a datagram socket, which tell and choose the address of this side: with the feature `packet-info`.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use mio::net::UdpSocket;

pub(crate) use imp::PacketInfo;

#[cfg(not(feature = "packet-info"))]
mod imp {
    use super::*;

    /// Nothing: the standard library has no control messages.
    #[derive(Debug)]
    pub(crate) struct PacketInfo;

    impl PacketInfo {
        pub(crate) const CAN_CHOOSE: bool = false;

        pub(crate) fn of(_socket: &UdpSocket) -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn send_from(
            &self,
            socket: &UdpSocket,
            bytes: &[u8],
            to: SocketAddr,
            _: IpAddr,
        ) -> io::Result<()> {
            socket.send_to(bytes, to).map(drop)
        }
    }
}

#[cfg(feature = "packet-info")]
mod imp {
    use quinn_udp::{Transmit, UdpSocketState};

    use super::{super::platform, *};

    /// The storage that the system needs for control messages.
    #[derive(Debug)]
    pub(crate) struct PacketInfo(UdpSocketState);

    impl PacketInfo {
        pub(crate) const CAN_CHOOSE: bool = true;

        pub(crate) fn of(socket: &UdpSocket) -> io::Result<Self> {
            let info = Self(UdpSocketState::new(socket.into())?);
            // The crate is made for QUIC, which finds the size of its datagrams by itself, and so forbids fragments.
            platform::allow_fragments(socket)?;
            Ok(info)
        }

        pub(crate) fn send_from(
            &self,
            socket: &UdpSocket,
            bytes: &[u8],
            to: SocketAddr,
            from: IpAddr,
        ) -> io::Result<()> {
            let datagram = Transmit {
                destination: to,
                ecn: None,
                contents: bytes,
                segment_size: None,
                src_ip: Some(from),
            };
            socket.try_io(|| self.0.try_send(socket.into(), &datagram))
        }

        /// The state with which datagrams are received.
        pub(crate) fn state(&self) -> &UdpSocketState {
            &self.0
        }
    }
}
