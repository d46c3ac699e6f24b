//! A proxy: each client gets a connection of its own to the backend, and bytes pass in both directions.
//!
//! `cargo run --release --example proxy -- --listen 127.0.0.1:7008 --to 127.0.0.1:7007` puts the proxy in front of the
//! example `echo_server`. Both addresses may be Unix sockets. `RUST_LOG=debug` shows each connection.
//!
//! The example shows how a pair of connections is kept together: backpressure from each side to the other side, ends of file
//! and resets that are passed on, last words, an idle timeout that never turns a part of a stream into a whole stream, and
//! a drain that cuts no stream that moves. The page `guide::proxy` explains these decisions.
//!
//! A copy of the example needs, beside tidegate: `cargo add clap ctrlc env_logger log mio signal-hook --features
//! clap/derive,ctrlc/termination,mio/net`.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use log::{debug, info, warn};
#[cfg(unix)]
use mio::{Interest, net::UnixStream};
#[cfg(unix)]
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
};
use tidegate::{
    Accepted, Address, CloseReason, Conn, ConnId, ConnectOptions, EventLoop, Flow, Handler, Keepalive, Net,
    Options,
};
#[cfg(unix)]
use tidegate::{Readiness, SourceId};

/// Passes bytes between clients and a backend, until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The address to listen at; ":7008" listens on every interface, port 0 takes a free port, and "unix:/path" is a Unix
    /// socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7008")]
    listen: String,

    /// The address of the backend; a name is looked up once, at the start
    #[arg(long, value_name = "ADDR")]
    to: String,

    /// Close a client if the backend has not answered the connect for this time
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, allow_negative_numbers = true)]
    connect_timeout: Duration,

    /// Reset a pair over which no byte has moved for this time; with 0, idle pairs stay open
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds, allow_negative_numbers = true)]
    idle_timeout: Duration,

    /// Begin each connection to the backend with a line that has the address of the client (PROXY protocol, version 1)
    #[arg(long)]
    proxy_protocol: bool,

    /// Serve at most this number of clients at a time; further clients wait in the backlog
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_clients: u32,

    /// After a signal, give streams this time to come to their ends, and then reset the pairs that are left; a second signal,
    /// at least a second after the first signal, resets all pairs at once
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    drain: Duration,
}

/// Signals that come so soon after the first signal belong to the first signal.
const REPEAT: Duration = Duration::from_secs(1);

/// In a drain, a pair without unsent bytes over which no byte has moved for this time is closed.
const QUIET: Duration = Duration::from_secs(1);

/// A reset destroys bytes that the kernel has not delivered yet. So the reset of the backend is passed on when all bytes
/// before the reset have been with the kernel for this time.
const LAST_WORDS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: Args) -> Result<(), Box<dyn Error>> {
    let backend = Address::resolve(&args.to)?; // may block, so before the loop
    // A pair is two connections, and the limit counts both. A client is accepted while there are fewer connections than the
    // limit, so the limit is one less than all pairs have. Where the idle timeout is off, keepalive finds peers that have
    // vanished; keepalive costs four system calls for each pair. `Options::idle_timeout` would end a stalled stream with an
    // end of file: `on_timeout` resets.
    let options = Options::default()
        .max_connections((args.max_clients as usize).saturating_mul(2).saturating_sub(1))
        .memory_budget(256 << 20)
        .keepalive(args.idle_timeout.is_zero().then(Keepalive::default));
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
    let mut proxy = Proxy {
        #[cfg(unix)]
        signals,
        asked: None,
        warned: None,
        backend,
        args,
    };

    // The program that started the server may wait for this line. If that program is gone, the write fails and the
    // server goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    info!("passing bytes from {address} to {}, Ctrl-C ends the proxy", proxy.backend);

    let ended = server.run(&mut proxy);
    info!("stopped\n{}", server.net().stats());
    Ok(ended?)
}

struct Proxy {
    #[cfg(unix)]
    signals: Signals,
    /// The time of the last signal that asked the proxy to end.
    asked: Option<Instant>,
    /// The time of the last warning that the backend cannot be connected to.
    warned: Option<Instant>,
    backend: Address,
    args: Args,
}

