//! The two buffers that a connection owns only while it has something to keep in them, and the two that all share.

mod inbox;
mod outbox;
mod scratch;
mod staging;

pub(crate) use {inbox::Inbox, outbox::Outbox, scratch::Scratch, staging::Staging};

/// Storage is given back when less than a quarter of it is used, and only if there is something to win.
fn is_oversized(capacity: usize, len: usize) -> bool {
    capacity > 4096 && len < capacity / 4
}
