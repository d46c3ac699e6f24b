//! Bytes that a send has taken from the handler and that the kernel has not taken yet.

use std::{collections::VecDeque, iter};

use crate::socket::file::FileRange;

use super::{
    segment::{Owned, Segment},
    shared::SharedBlocks,
    slices::Slices,
};

/// For how many further segments an outbox makes room at first. Making room in smaller steps costs more than the room.
const FIRST_ROOM: usize = 16;

/// A queue of segments. Sends append at the back, and the kernel takes portions of any size at the front.
///
/// An empty outbox is one null pointer, because most connections have nothing to keep most of the time.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Option<Box<Queue>>);

/// The segments of an outbox that is not empty. None of the segments is empty.
#[derive(Debug)]
struct Queue {
    front: Segment,
    behind: VecDeque<Segment>,
    totals: Totals,
}

/// Sums over all segments.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(PartialEq, Eq))]
struct Totals {
    /// More than 64 bits, because a handler may ask for several ranges up to `u64::MAX`, which no file has.
    unsent: u128,
    /// The unsent bytes that are in memory.
    in_memory: usize,
    /// The length of the shared blocks: each segment holds the whole block until the last byte of its range is sent.
    shared: u64,
    /// The storage that the segments own.
    storage: usize,
}

impl Outbox {
    /// Appends a copy of the bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.0.as_mut().is_some_and(|queue| queue.append(bytes)) {
            return;
        }
        self.push_segment(Segment::Owned(Owned::new(bytes.to_vec())));
    }

    /// Appends a segment as it is.
    pub(crate) fn push_segment(&mut self, segment: Segment) {
        match &mut self.0 {
            _ if segment.is_empty() => {}
            Some(queue) => queue.push(segment),
            None => self.0 = Some(Box::new(Queue::new(segment))),
        }
    }

    /// Removes the first `n` bytes, which the kernel has taken.
    pub(crate) fn advance(&mut self, n: usize) {
        let Some(queue) = &mut self.0 else { return };
        debug_assert!(n as u128 <= queue.totals.unsent, "the kernel cannot take more than it was given");
        if n as u128 == queue.totals.unsent {
            return self.clear();
        }
        queue.advance(n as u64);
    }

    /// Removes all segments and frees the storage.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Collects the bytes to send, in order, up to the first file. Returns true if no unsent byte is left out.
    pub(crate) fn collect<'a>(&'a self, into: &mut Slices<'a>) -> bool {
        let Some(queue) = &self.0 else { return true };
        queue.segments().all(|segment| !segment.is_file() && into.push(segment.bytes()))
    }

    /// Returns the bytes to send if all of them stand in one piece: the bytes of the outbox, and the pieces behind the outbox. An
    /// empty piece means that there is nothing to send. `None`: there are several pieces, or a file.
    pub(crate) fn only_piece<'a>(&'a self, behind: [&'a [u8]; 2]) -> Option<&'a [u8]> {
        let queued = match &self.0 {
            None => &[],
            Some(queue) if queue.behind.is_empty() && !queue.front.is_file() => queue.front.bytes(),
            Some(_) => return None,
        };
        match [queued, behind[0], behind[1]] {
            [piece, [], []] | [[], piece, []] | [[], [], piece] => Some(piece),
            _ => None,
        }
    }

    /// The bytes of all segments up to the first file, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let segments = self.0.iter().flat_map(|queue| queue.segments());
        segments.take_while(|segment| !segment.is_file()).map(Segment::bytes)
    }

    /// The outbox leaves a reactor, or joins one: its shared bytes are counted by these blocks from now on.
    pub(crate) fn share_again(&mut self, blocks: &mut SharedBlocks) {
        let Some(queue) = &mut self.0 else { return };
        for segment in iter::once(&mut queue.front).chain(&mut queue.behind) {
            if let Segment::Shared(shared) = segment {
                *shared = shared.share_again(blocks);
            }
        }
    }

    /// Calls `send` with the front segment if that is a file. The caller advances the outbox.
    pub(crate) fn send_front_file<R>(&mut self, send: impl FnOnce(&mut FileRange) -> R) -> Option<R> {
        let Queue { front, totals, .. } = &mut **self.0.as_mut()?;
        let Segment::File(file) = front else { return None };
        let before = file.capacity();
        let result = send(file);
        totals.storage = totals.storage - before + file.capacity();
        Some(result)
    }

    /// How many bytes are unsent, those in files included.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| usize::try_from(queue.totals.unsent).unwrap_or(usize::MAX))
    }

    /// How many unsent bytes are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.totals.in_memory)
    }

    /// The length of the blocks that the outbox shares with others, in bytes. A block counts for each of its segments.
    pub(crate) fn shared(&self) -> u64 {
        self.0.as_ref().map_or(0, |queue| queue.totals.shared)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The storage that the outbox owns, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        let of = |queue: &Queue| queue.totals.storage + queue.behind.capacity() * size_of::<Segment>();
        self.0.as_deref().map_or(0, of)
    }

    /// True if the sums are those of the segments.
    #[cfg(test)]
    pub(crate) fn is_summed_up(&self) -> bool {
        let Some(queue) = &self.0 else { return true };
        let mut totals = Totals::default();
        queue.segments().for_each(|segment| totals.add(segment));
        totals == queue.totals
    }
}

