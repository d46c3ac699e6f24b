//! Pollers that watch the descriptor of the loop: epoll level-triggered, and mio edge-triggered.

use std::{
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use tidegate::{EventLoop, Stats};

use super::{event_loop, stats};
use crate::subject::{Driver, Job};

#[cfg(target_os = "linux")]
pub const EPOLL: Driver = Driver::new(in_epoll);
pub const MIO: Driver = Driver::new(in_mio);

#[cfg(target_os = "linux")]
fn in_epoll(mut job: Job) -> Stats {
    use rustix::event::{Timespec, epoll};

    let mut event_loop = event_loop(&job);
    let host = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let readable = epoll::EventFlags::IN; // Without the flag ET, epoll is level-triggered.
    epoll::add(&host, &event_loop, epoll::EventData::new_u64(0), readable).unwrap();
    let mut events = Vec::with_capacity(4);
    loop {
        let wait = until(event_loop.next_deadline())
            .map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() });
        events.clear();
        match epoll::wait(&host, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
        if turn(&mut event_loop, &mut job) {
            return stats(event_loop);
        }
    }
}

/// mio is edge-triggered: events that a turn leaves in the inner poll are not announced again.
fn in_mio(mut job: Job) -> Stats {
    let mut event_loop = event_loop(&job);
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(4));
    let fd = event_loop.as_raw_fd();
    poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).unwrap();
    loop {
        poll.poll(&mut events, until(event_loop.next_deadline())).unwrap();
        if turn(&mut event_loop, &mut job) {
            return stats(event_loop);
        }
    }
}

fn turn(event_loop: &mut EventLoop, job: &mut Job) -> bool {
    event_loop.turn(&mut job.subject, Some(Duration::ZERO)).unwrap().finished
}

/// Returns how long a host may sleep until the deadline.
fn until(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}
