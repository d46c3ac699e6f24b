//! Messages in a stream of bytes: [lines](lines()) and [frames with a length in front](u32_be()).
//!
//! A stream has no message boundaries. One receive may bring half a message or two and a half, so a protocol has to find
//! the whole ones, leave the rest where it is, and refuse what grows without end. The functions here do that over the
//! `&[u8]` a handler's `on_data` is given, and copy nothing. They keep no state either: what is not whole yet stays in
//! the connection's inbox and is seen again, longer, at the next call.
//!
//! The pattern is the same for both. Borrow the iterator in the loop, and return what it says it used:
//!
//! ```
//! use tidegate::framing;
//!
//! /// What an `on_data` does. `answers` stands for the connection; the result is how many bytes were used.
//! fn on_data(input: &[u8], answers: &mut Vec<String>) -> usize {
//!     let mut lines = framing::lines(input, 512);
//!     for line in &mut lines {
//!         match line {
//!             Ok(line) => answers.push(String::from_utf8_lossy(line).to_uppercase()),
//!             Err(error) => answers.push(error.to_string()), // and here `conn.close()`
//!         }
//!     }
//!     lines.used()
//! }
//!
//! let mut answers = Vec::new();
//! assert_eq!(on_data(b"one\r\ntwo\nthr", &mut answers), 9); // "thr" stays in the inbox
//! assert_eq!(on_data(b"three\n", &mut answers), 6); // and is here again, with what came since
//! assert_eq!(answers, ["ONE", "TWO", "THREE"]);
//! ```
//!
//! A handler may stop in the middle of the loop, for instance to pause reading while it works: `used()` then counts the
//! messages it took, and the others are shown again.
//!
//! # Limits
//!
//! `max` is in bytes and counts the message alone, without a line's end or a frame's length field. Whether a message is
//! too long depends only on its bytes and never on the portions they come in.
//!
//! `max` must be below the connection's inbox limit (`Options::max_inbox`), since a message has to be there as a whole
//! before it is seen: by at least 2 bytes for lines (`"\r\n"`) and 4 for frames (the length). Otherwise the inbox is full
//! before a message of the permitted length is complete, and the connection ends with `CloseReason::InboxLimit`.
//!
//! # After an error
//!
//! [`TooLong`] is the last thing an iterator yields. `used()` then counts the messages before the one that is too long,
//! and nothing of that one. Where the next message begins may lie far ahead in the stream, so the only way on is to end
//! the connection, after an answer if the protocol has one. A handler that overlooks the error is shown the same bytes
//! again and makes no progress, until its peer gives up or the inbox is full; the tail of a long message is never taken
//! for a message of its own.
//!
//! What is left at the peer's end of file is a message it did not finish, and `on_eof` can see it. Most protocols drop
//! it, because a request that was cut off may read like a shorter one.

use std::{error::Error, fmt, io::BufRead, iter::FusedIterator};

/// The whole lines in `input`, without their ends. A line may have up to `max` bytes.
///
/// A line ends with `"\n"`, and one `"\r"` directly before that belongs to the end. A `"\r"` anywhere else is a byte like
/// others. Lines may be empty, and need not be UTF-8.
///
/// A line that is too long is an error as soon as that is certain, whether its end has come or not. At most `max` and two
/// bytes are searched for the end of a line, and an unfinished one is searched again with each receive.
///
/// # Examples
///
/// ```
/// use tidegate::framing::{TooLong, lines};
///
/// let mut two = lines(b"GET /\r\n\nHos", 100);
/// assert_eq!(two.next(), Some(Ok(&b"GET /"[..])));
/// assert_eq!(two.next(), Some(Ok(&b""[..])));
/// assert_eq!(two.next(), None); // "Hos" has no end yet
/// assert_eq!(two.used(), 8);
///
/// assert!(lines(b"four\r", 4).next().is_none()); // the "\r" may be part of the end
/// assert_eq!(lines(b"fours", 4).next(), Some(Err(TooLong)));
/// ```
pub fn lines(input: &[u8], max: usize) -> Lines<'_> {
    Lines { rest: input, used: 0, max }
}

