//! The public face of the reactor: it takes events, does the work of a turn, and never polls.

use std::{
    fmt, io,
    ops::{Bound, RangeBounds},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Registry, Waker, event::Event};

use crate::{
    address::Address,
    buffer::Scratch,
    channel::{Receiver, Sender, channel},
    engine::Engine,
    handler::Handler,
    id::{ConnId, ListenerId, NO_SLOT},
    net::{Closed, Net},
    options::Options,
    remote::{Inbound, Remote},
    socket::{
        clock,
        readiness::{self, EventParts, Readiness},
        stream::Stream,
    },
    turn::{Pass, TurnBudget},
};

/// Serves sockets through a poll that someone else owns.
///
/// After each poll the host passes every event to [`handle`](Self::handle), which only stores which source is ready, and
/// then calls [`settle`](Self::settle) once, which does the work and makes all callbacks.
/// [`EventLoop`](crate::EventLoop) is the simplest such host.
pub struct Reactor<S = ()> {
    net: Net<S>,
    scratch: Scratch,
    budget: TurnBudget,
    reminders: Reminders,
    inbound: Inbound,
}

/// The result of a turn.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Turn {
    /// How many events the poll returned; 0 from [`Reactor::settle`], which does not poll.
    pub events: usize,
    /// Work is left that no further event will announce: the next poll must not sleep.
    pub more: bool,
    /// A drain has ended, or `stop` was called.
    pub finished: bool,
}

impl<S> Reactor<S> {
    /// A reactor that registers its sockets with `registry`, under tokens of the given range: one for each listener,
    /// connection, datagram socket and watched source. Tokens with a tag in the high bits are a range as well:
    /// `7 << 56..8 << 56`.
    ///
    /// # Errors
    /// `InvalidInput` if the range is empty; otherwise what duplicating the registry said.
    pub fn new(registry: &Registry, tokens: impl RangeBounds<usize>, options: Options) -> io::Result<Self> {
        let first = match tokens.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match tokens.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => usize::MAX,
        };
        if first >= end {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the range of tokens is empty"));
        }
        let capacity = (end - first).min(u32::MAX as usize);
        let engine = Engine::new(registry.try_clone()?, first, capacity, options, clock::now());
        let net = Net::new(engine);
        let scratch = Scratch::new(net.options().read_buffer);
        Ok(Self {
            net,
            scratch,
            budget: TurnBudget::unlimited(),
            reminders: Reminders::default(),
            inbound: Inbound::default(),
        })
    }

    /// The connections and listeners.
    pub fn net(&mut self) -> &mut Net<S> {
        self.net.engine().host_is_here();
        self.net.set_closed(Closed::default()); // an on_close that panicked has left it set
        &mut self.net
    }

    /// A handle for other threads. `waker` is the host's own: a poll has only one.
    pub fn remote(&self, waker: Arc<Waker>) -> Remote {
        Remote::new(waker, Arc::clone(self.inbound.signals()))
    }

    /// A channel from other threads into this reactor, for any number of messages. `waker` is the host's own, as in
    /// [`remote`](Self::remote). See [`EventLoop::channel`](crate::EventLoop::channel).
    pub fn channel<T>(&self, waker: Arc<Waker>) -> (Sender<T>, Receiver<T>) {
        channel(self.remote(waker), usize::MAX)
    }

    /// A channel that holds at most `capacity` messages. See [`EventLoop::bounded_channel`](crate::EventLoop::bounded_channel).
    pub fn bounded_channel<T>(&self, waker: Arc<Waker>, capacity: usize) -> (Sender<T>, Receiver<T>) {
        channel(self.remote(waker), capacity)
    }

    /// Stores what an event says and calls nothing. Returns false if the event is not for this reactor.
    #[inline]
    pub fn handle(&mut self, event: &Event) -> bool {
        self.handle_any(event)
    }

    /// [`handle`](Self::handle), for the events of a simulation as well.
    #[inline(always)]
    pub(crate) fn handle_any(&mut self, event: &impl EventParts) -> bool {
        match readiness::plain(event) {
            Some(readiness) => self.net.engine().event(event.token(), readiness),
            None => self.handle_unusual(event),
        }
    }

    #[cold]
    fn handle_unusual(&mut self, event: &impl EventParts) -> bool {
        let engine = self.net.engine();
        engine.watched_event(event.token(), crate::readiness::Readiness::of(event))
            || engine.event(event.token(), readiness::unusual(event))
    }

    /// Does the work of a turn; every callback is made here.
    ///
    /// Requests of other threads come first, then due timers, one pass over the sources that are ready, leftovers of the last
    /// turn in front, and bytes that were sent to other connections. `now` is the time of the whole turn; a time before the
    /// reactor was made counts as that time.
    pub fn settle(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), now: Instant) -> Turn {
        self.turn(handler, now, None)
    }

    /// [`settle`](Self::settle), but work that is not done by `end` is left for the next turn.
    ///
    /// The reactor reads the clock after each connection that it has served or accepted. So a turn can end later than `end`,
    /// for three reasons: the last connection may use its whole [`read_budget`](Options::read_budget) and
    /// [`write_budget`](Options::write_budget); its callbacks take time; and all timers that are due fire, and the beginning
    /// of a drain is not interrupted. Each stage of the turn serves at least one source even if `end` has passed before, so
    /// that every turn makes progress.
    pub fn settle_until(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        now: Instant,
        end: Instant,
    ) -> Turn {
        self.turn(handler, now, Some(end))
    }

    fn turn(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        now: Instant,
        end: Option<Instant>,
    ) -> Turn {
        self.reminders.reset();
        self.net.engine().begin_turn(now);
        self.budget.begin(end, self.net.options().turn_budget, self.net.stats().bytes_moved());
        let Self { net, scratch, budget, inbound, .. } = self;
        let finished = Pass { net, scratch, budget, handler, now }.run(inbound.signals());
        Turn { events: 0, more: self.has_work(), finished }
    }

    /// Sends the bytes that were sent outside of callbacks, now and not in the next turn: for each connection as much as
    /// [`write_budget`](Options::write_budget) allows. The rest leaves in turns, and not by another flush;
    /// [`Turn::more`] says that there is a rest. A flush makes no callback, so it finishes nothing either.
    pub fn flush(&mut self) -> Turn {
        let engine = self.net.engine();
        engine.begin_flush();
        engine.flush_marked(|_| true, false);
        Turn { more: self.has_work(), ..Turn::default() }
    }

    /// When [`settle`](Self::settle) has to be called next even if no event comes; in the past while work is left.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.has_work() {
            return Some(self.net.now());
        }
        self.net.next_timer()
    }

    /// How long the next poll may sleep: zero while work is left, `None` for as long as it likes.
    ///
    /// # Panics
    /// In builds with debug assertions, if it has said zero a hundred times and [`settle`](Self::settle) was not called:
    /// a host that never calls `settle` spins, and no connection is served. Without these assertions it spins, and nothing is lost.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        let wait = if self.has_work() {
            Some(Duration::ZERO)
        } else {
            self.net.next_timer().map(|at| at.saturating_duration_since(now))
        };
        if wait == Some(Duration::ZERO) {
            self.reminders.count();
        }
        wait
    }

    fn has_work(&self) -> bool {
        self.net.has_work() || self.inbound.signals().is_set()
    }
}

