//! What a run found: the JSON file is exactly this, and the table and the report are made of nothing else.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Of this format; changes when a field does.
    pub format: u32,
    pub machine: Machine,
    /// The arguments it was started with, to run it again.
    pub arguments: Vec<String>,
    /// Seconds since 1970 when it began.
    pub began: u64,
    pub seconds: f64,
    pub servers: Vec<Server>,
    /// The names of the servers that ratios refer to, if they took part; of `Bulk` each workload has a floor of its own.
    pub floor: Option<String>,
    pub baseline: Option<String>,
    pub workloads: Vec<Workload>,
    /// What a reader has to know: what was cut short and why, what was not quiet.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    pub system: String,
    pub kernel: String,
    pub processor: String,
    pub cores: usize,
    pub memory_bytes: u64,
    /// The server had a core of its own, and the load generator another.
    pub pinned: bool,
    /// How many descriptors a process may have.
    pub descriptors: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Server {
    pub name: String,
    /// A few words, for the legend.
    pub about: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One message in flight on each connection, closed loop.
    PingPong,
    /// Several in flight on each.
    Pipelined,
    /// Ping-pong at a fixed rate: latency counts from when a message was due to be sent.
    FixedRate,
    /// A stream both ways on each connection.
    Bulk,
    /// Connect, one echo, close.
    Churn,
    /// Connections that say nothing.
    Idle,
    /// Clients that send and do not read, and one that plays ping-pong beside them.
    SlowReaders,
    /// Streams, and one client that plays ping-pong beside them.
    Flood,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workload {
    pub kind: Kind,
    /// For a heading: "ping-pong, 64 bytes, 50 connections".
    pub title: String,
    pub connections: usize,
    pub message_bytes: usize,
    pub in_flight: usize,
    /// Messages a second, for `FixedRate`: the same for all servers.
    pub rate: Option<f64>,
    /// The floor used in this workload. For `Bulk`, where the buffer decides, that is the bare mio loop which took the least
    /// CPU time for a GiB, of those that took part.
    pub floor: Option<String>,
    pub results: Vec<Outcome>,
}

/// One server under one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub server: String,
    pub rounds: Vec<Round>,
    /// Why there is no figure, or only some.
    pub error: Option<String>,
    pub summary: Option<Summary>,
}

/// What was measured in one round; the server's figures are the system's own for its process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// Which one of its workload, from 0 on: those of the same number ran one right after the other.
    pub number: usize,
    pub seconds: f64,
    /// Echoes that came back whole; connections for `Churn`.
    pub messages: u64,
    /// Bytes that came back.
    pub bytes: u64,
    pub user_seconds: f64,
    pub system_seconds: f64,
    /// Peak resident memory so far.
    pub peak_bytes: u64,
    /// `Idle`, `SlowReaders`: resident memory for each connection; for `Idle` with and without an echo before.
    pub bytes_per_connection: Option<f64>,
    pub bytes_per_connection_after: Option<f64>,
    /// The share of the time in which the load generator had something to do, 0 to 1.
    pub generator_busy: f64,
    /// Of the clients that play ping-pong.
    pub latency: Option<Latency>,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Over the rounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    pub messages_per_second: Spread,
    pub mebibytes_per_second: Spread,
    /// The server's CPU time, user and system: for each message in microseconds, for each GiB that it echoed in seconds.
    pub cpu_per_message: Spread,
    pub cpu_per_gib: Spread,
    /// The part of it that was user time, 0 to 1.
    pub user_share: f64,
    pub peak_bytes: u64,
    pub bytes_per_connection: Option<Spread>,
    pub bytes_per_connection_after: Option<Spread>,
    /// The median over the rounds of each percentile, and the longest of all.
    pub latency: Option<Latency>,
    /// The load generator was busy all the time and the server was not: throughput is then the generator's.
    pub generator_limited: bool,
    /// Medians of the ratios of each round to the same round of the workload's floor and of the baseline; for `Bulk` and `Flood`
    /// by bytes in place of messages.
    pub to_floor: Option<Ratios>,
    pub to_baseline: Option<Ratios>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    /// The quartiles.
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ratios {
    pub messages_per_second: Ratio,
    pub cpu_per_message: Ratio,
}

/// With its 95 % interval, resampled over the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}
