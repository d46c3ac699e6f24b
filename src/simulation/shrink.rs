//! Leaves out what a failure does not need.

use std::time::{Duration, Instant};

use super::{plan::Plan, run};

/// The kind of a failure: its text without numbers, ids and the step.
fn kind(failure: &str) -> String {
    let text = failure.split(" (").next().unwrap_or(failure);
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// For how long smaller plans are tried.
const PATIENCE: Duration = Duration::from_secs(20);

/// The smallest plan that was found to fail in the same way.
pub(super) fn shrink(plan: &Plan, failure: &str) -> Plan {
    let wanted = kind(failure);
    let begun = Instant::now();
    let fails = |plan: &Plan| {
        begun.elapsed() < PATIENCE && run(plan, false).failure.is_some_and(|failure| kind(&failure) == wanted)
    };
    let mut smallest = plan.clone();
    for peers in 0..plan.peers {
        let fewer = Plan { peers, ..smallest.clone() };
        if fails(&fewer) {
            smallest = fewer;
            break;
        }
    }
    let mut part = smallest.steps.len().next_power_of_two() / 2;
    while part > 0 {
        let mut at = 0;
        while at < smallest.steps.len() {
            let mut fewer = smallest.clone();
            let end = (at + part).min(fewer.steps.len());
            fewer.steps.drain(at..end);
            if fails(&fewer) {
                smallest = fewer;
            } else {
                at += part;
            }
        }
        part /= 2;
    }
    smallest
}
