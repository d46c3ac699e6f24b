//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};

use crate::child::{Contender, What};
use crate::plan::Load;
use crate::servers::{Builtin, Service};

/// Compares servers of this crate with other servers, over the loopback device of this machine: echo servers, receivers
/// of framed streams, broadcasts, servers of a file, and echo servers for datagrams. With --apps, compares the example
/// programs of this crate with well-known servers.
///
/// Every server runs in a process of its own. If the system allows it, the server and the load generator each have a
/// core of their own. Rounds of the servers are interleaved. The load generator compares every byte that comes back,
/// and the digests of the frames that the server received; a wrong, lost or extra byte fails the run. A lost datagram
/// is counted and does not fail the run. With the feature packet-info of this package, the server of this crate
/// can receive several datagrams with one system call: cargo run --release -p bench --features packet-info. Without
/// options the benchmark takes about nine minutes. Build the benchmark with --release, and run no other program while
/// the benchmark runs.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub struct Args {
    /// Run fewer and shorter rounds with fewer connections, in about half a minute
    #[arg(long)]
    pub quick: bool,

    /// Compare these servers; --list shows all servers [default: all but mio-16k]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', hide_possible_values = true)]
    servers: Vec<Builtin>,

    /// Compare another program as well in the workloads with an echo on connections: any echo server. {port} stands for
    /// the port at 127.0.0.1 where the program has to listen. No shell is involved; spaces separate the words. The
    /// processes that the program starts are ended with the program, if these processes stay in its process group. This
    /// option can be given several times, and works on Unix only
    #[arg(long, value_name = "[NAME=]CMD {port}", value_parser = program)]
    exec: Vec<Contender>,

    /// Run the workloads of the example programs kv, http and proxy in place of the other workloads, side by side with
    /// redis-server, nginx, hyper, may_minihttp and HAProxy. cargo builds the example programs first. A server that is not
    /// installed is left out. The backend of the proxies runs on the core of the load generator
    #[arg(long, conflicts_with = "workloads")]
    apps: bool,

    /// Run these workloads; --list shows all workloads [default: all but those of --apps]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', hide_possible_values = true)]
    workloads: Vec<Load>,

    /// Run each workload with these numbers of connections (for broadcast: of subscribers, for datagrams: of client
    /// sockets), in place of the workload's own numbers
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', value_parser = at_least_one)]
    pub connections: Vec<usize>,

    /// Run this number of rounds for each server in each workload; by default, this crate's server, bare mio
    /// loops and programs of --exec have more rounds than other servers
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub rounds: Option<usize>,

    /// Measure for this time in each round
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub round_time: Option<Duration>,

    /// Send this number of messages a second in the workload fixed-rate [default: 60 % of the rate of the slowest
    /// server]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub rate: Option<usize>,

    /// Write all results as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write an HTML report with plots to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// List the servers and the workloads, and run nothing
    #[arg(long)]
    pub list: bool,

    /// Run one server alone, for a profiler: the server prints its address, and Ctrl-C ends the server
    #[arg(long, value_name = "SERVER")]
    pub serve: Option<Builtin>,

    /// With --serve: the service that the server has. The example programs and installed programs are started by
    /// themselves
    #[arg(long, value_name = "SERVICE", value_enum, default_value_t = Service::Echo, requires = "serve")]
    pub service: Service,

    /// With --serve and --service file: the file that the server sends
    #[arg(long, value_name = "FILE", requires = "serve")]
    pub file: Option<PathBuf>,

    /// Run the server on this core
    #[arg(long, hide = true)]
    pub core: Option<usize>,

    /// Replace this process by another program
    #[arg(last = true, hide = true)]
    pub program: Vec<String>,
}

impl Args {
    /// Returns the servers that take part. Two servers with equal names end the program, as other wrong arguments do.
    pub fn contenders(&self) -> Vec<Contender> {
        let servers = if self.servers.is_empty() { &Builtin::DEFAULT[..] } else { &self.servers };
        let mut all: Vec<Contender> = Vec::new();
        for contender in
            servers.iter().map(|server| Contender::from(*server)).chain(self.exec.iter().cloned())
        {
            if all.iter().any(|other| other.name == contender.name) {
                let why = format!("two servers have the name {:?}", contender.name);
                Self::command().error(ErrorKind::ValueValidation, why).exit();
            }
            all.push(contender);
        }
        all
    }

    pub fn workloads(&self) -> Vec<Load> {
        if !self.workloads.is_empty() {
            return self.workloads.clone();
        }
        let loads = Load::value_variants().iter().copied();
        loads.filter(|load| load.is_app() == self.apps).collect()
    }
}

pub fn list() -> String {
    fn lines<T: ValueEnum>(title: &str) -> String {
        let line = |variant: &T| {
            let value = variant.to_possible_value()?;
            Some(format!("  {:16} {}\n", value.get_name(), value.get_help()?))
        };
        title.to_owned() + &T::value_variants().iter().filter_map(line).collect::<String>()
    }
    lines::<Builtin>("servers:\n") + &lines::<Load>("workloads:\n")
}

fn program(text: &str) -> Result<Contender, String> {
    // The text before the "=" is a name only if that text cannot be a path or a program with arguments.
    let (name, command) = match text.split_once('=') {
        Some((name, command)) if !name.is_empty() && !name.contains([' ', '/']) => (Some(name), command),
        _ => (None, text),
    };
    let words: Vec<String> = command.split_whitespace().map(Into::into).collect();
    if !words.iter().any(|word| word.contains("{port}")) {
        return Err("the command has no {port}".into());
    }
    let file = words[0].rsplit('/').next().unwrap_or_default();
    Ok(Contender {
        name: name.unwrap_or(file).into(),
        about: command.trim().into(),
        what: What::Program(words),
    })
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "not a whole number above 0".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse().map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) if (0.001..=60.0).contains(&time.as_secs_f64()) => Ok(time),
        _ => Err("not a number of seconds from 0.001 to 60".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_program_may_have_a_name() {
        let named = program("C=./echo -p {port}").unwrap();
        assert_eq!((named.name.as_str(), named.about.as_str()), ("C", "./echo -p {port}"));
        let words = ["./echo", "-p", "{port}"].map(String::from).to_vec();
        assert_eq!(named.what, What::Program(words));
        assert_eq!(program("/usr/bin/echo --listen=:{port}").unwrap().name, "echo");
        assert!(program("./echo 7007").is_err());
        assert!(program("").is_err());
    }
}
