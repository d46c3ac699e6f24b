//! The purposes of the timers of a reactor.

use crate::id::ConnId;

/// The purpose of a timer. The timers of a connection or listener are cancelled with it, so its slot is enough to name it;
/// [`SendRetry`](Self::SendRetry) alone may outlive its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TimerKind {
    /// `Net::set_timer`, with the tag.
    Handler(u64),
    /// `Conn::set_timeout`: the index in the connection's list of timeouts, which has the tag.
    Timeout {
        slot: u32,
        index: u32,
    },
    Idle(u32),
    /// `Conn::close_when_idle`.
    QuietClose(u32),
    Deadline(u32),
    /// The time that an address has to answer a connect.
    Connect(u32),
    /// The linger time or the close timeout.
    Closing(u32),
    /// ENOBUFS: send again.
    SendRetry(ConnId),
    /// Accepting was exhausted: accept again.
    AcceptRetry(u32),
    /// A datagram socket found no buffer space, or met nothing but errors: try again.
    DatagramRetry(u32),
    /// The end of the grace of a drain.
    DrainEnd,
}
