//! The user and the process at the other end of a Unix socket.

/// The user and the process at the other end of a Unix socket: [`Conn::peer_credentials`](crate::Conn::peer_credentials).
///
/// The system has recorded them when the peer connected, began to listen, or made a pair of sockets. A process that has
/// changed its user since, or has passed its socket to another process, does not change them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The process. 0 if the process is not visible in the PID namespace of this process.
    pub pid: i32,
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
}
