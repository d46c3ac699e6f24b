//! Bytes that a send has taken from the handler and that the kernel has not taken yet.

/// A queue of bytes. Sends append at the back, and the kernel takes portions of any size at the front.
///
/// An empty outbox is one null pointer, because most connections have nothing to keep most of the time.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Option<Box<Queue>>);

/// The bytes of an outbox that is not empty.
#[derive(Debug)]
struct Queue {
    bytes: Vec<u8>,
    /// How many of `bytes` the kernel has taken; advancing an index is cheaper than moving the rest.
    taken: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            _ if bytes.is_empty() => {}
            Some(queue) => queue.push(bytes),
            None => self.0 = Some(Box::new(Queue { bytes: bytes.to_vec(), taken: 0 })),
        }
    }

    /// Removes the first `n` bytes, which the kernel has taken.
    pub(crate) fn advance(&mut self, n: usize) {
        let Some(queue) = &mut self.0 else { return };
        queue.taken += n;
        debug_assert!(queue.taken <= queue.bytes.len(), "the kernel cannot take more than it was given");
        if queue.taken == queue.bytes.len() {
            self.clear();
        }
    }

    /// Removes all bytes and frees the storage.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// The bytes to send, in order.
    pub(crate) fn pending(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |queue| &queue.bytes[queue.taken..])
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The storage that the outbox owns, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.bytes.capacity())
    }
}

impl Queue {
    fn push(&mut self, bytes: &[u8]) {
        // The rest moves to the front only if it is not longer than the part that has left. So a queue that never runs empty
        // costs a constant for each byte, and does not grow.
        let no_room = self.bytes.capacity() - self.bytes.len() < bytes.len();
        if no_room && self.taken > 0 && self.taken >= self.len() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
            let needed = self.bytes.len() + bytes.len();
            if super::is_oversized(self.bytes.capacity(), needed) {
                self.bytes.shrink_to(needed);
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_across_pushes_and_partial_takes() {
        let mut outbox = Outbox::default();
        let (mut pushed, mut taken) = (0_u32, Vec::new());
        for step in 0..10_000_usize {
            let chunk: Vec<u8> = (0..step % 23).map(|i| (pushed as usize + i) as u8).collect();
            outbox.push(&chunk);
            pushed += chunk.len() as u32;
            let n = (step * 7 % 19).min(outbox.len());
            taken.extend_from_slice(&outbox.pending()[..n]);
            outbox.advance(n);
        }
        taken.extend_from_slice(outbox.pending());
        assert!(taken.iter().enumerate().all(|(i, byte)| *byte == i as u8));
        assert_eq!(taken.len(), pushed as usize);
    }

    #[test]
    fn an_empty_outbox_owns_no_storage() {
        let mut outbox = Outbox::default();
        outbox.push(&[1; 100_000]);
        outbox.advance(99_999);
        assert_eq!(outbox.len(), 1);
        outbox.advance(1);
        assert!(outbox.0.is_none());
    }

    #[test]
    fn a_queue_that_never_runs_empty_does_not_grow() {
        let mut outbox = Outbox::default();
        outbox.push(&[0; 1000]);
        for _ in 0..10_000 {
            outbox.push(&[0; 700]);
            outbox.advance(700);
        }
        assert_eq!(outbox.len(), 1000);
        assert!(outbox.capacity() <= 8192, "{}", outbox.capacity());
    }

    #[test]
    fn a_burst_that_is_over_gives_its_storage_back() {
        let mut outbox = Outbox::default();
        outbox.push(&vec![0; 1 << 20]);
        outbox.advance((1 << 20) - 10);
        outbox.push(&vec![0; 1 << 20]); // there is no room behind the rest, so the rest moves to the front
        outbox.advance(1 << 20);
        // The storage becomes full, and may shrink then, at least once for each capacity that was pushed.
        for _ in 0..2 * outbox.capacity() / 10_000 {
            outbox.push(&[0; 10_000]);
            outbox.advance(10_000);
        }
        assert!(outbox.capacity() < 1 << 20, "the outbox still owns {} bytes", outbox.capacity());
        assert_eq!(outbox.len(), 10);
    }
}
