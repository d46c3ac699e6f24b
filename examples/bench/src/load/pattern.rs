//! The bytes that clients send and that servers must send back.

/// The number of bytes after which the pattern repeats. The number is a prime, so that no message length or buffer size
/// is a multiple of the period. So bytes that are lost, doubled or out of order do not match the pattern.
const PERIOD: usize = 65_521;

/// The length of the longest piece that a caller can ask for.
pub const LONGEST: usize = 256 << 10;

/// Pseudo-random bytes that repeat for ever. Each connection begins at a position of its own.
pub struct Pattern(Vec<u8>);

impl Pattern {
    pub fn new() -> Self {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let period: Vec<u8> = (0..PERIOD)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        Self(period.iter().copied().cycle().take(PERIOD + LONGEST).collect())
    }

    /// Returns `len` bytes from a position in the stream.
    pub fn at(&self, position: u64, len: usize) -> &[u8] {
        let start = (position % PERIOD as u64) as usize;
        &self.0[start..start + len]
    }

    /// Returns an error that names the first wrong byte, if `found` differs from the pattern.
    pub fn check(&self, position: u64, found: &[u8]) -> Result<(), String> {
        let expected = self.at(position, found.len());
        if found == expected {
            return Ok(());
        }
        let wrong = found.iter().zip(expected).position(|(found, expected)| found != expected);
        let wrong = wrong.expect("the lengths are equal, so a byte differs");
        Err(format!(
            "wrong byte: {:#04x} in place of {:#04x}, behind {wrong} correct bytes",
            found[wrong], expected[wrong]
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_is_an_error_and_correct_bytes_are_not() {
        let pattern = Pattern::new();
        for position in [0, 1, PERIOD as u64 - 1, PERIOD as u64, 1 << 40] {
            let mut bytes = pattern.at(position, 1000).to_vec();
            assert_eq!(pattern.check(position, &bytes), Ok(()));
            bytes[700] ^= 1;
            assert!(pattern.check(position, &bytes).unwrap_err().contains("behind 700 correct bytes"));
        }
    }

    #[test]
    fn lost_or_doubled_bytes_do_not_match_the_pattern() {
        let pattern = Pattern::new();
        for shift in [1, 64, 4096, 8192, 16_384, 65_536, 262_144] {
            assert!(pattern.check(0, pattern.at(shift, 64)).is_err(), "shifted by {shift}");
        }
    }

    #[test]
    fn pieces_of_the_pattern_agree_within_and_across_its_period() {
        let pattern = Pattern::new();
        assert_eq!(pattern.at(5, LONGEST)[100..200], *pattern.at(105, 100));
        assert_eq!(pattern.at(PERIOD as u64 - 10, 20)[10..], *pattern.at(0, 10));
    }
}
