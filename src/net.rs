//! Everything a callback can reach: the connections, the listeners, the end.

use std::{
    fmt, io,
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::{
    address::{Address, ToAddress},
    conn::{Conn, ConnId},
    flow::Flow,
    options::ListenOptions,
    platform::{self, OPTIONS_ARE_INHERITED},
    refused::Refused,
    shared::{Alarm, Ending, Head, Shared},
    sockets::Sockets,
    source::{
        Dial, DialState, Link, Slot, Source,
        connection::Connection,
        listener::{Listener, ListenerId},
        socket,
    },
    stats::Stats,
    stream::{self, Stream},
    timers::TimerId,
};

/// The connections and listeners of a reactor.
///
/// It is there before the loop starts ([`EventLoop::net`](crate::EventLoop::net)) and in every callback. The verbs
/// that take a [`ConnId`] do nothing if that connection is gone.
pub struct Net<S = ()> {
    pub(crate) sockets: Sockets,
    /// By slot; `Some` exactly as long as [`Sockets::has_session`].
    sessions: Vec<Option<S>>,
    /// Sessions of connections for which there was no token: `on_close` gives them back.
    pub(crate) unplaced: Vec<(ConnId, S)>,
}

impl<S> Net<S> {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { sockets: Sockets::new(shared), sessions: Vec::new(), unplaced: Vec::new() }
    }

    /// `socket()`, `bind()`, `listen()`: clients are accepted from the next turn on.
    ///
    /// # Errors
    /// What the system said, with the address in the text: it is in use, not allowed, or no address at all. `Other` if
    /// all tokens are taken.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let mut server = tidegate::EventLoop::<()>::new(tidegate::Options::default())?;
    /// let listener = server.net().listen("127.0.0.1:0")?;
    /// println!("listening on {}", server.net().local_address(listener)?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen(&mut self, at: impl ToAddress) -> io::Result<ListenerId> {
        self.listen_with(at, ListenOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn listen_with(&mut self, at: impl ToAddress, options: ListenOptions) -> io::Result<ListenerId> {
        let address = at.to_address()?;
        let socket = socket::listen_socket(&address, options.backlog, options.reuse_port)?;
        if OPTIONS_ARE_INHERITED && let Some(wish) = &self.sockets.shared.options.keepalive {
            stream::set_keepalive(&SockRef::from(&socket), wish).map_err(|error| {
                socket::explain(format_args!("cannot set keepalive for {address}"), &error)
            })?;
        }
        self.place_listener(socket, options)
            .map_err(|refused| socket::explain(format_args!("cannot listen on {address}"), &refused.error))
    }

    /// Registers a socket that listens and does not block.
    pub(crate) fn place_listener(
        &mut self,
        socket: TcpListener,
        options: ListenOptions,
    ) -> Result<ListenerId, Refused<TcpListener>> {
        let Some(slot) = self.sockets.reserve() else {
            return Err(Refused { error: no_token(), back: socket });
        };
        let shared = &self.sockets.shared;
        match Listener::register(socket, options, &shared.registry, shared.token(slot)) {
            Ok(listener) => {
                let place = &mut self.sockets.slots[slot as usize];
                place.source = Source::Listener(Box::new(listener));
                let ConnId { slot, generation } = place.head.id();
                Ok(ListenerId { slot, generation })
            }
            Err(refused) => {
                self.sockets.release(slot);
                Err(refused)
            }
        }
    }

    /// Where a listener really listens: with port 0, the system has chosen one.
    ///
    /// # Errors
    /// `NotFound` if the listener was closed; otherwise as getsockname(2).
    pub fn local_address(&self, listener: ListenerId) -> io::Result<Address> {
        match self.sockets.slots.get(listener.slot as usize) {
            Some(Slot { head, source: Source::Listener(found) })
                if head.generation == listener.generation =>
            {
                found.local_address()
            }
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "the listener is closed")),
        }
    }

    /// Stops listening. Clients that wait in the backlog are reset by the system.
    pub fn close_listener(&mut self, listener: ListenerId) {
        if self.listener(listener).is_some() {
            self.sockets.vacate(listener.slot);
        }
    }

    /// Leaves further clients in the backlog until [`resume_listener`](Self::resume_listener).
    pub fn pause_listener(&mut self, listener: ListenerId) {
        if let Some((listener, _)) = self.listener(listener) {
            listener.paused = true;
        }
    }

    /// Accepts again, in the next turn.
    pub fn resume_listener(&mut self, listener: ListenerId) {
        if let Some((listener, head)) = self.listener(listener) {
            listener.paused = false;
            let slot = head.slot;
            self.sockets.queue(slot);
        }
    }

    /// `connect()`: begins to connect and cannot fail on the spot.
    ///
    /// The addresses are tried in order. What is sent meanwhile waits in the outbox. `on_open` comes when the
    /// connection is established; every failure comes later, in `on_close`, with the session back: as
    /// [`ConnectFailed`](crate::CloseReason::ConnectFailed), also if all tokens are taken.
    pub fn connect(&mut self, to: &Address, session: S) -> ConnId {
        let Some(slot) = self.sockets.reserve() else {
            let id = self.sockets.shared.new_head(u32::MAX as usize).id();
            self.unplaced.push((id, session));
            return id;
        };
        let dial = Dial { to: to.clone(), next: 0, state: DialState::NotBegun };
        self.place_connection(slot, Stream::Unconnected, dial, session)
    }

    /// What is not accepted but brought in from this side: it opens in the next turn, or later.
    pub(crate) fn place_connection(&mut self, slot: u32, stream: Stream, dial: Dial, session: S) -> ConnId {
        let place = &mut self.sockets.slots[slot as usize];
        let mut link = Link::new(Connection::new(stream, platform::SHORT_READ_DRAINS));
        // Being connected is not being idle: the timer is set when that is over.
        link.idle.set(&mut place.head, self.sockets.shared.options.idle_timeout);
        place.head.arm_idle = false;
        link.extra().dial = Some(dial);
        place.source = Source::Connection(link);
        self.sockets.shared.stats.open += 1;
        self.sockets.shared.queue(&mut place.head);
        let id = place.head.id();
        self.put_session(slot, session);
        id
    }

    /// The connection of this id, unless it is gone.
    pub fn conn(&mut self, id: ConnId) -> Option<Conn<'_, S>> {
        self.sockets.is_open(id).then(|| Conn::at(self, id.slot))
    }

    /// The session of this connection, unless it is gone.
    pub fn session(&mut self, id: ConnId) -> Option<&mut S> {
        if !self.sockets.is_open(id) {
            return None;
        }
        self.sessions[id.slot as usize].as_mut()
    }

    /// All connections that have a session, in no particular order.
    pub fn sessions(&self) -> impl Iterator<Item = (ConnId, &S)> {
        self.sessions.iter().enumerate().filter_map(move |(slot, session)| {
            session.as_ref().map(|session| (self.sockets.slots[slot].head.id(), session))
        })
    }

    /// Calls `f` for every connection that has a session, but those that `f` itself brings about. No list is made
    /// of them, so a broadcast allocates nothing.
    pub fn for_each(&mut self, mut f: impl FnMut(&mut Conn<'_, S>)) {
        let (end, newest) = (self.sockets.slots_end, self.sockets.shared.generation());
        for slot in 0..end {
            if self.sockets.has_session(slot) && !self.is_born_since(slot, newest) {
                f(&mut Conn::at(self, slot));
            }
        }
    }

    /// See [`Conn::send_all`].
    pub fn send_all(&mut self, to: ConnId, bytes: &[u8]) -> Flow {
        match self.conn(to) {
            Some(mut conn) => conn.send_all(bytes),
            None => {
                self.sockets.shared.stats.sends_discarded += 1;
                Flow::Gone
            }
        }
    }

    /// See [`Conn::send_shared`].
    pub fn send_shared(&mut self, to: ConnId, bytes: &Arc<[u8]>) -> Flow {
        self.send_all(to, bytes)
    }

    /// See [`Conn::resume_reading`].
    pub fn resume_reading(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conn(id) {
            conn.resume_reading();
        }
    }

    /// See [`Conn::shutdown_write`].
    pub fn shutdown_write(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conn(id) {
            conn.shutdown_write();
        }
    }

    /// See [`Conn::close`].
    pub fn close(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conn(id) {
            conn.close();
        }
    }

    /// See [`Conn::abort`].
    pub fn abort(&mut self, id: ConnId) {
        if let Some(mut conn) = self.conn(id) {
            conn.abort();
        }
    }

    /// The time of this turn, the same for all its callbacks. Between turns it is that of the last one, which may be
    /// long ago: a host then takes its own.
    pub fn now(&self) -> Instant {
        self.sockets.shared.now.unwrap_or_else(Instant::now)
    }

    /// Calls [`on_timer`](crate::Handler::on_timer) with `tag` once `at` has come; in the next turn if it has already.
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
        self.sockets.shared.timers.insert(at, Alarm::Timer(tag))
    }

    /// Cancels a timer of [`set_timer`](Self::set_timer) or of [`Conn::set_timeout`]; `false` if it has fired or gone.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        let Some(alarm) = self.sockets.shared.timers.cancel(timer) else { return false };
        if let Alarm::Timeout { slot, .. } = alarm
            && let Some((link, ..)) = self.sockets.parts(slot)
        {
            link.extra().timeouts.retain(|other| *other != timer);
        }
        true
    }

    /// Makes [`EventLoop::run`](crate::EventLoop::run) return after the present turn and leaves everything as it
    /// is; `run` can be called again.
    pub fn stop(&mut self) {
        self.sockets.shared.set_stop();
    }

    /// The orderly end. What waits in the backlog is accepted (but not where the listener is paused, or full), the
    /// listeners close, every connection gets [`on_drain`](crate::Handler::on_drain), what was sent is delivered, and what
    /// is still open after `grace` is reset. `run` then returns, and [`Turn::finished`](crate::Turn::finished) says so.
    ///
    /// An outgoing connection that is not established yet gets its `on_drain` as well, before its `on_open`; one that comes
    /// only after the drain has begun, right after it.
    ///
    /// Called again while it goes on, it ends at once.
    pub fn drain(&mut self, grace: Duration) {
        let shared = &mut self.sockets.shared;
        let next = match shared.ending {
            Ending::No => Ending::Asked(grace),
            Ending::Asked(_) | Ending::CutOff => Ending::CutOff,
            Ending::Draining(timer) => {
                shared.timers.cancel(timer);
                Ending::CutOff
            }
        };
        shared.set_ending(next);
    }

    /// What has happened so far.
    pub fn stats(&self) -> &Stats {
        &self.sockets.shared.stats
    }

    /// Whether what is in a slot came after the given generation.
    pub(crate) fn is_born_since(&self, slot: u32, generation: u32) -> bool {
        let Some(place) = self.sockets.slots.get(slot as usize) else { return false };
        place.head.is_between(generation, self.sockets.shared.generation())
    }

    fn listener(&mut self, id: ListenerId) -> Option<(&mut Listener, &mut Head)> {
        match self.sockets.slots.get_mut(id.slot as usize)? {
            Slot { head, source: Source::Listener(listener) } if head.generation == id.generation => {
                Some((listener, head))
            }
            _ => None,
        }
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

    /// The session in a slot that has one, and the sockets, to be used side by side.
    pub(crate) fn split(&mut self, slot: u32) -> (&mut S, &mut Sockets) {
        let session = self.sessions[slot as usize].as_mut();
        (session.expect("a connection that is not lingering has a session"), &mut self.sockets)
    }
}

pub(crate) fn no_token() -> io::Error {
    io::Error::other("no token is left for it")
}

impl<S> fmt::Debug for Net<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("stats", &self.sockets.shared.stats).finish_non_exhaustive()
    }
}
