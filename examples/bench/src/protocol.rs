//! The protocols of the services other than the echo. The servers and the load generator share these definitions.

/// The length of the longest frame that the servers accept, in bytes and without the length in front of the frame.
pub const LONGEST_FRAME: usize = 256 << 10;

/// The bytes of the length in front of a frame.
pub const FRAME_HEADER: usize = 4;

/// The number of bytes of a stream of frames after which the server acknowledges.
const STEP: u64 = 1 << 20;

/// The length of an acknowledgement.
pub const ACKNOWLEDGEMENT: usize = 16;

/// The account that both sides keep of a stream of frames.
///
/// An acknowledgement contains the number of bytes and a digest of all frames until then. The digest includes the length,
/// the first bytes and the last bytes of each frame, and depends on the order of the frames. So the load
/// generator finds a server that loses, doubles, cuts or misplaces a frame, and the digest costs a server a few nanoseconds for each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ledger {
    pub bytes: u64,
    pub digest: u64,
    acknowledged: u64,
}

impl Ledger {
    /// Counts a frame, which is given without its length.
    pub fn add(&mut self, frame: &[u8]) {
        self.add_known(frame.len(), abstract_of(frame));
    }

    /// Counts a frame whose [`abstract_of`] is already known.
    pub fn add_known(&mut self, length: usize, words: u64) {
        self.bytes += (FRAME_HEADER + length) as u64;
        self.digest = self.digest.wrapping_add(words).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    /// Counts bytes whose frames are unknown to the caller.
    pub fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Returns an acknowledgement, if a mebibyte has been completed since the last acknowledgement.
    pub fn due(&mut self) -> Option<[u8; ACKNOWLEDGEMENT]> {
        (self.bytes / STEP > self.acknowledged / STEP).then(|| self.acknowledge())
    }

    /// Returns the acknowledgement at the end of the stream, unless all bytes are acknowledged already.
    pub fn last(&mut self) -> Option<[u8; ACKNOWLEDGEMENT]> {
        (self.bytes > self.acknowledged).then(|| self.acknowledge())
    }

    fn acknowledge(&mut self) -> [u8; ACKNOWLEDGEMENT] {
        self.acknowledged = self.bytes;
        let mut bytes = [0; ACKNOWLEDGEMENT];
        bytes[..8].copy_from_slice(&self.bytes.to_be_bytes());
        bytes[8..].copy_from_slice(&self.digest.to_be_bytes());
        bytes
    }

    /// Returns the number of bytes and the digest from an acknowledgement.
    pub fn parse(acknowledgement: [u8; ACKNOWLEDGEMENT]) -> (u64, u64) {
        let [bytes, digest] = [0, 8].map(|at| {
            let word = acknowledgement[at..].first_chunk().expect("an acknowledgement is two words");
            u64::from_be_bytes(*word)
        });
        (bytes, digest)
    }
}

/// Returns a number that depends on the length, on the first eight bytes and on the last eight bytes of a frame.
pub fn abstract_of(frame: &[u8]) -> u64 {
    let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (first, last) = (word(frame.first_chunk()), word(frame.last_chunk()));
    first.rotate_left(1).wrapping_add(last).wrapping_add(frame.len() as u64)
}

/// The length of a broadcast message.
pub const MESSAGE: usize = 1 << 10;

/// The first byte of a connection that receives all messages. The server answers with this byte when every later
/// message will be sent to the connection.
pub const SUBSCRIBE: u8 = b'S';

/// The first byte of a connection that sends messages. The server answers nothing.
pub const PUBLISH: u8 = b'P';

/// The request for the file, to a server without a header in front of the file.
pub const FILE_REQUEST: &[u8] = b"file\n";

/// The path of the short text of an HTTP server, and the text.
pub const PLAINTEXT_PATH: &str = "/plaintext";
pub const PLAINTEXT: &str = "Hello, World!";

/// Returns an HTTP request. The path needs no escapes.
pub fn http_request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(frames: &[&[u8]]) -> Ledger {
        let mut ledger = Ledger::default();
        frames.iter().for_each(|frame| ledger.add(frame));
        ledger
    }

    #[test]
    fn lost_cut_changed_or_misplaced_frames_change_the_digest() {
        let (one, two) = (&b"the first frame"[..], &b"the second frame"[..]);
        let right = ledger(&[one, two, b""]);
        assert_eq!(right.bytes, 15 + 16 + 3 * 4);
        let wrong: [&[&[u8]]; 6] = [
            &[one, two],
            &[two, one, b""],
            &[one, one, b""],
            &[one, &two[1..], b""],
            &[one, b"the second frame.", b""],
            &[one, b"the second fram.", b""],
        ];
        for frames in wrong {
            assert_ne!(ledger(frames).digest, right.digest, "{frames:?}");
        }
    }

    #[test]
    fn an_acknowledgement_is_due_after_each_mebibyte_and_at_the_end() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.last(), None);
        ledger.add_bytes((1 << 20) - 1);
        assert_eq!(ledger.due(), None);
        ledger.add(b"");
        let acknowledgement = ledger.due().unwrap();
        assert_eq!(Ledger::parse(acknowledgement), ((1 << 20) + 3, ledger.digest));
        assert_eq!((ledger.due(), ledger.last()), (None, None));
        ledger.add(b"");
        assert_eq!(ledger.due(), None);
        assert_eq!(Ledger::parse(ledger.last().unwrap()).0, (1 << 20) + 7);
    }
}
