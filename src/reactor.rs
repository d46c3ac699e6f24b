//! The reactor: takes events, does the work of a turn, and never polls.

mod accept;
mod alarms;
mod allowance;
mod dial;
mod ending;
mod serve;

use std::{
    fmt, io,
    ops::{Bound, RangeBounds},
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Registry, Waker, event::Event};

use crate::{
    buffer::Scratch,
    close::CloseReason,
    conn::ConnId,
    handler::Handler,
    net::{Net, no_token},
    options::Options,
    remote::{Remote, Signals},
    shared::Shared,
    source::{Link, Source, connection::Readiness},
    testing::Wire,
};

use allowance::{Allowance, Reminders};

/// Serves sockets through a poll that someone else owns.
///
/// After each poll the host passes every event to [`handle`](Self::handle), which only notes what is ready, and
/// then calls [`settle`](Self::settle) once, which does the work and makes all callbacks.
/// [`EventLoop`](crate::EventLoop) is the simplest such host.
pub struct Reactor<S = ()> {
    net: Net<S>,
    /// Every `recv` goes here; a connection owns a buffer only while a message is incomplete.
    scratch: Scratch,
    /// How much may be done in this turn.
    allowance: Allowance,
    /// How often the host asked, since the last turn, when it has to make the next, and was told: now.
    reminders: Reminders,
    signals: Arc<Signals>,
}

