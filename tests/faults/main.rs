//! Errors that the system gives rarely: strace(1) injects them, or a limit on descriptors brings them about. Linux has
//! both.
#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod accept;
mod blocking_server;
mod descriptors;
mod echo_server;
mod sigpipe;
