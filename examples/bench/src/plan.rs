//! The plan of a run: each workload with its numbers, for a full run and for a quick run.

use std::time::Duration;

use clap::ValueEnum;

use crate::args::Args;
use crate::child::{Contender, What};
use crate::protocol;
use crate::results::Kind;
use crate::servers::{Builtin, Service};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// Each connection sends 64 bytes and waits for the echo, again and again
    PingPong,
    /// Each connection sends 16 KiB and waits for the echo, again and again
    #[value(name = "ping-pong-16k")]
    PingPong16k,
    /// Each connection has 16 messages of 64 bytes in flight
    Pipelined,
    /// Messages of 64 bytes at a rate that all servers reach; the latency counts from the due time of a message
    FixedRate,
    /// Each connection carries a stream of bytes to the server and back
    Bulk,
    /// A fixed number of clients at a time connect, receive one echo of 64 bytes and close
    Churn,
    /// The memory for each idle connection is measured, before and after an echo of 16 KiB on each connection
    Idle,
    /// Clients send 8 MiB and do not read, while another client plays ping-pong
    SlowReaders,
    /// Connections carry streams to the server and back, while another client plays ping-pong
    Flood,
    /// Each connection carries a stream of frames of 1 000, 40 001 and 200 003 bytes; the server acknowledges
    Framed,
    /// A publisher sends messages of 1 KiB to all subscribers, with 1, 16 and 64 messages in flight
    Broadcast,
    /// Each connection receives a file of 200 MiB, again and again
    File,
    /// Each client socket sends a datagram of 64 bytes and waits for the echo, again and again
    Datagrams,
    /// --apps: each connection gets values from the example kv or from redis, with 1 and 16 requests in flight
    KvGet,
    /// --apps: each connection sets values in the example kv or in redis, with 1 and 16 requests in flight
    KvSet,
    /// --apps: each connection requests a short text from an HTTP server, with 1 and 16 requests in flight
    HttpPlaintext,
    /// --apps: each connection requests a file of 4 KiB or 1 MiB from an HTTP server
    HttpFile,
    /// --apps: each connection carries a stream of frames through a proxy; the backend acknowledges
    ProxyStreams,
    /// --apps: each connection plays ping-pong with 64 bytes through a proxy
    ProxyPingPong,
    /// --apps: clients connect, receive one echo of 64 bytes through a proxy, and close
    ProxyChurn,
}

/// A workload with one number of connections.
#[derive(Clone, Debug)]
pub struct Case {
    pub kind: Kind,
    pub connections: usize,
    pub message: usize,
    pub in_flight: usize,
    pub rounds: usize,
    /// A server that is not close to the floor takes part in the first of every `stride` rounds. A server that is close
    /// to the floor takes part in every round.
    pub stride: usize,
    pub warm_up: Duration,
    pub time: Duration,
}

/// The message size of clients with one message in flight.
pub const PING: usize = 64;

/// The number of descriptors that a process needs besides the descriptors of the connections.
const OTHER_DESCRIPTORS: u64 = 64;

/// Returns all cases. Adds a note for each case whose number of connections the limit of descriptors has reduced.
pub fn cases(args: &Args, descriptors: u64, notes: &mut Vec<String>) -> Vec<Case> {
    let most = usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX).max(1);
    let mut cases: Vec<Case> = Vec::new();
    for load in args.workloads() {
        let default = load.connections(args.quick);
        let numbers = if args.connections.is_empty() { default } else { &args.connections };
        for &wanted in numbers.iter().filter(|wanted| **wanted > most) {
            notes.push(format!(
                "{} ran with {most} connections in place of {wanted}, because a process may have {descriptors} \
                 descriptors",
                load.name()
            ));
        }
        for shape in load.shapes(args.quick) {
            for &wanted in numbers {
                let case = load.case(args, shape, wanted.min(most));
                // Two cases that the limit reduces to an equal number of connections count as one case.
                if !cases.iter().any(|other| other.title() == case.title()) {
                    cases.push(case);
                }
            }
        }
    }
    cases
}

