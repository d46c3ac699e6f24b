//! The example programs as processes, with clients: what a user meets.

#[path = "../support/mod.rs"]
mod support;

mod blocking;
mod echo;
mod embedded;
mod system_calls;
