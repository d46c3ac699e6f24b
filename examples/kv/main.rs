//! A store of keys and values in memory that speaks the Redis protocol (RESP2).
//!
//! `cargo run --release --example kv -- --listen 127.0.0.1:6379` serves `redis-cli`, `redis-benchmark` and client libraries.
//! `RUST_LOG=debug` shows each connection. Nothing is stored on the disk.
//!
//! The example shows a server of pipelined requests whose replies are larger than the requests. The replies of one callback
//! are gathered. Values are `Arc<[u8]>`, and large values are sent as shared blocks, without a copy for each client. A client
//! that sends 40 000 requests ahead and reads slowly is answered in full, while the outbox holds the high water mark and one
//! reply: the handler stops at `Flow::Full`, and the other requests wait. PUBLISH sends one block to all subscribers, and
//! drops subscribers that are too far behind.
//!
//! The commands are GET, SET, MGET, MSET, INCR, DECR, INCRBY, DECRBY, APPEND, STRLEN, DEL, EXISTS, EXPIRE, PEXPIRE, TTL, PTTL,
//! PERSIST, KEYS, DBSIZE, FLUSHALL, FLUSHDB, PUBLISH, SUBSCRIBE and UNSUBSCRIBE, and what client libraries ask for: PING, ECHO,
//! SELECT, HELLO, CLIENT, CONFIG GET, COMMAND, INFO and QUIT. There are no transactions. The protocol is RESP2 alone: `HELLO 3`
//! is answered with the error NOPROTO. From version 8 on, redis-py begins with RESP3, so it needs `protocol=2`; each version of
//! redis-py needs `pipeline(transaction=False)`.
//!
//! In a drain, a connection is closed when the commands that have come are answered.
//!
//! `resp.rs` is the protocol, `commands.rs` has the table of the commands, `keys.rs` and `server.rs` have the commands, and
//! `store.rs` has the keys and values.
//!
//! A copy of the example needs, beside tidegate: `cargo add clap ctrlc env_logger log mio signal-hook --features
//! clap/derive,ctrlc/termination,mio/net`.

mod call;
mod commands;
mod keys;
mod resp;
mod server;
mod store;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use log::{debug, info};
#[cfg(unix)]
use mio::{Interest, net::UnixStream};
#[cfg(unix)]
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
};
use tidegate::{Accepted, CloseReason, Conn, ConnId, EventLoop, Flow, Handler, Keepalive, Net, Options};
#[cfg(unix)]
use tidegate::{Readiness, SourceId};

use call::{Call, Then};
use resp::{Parsed, Reply, Words};
use store::Store;

/// Serves keys and values over the Redis protocol, until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Args {
    /// The address to listen at; ":6379" listens on every interface, port 0 takes a free port, and "unix:/path" is a Unix
    /// socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6379")]
    listen: String,

    /// Refuse commands that need memory while the keys and values need more than this number of bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    max_memory: usize,

    /// Close a connection over which no byte goes in either direction for this time, subscribers included; with 0, idle
    /// connections stay open
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds, allow_negative_numbers = true)]
    idle_timeout: Duration,

    /// Serve at most this number of clients at a time; further clients wait in the backlog
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_clients: u32,

    /// After a signal, give replies this time to reach their clients, and then reset the connections that are left; a second
    /// signal, at least a second after the first signal, resets all connections at once
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, allow_negative_numbers = true)]
    drain: Duration,
}

/// Signals that come so soon after the first signal belong to the first signal.
const REPEAT: Duration = Duration::from_secs(1);

/// A subscriber may be this many bytes behind, as with redis-server.
const MOST_BEHIND: usize = 32 << 20;

