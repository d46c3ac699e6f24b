//! The HTTP servers in Rust that the example `http` is compared with. Each server has one thread that serves.

pub mod hyper;
pub mod may_minihttp;
