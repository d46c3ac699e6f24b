//! Bytes of an incomplete message, and bytes that a pause or high water keeps back.

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
            return self.clear();
        }
        // The rest is moved only if it is not longer than the consumed part: so each byte is moved a constant number of times.
        if kept.consumed >= len {
            kept.bytes.drain(..kept.consumed);
            kept.consumed = 0;
        }
        if super::is_oversized(kept.bytes.capacity(), kept.bytes.len()) {
            kept.bytes.shrink_to_fit();
        }
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
    }

    #[test]
    fn a_small_rest_of_a_large_message_owns_little() {
        let mut inbox = Inbox::default();
        inbox.push(&vec![0; 256 << 10]);
        inbox.consume((256 << 10) - 3);
        assert_eq!(inbox.len(), 3);
        assert!(inbox.capacity() <= 4096);
    }
}