impl Queue {
    fn new(front: Segment) -> Self {
        let mut totals = Totals::default();
        totals.add(&front);
        Self { front, behind: VecDeque::new(), totals }
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        iter::once(&self.front).chain(&self.behind)
    }

    /// Copies bytes into the last segment. Returns false if they belong into a segment of their own.
    fn append(&mut self, bytes: &[u8]) -> bool {
        let last = self.behind.back_mut().unwrap_or(&mut self.front);
        let Segment::Owned(owned) = last else { return false };
        if !owned.has_room(bytes.len()) {
            return false;
        }
        let before = owned.capacity();
        owned.push(bytes);
        self.totals.storage = self.totals.storage - before + owned.capacity();
        self.totals.unsent += bytes.len() as u128;
        self.totals.in_memory += bytes.len();
        true
    }

    fn push(&mut self, segment: Segment) {
        if self.behind.capacity() == 0 {
            self.behind.reserve_exact(FIRST_ROOM);
        }
        self.totals.add(&segment);
        self.behind.push_back(segment);
    }

    /// Removes the first `n` bytes, which are fewer than all.
    fn advance(&mut self, mut n: u64) {
        while n >= self.front.len() {
            n -= self.front.len();
            self.totals.remove(&self.front);
            self.front = self.behind.pop_front().expect("more than `n` bytes are unsent");
        }
        self.totals.remove(&self.front);
        self.front.advance(n);
        self.totals.add(&self.front);
        if self.behind.capacity() > 64 && self.behind.len() < self.behind.capacity() / 4 {
            self.behind.shrink_to(2 * self.behind.len());
        }
    }
}

impl Totals {
    #[inline]
    fn of(segment: &Segment) -> Self {
        let (in_memory, shared, storage) = match segment {
            Segment::Owned(owned) => (owned.len(), 0, owned.capacity()),
            Segment::Shared(part) => (part.len(), part.held(), 0),
            Segment::File(file) => {
                return Self { unsent: file.len().into(), storage: file.capacity(), ..Self::default() };
            }
        };
        Self { unsent: in_memory as u128, in_memory, shared, storage }
    }

    fn add(&mut self, segment: &Segment) {
        let Self { unsent, in_memory, shared, storage } = Self::of(segment);
        self.unsent += unsent;
        self.in_memory += in_memory;
        self.shared += shared;
        self.storage += storage;
    }

    fn remove(&mut self, segment: &Segment) {
        let Self { unsent, in_memory, shared, storage } = Self::of(segment);
        self.unsent -= unsent;
        self.in_memory -= in_memory;
        self.shared -= shared;
        self.storage -= storage;
    }
}

#[cfg(test)]
mod tests;
