//! The columns that the table and the report show for an outcome.

pub use crate::numbers::{bytes, count, number};
use crate::results::{Kind, Latency, Outcome, Ratio, Ratios, Results, Spread, Summary, Workload};

/// The name of this crate's server, which the table and the report emphasise.
pub const OURS: &str = "tidegate";

/// The text of a cell without a figure.
pub const NONE: &str = "–";

/// The mark behind a rate that the load generator has limited, not the server.
pub const LIMITED: &str = "*";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The number of echoes, deliveries, connections or bytes for each second.
    Rate,
    Cpu,
    UserShare,
    CpuToFloor,
    CpuToBaseline,
    RateToFloor,
    RateToBaseline,
    CpuToCounterpart,
    RateToCounterpart,
    P50,
    P99,
    P999,
    Lost,
    Memory,
    MemoryAfter,
    Peak,
}

use Column::{
    Cpu, CpuToBaseline, CpuToCounterpart, CpuToFloor, Lost, Memory, MemoryAfter, P50, P99, P999, Peak, Rate,
    RateToBaseline, RateToCounterpart, RateToFloor, UserShare,
};

/// Returns the columns for a terminal: the columns that describe such workloads best.
pub fn few(group: &[&Workload]) -> Vec<Column> {
    let columns: &[Column] = match group[0].kind {
        Kind::PingPong | Kind::Pipelined | Kind::Churn => {
            &[Rate, Cpu, CpuToFloor, RateToBaseline, P50, P99, P999, Peak]
        }
        Kind::FixedRate => &[Rate, Cpu, CpuToFloor, CpuToBaseline, P50, P99, P999, Peak],
        Kind::Bulk => &[Rate, Cpu, CpuToFloor, RateToBaseline, Peak],
        Kind::Idle => &[Memory, MemoryAfter, Peak],
        Kind::SlowReaders => &[Rate, P50, P99, P999, Memory, Peak],
        Kind::Flood => &[Rate, Cpu, CpuToFloor, RateToBaseline, P50, P99, P999, Peak],
        Kind::Framed => &[Cpu, Rate, CpuToFloor, CpuToCounterpart, RateToBaseline, Peak],
        Kind::Broadcast => &[Cpu, Rate, CpuToFloor, CpuToCounterpart, RateToCounterpart, RateToBaseline],
        Kind::File => &[Cpu, Rate, CpuToFloor, CpuToCounterpart, CpuToBaseline, RateToBaseline],
        Kind::Datagrams => &[Cpu, Rate, CpuToFloor, RateToFloor, P50, P99, Lost],
        Kind::HttpPlaintext => &[Cpu, Rate, CpuToBaseline, RateToBaseline, CpuToFloor, P99, Peak],
        Kind::KvGet | Kind::KvSet | Kind::HttpFile => {
            &[Cpu, Rate, CpuToBaseline, RateToBaseline, P50, P99, P999, Peak]
        }
        Kind::ProxyStreams => &[Cpu, Rate, CpuToBaseline, RateToBaseline, CpuToCounterpart, Peak],
        Kind::ProxyPingPong | Kind::ProxyChurn => {
            &[Cpu, Rate, CpuToBaseline, RateToBaseline, CpuToCounterpart, P50, P99]
        }
    };
    with_figures(columns, group)
}

/// Returns the columns for the HTML report, which has room for more columns than a terminal.
pub fn all(group: &[&Workload]) -> Vec<Column> {
    let columns: &[Column] = match group[0].kind {
        Kind::Idle | Kind::SlowReaders => return few(group),
        Kind::FixedRate => &[Rate, Cpu, UserShare, CpuToFloor, CpuToBaseline, P50, P99, P999, Peak],
        Kind::Bulk => &[Rate, Cpu, UserShare, CpuToFloor, CpuToBaseline, RateToFloor, RateToBaseline, Peak],
        Kind::PingPong | Kind::Pipelined | Kind::Churn | Kind::Flood => &[
            Rate,
            Cpu,
            UserShare,
            CpuToFloor,
            CpuToBaseline,
            RateToFloor,
            RateToBaseline,
            P50,
            P99,
            P999,
            Peak,
        ],
        Kind::Framed | Kind::Broadcast | Kind::File => &[
            Cpu,
            Rate,
            UserShare,
            CpuToFloor,
            CpuToBaseline,
            CpuToCounterpart,
            RateToFloor,
            RateToBaseline,
            RateToCounterpart,
            Peak,
        ],
        Kind::KvGet
        | Kind::KvSet
        | Kind::HttpPlaintext
        | Kind::HttpFile
        | Kind::ProxyStreams
        | Kind::ProxyPingPong
        | Kind::ProxyChurn => &[
            Cpu,
            Rate,
            UserShare,
            CpuToBaseline,
            RateToBaseline,
            CpuToFloor,
            RateToFloor,
            CpuToCounterpart,
            RateToCounterpart,
            P50,
            P99,
            P999,
            Peak,
        ],
        Kind::Datagrams => &[
            Cpu,
            Rate,
            UserShare,
            CpuToFloor,
            CpuToBaseline,
            RateToFloor,
            RateToBaseline,
            P50,
            P99,
            P999,
            Lost,
            Peak,
        ],
    };
    with_figures(columns, group)
}

