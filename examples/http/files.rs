//! The files of a directory: which file a request means, and which part of the file.

use std::fmt::Write;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::request::{Method, Request, number};
use crate::response::{Content, Reply};
use crate::status::Status;

/// A directory whose files are served.
pub struct Root {
    path: PathBuf,
    /// Names are looked up from here.
    #[cfg(target_os = "linux")]
    directory: File,
}

/// The result of a look-up.
enum Found {
    Directory,
    File(File, fs::Metadata),
}

impl Root {
    pub fn new(path: &Path) -> io::Result<Self> {
        let open = || -> io::Result<Self> {
            let path = fs::canonicalize(path)?;
            if !path.is_dir() {
                return Err(ErrorKind::NotADirectory.into());
            }
            Ok(Self {
                #[cfg(target_os = "linux")]
                directory: File::open(&path)?,
                path,
            })
        };
        open().map_err(|error| {
            io::Error::new(error.kind(), format!("cannot serve {}: {error}", path.display()))
        })
    }

    /// Returns the answer to a GET or HEAD.
    pub fn find(&self, request: &Request<'_>) -> Reply {
        self.look_up(request).unwrap_or_else(Reply::Error)
    }

    fn look_up(&self, request: &Request<'_>) -> Result<Reply, Status> {
        let names = names(request.path)?;
        let is_directory = request.path.ends_with('/');
        let mut path: PathBuf = names.iter().collect();
        if is_directory {
            path.push("index.html");
        }
        let found = match self.open_beneath(&path) {
            Some(found) => found,
            None => self.open(&path)?,
        };
        let (file, metadata) = match found {
            Found::File(file, metadata) => (file, metadata),
            Found::Directory if is_directory => return Err(Status::NOT_FOUND),
            Found::Directory => return Ok(Reply::Moved(location(&names, request.query))),
        };
        let modified = metadata.modified().map_or(UNIX_EPOCH, whole_seconds);
        let date = |value: Option<&[u8]>| -> Option<SystemTime> {
            httpdate::parse_http_date(str::from_utf8(value?).ok()?).ok()
        };
        if date(request.if_modified_since).is_some_and(|since| modified <= since) {
            return Ok(Reply::NotModified(modified));
        }
        let len = metadata.len();
        let is_same = request.if_range.is_none() || date(request.if_range) == Some(modified);
        let part = match request.range {
            Some(range) if is_same && request.method == Method::Get => part(range, len),
            _ => Part::Whole,
        };
        let part = match part {
            Part::Whole => None,
            Part::Range(range) => Some(range),
            Part::NotSatisfiable => return Ok(Reply::NotSatisfiable(len)),
        };
        Ok(Reply::File(Content { file, content_type: content_type(&path), modified, len, part }))
    }

