//! A second descriptor of a socket that a reactor has, to read the options of that socket.

use std::{fs, net::TcpStream, os::fd::OwnedFd, path::Path};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// Returns a duplicate of the descriptor at the other end of this connection, which a reactor of this process has open.
/// proc(5) tells the number of the descriptor, and pidfd_getfd(2) duplicates the descriptor. Where a sandbox forbids
/// pidfd_getfd(2), the test is skipped.
pub fn of_the_other_end(stream: &TcpStream) -> Option<OwnedFd> {
    let inode = super::socket_column(stream.peer_addr().unwrap(), stream.local_addr().unwrap(), 9);
    let socket = format!("socket:[{inode}]");
    let is_the_socket =
        |path: &Path| fs::read_link(path).is_ok_and(|target| target.to_str() == Some(&socket));
    let mut descriptors = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let path = descriptors.find(|path| is_the_socket(path)).expect("the reactor has the socket open");
    let descriptor = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let process = pidfd_open(getpid(), PidfdFlags::empty()).ok();
    let twin = process.and_then(|process| pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty()).ok());
    if twin.is_none() {
        super::skip("pidfd_getfd(2) does not work here");
    }
    twin
}
