//! The inbox and the outbox, which a connection owns only while they hold bytes, and the two buffers that all connections
//! share: the scratch buffer and the staging buffer.

mod inbox;
mod outbox;
mod scratch;
mod segment;
mod shared;
mod slices;
mod staging;

pub(crate) use {
    inbox::Inbox,
    outbox::Outbox,
    scratch::Scratch,
    segment::{Owned, Segment},
    shared::SharedBlocks,
    slices::Slices,
    staging::Staging,
};

/// True if storage is to be given back: less than a quarter of it is used, and it is large enough to be worth the work.
fn is_oversized(capacity: usize, len: usize) -> bool {
    capacity > 2048 && len < capacity / 4
}
