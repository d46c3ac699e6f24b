//! The header in front of the body of an HTTP response.

/// The length of the longest header that a client accepts.
const LONGEST_HEADER: usize = 8 << 10;

/// The text that the header of each response begins with, and the text that ends the header.
const STATUS: &[u8] = b"HTTP/1.1 200 ";
const END: &[u8] = b"\r\n\r\n";

/// The header field with the length of the body, in lower case.
const LENGTH: &str = "content-length:";

/// The state of one connection.
#[derive(Default)]
pub struct Header {
    /// The begin of a header whose end is missing.
    partial: Vec<u8>,
    /// The last header that was verified. The headers of a server are equal for a second, until the date changes.
    known: Vec<u8>,
}

impl Header {
    /// Verifies the status and the length of the body. Returns the bytes behind the header, or `None` if the end of the
    /// header is missing.
    pub fn check<'a>(&mut self, length: usize, input: &'a [u8]) -> Result<Option<&'a [u8]>, String> {
        if self.partial.is_empty()
            && !self.known.is_empty()
            && let Some(rest) = input.strip_prefix(&self.known[..])
        {
            return Ok(Some(rest));
        }
        let before = self.partial.len();
        self.partial.extend_from_slice(&input[..input.len().min(LONGEST_HEADER)]);
        let Some(end) = self.partial.windows(END.len()).position(|four| four == END) else {
            let is_long = self.partial.len() >= LONGEST_HEADER;
            return if is_long { Err("the header of a response has no end".into()) } else { Ok(None) };
        };
        let end = end + END.len();
        let header = String::from_utf8_lossy(&self.partial[..end]);
        let first = header.lines().next().unwrap_or_default();
        if !header.as_bytes().starts_with(STATUS) {
            return Err(format!("the server answered {first:?}"));
        }
        let lengths: Vec<_> = header
            .lines()
            .map(str::to_ascii_lowercase)
            .filter_map(|line| line.strip_prefix(LENGTH).map(|value| value.trim().to_owned()))
            .collect();
        if lengths != [length.to_string()] {
            return Err(format!("the Content-Length is {lengths:?} in place of {length}"));
        }
        self.partial.truncate(end);
        self.known = std::mem::take(&mut self.partial);
        Ok(Some(&input[end - before..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_in_any_portion() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        for portion in 1..=text.len() {
            let mut header = Header::default();
            let ends = text.chunks(portion).find_map(|part| header.check(3, part).unwrap());
            assert!(ends.is_some_and(|rest| b"abc".starts_with(rest)), "{portion}");
            assert_eq!(header.check(3, text), Ok(Some(&b"abc"[..])), "the header is known");
        }
    }

    #[test]
    fn a_header_without_an_end_is_an_error() {
        let mut header = Header::default();
        assert_eq!(header.check(3, b"HTTP/1.1 200 OK\r\nX: "), Ok(None));
        assert!(header.check(3, &[b'x'; LONGEST_HEADER]).unwrap_err().contains("has no end"));
    }
}
