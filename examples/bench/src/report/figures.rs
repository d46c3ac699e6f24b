//! The plots of the report and their contents.

use super::{
    canvas::{Drawn, Ink, mark_class},
    escape,
    lines::{self, Line, Lines, Point},
    rows::{self, Axis, Figures, Row, Rows},
    scale::{memory, plain, thousands, time},
};
use crate::{
    columns::{self, LIMITED, OURS, cpu, cpu_ratio, group_title, number, rate, rate_ratio, row_title},
    results::{Kind, Outcome, Ratio, Results, Spread, Summary, Workload},
};

/// Returns the place of a server in the list of servers, with this crate's server first. The place determines the
/// colour and the mark of the server in all plots.
pub fn place_of(results: &Results, server: &str) -> usize {
    let others = results.servers.iter().map(|known| known.name.as_str()).filter(|name| *name != OURS);
    match server {
        OURS => 0,
        _ => 1 + others.take_while(|name| *name != server).count(),
    }
}

/// Returns plots that compare this crate's server with the floor, with the baseline and with the counterpart, for all
/// workloads that measure speed.
pub fn glance(results: &Results) -> Drawn<String> {
    let mut html = String::new();
    let all: Vec<&Workload> = results.workloads.iter().filter(|workload| !workload.kind.is_app()).collect();
    let floor = columns::floor(&all).unwrap_or("the floor");
    let timed = |workload: &Workload| workload.kind != Kind::Idle && !workload.kind.is_app();
    let of = |summary: &Summary| Some((cpu_ratio(summary.to_floor)?, false));
    let title = format!("CPU time of {OURS}, compared with {floor}");
    let label = |workload: &Workload| {
        if workload.kind == Kind::Bulk { versus(workload, &workload.floor) } else { row_title(workload) }
    };
    let below = "ratio of the CPU time for equal work; less is better";
    html += &ratios(results, &title, below, label, timed, of)?;
    // The workloads with servers of their own have baselines of their own, and ratios that may be far from 1.
    let of = |summary: &Summary| Some((rate_ratio(summary.to_baseline)?, summary.generator_limited));
    let below = "ratio of the throughput; more is better";
    let baseline = results.baseline.as_deref().unwrap_or("the baseline");
    let title = format!("Throughput of {OURS}, compared with {baseline}");
    let free = |workload: &Workload| {
        workload.kind.is_echo() && !matches!(workload.kind, Kind::FixedRate | Kind::Idle)
    };
    html += &ratios(results, &title, below, row_title, free, of)?;
    let title = format!("Throughput of {OURS} in workloads with servers of their own");
    let label = |workload: &Workload| versus(workload, &workload.baseline);
    html += &ratios(results, &title, below, label, |workload| !workload.kind.is_echo(), of)?;
    let of = |summary: &Summary| Some((cpu_ratio(summary.to_counterpart)?, false));
    let title = format!("CPU time of {OURS}, compared with {OURS} without the feature of the workload");
    let below = "ratio of the CPU time for equal work; less is better";
    let label = |workload: &Workload| versus(workload, &workload.counterpart);
    let own = |workload: &Workload| !workload.kind.is_echo() && !workload.kind.is_app();
    html += &ratios(results, &title, below, label, own, of)?;
    let of = |summary: &Summary| Some((cpu_ratio(summary.to_baseline)?, false));
    let title = format!("CPU time of the example programs of {OURS}, compared with well-known servers");
    let label = |workload: &Workload| versus(workload, &workload.baseline);
    html += &ratios(results, &title, below, label, |workload| workload.kind.is_app(), of)?;
    let of = |summary: &Summary| {
        let second = cpu_ratio(summary.to_floor).or_else(|| cpu_ratio(summary.to_counterpart));
        Some((second?, false))
    };
    let title = format!("CPU time of the example programs of {OURS}, compared with a second server");
    let label = |workload: &Workload| {
        versus(workload, if workload.floor.is_some() { &workload.floor } else { &workload.counterpart })
    };
    html += &ratios(results, &title, below, label, |workload| workload.kind.is_app(), of)?;
    Ok(html)
}

