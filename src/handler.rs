//! What a user of the crate writes.

use crate::{
    address::Address,
    close::CloseReason,
    id::{ConnId, ListenerId},
    net::{Conn, Net},
};

/// What a program does with its connections.
///
/// All methods are called from [`Reactor::settle`](crate::Reactor::settle) (and so from
/// [`EventLoop::turn`](crate::EventLoop::turn) and [`run`](crate::EventLoop::run)), one at a time, never one from
/// inside another. What a method asks for, of any connection, is noted at once and calls nothing before the method
/// has returned.
///
/// The handler is passed to each turn and not kept, so it may borrow what the host owns for just that long, and
/// `&mut dyn Handler<Session = S>` is as good as a concrete type.
///
/// A panic in a method goes on to whoever drives the reactor; the reactor can then be dropped, which closes its
/// sockets, and is of no other use.
pub trait Handler {
    /// What is kept for each connection: it is made by `on_accept` and given back by `on_close`.
    type Session;

    /// A client has connected. The session makes it a connection, which [`on_open`](Self::on_open) meets next;
    /// `None` closes it at once.
    ///
    /// `from.id` will be the connection's id; until this method has returned, [`Net::conn`] does not know it.
    fn on_accept(&mut self, net: &mut Net<Self::Session>, from: &Accepted) -> Option<Self::Session>;

    /// Bytes have come; returns how many of them were used.
    ///
    /// A stream has no message boundaries: `input` begins with the first byte that was not used before, and ends
    /// wherever the kernel had no more. The method is called again at once while it used something, something is
    /// left, and the connection still wants to read. 0 means "I need more bytes". What is left is kept, at most
    /// [`max_inbox`](crate::Options::max_inbox) bytes.
    ///
    /// # Panics
    /// The reactor panics if more is returned than was shown.
    fn on_data(&mut self, conn: &mut Conn<'_, Self::Session>, input: &[u8]) -> usize;

    /// The connection is established: an accepted one after `on_accept`, an outgoing one once it is connected.
    fn on_open(&mut self, _conn: &mut Conn<'_, Self::Session>) {}

    /// The peer has ended its sending direction; the other one may go on. It comes after `on_data` has seen
    /// everything; what that left unused is in [`Conn::unconsumed`]. By default the connection is closed.
    fn on_eof(&mut self, conn: &mut Conn<'_, Self::Session>) {
        conn.close();
    }

    /// There is room again: after [`Flow::Full`](crate::Flow::Full), a `WouldBlock` from
    /// [`try_send`](Conn::try_send), or [`notify_writable`](Conn::notify_writable). Once for each time it was
    /// asked for, and at most once a turn.
    fn on_writable(&mut self, _conn: &mut Conn<'_, Self::Session>) {}

    /// A timer of [`Conn::set_timeout`] has fired.
    fn on_timeout(&mut self, _conn: &mut Conn<'_, Self::Session>, _tag: u64) {}

    /// [`Net::drain`] has begun: finish and close. By default the connection is closed at once, and what was sent
    /// before is delivered.
    fn on_drain(&mut self, conn: &mut Conn<'_, Self::Session>) {
        conn.close();
    }

    /// The connection has ended; called exactly once for each session, which comes back by value. `id` names
    /// nothing any more.
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

    /// [`Remote::wake`](crate::Remote::wake) was called, once or more often, since this was called last.
    fn on_wake(&mut self, _net: &mut Net<Self::Session>) {}
}

/// A client that has connected.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The id that the connection will have.
    pub id: ConnId,
    /// Where it came in.
    pub listener: ListenerId,
    /// Who it is.
    pub peer: Address,
}
