//! An echo server with several loops: one loop accepts, and hands each client over to the loop that has the fewest clients.
//!
//! Start the server with `cargo run --release --example hand_over`, then talk to it from another terminal with
//! `nc 127.0.0.1 7007`, or with the example `echo_client`.
//!
//! Where the kernel may choose the loop, a listener with SO_REUSEPORT in each loop is simpler
//! ([`ListenOptions::reuse_port`]). It spreads the clients by chance, and a loop with long-lived clients gets as many new
//! clients as a loop that is idle.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use clap::Parser;
use log::{debug, info};
#[cfg(doc)]
use tidegate::ListenOptions;
use tidegate::{
    Accepted, CloseReason, Conn, ConnId, Detached, EventLoop, Handler, Net, Options, Receiver, Refused,
    Remote, Sender,
};

/// Sends each byte back to the client that sent the byte, until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The address to listen at; ":7007" listens on every interface, and port 0 takes a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: String,

    /// The number of loops that serve, each in a thread of its own
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    loops: u8,
}

/// How long clients may take to become idle after a signal.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "hand_over: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut acceptor = EventLoop::new(Options::default())?;
    let listener = acceptor.net().listen(args.listen.as_str())?;
    let address = acceptor.net().local_address(listener)?; // with port 0, the system has chosen the port

    let (mut workers, mut threads) = (Vec::new(), Vec::new());
    for number in 0..args.loops {
        let mut event_loop = EventLoop::new(Options::default())?;
        let (sender, newcomers) = event_loop.channel(); // a send wakes the loop, which then calls `on_wake`
        let clients = Arc::new(AtomicUsize::new(0));
        workers.push(Worker { sender, remote: event_loop.remote(), clients: Arc::clone(&clients) });
        let mut echo = Echo { number, newcomers, clients };
        let builder = thread::Builder::new().name(format!("loop {number}"));
        threads.push(builder.spawn(move || event_loop.run(&mut echo))?);
    }

    // The acceptor ends first, so that each client that it has accepted is with a worker before the workers drain.
    let remote = acceptor.remote();
    ctrlc::set_handler(move || remote.drain(GRACE))?;

    // The program that started the server may wait for this line. If that program is gone, the write fails and the
    // server goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());

    let mut handler = Acceptor { workers };
    let ended = acceptor.run(&mut handler);
    info!("{} clients were handed over", acceptor.net().stats().detached);
    for worker in &handler.workers {
        worker.remote.drain(GRACE);
    }
    drop(handler);
    for thread in threads {
        thread.join().map_err(|_| "a loop has panicked")??;
    }
    Ok(ended?)
}

/// A loop that serves, as the acceptor sees it.
struct Worker {
    sender: Sender<Detached>,
    remote: Remote,
    /// How many clients the loop serves or is about to serve.
    clients: Arc<AtomicUsize>,
}

struct Acceptor {
    workers: Vec<Worker>,
}

impl Handler for Acceptor {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_open(&mut self, conn: &mut Conn<'_>) {
        let least_loaded = self.workers.iter().min_by_key(|worker| worker.clients.load(Ordering::Relaxed));
        let Some(worker) = least_loaded else { return conn.abort() };
        worker.clients.fetch_add(1, Ordering::Relaxed);
        // The connection ends here without `on_close`. If the loop is gone, the connection is closed by its drop.
        let _ = worker.sender.send(conn.detach());
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, _input: &[u8]) -> usize {
        0 // never called: each connection is handed over in `on_open`
    }
}

struct Echo {
    number: u8,
    newcomers: Receiver<Detached>,
    clients: Arc<AtomicUsize>,
}

impl Handler for Echo {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        None // this loop has no listener
    }

    fn on_wake(&mut self, net: &mut Net) {
        for newcomer in self.newcomers.try_iter() {
            if let Err(Refused { error, .. }) = net.attach(newcomer) {
                log::warn!("a client cannot be served: {error}");
                self.clients.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn on_open(&mut self, conn: &mut Conn<'_>) {
        debug!(
            "loop {} serves {} as {}",
            self.number,
            conn.id(),
            conn.peer().map_or_else(|error| error.to_string(), |peer| peer.to_string())
        );
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        conn.send_all(input);
        input.len()
    }

    fn on_close(&mut self, _net: &mut Net, id: ConnId, _session: (), why: CloseReason) {
        debug!("loop {} has closed {id}: {why}", self.number);
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }
}
