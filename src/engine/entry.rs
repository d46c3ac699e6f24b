//! A connection during an operation, with everything that its verbs need.

use crate::{
    close::CloseReason,
    connection::{Connection, Phase, Received},
    id::ConnId,
    socket::{readiness::Readiness, stream::Stream},
};

use super::{
    common::Common,
    lifetime::Lifetime,
    source::{ConnectionRecord, SlotMeta},
};

/// A connection, the bookkeeping of its slot, and the parts of the engine that all sources use.
///
/// A look-up in the table makes an entry. Code that has an entry does not look the connection up again.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) connection: &'a mut Connection<Stream>,
    pub(super) lifetime: &'a mut Lifetime,
    pub(super) meta: &'a mut SlotMeta,
    pub(super) common: &'a mut Common,
}

impl<'a> Entry<'a> {
    #[inline]
    pub(super) fn new(
        meta: &'a mut SlotMeta,
        record: &'a mut ConnectionRecord,
        common: &'a mut Common,
    ) -> Self {
        Self { connection: &mut record.connection, lifetime: &mut record.lifetime, meta, common }
    }

    pub(crate) fn id(&self) -> ConnId {
        self.meta.id()
    }

    /// The connection has a write budget of its own in this turn.
    #[inline]
    pub(crate) fn begin_turn(&mut self) {
        let Common { clock, .. } = &*self.common;
        self.connection.begin_turn(clock.turn());
    }

    /// Appends the connection to the ready queue.
    #[inline]
    pub(crate) fn queue(&mut self) {
        self.common.queue(self.meta);
    }

    /// Appends the connection to the ready queue unless its own callback runs: it is looked at after that anyway.
    #[inline]
    pub(super) fn schedule(&mut self) {
        if !self.is_running() {
            self.queue();
        }
    }

    /// Appends the connection to the ready queue if it has work that no further event will announce.
    #[inline]
    pub(crate) fn queue_if_due(&mut self) {
        let is_due = if self.is_opening() {
            self.connection.is_over() // requests to a connection that is not open yet wait until it is
        } else {
            self.connection.is_due(self.lifetime.limits(&self.common.options))
        };
        if is_due {
            self.queue();
        }
    }

    /// True while the connection's own callback runs.
    #[inline]
    pub(super) fn is_running(&self) -> bool {
        let Common { callback, .. } = &*self.common;
        callback.is_of(self.meta.slot())
    }
}

/// The end of a turn.
impl Entry<'_> {
    /// Hands the outbox to the kernel, as far as it takes bytes.
    pub(crate) fn flush(&mut self) {
        let Common { options, stats, .. } = &mut *self.common;
        self.connection.flush(self.lifetime.limits(options), stats);
    }

    /// The connection is flushed at the end of the turn.
    pub(super) fn mark_for_flush(&mut self) {
        let Common { queue, .. } = &mut *self.common;
        queue.mark_for_flush(self.meta);
        self.begin_turn();
    }

    /// The flush at the end of the turn. `postponed`: the turn is over its budget, so the connection is queued instead.
    /// Returns true if the buffers own more than before, because a file was read: the memory budget then needs a check.
    pub(super) fn flush_marked(&mut self, postponed: bool, in_turn: bool) -> bool {
        self.meta.to_flush = false;
        if postponed {
            self.queue();
            return false;
        }
        self.begin_turn();
        let counted = self.connection.counted();
        self.flush();
        self.count_memory();
        if in_turn {
            self.store_activity();
        }
        self.queue_if_due();
        self.connection.counted() > counted
    }

    /// True if one `on_writable` is due. The call that this method announces is then no longer owed.
    pub(crate) fn take_writable(&mut self) -> bool {
        self.connection.take_writable(self.lifetime.limits(&self.common.options))
    }

    pub(crate) fn notify_writable(&mut self) {
        self.connection.notify_writable();
        self.schedule();
    }

    /// Sends the end of file. If that fails, the connection ends with the error.
    pub(crate) fn send_fin(&mut self) {
        match self.connection.stream().shutdown_write() {
            Ok(()) => self.connection.fin_was_sent(),
            Err(error) => self.connection.fail(error),
        }
    }
}

