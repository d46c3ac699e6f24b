//! The scratch buffer: every `recv` goes into it.

/// The size of a page. The kernel copies fastest to a buffer that begins with a page. A large allocation begins sixteen
/// bytes behind the beginning of a page, where the header of the allocator ends.
const ALIGNMENT: usize = 4096;

/// A body of fixed size, which begins with a page, and a gap of the same size in front of the body.
///
/// A `recv` fills the beginning of the body. The incomplete message that came before goes into the gap, directly in front of
/// the body, so that a handler sees both as one slice. Only what is used of the gap takes memory: the pages of a new
/// allocation are zero until they are written.
#[derive(Debug)]
pub(crate) struct Scratch {
    storage: Box<[u8]>,
    /// Where the body begins.
    start: usize,
    len: usize,
}

impl Scratch {
    /// `len`: the size of the body.
    pub(crate) fn new(len: usize) -> Self {
        let storage = vec![0; len + ALIGNMENT - 1 + len].into_boxed_slice();
        // The storage never moves, so `start` stays aligned.
        let start = len + storage[len..].as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT - 1);
        Self { storage, start, len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn whole(&mut self) -> &mut [u8] {
        self.first_mut(self.len)
    }

    /// The first `n` bytes, to receive datagrams into. The buffer owns at least so many bytes from now on;
    /// [`len`](Self::len), which bounds the reads of streams, stays.
    #[inline]
    pub(crate) fn at_least(&mut self, n: usize) -> &mut [u8] {
        if self.storage.len() - self.start < n {
            self.grow(n);
        }
        self.first_mut(n)
    }

    #[cold]
    fn grow(&mut self, n: usize) {
        *self = Self { len: self.len, ..Self::new(n) };
    }

    /// The first `n` bytes of the body, to read into.
    ///
    /// # Panics
    /// Panics if the body is shorter; [`first`](Self::first) panics likewise.
    #[inline]
    pub(crate) fn first_mut(&mut self, n: usize) -> &mut [u8] {
        &mut self.storage[self.start..self.start + n]
    }

    /// The first `n` bytes of the body, which a `recv` has filled.
    #[inline]
    pub(crate) fn first(&self, n: usize) -> &[u8] {
        &self.storage[self.start..self.start + n]
    }

    /// Copies `tail` into the gap. Returns `tail` and the first `n` bytes of the body as one slice.
    ///
    /// # Panics
    /// Panics if `tail` is longer than the body, or the body is shorter than `n`.
    pub(crate) fn with_tail(&mut self, tail: &[u8], n: usize) -> &[u8] {
        let from = self.start - tail.len();
        self.storage[from..self.start].copy_from_slice(tail);
        &self.storage[from..self.start + n]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_buffer_begins_with_a_page_and_has_the_length_that_was_asked_for() {
        for len in [1, 4095, 4096, 256 << 10] {
            let mut scratch = Scratch::new(len);
            assert_eq!(scratch.first_mut(len).len(), scratch.len());
            assert_eq!(scratch.first(len).as_ptr().align_offset(ALIGNMENT), 0);
        }
    }

    #[test]
    fn a_scratch_buffer_grows_for_a_datagram_and_keeps_its_length() {
        for len in [1, 4096, 32 << 10, 48 << 10, 64 << 10, 256 << 10] {
            for n in [1, len, len + 1, 65_536] {
                let mut scratch = Scratch::new(len);
                assert_eq!((scratch.at_least(n).len(), scratch.len()), (n, len));
            }
        }
    }

    #[test]
    fn a_tail_stands_directly_in_front_of_the_received_bytes() {
        for len in [1, 10, 4096, 100_000] {
            let mut scratch = Scratch::new(len);
            scratch.whole().fill(b'b');
            for tail in [0, 1, len / 2, len] {
                let input = scratch.with_tail(&vec![b'a'; tail], len);
                assert_eq!(input.len(), tail + len);
                assert!(input[..tail].iter().all(|byte| *byte == b'a'));
                assert!(input[tail..].iter().all(|byte| *byte == b'b'));
            }
            assert_eq!(scratch.first(len).as_ptr().align_offset(ALIGNMENT), 0);
        }
    }
}
