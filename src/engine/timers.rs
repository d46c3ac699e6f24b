//! All deadlines of a reactor, in one indexed heap.
//!
//! The heap is a plain `Vec`, ordered by deadline and then by the order in which the timers were set. A table beside the
//! heap stores the position of each timer in the heap, so a cancelled timer is removed at once: a server that sets a timeout
//! for each request and cancels nearly all of them holds only the timers that are still set.
//!
//! The timers read no clock. The caller passes instants in.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use slab::Slab;

use crate::id::TimerId;

/// All timers of a reactor. `K` describes the action of a timer when it fires.
#[derive(Debug)]
pub(super) struct Timers<K> {
    heap: Vec<Node>,
    /// The position in `heap` and the action of each timer. A `TimerId` names a slot of this table, because slots do not
    /// move.
    slots: Slab<Slot<K>>,
    /// The number of inserts and moves so far. A timer that was set later has a higher sequence.
    sequence: u64,
    /// The instant from which `due` counts.
    base: Instant,
    /// The time of the latest pass. A deadline before this time counts as this time.
    floor: u64,
    /// The number of timers that were removed since `slots` shrank last.
    vacated: usize,
}

/// One pass over the timers: it fires the timers that are due at `now`, but no timer that is set during the pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DuePass {
    now: u64,
    before: u64,
}

impl<K> Timers<K> {
    /// `base` is the earliest time: an earlier time that is passed in later counts as `base`.
    pub(super) fn new(base: Instant) -> Self {
        Self { heap: Vec::new(), slots: Slab::new(), sequence: 0, base, floor: 0, vacated: 0 }
    }

    /// Sets a timer. A deadline in the past counts as the time of the latest pass, so the timer fires after the timers that
    /// this pass has left.
    pub(super) fn insert(&mut self, at: Instant, what: K) -> TimerId {
        let (due, sequence) = self.order(at);
        // The low half of the sequence is enough to tell the timers of one slot apart.
        let generation = NonZeroU32::new(sequence as u32).unwrap_or(NonZeroU32::MAX);
        let position = self.heap.len();
        let slot = self.slots.insert(Slot { position: position as u32, generation, what });
        let slot = u32::try_from(slot).expect("memory ends long before four thousand million timers");
        self.heap.push(Node { due, sequence, slot });
        self.sift(position);
        TimerId::new(slot, generation)
    }

    /// Removes a timer before it fires. Returns `None` if the timer fired or was cancelled before.
    pub(super) fn cancel(&mut self, id: TimerId) -> Option<K> {
        self.position(id).map(|position| self.remove(position))
    }

    /// Gives a timer another deadline. The timer counts as set now, but keeps its id. Returns false if the timer is gone.
    pub(super) fn move_to(&mut self, id: TimerId, at: Instant) -> bool {
        let Some(position) = self.position(id) else { return false };
        let (due, sequence) = self.order(at);
        let timer = &mut self.heap[position];
        (timer.due, timer.sequence) = (due, sequence);
        self.sift(position);
        true
    }

    /// The description of a timer, to be changed in place; `None` if the timer fired or was cancelled before.
    pub(super) fn get_mut(&mut self, id: TimerId) -> Option<&mut K> {
        let slot = self.slots.get_mut(id.slot() as usize)?;
        (slot.generation == id.generation()).then_some(&mut slot.what)
    }

    /// Begins a pass: see [`pop_due`](Self::pop_due).
    pub(super) fn begin(&mut self, now: Instant) -> DuePass {
        let now = self.nanoseconds(now);
        self.floor = now;
        DuePass { now, before: self.sequence }
    }

    /// Removes the next timer that is due in this pass, and returns the timer with its id. The caller loops until `None`.
    ///
    /// A timer that is set or moved after the pass began waits for the next pass, even if it is due: a timer that always
    /// sets itself again in the past fires once a pass, and can neither hold the loop nor fire before the others.
    pub(super) fn pop_due(&mut self, pass: DuePass) -> Option<K> {
        // Only the first timer has to be compared. A timer that was set during the pass is due at the pass's `now` or later,
        // and has a higher sequence; so all timers that this pass may fire stand before it.
        let first = self.heap.first()?;
        let fires = first.due <= pass.now && first.sequence < pass.before;
        if !fires {
            return None;
        }
        Some(self.remove(0))
    }

    /// The deadline of the first timer; it may be in the past.
    pub(super) fn next(&self) -> Option<Instant> {
        // A deadline that the clock cannot reach counts as never.
        self.base.checked_add(Duration::from_nanos(self.heap.first()?.due))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// All timers, in no particular order.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (TimerId, &K)> {
        self.slots.iter().map(|(slot, timer)| (TimerId::new(slot as u32, timer.generation), &timer.what))
    }
}

#[derive(Debug)]
struct Node {
    /// The deadline, or the time of the pass in or after which the timer was set, if that is later. The unit is nanoseconds
    /// since `base`, because an `Instant` is twice as large and each connection may have a timer.
    due: u64,
    sequence: u64,
    slot: u32,
}

