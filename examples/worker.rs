//! A server whose answers take long: threads compute the answers, and the loop serves all clients meanwhile.
//!
//! Start the server with `cargo run --release --example worker`, then ask from another terminal:
//! `printf '1000000\nping\n' | nc -N 127.0.0.1 7007`. A line with a number asks how many primes there are up to this number, and
//! `ping` is answered with `pong`. The answers come in the order of the lines. A line that begins with `#` is no answer.
//!
//! The example shows:
//!
//! * A callback gives the work to threads through a queue, and a channel of the loop brings the answers back. The threads
//!   compute up to eight requests of a client at a time, and an answer waits until all earlier answers are sent.
//! * A client that has ended its sending direction still gets its answers.
//! * The work for a client that has gone is cancelled. A reset tells at once that a client has gone. An end of file does not: a
//!   client that waits for its answers sends an end of file, and so does a client that has closed its socket. So the server
//!   sends comments to a client that has ended its sending direction. If the client has gone, its machine answers the comments
//!   with a reset.
//! * A drain waits for the answers that are owed.
//!
//! A copy of the example needs, beside tidegate: `cargo add clap ctrlc env_logger log --features
//! clap/derive,ctrlc/termination`.

use std::{
    collections::VecDeque,
    error::Error,
    io::{self, Write},
    panic,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use log::{debug, info};
use tidegate::{
    Accepted, CloseReason, Conn, ConnId, EventLoop, Flow, Handler, Keepalive, Net, Options, Receiver, Sender,
    framing,
};

/// Counts primes for clients, until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The address to listen at; ":7007" listens on every interface, port 0 takes a free port, and "unix:/path" is a Unix
    /// socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: String,

    /// The number of threads that compute
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    threads: u8,

    /// After a signal, give connections this time to get their answers, and then reset the connections that are left; a
    /// second signal, at least a second after the first signal, resets all connections at once
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u32,
}

/// This many answers may be owed to one client. Further lines wait in the connection.
const MOST_OWED: usize = 8;
/// So the queue of the threads has at most 8000 requests. Further clients wait in the backlog.
const MOST_CLIENTS: usize = 1000;
/// The greatest length of a line.
const MAX_LINE: usize = 64;
/// A connection that is owed no answer ends if no byte moves for this time.
const IDLE: Duration = Duration::from_secs(300);
/// The time between two comments to a client that has ended its sending direction.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Signals that come so soon after the first signal belong to the first signal.
const REPEAT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    // A client that is owed answers has no idle timeout. If the machine of the client has vanished, keepalive ends the work.
    let options = Options::default()
        .max_inbox(4 << 10)
        .max_connections(MOST_CLIENTS)
        .keepalive(Some(Keepalive::default()));
    let mut server = EventLoop::new(options)?;
    let listener = server.net().listen(args.listen.as_str())?;
    let address = server.net().local_address(listener)?; // with port 0, the system has chosen the port

    let (jobs, queue) = mpsc::channel();
    let (done, answers) = server.channel(); // a send wakes the loop, which then calls `on_wake`
    let queue = Arc::new(Mutex::new(queue));
    let mut threads = Vec::new();
    for number in 0..args.threads {
        let (queue, done) = (Arc::clone(&queue), done.clone());
        let builder = thread::Builder::new().name(format!("worker {number}"));
        threads.push(builder.spawn(move || compute(&queue, &done))?);
    }

    // Signals are handled before the address is printed: a program that waits for the address may send a signal at once.
    let (remote, grace) = (server.remote(), Duration::from_secs(args.drain.into()));
    let mut asked: Option<Instant> = None;
    ctrlc::set_handler(move || {
        match asked {
            None => info!(
                "asked to end by a signal: clients have {grace:?}, and a second signal after {REPEAT:?} resets them"
            ),
            Some(at) if at.elapsed() >= REPEAT => info!("asked by a further signal to end at once"),
            Some(_) => return, // the signal belongs to the first signal
        }
        asked = Some(Instant::now());
        remote.drain(grace); // a second drain resets all connections
    })?;

    // The program that started the server may wait for this line. If that program is gone, the write fails and the
    // server goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    info!("serving on {address}, Ctrl-C ends the server");

    let mut handler = Server { jobs, queue, answers };
    let ended = server.run(&mut handler);
    info!("stopped\n{}", server.net().stats());
    drop(handler); // the queue has no sender left, so the threads end
    for thread in threads {
        thread.join().map_err(|_| "a thread has panicked")?;
    }
    Ok(ended?)
}

