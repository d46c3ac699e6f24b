//! Messages in a stream of bytes: [lines](lines()) and [frames with a length in front](u32_be()).
//!
//! A stream has no message boundaries. One receive may bring half a message or two and a half, so a protocol has to find
//! the whole messages, leave the rest in the input, and refuse a message that grows without end. The functions of this
//! module do that over the `&[u8]` that `on_data` is given, and copy nothing. They keep no state: an incomplete message
//! stays in the inbox of the connection, and the next `on_data` is shown the message again, with the bytes that came since.
//!
//! The pattern is the same for lines and frames. The handler borrows the iterator in its loop, stops at
//! [`Flow::Full`](crate::Flow::Full), and returns [`used()`](Lines::used):
//!
//! ```
//! use tidegate::{Accepted, Conn, Flow, Handler, Net, Options, framing, testing::Rehearsal};
//!
//! /// Sends each line back in capital letters.
//! struct Capitals;
//!
//! impl Handler for Capitals {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         let mut lines = framing::lines(input, 512);
//!         for line in &mut lines {
//!             match line {
//!                 Ok(line) => {
//!                     let flow = writeln!(conn, "{}", String::from_utf8_lossy(line).to_uppercase());
//!                     if flow != Flow::Open {
//!                         break; // the other lines are shown again when the peer has read enough
//!                     }
//!                 }
//!                 Err(error) => {
//!                     writeln!(conn, "{error}");
//!                     conn.close(); // the iterator ends after an error
//!                 }
//!             }
//!         }
//!         lines.used()
//!     }
//! }
//!
//! let mut rehearsal = Rehearsal::new(Options::default());
//! let client = rehearsal.accept(&mut Capitals).unwrap();
//! rehearsal.receive(&mut Capitals, client, b"one\r\ntwo\nthr"); // "thr" stays in the inbox
//! assert_eq!(rehearsal.sent(client), b"ONE\nTWO\n");
//! rehearsal.receive(&mut Capitals, client, b"ee\n"); // the handler is shown "three\n"
//! assert_eq!(rehearsal.sent(client), b"THREE\n");
//! ```
//!
//! A handler may stop in the middle of the loop, at `Full` or because it pauses reading while it works. `used()` then
//! counts the messages that the handler took, and the others are shown again, without a new byte. A handler that goes on
//! after `Full` lets a peer that sends many requests and reads no answer fill the outbox, until
//! [`max_outbox`](crate::Options::max_outbox) resets the connection.
//!
//! # Limits
//!
//! `max` is in bytes and counts the message alone, without the end of a line or the length in front of a frame. Whether a
//! message is too long depends only on its bytes and never on the portions in which they come.
//!
//! The inbox must hold a whole message, with its line end or its length, because a message is found only when all of it
//! is there. [`Options::max_inbox`](crate::Options::max_inbox) is the length of the message alone: the inbox has 16 bytes
//! more. So `max` may be as large as `max_inbox`, and in a callback `conn.net().options().max_inbox` is the greatest `max`.
//! With a larger `max`, a message of a permitted length can fill the inbox before it is complete, and the connection then
//! ends with [`CloseReason::InboxLimit`](crate::CloseReason::InboxLimit).
//!
//! # After an error
//!
//! [`TooLong`] is the last item of an iterator. `used()` then counts the messages before the message that is too long, and
//! nothing of that message. The next message may begin far ahead in the stream, so the handler has to end the connection,
//! after an answer if the protocol has one. A handler that overlooks the error is shown the same bytes again and makes no
//! progress, until its peer gives up or the inbox is full. The tail of a long message is never taken for a message.
//!
//! The bytes that are left at the end of file are a message that the peer did not finish; `on_eof` finds them in
//! [`Conn::unconsumed`](crate::Conn::unconsumed). Most protocols drop such a message, because a request that was cut off
//! may read like a shorter request.

use std::{error::Error, fmt, io::BufRead, iter::FusedIterator};

