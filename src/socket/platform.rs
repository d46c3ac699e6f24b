//! What differs between platforms, in one place.

use std::io::{self, IoSlice};

use mio::{Interest, net::TcpStream};
use socket2::SockRef;

// One predicate decides which of two sets of rules the crate is built with. mio's `poll(2)` selector, which a build asks
// for with `--cfg mio_unsupported_force_poll_poll`, gets the portable rules on Linux as well: that selector arms readiness
// again only after a `WouldBlock` that mio sees, which is the least that mio promises on any platform (`mio::Poll`,
// "Draining readiness"). So the portable rules can be tested on Linux.

/// Linux and Android with epoll, with all that epoll and this kernel allow.
macro_rules! epoll {
    ($($item:item)*) => {
        $(
            #[cfg(all(any(target_os = "linux", target_os = "android"), not(mio_unsupported_force_poll_poll)))]
            $item
        )*
    };
}

/// Every other selector of mio.
macro_rules! portable {
    ($($item:item)*) => {
        $(
            #[cfg(not(all(any(target_os = "linux", target_os = "android"), not(mio_unsupported_force_poll_poll))))]
            $item
        )*
    };
}

/// Items that need the descriptor of a `mio::Poll`: the condition is that of mio's own `AsFd for Registry`.
macro_rules! poll_descriptor {
    ($($item:item)*) => {
        $(
            #[cfg(all(
                unix,
                not(mio_unsupported_force_poll_poll),
                not(any(
                    target_os = "aix",
                    target_os = "espidf",
                    target_os = "nuttx",
                    target_os = "haiku",
                    target_os = "fuchsia",
                    target_os = "hermit",
                    target_os = "hurd",
                    target_os = "nto",
                    target_os = "vita",
                    target_os = "cygwin",
                    target_os = "horizon"
                )),
            ))]
            $item
        )*
    };
}
pub(crate) use poll_descriptor;

epoll! {
    /// Whether a `recv` that returned less than it was asked for has emptied the socket, as long as neither an urgent
    /// mark nor a hang-up is waiting, which the priority interest tells.
    pub(crate) const SHORT_READ_DRAINS: bool = true;

    /// Whether an accepted connection has the listener's TCP_NODELAY and keepalive, which saves system calls for each.
    pub(crate) const OPTIONS_ARE_INHERITED: bool = true;

    /// `false` if a socket is known not to listen.
    pub(crate) fn may_listen(socket: &SockRef<'_>) -> bool {
        socket.is_listener().unwrap_or(true)
    }

    /// What a stream is registered for, once: no `epoll_ctl` between accept and close.
    pub(crate) const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

    /// Several slices in one system call, without SIGPIPE: std's is `writev`, which takes no MSG_NOSIGNAL, and a host
    /// may have left SIGPIPE at its default, which kills it.
    pub(crate) fn send_vectored(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        const MSG_NOSIGNAL: i32 = 0x4000; // linux/socket.h
        stream.try_io(|| SockRef::from(stream).send_vectored_with_flags(slices, MSG_NOSIGNAL))
    }
}

portable! {
    pub(crate) const SHORT_READ_DRAINS: bool = false;

    pub(crate) const OPTIONS_ARE_INHERITED: bool = false;

    pub(crate) fn may_listen(_: &SockRef<'_>) -> bool {
        true
    }

    pub(crate) const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE);

    /// One slice in a system call: where SIGPIPE is concerned, or mio has to see the call, that is the way that is safe.
    pub(crate) fn send_vectored(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices.iter().find(|slice| !slice.is_empty()) {
            Some(first) => io::Write::write(&mut &*stream, first),
            None => Ok(0),
        }
    }
}

/// Whether a socket is in nonblocking mode. Windows does not tell, and a socket begins in blocking mode.
pub(crate) fn is_nonblocking(socket: &SockRef<'_>) -> io::Result<bool> {
    #[cfg(unix)]
    let known = socket.nonblocking();
    #[cfg(not(unix))]
    let known = {
        let _ = socket;
        Ok(false)
    };
    known
}

/// ENOBUFS and ENOMEM: the interface's queue is full, or memory is short, send(2). No readiness event will say when it is not.
pub(crate) fn is_out_of_buffers(error: &io::Error) -> bool {
    const ENOBUFS: i32 = if cfg!(windows) {
        10055
    } else if !cfg!(any(target_os = "linux", target_os = "android")) {
        55
    } else if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        132
    } else {
        105
    };
    error.raw_os_error() == Some(ENOBUFS) || error.kind() == io::ErrorKind::OutOfMemory
}

/// ENFILE and EMFILE, accept(2); they have the same numbers on every Unix.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    const WSAEMFILE: i32 = 10024;
    match error.raw_os_error() {
        Some(23 | 24) => cfg!(unix),
        Some(WSAEMFILE) => cfg!(windows),
        _ => false,
    }
}
