//! The workloads with connections that stay open for a round: ping-pong, pipelines, bulk, and clients that do not read.

use std::io::ErrorKind;
use std::mem;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use super::client::{Client, Habit, Role};
use super::pattern::{LONGEST, Pattern};
use super::{Idleness, PATIENCE, Tally, Target, name};

/// The number of clients that connect before `connect` waits until the server has accepted all of them. The number is
/// far less than the backlog of any server.
const BATCH: usize = 200;

/// The time within which the server must accept all connections of a round.
const CONNECTING: Duration = Duration::from_secs(60);

/// If no client was able to send for this time, all buffers between the clients and the server are full.
const STANDSTILL: Duration = Duration::from_millis(20);

/// The time for which `be_served` waits for the proxy before the backend of the proxy has a turn again.
const TURN: Duration = Duration::from_millis(1);

pub struct Streams<'a> {
    to: Target<'a>,
    pattern: &'a Pattern,
    poll: Poll,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    histogram: Histogram<u64>,
    /// Clients that may have more bytes to read.
    again: Vec<usize>,
    /// The client whose latency is recorded, if all other clients only cause load.
    pinger: Option<usize>,
    /// The number of bytes that must come back before a run can end.
    owed: u64,
    tally: Tally,
}

impl<'a> Streams<'a> {
    /// Connects all clients, and returns when the server has accepted all clients.
    pub fn connect(
        to: impl Into<Target<'a>>,
        roles: &[Role],
        seed: u64,
        pattern: &'a Pattern,
    ) -> Result<Self, String> {
        let to = to.into();
        let poll = Poll::new().map_err(|error| format!("cannot make a poll: {error}"))?;
        let mut clients = Vec::with_capacity(roles.len());
        let end = Instant::now() + CONNECTING;
        for (index, &role) in roles.iter().enumerate() {
            let offset = seed.wrapping_add(index as u64).wrapping_mul(7919) % (1 << 32);
            let mut client = Client::connect(to.address, role, offset)
                .map_err(|error| format!("connection {} of {}: {error}", index + 1, roles.len()))?;
            poll.registry()
                .register(&mut client.stream, Token(index), Interest::READABLE | Interest::WRITABLE)
                .map_err(|error| format!("cannot register: {error}"))?;
            clients.push(client);
            if Instant::now() > end {
                return Err(format!(
                    "only {} connections of {} were open after {CONNECTING:?}",
                    index + 1,
                    roles.len()
                ));
            }
            // Some servers serve a single client at a time. With one client there is no need to wait for the accept,
            // and such a server would not serve the extra client of `be_served`.
            if roles.len() > 1 && ((index + 1) % BATCH == 0 || index + 1 == roles.len()) {
                be_served(to, pattern).map_err(|error| {
                    format!("after {} connections of {}: {error}", index + 1, roles.len())
                })?;
            }
        }
        Ok(Self {
            to,
            pattern,
            poll,
            clients,
            buffer: vec![0; LONGEST],
            histogram: super::histogram(),
            again: Vec::new(),
            pinger: roles
                .iter()
                .position(|role| role.is_timed)
                .filter(|_| !roles.iter().all(|role| role.is_timed)),
            owed: 0,
            tally: Tally::default(),
        })
    }

