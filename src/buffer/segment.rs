//! The pieces of an outbox.

use crate::socket::file::FileRange;

use super::{is_oversized, shared::Shared};

/// Small sends are copied together until a segment has this many bytes. A larger segment would be moved too often while it
/// grows.
const MOST_TOGETHER: usize = 64 << 10;

/// Unsent bytes of one kind.
#[derive(Debug)]
pub(crate) enum Segment {
    Owned(Owned),
    Shared(Shared),
    File(Box<FileRange>),
}

/// Bytes that the outbox owns.
#[derive(Debug)]
pub(crate) struct Owned {
    bytes: Vec<u8>,
    /// How many of `bytes` the kernel has taken; advancing an index is cheaper than moving the rest.
    taken: usize,
}

impl Segment {
    /// How many bytes are unsent.
    #[inline]
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            _ => self.in_memory() as u64,
        }
    }

    /// How many unsent bytes are in memory.
    #[inline]
    pub(crate) fn in_memory(&self) -> usize {
        match self {
            Self::Owned(owned) => owned.len(),
            Self::Shared(shared) => shared.len(),
            Self::File(_) => 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The unsent bytes in memory. A file has none.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(owned) => owned.bytes(),
            Self::Shared(shared) => shared.bytes(),
            Self::File(_) => &[],
        }
    }

    /// Removes the first `n` bytes.
    pub(crate) fn advance(&mut self, n: u64) {
        match self {
            Self::Owned(owned) => owned.taken += n as usize, // owned and shared bytes are in memory, so `n` fits
            Self::Shared(shared) => shared.advance(n as usize),
            Self::File(file) => file.advance(n),
        }
    }
}

impl Owned {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, taken: 0 }
    }

    /// The bytes behind the first `taken`.
    pub(crate) fn rest(bytes: Vec<u8>, taken: usize) -> Self {
        Self { bytes, taken }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// True if `n` further bytes belong into this segment rather than into a segment of their own.
    pub(super) fn has_room(&self, n: usize) -> bool {
        self.bytes.capacity() - self.bytes.len() >= n || self.len() + n <= MOST_TOGETHER
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        // The rest moves to the front only if it is not longer than the part that has left. So a queue that never runs empty
        // costs a constant for each byte, and does not grow.
        let no_room = self.bytes.capacity() - self.bytes.len() < bytes.len();
        if no_room && self.taken > 0 && self.taken >= self.len() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
            let needed = self.bytes.len() + bytes.len();
            if is_oversized(self.bytes.capacity(), needed) {
                self.bytes.shrink_to(needed);
            }
        }
        self.bytes.extend_from_slice(bytes);
    }
}