/// For tests in memory, whose streams have no sockets.
impl<S> Reactor<S> {
    /// Sets the time before the first turn.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.net.engine().set_now(now);
    }

    /// A client connects by a stream that is no socket. Returns its id unless the handler does not want it.
    pub(crate) fn admit(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        stream: Stream,
        peer: Address,
        now: Instant,
    ) -> Option<ConnId> {
        let nowhere = ListenerId::new(NO_SLOT, 0);
        let Self { net, scratch, budget, .. } = self;
        Pass { net, scratch, budget, handler, now }.admit(nowhere, stream, peer)
    }

    /// The connections and listeners, without the note that the host has them.
    #[cfg(test)]
    pub(crate) fn inspect(&mut self) -> &mut Net<S> {
        &mut self.net
    }

    /// True if the connection has a session.
    pub(crate) fn is_open(&self, id: ConnId) -> bool {
        self.net.is_open(id)
    }

    /// An event for a stream that is no socket.
    pub(crate) fn event(&mut self, id: ConnId, readiness: Readiness) {
        let engine = self.net.engine();
        if engine.is_current(id) {
            engine.ready(id.slot(), readiness);
        }
    }
}

impl<S> fmt::Debug for Reactor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").field("net", &self.net).finish_non_exhaustive()
    }
}

/// Counts how often the host was told to make a turn and made none: finds a host that never calls `settle`.
#[derive(Debug, Default)]
struct Reminders(AtomicU32);

impl Reminders {
    /// More often than any host asks between two turns, and reached at once by a host that spins.
    const LIMIT: u32 = 100;

    fn count(&self) {
        if cfg!(debug_assertions) {
            let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(
                count <= Self::LIMIT,
                "there is work, the poll did not sleep for it, and nobody calls `settle`"
            );
        }
    }

    fn reset(&mut self) {
        if cfg!(debug_assertions) {
            *self.0.get_mut() = 0;
        }
    }
}