/// One connection of a pair.
struct Half {
    other: ConnId,
    is_client: bool,
    /// The last time at which the handler knows that a byte has moved.
    moved: Instant,
    /// The number of unsent bytes when this connection looked last: of the pair, or of this connection if `cut`.
    unsent: usize,
    /// The backend has reset its connection, and this client gets a reset after the last words of the backend.
    cut: bool,
}

/// The tags of the timers of a connection.
const LOOK: u64 = 0;
const LOOK_IN_DRAIN: u64 = 1;
const CUT: u64 = 2;

impl Handler for Proxy {
    type Session = Half;

    fn on_accept(&mut self, net: &mut Net<Half>, from: &Accepted) -> Option<Half> {
        debug!("{} opened by {}", from.id, from.peer);
        let half = |other, is_client| Half { other, is_client, moved: net.now(), unsent: 0, cut: false };
        let (client, backend) = (half(from.id, true), half(from.id, false));
        let timeout = ConnectOptions::default().timeout(Some(self.args.connect_timeout));
        let other = net.connect_with(&self.backend, backend, timeout);
        Some(Half { other, ..client })
    }

    fn on_open(&mut self, conn: &mut Conn<'_, Half>) {
        // Each direction waits only for its own receiver. Otherwise a client that sends an upload before it reads anything
        // would stop for ever when its answers fill the outbox.
        conn.pause_when_full(false);
        self.look_later(conn);
        if self.args.proxy_protocol && conn.session().is_client {
            // No byte of the client has come yet, so the line is first, also if the backend is still being connected to.
            let (line, other) = (proxy_line(conn), conn.session().other);
            conn.net().send_all(other, line.as_bytes());
        }
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Half>, input: &[u8]) -> usize {
        let (now, other) = (conn.now(), conn.session().other);
        conn.session().moved = now;
        if conn.net().send_all(other, input) == Flow::Full {
            conn.pause_reading(); // until the other connection has room again
        }
        input.len() // `Full` has taken the bytes; at `Gone`, the end of the other connection ends this connection
    }

    fn on_writable(&mut self, conn: &mut Conn<'_, Half>) {
        let (now, other) = (conn.now(), conn.session().other);
        conn.session().moved = now; // the kernel has taken bytes
        conn.net().resume_reading(other);
    }

    fn on_eof(&mut self, conn: &mut Conn<'_, Half>) {
        let (now, other) = (conn.now(), conn.session().other);
        conn.session().moved = now;
        conn.net().shutdown_write(other); // passes the end of file on; the other direction stays open
    }

    fn on_timeout(&mut self, conn: &mut Conn<'_, Half>, tag: u64) {
        let (now, other, queued) = (conn.now(), conn.session().other, conn.queued());
        if conn.session().cut {
            self.look_at_cut(conn, tag);
            return;
        }
        // While a connection is full, the other connection is paused, and no byte passes `on_data`. But the number of
        // unsent bytes changes as the slow reader takes them.
        let others = conn.net().conn(other).map(|mut other| (other.queued(), other.session().moved));
        let unsent = queued + others.map_or(0, |(queued, _)| queued);
        let half = conn.session();
        if half.unsent != unsent {
            (half.unsent, half.moved) = (unsent, now);
        }
        let moved = others.map_or(half.moved, |(_, moved)| moved.max(half.moved));
        let silence = now.saturating_duration_since(moved);
        let patience = self.args.idle_timeout;
        if !patience.is_zero() && silence >= patience {
            debug!("{} was idle", conn.id());
            conn.abort(); // `on_close` aborts the other connection
        } else if tag == LOOK {
            self.look_later(conn);
        } else if unsent == 0 && silence >= QUIET {
            conn.close();
            conn.net().close(other);
        } else {
            conn.set_timeout(now + QUIET / 4, LOOK_IN_DRAIN);
        }
    }

    /// The client and the backend decide when a stream is over, and the end of the grace resets the pairs that are left. But
    /// the clients of a connection pool stay open for ever, so a pair that is quiet is closed.
    fn on_drain(&mut self, conn: &mut Conn<'_, Half>) {
        let now = conn.now();
        conn.set_timeout(now + QUIET / 4, LOOK_IN_DRAIN);
    }