/// The whole lines in `input`, without their ends. A line may have up to `max` bytes.
///
/// A line ends with `"\n"`, and one `"\r"` directly before the `"\n"` belongs to the end. A `"\r"` anywhere else is a byte
/// like others. Lines may be empty, and need not be UTF-8.
///
/// A line that is too long is an error as soon as that is certain, whether the end of the line has come or not. At most
/// `max + 2` bytes are searched for the end of a line. The inbox has room for these if `max` is at most
/// [`max_inbox`](crate::Options::max_inbox).
///
/// How long an incomplete line will be is not known before its end is there. So there is no number for
/// [`Conn::need`](crate::Conn::need), and each receive searches the line again from its beginning.
///
/// # Examples
///
/// ```
/// use tidegate::{Conn, Flow, framing};
///
/// /// Sends the length of each line.
/// fn on_data(conn: &mut Conn<'_>, input: &[u8]) -> usize {
///     let mut lines = framing::lines(input, 512);
///     for line in &mut lines {
///         match line {
///             Ok(line) if writeln!(conn, "{}", line.len()) == Flow::Open => {}
///             Ok(_) => break, // the answer was taken; the other lines are shown again when there is room
///             Err(_) => conn.abort(),
///         }
///     }
///     lines.used()
/// }
/// ```
///
/// The items of the iterator:
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

/// The whole frames in `input`. A frame is its length as a big-endian `u32`, and then that many bytes, up to `max`.
///
/// The length does not count its own four bytes and is not part of the frame that the iterator yields. A frame may be
/// empty. A frame that is too long is an error as soon as its length has come. The whole frame has to fit into the
/// inbox, so `max` is at most [`max_inbox`](crate::Options::max_inbox).
///
/// A handler that tells [`Conn::need`](crate::Conn::need) what [`needed`](Frames::needed) returns is not called before the
/// next frame is whole.
///
/// # Examples
///
/// ```
/// use tidegate::{Conn, Flow, framing};
///
/// /// Sends each frame back.
/// fn on_data(conn: &mut Conn<'_>, input: &[u8]) -> usize {
///     let mut frames = framing::u32_be(input, 1 << 16);
///     for frame in &mut frames {
///         let Ok(frame) = frame else {
///             conn.abort();
///             break;
///         };
///         let length = conn.send_all(&(frame.len() as u32).to_be_bytes());
///         if length.max(conn.send_all(frame)) != Flow::Open {
///             break; // the answer was taken; the other frames are shown again when there is room
///         }
///     }
///     conn.need(frames.needed());
///     frames.used()
/// }
/// ```
///
/// The items of the iterator:
///
/// ```
/// use tidegate::framing::{TooLong, u32_be};
///
/// let mut frames = u32_be(b"\0\0\0\x05hello\0\0\0\0\0\0\0\x05wor", 1 << 16);
/// assert_eq!(frames.next(), Some(Ok(&b"hello"[..])));
/// assert_eq!(frames.next(), Some(Ok(&b""[..])));
/// assert_eq!(frames.next(), None); // two bytes of "world" are missing
/// assert_eq!(frames.used(), 9 + 4); // `used()` counts the lengths too
///
/// assert_eq!(u32_be(b"\0\0\0\x05", 4).next(), Some(Err(TooLong)));
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
    /// The number of bytes that the lines so far took, with their ends. `on_data` returns this number.
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
        // The longest permitted line and "\r\n". A line whose end is not in this window is too long or incomplete.
        let window = &self.rest[..self.rest.len().min(self.max.saturating_add(2))];
        let end = newline(window);
        let line = &window[..end.unwrap_or(window.len())];
        // If the line has no end yet, a last "\r" may be the first half of "\r\n", so it does not count.
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
    /// The number of bytes that the frames so far took, with their lengths. `on_data` returns this number.
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

    /// How many bytes, counted from [`used`](Self::used), must be there before the next frame is whole: 4 while its length is
    /// incomplete, otherwise 4 and its length. The number is for [`Conn::need`](crate::Conn::need). After an error, and in
    /// front of a frame that is too long, it is 4: the length alone says that there is nothing to wait for.
    ///
    /// ```
    /// let mut frames = tidegate::framing::u32_be(b"\0\0\0\x02hi\0\0\0\x05wor", 1024);
    /// assert_eq!(frames.by_ref().flatten().count(), 1);
    /// assert_eq!((frames.used(), frames.needed()), (6, 9));
    /// assert_eq!(tidegate::framing::u32_be(b"\0\0\0", 1024).needed(), 4);
    /// ```
    #[must_use]
    pub fn needed(&self) -> usize {
        let length = self.rest.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
        size_of::<u32>().saturating_add(if length > self.max { 0 } else { length })
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

/// The index of the first `"\n"`. `skip_until` uses std's own `memchr`, which has no public name and is several times as
/// fast as `position` on long lines.
fn newline(bytes: &[u8]) -> Option<usize> {
    let passed = { bytes }.skip_until(b'\n').expect("reading from a slice does not fail");
    // Without a "\n", `skip_until` has passed all bytes.
    bytes[..passed].ends_with(b"\n").then(|| passed - 1)
}

#[cfg(test)]
mod tests;
