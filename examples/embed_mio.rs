//! An echo server as a guest in the loop of a host. The host is a program with a `mio::Poll`, a UDP socket and a periodic
//! report of its own.
//!
//! Start the program with `cargo run --release --example embed_mio`. `nc 127.0.0.1 7007` talks to the guest. The host's own
//! socket sends each datagram back to its sender, at the address that the log names.

use std::{
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use log::{info, warn};
use mio::{Events, Interest, Poll, Token, Waker, net::UdpSocket};
use tidegate::{Accepted, Conn, Handler, Net, Options, Reactor};

/// Sends each byte back to the client that sent the byte, until SIGINT, SIGTERM or SIGHUP. The server is a guest in the
/// loop of a host, and the host echoes datagrams.
#[derive(Parser)]
struct Args {
    /// The address at which the guest listens; ":7007" listens on every interface, and port 0 takes a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: String,

    /// The address of the UDP socket at which the host receives datagrams
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    udp: SocketAddr,

    /// The time between two lines of the log with the numbers of datagrams, clients and bytes
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    report: u32,

    /// After a signal, give connections this time to become idle, and then reset the connections that are left; a
    /// second signal, at least a second after the first signal, resets all connections at once
    #[arg(long, value_name = "SECONDS", default_value = "5", allow_negative_numbers = true)]
    drain: u32,
}

// The host divides the tokens of its poll: the host has two tokens, and its guest has a range of tokens.
const WAKE: Token = Token(0);
const DATAGRAM: Token = Token(1);
const GUEST: std::ops::Range<usize> = 1_000..1_000_000;

/// Signals that come so soon after the first signal belong to the first signal: a service manager may send SIGTERM and
/// SIGHUP together, and a terminal that closes may send SIGHUP twice.
const REPEAT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "embed_mio: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    // The host has the poll, the waker and the UDP socket with and without a guest. A poll has one waker, so the host makes
    // the waker and shares it with the guest.
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
    let mut datagrams = Datagrams::bind(args.udp, &poll)?;
    let report_every = Duration::from_secs(args.report.into());

    let mut guest = Reactor::new(poll.registry(), GUEST, Options::default())?;
    let listener = guest.net().listen(args.listen.as_str())?;
    let address = guest.net().local_address(listener)?; // with port 0, the system has chosen the port

    // Signals are handled before the address is printed: a program that waits for the address may send a signal at once.
    let (remote, grace) = (guest.remote(waker), Duration::from_secs(args.drain.into()));
    let mut asked: Option<Instant> = None;
    ctrlc::set_handler(move || {
        if asked.is_none_or(|at| at.elapsed() >= REPEAT) {
            asked = Some(Instant::now());
            info!("asked to end by a signal");
            remote.drain(grace); // a second drain resets all connections
        }
    })?;

    // The program that started the server may wait for this line. If that program is gone, the write fails and the
    // server goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    info!("serving on {address}, datagrams on {}; Ctrl-C ends the server", datagrams.socket.local_addr()?);

    // The clock is read once for each batch of events. So a wait is too long by at most the time that the last batch took.
    let mut now = Instant::now();
    let mut next_report = now + report_every;
    loop {
        let until_report = next_report.saturating_duration_since(now);
        let wait = if datagrams.ready { Duration::ZERO } else { until_report };
        let wait = guest.timeout(now).map_or(wait, |guests| guests.min(wait));
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {} // an interrupted poll is a batch without events
        }
        now = Instant::now();

        for event in &events {
            match event.token() {
                WAKE => {} // the event has ended the wait, and `settle` finds the request
                DATAGRAM => datagrams.ready = true,
                _ => {
                    guest.handle(event); // stores the event; false would mean that the token is not the guest's
                }
            }
        }
        datagrams.echo();
        // `settle` is called once for each batch, also without an event for the guest, because the guest may have work left
        // or a timer that is due.
        if guest.settle(&mut Echo, now).finished {
            break;
        }

        if now >= next_report {
            report(&datagrams, &mut guest);
            next_report = now + report_every;
        }
    }
    report(&datagrams, &mut guest);
    Ok(())
}

fn report(datagrams: &Datagrams, guest: &mut Reactor) {
    let stats = guest.net().stats();
    let (open, bytes) = (stats.open, stats.bytes_sent);
    info!("{} datagrams, {open} clients are here, {bytes} bytes went back to clients", datagrams.count);
}

/// The handler of the guest.
struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        conn.send_all(input);
        input.len()
    }

    // The default `on_drain` lets a connection go on until it is idle, and then closes it.
}

/// The host's own socket.
struct Datagrams {
    socket: UdpSocket,
    ready: bool,
    count: u64,
}

impl Datagrams {
    /// The largest number of datagrams that a batch receives, so that a flood of datagrams does not keep the guest from its
    /// work.
    const BATCH: usize = 64;

    fn bind(at: SocketAddr, poll: &Poll) -> io::Result<Self> {
        let mut socket = UdpSocket::bind(at)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot receive at {at}: {error}")))?;
        poll.registry().register(&mut socket, DATAGRAM, Interest::READABLE)?;
        Ok(Self { socket, ready: false, count: 0 })
    }

    /// Sends datagrams back. mio reports readiness once, so the socket counts as ready until a receive returns `WouldBlock`.
    fn echo(&mut self) {
        let mut buffer = [0; 2048];
        let mut left = Self::BATCH;
        while self.ready && left > 0 {
            left -= 1;
            match self.socket.recv_from(&mut buffer) {
                Ok((len, from)) => {
                    self.count += 1;
                    let _ = self.socket.send_to(&buffer[..len], from); // a datagram may get lost
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready = false,
                Err(error) => warn!("a datagram was not received: {error}"),
            }
        }
    }
}
