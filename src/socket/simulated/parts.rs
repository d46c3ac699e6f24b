//! The sources of the network beside the ends of streams: listeners, datagram sockets and sources of the program. The methods of
//! [`super::Network`] change them.

use std::{collections::VecDeque, net::SocketAddr};

use super::end::Armed;

/// How many datagrams of a socket wait for the network at most.
const SEND_ROOM: usize = 5;

/// How many datagrams a socket keeps for its program at most.
pub(super) const RECEIVE_ROOM: usize = 40;

/// The source that is registered under a token, with the index of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Registration {
    End(usize),
    Listener(usize),
    Socket(usize),
    Watched(usize),
}

#[derive(Debug)]
pub(super) struct Listening {
    pub(super) at: SocketAddr,
    pub(super) backlog: VecDeque<usize>,
    pub(super) most: usize,
    pub(super) token: Option<usize>,
    pub(super) armed: bool,
    pub(super) closed: bool,
}

#[derive(Debug)]
pub(super) struct DatagramEnd {
    pub(super) at: SocketAddr,
    pub(super) peer: Option<SocketAddr>,
    /// The numbers of the datagrams that have arrived.
    pub(super) arrived: VecDeque<usize>,
    /// How many datagrams wait for the network.
    pub(super) leaving: usize,
    /// A datagram that was sent has met no socket.
    pub(super) refused: bool,
    pub(super) token: Option<usize>,
    pub(super) armed: Armed,
    pub(super) wants_room: bool,
    pub(super) closed: bool,
    /// The number that stands in the datagram that was sent last.
    pub(super) last_sent: u32,
}

impl DatagramEnd {
    pub(super) fn has_room(&self) -> bool {
        self.leaving < SEND_ROOM
    }
}

/// A datagram that a program has sent.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// A source of the program.
#[derive(Debug, Default)]
pub(super) struct WatchedEnd {
    pub(super) unread: usize,
    pub(super) token: Option<usize>,
    pub(super) armed: Armed,
    pub(super) has_error: bool,
}
