//! An echo server in a loop with frames, such as the loop of a game: each frame makes one turn of the network. The turn
//! takes only a part of the time of the frame, however much the clients send.
//!
//! Start the program with `cargo run --release --example embed_frames`, let clients send as fast as they can, and
//! read in the log how much time of the frames the network took.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use hdrhistogram::Histogram;
use log::info;
use tidegate::{Accepted, CloseReason, Conn, ConnId, EventLoop, Handler, Net, Options};

/// Sends each byte back to the client that sent the byte, until SIGINT, SIGTERM or SIGHUP. The server works in frames.
#[derive(Parser)]
struct Args {
    /// The address to listen at; ":7007" listens on every interface, and port 0 takes a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: String,

    /// The number of frames in a second
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u32).range(1..=1000))]
    fps: u32,

    /// The time in each frame that the network may take
    #[arg(long, value_name = "MILLISECONDS", default_value = "4")]
    budget: u32,

    /// The time between two lines of the log with the times that the network has taken
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    report: u32,

    /// After a signal, give connections this time to become idle, and then reset the connections that are left; a
    /// second signal, at least a second after the first signal, resets all connections at once
    #[arg(long, value_name = "SECONDS", default_value = "5", allow_negative_numbers = true)]
    drain: u32,
}

/// Signals that come so soon after the first signal belong to the first signal: a service manager may send SIGTERM and
/// SIGHUP together, and a terminal that closes may send SIGHUP twice.
const REPEAT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "embed_frames: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut players = EventLoop::new(Options::default())?;
    let listener = players.net().listen(args.listen.as_str())?;
    let address = players.net().local_address(listener)?; // with port 0, the system has chosen the port

    // Signals are handled before the address is printed: a program that waits for the address may send a signal at once.
    let (remote, grace) = (players.remote(), Duration::from_secs(args.drain.into()));
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
    info!("serving on {address}, Ctrl-C ends the server");

    let mut world = World::default();
    let mut times = FrameTimes::new(Duration::from_millis(args.budget.into()));
    let (frame, report_every) = (Duration::from_secs(1) / args.fps, Duration::from_secs(args.report.into()));
    let (mut next_frame, mut next_report) = (Instant::now(), Instant::now() + report_every);
    loop {
        // The network has a share of the time of the frame. Work that the turn has not done at the end of the share is left
        // for the next frame. One turn in a frame is enough, because a turn is fair to all players.
        let begin = Instant::now();
        let turn = players.turn_until(&mut world, Some(Duration::ZERO), begin + times.budget)?;
        let mut network = begin.elapsed();

        world.simulate();
        // A game would now send the new state of the world to its players, with `players.net().for_each`. This program
        // sends echoes alone, and has sent them in the turn.

        let begin = Instant::now();
        players.flush(); // without this flush, bytes that were sent after the turn would leave a frame later
        network += begin.elapsed();
        times.note(network);
        if turn.finished {
            break;
        }

        let now = Instant::now();
        if now >= next_report {
            info!("{} players, {times}", world.players);
            next_report = now + report_every;
        }
        next_frame += frame;
        match next_frame.checked_duration_since(now) {
            Some(rest) => thread::sleep(rest),
            // The frame is late, and the next frame begins now. The loop omits the frames that it has missed.
            None => next_frame = now,
        }
    }
    info!("frame {} was the last, {} bytes were echoed, {times}", world.frame, world.echoed);
    Ok(())
}

/// The game's state is the handler, so callbacks change it without locks and without copies.
#[derive(Default)]
struct World {
    frame: u64,
    players: u64,
    echoed: u64,
}

impl World {
    fn simulate(&mut self) {
        self.frame += 1;
    }
}

impl Handler for World {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        self.players += 1;
        Some(())
    }

    fn on_data(&mut self, player: &mut Conn<'_>, input: &[u8]) -> usize {
        player.send_all(input);
        self.echoed += input.len() as u64;
        input.len()
    }

    // The default `on_drain` lets a connection go on until it is idle, and then closes it.

    fn on_close(&mut self, _net: &mut Net, _id: ConnId, _session: (), _why: CloseReason) {
        self.players -= 1;
    }
}

/// The times that the network took in the frames until now.
struct FrameTimes {
    budget: Duration,
    micros: Histogram<u64>,
    over_budget: u64,
}

impl FrameTimes {
    fn new(budget: Duration) -> Self {
        let micros = Histogram::new(3).expect("from 1 to 5 digits are allowed");
        Self { budget, micros, over_budget: 0 }
    }

    fn note(&mut self, network: Duration) {
        self.over_budget += u64::from(network > self.budget);
        // `saturating_record` would not let the histogram grow, and would count a slow frame as a faster frame.
        self.micros.record(network.as_micros() as u64).expect("the histogram grows with its values");
    }
}

impl std::fmt::Display for FrameTimes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = |quantile| self.micros.value_at_quantile(quantile) as f64 / 1000.0;
        write!(
            f,
            "network in a frame: p50 {:.3} p99 {:.3} p99.9 {:.3} max {:.3} ms, over {} ms in {} of {} frames",
            millis(0.5),
            millis(0.99),
            millis(0.999),
            millis(1.0),
            self.budget.as_millis(),
            self.over_budget,
            self.micros.len(),
        )
    }
}
