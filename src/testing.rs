//! Trying out a handler without sockets and with a clock that is moved by hand.
//!
//! ```
//! use std::time::Duration;
//! use tidegate::{Accepted, CloseKind, Conn, Flow, Handler, Net, Options, framing, testing::Rehearsal};
//!
//! /// Answers each line with its length.
//! struct Lengths;
//!
//! impl Handler for Lengths {
//!     type Session = ();
//!
//!     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
//!         Some(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
//!         let mut lines = framing::lines(input, 64);
//!         while let Some(line) = lines.next() {
//!             match line {
//!                 Ok(line) if writeln!(conn, "{}", line.len()) == Flow::Open => {}
//!                 Ok(_) => break, // the rest is shown again when the client has read enough
//!                 Err(_) => {
//!                     conn.abort();
//!                     break;
//!                 }
//!             }
//!         }
//!         lines.used()
//!     }
//! }
//!
//! let options = Options::default().idle_timeout(Some(Duration::from_secs(60)));
//! let (mut handler, mut rehearsal) = (Lengths, Rehearsal::new(options));
//! let client = rehearsal.accept(&mut handler).expect("it takes everyone");
//!
//! rehearsal.receive(&mut handler, client, b"hel");
//! assert_eq!(rehearsal.sent(client), b"");
//! rehearsal.receive(&mut handler, client, b"lo\n");
//! assert_eq!(rehearsal.sent(client), b"5\n");
//!
//! rehearsal.advance(&mut handler, Duration::from_secs(60));
//! assert_eq!(rehearsal.why(client), Some(CloseKind::IdleTimeout));
//! ```

