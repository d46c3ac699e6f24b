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
//! options from their listener, sends several slices in one system call, and asks whether an adopted socket listens.
//! Everywhere else the crate uses portable rules: it reads until `WouldBlock`, sets the options of each connection, sends one
//! slice at a time, and makes every `recv` and `send` through the types of `mio`.
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
//! # The descriptor of an `EventLoop`
//!
//! [`EventLoop`](crate::EventLoop) is a descriptor (`AsFd`, `AsRawFd`) where `mio` polls with epoll, kqueue or event ports: on
//! Linux, Android, macOS and the BSDs, for instance. It is none on Windows, nor where `mio` polls with `poll(2)`.
