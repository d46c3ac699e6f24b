//! The lists of sources with work to do, and of connections with bytes to send at the end of the turn.

use super::source::SlotMeta;

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Slots with work to do, in the order in which the work became known. A slot stands here at most once.
    ready: Vec<u32>,
    /// How many slots at the front of `ready` the present pass has taken already.
    taken: usize,
    /// Connections that another callback has sent to, or the host between turns. A slot stands here at most once.
    to_flush: Vec<u32>,
    /// How many slots all passes have taken.
    #[cfg(test)]
    served: usize,
}

impl Queue {
    /// Appends the source unless it is queued already.
    #[inline(always)]
    pub(super) fn push(&mut self, meta: &mut SlotMeta) {
        if !meta.queued {
            meta.queued = true;
            self.ready.push(meta.slot());
        }
    }

    /// The slot that was taken last in a pass that has not ended, because a callback panicked.
    #[inline]
    pub(super) fn last_of_cut_pass(&self) -> Option<u32> {
        self.ready.get(self.taken.wrapping_sub(1)).copied()
    }

    /// The end of a pass over the slots that stand here now: see [`next`](Self::next).
    #[inline]
    pub(super) fn begin_pass(&mut self) -> usize {
        self.ready.len()
    }

    /// Takes the next slot of a pass. The caller clears [`SlotMeta::queued`], which says that the slot stands here.
    #[inline]
    pub(super) fn next(&mut self, end: usize) -> Option<u32> {
        if self.taken >= end {
            return None;
        }
        let slot = self.ready[self.taken];
        self.taken += 1;
        #[cfg(test)]
        {
            self.served += 1;
        }
        Some(slot)
    }

    /// Ends a pass: the slots that it has not taken stand in front.
    #[inline]
    pub(super) fn end_pass(&mut self) {
        self.forget_taken();
    }

    #[inline]
    fn forget_taken(&mut self) {
        if self.taken == self.ready.len() {
            self.ready.clear();
        } else {
            self.ready.drain(..self.taken);
        }
        self.taken = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.to_flush.is_empty()
    }

    /// The connection is flushed at the end of the turn.
    pub(super) fn mark_for_flush(&mut self, meta: &mut SlotMeta) {
        if !meta.to_flush {
            meta.to_flush = true;
            self.to_flush.push(meta.slot());
        }
    }

    #[inline]
    pub(super) fn has_marked(&self) -> bool {
        !self.to_flush.is_empty()
    }

    /// Takes the list of marked connections. [`put_back`](Self::put_back) returns its storage.
    pub(super) fn take_marked(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.to_flush)
    }

    pub(super) fn put_back(&mut self, list: Vec<u32>) {
        debug_assert!(list.is_empty() && self.to_flush.is_empty(), "a flush makes no callback");
        self.to_flush = list;
    }

    #[cfg(test)]
    pub(super) fn served(&self) -> usize {
        self.served
    }

    /// The sources with work to do, in order.
    #[cfg(test)]
    pub(super) fn ready(&self) -> &[u32] {
        &self.ready[self.taken..]
    }

    #[cfg(test)]
    pub(super) fn marked(&self) -> &[u32] {
        &self.to_flush
    }

    /// Frees storage that a larger number of connections has used.
    pub(super) fn shrink(&mut self) {
        self.ready.shrink_to(self.ready.len().max(64));
        self.to_flush.shrink_to(self.to_flush.len().max(64));
    }
}