use std::{
    collections::HashMap,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use mio::Poll;

use crate::{
    close::{CloseKind, CloseReason},
    datagram::Datagram,
    handler::{Accepted, Handler},
    id::{ConnId, SourceId},
    net::{Conn, Net, Socket},
    options::Options,
    reactor::Reactor,
    readiness::Readiness,
    socket::{memory::MemoryStream, stream::Stream},
};

/// A handler must come to rest within this many turns.
const TURNS: usize = 100_000;

/// A reactor for tests: its connections are in memory, the test plays the peers, and time moves only in
/// [`advance`](Self::advance).
///
/// Each call that takes the handler does all the work that follows from it before it returns, so a test needs no
/// waiting. The reactor and its connections are the same as with sockets; only the streams of [`accept`](Self::accept)
/// differ. Their events have the edges of epoll, and enter the reactor where the events of sockets do, so a lost edge shows
/// here too. Listeners and connections that the handler itself makes are real sockets, whose events never arrive here.
///
/// # Panics
/// [`new`](Self::new) panics if the system has no descriptor left. The other calls panic if the handler never comes to rest,
/// for instance because it asks for `on_writable` in each `on_writable`.
pub struct Rehearsal<S = ()> {
    reactor: Reactor<S>,
    now: Instant,
    peers: HashMap<ConnId, MemoryStream>,
    ended: HashMap<ConnId, CloseKind>,
    // The reactor wants a registry; nothing is ever registered.
    _poll: Poll,
}

impl<S> Rehearsal<S> {
    /// Makes a reactor with these options and no connection.
    pub fn new(options: Options) -> Self {
        let poll = Poll::new().expect("the system has a descriptor left");
        let mut reactor =
            Reactor::new(poll.registry(), .., options).expect("the system has descriptors left");
        let now = Instant::now();
        reactor.set_now(now);
        Self { reactor, now, peers: HashMap::new(), ended: HashMap::new(), _poll: poll }
    }

    /// The connections, as between turns.
    pub fn net(&mut self) -> &mut Net<S> {
        self.reactor.net()
    }

    /// A client connects. Returns its id, or `None` if `on_accept` does not want it. Limits on accepting do not apply.
    pub fn accept<H: Handler<Session = S> + ?Sized>(&mut self, handler: &mut H) -> Option<ConnId> {
        let peer = MemoryStream::default();
        let port = 1 + self.peers.len() % 65_535;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port as u16));
        let stream = Stream::Memory(peer.clone());
        let mut watched = Watched { handler: &mut *handler, ended: &mut self.ended };
        self.reactor.settle(&mut watched, self.now); // sets the time of the callbacks
        let id = self.reactor.admit(&mut watched, stream, address.into(), self.now)?;
        self.peers.insert(id, peer);
        self.deliver_event(id);
        self.settle(handler);
        Some(id)
    }

    /// The peer sends these bytes; they come in one piece unless an option says otherwise.
    pub fn receive<H>(&mut self, handler: &mut H, to: ConnId, bytes: &[u8])
    where
        H: Handler<Session = S> + ?Sized,
    {
        self.act(handler, to, |peer| peer.feed(bytes));
    }

    /// The peer ends its sending direction.
    pub fn eof<H: Handler<Session = S> + ?Sized>(&mut self, handler: &mut H, to: ConnId) {
        self.act(handler, to, MemoryStream::end);
    }

    /// The peer resets the connection. Bytes that it sent before and that were not read stay readable, as with TCP on Linux.
    pub fn reset<H: Handler<Session = S> + ?Sized>(&mut self, handler: &mut H, to: ConnId) {
        self.act(handler, to, MemoryStream::reset);
    }

    /// Lets so much time pass, from one deadline to the next.
    pub fn advance<H: Handler<Session = S> + ?Sized>(&mut self, handler: &mut H, by: Duration) {
        let end = self.now + by;
        for _ in 0..TURNS {
            let next = self.reactor.next_deadline().filter(|at| *at < end);
            self.now = next.map_or(end, |at| at.max(self.now));
            self.settle(handler);
            if next.is_none() {
                return;
            }
        }
        panic!("the handler does not come to rest");
    }

    /// Makes the peer take only so many further bytes: with 0 it does not read, with `usize::MAX` (as at first) it takes
    /// everything. The change has its effect at the next call that takes the handler.
    pub fn capacity(&mut self, of: ConnId, bytes: usize) {
        if let Some(peer) = self.peers.get(&of) {
            peer.set_capacity(bytes);
            self.deliver_event(of);
        }
    }

    /// The bytes that were sent to the peer since the last call; also after the connection has ended.
    pub fn sent(&mut self, by: ConnId) -> Vec<u8> {
        self.peers.get(&by).map(MemoryStream::take_sent).unwrap_or_default()
    }

    /// True if the reactor has sent an end of file to the peer, or has closed the connection. Also true for an unknown id.
    pub fn is_ended(&self, by: ConnId) -> bool {
        self.peers.get(&by).is_none_or(MemoryStream::is_ended)
    }

    /// True if the connection was ended by a reset.
    pub fn is_reset(&self, by: ConnId) -> bool {
        self.peers.get(&by).is_some_and(MemoryStream::was_reset_by_connection)
    }

    /// True if `on_close` has still to come for this connection.
    pub fn is_open(&self, id: ConnId) -> bool {
        self.reactor.is_open(id)
    }

    /// Why the connection has ended; `None` if it has not.
    pub fn why(&self, id: ConnId) -> Option<CloseKind> {
        self.ended.get(&id).copied()
    }

    /// Does the work that is left now, for instance requests that were made through [`net`](Self::net).
    pub fn settle<H: Handler<Session = S> + ?Sized>(&mut self, handler: &mut H) {
        let mut handler = Watched { handler, ended: &mut self.ended };
        for _ in 0..TURNS {
            if !self.reactor.settle(&mut handler, self.now).more {
                return;
            }
        }
        panic!("the handler does not come to rest");
    }

    fn act<H: Handler<Session = S> + ?Sized>(
        &mut self,
        handler: &mut H,
        to: ConnId,
        act: impl FnOnce(&MemoryStream),
    ) {
        if let Some(peer) = self.peers.get(&to) {
            act(peer);
            self.deliver_event(to);
        }
        self.settle(handler);
    }

    /// Hands the reactor the event that the stream owes, as a poll would.
    fn deliver_event(&mut self, to: ConnId) {
        if let Some(readiness) = self.peers.get(&to).and_then(MemoryStream::take_event) {
            self.reactor.event(to, readiness);
        }
    }
}

impl<S> fmt::Debug for Rehearsal<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rehearsal").field("reactor", &self.reactor).finish_non_exhaustive()
    }
}

