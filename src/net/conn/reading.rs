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

    /// Received bytes that `on_data` has not consumed. Inside `on_data` there are none, because `on_data` has them.
    pub fn unconsumed(&self) -> &[u8] {
        self.net.unconsumed(self.slot)
    }

    /// Sends the peer the bytes that `on_data` left unused, without a copy of them first, and consumes them. Does the same as
    /// `conn.send_all(conn.unconsumed())` would do if the borrow checker allowed it. [`Net::forward`] sends them to another
    /// connection.
    ///
    /// If the connection takes no sends any more, the result is [`Flow::Gone`] and the bytes stay. A [`need`](Self::need) ends
    /// with the bytes that it counts from.
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

    /// Says that [`on_data`](crate::Handler::on_data) is not worth a call before `n` unconsumed bytes are there. In `on_data`
    /// they count from the first byte that this call leaves unconsumed. The bytes until then are kept without a call, so that
    /// a large message that comes in many segments is not looked at again with each of them.
    ///
    /// The request holds until `on_data` is called again, and a further request replaces it; 0 and 1 take it back. The bytes
    /// that are there are shown neither by [`resume_reading`](Self::resume_reading) nor when the outbox has room again, as
    /// long as they are fewer. [`on_eof`](crate::Handler::on_eof) comes nevertheless, and finds them in
    /// [`unconsumed`](Self::unconsumed).
    ///
    /// More than the inbox takes, 16 bytes beyond [`max_inbox`](crate::Options::max_inbox), can never be there: such a
    /// request ends the connection with [`CloseReason::InboxLimit`](crate::CloseReason::InboxLimit) and a reset.
    ///
    /// [`Frames::needed`](crate::framing::Frames::needed) is the number for frames with a length in front.
    ///
    /// ```
    /// use tidegate::{Accepted, Conn, Handler, Net, Options, framing, testing::Rehearsal};
    ///
    /// /// Counts the frames and the calls.
    /// #[derive(Default)]
    /// struct Frames {
    ///     frames: usize,
    ///     calls: usize,
    /// }
    ///
    /// impl Handler for Frames {
    ///     type Session = ();
    ///
    ///     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
    ///         Some(())
    ///     }
    ///
    ///     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
    ///         self.calls += 1;
    ///         let mut frames = framing::u32_be(input, 1 << 16);
    ///         for frame in &mut frames {
    ///             match frame {
    ///                 Ok(_) => self.frames += 1,
    ///                 Err(_) => conn.abort(),
    ///             }
    ///         }
    ///         conn.need(frames.needed());
    ///         frames.used()
    ///     }
    /// }
    ///
    /// let (mut handler, mut rehearsal) = (Frames::default(), Rehearsal::new(Options::default()));
    /// let client = rehearsal.accept(&mut handler).unwrap();
    /// rehearsal.receive(&mut handler, client, &1000_u32.to_be_bytes());
    /// for _ in 0..1000 {
    ///     rehearsal.receive(&mut handler, client, b".");
    /// }
    /// assert_eq!((handler.frames, handler.calls), (1, 2)); // once with the length, once with the whole frame
    /// ```
    pub fn need(&mut self, n: usize) {
        self.output().need(n);
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

    /// Reading goes on. The bytes that `on_data` left unused are shown again, even if no new byte has come, unless the handler
    /// [needs](Self::need) more.
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