/// The message size of a workload, and the number of messages in flight.
#[derive(Clone, Copy)]
struct Shape {
    kind: Kind,
    message: usize,
    in_flight: usize,
}

/// The number of bytes of a framed stream that may be sent before they are acknowledged. The number is larger than the
/// MiB after which a server acknowledges, so the server does not wait for the generator.
const FRAMED_WINDOW: usize = 2 << 20;

/// The lengths of the frames. The first length is the default, and the only length of a quick run.
const FRAMES: [usize; 3] = [1000, 40_001, 200_003];

/// The numbers of broadcast messages in flight, and the only number of a quick run.
const BROADCAST: [usize; 3] = [1, 16, 64];
const QUICK_BROADCAST: usize = 16;

/// The lengths of the values of a store. The first length is the only length of a quick run.
const VALUES: [usize; 2] = [3, 1 << 10];

/// The numbers of requests in flight.
const REQUESTS: [usize; 2] = [1, 16];

/// The lengths of the files of an HTTP server.
const FILES: [usize; 2] = [4 << 10, 1 << 20];

impl Load {
    fn name(self) -> String {
        self.to_possible_value().expect("none is skipped").get_name().into()
    }

    fn connections(self, quick: bool) -> &'static [usize] {
        match self {
            Load::PingPong if quick => &[1, 10, 100, 1000],
            Load::PingPong => &[1, 10, 50, 100, 1000, 10_000],
            Load::PingPong16k | Load::Pipelined if !quick => &[1, 10, 50, 1000],
            Load::PingPong16k | Load::Pipelined | Load::FixedRate => &[50],
            Load::Bulk => &[1, 16],
            Load::Churn | Load::Flood => &[16],
            Load::Idle if quick => &[1000],
            Load::Idle => &[10_000],
            Load::SlowReaders => &[20],
            Load::Framed => &[4],
            Load::Broadcast if quick => &[1, 100],
            Load::Broadcast => &[1, 10, 100, 1000],
            Load::File if quick => &[1],
            Load::File => &[1, 4],
            Load::Datagrams => &[1, 20],
            Load::KvGet | Load::KvSet | Load::HttpPlaintext | Load::ProxyPingPong => &[50],
            Load::HttpFile => &[10],
            Load::ProxyStreams => &[1, 4],
            Load::ProxyChurn => &[16],
        }
    }

    /// Returns true for the workloads of the option `--apps`.
    pub fn is_app(self) -> bool {
        self.shapes(true)[0].kind.is_app()
    }

    /// Returns the shapes of the workload. Most workloads have a single shape.
    fn shapes(self, quick: bool) -> Vec<Shape> {
        let shape = |(kind, message, in_flight)| Shape { kind, message, in_flight };
        let one = match self {
            Load::Framed => {
                let frame = |frame| (Kind::Framed, frame, FRAMED_WINDOW.div_ceil(frame));
                let lengths = if quick { &FRAMES[..1] } else { &FRAMES[..] };
                return lengths.iter().map(|length| shape(frame(*length))).collect();
            }
            Load::Broadcast => {
                let message = |in_flight| (Kind::Broadcast, protocol::MESSAGE, in_flight);
                let numbers = if quick { &[QUICK_BROADCAST][..] } else { &BROADCAST[..] };
                return numbers.iter().map(|number| shape(message(*number))).collect();
            }
            Load::KvGet | Load::KvSet => {
                let kind = if self == Load::KvGet { Kind::KvGet } else { Kind::KvSet };
                let lengths = if quick { &VALUES[..1] } else { &VALUES[..] };
                let both = |length: &usize| REQUESTS.map(|in_flight| (kind, *length, in_flight));
                return lengths.iter().flat_map(both).map(shape).collect();
            }
            Load::HttpPlaintext => {
                let text = |in_flight| (Kind::HttpPlaintext, protocol::PLAINTEXT.len(), in_flight);
                return REQUESTS.map(text).map(shape).to_vec();
            }
            Load::HttpFile => return FILES.map(|length| (Kind::HttpFile, length, 1)).map(shape).to_vec(),
            Load::ProxyStreams => (Kind::ProxyStreams, FRAMES[1], FRAMED_WINDOW.div_ceil(FRAMES[1])),
            Load::ProxyPingPong => (Kind::ProxyPingPong, PING, 1),
            Load::ProxyChurn => (Kind::ProxyChurn, PING, 1),
            Load::File if quick => (Kind::File, 16 << 20, 1),
            Load::File => (Kind::File, 200 << 20, 1),
            Load::Datagrams => (Kind::Datagrams, PING, 1),
            Load::PingPong => (Kind::PingPong, PING, 1),
            Load::PingPong16k => (Kind::PingPong, 16 << 10, 1),
            Load::Pipelined => (Kind::Pipelined, PING, 16),
            Load::FixedRate => (Kind::FixedRate, PING, 1),
            // A mebibyte in flight is more than a server holds, so the server never waits for the generator.
            Load::Bulk => (Kind::Bulk, 64 << 10, 16),
            Load::Churn => (Kind::Churn, PING, 1),
            Load::Idle => (Kind::Idle, 16 << 10, 1),
            Load::SlowReaders => (Kind::SlowReaders, 8 << 20, 1),
            Load::Flood => (Kind::Flood, 64 << 10, 4),
        };
        vec![shape(one)]
    }

    fn case(self, args: &Args, shape: Shape, connections: usize) -> Case {
        let Shape { kind, message, in_flight } = shape;
        // In these workloads this crate's server is within a few per cent of the floor, so each per cent must be
        // measured.
        let is_precise =
            matches!(kind, Kind::PingPong | Kind::Pipelined | Kind::Bulk | Kind::Framed | Kind::Datagrams)
                || kind.is_app();
        let rounds = match (kind, args.quick) {
            // Memory is less noisy than time, and every round has a new process.
            (Kind::Idle, true) => 1,
            (Kind::Idle, false) => 3,
            // To connect so many clients, or to fill all buffers, takes far longer than to measure.
            (kind, true) if kind == Kind::SlowReaders || connections >= 1000 => 2,
            (_, false) if connections > 2000 => 9,
            (_, true) => 3,
            // The precise workloads have many short rounds. A disturbance of the machine lasts longer than a round, so
            // the disturbance affects the neighbouring rounds as well. The interval of a ratio becomes narrower with
            // each pair of rounds.
            (_, false) if is_precise => 25,
            (Kind::SlowReaders, false) => 5,
            // The workload has many cases, and its servers differ by far more than a per cent.
            (Kind::Broadcast, false) => 9,
            // Each round receives the file at least once on each connection, which takes long.
            (Kind::File, false) => 15,
            (_, false) => 7,
        };
        let millis = match (kind, args.quick) {
            // The CPU time of short-lived threads is known in steps of 10 ms only.
            (Kind::Churn | Kind::ProxyChurn, true) => 100,
            (_, true) => 50,
            // The round is long enough for several messages on each connection, so that the first messages, which all
            // clients send at once, do not dominate the result.
            (_, false) if connections > 2000 => 500,
            (_, false) if is_precise || kind == Kind::Broadcast => 100,
            (_, false) => 200,
        };
        // Servers far from the floor need fewer rounds, because their differences are larger than a few per cent.
        // Also, a server with a thread for each of thousands of clients needs more time for a round than any other
        // server.
        let is_sparse = !args.quick && args.rounds.is_none() && (is_precise || kind == Kind::Idle);
        let stride = if is_sparse { 4 } else { 1 };
        let time = args.round_time.unwrap_or(Duration::from_millis(millis));
        let rounds = args.rounds.unwrap_or(rounds);
        Case { kind, connections, message, in_flight, rounds, stride, warm_up: time / 5, time }
    }
}

