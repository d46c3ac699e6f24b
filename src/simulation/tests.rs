//! The runs. `TIDEGATE_SEEDS` says how many, and `TIDEGATE_SEED` which one is the first.

use std::{collections::BTreeMap, env, time::Instant};

use super::{Plan, run, shrink::shrink};

fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| {
            panic!("{name} is {text:?}: a whole number from 0 to {} is needed", u64::MAX)
        }),
        Err(env::VarError::NotPresent) => default,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Seeds whose runs have found a defect, as long as no draw has changed since.
const REGRESSIONS: &[u64] = &[
    2,          // a datagram socket with an error was registered anew again and again while it rested
    12_175,     // a datagram that waited went to the peer of a later `connect`
    12_100,     // after a panic, the memory budget ended another connection than the largest one
    40_003_812, // the memory budget ended a connection that was closed, for the input that the close had discarded
    50_022_389, // the host sent bytes behind the bytes that a callback had lost by a panic
];

#[test]
fn the_simulation_of_whole_reactors_breaks_no_rule() {
    let (first, count) = (number("TIDEGATE_SEED", 0), number("TIDEGATE_SEEDS", 1000));
    let end = first.checked_add(count).expect("TIDEGATE_SEED and TIDEGATE_SEEDS together are below 2^64");
    let mut coverage = BTreeMap::<_, u64>::new();
    let (begun, mut callbacks, mut steps) = (Instant::now(), 0, 0);
    for seed in REGRESSIONS.iter().copied().chain(first..end) {
        let plan = Plan::of(seed);
        let outcome = run(&plan, false);
        callbacks += outcome.callbacks;
        steps += plan.steps.len();
        for (name, count) in outcome.coverage {
            *coverage.entry(name).or_default() += count;
        }
        if let Some(failure) = outcome.failure {
            report(&plan, &failure);
        }
    }
    println!("{coverage:?}");
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{count} seeds, {steps} steps, {callbacks} callbacks in {seconds:.1} s: {:.0} callbacks a second",
        callbacks as f64 / seconds
    );
}

fn report(plan: &Plan, failure: &str) -> ! {
    let seed = plan.seed;
    let small = shrink(plan, failure);
    let outcome = run(&small, true);
    let trace = outcome.trace.join("\n");
    let failure_of_small = outcome.failure.unwrap_or_default();
    let profile = if cfg!(debug_assertions) { "" } else { "--release " };
    panic!(
        "seed {seed}: {failure}\n\
         {} of {} steps are enough, with {} peers: {failure_of_small}\n{trace}\n\
         To repeat the run: TIDEGATE_SEED={seed} TIDEGATE_SEEDS=1 cargo test {profile}--lib simulation",
        small.steps.len(),
        plan.steps.len(),
        small.peers,
    );
}

#[test]
fn a_run_of_the_simulation_repeats_itself() {
    for seed in 0..20 {
        let plan = Plan::of(seed);
        let [first, second] = [(); 2].map(|()| run(&plan, true));
        assert_eq!(first.callbacks, second.callbacks);
        assert!(first.trace == second.trace, "the runs of seed {seed} differ");
    }
}