    /// Runs the clients for `time`, and then waits for the missing echoes.
    ///
    /// With a rate, the paced clients together send that number of messages a second.
    pub fn run(&mut self, time: Duration, rate: Option<f64>) -> Result<Tally, String> {
        let begin = Instant::now();
        let end = begin + time;
        self.tally = Tally::default();
        self.histogram.reset();
        let mut pace = Pace::new(begin, rate);
        let mut idleness = Idleness::new(begin);
        let mut events = Events::with_capacity(1024);
        self.prime(begin)?;
        loop {
            let backend_worked = self.to.look(&mut self.poll, &mut events, Duration::ZERO)?;
            let now = Instant::now();
            let goes_on = now < end;
            let mut is_idle = events.is_empty() && self.again.is_empty() && !backend_worked;

            for event in &events {
                let index = event.token().0;
                if event.is_writable() {
                    self.clients[index].unblock();
                    self.send(index)?;
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.receive(index, goes_on)?;
                }
                self.look_after_pinger(goes_on)?;
            }
            for index in mem::take(&mut self.again) {
                self.receive(index, goes_on)?;
                self.look_after_pinger(goes_on)?;
            }
            while let Some((due, number)) = pace.next(now.min(end)) {
                let index = number % self.clients.len();
                self.queue(index, due);
                self.send(index)?;
                is_idle = false;
            }

            idleness.note(now, is_idle);
            if !goes_on {
                if self.owed == 0 {
                    break;
                }
                if now > end + PATIENCE {
                    return Err(self.overdue());
                }
            }
        }
        let mut tally = mem::take(&mut self.tally);
        (tally.seconds, tally.busy) = idleness.end(Instant::now());
        tally.latency = super::percentiles(&self.histogram);
        Ok(tally)
    }

    /// Lets the clients that do not read send, until the kernel has accepted no bytes from any of these clients for a
    /// while. Returns the number of bytes that the kernel has accepted.
    pub fn fill(&mut self) -> Result<u64, String> {
        let mut events = Events::with_capacity(1024);
        let end = Instant::now() + PATIENCE;
        let mut ready: Vec<usize> = (0..self.clients.len()).filter(|&index| self.is_deaf(index)).collect();
        let mut taken = 0;
        while !ready.is_empty() && Instant::now() < end {
            for index in mem::take(&mut ready) {
                if self.clients[index].owed() == 0 {
                    self.queue(index, end);
                }
                self.clients[index].unblock();
                let unsent = self.clients[index].unsent();
                self.send(index)?;
                taken += unsent - self.clients[index].unsent();
            }
            super::look(&mut self.poll, &mut events, STANDSTILL)?;
            let writable = events.iter().filter(|event| event.is_writable());
            ready.extend(writable.map(|event| event.token().0).filter(|&index| self.is_deaf(index)));
        }
        Ok(taken)
    }

    /// Reads the echoes for the clients that did not read, until all echoes have arrived.
    pub fn hear(&mut self) -> Result<u64, String> {
        let end = Instant::now() + PATIENCE;
        self.again = (0..self.clients.len()).filter(|&index| self.is_deaf(index)).collect();
        for &index in &self.again {
            self.clients[index].hear();
            self.owed += self.clients[index].owed();
        }
        self.tally = Tally::default();
        let mut events = Events::with_capacity(1024);
        while self.owed > 0 {
            if self.again.is_empty() {
                let wait = end.saturating_duration_since(Instant::now());
                super::look(&mut self.poll, &mut events, wait)?;
                self.again = events.iter().map(|event| event.token().0).collect();
            }
            for index in mem::take(&mut self.again) {
                self.receive(index, false)?;
            }
            if Instant::now() > end {
                return Err(self.overdue());
            }
        }
        Ok(self.tally.bytes)
    }

    /// Reads each connection a last time. Returns an error if a client has received bytes that the client did not send,
    /// or if the server has closed a connection.
    pub fn finish(mut self) -> Result<(), String> {
        (0..self.clients.len()).try_for_each(|index| self.receive(index, false))
    }

    /// Sends the first messages of each client.
    fn prime(&mut self, now: Instant) -> Result<(), String> {
        for index in 0..self.clients.len() {
            if self.clients[index].role.habit == Habit::Answers {
                for _ in 0..self.clients[index].role.in_flight {
                    self.queue(index, now);
                }
                self.send(index)?;
            }
        }
        Ok(())
    }

    fn queue(&mut self, index: usize, due: Instant) {
        let client = &mut self.clients[index];
        client.queue(due);
        if client.role.habit != Habit::Deaf {
            self.owed += client.role.message as u64;
        }
    }

