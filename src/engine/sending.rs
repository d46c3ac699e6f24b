//! Sends, the flush stage, and the memory budget.

use crate::{close::CloseReason, connection::Phase, flow::Flow};

use super::{common::Common, state::Engine};

impl Engine {
    /// `sendall()` to the connection in a slot.
    #[inline]
    pub(crate) fn send_all(&mut self, slot: u32, bytes: &[u8]) -> Flow {
        if self.entry(slot).is_some_and(|mut entry| entry.gather(bytes)) {
            return Flow::Open;
        }
        self.send_now(slot, bytes)
    }

    /// Sends bytes that cannot be gathered, and keeps the memory budget.
    #[inline(never)]
    fn send_now(&mut self, slot: u32, bytes: &[u8]) -> Flow {
        let Some(mut entry) = self.entry(slot) else { return Flow::Gone };
        let flow = entry.send(bytes);
        if flow == Flow::Gone || (flow == Flow::Open && !entry.connection.owns_buffers()) {
            return flow;
        }
        self.check_memory(slot);
        // The memory budget may have been kept by a reset of this very connection.
        let is_reset = self.entry(slot).is_some_and(|entry| entry.connection.phase() == Phase::Resetting);
        if !is_reset {
            return flow;
        }
        self.count_discarded_send();
        Flow::Gone
    }

    /// Counts what the buffers of a connection own, and keeps the memory budget: while all buffers together are above it,
    /// the connection that owns the most is reset.
    #[inline]
    pub(crate) fn check_memory(&mut self, slot: u32) {
        if let Some(mut entry) = self.entry(slot) {
            if let Some(bytes) = entry.count_memory() {
                let Common { memory, .. } = &mut self.common;
                memory.has_grown(slot, bytes, self.table.connections().len());
            }
            if self.common.exceeds_memory_budget() {
                self.keep_memory_budget();
            }
        }
    }

    #[cold]
    fn keep_memory_budget(&mut self) {
        while self.common.exceeds_memory_budget() {
            let Self { table, common: Common { memory, .. }, .. } = self;
            let bytes_of =
                |slot: u32| table.connection(slot).map_or(0, |connection| connection.memory() as u32);
            let all = || table.connections().iter().map(|slot| (bytes_of(*slot), *slot));
            let Some(largest) = memory.take_largest(all, bytes_of) else { return };
            let Some(mut entry) = self.entry(largest) else { return };
            entry.reset(CloseReason::MemoryLimit);
            entry.count_memory();
            entry.queue();
        }
    }

    /// Every connection has a new write budget, and no turn begins: the host flushes between turns.
    pub(crate) fn begin_flush(&mut self) {
        let Common { clock, .. } = &mut self.common;
        clock.next_budget();
    }

    /// Flushes the marked connections: bytes were sent to them by another connection's callback, or by the host between turns.
    /// When the budget of the turn is spent, the marked connections that are left are put into the ready queue. The time of
    /// activity is stored only if `in_turn`, because the time is not known between turns.
    ///
    /// `may_go_on` is asked after each connection, with the count of bytes that were moved so far.
    pub(crate) fn flush_marked(&mut self, mut may_go_on: impl FnMut(u64) -> bool, in_turn: bool) {
        let Common { queue, .. } = &mut self.common;
        if !queue.has_marked() {
            return;
        }
        let mut goes_on = true;
        let mut marked = queue.take_marked();
        for slot in marked.drain(..) {
            let Some(mut entry) = self.entry(slot) else { continue };
            entry.flush_marked(!goes_on, in_turn);
            let Common { stats, .. } = &self.common;
            goes_on = goes_on && may_go_on(stats.bytes_moved());
        }
        let Common { queue, .. } = &mut self.common;
        queue.put_back(marked);
    }
}
