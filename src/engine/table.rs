//! The slab of all sources: how slots are reserved, filled, emptied and used again.

use slab::Slab;

use crate::{
    connection::{Connection, Phase},
    id::{ConnId, ListenerId, NO_SLOT, SocketId, SourceId},
    socket::stream::Stream,
};

use super::{
    datagram::record::DatagramRecord,
    listener::ListenerRecord,
    source::{ConnectionRecord, Slot, SlotMeta, Source},
    watched::WatchedRecord,
};

/// Room for this many slots is kept, since less is not worth a reallocation.
const KEPT: usize = 64;

#[derive(Debug)]
pub(super) struct Table {
    slots: Slab<Slot>,
    /// How many slots the range of tokens allows.
    capacity: usize,
    /// The generation of the slot that was reserved last. It wraps.
    generation: u32,
    /// The slots that hold connections, in no particular order: a walk costs what is open now, not what once was.
    connections: Vec<u32>,
    /// The slots that hold listeners, in the order in which these were opened.
    listeners: Vec<u32>,
    /// The slots that hold datagram sockets, in the order in which these were bound.
    sockets: Vec<u32>,
    /// Slots whose source is gone. They are reused only after the pass, so that a late event for the old source cannot
    /// reach a new one.
    vacated: Vec<u32>,
    /// Slots that were freed since the storage was last asked to shrink.
    freed: usize,
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slots: Slab::new(),
            capacity,
            generation: 0,
            connections: Vec::new(),
            listeners: Vec::new(),
            sockets: Vec::new(),
            vacated: Vec::new(),
            freed: 0,
        }
    }

    /// Reserves a slot. Returns `None` if the number of slots has reached the number of tokens.
    pub(super) fn reserve(&mut self) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let generation = self.next_generation();
        let vacant = self.slots.vacant_entry();
        let slot = u32::try_from(vacant.key()).expect("the capacity fits a u32");
        vacant.insert(Slot { meta: SlotMeta::new(slot, generation), source: Source::Reserved });
        Some(slot)
    }

    /// Gives back a reserved slot under whose token nothing was registered.
    pub(super) fn release(&mut self, slot: u32) {
        self.slots.remove(slot as usize);
    }

    /// An id for a connection for which there is no slot.
    pub(super) fn id_without_slot(&mut self) -> ConnId {
        ConnId::new(NO_SLOT, self.next_generation())
    }

    /// Puts a connection into its reserved slot.
    pub(super) fn place_connection(&mut self, slot: u32, connection: Connection<Stream>) {
        let position = self.connections.len() as u32; // there are no more than slots, whose numbers fit
        let place = &mut self.slots[slot as usize];
        place.source = Source::Connection(ConnectionRecord::new(connection));
        place.meta.position = position;
        self.connections.push(slot);
    }

    /// Puts a listener into its reserved slot.
    pub(super) fn place_listener(&mut self, slot: u32, listener: ListenerRecord) -> ListenerId {
        let place = &mut self.slots[slot as usize];
        place.source = Source::Listener(Box::new(listener));
        self.listeners.push(slot);
        ListenerId::new(slot, place.meta.generation())
    }

    /// Makes a reserved slot that of a watched source.
    pub(super) fn place_watched(&mut self, slot: u32) -> SourceId {
        let place = &mut self.slots[slot as usize];
        place.source = Source::Watched(WatchedRecord::default());
        SourceId::new(slot, place.meta.generation())
    }

    pub(super) fn is_watched(&self, id: SourceId) -> bool {
        matches!(
            self.slots.get(id.slot() as usize),
            Some(Slot { meta, source: Source::Watched(_) }) if meta.generation() == id.generation()
        )
    }

    /// Puts a datagram socket into its reserved slot.
    pub(super) fn place_datagram(&mut self, slot: u32, record: Box<DatagramRecord>) -> SocketId {
        let place = &mut self.slots[slot as usize];
        place.source = Source::Datagram(record);
        self.sockets.push(slot);
        SocketId::new(slot, place.meta.generation())
    }

    /// Takes the source out of its slot, which is free after the pass.
    pub(super) fn vacate(&mut self, slot: u32) -> Source {
        let place = &mut self.slots[slot as usize];
        let source = std::mem::replace(&mut place.source, Source::Vacated);
        let listener = place.meta.listener;
        self.vacated.push(slot);
        match source {
            Source::Reserved | Source::Vacated | Source::Watched(_) => {}
            Source::Datagram(_) => self.sockets.retain(|other| *other != slot),
            Source::Listener(_) => {
                self.listeners.retain(|other| *other != slot);
                // Another listener may get this slot: it must not count the connections of this one.
                for connection in &self.connections {
                    let meta = &mut self.slots[*connection as usize].meta;
                    if meta.listener == slot {
                        meta.listener = NO_SLOT;
                    }
                }
            }
            Source::Connection(_) => {
                self.unlist(slot);
                if let Some(listener) = self.listener_mut(listener) {
                    listener.count_closed();
                }
            }
        }
        source
    }

    /// Takes a connection out of its slot in the midst of a pass, where a walk over the list of connections may be under way. So
    /// the slot stays in the list until the vacated slots are freed.
    pub(super) fn detach(&mut self, slot: u32) -> Source {
        let place = &mut self.slots[slot as usize];
        let source = std::mem::replace(&mut place.source, Source::Vacated);
        let listener = place.meta.listener;
        self.vacated.push(slot);
        if let Some(listener) = self.listener_mut(listener) {
            listener.count_closed();
        }
        source
    }

    /// Takes a slot off the list of connections. The last slot of the list takes its place.
    fn unlist(&mut self, slot: u32) {
        let position = std::mem::replace(&mut self.slots[slot as usize].meta.position, NO_SLOT);
        if position == NO_SLOT {
            return;
        }
        self.connections.swap_remove(position as usize);
        if let Some(moved) = self.connections.get(position as usize) {
            self.slots[*moved as usize].meta.position = position;
        }
    }

    /// Records which listener accepted the connection in a slot, and counts the connection at that listener. Does nothing if
    /// the listener is closed.
    pub(super) fn set_listener_of(&mut self, slot: u32, listener: ListenerId) {
        if self.has_listener(listener) {
            self.slots[slot as usize].meta.listener = listener.slot();
            if let Some(listener) = self.listener_mut(listener.slot()) {
                listener.count_opened();
            }
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(slot as usize)
    }

    pub(super) fn meta_mut(&mut self, slot: u32) -> &mut SlotMeta {
        &mut self.slots[slot as usize].meta
    }

    pub(super) fn id(&self, slot: u32) -> ConnId {
        self.slots[slot as usize].meta.id()
    }

    /// The connection in a slot; `None` if the slot holds none.
    pub(super) fn connection(&self, slot: u32) -> Option<&Connection<Stream>> {
        match &self.slots.get(slot as usize)?.source {
            Source::Connection(record) => Some(&record.connection),
            Source::Listener(_)
            | Source::Watched(_)
            | Source::Datagram(_)
            | Source::Reserved
            | Source::Vacated => None,
        }
    }

    /// The listener of an id, unless it is closed.
    pub(super) fn listener(&self, id: ListenerId) -> Option<&ListenerRecord> {
        match self.slots.get(id.slot() as usize)? {
            Slot { meta, source: Source::Listener(listener) } if meta.generation() == id.generation() => {
                Some(listener)
            }
            _ => None,
        }
    }

    /// The listener in a slot; `None` if the slot holds none.
    pub(super) fn listener_mut(&mut self, slot: u32) -> Option<&mut ListenerRecord> {
        match &mut self.slots.get_mut(slot as usize)?.source {
            Source::Listener(listener) => Some(listener),
            Source::Connection(_)
            | Source::Watched(_)
            | Source::Datagram(_)
            | Source::Reserved
            | Source::Vacated => None,
        }
    }

    /// The id of the listener in a slot.
    pub(super) fn listener_id(&self, slot: u32) -> ListenerId {
        ListenerId::new(slot, self.slots[slot as usize].meta.generation())
    }

    /// The listener that accepted the connection in a slot, unless it is closed.
    pub(super) fn listener_of(&self, slot: u32) -> Option<ListenerId> {
        let listener = self.slots.get(slot as usize)?.meta.listener;
        (listener != NO_SLOT).then(|| self.listener_id(listener))
    }

    /// True if the slot holds a connection that is not open yet.
    pub(super) fn is_connecting(&self, slot: u32) -> bool {
        match self.slots.get(slot as usize).map(|slot| &slot.source) {
            Some(Source::Connection(record)) => record.lifetime.is_opening(),
            _ => false,
        }
    }

    pub(super) fn has_listener(&self, id: ListenerId) -> bool {
        self.listener(id).is_some()
    }

    /// True if the slot holds a connection whose session is still there. The session goes when lingering begins.
    pub(super) fn has_session(&self, slot: u32) -> bool {
        self.connection(slot).is_some_and(|connection| connection.phase() != Phase::Lingering)
    }

    /// True if the id names a connection that has a session.
    pub(super) fn is_open(&self, id: ConnId) -> bool {
        self.has_session(id.slot()) && self.id(id.slot()) == id
    }

    /// True if the id names a connection, whether it lingers or not.
    pub(super) fn is_current(&self, id: ConnId) -> bool {
        self.connection(id.slot()).is_some() && self.id(id.slot()) == id
    }

    /// The slots of all connections, those that linger included. New connections are appended.
    pub(super) fn connections(&self) -> &[u32] {
        &self.connections
    }

    pub(super) fn listeners(&self) -> &[u32] {
        &self.listeners
    }

    /// The slots of all datagram sockets.
    pub(super) fn sockets(&self) -> &[u32] {
        &self.sockets
    }

    /// True if the id names a datagram socket that is open.
    pub(super) fn has_datagram(&self, id: SocketId) -> bool {
        self.slots.get(id.slot() as usize).is_some_and(|slot| {
            matches!(slot.source, Source::Datagram(_)) && slot.meta.generation() == id.generation()
        })
    }

    /// The datagram socket in a slot; `None` if the slot holds none.
    pub(super) fn datagram(&self, slot: u32) -> Option<&DatagramRecord> {
        match &self.slots.get(slot as usize)?.source {
            Source::Datagram(record) => Some(record),
            Source::Listener(_)
            | Source::Connection(_)
            | Source::Watched(_)
            | Source::Reserved
            | Source::Vacated => None,
        }
    }

    pub(super) fn sources_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().map(|(_, slot)| slot)
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.slots.iter().map(|(slot, place)| (slot as u32, place))
    }

    #[cfg(test)]
    pub(super) fn vacated(&self) -> &[u32] {
        &self.vacated
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.capacity
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// All slots are below this one.
    pub(super) fn slots_end(&self) -> usize {
        self.slots.capacity()
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// True if the source in a slot was created after the given generation. Generations wrap.
    pub(super) fn is_younger(&self, slot: u32, generation: u32) -> bool {
        let Some(place) = self.slots.get(slot as usize) else { return false };
        let age = place.meta.generation().wrapping_sub(generation);
        age > 0 && age <= self.generation.wrapping_sub(generation)
    }

    #[inline]
    pub(super) fn has_vacated(&self) -> bool {
        !self.vacated.is_empty()
    }

    /// Frees the slots whose sources are gone. A slot that still stands in the queue waits until it has left. Returns true
    /// if the storage has become smaller.
    pub(super) fn free_vacated(&mut self) -> bool {
        for index in 0..self.vacated.len() {
            self.unlist(self.vacated[index]); // the connection may have been detached
        }
        let slots = &mut self.slots;
        let before = self.vacated.len();
        self.vacated.retain(|slot| {
            let is_queued = slots[*slot as usize].meta.queued;
            if !is_queued {
                slots.remove(*slot as usize);
            }
            is_queued
        });
        self.freed += before - self.vacated.len();
        self.shrink()
    }

    /// Returns storage after many connections have ended. The slab can only lose its end, up to the last slot in use, so
    /// the next try waits for as many freed slots as make up for its cost.
    fn shrink(&mut self) -> bool {
        let capacity = self.slots.capacity();
        let pays = self.slots.is_empty() || self.freed > capacity / 2;
        if capacity <= KEPT || self.slots.len() >= capacity / 4 || !pays {
            return false;
        }
        self.freed = 0;
        self.slots.shrink_to_fit();
        for list in [&mut self.connections, &mut self.vacated] {
            list.shrink_to(list.len().max(KEPT));
        }
        true
    }

    fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }
}

#[cfg(test)]
mod tests;
