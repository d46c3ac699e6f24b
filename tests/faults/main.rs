//! Tests with rare errors of system calls, which strace(1) injects or a limit on descriptors causes. Only Linux has both.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod accept;
mod blocking_server;
mod datagrams;
mod descriptors;
mod echo_server;
mod sigpipe;
