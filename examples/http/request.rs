//! The syntax of requests: pure functions over the input, RFC 9112. The crate `httparse` splits a head into its parts, and
//! this file decides where the request ends and whether the connection can be used again.

use std::mem::MaybeUninit;

use super::status::Status;

/// The longest head of a request, from the request line to the empty line.
pub const MAX_HEAD: usize = 16 << 10;

/// The most header lines of a request.
const MAX_HEADERS: usize = 64;

/// The longest body that is read and discarded, with the lines between its chunks.
pub const MAX_BODY: u64 = 1 << 20;

/// The longest line between chunks, and the longest trailer line.
const MAX_LINE: usize = 4 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Get,
    Head,
    /// A method of RFC 9110 or RFC 5789 that no resource of this server has.
    Known,
    Unknown,
}

/// The state of the connection after the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connection {
    /// The connection stays open, as is usual in HTTP/1.1.
    Open,
    /// The connection stays open, and the answer says so, because a client of HTTP/1.0 has asked for it.
    KeepAlive,
    Close,
}

/// How the end of the body is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// The head of a request, as far as this server needs the head.
#[derive(Debug)]
pub struct Request<'a> {
    /// The length of the head.
    pub len: usize,
    pub method: Method,
    /// The path, percent-encoded. It begins with a slash if the method is GET or HEAD.
    pub path: &'a str,
    /// The part of the target behind the path: empty, or a question mark and the query.
    pub query: &'a str,
    pub connection: Connection,
    pub framing: Framing,
    /// The client waits for an answer before it sends the body.
    pub expects_answer: bool,
    pub range: Option<&'a [u8]>,
    pub if_range: Option<&'a [u8]>,
    pub if_modified_since: Option<&'a [u8]>,
}

impl Request<'_> {
    /// True if the request is a GET without a body over a connection that stays open, as nearly all requests are.
    pub fn is_plain(&self) -> bool {
        self.method == Method::Get && self.connection == Connection::Open && self.framing == Framing::None
    }
}

/// Finds the head of the first request of the input. `None`: the head is incomplete.
///
/// An incomplete head is parsed anew when further bytes of the head have come. The limit for heads bounds that work.
pub fn parse(input: &[u8]) -> Result<Option<Request<'_>>, Status> {
    let input = &input[..input.len().min(MAX_HEAD)];
    let mut storage = [const { MaybeUninit::uninit() }; MAX_HEADERS]; // 64 empty headers would be 2 KiB to write
    let mut head = httparse::Request::new(&mut []);
    let len = match head.parse_with_uninit_headers(input, &mut storage) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return incomplete(input),
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HEAD_TOO_LARGE),
        Err(httparse::Error::Version) => return other_version(input),
        Err(_) => return Err(Status::BAD_REQUEST),
    };
    let method = match head.method.unwrap_or_default() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => Method::Known,
        _ => Method::Unknown,
    };
    let (path, query) = match split_target(head.path.unwrap_or_default()) {
        Some(target) => target,
        None if matches!(method, Method::Get | Method::Head) => return Err(Status::BAD_REQUEST),
        None => ("", ""), // "OPTIONS *" and "CONNECT example.org:443"
    };
    let is_1_0 = head.version == Some(0);
    let mut request = Request {
        len,
        method,
        path,
        query,
        connection: Connection::Open,
        framing: Framing::None,
        expects_answer: false,
        range: None,
        if_range: None,
        if_modified_since: None,
    };
    let mut fields = Fields::default();
    for header in head.headers {
        fields.take(&mut request, header.name, header.value.trim_ascii())?;
    }
    if fields.hosts > 1 || (fields.hosts == 0 && !is_1_0) {
        return Err(Status::BAD_REQUEST);
    }
    if is_1_0 {
        if request.framing == Framing::Chunked {
            return Err(Status::BAD_REQUEST); // RFC 9112, 6.1: a version without transfer codings, so an intermediary is wrong
        }
        request.expects_answer = false;
    }
    request.connection = match () {
        () if fields.close || (is_1_0 && !fields.keep_alive) => Connection::Close,
        () if is_1_0 => Connection::KeepAlive,
        () => Connection::Open,
    };
    if fields.has_etag_condition {
        request.if_modified_since = None; // RFC 9110, 13.1.3; this server has no entity tags, so the condition holds
    }
    Ok(Some(request))
}

