//! A connection during a callback.

use std::{
    fmt,
    fs::File,
    io,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    connection::Connection,
    credentials::PeerCredentials,
    engine::Entry,
    flow::Flow,
    id::{ConnId, TimerId},
    socket::stream::Stream,
};

use super::{Net, output::Output};

/// A connection, for the length of a callback or of a [`Net::conn`] call.
///
/// A `Conn` stays usable after [`close`](Self::close) and [`abort`](Self::abort): these only mark the connection, which
/// ends after the callback.
pub struct Conn<'a, S = ()> {
    net: &'a mut Net<S>,
    slot: u32,
}

impl<'a, S> Conn<'a, S> {
    /// The caller guarantees that `slot` holds a connection with a session. `settle` alone removes connections and sessions,
    /// so both exist during this borrow.
    #[inline]
    pub(crate) fn at(net: &'a mut Net<S>, slot: u32) -> Self {
        Self { net, slot }
    }

    /// The whole reactor: other connections, listeners, timers.
    pub fn net(&mut self) -> &mut Net<S> {
        self.net
    }

    /// The session that `on_accept` made for this connection.
    pub fn session(&mut self) -> &mut S {
        self.split().0
    }

    /// The session and the sending half of the connection, to be used side by side.
    ///
    /// ```
    /// use tidegate::{Conn, Output};
    ///
    /// fn count(lines: &mut u32, out: &mut Output<'_>) {
    ///     *lines += 1;
    ///     writeln!(out, "line {lines}");
    /// }
    ///
    /// fn on_line(conn: &mut Conn<'_, u32>) {
    ///     let (lines, mut out) = conn.split();
    ///     count(lines, &mut out);
    /// }
    /// ```
    pub fn split(&mut self) -> (&mut S, Output<'_>) {
        let (session, engine) = self.net.split(self.slot);
        (session, Output::new(engine, self.slot))
    }

    /// `sendall()`: the reactor takes the bytes, and goes on until the kernel has them all. See [`Flow`] for what the
    /// result asks of the handler.
    #[inline]
    pub fn send_all(&mut self, bytes: &[u8]) -> Flow {
        self.output().send_all(bytes)
    }

    /// [`send_all`](Self::send_all) for bytes that several connections are sent, or that the program keeps: the outbox holds
    /// the block itself, and the last holder frees the block.
    ///
    /// Fewer than 256 bytes are copied, because a copy of them costs less than the bookkeeping. In its own callback, a
    /// connection copies fewer than 8 KiB into the buffer that gathers small sends.
    ///
    /// [`high_water`](crate::Options::high_water) and [`max_outbox`](crate::Options::max_outbox) count the bytes for each
    /// connection. [`memory_budget`](crate::Options::memory_budget) counts the whole block once for all connections that
    /// were sent it in a row. The guide has a [recipe](crate::guide::broadcast).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidegate::Net;
    ///
    /// fn broadcast(net: &mut Net, message: &Arc<[u8]>) {
    ///     net.for_each(|member| {
    ///         member.send_shared(message);
    ///     });
    /// }
    /// ```
    pub fn send_shared(&mut self, bytes: &Arc<[u8]>) -> Flow {
        self.output().send_shared(bytes)
    }

    /// [`send_shared`](Self::send_shared) for a part of the bytes. The outbox holds the whole block until the part is sent.
    ///
    /// # Panics
    /// Panics if the range is not within the bytes.
    pub fn send_shared_range(&mut self, bytes: &Arc<[u8]>, range: Range<usize>) -> Flow {
        self.output().send_shared_range(bytes, range)
    }

    /// [`send_all`](Self::send_all) for bytes that the handler gives away: the outbox keeps the vector itself if the kernel
    /// does not take all bytes at once. Fewer than 4 KiB, and a vector of which less than a half is used, are copied.
    pub fn send_owned(&mut self, bytes: Vec<u8>) -> Flow {
        self.output().send_owned(bytes)
    }