impl Case {
    /// Returns the title for a heading.
    pub fn title(&self) -> String {
        let (n, s) = (self.connections, if self.connections == 1 { "" } else { "s" });
        let size = size(self.message);
        match self.kind {
            Kind::PingPong => format!("ping-pong, {size}, {n} connection{s}"),
            Kind::Pipelined => format!("pipelined, {size}, {} in flight, {n} connection{s}", self.in_flight),
            Kind::FixedRate => format!("fixed rate, {size}, {n} connection{s}"),
            Kind::Bulk => format!("bulk both ways, {n} stream{s}"),
            Kind::Churn => format!("connect, echo, close, {n} client{s} at a time"),
            Kind::Idle => format!("idle, {n} connection{s}"),
            Kind::SlowReaders => format!(
                "{n} client{s} that do{} not read, beside a ping-pong client",
                if n == 1 { "es" } else { "" }
            ),
            Kind::Flood => format!("{n} stream{s} beside a ping-pong client"),
            Kind::Framed => format!("framed, {size}, {n} stream{s}"),
            Kind::Broadcast => {
                format!("broadcast, {size}, {} in flight, {n} subscriber{s}", self.in_flight)
            }
            Kind::File => format!("file, {size}, {n} connection{s}"),
            Kind::Datagrams => format!("datagrams, {size}, {n} socket{s}"),
            Kind::KvGet => format!("kv: GET, {size}, {} in flight, {n} connection{s}", self.in_flight),
            Kind::KvSet => format!("kv: SET, {size}, {} in flight, {n} connection{s}", self.in_flight),
            Kind::HttpPlaintext => {
                format!("http: plaintext, {} in flight, {n} connection{s}", self.in_flight)
            }
            Kind::HttpFile => format!("http: a file of {size}, {n} connection{s}"),
            Kind::ProxyStreams => format!("proxy: {n} stream{s}"),
            Kind::ProxyPingPong => format!("proxy: ping-pong, {size}, {n} connection{s}"),
            Kind::ProxyChurn => format!("proxy: connect, echo, close, {n} client{s} at a time"),
        }
    }

