//! The trait that a user of the crate implements.

use std::io;

use crate::{
    address::Address,
    close::CloseReason,
    datagram::Datagram,
    id::{ConnId, ListenerId, SourceId},
    net::{Conn, Net, Socket},
    readiness::Readiness,
};

/// The behaviour of a program towards its connections.
///
/// All methods are called from [`Reactor::settle`](crate::Reactor::settle) (and so from
/// [`EventLoop::turn`](crate::EventLoop::turn) and [`run`](crate::EventLoop::run)), one at a time, and never one from
/// inside another. A method may ask for anything, of any connection; what it asks for calls nothing before the method
/// has returned.
///
/// The handler is passed to each turn and not kept, so it may borrow what the host owns for just that long, and
/// `&mut dyn Handler<Session = S>` is as good as a concrete type.
///
/// # Panics
/// A panic in a method passes through the turn to the host. If the host catches it and goes on, the
/// connection whose callback panicked is aborted, with [`CloseReason::Aborted`] unless it was ending already: it takes no
/// further bytes, and its `on_close` comes in the next turn. All others go on. The session that was passed to a panicking
/// [`on_close`](Self::on_close) is lost.
pub trait Handler {
    /// The state that the program keeps for each connection: `on_accept` makes it, and `on_close` gives it back.
    type Session;

    /// A client has connected. The session makes it a connection, for which [`on_open`](Self::on_open) is called next;
    /// `None` closes it at once.
    ///
    /// `from.id` will be the connection's id; until this method has returned, [`Net::conn`] does not know it.
    fn on_accept(&mut self, net: &mut Net<Self::Session>, from: &Accepted) -> Option<Self::Session>;