/// A request on its way to the threads.
struct Job {
    client: ConnId,
    /// The number of the request in its connection, counted from 0.
    number: u64,
    limit: u32,
    /// True when no client waits for the answer.
    is_cancelled: Arc<AtomicBool>,
}

/// An answer on its way to the loop: the connection, the number of the request in the connection, and the line.
type Answer = (ConnId, u64, String);

/// Computes in a thread, until the server has ended.
fn compute(queue: &Mutex<mpsc::Receiver<Job>>, done: &Sender<Answer>) {
    loop {
        // The lock is free again while this thread computes.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { client, number, limit, is_cancelled }) = job else { return };
        // Without an answer, the connection would wait for ever, so a panic becomes an answer too.
        let line = match panic::catch_unwind(|| count_primes(limit, &is_cancelled)) {
            Ok(Some(count)) => format!("{limit} {count}\n"),
            Ok(None) => {
                debug!("the request {limit} of {client} was cancelled");
                continue;
            }
            Err(_) => format!("{limit} error: the computation has failed\n"),
        };
        if done.send((client, number, line)).is_err() {
            return; // the loop is gone
        }
    }
}

/// Counts the primes up to `limit`, slowly. Returns `None` if the work was cancelled, also before the start.
fn count_primes(limit: u32, is_cancelled: &AtomicBool) -> Option<u64> {
    let mut count = 0;
    for number in 1..=u64::from(limit) {
        // Work that is to be cancelled has to look at its flag now and then, because no thread can end another thread.
        if number % 1024 == 1 && is_cancelled.load(Ordering::Relaxed) {
            return None;
        }
        let has_divisor = (2..).take_while(|divisor| divisor * divisor <= number).any(|it| number % it == 0);
        count += u64::from(number > 1 && !has_divisor);
    }
    Some(count)
}

struct Server {
    jobs: mpsc::Sender<Job>,
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
    answers: Receiver<Answer>,
}

#[derive(Default)]
struct Client {
    /// The requests whose answers have not been sent yet. An answer that waits for an earlier answer is `Some`.
    owed: VecDeque<Option<String>>,
    /// The number of the first request in `owed`.
    first: u64,
    /// All lines of the client were read.
    has_ended: bool,
    /// The client gets comments.
    has_heartbeat: bool,
    is_cancelled: Arc<AtomicBool>,
}

/// Sends the answers whose turn has come. This function is called after each change of `owed`.
fn send_answers(conn: &mut Conn<'_, Client>) {
    let (client, mut out) = conn.split();
    while let Some(Some(answer)) = client.owed.front() {
        out.send_all(answer.as_bytes());
        client.owed.pop_front();
        client.first += 1;
    }
    let (owed, has_ended) = (client.owed.len(), client.has_ended);
    if has_ended && owed == 0 {
        // The connection ends when the last answer is sent. The idle timeout ends the connection if the client does not read.
        conn.shutdown_write();
    }
    if owed < MOST_OWED {
        conn.resume_reading();
    } else {
        conn.pause_reading();
    }
    // The reactor does not know the answers that are owed. To the reactor, a client that waits for an answer is idle.
    conn.set_idle_timeout((owed == 0).then_some(IDLE));
    if conn.net().is_draining() {
        let quiet = conn.net().options().drain_quiet;
        conn.close_when_idle(if owed == 0 { quiet } else { Duration::MAX });
    }
}

