//! Unix sockets for tests.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
};

use socket2::{Domain, SockAddr, Socket, Type};

/// The number of the next path, so that each path of this process is used once.
static NEXT: AtomicU16 = AtomicU16::new(1);

/// The prefix for documentation, RFC 3849. No host has such an address.
const STAND_IN: [u16; 2] = [0x2001, 0xdb8];

/// Returns an address that stands for the path of a Unix socket.
pub fn stand_in() -> SocketAddr {
    let ip = Ipv6Addr::new(STAND_IN[0], STAND_IN[1], 0, 0, 0, 0, 0, 0);
    SocketAddr::from((ip, NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Returns the path that an address stands for, or `None` for an address of TCP.
pub fn path_of(at: SocketAddr) -> Option<PathBuf> {
    match at.ip() {
        IpAddr::V6(ip) if ip.segments()[..2] == STAND_IN => {
            let name = format!("tidegate-{}-{}.sock", std::process::id(), at.port());
            Some(std::env::temp_dir().join(name))
        }
        _ => None,
    }
}

/// Connects a socket to a path. The type is that of TCP, so that a test has one type of client: as its type says, the value is
/// a stream socket, and only the calls about addresses and about options of TCP fail.
pub fn connect_to(path: &Path, prepare: impl FnOnce(&Socket)) -> TcpStream {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    prepare(&socket);
    socket.connect(&SockAddr::unix(path).unwrap()).unwrap();
    socket.into()
}

/// A folder for the paths of one test, which is removed at the end of the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tidegate-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the names of the files in the folder.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // A failure leaves a folder behind, and must not hide the failure of the test.
    }
}
