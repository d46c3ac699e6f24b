//! Datagram sockets: loss, reordering, full buffers, and news of unreachable peers.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use super::{
    end::Armed,
    network::{Delivery, Network},
    parts::{DatagramEnd, RECEIVE_ROOM, Registration, Sending},
    pipe::out_of_buffers,
};

/// How long a datagram stays in the buffer of its sender.
const LEAVES_AFTER: Duration = Duration::from_micros(200);

/// EMSGSIZE on Linux.
fn too_large() -> io::Error {
    io::Error::from_raw_os_error(90)
}

impl Network {
    pub(super) fn bind(&mut self, at: &[SocketAddr]) -> io::Result<usize> {
        if !self.takes_descriptor() {
            return Err(io::Error::from_raw_os_error(24));
        }
        let at = *at.first().ok_or(ErrorKind::InvalidInput)?;
        if self.socket_at(at).is_some() {
            return Err(ErrorKind::AddrInUse.into());
        }
        self.sockets.push(DatagramEnd {
            at,
            peer: None,
            arrived: VecDeque::new(),
            leaving: 0,
            refused: false,
            token: None,
            armed: Armed::BOTH,
            wants_room: false,
            closed: false,
            last_sent: 0,
        });
        Ok(self.sockets.len() - 1)
    }

    fn socket_at(&self, at: SocketAddr) -> Option<usize> {
        self.sockets.iter().position(|socket| !socket.closed && socket.at == at)
    }

    pub(super) fn socket_address(&self, socket: usize) -> SocketAddr {
        self.sockets[socket].at
    }

    pub(super) fn connect_socket(&mut self, socket: usize, to: SocketAddr) {
        self.sockets[socket].peer = Some(to);
    }

    pub(super) fn register_socket(&mut self, socket: usize, token: usize, writable: bool) -> io::Result<()> {
        self.register(token, Registration::Socket(socket))?;
        let this = &mut self.sockets[socket];
        (this.token, this.armed, this.wants_room) = (Some(token), Armed::BOTH, writable);
        self.edges.insert(token);
        Ok(())
    }

    pub(super) fn reregister_socket(&mut self, socket: usize, writable: bool) -> io::Result<()> {
        if self.random.chance(self.conduct.registration_fails) {
            return Err(ErrorKind::OutOfMemory.into());
        }
        let this = &mut self.sockets[socket];
        (this.armed, this.wants_room) = (Armed::BOTH, writable);
        self.edges.extend(this.token);
        Ok(())
    }

    pub(super) fn deregister_socket(&mut self, socket: usize) -> io::Result<()> {
        match self.sockets[socket].token.take() {
            Some(token) => self.deregister(token),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn close_socket(&mut self, socket: usize) {
        self.sockets[socket].closed = true;
        self.gives_descriptor();
        if self.sockets[socket].token.is_some() && !std::thread::panicking() {
            self.violate(format_args!("datagram socket {socket} was closed while it was registered"));
        }
    }

    pub(super) fn send_datagram(
        &mut self,
        socket: usize,
        bytes: &[u8],
        to: Option<SocketAddr>,
    ) -> io::Result<()> {
        if self.begin_call() {
            return Err(ErrorKind::Interrupted.into());
        }
        let sent = self.send_datagram_now(socket, bytes, to);
        let len = bytes.len();
        self.note(format_args!("datagram socket {socket}: send({len}) = {sent:?}"));
        sent
    }

    fn send_datagram_now(&mut self, socket: usize, bytes: &[u8], to: Option<SocketAddr>) -> io::Result<()> {
        let this = &mut self.sockets[socket];
        let Some(to) = to.or(this.peer) else { return Err(ErrorKind::NotConnected.into()) };
        if std::mem::take(&mut this.refused) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        if bytes.len() > 60_000 {
            return Err(too_large());
        }
        if !this.has_room() {
            this.armed = Armed::BOTH;
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.random.chance(self.conduct.out_of_buffers) {
            return Err(out_of_buffers());
        }
        if let Some(number) = bytes.first_chunk().map(|number| u32::from_le_bytes(*number)) {
            let last = std::mem::replace(&mut self.sockets[socket].last_sent, number);
            if number < last {
                self.violate(format_args!("the datagram {last} has overtaken the datagram {number}"));
            }
        }
        let from = self.sockets[socket].at;
        self.sockets[socket].leaving += 1;
        self.datagrams.push(Sending { from, bytes: bytes.to_vec() });
        let (number, at) = (self.datagrams.len() - 1, self.now + LEAVES_AFTER);
        self.send_on_the_way(at, Delivery::Left { socket });
        // Each datagram has a latency of its own, so one may overtake another.
        if !self.random.chance(self.conduct.datagram_loss) {
            let at = self.now + self.latency();
            self.send_on_the_way(at, Delivery::Datagram { number, socket, to });
        }
        Ok(())
    }

    pub(super) fn datagram_has_left(&mut self, socket: usize) {
        let this = &mut self.sockets[socket];
        this.leaving -= 1;
        if this.wants_room {
            self.edges.extend(this.token);
        }
    }

    pub(super) fn datagram_arrives(&mut self, number: usize, sender: usize, to: SocketAddr) {
        let Some(socket) = self.socket_at(to) else {
            let sender = &mut self.sockets[sender];
            if sender.peer.is_some() && !sender.closed {
                sender.refused = true; // only a connected socket learns of it
                self.edges.extend(sender.token);
            }
            return;
        };
        let from = self.datagrams[number].from;
        let this = &mut self.sockets[socket];
        if this.arrived.len() < RECEIVE_ROOM && this.peer.is_none_or(|peer| peer == from) {
            this.arrived.push_back(number);
            self.edges.extend(this.token);
        }
    }

    pub(super) fn receive_datagram(
        &mut self,
        socket: usize,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)> {
        if self.begin_call() {
            return Err(ErrorKind::Interrupted.into());
        }
        let this = &mut self.sockets[socket];
        if std::mem::take(&mut this.refused) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let Some(number) = this.arrived.pop_front() else {
            this.armed = Armed::BOTH;
            return Err(ErrorKind::WouldBlock.into());
        };
        let Sending { from, bytes } = &self.datagrams[number];
        let (len, from) = (bytes.len().min(buffer.len()), *from);
        buffer[..len].copy_from_slice(&bytes[..len]);
        let received = (len, from);
        self.note(format_args!("datagram socket {socket}: receive() = {received:?}"));
        Ok(received)
    }

    /// How many datagrams wait in open sockets.
    pub(crate) fn waiting_datagrams(&self) -> usize {
        self.sockets.iter().filter(|socket| socket.token.is_some()).map(|socket| socket.arrived.len()).sum()
    }
}
