//! Sends, and the flush stage.

use std::{fs::File, io, ops::Range, sync::Arc};

use crate::{
    buffer::{Owned, Segment},
    connection::{Phase, Piece},
    flow::Flow,
    socket::{file::FileRange, platform},
};

use super::{common::Common, entry::Entry, state::Engine};

/// From this many bytes on, a single send is handed to the kernel as it stands: a copy of it would cost more than the
/// system call that gathering could save.
const LARGE_SEND: usize = 8 << 10;

/// Fewer bytes than this are copied rather than shared. Measured with 100 connections and 16 messages in a turn: sharing costs
/// 1.0 of the CPU of copying at 128 bytes, 0.8 at 256, 0.7 at 512 and 0.55 at 1024.
const LEAST_SHARED: usize = 256;

/// Fewer bytes than this are copied rather than kept in the vector that the handler gave away, so that small sends stand
/// together.
const LEAST_OWNED: usize = 4 << 10;

/// Sends to the connection in a slot.
impl Engine {
    /// `sendall()`.
    #[inline]
    pub(crate) fn send_all(&mut self, slot: u32, bytes: &[u8]) -> Flow {
        if self.entry(slot).is_some_and(|mut entry| entry.gather(bytes)) {
            return Flow::Open;
        }
        self.send_with(slot, |entry| entry.send(Piece::Borrowed(bytes)))
    }

    /// # Panics
    /// Panics if the range is not within the bytes.
    pub(crate) fn send_shared(&mut self, slot: u32, bytes: &Arc<[u8]>, range: Range<usize>) -> Flow {
        let part = &bytes[range.clone()];
        if part.len() < LEAST_SHARED {
            return self.send_all(slot, part);
        }
        self.send_with(slot, |entry| {
            if entry.gather(part) {
                return Flow::Open;
            }
            let shared = entry.common.blocks.share(bytes, range);
            entry.send(Piece::Segment(Segment::Shared(shared)))
        })
    }

    pub(crate) fn send_owned(&mut self, slot: u32, bytes: Vec<u8>) -> Flow {
        // A vector that is mostly empty would cost more memory than its bytes are worth.
        if bytes.len() < LEAST_OWNED || bytes.len() < bytes.capacity() / 2 {
            return self.send_all(slot, &bytes);
        }
        self.send_with(slot, |entry| {
            if entry.gather(&bytes) {
                return Flow::Open;
            }
            entry.send(Piece::Segment(Segment::Owned(Owned::new(bytes))))
        })
    }

    /// Sends the bytes that `on_data` of one connection left unused to another connection, or back, and consumes them.
    pub(crate) fn forward(&mut self, from: u32, to: u32) -> Flow {
        if !self.entry(to).is_some_and(|entry| entry.connection.takes_sends()) {
            self.count_discarded_send();
            return Flow::Gone;
        }
        let Some(mut entry) = self.entry(from) else { return Flow::Gone };
        let (bytes, consumed) = entry.take_unconsumed();
        let rest = &bytes[consumed..];
        if rest.len() < LEAST_OWNED || rest.len() < bytes.capacity() / 2 {
            return self.send_all(to, rest);
        }
        self.send_with(to, |entry| {
            if entry.gather(&bytes[consumed..]) {
                return Flow::Open;
            }
            entry.send(Piece::Segment(Segment::Owned(Owned::rest(bytes, consumed))))
        })
    }

    pub(crate) fn send_file(&mut self, slot: u32, file: File, range: Range<u64>) -> Flow {
        self.send_with(slot, |entry| entry.send_file(file, range))
    }

    /// Makes a send whose bytes cannot be gathered, and keeps the memory budget.
    #[inline(never)]
    fn send_with(&mut self, slot: u32, send: impl FnOnce(&mut Entry<'_>) -> Flow) -> Flow {
        let Some(mut entry) = self.entry(slot) else { return Flow::Gone };
        let flow = send(&mut entry);
        if flow == Flow::Gone || (flow == Flow::Open && !entry.connection.owns_buffers()) {
            return flow;
        }
        // The memory budget may have been kept by a reset of this very connection.
        let is_reset = |entry: Entry<'_>| entry.connection.phase() == Phase::Resetting;
        if !self.check_memory(slot) || !self.entry(slot).is_some_and(is_reset) {
            return flow;
        }
        self.count_discarded_send();
        Flow::Gone
    }

    /// Every connection has a new write budget, and no turn begins: the host flushes between turns.
    pub(crate) fn begin_flush(&mut self) {
        self.end_panicked();
        let Common { clock, .. } = &mut self.common;
        clock.next_budget();
    }

    /// Flushes the marked connections: bytes were sent to them by another connection's callback, or by the host between turns.
    /// When the budget of the turn is spent, the marked connections that are left are put into the ready queue. The time of
    /// activity is stored only if `in_turn`, because the time is not known between turns.
    ///
    /// `may_go_on` is asked after each connection, with the count of bytes that were moved so far.
    pub(crate) fn flush_marked(&mut self, mut may_go_on: impl FnMut(u64) -> bool, in_turn: bool) {
        let Common { queue, stats, blocks, .. } = &mut self.common;
        stats.shared = blocks.held(); // sends of the pass may have freed blocks
        if !queue.has_marked() {
            return;
        }
        let mut goes_on = true;
        let mut marked = queue.take_marked();
        for slot in marked.drain(..) {
            let Some(mut entry) = self.entry(slot) else { continue };
            if entry.flush_marked(!goes_on, in_turn) {
                self.check_memory(slot);
            }
            let Common { stats, .. } = &self.common;
            goes_on = goes_on && may_go_on(stats.bytes_moved());
        }
        let Common { queue, .. } = &mut self.common;
        queue.put_back(marked);
    }
}

/// Sending.
impl Entry<'_> {
    /// Keeps bytes that the connection's own callback sends until the callback returns. Returns false if the bytes cannot
    /// be gathered; the caller then sends them directly.
    #[inline]
    pub(crate) fn gather(&mut self, bytes: &[u8]) -> bool {
        let Common { callback, options, .. } = &mut *self.common;
        callback.is_of(self.meta.slot())
            && bytes.len() < LARGE_SEND
            && self.connection.gathers_sends()
            && self.connection.queued() == 0
            && self.connection.has_budget_for(callback.len() + bytes.len(), options)
            && callback.gather(bytes)
    }

