//! `EventLoop`: a reactor with a poll of its own, and the simplest host of a reactor.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};

use crate::{
    channel::{Receiver, Sender},
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
/// The loop uses the reactor's public interface alone; a program that has a poll already can do the same.
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
    /// True if the last turn has used up its event budget: the poll may hold events that nothing announces again.
    events_left: bool,
    event_budget: usize,
    waker: Arc<Waker>,
}

impl<S> EventLoop<S> {
    /// Makes a loop without listeners and connections.
    ///
    /// # Errors
    /// The system gives no more polls or descriptors.
    pub fn new(options: Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let options = options.checked();
        let events = Events::with_capacity(options.event_capacity);
        Ok(Self {
            event_budget: options.event_budget,
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

    /// A channel from other threads into this loop, for any number of messages.
    ///
    /// The [`Sender`] can be cloned and goes to other threads. The [`Receiver`] stays with the handler, which takes the
    /// messages in [`on_wake`](Handler::on_wake). A message wakes the loop; further messages until the next `on_wake` cost no
    /// further wake. Messages of one sender arrive in the order in which they were sent. When the receiver or the loop is
    /// dropped, sends return the message in their error.
    ///
    /// ```
    /// use std::thread;
    /// use tidegate::{Accepted, Conn, EventLoop, Handler, Net, Options, Receiver};
    ///
    /// /// Adds the numbers that other threads send.
    /// struct Adder {
    ///     numbers: Receiver<u64>,
    ///     sum: u64,
    /// }
    ///
    /// impl Handler for Adder {
    ///     type Session = ();
    ///
    ///     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
    ///         Some(())
    ///     }
    ///
    ///     fn on_data(&mut self, _conn: &mut Conn<'_>, input: &[u8]) -> usize {
    ///         input.len()
    ///     }
    ///
    ///     fn on_wake(&mut self, net: &mut Net) {
    ///         self.sum += self.numbers.try_iter().sum::<u64>();
    ///         if self.numbers.is_disconnected() {
    ///             net.stop(); // all senders are gone
    ///         }
    ///     }
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut event_loop = EventLoop::new(Options::default())?;
    /// let (sender, numbers) = event_loop.channel();
    /// for part in [1..=500, 501..=1000] {
    ///     let sender = sender.clone();
    ///     thread::spawn(move || part.for_each(|number| sender.send(number).expect("the loop runs")));
    /// }
    /// drop(sender);
    /// let mut adder = Adder { numbers, sum: 0 };
    /// event_loop.run(&mut adder)?;
    /// assert_eq!(adder.sum, 500_500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn channel<T>(&self) -> (Sender<T>, Receiver<T>) {
        self.reactor.channel(Arc::clone(&self.waker))
    }

    /// A [`channel`](Self::channel) that holds at most `capacity` messages; 0 counts as 1. If it is full,
    /// [`Sender::try_send`] gives the message back, and [`Sender::send`] blocks the sending thread until the handler has taken
    /// a message.
    pub fn bounded_channel<T>(&self, capacity: usize) -> (Sender<T>, Receiver<T>) {
        self.reactor.bounded_channel(Arc::clone(&self.waker), capacity)
    }

    /// Makes turns until [`Net::stop`] or [`Remote::stop`] is called, or until a drain has ended.
    ///
    /// # Errors
    /// The poll itself failed. Errors of a connection are told by its [`on_close`](Handler::on_close).
    pub fn run(&mut self, handler: &mut (impl Handler<Session = S> + ?Sized)) -> io::Result<()> {
        while !self.turn(handler, None)?.finished {}
        Ok(())
    }

    /// Waits for events, for at most `wait` (`None` is without limit, zero is not at all), and does the work that the events
    /// bring. If a signal interrupts the wait, the turn goes on with the events that came before.
    ///
    /// # Errors
    /// The errors are those of [`run`](Self::run).
    pub fn turn(
        &mut self,
        handler: &mut (impl Handler<Session = S> + ?Sized),
        wait: Option<Duration>,
    ) -> io::Result<Turn> {
        let events = self.poll(wait)?;
        let turn = self.reactor.settle(handler, Instant::now());
        Ok(Turn { events, more: turn.more || self.events_left, ..turn })
    }

    /// A [`turn`](Self::turn) that neither waits beyond `end` nor begins work after `end`. Work that is not done by then is
    /// left for the next turn; see [`Reactor::settle_until`].
    ///
    /// # Errors
    /// The errors are those of [`run`](Self::run).
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

    /// Hands bytes that were sent between turns to the kernel, now and not in the next turn; see [`Reactor::flush`].
    pub fn flush(&mut self) -> Turn {
        let turn = self.reactor.flush();
        Turn { more: turn.more || self.events_left, ..turn }
    }

    /// The time at which [`turn`](Self::turn) must be called even if no event comes. The time is past while work is left.
    ///
    /// Calls of [`net`](Self::net) between turns may bring the deadline forward: bytes that were sent are due at once, until
    /// they are flushed, and a timer is due at its time. So a host asks for the deadline right before it sleeps.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.events_left {
            return Some(Instant::now());
        }
        self.reactor.next_deadline()
    }

    /// Polls until fewer events come than there is room for: a host that watches this poll's descriptor for edges is not
    /// told again of events that stay in the poll.
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
                // The only event that is not for the reactor is that of the waker, which has no other purpose than to end
                // the wait.
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

    /// Returns the descriptor of [`AsFd`], on the same platforms.
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
    // A program with one loop for each core makes its loops in one thread and runs them in others.
    assert_send::<EventLoop<String>>();
};
