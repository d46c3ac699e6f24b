//! The memory budget: which connection is reset when all buffers together own too much.

use std::collections::BinaryHeap;

/// Finds the connection whose buffers own the most memory.
///
/// When the budget is exceeded for the first time, all connections are put into a heap; after that, each growth of a
/// connection adds an entry. An entry may be out of date: it is compared with the connection when it comes to the top. If
/// too many entries are out of date, the heap is dropped and made again at the next excess. So an excess costs O(log n) on
/// average, and a reactor that stays within its budget pays nothing.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    limit: usize,
    /// Bytes and slots; `None` until the budget is exceeded.
    owners: Option<BinaryHeap<(u32, u32)>>,
}

impl MemoryBudget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, owners: None }
    }

    #[inline]
    pub(super) fn is_exceeded(&self, held: usize) -> bool {
        held > self.limit
    }

    /// The buffers of a connection may own more than before. `connections` is the number of all connections.
    #[inline]
    pub(super) fn may_have_grown(&mut self, slot: u32, bytes: impl FnOnce() -> u32, connections: usize) {
        let Some(owners) = &mut self.owners else { return };
        owners.push((bytes(), slot));
        // So many entries are out of date that looking at all connections again, at the next excess, is cheaper.
        if owners.len() > 1024 + 4 * connections {
            self.owners = None;
        }
    }

    /// Takes out the slot whose buffers own the most. `all` lists every connection with its bytes, `bytes_of` says how many
    /// bytes the connection in a slot owns now.
    pub(super) fn take_largest<I>(
        &mut self,
        all: impl FnOnce() -> I,
        bytes_of: impl Fn(u32) -> u32,
    ) -> Option<u32>
    where
        I: Iterator<Item = (u32, u32)>,
    {
        let owners = self.owners.get_or_insert_with(|| all().filter(|(bytes, _)| *bytes > 0).collect());
        while let Some((bytes, slot)) = owners.pop() {
            let now = bytes_of(slot);
            if now == bytes {
                return Some(slot);
            }
            if 0 < now && now < bytes {
                owners.push((now, slot));
            } // else the connection is gone, or its growth added an entry of its own
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Connections whose sizes a test changes, with a count of all looks at them.
    struct Owners {
        bytes: Vec<u32>,
        budget: MemoryBudget,
        looks: Cell<usize>,
    }

    impl Owners {
        fn new(bytes: Vec<u32>) -> Self {
            Self { bytes, budget: MemoryBudget::new(0), looks: Cell::new(0) }
        }

        fn set(&mut self, slot: usize, bytes: u32) {
            if bytes > self.bytes[slot] {
                self.budget.may_have_grown(slot as u32, || bytes, self.bytes.len());
            }
            self.bytes[slot] = bytes;
        }

        fn take_largest(&mut self) -> Option<usize> {
            let Self { bytes, budget, looks } = self;
            let look = |slot: usize| {
                looks.set(looks.get() + 1);
                bytes[slot]
            };
            let all = || (0..bytes.len()).map(|slot| (look(slot), slot as u32));
            let slot = budget.take_largest(all, |slot| look(slot as usize))? as usize;
            self.bytes[slot] = 0;
            Some(slot)
        }
    }

    #[test]
    fn the_largest_is_found_whatever_grew_and_shrank_since_the_last_excess() {
        let mut random = 1_u32;
        let mut owners = Owners::new(vec![0; 50]);
        for step in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (slot, bytes) = ((random >> 8) as usize % 50, random >> 20);
            if step % 3 == 0 {
                let most = owners.bytes.iter().copied().max().filter(|most| *most > 0);
                let bytes = owners.bytes.clone();
                assert_eq!(owners.take_largest().map(|slot| bytes[slot]), most);
            } else {
                owners.set(slot, bytes);
            }
        }
    }

    #[test]
    fn an_excess_does_not_look_at_all_connections_again() {
        let mut owners = Owners::new(vec![10; 10_000]);
        let mut excesses = 0;
        for _ in 0..1000 {
            let victim = owners.take_largest().expect("each of them owns something");
            owners.set(victim, 10);
            excesses += 1;
        }
        assert!(owners.looks.get() < 10_000 + 3 * excesses, "{} looks", owners.looks.get());
    }
}
