//! The options that the crate sets on streams and on listeners whose streams inherit them.

use std::{io, time::Duration};

use socket2::SockRef;

use crate::options::{Keepalive, Options};

use super::platform;

/// The options that every connection of a reactor, or of a listener, has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes<'a> {
    pub(crate) nodelay: bool,
    pub(crate) keepalive: Option<&'a Keepalive>,
}

impl<'a> From<&'a Options> for Wishes<'a> {
    fn from(options: &'a Options) -> Self {
        Self { nodelay: true, keepalive: options.keepalive.as_ref() }
    }
}

/// Sets the options that every connection has. A connection without them is slower, or slower to notice that its peer
/// is gone, and not wrong; so a failure is only logged.
pub(crate) fn configure(socket: &SockRef<'_>, wishes: Wishes<'_>) {
    let nodelay = socket.set_tcp_nodelay(wishes.nodelay);
    let keepalive = wishes.keepalive.map_or(Ok(()), |wish| set_keepalive(socket, wish));
    if let Err(error) = nodelay.and(keepalive) {
        log::debug!("a socket option cannot be set: {error}");
    }
}

/// Clears SO_LINGER, which a socket that the host made may carry: with a time, its close would block the loop until the
/// peer has acknowledged everything, socket(7).
pub(crate) fn clear_linger(socket: &SockRef<'_>) {
    if let Err(error) = socket.set_linger(None) {
        log::debug!("SO_LINGER cannot be cleared: {error}");
    }
}

/// Makes the coming close a reset: SO_LINGER with a time of zero, socket(7). The call fails only if the peer's reset came
/// first, and then no reset is needed.
pub(crate) fn reset_on_close(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_linger(Some(Duration::ZERO))
}

/// Sets keepalive for a stream, or for a listener whose streams inherit it.
pub(crate) fn set_keepalive(socket: &SockRef<'_>, wish: &Keepalive) -> io::Result<()> {
    socket.set_tcp_keepalive(&platform::keepalive_times(wish))
}
