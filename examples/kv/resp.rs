//! The Redis protocol, version 2: commands are found in the input, and replies are written.
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>

use std::{borrow::Cow, io::Write, sync::Arc};

use tidegate::{Flow, Output};

/// The longest value or key. redis-server takes 512 MiB; the names of its options are "proto-max-bulk-len" for this limit.
pub const MAX_BULK: i64 = 16 << 20;

/// The longest line: an inline command, or the number in front of an array or a string.
const MAX_LINE: usize = 64 << 10;

/// The most words of a command, as redis-server had it until version 6.
const MAX_WORDS: i64 = 1 << 20;

/// The length of the shortest word in an array, which is empty: `$0`, and two line ends.
const SHORTEST: usize = 6;

/// Values of this length are sent as the blocks that the store holds. A smaller value is copied, which costs less.
const SHARED: usize = 1 << 10;

/// Replies are handed to the reactor when so many bytes of them are written, so that `Flow::Full` is noticed soon.
const BATCH: usize = 16 << 10;

pub type Words<'a> = Vec<Cow<'a, [u8]>>;

pub enum Parsed {
    /// The length of a command. Without an argument, the command is an empty line.
    Command(usize),
    /// The command has at least this many bytes.
    Incomplete(usize),
    /// The input is not the protocol. The beginning of a further command cannot be found.
    Bad(Cow<'static, [u8]>),
}

/// Finds the first command of the input. The rules and the texts of the errors are those of redis-server.
///
/// An incomplete command is parsed anew when more bytes are there. So the result names as many bytes as the rest of the command
/// has for sure: a client that sends a command of many words byte by byte does not make the server parse each word again for
/// each byte.
pub fn parse<'a>(input: &'a [u8], args: &mut Words<'a>) -> Parsed {
    args.clear();
    if input.first() != Some(&b'*') {
        return parse_inline(input, args);
    }
    let (count, mut at) = match number(input, 1) {
        Ok(Some(found)) => found,
        Ok(None) if input.len() > MAX_LINE => return bad("too big mbulk count string"),
        Ok(None) => return Parsed::Incomplete(input.len() + 1),
        Err(()) => return bad("invalid multibulk length"),
    };
    if count > MAX_WORDS {
        return bad("invalid multibulk length");
    }
    for left in (0..count.max(0) as usize).rev() {
        let rest = SHORTEST * left; // the words behind this word
        let Some(&sign) = input.get(at) else { return Parsed::Incomplete(at + 4 + rest) };
        let (len, begin) = match number(input, at + 1) {
            Ok(None) if input.len() - at > MAX_LINE => return bad("too big bulk count string"),
            Ok(None) => {
                let line = input.len() - at;
                return Parsed::Incomplete(match line {
                    0..=32 => (input.len() + 1).max(at + 4 + rest),
                    // No number has so many digits, so an error follows, at the end of the line or at the limit.
                    _ => input.len() + line.min(MAX_LINE + 1 - line),
                });
            }
            _ if sign != b'$' => {
                return Parsed::Bad(
                    [b"Protocol error: expected '$', got '", &[sign][..], b"'"].concat().into(),
                );
            }
            Ok(Some((len, begin))) if (0..=MAX_BULK).contains(&len) => (len as usize, begin),
            _ => return bad("invalid bulk length"),
        };
        at = begin + len + 2; // the two bytes of the line end are not looked at
        if input.len() < at {
            return Parsed::Incomplete(at + rest);
        }
        args.push(Cow::Borrowed(&input[begin..begin + len]));
    }
    Parsed::Command(at)
}

fn bad(text: &str) -> Parsed {
    Parsed::Bad(format!("Protocol error: {text}").into_bytes().into())
}

/// Reads the number of a line, and returns the number and the start of the next line. `None`: the line is incomplete.
fn number(input: &[u8], at: usize) -> Result<Option<(i64, usize)>, ()> {
    if let [digit @ b'0'..=b'9', b'\r', _, ..] = &input[at..] {
        return Ok(Some(((digit - b'0').into(), at + 3))); // most numbers have one digit
    }
    let Some(len) = input[at..].iter().take(MAX_LINE).position(|byte| *byte == b'\r') else {
        return Ok(None);
    };
    if at + len + 2 > input.len() {
        return Ok(None);
    }
    integer(&input[at..at + len]).map(|number| Some((number, at + len + 2))).ok_or(())
}