/// Removes the ratios to a server that did not take part.
fn with_figures(columns: &[Column], group: &[&Workload]) -> Vec<Column> {
    let summaries = || {
        let outcomes = group.iter().flat_map(|workload| &workload.results);
        outcomes.filter_map(|outcome| outcome.summary.as_ref())
    };
    let is_known = |column: &Column| match column {
        CpuToFloor | RateToFloor => summaries().any(|summary| summary.to_floor.is_some()),
        CpuToBaseline | RateToBaseline => summaries().any(|summary| summary.to_baseline.is_some()),
        CpuToCounterpart | RateToCounterpart => summaries().any(|summary| summary.to_counterpart.is_some()),
        _ => true,
    };
    columns.iter().copied().filter(is_known).collect()
}

/// Returns the title of a workload without the number of connections. Workloads that differ only in the number of
/// connections share a table and a plot.
pub fn group_title(workload: &Workload) -> String {
    let size = bytes(workload.message_bytes as f64);
    match workload.kind {
        Kind::PingPong => format!("Ping-pong, {size}"),
        Kind::Pipelined => format!("Pipelined, {size}, {} in flight", workload.in_flight),
        Kind::FixedRate => format!("Ping-pong at a fixed rate, {size}"),
        Kind::Bulk => "Bulk streams in both directions".to_owned(),
        Kind::Churn => "Connect, one echo, close".to_owned(),
        Kind::Idle => "Idle connections".to_owned(),
        Kind::SlowReaders => "Clients that do not read, and one ping-pong client".to_owned(),
        Kind::Flood => "A flood of streams, and one ping-pong client".to_owned(),
        Kind::Framed => format!("Framed streams, {} bytes in a frame", count(workload.message_bytes as f64)),
        Kind::Broadcast => format!("Broadcast, {size}, {} in flight", workload.in_flight),
        Kind::File => format!("A file of {size}"),
        Kind::Datagrams => format!("Datagrams, {size}"),
        Kind::KvGet => format!("Example kv: GET, {size}, {} in flight", workload.in_flight),
        Kind::KvSet => format!("Example kv: SET, {size}, {} in flight", workload.in_flight),
        Kind::HttpPlaintext => format!("Example http: plaintext, {} in flight", workload.in_flight),
        Kind::HttpFile => format!("Example http: a file of {size}"),
        Kind::ProxyStreams => "Example proxy: streams".to_owned(),
        Kind::ProxyPingPong => format!("Example proxy: ping-pong, {size}"),
        Kind::ProxyChurn => "Example proxy: connect, one echo, close".to_owned(),
    }
}

/// Returns groups of workloads that differ only in connections and rate, in the order in which the workloads ran.
pub fn groups(results: &Results) -> Vec<Vec<&Workload>> {
    let mut groups: Vec<Vec<&Workload>> = Vec::new();
    for workload in &results.workloads {
        let alike = |group: &&mut Vec<&Workload>| group_title(group[0]) == group_title(workload);
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(workload),
            None => groups.push(vec![workload]),
        }
    }
    groups
}

/// Returns the text that distinguishes a workload from the other workloads of its group.
pub fn row_title(workload: &Workload) -> String {
    let each = clients(workload.kind);
    let connections = match workload.connections {
        1 => format!("1 {}", each.trim_end_matches('s')),
        many => format!("{} {each}", count(many as f64)),
    };
    match workload.rate {
        Some(rate) => format!("{connections}, {} messages/s", count(rate)),
        None => connections,
    }
}

/// Returns the word for the connections of a workload.
pub fn clients(kind: Kind) -> &'static str {
    match kind {
        Kind::Broadcast => "subscribers",
        Kind::Datagrams => "sockets",
        _ => "connections",
    }
}

/// Returns true for workloads that count requests and their answers.
pub fn is_requests(kind: Kind) -> bool {
    matches!(kind, Kind::KvGet | Kind::KvSet | Kind::HttpPlaintext | Kind::HttpFile)
}

/// Returns the unit in which the throughput of a workload is measured.
pub fn rate_unit(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "GiB/s",
        _ if kind.is_in_bytes() => "MiB/s",
        _ if kind.is_churn() => "conns/s",
        _ if is_requests(kind) => "requests/s",
        Kind::Datagrams => "datagrams/s",
        _ => "msgs/s",
    }
}

