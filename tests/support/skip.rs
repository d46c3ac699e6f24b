//! Tests that cannot run on a machine.

use std::io::{self, Write};

/// Prints that a test cannot run here, and why. Where the variable `CI` is set, the test fails instead.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{reason}; where CI is set, every test has to run");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // The test harness captures the output of `eprintln`, and shows it only for tests that fail.
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
}
