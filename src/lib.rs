//! A single-threaded event-loop server on [`mio`] that treats every partial send and every partial receive as the
//! normal case.
//!
//! `send` and `recv` handle as many bytes as the kernel's buffers allow and say how many that was; to go on until a
//! message is dealt with is the caller's job. This crate is that caller. It reads what there is, shows it to a
//! [`Handler`], keeps what the handler did not use, sends what the handler says, and keeps what the kernel did not
//! take.
//!
//! ```no_run
//! use tidegate::{Accepted, Conn, EventLoop, Handler, Net, Options};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Session = (); // what to remember of each client: nothing
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         conn.send_all(input);
//!         input.len() // how much of it was used: the rest would be shown again
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
//! # What is where
//!
//! * [`Handler`] is what a program writes: two methods are required, the others have defaults.
//! * [`Net`] is everything there is: the connections and listeners, the end. [`Conn`] is one connection during a
//!   callback, [`Output`] its sending half beside the session.
//! * [`EventLoop`] owns a [`mio::Poll`] and runs; [`Reactor`] does the same work for a program that has a poll
//!   already. [`Remote`] reaches a loop or a reactor from another thread; [`Remote::wake`] has an example of work that
//!   another thread does.
//! * [`embedding`] says how to be part of a loop that a program already has, whatever it is. [`Net::adopt_listener`] and
//!   [`Net::adopt_stream`] take sockets that it made, or give them back ([`Refused`]).
//! * [`Options`] are the limits, [`Stats`] the counters, [`CloseReason`] is why a connection ended.
//! * [`Address`] is where to listen or to connect to, [`ListenOptions`] and [`Keepalive`] say how. Deadlines are set by
//!   [`Net::set_timer`], [`Conn::set_timeout`], [`Conn::set_idle_timeout`] and [`Conn::set_deadline`].
//! * [`testing::Rehearsal`] drives a handler without sockets, in time that the test moves.
//! * [`framing`] finds lines and length-prefixed frames in the input; [`blocking`] is the textbook version of it all.
//!
//! # What a handler can rely on
//!
//! * Callbacks come one at a time and never from inside another one or from a send.
//! * Bytes arrive in order, none twice, and everything before an end of file before [`Handler::on_eof`].
//! * [`Handler::on_close`] comes exactly once for each session, and nothing comes for that connection after it, nor
//!   after `close()` or `abort()` but this.
//! * A connection whose peer does not read is not read either ([`Options::high_water`]), so an echo stays bounded
//!   without a line of code for it; what a handler sends on its own account it stops at [`Flow::Full`].
//! * One connection cannot keep the others waiting: it reads and writes a bounded number of bytes in a turn.
//!
//! # Portability
//!
//! Linux is what it is developed and tested on. Other platforms are expected to work through `mio`; where they are
//! not known to promise as much as Linux does, the slower way is taken that needs no such promise.
#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations, unreachable_pub)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod address;
pub mod blocking;
mod buffer;
mod close;
mod connection;
pub mod embedding;
mod engine;
mod event_loop;
mod flow;
pub mod framing;
mod handler;
mod id;
mod net;
mod options;
mod reactor;
mod refused;
mod remote;
mod socket;
mod stats;
pub mod testing;
mod timers;
mod turn;

pub use address::{Address, ToAddress};
pub use close::{CloseKind, CloseReason};
pub use event_loop::EventLoop;
pub use flow::Flow;
pub use handler::{Accepted, Handler};
pub use id::{ConnId, ListenerId, TimerId};
pub use net::{Conn, Net, Output};
pub use options::{Keepalive, ListenOptions, Options, WhenFull};
pub use reactor::{Reactor, Turn};
pub use refused::Refused;
pub use remote::Remote;
pub use stats::Stats;

/// The README's programs are compiled as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