/// Returns the label of a ratio whose reference depends on the workload; the label names the reference.
fn versus(workload: &Workload, server: &Option<String>) -> String {
    let title = row_title(workload);
    server.as_ref().map_or(title.clone(), |server| format!("{title}, vs. {server}"))
}

fn ratios(
    results: &Results,
    title: &str,
    below: &'static str,
    label: fn(&Workload) -> String,
    shown: fn(&Workload) -> bool,
    of: fn(&Summary) -> Option<(Ratio, bool)>,
) -> Drawn<String> {
    let mut rows = Vec::new();
    for group in columns::groups(results) {
        let mut part = Vec::new();
        for workload in group.iter().filter(|workload| shown(workload)) {
            let ours = workload.results.iter().find(|outcome| outcome.server == OURS);
            let summary = ours.and_then(|outcome| outcome.summary.as_ref());
            let Some((ratio, limited)) = summary.and_then(of) else { continue };
            let Ratio { median, low, high } = ratio;
            let mark = if limited { LIMITED } else { "" };
            part.push(Row::Server(Figures {
                label: label(workload),
                server: 0,
                ours: false,
                marks: vec![median],
                between: Some((low, high)),
                text: format!("{median:.2}{mark} ({low:.2}–{high:.2})"),
            }));
        }
        if !part.is_empty() {
            rows.push(Row::Heading(group_title(group[0])));
            rows.append(&mut part);
        }
    }
    let label = format!("{title}: a mark for each workload, with its 95 % interval");
    let plot = Rows { label, below, axis: Axis::Ratio, write: plain, rows, text_width: 132 };
    figure(title, "the mark is the ratio, the line its 95 % interval", "", rows::draw(&plot)?)
}

/// Returns all plots of a group of workloads.
pub fn of_group(results: &Results, group: &[&Workload]) -> Drawn<String> {
    let kind = group[0].kind;
    let mut html = String::new();
    match kind {
        Kind::Idle => html += &memory_rows(results, group)?,
        Kind::SlowReaders => {
            html += &latency_rows(results, group)?;
            html += &memory_rows(results, group)?;
        }
        Kind::Datagrams
        | Kind::KvGet
        | Kind::KvSet
        | Kind::HttpPlaintext
        | Kind::HttpFile
        | Kind::ProxyPingPong
        | Kind::ProxyChurn => {
            html += &rate_plot(results, group)?;
            html += &cpu_plot(results, group)?;
            html += &latency_rows(results, group)?;
        }
        Kind::FixedRate => {
            html += &cpu_plot(results, group)?;
            html += &latency_rows(results, group)?;
        }
        Kind::Bulk | Kind::Framed | Kind::Broadcast | Kind::File | Kind::ProxyStreams => {
            html += &rate_plot(results, group)?;
            html += &cpu_plot(results, group)?;
        }
        Kind::PingPong | Kind::Pipelined | Kind::Churn | Kind::Flood => {
            html += &rate_plot(results, group)?;
            html += &cpu_plot(results, group)?;
            html += &latency_lines(results, group)?;
            html += &latency_rows(results, &representative(group))?;
        }
    }
    Ok(html)
}

/// Returns true if the group has at least three workloads. Fewer points do not make a useful line.
fn many(group: &[&Workload]) -> bool {
    group.len() >= 3
}

/// From a group with many numbers of connections, returns the workload with the smallest number, in which every server
/// can take part, and a workload from the middle.
fn representative<'a>(group: &[&'a Workload]) -> Vec<&'a Workload> {
    if many(group) { vec![group[0], group[group.len() / 2]] } else { group.to_vec() }
}

fn rate_plot(results: &Results, group: &[&Workload]) -> Drawn<String> {
    let kind = group[0].kind;
    let unit = match kind {
        Kind::File => "GiB a second",
        _ if kind.is_in_bytes() => "MiB a second",
        _ if kind.is_churn() => "connections a second",
        _ if columns::is_requests(kind) => "requests a second",
        Kind::Datagrams => "datagrams a second",
        _ => "messages a second",
    };
    let value = |summary: &Summary| Some(rate(kind, summary));
    let mark = |summary: &Summary| if summary.generator_limited { LIMITED } else { "" };
    lines_or_bars(results, group, ("Throughput", unit, "more is better"), thousands, &value, mark)
}