impl Server {
    /// Takes the cancelled requests out of the queue. Otherwise clients that come and go would fill the memory with them while
    /// all threads are busy.
    fn forget_cancelled(&self) {
        // A thread that waits for a request has the lock, and then the queue is empty.
        let Ok(queue) = self.queue.try_lock() else { return };
        let jobs: Vec<Job> = queue.try_iter().collect();
        for job in jobs.into_iter().filter(|job| !job.is_cancelled.load(Ordering::Relaxed)) {
            self.jobs.send(job).expect("the server has the receiver");
        }
    }
}

/// Sends comments to a client that may have gone.
fn begin_heartbeat(conn: &mut Conn<'_, Client>) {
    if !std::mem::replace(&mut conn.session().has_heartbeat, true) {
        conn.after(HEARTBEAT, 0);
    }
}

impl Handler for Server {
    type Session = Client;

    fn on_accept(&mut self, _net: &mut Net<Client>, from: &Accepted) -> Option<Client> {
        debug!("{} opened by {}", from.id, from.peer);
        Some(Client::default())
    }

    fn on_open(&mut self, conn: &mut Conn<'_, Client>) {
        conn.set_idle_timeout(IDLE);
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Client>, input: &[u8]) -> usize {
        let mut lines = framing::lines(input, MAX_LINE);
        let id = conn.id();
        let client = conn.session();
        while client.owed.len() < MOST_OWED {
            let Some(line) = lines.next() else { break };
            let Ok(line) = line else {
                debug!("{id} has sent a line that is too long");
                conn.abort();
                return lines.used();
            };
            // An answer that needs no work also waits for the earlier answers.
            let number = client.first + client.owed.len() as u64;
            client.owed.push_back(match str::from_utf8(line).unwrap_or("").trim() {
                "ping" => Some("pong\n".into()),
                line => match line.parse() {
                    Ok(limit) => {
                        let is_cancelled = Arc::clone(&client.is_cancelled);
                        let job = Job { client: id, number, limit, is_cancelled };
                        self.jobs.send(job).expect("the threads end after the server");
                        None
                    }
                    Err(_) => Some(format!("error: write ping or a number up to {}\n", u32::MAX)),
                },
            });
        }
        send_answers(conn);
        lines.used()
    }

    fn on_wake(&mut self, net: &mut Net<Client>) {
        for (id, number, line) in self.answers.try_iter() {
            let Some(mut conn) = net.conn(id) else { continue }; // the client has gone meanwhile
            let client = conn.session();
            client.owed[(number - client.first) as usize] = Some(line);
            send_answers(&mut conn);
        }
    }

    /// The client has ended while reading pauses. The client may have gone, or may wait for its answers.
    fn on_peer_closed(&mut self, conn: &mut Conn<'_, Client>) {
        begin_heartbeat(conn);
    }

    /// The client has ended, and all its lines were read.
    fn on_eof(&mut self, conn: &mut Conn<'_, Client>) {
        conn.session().has_ended = true;
        begin_heartbeat(conn);
        send_answers(conn);
    }

    fn on_timeout(&mut self, conn: &mut Conn<'_, Client>, _tag: u64) {
        if conn.session().owed.is_empty() {
            conn.session().has_heartbeat = false; // there is no work to cancel
            return;
        }
        match conn.send_all(b"# the server computes\n") {
            // The first comment was answered with a reset. Lines of the client may still wait, and no client needs their answers.
            Flow::Gone => conn.abort(),
            Flow::Full => conn.session().has_heartbeat = false, // the unsent bytes do the work of a comment
            _ => drop(conn.after(HEARTBEAT, 0)),
        }
    }

    fn on_drain(&mut self, conn: &mut Conn<'_, Client>) {
        send_answers(conn);
    }

    fn on_close(&mut self, net: &mut Net<Client>, id: ConnId, client: Client, why: CloseReason) {
        client.is_cancelled.store(true, Ordering::Relaxed);
        if client.owed.contains(&None) {
            self.forget_cancelled();
        }
        debug!("{id} closed with {} answers owed: {why}", client.owed.len());
        if net.undelivered() {
            debug!("{id} has not got all of its answers");
        }
    }
}
