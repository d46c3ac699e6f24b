//! One round measures one server under one workload.

use std::path::Path;
use std::time::Duration;

use crate::child::Child;
use crate::document::Document;
use crate::load::backend::Backend;
use crate::load::broadcast::Broadcast;
use crate::load::client::{Habit, Role};
use crate::load::datagrams::Datagrams;
use crate::load::pattern::Pattern;
use crate::load::requests::{KEYS, Requests, Script};
use crate::load::streams::Streams;
use crate::load::{Tally, Target, churn, file, framed};
use crate::plan::{Case, PING};
use crate::protocol::{self, FILE_REQUEST, PLAINTEXT, PLAINTEXT_PATH};
use crate::results::{Kind, Round};
use crate::servers::Builtin;
use crate::usage::{self, Usage};

/// The time that a server may still work after its clients have all their echoes: to close thousands of connections
/// takes a while.
const SETTLING: Duration = Duration::from_secs(2);

/// The number of times that the benchmark fills the buffers again, after the buffers seemed to be full.
const FILLINGS: usize = 20;

pub struct Bench<'a> {
    pub case: &'a Case,
    pub pattern: &'a Pattern,
    /// The messages a second, for `Kind::FixedRate`.
    pub rate: Option<f64>,
    /// The file, for `Kind::File` and `Kind::HttpFile`.
    pub file: Option<&'a Path>,
    /// The backend, if the servers are proxies.
    pub backend: Option<&'a Backend>,
}

/// The process of a server, and the CPU time that the process had used directly after its start.
pub struct Subject {
    pub child: Child,
    pub begin: Usage,
    /// True if the server may start threads that end with their connections.
    pub has_threads: bool,
    /// The built-in server, or `None` for another program.
    pub builtin: Option<Builtin>,
}