fn cpu_plot(results: &Results, group: &[&Workload]) -> Drawn<String> {
    let kind = group[0].kind;
    let unit = match kind {
        _ if kind.is_in_bytes() => "seconds for each GiB",
        _ if kind.is_churn() => "µs for each connection",
        _ if columns::is_requests(kind) => "µs for each request",
        Kind::Datagrams => "µs for each datagram",
        _ => "µs for each message",
    };
    let value = |summary: &Summary| Some(cpu(kind, summary)).filter(|spread| spread.median > 0.0);
    lines_or_bars(results, group, ("CPU time of the server", unit, "less is better"), plain, &value, |_| "")
}

fn lines_or_bars(
    results: &Results,
    group: &[&Workload],
    (title, unit, better): (&str, &str, &'static str),
    write: fn(f64) -> String,
    value: &dyn Fn(&Summary) -> Option<Spread>,
    mark: fn(&Summary) -> &'static str,
) -> Drawn<String> {
    let label = format!("{title}, {unit}: {}", group_title(group[0]));
    if many(group) {
        let lines = lines(results, group, value);
        let legend = legend(results, &lines);
        let about = format!("{unit}; {better}{}", hollow(&lines));
        let plot = Lines { label, below: columns::clients(group[0].kind), log: false, write, lines };
        return figure(title, &about, &legend, lines::draw(&plot)?);
    }
    let rows = rows(results, group, |summary| {
        let spread = value(summary)?;
        Some((vec![spread.median], Some((spread.low, spread.high)), number(spread.median) + mark(summary)))
    });
    let plot = Rows { label, below: "", axis: Axis::Bars, write, rows, text_width: 72 };
    figure(title, &format!("{unit}; {better}"), "", rows::draw(&plot)?)
}

fn latency_lines(results: &Results, group: &[&Workload]) -> Drawn<String> {
    if !many(group) {
        return Ok(String::new());
    }
    let lines = lines(results, group, &|summary| {
        let p99 = summary.latency?.p99;
        // The point has no quartiles, because the summary of latencies has none.
        (p99 > 0.0).then_some(Spread { median: p99, low: 0.0, high: 0.0 })
    });
    let legend = legend(results, &lines);
    let label = format!("Latency, p99: {}", group_title(group[0]));
    let about = format!("logarithmic scale; less is better{}", hollow(&lines));
    let plot = Lines { label, below: "connections", log: true, write: time, lines };
    figure("Latency, p99", &about, &legend, lines::draw(&plot)?)
}

fn latency_rows(results: &Results, group: &[&Workload]) -> Drawn<String> {
    let rows = rows(results, group, |summary| {
        let latency = summary.latency?;
        let marks = vec![latency.p50, latency.p99, latency.p999];
        if !marks.iter().all(|mark| *mark > 0.0) {
            return None;
        }
        let text = marks.iter().map(|mark| number(*mark)).collect::<Vec<_>>().join(" / ");
        Some((marks, None, text))
    });
    let label = format!("Latency, p50, p99 and p99.9: {}", group_title(group[0]));
    let plot = Rows { label, below: "", axis: Axis::Log, write: time, rows, text_width: 172 };
    figure("Latency", "p50 / p99 / p99.9 in µs; logarithmic scale; less is better", "", rows::draw(&plot)?)
}

fn memory_rows(results: &Results, group: &[&Workload]) -> Drawn<String> {
    let idle = group[0].kind == Kind::Idle;
    let rows = rows(results, group, |summary| {
        let both = [summary.bytes_per_connection, summary.bytes_per_connection_after];
        let marks: Vec<f64> =
            both.into_iter().flatten().map(|spread| spread.median).filter(|median| *median > 0.0).collect();
        let text = marks.iter().map(|mark| memory(*mark)).collect::<Vec<_>>().join(" / ");
        (!marks.is_empty()).then_some((marks, None, text))
    });
    let label = format!("Memory for each connection: {}", group_title(group[0]));
    let plot = Rows { label, below: "", axis: Axis::Binary, write: memory, rows, text_width: 150 };
    let about = if idle { "first mark: before an echo; second mark: after an echo; " } else { "" };
    let about = format!("{about}logarithmic scale; less is better");
    figure("Memory for each connection", &about, "", rows::draw(&plot)?)
}

type Shown = (Vec<f64>, Option<(f64, f64)>, String);

/// Returns a row for each server that has figures. If there are several workloads, each workload has a heading above
/// its rows.
fn rows(results: &Results, group: &[&Workload], of: impl Fn(&Summary) -> Option<Shown>) -> Vec<Row> {
    let mut rows = Vec::new();
    for workload in group {
        let figures = |outcome: &Outcome| {
            let (marks, between, text) = of(outcome.summary.as_ref()?)?;
            let (label, ours) = (outcome.server.clone(), outcome.server == OURS);
            let server = place_of(results, &outcome.server);
            Some(Row::Server(Figures { label, server, ours, marks, between, text }))
        };
        let mut servers: Vec<Row> = workload.results.iter().filter_map(figures).collect();
        if !servers.is_empty() {
            rows.push(Row::Heading(row_title(workload)));
            rows.append(&mut servers);
        }
    }
    rows
}

fn lines(results: &Results, group: &[&Workload], of: &dyn Fn(&Summary) -> Option<Spread>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for server in &results.servers {
        let mut points: Vec<Point> = group
            .iter()
            .filter_map(|workload| {
                let outcome = workload.results.iter().find(|outcome| outcome.server == server.name)?;
                let summary = outcome.summary.as_ref()?;
                let limited = summary.generator_limited;
                Some(Point { at: workload.connections as f64, value: of(summary)?, limited })
            })
            .collect();
        points.sort_by(|left, right| left.at.total_cmp(&right.at));
        if !points.is_empty() {
            let ours = server.name == OURS;
            lines.push(Line { server: place_of(results, &server.name), ours, points });
        }
    }
    lines.sort_by_key(|line| !line.ours);
    lines
}

/// Returns the explanation of hollow marks, if there are any.
fn hollow(lines: &[Line]) -> &'static str {
    let limited = lines.iter().flat_map(|line| &line.points).any(|point| point.limited);
    if limited { "; hollow marks: the load generator was the limit" } else { "" }
}