/// Returns the floor of these workloads, if all of them have an equal floor.
pub fn floor<'a>(group: &[&'a Workload]) -> Option<&'a str> {
    let mut floors = group.iter().filter_map(|workload| workload.floor.as_deref());
    let first = floors.next()?;
    floors.all(|floor| floor == first).then_some(first)
}

/// Returns a sentence that names the floor of each workload whose floor depends on the measurement.
pub fn about_floor(group: &[&Workload]) -> Option<String> {
    let streams = group.iter().filter(|workload| workload.kind.has_cheapest_floor());
    let with =
        |workload: &&Workload| Some(format!("{} with {}", workload.floor.as_deref()?, row_title(workload)));
    let each: Vec<String> = streams.filter_map(with).collect();
    let one = floor(group).map(str::to_owned);
    let floors = one.unwrap_or_else(|| each.join(", "));
    let what = match group[0].kind {
        Kind::HttpPlaintext => "The floor is the server in Rust that took the least CPU time for a request",
        _ => "The floor is the bare mio loop that took the least CPU time for a GiB",
    };
    (!each.is_empty()).then(|| format!("{what}: {floors}."))
}

impl Column {
    /// Returns the title of the column and the unit.
    pub fn head(self, group: &[&Workload]) -> (String, &'static str) {
        let kind = group[0].kind;
        let floor = floor(group).unwrap_or("floor");
        // These two servers depend only on the kind of the workload.
        let baseline = group[0].baseline.as_deref().unwrap_or("baseline");
        let counterpart = group[0].counterpart.as_deref().unwrap_or("counterpart");
        match self {
            Rate => (moved(kind).to_owned(), rate_unit(kind)),
            Cpu if kind.is_in_bytes() => ("CPU".to_owned(), "s/GiB"),
            Cpu if kind.is_churn() => ("CPU".to_owned(), "µs/conn"),
            Cpu if is_requests(kind) => ("CPU".to_owned(), "µs/request"),
            Cpu if kind == Kind::Datagrams => ("CPU".to_owned(), "µs/datagram"),
            Cpu => ("CPU".to_owned(), "µs/msg"),
            UserShare => ("user time".to_owned(), "% of CPU"),
            CpuToFloor => (format!("CPU vs. {floor}"), "ratio (95 %)"),
            CpuToBaseline => (format!("CPU vs. {baseline}"), "ratio (95 %)"),
            RateToFloor => (format!("rate vs. {floor}"), "ratio (95 %)"),
            RateToBaseline => (format!("rate vs. {baseline}"), "ratio (95 %)"),
            CpuToCounterpart => (format!("CPU vs. {counterpart}"), "ratio (95 %)"),
            RateToCounterpart => (format!("rate vs. {counterpart}"), "ratio (95 %)"),
            P50 => ("p50".to_owned(), "µs"),
            P99 => ("p99".to_owned(), "µs"),
            P999 => ("p99.9".to_owned(), "µs"),
            Lost => ("lost".to_owned(), "datagrams"),
            Memory => ("memory".to_owned(), "bytes/conn"),
            MemoryAfter => ("memory after an echo".to_owned(), "bytes/conn"),
            Peak => ("memory".to_owned(), "peak MiB"),
        }
    }

    /// Returns the figure of the column as text.
    pub fn cell(self, kind: Kind, summary: &Summary) -> String {
        let percentile = |of: fn(&Latency) -> f64| {
            summary.latency.as_ref().map_or_else(|| NONE.to_owned(), |latency| known(of(latency)))
        };
        let memory = |spread: Option<Spread>| {
            // Memory below the noise of the measurement can be measured as zero or as a negative number.
            spread.map_or_else(|| NONE.to_owned(), |spread| number(spread.median.max(0.0)))
        };
        match self {
            Rate => {
                let mark = if summary.generator_limited { LIMITED } else { "" };
                format!("{}{mark}", number(rate(kind, summary).median))
            }
            Cpu => known(cpu(kind, summary).median),
            UserShare if cpu(kind, summary).median > 0.0 => count(summary.user_share * 100.0),
            UserShare => NONE.to_owned(),
            CpuToFloor => interval(cpu_ratio(summary.to_floor)),
            CpuToBaseline => interval(cpu_ratio(summary.to_baseline)),
            RateToFloor => interval(rate_ratio(summary.to_floor)),
            RateToBaseline => interval(rate_ratio(summary.to_baseline)),
            CpuToCounterpart => interval(cpu_ratio(summary.to_counterpart)),
            RateToCounterpart => interval(rate_ratio(summary.to_counterpart)),
            P50 => percentile(|latency| latency.p50),
            P99 => percentile(|latency| latency.p99),
            P999 => percentile(|latency| latency.p999),
            Lost => count(summary.lost as f64),
            Memory => memory(summary.bytes_per_connection),
            MemoryAfter => memory(summary.bytes_per_connection_after),
            Peak => known(summary.peak_bytes as f64 / f64::from(1 << 20)),
        }
    }
}

