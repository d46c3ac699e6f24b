//! The plan of a run: each workload with its numbers, for a full run and for a quick run.

use std::time::Duration;

use clap::ValueEnum;

use crate::args::Args;
use crate::child::{Contender, What};
use crate::results::Kind;
use crate::servers::Builtin;

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
        for &wanted in numbers {
            let case = load.case(args, wanted.min(most));
            if wanted > most {
                notes.push(format!(
                    "{} ran with {most} connections in place of {wanted}, because a process may have {descriptors} \
                     descriptors",
                    load.name()
                ));
            }
            // Two cases that the limit reduces to an equal number of connections count as one case.
            let is_same = |other: &Case| {
                (other.kind, other.message, other.connections) == (case.kind, case.message, case.connections)
            };
            if !cases.iter().any(is_same) {
                cases.push(case);
            }
        }
    }
    cases
}

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
        }
    }

    fn case(self, args: &Args, connections: usize) -> Case {
        let (kind, message, in_flight) = match self {
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
        // In these workloads this crate's server is within a few per cent of the floor, so each per cent must be
        // measured.
        let is_precise = matches!(kind, Kind::PingPong | Kind::Pipelined | Kind::Bulk);
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
            (_, false) => 7,
        };
        let millis = match (kind, args.quick) {
            // The CPU time of short-lived threads is known in steps of 10 ms only.
            (Kind::Churn, true) => 100,
            (_, true) => 50,
            // The round is long enough for several messages on each connection, so that the first messages, which all
            // clients send at once, do not dominate the result.
            (_, false) if connections > 2000 => 500,
            (_, false) if is_precise => 100,
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
        }
    }

    /// Returns true if a server can take part. A server that serves one client at a time would keep all other clients
    /// waiting for ever.
    pub fn suits(&self, contender: &Contender) -> bool {
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
mod tests {
    use clap::Parser;

    use super::*;

    fn planned(arguments: &str, descriptors: u64) -> (Vec<String>, Vec<String>) {
        let args = Args::try_parse_from(arguments.split(' ')).unwrap();
        let mut notes = Vec::new();
        let titles = cases(&args, descriptors, &mut notes).iter().map(Case::title).collect();
        (titles, notes)
    }

    #[test]
    fn a_note_says_that_the_limit_of_descriptors_reduces_the_connections() {
        let (titles, notes) = planned("bench --workloads ping-pong --connections 1,5000,10000", 1064);
        assert_eq!(titles, ["ping-pong, 64 bytes, 1 connection", "ping-pong, 64 bytes, 1000 connections"]);
        assert_eq!(notes.len(), 2);
        assert_eq!(
            notes[1],
            "ping-pong ran with 1000 connections in place of 10000, because a process may have 1064 descriptors"
        );
    }

    #[test]
    fn servers_close_to_the_floor_have_more_rounds_unless_the_user_sets_the_rounds() {
        let rounds = |arguments: &str, server| {
            let args = Args::try_parse_from(arguments.split(' ')).unwrap();
            let case = cases(&args, 20_000, &mut Vec::new()).remove(0);
            (0..case.rounds).filter(|round| case.has(*round, &Contender::from(server))).count()
        };
        for server in [Builtin::Tidegate, Builtin::Mio256k] {
            assert_eq!(rounds("bench --workloads ping-pong", server), 25);
            assert_eq!(rounds("bench --workloads ping-pong --rounds 5", server), 5);
        }
        assert_eq!(rounds("bench --workloads ping-pong", Builtin::Threads), 7);
        assert_eq!(rounds("bench --workloads ping-pong --rounds 5", Builtin::Threads), 5);
        assert_eq!(rounds("bench --workloads ping-pong --quick", Builtin::Threads), 3);
        assert_eq!(rounds("bench --workloads churn", Builtin::Threads), 7);
    }

    #[test]
    fn the_blocking_server_takes_part_only_in_workloads_with_one_connection() {
        let args = Args::try_parse_from(["bench"]).unwrap();
        let blocking = Contender::from(Builtin::Blocking);
        let cases = cases(&args, 20_000, &mut Vec::new());
        let titles: Vec<_> = cases.iter().filter(|case| case.suits(&blocking)).map(Case::title).collect();
        assert_eq!(
            titles,
            [
                "ping-pong, 64 bytes, 1 connection",
                "ping-pong, 16 KiB, 1 connection",
                "pipelined, 64 bytes, 16 in flight, 1 connection",
                "bulk both ways, 1 stream"
            ]
        );
        assert!(cases.iter().all(|case| case.suits(&Contender::from(Builtin::Tidegate))));
    }
}
