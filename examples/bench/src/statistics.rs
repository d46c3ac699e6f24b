//! The statistics of rounds: medians, quartiles, and ratios between rounds that ran directly after each other.
//!
//! A figure that cannot be computed (the CPU time for a message if there was no message, for example) is 0, and the
//! table and the report omit the figure. No figure is ever infinite or NaN, because JSON has neither value.

use crate::results::{Kind, Latency, Outcome, Ratio, Ratios, Round, Spread, Summary, Workload};

/// The share of the time from which on the load generator or the server counts as busy all the time. Some time of a
/// core goes to interrupts and to the system's own work, so the share never reaches 1.
const BUSY: f64 = 0.95;

/// The number of resamples. The ends of an interval hardly change with more resamples.
const RESAMPLES: usize = 2000;

/// The names of the servers with which the report compares all servers of a workload.
#[derive(Clone, Copy, Debug)]
pub struct References<'a> {
    /// The servers that can be the floor. For kinds with a cheapest floor, the floor is the cheapest of these servers, and
    /// for all other kinds the floor is the first.
    pub floors: &'a [&'a str],
    pub baseline: &'a str,
    /// A server of this crate that lacks the feature that the workload is about, or the baseline with other settings.
    pub counterpart: Option<&'a str>,
}

/// Fills the summary of every outcome, and sets the names of the servers with which the report compares all servers: the
/// floor, the baseline and the counterpart.
pub fn summarise(workload: &mut Workload, references: &References<'_>) {
    let kind = workload.kind;
    let part = |name: &str| workload.results.iter().any(|one| one.server == name).then(|| name.to_owned());
    (workload.baseline, workload.counterpart) =
        (part(references.baseline), references.counterpart.and_then(part));
    workload.floor = floor(kind, &workload.results, references.floors).map(|outcome| outcome.server.clone());
    let rounds = |name: &Option<String>| rounds_of(&workload.results, name.as_deref()?);
    let floor = rounds(&workload.floor);
    let baseline = rounds(&workload.baseline);
    let counterpart = rounds(&workload.counterpart);
    for outcome in &mut workload.results {
        outcome.summary = (!outcome.rounds.is_empty()).then(|| Summary {
            to_floor: floor.as_deref().and_then(|floor| ratios(kind, &outcome.rounds, floor)),
            to_baseline: baseline.as_deref().and_then(|baseline| ratios(kind, &outcome.rounds, baseline)),
            to_counterpart: counterpart.as_deref().and_then(|other| ratios(kind, &outcome.rounds, other)),
            ..summary(&outcome.rounds)
        });
    }
}

/// Returns a copy of the rounds, because the caller changes the outcomes while the rounds are in use.
fn rounds_of(outcomes: &[Outcome], server: &str) -> Option<Vec<Round>> {
    outcomes.iter().find(|outcome| outcome.server == server).map(|outcome| outcome.rounds.clone())
}

/// Returns the floor, which has to be measured. For `Bulk` the floor is the cheapest loop, because the best size of
/// the buffer depends on the machine and on the number of streams. For `HttpPlaintext` the floor is the cheapest server,
/// because the best of them depends on the number of requests in flight.
fn floor<'a>(kind: Kind, outcomes: &'a [Outcome], names: &[&str]) -> Option<&'a Outcome> {
    let names = if kind.has_cheapest_floor() { names } else { names.get(..1).unwrap_or_default() };
    let measured =
        |name: &&str| outcomes.iter().find(|outcome| outcome.server == *name && !outcome.rounds.is_empty());
    // If no CPU time is known, all costs are equal, and `min_by` returns the first server.
    let cost = |outcome: &Outcome| {
        median_of(&outcome.rounds, |round| over(cpu_seconds(round), work(kind, round)))
            .unwrap_or(f64::INFINITY)
    };
    names.iter().filter_map(measured).min_by(|one, other| cost(one).total_cmp(&cost(other)))
}

fn summary(rounds: &[Round]) -> Summary {
    let busy = median_of(rounds, |round| Some(round.generator_busy));
    let server_busy = median_of(rounds, |round| over(cpu_seconds(round), round.seconds));
    let user: f64 = rounds.iter().map(|round| round.user_seconds).sum();
    let cpu: f64 = rounds.iter().map(cpu_seconds).sum();
    Summary {
        messages_per_second: spread_of(rounds, messages_per_second).unwrap_or_default(),
        mebibytes_per_second: spread_of(rounds, |round| over(mebibytes(round), round.seconds))
            .unwrap_or_default(),
        cpu_per_message: spread_of(rounds, |round| over(cpu_seconds(round) * 1e6, round.messages as f64))
            .unwrap_or_default(),
        cpu_per_gib: spread_of(rounds, cpu_per_gib).unwrap_or_default(),
        user_share: over(user, cpu).unwrap_or_default(),
        lost: rounds.iter().map(|round| round.lost).sum(),
        peak_bytes: rounds.iter().map(|round| round.peak_bytes).max().unwrap_or_default(),
        bytes_per_connection: spread_of(rounds, |round| round.bytes_per_connection),
        bytes_per_connection_after: spread_of(rounds, |round| round.bytes_per_connection_after),
        latency: latency(rounds),
        generator_limited: busy.is_some_and(|busy| busy > BUSY)
            && server_busy.is_some_and(|busy| busy < BUSY),
        to_floor: None,
        to_baseline: None,
        to_counterpart: None,
    }
}

