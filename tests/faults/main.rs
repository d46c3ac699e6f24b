//! Errors that the system gives rarely: injected by strace(1), or by a limit on descriptors. Linux has both.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod accept;
mod blocking_server;
mod descriptors;
mod echo_server;
mod sigpipe;
