//! Invented results of a run, for the tests of the table and of the report.

use std::sync::LazyLock;

use crate::{
    results::{Kind, Latency, Machine, Outcome, Results, Round, Server, Workload},
    run::{BASELINE, FLOORS, references},
    statistics::summarise,
};

/// For each server: the name, a description, the CPU time for a message and for a GiB as a ratio to the floor, and the
/// memory for a connection.
const SERVERS: [(&str, &str, f64, f64, f64); 16] = [
    ("tidegate", "this crate's echo", 1.02, 0.56, 152.0),
    ("mio", "a bare mio loop, 64 KiB buffer", 1.0, 1.0, 88.0),
    ("mio-256k", "a bare mio loop, 256 KiB buffer", 1.01, 0.55, 88.0),
    ("threads", "a thread for each client, 4 KiB", 1.6, 3.4, 9400.0),
    ("threads-256k", "a thread for each client, 256 KiB", 1.58, 0.7, 271_000.0),
    ("blocking", "one client at a time", 0.8, 3.3, 0.0),
    ("tokio", "tokio's current_thread, 8 KiB", 1.05, 2.1, 640.0),
    ("tidegate-all", "consumes all", 1.0, 0.5, 152.0),
    ("tidegate-copy", "send_all", 2.1, 1.1, 152.0),
    ("tidegate-read", "reads and sends", 1.3, 1.4, 152.0),
    ("nginx", "sendfile", 1.0, 0.55, 300.0),
    ("redis", "without persistence", 1.2, 1.1, 9000.0),
    ("hyper", "with pipeline_flush", 1.1, 1.1, 900.0),
    ("may-minihttp", "one worker", 0.9, 1.1, 4000.0),
    ("haproxy", "one thread", 1.2, 1.2, 700.0),
    ("haproxy-256k", "one thread, 256 KiB", 1.2, 0.6, 700.0),
];

/// Returns true if a server takes part in workloads of the kind.
fn takes_part(server: &str, kind: Kind) -> bool {
    match server {
        "tidegate" => true,
        "mio" => !kind.is_app(),
        "tokio" => kind != Kind::File && !kind.is_app(),
        "nginx" => matches!(kind, Kind::File | Kind::HttpPlaintext | Kind::HttpFile),
        "redis" => matches!(kind, Kind::KvGet | Kind::KvSet),
        "hyper" | "may-minihttp" => kind == Kind::HttpPlaintext,
        "haproxy" | "haproxy-256k" => {
            matches!(kind, Kind::ProxyStreams | Kind::ProxyPingPong | Kind::ProxyChurn)
        }
        "tidegate-all" => kind == Kind::Framed,
        "tidegate-copy" => kind == Kind::Broadcast,
        "tidegate-read" => kind == Kind::File,
        _ => kind.is_echo(),
    }
}

pub fn empty() -> Results {
    Results {
        format: 4,
        machine: Machine::default(),
        arguments: Vec::new(),
        features: Vec::new(),
        began: 0,
        seconds: 0.0,
        servers: Vec::new(),
        floor: None,
        baseline: None,
        workloads: Vec::new(),
        notes: Vec::new(),
    }
}

/// Returns results with all kinds of workloads and all servers. The blocking server takes part only in workloads with
/// one connection.
pub fn full() -> Results {
    // Many tests use these results, and the intervals take long to compute without optimisation.
    static FULL: LazyLock<Results> = LazyLock::new(made);
    FULL.clone()
}

fn made() -> Results {
    let mut results = Results {
        machine: Machine {
            system: "Linux".into(),
            kernel: "6.12.48-generic #1 SMP PREEMPT_DYNAMIC".into(),
            processor: "Some Processor 9 9950X".into(),
            cores: 2,
            memory_bytes: 8 << 30,
            pinned: true,
            descriptors: 20_000,
        },
        arguments: vec!["--html".into(), "report.html".into()],
        began: 1_764_020_000,
        seconds: 283.4,
        servers: SERVERS
            .iter()
            .map(|(name, about, ..)| Server { name: (*name).into(), about: (*about).into() })
            .collect(),
        floor: Some(FLOORS[0].into()),
        baseline: Some(BASELINE.into()),
        notes: vec![
            "10 000 connections were cut to 9 900: a process may have 20 000 descriptors.".into(),
            "The clock of the processor moved by 7 % between the rounds.".into(),
        ],
        ..empty()
    };
    for connections in [1, 10, 100, 1000, 9900] {
        results.workloads.push(workload(Kind::PingPong, connections, 64, 1));
    }
    for connections in [1, 50, 1000] {
        results.workloads.push(workload(Kind::PingPong, connections, 16 << 10, 1));
    }
    results.workloads.push(workload(Kind::Pipelined, 50, 64, 16));
    results.workloads.push(workload(Kind::FixedRate, 50, 64, 1));
    results.workloads.push(workload(Kind::Bulk, 1, 256 << 10, 1));
    results.workloads.push(workload(Kind::Bulk, 16, 256 << 10, 1));
    results.workloads.push(workload(Kind::Churn, 16, 64, 1));
    results.workloads.push(workload(Kind::Idle, 5000, 64, 0));
    results.workloads.push(workload(Kind::SlowReaders, 200, 16 << 10, 1));
    results.workloads.push(workload(Kind::Flood, 16, 256 << 10, 1));
    for length in [1000, 40_001] {
        results.workloads.push(workload(Kind::Framed, 4, length, 16));
    }
    for subscribers in [1, 10, 100, 1000] {
        results.workloads.push(workload(Kind::Broadcast, subscribers, 1024, 16));
    }
    for connections in [1, 4] {
        results.workloads.push(workload(Kind::File, connections, 200 << 20, 1));
    }
    for sockets in [1, 20] {
        results.workloads.push(workload(Kind::Datagrams, sockets, 64, 1));
    }
    for in_flight in [1, 16] {
        results.workloads.push(workload(Kind::KvGet, 50, 3, in_flight));
        results.workloads.push(workload(Kind::KvSet, 50, 1024, in_flight));
        results.workloads.push(workload(Kind::HttpPlaintext, 50, 13, in_flight));
    }
    results.workloads.push(workload(Kind::HttpFile, 10, 1 << 20, 1));
    for streams in [1, 4] {
        results.workloads.push(workload(Kind::ProxyStreams, streams, 40_001, 53));
    }
    results.workloads.push(workload(Kind::ProxyPingPong, 50, 64, 1));
    results.workloads.push(workload(Kind::ProxyChurn, 16, 64, 1));
    results
}

