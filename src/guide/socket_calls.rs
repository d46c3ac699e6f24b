//! The place of each socket call in the interface and in the source.
//!
//! | call | the program writes | the file that makes the call |
//! |---|---|---|
//! | `socket()` | part of the next two | to listen: `src/socket/listen.rs`; to connect: `src/socket/stream.rs`; Unix sockets: `src/socket/unix.rs` |
//! | `bind()`, `listen()` | [`Net::listen`](crate::Net::listen), or [`Net::listen_with`](crate::Net::listen_with) with a [`backlog`](crate::ListenOptions::backlog) | `src/socket/listen.rs`, `src/socket/unix.rs` |
//! | `accept()` | [`Handler::on_accept`](crate::Handler::on_accept) | `src/socket/listener.rs` |
//! | `connect()` | [`Net::connect`](crate::Net::connect); the result comes in `on_open` or `on_close` | `src/socket/stream.rs` |
//! | `recv()` | [`Handler::on_data`](crate::Handler::on_data) | `src/connection/mod.rs`; unconsumed bytes wait in `src/buffer/inbox.rs` |
//! | `send()` | [`Conn::try_send`](crate::Conn::try_send): hands over the bytes that the kernel takes now, and returns their number | `src/connection/sending.rs` |
//! | `sendall()` | [`Conn::send_all`](crate::Conn::send_all): the reactor takes all bytes and sends the rest later | `src/connection/sending.rs`; the rest waits in `src/buffer/outbox.rs` |
//! | `sendmsg()`: several sends in one call | part of the sends above and below | `src/socket/platform.rs` |
//! | `sendfile()` | [`Conn::send_file`](crate::Conn::send_file): on Linux; elsewhere the file is read and sent | `src/socket/platform.rs`; reading and sending: `src/socket/file.rs` |
//! | `shutdown()` | [`Conn::shutdown_write`](crate::Conn::shutdown_write) | `src/engine/entry.rs`, once the outbox is empty; if the peer has ended before, the close of the socket does the work of the call |
//! | `close()` | [`Conn::close`](crate::Conn::close) (flush, then end) or [`Conn::abort`](crate::Conn::abort) (reset) | `src/turn/finish.rs` decides when; `src/engine/placing.rs` drops the socket |
//! | `bind()` for datagrams | [`Net::bind`](crate::Net::bind) | `src/socket/datagram.rs` |
//! | `recvfrom()`, `recvmmsg()` | [`Handler::on_datagram`](crate::Handler::on_datagram) | `src/socket/batch.rs` |
//! | `sendto()`, `sendmsg()` | [`Socket::send_to`](crate::Socket::send_to), [`Socket::reply`](crate::Socket::reply) | `src/socket/datagram.rs`; the rest waits in `src/engine/datagram.rs` |
//! | `epoll_wait()`, `kevent()` | [`EventLoop::run`](crate::EventLoop::run), [`EventLoop::turn`](crate::EventLoop::turn) | `src/event_loop.rs` |
//!
//! The module [`blocking`](crate::blocking) makes all of these calls but the last, with blocking sockets and one explicit
//! loop around each partial `send` and `recv`.
//!
//! # The way of a message
//!
//! 1. The poll returns an event, and [`Reactor::handle`](crate::Reactor::handle) stores that the connection is readable.
//! 2. [`Reactor::settle`](crate::Reactor::settle) makes one `recv` into a buffer that all connections share.
//! 3. [`Handler::on_data`](crate::Handler::on_data) is shown the bytes where they are, and answers.
//! 4. The answer leaves with one `send` when `on_data` has returned. Bytes that the kernel does not take wait in the outbox
//!    until the socket is writable again.
//! 5. Bytes that `on_data` has not consumed wait in the inbox. They are shown again in front of the bytes that come next.
