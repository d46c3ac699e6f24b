//! A single-threaded event-loop server on [`mio`] that treats every partial send and every partial receive as the
//! normal case.
#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations, unreachable_pub)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod address;
pub mod blocking;
mod buffer;
mod close;
mod conn;
mod event_loop;
pub mod framing;
mod handler;
mod net;
mod options;
mod reactor;
mod remote;
mod shared;
mod source;
mod stats;
mod stream;
mod timers;

pub use address::{Address, ToAddress};
pub use close::{CloseKind, CloseReason};
pub use conn::{Conn, ConnId, Output};
pub use event_loop::EventLoop;
pub use handler::{Accepted, Handler};
pub use net::{Flow, Net};
pub use options::{ListenOptions, Options};
pub use reactor::{Reactor, Turn};
pub use remote::Remote;
pub use source::listener::ListenerId;
pub use stats::Stats;