/// The whole frames in `input`: each is its length as a big-endian `u32`, and then that many bytes, up to `max`.
///
/// The length does not count its own four bytes and is not part of what is yielded. A frame may be empty. A frame that is
/// too long is an error as soon as its length has come: its bytes are not waited for.
///
/// # Examples
///
/// ```
/// use tidegate::framing::u32_be;
///
/// fn on_data(input: &[u8], requests: &mut Vec<Vec<u8>>) -> usize {
///     let mut frames = u32_be(input, 1 << 16);
///     // At most two at a time: what is not taken now is shown again.
///     for frame in frames.by_ref().take(2 - requests.len()) {
///         match frame {
///             Ok(frame) => requests.push(frame.to_vec()),
///             Err(error) => eprintln!("{error}"), // and here `conn.abort()`
///         }
///     }
///     frames.used()
/// }
///
/// let mut requests = Vec::new();
/// let input = b"\0\0\0\x05hello\0\0\0\0\0\0\0\x05world";
/// assert_eq!(on_data(input, &mut requests), 9 + 4); // `used()` counts the lengths too
/// assert_eq!(requests, [&b"hello"[..], b""]);
/// ```
pub fn u32_be(input: &[u8], max: usize) -> Frames<'_> {
    Frames { rest: input, used: 0, max }
}

/// An iterator over whole lines, made by [`lines`].
#[derive(Clone, Debug)]
#[must_use = "iterators do nothing until they are asked"]
pub struct Lines<'a> {
    rest: &'a [u8],
    used: usize,
    max: usize,
}

impl Lines<'_> {
    /// How many bytes the lines yielded so far took, with their ends: what `on_data` returns.
    ///
    /// ```
    /// let mut lines = tidegate::framing::lines(b"a\r\nfar too long\nb\n", 4);
    /// assert_eq!(lines.by_ref().flatten().count(), 1);
    /// assert_eq!(lines.used(), 3); // nothing of the line that is too long, nor of what is behind it
    /// ```
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], TooLong>;

    fn next(&mut self) -> Option<Self::Item> {
        // The longest line and "\r\n". If there is no end in that, it does not matter where it is.
        let window = &self.rest[..self.rest.len().min(self.max.saturating_add(2))];
        let end = newline(window);
        let line = &window[..end.unwrap_or(window.len())];
        // Without an end, a last "\r" may still become part of one.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.max {
            self.rest = &[];
            return Some(Err(TooLong));
        }
        let after = end? + 1;
        self.rest = &self.rest[after..];
        self.used += after;
        Some(Ok(line))
    }
}

impl FusedIterator for Lines<'_> {}

/// An iterator over whole frames, made by [`u32_be`].
#[derive(Clone, Debug)]
#[must_use = "iterators do nothing until they are asked"]
pub struct Frames<'a> {
    rest: &'a [u8],
    used: usize,
    max: usize,
}

impl Frames<'_> {
    /// How many bytes the frames yielded so far took, with their lengths: what `on_data` returns.
    ///
    /// ```
    /// let mut frames = tidegate::framing::u32_be(b"\0\0\0\x02hi\xff\xff\xff\xff", 1024);
    /// assert_eq!(frames.by_ref().flatten().count(), 1);
    /// assert_eq!(frames.used(), 6); // nothing of the frame that is too long
    /// ```
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<&'a [u8], TooLong>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.rest.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > self.max {
            self.rest = &[];
            return Some(Err(TooLong));
        }
        let (frame, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        self.used += size_of::<u32>() + length;
        Some(Ok(frame))
    }
}

impl FusedIterator for Frames<'_> {}

/// A line or a frame is longer than the protocol permits. See [After an error](self#after-an-error).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("message too long")
    }
}

impl Error for TooLong {}