fn messages_per_second(round: &Round) -> Option<f64> {
    over(round.messages as f64, round.seconds)
}

fn cpu_seconds(round: &Round) -> f64 {
    round.user_seconds + round.system_seconds
}

fn cpu_per_gib(round: &Round) -> Option<f64> {
    over(cpu_seconds(round) * 1024.0, mebibytes(round))
}

fn mebibytes(round: &Round) -> f64 {
    round.bytes as f64 / f64::from(1 << 20)
}

/// Each percentile is the median of the percentiles of the rounds, so that one disturbed round does not determine the
/// result. The longest latency is the longest latency of all rounds.
fn latency(rounds: &[Round]) -> Option<Latency> {
    let percentile = |of: fn(&Latency) -> f64| median_of(rounds, |round| round.latency.as_ref().map(of));
    let max = rounds.iter().filter_map(|round| round.latency).map(|latency| latency.max).reduce(f64::max)?;
    Some(Latency {
        p50: percentile(|latency| latency.p50)?,
        p99: percentile(|latency| latency.p99)?,
        p999: percentile(|latency| latency.p999)?,
        max,
    })
}

/// Returns the amount of work in a round. Streams have no meaningful messages, so their bytes count.
fn work(kind: Kind, round: &Round) -> f64 {
    if kind.is_in_bytes() { round.bytes as f64 } else { round.messages as f64 }
}

/// Returns the ratios round by round, because a disturbance of the machine affects both servers of a pair. A round
/// without a partner in the reference does not count.
fn ratios(kind: Kind, rounds: &[Round], reference: &[Round]) -> Option<Ratios> {
    let speed = |round: &Round| over(work(kind, round), round.seconds);
    let cost = |round: &Round| over(cpu_seconds(round), work(kind, round));
    Some(Ratios {
        messages_per_second: ratio(rounds, reference, speed)?,
        cpu_per_message: ratio(rounds, reference, cost).unwrap_or_default(),
    })
}

fn ratio(rounds: &[Round], reference: &[Round], figure: impl Fn(&Round) -> Option<f64>) -> Option<Ratio> {
    let mut pairs: Vec<f64> = rounds
        .iter()
        .filter_map(|round| {
            let partner = reference.iter().find(|partner| partner.number == round.number)?;
            over(figure(round)?, figure(partner)?)
        })
        .collect();
    let (low, high) = interval(&pairs)?;
    Some(Ratio { median: median(&mut pairs)?, low, high })
}

/// Returns the 95 % interval of the median, by bootstrap: the code draws as many rounds with replacement as there are
/// rounds, takes the median, and repeats this many times. The draws are deterministic, so equal rounds give equal
/// intervals.
fn interval(values: &[f64]) -> Option<(f64, f64)> {
    let mut draws = Draws(0x2545_F491_4F6C_DD1D);
    let mut resample = vec![0.0; values.len()];
    let mut medians = (0..RESAMPLES)
        .map(|_| {
            resample.fill_with(|| values[draws.below(values.len())]);
            median(&mut resample)
        })
        .collect::<Option<Vec<f64>>>()?;
    medians.sort_unstable_by(f64::total_cmp);
    Some((quantile(&medians, 0.025), quantile(&medians, 0.975)))
}

/// Marsaglia's xorshift with 64 bits of state, which must not be 0.
struct Draws(u64);

impl Draws {
    /// Returns a number below `bound`. The number comes from the upper bits of the state, which are more random than
    /// the lower bits.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as usize) % bound
    }
}

fn spread_of(rounds: &[Round], figure: impl Fn(&Round) -> Option<f64>) -> Option<Spread> {
    let mut values: Vec<f64> = rounds.iter().filter_map(figure).collect();
    if values.is_empty() {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let [low, median, high] = [0.25, 0.5, 0.75].map(|share| quantile(&values, share));
    Some(Spread { median, low, high })
}

fn median_of(rounds: &[Round], figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
    spread_of(rounds, figure).map(|spread| spread.median)
}

/// Returns the median without sorting all values, because the bootstrap computes thousands of medians.
fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = if even { below.iter().copied().reduce(f64::max) } else { None };
    Some(lower.map_or(upper, |lower| f64::midpoint(lower, upper)))
}

/// Returns a quantile of sorted values by linear interpolation. There must be at least one value.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() - 1) as f64 * share;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// Returns the quotient, or `None` if the divisor is not positive.
fn over(value: f64, by: f64) -> Option<f64> {
    let quotient = value / by;
    (by > 0.0 && quotient.is_finite()).then_some(quotient)
}

#[cfg(test)]
#[path = "statistics_tests.rs"]
mod tests;
