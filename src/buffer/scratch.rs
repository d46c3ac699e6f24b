//! The scratch buffer: every `recv` goes into it.

/// The size of a page. The kernel copies fastest to a buffer that begins with a page. A large allocation begins sixteen
/// bytes behind the beginning of a page, where the header of the allocator ends.
const ALIGNMENT: usize = 4096;

/// A buffer of fixed size that begins with a page.
#[derive(Debug)]
pub(crate) struct Scratch {
    storage: Box<[u8]>,
    start: usize,
    len: usize,
}

impl Scratch {
    pub(crate) fn new(len: usize) -> Self {
        let storage = vec![0; len + ALIGNMENT - 1].into_boxed_slice();
        // The storage never moves, so `start` stays aligned.
        let start = storage.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT - 1);
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

    /// The first `n` bytes, to read into.
    ///
    /// # Panics
    /// Panics if the buffer is shorter; [`first`](Self::first) panics likewise.
    #[inline]
    pub(crate) fn first_mut(&mut self, n: usize) -> &mut [u8] {
        &mut self.storage[self.start..self.start + n]
    }

    /// The first `n` bytes, which a `recv` has filled.
    #[inline]
    pub(crate) fn first(&self, n: usize) -> &[u8] {
        &self.storage[self.start..self.start + n]
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
}
