//! The method of the benchmark: the processes of all servers of a workload run concurrently, and the servers take turns
//! with their rounds.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Args;
use crate::child::{Child, Contender, What};
use crate::document::Document;
use crate::load::backend::Backend;
use crate::load::pattern::Pattern;
use crate::measure::{Bench, Subject};
use crate::plan::{self, Case};
use crate::results::{Kind, Outcome, Results, Round, Server, Workload};
use crate::servers::programs::{self, Site, examples};
use crate::servers::{Builtin, Service};
use crate::statistics::{self, References};
use crate::system::{self, Cores};
use crate::usage::Usage;

/// The servers that can be the floor. The first server is the floor of most workloads. For `Bulk` any of these servers
/// can be the floor.
pub const FLOORS: [&str; 3] = ["mio", "mio-16k", "mio-256k"];
pub const BASELINE: &str = "threads";

/// The servers that can be the floor of `HttpPlaintext`: the cheapest of these servers is the floor.
const HTTP_FLOORS: [&str; 2] = ["hyper", "may-minihttp"];

/// Returns the servers that the ratios of a workload refer to.
pub fn references(kind: Kind) -> References<'static> {
    let floors: &[&str] = match kind {
        Kind::HttpPlaintext => &HTTP_FLOORS,
        _ if kind.is_app() => &[],
        _ => &FLOORS,
    };
    let (baseline, counterpart) = match kind {
        Kind::Framed => ("tokio", Some("tidegate-all")),
        Kind::Broadcast => ("tokio", Some("tidegate-copy")),
        Kind::File => ("nginx", Some("tidegate-read")),
        Kind::Datagrams => ("tokio", None),
        Kind::KvGet | Kind::KvSet => ("redis", None),
        Kind::HttpPlaintext | Kind::HttpFile => ("nginx", None),
        Kind::ProxyStreams | Kind::ProxyPingPong | Kind::ProxyChurn => ("haproxy", Some("haproxy-256k")),
        _ => (BASELINE, None),
    };
    References { floors, baseline, counterpart }
}

/// The features of this package that are on.
const FEATURES: &[&str] = if cfg!(feature = "packet-info") { &["packet-info"] } else { &[] };

/// The fixed rate as a share of the rate that the slowest server reaches.
const RATE_SHARE: f64 = 0.6;

/// The smallest share of time without a core for the load generator that the benchmark reports.
const DISTURBED: f64 = 0.01;

/// The smallest number of rounds for a 95 % interval. With fewer rounds, the interval contains the true value less
/// often.
const FEWEST: usize = 5;

/// True after a signal. The run then ends with the results until then.
pub static STOP: AtomicBool = AtomicBool::new(false);

pub fn is_stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// A server in a workload. A server that has failed has no process.
struct Entrant<'a> {
    contender: &'a Contender,
    subject: Option<Subject>,
    outcome: Outcome,
}

struct Run {
    cores: Option<Cores>,
    pattern: Pattern,
    progress: ProgressBar,
    /// The file of the present workload, if the workload needs a file or a directory.
    document: Option<Document>,
    /// The backend of the present workload, if the servers are proxies.
    backend: Option<Backend>,
}

