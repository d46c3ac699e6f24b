//! Every difference between platforms, in one place.

use std::{
    fs::File,
    io::{self, IoSlice},
};

#[cfg(unix)]
use mio::net::UnixStream;
use mio::{Interest, net::TcpStream};
use socket2::{SockRef, Socket, TcpKeepalive};

use crate::{credentials::PeerCredentials, options::Keepalive};

mod errors;

pub(crate) use errors::{is_in_progress, is_out_of_buffers, is_out_of_descriptors, is_too_large};

/// Returns a rule of this platform, or the rule of the simulation that runs on this thread. Each rule is true with epoll, and
/// false with other selectors.
#[inline(always)]
fn rule(of_platform: bool) -> bool {
    #[cfg(test)]
    if let Some(is_portable) = super::simulated::is_portable() {
        return !is_portable;
    }
    of_platform
}

/// See [`SHORT_READ_DRAINS`].
#[inline]
pub(crate) fn short_reads_drain() -> bool {
    rule(SHORT_READ_DRAINS)
}

/// See [`KEEPS_REGISTRATION`].
#[inline]
pub(crate) fn keeps_registration() -> bool {
    rule(KEEPS_REGISTRATION)
}

/// See [`EVENTS_TELL_OF_INPUT`].
#[inline]
pub(crate) fn events_tell_of_input() -> bool {
    rule(EVENTS_TELL_OF_INPUT)
}

/// See [`EVENTS_TELL_OF_ERRORS`].
#[inline]
pub(crate) fn events_tell_of_errors() -> bool {
    rule(EVENTS_TELL_OF_ERRORS)
}

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

pub(crate) mod sendfile;

epoll! {
    /// True if a `recv` that returned less than it was asked for has emptied the socket, as long as neither an urgent mark
    /// nor a hang-up is waiting. The priority interest tells of both.
    pub(crate) const SHORT_READ_DRAINS: bool = true;

    /// True if an accepted connection has TCP_NODELAY and keepalive from its listener, which saves system calls.
    pub(crate) const OPTIONS_ARE_INHERITED: bool = true;

    /// True if a source stays registered whatever its events say.
    pub(crate) const KEEPS_REGISTRATION: bool = true;

    /// True if events report all input that has come since the registration. A connection that opens then needs no `recv` to
    /// find out whether there is input.
    const EVENTS_TELL_OF_INPUT: bool = true;

    /// False if the event for the end of both directions may report no error although the socket has an error.
    const EVENTS_TELL_OF_ERRORS: bool = true;

    /// False if a socket is known not to listen.
    pub(crate) fn may_listen(socket: &SockRef<'_>) -> bool {
        socket.is_listener().unwrap_or(true)
    }

    /// Receives from a Unix socket, until the buffer is full or the socket is empty.
    ///
    /// The kernel also ends a read behind bytes that came with descriptors, and in front of bytes with other credentials if
    /// the socket asks for credentials, unix(7). As this call takes neither, the kernel then sets MSG_CTRUNC, recv(2), and the
    /// call is repeated: without it, a short read would not mean that the socket is empty. A read also ends in front of an
    /// urgent mark, of which the priority interest tells, as for TCP.
    ///
    /// An error behind received bytes is kept in `failed`, and the next call returns it. The event of the error makes sure of
    /// a next call.
    pub(crate) fn receive_unix(
        stream: &mut UnixStream,
        failed: &mut Option<io::Error>,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, recvmsg};
        if let Some(error) = failed.take() {
            return Err(error);
        }
        let mut total = 0;
        loop {
            let received = stream.try_io(|| {
                let mut slices = [io::IoSliceMut::new(&mut buffer[total..])];
                let none = &mut RecvAncillaryBuffer::default();
                Ok(recvmsg(&*stream, &mut slices, none, RecvFlags::empty())?)
            });
            match received {
                Ok(received) => {
                    total += received.bytes;
                    let stopped_early = received.flags.contains(ReturnFlags::CTRUNC);
                    if !stopped_early || received.bytes == 0 || total == buffer.len() {
                        return Ok(total);
                    }
                }
                Err(error) if total == 0 => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(total),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    *failed = Some(error);
                    return Ok(total);
                }
            }
        }
    }

    /// The interests of a stream. A stream is registered once: no `epoll_ctl` between accept and close.
    pub(crate) const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

    /// Sends several slices in one system call, without SIGPIPE. The standard library uses `writev`, which takes no
    /// MSG_NOSIGNAL, and SIGPIPE kills a host that has left it at its default.
    pub(crate) fn send_vectored(stream: &impl MioStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        stream.try_io(|| stream.sock_ref().send_vectored_with_flags(slices, MSG_NOSIGNAL))
    }

    /// True if sendfile(2) may be used. sendfile knows no MSG_NOSIGNAL, so a peer that has gone would kill a process that
    /// neither ignores nor handles SIGPIPE. Programs of Rust's standard library ignore SIGPIPE; a host in another language
    /// may not.
    pub(crate) fn sends_files() -> bool {
        std::fs::read_to_string("/proc/self/status").is_ok_and(|status| sigpipe_is_harmless(&status))
    }

    /// `status`: the text of proc_pid_status(5), which shows the ignored and the handled signals as hexadecimal masks.
    fn sigpipe_is_harmless(status: &str) -> bool {
        const SIGPIPE: u64 = 1 << (13 - 1);
        status.lines().any(|line| {
            let mask = line.strip_prefix("SigIgn:").or_else(|| line.strip_prefix("SigCgt:"));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            mask.is_some_and(|mask| mask & SIGPIPE != 0)
        })
    }
}

