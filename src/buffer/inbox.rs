//! Bytes of an incomplete message, and bytes that a pause or high water keeps back.

use super::is_oversized;

/// Received bytes that the handler has not consumed. An empty inbox is one null pointer.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Option<Box<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// How many of `bytes` the handler has consumed.
    consumed: usize,
}

impl Inbox {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.get_or_insert_default().bytes.extend_from_slice(bytes);
        }
    }

    /// The handler has consumed the first `n` bytes and is shown no more now. Frees storage that only consumed bytes used.
    pub(crate) fn consume(&mut self, n: usize) {
        let Some(kept) = &mut self.0 else { return };
        kept.consumed += n;
        let len = kept.bytes.len() - kept.consumed;
        if len == 0 {
            self.clear();
        } else if is_oversized(kept.bytes.capacity(), len) {
            // A copy, because shrinking in place is a system call for each large message: an allocator learns that large
            // blocks come again only when it is given one back.
            kept.bytes = kept.bytes[kept.consumed..].to_vec();
            kept.consumed = 0;
        } else if kept.consumed >= len {
            // The rest is moved only if it is not longer than the consumed part: so each byte is moved a constant number of
            // times.
            kept.bytes.drain(..kept.consumed);
            kept.consumed = 0;
        }
    }

    /// Keeps `rest` in place of all bytes. The storage is used again unless it is too small or much too large, so that a
    /// stream of messages does not allocate for each `recv`.
    pub(crate) fn replace(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            return self.clear();
        }
        let kept = self.0.get_or_insert_default();
        let capacity = kept.bytes.capacity();
        if capacity < rest.len() || is_oversized(capacity, rest.len()) {
            kept.bytes = rest.to_vec();
        } else {
            kept.bytes.clear();
            kept.bytes.extend_from_slice(rest);
        }
        kept.consumed = 0;
    }

    /// The storage, and how many bytes at its front were consumed.
    pub(crate) fn into_bytes(self) -> (Vec<u8>, usize) {
        self.0.map_or((Vec::new(), 0), |kept| (kept.bytes, kept.consumed))
    }

    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    pub(crate) fn unconsumed(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |kept| &kept.bytes[kept.consumed..])
    }

    pub(crate) fn len(&self) -> usize {
        self.unconsumed().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The storage that the inbox owns, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |kept| kept.bytes.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_consumed_is_not_shown_again() {
        let mut inbox = Inbox::default();
        inbox.push(b"one two");
        inbox.consume(4);
        inbox.push(b" three");
        assert_eq!(inbox.unconsumed(), b"two three");
    }

    #[test]
    fn an_empty_inbox_owns_no_storage() {
        let mut inbox = Inbox::default();
        inbox.push(&[0; 5000]);
        inbox.consume(5000);
        assert!(inbox.0.is_none());
        inbox.replace(&[0; 5000]);
        inbox.replace(&[]);
        assert!(inbox.0.is_none());
    }

    #[test]
    fn a_small_rest_of_a_large_message_owns_little() {
        let mut inbox = Inbox::default();
        inbox.push(&vec![0; 256 << 10]);
        inbox.consume((256 << 10) - 3);
        assert_eq!(inbox.len(), 3);
        assert!(inbox.capacity() <= 4096);
        inbox.replace(&vec![0; 256 << 10]);
        inbox.replace(b"new");
        assert_eq!(inbox.unconsumed(), b"new");
        assert!(inbox.capacity() <= 4096);
    }

    #[test]
    fn a_rest_replaces_all_bytes_also_those_that_were_consumed() {
        let mut inbox = Inbox::default();
        inbox.push(b"one two three");
        inbox.consume(4);
        inbox.replace(b"four");
        inbox.push(b" five");
        assert_eq!(inbox.unconsumed(), b"four five");
    }

    #[test]
    fn rests_of_a_stream_of_messages_use_their_storage_again() {
        for message in [1000, 40_001] {
            let (mut inbox, bytes, mut seed) = (Inbox::default(), vec![0; message], 1_u32);
            let (mut allocations, mut storage) = (0, std::ptr::null());
            for _ in 0..10_000 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // The rests are not longer than a message and at least half as long.
                let rest = message / 2 + (seed >> 8) as usize % (message / 2);
                inbox.replace(&bytes[..rest]);
                assert_eq!(inbox.len(), rest);
                assert!(inbox.capacity() <= message);
                allocations += usize::from(storage != inbox.unconsumed().as_ptr());
                storage = inbox.unconsumed().as_ptr();
            }
            assert!(
                allocations < 100,
                "{allocations} allocations for 10 000 rests of messages of {message} bytes"
            );
        }
    }
}
