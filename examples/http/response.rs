//! The answers, and how they are written.

use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate::{Flow, Output};

use crate::request::Connection;
use crate::status::Status;

/// The answer to a request.
#[derive(Debug)]
pub enum Reply {
    Plaintext,
    Error(Status),
    /// The path of a directory lacks the slash at its end; the address with the slash.
    Moved(String),
    NotModified(SystemTime),
    /// The requested range begins behind the end of a file of this length.
    NotSatisfiable(u64),
    File(Content),
}

/// A file, or a part of a file.
#[derive(Debug)]
pub struct Content {
    pub file: File,
    pub content_type: &'static str,
    pub modified: SystemTime,
    /// The length of the whole file.
    pub len: u64,
    /// The part that the client has asked for.
    pub part: Option<Range<u64>>,
}

/// Files up to this length are read and sent together with their head. That needs one `send` less than `send_file`, and an
/// outbox below high water then holds few open files: a client that pipelines requests for tiny files and reads no answer
/// could otherwise make the server open hundreds of them.
const SMALL: u64 = 16 << 10;

const HELLO: &[u8] = b"Hello, World!";

/// Writes answers. The buffers are made once.
pub struct Answers {
    /// The present date is right until this time.
    until: Instant,
    date: String,
    /// The answer that is asked for most, with its date.
    plaintext: Vec<u8>,
    buffer: Vec<u8>,
}

impl Answers {
    pub fn new() -> Self {
        let (now, date) = (Instant::now(), httpdate::fmt_http_date(UNIX_EPOCH));
        let mut answers = Self { until: now, date, plaintext: Vec::new(), buffer: Vec::new() };
        answers.update(now);
        answers
    }

    /// Keeps the date right. `now` is the time of the turn, so no request needs a call of a clock.
    #[inline]
    pub fn update(&mut self, now: Instant) {
        if now >= self.until {
            self.new_second(now);
        }
    }

    #[cold]
    fn new_second(&mut self, now: Instant) {
        let time = SystemTime::now();
        let nanos = time.duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
        self.until = now + Duration::from_secs(1) - Duration::from_nanos(nanos.into());
        self.date = httpdate::fmt_http_date(time);
        self.begin(Status::OK, Connection::Open);
        self.body("text/plain", HELLO, false);
        self.plaintext.clone_from(&self.buffer);
    }

    /// The whole answer to `GET /plaintext` over a connection that stays open.
    #[inline]
    pub fn plaintext(&self) -> &[u8] {
        &self.plaintext
    }

    /// Sends an answer. A client that has asked for the head is not sent the body.
    pub fn send(
        &mut self,
        out: &mut Output<'_>,
        reply: Reply,
        is_head: bool,
        connection: Connection,
    ) -> Flow {
        match reply {
            Reply::Plaintext => {
                self.begin(Status::OK, connection);
                self.body("text/plain", HELLO, is_head);
            }
            Reply::Error(status) => {
                self.begin(status, connection);
                if status == Status::METHOD_NOT_ALLOWED {
                    self.header("Allow", "GET, HEAD");
                }
                self.body_of(status, is_head);
            }
            Reply::Moved(location) => {
                self.begin(Status::MOVED_PERMANENTLY, connection);
                self.header("Location", location);
                self.body_of(Status::MOVED_PERMANENTLY, is_head);
            }
            Reply::NotModified(modified) => {
                self.begin(Status::NOT_MODIFIED, connection);
                self.header("Last-Modified", httpdate::HttpDate::from(modified));
                self.buffer.extend_from_slice(b"\r\n");
            }
            Reply::NotSatisfiable(len) => {
                self.begin(Status::RANGE_NOT_SATISFIABLE, connection);
                self.header("Content-Range", format_args!("bytes */{len}"));
                self.body_of(Status::RANGE_NOT_SATISFIABLE, is_head);
            }
            Reply::File(content) => return self.send_file(out, content, is_head, connection),
        }
        out.send_all(&self.buffer)
    }

    fn send_file(
        &mut self,
        out: &mut Output<'_>,
        content: Content,
        is_head: bool,
        connection: Connection,
    ) -> Flow {
        let Content { mut file, content_type, modified, len, part } = content;
        self.begin(if part.is_some() { Status::PARTIAL_CONTENT } else { Status::OK }, connection);
        if let Some(Range { start, end }) = part {
            self.header("Content-Range", format_args!("bytes {start}-{}/{len}", end - 1));
        }
        self.header("Last-Modified", httpdate::HttpDate::from(modified));
        self.header("Accept-Ranges", "bytes");
        let part = part.unwrap_or(0..len);
        let length = part.end - part.start;
        self.end_of_head(content_type, length);
        if is_head || length == 0 {
            return out.send_all(&self.buffer);
        }
        if length > SMALL {
            return out.send_all(&self.buffer).max(out.send_file(file, part));
        }
        let head = self.buffer.len();
        self.buffer.resize(head + length as usize, 0);
        let begin = if part.start > 0 { file.seek(SeekFrom::Start(part.start)) } else { Ok(0) };
        if begin.and_then(|_| file.read_exact(&mut self.buffer[head..])).is_ok() {
            return out.send_all(&self.buffer);
        }
        // The file has become shorter. The crate also resets the connection if this happens to a file of `send_file`.
        out.abort();
        Flow::Gone
    }

    fn begin(&mut self, Status(status): Status, connection: Connection) {
        self.buffer.clear();
        for part in ["HTTP/1.1 ", status, "\r\nServer: tidegate\r\nDate: ", &self.date, "\r\n"] {
            self.buffer.extend_from_slice(part.as_bytes());
        }
        match connection {
            Connection::Open => {}
            Connection::KeepAlive => self.header("Connection", "keep-alive"),
            Connection::Close => self.header("Connection", "close"),
        }
    }

    fn header(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.buffer, "{name}: {value}\r\n"); // a write to a vector does not fail
    }

    fn end_of_head(&mut self, content_type: &str, length: u64) {
        self.header("Content-Type", content_type);
        self.header("Content-Length", length);
        self.buffer.extend_from_slice(b"\r\n");
    }

    fn body(&mut self, content_type: &str, body: &[u8], is_head: bool) {
        self.end_of_head(content_type, body.len() as u64);
        if !is_head {
            self.buffer.extend_from_slice(body);
        }
    }

    /// The body of an answer that is for people: the status and a line end.
    fn body_of(&mut self, Status(status): Status, is_head: bool) {
        self.end_of_head("text/plain", status.len() as u64 + 1);
        if !is_head {
            self.buffer.extend_from_slice(status.as_bytes());
            self.buffer.push(b'\n');
        }
    }
}
