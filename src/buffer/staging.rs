//! The staging buffer: it gathers the bytes that one callback sends, until the callback returns and they leave in one
//! `send`.

/// A buffer of fixed size. The whole reactor has one staging buffer, because only one callback runs at a time.
#[derive(Debug)]
pub(crate) struct Staging {
    storage: Box<[u8]>,
    len: usize,
}

impl Staging {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { storage: vec![0; capacity].into_boxed_slice(), len: 0 }
    }

    /// Appends `bytes` and returns true. Appends nothing and returns false if there is no room for all of them.
    #[inline(always)]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(room) = self.storage[self.len..].get_mut(..bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        self.len += bytes.len();
        true
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.storage[..self.len]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_takes_all_bytes_or_none() {
        let mut staging = Staging::new(10);
        assert!(staging.push(b"one ") && !staging.push(b"two, three") && staging.push(b"two"));
        assert_eq!((staging.bytes(), staging.len()), (&b"one two"[..], 7));
        staging.clear();
        assert!(staging.len() == 0 && staging.push(&[0; 10]) && !staging.push(&[0]));
    }
}
