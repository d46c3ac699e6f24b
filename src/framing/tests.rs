//! Tests of lines and frames: the messages are the same, however the bytes of a stream arrive.

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

/// Shows `stream` as a connection does whose inbox holds `limit` bytes. `cut` returns, after each byte, whether the
/// portion ends there.
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

/// The lines of a whole stream, found by the definition and with no regard to speed.
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
        for (max, cuts) in (0..4).flat_map(|max| (0..1_u32 << (LENGTH - 1)).map(move |cuts| (max, cuts))) {
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
