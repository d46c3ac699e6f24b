//! What is driven: a server in a thread, whose loop is one of the [hosts](crate::hosts).

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

use tidegate::{Accepted, CloseKind, CloseReason, Conn, ConnId, Handler, Net, Options, Remote, Stats};

use crate::support::{PATIENCE, connect, next, within};

/// A way of driving.
#[derive(Clone, Copy)]
pub struct Driver {
    /// Drives until the reactor has finished, and tells what happened in all.
    drive: fn(Job) -> Stats,
    tick: Option<Duration>,
    beside: u64,
}

impl Driver {
    pub const fn new(drive: fn(Job) -> Stats) -> Self {
        Self { drive, tick: None, beside: 0 }
    }

    /// It makes a turn that often even if there is no reason to.
    pub const fn ticking(self, tick: Duration) -> Self {
        Self { tick: Some(tick), ..self }
    }

    /// It makes that many turns for affairs of its own, in all.
    pub const fn with_affairs(self, turns: u64) -> Self {
        Self { beside: turns, ..self }
    }

    /// How many turns it may make in this time without a reason of the reactor's.
    pub fn turns_of_its_own(&self, time: Duration) -> u64 {
        self.ticks(time) + self.beside
    }

    fn ticks(&self, time: Duration) -> u64 {
        self.tick.map_or(0, |tick| time.as_nanos().div_ceil(tick.as_nanos()) as u64)
    }
}

/// What a driver is given to do.
pub struct Job {
    pub options: Options,
    pub subject: Subject,
    ready: Sender<(SocketAddr, Remote)>,
}

impl Job {
    /// Called once, when the driver has made its reactor.
    pub fn begin(&self, net: &mut Net, remote: Remote) {
        let listener = net.listen("127.0.0.1:0").unwrap();
        let address = net.local_address(listener).unwrap().socket_addrs()[0];
        self.ready.send((address, remote)).unwrap();
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Told {
    Open,
    /// How many bytes came.
    Data(usize),
    Eof,
    Close(CloseKind),
}

/// An echo that says what it is called for, unless a behaviour needs something else of it.
pub struct Subject {
    pub on_data: fn(&mut Conn<'_>, &[u8]) -> usize,
    pub on_eof: fn(&mut Conn<'_>),
    told: Sender<Told>,
    stats: Sender<Stats>,
    rest: Rest<Sender<Stats>>,
}

/// How a test finds out whether the loop sleeps: where `is_wanted` is set, the next `on_wake` sets the first of some timers.
/// `began` tells the statistics at that time, and `ended` the statistics at the time when the last timer fires.
struct Rest<C> {
    is_wanted: Arc<AtomicBool>,
    began: C,
    ended: C,
}

/// Timers in a row, and the time until each fires. On a busy machine, a loop that spins may get no processor time from the
/// setting of a timer until that timer fires, but not ten times in a row.
const TIMERS: u64 = 10;
const PAUSE: Duration = Duration::from_millis(5);

impl Subject {
    fn tell(&self, what: Told) {
        let _ = self.told.send(what); // a test that has heard enough may have gone
    }
}

impl Handler for Subject {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_open(&mut self, _conn: &mut Conn<'_>) {
        self.tell(Told::Open);
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        self.tell(Told::Data(input.len()));
        (self.on_data)(conn, input)
    }

    fn on_eof(&mut self, conn: &mut Conn<'_>) {
        self.tell(Told::Eof);
        (self.on_eof)(conn);
    }

    fn on_close(&mut self, _net: &mut Net, _id: ConnId, _session: (), why: CloseReason) {
        self.tell(Told::Close(why.kind()));
    }

    fn on_wake(&mut self, net: &mut Net) {
        if self.rest.is_wanted.swap(false, Ordering::Relaxed) {
            net.set_timer(net.now() + PAUSE, TIMERS - 1);
            let _ = self.rest.began.send(net.stats().clone());
        }
        let _ = self.stats.send(net.stats().clone());
    }

    /// `left`: how many timers come after this timer.
    fn on_timer(&mut self, net: &mut Net, left: u64) {
        if left > 0 {
            net.set_timer(net.now() + PAUSE, left - 1);
        } else {
            let _ = self.rest.ended.send(net.stats().clone());
        }
    }
}

/// A server in a thread of its own, driven by a host.
pub struct Driven {
    pub address: SocketAddr,
    pub remote: Remote,
    told: Receiver<Told>,
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
            on_data: |conn, input| {
                conn.send_all(input);
                input.len()
            },
            on_eof: |conn| conn.close(),
            told: tell,
            stats: tell_stats,
            rest: Rest { is_wanted: is_wanted.clone(), began: tell_began, ended: tell_ended },
        };
        change(&mut subject);
        let (drive, job) = (driver.drive, Job { options, subject, ready });
        let thread = thread::spawn(move || drive(job));
        let (address, remote) = started.recv_timeout(PATIENCE).expect("the driver begins");
        let rest = Rest { is_wanted, began, ended };
        Self { address, remote, told, stats, rest, driver: *driver, thread }
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// What the handler is called for next.
    pub fn next(&self) -> Told {
        next(&self.told)
    }

    /// Waits for the end of a connection, and tells what came before it and was not asked for.
    pub fn until_close(&self) -> (Vec<Told>, CloseKind) {
        let mut before = Vec::new();
        loop {
            match self.next() {
                Told::Close(why) => return (before, why),
                told => before.push(told),
            }
        }
    }

    /// Wakes it, which it has to notice wherever it sleeps, and hears what has happened so far.
    pub fn ask(&self) -> Stats {
        while self.stats.try_recv().is_ok() {} // the answers to other wakes
        self.remote.wake();
        next(&self.stats)
    }

    /// Waits until it makes no turns any more, which is soon: one that spins never comes to that.
    pub fn falls_asleep(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.sleeps() {
            assert!(Instant::now() < end, "it spins");
        }
    }

    /// True if the loop makes hardly any turns but those that some timers need. A loop that spins makes thousands of turns in
    /// this time.
    pub fn sleeps(&self) -> bool {
        let begin = Instant::now();
        self.rest.is_wanted.store(true, Ordering::Relaxed);
        self.remote.wake();
        let turns = |stats: Stats| stats.turns;
        let (before, after) = (turns(next(&self.rest.began)), turns(next(&self.rest.ended)));
        after - before <= 2 * TIMERS + 5 + self.driver.ticks(begin.elapsed())
    }

    /// Ends it, and takes the rest of what it told.
    pub fn stop(self) -> (Vec<Told>, Stats) {
        self.remote.stop();
        self.join()
    }

    /// Waits for an end that was asked for.
    pub fn join(self) -> (Vec<Told>, Stats) {
        let stats = within(|| self.thread.join()).expect("the driver does not panic");
        (self.told.try_iter().collect(), stats)
    }
}

/// Reads what comes within a moment, which is nothing.
pub fn assert_nothing_comes(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}