/// Passes everything on and remembers why connections ended.
struct Watched<'a, H: ?Sized> {
    handler: &'a mut H,
    ended: &'a mut HashMap<ConnId, CloseKind>,
}

impl<H: Handler + ?Sized> Handler for Watched<'_, H> {
    type Session = H::Session;

    fn on_accept(&mut self, net: &mut Net<H::Session>, from: &Accepted) -> Option<H::Session> {
        self.handler.on_accept(net, from)
    }

    fn on_data(&mut self, conn: &mut Conn<'_, H::Session>, input: &[u8]) -> usize {
        self.handler.on_data(conn, input)
    }

    fn on_open(&mut self, conn: &mut Conn<'_, H::Session>) {
        self.handler.on_open(conn);
    }

    fn on_eof(&mut self, conn: &mut Conn<'_, H::Session>) {
        self.handler.on_eof(conn);
    }

    fn on_peer_closed(&mut self, conn: &mut Conn<'_, H::Session>) {
        self.handler.on_peer_closed(conn);
    }

    fn on_writable(&mut self, conn: &mut Conn<'_, H::Session>) {
        self.handler.on_writable(conn);
    }

    fn on_timeout(&mut self, conn: &mut Conn<'_, H::Session>, tag: u64) {
        self.handler.on_timeout(conn, tag);
    }

    fn on_drain(&mut self, conn: &mut Conn<'_, H::Session>) {
        self.handler.on_drain(conn);
    }

    fn on_close(&mut self, net: &mut Net<H::Session>, id: ConnId, session: H::Session, why: CloseReason) {
        self.ended.insert(id, why.kind());
        self.handler.on_close(net, id, session, why);
    }

    fn on_timer(&mut self, net: &mut Net<H::Session>, tag: u64) {
        self.handler.on_timer(net, tag);
    }

    fn on_datagram(&mut self, socket: &mut Socket<'_, H::Session>, datagram: &Datagram<'_>) {
        self.handler.on_datagram(socket, datagram);
    }

    fn on_datagram_error(&mut self, socket: &mut Socket<'_, H::Session>, error: io::Error) {
        self.handler.on_datagram_error(socket, error);
    }

    fn on_wake(&mut self, net: &mut Net<H::Session>) {
        self.handler.on_wake(net);
    }

    fn on_ready(&mut self, net: &mut Net<H::Session>, id: SourceId, ready: Readiness) {
        self.handler.on_ready(net, id, ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    impl Handler for Silent {
        type Session = ();

        fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
            Some(())
        }

        fn on_data(&mut self, _conn: &mut Conn<'_>, _input: &[u8]) -> usize {
            0
        }
    }

    fn is_queued(rehearsal: &Rehearsal) -> bool {
        rehearsal.reactor.next_deadline().is_some()
    }

    /// A reactor that forgets an edge has to be seen to forget it: readiness is not reported again as a level.
    #[test]
    fn readiness_is_reported_at_its_edges_alone() {
        let mut rehearsal = Rehearsal::new(Options::default());
        let client = rehearsal.accept(&mut Silent).unwrap();
        rehearsal.receive(&mut Silent, client, b"unread");
        rehearsal.capacity(client, 1000);
        assert!(!is_queued(&rehearsal), "no write has met its end, so more room is no edge");
        rehearsal.net().send_all(client, &[b'.'; 1500]);
        rehearsal.settle(&mut Silent);
        assert!(!is_queued(&rehearsal));
        rehearsal.capacity(client, 100);
        assert!(is_queued(&rehearsal), "the write has met its end, so room is an edge");
        rehearsal.settle(&mut Silent);
        assert_eq!(rehearsal.sent(client).len(), 1100);
        rehearsal.capacity(client, 0);
        assert!(!is_queued(&rehearsal));
    }

    #[test]
    fn a_detached_connection_is_not_open() {
        let mut rehearsal = Rehearsal::new(Options::default());
        let client = rehearsal.accept(&mut Silent).unwrap();
        let detached = rehearsal.net().detach(client).unwrap();
        assert!(!rehearsal.is_open(client), "no `on_close` comes for the connection");
        let id = rehearsal.net().attach(detached).unwrap();
        rehearsal.settle(&mut Silent);
        assert!(rehearsal.is_open(id));
    }
}
