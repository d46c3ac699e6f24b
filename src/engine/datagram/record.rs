//! A datagram socket with its queue.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
};

use crate::{
    id::TimerId,
    options::DatagramOptions,
    socket::{
        batch::Batch, datagram::DatagramSocket, packet_info::PacketInfo, platform::keeps_registration,
        readiness::Readiness,
    },
};

/// A datagram socket with its queue.
#[derive(Debug)]
pub(crate) struct DatagramRecord {
    pub(in crate::engine) socket: DatagramSocket,
    pub(super) options: DatagramOptions,
    /// An event said that datagrams wait, and no receive has met the end of them since.
    pub(super) readable: bool,
    /// No send has met a full buffer since the last event that said that there is room.
    pub(super) writable: bool,
    /// The socket is registered for writing as well.
    pub(super) awaits_room: bool,
    /// An event has reported an error, after which the selector may have dropped the socket.
    pub(super) may_be_dropped: bool,
    /// Nothing is received until the retry timer fires.
    pub(super) rests: bool,
    pub(super) queue: VecDeque<Unsent>,
    /// How many bytes the datagrams of the queue have.
    pub(super) queue_bytes: usize,
    /// The number of the turn whose sends are counted.
    pub(super) turn: u32,
    pub(super) turn_sends: usize,
    pub(super) turn_bytes: usize,
    /// The storage of the addresses of a receive; away while its datagrams are shown.
    pub(super) batch: Batch,
    pub(in crate::engine) retry: Option<TimerId>,
}

impl DatagramRecord {
    pub(super) fn new(socket: DatagramSocket, options: DatagramOptions) -> Self {
        Self {
            socket,
            options,
            readable: false,
            writable: true,
            awaits_room: false,
            may_be_dropped: false,
            rests: false,
            queue: VecDeque::new(),
            queue_bytes: 0,
            turn: 0,
            turn_sends: 0,
            turn_bytes: 0,
            batch: Batch::default(),
            retry: None,
        }
    }

    pub(crate) fn socket(&self) -> &DatagramSocket {
        &self.socket
    }

    /// How many datagrams wait in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    #[cfg(test)]
    pub(in crate::engine) fn can_send(&self) -> bool {
        self.writable && !self.queue.is_empty()
    }

    /// True if the count of bytes in the queue is right.
    #[cfg(test)]
    pub(in crate::engine) fn is_counted(&self) -> bool {
        self.queue_bytes == self.queue.iter().map(|unsent| unsent.bytes.len()).sum::<usize>()
    }

    /// True if the socket waits and nothing will end that.
    #[cfg(test)]
    pub(in crate::engine) fn waits_for_ever(&self) -> bool {
        let waits_for_room = !self.queue.is_empty() && !self.writable && !self.awaits_room;
        (self.rests || waits_for_room) && self.retry.is_none()
    }

    #[cfg(test)]
    pub(in crate::engine) fn can_receive(&self) -> bool {
        self.readable && !self.rests
    }

    pub(in crate::engine) fn set_ready(&mut self, readiness: Readiness) {
        self.readable |= readiness.readable;
        self.may_be_dropped |= readiness.error && !keeps_registration();
        self.writable |= readiness.writable;
    }
}

/// A datagram that the kernel has not taken yet.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) bytes: Box<[u8]>,
    pub(super) to: Option<SocketAddr>,
    pub(super) from: Option<IpAddr>,
}

impl DatagramRecord {
    #[inline]
    pub(super) fn transmit(
        &self,
        bytes: &[u8],
        to: Option<&SocketAddr>,
        from: Option<IpAddr>,
    ) -> io::Result<()> {
        loop {
            let sent = match (to, from) {
                (Some(to), Some(from)) if PacketInfo::CAN_CHOOSE => self.socket.send_from(bytes, to, from),
                _ => self.socket.send(bytes, to),
            };
            match sent {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                sent => return sent,
            }
        }
    }
}
