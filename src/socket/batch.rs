//! The datagrams of one receive: one, or several with the feature `packet-info`.

use std::{io, net::IpAddr, ops::Range};

use crate::datagram::Addresses;

use super::datagram::{DatagramSocket, canonical};

pub(crate) use imp::Batch;

/// A datagram of a batch: where it stands in the buffer, and its addresses.
pub(crate) struct Part {
    pub(crate) range: Range<usize>,
    pub(crate) addresses: Addresses,
}

/// The largest datagram has fewer bytes. So the system cuts no datagram off that is received into a buffer of this size.
const LARGEST: usize = 65_536;

#[cfg(not(feature = "packet-info"))]
mod imp {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    /// One datagram.
    #[derive(Debug)]
    pub(crate) struct Batch {
        len: usize,
        from: SocketAddr,
        to: Option<IpAddr>,
    }

    impl Default for Batch {
        fn default() -> Self {
            Self { len: 0, from: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), to: None }
        }
    }

    impl Batch {
        pub(crate) const HAS_SEVERAL: bool = false;

        /// The number of bytes that the buffer needs.
        #[inline]
        pub(crate) fn room(&self) -> usize {
            LARGEST
        }

        /// Receives into `buffer`, which has at least [`room`](Self::room) bytes.
        #[inline]
        pub(crate) fn receive(&mut self, socket: &DatagramSocket, buffer: &mut [u8]) -> io::Result<()> {
            #[cfg(test)]
            if let Some(simulated) = socket.simulated() {
                let (len, from) = simulated.receive(buffer)?;
                *self = Self { len, from, to: socket.only_destination() };
                return Ok(());
            }
            let (len, from) = socket.mio().recv_from(buffer)?;
            *self = Self { len, from, to: socket.only_destination() };
            Ok(())
        }

        /// Nothing: there is one buffer.
        #[inline]
        pub(crate) fn adapt(&mut self) {}

        #[inline]
        pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
            std::iter::once(Part {
                range: 0..self.len,
                addresses: Addresses { from: canonical(self.from), to: self.to },
            })
        }
    }
}

#[cfg(feature = "packet-info")]
mod imp {
    use std::io::IoSliceMut;

    use quinn_udp::{BATCH_SIZE, RecvMeta};

    use super::*;

    /// The distance of the buffers. It is no power of two, so that their first lines do not compete for one place in the
    /// processor's caches.
    const DISTANCE: usize = LARGEST + 192;

    /// Up to 32 buffers, each with one datagram, or with several of one sender that the system has put together (GRO).
    #[derive(Debug, Default)]
    pub(crate) struct Batch {
        /// The list has as many entries as the next receive asks for: more while datagrams come faster than turns, because an
        /// unused buffer costs time as well.
        found: Vec<RecvMeta>,
        len: usize,
        /// The destination where the system does not tell it.
        to: Option<IpAddr>,
    }

    impl Batch {
        pub(crate) const HAS_SEVERAL: bool = true;

        pub(crate) fn room(&self) -> usize {
            self.found.len().max(1) * DISTANCE
        }

        pub(crate) fn receive(&mut self, socket: &DatagramSocket, buffer: &mut [u8]) -> io::Result<()> {
            if self.found.is_empty() {
                self.found.push(RecvMeta::default());
            }
            (self.len, self.to) = (0, socket.only_destination());
            #[cfg(test)]
            if let Some(simulated) = socket.simulated() {
                let (len, from) = simulated.receive(buffer)?;
                let found = &mut self.found[0];
                (found.addr, found.len, found.stride) = (from, len, len);
                self.len = 1;
                return Ok(());
            }
            let mut places = buffer.chunks_exact_mut(DISTANCE);
            let mut places: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(places.next().map_or(&mut [][..], |place| place)));
            let asked = self.found.len();
            let state = socket.info().state();
            let received = socket
                .mio()
                .try_io(|| state.recv(socket.mio().into(), &mut places[..asked], &mut self.found));
            self.len = *received.as_ref().unwrap_or(&0);
            received.map(drop)
        }

        /// Decides how many buffers the next receive gets. Called when the datagrams of this one have been taken.
        pub(crate) fn adapt(&mut self) {
            let wanted =
                if self.len == self.found.len() { 2 * self.len } else { self.len.next_power_of_two() };
            self.found.resize(wanted.clamp(1, BATCH_SIZE), RecvMeta::default());
        }

        pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
            self.found[..self.len].iter().enumerate().flat_map(|(index, found)| {
                let (begin, from) = (index * DISTANCE, canonical(found.addr));
                let to = found.dst_ip.map(|ip| ip.to_canonical()).or(self.to);
                let step = found.stride.max(1);
                // An empty datagram has a place as well.
                let starts = (0..found.len.max(1)).step_by(step);
                starts.map(move |start| {
                    let end = found.len.min(start + step);
                    Part { range: begin + start..begin + end, addresses: Addresses { from, to } }
                })
            })
        }
    }
}
