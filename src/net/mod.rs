//! Everything that a callback can reach: connections, listeners, timers, the end.

mod adopt;
mod by_id;
mod conn;
mod connect;
mod datagram;
mod detach;
mod listening;
mod output;
mod watch;

pub use self::{conn::Conn, datagram::Socket, output::Output};

use std::{
    collections::VecDeque,
    fmt, io,
    time::{Duration, Instant},
};

use crate::{
    engine::{Engine, Opening, TimerKind},
    flow::Flow,
    id::{ConnId, TimerId},
    options::Options,
    socket::{clock, stream::Stream},
    stats::Stats,
};

/// The connections and listeners of a reactor.
///
/// A `Net` exists before the loop starts ([`EventLoop::net`](crate::EventLoop::net)) and in every callback. The methods
/// that take a [`ConnId`] do nothing if that connection is gone.
pub struct Net<S = ()> {
    engine: Engine,
    /// The sessions by slot: `Some` exactly as long as the table says that the slot has a session.
    sessions: Vec<Option<S>>,
    /// Sessions of connections for which there was no token: `on_close` gives them back.
    unplaced: VecDeque<(ConnId, S)>,
    /// The connection whose `on_close` runs.
    closed: Closed,
}

impl<S> Net<S> {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, sessions: Vec::new(), unplaced: VecDeque::new(), closed: Closed::default() }
    }

    /// Puts a connection that this side has brought about into its reserved slot, with its session.
    fn place_opening(&mut self, slot: u32, stream: Stream, opening: Opening, session: S) -> ConnId {
        let id = self.engine.place_opening(slot, stream, opening);
        self.put_session(slot, session);
        id
    }

    /// The session of this connection, unless it is gone.
    pub fn session(&mut self, id: ConnId) -> Option<&mut S> {
        if !self.is_open(id) {
            return None;
        }
        self.sessions[id.slot() as usize].as_mut()
    }

    /// All connections that have a session, in no particular order.
    pub fn sessions(&self) -> impl Iterator<Item = (ConnId, &S)> {
        self.connections().iter().filter_map(move |slot| {
            let session = self.sessions.get(*slot as usize)?.as_ref()?;
            Some((self.id(*slot), session))
        })
    }

    /// The time of this turn, which is the same for all its callbacks. Between turns it is the time of the last one, which
    /// may be long ago: a host then takes its own.
    pub fn now(&self) -> Instant {
        self.engine.now().unwrap_or_else(clock::now)
    }

    /// Calls [`on_timer`](crate::Handler::on_timer) with `tag` once `at` has come; in the next turn if it is past already.
    /// Timers fire in the order of their deadlines, equal ones in the order in which they were set.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn on_something(net: &mut tidegate::Net) {
    /// // In a callback; between turns it would be Instant::now() for net.now().
    /// let timer = net.set_timer(net.now() + Duration::from_secs(1), 7);
    /// assert!(net.cancel_timer(timer));
    /// # }
    /// ```
    pub fn set_timer(&mut self, at: Instant, tag: u64) -> TimerId {
        self.engine.set_timer(at, TimerKind::Handler(tag))
    }

    /// [`set_timer`](Self::set_timer) after a time that counts from now. In a callback, now is the time of the turn. Between
    /// turns it is the time of the next turn, and that turn is due at once; so the host's clock decides, also where the last
    /// turn is long ago.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// let mut server = tidegate::EventLoop::<()>::new(tidegate::Options::default())?;
    /// let timer = server.net().after(Duration::from_secs(1), 7);
    /// assert!(server.net().cancel_timer(timer));
    /// # Ok(())
    /// # }
    /// ```
    pub fn after(&mut self, time: Duration, tag: u64) -> TimerId {
        self.engine.set_timer_after(time, TimerKind::Handler(tag))
    }

    /// Cancels a timer of [`set_timer`](Self::set_timer), [`after`](Self::after) or [`Conn::set_timeout`]. Returns false if the timer has fired
    /// or was cancelled before.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        self.engine.cancel_timer(timer)
    }

    /// Makes [`EventLoop::run`](crate::EventLoop::run) return after the present turn and leaves everything as it
    /// is; `run` can be called again.
    ///
    /// A connection that lingers after `close()` is cut off when the loop is dropped, and then bytes that the kernel has and
    /// that the peer has not received can be lost, although `on_close` said `Closed`. So a program that ends after its last
    /// `close()` calls [`drain`](Self::drain), which also waits for the connections that linger.
    pub fn stop(&mut self) {
        self.engine.stop();
    }

    /// The orderly end. The clients in the backlog are accepted (but not where the listener is paused, or full), the
    /// listeners close, every connection gets [`on_drain`](crate::Handler::on_drain), the bytes that were sent are delivered,
    /// and every connection that is still open after `grace` is reset. Datagram sockets answer what they have received, stay
    /// open while there are connections, and close when the kernel has taken their queues, or at the end of `grace`. `run`
    /// then returns, and [`Turn::finished`](crate::Turn::finished) says so. The drain is finished only when every session had
    /// its `on_close`, no connection lingers any more, and no datagram socket is open.
    ///
    /// An outgoing connection that is not established yet gets its `on_drain` as well, before its `on_open`. A connection
    /// that is made after the drain has begun gets its `on_drain` right after its `on_open`.
    ///
    /// A second call resets everything at once, also if the drain has not begun yet.
    pub fn drain(&mut self, grace: Duration) {
        self.engine.ask_to_drain(grace);
    }

    /// True from the call of [`drain`](Self::drain) until the drain is over. A handler that connects again whenever a
    /// connection has ended must not do so in a drain, which would never be over.
    pub fn is_draining(&self) -> bool {
        self.engine.is_draining()
    }

    /// In [`on_close`](crate::Handler::on_close): true if bytes that were handed to a send of this connection did not reach
    /// the kernel. Elsewhere it is false. Input that was discarded after a close, and an answer that was never handed to a
    /// send, do not count.
    pub fn undelivered(&self) -> bool {
        self.closed.undelivered
    }

    /// In [`on_close`](crate::Handler::on_close): true if the connection was established before it ended, whatever the reason
    /// of its end. If it was not, the connection has had no [`on_open`](crate::Handler::on_open). Elsewhere it is false.
    ///
    /// An accepted connection was established always. A handler that closes a connection while it is connecting, after it
    /// has sent bytes, lets the connection go on to deliver them: such a connection may be established without an `on_open`.
    ///
    /// ```
    /// use tidegate::{CloseReason, ConnId, Net};
    ///
    /// fn on_close(net: &mut Net, _id: ConnId, _session: (), why: CloseReason) {
    ///     if !net.was_open() {
    ///         println!("the backend cannot be reached: {why}");
    ///     }
    /// }
    /// ```
    pub fn was_open(&self) -> bool {
        self.closed.was_open
    }

    /// The options that the reactor was made with. Values that cannot be meant were put right.
    pub fn options(&self) -> &Options {
        self.engine.options()
    }

    /// The counters of this reactor.
    pub fn stats(&self) -> &Stats {
        self.engine.stats()
    }
}