pub fn workload(kind: Kind, connections: usize, message_bytes: usize, in_flight: usize) -> Workload {
    let rate = (kind == Kind::FixedRate).then_some(40_000.0);
    let mut workload = Workload {
        kind,
        title: format!("{kind:?}, {message_bytes} bytes, {connections} connections"),
        connections,
        message_bytes,
        in_flight,
        rate,
        floor: None,
        baseline: None,
        counterpart: None,
        results: Vec::new(),
    };
    for (at, server) in SERVERS.iter().enumerate() {
        let name = server.0;
        if !takes_part(name, kind) {
            continue;
        }
        let (rounds, error) = match name {
            "blocking" if connections > 1 => (Vec::new(), Some("it serves one client at a time".into())),
            "threads-256k" if connections > 5000 => {
                (Vec::new(), Some("no thread could be started: Resource temporarily unavailable".into()))
            }
            _ => ((0..9).map(|round| self::round(&workload, at, round)).collect(), None),
        };
        workload.results.push(Outcome { server: name.into(), rounds, error, summary: None });
    }
    summarise(&mut workload, &references(kind));
    workload
}

/// Returns a factor that differs from 1 by some per cent, with another value for each round.
fn noise(seed: usize) -> f64 {
    1.0 + ((seed * 7919 % 101) as f64 - 50.0) / 1500.0
}

fn round(workload: &Workload, server: usize, round: usize) -> Round {
    let (name, _, message_cost, stream_cost, memory) = SERVERS[server];
    let noise = noise(server * 31 + round * 17 + workload.connections);
    let many = workload.connections as f64;
    let streams = workload.kind.is_in_bytes();
    // The server handles more messages in each turn when there are more clients, and caches work less well when there
    // are many clients.
    let crowd = 1.0 + 1.2 / many + (many / 1000.0).ln_1p() * if message_cost > 1.3 { 0.4 } else { 0.12 };
    let per_message = match workload.kind {
        Kind::Churn | Kind::ProxyChurn => 60e-6 * message_cost,
        _ if workload.in_flight == 16 => 1.2e-6 * message_cost,
        _ if workload.message_bytes > 4096 => 9e-6 * stream_cost.max(0.9) * crowd,
        _ => 5e-6 * message_cost * crowd,
    } * noise;
    let gib = (1u64 << 30) as f64;
    let seconds = 0.5;
    // With one client the server waits for the client most of the time.
    let busy = if many == 1.0 { 0.45 } else { 0.98 };
    let (messages, bytes, cpu) = if streams {
        let bytes = seconds * busy / (0.35 * stream_cost * noise) * gib;
        (if workload.kind == Kind::Bulk { 0 } else { 900 }, bytes as u64, seconds * busy)
    } else if workload.kind == Kind::Idle {
        (0, 0, 0.0)
    } else {
        let rate = workload.rate.unwrap_or(busy / per_message);
        let messages = (rate * seconds) as u64;
        (messages, messages * workload.message_bytes as u64, messages as f64 * per_message)
    };
    let middle = 25.0 * message_cost * noise + many * 3.0 * message_cost;
    let tail = if name == "threads" { 9.0 } else { 2.5 } * if streams { 8.0 } else { 1.0 };
    let silent =
        matches!(workload.kind, Kind::Idle | Kind::Broadcast) || streams && workload.kind != Kind::Flood;
    let holds = matches!(workload.kind, Kind::Idle | Kind::SlowReaders);
    Round {
        number: round,
        seconds,
        messages,
        bytes,
        lost: if workload.kind == Kind::Datagrams { round as u64 % 2 } else { 0 },
        user_seconds: cpu * 0.12 * noise,
        system_seconds: cpu * (1.0 - 0.12 * noise),
        peak_bytes: (2 << 20) + (memory * many) as u64 + if name.ends_with("256k") { 256 << 10 } else { 0 },
        bytes_per_connection: holds.then_some(memory * noise),
        bytes_per_connection_after: (workload.kind == Kind::Idle).then_some(memory * 1.08 * noise),
        generator_busy: if many == 1.0 && workload.message_bytes > 4096 { 0.99 } else { 0.8 },
        latency: (!silent).then_some(Latency {
            p50: middle,
            p99: middle * tail,
            p999: middle * tail * 3.1 * noise,
            max: middle * tail * 14.0,
        }),
    }
}
