//! The one buffer that every `recv` goes into.

/// What the kernel copies fastest to: a buffer that begins with a page. An allocation this large begins sixteen bytes
/// behind one, where its header ends.
const ALIGNMENT: usize = 4096;

#[derive(Debug)]
pub(crate) struct Scratch {
    storage: Box<[u8]>,
    start: usize,
    len: usize,
}

impl Scratch {
    pub(crate) fn new(len: usize) -> Self {
        let storage = vec![0; len + ALIGNMENT - 1].into_boxed_slice();
        // The box is never given away, so what is aligned once stays so.
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

    /// The first `n` bytes, to read into.
    ///
    /// # Panics
    /// If there are fewer; likewise [`first`](Self::first).
    #[inline]
    pub(crate) fn first_mut(&mut self, n: usize) -> &mut [u8] {
        &mut self.storage[self.start..self.start + n]
    }

    /// The first `n` bytes, which were read.
    #[inline]
    pub(crate) fn first(&self, n: usize) -> &[u8] {
        &self.storage[self.start..self.start + n]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_page_and_has_the_length_that_was_asked_for() {
        for len in [1, 4095, 4096, 256 << 10] {
            let mut scratch = Scratch::new(len);
            assert_eq!(scratch.first_mut(len).len(), scratch.len());
            assert_eq!(scratch.first(len).as_ptr().align_offset(ALIGNMENT), 0);
        }
    }
}