/// Where the first `"\n"` is. On long lines several times as fast as `position`: it is std's own `memchr`, which has no
/// public name.
fn newline(bytes: &[u8]) -> Option<usize> {
    let passed = { bytes }.skip_until(b'\n').expect("reading from a slice does not fail");
    // All of it was passed if there is none.
    bytes[..passed].ends_with(b"\n").then(|| passed - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    type Seen = (Vec<Vec<u8>>, bool); // the messages, and whether one was too long

    fn take<'a, I>(mut messages: I, used: fn(&I) -> usize, seen: &mut Seen) -> usize
    where
        I: Iterator<Item = Result<&'a [u8], TooLong>>,
    {
        for message in messages.by_ref() {
            assert!(!seen.1, "there is nothing after an error");
            message.map_or_else(|_| seen.1 = true, |message| seen.0.push(message.to_vec()));
        }
        assert_eq!(messages.next(), None);
        used(&messages)
    }

    /// Shows `stream` as a connection does whose inbox holds `limit` bytes; `cut` says after each byte whether the
    /// portion ends here.
    fn receive<D>(stream: &[u8], limit: usize, mut cut: impl FnMut() -> bool, on_data: D) -> Seen
    where
        D: Fn(&[u8], &mut Seen) -> usize,
    {
        let (mut inbox, mut seen) = (Vec::new(), (Vec::new(), false));
        for (i, byte) in stream.iter().enumerate() {
            inbox.push(*byte);
            if cut() || inbox.len() == limit || i + 1 == stream.len() {
                inbox.drain(..on_data(&inbox, &mut seen));
                if seen.1 {
                    break;
                }
                assert!(inbox.len() < limit, "a message that is not too long did not fit");
            }
        }
        seen
    }

    /// What the lines of a whole stream are, by the definition and with no regard to speed.
    fn specified(stream: &[u8], max: usize) -> Seen {
        let mut whole = Vec::new();
        for line in stream.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.len() > max {
                return (whole, true);
            }
            if line.ends_with(b"\n") {
                whole.push(text.to_vec());
            }
        }
        (whole, false)
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        const LENGTH: u32 = 7;
        for number in 0..3_usize.pow(LENGTH) {
            let stream: Vec<u8> = (0..LENGTH).map(|i| b"a\r\n"[number / 3_usize.pow(i) % 3]).collect();
            for (max, cuts) in (0..4).flat_map(|max| (0..1_u32 << (LENGTH - 1)).map(move |cuts| (max, cuts)))
            {
                let mut places = 0..LENGTH;
                let cut = || places.next().is_some_and(|place| cuts >> place & 1 == 1);
                let on_data = |input: &[u8], seen: &mut Seen| take(lines(input, max), Lines::used, seen);
                let seen = receive(&stream, max + 2, cut, on_data);
                let name = stream.escape_ascii();
                assert_eq!(seen, specified(&stream, max), "{name}, max {max}, cuts {cuts:b}");
            }
        }
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_the_bytes_arrive(
            frames in vec(vec(any::<u8>(), 0..9), 0..9),
            max in 0..9_usize,
            missing in 0..9_usize,
            cuts in vec(any::<bool>(), 9 * (4 + 8)),
        ) {
            let framed = frames.iter().map(|f| [&(f.len() as u32).to_be_bytes(), &f[..]].concat());
            let mut stream: Vec<u8> = framed.flatten().collect();
            stream.truncate(stream.len().saturating_sub(missing));
            let on_data = |input: &[u8], seen: &mut Seen| take(u32_be(input, max), Frames::used, seen);
            let whole = receive(&stream, usize::MAX, || false, on_data);
            let mut cuts = cuts.into_iter();
            prop_assert_eq!(&receive(&stream, max + 4, || cuts.next() == Some(true), on_data), &whole);
            if missing == 0 {
                let good = frames.iter().take_while(|f| f.len() <= max).count();
                prop_assert_eq!(whole, (frames[..good].to_vec(), good < frames.len()));
            }
        }
    }

    #[test]
    fn a_line_of_exactly_max_bytes_passes_and_one_more_does_not() {
        for (input, expected) in [
            ("abcd\n", Some(Ok(&b"abcd"[..]))),
            ("abcd\r\n", Some(Ok(b"abcd"))),
            ("abc\r\r\n", Some(Ok(b"abc\r"))),
            ("abcd", None),
            ("abcd\r", None),
            ("abcde", Some(Err(TooLong))),
            ("abcde\n", Some(Err(TooLong))),
            ("abcd\rx", Some(Err(TooLong))),
            ("abcd\r\r\n", Some(Err(TooLong))),
        ] {
            assert_eq!(lines(input.as_bytes(), 4).next(), expected, "{input:?}");
        }
        assert_eq!(lines(b"no limit\n", usize::MAX).next(), Some(Ok(&b"no limit"[..])));
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_length_alone() {
        assert_eq!(u32_be(b"\0\0\0", 4).next(), None);
        assert_eq!(u32_be(b"\0\0\0\x04", 4).next(), None);
        assert_eq!(u32_be(b"\0\0\0\x05", 4).next(), Some(Err(TooLong)));
        assert_eq!(u32_be(b"\xff\xff\xff\xff", usize::MAX).next(), None);
    }
}
