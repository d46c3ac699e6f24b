//! How connections and listeners leave the reactor and go on elsewhere.

use crate::{
    connection::{Connection, Phase},
    id::{ConnId, ListenerId},
    options::OwnLimits,
    socket::{handover::HandOver, listener::ListenSocket, stream::Stream},
};

use super::{common::Common, opening::Opening, source::Source, state::Engine};

/// A connection that belongs to no reactor.
#[derive(Debug)]
pub(crate) struct Loose {
    connection: Connection<Stream>,
    /// If the connection is not open yet.
    opening: Option<Box<Opening>>,
    /// The connection's own limits.
    limits: Option<Box<OwnLimits>>,
}

impl Engine {
    /// Takes a connection out of the reactor. Its slot is used again only after the pass. The caller takes the session.
    pub(crate) fn detach(&mut self, slot: u32) -> Option<Loose> {
        let mut entry = self.entry(slot)?;
        if entry.is_running() {
            entry.send_gathered();
        }
        if !entry.is_opening() && entry.connection.has_unsent_fin() {
            entry.send_fin(); // a program that takes the connection apart does not know of it
        }
        let Source::Connection(mut record) = self.table.detach(slot) else { return None };
        let Common { registry, stats, timers, blocks, .. } = &mut self.common;
        stats.open -= 1;
        stats.detached += 1;
        stats.buffered -= record.connection.counted();
        for timer in record.lifetime.take_timers() {
            timers.cancel(timer);
        }
        if let Err(error) = record.connection.stream_mut().deregister(registry) {
            log::debug!("deregistering failed: {error}"); // the poll is gone
        }
        record.connection.leave_reactor();
        stats.shared = blocks.held();
        let (opening, limits) = record.lifetime.rare.map_or((None, None), |rare| (rare.opening, rare.limits));
        Some(Loose { connection: record.connection, opening: opening.map(Box::new), limits })
    }

    /// Puts a connection of another reactor into a reserved slot. Its stream is registered.
    pub(crate) fn attach(&mut self, slot: u32, mut loose: Loose) -> ConnId {
        let (mut connection, opening, limits) =
            (loose.take_connection(), loose.opening.take(), loose.limits.take());
        let limits = limits.and_then(|limits| limits.joined_with(self.options()));
        let Common { blocks, .. } = &mut self.common;
        connection.join_reactor(blocks);
        let is_ending = connection.phase() > Phase::Failing;
        let opening = opening.map(|opening| *opening).or((!is_ending).then_some(Opening::Attached));
        self.place_connection(slot, connection, opening);
        if let Some(mut entry) = self.entry(slot) {
            entry.set_own_limits(limits);
            entry.go_on_connecting();
        }
        self.check_memory(slot);
        self.queue(slot);
        self.table.id(slot)
    }

    /// Takes a listener out of the reactor, if it is one of TCP or of Unix sockets, as asked for.
    pub(crate) fn release_listener(&mut self, id: ListenerId, tcp: bool) -> Option<ListenSocket> {
        self.listener(id).filter(|listener| listener.is_tcp() == tcp)?;
        let Source::Listener(mut listener) = self.table.vacate(id.slot()) else { return None };
        let Common { registry, timers, .. } = &mut self.common;
        listener.retry.map(|timer| timers.cancel(timer));
        if let Err(error) = listener.socket.deregister(registry) {
            log::debug!("deregistering failed: {error}"); // the poll is gone
        }
        Some(listener.into_socket())
    }
}

impl Loose {
    pub(crate) fn stream(&self) -> &Stream {
        self.connection.stream()
    }

    pub(crate) fn stream_mut(&mut self) -> &mut Stream {
        self.connection.stream_mut()
    }

    pub(crate) fn received(&self) -> &[u8] {
        self.connection.inbox().unconsumed()
    }

    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.connection.put_back(bytes);
    }

    pub(crate) fn unsent(&self) -> impl Iterator<Item = &[u8]> {
        self.connection.unsent()
    }

    pub(crate) fn unsent_len(&self) -> usize {
        self.connection.queued()
    }

    /// The stream, the received bytes and the unsent bytes, if these parts are all that there is.
    pub(crate) fn into_parts<T>(mut self) -> Result<(T, Vec<u8>, Vec<u8>), Box<Self>>
    where
        T: HandOver<Source: TryFrom<Stream, Error = Stream>>,
    {
        let unsent: Vec<u8> = self.unsent().flatten().copied().collect();
        let is_whole = unsent.len() == self.unsent_len();
        let has_stream =
            !matches!(self.opening.as_deref(), Some(Opening::Connecting(_) | Opening::NoAddress(_)));
        if !has_stream || self.connection.phase() > Phase::Failing || !is_whole {
            return Err(Box::new(self));
        }
        let received = self.received().to_vec();
        match self.take_connection().into_stream::<T::Source>() {
            Ok(stream) => Ok((stream.into(), received, unsent)),
            Err(connection) => {
                self.connection = connection;
                Err(Box::new(self))
            }
        }
    }

    /// Leaves a connection without a socket in the place of the connection.
    fn take_connection(&mut self) -> Connection<Stream> {
        std::mem::replace(&mut self.connection, Connection::new(Stream::Unconnected, false))
    }
}

/// The socket closes with a reset if bytes are unsent, so that the peer cannot mistake a truncated answer for a complete one.
impl Drop for Loose {
    fn drop(&mut self) {
        if self.connection.is_truncated() {
            let _ = self.connection.stream().reset_on_close(); // it fails only if the peer's reset came first
        }
    }
}
