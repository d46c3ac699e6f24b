//! Generators of scripts and limits for the property tests.

use std::io::ErrorKind;

use proptest::{collection::vec, prelude::*};

use crate::Options;

use super::script::Step;

pub(super) fn reads() -> impl Strategy<Value = Vec<Step>> {
    let last = prop_oneof![3 => Just(None), 6 => Just(Some(Step::Zero)), 2 => error().prop_map(Some)];
    steps(Step::Mark, last)
}

pub(super) fn writes() -> impl Strategy<Value = Vec<Step>> {
    let last = prop_oneof![6 => Just(None), 1 => Just(Some(Step::Zero)), 1 => error().prop_map(Some)];
    steps(Step::OutOfBuffers, last)
}

/// Generates limits that are small enough for a script to reach them often.
pub(super) fn limits() -> impl Strategy<Value = Options> {
    let budget = || prop_oneof![2 => Just(1 << 20), 1 => 1..60_usize];
    (1..60_usize, 0..60_usize, 1..80_usize, 1..60_usize, budget(), budget()).prop_map(
        |(high, low, max_inbox, read_buffer, read_budget, write_budget)| {
            Options::default()
                .high_water(high)
                .low_water(low)
                .max_inbox(max_inbox)
                .read_buffer(read_buffer)
                .read_budget(read_budget)
                .write_budget(write_budget)
        },
    )
}

/// Generates the steps of one direction. `own` is the step that only this direction has; `last` is the last step.
fn steps(own: Step, last: impl Strategy<Value = Option<Step>>) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1..40_usize).prop_map(Step::Bytes),
        4 => Just(Step::WouldBlock),
        1 => Just(Step::Interrupted),
        1 => Just(own),
    ];
    (vec(step, 0..40), last).prop_map(|(mut steps, last)| {
        steps.extend(last);
        steps
    })
}

fn error() -> impl Strategy<Value = Step> {
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::TimedOut];
    prop::sample::select(kinds.map(Step::Error).to_vec())
}
