//! How a part of a file is sent.

use std::io;

use super::MioStream;
use crate::socket::file::{FileError, FileRange};

epoll! {
    /// True for the errors of sendfile(2) that no socket returns: EIO, EBADF, EINVAL, ESPIPE, ENOSYS and EOVERFLOW. Their
    /// numbers are those of most architectures; an unknown number counts as an error of the socket.
    fn concerns_file(error: &io::Error) -> bool {
        let kind = error.kind();
        matches!(error.raw_os_error(), Some(5 | 9 | 22 | 29 | 38 | 75))
            || matches!(kind, io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
    }

    /// Sends a part of a file without a copy through this process, sendfile(2).
    pub(crate) fn send_file(
        stream: &mut (impl MioStream + std::os::fd::AsFd),
        file: &mut FileRange,
        most: usize,
    ) -> Result<usize, FileError> {
        let wanted = most.min(usize::try_from(file.len()).unwrap_or(usize::MAX));
        let mut offset = file.offset();
        let sent = stream.try_io(|| Ok(rustix::fs::sendfile(&*stream, file.file(), Some(&mut offset), wanted)?));
        match sent {
            Ok(0) => Err(FileError::File(crate::socket::file::too_short())),
            Ok(n) => Ok(n),
            // sendfile(2) may fail because of the file. Reading the file then shows its own error, or works.
            Err(error) if concerns_file(&error) => {
                file.copy_from_now_on();
                file.copy_to(&mut Sends(stream), most)
            }
            Err(error) => Err(FileError::Stream(error)),
        }
    }
}

portable! {
    pub(crate) fn send_file(stream: &mut impl MioStream, file: &mut FileRange, most: usize) -> Result<usize, FileError> {
        file.copy_to(&mut Sends(stream), most)
    }
}

/// A stream as a writer without SIGPIPE.
struct Sends<'a, T>(&'a T);

impl<T: MioStream> io::Write for Sends<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
