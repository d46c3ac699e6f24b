//! The servers that send each message of a publisher to all subscribers, see [`SUBSCRIBE`](crate::protocol::SUBSCRIBE).

pub mod mio_loop;
pub mod tidegate_loop;
pub mod tokio_loop;

/// A subscriber may be this many bytes behind. The load generator never lets a subscriber fall so far behind.
const MOST_BEHIND: usize = 1 << 20;
