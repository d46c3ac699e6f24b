//! Counters that are always on: plain additions, no clock, no formatting.

use std::fmt;

use crate::close::CloseKind;

/// What a reactor has done since it was made. Counts never go down, but for `open` and `buffered`.
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
    /// Outgoing connections that were established, and streams that were adopted.
    pub connected: u64,
    /// Connections that are open now, with those that linger after their `on_close`.
    pub open: usize,
    /// Sessions that were ended: how often `on_close` was called. [`closed_by`](Self::closed_by) says why.
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
    /// How often a connection's outbox or write budget was full, and its reading paused for that.
    pub reads_paused: u64,
    /// Sends that were not taken, since the connection was closing or closed.
    pub sends_discarded: u64,
    /// Sessions that ended while the kernel had not taken all that was sent: by a reset of either side, a limit, a
    /// timeout, or the end of a drain's grace. Their `on_close` tells the reason that came first.
    pub undelivered: u64,
    /// Connections that were still open when the grace of a drain ran out.
    pub drain_resets: u64,
    /// How much storage all outboxes and inboxes own now, in bytes.
    pub buffered: usize,
    /// Calls of `settle`.
    pub turns: u64,
    by_reason: [u64; CloseKind::ALL.len()],
}

impl Stats {
    /// How many sessions ended for this reason.
    ///
    /// ```
    /// use tidegate::{CloseKind, Stats};
    ///
    /// assert_eq!(Stats::default().closed_by(CloseKind::Reset), 0);
    /// ```
    pub fn closed_by(&self, kind: CloseKind) -> u64 {
        self.by_reason[kind as usize]
    }

    pub(crate) fn bytes_moved(&self) -> u64 {
        self.bytes_received + self.bytes_sent
    }

    pub(crate) fn count_close(&mut self, kind: CloseKind) {
        self.closed += 1;
        self.by_reason[kind as usize] += 1;
    }
}

/// One line for each kind of thing, without those that have not happened.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections: {} open, {} accepted", self.open, self.accepted)?;
        let refused = [
            ("connected", self.connected),
            ("refused by the handler", self.refused_handler),
            ("refused when full", self.refused_full),
            ("refused without a descriptor", self.refused_descriptors),
            ("refused by an error", self.refused_error),
            ("pauses of accepting", self.accept_errors),
        ];
        list(f, refused)?;
        write!(f, "\nclosed: {}", self.closed)?;
        list(f, CloseKind::ALL.map(|kind| (kind.name(), self.closed_by(kind))))?;
        list(f, [("cut off by a drain", self.drain_resets), ("undelivered", self.undelivered)])?;
        write!(f, "\nreceived: {} bytes in {} calls", self.bytes_received, self.receives)?;
        write!(f, "\nsent: {} bytes in {} calls", self.bytes_sent, self.sends)?;
        let trouble = [
            ("partial", self.partial_sends),
            ("calls that would have blocked, either way", self.would_blocks),
            ("pauses of reading", self.reads_paused),
            ("sends after the end", self.sends_discarded),
        ];
        list(f, trouble)?;
        write!(f, "\nin buffers: {} bytes\nturns: {}", self.buffered, self.turns)
    }
}

fn list<const N: usize>(f: &mut fmt::Formatter<'_>, counts: [(&str, u64); N]) -> fmt::Result {
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        write!(f, ", {name} {count}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_happened_is_not_listed() {
        let mut stats = Stats { accepted: 3, open: 1, partial_sends: 2, ..Stats::default() };
        stats.count_close(CloseKind::Eof);
        stats.count_close(CloseKind::IdleTimeout);
        assert_eq!(
            stats.to_string(),
            "connections: 1 open, 3 accepted\n\
             closed: 2, end of file 1, idle for too long 1\n\
             received: 0 bytes in 0 calls\n\
             sent: 0 bytes in 0 calls, partial 2\n\
             in buffers: 0 bytes\n\
             turns: 0"
        );
    }
}
