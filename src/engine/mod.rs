//! All state of a reactor that does not depend on the type of its sessions.
//!
//! [`Engine`] is two halves that can be borrowed side by side: the table of sources, and the [`Common`](common::Common) parts
//! that all sources use. An [`Entry`] is a connection of the table together with the common parts. Each part is a file of
//! its own and imports no other part than those that it is made of; the files above them hold the operations of the engine.
//! No file imports a file above it:
//!
//! ```text
//! state      Engine: how a turn begins, what the next turn has to do
//! dispatch   from events and the ready queue to sources       accepting  listeners, the reserve descriptor
//! placing    how sources come and go                          ending     stop and drain
//! watching   sources of the program                           budgeting  the memory budget
//! sending    sends, and the flush stage                       questions  about one connection
//! detaching  how sources leave and go on elsewhere
//! datagram   datagram sockets and their queues
//! ------------------------------------------------------------------------------------------------------------
//! entry, timing, connecting    the verbs of one connection; those that send stand at the foot of `sending`
//! ------------------------------------------------------------------------------------------------------------
//! common     the parts together
//! table, source, lifetime, opening, listener, watched, queue, callback, clock, timers, timer_kind, drain, reserve, memory
//! ```

mod accepting;
mod budgeting;
mod callback;
mod clock;
mod common;
mod connecting;
mod datagram;
mod detaching;
mod dispatch;
mod drain;
mod ending;
mod entry;
#[cfg(test)]
mod invariants;
mod lifetime;
mod listener;
mod memory;
mod opening;
mod placing;
mod questions;
mod queue;
mod reserve;
mod sending;
mod source;
mod state;
mod table;
mod timer_kind;
mod timers;
mod timing;
mod watched;
mod watching;

#[cfg(test)]
pub(crate) use self::invariants::Remains;
pub(crate) use self::{
    clock::later,
    datagram::{DatagramEntry, ReceivedDatagrams},
    detaching::Loose,
    dispatch::Ready,
    drain::DrainState,
    entry::Entry,
    opening::Opening,
    state::Engine,
    timer_kind::TimerKind,
};
