//! The time that a test waits before it fails.

use std::{
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// The time after which a test that waits fails. No test needs that long, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Receives the next message of a handler or a thread. Panics if none comes.
pub fn next<T>(told: &Receiver<T>) -> T {
    told.recv_timeout(PATIENCE).expect("a message comes in time")
}

/// Runs `work` in a thread and returns its result. Panics if `work` takes too long or panics.
pub fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(PATIENCE).expect("the work ends in time and without a panic")
}
