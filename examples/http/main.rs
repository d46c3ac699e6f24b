//! An HTTP/1.1 server: a fixed answer, and the files of a directory.
//!
//! `cargo run --release --example http -- --root .` serves `http://127.0.0.1:7010/README.md` to browsers, curl, wrk and ab.
//! `GET /plaintext` is answered with a greeting, also without `--root`. `RUST_LOG=debug` shows each connection.
//!
//! The example shows a text protocol over untrusted connections. Requests may be pipelined: the answers of one callback
//! leave with one `send`, and the handler stops at `Flow::Full`, so a client that reads no answer costs a bounded amount of
//! memory. Files leave by `send_file`. Bodies are discarded part by part, with a bound. A request that does not become
//! complete in time is answered with 408, by one lazy timer for each connection and no timer operation for each request. An
//! error is answered before the connection is closed, and `close` lets the client read that answer. A drain says
//! "Connection: close" in the last answer of each connection.
//!
//! Files are looked up and read in the loop, which waits for the disk meanwhile: the directory should be on a local disk,
//! and mostly in the cache of the system. A server of slow disks reads on threads, as the example `worker` does.
//!
//! `session.rs` is the course of a connection, `request.rs` is the syntax of requests, `response.rs` writes answers, and
//! `files.rs` finds files.
//!
//! A copy of the example needs, beside tidegate: `cargo add clap ctrlc env_logger httparse httpdate log mio rustix signal-hook
//! --features clap/derive,ctrlc/termination,mio/net,rustix/fs`.

mod files;
mod request;
mod response;
mod session;
mod status;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use log::{debug, info};
#[cfg(unix)]
use mio::{Interest, net::UnixStream};
#[cfg(unix)]
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
};
use tidegate::{Accepted, CloseReason, Conn, ConnId, EventLoop, Handler, Keepalive, Net, Options};
#[cfg(unix)]
use tidegate::{Readiness, SourceId};

use files::Root;
use response::Answers;
use session::{Session, Site};

/// Serves a greeting and files over HTTP/1.1, until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The address to listen at; ":7010" listens on every interface, port 0 takes a free port, and "unix:/path" is a Unix
    /// socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7010")]
    listen: String,

    /// Serve the files of this directory; a directory is its index.html, no directory is listed, and links out of this
    /// directory are not followed
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Answer a request with 408 and close the connection if the request is not complete after this time; with 0, requests
    /// may take as long as the idle timeout permits
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, allow_negative_numbers = true)]
    request_timeout: Duration,

    /// Close a connection over which no byte goes in either direction for this time; with 0, idle connections stay open
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds, allow_negative_numbers = true)]
    idle_timeout: Duration,

    /// Serve at most this number of clients at a time; further clients wait in the backlog
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_clients: u32,

    /// After a signal, give answers this time to reach their clients, and then reset the connections that are left; a second
    /// signal, at least a second after the first signal, resets all connections at once
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    drain: Duration,
}

/// Signals that come so soon after the first signal belong to the first signal.
const REPEAT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "http: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    let root = args.root.as_deref().map(Root::new).transpose()?;
    // A connection keeps at most 64 KiB of pipelined requests, and little more than 64 KiB of answers (the high water mark).
    // A client that takes no answer for the idle timeout is reset.
    //
    // An answer from memory has at most `max_outbox` minus the high water mark, because earlier answers may fill the outbox up
    // to the mark. A longer answer ends the connection with `CloseReason::OutboxLimit`. A program with longer answers raises
    // `max_outbox`, or sends an answer in parts at `on_writable`: see the page `guide::request_response`. Files do not count.
    let mut options = Options::default()
        .max_inbox(64 << 10)
        .max_outbox(1 << 20)
        .memory_budget(256 << 20)
        .max_connections(args.max_clients as usize)
        .keepalive(Some(Keepalive::default()));
    if !args.idle_timeout.is_zero() {
        options = options.idle_timeout(Some(args.idle_timeout));
    }
    let mut server = EventLoop::new(options)?;
    let listener = server.net().listen(args.listen.as_str())?;
    let address = server.net().local_address(listener)?; // with port 0, the system has chosen the port

    // The signals are handled before the server prints its address, because a program that waits for the address may send a
    // signal right after it.
    #[cfg(unix)]
    let signals = watched_signals(server.net())?;
    #[cfg(not(unix))]
    {
        let remote = server.remote();
        ctrlc::set_handler(move || remote.wake())?; // from a thread of its own
    }
    let mut http = Http {
        #[cfg(unix)]
        signals,
        asked: None,
        drain: args.drain,
        site: Site {
            root,
            answers: Answers::new(),
            request_timeout: args.request_timeout,
            is_draining: false,
        },
    };

    // The program that started the server may wait for this line. If that program is gone, the write fails and the
    // server goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    info!("serving on {address}, Ctrl-C ends the server");

    let ended = server.run(&mut http);
    info!("stopped\n{}", server.net().stats());
    Ok(ended?)
}

