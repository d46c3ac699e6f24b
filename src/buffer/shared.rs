//! Bytes that many outboxes share.

use std::{
    ops::Range,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The blocks of bytes that outboxes share, and how many bytes these blocks have together.
///
/// A broadcast queues one block for many connections in a row. The block is counted once for all of them. A block that is
/// queued again after another block is counted again, so the count is never too low.
#[derive(Debug, Default)]
pub(crate) struct SharedBlocks {
    /// The bytes of all blocks. The blocks hold it too, because a block may outlive the reactor's table of connections.
    held: Arc<AtomicUsize>,
    /// The block that was queued last.
    last: Weak<Block>,
}

/// A block of bytes that at least one outbox holds. The last outbox frees the block.
#[derive(Debug)]
struct Block {
    bytes: Arc<[u8]>,
    held: Arc<AtomicUsize>,
}

/// A range of a block.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    block: Arc<Block>,
    range: Range<usize>,
}

impl SharedBlocks {
    /// A range that is within the bytes.
    pub(crate) fn share(&mut self, bytes: &Arc<[u8]>, range: Range<usize>) -> Shared {
        let block = match self.last.upgrade() {
            Some(last) if Arc::ptr_eq(&last.bytes, bytes) => last,
            _ => {
                let block = Arc::new(Block::new(bytes.clone(), self.held.clone()));
                self.last = Arc::downgrade(&block);
                block
            }
        };
        Shared { block, range }
    }

    /// How many bytes the blocks have together.
    pub(crate) fn held(&self) -> usize {
        // The number is atomic only because a reactor, and a connection that was detached, can be sent to another thread. No other
        // memory depends on the number.
        self.held.load(Ordering::Relaxed)
    }
}

impl Block {
    fn new(bytes: Arc<[u8]>, held: Arc<AtomicUsize>) -> Self {
        held.fetch_add(bytes.len(), Ordering::Relaxed);
        Self { bytes, held }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.block.bytes[self.range.clone()]
    }

    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// The range, counted elsewhere.
    pub(super) fn share_again(&self, blocks: &mut SharedBlocks) -> Self {
        blocks.share(&self.block.bytes, self.range.clone())
    }

    /// The length of the whole block, which is not freed before the range is sent.
    pub(super) fn held(&self) -> u64 {
        self.block.bytes.len() as u64
    }

    /// Removes the first `n` bytes from the range.
    pub(super) fn advance(&mut self, n: usize) {
        self.range.start += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_counted_once_and_freed_by_its_last_holder() {
        let mut blocks = SharedBlocks::default();
        let (first, second): (Arc<[u8]>, Arc<[u8]>) = (Arc::from([1; 100]), Arc::from([2; 30]));
        let holders = [blocks.share(&first, 0..100), blocks.share(&first, 10..20)];
        assert_eq!((blocks.held(), holders[1].bytes()), (100, &[1; 10][..]));
        let other = blocks.share(&second, 0..30);
        assert_eq!(blocks.held(), 130);
        drop(holders);
        assert_eq!((blocks.held(), Arc::strong_count(&first)), (30, 1));
        drop(other);
        assert_eq!((blocks.held(), Arc::strong_count(&second)), (0, 1));
    }

    #[test]
    fn a_freed_block_is_not_mistaken_for_the_next_one() {
        let mut blocks = SharedBlocks::default();
        for n in 0..100 {
            let bytes: Arc<[u8]> = Arc::from([n; 64]); // the allocator is likely to use the address again
            assert_eq!(blocks.share(&bytes, 0..64).bytes(), [n; 64]);
        }
        assert_eq!(blocks.held(), 0);
    }
}
