//! A calloop loop, which watches the descriptor level-triggered and has a timer for the deadline.

use std::{os::fd::AsFd, time::Duration, time::Instant};

use calloop::{
    Interest, Mode, PostAction, RegistrationToken,
    generic::Generic,
    timer::{TimeoutAction, Timer},
};
use tidegate::{EventLoop, Stats};

use super::{event_loop, stats};
use crate::subject::{Driver, Job};

pub const CALLOOP: Driver = Driver::new(in_calloop);

/// The data that calloop lends to its sources.
struct Hosted {
    event_loop: EventLoop,
    job: Job,
    is_finished: bool,
    timer: Option<(Instant, RegistrationToken)>,
}

impl Hosted {
    fn turn(&mut self) {
        let turn = self.event_loop.turn(&mut self.job.subject, Some(Duration::ZERO)).unwrap();
        self.is_finished |= turn.finished;
    }
}

fn in_calloop(job: Job) -> Stats {
    let event_loop = event_loop(&job);
    let mut host = calloop::EventLoop::<Hosted>::try_new().unwrap();
    let handle = host.handle();
    // calloop gets a copy of the descriptor, because calloop lends the source of a descriptor only in `unsafe` code.
    let watched = event_loop.as_fd().try_clone_to_owned().unwrap();
    handle
        .insert_source(Generic::new(watched, Interest::READ, Mode::Level), |_, _, hosted| {
            hosted.turn();
            Ok(PostAction::Continue)
        })
        .unwrap();
    let mut hosted = Hosted { event_loop, job, is_finished: false, timer: None };
    while !hosted.is_finished {
        let due = hosted.event_loop.next_deadline();
        if let Some(due) = due
            && hosted.timer.is_none_or(|(set, _)| due < set)
        {
            // The timer moves only when the deadline comes nearer. If the timer fires too early, the turn finds no
            // work.
            if let Some((_, token)) = hosted.timer.take() {
                handle.remove(token);
            }
            let timer = handle.insert_source(Timer::from_deadline(due), |_, _, hosted| {
                hosted.timer = None;
                hosted.turn();
                TimeoutAction::Drop
            });
            hosted.timer = Some((due, timer.unwrap()));
        }
        host.dispatch(None, &mut hosted).unwrap();
    }
    stats(hosted.event_loop)
}
