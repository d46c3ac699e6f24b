//! Signals that reach a program together or again.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::support::{PATIENCE, programs::Killed};

/// Sends SIGTERM and SIGHUP, as a service manager does. One shell sends both signals, so little time passes between them.
pub fn terminate_and_hang_up(server: &mut Killed) {
    let pid = server.child().id();
    let both = format!("kill -TERM {pid} && kill -HUP {pid}");
    assert!(Command::new("sh").args(["-c", &both]).status().expect("every Unix has sh(1)").success());
}

/// Sends SIGTERM until the program ends. The program takes signals that follow each other quickly for one request.
pub fn terminate_until_the_end(server: &mut Killed) {
    let begin = Instant::now();
    while server.child().try_wait().expect("the process is a child of the test").is_none() {
        assert!(begin.elapsed() < PATIENCE, "the program does not end");
        server.signal("-TERM");
        thread::sleep(Duration::from_millis(50)); // each signal starts a process
    }
}
