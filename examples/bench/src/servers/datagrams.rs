//! The servers that send each datagram back to its sender.

pub mod mio_loop;
pub mod tidegate_loop;
pub mod tokio_loop;

/// The length of the buffer of the bare loop and of tokio. No datagram is longer, and this crate's buffer has an equal
/// length.
const LONGEST: usize = 64 << 10;
