//! A simulation of whole reactors over a network in memory, in virtual time, from a seed.
//!
//! ```text
//! tests      seeds from the environment
//! shrink     leaves out what a failure does not need
//! plan       what a run is made of
//! world      reactors, hosts and peers: one step after the other         ending  everything drains, nothing is left
//! actor      the handler: callbacks are compared with the model          oracle  what must be true in a callback
//! after_turn, liveness   what must be true after a turn
//! actions, sending, moving, datagrams, watching, workload   the random things that handlers and hosts do
//! session, reactor_model, transit   the model of a connection, of a reactor, and of what is between reactors
//! peer       peers without a reactor
//! ------------------------------------------------------------------------------------------------------------
//! socket::simulated          the system: streams, listeners, latency, readiness, faults
//! engine::invariants         what must be true of an engine between turns
//! ```
//!
//! Everything above [`crate::socket`] is the real code, the dispatch of events by their tokens included.

mod actions;
mod actor;
mod after_turn;
mod datagrams;
mod ending;
mod liveness;
mod moving;
mod oracle;
mod peer;
mod plan;
mod reactor_model;
mod sending;
mod session;
mod shrink;
mod tests;
mod transit;
mod watching;
mod workload;
mod world;

use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
};

use crate::socket::simulated;

use plan::Plan;
use world::World;

/// How a run ended.
#[derive(Debug)]
struct Outcome {
    /// The first rule that was broken.
    failure: Option<String>,
    callbacks: u64,
    coverage: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
}

/// Runs a plan. A panic of the crate is a failure as well.
fn run(plan: &Plan, traced: bool) -> Outcome {
    let (mut callbacks, mut coverage) = (0, BTreeMap::new());
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(plan, traced);
        for (index, step) in plan.steps.iter().enumerate() {
            actor::note!("step {index}");
            world.step(*step);
            if let Some(violation) = actor::network(|network| network.violation().map(str::to_owned)) {
                return Some(format!("{violation} (step {index})"));
            }
        }
        world.end();
        (callbacks, coverage) = (world.actor.callbacks, std::mem::take(&mut world.actor.coverage));
        actor::network(|network| network.violation().map(|violation| format!("{violation} (at the end)")))
    }));
    let network = simulated::uninstall();
    let failure = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Some(format!("panic: {}", text.unwrap_or_default()))
    });
    let trace = network.map(|mut network| network.take_trace()).unwrap_or_default();
    Outcome { failure, callbacks, coverage, trace }
}
