//! An echo server: each client gets back the bytes that the client has sent, in order.
//!
//! Start the server with `cargo run --release --example echo_server`, then talk to it from another terminal with
//! `nc 127.0.0.1 7007`, or with the example `echo_client`. `RUST_LOG=debug` shows each connection.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use log::{debug, info};
#[cfg(unix)]
use mio::{Interest, net::UnixStream};
#[cfg(unix)]
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
};
use tidegate::{
    Accepted, CloseReason, Conn, ConnId, EventLoop, Handler, ListenOptions, Net, Options, WhenFull,
};
#[cfg(unix)]
use tidegate::{Readiness, SourceId};

/// Sends each byte back to the client that sent the byte, until SIGINT, SIGTERM or SIGHUP. SIGUSR1 logs the
/// statistics.
#[derive(Parser)]
struct Args {
    /// The address to listen at; ":7007" listens on every interface, port 0 takes a free port, and "unix:/path" is a Unix
    /// socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: String,

    /// After a signal, give connections this time to become idle, and then reset the connections that are left; a
    /// second signal, at least a second after the first signal, resets all connections at once
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, allow_negative_numbers = true)]
    drain: Duration,

    /// Serve at most this number of clients at a time; further clients wait in the backlog [default: only
    /// the limit of descriptors]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_connections: Option<usize>,

    /// Close a connection over which no byte goes in either direction for this time; with 0, idle connections stay open
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds, allow_negative_numbers = true)]
    idle_timeout: Duration,

    /// Accept and close the connections of clients above --max-connections, in place of leaving them in the backlog
    #[arg(long)]
    turn_away: bool,

    /// Let the buffers of all connections together hold at most this number of bytes [default: 1 GiB, as in the library]
    #[arg(long, value_name = "BYTES", value_parser = at_least_one)]
    memory_budget: Option<usize>,

    /// Stop reading from a client when this number of bytes waits to be sent to the client, until less than half of the
    /// number waits [default: 65536, as in the library]
    #[arg(long, value_name = "BYTES", value_parser = at_least_one)]
    high_water: Option<usize>,

    /// Let the system hold this number of connections until the server accepts them [default: 1024, as in the library]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    backlog: Option<u32>,
}

/// Signals that come so soon after the first signal belong to the first signal: a service manager may send SIGTERM and
/// SIGHUP together, and a terminal that closes may send SIGHUP twice.
const REPEAT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "echo_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut server = EventLoop::new(options(args))?;

    let mut listen = ListenOptions::default();
    if args.turn_away {
        listen = listen.when_full(WhenFull::Close);
    }
    if let Some(backlog) = args.backlog {
        listen = listen.backlog(backlog);
    }
    let listener = server.net().listen_with(args.listen.as_str(), listen)?;
    let address = server.net().local_address(listener)?; // with port 0, the system has chosen the port

    // The signals are handled before the server prints its address, because a program that waits for the address may send a
    // signal right after it.
    #[cfg(unix)]
    let mut echo = Echo { signals: watched_signals(server.net())?, asked: None, grace: args.drain };
    #[cfg(not(unix))]
    let mut echo = Echo { asked: None, grace: args.drain };
    #[cfg(not(unix))]
    {
        let remote = server.remote();
        ctrlc::set_handler(move || remote.wake())?; // from a thread of its own
    }

    // The program that started the server may wait for this line. If that program is gone, the write fails and the
    // server goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    info!("serving on {address}, Ctrl-C ends the server");

    let ended = server.run(&mut echo);
    info!("stopped\n{}", server.net().stats());
    Ok(ended?)
}

/// The signals, as a source in the loop of the server: a signal handler writes a byte into a pair of sockets, and the loop
/// watches the other end. No thread waits for signals: a process with one thread alone has cheaper system calls, because glibc
/// makes `recv` and `send` cancellable in a process with several threads.
#[cfg(unix)]
type Signals = SignalDelivery<UnixStream, SignalOnly>;

