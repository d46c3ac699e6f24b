//! Keeping the memory budget: the connection whose buffers own the most is reset.

use crate::{close::CloseReason, connection::Connection, socket::stream::Stream};

use super::{common::Common, entry::Entry, state::Engine};

impl Engine {
    /// Counts what the buffers of a connection own, and keeps the memory budget: while all buffers together are above it,
    /// the connection that owns the most is reset. Returns true if a connection was reset.
    #[inline]
    pub(crate) fn check_memory(&mut self, slot: u32) -> bool {
        let Some(mut entry) = self.entry(slot) else { return false };
        entry.count_memory();
        let is_exceeded = self.common.exceeds_memory_budget();
        if is_exceeded {
            self.keep_memory_budget();
        }
        is_exceeded
    }

    #[cold]
    fn keep_memory_budget(&mut self) {
        while self.common.exceeds_memory_budget() {
            let Self { table, common: Common { memory, .. }, .. } = self;
            let bytes_of = |slot: u32| table.connection(slot).map_or(0, rank);
            let all = || table.connections().iter().map(|slot| (bytes_of(*slot), *slot));
            let Some(largest) = memory.take_largest(all, bytes_of) else { return };
            #[cfg(test)]
            self.check_largest(largest);
            let Some(mut entry) = self.entry(largest) else { return };
            let known = rank(entry.connection);
            entry.count_memory();
            if rank(entry.connection) == known {
                entry.reset(CloseReason::MemoryLimit);
                entry.queue();
            } // else the connection has freed memory since it was counted last
        }
    }
}

impl Entry<'_> {
    /// Brings the count of what the buffers own up to date, and tells the memory budget of it.
    pub(super) fn count_memory(&mut self) {
        let Common { stats, blocks, memory, .. } = &mut *self.common;
        self.connection.count_memory(&mut stats.buffered);
        stats.shared = blocks.held();
        memory.may_have_grown(self.meta.slot(), || rank(self.connection), stats.open);
    }
}

/// By how much memory a connection is compared with others when the budget is exceeded.
fn rank(connection: &Connection<Stream>) -> u32 {
    u32::try_from(connection.memory()).unwrap_or(u32::MAX)
}
