//! Counters that are always on: plain additions, no clock, no formatting.

use std::fmt;

use crate::close::CloseKind;

/// Counters of a reactor since it was made. No count goes down, except `open`, `buffered` and `shared`.
///
/// There are no counters for one connection: two of them would add 16 bytes to each connection and two additions to each
/// message. A handler that needs them counts what `on_data` is shown and what it sends, in its session.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Clients that were accepted and got a session.
    pub accepted: u64,
    /// Clients that were accepted and closed at once because `on_accept` returned `None`.
    pub refused_handler: u64,
    /// Clients that were accepted and closed at once because as many connections were open as may be
    /// ([`WhenFull::Close`](crate::WhenFull::Close)).
    pub refused_full: u64,
    /// Clients that were accepted and closed at once because the process or the system was out of descriptors.
    pub refused_descriptors: u64,
    /// Clients that were accepted and closed at once because their sockets could not be registered with the poll.
    pub refused_error: u64,
    /// How often accepting paused because of errors: no descriptors, no memory, or nothing but failures.
    pub accept_errors: u64,
    /// Outgoing connections that were established, streams that were adopted, and connections that were attached.
    pub connected: u64,
    /// Connections that were detached. They have no `on_close` in this reactor, and `closed` does not count them.
    pub detached: u64,
    /// Connections that are open now, including connections that linger after their `on_close`.
    pub open: usize,
    /// Sessions that ended: the number of calls of `on_close`. [`closed_by`](Self::closed_by) counts them by reason.
    pub closed: u64,
    /// Bytes received, including bytes that were discarded after a close, and datagrams.
    pub bytes_received: u64,
    /// Bytes that the kernel took, including datagrams.
    pub bytes_sent: u64,
    /// Calls of `recv` that returned bytes.
    pub receives: u64,
    /// Calls of `send` from which the kernel took bytes.
    pub sends: u64,
    /// Calls of `send` from which the kernel took a part of the bytes.
    pub partial_sends: u64,
    /// Calls of `recv` or `send` that returned `WouldBlock`.
    pub would_blocks: u64,
    /// How often reading of a connection paused because its outbox was above high water or its write budget was spent.
    pub reads_paused: u64,
    /// Sends that were not taken ([`Flow::Gone`](crate::Flow::Gone)), because the connection was ending or gone, its sending
    /// direction was ended, or the send would have passed `max_outbox`.
    pub sends_discarded: u64,
    /// Sessions that ended while the kernel had not taken all bytes that were sent: by a reset of either side, a limit, a
    /// timeout, or the end of a drain's grace. In `on_close`, [`Net::undelivered`](crate::Net::undelivered) is then true.
    pub undelivered: u64,
    /// Connections that were still open when the grace of a drain ran out.
    pub drain_resets: u64,
    /// The capacity of all outboxes and inboxes together, in bytes: the storage that they own, used or not.
    pub buffered: usize,
    /// The length of all blocks together that outboxes hold of [`Conn::send_shared`](crate::Conn::send_shared), in bytes.
    /// A block counts once for all connections that were sent it in a row. The blocks of a detached connection count again
    /// where the connection is attached.
    pub shared: usize,
    /// Datagrams that were delivered to [`on_datagram`](crate::Handler::on_datagram).
    pub datagrams_received: u64,
    /// Datagrams that the kernel took. The network may lose them all the same.
    pub datagrams_sent: u64,
    /// Datagrams that the program sent and that were not handed to the kernel: the queue of the socket had no room for them, the
    /// system refused them, or the socket was closed before. The kernel does not tell how many received datagrams it dropped.
    pub datagrams_dropped: u64,
    /// Datagrams that were received and not delivered, because they were larger than
    /// [`max_size`](crate::DatagramOptions::max_size).
    pub datagrams_truncated: u64,
    /// Errors of datagram sockets that concern no datagram of this moment: ICMP messages about datagrams that were sent before,
    /// and failed receives. [`on_datagram_error`](crate::Handler::on_datagram_error) tells those that a receive has met.
    pub datagram_errors: u64,
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

/// One line for each subject, without the counts that are zero.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections: {} open, {} accepted", self.open, self.accepted)?;
        let refused = [
            ("connected", self.connected),
            ("detached", self.detached),
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
        write!(f, "\nin buffers: {} bytes", self.buffered)?;
        list(f, [("bytes in shared blocks", self.shared as u64)])?;
        let datagrams = [
            ("sent", self.datagrams_sent),
            ("dropped", self.datagrams_dropped),
            ("truncated", self.datagrams_truncated),
            ("errors", self.datagram_errors),
        ];
        if self.datagrams_received > 0 || datagrams.iter().any(|(_, count)| *count > 0) {
            write!(f, "\ndatagrams: {} received", self.datagrams_received)?;
            list(f, datagrams)?;
        }
        write!(f, "\nturns: {}", self.turns)
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
    fn datagrams_are_listed_if_there_was_any() {
        let lines =
            |stats: Stats| stats.to_string().lines().filter(|line| line.starts_with("datagrams")).count();
        assert_eq!(lines(Stats::default()), 0);
        assert_eq!(lines(Stats { datagrams_received: 1, ..Stats::default() }), 1);
        assert_eq!(lines(Stats { datagrams_sent: 1, ..Stats::default() }), 1);
        assert_eq!(lines(Stats { datagrams_dropped: 1, ..Stats::default() }), 1);
    }

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
