//! Listeners, and what accepting does when a resource is used up.

use std::{io, time::Instant};

#[cfg(unix)]
use crate::socket::unix::SocketFile;
use crate::{id::ListenerId, options::WhenFull, socket::listener::Accept};

use super::{common::Common, listener::ListenerRecord, state::Engine, timer_kind::TimerKind};

impl Engine {
    /// The slots of all listeners.
    pub(crate) fn listeners(&self) -> Vec<u32> {
        self.table.listeners().to_vec()
    }

    /// The listener of an id, unless it is closed.
    pub(crate) fn listener(&self, id: ListenerId) -> Option<&ListenerRecord> {
        self.table.listener(id)
    }

    /// The id of the listener in a slot.
    pub(crate) fn listener_id(&self, slot: u32) -> ListenerId {
        self.table.listener_id(slot)
    }

    pub(crate) fn close_listener(&mut self, id: ListenerId) {
        if self.table.has_listener(id) {
            self.vacate(id.slot());
        }
    }

    /// The host wants no more clients of this listener, or wants them again.
    pub(crate) fn set_listener_paused(&mut self, id: ListenerId, paused: bool) {
        if self.table.has_listener(id)
            && let Some(listener) = self.table.listener_mut(id.slot())
        {
            listener.set_paused(paused);
            self.queue(id.slot());
        }
    }

    /// True if clients of the listener in a slot may wait and are wanted.
    pub(crate) fn can_accept(&mut self, slot: u32) -> bool {
        self.table.listener_mut(slot).is_some_and(|listener| listener.is_ready())
    }

    /// The policy of the listener in a slot for clients for whom there is no place.
    pub(crate) fn when_full(&mut self, slot: u32) -> WhenFull {
        self.table.listener_mut(slot).map_or(WhenFull::Wait, |listener| listener.when_full())
    }

    /// Makes the listener in a slot try to accept without an event. Returns the length of its backlog.
    pub(crate) fn try_backlog(&mut self, slot: u32) -> usize {
        self.table.listener_mut(slot).map_or(0, |listener| {
            listener.set_readable();
            listener.backlog()
        })
    }

    /// Queues the listener in a slot again, unless it was closed meanwhile.
    pub(crate) fn queue_listener(&mut self, slot: u32) {
        if self.table.listener_mut(slot).is_some() {
            self.queue(slot);
        }
    }

    pub(crate) fn count_accepted(&mut self) {
        let Common { stats, .. } = &mut self.common;
        stats.accepted += 1;
    }

    /// A client was closed at once, because there are as many connections as may be.
    pub(crate) fn count_refused_full(&mut self) {
        let Common { stats, .. } = &mut self.common;
        stats.refused_full += 1;
    }

    /// `on_accept` returned `None`: counts the client as refused, and closes it.
    pub(crate) fn refuse_by_handler(&mut self, slot: u32) {
        let Common { stats, .. } = &mut self.common;
        stats.refused_handler += 1;
        self.vacate(slot);
    }

    /// Clients were turned away because no descriptor was left. Returns true if the reserve could be had again.
    pub(crate) fn count_shed(&mut self, clients: u64, error: &io::Error) -> bool {
        let Common { stats, reserve, clock, .. } = &mut self.common;
        stats.refused_descriptors += clients;
        reserve.refill();
        if clients > 0 {
            clock.warn_rarely(format_args!("{clients} clients were turned away: {error}"));
        }
        reserve.is_full()
    }

    /// Accepting pauses until a source closes, or until a timer fires.
    pub(crate) fn pause_accepting(&mut self, slot: u32, until: Instant, error: &io::Error) {
        let Common { stats, clock, .. } = &mut self.common;
        stats.accept_errors += 1;
        clock.warn_rarely(format_args!("accepting pauses: {error}"));
        self.wait_for_a_close(slot);
        self.retry_accept_at(slot, until);
    }

    /// Sets the options of a listener that the host made.
    pub(crate) fn configure_adopted(&mut self, listener: ListenerId) {
        if let Some(listener) = self.table.listener_mut(listener.slot()) {
            listener.configure_adopted(&self.common.options);
        }
    }

    /// The file of a Unix socket is removed when its listener is closed.
    #[cfg(unix)]
    pub(crate) fn own_file(&mut self, listener: ListenerId, file: SocketFile) {
        if let Some(listener) = self.table.listener_mut(listener.slot()) {
            listener.socket.own(file);
        }
    }

    /// A client's socket cannot be registered: its reserved slot is given back.
    pub(crate) fn refuse(&mut self, slot: u32, error: &io::Error) {
        let Common { stats, clock, .. } = &mut self.common;
        stats.refused_error += 1;
        clock.warn_rarely(format_args!("a client was refused, its socket cannot be registered: {error}"));
        self.table.vacate(slot);
    }

    /// True if a further client of this listener has no place.
    pub(crate) fn is_full(&mut self, listener: u32) -> bool {
        let Common { stats, options, .. } = &self.common;
        stats.open >= options.max_connections
            || self.table.is_full()
            || self.table.listener_mut(listener).is_some_and(|listener| listener.is_full())
    }

    /// Takes the next client from the backlog of the listener in a slot.
    pub(crate) fn accept(&mut self, listener: u32) -> Accept {
        match self.table.listener_mut(listener) {
            Some(listener) => listener.accept(&self.common.options),
            None => Accept::WouldBlock,
        }
    }

    /// Sets the timer that ends a pause of accepting, unless there is one.
    fn retry_accept_at(&mut self, slot: u32, at: Instant) {
        if let Some(listener) = self.table.listener_mut(slot)
            && listener.retry.is_none()
        {
            listener.retry = Some(self.common.set_timer(at, TimerKind::AcceptRetry(slot)));
        }
    }

    /// A listener whose accepting has paused tries again.
    pub(crate) fn retry_accept(&mut self, slot: u32) {
        if let Some(listener) = self.table.listener_mut(slot) {
            listener.retry = None;
            self.queue(slot);
        }
    }

    pub(crate) fn refill_reserve(&mut self) {
        let Common { reserve, .. } = &mut self.common;
        reserve.refill();
    }

    /// The listener tries again when a source closes.
    pub(crate) fn wait_for_a_close(&mut self, listener: u32) {
        let Common { reserve, .. } = &mut self.common;
        reserve.wait_for_a_close(listener);
    }

    /// Gives the spare descriptor up, so that one client more can be accepted.
    pub(crate) fn give_up_reserve(&mut self) {
        let Common { reserve, .. } = &mut self.common;
        reserve.give_up();
    }
}