    fn on_close(&mut self, net: &mut Net<Half>, id: ConnId, half: Half, why: CloseReason) {
        debug!("{id} closed: {why}");
        let now = net.now();
        match why {
            // Both ends of file were passed on, or the proxy has closed both connections.
            why if why.is_clean() => {}
            CloseReason::ConnectFailed(error) => {
                if self.warned.is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1)) {
                    self.warned = Some(now); // a line for each client would flood the log
                    warn!("{} cannot be connected to: {error}", self.backend);
                }
                net.close(half.other);
            }
            CloseReason::Reset | CloseReason::Io(_) if !half.is_client => {
                let Some(mut client) = net.conn(half.other) else { return };
                if client.queued() == 0 && now.saturating_duration_since(half.moved) >= LAST_WORDS {
                    client.abort();
                    return;
                }
                client.resume_reading(); // the end of the client is noticed, and its bytes are discarded
                let unsent = client.queued();
                let session = client.session();
                (session.cut, session.unsent, session.moved) = (true, unsent, now);
                client.set_timeout(now + LAST_WORDS, CUT);
            }
            // Neither side may take a part of a stream for the whole stream, so no clean end of file follows.
            _ => net.abort(half.other),
        }
    }

    #[cfg(unix)]
    fn on_ready(&mut self, net: &mut Net<Half>, source: SourceId, _ready: Readiness) {
        if self.signals.pending().count() > 0 {
            self.end(net);
        }
        // mio's selector on poll(2) reports a further signal only after this call.
        if let Err(error) = net.rewatch(source, self.signals.get_read_mut(), Interest::READABLE) {
            log::error!("the proxy takes no more signals: {error}");
        }
    }

    /// Ctrl-C where there are no signals.
    #[cfg(not(unix))]
    fn on_wake(&mut self, net: &mut Net<Half>) {
        self.end(net);
    }
}

impl Proxy {
    fn look_later(&self, conn: &mut Conn<'_, Half>) {
        let patience = self.args.idle_timeout;
        if !patience.is_zero() {
            let at = conn.now() + patience / 4;
            conn.set_timeout(at, LOOK);
        }
    }

    /// Passes the reset of the backend on to a client that has got the last words. A client that does not take them for the
    /// idle timeout is reset too.
    fn look_at_cut(&self, conn: &mut Conn<'_, Half>, tag: u64) {
        if tag != CUT {
            return; // a timer from the time before the reset
        }
        let (now, unsent, patience) = (conn.now(), conn.queued(), self.args.idle_timeout);
        let half = conn.session();
        let is_told = unsent == 0 && half.unsent == 0;
        if half.unsent != unsent {
            (half.unsent, half.moved) = (unsent, now);
        }
        if is_told || (!patience.is_zero() && now.saturating_duration_since(half.moved) >= patience) {
            conn.abort();
        } else {
            conn.set_timeout(now + LAST_WORDS, CUT);
        }
    }

    fn end(&mut self, net: &mut Net<Half>) {
        let now = Instant::now();
        if self.asked.is_some_and(|at| now.duration_since(at) < REPEAT) {
            return;
        }
        self.asked = Some(now);
        if net.is_draining() {
            info!("asked by a further signal to end at once");
        } else {
            let (grace, open) = (self.args.drain, net.sessions().filter(|(_, half)| half.is_client).count());
            info!(
                "asked to end by a signal: clients have {grace:?}, and a second signal after {REPEAT:?} resets them (open: {open})"
            );
        }
        net.drain(self.args.drain); // a second drain resets all connections
    }
}

/// Returns the first line for the backend: <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>, section 2.1.
fn proxy_line(client: &Conn<'_, Half>) -> String {
    let ends = client.peer().and_then(|peer| Ok((peer, client.local()?)));
    if let Ok((peer, local)) = ends
        && let (&[peer], &[local]) = (peer.socket_addrs(), local.socket_addrs())
    {
        // A listener for both families has IPv4 clients with mapped addresses.
        let (from, to) = (peer.ip().to_canonical(), local.ip().to_canonical());
        let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
        if from.is_ipv4() == to.is_ipv4() {
            return format!("PROXY {family} {from} {to} {} {}\r\n", peer.port(), local.port());
        }
    }
    "PROXY UNKNOWN\r\n".into() // a Unix socket has no such addresses
}

/// The signals, as a source in the loop: see the example `echo_server`.
#[cfg(unix)]
type Signals = SignalDelivery<UnixStream, SignalOnly>;

#[cfg(unix)]
fn watched_signals(net: &mut Net<Half>) -> io::Result<Signals> {
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
