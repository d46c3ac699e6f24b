//! Tests of the example programs as processes, with clients.

#[path = "../support/mod.rs"]
mod support;

/// What the helpers listen on.
const TRANSPORT: support::Transport = support::Transport::Tcp;

mod blocking;
mod echo;
mod embedded;
mod hand_over;
mod kv;
mod proxy;
#[cfg(unix)]
mod signals;
mod system_calls;
