//! The own loop: the simplest host of a reactor.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};

use crate::{
    handler::Handler,
    net::Net,
    options::Options,
    reactor::{Reactor, Turn},
    remote::Remote,
    socket::platform::poll_descriptor,
};

const WAKE: Token = Token(0);

/// A [`Reactor`] with a [`mio::Poll`] of its own.
///
/// It is written on the reactor's public interface alone; a program that has a poll already can do the same.
///
/// ```
/// use tidegate::{Accepted, Conn, EventLoop, Handler, Net, Options};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Session = ();
///
///     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
///         Some(())
///     }
///
///     fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
///         conn.send_all(input);
///         input.len()
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut server = EventLoop::new(Options::default())?;
/// server.net().listen("127.0.0.1:0")?;
/// # server.remote().stop();
/// server.run(&mut Echo)
/// # }
/// ```
pub struct EventLoop<S = ()> {
    reactor: Reactor<S>,
    poll: Poll,
    events: Events,
    /// The last turn had its share of events and may have left some: nothing announces them again.
    events_left: bool,
    event_budget: usize,
    waker: Arc<Waker>,
}

impl<S> EventLoop<S> {
    /// A loop without a listener or a connection yet.
    ///
    /// # Errors
    /// If the system gives no more polls or descriptors.
    pub fn new(options: Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let events = Events::with_capacity(options.event_capacity.max(1));
        Ok(Self {
            event_budget: options.event_budget.max(1),
            reactor: Reactor::new(poll.registry(), WAKE.0 + 1.., options)?,
            waker: Arc::new(Waker::new(poll.registry(), WAKE)?),
            events,
            events_left: false,
            poll,
        })
    }

    /// The connections and listeners.
    pub fn net(&mut self) -> &mut Net<S> {
        self.reactor.net()
    }

    /// A handle for other threads.
    pub fn remote(&self) -> Remote {
        self.reactor.remote(Arc::clone(&self.waker))
    }

    /// Turns until [`Net::stop`], a [`Remote`] or the end of a [`Net::drain`] says that it is enough.
    ///
    /// # Errors
    /// Only if polling itself fails. What goes wrong with a connection is told by its
    /// [`on_close`](Handler::on_close).
    pub fn run(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized)) -> io::Result<()> {
        while !self.turn(handler, None)?.finished {}
        Ok(())
    }

    /// Waits for events, for at most `wait` (`None`: as long as it takes; zero: not at all), and does the work they
    /// bring. A signal that interrupts the wait makes it a turn without events.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn turn(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        wait: Option<Duration>,
    ) -> io::Result<Turn> {
        let events = self.poll(wait)?;
        let turn = self.reactor.settle(handler, Instant::now());
        Ok(Turn { events, more: turn.more || self.events_left, ..turn })
    }

    /// The same, but it neither waits beyond `end` nor begins work after it: what is not done by then is left for the
    /// next turn; see [`Reactor::settle_until`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn turn_until(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        wait: Option<Duration>,
        end: Instant,
    ) -> io::Result<Turn> {
        let wait = match wait {
            Some(Duration::ZERO) => Duration::ZERO,
            wait => {
                let left = end.saturating_duration_since(Instant::now());
                wait.map_or(left, |wait| wait.min(left))
            }
        };
        let events = self.poll(Some(wait))?;
        let turn = self.reactor.settle_until(handler, Instant::now(), end);
        Ok(Turn { events, more: turn.more || self.events_left, ..turn })
    }

    /// Sends what was sent between turns, now and not in the next one; see [`Reactor::flush`].
    pub fn flush(&mut self) -> Turn {
        let turn = self.reactor.flush();
        Turn { more: turn.more || self.events_left, ..turn }
    }

    /// When [`turn`](Self::turn) has to be called next even if no event comes; in the past while work is left.
    ///
    /// Whatever is asked of [`net`](Self::net) between turns may bring it forward: what was sent is due at once, until
    /// it is flushed, and a timer at its time. So a host that sleeps asks right before.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.events_left {
            return Some(Instant::now());
        }
        self.reactor.next_deadline()
    }

    /// Polls until fewer events come than there is room for: who watches this poll for edges is not told again of
    /// events that were left behind.
    fn poll(&mut self, wait: Option<Duration>) -> io::Result<usize> {
        let mut wait = match wait {
            Some(Duration::ZERO) => wait,
            _ if self.events_left => Some(Duration::ZERO),
            _ => match self.reactor.next_deadline() {
                None => wait,
                Some(_) => {
                    let until_due = self.reactor.timeout(Instant::now());
                    [wait, until_due].into_iter().flatten().min()
                }
            },
        };
        let mut total = 0;
        loop {
            match self.poll.poll(&mut self.events, wait) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(total),
                Err(error) => return Err(error),
            }
            let mut count = 0;
            for event in &self.events {
                count += 1;
                // What the reactor does not know is the waker, and a wake says all by ending the wait.
                self.reactor.handle(event);
            }
            total += count;
            self.events_left = count >= self.events.capacity();
            if !self.events_left || total >= self.event_budget {
                return Ok(total);
            }
            wait = Some(Duration::ZERO);
        }
    }
}

poll_descriptor! {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    /// The descriptor of the loop's poll: readable while an event waits, so that another poller can watch it, whether for
    /// levels or for edges. The descriptor must not be used for anything else. See [`embedding`](crate::embedding).
    ///
    /// # Portability
    /// This implementation exists where mio's poll is a descriptor: on Unix with epoll, kqueue or event ports. Platforms
    /// that mio serves with `poll(2)` (among them AIX, Cygwin, Fuchsia, Haiku, Hurd and QNX) do not have it, and neither
    /// does a build with `--cfg mio_unsupported_force_poll_poll`.
    impl<S> AsFd for EventLoop<S> {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.poll.registry().as_fd()
        }
    }

    /// The same descriptor as that of [`AsFd`], on the same platforms.
    impl<S> AsRawFd for EventLoop<S> {
        fn as_raw_fd(&self) -> RawFd {
            self.poll.registry().as_raw_fd()
        }
    }
}

impl<S> fmt::Debug for EventLoop<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("reactor", &self.reactor).finish_non_exhaustive()
    }
}

const _: () = {
    const fn assert_send<T: Send>() {}
    // One loop for each core, made here and run there.
    assert_send::<EventLoop<String>>();
};
