//! A single-threaded event-loop server on [`mio`] that treats every partial send and every partial receive as the
//! normal case.
//!
//! `send` and `recv` handle as many bytes as the kernel's buffers allow, and return their number; the caller has to go on
//! until a message is complete. This crate is that caller. It receives bytes, shows them to a [`Handler`], keeps the bytes
//! that the handler does not consume, sends the answers of the handler, and keeps the bytes that the kernel does not take.
//!
//! ```no_run
//! use tidegate::{Accepted, Conn, EventLoop, Handler, Net, Options};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Session = (); // the state of each connection: none
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         conn.send_all(input);
//!         input.len() // the number of bytes consumed: other bytes would be shown again
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let mut server = EventLoop::new(Options::default())?;
//!     server.net().listen("127.0.0.1:7007")?;
//!     server.run(&mut Echo)
//! }
//! ```
//!
//! The [`guide`] has recipes: requests and responses, a broadcast, a proxy, work on threads, signals and pipes, new attempts to connect, an
//! orderly end, a restart without a gap, and tests without sockets. It also has the rules that the crate keeps.
//!
//! # Contents
//!
//! * [`Handler`] is the trait that a program implements: two methods are required, the others have defaults.
//! * [`Net`] holds the connections and listeners, the timers, and the ways to end. [`Conn`] is one connection during a
//!   callback, [`Output`] its sending half beside the session. Every send returns a [`Flow`], which says whether the handler
//!   may send more. [`Conn::send_all`] keeps a copy of the bytes that the kernel does not take;
//!   [`Conn::send_shared`], [`Conn::send_owned`] and [`Conn::send_file`] keep the bytes themselves if they are many.
//! * [`Net::bind`] opens a datagram socket, which a [`SocketId`] names; [`Handler::on_datagram`] gets what it receives, and
//!   [`Socket`] sends. Streams and datagrams differ in much: see [`guide::datagrams`].
//! * [`ConnId`] names a connection for as long as the program likes, in other threads too. [`Net::conn`] finds the
//!   connection again, and [`Net::for_each`] reaches all of them, the connection of the present callback included.
//! * [`EventLoop`] owns a [`mio::Poll`] and runs; [`Reactor`] does the same work for a program that has a poll
//!   already. [`Remote`] reaches a loop or a reactor from another thread; [`guide::threads`] has programs in which
//!   other threads work.
//! * [`EventLoop::channel`] makes a [`Sender`] and a [`Receiver`] for messages of other threads. [`Net::watch`] puts a source
//!   of the program into the loop, such as a pipe; [`Handler::on_ready`] gets its [`SourceId`] and its [`Readiness`].
//! * [`embedding`] says how a loop that a program already has drives the reactor. [`Net::adopt_listener`] and
//!   [`Net::adopt_stream`] take over sockets that the program made, or give them back ([`Refused`]).
//!   [`Net::release_listener`] is the inverse, and [`Net::detach`] hands a connection over, to [`Net::attach`] of another loop.
//! * [`Options`] holds the limits, [`Stats`] the counters. [`CloseReason`] says why a connection ended.
//! * [`Address`] is the place to listen at or to connect to; [`ListenOptions`] and [`Keepalive`] are the options of sockets.
//!   Deadlines are set by [`Net::set_timer`], [`Conn::set_timeout`], [`Conn::set_idle_timeout`] and [`Conn::set_deadline`].
//! * [`testing::Rehearsal`] drives a handler without sockets, in time that the test moves.
//! * [`framing`] finds lines and length-prefixed frames in the input; [`blocking`] is the textbook version of a server and
//!   a client.
//!
//! # Guarantees for a handler
//!
//! * Callbacks come one at a time, and never from inside another callback or from a send.
//! * Bytes arrive in order and none twice. All bytes before an end of file are shown before [`Handler::on_eof`].
//! * [`Handler::on_close`] comes exactly once for each session, and no callback comes for the connection after it. After
//!   `close()` or `abort()`, `on_close` is the only callback that comes. [`CloseReason::is_clean`] tells whether everything
//!   that was sent has reached the kernel.
//! * An accepted connection whose peer does not read is not read either ([`Options::high_water`]), so an echo stays bounded
//!   without code for it. A handler that sends more than it receives stops at [`Flow::Full`]. For outgoing connections the
//!   pause is off by default, see [`Conn::pause_when_full`].
//! * One connection cannot keep the others waiting: it reads and writes a bounded number of bytes in a turn.
//! * In a drain, the default [`Handler::on_drain`] lets a connection go on until it is idle; a handler that owes an answer
//!   meanwhile says so, see there. A stream with unsent bytes that is cut off ends with a reset, and never with a clean end of
//!   file; over Unix sockets, which have no reset, the peer may read an end of file ([`guide::platforms`]).
//!
//! # Portability
//!
//! The crate is developed and tested on Linux. Other platforms are expected to work through `mio`; the crate uses portable
//! rules there, which need no promise that only Linux makes.
#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations, unreachable_pub)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod address;
pub mod blocking;
mod buffer;
#[cfg(test)]
mod cases;
mod channel;
mod close;
mod connection;
mod credentials;
mod datagram;
mod detached;
pub mod embedding;
mod engine;
mod event_loop;
mod flow;
pub mod framing;
pub mod guide;
mod handler;
mod id;
mod net;
mod options;
mod reactor;
mod readiness;
mod refused;
mod remote;
#[cfg(test)]
mod simulation;
mod socket;
mod stats;
pub mod testing;
mod turn;

pub use address::{Address, ToAddress};
pub use channel::{Receiver, Sender, TryIter};
pub use close::{CloseKind, CloseReason};
pub use credentials::PeerCredentials;
pub use datagram::{Datagram, Sent};
pub use detached::{Detached, DetachedParts};
pub use event_loop::EventLoop;
pub use flow::Flow;
pub use handler::{Accepted, Handler};
pub use id::{ConnId, ListenerId, SocketId, SourceId, TimerId};
pub use net::{Conn, Net, Output, Socket};
pub use options::{ConnectOptions, DatagramOptions, Keepalive, ListenOptions, Options, WhenFull};
pub use reactor::{Reactor, Turn};
pub use readiness::Readiness;
pub use refused::Refused;
pub use remote::Remote;
pub use socket2::SockRef;
pub use stats::Stats;

/// The doctests compile the programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
