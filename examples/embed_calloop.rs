//! An echo server as an event source of calloop. The host also has a timer of its own.
//!
//! Start the server with `cargo run --release --example embed_calloop`, then talk to it with `nc 127.0.0.1 7007`. Copy
//! [`nested::Tide`]. Another poller (GLib, libuv, an epoll of your own) also needs three things: it watches the descriptor
//! of the server, sleeps until the deadline of the server, and then makes a turn.

use std::process::ExitCode;

fn main() -> ExitCode {
    nested::main()
}

/// On platforms where mio's poll has no descriptor, `EventLoop` is not `AsFd`, and no other poller can watch the loop.
#[cfg(not(all(unix, not(mio_unsupported_force_poll_poll))))]
mod nested {
    pub fn main() -> std::process::ExitCode {
        eprintln!("embed_calloop: the poll of mio has no descriptor on this platform");
        std::process::ExitCode::FAILURE
    }
}

#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
mod nested {
    use std::{
        error::Error,
        io::{self, Write},
        os::fd::{AsFd, OwnedFd},
        process::ExitCode,
        time::{Duration, Instant},
    };

    use calloop::{
        EventSource, Interest, Mode, Poll, PostAction, Readiness, Token, TokenFactory,
        generic::Generic,
        timer::{TimeoutAction, Timer},
    };
    use clap::Parser;
    use log::info;
    use tidegate::{Accepted, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options};

    /// Sends each byte back to the client that sent the byte, until SIGINT, SIGTERM or SIGHUP. The server is an event
    /// source of calloop.
    #[derive(Parser)]
    struct Args {
        /// The address to listen at; ":7007" listens on every interface, and port 0 takes a free port
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
        listen: String,

        /// The time between two lines of the log with the numbers of clients and of echoed bytes
        #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
        report: u32,

        /// After a signal, give connections this time to become idle, and then reset the connections that are left; a
        /// second signal, at least a second after the first signal, resets all connections at once
        #[arg(long, value_name = "SECONDS", default_value = "5", allow_negative_numbers = true)]
        drain: u32,
    }

    /// Signals that come so soon after the first signal belong to the first signal: a service manager may send SIGTERM and
    /// SIGHUP together, and a terminal that closes may send SIGHUP twice.
    const REPEAT: Duration = Duration::from_secs(1);

    pub fn main() -> ExitCode {
        let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
        match run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "embed_calloop: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn run(args: &Args) -> Result<(), Box<dyn Error>> {
        let mut server = EventLoop::new(Options::default())?;
        let listener = server.net().listen(args.listen.as_str())?;
        let address = server.net().local_address(listener)?; // with port 0, the system has chosen the port

        // Signals are handled before the address is printed: a program that waits for the address may send a signal at
        // once. The signal thread wakes the poll of the server, and the poll of the server wakes the poll of calloop.
        let (remote, grace) = (server.remote(), Duration::from_secs(args.drain.into()));
        let mut asked: Option<Instant> = None;
        ctrlc::set_handler(move || {
            if asked.is_none_or(|at| at.elapsed() >= REPEAT) {
                asked = Some(Instant::now());
                info!("asked to end by a signal");
                remote.drain(grace); // a second drain resets all connections
            }
        })?;

        let mut host = calloop::EventLoop::<App>::try_new()?;
        let signal = host.get_signal();
        host.handle()
            .insert_source(Tide::new(server)?, move |(), server, app| {
                if server.turn(app, Some(Duration::ZERO))?.finished {
                    signal.stop();
                }
                Ok(())
            })
            .map_err(|refused| refused.error)?;

        let report_every = Duration::from_secs(args.report.into());
        host.handle()
            .insert_source(Timer::from_duration(report_every), move |_, (), app| {
                info!("{app:?}");
                TimeoutAction::ToDuration(report_every)
            })
            .map_err(|refused| refused.error)?;

        // The program that started the server may wait for this line. If that program is gone, the write fails and the
        // server goes on.
        let mut stdout = io::stdout();
        let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
        info!("serving on {address}, Ctrl-C ends the server");

        let mut app = App::default();
        host.run(None, &mut app, |_| {})?;
        info!("stopped: {app:?}");
        Ok(())
    }