    /// Bytes have come; returns how many of them the handler has consumed.
    ///
    /// A stream has no message boundaries: `input` begins with the first byte that was not consumed before, and ends
    /// wherever the kernel had no more. The bytes that the handler does not consume are kept, and shown again in front of
    /// further ones. 0 means "more bytes are needed"; a handler that knows how many says so with [`Conn::need`]. If the handler
    /// is shown 16 bytes more than [`max_inbox`](crate::Options::max_inbox) and consumes none of them, the connection ends: the
    /// message is too long.
    ///
    /// The method is called again at once, without a new byte, while it consumed something, something is left, and the
    /// connection wants to read. A connection wants to read unless the handler has paused it
    /// ([`Conn::pause_reading`]), its outbox is above high water ([`Conn::pause_when_full`]), or it is closing.
    ///
    /// So a handler whose answers are larger than its requests stops at [`Flow::Full`](crate::Flow::Full): it returns what
    /// it has consumed so far and leaves the other requests in the input. They are shown again as soon as the peer has read
    /// enough, without a new byte. (Where the handler has switched `pause_when_full` off, it also pauses reading at `Full`
    /// and resumes it in [`on_writable`](Self::on_writable).) A handler that goes on instead fills the outbox, up to
    /// [`max_outbox`](crate::Options::max_outbox), where the connection is reset.
    ///
    /// ```
    /// use tidegate::{Conn, Flow, framing};
    ///
    /// /// Answers each line with a thousand times its length.
    /// fn on_data(conn: &mut Conn<'_>, input: &[u8]) -> usize {
    ///     let mut lines = framing::lines(input, 512);
    ///     while let Some(line) = lines.next() {
    ///         match line {
    ///             Ok(line) if conn.send_all(&line.repeat(1000)) == Flow::Open => {}
    ///             Ok(_) => break, // the rest is shown again when the peer has read enough
    ///             Err(_) => {
    ///                 conn.abort();
    ///                 break;
    ///             }
    ///         }
    ///     }
    ///     lines.used()
    /// }
    /// ```
    ///
    /// # Panics
    /// The reactor panics if more is returned than was shown.
    fn on_data(&mut self, conn: &mut Conn<'_, Self::Session>, input: &[u8]) -> usize;

    /// The connection is established: an accepted one after `on_accept`, an outgoing one once it is connected, one that was
    /// adopted or attached in the turn after that.
    fn on_open(&mut self, _conn: &mut Conn<'_, Self::Session>) {}

    /// The peer has ended its sending direction; this side may go on sending. The call comes after `on_data` was shown
    /// everything; bytes that `on_data` left unused are in [`Conn::unconsumed`]. By default the connection is closed.
    ///
    /// While reading is paused, this call waits for the resume: a handler that waits for the answer of another thread pauses
    /// reading, so that this method does not close the connection before the answer is sent.
    /// [`on_peer_closed`](Self::on_peer_closed) tells of the end of the peer meanwhile.
    fn on_eof(&mut self, conn: &mut Conn<'_, Self::Session>) {
        conn.close();
    }

    /// The peer has ended its sending direction, or has reset the connection, while the handler has paused reading
    /// ([`Conn::pause_reading`]). So a handler that lets a thread compute, or whose client waits for news, can give up the work
    /// early. The call comes at most once for a connection. By default nothing happens.
    ///
    /// The call is a hint. Bytes that the peer sent before its end may still be unread, and a peer that has ended only its
    /// sending direction still reads answers. The end itself comes as ever, after a resume, as
    /// [`on_eof`](Self::on_eof) or [`on_close`](Self::on_close). After a reset, `on_close` may follow in this turn.
    ///
    /// # Portability
    /// The call comes where the system reports the end of a peer although nothing is read. Linux does, with epoll and with mio's
    /// selector on `poll(2)`; kqueue should. mio does not promise it for every platform
    /// ([`is_read_closed`](mio::event::Event::is_read_closed)). Nowhere does a peer tell that vanishes without a word, so a long
    /// pause needs a timeout of its own, or [`Keepalive`](crate::Keepalive).
    ///
    /// ```
    /// use tidegate::Conn;
    ///
    /// /// A client that has gone needs no answer. (A client that shuts its sending direction down early is treated as gone.)
    /// fn on_peer_closed(conn: &mut Conn<'_>) {
    ///     conn.abort();
    /// }
    /// ```
    fn on_peer_closed(&mut self, _conn: &mut Conn<'_, Self::Session>) {}

    /// There is room again: after [`Flow::Full`](crate::Flow::Full), a `WouldBlock` from
    /// [`try_send`](Conn::try_send), or [`notify_writable`](Conn::notify_writable). The call comes once for any number of
    /// them, and at most once a turn.
    fn on_writable(&mut self, _conn: &mut Conn<'_, Self::Session>) {}

    /// A timer of [`Conn::set_timeout`] has fired.
    fn on_timeout(&mut self, _conn: &mut Conn<'_, Self::Session>, _tag: u64) {}

    /// [`Net::drain`] has begun: the handler is asked to finish with this connection.
    ///
    /// By default the connection goes on until it is idle and is then closed
    /// ([`Conn::close_when_idle`] with [`drain_quiet`](crate::Options::drain_quiet)): requests in the kernel's buffers are
    /// answered, and streams that move are finished, as far as the grace of the drain allows. A protocol that knows when a
    /// connection is done can close it earlier.
    ///
    /// The default knows bytes, and no answers that are owed. A connection that waits for longer than `drain_quiet` without
    /// a byte (for a backend, for a timer, for a thread while reading is not paused) looks idle and is closed, and its answer
    /// is lost. Such a handler pauses reading while it owes an answer, or has an `on_drain` of its own. An empty `on_drain`
    /// lets the connection go on until both sides have ended or the grace is over, as a proxy needs. A service with several
    /// jobs at a time calls [`close_when_idle`](Conn::close_when_idle) whenever the count of owed answers changes in a drain:
    /// with `drain_quiet` if no answer is owed, and with `Duration::MAX` otherwise; see
    /// [`guide::threads`](crate::guide::threads). A handler that consumes parts of a message does the same in the middle of a
    /// message, because a peer that pauses there looks idle: see [`guide::stopping`](crate::guide::stopping).
    ///
    /// ```
    /// # use tidegate::Conn;
    /// /// In a proxy: its two peers decide when a stream is over.
    /// fn on_drain(_conn: &mut Conn<'_>) {}
    /// ```
    fn on_drain(&mut self, conn: &mut Conn<'_, Self::Session>) {
        let quiet = conn.net().options().drain_quiet;
        conn.close_when_idle(quiet);
    }

    /// The connection has ended. The call comes exactly once for each session, which comes back by value. `id` names
    /// nothing any more.
    ///
    /// [`CloseReason::is_clean`] tells whether the connection ended as one of the two sides wished and everything that was
    /// sent has reached the kernel; [`Net::undelivered`] tells for any reason whether bytes were lost. Neither tells of input
    /// that a close has discarded.
    fn on_close(
        &mut self,
        _net: &mut Net<Self::Session>,
        _id: ConnId,
        _session: Self::Session,
        _why: CloseReason,
    ) {
    }

    /// A timer of [`Net::set_timer`] has fired.
    fn on_timer(&mut self, _net: &mut Net<Self::Session>, _tag: u64) {}

    /// A datagram socket ([`Net::bind`]) has received a datagram, which is always whole. By default it is ignored.
    ///
    /// There is no connection and so no session: a program that keeps a state for each sender keeps it by
    /// [`Datagram::from`], and decides itself when to forget it.
    fn on_datagram(&mut self, _socket: &mut Socket<'_, Self::Session>, _datagram: &Datagram<'_>) {}

    /// A receive has reported an error: on a connected socket, mostly the news by ICMP that a datagram which was sent before did
    /// not arrive ([`ConnectionRefused`](io::ErrorKind::ConnectionRefused): no socket is bound to the peer's port). The
    /// socket stays as it is, and goes on receiving. By default the error is ignored;
    /// [`Stats::datagram_errors`](crate::Stats::datagram_errors) counts it.
    fn on_datagram_error(&mut self, _socket: &mut Socket<'_, Self::Session>, _error: io::Error) {}

    /// [`Remote::wake`](crate::Remote::wake) was called, or a [`Sender`](crate::Sender) has sent, once or more often, since the
    /// last call of this method.
    ///
    /// If the method panics, the next turn calls the method again.
    fn on_wake(&mut self, _net: &mut Net<Self::Session>) {}

    /// A source of [`Net::watch`] is ready. `ready` merges all events since the last call for this source.
    ///
    /// The readiness is not reported again: the handler reads or writes until `WouldBlock`, or asks for a further call by
    /// [`Net::ready_again`]. [`Net::watch`] has examples.
    ///
    /// If the method panics, the next turn calls the method again with the readiness of the call that panicked.
    fn on_ready(&mut self, _net: &mut Net<Self::Session>, _source: SourceId, _ready: Readiness) {}
}

/// A client that has connected.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The id that the connection will have.
    pub id: ConnId,
    /// The listener that accepted the client. [`Conn::listener`] gives it later.
    pub listener: ListenerId,
    /// The address of the client. An IPv4 client of a listener for both families has an IPv4 address here.
    pub peer: Address,
}