/// Receiving.
impl Entry<'_> {
    /// True if the connection is open, has nothing to do but to show new input, and wants input.
    #[inline]
    pub(crate) fn has_only_input(&self) -> bool {
        self.connection.has_only_input() && !self.lifetime.is_opening()
    }

    /// Answers the question of [`has_only_input`](Self::has_only_input) for a connection with an incomplete message.
    #[inline]
    pub(crate) fn has_only_more_input(&self) -> bool {
        self.connection.has_only_more_input() && !self.lifetime.is_opening()
    }

    /// Makes one `recv`.
    #[inline]
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        self.connection.receive(buffer, &mut self.common.stats)
    }

    /// How much the next `recv` may ask for; `None` if there is no `recv` to make.
    pub(crate) fn receive_limit(&self, buffer: usize) -> Option<usize> {
        let options = self.lifetime.limits(&self.common.options);
        let limit = self.connection.receive_limit(options).min(buffer);
        (limit > 0 && self.connection.can_receive(options)).then_some(limit)
    }

    /// Ends a turn after which the connection has nothing to do until the next event. Returns false if it has more to do.
    #[inline]
    pub(crate) fn finish_quiet_turn(&mut self) -> bool {
        let is_quiet = self.connection.is_quiet() && !self.meta.arm_timers;
        if is_quiet {
            self.store_movement();
        }
        is_quiet
    }

    /// Does the work of [`finish_quiet_turn`](Self::finish_quiet_turn) for a connection that may own an inbox.
    #[inline]
    pub(crate) fn finish_quiet_turn_with_inbox(&mut self) -> bool {
        let is_quiet = self.connection.is_quiet_with_inbox() && !self.meta.arm_timers;
        if is_quiet {
            self.store_movement();
        }
        is_quiet
    }

    /// Takes the bytes that `on_data` left unused: a vector, and how many bytes at its front are consumed already.
    pub(super) fn take_unconsumed(&mut self) -> (Vec<u8>, usize) {
        let inbox = self.connection.take_inbox();
        self.count_memory();
        self.schedule(); // an inbox that was full of held input has room again
        inbox.into_bytes()
    }

    pub(crate) fn pause_reading(&mut self) {
        self.connection.pause();
        self.schedule();
    }

    pub(crate) fn resume_reading(&mut self) {
        // The handler made the pause, not the peer: the idle time of the peer begins again.
        if self.connection.is_paused() && self.has_idle_timeout() {
            self.begin_idle_time();
        }
        self.connection.resume();
        self.schedule();
    }

    /// The handler is shown nothing before `n` bytes are there. If that is more than an inbox takes, the connection ends,
    /// because the message can never be whole.
    /// After a close the handler waits for nothing, and a reset could destroy its last bytes.
    #[inline]
    pub(crate) fn need(&mut self, n: usize) {
        if n <= self.lifetime.limits(&self.common.options).inbox_limit() {
            self.connection.need(n);
        } else if self.connection.phase() < Phase::Flushing {
            self.reset(CloseReason::InboxLimit);
        }
        self.schedule();
    }

    pub(crate) fn pause_when_full(&mut self, on: bool) {
        self.connection.pause_when_full(on);
        self.schedule();
    }

    /// Ends the connection if its inbox is full of an incomplete message, because the rest of the message has no room.
    pub(crate) fn check_inbox(&mut self) {
        let Common { options, .. } = &*self.common;
        let is_full = self.connection.inbox().len() >= self.lifetime.limits(options).inbox_limit();
        if is_full && !self.connection.is_held() {
            self.connection.end(CloseReason::InboxLimit, Phase::Resetting);
        }
    }

    /// Reads the error of the socket if an event has reported an error that no `recv` or `send` will return. While the
    /// connection is being connected, the connect stage reads the error.
    pub(crate) fn take_unseen_error(&mut self) {
        if !self.lifetime.is_opening()
            && self.connection.take_unseen_error()
            && let Ok(Some(error)) = self.connection.stream().take_error()
        {
            self.connection.fail(error);
        }
    }
}

/// Ending.
impl Entry<'_> {
    pub(crate) fn shutdown_write(&mut self) {
        self.connection.shutdown_write();
        self.schedule();
    }

    pub(crate) fn close(&mut self) {
        self.connection.close(self.common.is_draining());
        self.count_memory(); // the inbox is freed
        self.schedule();
    }

    pub(crate) fn abort(&mut self) {
        self.reset(CloseReason::Aborted);
        self.schedule();
    }

    /// Ends the connection because of a timeout.
    pub(super) fn end_by_limit(&mut self, reason: CloseReason) {
        self.connection.end_by_limit(reason);
        self.count_memory(); // the buffers are freed
        self.queue();
    }

    /// Ends the connection with a reset. Bytes that its callback has gathered are lost. They are counted before the reason
    /// is stored, because a clean reason does not stand if bytes are lost.
    pub(super) fn reset(&mut self, reason: CloseReason) {
        let is_running = self.is_running();
        let Common { callback, .. } = &mut *self.common;
        if is_running && callback.has_gathered() {
            self.connection.lose_bytes();
            callback.clear();
        }
        self.connection.end(reason, Phase::Resetting);
        self.count_memory(); // the buffers are freed
    }

    /// True if the socket outlives its session: everything is sent, and the peer has not ended yet.
    pub(crate) fn lingers(&self) -> bool {
        let Common { options, .. } = &*self.common;
        self.connection.phase() == Phase::Flushing && !self.connection.is_eof() && !options.linger.is_zero()
    }

    /// Begins to linger, and cancels the timers of the session. The caller removes the session. The socket stays until the
    /// peer has ended too, or until the closing timer fires.
    pub(crate) fn begin_lingering(&mut self) {
        self.connection.linger();
        self.meta.arm_timers = false;
        if self.connection.can_receive(&self.common.options) {
            self.queue(); // no further event will announce this input
        }
        for timer in self.lifetime.take_session_timers() {
            self.common.cancel_timer(timer);
        }
    }

    pub(crate) fn set_ready(&mut self, readiness: Readiness) {
        self.connection.set_ready(readiness);
    }
}
