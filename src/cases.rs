//! How many cases the property tests of this crate run.

use std::env;

use proptest::{prelude::*, test_runner::FileFailurePersistence};

/// Returns a configuration that takes the number of cases from PROPTEST_CASES, and runs 600 cases without that variable.
/// proptest keeps each failed case in a file beside the test, and tries that case first in the next run.
pub(crate) fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("failures"))),
        ..ProptestConfig::default()
    };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 600;
    }
    config
}
