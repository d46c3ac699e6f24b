//! The bytes of the simulated streams. The content of a direction follows from its key and from the position alone, so the
//! streams and the checks need only counters.

use std::sync::{Arc, OnceLock};

/// The period of the content. It is prime, so that it divides no usual size of a buffer.
pub(crate) const PERIOD: usize = 8191;

/// Three periods, so that each part of up to two periods stands there in one piece.
const LEN: usize = 3 * PERIOD;

fn table() -> &'static [u8; LEN] {
    static TABLE: OnceLock<Box<[u8; LEN]>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut random = super::random::Random::new(7);
        let period: Vec<u8> = (0..PERIOD).map(|_| random.next() as u8).collect();
        Box::new(std::array::from_fn(|index| period[index % PERIOD]))
    })
}

/// A block with the content of [`table`], which several directions can share.
pub(crate) fn shared_table() -> Arc<[u8]> {
    Arc::from(&table()[..])
}

/// The content of one direction of a stream: parts of base contents. The content of a direction is its own base content, but for
/// bytes that were forwarded from another direction.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    key: u32,
    /// In order of their positions. The first part begins at 0.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    /// The position in the direction at which the part begins.
    at: u64,
    key: u32,
    /// The position in the base content.
    from: u64,
}

impl Content {
    pub(crate) fn new(key: u32) -> Self {
        Self { key, parts: vec![Part { at: 0, key, from: 0 }] }
    }

    /// The parts of which `len` bytes from the position `from` on consist: key, position in the base content, and length.
    pub(crate) fn cut(&self, from: u64, len: u64) -> Vec<(u32, u64, u64)> {
        let (mut pieces, mut done) = (Vec::new(), 0);
        while done < len {
            let (part, rest) = self.part_of(from + done);
            let n = rest.min(len - done);
            pieces.push((part.key, part.from + (from + done - part.at), n));
            done += n;
        }
        pieces
    }

    /// From the position `at` on, the direction carries these pieces of other directions, and then its own base content again.
    /// `at` is behind everything that was sent so far.
    pub(crate) fn forward(&mut self, mut at: u64, pieces: Vec<(u32, u64, u64)>) {
        for (key, from, len) in pieces {
            self.put(Part { at, key, from });
            at += len;
        }
        self.put(Part { at, key: self.key, from: at });
    }

    /// Appends a part, in place of the parts that begin at its position or behind.
    fn put(&mut self, part: Part) {
        while self.parts.last().is_some_and(|last| last.at >= part.at) {
            self.parts.pop();
        }
        self.parts.push(part);
    }

    fn part_of(&self, position: u64) -> (Part, u64) {
        let after = self.parts.partition_point(|part| part.at <= position);
        let part = self.parts[after - 1];
        let rest = self.parts.get(after).map_or(u64::MAX, |next| next.at - position);
        (part, rest)
    }

    /// The offset of a position in [`shared_table`], and how many bytes from there on are in one piece.
    pub(crate) fn place(&self, position: u64) -> (usize, usize) {
        let (part, rest) = self.part_of(position);
        let base = part.from + (position - part.at) + u64::from(part.key) * 1009;
        let start = (base % PERIOD as u64) as usize;
        (start, (LEN - start).min(usize::try_from(rest).unwrap_or(usize::MAX)))
    }

    pub(crate) fn fill(&self, mut position: u64, mut buffer: &mut [u8]) {
        while !buffer.is_empty() {
            let (start, rest) = self.place(position);
            let n = rest.min(buffer.len());
            buffer[..n].copy_from_slice(&table()[start..start + n]);
            buffer = &mut buffer[n..];
            position += n as u64;
        }
    }

    pub(crate) fn bytes(&self, position: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(position, &mut bytes);
        bytes
    }

    /// The number of bytes up to the first one that differs from the content.
    pub(crate) fn matching(&self, mut position: u64, mut bytes: &[u8]) -> usize {
        let mut matching = 0;
        while !bytes.is_empty() {
            let (start, rest) = self.place(position);
            let n = rest.min(bytes.len());
            let expected = &table()[start..start + n];
            if bytes[..n] != *expected {
                return matching + bytes.iter().zip(expected).take_while(|(a, b)| a == b).count();
            }
            bytes = &bytes[n..];
            position += n as u64;
            matching += n;
        }
        matching
    }
}
