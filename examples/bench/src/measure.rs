//! One round: one server under one workload.

use std::time::Duration;

use crate::child::Child;
use crate::load::client::{Habit, Role};
use crate::load::pattern::Pattern;
use crate::load::streams::Streams;
use crate::load::{Tally, churn};
use crate::plan::{Case, PING};
use crate::results::{Kind, Round};
use crate::usage::{self, Usage};

/// How long a server may go on working when its clients have all they wanted: closing thousands takes a while.
const SETTLING: Duration = Duration::from_secs(2);

/// How often buffers that seemed to be full may turn out not to be.
const FILLINGS: usize = 20;

pub struct Bench<'a> {
    pub case: &'a Case,
    pub pattern: &'a Pattern,
    /// For `Kind::FixedRate`.
    pub rate: Option<f64>,
}

/// A server's process, and what it had used when it had just started.
pub struct Subject {
    pub child: Child,
    pub begin: Usage,
    /// It may start threads, and they may end with their connections.
    pub has_threads: bool,
}

impl Bench<'_> {
    /// `seed` is where in the pattern the streams begin.
    pub fn round(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let round = match self.case.kind {
            Kind::Churn => self.churn(subject, seed),
            Kind::Idle => self.idle(subject, seed),
            Kind::SlowReaders => self.slow_readers(subject, seed),
            _ => self.streams(subject, seed),
        }?;
        // It closes its connections now, which must not take anything from the next server.
        self.at_rest(subject);
        Ok(round)
    }

    /// Messages a second that a server reaches with as many connections.
    pub fn capacity(&self, subject: &Subject) -> Result<f64, String> {
        let roles = vec![self.role(Habit::Answers); self.case.connections];
        let mut load = Streams::connect(subject.child.address, &roles, 0, self.pattern)?;
        let mut best = 0.0_f64;
        // The best of several: whatever disturbs one makes it worse.
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
        let mut load = Streams::connect(subject.child.address, &roles, seed, self.pattern)?;
        load.run(self.case.warm_up, self.rate)?;
        let before = self.at_rest(subject);
        let tally = load.run(self.case.time, self.rate)?;
        let round = self.round_of(subject, &before, tally);
        load.finish()?;
        Ok(round)
    }

    fn churn(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let Case { connections, message, warm_up, time, .. } = *self.case;
        let address = subject.child.address;
        churn::run(address, connections, message, warm_up, seed, self.pattern)?;
        let before = self.at_rest(subject);
        let tally = churn::run(address, connections, message, time, seed, self.pattern)?;
        Ok(self.round_of(subject, &before, tally))
    }

    fn idle(&self, subject: &Subject, seed: u64) -> Result<Round, String> {
        let (address, role) = (subject.child.address, self.role(Habit::Answers));
        // What a server keeps from its first client on is not what it keeps for each.
        let mut first = Streams::connect(address, &[role; 2], seed, self.pattern)?;
        first.run(Duration::ZERO, None)?;
        first.finish()?;
        self.at_rest(subject);
        let memory = self.memory(subject);
        let mut load = Streams::connect(address, &vec![role; self.case.connections], seed, self.pattern)?;
        let before = self.at_rest(subject);
        let silent = self.per_connection(subject, memory);
        let tally = load.run(Duration::ZERO, None)?; // one message on each
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
        // That nothing moves for a moment may be chance: they are full when it stays so with a server that is at rest.
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
            user_seconds,
            system_seconds,
            peak_bytes: usage::peak_memory(subject.child.pid()).unwrap_or_default(),
            generator_busy: tally.busy,
            latency: tally.latency,
            ..Round::default()
        }
    }

    fn at_rest(&self, subject: &Subject) -> Usage {
        // Longer than a tick where it may have a tick's worth of work to do.
        let apart = Duration::from_millis(if self.case.connections > 100 { 5 } else { 1 });
        Usage::at_rest(subject.child.pid(), apart, SETTLING)
    }

    fn memory(&self, subject: &Subject) -> Option<u64> {
        usage::own_memory(subject.child.pid())
    }

    fn per_connection(&self, subject: &Subject, before: Option<u64>) -> Option<f64> {
        let more = self.memory(subject)?.saturating_sub(before?);
        Some(more as f64 / self.case.connections as f64)
    }
}

/// The client whose latency counts where others make work.
const PINGER: Role = Role { message: PING, in_flight: 1, habit: Habit::Answers, is_timed: true };