pub fn run(args: &Args) -> Result<Results, String> {
    let (clock, began) = (Instant::now(), SystemTime::now());
    let mut contenders = args.contenders();
    let mut notes = Vec::new();
    if cfg!(debug_assertions) {
        notes.push(
            "the benchmark is a debug build, so the figures do not show the speed of a release build".into(),
        );
    }
    let descriptors = system::raise_descriptors();
    let mut machine = system::machine(descriptors);
    let cores = pin(&mut notes);
    machine.pinned = cores.is_some();
    let waited = system::waited();
    let cases = plan::cases(args, descriptors, &mut notes);
    if cfg!(feature = "packet-info") && cases.iter().any(|case| case.kind == Kind::Datagrams) {
        notes.push(
            "the feature packet-info is on: in the workload datagrams, the server tidegate can receive \
             several datagrams with one system call, and receives the address that each datagram was sent to"
                .into(),
        );
    }
    // A server that has none of the services would only fill the legends.
    contenders.retain(|contender| cases.iter().any(|case| contender.has(case.service())));
    leave_out(&mut contenders, &mut notes, |program| programs::find(program).is_some());
    prepare_examples(&cases, &contenders, &mut notes)?;
    // The benchmark starts each other program once before the measurement, so that a mistake in a command is reported
    // at once.
    for contender in contenders.iter().filter(|contender| matches!(contender.what, What::Program(_))) {
        start(contender, Service::Echo, &Site::default(), cores)
            .map_err(|error| format!("{}: {error}", contender.name))?;
    }
    let steps: usize = cases.iter().map(|case| steps(case, &contenders)).sum();
    let (pattern, progress) = (Pattern::new(), progress(steps as u64));
    let mut run = Run { cores, pattern, progress, document: None, backend: None };

    let name = |name: &str| contenders.iter().any(|one| one.name == name).then(|| name.to_owned());
    let mut workloads = Vec::new();
    for case in &cases {
        if is_stopped() {
            break;
        }
        run.document = None;
        if case.service().needs_directory() {
            let document = Document::create(case.message, &run.pattern)
                .map_err(|error| format!("cannot create a file of {} bytes: {error}", case.message))?;
            run.document = Some(document);
        }
        run.backend = backend(case.kind).map_err(|error| format!("cannot make a backend: {error}"))?;
        let mut workload = run.workload(case, &contenders, args.rate.map(|rate| rate as f64));
        statistics::summarise(&mut workload, &references(case.kind));
        workloads.push(workload);
    }
    run.progress.finish_and_clear();
    if is_stopped() {
        notes.push(
            "a signal stopped the run: the last workload lacks rounds, and all later workloads are missing"
                .into(),
        );
    }
    let has_few_rounds = |outcome: &Outcome| (1..FEWEST).contains(&outcome.rounds.len());
    if workloads.iter().any(|workload: &Workload| workload.results.iter().any(has_few_rounds)) {
        notes.push(format!(
            "some servers had fewer than {FEWEST} rounds: the interval of their ratios is the range of the measured \
             ratios, and not the 95 % interval"
        ));
    }
    let waited =
        system::waited().zip(waited).map(|(after, before)| (after - before) / clock.elapsed().as_secs_f64());
    if let Some(share) = waited.filter(|share| *share > DISTURBED) {
        notes.push(format!(
            "other programs disturbed the run: for {:.0} % of the time the load generator was ready to run and had \
             no core",
            share * 100.0
        ));
    }
    if !cfg!(target_os = "linux") {
        notes.push(
            "the benchmark can read the CPU time and the memory of a server only on Linux, so these \
             figures are missing"
                .into(),
        );
    }
    let server = |one: &Contender| Server { name: one.name.clone(), about: one.about.clone() };
    Ok(Results {
        format: 4,
        machine,
        arguments: std::env::args().skip(1).collect(),
        features: FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
        began: began.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        seconds: clock.elapsed().as_secs_f64(),
        servers: contenders.iter().map(server).collect(),
        floor: name(FLOORS[0]),
        baseline: name(BASELINE),
        workloads,
        notes,
    })
}