fn main() -> ExitCode {
    let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // eprintln! would panic if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "kv: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    // A command is kept until the command is whole, so an inbox takes an MSET of several long values. An outbox takes an MGET
    // of many. The budget bounds what all clients together can cost, and ends the client that costs the most.
    let mut options = Options::default()
        .max_inbox(64 << 20)
        .max_outbox(256 << 20)
        .memory_budget(1 << 30)
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
    let mut kv = Kv {
        #[cfg(unix)]
        signals,
        asked: None,
        drain: args.drain,
        store: Store::default(),
        begin: Instant::now(),
        started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64),
        max_memory: args.max_memory,
        subscribers: HashMap::new(),
        replies: Vec::new(),
        accepted: 0,
        open: 0,
    };

    // The program that started the server may wait for this line. If that program is gone, the write fails and the
    // server goes on.
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    info!("serving on {address}, Ctrl-C ends the server");

    let ended = server.run(&mut kv);
    info!("stopped\n{}", server.net().stats());
    Ok(ended?)
}

struct Kv {
    #[cfg(unix)]
    signals: Signals,
    /// The time of the last signal that asked the server to end.
    asked: Option<Instant>,
    drain: Duration,
    store: Store,
    /// The time of the start on the clock of the loop. The time of a turn minus this time gives the time of a command. So no
    /// command needs a call of a clock, and a jump of the system's clock expires no key.
    begin: Instant,
    /// The time of the start in milliseconds since 1970.
    started: i64,
    max_memory: usize,
    subscribers: HashMap<Box<[u8]>, Vec<ConnId>>,
    /// The replies of the present callback that the reactor has not been handed yet.
    replies: Vec<u8>,
    accepted: i64,
    open: usize,
}

/// The state of a client.
struct Session {
    number: i64,
    name: Vec<u8>,
    /// The channels that the client has subscribed to.
    channels: BTreeSet<Box<[u8]>>,
}

impl Handler for Kv {
    type Session = Session;

    fn on_accept(&mut self, _net: &mut Net<Session>, from: &Accepted) -> Option<Session> {
        debug!("{} opened by {}", from.id, from.peer);
        (self.accepted, self.open) = (self.accepted + 1, self.open + 1);
        Some(Session { number: self.accepted, name: Vec::new(), channels: BTreeSet::new() })
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Session>, input: &[u8]) -> usize {
        self.store.begin(self.started + conn.now().duration_since(self.begin).as_millis() as i64);
        let (mut used, mut args) = (0, Words::with_capacity(8));
        let (mut ends, mut commands_wait) = (false, false);
        while used < input.len() && !ends {
            match resp::parse(&input[used..], &mut args) {
                Parsed::Command(len) => {
                    used += len;
                    let (then, flow) = match args.is_empty() {
                        true => continue,
                        false => self.execute(conn, &args),
                    };
                    ends = then == Then::Quit;
                    if flow != Flow::Open {
                        commands_wait = used < input.len();
                        break; // the other commands are shown again when the client has taken enough of the replies
                    }
                }
                Parsed::Incomplete(len) => {
                    conn.need(len); // no call before the command can be whole
                    break;
                }
                Parsed::Bad(error) => {
                    self.reply(conn).error(&error);
                    ends = true;
                }
            }
        }
        self.reply(conn).flush();
        // In a drain, a client that sends commands without a pause would never be idle, and would be reset at the end. So the
        // connection ends when all commands that have come are answered. A command whose end is missing is not answered.
        if ends || (conn.net().is_draining() && !commands_wait) {
            conn.close(); // delivers the replies first
        }
        used
    }

    // The default `on_drain` closes clients that are idle, subscribers among them.

    /// A client that has sent its last command takes the replies as slowly as the client likes.
    fn on_eof(&mut self, conn: &mut Conn<'_, Session>) {
        conn.shutdown_write();
    }

    fn on_close(&mut self, _net: &mut Net<Session>, id: ConnId, session: Session, why: CloseReason) {
        debug!("{id} closed: {why}");
        self.open -= 1;
        for channel in session.channels {
            self.remove_subscriber(&channel, id);
        }
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

impl Kv {
    fn reply<'a>(&'a mut self, conn: &'a mut Conn<'_, Session>) -> Reply<'a> {
        Reply { bytes: &mut self.replies, out: conn.split().1, flow: Flow::Open }
    }

