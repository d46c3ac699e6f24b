//! A control socket beside the loop that a program already has: here a simulation that computes a frame 60 times a second.
//!
//! Start the program with `cargo run --release --example ipc -- --listen unix:/tmp/ipc.sock`, then control it from another
//! terminal with `socat - UNIX-CONNECT:/tmp/ipc.sock`. The commands are `status`, `set fps N`, `set speed X`, `set paused
//! true|false` and `quit`.
//!
//! The example shows:
//!
//! * The program waits for its next frame in [`EventLoop::turn_until`], so a command is answered at once, without a thread and
//!   without a lock. No turn begins work after the time of the next frame, so clients take only time that the program would
//!   have slept.
//! * A client cannot hold the program up. A client that reads no answers is not read either, a client that sends half of a
//!   command waits alone, and both are closed after a minute.
//! * Access is checked twice: the system checks the permissions of the path, and the program checks the credentials of the
//!   client. The permissions alone do not say which user has connected, and an abstract name (`unix:@name`) has
//!   none.

use std::{
    error::Error,
    io::{self, ErrorKind, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use log::{debug, info, warn};
use tidegate::{
    Accepted, CloseReason, Conn, ConnId, EventLoop, Flow, Handler, ListenOptions, Net, Options, framing,
};

/// Computes frames, and takes commands at a Unix socket, until the command `quit`, or SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The Unix socket to listen at: "unix:/path", or on Linux "unix:@name"
    #[arg(long, value_name = "ADDR", value_parser = unix_socket)]
    listen: String,

    /// Take commands from this user alone; the path is then open for all users, and their credentials decide [default: the
    /// user of the program, and the path is closed for other users]
    #[arg(long, value_name = "UID")]
    user: Option<u32>,

    /// The number of frames in a second
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1000))]
    fps: u32,
}

/// The greatest length of a command.
const MAX_LINE: usize = 200;
/// More clients than an administrator needs. Further clients wait in the backlog.
const MOST_CLIENTS: usize = 32;
/// A client that neither sends a byte nor takes one for this time is closed, so that its place becomes free.
const IDLE: Duration = Duration::from_secs(60);
/// If the frames are late, the clients still have this time in each frame.
const LEAST_SHARE: Duration = Duration::from_micros(500);
/// How long clients may take, at the end of the program, to read their answers.
const GRACE: Duration = Duration::from_secs(1);
/// Signals that come so soon after the first signal belong to the first signal.
const REPEAT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "ipc: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    // Commands and answers are short, so these limits are far below the defaults. All clients together hold less than 1 MiB.
    let options = Options::default()
        .max_connections(MOST_CLIENTS)
        .max_inbox(MAX_LINE)
        .high_water(4 << 10)
        .low_water(2 << 10)
        .max_outbox(16 << 10)
        .idle_timeout(Some(IDLE));
    let mut control = EventLoop::new(options)?;
    // On Linux, a process needs the permission to write in order to connect.
    let mode = if args.user.is_some() { 0o666 } else { 0o600 };
    let listen = ListenOptions::default().backlog(16).unix_mode(Some(mode));
    let listener = control.net().listen_with(args.listen.as_str(), listen)?;
    let address = control.net().local_address(listener)?;

    // Signals are handled before the address is printed: a program that waits for the address may send a signal at once.
    let remote = control.remote();
    let mut asked: Option<Instant> = None;
    ctrlc::set_handler(move || {
        if asked.is_none_or(|at| at.elapsed() >= REPEAT) {
            asked = Some(Instant::now());
            info!("asked to end by a signal");
            remote.drain(GRACE); // a second drain resets all connections
        }
    })?;

    // The program that started this program may wait for this line. If that program is gone, the write fails and this program
    // goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    info!("controlled at {address}, Ctrl-C ends the program");

    let mut simulation = Simulation {
        fps: args.fps,
        speed: 1.0,
        is_paused: false,
        frame: 0,
        late: 0,
        position: 0.0,
        user: args.user,
    };
    let mut next_frame = Instant::now();
    loop {
        simulation.compute_frame();
        next_frame += Duration::from_secs(1) / simulation.fps;
        let now = Instant::now();
        if now > next_frame {
            simulation.late += 1;
            next_frame = now; // the program omits the frames that it has missed
        }
        if wait(&mut control, &mut simulation, next_frame)? {
            break;
        }
    }
    info!(
        "stopped at frame {}, {} frames were late\n{}",
        simulation.frame,
        simulation.late,
        control.net().stats()
    );
    Ok(())
}

/// Waits for the time of the next frame, and serves the clients meanwhile. Returns true if the program shall end.
fn wait(control: &mut EventLoop, simulation: &mut Simulation, next_frame: Instant) -> io::Result<bool> {
    let end = next_frame.max(Instant::now() + LEAST_SHARE);
    loop {
        // The turn sleeps until there is work, or until the next frame. Work that is not done at the end is left for the next
        // turn.
        let rest = next_frame.saturating_duration_since(Instant::now());
        if control.turn_until(simulation, Some(rest), end)?.finished {
            return Ok(true);
        }
        if Instant::now() >= next_frame {
            return Ok(false);
        }
    }
}