#[derive(Debug)]
struct Slot<K> {
    position: u32,
    generation: NonZeroU32,
    what: K,
}

/// The room for this many timers is never given back: it is too little to be worth a reallocation.
const KEPT: usize = 64;

impl<K> Timers<K> {
    /// The place in the order for a timer that is set now.
    fn order(&mut self, at: Instant) -> (u64, u64) {
        let sequence = self.sequence;
        self.sequence += 1;
        // Without the floor, a timer that sets itself again in the far past would stand first in every pass, and if passes
        // are cut short, as by a turn with an end, no other timer would fire.
        (self.nanoseconds(at).max(self.floor), sequence)
    }

    /// The time since `base`. 64 bits hold 584 years.
    fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.base).as_nanos()).unwrap_or(u64::MAX)
    }

    fn position(&self, id: TimerId) -> Option<usize> {
        let slot = self.slots.get(id.slot() as usize)?;
        (slot.generation == id.generation()).then_some(slot.position as usize)
    }

    fn remove(&mut self, position: usize) -> K {
        let node = self.heap.swap_remove(position);
        let what = self.slots.remove(node.slot as usize).what;
        if position < self.heap.len() {
            self.sift(position); // the last timer of the heap has taken the place
        }
        self.give_back();
        what
    }

    /// Returns memory after many timers were removed. The cost of each step is a constant for each removal since the last
    /// step.
    fn give_back(&mut self) {
        let capacity = self.heap.capacity();
        if capacity > KEPT && self.heap.len() < capacity / 4 {
            self.heap.shrink_to(capacity / 2);
        }
        // Ids name slots of the table, so the table can shrink only to its last slot in use. That slot may be in use for
        // long, so the next attempt waits for as many removals as outweigh a walk over the table.
        self.vacated += 1;
        let capacity = self.slots.capacity();
        let worth_it = self.slots.is_empty() || self.vacated > capacity / 2;
        if capacity > KEPT && self.slots.len() < capacity / 4 && worth_it {
            self.slots.shrink_to_fit();
            self.vacated = 0;
        }
    }

    /// Moves the timer at `position` up or down to its place in the order.
    fn sift(&mut self, mut position: usize) {
        while position > 0 && self.is_before(position, (position - 1) / 2) {
            position = self.swap(position, (position - 1) / 2);
        }
        loop {
            let children = 2 * position + 1..self.heap.len().min(2 * position + 3);
            let first = children.fold(position, |a, b| if self.is_before(b, a) { b } else { a });
            if first == position {
                break;
            }
            position = self.swap(position, first);
        }
        self.record_position(position);
    }

    /// True if the timer at position `a` fires before the timer at position `b`. No two timers have an equal sequence, so two
    /// timers are never equal.
    fn is_before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.heap[a], &self.heap[b]);
        (a.due, a.sequence) < (b.due, b.sequence)
    }

    /// Moves the timer that is being sifted on to `to`. The table learns the position of the timer that made room at once,
    /// and the position of the sifted timer when it arrives.
    fn swap(&mut self, from: usize, to: usize) -> usize {
        self.heap.swap(from, to);
        self.record_position(from);
        to
    }

    /// Stores in the table which timer stands at `position` of the heap.
    fn record_position(&mut self, position: usize) {
        let slot = self.heap[position].slot as usize;
        self.slots[slot].position = position as u32; // there are as many timers as slots, and slots have 32 bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn fresh<K>() -> (Instant, Timers<K>) {
        let base = Instant::now();
        (base, Timers::new(base))
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// All that one pass fires.
    fn fire<K>(timers: &mut Timers<K>, now: Instant) -> Vec<K> {
        let pass = timers.begin(now);
        std::iter::from_fn(|| timers.pop_due(pass)).collect()
    }

    #[test]
    fn timers_fire_by_deadline_and_timers_with_equal_deadlines_in_the_order_of_setting() {
        let (base, mut timers) = fresh();
        let century = 36_525 * 86_400;
        for timer in [(3 * century, 'a'), (1, 'b'), (4, 'c'), (1, 'd'), (0, 'e'), (3, 'f'), (1, 'g')] {
            timers.insert(base + seconds(timer.0), timer);
        }
        assert_eq!(timers.next(), Some(base));
        assert_eq!(fire(&mut timers, base + seconds(3)), [(0, 'e'), (1, 'b'), (1, 'd'), (1, 'g'), (3, 'f')]);
        assert_eq!(timers.next(), Some(base + seconds(4)));
        assert_eq!(fire(&mut timers, base + seconds(century)), [(4, 'c')]);
        assert_eq!(fire(&mut timers, base + seconds(3 * century)), [(3 * century, 'a')]);
        assert_eq!((timers.next(), timers.len()), (None, 0));
    }

    #[test]
    fn a_cancelled_timer_never_fires_and_a_moved_one_fires_once() {
        let (base, mut timers) = fresh();
        let [a, b, c] = ["a", "b", "c"].map(|name| timers.insert(base + seconds(5), name));
        assert_eq!((timers.cancel(b), timers.cancel(b), timers.len()), (Some("b"), None, 2));
        assert!(!timers.move_to(b, base) && timers.move_to(a, base + seconds(9)) && timers.move_to(c, base));
        assert_eq!(fire(&mut timers, base), ["c"]);
        let d = timers.insert(base + seconds(9), "d");
        assert!(timers.move_to(a, base + seconds(9)), "to the same deadline, and so behind d");
        assert_eq!(fire(&mut timers, base + seconds(9)), ["d", "a"]);
        assert_eq!((timers.cancel(a), timers.cancel(d), timers.len()), (None, None, 0));
    }

    #[test]
    fn a_stale_id_does_not_reach_the_timer_that_took_its_slot() {
        let (base, mut timers) = fresh();
        let old = timers.insert(base, "old");
        let pass = timers.begin(base);
        assert_eq!(timers.pop_due(pass), Some("old"));
        let new = timers.insert(base, "new");
        assert_eq!(old.slot(), new.slot(), "this test is about a reused slot");
        assert_eq!((timers.cancel(old), timers.move_to(old, base)), (None, false));
        assert_eq!(timers.cancel(new), Some("new"));
    }

    #[test]
    fn a_timer_set_again_in_the_past_fires_once_a_pass_and_after_the_others() {
        let (base, mut timers) = fresh();
        let now = base + seconds(10);
        let [_, _, moved] = ["again", "a", "moved"].map(|name| timers.insert(base, name));
        let mut fired = Vec::new();
        let pass = timers.begin(now);
        while let Some(name) = timers.pop_due(pass) {
            fired.push(name);
            if name == "again" {
                timers.insert(base, name);
                timers.move_to(moved, base);
            }
        }
        assert_eq!(fired, ["again", "a"]);
        assert!(timers.next() <= Some(now), "the rest is due at once");
        // A pass that is cut short after one timer: the one that comes again does not always come first.
        let pass = timers.begin(now);
        assert_eq!(timers.pop_due(pass), Some("again"));
        timers.insert(base, "again");
        assert_eq!(fire(&mut timers, now), ["moved", "again"]);
    }

    #[test]
    fn memory_is_given_back_after_a_wave_of_timers() {
        let (base, mut timers) = fresh();
        let first = timers.insert(base + seconds(1_000_000), 0);
        let wave: Vec<_> = (0..100_000).map(|n| timers.insert(base + seconds(n), n)).collect();
        wave.into_iter().rev().for_each(|id| assert!(timers.cancel(id).is_some()));
        assert!(timers.heap.capacity().max(timers.slots.capacity()) <= 2 * KEPT, "though one is left");
        timers.cancel(first);
        (0..100_000).for_each(|n| _ = timers.insert(base + seconds(n), n));
        assert_eq!(fire(&mut timers, base + seconds(99_999)).len(), 100_000);
        assert!(timers.heap.capacity().max(timers.slots.capacity()) <= KEPT, "none is left");
    }

    #[test]
    fn a_random_mix_agrees_with_a_naive_model_in_bounded_memory() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let ((base, mut timers), mut model) = (fresh(), BTreeMap::new());
        let (mut now, mut ids, mut peak, mut set) = (base, Vec::new(), KEPT, 0);
        for step in 0..260_000 {
            let at = base + Duration::from_millis(step / 100 + random(200)); // coarse: many are equal
            let due = at.max(now);
            let any = random(ids.len() as u64 + 1) as usize;
            match (random(10), ids.get_mut(any)) {
                (0..3, Some((id, key))) => {
                    assert_eq!(timers.cancel(*id), model.remove(key));
                    if random(4) > 0 {
                        ids.swap_remove(any); // else it is kept, to be tried again when it is stale
                    }
                }
                (3..5, Some((id, key))) => {
                    let what = model.remove(key);
                    assert_eq!(timers.move_to(*id, at), what.is_some());
                    *key = (due, step);
                    model.extend(what.map(|what| (*key, what)));
                }
                (5, _) => {
                    // Ahead of the deadlines to come, so that some of those are in the past.
                    now = base + Duration::from_millis(step / 100 + 50);
                    let later = model.split_off(&(now, u64::MAX));
                    let due: Vec<_> = std::mem::replace(&mut model, later).into_values().collect();
                    assert_eq!(fire(&mut timers, now), due);
                }
                _ => {
                    set += 1;
                    ids.push((timers.insert(at, set), (due, step)));
                    model.insert((due, step), set);
                }
            }
            peak = peak.max(timers.len());
            assert_eq!(timers.next(), model.keys().next().map(|(due, _)| *due));
            assert_eq!((timers.len(), timers.slots.len()), (model.len(), model.len()));
        }
        assert!(set > 100_000 && peak < 10_000, "most of them came and went");
        assert!(timers.heap.capacity().max(timers.slots.capacity()) <= 2 * peak);
    }
}
