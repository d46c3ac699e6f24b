//! Bytes of a message that is not whole yet, or that the handler does not want to see now.

/// Received bytes that the handler has not consumed. Empty, it owns no storage.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// How many of `bytes` the handler has consumed.
    consumed: usize,
}

impl Inbox {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The handler used the first `n` bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        self.consumed += n;
        debug_assert!(self.consumed <= self.bytes.len(), "checked when the handler returned");
    }

    /// Once the handler has been shown all it wants: consumed bytes go, and storage that only they needed.
    pub(crate) fn settle(&mut self) {
        let len = self.len();
        if len == 0 {
            return self.clear();
        }
        // Worth moving only when less stays than goes: each byte is then moved a constant number of times.
        if self.consumed >= len {
            self.bytes.copy_within(self.consumed.., 0);
            self.bytes.truncate(len);
            self.consumed = 0;
        }
        if super::is_oversized(self.bytes.capacity(), self.bytes.len()) {
            self.bytes.shrink_to_fit();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn unconsumed(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.consumed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
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
        inbox.settle();
        inbox.push(b" three");
        assert_eq!(inbox.unconsumed(), b"two three");
    }

    #[test]
    fn an_empty_inbox_owns_no_storage() {
        let mut inbox = Inbox::default();
        inbox.push(&[0; 5000]);
        inbox.consume(5000);
        inbox.settle();
        assert_eq!(inbox.bytes.capacity(), 0);
    }

    #[test]
    fn a_small_rest_of_a_large_message_owns_little() {
        let mut inbox = Inbox::default();
        inbox.push(&vec![0; 256 << 10]);
        inbox.consume((256 << 10) - 3);
        inbox.settle();
        assert_eq!(inbox.len(), 3);
        assert!(inbox.bytes.capacity() <= 4096);
    }
}
