//! Operations on the sources that belong to the program: where they are placed, and how their readiness reaches `on_ready`.

use mio::Token;

use crate::{id::SourceId, readiness::Readiness};

use super::{
    source::{Slot, Source},
    state::Engine,
};

impl Engine {
    /// Puts a source that is registered under the token of a reserved slot into the slot.
    pub(crate) fn place_watched(&mut self, slot: u32) -> SourceId {
        self.table.place_watched(slot)
    }

    pub(crate) fn is_watched(&self, id: SourceId) -> bool {
        self.table.is_watched(id)
    }

    /// Stores an unusual event of a watched source and queues the source. Returns false if the token is of no watched source.
    #[cold]
    pub(crate) fn watched_event(&mut self, token: Token, readiness: Readiness) -> bool {
        let slot = self.common.slot_of(token);
        if slot >= self.table.capacity() {
            return false;
        }
        self.add_readiness(slot as u32, readiness) // the capacity fits a u32
    }

    /// Merges `readiness` into that of a watched source and queues the source. Does nothing if the id names no source.
    pub(crate) fn watched_is_ready(&mut self, id: SourceId, readiness: Readiness) {
        if self.is_watched(id) {
            self.add_readiness(id.slot(), readiness);
        }
    }

    fn add_readiness(&mut self, slot: u32, readiness: Readiness) -> bool {
        let Some(Slot { meta, source: Source::Watched(record) }) = self.table.get_mut(slot) else {
            return false;
        };
        record.add(readiness);
        self.common.queue(meta);
        true
    }

    /// The `on_ready` of the source in a slot begins. Returns the id of the source and the readiness that the handler is told
    /// of.
    pub(crate) fn begin_on_ready(&mut self, slot: u32) -> Option<(SourceId, Readiness)> {
        let Some(Slot { meta, source: Source::Watched(record) }) = self.table.get_mut(slot) else {
            return None;
        };
        Some((SourceId::new(slot, meta.generation()), record.show()))
    }

    /// `on_ready` has returned. The handler may have unwatched the source.
    pub(crate) fn end_on_ready(&mut self, slot: u32) {
        if let Some(Slot { source: Source::Watched(record), .. }) = self.table.get_mut(slot) {
            record.forget_shown();
        }
    }
}
