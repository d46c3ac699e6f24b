//! From events and the ready queue to sources.

use mio::Token;

use crate::socket::readiness::Readiness;

use super::{
    common::Common,
    entry::Entry,
    source::{Slot, Source},
    state::Engine,
};

/// The source that the ready queue gives out next.
pub(crate) enum Ready<'a> {
    /// The source is gone.
    Nothing,
    Listener,
    Datagram,
    Connection(Entry<'a>),
    Watched,
}

impl Engine {
    /// Sets the ready bits of the source with this token and queues it. Returns false if the token is not of this reactor.
    #[inline]
    pub(crate) fn event(&mut self, token: Token, readiness: Readiness) -> bool {
        let slot = self.common.slot_of(token);
        if slot >= self.table.capacity() {
            return false;
        }
        self.ready(slot as u32, readiness); // the capacity fits a u32
        true
    }

    /// Sets the ready bits of the source in a slot and queues it. The source may be closed already: its event was on the way.
    #[inline]
    pub(crate) fn ready(&mut self, slot: u32, readiness: Readiness) {
        let Some(place) = self.table.get_mut(slot) else { return };
        match &mut place.source {
            // Nearly every event. The other kinds stand in a function of their own, so that they cost this path nothing.
            Source::Connection(record) if !record.lifetime.is_opening() => {
                record.connection.set_ready(readiness)
            }
            other => {
                if !set_ready(other, readiness) {
                    return;
                }
            }
        }
        self.common.queue(&mut place.meta);
    }

    /// The connection in a slot; `None` if the slot holds none.
    #[inline]
    pub(crate) fn entry(&mut self, slot: u32) -> Option<Entry<'_>> {
        let Slot { meta, source } = self.table.get_mut(slot)?;
        match source {
            Source::Connection(record) => Some(Entry::new(meta, record, &mut self.common)),
            Source::Listener(_)
            | Source::Watched(_)
            | Source::Datagram(_)
            | Source::Reserved
            | Source::Vacated => None,
        }
    }

    /// Queues the source in a slot.
    pub(crate) fn queue(&mut self, slot: u32) {
        self.common.queue(self.table.meta_mut(slot));
    }

    /// Begins a pass over the sources that stand in the ready queue now. Returns the end of the pass.
    #[inline]
    pub(crate) fn begin_pass(&mut self) -> usize {
        if let Some(slot) = self.common.queue.last_of_cut_pass() {
            self.queue_again(slot);
        }
        let Common { queue, .. } = &mut self.common;
        queue.begin_pass()
    }

    /// Queues a source again: a callback panicked while the source was served, so its turn did not finish.
    #[cold]
    fn queue_again(&mut self, slot: u32) {
        let Self { table, common, .. } = self;
        common.queue.end_pass();
        if let Some(Slot { meta, .. }) = table.get_mut(slot) {
            common.queue(meta);
        }
    }

    /// Takes the next source of a pass over the ready queue, up to its end.
    #[inline]
    pub(crate) fn next_ready(&mut self, end: usize) -> Option<(u32, Ready<'_>)> {
        let Self { table, common, .. } = self;
        let slot = common.queue.next(end)?;
        let Some(Slot { meta, source }) = table.get_mut(slot) else {
            return Some((slot, Ready::Nothing));
        };
        meta.queued = false;
        let ready = match source {
            Source::Reserved | Source::Vacated => Ready::Nothing,
            Source::Listener(_) => Ready::Listener,
            Source::Watched(_) => Ready::Watched,
            Source::Datagram(_) => Ready::Datagram,
            Source::Connection(record) => {
                let mut entry = Entry::new(meta, record, common);
                entry.begin_turn();
                Ready::Connection(entry)
            }
        };
        Some((slot, ready))
    }

    /// Ends the pass: the sources that it has not served stand in front.
    #[inline]
    pub(crate) fn end_pass(&mut self) {
        let Common { queue, .. } = &mut self.common;
        queue.end_pass();
    }

    /// The callback of this connection begins: bytes that it sends to the connection are gathered.
    #[inline]
    pub(crate) fn begin_callback(&mut self, slot: u32) {
        let Common { callback, .. } = &mut self.common;
        callback.begin(slot);
    }

    /// The callback has returned. The connection, which is still there: connections leave in `settle` alone.
    #[inline]
    pub(crate) fn end_callback(&mut self, slot: u32) -> Option<Entry<'_>> {
        let Common { callback, .. } = &mut self.common;
        callback.end();
        self.entry(slot)
    }
}

/// Sets the ready bits of a source that is no open connection. Returns false if there is no source.
#[inline(never)]
fn set_ready(source: &mut Source, readiness: Readiness) -> bool {
    match source {
        Source::Reserved | Source::Vacated => return false,
        Source::Listener(listener) => listener.set_readable(),
        Source::Watched(record) => record.add_plain(readiness),
        Source::Datagram(record) => record.set_ready(readiness),
        Source::Connection(record) => {
            // Readable and writable are not stored in a connection that opens, because the connection has no work before the
            // connect stage has asked the socket itself. An error is stored: it may belong to the time after the connect, and
            // an edge is not reported again. So may the end of the peer.
            let Readiness { error, peer_closed, .. } = readiness;
            record.connection.set_ready(Readiness { error, peer_closed, ..Readiness::default() });
            record.lifetime.saw_input(readiness);
        }
    }
    true
}
