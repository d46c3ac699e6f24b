//! The slices of one vectored write.

use std::io::IoSlice;

/// The greatest number of slices in one write. The kernel takes up to 1024 (IOV_MAX), and checks each of them; with 64, the
/// cost of the system call itself is spread widely enough.
const MOST: usize = 64;

/// The slices of one vectored write, up to a number of bytes.
pub(crate) struct Slices<'a> {
    slices: [IoSlice<'a>; MOST],
    count: usize,
    bytes: usize,
    /// How many further bytes may be added.
    room: usize,
}

impl<'a> Slices<'a> {
    /// `most`: the greatest number of bytes in all slices.
    pub(crate) fn new(most: usize) -> Self {
        Self { slices: [IoSlice::new(&[]); MOST], count: 0, bytes: 0, room: most }
    }

    /// Adds as many of the bytes as there is room for. Returns false if some of them are left out.
    pub(crate) fn push(&mut self, bytes: &'a [u8]) -> bool {
        if bytes.is_empty() {
            return true; // an empty slice would make a result of 0 ambiguous
        }
        let part = &bytes[..bytes.len().min(self.room)];
        let Some(slice) = self.slices.get_mut(self.count).filter(|_| !part.is_empty()) else { return false };
        *slice = IoSlice::new(part);
        self.count += 1;
        self.bytes += part.len();
        self.room -= part.len();
        part.len() == bytes.len()
    }

    pub(crate) fn as_slice(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.count]
    }

    /// The number of bytes in all slices.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_take_no_more_bytes_and_pieces_than_they_may() {
        let mut few_bytes = Slices::new(5);
        assert!(
            few_bytes.push(b"abc") && few_bytes.push(b"") && !few_bytes.push(b"def") && !few_bytes.push(b"g")
        );
        let pieces: Vec<&[u8]> = few_bytes.as_slice().iter().map(|slice| &**slice).collect();
        assert_eq!((pieces, few_bytes.bytes()), (vec![&b"abc"[..], b"de"], 5));

        let mut few_pieces = Slices::new(usize::MAX);
        assert_eq!((0..100).take_while(|_| few_pieces.push(b"x")).count(), MOST);
        assert_eq!(few_pieces.bytes(), MOST);
    }
}
