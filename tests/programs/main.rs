//! Tests of the example programs as processes, with clients.

#[path = "../support/mod.rs"]
mod support;

mod blocking;
mod datagrams;
mod echo;
mod embedded;
#[cfg(unix)]
mod signals;
mod system_calls;