portable! {
    pub(crate) const SHORT_READ_DRAINS: bool = false;

    pub(crate) const OPTIONS_ARE_INHERITED: bool = false;

    /// False: mio's selector on poll(2) drops a source whose event reports an error. A connection with an error ends anyway,
    /// and a datagram socket does not.
    pub(crate) const KEEPS_REGISTRATION: bool = false;
    const EVENTS_TELL_OF_INPUT: bool = false;
    const EVENTS_TELL_OF_ERRORS: bool = false;

    pub(crate) fn may_listen(_: &SockRef<'_>) -> bool {
        true
    }

    pub(crate) const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE);

    #[cfg(unix)]
    pub(crate) fn receive_unix(
        stream: &mut UnixStream,
        _: &mut Option<io::Error>,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        io::Read::read(stream, buffer)
    }

    /// False: files are read and then sent.
    pub(crate) fn sends_files() -> bool {
        false
    }

    /// Sends one slice. This way is safe where SIGPIPE would be raised, and where mio has to see the call.
    pub(crate) fn send_vectored(stream: &impl MioStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices.iter().find(|slice| !slice.is_empty()) {
            Some(first) => stream.send(first),
            None => Ok(0),
        }
    }
}

/// The methods that `mio` has for each of its streams, and that no trait of `mio` has.
pub(crate) trait MioStream {
    /// Makes a system call whose `WouldBlock` the selector has to see.
    fn try_io<R>(&self, call: impl FnOnce() -> io::Result<R>) -> io::Result<R>;

    fn sock_ref(&self) -> SockRef<'_>;

    /// `send()` without SIGPIPE.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;
}

impl MioStream for TcpStream {
    fn try_io<R>(&self, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.try_io(call)
    }

    fn sock_ref(&self) -> SockRef<'_> {
        self.into()
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &*self, bytes)
    }
}

#[cfg(unix)]
impl MioStream for UnixStream {
    fn try_io<R>(&self, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.try_io(call)
    }

    fn sock_ref(&self) -> SockRef<'_> {
        self.into()
    }

    /// For Unix sockets, some versions of the standard library use `write`, which takes no MSG_NOSIGNAL.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_io(|| self.sock_ref().send_with_flags(bytes, MSG_NOSIGNAL))
    }

    /// The systems of Apple have SO_NOSIGPIPE, which the standard library and `mio` set. On the others, a program that does
    /// not ignore SIGPIPE, as programs of Rust do by default, may be ended by the signal.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &*self, bytes)
    }
}