    /// Opens a file by one system call, which follows no link out of the directory, openat2(2). `None`: this call cannot open
    /// the file, for example because an absolute link leads to the file. A pipe or a device in the directory is opened for a
    /// moment, without blocking, and `open` then refuses it.
    #[cfg(target_os = "linux")]
    fn open_beneath(&self, path: &Path) -> Option<Found> {
        use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY; // a pipe must not block the loop
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = File::from(openat2(&self.directory, path, flags, Mode::empty(), resolve).ok()?);
        match file.metadata().ok()? {
            metadata if metadata.is_dir() => Some(Found::Directory),
            metadata => metadata.is_file().then_some(Found::File(file, metadata)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn open_beneath(&self, _path: &Path) -> Option<Found> {
        None
    }

    /// Opens a file on any system. A pipe or a device is refused before it is opened, because opening may block. (A process that exchanges a directory for a link between two of these calls could lead a request
    /// astray; such a process can write to the directory anyway.)
    fn open(&self, path: &Path) -> Result<Found, Status> {
        let path = fs::canonicalize(self.path.join(path)).map_err(|error| status(&error))?;
        if !path.starts_with(&self.path) {
            return Err(Status::NOT_FOUND);
        }
        let metadata = fs::metadata(&path).map_err(|error| status(&error))?;
        if metadata.is_dir() {
            return Ok(Found::Directory);
        } else if !metadata.is_file() {
            return Err(Status::NOT_FOUND);
        }
        let mut options = OpenOptions::new();
        options.read(true);
        // The path may be that of a pipe by now.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            rustix::fs::OFlags::NONBLOCK.bits() as i32,
        );
        let file = options.open(path).map_err(|error| match status(&error) {
            Status::NOT_FOUND if error.kind() != ErrorKind::NotFound => Status::UNAVAILABLE, // no descriptor is left
            status => status,
        })?;
        let metadata = file.metadata().map_err(|_| Status::UNAVAILABLE)?;
        if metadata.is_file() { Ok(Found::File(file, metadata)) } else { Err(Status::NOT_FOUND) }
    }
}

/// Returns the time as HTTP can tell the time: in whole seconds, and within the years 1970 to 9999.
fn whole_seconds(time: SystemTime) -> SystemTime {
    const LAST: u64 = 253_402_300_799;
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    UNIX_EPOCH + Duration::from_secs(seconds.min(LAST))
}

fn status(error: &io::Error) -> Status {
    match error.kind() {
        ErrorKind::PermissionDenied => Status::FORBIDDEN,
        _ => Status::NOT_FOUND,
    }
}

/// Splits a path into the names of directories and of a file. Each name is decoded by itself, so that "%2F" is not taken for
/// a slash. Names that would lead elsewhere are refused.
fn names(path: &str) -> Result<Vec<String>, Status> {
    let mut names = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let name = decode(part)?;
        let mut components = Path::new(&name).components();
        match (components.next(), components.next()) {
            (Some(Component::Normal(only)), None) if only == name.as_str() && !name.contains('\\') => {}
            _ => return Err(Status::NOT_FOUND),
        }
        names.push(name);
    }
    Ok(names)
}

/// Decodes percent-encoded bytes.
fn decode(text: &str) -> Result<String, Status> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let byte;
        (byte, rest) = match behind {
            _ if *first != b'%' => (*first, behind),
            [high, low, behind @ ..] => {
                (number(&[*high, *low], 16).ok_or(Status::BAD_REQUEST)? as u8, behind)
            }
            _ => return Err(Status::BAD_REQUEST),
        };
        if byte == 0 {
            return Err(Status::BAD_REQUEST); // no name has such a byte
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| Status::NOT_FOUND)
}

/// Returns the address of a directory. The address is encoded anew and begins with one slash, because a browser takes "//x"
/// and "/\x" for the name of another server.
fn location(names: &[String], query: &str) -> String {
    let mut location = String::from("/");
    for name in names {
        for byte in name.bytes() {
            match byte {
                b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                    location.push(byte.into())
                }
                _ => _ = write!(location, "%{byte:02X}"),
            }
        }
        location.push('/');
    }
    location + query
}

#[derive(PartialEq, Eq, Debug)]
pub enum Part {
    Whole,
    Range(Range<u64>),
    NotSatisfiable,
}

/// Finds the part of a file of `len` bytes that a Range header means. A header with several ranges or with a bad syntax is
/// ignored, as RFC 9110, 14.2 permits.
pub fn part(header: &[u8], len: u64) -> Part {
    let range = || -> Option<Range<u64>> {
        let (unit, range) = header.split_at_checked(6)?;
        let dash = range.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (&range[..dash], &range[dash + 1..]);
        match (first, last) {
            _ if !unit.eq_ignore_ascii_case(b"bytes=") => None,
            (b"", last) => Some(len.saturating_sub(number(last, 10)?)..len),
            (first, b"") => Some(number(first, 10)?..len),
            (first, last) => {
                let (first, last) = (number(first, 10)?, number(last, 10)?);
                (first <= last).then(|| first..last.saturating_add(1).min(len))
            }
        }
    };
    match range() {
        None => Part::Whole,
        Some(range) if range.start < range.end => Part::Range(range),
        Some(_) => Part::NotSatisfiable,
    }
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "css" => "text/css; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "gif" => "image/gif",
        "htm" | "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "md" => "text/markdown; charset=utf-8",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "xml" => "application/xml",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}