/// What a turn did.
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
    /// A reactor that registers its sockets with `registry`, under tokens of the given range: one for each listener
    /// and connection. Tokens with a tag in the high bits are a range as well: `7 << 56..8 << 56`.
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
        let mut shared = Shared::new(registry.try_clone()?, first, capacity, options, Instant::now());
        shared.keep_reserve();
        // No more than an empty inbox could take.
        let scratch = Scratch::new(shared.options.read_buffer.min(shared.options.max_inbox));
        Ok(Self {
            net: Net::new(shared),
            scratch,
            allowance: Allowance::unlimited(),
            reminders: Reminders::default(),
            signals: Arc::default(),
        })
    }

    /// The connections and listeners.
    pub fn net(&mut self) -> &mut Net<S> {
        &mut self.net
    }

    /// A handle for other threads. `waker` is the host's own: a poll has only one.
    pub fn remote(&self, waker: Arc<Waker>) -> Remote {
        Remote::new(waker, Arc::clone(&self.signals))
    }

    /// Notes what an event says and calls nothing. `false`: the event is not for this reactor.
    pub fn handle(&mut self, event: &Event) -> bool {
        // A token before the range wraps to one far behind it.
        let slot = event.token().0.wrapping_sub(self.net.sockets.shared.first_token);
        let Some(place) = self.net.sockets.slots.get_mut(slot) else {
            // The source may have been closed while its event was on the way.
            return slot < self.net.sockets.shared.capacity;
        };
        if let Source::Connection(link) = &mut place.source {
            if link.is_dialing() {
                // What it means for the connect, `dial` finds out; an error may also come after that.
                link.connection.note(Readiness { error: trouble(event).error, ..Readiness::default() });
            } else if is_plain(event) {
                let (readable, writable) = (event.is_readable(), event.is_writable());
                link.connection.note(Readiness { readable, writable, ..Readiness::default() });
            } else {
                link.connection.note(trouble(event));
            }
        } else if let Source::Listener(listener) = &mut place.source {
            listener.readable = true;
        } else {
            return true;
        }
        self.net.sockets.shared.queue(&mut place.head);
        true
    }

    /// Does the work of a turn; every callback is made here.
    ///
    /// What other threads asked for comes first, then due timers, one pass over what is ready, leftovers of the last turn
    /// in front, and what was sent to other connections. `now` is the time of the whole turn; times before the reactor was
    /// made count as then.
    pub fn settle(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized), now: Instant) -> Turn {
        self.pass(handler, now, None)
    }

    /// The same, but what is not done by `end` is left for the next turn.
    ///
    /// The clock is read after each connection that was served or accepted. So `end` is passed by as much as the last of
    /// them may move ([`read_budget`](Options::read_budget) and [`write_budget`](Options::write_budget)), by what the handler
    /// takes for it, and by what is not divided: all timers that are due fire, and a drain begins in one go. At least one
    /// connection is served even if `end` has passed before, so that every turn gets on.
    pub fn settle_until(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        now: Instant,
        end: Instant,
    ) -> Turn {
        self.pass(handler, now, Some(end))
    }

    /// Sends what was sent outside of callbacks, now and not in the next turn: for each connection as much as
    /// [`write_budget`](Options::write_budget) allows. What is beyond that goes out in turns, and not by another flush;
    /// [`Turn::more`] says that there is some. Makes no callback, so it finishes nothing either.
    pub fn flush(&mut self) -> Turn {
        let shared = &mut self.net.sockets.shared;
        shared.turn = shared.turn.wrapping_add(1); // a write budget of its own
        self.allowance = Allowance::unlimited();
        self.flush_touched(|_, _| {}); // bytes move, but what time it is only the next turn knows
        Turn { more: self.has_work(), ..Turn::default() }
    }

    /// Sends to the connections that were sent to other than from their own callback, as far as the turn allows. The
    /// others join the queue, to have their turn with everyone.
    fn flush_touched(&mut self, note: impl Fn(&mut Link, &Shared)) {
        if !self.net.sockets.shared.has_touched() {
            return;
        }
        self.allowance.begin_stage();
        let mut touched = self.net.sockets.shared.take_touched();
        for slot in touched.drain(..) {
            let Some((link, head, shared)) = self.net.sockets.parts(slot) else { continue };
            head.left_touched();
            if self.allowance.was_spent() {
                shared.queue(head);
                continue;
            }
            link.connection.enter_turn(shared.turn);
            link.connection.flush(&shared.options, &mut shared.stats);
            shared.count_memory(&mut link.connection); // can only have become less
            note(link, shared);
            if link.is_due(&shared.options) {
                shared.queue(head);
            }
            let moved = shared.stats.bytes_moved();
            self.allowance.is_spent(moved);
        }
        self.net.sockets.shared.put_touched(touched);
    }

    /// When [`settle`](Self::settle) has to be called next even if no event comes; in the past while work is left.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.has_work() {
            return Some(self.net.sockets.shared.now.unwrap_or_else(Instant::now));
        }
        self.net.sockets.shared.timers.next()
    }

    /// How long the next poll may sleep: zero while work is left, `None` for as long as it likes.
    ///
    /// # Panics
    /// In builds with debug assertions, if it has said zero a hundred times and [`settle`](Self::settle) was not called:
    /// a host that forgets it would spin, and serve nobody. Without these assertions it spins, and nothing is lost.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        let wait = if self.has_work() {
            Some(Duration::ZERO)
        } else {
            self.net.sockets.shared.timers.next().map(|at| at.saturating_duration_since(now))
        };
        if wait == Some(Duration::ZERO) {
            self.reminders.count();
        }
        wait
    }

    /// What an event would say of a connection that has no socket.
    pub(crate) fn note_memory(&mut self, id: ConnId, wire: &Wire) {
        let Some((link, head, shared)) = self.net.sockets.parts(id.slot) else { return };
        if head.id() == id {
            link.connection.note(wire.readiness());
            shared.queue(head);
        }
    }

    fn has_work(&self) -> bool {
        self.net.sockets.shared.has_work() || !self.net.unplaced.is_empty() || self.signals.is_set()
    }

    fn pass(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        now: Instant,
        end: Option<Instant>,
    ) -> Turn {
        self.reminders.forget();
        self.net.sockets.shared.begin_turn(now);
        self.allowance.begin(end, self.net.sockets.shared.options.turn_budget, self.bytes_moved());
        self.take_signals(handler);
        self.ring_alarms(handler, now);
        self.give_back_unplaced(handler);
        self.serve_queue(handler);
        if self.net.sockets.shared.is_ending {
            self.advance_ending(handler, now);
        }
        self.flush_touched(|link, shared| link.note_activity(shared.tick));
        self.net.sockets.free_vacated();

        let finished = self.net.sockets.shared.is_ending && self.is_finished();
        Turn { events: 0, more: self.has_work(), finished }
    }

    fn take_signals(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized)) {
        if !self.signals.is_set() {
            return;
        }
        let Some(asked) = self.signals.take() else { return };
        if asked.wake {
            handler.on_wake(&mut self.net);
        }
        if asked.stop {
            self.net.stop();
        }
        if let Some(grace) = asked.drain {
            self.net.drain(grace);
        }
        if asked.drain_again {
            self.net.drain(Duration::ZERO);
        }
    }

    fn give_back_unplaced(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized)) {
        if self.net.unplaced.is_empty() {
            return;
        }
        for (id, session) in std::mem::take(&mut self.net.unplaced) {
            let why = CloseReason::ConnectFailed(no_token());
            self.net.sockets.shared.stats.count_close(why.kind());
            handler.on_close(&mut self.net, id, session, why);
        }
    }

    /// One pass over what the queue holds at its start; what joins it meanwhile waits for the next turn.
    fn serve_queue(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized)) {
        self.allowance.begin_stage();
        let end = self.net.sockets.shared.queue.len();
        let mut served = 0;
        while served < end {
            let slot = self.net.sockets.shared.queue[served];
            served += 1;
            self.serve(handler, slot);
            if self.allowance.is_spent(self.bytes_moved()) {
                break;
            }
        }
        self.net.sockets.shared.queue.drain(..served);
    }

    fn bytes_moved(&self) -> u64 {
        self.net.sockets.shared.stats.bytes_moved()
    }
}

impl<S> fmt::Debug for Reactor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").field("net", &self.net).finish_non_exhaustive()
    }
}

/// Nearly every event: nothing but readiness to read, to write, or both.
#[inline]
fn is_plain(event: &Event) -> bool {
    !(event.is_error() || event.is_priority() || event.is_read_closed() || event.is_write_closed())
}

/// Any other. It sets both directions unless it is merely urgent: reading and writing will find out what it was.
#[cold]
fn trouble(event: &Event) -> Readiness {
    let (read_closed, write_closed) = (event.is_read_closed(), event.is_write_closed());
    let trouble = event.is_error() || read_closed || write_closed;
    Readiness {
        readable: trouble || event.is_readable(),
        writable: trouble || event.is_writable(),
        short_reads_lie: read_closed || event.is_priority(),
        error: event.is_error() || (read_closed && write_closed),
    }
}
