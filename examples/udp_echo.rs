//! A datagram echo server: each client gets back each of its datagrams that arrives, whole.
//!
//! Start the server with `cargo run --release --example udp_echo`, then talk to it from another terminal with
//! `nc -u 127.0.0.1 7007`: each line is a datagram. `RUST_LOG=debug` shows each datagram.
//!
//! A client that is asked at several addresses of one machine expects the answer from the address that it has asked. Where the
//! server listens on every interface (`--listen :7007`), this needs `--features packet-info`.

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
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
};
use tidegate::{Accepted, Conn, Datagram, DatagramOptions, EventLoop, Handler, Net, Options, Socket};
#[cfg(unix)]
use tidegate::{Readiness, SourceId};

/// Sends each datagram back to its sender, until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The address to receive at; ":7007" receives on every interface, and port 0 takes a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: String,
}

/// How long the end waits for the kernel to take the answers that are queued.
const GRACE: Duration = Duration::from_secs(1);

/// Signals that come so soon after the first signal belong to the first signal.
const REPEAT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "udp_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut server = EventLoop::new(Options::default())?;
    let socket = server.net().bind(args.listen.as_str(), DatagramOptions::default())?;
    let address = server.net().socket_address(socket)?; // with port 0, the system has chosen the port

    // The signals are handled before the server prints its address, because a program that waits for the address may send a
    // signal right after it.
    #[cfg(unix)]
    let mut echo = Echo { signals: watched_signals(server.net())?, asked: None };
    #[cfg(not(unix))]
    let mut echo = Echo { asked: None };
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

/// The signals, as a source in the loop of the server: see the example `echo_server`.
#[cfg(unix)]
type Signals = SignalDelivery<UnixStream, SignalOnly>;

#[cfg(unix)]
fn watched_signals(net: &mut Net) -> io::Result<Signals> {
    let (end, other_end) = UnixStream::pair()?;
    let mut signals = SignalDelivery::with_pipe(end, other_end, SignalOnly, [SIGINT, SIGTERM, SIGHUP])?;
    net.watch(signals.get_read_mut(), Interest::READABLE)?;
    Ok(signals)
}

struct Echo {
    #[cfg(unix)]
    signals: Signals,
    /// The time of the last signal that asked the server to end.
    asked: Option<Instant>,
}

impl Echo {
    /// A drain answers the datagrams that have arrived, closes the socket, and then lets `run` return.
    fn end(&mut self, net: &mut Net) {
        let now = Instant::now();
        if self.asked.is_some_and(|at| now.duration_since(at) < REPEAT) {
            return;
        }
        self.asked = Some(now);
        if net.is_draining() {
            info!("asked by a further signal to end at once");
        } else {
            info!(
                "asked to end by a signal: answers have {GRACE:?}, and a second signal after {REPEAT:?} discards them"
            );
        }
        net.drain(GRACE); // a second drain ends at once
    }
}

impl Handler for Echo {
    type Session = (); // the state of a connection; datagrams have none

    fn on_datagram(&mut self, socket: &mut Socket<'_>, datagram: &Datagram<'_>) {
        debug!("{} bytes from {}", datagram.bytes().len(), datagram.from());
        // The network loses datagrams, so a client asks again when no answer comes. That makes up for an answer that the
        // kernel does not take, too. The statistics count such answers.
        let _ = socket.reply(datagram, datagram.bytes());
    }

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        None // the server has no listener
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, input: &[u8]) -> usize {
        input.len()
    }

    #[cfg(unix)]
    fn on_ready(&mut self, net: &mut Net, source: SourceId, _ready: Readiness) {
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
    fn on_wake(&mut self, net: &mut Net) {
        self.end(net);
    }
}