impl Run {
    fn workload(&self, case: &Case, contenders: &[Contender], rate: Option<f64>) -> Workload {
        let suited = contenders.iter().filter(|contender| case.suits(contender));
        let mut entrants: Vec<_> =
            suited.map(|contender| self.entrant(case, contender, !case.is_fresh())).collect();
        let file = self.document.as_ref().map(Document::path);
        let backend = self.backend.as_ref();
        let mut bench = Bench { case, pattern: &self.pattern, rate: None, file, backend };
        if case.kind == Kind::FixedRate {
            bench.rate = rate.or_else(|| self.rate(&bench, &mut entrants));
        }
        for round in 0..case.rounds {
            for entrant in entrants.iter_mut().filter(|entrant| case.has(round, entrant.contender)) {
                if is_stopped() {
                    break;
                }
                self.progress.set_message(format!("{}: {}", case.title(), entrant.contender.name));
                if case.is_fresh() && entrant.outcome.error.is_none() {
                    self.start(case, entrant);
                }
                entrant.round(&bench, round);
                if case.is_fresh() {
                    entrant.subject = None;
                }
                self.progress.inc(1);
            }
        }
        Workload {
            kind: case.kind,
            title: case.title(),
            connections: case.connections,
            message_bytes: case.message,
            in_flight: case.in_flight,
            rate: bench.rate,
            floor: None,
            baseline: None,
            counterpart: None,
            results: entrants.into_iter().map(|entrant| entrant.outcome).collect(),
        }
    }

    fn entrant<'a>(&self, case: &Case, contender: &'a Contender, is_started: bool) -> Entrant<'a> {
        let outcome =
            Outcome { server: contender.name.clone(), rounds: Vec::new(), error: None, summary: None };
        let mut entrant = Entrant { contender, subject: None, outcome };
        if is_started {
            self.start(case, &mut entrant);
        }
        entrant
    }

    fn start(&self, case: &Case, entrant: &mut Entrant<'_>) {
        let site = Site {
            file: self.document.as_ref().map(Document::path),
            backend: self.backend.as_ref().map(|backend| backend.address),
        };
        let contender = entrant.contender;
        match start(contender, case.service(), &site, self.cores) {
            Ok(child) => {
                let (begin, builtin) = (Usage::of(child.pid()), contender.builtin());
                let has_threads = contender.may_have_threads();
                entrant.subject = Some(Subject { child, begin, has_threads, builtin });
            }
            Err(error) => entrant.outcome.error = Some(error),
        }
    }

    /// Returns a rate that every server can reach with some reserve.
    fn rate(&self, bench: &Bench<'_>, entrants: &mut [Entrant<'_>]) -> Option<f64> {
        let mut slowest = None;
        for entrant in entrants {
            self.progress.set_message(format!("the highest rate of {}", entrant.contender.name));
            if let Some(capacity) = entrant.attempt(|subject| bench.capacity(subject)) {
                slowest = Some(capacity.min(slowest.unwrap_or(f64::INFINITY)));
            }
        }
        slowest.map(|capacity| (capacity * RATE_SHARE).round().max(1.0))
    }
}

impl Entrant<'_> {
    fn round(&mut self, bench: &Bench<'_>, number: usize) {
        // Each round begins at another position in the pattern, so that bytes of the previous round are not mistaken
        // for bytes of this round.
        if let Some(round) = self.attempt(|subject| bench.round(subject, number as u64 * 1_000_003)) {
            self.outcome.rounds.push(Round { number, ..round });
        }
    }

    /// Calls `work` with the server. A server that fails leaves this workload, and the outcome keeps the error.
    fn attempt<T>(&mut self, work: impl FnOnce(&Subject) -> Result<T, String>) -> Option<T> {
        let subject = self.subject.as_mut()?;
        let error = match work(subject) {
            Ok(result) => return Some(result),
            Err(error) => error,
        };
        let ended = subject.child.ended().map(|ended| format!("; {ended}")).unwrap_or_default();
        self.outcome.error = Some(error + &ended);
        self.subject = None;
        None
    }
}

/// Returns the number of rounds of all servers together.
fn steps(case: &Case, contenders: &[Contender]) -> usize {
    let suited = contenders.iter().filter(|one| case.suits(one));
    suited.map(|one| (0..case.rounds).filter(|round| case.has(*round, one)).count()).sum()
}

