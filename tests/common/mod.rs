//! The helpers that the tests of the benchmark use.
#![allow(dead_code, reason = "the benchmark uses a part of the helpers")]

#[path = "../support/programs.rs"]
pub mod programs;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/waiting.rs"]
mod waiting;

#[allow(unused_imports, reason = "the benchmark uses a part of the helpers")]
pub use skip::skip;
pub use waiting::{PATIENCE, within};
