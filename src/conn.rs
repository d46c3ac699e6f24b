//! A connection as a callback sees it.

use std::{
    fmt,
    io::{self, ErrorKind},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    close::CloseReason,
    flow::Flow,
    net::Net,
    shared::{Alarm, Head, Shared},
    sockets::Sockets,
    source::{Link, connection::Phase},
    timers::TimerId,
};

/// A connection, open or past: it names nothing once `on_close` was called, also when its place is used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// One connection, for the length of a callback or of a [`Net::conn`] call.
///
/// It stays usable after [`close`](Self::close) and [`abort`](Self::abort): these only mark the connection, which
/// ends after the callback.
pub struct Conn<'a, S = ()> {
    net: &'a mut Net<S>,
    slot: u32,
}

/// The sending half of a connection; [`Conn::split`] gives it beside the session.
///
/// It is not generic over the session, so a protocol can be a plain function over its own state and an `Output`.
/// It is an [`io::Write`] as well, for what wants one.
pub struct Output<'a> {
    sockets: &'a mut Sockets,
    slot: u32,
}

impl<'a, S> Conn<'a, S> {
    /// `slot` holds a connection with a session, and keeps it for as long as this exists: both go only in `settle`.
    pub(crate) fn at(net: &'a mut Net<S>, slot: u32) -> Self {
        Self { net, slot }
    }

    /// Everything else that the reactor has.
    pub fn net(&mut self) -> &mut Net<S> {
        self.net
    }

    /// What `on_accept` made for this connection.
    pub fn session(&mut self) -> &mut S {
        self.split().0
    }

    /// Both at once: the session in one hand, the pen in the other.
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
        let (session, sockets) = self.net.split(self.slot);
        (session, Output { sockets, slot: self.slot })
    }

    /// `sendall()`: the bytes are taken, and the reactor goes on until the kernel has them all. See [`Flow`].
    #[inline]
    pub fn send_all(&mut self, bytes: &[u8]) -> Flow {
        self.output().send_all(bytes)
    }

    /// The same for bytes that several connections are sent.
    pub fn send_shared(&mut self, bytes: &Arc<[u8]>) -> Flow {
        self.output().send_shared(bytes)
    }

    /// Makes `write!(conn, "…")` work, with the [`Flow`] as its value and no error to unwrap.
    pub fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Flow {
        self.output().write_fmt(text)
    }

    /// `send()`: hands over what the kernel takes now, and says how much that was.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing, or if bytes of an earlier send still wait, so that order is kept;
    /// `on_writable` then follows. Any other error means that the connection is ending; the cause comes with
    /// `on_close`.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output().try_send(bytes)
    }

    /// How many bytes were sent and not yet taken by the kernel.
    pub fn queued(&self) -> usize {
        queued(&self.net.sockets, self.slot)
    }

    /// Asks for one [`on_writable`](crate::Handler::on_writable) when there is room.
    pub fn notify_writable(&mut self) {
        let (link, head, shared) = self.parts();
        link.connection.notify_writable();
        shared.plan(head);
    }

    /// Received bytes that `on_data` left unused; inside `on_data` itself there are none, since it has them.
    pub fn unconsumed(&self) -> &[u8] {
        self.net.sockets.link(self.slot).connection.inbox().unconsumed()
    }

    /// No more `on_data` until [`resume_reading`](Self::resume_reading). No system call, and no event is lost.
    ///
    /// The peer's end of file is not met while reading is paused; its reset ends the connection.
    pub fn pause_reading(&mut self) {
        let (link, head, shared) = self.parts();
        link.connection.pause();
        shared.plan(head);
    }

    /// Reading goes on. What `on_data` left unused is shown again, even if no new byte has come.
    pub fn resume_reading(&mut self) {
        let (link, head, shared) = self.parts();
        // The pause was not the peer's: its idle time begins again.
        head.arm_idle |= link.connection.is_paused() && link.idle.after > 0 && !link.is_dialing();
        link.connection.resume();
        shared.plan(head);
    }

    /// Whether reading pauses by itself while the outbox is above high water. On at first; off where the two
    /// directions are independent of each other, as in a proxy.
    pub fn pause_when_full(&mut self, on: bool) {
        let (link, head, shared) = self.parts();
        link.connection.pause_when_full(on);
        shared.plan(head);
    }

    /// Ends the connection with [`CloseReason::IdleTimeout`] when for so long no byte was received and the kernel took
    /// none; `None` is never. It counts from now, between turns from the next one, in milliseconds; what is longer than
    /// 49 days is as good as never. The end is a reset only if something was left unsent.
    ///
    /// The time runs while reading pauses by itself, since then the peer is what it waits for; not while the handler
    /// has paused it, and not after [`close`](Self::close). What moves between turns, as by
    /// [`EventLoop::flush`](crate::EventLoop::flush), counts as if it had in the next one. Against a peer that sends a byte now and then, set a
    /// deadline.
    pub fn set_idle_timeout(&mut self, after: Option<Duration>) {
        let (link, head, shared) = self.parts();
        link.idle.set(head, after);
        head.arm_idle = !link.is_dialing(); // being connected is not being idle
        shared.plan(head);
    }

    /// Ends the connection with [`CloseReason::Deadline`] at this time, whatever it does until then, with a reset if
    /// something was left unsent; `None` takes that back.
    pub fn set_deadline(&mut self, at: Option<Instant>) {
        let slot = self.slot;
        let (link, _, shared) = self.parts();
        if let Some(timer) = link.extra.as_mut().and_then(|extra| extra.deadline.take()) {
            shared.timers.cancel(timer);
        }
        if let Some(at) = at {
            link.extra().deadline = Some(shared.timers.insert(at, Alarm::Deadline(slot)));
        }
    }

    /// Calls [`on_timeout`](crate::Handler::on_timeout) with `tag` once `at` has come. The timer ends with the
    /// connection; [`Net::cancel_timer`] ends it before.
    pub fn set_timeout(&mut self, at: Instant, tag: u64) -> TimerId {
        let slot = self.slot;
        let (link, _, shared) = self.parts();
        let timer = shared.timers.insert(at, Alarm::Timeout { slot, tag });
        link.extra().timeouts.push(timer);
        timer
    }

    /// Ends the sending direction once everything before is sent: the peer reads an end of file, shutdown(2).
    /// Receiving goes on; when the peer has ended as well, so has the connection.
    pub fn shutdown_write(&mut self) {
        let (link, head, shared) = self.parts();
        link.connection.shutdown_write();
        shared.plan(head);
    }

    /// Delivers what was sent, then ends the connection. No callback but `on_close` comes for it any more.
    ///
    /// If the peer has not ended yet, its further input is discarded for as long as it comes, bounded by
    /// [`linger`](crate::Options::linger) and [`close_timeout`](crate::Options::close_timeout): closing a socket
    /// with unread input would send a reset, which can destroy what the peer has not read yet (RFC 1122,
    /// 4.2.2.13).
    pub fn close(&mut self) {
        self.output().close();
    }

    /// Ends the connection with a reset; what was not delivered is lost.
    pub fn abort(&mut self) {
        self.output().abort();
    }

    /// Who the peer is.
    ///
    /// # Errors
    /// `NotConnected` if it has gone, or is not there yet.
    pub fn peer(&self) -> io::Result<Address> {
        self.net.sockets.link(self.slot).connection.stream().peer().map(Address::from)
    }

    /// This connection's name, to keep and to find it by.
    pub fn id(&self) -> ConnId {
        self.net.sockets.slot(self.slot).head.id()
    }

    #[inline]
    fn output(&mut self) -> Output<'_> {
        Output { sockets: &mut self.net.sockets, slot: self.slot }
    }

    fn parts(&mut self) -> (&mut Link, &mut Head, &mut Shared) {
        parts(&mut self.net.sockets, self.slot)
    }
}

