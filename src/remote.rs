//! Reaching the loop from another thread.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mio::Waker;

/// Wakes a reactor from any thread; cheap to clone.
///
/// The calls may outlive the loop, and then do nothing.
///
/// ```
/// # struct Quiet;
/// # impl tidegate::Handler for Quiet {
/// #     type Session = ();
/// #     fn on_accept(&mut self, _: &mut tidegate::Net, _: &tidegate::Accepted) -> Option<()> { None }
/// #     fn on_data(&mut self, _: &mut tidegate::Conn<'_>, input: &[u8]) -> usize { input.len() }
/// # }
/// # fn main() -> std::io::Result<()> {
/// let mut server = tidegate::EventLoop::new(tidegate::Options::default())?;
/// let remote = server.remote();
/// std::thread::spawn(move || remote.stop());
/// server.run(&mut Quiet)
/// # }
/// ```
#[derive(Clone)]
pub struct Remote {
    waker: Arc<Waker>,
    signals: Arc<Signals>,
}

/// What was asked from outside and not yet noticed inside.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Looked at in every turn, so it has to be cheap; the rest is looked at only when this is set.
    any: AtomicBool,
    asked: Mutex<Asked>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) wake: bool,
    pub(crate) stop: bool,
    pub(crate) drain: Option<Duration>,
    /// Two drains between two turns are still two: the second one means "now".
    pub(crate) drain_again: bool,
}

impl Asked {
    /// The graces of the drains that were asked for, in order. A third request changes nothing after a second one.
    pub(crate) fn drains(&self) -> impl Iterator<Item = Duration> {
        let again = self.drain_again.then_some(Duration::ZERO);
        self.drain.into_iter().chain(again)
    }
}

impl Remote {
    pub(crate) fn new(waker: Arc<Waker>, signals: Arc<Signals>) -> Self {
        Self { waker, signals }
    }

    /// Calls [`on_wake`](crate::Handler::on_wake) in the next turn; many calls before that are one.
    pub fn wake(&self) {
        self.signal(|asked| asked.wake = true);
    }

    /// [`Net::stop`](crate::Net::stop), from any thread.
    pub fn stop(&self) {
        self.signal(|asked| asked.stop = true);
    }

    /// [`Net::drain`](crate::Net::drain), from any thread; called a second time, it ends at once.
    pub fn drain(&self, grace: Duration) {
        self.signal(|asked| {
            asked.drain_again |= asked.drain.is_some();
            asked.drain.get_or_insert(grace);
        });
    }

    fn signal(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.signals.asked.lock().unwrap_or_else(PoisonError::into_inner));
        let was_set = self.signals.any.swap(true, Ordering::AcqRel);
        // A wake that is still on its way brings this one along.
        if !was_set && let Err(error) = self.waker.wake() {
            self.signals.any.store(false, Ordering::Release); // so that the next call tries again
            log::error!("the loop cannot be woken: {error}");
        }
    }
}

impl Signals {
    /// What was asked since this was called last.
    pub(crate) fn take(&self) -> Option<Asked> {
        // Cleared before the rest is read: what is asked after that sets it, and wakes, again.
        if !self.any.load(Ordering::Relaxed) || !self.any.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}
