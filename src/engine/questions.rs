//! Questions about one connection.

use std::io::{self, ErrorKind};

use socket2::SockRef;

use crate::{
    address::Address, connection::Phase, credentials::PeerCredentials, id::ListenerId, socket::stream::Stream,
};

use super::state::Engine;

/// Questions about the connection in a slot. A slot without a connection has answers too, because a connection may be detached
/// in the midst of its callback.
impl Engine {
    fn stream(&self, slot: u32) -> io::Result<&Stream> {
        self.connection(slot)
            .map(|connection| connection.stream())
            .ok_or_else(|| ErrorKind::NotConnected.into())
    }

    pub(crate) fn peer(&self, slot: u32) -> io::Result<Address> {
        self.stream(slot)?.peer()
    }

    pub(crate) fn local(&self, slot: u32) -> io::Result<Address> {
        self.stream(slot)?.local()
    }

    pub(crate) fn socket(&self, slot: u32) -> io::Result<SockRef<'_>> {
        self.stream(slot)?.socket()
    }

    pub(crate) fn peer_credentials(&self, slot: u32) -> io::Result<PeerCredentials> {
        self.stream(slot)?.peer_credentials()
    }

    /// The listener that accepted the connection, unless it is closed.
    pub(crate) fn listener_of(&self, slot: u32) -> Option<ListenerId> {
        self.table.listener_of(slot)
    }

    pub(crate) fn is_connecting(&self, slot: u32) -> bool {
        self.table.is_connecting(slot)
    }

    pub(crate) fn is_closing(&self, slot: u32) -> bool {
        self.connection(slot).is_none_or(|connection| connection.phase() >= Phase::Flushing)
    }

    pub(crate) fn unconsumed(&self, slot: u32) -> &[u8] {
        self.connection(slot).map_or(&[], |connection| connection.inbox().unconsumed())
    }
}