    /// [`gather`](Self::gather) for a connection whose own high water may be lower.
    #[cold]
    fn gather_within_own_limits(&mut self, bytes: &[u8]) -> bool {
        let Common { callback, options, .. } = &mut *self.common;
        let limits = self.lifetime.limits(options);
        let len = callback.len() + bytes.len();
        bytes.len() < LARGE_SEND
            && self.connection.queued() == 0
            && len < limits.high_water
            && self.connection.has_budget_for(len, limits)
            && callback.gather(bytes)
    }

    /// Sends bytes that cannot be gathered.
    pub(super) fn send(&mut self, piece: Piece<'_>) -> Flow {
        if !self.connection.takes_sends() {
            self.common.count_discarded_send();
            return Flow::Gone;
        }
        if !self.is_running() {
            return self.send_from_elsewhere(piece);
        }
        if self.connection.has_own_limits() && self.gather_within_own_limits(piece.bytes()) {
            return Flow::Open;
        }
        let Common { callback, options, stats, .. } = &mut *self.common;
        let limits = self.lifetime.limits(options);
        let flow = self.connection.send(callback.gathered(), piece, limits, stats);
        callback.clear();
        flow
    }

    /// Sends from outside of the connection's own callback: small sends wait for the end of the pass.
    fn send_from_elsewhere(&mut self, piece: Piece<'_>) -> Flow {
        self.mark_for_flush();
        let Common { options, stats, .. } = &mut *self.common;
        let limits = self.lifetime.limits(options);
        let len = piece.len();
        let small = len < LARGE_SEND && self.connection.queued().saturating_add(len) < limits.high_water;
        if small {
            self.connection.keep(piece, limits, stats)
        } else {
            self.connection.send(&[], piece, limits, stats)
        }
    }

    /// Sends a part of a file, behind the bytes that the callback has gathered.
    fn send_file(&mut self, file: File, range: Range<u64>) -> Flow {
        if !self.connection.takes_sends() {
            self.common.count_discarded_send();
            return Flow::Gone;
        }
        let is_running = self.is_running();
        if !is_running {
            self.mark_for_flush();
        }
        let Common { callback, options, stats, sends_files, .. } = &mut *self.common;
        let copies = !*sends_files.get_or_insert_with(platform::sends_files);
        let file = Segment::File(Box::new(FileRange::new(file, range, copies)));
        let gathered = if is_running { callback.gathered() } else { &[] };
        let limits = self.lifetime.limits(options);
        let flow = self.connection.send_file(gathered, file, is_running, limits, stats);
        if is_running {
            callback.clear();
        }
        flow
    }

    /// `send(2)`, behind the bytes that the callback has gathered.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.connection.takes_sends() {
            self.common.count_discarded_send();
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.is_running() {
            self.send_gathered();
        } else {
            self.mark_for_flush();
        }
        let Common { options, stats, .. } = &mut *self.common;
        let result = self.connection.try_send(bytes, self.lifetime.limits(options), stats);
        if !self.connection.takes_sends() {
            self.count_memory(); // the failure has freed the outbox
        }
        result
    }

    /// Sends what the connection's callback has gathered: the callback has returned, or other bytes must follow.
    #[inline(always)]
    pub(crate) fn send_gathered(&mut self) {
        let Common { callback, options, stats, .. } = &mut *self.common;
        if callback.has_gathered() {
            if self.connection.goes_at_once(callback.gathered(), options) {
                self.connection.send_at_once(callback.gathered(), options, stats);
            } else {
                let limits = self.lifetime.limits(options);
                self.connection.send_behind(callback.gathered(), limits, stats);
            }
            callback.clear();
        }
    }
}