/// The contents of the headers that concern the whole request.
#[derive(Default)]
struct Fields {
    hosts: usize,
    close: bool,
    keep_alive: bool,
    has_etag_condition: bool,
}

impl Fields {
    fn take<'a>(&mut self, request: &mut Request<'a>, name: &str, value: &'a [u8]) -> Result<(), Status> {
        let is = |other: &str| name.eq_ignore_ascii_case(other); // compares the lengths first
        if is("host") {
            self.hosts += 1;
            if !value.iter().all(|byte| IS_OF_HOST[usize::from(*byte)]) {
                return Err(Status::BAD_REQUEST);
            }
        } else if is("connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if is("content-length") {
            let length = number(value, 10).ok_or(Status::BAD_REQUEST)?;
            if request.framing != Framing::None {
                return Err(Status::BAD_REQUEST); // two lengths, or a length beside a transfer coding
            }
            if length > MAX_BODY {
                return Err(Status::CONTENT_TOO_LARGE);
            }
            request.framing = Framing::Length(length);
        } else if is("transfer-encoding") {
            if request.framing != Framing::None {
                return Err(Status::BAD_REQUEST);
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Status::NOT_IMPLEMENTED); // RFC 9112, 6.1
            }
            request.framing = Framing::Chunked;
        } else if is("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Status::EXPECTATION_FAILED);
            }
            request.expects_answer = true;
        } else if is("range") {
            request.range = Some(value);
        } else if is("if-range") {
            request.if_range = Some(value);
        } else if is("if-modified-since") {
            request.if_modified_since = Some(value);
        } else if is("if-none-match") {
            self.has_etag_condition = true;
        }
        Ok(())
    }
}

/// True for the characters of an authority without a user: RFC 3986, 3.2. Every request has a host, so a table saves time.
static IS_OF_HOST: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'$'..=b'.' | b':' | b';'
            | b'=' | b'[' | b']' | b'_' | b'~');
        byte += 1;
    }
    table
};

/// Splits a target into the path and the query. `None` if the target is neither a path nor an address of HTTP.
fn split_target(target: &str) -> Option<(&str, &str)> {
    let target = match target.as_bytes() {
        [b'/', ..] => target,
        _ => {
            let (scheme, rest) = target.split_once("://")?;
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return None;
            }
            match rest.find(['/', '?', '#']).map(|at| &rest[at..]) {
                Some(target) if target.starts_with('/') => target,
                _ => "/",
            }
        }
    };
    let end = target.bytes().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
    let (path, query) = target.split_at(end);
    if query.is_empty() {
        return Some((path, query)); // as in nearly all requests
    }
    Some((path, query.split('#').next().unwrap_or_default())) // a fragment means nothing to a server
}

/// The input, which is at most as long as a head may be, has no whole head.
fn incomplete(input: &[u8]) -> Result<Option<Request<'_>>, Status> {
    if input.len() < MAX_HEAD { Ok(None) } else { Err(Status::HEAD_TOO_LARGE) }
}

/// `httparse` knows the versions 1.0 and 1.1, and has found another word in the place of the version.
fn other_version(input: &[u8]) -> Result<Option<Request<'_>>, Status> {
    let rest = input.trim_ascii_start();
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let word = line.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or_default();
    let is_like =
        |(byte, like): (&u8, &u8)| if like.is_ascii_digit() { byte.is_ascii_digit() } else { byte == like };
    match word.iter().zip(b"HTTP/1.1").take_while(|pair| is_like(*pair)).count() {
        8 => Err(Status::VERSION_NOT_SUPPORTED),
        len if len == word.len() && line.len() == rest.len() => incomplete(input), // the word may become a version
        _ => Err(Status::BAD_REQUEST),
    }
}

