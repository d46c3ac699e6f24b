//! Tests with rare errors of system calls, which strace(1) injects or a limit on descriptors causes, and with settings of the
//! network, which a network namespace has. Only Linux has these.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

/// The transport that the listeners of the helpers have.
const TRANSPORT: support::Transport = support::Transport::Tcp;

mod accept;
mod blocking_server;
mod connect;
mod datagrams;
mod descriptors;
mod echo_server;
mod shared_port;
mod sigpipe;
