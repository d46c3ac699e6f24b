//! The helpers that the tests of the benchmark use.
#![allow(dead_code, reason = "the benchmark uses a part of the helpers")]

#[path = "../support/programs.rs"]
pub mod programs;
#[path = "../support/waiting.rs"]
mod waiting;

pub use waiting::{PATIENCE, within};