    fn execute(&mut self, conn: &mut Conn<'_, Session>, args: &[Cow<'_, [u8]>]) -> (Then, Flow) {
        let (session, out) = conn.split();
        let reply = Reply { bytes: &mut self.replies, out, flow: Flow::Open };
        let mut call =
            Call { store: &mut self.store, session, args, reply, clients: self.open, then: Then::Next };
        commands::run(&mut call, self.max_memory);
        call.reply.flush_batch();
        let (then, flow) = (call.then, call.reply.flow);
        match then {
            Then::Next | Then::Quit => {}
            Then::Abort => {
                conn.abort();
                return (then, Flow::Gone); // no further command is executed
            }
            Then::Publish => {
                let receivers = self.publish(conn.net(), &args[1], &args[2]);
                self.reply(conn).integer(receivers);
            }
            Then::Subscribe => args[1..].iter().for_each(|channel| self.subscribe(conn, channel)),
            Then::Unsubscribe if args.len() > 1 => {
                args[1..].iter().for_each(|channel| self.unsubscribe(conn, Some(channel)));
            }
            Then::Unsubscribe => {
                let channels = conn.session().channels.clone();
                channels.iter().for_each(|channel| self.unsubscribe(conn, Some(channel)));
                if channels.is_empty() {
                    self.unsubscribe(conn, None);
                }
            }
        }
        (then, flow)
    }

    /// All subscribers are sent one block. A subscriber that does not read must not hold up the others, and must not fill the
    /// memory.
    fn publish(&self, net: &mut Net<Session>, channel: &[u8], text: &[u8]) -> i64 {
        let Some(subscribers) = self.subscribers.get(channel) else { return 0 };
        let (channel_len, len) = (channel.len().to_string(), text.len().to_string());
        let head = [b"*3\r\n$7\r\nmessage\r\n$", channel_len.as_bytes(), b"\r\n", channel, b"\r\n$"].concat();
        let message: Arc<[u8]> = [&head, len.as_bytes(), b"\r\n", text, b"\r\n"].concat().into();
        for id in subscribers {
            if net.queued(*id) + message.len() > MOST_BEHIND {
                net.abort(*id); // the subscriber learns by a reset that messages are missing
            } else {
                net.send_shared(*id, &message);
            }
        }
        subscribers.len() as i64
    }

    fn subscribe(&mut self, conn: &mut Conn<'_, Session>, channel: &[u8]) {
        let id = conn.id();
        if conn.session().channels.insert(channel.into()) {
            self.subscribers.entry(channel.into()).or_default().push(id);
        }
        self.confirm(conn, "subscribe", Some(channel));
    }

    fn unsubscribe(&mut self, conn: &mut Conn<'_, Session>, channel: Option<&[u8]>) {
        if let Some(channel) = channel {
            conn.session().channels.remove(channel);
            self.remove_subscriber(channel, conn.id());
        }
        self.confirm(conn, "unsubscribe", channel);
    }

    fn confirm(&mut self, conn: &mut Conn<'_, Session>, what: &str, channel: Option<&[u8]>) {
        let count = conn.session().channels.len() as i64;
        let mut reply = self.reply(conn);
        reply.array(3);
        reply.bulk(what.as_bytes());
        match channel {
            Some(channel) => reply.bulk(channel),
            None => reply.null(),
        }
        reply.integer(count);
        reply.flush_batch();
    }

    fn remove_subscriber(&mut self, channel: &[u8], id: ConnId) {
        if let Some(subscribers) = self.subscribers.get_mut(channel) {
            subscribers.retain(|subscriber| *subscriber != id);
            if subscribers.is_empty() {
                self.subscribers.remove(channel);
            }
        }
    }

    fn end(&mut self, net: &mut Net<Session>) {
        let now = Instant::now();
        if self.asked.is_some_and(|at| now.duration_since(at) < REPEAT) {
            return;
        }
        self.asked = Some(now);
        if net.is_draining() {
            info!("asked by a further signal to end at once");
        } else {
            let (grace, open) = (self.drain, self.open);
            info!(
                "asked to end by a signal: clients have {grace:?}, and a second signal after {REPEAT:?} resets them (open: {open})"
            );
        }
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