/// Parses a number without a sign, and without spaces around it.
pub fn number(text: &[u8], radix: u32) -> Option<u64> {
    if !text.first()?.is_ascii_hexdigit() {
        return None; // `from_str_radix` takes a plus sign
    }
    u64::from_str_radix(str::from_utf8(text).ok()?, radix).ok()
}

/// A body that is read and discarded.
#[derive(Debug)]
pub struct Body {
    state: State,
    /// The number of bytes that the body may still have.
    allowance: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// This many bytes of the body are left.
    Length(u64),
    /// The line with the size of a chunk is next.
    Size,
    /// This many bytes of a chunk are left.
    Chunk(u64),
    /// The line end behind a chunk is next.
    ChunkEnd,
    /// A trailer line is next, or the empty line at the end.
    Trailer,
}

impl Body {
    /// `None` if there is no body.
    pub fn new(framing: Framing) -> Option<Self> {
        let state = match framing {
            Framing::None | Framing::Length(0) => return None,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
        };
        Some(Self { state, allowance: MAX_BODY })
    }

    /// Discards the part of the body that stands at the start of the input. Returns the length of the part, and true if the
    /// body ends with the part.
    pub fn discard(&mut self, input: &[u8]) -> Result<(usize, bool), Status> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let (len, next) = match self.state {
                State::Length(left) | State::Chunk(left) => {
                    let len = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - len as u64;
                    match self.state {
                        State::Length(_) => (len, (left > 0).then_some(State::Length(left))),
                        _ if left == 0 => (len, Some(State::ChunkEnd)),
                        _ => (len, Some(State::Chunk(left))),
                    }
                }
                State::ChunkEnd if !b"\r\n".starts_with(&rest[..rest.len().min(2)]) => {
                    return Err(Status::BAD_REQUEST);
                }
                State::Size | State::ChunkEnd | State::Trailer => match line(rest)? {
                    None => (0, Some(self.state)),
                    Some(line) => (line.len() + 2, self.after_line(line)?),
                },
            };
            used += len;
            self.allowance = self.allowance.checked_sub(len as u64).ok_or(Status::CONTENT_TOO_LARGE)?;
            match next {
                None => return Ok((used, true)),
                Some(state) => self.state = state,
            }
            if len == 0 || used == input.len() {
                return Ok((used, false));
            }
        }
    }

    /// Returns the state after a line, or `None` if the body has ended.
    fn after_line(&self, line: &[u8]) -> Result<Option<State>, Status> {
        match self.state {
            State::Size => match chunk_size(line).ok_or(Status::BAD_REQUEST)? {
                0 => Ok(Some(State::Trailer)),
                size if size > self.allowance => Err(Status::CONTENT_TOO_LARGE),
                size => Ok(Some(State::Chunk(size))),
            },
            State::Trailer if line.is_empty() => Ok(None),
            State::Trailer => match line.iter().position(|byte| *byte == b':') {
                Some(len) if len > 0 && line[..len].iter().all(u8::is_ascii_graphic) => {
                    Ok(Some(State::Trailer))
                }
                _ => Err(Status::BAD_REQUEST),
            },
            _ => Ok(Some(State::Size)), // the empty line behind a chunk
        }
    }
}

/// Returns the first line without its line end. `None`: the line is incomplete.
fn line(input: &[u8]) -> Result<Option<&[u8]>, Status> {
    let Some(len) = input.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if input.len() < MAX_LINE { Ok(None) } else { Err(Status::BAD_REQUEST) };
    };
    // Two servers that accept different line ends can be made to see different requests, so the line end is CR LF alone.
    let line = input[..len].strip_suffix(b"\r").ok_or(Status::BAD_REQUEST)?;
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Status::BAD_REQUEST);
    }
    Ok(Some(line))
}

/// Parses the line in front of a chunk: the size, and extensions, which are ignored.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.iter().position(|byte| *byte == b';').map_or(line, |at| line[..at].trim_ascii_end());
    number(size, 16)
}