    /// Sends the bytes of a file in this range, behind everything that was sent before. On Linux the kernel sends them by
    /// itself, sendfile(2); elsewhere the reactor reads up to 64 KiB at a time and sends them. The position of the file does
    /// not matter; on Windows it moves.
    ///
    /// [`queued`](Self::queued) and [`high_water`](crate::Options::high_water) count the bytes of the file that are unsent,
    /// so a large file returns [`Flow::Full`], and `on_writable` follows when nearly all of it is sent. As the bytes are not
    /// in memory, [`max_outbox`](crate::Options::max_outbox) and [`memory_budget`](crate::Options::memory_budget) do not
    /// count them. [`close`](Self::close) has to be done within [`close_timeout`](crate::Options::close_timeout), so a
    /// handler that sends a large file to a slow peer closes the connection in `on_writable`.
    ///
    /// The file stays open until its last byte is sent. A file that grows does not matter. If the file ends before the range
    /// does, or cannot be read, the connection ends with [`CloseReason::FileFailed`](crate::CloseReason::FileFailed) and a
    /// reset, because the peer has been promised more.
    ///
    /// # Blocking
    /// Bytes that are not in the system's cache are read from the disk, and the whole loop waits for the disk: no system
    /// tells beforehand. A server of files that do not fit into memory reads them on threads; see
    /// [`guide::threads`](crate::guide::threads).
    ///
    /// # Notes
    /// sendfile(2) can raise SIGPIPE. A Rust program ignores SIGPIPE unless it was told otherwise. If the signal is neither
    /// ignored nor handled at the first call, the reactor reads and sends instead.
    ///
    /// ```no_run
    /// use std::fs::File;
    /// use tidegate::Conn;
    ///
    /// fn answer(conn: &mut Conn<'_>, path: &str) -> std::io::Result<()> {
    ///     let file = File::open(path)?;
    ///     let length = file.metadata()?.len();
    ///     writeln!(conn, "{length}");
    ///     conn.send_file(file, 0..length);
    ///     Ok(())
    /// }
    /// ```
    pub fn send_file(&mut self, file: File, range: Range<u64>) -> Flow {
        self.output().send_file(file, range)
    }

    /// Makes `write!(conn, "…")` work, with a [`Flow`] as its value and no error to unwrap.
    pub fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Flow {
        self.output().write_fmt(text)
    }