fn start(
    contender: &Contender,
    service: Service,
    site: &Site<'_>,
    cores: Option<Cores>,
) -> Result<Child, String> {
    Child::start(contender, service, site, cores.map(|cores| cores.server))
}

/// Removes the servers that are not installed, with a note for each program.
fn leave_out(contenders: &mut Vec<Contender>, notes: &mut Vec<String>, is_installed: impl Fn(&str) -> bool) {
    let program = |contender: &Contender| contender.builtin().and_then(Builtin::program);
    let is_missing = |contender: &Contender| program(contender).is_some_and(|name| !is_installed(name));
    let missing: Vec<_> = contenders.extract_if(.., |contender| is_missing(contender)).collect();
    for group in missing.chunk_by(|one, other| program(one) == program(other)) {
        let names: Vec<_> = group.iter().map(|contender| contender.name.as_str()).collect();
        let s = if names.len() == 1 { "" } else { "s" };
        let (names, name) = (names.join(" and "), program(&group[0]).unwrap_or_default());
        notes.push(format!("the server{s} {names} did not take part, because {name} is not installed"));
    }
}

/// Makes sure that the example programs exist that take part.
fn prepare_examples(cases: &[Case], contenders: &[Contender], notes: &mut Vec<String>) -> Result<(), String> {
    let is_ours = |contender: &Contender| contender.builtin() == Some(Builtin::Tidegate);
    if !contenders.iter().any(is_ours) {
        return Ok(());
    }
    let mut names: Vec<&str> = cases.iter().filter_map(|case| case.service().example()).collect();
    names.dedup();
    if !names.is_empty() {
        notes.extend(examples::build(&names)?);
    }
    if names.contains(&"proxy") {
        notes.push(
            "the backend of the proxies ran on the thread of the load generator: a proxy whose rate is marked as \
             limited by the load generator could have passed more"
                .into(),
        );
    }
    Ok(())
}

/// Returns the backend for a workload with proxies.
fn backend(kind: Kind) -> io::Result<Option<Backend>> {
    match kind {
        Kind::ProxyStreams => Backend::framed().map(Some),
        Kind::ProxyPingPong | Kind::ProxyChurn => Backend::echo().map(Some),
        _ => Ok(None),
    }
}

/// Pins this process to the core of the load generator. A server is pinned to its own core when the server starts.
fn pin(notes: &mut Vec<String>) -> Option<Cores> {
    let cores = system::choose().filter(|cores| system::pin(cores.generator));
    match cores {
        None => notes.push(
            "the servers and the load generator had no cores of their own, so they may have slowed each \
             other down"
                .into(),
        ),
        Some(cores) if cores.are_siblings => {
            notes.push(
                "the core of the servers and the core of the load generator are threads of one physical core, \
                 and such threads slow each other down".into(),
            );
        }
        Some(_) => {}
    }
    cores
}

/// Returns a progress bar, which is hidden if standard error is not a terminal.
fn progress(steps: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} of about {duration}  {wide_msg}");
    ProgressBar::new(steps).with_style(style.expect("the template is valid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_installed_is_left_out_with_one_note_for_its_program() {
        let mut contenders = Builtin::DEFAULT.map(Contender::from).to_vec();
        let mut notes = Vec::new();
        leave_out(&mut contenders, &mut notes, |program| program != "haproxy");
        assert_eq!(
            notes,
            ["the servers haproxy and haproxy-256k did not take part, because haproxy is not installed"]
        );
        let names: Vec<_> = contenders.iter().map(|contender| contender.name.as_str()).collect();
        assert!(names.contains(&"redis") && !names.contains(&"haproxy"), "{names:?}");
        leave_out(&mut contenders, &mut notes, |_| false);
        assert_eq!(
            notes[1..].join("\n"),
            "the server nginx did not take part, because nginx is not installed\n\
             the server redis did not take part, because redis-server is not installed"
        );
    }
}
