//! The load generator: one thread and one poll. The thread does not sleep while a round runs.
//!
//! The thread asks the poll again and again without waiting. So the server never spends time on waking the load
//! generator, and the load generator can measure its own idle time. If the load generator was never idle, then the load
//! generator limited the rate, not the server.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll};
use socket2::SockRef;

use crate::results::Latency;
use backend::Backend;

pub mod answers;
pub mod backend;
pub mod broadcast;
pub mod churn;
pub mod client;
pub mod datagrams;
pub mod file;
pub mod framed;
mod header;
pub mod pattern;
pub mod requests;
pub mod streams;

/// The time that an operation on a connection may take. After this time the benchmark reports that the server has lost
/// the connection or the bytes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The measurements between the first message and the last echo. For streams of frames, acknowledgements stand for
/// echoes; for a broadcast, a message counts for each subscriber that received the message; for files, a file is a
/// message.
#[derive(Default)]
pub struct Tally {
    pub seconds: f64,
    pub messages: u64,
    pub bytes: u64,
    /// The number of datagrams that were lost on the way to the server or on the way back.
    pub lost: u64,
    /// The share of the time in which the load generator had something to do.
    pub busy: f64,
    pub latency: Option<Latency>,
}

/// Opens a blocking connection that leaves no state in the kernel after its close.
///
/// The close sends a reset in place of a FIN. Otherwise each of the many connections of a run would keep a port of this
/// machine for a minute, see tcp(7). A client closes only after all echoes have arrived, so the reset loses no bytes.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)
        .map_err(|error| explain(error, "the server did not take the connection"))?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// Returns the error of a call that has waited for [`PATIENCE`], with the name of the event that is missing.
///
/// The text of the error itself does not name the event: after SO_RCVTIMEO the text is "Resource temporarily
/// unavailable".
fn explain(error: io::Error, missing: &str) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, format!("{missing} within {PATIENCE:?}"))
        }
        _ => error,
    }
}

/// Returns an error with the number of the connection, which counts from 1.
fn name(index: usize, error: &str) -> String {
    format!("connection {}: {error}", index + 1)
}

/// The server that a load is for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub address: SocketAddr,
    /// The backend, if the server is a proxy.
    pub backend: Option<&'a Backend>,
}

impl From<SocketAddr> for Target<'_> {
    fn from(address: SocketAddr) -> Self {
        Self { address, backend: None }
    }
}

impl Target<'_> {
    /// Lets the backend of a proxy handle its events. Returns false if there were none.
    pub fn turn(&self) -> Result<bool, String> {
        self.backend.map_or(Ok(false), Backend::turn)
    }

    /// Polls for events of the clients, after the backend of a proxy has handled its own events. Returns true if the
    /// backend had events.
    fn look(&self, poll: &mut Poll, events: &mut Events, wait: Duration) -> Result<bool, String> {
        let worked = self.turn()?;
        look(poll, events, wait)?;
        Ok(worked)
    }
}

/// Polls for events. A signal that interrupts the poll counts as a poll without events.
fn look(poll: &mut Poll, events: &mut Events, wait: Duration) -> Result<(), String> {
    match poll.poll(events, Some(wait)) {
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        result => result.map_err(|error| format!("cannot poll: {error}")),
    }
}

/// The idle time of the load generator.
struct Idleness {
    begin: Instant,
    since: Option<Instant>,
    total: Duration,
}

impl Idleness {
    fn new(begin: Instant) -> Self {
        Self { begin, since: None, total: Duration::ZERO }
    }

    /// Records, after each poll, whether the load generator was idle.
    fn note(&mut self, now: Instant, is_idle: bool) {
        if is_idle {
            self.since.get_or_insert(now);
        } else if let Some(since) = self.since.take() {
            self.total += now - since;
        }
    }

    /// Returns the seconds until `now`, and the share of these seconds in which the load generator was busy.
    fn end(mut self, now: Instant) -> (f64, f64) {
        self.note(now, false);
        let seconds = (now - self.begin).as_secs_f64();
        (seconds, 1.0 - self.total.as_secs_f64() / seconds.max(f64::MIN_POSITIVE))
    }
}

/// Returns a histogram of nanoseconds with three significant digits, up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds are valid")
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

/// Returns the percentiles in microseconds, or `None` if the histogram is empty.
fn percentiles(histogram: &Histogram<u64>) -> Option<Latency> {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    let max = histogram.max() as f64 / 1e3;
    (!histogram.is_empty()).then(|| Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999), max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_names_the_missing_event_and_other_errors_stay_unchanged() {
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
    fn the_busy_share_is_the_time_without_the_idle_time() {
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
