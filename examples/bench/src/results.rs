//! The results of a run. The JSON file contains exactly these results, and the table and the report use nothing else.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The version of this format, which changes when a field changes.
    pub format: u32,
    pub machine: Machine,
    /// The arguments of the benchmark, so that a user can run the benchmark again.
    pub arguments: Vec<String>,
    /// The features of the benchmark's package that were on. A user needs them, too, to run the benchmark again.
    pub features: Vec<String>,
    /// The time at which the run began, in seconds since 1970.
    pub began: u64,
    pub seconds: f64,
    pub servers: Vec<Server>,
    /// The name of the usual floor, if that server took part: the bare mio loop with which all echo servers are compared.
    /// `baseline` is the name of the second server with which all echo servers are compared, if that server took part: the
    /// blocking server with a thread for each client. Each workload names its own floor and baseline.
    pub floor: Option<String>,
    pub baseline: Option<String>,
    pub workloads: Vec<Workload>,
    /// The facts that a reader must know: reduced workloads with the reason, and disturbances of the machine.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    pub system: String,
    pub kernel: String,
    pub processor: String,
    pub cores: usize,
    pub memory_bytes: u64,
    /// True if the server and the load generator each had a core of their own.
    pub pinned: bool,
    /// The number of descriptors that a process may have.
    pub descriptors: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Server {
    pub name: String,
    /// A short description for the legend.
    pub about: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Each connection has one message in flight, in a closed loop.
    PingPong,
    /// Each connection has several messages in flight.
    Pipelined,
    /// Clients play ping-pong at a fixed rate, and latency counts from the due time of a message.
    FixedRate,
    /// Each connection carries a stream in both directions.
    Bulk,
    /// Each client connects, receives one echo and closes.
    Churn,
    /// The connections are idle.
    Idle,
    /// Clients send and do not read, and one client beside them plays ping-pong.
    SlowReaders,
    /// Streams run beside one client that plays ping-pong.
    Flood,
    /// Each connection carries a stream of frames to the server, and the server acknowledges.
    Framed,
    /// A publisher sends messages, and each connection receives all messages.
    Broadcast,
    /// Each connection receives a file, again and again.
    File,
    /// Each client socket has one datagram in flight, in a closed loop.
    Datagrams,
    /// The example program kv: each connection gets values. For `KvSet`, each connection sets values.
    KvGet,
    KvSet,
    /// The example program http: each connection requests a short text. For `HttpFile`, each connection requests a file.
    HttpPlaintext,
    HttpFile,
    /// The example program proxy: each connection carries a stream of frames through the proxy, and the backend
    /// acknowledges.
    ProxyStreams,
    /// The example program proxy, in front of an echo server. The clients are those of `PingPong` and of `Churn`.
    ProxyPingPong,
    ProxyChurn,
}

impl Kind {
    /// Returns true for workloads with an echo server for connections. The other workloads have servers and a baseline of
    /// their own, and some of them have a counterpart.
    pub fn is_echo(self) -> bool {
        !matches!(self, Kind::Framed | Kind::Broadcast | Kind::File | Kind::Datagrams) && !self.is_app()
    }

    /// Returns true for workloads in which the server of this crate is an example program.
    pub fn is_app(self) -> bool {
        use Kind::{HttpFile, HttpPlaintext, KvGet, KvSet, ProxyChurn, ProxyPingPong, ProxyStreams};
        matches!(self, KvGet | KvSet | HttpPlaintext | HttpFile | ProxyStreams | ProxyPingPong | ProxyChurn)
    }

    /// Returns true for workloads in which each client opens a connection for each message.
    pub fn is_churn(self) -> bool {
        matches!(self, Kind::Churn | Kind::ProxyChurn)
    }

    /// Returns true for workloads with several possible floors, of which the cheapest is the floor.
    pub fn has_cheapest_floor(self) -> bool {
        matches!(self, Kind::Bulk | Kind::HttpPlaintext)
    }