/// linux/socket.h.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MSG_NOSIGNAL: i32 = 0x4000;

/// The user and the process at the other end of a Unix socket, SO_PEERCRED in unix(7).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn peer_credentials(stream: &UnixStream) -> io::Result<PeerCredentials> {
    let found = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(PeerCredentials {
        pid: found.pid.as_raw_nonzero().get(),
        uid: found.uid.as_raw(),
        gid: found.gid.as_raw(),
    })
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub(crate) fn peer_credentials(_: &UnixStream) -> io::Result<PeerCredentials> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "credentials of peers are implemented for Linux alone"))
}

/// Reads from a file at an offset, and leaves the position of the file alone where the system allows that.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(not(any(unix, windows)))]
pub(crate) fn read_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    use io::{Read, Seek};
    file.seek(io::SeekFrom::Start(offset))?;
    file.read(buffer)
}

/// Tells whether a socket is in nonblocking mode. Windows does not tell, and a socket begins in blocking mode.
#[cfg(unix)]
pub(crate) fn is_nonblocking(socket: &SockRef<'_>) -> io::Result<bool> {
    socket.nonblocking()
}

#[cfg(not(unix))]
pub(crate) fn is_nonblocking(_: &SockRef<'_>) -> io::Result<bool> {
    Ok(false)
}

/// Sets SO_REUSEADDR, so that a restarted server can bind its port while its old connections are in TIME_WAIT, socket(7).
/// Does nothing on Windows, where the option would let a second program take a port that is in use.
#[cfg(unix)]
pub(crate) fn reuse_address(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

#[cfg(not(unix))]
pub(crate) fn reuse_address(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Lets several sockets listen on one port: SO_REUSEPORT.
#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
pub(crate) fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))))]
pub(crate) fn share_port(_: &Socket) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no SO_REUSEPORT"))
}

/// The times of keepalive that the system takes for one socket. These systems have one interval and one count for all.
#[cfg(any(target_os = "openbsd", target_os = "haiku", target_os = "aix", target_os = "solaris"))]
pub(crate) fn keepalive_times(wish: &Keepalive) -> TcpKeepalive {
    TcpKeepalive::new().with_time(wish.after)
}

#[cfg(not(any(target_os = "openbsd", target_os = "haiku", target_os = "aix", target_os = "solaris")))]
pub(crate) fn keepalive_times(wish: &Keepalive) -> TcpKeepalive {
    TcpKeepalive::new().with_time(wish.after).with_interval(wish.interval).with_retries(wish.retries)
}

/// Lets the system cut datagrams that are larger than the route takes into fragments, as it does by itself: ip(7),
/// IP_MTU_DISCOVER.
#[cfg(all(feature = "packet-info", any(target_os = "linux", target_os = "android")))]
pub(crate) fn allow_fragments(socket: &mio::net::UdpSocket) -> io::Result<()> {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?;
    if socket.local_addr()?.is_ipv6() {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?;
    }
    Ok(())
}

/// No crate without `unsafe` has a call for it here: see the guide on datagrams.
#[cfg(all(feature = "packet-info", not(any(target_os = "linux", target_os = "android"))))]
pub(crate) fn allow_fragments(_: &mio::net::UdpSocket) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    epoll! {
        #[test]
        fn a_file_is_sent_by_the_kernel_only_if_sigpipe_cannot_end_the_process() {
            let harmless = super::sigpipe_is_harmless;
            for (ignored, handled, expected) in [("1000", "0", true), ("0", "5002", true), ("2fff", "4000", false)] {
                let status = format!("SigBlk:\t1000\nSigIgn:\t000000000000{ignored}\nSigCgt:\t{handled}\n");
                assert_eq!(harmless(&status), expected, "{status}");
            }
            assert!(!harmless(""));
            assert!(super::sends_files(), "the standard library ignores SIGPIPE");
        }
    }
}
