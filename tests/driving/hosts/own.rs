//! Drivers without a poller besides the poller of the loop.

use std::time::{Duration, Instant};

use tidegate::Stats;

use super::{event_loop, stats};
use crate::subject::{Driver, Job};

pub const RUN: Driver = Driver::new(run);
pub const TINY_TURNS: Driver = Driver::new(tiny_turns);
pub const FRAMES: Driver = Driver::new(frames).ticking(FRAME);

const FRAME: Duration = Duration::from_millis(5);

fn run(mut job: Job) -> Stats {
    let mut event_loop = event_loop(&job);
    event_loop.run(&mut job.subject).unwrap();
    stats(event_loop)
}

/// Makes turns that do as little as the options allow, so that each kind of leftover work has to be found again.
fn tiny_turns(mut job: Job) -> Stats {
    job.options = job.options.event_capacity(1).event_budget(2).accept_budget(1);
    job.options = job.options.read_buffer(3001).read_budget(5000).write_budget(4001).turn_budget(1);
    let mut event_loop = event_loop(&job);
    while !event_loop.turn(&mut job.subject, None).unwrap().finished {}
    stats(event_loop)
}

/// Makes frames. A frame is one turn and a flush. The turn ends at the end of the frame, and sleeps if there is no work.
fn frames(mut job: Job) -> Stats {
    let mut event_loop = event_loop(&job);
    loop {
        let end = Instant::now() + FRAME;
        let turn = event_loop.turn_until(&mut job.subject, None, end).unwrap();
        if turn.finished {
            return stats(event_loop);
        }
        event_loop.flush();
    }
}