    /// Returns true for workloads whose work is measured in bytes. The other workloads count messages.
    pub fn is_in_bytes(self) -> bool {
        matches!(self, Kind::Bulk | Kind::Flood | Kind::Framed | Kind::File | Kind::ProxyStreams)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workload {
    pub kind: Kind,
    /// The title for a heading: "ping-pong, 64 bytes, 50 connections".
    pub title: String,
    pub connections: usize,
    pub message_bytes: usize,
    pub in_flight: usize,
    /// The messages a second for `FixedRate`. The rate is equal for all servers.
    pub rate: Option<f64>,
    /// The floor of this workload. For `Bulk`, where the size of the buffer decides, the floor is the bare mio loop
    /// that took the least CPU time for a GiB, of the loops that took part. For `HttpPlaintext` the floor is the server in
    /// Rust that took the least CPU time for a request.
    pub floor: Option<String>,
    /// The baseline of this workload, if that server took part.
    pub baseline: Option<String>,
    /// The counterpart, if that server took part: a server of this crate that lacks the feature that the workload is
    /// about, or the baseline with other settings.
    pub counterpart: Option<String>,
    pub results: Vec<Outcome>,
}

/// The results of one server under one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub server: String,
    pub rounds: Vec<Round>,
    /// The reason why figures are missing.
    pub error: Option<String>,
    pub summary: Option<Summary>,
}

/// The measurements of one round. The system reports the CPU time and the memory of the server's process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// The number of the round in its workload, from 0 on. Rounds of different servers with equal numbers ran directly
    /// after each other.
    pub number: usize,
    pub seconds: f64,
    /// The number of whole echoes that came back. For `Churn` this is the number of connections, for `Framed` the number
    /// of frames, for `Broadcast` the number of messages that all subscribers together received, for `File` the
    /// number of files, and for requests the number of answers.
    pub messages: u64,
    /// The number of bytes that came back, or that were acknowledged for `Framed`.
    pub bytes: u64,
    /// The number of datagrams that were lost on the way to the server or on the way back, for `Datagrams`.
    pub lost: u64,
    pub user_seconds: f64,
    pub system_seconds: f64,
    /// The peak resident memory until the end of the round.
    pub peak_bytes: u64,
    /// The resident memory for each connection, for `Idle` and `SlowReaders`. For `Idle` this is the memory before an
    /// echo, and `bytes_per_connection_after` is the memory after an echo.
    pub bytes_per_connection: Option<f64>,
    pub bytes_per_connection_after: Option<f64>,
    /// The share of the time in which the load generator had something to do, from 0 to 1.
    pub generator_busy: f64,
    /// The latency of the clients that play ping-pong.
    pub latency: Option<Latency>,
}

/// Percentiles of the latency, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// A summary over the rounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    pub messages_per_second: Spread,
    pub mebibytes_per_second: Spread,
    /// The server's CPU time for each message, in microseconds. `cpu_per_gib` is the CPU time for each echoed GiB, in
    /// seconds. Both times include user time and system time.
    pub cpu_per_message: Spread,
    pub cpu_per_gib: Spread,
    /// The share of user time in the CPU time, from 0 to 1.
    pub user_share: f64,
    /// The lost datagrams of all rounds together.
    pub lost: u64,
    pub peak_bytes: u64,
    pub bytes_per_connection: Option<Spread>,
    pub bytes_per_connection_after: Option<Spread>,
    /// The median over the rounds of each percentile, and the longest latency of all rounds.
    pub latency: Option<Latency>,
    /// True if the load generator was busy all the time and the server was not. In that case the load generator limited
    /// the throughput.
    pub generator_limited: bool,
    /// The medians of the ratios between each round and the round with an equal number of the workload's floor.
    /// `to_baseline` has the ratios to the baseline, and `to_counterpart` has the ratios to the counterpart. For `Bulk`,
    /// `Flood`, `Framed` and `File` the ratios count bytes in place of messages.
    pub to_floor: Option<Ratios>,
    pub to_baseline: Option<Ratios>,
    pub to_counterpart: Option<Ratios>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    /// The lower quartile. `high` is the upper quartile.
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ratios {
    pub messages_per_second: Ratio,
    pub cpu_per_message: Ratio,
}

/// A ratio with its 95 % interval, which is computed by resampling the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}
