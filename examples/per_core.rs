//! An echo server with a loop for each core. Each loop has a thread of its own, and shares nothing with the others.
//!
//! Start the server with `cargo run --release --example per_core -- --cores 2`, then talk to it from another terminal with
//! `nc 127.0.0.1 7007`, or with the example `echo_client`. There are two ways to bring the clients to the loops:
//!
//! * **A listener for each loop** (the default): SO_REUSEPORT lets all loops listen at one port, and the kernel chooses the
//!   loop by a hash of the addresses. No thread has work for the clients of another thread, so this way suits many short
//!   connections. The kernel does not look at the load of the loops: of few long connections, one loop may get most, and a
//!   client of a busy loop waits although another loop is idle. (Linux spreads the clients. Other systems with SO_REUSEPORT may
//!   give all clients to one listener.)
//! * **`--hand-over`**: one loop accepts, and gives each client to the loop that has the fewest clients. This way suits long
//!   connections, clients that differ much in their work, and Unix sockets, which have no SO_REUSEPORT. Each connection
//!   costs a message between two threads.
//!
//! Loops on several cores serve more only if the cores are idle: where the clients run on the same two cores, two loops echo as
//! many messages as one loop (1.00 in either way), because one loop and its clients use both cores already.
//!
//! # Clients that wait when a listener closes
//!
//! A client whose connection is complete waits in the backlog of its listener until the loop accepts the client. With
//! SO_REUSEPORT, each listener has a backlog of its own. A drain accepts the clients that wait, and closes the listener then.
//! A client that connects between these two steps is reset, and so are all clients in the backlog of a loop that ends without
//! a drain. This happens also while other listeners at the port go on. On Linux 5.14 and later, the kernel moves these clients
//! to another listener at the port if `net.ipv4.tcp_migrate_req` is 1 (`sysctl -w net.ipv4.tcp_migrate_req=1`; the default is
//! 0). The kernel can still reset a client whose connection becomes complete at the very moment of the close: Linux 6.18 did
//! so for about one client in 300 closes under load. So a program whose loops come and go while clients connect sets this
//! option. If no client at all may be lost, the program uses `--hand-over`: the one listener stays open there, and a loop that
//! ends only gets no further clients.
//!
//! The kernel chooses a listener also for clients of a loop that is full. Such a client would wait for this loop while other
//! loops have room, so the listeners close clients beyond the limit, and the clients can try again.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use log::{debug, info};
use tidegate::{
    Accepted, Address, CloseReason, Conn, ConnId, Detached, EventLoop, Handler, ListenOptions, Net, Options,
    Receiver, Refused, Remote, Sender, WhenFull,
};

/// Sends each byte back to the client that sent the byte, until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The address to listen at; ":7007" listens on every interface, port 0 takes a free port, and "unix:/path", which needs
    /// --hand-over, is a Unix socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: String,

    /// The number of loops that serve, each in a thread of its own [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    cores: Option<u8>,

    /// Accept in one further loop, which gives each client to the loop that has the fewest clients
    #[arg(long)]
    hand_over: bool,
}

