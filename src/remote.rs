//! Reaching the loop from another thread.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mio::Waker;

/// Wakes, stops or drains a reactor from any thread; cheap to clone.
///
/// A `Remote` may outlive its reactor; its calls then have no effect.
///
/// ```
/// # struct Quiet;
/// # impl tidegate::Handler for Quiet {
/// #     type Session = ();
/// #     fn on_accept(&mut self, _: &mut tidegate::Net, _: &tidegate::Accepted) -> Option<()> { None }
/// #     fn on_data(&mut self, _: &mut tidegate::Conn<'_>, input: &[u8]) -> usize { input.len() }
/// # }
/// # fn main() -> std::io::Result<()> {
/// let mut server = tidegate::EventLoop::new(tidegate::Options::default())?;
/// let remote = server.remote();
/// std::thread::spawn(move || remote.stop());
/// server.run(&mut Quiet)
/// # }
/// ```
#[derive(Clone)]
pub struct Remote {
    waker: Arc<Waker>,
    signals: Arc<Signals>,
}

/// The requests of other threads that the reactor has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// True if `asked` holds a request. Every turn reads this flag, so reading it must be cheap; only a turn that finds the
    /// flag set takes the lock.
    any: AtomicBool,
    asked: Mutex<Asked>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) wake: bool,
    pub(crate) stop: bool,
    pub(crate) drain: Option<Duration>,
    /// `drain` was called again before the first request was taken: the second request resets everything at once.
    pub(crate) drain_again: bool,
}

impl Asked {
    /// The graces of the drains that were asked for, in order. A third request changes nothing after the second request.
    pub(crate) fn drains(&self) -> impl Iterator<Item = Duration> {
        let again = self.drain_again.then_some(Duration::ZERO);
        self.drain.into_iter().chain(again)
    }
}

impl Remote {
    pub(crate) fn new(waker: Arc<Waker>, signals: Arc<Signals>) -> Self {
        Self { waker, signals }
    }

    /// Calls [`on_wake`](crate::Handler::on_wake) in the next turn. Several calls before that turn make one `on_wake`.
    ///
    /// A callback that blocks would block the whole loop, so long work goes to another thread, together with the
    /// [`ConnId`](crate::ConnId) of the connection. The answer comes back through a channel, and `on_wake` finds the connection
    /// with [`Net::conn`](crate::Net::conn), unless the connection has ended. The handler pauses reading until then;
    /// otherwise the peer's end of file may close the connection before the answer is sent.
    ///
    /// ```
    /// use std::{
    ///     io::{Read, Write},
    ///     net::{Shutdown, TcpStream},
    ///     sync::mpsc::{Receiver, Sender, channel},
    ///     thread,
    /// };
    /// use tidegate::{Accepted, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options, framing};
    ///
    /// /// Has a worker thread answer each line.
    /// struct Server {
    ///     jobs: Sender<(ConnId, Vec<u8>)>,
    ///     answers: Receiver<(ConnId, Vec<u8>)>,
    /// }
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
    ///         match lines.next() {
    ///             Some(Ok(line)) => {
    ///                 self.jobs.send((conn.id(), line.to_vec())).expect("the worker waits for jobs");
    ///                 conn.pause_reading(); // further lines, and the end of file, wait for the answer
    ///             }
    ///             Some(Err(_)) => conn.abort(),
    ///             None => {}
    ///         }
    ///         lines.used()
    ///     }
    ///
    ///     fn on_wake(&mut self, net: &mut Net) {
    ///         for (id, answer) in self.answers.try_iter() {
    ///             // `None` if the connection has ended meanwhile: nobody waits for this answer.
    ///             if let Some(mut conn) = net.conn(id) {
    ///                 conn.send_all(&answer);
    ///                 conn.resume_reading();
    ///             }
    ///         }
    ///     }
    /// #
    /// #     fn on_close(&mut self, net: &mut Net, _id: ConnId, _session: (), _why: CloseReason) {
    /// #         net.stop();
    /// #     }
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut event_loop = EventLoop::new(Options::default())?;
    /// let listener = event_loop.net().listen("127.0.0.1:0")?;
    /// let (jobs, to_do) = channel::<(ConnId, Vec<u8>)>();
    /// let (done, answers) = channel();
    ///
    /// let remote = event_loop.remote();
    /// thread::spawn(move || {
    ///     for (id, line) in to_do {
    ///         if done.send((id, line.to_ascii_uppercase())).is_err() {
    ///             return; // the server is gone
    ///         }
    ///         remote.wake();
    ///     }
    /// });
    ///
    /// let mut client = TcpStream::connect(event_loop.net().local_address(listener)?.socket_addrs())?;
    /// client.write_all(b"two\nlines\n")?;
    /// client.shutdown(Shutdown::Write)?;
    /// event_loop.run(&mut Server { jobs, answers })?; // until on_close calls `net.stop()`
    /// # drop(event_loop);
    ///
    /// let mut received = String::new();
    /// client.read_to_string(&mut received)?;
    /// assert_eq!(received, "TWOLINES");
    /// # Ok(())
    /// # }
    /// ```
    pub fn wake(&self) {
        self.signal(|asked| asked.wake = true);
    }

    /// Calls [`Net::stop`](crate::Net::stop) in the next turn.
    pub fn stop(&self) {
        self.signal(|asked| asked.stop = true);
    }

    /// Calls [`Net::drain`](crate::Net::drain) in the next turn. A second call resets everything at once.
    pub fn drain(&self, grace: Duration) {
        self.signal(|asked| {
            asked.drain_again |= asked.drain.is_some();
            asked.drain.get_or_insert(grace);
        });
    }

    fn signal(&self, change: impl FnOnce(&mut Asked)) {
        change(&mut self.signals.asked.lock().unwrap_or_else(PoisonError::into_inner));
        let was_set = self.signals.any.swap(true, Ordering::AcqRel);
        // If the flag was set, the wake of an earlier request has not been handled yet, and that turn takes this request too.
        if !was_set && let Err(error) = self.waker.wake() {
            self.signals.any.store(false, Ordering::Release); // so that the next call tries again
            log::error!("the loop cannot be woken: {error}");
        }
    }
}

impl Signals {
    /// Takes the requests that came since the last call.
    pub(crate) fn take(&self) -> Option<Asked> {
        // The flag is cleared before the requests are taken: a later request sets the flag, and wakes the poll, again.
        if !self.any.load(Ordering::Relaxed) || !self.any.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}