    /// `send()`: hands over the bytes that the kernel takes now, and returns how many these were.
    ///
    /// # Errors
    /// `WouldBlock` if the kernel takes nothing, or if bytes of an earlier send still wait, so that order is kept;
    /// `on_writable` then follows. Any other error means that the connection is ending; the cause comes with
    /// `on_close`.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output().try_send(bytes)
    }

    /// How many bytes were sent and not yet taken by the kernel.
    pub fn queued(&self) -> usize {
        self.net.unsent(self.slot)
    }

    /// Asks for one [`on_writable`](crate::Handler::on_writable) when there is room.
    pub fn notify_writable(&mut self) {
        self.entry().notify_writable();
    }

    /// Received bytes that `on_data` has not consumed. Inside `on_data` there are none, because `on_data` has them.
    pub fn unconsumed(&self) -> &[u8] {
        self.connection().inbox().unconsumed()
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
        self.entry().need(n);
    }

    /// No more `on_data` until [`resume_reading`](Self::resume_reading). A pause makes no system call, and no event is lost.
    ///
    /// The peer's end of file is not noticed while reading is paused. If the peer resets the connection, the bytes that
    /// it had sent before are kept and delivered after the resume; without such bytes the connection ends at once.
    ///
    /// A handler that gives work to another thread pauses reading until the answer is there. Otherwise the peer's end of
    /// file may come first, the default [`on_eof`](crate::Handler::on_eof) closes the connection, and the answer is lost.
    pub fn pause_reading(&mut self) {
        self.entry().pause_reading();
    }

    /// Reading goes on. The bytes that `on_data` left unused are shown again, even if no new byte has come, unless the handler
    /// [needs](Self::need) more.
    pub fn resume_reading(&mut self) {
        self.entry().resume_reading();
    }

    /// Decides whether reading pauses by itself while the outbox is above high water.
    ///
    /// The pause is on at first for accepted and adopted connections: a peer that does not read its answers is not read
    /// either. It is off at first for outgoing connections ([`Net::connect`]): if both ends of a connection stop reading until
    /// they can write, neither of them ever goes on. Where the two directions do not depend on each other, as in a proxy, it
    /// should be off on both sides, and the handler pauses by [`Flow::Full`].
    pub fn pause_when_full(&mut self, on: bool) {
        self.entry().pause_when_full(on);
    }

    /// Ends the connection with [`CloseReason::IdleTimeout`](crate::CloseReason::IdleTimeout) when for so long no byte was
    /// received and the kernel took none; `None` is never. The time counts from now, between turns from the next one, in
    /// milliseconds; a time of more than 49 days is as good as never. The end is a reset only if bytes were left unsent.
    /// With nothing unsent the peer reads an end of file, so a protocol whose end is the end of file needs
    /// [`set_timeout`](Self::set_timeout), with [`abort`](Self::abort) in `on_timeout`.
    ///
    /// The time runs while reading pauses by itself, because the connection then waits for the peer. It does not run while
    /// the handler has paused reading, nor after [`close`](Self::close). Bytes that move between turns, as by
    /// [`EventLoop::flush`](crate::EventLoop::flush), count as if they had moved in the next turn. Against a peer that
    /// sends a byte now and then, set a deadline.
    pub fn set_idle_timeout(&mut self, after: Option<Duration>) {
        self.entry().set_idle_timeout(after);
    }

    /// Ends the connection with [`CloseReason::Deadline`](crate::CloseReason::Deadline) at this time, whatever it does until
    /// then, with a reset if bytes were left unsent; `None` takes the deadline back. With nothing unsent the peer reads an
    /// end of file, so a protocol whose end is the end of file needs [`set_timeout`](Self::set_timeout), with
    /// [`abort`](Self::abort) in `on_timeout`.
    pub fn set_deadline(&mut self, at: Option<Instant>) {
        self.entry().set_deadline(at);
    }

    /// Calls [`on_timeout`](crate::Handler::on_timeout) with `tag` once `at` has come. The timer ends with the
    /// connection; [`Net::cancel_timer`] ends it before.
    pub fn set_timeout(&mut self, at: Instant, tag: u64) -> TimerId {
        self.entry().set_timeout(at, tag)
    }

    /// Ends the sending direction once everything before is sent: the peer reads an end of file, shutdown(2).
    /// Receiving goes on. When the peer has ended its direction as well, the connection ends.
    pub fn shutdown_write(&mut self) {
        self.entry().shutdown_write();
    }

    /// Delivers the bytes that were sent, then ends the connection. No callback but `on_close` comes for it any more. All
    /// this ends within [`close_timeout`](crate::Options::close_timeout) (30 s), even if bytes still move: a large answer to
    /// a slow client needs a longer `close_timeout`, or a `close` once [`queued`](Self::queued) is small.
    ///
    /// If the peer has not ended yet, its further input is discarded for as long as it comes, bounded by
    /// [`linger`](crate::Options::linger) and [`close_timeout`](crate::Options::close_timeout): closing a socket
    /// with unread input would send a reset, which can destroy bytes that the peer has not read yet (RFC 1122,
    /// 4.2.2.13).
    pub fn close(&mut self) {
        self.output().close();
    }

    /// Goes on until the connection is idle, then closes it as [`close`](Self::close) does.
    ///
    /// The connection is idle when nothing is unsent, the inbox is empty, no `on_writable` is owed, the handler has not paused
    /// reading, and no byte has moved in either direction for `quiet`. The time counts from now, between turns from the next
    /// one, in milliseconds. A connection that is not open yet opens first.
    ///
    /// The request stays in force, also when further requests of the peer arrive. A second call replaces the first, so
    /// `Duration::MAX`, which is as good as never, takes it back.
    ///
    /// The default [`on_drain`](crate::Handler::on_drain) is this call, so that requests in the kernel's buffers and streams
    /// that move are finished before the connection ends. An answer that is owed and takes longer than `quiet` is not
    /// noticed: see there.
    pub fn close_when_idle(&mut self, quiet: Duration) {
        self.entry().close_when_idle(quiet);
    }

    /// Ends the connection with a reset. Bytes that were not delivered are lost.
    ///
    /// Unix sockets have no reset. Their peer reads an end of file, or on Linux ECONNRESET if bytes of the peer were not read:
    /// see [`guide::platforms`](crate::guide::platforms#unix-sockets).
    pub fn abort(&mut self) {
        self.output().abort();
    }

    /// The address of the peer. The peer of a Unix socket seldom has a name: see [`Address`].
    ///
    /// # Errors
    /// `NotConnected` if the peer is gone, or the connection is not open yet.
    pub fn peer(&self) -> io::Result<Address> {
        self.connection().stream().peer()
    }

    /// The user and the process at the other end of a Unix socket. A handler that serves only some users asks in
    /// [`on_open`](crate::Handler::on_open).
    ///
    /// # Errors
    /// `Unsupported` if the connection is not over a Unix socket, or on other systems than Linux and Android. `NotConnected`
    /// if the connection has not begun to connect.
    ///
    /// ```
    /// # use tidegate::Conn;
    /// # fn my_uid() -> u32 { 0 }
    /// fn on_open(conn: &mut Conn<'_>) {
    ///     if !conn.peer_credentials().is_ok_and(|peer| peer.uid == my_uid()) {
    ///         conn.abort();
    ///     }
    /// }
    /// ```
    pub fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        self.connection().stream().peer_credentials()
    }

    /// The id of the connection, to keep it and to find the connection by.
    pub fn id(&self) -> ConnId {
        self.net.id(self.slot)
    }

    #[inline]
    fn output(&mut self) -> Output<'_> {
        Output::new(self.net.engine(), self.slot)
    }

    fn entry(&mut self) -> Entry<'_> {
        self.net.engine().entry(self.slot).expect("a Conn is made only for a connection")
    }

    fn connection(&self) -> &Connection<Stream> {
        self.net.connection(self.slot).expect("a Conn is made only for a connection")
    }
}

impl<S> fmt::Debug for Conn<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("id", &self.id()).finish_non_exhaustive()
    }
}
