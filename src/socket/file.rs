//! A range of a file that is to be sent.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    ops::Range,
};

use super::platform;

/// How much a file is read at a time where the system cannot send it by itself.
const COPY_BUFFER: usize = 64 << 10;

/// The part of a file that is still to be sent.
#[derive(Debug)]
pub(crate) struct FileRange {
    file: File,
    range: Range<u64>,
    /// Empty while the system sends the file by itself, sendfile(2).
    buffer: Vec<u8>,
    /// The system cannot send this file by itself, or must not.
    copies: bool,
}

/// Why a part of a file was not sent.
#[derive(Debug)]
pub(crate) enum FileError {
    /// The stream did not take the bytes.
    Stream(io::Error),
    /// The file could not be read, or ended before the range.
    File(io::Error),
}

impl FileRange {
    /// `copies`: the file must be read and then sent, because sendfile(2) is not available or not safe.
    pub(crate) fn new(file: File, range: Range<u64>, copies: bool) -> Self {
        Self { file, range, buffer: Vec::new(), copies }
    }

    pub(crate) fn len(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    pub(crate) fn copies(&self) -> bool {
        self.copies
    }

    pub(crate) fn advance(&mut self, n: u64) {
        self.range.start += n;
    }

    /// The storage that the range owns, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Reads at most `most` bytes from the file and writes them to the stream. Bytes that the stream does not take are read
    /// again in the next call.
    pub(crate) fn copy_to(&mut self, stream: &mut impl Write, most: usize) -> Result<usize, FileError> {
        let wanted = most.min(COPY_BUFFER).min(usize::try_from(self.len()).unwrap_or(usize::MAX));
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let Self { file, range, buffer, .. } = self;
        let n = read(file, range.start, &mut buffer[..wanted])?;
        stream.write(&buffer[..n]).map_err(FileError::Stream)
    }

    /// Reads from the front of the range, and at least one byte.
    #[cfg(test)]
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize, FileError> {
        read(&self.file, self.range.start, buffer)
    }
}

fn read(file: &File, from: u64, buffer: &mut [u8]) -> Result<usize, FileError> {
    loop {
        match platform::read_at(file, buffer, from) {
            Ok(0) => return Err(FileError::File(too_short())),
            Ok(n) => return Ok(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(FileError::File(error)),
        }
    }
}

/// For sendfile(2).
#[allow(dead_code, reason = "the portable rules send no file by the system")]
impl FileRange {
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The offset of the next byte in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.range.start
    }

    /// The system cannot send this file by itself.
    pub(crate) fn copy_from_now_on(&mut self) {
        self.copies = true;
    }
}

/// A stream that can send a part of a file.
pub(crate) trait SendFile: Write + Sized {
    /// Hands at most `most` bytes of the file to the kernel. Returns how many bytes the kernel took.
    fn send_file(&mut self, file: &mut FileRange, most: usize) -> Result<usize, FileError> {
        file.copy_to(self, most)
    }
}

/// The error for a file that ends before the range that is to be sent.
pub(crate) fn too_short() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the file ended before the range that was to be sent")
}