/// The state of the program is the handler, so commands read and change it directly.
struct Simulation {
    fps: u32,
    speed: f64,
    is_paused: bool,
    frame: u64,
    /// The number of frames that began too late.
    late: u64,
    position: f64,
    /// The user that may give commands. `None` is the user of the program.
    user: Option<u32>,
}

impl Simulation {
    fn compute_frame(&mut self) {
        self.frame += 1;
        if !self.is_paused {
            self.position = (self.position + self.speed / f64::from(self.fps)).rem_euclid(1.0);
        }
    }

    /// Returns an error if the client must not give commands.
    fn check_user(&self, conn: &Conn<'_>) -> Result<(), String> {
        match conn.peer_credentials() {
            Ok(client) if client.uid == self.user.unwrap_or_else(own_user) => {
                debug!("{} is process {} of user {}", conn.id(), client.pid, client.uid);
                Ok(())
            }
            Ok(client) => Err(format!("user {} must not give commands here", client.uid)),
            // Where the system has no credentials, the permissions of the path keep other users out, unless --user opens it.
            Err(error) if error.kind() == ErrorKind::Unsupported && self.user.is_none() => Ok(()),
            Err(error) => Err(format!("the user is unknown: {error}")),
        }
    }

    /// Carries out a command, and sends one line as the answer.
    fn answer(&mut self, conn: &mut Conn<'_>, command: &str) -> Flow {
        let words: Vec<_> = command.split_whitespace().collect();
        match words[..] {
            ["status"] => {
                let Self { frame, late, fps, speed, is_paused, position, .. } = self;
                writeln!(
                    conn,
                    "frame {frame} late {late} fps {fps} speed {speed} paused {is_paused} position {position:.3}"
                )
            }
            ["set", key, value] => match self.set(key, value) {
                Ok(()) => {
                    debug!("{} has set {key} to {value}", conn.id());
                    conn.send_all(b"ok\n")
                }
                Err(why) => writeln!(conn, "error: {why}"),
            },
            ["quit"] => {
                // A second drain would reset all connections. `turn_until` reports the end of the drain.
                if !conn.net().is_draining() {
                    info!("{} has asked the program to end", conn.id());
                    conn.net().drain(GRACE);
                }
                conn.send_all(b"ok\n")
            }
            _ => conn.send_all(b"error: the commands are status, set KEY VALUE, and quit\n"),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "fps" => match value.parse() {
                Ok(fps @ 1..=1000) => self.fps = fps,
                _ => return Err("fps is a whole number from 1 to 1000"),
            },
            "speed" => match value.parse() {
                Ok(speed) if f64::abs(speed) <= 100.0 => self.speed = speed, // NaN is not below 100
                _ => return Err("speed is a number from -100 to 100"),
            },
            "paused" => self.is_paused = value.parse().map_err(|_| "paused is true or false")?,
            _ => return Err("the keys are fps, speed and paused"),
        }
        Ok(())
    }
}

impl Handler for Simulation {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_open(&mut self, conn: &mut Conn<'_>) {
        if let Err(why) = self.check_user(conn) {
            warn!("{} is refused: {why}", conn.id());
            // `try_send` hands the line to the kernel at once, and `abort` frees the place of the client at once. A close would
            // wait for the end of the client, so clients without permission could take all places.
            let _ = conn.try_send(format!("error: {why}\n").as_bytes());
            conn.abort();
        }
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        let mut lines = framing::lines(input, MAX_LINE);
        for line in &mut lines {
            let Ok(line) = line else {
                warn!("{} has sent a command of more than {MAX_LINE} bytes", conn.id());
                conn.abort();
                break;
            };
            // At `Full`, the client has not read its answers. Its other commands are shown again when it has read them.
            if self.answer(conn, &String::from_utf8_lossy(line)) != Flow::Open {
                break;
            }
        }
        lines.used()
    }

    // The default `on_eof` closes the connection, after the answers that were sent are delivered. The default `on_drain` lets
    // the connection go on until it is idle, and then closes it.

    fn on_close(&mut self, _net: &mut Net, id: ConnId, _session: (), why: CloseReason) {
        debug!("{id} closed: {why}");
    }
}

#[cfg(unix)]
fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Never called, because no client has credentials here.
#[cfg(not(unix))]
fn own_user() -> u32 {
    0
}

/// A control socket over TCP would be open for all users of the machine, and TCP has no credentials.
fn unix_socket(text: &str) -> Result<String, &'static str> {
    if text.starts_with("unix:") { Ok(text.into()) } else { Err("not a Unix socket such as unix:/path") }
}
