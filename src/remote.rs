//! Reaching the loop from another thread.

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mio::Waker;

/// Wakes, stops or drains a reactor from any thread; cheap to clone.
///
/// A `Remote` may outlive its reactor; its calls then have no effect.
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

/// The requests of other threads that the reactor has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// True if `asked` holds a request. Every turn reads this flag, so reading it must be cheap; only a turn that finds the
    /// flag set takes the lock.
    any: AtomicBool,
    /// `wake` was called, and `on_wake` has not been called since. It stands outside of `asked`, so that each message of a
    /// channel that finds a wake on its way costs no lock.
    wake: AtomicBool,
    asked: Mutex<Asked>,
    room: Room,
}

/// Where senders wait for room in bounded channels.
#[derive(Debug, Default)]
struct Room {
    /// Held while room is made, and while a sender looks for room before it waits, so that no sender misses the change.
    gate: Mutex<()>,
    changed: Condvar,
    loop_is_gone: AtomicBool,
}

/// The reactor's end of the signals. Dropping it tells the senders of channels that the loop is gone.
#[derive(Debug, Default)]
pub(crate) struct Inbound(Arc<Signals>);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) wake: bool,
    pub(crate) stop: bool,
    pub(crate) drain: Option<Duration>,
    /// `drain` was called again before the first request was taken: the second request resets everything at once.
    pub(crate) drain_again: bool,
}

impl Asked {
    /// The graces of the drains that were asked for, in order. A third request changes nothing after the second request.
    pub(crate) fn drains(&self) -> impl Iterator<Item = Duration> {
        let again = self.drain_again.then_some(Duration::ZERO);
        self.drain.into_iter().chain(again)
    }
}

impl Remote {
    pub(crate) fn new(waker: Arc<Waker>, signals: Arc<Signals>) -> Self {
        Self { waker, signals }
    }

    /// Calls [`on_wake`](crate::Handler::on_wake) in the next turn. Several calls before that turn make one `on_wake`.
    ///
    /// Messages that come with the wake go through a channel, whose sender wakes the loop by itself: see
    /// [`EventLoop::channel`](crate::EventLoop::channel) and [`guide::threads`](crate::guide::threads).
    pub fn wake(&self) {
        // The work that the loop is woken for stands before this swap. If the flag was set, the loop has not cleared it yet,
        // and `on_wake` comes after the loop has cleared it, so `on_wake` sees that work.
        if !self.signals.wake.swap(true, Ordering::AcqRel) && !self.announce() {
            self.signals.wake.store(false, Ordering::Release); // so that the next call tries again
        }
    }

    /// Calls [`Net::stop`](crate::Net::stop) in the next turn.
    pub fn stop(&self) {
        self.signal(|asked| asked.stop = true);
    }

    /// Calls [`Net::drain`](crate::Net::drain) in the next turn. A second call resets everything at once.
    pub fn drain(&self, grace: Duration) {
        self.signal(|asked| {
            asked.drain_again |= asked.drain.is_some();
            asked.drain.get_or_insert(grace);
        });
    }

    fn signal(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.signals.asked.lock().unwrap_or_else(PoisonError::into_inner));
        self.announce();
    }

    /// Wakes the poll unless that is under way. Returns false if the poll cannot be woken.
    fn announce(&self) -> bool {
        let was_set = self.signals.any.swap(true, Ordering::AcqRel);
        // If the flag was set, the wake of an earlier request has not been handled yet, and that turn takes this request too.
        if !was_set && let Err(error) = self.waker.wake() {
            self.signals.any.store(false, Ordering::Release); // so that the next call tries again
            log::error!("the loop cannot be woken: {error}");
            return false;
        }
        true
    }
}

/// For channels.
impl Remote {
    pub(crate) fn loop_is_gone(&self) -> bool {
        let Signals { room, .. } = &*self.signals;
        room.loop_is_gone.load(Ordering::Acquire)
    }

    /// Blocks while `is_full` returns true and the loop is there. [`announce_room`](Self::announce_room) makes this call look
    /// again.
    pub(crate) fn wait_for_room(&self, is_full: impl Fn() -> bool) {
        let Signals { room, .. } = &*self.signals;
        let mut gate = room.lock();
        while is_full() && !self.loop_is_gone() {
            gate = room.changed.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A channel of this loop that was full has room, or no receiver any more.
    pub(crate) fn announce_room(&self) {
        let Signals { room, .. } = &*self.signals;
        room.announce();
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }
}

impl Inbound {
    /// The signals, for a [`Remote`].
    pub(crate) fn signals(&self) -> &Arc<Signals> {
        &self.0
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        let Signals { room, .. } = &*self.0;
        room.loop_is_gone.store(true, Ordering::Release);
        room.announce();
    }
}

impl Signals {
    /// Takes the requests that came since the last call.
    pub(crate) fn take(&self) -> Option<Asked> {
        // The flag is cleared before the requests are taken: a later request sets the flag, and wakes the poll, again.
        if !self.any.load(Ordering::Relaxed) || !self.any.swap(false, Ordering::AcqRel) {
            return None;
        }
        let asked = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        Some(Asked { wake: self.wake.swap(false, Ordering::AcqRel), ..asked })
    }

    pub(crate) fn is_set(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// `on_wake` begins. If `on_wake` panics, the next turn calls `on_wake` again: the senders of the messages that wait wake
    /// nobody before the next `on_wake`, or wait for room themselves.
    pub(crate) fn wake_again(&self) -> WakeAgain<'_> {
        WakeAgain(self)
    }
}

/// Asks for a further `on_wake` when it is dropped, that is, when the present `on_wake` panics.
pub(crate) struct WakeAgain<'a>(&'a Signals);

impl WakeAgain<'_> {
    /// `on_wake` has returned.
    pub(crate) fn cancel(self) {
        std::mem::forget(self);
    }
}

impl Drop for WakeAgain<'_> {
    fn drop(&mut self) {
        let Self(signals) = self;
        signals.wake.store(true, Ordering::Release);
        signals.any.store(true, Ordering::Release); // the next turn is due, so the poll does not sleep
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}