/// Parses a whole number that is written as the server itself would write the number: "01", "+1" and "-0" are none.
pub fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !digits.first()?.is_ascii_digit() || (digits[0] == b'0' && text.len() > 1) {
        return None;
    }
    // The sum is negative until the end, because the lowest number has no positive counterpart.
    let negative = digits.iter().try_fold(0_i64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_sub(digit)
    })?;
    if digits.len() < text.len() { Some(negative) } else { negative.checked_neg() }
}

/// A command as a line of words, as a person types the command.
fn parse_inline(input: &[u8], args: &mut Words<'_>) -> Parsed {
    let Some(len) = input.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if input.len() >= MAX_LINE {
            bad("too big inline request")
        } else {
            Parsed::Incomplete(input.len() + 1)
        };
    };
    let line = &input[..len];
    match words(line.strip_suffix(b"\r").unwrap_or(line), args) {
        Some(()) => Parsed::Command(len + 1),
        None => bad("unbalanced quotes in request"),
    }
}

/// Splits a line at spaces. Words in double quotes may have escapes. Words in single quotes may have `\'`.
fn words(line: &[u8], args: &mut Words<'_>) -> Option<()> {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let Some(&first) = rest.first() else { return Some(()) };
        let mut word = Vec::new();
        if first != b'"' && first != b'\'' {
            let len = rest.iter().position(|byte| byte.is_ascii_whitespace() || b"\"'".contains(byte));
            let (plain, behind) = rest.split_at(len.unwrap_or(rest.len()));
            word.extend_from_slice(plain);
            rest = behind;
        }
        if let Some(&quote @ (b'"' | b'\'')) = rest.first() {
            rest = quoted(&rest[1..], quote, &mut word)?;
            if rest.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
                return None; // a space follows a closing quote
            }
        }
        args.push(Cow::Owned(word));
    }
}

/// Appends the text up to the closing quote, and returns the bytes behind the quote.
fn quoted<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, used) = match (quote, rest) {
            (b'"', [b'\\', b'x', high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: &u8| (*byte as char).to_digit(16).map_or(0, |digit| digit as u8);
                (digit(high) << 4 | digit(low), 4)
            }
            (b'"', [b'\\', escaped, ..]) => {
                let byte = match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                };
                (byte, 2)
            }
            (b'\'', [b'\\', b'\'', ..]) => (b'\'', 2),
            (_, [byte, behind @ ..]) if *byte == quote => return Some(behind),
            (_, [byte, ..]) => (*byte, 1),
            (_, []) => return None,
        };
        word.push(byte);
        rest = &rest[used..];
    }
}

/// The replies to a client. Small replies are gathered, and large values go to the reactor without a copy.
pub struct Reply<'a> {
    pub bytes: &'a mut Vec<u8>,
    pub out: Output<'a>,
    pub flow: Flow,
}

impl Reply<'_> {
    /// Hands the gathered replies to the reactor.
    pub fn flush(&mut self) {
        if !self.bytes.is_empty() {
            self.flow = self.flow.max(self.out.send_all(self.bytes));
            self.bytes.clear();
            self.bytes.shrink_to(4 * BATCH); // one large reply does not keep its memory
        }
    }

    pub fn flush_batch(&mut self) {
        if self.bytes.len() >= BATCH {
            self.flush();
        }
    }

    pub fn simple(&mut self, text: &str) {
        self.raw(&[b"+", text.as_bytes(), b"\r\n"]);
    }

    /// A line end inside an error would be the end of the error.
    pub fn error(&mut self, text: &[u8]) {
        self.raw(&[b"-ERR "]);
        self.bytes.extend(text.iter().map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte }));
        self.raw(&[b"\r\n"]);
    }

    pub fn integer(&mut self, number: i64) {
        self.line(b':', number);
    }

    pub fn array(&mut self, len: usize) {
        self.line(b'*', len as i64);
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        self.line(b'$', bytes.len() as i64);
        self.raw(&[bytes, b"\r\n"]);
    }

    pub fn null(&mut self) {
        self.raw(&[b"$-1\r\n"]);
    }

    pub fn value(&mut self, value: &Arc<[u8]>) {
        if value.len() < SHARED {
            return self.bulk(value);
        }
        self.line(b'$', value.len() as i64);
        self.flush();
        self.flow = self.flow.max(self.out.send_shared(value));
        self.raw(&[b"\r\n"]);
    }

    pub fn raw(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    fn line(&mut self, sign: u8, number: i64) {
        self.bytes.push(sign);
        if let digit @ 0..=9 = number {
            self.bytes.push(b'0' + digit as u8); // most lengths are short, and formatting costs more than a short value
        } else {
            let _ = write!(self.bytes, "{number}"); // a vector takes all bytes
        }
        self.raw(&[b"\r\n"]);
    }
}