/// For the turn and for the views of a connection.
impl<S> Net<S> {
    #[inline]
    pub(crate) fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    pub(crate) fn has_work(&self) -> bool {
        self.engine.has_work() || !self.unplaced.is_empty()
    }

    /// When the first timer is due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.engine.next_timer()
    }

    pub(crate) fn put_session(&mut self, slot: u32, session: S) {
        let slot = slot as usize;
        if self.sessions.len() <= slot {
            self.sessions.resize_with(slot + 1, || None);
        }
        self.sessions[slot] = Some(session);
    }

    pub(crate) fn take_session(&mut self, slot: u32) -> Option<S> {
        self.sessions.get_mut(slot as usize)?.take()
    }

    /// Frees the room of sessions beyond the slots that are in use.
    pub(crate) fn shrink_sessions(&mut self) {
        self.sessions.truncate(self.engine.slots_end());
        self.sessions.shrink_to_fit();
    }

    pub(crate) fn take_unplaced(&mut self) -> Option<(ConnId, S)> {
        self.unplaced.pop_front()
    }

    pub(crate) fn unplaced_len(&self) -> usize {
        self.unplaced.len()
    }

    /// For the length of an `on_close`.
    pub(crate) fn set_closed(&mut self, closed: Closed) {
        self.closed = closed;
    }

    /// The session in a slot that has one, and the engine, to be used side by side.
    #[inline]
    fn split(&mut self, slot: u32) -> (&mut S, &mut Engine) {
        let session = self.sessions[slot as usize].as_mut();
        (session.expect("the connection was detached, and its session went along"), &mut self.engine)
    }

    fn connections(&self) -> &[u32] {
        self.engine.connections()
    }

    fn id(&self, slot: u32) -> ConnId {
        self.engine.id(slot)
    }

    pub(crate) fn is_open(&self, id: ConnId) -> bool {
        self.engine.is_open(id)
    }

    fn has_session(&self, slot: u32) -> bool {
        self.engine.has_session(slot)
    }

    fn unconsumed(&self, slot: u32) -> &[u8] {
        self.engine.unconsumed(slot)
    }

    fn unsent(&self, slot: u32) -> usize {
        self.engine.unsent(slot)
    }

    fn discard_send(&mut self) -> Flow {
        self.engine.count_discarded_send();
        Flow::Gone
    }
}

/// The answers to questions that `on_close` may ask about its connection.
#[derive(Clone, Copy, Default)]
pub(crate) struct Closed {
    /// Bytes that were handed to a send did not reach the kernel.
    pub(crate) undelivered: bool,
    /// The connection was established.
    pub(crate) was_open: bool,
}

pub(crate) fn no_token() -> io::Error {
    io::Error::other("no token is left for a further source")
}

impl<S> fmt::Debug for Net<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("stats", self.stats()).finish_non_exhaustive()
    }
}
