//! Counters that are always on: plain additions, no clock, no formatting.

/// What a reactor has done since it was made. Counts never go down, but for `open`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections taken from a listener and given a session.
    pub accepted: u64,
    /// Clients accepted and closed at once: `on_accept` returned `None`.
    pub refused_handler: u64,
    /// The same, since there were as many connections as may be ([`WhenFull::Close`](crate::WhenFull::Close)).
    pub refused_full: u64,
    /// The same, since the process or the system was out of descriptors.
    pub refused_descriptors: u64,
    /// The same, since the socket could not be registered with the poll.
    pub refused_error: u64,
    /// How often accepting had to pause for want of something.
    pub accept_errors: u64,
    /// Outgoing connections that were established.
    pub connected: u64,
    /// Connections that are open now, with those that linger after their `on_close`.
    pub open: usize,
    /// Sessions that were ended: how often `on_close` was called.
    pub closed: u64,
    /// Bytes received, discarded ones included.
    pub bytes_received: u64,
    /// Bytes that the kernel took.
    pub bytes_sent: u64,
    /// Calls of `recv` that returned bytes.
    pub receives: u64,
    /// Calls of `send` from which the kernel took bytes.
    pub sends: u64,
    /// Calls of `send` of which the kernel took a part.
    pub partial_sends: u64,
    /// Calls of `recv` or `send` that would have had to wait.
    pub would_blocks: u64,
    /// Sends that were not taken, since the connection was closing or closed.
    pub sends_discarded: u64,
    /// Connections cut off when the grace of a drain ran out.
    pub drain_resets: u64,
    /// How much storage all outboxes and inboxes own now, in bytes.
    pub buffered: usize,
    /// Calls of `settle`.
    pub turns: u64,
}