    /// Returns the service that the workload needs.
    pub fn service(&self) -> Service {
        match self.kind {
            Kind::Framed => Service::Framed,
            Kind::Broadcast => Service::Broadcast,
            Kind::File => Service::File,
            Kind::Datagrams => Service::Datagrams,
            Kind::KvGet | Kind::KvSet => Service::Kv,
            Kind::HttpPlaintext | Kind::HttpFile => Service::Http,
            Kind::ProxyStreams | Kind::ProxyPingPong | Kind::ProxyChurn => Service::Proxy,
            _ => Service::Echo,
        }
    }

    /// Returns true if a server has the service, and can take part. A server that serves one client at a time would keep
    /// all other clients waiting for ever.
    pub fn suits(&self, contender: &Contender) -> bool {
        let lacks_files = |builtin: Builtin| self.kind == Kind::HttpFile && !builtin.has_files();
        if !contender.has(self.service()) || contender.builtin().is_some_and(lacks_files) {
            return false;
        }
        let is_single = matches!(self.kind, Kind::PingPong | Kind::Pipelined | Kind::Bulk | Kind::FixedRate)
            && self.connections == 1;
        contender.what != What::Builtin(Builtin::Blocking) || is_single
    }

    /// Returns true if a server takes part in the round.
    pub fn has(&self, round: usize, contender: &Contender) -> bool {
        contender.is_close() || round.is_multiple_of(self.stride)
    }

    /// Returns true if each round needs a new process, because the memory that an old process keeps would hide the
    /// memory that the next round needs.
    pub fn is_fresh(&self) -> bool {
        matches!(self.kind, Kind::Idle | Kind::SlowReaders)
    }
}

fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else if bytes.is_multiple_of(1 << 10) {
        format!("{} KiB", bytes >> 10)
    } else {
        format!("{bytes} bytes")
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