#[cfg(unix)]
fn watched_signals(net: &mut Net) -> io::Result<Signals> {
    let (end, other_end) = UnixStream::pair()?;
    let which = [SIGINT, SIGTERM, SIGHUP, SIGUSR1];
    let mut signals = SignalDelivery::with_pipe(end, other_end, SignalOnly, which)?;
    net.watch(signals.get_read_mut(), Interest::READABLE)?;
    Ok(signals)
}

fn options(args: &Args) -> Options {
    let mut options = Options::default();
    if !args.idle_timeout.is_zero() {
        options = options.idle_timeout(Some(args.idle_timeout));
    }
    if let Some(limit) = args.max_connections {
        options = options.max_connections(limit);
    }
    if let Some(budget) = args.memory_budget {
        options = options.memory_budget(budget);
    }
    if let Some(mark) = args.high_water {
        // Reading goes on when the outbox holds less than half of the mark. The half is rounded up, because no outbox holds
        // less than 0 bytes. `max_outbox` moves up too, because an outbox up to the mark must not end its connection.
        options = options.high_water(mark).low_water(mark.div_ceil(2));
        options = options.max_outbox(mark.saturating_add(16 << 20));
    }
    options
}

struct Echo {
    #[cfg(unix)]
    signals: Signals,
    /// The time of the last signal that asked the server to end.
    asked: Option<Instant>,
    grace: Duration,
}

impl Echo {
    /// A drain closes the listener, lets each connection go on until it is idle, and then lets `run` return.
    fn end(&mut self, net: &mut Net) {
        let now = Instant::now();
        if self.asked.is_some_and(|at| now.duration_since(at) < REPEAT) {
            return;
        }
        self.asked = Some(now);
        if net.is_draining() {
            info!("asked by a further signal to end at once");
        } else {
            let (grace, open) = (self.grace, net.stats().open);
            info!(
                "asked to end by a signal: clients have {grace:?}, and a second signal after {REPEAT:?} resets them (open: {open})"
            );
        }
        net.drain(self.grace); // a second drain resets all connections
    }
}

impl Handler for Echo {
    type Session = (); // the server keeps no state of its own for a client

    fn on_accept(&mut self, _net: &mut Net, from: &Accepted) -> Option<()> {
        debug!("{:?} opened by {}", from.id, from.peer);
        Some(()) // None would turn the client away
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        // The reactor takes all bytes, however few the kernel takes now, and sends the rest as the client reads. A client
        // that never reads cannot fill the memory: above high water its connection is not read, and `on_data` is not called.
        // So a handler that sends one answer of the size of its input can ignore the `Flow`. A handler that sends many
        // answers in a loop has to stop at `Full`.
        conn.send_all(input);
        input.len() // all bytes are consumed; bytes that a handler leaves are shown again, with later bytes behind them
    }

    #[cfg(unix)]
    fn on_ready(&mut self, net: &mut Net, source: SourceId, _ready: Readiness) {
        for signal in self.signals.pending() {
            match signal {
                SIGUSR1 => info!("asked for statistics\n{}", net.stats()),
                _ => self.end(net),
            }
        }
        // `pending` reads until the socket is empty, and mio does not see these reads. With mio's selector on poll(2), a further
        // event comes only after this call.
        if let Err(error) = net.rewatch(source, self.signals.get_read_mut(), Interest::READABLE) {
            log::error!("the server takes no more signals: {error}");
        }
    }

    /// Ctrl-C where there are no signals.
    #[cfg(not(unix))]
    fn on_wake(&mut self, net: &mut Net) {
        self.end(net);
    }

    // The default `on_eof` closes the connection, and closing first delivers the bytes that were sent. The default
    // `on_drain` lets the connection go on until it is idle: bytes that are on their way to the server are echoed too.

    fn on_close(&mut self, _net: &mut Net, id: ConnId, _session: (), why: CloseReason) {
        debug!("{id:?} closed: {why}");
    }
}

/// Parses a number of seconds, with fractions. A time of more than a year is most likely a mistake, and a deadline that is
/// too far away for the clock would never come.
fn seconds(text: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    match text.parse().map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) if time <= YEAR => Ok(time),
        _ => Err(format!("not a number of seconds from 0 to {}", YEAR.as_secs())),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "not a whole number above 0".into())
}
