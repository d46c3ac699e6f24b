//! Tests of the example programs as processes, with clients.

#[path = "../support/mod.rs"]
mod support;

mod blocking;
mod echo;
mod embedded;
mod hand_over;
#[cfg(unix)]
mod signals;
mod system_calls;