    /// A server as a source of calloop: whenever the server has work, calloop calls the callback of the source with the
    /// server, and the callback makes a turn of the server.
    ///
    /// Other parts of the program that use the server between turns, as with `net().send_all`, must call `flush` of the
    /// server and then `update` of calloop's handle, because the deadline may have become an earlier one.
    pub struct Tide<S> {
        server: EventLoop<S>,
        /// A duplicate of the loop's descriptor, because a `Generic` owns its descriptor and lends it out only by `unsafe`.
        watched: Generic<OwnedFd>,
        timer: Timer,
        /// The time at which the timer fires, if the timer is set.
        alarm: Option<Instant>,
    }

    impl<S> Tide<S> {
        pub fn new(server: EventLoop<S>) -> io::Result<Self> {
            let descriptor = server.as_fd().try_clone_to_owned()?;
            Ok(Self {
                server,
                watched: Generic::new(descriptor, Interest::READ, Mode::Level),
                timer: Timer::from_duration(Duration::MAX), // the clock does not reach so far: the timer is not set
                alarm: None,
            })
        }

        /// Sets the timer if the server must be turned before the timer fires. Returns false if the timer stays as it was.
        fn advance_alarm(&mut self) -> bool {
            let Some(deadline) = self.server.next_deadline() else { return false };
            if self.alarm.is_some_and(|alarm| alarm <= deadline) {
                return false; // a timer that fires too early finds no due work and is set again, once for many turns
            }
            self.timer.set_deadline(deadline);
            self.alarm = Some(deadline);
            true
        }
    }

    impl<S> EventSource for Tide<S> {
        type Event = ();
        type Metadata = EventLoop<S>;
        type Ret = io::Result<()>;
        type Error = io::Error;

        fn process_events<F>(&mut self, ready: Readiness, token: Token, mut call: F) -> io::Result<PostAction>
        where
            F: FnMut((), &mut EventLoop<S>) -> io::Result<()>,
        {
            let mut is_due = false;
            self.watched.process_events(ready, token, |_, _| {
                is_due = true;
                Ok(PostAction::Continue)
            })?;
            self.timer.process_events(ready, token, |_, ()| {
                self.alarm = None;
                // Work that a turn has left is a deadline that has passed, so this condition covers such work too.
                is_due = self.server.next_deadline().is_some_and(|deadline| deadline <= Instant::now());
                TimeoutAction::Drop
            })?;
            if is_due {
                call((), &mut self.server)?;
            }
            Ok(if self.advance_alarm() { PostAction::Reregister } else { PostAction::Continue })
        }

        fn register(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
            self.watched.register(poll, tokens)?;
            self.advance_alarm(); // the server may have got work before it was inserted into calloop
            self.timer.register(poll, tokens)
        }

        /// Registers the timer alone. calloop's timers live in a heap of its own, so this costs no system call. The
        /// descriptor and its token stay the same, so an epoll_ctl for the descriptor would be in vain.
        ///
        /// calloop also calls a hook, `before_sleep`, before calloop sleeps. But the hook can only make an event for the
        /// present time and not for a later time. And calloop 0.14 adds a source to the list of the hook each time the
        /// source is registered again, so that calloop would call the hook more and more often. The hook suits sources that
        /// are never registered again.
        fn reregister(&mut self, poll: &mut Poll, tokens: &mut TokenFactory) -> calloop::Result<()> {
            let _of_the_descriptor = tokens.token(); // the descriptor has the first token, the timer the second token
            self.advance_alarm(); // needed when `update` was called: process_events has called this method already
            self.timer.reregister(poll, tokens)
        }

        fn unregister(&mut self, poll: &mut Poll) -> calloop::Result<()> {
            self.watched.unregister(poll)?;
            self.timer.unregister(poll)
        }
    }

    /// The host's state, which calloop lends to every callback, is the handler.
    #[derive(Debug, Default)]
    struct App {
        clients: u64,
        bytes_echoed: u64,
    }

    impl Handler for App {
        type Session = ();

        fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
            self.clients += 1;
            Some(())
        }

        fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
            conn.send_all(input);
            self.bytes_echoed += input.len() as u64;
            input.len()
        }

        // The default `on_drain` lets a connection go on until it is idle, and then closes it.

        fn on_close(&mut self, _net: &mut Net, _id: ConnId, _session: (), _why: CloseReason) {
            self.clients -= 1;
        }
    }
}