struct Http {
    #[cfg(unix)]
    signals: Signals,
    /// The time of the last signal that asked the server to end.
    asked: Option<Instant>,
    drain: Duration,
    site: Site,
}

impl Handler for Http {
    type Session = Session;

    fn on_accept(&mut self, _net: &mut Net<Session>, from: &Accepted) -> Option<Session> {
        debug!("{} opened by {}", from.id, from.peer);
        Some(Session::default())
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Session>, input: &[u8]) -> usize {
        let (session, mut out) = conn.split();
        self.site.on_input(session, &mut out, input)
    }

    /// The client has read enough of the last answer. `close` has a limit of time, and the rest of the answer is short.
    fn on_writable(&mut self, conn: &mut Conn<'_, Session>) {
        if conn.session().ends {
            conn.close();
        }
    }

    /// A client that has sent its last request reads the answers as slowly as the idle timeout permits.
    fn on_eof(&mut self, conn: &mut Conn<'_, Session>) {
        conn.shutdown_write();
    }

    fn on_timeout(&mut self, conn: &mut Conn<'_, Session>, _tag: u64) {
        let (session, mut out) = conn.split();
        self.site.on_timeout(session, &mut out);
    }

    /// The last answer of the connection will say that it is the last answer. A client that sends no request is closed when
    /// requests that are on their way have had time to arrive.
    fn on_drain(&mut self, conn: &mut Conn<'_, Session>) {
        if !conn.session().is_uploading() {
            let quiet = conn.net().options().drain_quiet;
            conn.close_when_idle(quiet);
        }
    }

    fn on_close(&mut self, _net: &mut Net<Session>, id: ConnId, _session: Session, why: CloseReason) {
        debug!("{id} closed: {why}");
    }

    #[cfg(unix)]
    fn on_ready(&mut self, net: &mut Net<Session>, source: SourceId, _ready: Readiness) {
        if self.signals.pending().count() > 0 {
            self.end(net);
        }
        // mio's selector on poll(2) reports a further signal only after this call.
        if let Err(error) = net.rewatch(source, self.signals.get_read_mut(), Interest::READABLE) {
            log::error!("the server takes no more signals: {error}");
        }
    }

    /// Ctrl-C where there are no signals.
    #[cfg(not(unix))]
    fn on_wake(&mut self, net: &mut Net<Session>) {
        self.end(net);
    }
}

impl Http {
    fn end(&mut self, net: &mut Net<Session>) {
        let now = Instant::now();
        if self.asked.is_some_and(|at| now.duration_since(at) < REPEAT) {
            return;
        }
        self.asked = Some(now);
        if net.is_draining() {
            info!("asked by a further signal to end at once");
        } else {
            let (grace, open) = (self.drain, net.stats().open);
            info!(
                "asked to end by a signal: clients have {grace:?}, and a second signal after {REPEAT:?} resets them (open: {open})"
            );
        }
        self.site.is_draining = true;
        net.drain(self.drain); // a second drain resets all connections
    }
}

/// The signals, as a source in the loop: see the example `echo_server`.
#[cfg(unix)]
type Signals = SignalDelivery<UnixStream, SignalOnly>;

#[cfg(unix)]
fn watched_signals(net: &mut Net<Session>) -> io::Result<Signals> {
    let (end, other_end) = UnixStream::pair()?;
    let mut signals = SignalDelivery::with_pipe(end, other_end, SignalOnly, [SIGINT, SIGTERM, SIGHUP])?;
    net.watch(signals.get_read_mut(), Interest::READABLE)?;
    Ok(signals)
}

/// Parses a number of seconds, with fractions. A deadline that is too far away for the clock would never come.
fn seconds(text: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    match text.parse().map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) if time <= YEAR => Ok(time),
        _ => Err(format!("not a number of seconds from 0 to {}", YEAR.as_secs())),
    }
}
