//! The server that the drivers drive. It runs in a thread, in one of the [hosts](crate::hosts).

use std::{
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tidegate::{CloseKind, Conn, ConnId, ListenOptions, Net, Options, Remote, Stats};

use crate::support::{Act, Call, PATIENCE, Recorder, Transport, as_by_default, connect, next, within};

/// A way of driving a loop.
#[derive(Clone, Copy)]
pub struct Driver {
    /// Drives until the reactor has finished, and returns the statistics.
    drive: fn(Job) -> Stats,
    tick: Option<Duration>,
    beside: u64,
    transport: Transport,
}

impl Driver {
    pub const fn new(drive: fn(Job) -> Stats) -> Self {
        Self { drive, tick: None, beside: 0, transport: Transport::Tcp }
    }

    /// Returns a driver that makes a turn at least once in each `tick`, even if there is no work.
    pub const fn ticking(self, tick: Duration) -> Self {
        Self { tick: Some(tick), ..self }
    }

    /// Returns a driver of a server whose clients connect over this transport.
    pub const fn over(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    /// Returns a driver that makes at most this number of turns for work of the host.
    pub const fn with_affairs(self, turns: u64) -> Self {
        Self { beside: turns, ..self }
    }

    /// Returns how many turns the driver may make in this time without work of the reactor.
    pub fn turns_of_its_own(&self, time: Duration) -> u64 {
        self.ticks(time) + self.beside
    }

    fn ticks(&self, time: Duration) -> u64 {
        self.tick.map_or(0, |tick| time.as_nanos().div_ceil(tick.as_nanos()) as u64)
    }
}

/// The input of a driver.
pub struct Job {
    pub options: Options,
    pub subject: Recorder<Subject, ()>,
    ready: Sender<(SocketAddr, Remote)>,
    transport: Transport,
}

impl Job {
    /// Makes the listener. A driver calls this once, when it has made its reactor.
    pub fn begin(&self, net: &mut Net, remote: Remote) {
        let address = self.transport.listen(net, ListenOptions::default());
        self.ready.send((address, remote)).unwrap();
    }
}

/// The code of the server in its callbacks. The server echoes unless a behaviour replaces `on_data` or `on_eof`, and tells
/// the test about these callbacks, `on_open` and `on_close`.
pub struct Subject {
    pub on_data: fn(&mut Conn<'_>, &[u8]),
    pub on_eof: fn(&mut Conn<'_>),
    /// The loop watches this pipe from the first `on_open` on, until the end of the pipe.
    #[cfg(unix)]
    pub pipe: Option<mio::unix::pipe::Receiver>,
    told: Sender<Call>,
    stats: Sender<Stats>,
    rest: Rest<Sender<Stats>>,
}

/// The means by which a test finds out whether the loop sleeps. If `is_wanted` is set, the next `on_wake` sets the first of
/// some timers. `began` tells the statistics at that time, and `ended` the statistics at the time when the last timer
/// fires.
struct Rest<C> {
    is_wanted: Arc<AtomicBool>,
    began: C,
    ended: C,
}

/// The number of timers in a row, and the time until each fires. On a busy machine, a loop that spins may get no processor
/// time from the setting of a timer until that timer fires, but not ten times in a row.
const TIMERS: u64 = 10;
const PAUSE: Duration = Duration::from_millis(5);

impl Act<()> for Subject {
    fn on_conn(&mut self, conn: &mut Conn<'_>, call: &Call) {
        if let Call::Open | Call::Data(_) | Call::Eof = call {
            let _ = self.told.send(call.clone()); // The send fails if the test has ended.
        }
        #[cfg(unix)]
        if *call == Call::Open
            && let Some(pipe) = &mut self.pipe
        {
            conn.net().watch(pipe, mio::Interest::READABLE).unwrap();
        }
        match call {
            Call::Data(input) => (self.on_data)(conn, input),
            Call::Eof => (self.on_eof)(conn),
            other => as_by_default(conn, other),
        }
    }

    fn on_net(&mut self, net: &mut Net, _closed: Option<(ConnId, ())>, call: &Call) {
        match call {
            Call::Wake => {
                if self.rest.is_wanted.swap(false, Ordering::Relaxed) {
                    net.set_timer(net.now() + PAUSE, TIMERS - 1);
                    let _ = self.rest.began.send(net.stats().clone());
                }
                let _ = self.stats.send(net.stats().clone());
            }
            // The tag is the number of timers that come after this timer.
            Call::Timer(0) => _ = self.rest.ended.send(net.stats().clone()),
            Call::Timer(left) => _ = net.set_timer(net.now() + PAUSE, left - 1),
            #[cfg(unix)]
            Call::Ready(source, _) => {
                if self.read_pipe() {
                    net.unwatch(*source, self.pipe.as_mut().unwrap());
                }
            }
            call => _ = self.told.send(call.clone()),
        }
    }
}

#[cfg(unix)]
impl Subject {
    /// Reads until the pipe is empty, and tells the test the bytes. Returns true at the end of the pipe.
    fn read_pipe(&mut self) -> bool {
        let mut bytes = Vec::new();
        let end = self.pipe.as_mut().expect("the pipe is watched").read_to_end(&mut bytes);
        assert!(end.as_ref().map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |_| true), "{end:?}");
        let _ = self.told.send(Call::Data(bytes));
        end.is_ok()
    }
}

/// A server in a thread of its own, which a host drives.
pub struct Driven {
    pub address: SocketAddr,
    pub remote: Remote,
    told: Receiver<Call>,
    stats: Receiver<Stats>,
    rest: Rest<Receiver<Stats>>,
    driver: Driver,
    thread: JoinHandle<Stats>,
}

impl Driven {
    pub fn echo(driver: &Driver, options: Options) -> Self {
        Self::start(driver, options, |_| {})
    }

    pub fn start(driver: &Driver, options: Options, change: impl FnOnce(&mut Subject)) -> Self {
        let (tell, told) = mpsc::channel();
        let (tell_stats, stats) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let (tell_began, began) = mpsc::channel();
        let (tell_ended, ended) = mpsc::channel();
        let is_wanted = Arc::<AtomicBool>::default();
        let mut subject = Subject {
            on_data: |conn, input| _ = conn.send_all(input),
            on_eof: |conn| conn.close(),
            #[cfg(unix)]
            pipe: None,
            told: tell,
            stats: tell_stats,
            rest: Rest { is_wanted: is_wanted.clone(), began: tell_began, ended: tell_ended },
        };
        change(&mut subject);
        let job = Job { options, subject: Recorder::with(subject), ready, transport: driver.transport };
        let drive = driver.drive;
        let thread = thread::spawn(move || drive(job));
        let (address, remote) = started.recv_timeout(PATIENCE).expect("the driver begins");
        let rest = Rest { is_wanted, began, ended };
        Self { address, remote, told, stats, rest, driver: *driver, thread }
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Returns the next call of the handler.
    pub fn next(&self) -> Call {
        next(&self.told)
    }

    /// Waits for the end of a connection, and returns the calls before the end that the test has not taken yet.
    pub fn until_close(&self) -> (Vec<Call>, CloseKind) {
        let mut before = Vec::new();
        loop {
            match self.next() {
                Call::Close(why) => return (before, why),
                call => before.push(call),
            }
        }
    }

    /// Wakes the loop, which must work wherever the loop sleeps, and returns the statistics of that time.
    pub fn ask(&self) -> Stats {
        while self.stats.try_recv().is_ok() {} // Answers to earlier wakes are discarded.
        self.remote.wake();
        next(&self.stats)
    }

    /// Waits until the loop makes no more turns. Fails if the loop spins.
    pub fn falls_asleep(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.sleeps() {
            assert!(Instant::now() < end, "the loop spins");
        }
    }

    /// Returns true if the loop makes hardly any turns besides those that some timers need. A loop that spins makes
    /// thousands of turns in this time.
    pub fn sleeps(&self) -> bool {
        let begin = Instant::now();
        self.rest.is_wanted.store(true, Ordering::Relaxed);
        self.remote.wake();
        let turns = |stats: Stats| stats.turns;
        let (before, after) = (turns(next(&self.rest.began)), turns(next(&self.rest.ended)));
        after - before <= 2 * TIMERS + 5 + self.driver.ticks(begin.elapsed())
    }

    /// Stops the loop, and returns the calls that the test has not taken yet, and the statistics.
    pub fn stop(self) -> (Vec<Call>, Stats) {
        self.remote.stop();
        self.join()
    }

    /// Waits until the loop has ended, and returns the calls that the test has not taken yet, and the statistics.
    pub fn join(self) -> (Vec<Call>, Stats) {
        let stats = within(|| self.thread.join()).expect("the driver does not panic");
        (self.told.try_iter().collect(), stats)
    }
}

/// Asserts that nothing arrives within a short time.
pub fn assert_nothing_comes(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}
