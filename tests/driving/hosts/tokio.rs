//! A tokio runtime with one thread, which watches the descriptor edge-triggered, beside another task.

use std::{os::fd::AsFd, time::Duration};

use tidegate::Stats;
use tokio::{io::unix::AsyncFd, runtime, sync::mpsc, task, time};

use super::{event_loop, stats};
use crate::subject::{Driver, Job};

pub const TOKIO: Driver = Driver::new(in_tokio);

fn in_tokio(job: Job) -> Stats {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (play, mut played) = mpsc::channel(1);
        let other = task::spawn(async move {
            for round in 0..100 {
                play.send(round).await.unwrap();
            }
        });
        let all = serve(job).await;
        while played.recv().await.is_some() {}
        other.await.unwrap();
        all
    })
}

async fn serve(mut job: Job) -> Stats {
    let mut event_loop = event_loop(&job);
    let watched = event_loop.as_fd().try_clone_to_owned().unwrap();
    #[expect(deprecated, reason = "the call is sound for an OwnedFd, and its replacement is `unsafe`")]
    let watched = AsyncFd::with_interest(watched, tokio::io::Interest::READABLE).unwrap();
    loop {
        let due = event_loop.next_deadline();
        tokio::select! {
            // The readiness is cleared before the turn. A clear after the turn would lose an edge that came during the turn.
            ready = watched.readable() => ready.unwrap().clear_ready(),
            () = sleep_until(due) => {}
        }
        if event_loop.turn(&mut job.subject, Some(Duration::ZERO)).unwrap().finished {
            return stats(event_loop);
        }
    }
}

/// Sleeps until the deadline, or for ever without a deadline.
async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
