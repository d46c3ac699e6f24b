//! The result of a send.

/// The result of a send: whether the bytes were taken, and whether the handler may send more now.
///
/// A `Flow` is not an error: [`on_close`](crate::Handler::on_close) tells once why a connection ended. The values are
/// ordered by urgency, so a handler that sends several times acts on the greatest value.
///
/// # What to do
///
/// | value | bytes | the handler |
/// |---|---|---|
/// | [`Open`](Self::Open) | taken | goes on |
/// | [`Full`](Self::Full) | taken | stops sending until `on_writable` |
/// | [`Gone`](Self::Gone) | not taken | stops; there is nothing else to do |
///
/// An `on_data` that answers requests stops its loop at `Full` and returns the number of bytes that it has consumed so
/// far. While the connection is full, it is not read. When the peer has read enough, `on_writable` is called, and then
/// `on_data` is shown the rest of the input, even if no new byte has come:
///
/// ```
/// use tidegate::{Accepted, Conn, Flow, Handler, Net, Options, framing, testing::Rehearsal};
///
/// /// Answers each line with a thousand bytes.
/// struct Server;
///
/// impl Handler for Server {
///     type Session = ();
///
///     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
///         Some(())
///     }
///
///     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
///         let mut lines = framing::lines(input, 100);
///         for line in &mut lines {
///             if line.is_err() {
///                 conn.abort();
///             } else if conn.send_all(&[b'.'; 1000]) != Flow::Open {
///                 break; // `used()` counts the lines up to this one
///             }
///         }
///         lines.used()
///     }
/// }
///
/// let mut rehearsal = Rehearsal::new(Options::default().high_water(3000).low_water(1000));
/// let client = rehearsal.accept(&mut Server).unwrap();
/// rehearsal.capacity(client, 0); // the client sends five requests and reads no answer
/// rehearsal.receive(&mut Server, client, b"1\n2\n3\n4\n5\n");
/// assert_eq!(rehearsal.net().conn(client).unwrap().queued(), 3000); // the third send returned `Full`
/// rehearsal.capacity(client, usize::MAX);
/// rehearsal.settle(&mut Server);
/// assert_eq!(rehearsal.sent(client).len(), 5000); // requests 4 and 5 were shown again, without a new byte
/// ```
///
/// This needs [`pause_when_full`](crate::Conn::pause_when_full), which is on for accepted and adopted connections. Where
/// it is off, as for outgoing connections at first, a full connection is still read, and a handler that wants the rest
/// of the input later calls [`pause_reading`](crate::Conn::pause_reading) at `Full` and
/// [`resume_reading`](crate::Conn::resume_reading) in `on_writable`. A handler that passes bytes on to another
/// connection does the same: at `Full` from the receiver it pauses the connection that the bytes come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Flow {
    /// The reactor took the bytes, and the handler may send more.
    Open,
    /// The bytes were taken, but the handler stops sending until [`on_writable`](crate::Handler::on_writable), which
    /// follows once, when fewer than [`low_water`](crate::Options::low_water) bytes are unsent.
    ///
    /// There are two causes, and [`queued`](crate::Conn::queued) tells them apart. From
    /// [`high_water`](crate::Options::high_water) unsent bytes on, the peer reads more slowly than the handler sends. With
    /// fewer unsent bytes, only the [`write_budget`](crate::Options::write_budget) of this turn is spent, which says nothing
    /// about the peer: the kernel may take the rest in the next turn.
    ///
    /// A handler that goes on sending loses nothing at first: the bytes are taken until a send would leave more than
    /// [`max_outbox`](crate::Options::max_outbox) bytes unsent. That send returns `Gone`, and the connection is reset.
    Full,
    /// The reactor has not taken the bytes: the connection is ending or gone, or its sending direction was ended by
    /// [`shutdown_write`](crate::Conn::shutdown_write). The handler stops sending and has nothing else to do.
    /// [`on_close`](crate::Handler::on_close) tells why the connection ended, unless it has told that already.
    /// [`Stats::sends_discarded`](crate::Stats::sends_discarded) counts these sends.
    ///
    /// A send that would leave more than [`max_outbox`](crate::Options::max_outbox) bytes unsent also returns `Gone` and ends
    /// the connection, and so may a send that passes the [`memory_budget`](crate::Options::memory_budget). The kernel may have
    /// taken a part of such a send.
    Gone,
}
