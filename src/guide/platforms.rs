//! The platforms, and the rules that differ between them.
//!
//! | platform | state |
//! |---|---|
//! | Linux on x86-64, with epoll | developed here; the whole test suite runs, in debug and in release mode |
//! | Linux on x86-64, with mio's selector on `poll(2)` | the test suite runs in debug mode; it stands in for the other platforms |
//! | Linux on other processors, and Android | expected to work, with the same code as the first row; not built |
//! | every other platform of `mio` (macOS, the BSDs, Windows and others) | expected to work, with the same rules as the second row; not built |
//!
//! On Linux and Android with epoll, the crate concludes from a short read that a socket is empty, lets connections inherit
//! options from their listener, sends several slices in one system call, sends files with sendfile(2), and asks whether an
//! adopted socket listens. Everywhere else the crate uses portable rules: it reads until `WouldBlock`, sets the options of each
//! connection, sends one slice at a time, reads files and sends what it has read, and makes every `recv` and `send` through
//! the types of `mio`.
//!
//! With the selector on `poll(2)`, a datagram socket whose event reports an error is registered anew, because that selector drops
//! such a source.
//!
//! # The portable rules on Linux
//!
//! The selector on `poll(2)` arms readiness again only after a `WouldBlock` that `mio` has seen, which is the least that `mio`
//! promises on any platform. With this selector, the portable rules can be tested on Linux:
//!
//! ```sh
//! export RUSTFLAGS='--cfg mio_unsupported_force_poll_poll' RUSTDOCFLAGS='--cfg mio_unsupported_force_poll_poll'
//! CARGO_TARGET_DIR=target/poll cargo test
//! ```
//!
//! A few tests are left out there, each with the reason beside it: they assert what epoll alone does, or need the descriptor
//! of the loop's poll. The kernel is still Linux. Differences of another kernel, for instance its error numbers or its socket
//! options, are not tested.
//!
//! # Unix sockets
//!
//! [`Net::listen`](crate::Net::listen) and [`Net::connect`](crate::Net::connect) take `"unix:/path"` on every Unix, and
//! `"unix:@name"` on Linux and Android. Connections over Unix sockets have the rules of all connections, with these differences:
//!
//! * **No reset.** TCP tells a peer by a reset that a stream was cut off. A Unix socket has no reset: after
//!   [`Conn::abort`](crate::Conn::abort), a limit, a timeout, or the end of a drain's grace, the peer reads the bytes that had
//!   arrived, and then an end of file. On Linux the peer reads ECONNRESET instead if this side had not read all bytes of the
//!   peer. So a protocol over Unix sockets marks the end of each message, or of the stream, by itself.
//! * **The end of a peer.** A peer that closes with unread bytes ends the connection with
//!   [`CloseReason::Reset`](crate::CloseReason::Reset) on Linux, after the bytes of the peer were delivered. Otherwise the end
//!   is an end of file. A send to a peer that has closed fails with EPIPE, which is `Reset` as well.
//! * **Reading.** Descriptors or credentials that come with bytes stop a read (unix(7)), so a short read alone does not mean that
//!   the socket is empty. On Linux and Android with epoll, the crate receives with recvmsg(2), which tells of such a stop, and
//!   reads on. Elsewhere the crate reads until `WouldBlock`. Descriptors that a peer passes are closed.
//! * **Connecting** succeeds or fails at once. On Linux, a connect to a listener whose backlog is full fails with
//!   `WouldBlock`.
//! * **Stale files.** On Linux and Android alone, a file that nobody listens on is replaced: see
//!   [`Net::listen`](crate::Net::listen).
//! * **Credentials.** [`Conn::peer_credentials`](crate::Conn::peer_credentials) works on Linux and Android.
//! * **SIGPIPE** is never raised on Linux, Android and the systems of Apple. On other systems, a send over a Unix socket may
//!   raise the signal, depending on the version of the standard library. Programs of Rust ignore the signal by default.
//!
//! # The descriptor of an `EventLoop`
//!
//! [`EventLoop`](crate::EventLoop) is a descriptor (`AsFd`, `AsRawFd`) where `mio` polls with epoll, kqueue or event ports: on
//! Linux, Android, macOS and the BSDs, for instance. It is none on Windows, nor where `mio` polls with `poll(2)`.
