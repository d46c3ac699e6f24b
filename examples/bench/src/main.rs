//! The benchmark measures what the event loop gains over blocking servers, and what this crate costs above a bare mio
//! loop.
//!
//! `cargo run --release -p bench` takes about nine minutes. `cargo run --release -p bench -- --quick` takes half a
//! minute.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{self, ExitCode};
use std::sync::atomic::Ordering;

use clap::Parser;

use args::Args;
use results::Results;

mod args;
mod child;
mod columns;
mod document;
#[cfg(test)]
mod fixture;
mod group;
mod load;
mod measure;
mod numbers;
mod plan;
mod protocol;
mod report;
mod results;
mod run;
mod servers;
mod statistics;
mod system;
mod table;
mod usage;

fn main() -> ExitCode {
    let args = Args::parse();
    let is_server = args.serve.is_some() || !args.program.is_empty();
    let done = if is_server {
        child::become_server(&args)
    } else if args.list {
        // A failed write is not an error: the reader of the list has closed the pipe.
        let _ = io::stdout().write_all(args::list().as_bytes());
        Ok(())
    } else {
        compare(&args)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let name = if is_server { "" } else { "bench: " };
            // The code does not use eprintln!, which panics if no process reads the pipe of standard error any more.
            let _ = writeln!(io::stderr(), "{name}{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), String> {
    // The first signal ends the run after the present round. A second signal ends the run and the servers at once.
    let interrupted = || {
        if run::STOP.swap(true, Ordering::Relaxed) {
            group::end_all();
            document::remove_all();
            process::exit(130);
        }
    };
    ctrlc::set_handler(interrupted).map_err(|error| format!("cannot handle signals: {error}"))?;
    // The benchmark reports a file that cannot be written before the measurement, which takes minutes.
    for path in [&args.json, &args.html].into_iter().flatten() {
        // The file is opened to append, so that the results of an earlier run stay in the file until this run ends.
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| unwritable(path, &error))?;
    }
    let results = run::run(args)?;
    table::print(&results);
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&results)
            .map_err(|error| format!("cannot write the results as JSON: {error}"))?;
        write(path, &(text + "\n"))?;
    }
    if let Some(path) = &args.html {
        write(path, &report::html(&results).map_err(|error| format!("cannot make the report: {error}"))?)?;
    }
    failures(&results)?;
    if run::is_stopped() { Err("stopped by a signal; the results end there".into()) } else { Ok(()) }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// Returns an error if any server failed in any workload, so that a failure is not overlooked among the figures.
fn failures(results: &Results) -> Result<(), String> {
    let outcomes = results.workloads.iter().flat_map(|workload| {
        workload.results.iter().map(move |outcome| (&workload.title, &outcome.server, &outcome.error))
    });
    let errors: Vec<_> = outcomes
        .filter_map(|(title, server, error)| Some(format!("{server}, {title}: {}", error.as_ref()?)))
        .collect();
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        [first, ..] => Err(format!("{} failures; the first failure: {first}", errors.len())),
    }
}
