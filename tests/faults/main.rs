//! Tests with rare errors of system calls, which strace(1) injects or a limit on descriptors causes. Only Linux has both.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

/// What the helpers listen on.
const TRANSPORT: support::Transport = support::Transport::Tcp;

mod accept;
mod blocking_server;
mod connect;
mod datagrams;
mod descriptors;
mod echo_server;
mod sigpipe;
