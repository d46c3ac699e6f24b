//! The invariants of a connection.

use super::{super::*, Model};

impl Model {
    /// Checks the invariants that hold after each operation.
    pub(super) fn check(&self) {
        let Self { bench, taken, .. } = self;
        let (connection, limits, phase) = (&bench.connection, &bench.limits, bench.connection.phase());
        let (script, queued) = (connection.stream(), connection.queued());
        if matches!(phase, Phase::Open | Phase::Flushing) {
            assert_eq!(script.written.len() + queued, *taken, "a byte was lost or doubled");
        } else {
            assert_eq!(queued, 0, "the outbox was not freed");
        }
        assert!(queued <= limits.max_outbox);
        assert!(script.written.len() - self.written_before_turn <= limits.write_budget);

        let inbox = connection.inbox();
        assert!(connection.receive_limit(limits) + inbox.len() <= limits.inbox_limit());
        assert!(connection.receive_limit(limits) > 0 || inbox.len() >= self.need, "the need cannot be met");
        assert!(
            !connection.is_held() || inbox.len() >= self.need,
            "input is held although the handler needs more"
        );
        if phase < Phase::Flushing {
            assert_eq!(inbox.unconsumed(), incoming_bytes(self.used, self.received));
        } else {
            assert!(inbox.is_empty() && !connection.wants_input());
        }
        let wants = phase <= Phase::Failing && !self.paused && !(self.full && self.pause_when_full);
        assert_eq!(connection.wants_input(), wants);
        assert_eq!(
            (connection.has(Flags::READABLE), !connection.has(Flags::SHORT_READS_UNRELIABLE)),
            (self.readable, self.short_reads_tell)
        );

        let owned = connection.outbox.capacity() + connection.inbox.capacity();
        let shared = connection.outbox.shared();
        assert_eq!((self.memory, connection.memory()), (owned, owned as u64 + shared));
        assert_eq!(connection.owns_buffers(), queued + inbox.len() > 0, "empty buffers own no storage");
        assert_eq!(connection.owns_buffers(), owned as u64 + shared > 0);
        assert!(
            !bench.is_due() || !connection.is_quiet(),
            "a connection with work to do is quiet, so the reactor would forget the work"
        );
        assert!(
            !bench.is_due() || !connection.is_quiet_with_inbox(),
            "a connection with work to do is quiet, so the reactor would forget the work"
        );
        assert_eq!(connection.is_quiet(), connection.is_quiet_with_inbox() && inbox.is_empty());
        let has_only_more = connection.has_only_more_input();
        assert!(!has_only_more || (queued == 0 && !connection.is_held() && !self.writable_owed));
        let is_in_a_message = !inbox.is_empty() || self.need > 1;
        assert_eq!(connection.has_only_input(), has_only_more && !is_in_a_message);

        assert!(!connection.owes_fin() || (queued == 0 && !self.fin_sent));
        assert_eq!((bench.stats.bytes_sent, bench.stats.bytes_received), {
            (script.written.len() as u64, script.given as u64)
        });
        assert_eq!(bench.stats.would_blocks, script.would_blocks as u64);
        assert_eq!(bench.stats.reads_paused, self.reads_paused);
    }
}
