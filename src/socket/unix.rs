//! Unix sockets: how a listener takes a path and gives the path back, and how a stream connects.
//!
//! bind(2) makes a file at the path of a Unix socket, and no call removes the file: it stays when the socket closes, and
//! bind(2) fails with EADDRINUSE as long as a file is there. So a server that was killed would have to be cleaned up after.
//! [`listen`] replaces a file that nobody listens on, and a [`SocketFile`] removes its file when the listener closes.
//!
//! A file that nobody listens on must be told from the file of a server that is just between bind(2) and listen(2), and two
//! servers that start at a time must not remove each other's files. So each of them holds a lock on the directory from
//! before its bind(2) until after its listen(2), flock(2). The lock leaves no file behind, and the system releases the lock
//! when the process ends.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{
        ffi::OsStringExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use mio::net::UnixStream;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::address::{UnixName, no_name};

use super::listen::explain;

/// A listener that this process has made, with the file at its path. Abstract names have no file.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) file: Option<SocketFile>,
    pub(crate) listener: UnixListener,
}

/// The file that bind(2) made at the path of a listener. The file is removed when this value is dropped, unless another file
/// has taken its place.
///
/// The value must be dropped before the listener is closed. As long as the listener listens, no other server takes its file
/// for a stale file, and the system gives the number of its inode to no other file.
#[derive(Debug)]
pub(crate) struct SocketFile {
    /// Absolute, because the working directory may change.
    path: PathBuf,
    device_and_inode: (u64, u64),
}

/// Opens a Unix socket that listens: nonblocking and close-on-exec. `mode`: the permissions of the file; they are set before
/// the socket listens, so no client can connect before.
pub(crate) fn listen(name: &UnixName, backlog: u32, mode: Option<u32>) -> io::Result<Bound> {
    let (file, socket) = match name {
        UnixName::Path(path) => {
            // Held until the socket listens.
            let lock = lock_directory_of(path);
            let socket = bind(name, path, lock.is_some())?;
            let file = SocketFile::made_by_bind(path)?; // removed again if a later call fails
            if let Some(mode) = mode {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|error| {
                    explain(format_args!("cannot set the permissions {mode:03o}"), &error)
                })?;
            }
            socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
            (Some(file), socket)
        }
        UnixName::Abstract(_) | UnixName::Unnamed => {
            let socket = open()?;
            socket.bind(&address(name)?)?;
            socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
            (None, socket)
        }
    };
    Ok(Bound { file, listener: socket.into() })
}

/// Begins to connect.
///
/// # Errors
/// Linux does not wait for room in the backlog of the listener, and returns EAGAIN; no event would tell of the room,
/// connect(2). The error says so.
pub(crate) fn connect(to: &UnixName) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&to.to_std()?).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(error.kind(), "the backlog of the listener is full"),
        _ => error,
    })
}

fn open() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn address(name: &UnixName) -> io::Result<SockAddr> {
    match name {
        UnixName::Path(path) => SockAddr::unix(path),
        UnixName::Abstract(name) => {
            SockAddr::unix(OsString::from_vec([b"\0", &**name].concat())) // the zero byte marks an abstract name, unix(7)
        }
        UnixName::Unnamed => Err(no_name()),
    }
}

/// Binds to a path, in place of a file that nobody listens on if `may_replace`.
fn bind(name: &UnixName, path: &Path, may_replace: bool) -> io::Result<Socket> {
    let (socket, at) = (open()?, address(name)?);
    match socket.bind(&at) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let taken = |by: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, by));
            match occupant(path, &at)? {
                Occupant::OtherFile => return taken("a file that is no socket is there"),
                Occupant::Server => return taken("a socket is there already, and it is in use"),
                Occupant::Nobody if !may_replace => {
                    return taken("a socket is there already, and it cannot be told whether it is in use");
                }
                Occupant::Nobody => fs::remove_file(path)?,
                Occupant::Gone => {}
            }
            socket.bind(&at)?;
            Ok(socket)
        }
        bound => bound.map(|()| socket),
    }
}

enum Occupant {
    /// A server listens, or whether one listens cannot be found out.
    Server,
    /// A socket that nobody listens on.
    Nobody,
    OtherFile,
    /// The file was removed meanwhile.
    Gone,
}

/// Finds out what is at a path. A server that listens there sees a client that connects and ends at once.
fn occupant(path: &Path, at: &SockAddr) -> io::Result<Occupant> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Ok(Occupant::OtherFile),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Gone),
        Err(error) => return Err(error),
    }
    Ok(match open()?.connect(at).map_err(|error| error.kind()) {
        Err(io::ErrorKind::ConnectionRefused) => Occupant::Nobody,
        Err(io::ErrorKind::NotFound) => Occupant::Gone,
        _ => Occupant::Server,
    })
}

impl SocketFile {
    /// The caller has just bound a socket to the path.
    fn made_by_bind(path: &Path) -> io::Result<Self> {
        Ok(Self { path: std::path::absolute(path)?, device_and_inode: device_and_inode(path)? })
    }
}

impl SocketFile {
    /// Leaves the file where it is.
    pub(crate) fn keep(mut self) {
        self.path = PathBuf::new(); // no file has this path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another error than a missing file leaves the file there, and the next server replaces it.
        if device_and_inode(&self.path).is_ok_and(|found| found == self.device_and_inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::debug!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

fn device_and_inode(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Takes the lock on the directory of a path. Returns `None` if the lock cannot be had within a second, because another
/// process holds the lock, the directory cannot be read, or the file system knows no locks.
///
/// Linux alone: elsewhere connect(2) also fails with ECONNREFUSED if the backlog of a live server is full, so a file that
/// nobody listens on cannot be told.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn lock_directory_of(path: &Path) -> Option<fs::File> {
    use rustix::{
        fs::{FlockOperation, flock},
        io::Errno,
    };
    use std::{thread, time::Duration};

    const PAUSE: Duration = Duration::from_millis(5);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = fs::File::open(parent.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..200 {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(PAUSE),
            Err(_) => return None,
        }
    }
    None
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn lock_directory_of(_: &Path) -> Option<fs::File> {
    None
}
