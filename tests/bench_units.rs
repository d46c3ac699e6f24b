//! The unit tests of the benchmark's modules.
//!
//! Cargo would run them where they are, if the example were marked with `test = true`. But then it builds the example for
//! nothing else any more, and the test beside this one has no program to run.

#[allow(dead_code, reason = "its `main` is not run here")]
#[path = "../examples/bench/main.rs"]
mod bench;

// What its modules call `crate`.
#[allow(unused_imports, reason = "used as paths in those modules")]
use bench::*;
