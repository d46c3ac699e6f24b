//! The slab of everything that is registered, with what its parts share: all of a reactor but the sessions.

use slab::Slab;

use crate::{
    close::CloseReason,
    conn::ConnId,
    shared::{Head, NO_SLOT, Shared},
    source::{Link, Slot, Source, connection::Phase, listener::ListenerId},
};

#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) slots: Slab<Slot>,
    pub(crate) shared: Shared,
    /// No slot from here on was ever used: where a walk over all of them may end.
    pub(crate) slots_end: u32,
}

impl Sockets {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { slots: Slab::new(), shared, slots_end: 0 }
    }

    /// An empty slot, or `None` when there are as many as there are tokens.
    pub(crate) fn reserve(&mut self) -> Option<u32> {
        if self.slots.len() >= self.shared.capacity {
            return None;
        }
        let entry = self.slots.vacant_entry();
        let head = self.shared.new_head(entry.key());
        let slot = head.slot;
        entry.insert(Slot { head, source: Source::Empty });
        self.slots_end = self.slots_end.max(slot + 1);
        Some(slot)
    }

    /// Gives back a reserved slot under whose token nothing was registered.
    pub(crate) fn release(&mut self, slot: u32) {
        self.slots.remove(slot as usize);
    }

    /// Closes whatever is in a slot. The slot itself is reused only after the pass, so that a late event for the
    /// old source cannot reach a new one.
    pub(crate) fn vacate(&mut self, slot: u32) {
        self.count_for_listener(slot, -1);
        let place = &mut self.slots[slot as usize];
        let (registry, stats) = (&self.shared.registry, &mut self.shared.stats);
        // An error here would mean that the poll has gone; the socket closes either way.
        let deregistered = match &mut place.source {
            Source::Empty => Ok(()),
            Source::Listener(listener) => listener.deregister(registry),
            Source::Connection(link) => {
                stats.open -= 1;
                stats.buffered -= link.connection.memory();
                link.connection.stream_mut().deregister(registry)
            }
        };
        if let Err(error) = deregistered {
            log::debug!("deregistering failed: {error}");
        }
        match &mut place.source {
            Source::Empty => {}
            Source::Listener(listener) => {
                if let Some(timer) = listener.retry {
                    self.shared.timers.cancel(timer);
                }
                self.forget_listener(slot);
            }
            Source::Connection(link) => {
                let closing = link.closing().map(|closing| closing.timer);
                for timer in link.take_timers().chain(closing) {
                    self.shared.timers.cancel(timer);
                }
            }
        }
        self.slots[slot as usize].source = Source::Empty;
        self.shared.vacated.push(slot);
    }

    /// Its slot may become another listener's.
    fn forget_listener(&mut self, slot: u32) {
        for (_, place) in &mut self.slots {
            if place.head.listener == slot {
                place.head.listener = NO_SLOT;
            }
        }
    }

    /// Counts what the buffers of a connection own, and keeps the memory budget: while all together are above it, the
    /// connection that holds the most is reset.
    #[inline]
    pub(crate) fn check_memory(&mut self, slot: u32) {
        if let Some((link, _, shared)) = self.parts(slot)
            && shared.count_memory(&mut link.connection)
        {
            self.keep_memory_budget();
        }
    }

    #[cold]
    fn keep_memory_budget(&mut self) {
        while self.shared.stats.buffered > self.shared.options.memory_budget {
            let peers = self.slots.iter().filter_map(|(slot, place)| match &place.source {
                Source::Connection(link) => Some((link.connection.memory(), slot)),
                _ => None,
            });
            let Some((_, slot)) = peers.max().filter(|(memory, _)| *memory > 0) else { return };
            let Some((link, head, shared)) = self.parts(slot as u32) else { return };
            link.connection.end(CloseReason::MemoryLimit, Phase::Resetting);
            shared.count_memory(&mut link.connection);
            shared.queue(head);
        }
    }

    pub(crate) fn is_listener(&self, id: ListenerId) -> bool {
        let place = self.slots.get(id.slot as usize);
        place.is_some_and(|place| {
            place.head.generation == id.generation && matches!(place.source, Source::Listener(_))
        })
    }

    /// Puts the source in a slot into the queue.
    pub(crate) fn queue(&mut self, slot: u32) {
        self.shared.queue(&mut self.slots[slot as usize].head);
    }

    /// Notes with its listener that a connection has come or gone.
    pub(crate) fn count_for_listener(&mut self, slot: u32, change: isize) {
        let listener = self.slots[slot as usize].head.listener;
        if let Some(listener) = self.slots.get_mut(listener as usize).and_then(Slot::listener_mut) {
            listener.open = listener.open.saturating_add_signed(change);
        }
    }

    /// Frees the slots whose sources are gone; one that still stands in the queue has to wait until it has left.
    #[inline]
    pub(crate) fn free_vacated(&mut self) {
        if !self.shared.vacated.is_empty() {
            self.free_all_vacated();
        }
    }

    #[inline(never)]
    fn free_all_vacated(&mut self) {
        for listener in std::mem::take(&mut self.shared.listeners_waiting) {
            if let Some(slot) = self.slots.get_mut(listener as usize) {
                self.shared.queue(&mut slot.head);
            }
        }
        let mut vacated = std::mem::take(&mut self.shared.vacated);
        vacated.retain(|slot| {
            let keep = self.slots[*slot as usize].head.is_queued();
            if !keep {
                self.slots.remove(*slot as usize);
            }
            keep
        });
        self.shared.vacated = vacated;
    }

    /// The connection in a slot, its head, and what is shared, to be used side by side.
    pub(crate) fn parts(&mut self, slot: u32) -> Option<(&mut Link, &mut Head, &mut Shared)> {
        match self.slots.get_mut(slot as usize)? {
            Slot { head, source: Source::Connection(link) } => Some((link, head, &mut self.shared)),
            _ => None,
        }
    }

    /// The connection in a slot.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn link(&self, slot: u32) -> &Link {
        match &self.slot(slot).source {
            Source::Connection(link) => link,
            _ => panic!("a Conn is made only for a connection"),
        }
    }

    pub(crate) fn slot(&self, slot: u32) -> &Slot {
        &self.slots[slot as usize]
    }

    /// Whether a slot holds a connection whose session is still there: it goes when lingering begins.
    pub(crate) fn has_session(&self, slot: u32) -> bool {
        match self.slots.get(slot as usize) {
            Some(Slot { source: Source::Connection(link), .. }) => {
                link.connection.phase() != Phase::Lingering
            }
            _ => false,
        }
    }

    pub(crate) fn is_open(&self, id: ConnId) -> bool {
        self.has_session(id.slot) && self.slot(id.slot).head.id() == id
    }
}

/// A host's poll may outlive the reactor: it must not be left with sources that are gone.
impl Drop for Sockets {
    fn drop(&mut self) {
        let registry = &self.shared.registry;
        for (_, place) in &mut self.slots {
            // If the poll has gone, so has the registration.
            let _ = match &mut place.source {
                Source::Empty => Ok(()),
                Source::Listener(listener) => listener.deregister(registry),
                Source::Connection(link) => link.connection.stream_mut().deregister(registry),
            };
        }
    }
}