#[inline]
fn parts(sockets: &mut Sockets, slot: u32) -> (&mut Link, &mut Head, &mut Shared) {
    sockets.parts(slot).expect("a Conn is made only for a connection")
}

fn queued(sockets: &Sockets, slot: u32) -> usize {
    sockets.link(slot).connection.queued() + sockets.shared.gathered(slot)
}

impl Output<'_> {
    /// See [`Conn::send_all`].
    #[inline]
    pub fn send_all(&mut self, bytes: &[u8]) -> Flow {
        let (link, head, shared) = parts(self.sockets, self.slot);
        if shared.gather(&link.connection, head, bytes) {
            return Flow::Open;
        }
        self.send_now(bytes)
    }

    /// See [`Conn::send_shared`].
    pub fn send_shared(&mut self, bytes: &Arc<[u8]>) -> Flow {
        self.send_all(bytes)
    }

    #[inline(never)]
    fn send_now(&mut self, bytes: &[u8]) -> Flow {
        let (link, head, shared) = parts(self.sockets, self.slot);
        let flow = shared.send(&mut link.connection, head, bytes);
        if flow == Flow::Open && !link.connection.owns_buffers() {
            return flow;
        }
        self.sockets.check_memory(self.slot);
        // The budget may have been kept at this connection's expense.
        let is_gone = parts(self.sockets, self.slot).0.connection.phase() == Phase::Resetting;
        if is_gone { Flow::Gone } else { flow }
    }

    /// See [`Conn::write_fmt`].
    pub fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Flow {
        /// The worst of what became of the pieces, as far as there were any.
        struct Pieces<'a, 'b>(&'a mut Output<'b>, Option<Flow>);
        impl fmt::Write for Pieces<'_, '_> {
            fn write_str(&mut self, piece: &str) -> fmt::Result {
                self.1 = self.1.max(Some(self.0.send_all(piece.as_bytes())));
                Ok(())
            }
        }
        let mut pieces = Pieces(self, None);
        if fmt::Write::write_fmt(&mut pieces, text).is_err() {
            log::warn!("a Display implementation failed while it was written to a connection");
        }
        match pieces.1 {
            Some(flow) => flow,
            None => self.send_all(&[]),
        }
    }

    /// See [`Conn::try_send`].
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (link, head, shared) = parts(self.sockets, self.slot);
        shared.try_send(&mut link.connection, head, bytes)
    }

    /// See [`Conn::queued`].
    pub fn queued(&self) -> usize {
        queued(self.sockets, self.slot)
    }

    /// See [`Conn::close`].
    pub fn close(&mut self) {
        let (link, head, shared) = parts(self.sockets, self.slot);
        link.connection.close(shared.is_draining());
        shared.plan(head);
    }

    /// See [`Conn::abort`].
    pub fn abort(&mut self) {
        let (link, head, shared) = parts(self.sockets, self.slot);
        link.connection.end(CloseReason::Aborted, Phase::Resetting);
        shared.plan(head);
    }
}

impl io::Write for Output<'_> {
    /// Takes all of it, as [`send_all`](Output::send_all) does; `BrokenPipe` once the connection is closing.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.send_all(bytes) {
            Flow::Open | Flow::Full => Ok(bytes.len()),
            Flow::Gone => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // the reactor flushes when the callback returns
    }
}

impl<S> fmt::Debug for Conn<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("id", &self.sockets.slot(self.slot).head.id()).finish_non_exhaustive()
    }
}
