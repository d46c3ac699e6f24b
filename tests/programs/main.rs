//! Tests of the example programs as processes, with clients.

#[path = "../support/mod.rs"]
mod support;

/// The transport that the listeners of the helpers have.
const TRANSPORT: support::Transport = support::Transport::Tcp;

mod arguments;
mod blocking;
mod chat;
mod datagrams;
mod echo;
mod embedded;
mod http;
#[cfg(unix)]
mod ipc;
mod kv;
mod per_core;
mod proxy;
#[cfg(target_os = "linux")]
mod restart;
#[cfg(unix)]
mod signals;
mod system_calls;
mod worker;
