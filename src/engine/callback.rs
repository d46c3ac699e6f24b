//! The connection whose callback runs, and the bytes that this callback has sent to it.

use crate::{buffer::Staging, id::NO_SLOT};

/// The bytes that a callback sends to its own connection are gathered here and leave with one `send` when the callback
/// returns.
#[derive(Debug)]
pub(super) struct Callback {
    /// The slot of the connection, or of the client that `on_accept` is asked about; [`NO_SLOT`] between callbacks.
    slot: u32,
    gathered: Staging,
}

impl Callback {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slot: NO_SLOT, gathered: Staging::new(capacity) }
    }

    #[inline]
    pub(super) fn begin(&mut self, slot: u32) {
        self.slot = slot;
    }

    #[inline]
    pub(super) fn end(&mut self) {
        self.slot = NO_SLOT;
    }

    /// Between turns: true if a callback never returned.
    #[inline]
    pub(super) fn has_panicked(&self) -> bool {
        self.slot != NO_SLOT
    }

    /// The slot of the callback that runs, or that never returned; [`NO_SLOT`] if there is none.
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    #[inline]
    pub(super) fn is_of(&self, slot: u32) -> bool {
        self.slot == slot
    }

    #[inline(always)]
    pub(super) fn gather(&mut self, bytes: &[u8]) -> bool {
        self.gathered.push(bytes)
    }

    /// True if the present callback has gathered bytes.
    #[inline]
    pub(super) fn has_gathered(&self) -> bool {
        self.gathered.len() > 0
    }

    #[inline(always)]
    pub(super) fn gathered(&self) -> &[u8] {
        self.gathered.bytes()
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        self.gathered.clear();
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.gathered.len()
    }

    /// How many bytes are gathered for the connection in a slot.
    pub(super) fn gathered_len(&self, slot: u32) -> usize {
        if self.is_of(slot) { self.gathered.len() } else { 0 }
    }
}