/// The limit of clients of each loop.
const MOST_CLIENTS: usize = 10_000;
/// The memory for the buffers of all loops together.
const MEMORY: usize = 1 << 30;
/// How long clients may take, after a signal, to become idle.
const GRACE: Duration = Duration::from_secs(5);
/// Signals that come so soon after the first signal belong to the first signal.
const REPEAT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "per_core: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    let cores = match args.cores {
        Some(cores) => cores.into(),
        None => thread::available_parallelism()?.get(),
    };
    let options = Options::default()
        .max_connections(MOST_CLIENTS)
        .memory_budget(MEMORY / cores)
        .idle_timeout(Some(Duration::from_secs(300)));
    let mut loops = (0..cores).map(|_| EventLoop::new(options.clone())).collect::<io::Result<Vec<_>>>()?;

    let mut acceptor = None;
    let address = if args.hand_over {
        let acceptor = acceptor.insert(EventLoop::new(Options::default())?);
        let listener = acceptor.net().listen(args.listen.as_str())?;
        acceptor.net().local_address(listener)?
    } else {
        listen_in_each(&mut loops, &args.listen)?
    };

    let (mut workers, mut threads) = (Vec::new(), Vec::new());
    for (number, mut event_loop) in loops.into_iter().enumerate() {
        let (sender, newcomers) = event_loop.channel(); // a send wakes the loop, which then calls `on_wake`
        let clients = Arc::new(AtomicUsize::new(0));
        workers.push(Worker { sender, remote: event_loop.remote(), clients: Arc::clone(&clients) });
        let mut echo = Echo { number, newcomers, clients };
        let builder = thread::Builder::new().name(format!("loop {number}"));
        threads.push(builder.spawn(move || {
            let ended = event_loop.run(&mut echo);
            info!("loop {number} has stopped\n{}", event_loop.net().stats());
            ended
        })?);
    }
    let all: Vec<Remote> = workers.iter().map(|worker| worker.remote.clone()).collect();
    let clients = workers.iter().map(|worker| Arc::clone(&worker.clients)).collect();
    // The acceptor ends first, so that each client that it has accepted is with a worker before the workers drain.
    let first = acceptor.as_ref().map_or(all.clone(), |acceptor| vec![acceptor.remote()]);
    end_at_signals(first, all, clients)?;

    // The program that started the server may wait for this line. If that program is gone, the write fails and the
    // server goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    info!("serving on {address} with {cores} loops, Ctrl-C ends the server");

    let mut ended = Ok(());
    if let Some(mut acceptor) = acceptor {
        let mut handler = Acceptor { workers };
        ended = acceptor.run(&mut handler);
        info!("{} clients were handed over", acceptor.net().stats().detached);
        handler.workers.iter().for_each(|worker| worker.remote.drain(GRACE));
    }
    for thread in threads {
        thread.join().map_err(|_| "a loop has panicked")??;
    }
    Ok(ended?)
}

/// Makes a listener for the same port in each loop. Returns the address.
fn listen_in_each(loops: &mut [EventLoop], at: &str) -> Result<Address, Box<dyn Error>> {
    let mut address = Address::resolve(at)?; // may ask a name server and block, before the loops run
    if address.is_unix() {
        return Err("a Unix socket has one listener, so it needs --hand-over".into());
    }
    let options = ListenOptions::default().reuse_port(true).when_full(WhenFull::Close);
    for event_loop in loops {
        let listener = event_loop.net().listen_with(address, options.clone())?;
        address = event_loop.net().local_address(listener)?; // with port 0, the system has chosen the port
    }
    Ok(address)
}

/// The first signal drains the loops in `first`. A further signal resets all connections.
fn end_at_signals(
    first: Vec<Remote>,
    all: Vec<Remote>,
    clients: Vec<Arc<AtomicUsize>>,
) -> Result<(), ctrlc::Error> {
    let mut asked: Option<Instant> = None;
    ctrlc::set_handler(move || match asked {
        None => {
            asked = Some(Instant::now());
            let open: usize = clients.iter().map(|clients| clients.load(Ordering::Relaxed)).sum();
            info!(
                "asked to end by a signal: clients have {GRACE:?}, and a second signal after {REPEAT:?} resets them (open: {open})"
            );
            first.iter().for_each(|remote| remote.drain(GRACE));
        }
        Some(at) if at.elapsed() >= REPEAT => {
            info!("asked by a further signal to end at once");
            all.iter().for_each(|remote| remote.drain(Duration::ZERO));
        }
        Some(_) => {} // the signal belongs to the first signal
    })
}

/// The acceptor's view of a loop that serves.
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
        let clients = |worker: &&Worker| worker.clients.load(Ordering::Relaxed);
        let least_loaded = self.workers.iter().min_by_key(clients);
        // `attach` has no limit of its own, so the acceptor applies the limit.
        let Some(worker) = least_loaded.filter(|worker| clients(worker) < MOST_CLIENTS) else {
            return conn.abort();
        };
        worker.clients.fetch_add(1, Ordering::Relaxed);
        // The connection ends here without `on_close`. If the loop is gone, the connection is closed by its drop.
        let _ = worker.sender.send(conn.detach());
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, _input: &[u8]) -> usize {
        0 // never called: each connection is handed over in `on_open`
    }
}

struct Echo {
    number: usize,
    newcomers: Receiver<Detached>,
    clients: Arc<AtomicUsize>,
}

impl Handler for Echo {
    type Session = ();

    /// A client of the loop's own listener.
    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        self.clients.fetch_add(1, Ordering::Relaxed);
        Some(())
    }

    /// Clients of the acceptor.
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