    fn send(&mut self, index: usize) -> Result<(), String> {
        self.clients[index].send(self.pattern).map_err(|error| name(index, &error))
    }

    fn receive(&mut self, index: usize, goes_on: bool) -> Result<(), String> {
        let client = &mut self.clients[index];
        if client.role.habit == Habit::Deaf {
            return Ok(());
        }
        let received = client.receive(self.pattern, &mut self.buffer).map_err(|error| name(index, &error))?;
        if received.again {
            self.again.push(index);
        }
        self.owed -= received.bytes as u64;
        self.tally.bytes += received.bytes as u64;
        self.tally.messages += received.messages;
        if received.messages == 0 {
            return Ok(());
        }
        let Role { message, habit, is_timed, .. } = client.role;
        // The clock is read once for both messages: the old message ends when the new message begins.
        let now = if is_timed { Some(Instant::now()) } else { None };
        for _ in 0..received.messages {
            if let (Some(now), Some(due)) = (now, client.oldest()) {
                super::record(&mut self.histogram, now.saturating_duration_since(due));
            }
            if goes_on && habit == Habit::Answers {
                client.queue(now.unwrap_or_else(Instant::now));
                self.owed += message as u64;
            }
        }
        self.send(index)
    }

    /// Reads the echoes of the pinger between the large pieces of other clients. Otherwise the measured latency would
    /// be the latency of this loop.
    fn look_after_pinger(&mut self, goes_on: bool) -> Result<(), String> {
        self.pinger.map_or(Ok(()), |index| self.receive(index, goes_on))
    }

    fn is_deaf(&self, index: usize) -> bool {
        self.clients[index].role.habit == Habit::Deaf
    }

    fn overdue(&self) -> String {
        let index = self.clients.iter().position(|client| client.owed() > 0).unwrap_or_default();
        name(index, &self.clients[index].missing(PATIENCE))
    }
}

/// Connects another client and waits for its echo. An echo means that the server has accepted all earlier clients.
fn be_served(to: Target<'_>, pattern: &Pattern) -> Result<(), String> {
    let missing = "the server did not send back a byte";
    let is_timeout = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
    let mut byte = [0];
    let open = || {
        let stream = super::connect(to.address)?;
        stream.set_read_timeout(Some(if to.backend.is_some() { TURN } else { PATIENCE }))?;
        std::io::Write::write_all(&mut &stream, pattern.at(0, 1))?;
        Ok(stream)
    };
    let stream = open().map_err(|error: std::io::Error| error.to_string())?;
    let end = Instant::now() + PATIENCE;
    loop {
        to.turn()?;
        match std::io::Read::read_exact(&mut &stream, &mut byte) {
            Ok(()) => return pattern.check(0, &byte),
            Err(error) if is_timeout(error.kind()) && Instant::now() < end => {}
            Err(error) => return Err(super::explain(error, missing).to_string()),
        }
    }
}

/// The due time of the next message. The due time depends only on the clock, even if the last message was late.
struct Pace {
    begin: Instant,
    interval: Option<f64>,
    next: usize,
}

impl Pace {
    fn new(begin: Instant, rate: Option<f64>) -> Self {
        Self { begin, interval: rate.map(f64::recip), next: 0 }
    }

    /// Returns the due time and the number of a message that is due before `now`.
    fn next(&mut self, now: Instant) -> Option<(Instant, usize)> {
        let due = self.begin + Duration::from_secs_f64(self.interval? * self.next as f64);
        (due < now).then(|| {
            self.next += 1;
            (due, self.next - 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_message_keeps_its_due_time() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin, Some(1000.0));
        let at = |micros| begin + Duration::from_micros(micros);
        assert_eq!(pace.next(begin), None);
        let due: Vec<_> = std::iter::from_fn(|| pace.next(at(2500))).collect();
        assert_eq!(due, [(at(0), 0), (at(1000), 1), (at(2000), 2)]);
        assert_eq!(pace.next(at(2999)), None);
        assert_eq!(Pace::new(begin, None).next(at(9999)), None);
    }
}
