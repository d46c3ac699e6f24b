//! The ways of driving a loop. Each host sleeps in its poller until an event or the deadline, and does not spin.

#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
pub mod calloop;
pub mod guest;
#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
pub mod nested;
pub mod own;
#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
pub mod tokio;

use tidegate::{EventLoop, Stats};

use crate::subject::Job;

/// Makes the loop of a driver that owns an `EventLoop`.
fn event_loop(job: &Job) -> EventLoop {
    let mut event_loop = EventLoop::new(job.options.clone()).unwrap();
    let remote = event_loop.remote();
    job.begin(event_loop.net(), remote);
    event_loop
}

fn stats(mut event_loop: EventLoop) -> Stats {
    event_loop.net().stats().clone()
}
