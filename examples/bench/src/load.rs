//! The load generator: one thread, one poll, which does not sleep while a round runs.
//!
//! It asks the poll without waiting, over and over. So the server never pays for waking it, and the time in which there
//! was nothing to do can be told: a generator that had none of it was the limit, and not the server.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll};
use socket2::SockRef;

use crate::results::Latency;

pub mod churn;
pub mod client;
pub mod pattern;
pub mod streams;

/// How long anything may take that should take no time: after that the server is said to have lost it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What happened between the first message and the last echo.
#[derive(Default)]
pub struct Tally {
    pub seconds: f64,
    pub messages: u64,
    pub bytes: u64,
    /// The share of the time that was not spent in a poll with nothing in it.
    pub busy: f64,
    pub latency: Option<Latency>,
}

/// A blocking connection that leaves nothing behind when it is closed.
///
/// A reset in place of a FIN: the many connections of a run would otherwise each keep a port of this machine for a
/// minute, tcp(7). It closes only when all has come back, so nothing is lost by it.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)
        .map_err(|error| explain(error, "the server did not take the connection"))?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// The error of a call that has waited for [`PATIENCE`], with what did not happen in that time.
///
/// The text of a system call's own error does not tell: after SO_RCVTIMEO it is "Resource temporarily unavailable".
fn explain(error: io::Error, missing: &str) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, format!("{missing} within {PATIENCE:?}"))
        }
        _ => error,
    }
}

/// A poll; a signal that interrupts it is nothing that happened.
fn look(poll: &mut Poll, events: &mut Events, wait: Duration) -> Result<(), String> {
    match poll.poll(events, Some(wait)) {
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        result => result.map_err(|error| format!("cannot poll: {error}")),
    }
}

/// How much of the time there was nothing to do.
struct Idleness {
    begin: Instant,
    since: Option<Instant>,
    total: Duration,
}

impl Idleness {
    fn new(begin: Instant) -> Self {
        Self { begin, since: None, total: Duration::ZERO }
    }

    /// After each look.
    fn note(&mut self, now: Instant, is_idle: bool) {
        if is_idle {
            self.since.get_or_insert(now);
        } else if let Some(since) = self.since.take() {
            self.total += now - since;
        }
    }

    /// Seconds until `now`, and the busy share of them.
    fn end(mut self, now: Instant) -> (f64, f64) {
        self.note(now, false);
        let seconds = (now - self.begin).as_secs_f64();
        (seconds, 1.0 - self.total.as_secs_f64() / seconds.max(f64::MIN_POSITIVE))
    }
}

/// Nanoseconds with three digits, up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds are valid")
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

/// `None` where nothing was recorded.
fn percentiles(histogram: &Histogram<u64>) -> Option<Latency> {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    let max = histogram.max() as f64 / 1e3;
    (!histogram.is_empty()).then(|| Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999), max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_told_with_what_was_waited_for_and_another_error_as_it_is() {
        for kind in [ErrorKind::WouldBlock, ErrorKind::TimedOut] {
            let error = explain(kind.into(), "the server did not take the connection");
            assert_eq!(error.to_string(), "the server did not take the connection within 10s");
        }
        let refused = explain(ErrorKind::ConnectionRefused.into(), "the server did not take the connection");
        assert_eq!(refused.to_string(), "connection refused");
    }

    #[test]
    fn percentiles_are_microseconds() {
        let mut histogram = histogram();
        assert_eq!(percentiles(&histogram), None);
        (1..=1000).for_each(|micros| record(&mut histogram, Duration::from_micros(micros)));
        let latency = percentiles(&histogram).expect("there are values");
        for (found, expected) in
            [(latency.p50, 500.0), (latency.p99, 990.0), (latency.p999, 999.0), (latency.max, 1000.0)]
        {
            assert!((found - expected).abs() <= expected / 500.0, "{latency:?}");
        }
    }

    #[test]
    fn the_busy_share_is_what_the_idle_time_leaves() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let mut idleness = Idleness::new(begin);
        idleness.note(at(10), true);
        idleness.note(at(20), true);
        idleness.note(at(30), false);
        idleness.note(at(90), true);
        let (seconds, busy) = idleness.end(at(100));
        assert!((seconds - 0.1).abs() < 1e-9 && (busy - 0.7).abs() < 1e-9, "{seconds} {busy}");
    }
}