/// Returns the throughput in the unit of [`rate_unit`].
pub fn rate(kind: Kind, summary: &Summary) -> Spread {
    let Spread { median, low, high } = summary.mebibytes_per_second;
    match kind {
        Kind::File => Spread { median: median / 1024.0, low: low / 1024.0, high: high / 1024.0 },
        _ if kind.is_in_bytes() => summary.mebibytes_per_second,
        _ => summary.messages_per_second,
    }
}

/// Returns the title of the throughput: the work that the server does with the bytes or the messages.
fn moved(kind: Kind) -> &'static str {
    match kind {
        _ if kind.is_churn() => "served",
        _ if is_requests(kind) => "answered",
        Kind::ProxyStreams => "passed",
        Kind::Framed => "received",
        Kind::Broadcast => "delivered",
        Kind::File => "sent",
        _ => "echoed",
    }
}

pub fn cpu(kind: Kind, summary: &Summary) -> Spread {
    if kind.is_in_bytes() { summary.cpu_per_gib } else { summary.cpu_per_message }
}

pub fn cpu_ratio(ratios: Option<Ratios>) -> Option<Ratio> {
    ratios.map(|ratios| ratios.cpu_per_message).filter(|ratio| ratio.median > 0.0)
}

pub fn rate_ratio(ratios: Option<Ratios>) -> Option<Ratio> {
    ratios.map(|ratios| ratios.messages_per_second)
}

/// Returns a ratio and its interval as text. The ratio of the reference to itself is written as 1, without an interval.
fn interval(ratio: Option<Ratio>) -> String {
    match ratio {
        None => NONE.to_owned(),
        Some(Ratio { median, low, high }) if median == 1.0 && low == high => "1".to_owned(),
        // Ratios from 10 on have a decimal less, so that the column stays narrow.
        Some(Ratio { median, low, high }) => {
            let decimals = if high < 9.995 { 2 } else { 1 };
            format!("{median:.decimals$} ({low:.decimals$}–{high:.decimals$})")
        }
    }
}

/// Returns the text of a figure that is 0 only if there is no measurement.
fn known(value: f64) -> String {
    if value > 0.0 { number(value) } else { NONE.to_owned() }
}

/// Returns the workload, the outcome and the error of every server that failed, even if some of its rounds succeeded.
pub fn errors<'a>(workloads: &[&'a Workload]) -> Vec<(&'a Workload, &'a Outcome, &'a str)> {
    workloads
        .iter()
        .flat_map(|workload| workload.results.iter().map(|outcome| (*workload, outcome)))
        .filter_map(|(workload, outcome)| Some((workload, outcome, outcome.error.as_deref()?)))
        .collect()
}

/// Returns the command that runs the benchmark again with equal arguments.
pub fn command(results: &Results) -> String {
    let mut command = "cargo run --release -p bench".to_owned();
    if !results.features.is_empty() {
        command.push_str(&format!(" --features {}", results.features.join(",")));
    }
    if !results.arguments.is_empty() {
        command.push_str(" --");
    }
    for argument in &results.arguments {
        command.push(' ');
        command.push_str(&quoted(argument));
    }
    command
}

/// Returns an argument quoted for a shell.
fn quoted(argument: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=./:,+@%".contains(letter);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_of_a_server_to_itself_is_shown_without_an_interval() {
        let one = Ratio { median: 1.0, low: 1.0, high: 1.0 };
        assert_eq!(interval(Some(one)), "1");
        assert_eq!(interval(Some(Ratio { median: 1.0, low: 0.97, high: 1.034 })), "1.00 (0.97–1.03)");
        assert_eq!(interval(Some(Ratio { median: 12.67, low: 9.06, high: 14.6 })), "12.7 (9.1–14.6)");
        assert_eq!(interval(None), NONE);
    }

    #[test]
    fn the_command_is_quoted_for_a_shell() {
        let mut results = crate::fixture::empty();
        assert_eq!(command(&results), "cargo run --release -p bench");
        results.arguments = ["--servers", "a,b", "--exec", "it's {port}", ""].map(str::to_owned).into();
        assert_eq!(
            command(&results),
            r"cargo run --release -p bench -- --servers a,b --exec 'it'\''s {port}' ''"
        );
        (results.features, results.arguments) = (vec!["packet-info".into()], vec!["--quick".into()]);
        assert_eq!(command(&results), "cargo run --release -p bench --features packet-info -- --quick");
    }
}
