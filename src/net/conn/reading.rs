//! The receiving direction of a connection, and backpressure.

use crate::flow::Flow;
#[cfg(doc)]
use crate::net::Net;

use super::Conn;

/// Receiving and backpressure.
impl<S> Conn<'_, S> {
    /// Asks for one [`on_writable`](crate::Handler::on_writable) when there is room.
    pub fn notify_writable(&mut self) {
        self.output().notify_writable();
    }

    /// Received bytes that `on_data` left unused. Inside `on_data` there are none, because `on_data` has them.
    pub fn unconsumed(&self) -> &[u8] {
        self.net.unconsumed(self.slot)
    }

    /// Sends the peer the bytes that `on_data` left unused, without a copy of them first, and consumes them. Does the same as
    /// `conn.send_all(conn.unconsumed())` would do if the borrow checker allowed it. [`Net::forward`] sends them to another
    /// connection.
    ///
    /// If the connection takes no sends any more, the result is [`Flow::Gone`] and the bytes stay.
    ///
    /// ```
    /// use tidegate::Conn;
    ///
    /// /// The last line of the peer need not have a line end.
    /// fn on_eof(conn: &mut Conn<'_>) {
    ///     conn.send_unconsumed();
    ///     conn.close();
    /// }
    /// ```
    pub fn send_unconsumed(&mut self) -> Flow {
        self.output().send_unconsumed()
    }

    /// No more `on_data` until [`resume_reading`](Self::resume_reading). A pause makes no system call, and no event is lost.
    ///
    /// The peer's end of file is not read while reading is paused, so [`on_eof`](crate::Handler::on_eof) waits for the
    /// resume; [`on_peer_closed`](crate::Handler::on_peer_closed) tells of the end at once where the system does. If the peer
    /// resets the connection, the bytes that it had sent before are kept and delivered after the resume; without such bytes
    /// the connection ends at once.
    ///
    /// A handler that gives work to another thread pauses reading until the answer is there. Otherwise the peer's end of
    /// file may come first, the default [`on_eof`](crate::Handler::on_eof) closes the connection, and the answer is lost.
    pub fn pause_reading(&mut self) {
        self.output().pause_reading();
    }

    /// Reading goes on. The bytes that `on_data` left unused are shown again, even if no new byte has come.
    pub fn resume_reading(&mut self) {
        self.output().resume_reading();
    }

    /// Decides whether reading pauses by itself while the outbox is above high water.
    ///
    /// The pause is on at first for accepted and adopted connections: a peer that does not read its answers is not read
    /// either. It is off at first for outgoing connections ([`Net::connect`]): if both ends of a connection stop reading until
    /// they can write, neither of them ever goes on. Where the two directions do not depend on each other, as in a proxy, it
    /// should be off on both sides, and the handler pauses by [`Flow::Full`].
    pub fn pause_when_full(&mut self, on: bool) {
        self.output().pause_when_full(on);
    }
}