impl Bench<'_> {
    /// Measures one round. `seed` selects the positions in the pattern at which the streams begin.
    pub fn round(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let round = match self.case.kind {
            Kind::Churn | Kind::ProxyChurn => self.churn(subject, seed),
            Kind::Idle => self.idle(subject, seed),
            Kind::SlowReaders => self.slow_readers(subject, seed),
            Kind::Framed | Kind::ProxyStreams => self.framed(subject, seed),
            Kind::Broadcast => self.broadcast(subject, seed),
            Kind::File => self.file(subject),
            Kind::Datagrams => self.datagrams(subject, seed),
            Kind::KvGet | Kind::KvSet => self.kv(subject, seed),
            Kind::HttpPlaintext | Kind::HttpFile => self.http(subject),
            _ => self.streams(subject, seed),
        }?;
        // The server closes its connections now, and must not take CPU time from the next server.
        self.at_rest(subject);
        Ok(round)
    }

    /// Returns the number of messages a second that the server reaches with the number of connections of the case.
    pub fn capacity(&self, subject: &Subject) -> Result<f64, String> {
        let roles = vec![self.role(Habit::Answers); self.case.connections];
        let mut load = Streams::connect(subject.child.address, &roles, 0, self.pattern)?;
        let mut best = 0.0_f64;
        // The code takes the best of three runs, because any disturbance makes a run slower.
        for _ in 0..3 {
            let tally = load.run(self.case.time, None)?;
            best = best.max(tally.messages as f64 / tally.seconds);
        }
        load.finish()?;
        self.at_rest(subject);
        Ok(best)
    }

    fn streams(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let role = match self.case.kind {
            Kind::FixedRate => self.role(Habit::Paced),
            Kind::Bulk | Kind::Flood => Role { is_timed: false, ..self.role(Habit::Answers) },
            _ => self.role(Habit::Answers),
        };
        let mut roles = vec![role; self.case.connections];
        if self.case.kind == Kind::Flood {
            roles.push(PINGER);
        }
        let mut load = Streams::connect(self.target(subject), &roles, seed, self.pattern)?;
        load.run(self.case.warm_up, self.rate)?;
        let before = self.at_rest(subject);
        let tally = load.run(self.case.time, self.rate)?;
        let round = self.round_of(subject, &before, tally);
        load.finish()?;
        Ok(round)
    }

    fn churn(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let Case { connections, message, warm_up, time, .. } = *self.case;
        let target = self.target(subject);
        churn::run(target, connections, message, warm_up, seed, self.pattern)?;
        let before = self.at_rest(subject);
        let tally = churn::run(target, connections, message, time, seed, self.pattern)?;
        Ok(self.round_of(subject, &before, tally))
    }

    fn idle(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let (address, role) = (subject.child.address, self.role(Habit::Answers));
        // A server allocates some memory for its first client and keeps this memory. That memory is not part of the
        // memory for each connection.
        let mut first = Streams::connect(address, &[role; 2], seed, self.pattern)?;
        first.run(Duration::ZERO, None)?;
        first.finish()?;
        self.at_rest(subject);
        let memory = self.memory(subject);
        let mut load = Streams::connect(address, &vec![role; self.case.connections], seed, self.pattern)?;
        let before = self.at_rest(subject);
        let silent = self.per_connection(subject, memory);
        let tally = load.run(Duration::ZERO, None)?; // Each connection carries one message.
        let mut round = self.round_of(subject, &before, tally);
        round.bytes_per_connection = silent;
        round.bytes_per_connection_after = self.per_connection(subject, memory);
        load.finish()?;
        Ok(round)
    }

    fn slow_readers(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let deaf = Role { is_timed: false, ..self.role(Habit::Deaf) };
        let mut roles = vec![deaf; self.case.connections];
        roles.push(PINGER);
        let mut load = Streams::connect(subject.child.address, &roles, seed, self.pattern)?;
        self.at_rest(subject);
        let memory = self.memory(subject);
        let mut before = self.at_rest(subject);
        // A moment without progress may be chance. The buffers are full if no bytes move while the server is at rest.
        for _ in 0..FILLINGS {
            if load.fill()? == 0 {
                break;
            }
            before = self.at_rest(subject);
        }
        let tally = load.run(self.case.time, None)?;
        let mut round = self.round_of(subject, &before, tally);
        round.bytes_per_connection = self.per_connection(subject, memory);
        load.hear()?;
        load.finish()?;
        Ok(round)
    }

    fn framed(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let Case { connections, message, in_flight, warm_up, time, .. } = *self.case;
        let target = self.target(subject);
        let parses = subject.builtin != Some(Builtin::TidegateAll);
        let plan = framed::Plan { streams: connections, frame: message, in_flight, time, parses };
        framed::run(target, &framed::Plan { time: warm_up, ..plan }, seed, self.pattern)?;
        let before = self.at_rest(subject);
        let tally = framed::run(target, &plan, seed, self.pattern)?;
        Ok(self.round_of(subject, &before, tally))
    }

    fn broadcast(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let Case { connections, in_flight, warm_up, time, .. } = *self.case;
        let mut load = Broadcast::connect(subject.child.address, connections, in_flight, seed, self.pattern)?;
        load.run(warm_up)?;
        let before = self.at_rest(subject);
        let tally = load.run(time)?;
        let round = self.round_of(subject, &before, tally);
        load.finish()?;
        Ok(round)
    }

    fn file(&self, subject: &Subject) -> Result<Round, String> {
        let Case { connections, message, time, .. } = *self.case;
        let path = self.file.ok_or("there is no file")?;
        let request = match subject.builtin {
            Some(Builtin::Nginx) => {
                let bytes = protocol::http_request(&Document::path_at_server(path));
                file::Request { bytes, has_header: true }
            }
            _ => file::Request { bytes: FILE_REQUEST.to_vec(), has_header: false },
        };
        let plan = file::Plan { connections, length: message, time };
        // One file on one connection is enough to warm up.
        let warm_up = file::Plan { connections: 1, time: Duration::ZERO, ..plan };
        file::run(subject.child.address, &warm_up, &request, self.pattern)?;
        let before = self.at_rest(subject);
        let tally = file::run(subject.child.address, &plan, &request, self.pattern)?;
        Ok(self.round_of(subject, &before, tally))
    }

    fn datagrams(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let Case { connections, message, warm_up, time, .. } = *self.case;
        let mut load = Datagrams::connect(subject.child.address, connections, message, seed, self.pattern)?;
        load.run(warm_up)?;
        let before = self.at_rest(subject);
        let tally = load.run(time)?;
        let round = self.round_of(subject, &before, tally);
        load.finish()?;
        Ok(round)
    }

    fn kv(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let Case { kind, message, .. } = *self.case;
        let set = Script::set(message, seed, self.pattern);
        let get = Script::get(message, seed, self.pattern);
        self.each_key(subject, &set)?;
        let round = self.requests(subject, if kind == Kind::KvSet { &set } else { &get })?;
        // The answers to SET do not show that the values are stored.
        self.each_key(subject, &get)?;
        Ok(round)
    }

    /// Sends the request for each key of a store at least once.
    fn each_key(&self, subject: &Subject, script: &Script) -> Result<(), String> {
        let mut load = Requests::connect(subject.child.address, 1, 16, script)?;
        load.run(Duration::ZERO, KEYS as u64)?;
        load.finish()
    }

    fn http(&self, subject: &Subject) -> Result<Round, String> {
        let script = if self.case.kind == Kind::HttpFile {
            let path = self.file.ok_or("there is no file")?;
            let body = std::fs::read(path).map_err(|error| format!("cannot read the file: {error}"))?;
            Script::http(&Document::path_at_server(path), body)
        } else {
            Script::http(PLAINTEXT_PATH, PLAINTEXT.into())
        };
        self.requests(subject, &script)
    }

    fn requests(&self, subject: &Subject, script: &Script) -> Result<Round, String> {
        let Case { connections, in_flight, warm_up, time, .. } = *self.case;
        let mut load = Requests::connect(subject.child.address, connections, in_flight, script)?;
        load.run(warm_up, 1)?;
        let before = self.at_rest(subject);
        let tally = load.run(time, 1)?;
        let round = self.round_of(subject, &before, tally);
        load.finish()?;
        Ok(round)
    }

    fn target(&self, subject: &Subject) -> Target<'_> {
        Target { address: subject.child.address, backend: self.backend }
    }

    fn role(&self, habit: Habit) -> Role {
        Role { message: self.case.message, in_flight: self.case.in_flight, habit, is_timed: true }
    }

    fn round_of(&self, subject: &Subject, before: &Usage, tally: Tally) -> Round {
        let after = self.at_rest(subject);
        let threads_end = self.case.kind == Kind::Churn && subject.has_threads;
        let (user_seconds, system_seconds) = after.since(before, &subject.begin, threads_end);
        Round {
            seconds: tally.seconds,
            messages: tally.messages,
            bytes: tally.bytes,
            lost: tally.lost,
            user_seconds,
            system_seconds,
            peak_bytes: usage::peak_memory(subject.child.pid()).unwrap_or_default(),
            generator_busy: tally.busy,
            latency: tally.latency,
            ..Round::default()
        }
    }

    fn at_rest(&self, subject: &Subject) -> Usage {
        // With many connections the server may need a whole clock tick for its work, so the two readings lie more than
        // a tick apart.
        let apart = Duration::from_millis(if self.case.connections > 100 { 5 } else { 1 });
        // A proxy may wait for its backend. The next look of a load reports an error of the backend.
        let turn = || drop(self.target(subject).turn());
        Usage::at_rest(subject.child.pid(), apart, SETTLING, turn)
    }

    fn memory(&self, subject: &Subject) -> Option<u64> {
        usage::own_memory(subject.child.pid())
    }

    fn per_connection(&self, subject: &Subject, before: Option<u64>) -> Option<f64> {
        let more = self.memory(subject)?.saturating_sub(before?);
        Some(more as f64 / self.case.connections as f64)
    }
}

/// The client whose latency is recorded while other clients cause load.
const PINGER: Role = Role { message: PING, in_flight: 1, habit: Habit::Answers, is_timed: true };