/// Returns a legend of the servers that the plot shows, in the order of the list of servers.
fn legend(results: &Results, lines: &[Line]) -> String {
    let mut html = String::new();
    for server in &results.servers {
        let place = place_of(results, &server.name);
        if lines.iter().any(|line| line.server == place) {
            html += &format!("<li>{}{}</li>", swatch(place), name(&server.name));
        }
    }
    format!("<ul class=\"legend\">{html}</ul>\n")
}

/// Returns a sample of the colour and the mark of a server.
pub fn swatch(place: usize) -> String {
    let (colour, mark) = (Ink::Server(place).class(), mark_class(place));
    format!("<span class=\"swatch back-{colour} {mark}\" aria-hidden=\"true\"></span>")
}

/// Returns the name of a server as HTML. The name of this crate's server is emphasised.
pub fn name(server: &str) -> String {
    let name = escape(server);
    if server == OURS { format!("<strong>{name}</strong>") } else { name }
}

/// Returns the HTML of a figure, or an empty string if there is no picture.
fn figure(title: &str, about: &str, legend: &str, svg: Option<String>) -> Drawn<String> {
    let Some(svg) = svg else { return Ok(String::new()) };
    let (title, about) = (escape(title), escape(about));
    Ok(format!(
        "<figure>\n<figcaption><strong>{title}</strong> <span>{about}</span></figcaption>\n{legend}\
         <div class=\"plot\">{svg}</div>\n</figure>\n"
    ))
}
