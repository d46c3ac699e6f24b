use super::*;

fn round(messages: u64, cpu: f64) -> Round {
    Round {
        seconds: 2.0,
        messages,
        bytes: messages << 20,
        user_seconds: cpu / 4.0,
        system_seconds: cpu * 3.0 / 4.0,
        ..Round::default()
    }
}

fn outcome(server: &str, rounds: Vec<Round>) -> Outcome {
    let numbered = rounds.into_iter().enumerate().map(|(number, round)| Round { number, ..round });
    Outcome { server: server.to_owned(), rounds: numbered.collect(), error: None, summary: None }
}

fn references<'a>(floors: &'a [&'a str], baseline: &'a str) -> References<'a> {
    References { floors, baseline, counterpart: None }
}

fn workload(kind: Kind, results: Vec<Outcome>) -> Workload {
    Workload {
        kind,
        title: String::new(),
        connections: 1,
        message_bytes: 64,
        in_flight: 1,
        rate: None,
        floor: None,
        baseline: None,
        counterpart: None,
        results,
    }
}

/// Returns the summaries of outcomes. The first outcome is the floor, and the second outcome is the baseline.
fn summaries(kind: Kind, rounds: impl IntoIterator<Item = Vec<Round>>) -> Vec<Option<Summary>> {
    let names = ["floor", "baseline", "other"];
    let outcomes = names.iter().zip(rounds).map(|(name, rounds)| outcome(name, rounds)).collect();
    let mut workload = workload(kind, outcomes);
    summarise(&mut workload, &references(&["floor"], "baseline"));
    workload.results.into_iter().map(|outcome| outcome.summary).collect()
}

fn only(rounds: Vec<Round>) -> Summary {
    summaries(Kind::PingPong, [rounds]).remove(0).unwrap()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9 * expected.abs().max(1.0)
}

#[test]
fn medians_and_quartiles_are_interpolated_between_neighbours() {
    let summary = only([10, 40, 20, 30].map(|messages| round(messages, 1.0)).into());
    assert_eq!(summary.messages_per_second, Spread { median: 12.5, low: 8.75, high: 16.25 });
    assert_eq!(summary.mebibytes_per_second, Spread { median: 12.5, low: 8.75, high: 16.25 });
    let one = only(vec![round(10, 1.0)]);
    assert_eq!(one.messages_per_second, Spread { median: 5.0, low: 5.0, high: 5.0 });
}

#[test]
fn cpu_time_counts_for_a_message_in_microseconds_and_for_a_gib_in_seconds() {
    let summary = only(vec![round(1024, 0.5), round(1024, 1.0), round(1024, 2.0)]);
    assert!(close(summary.cpu_per_message.median, 1e6 / 1024.0), "{summary:?}");
    assert_eq!(summary.cpu_per_gib, Spread { median: 1.0, low: 0.75, high: 1.5 });
    assert!(close(summary.user_share, 0.25), "{summary:?}");
}

#[test]
fn the_peak_is_the_maximum_of_the_rounds_and_memory_for_a_connection_the_median() {
    let rounds = [(300, Some(100.0)), (500, Some(300.0)), (400, None)].map(|(peak_bytes, each)| Round {
        peak_bytes,
        bytes_per_connection: each,
        ..round(1, 1.0)
    });
    let summary = only(rounds.into());
    assert_eq!(summary.peak_bytes, 500);
    assert_eq!(summary.bytes_per_connection, Some(Spread { median: 200.0, low: 150.0, high: 250.0 }));
    assert_eq!(summary.bytes_per_connection_after, None);
}

#[test]
fn each_percentile_is_a_median_and_the_longest_latency_is_a_maximum() {
    let latencies = [(1.0, 30.0, 40.0, 100.0), (3.0, 10.0, 60.0, 900.0), (2.0, 20.0, 50.0, 200.0)];
    let mut rounds: Vec<Round> = latencies
        .map(|(p50, p99, p999, max)| Round {
            latency: Some(Latency { p50, p99, p999, max }),
            ..round(1, 1.0)
        })
        .into();
    rounds.push(round(1, 1.0)); // A round without latency does not count.
    assert_eq!(only(rounds).latency, Some(Latency { p50: 2.0, p99: 20.0, p999: 50.0, max: 900.0 }));
    assert_eq!(only(vec![round(1, 1.0)]).latency, None);
}

#[test]
fn the_load_generator_was_the_limit_if_only_the_load_generator_was_busy() {
    let limited = |busy: f64, cpu: f64| {
        let rounds = vec![Round { generator_busy: busy, ..round(1, cpu) }; 3];
        only(rounds).generator_limited
    };
    assert!(limited(0.99, 1.0));
    assert!(!limited(0.99, 1.96), "the server had 98 % of its core");
    assert!(!limited(0.90, 1.0), "the load generator had time left");
    assert!(!limited(0.90, 1.96));
}

#[test]
fn one_busy_round_does_not_make_the_load_generator_the_limit() {
    let mut rounds = vec![Round { generator_busy: 0.5, ..round(1, 1.0) }; 2];
    rounds.push(Round { generator_busy: 1.0, ..round(1, 1.0) });
    assert!(!only(rounds).generator_limited);
}

#[test]
fn a_change_of_the_speed_of_the_machine_does_not_change_a_ratio() {
    // The machine was three times as fast in the second round, for both servers.
    let floor = vec![round(100, 1.0), round(300, 1.0), round(100, 1.0)];
    let baseline = vec![round(50, 1.0), round(150, 1.0), round(50, 1.0)];
    let other = vec![round(110, 1.0), round(330, 1.0), round(110, 1.0)];
    let summary = summaries(Kind::PingPong, [floor, baseline, other]).remove(2).unwrap();
    let (to_floor, to_baseline) = (summary.to_floor.unwrap(), summary.to_baseline.unwrap());
    for end in [|ratio: Ratio| ratio.median, |ratio: Ratio| ratio.low, |ratio: Ratio| ratio.high] {
        assert!(close(end(to_floor.messages_per_second), 1.1), "{to_floor:?}");
        assert!(close(end(to_floor.cpu_per_message), 1.0 / 1.1), "{to_floor:?}");
        assert!(close(end(to_baseline.messages_per_second), 2.2), "{to_baseline:?}");
    }
}

#[test]
fn the_ratio_of_the_floor_to_itself_is_one() {
    let rounds = vec![round(100, 1.0), round(90, 1.5)];
    let floor = summaries(Kind::PingPong, [rounds.clone(), rounds]).remove(0).unwrap();
    let one = Ratio { median: 1.0, low: 1.0, high: 1.0 };
    assert_eq!(floor.to_floor, Some(Ratios { messages_per_second: one, cpu_per_message: one }));
}

#[test]
fn rounds_without_a_partner_in_the_reference_do_not_count() {
    let floor = vec![round(100, 1.0), round(100, 1.0)];
    let more = vec![round(200, 1.0), round(200, 1.0), round(9000, 1.0), round(9000, 1.0)];
    let summaries = summaries(Kind::PingPong, [floor, more]);
    let ratio = summaries[1].as_ref().unwrap().to_floor.unwrap().messages_per_second;
    assert_eq!(ratio, Ratio { median: 2.0, low: 2.0, high: 2.0 });
    let back = summaries[0].as_ref().unwrap().to_baseline.unwrap().messages_per_second;
    assert_eq!(back, Ratio { median: 0.5, low: 0.5, high: 0.5 });
}

#[test]
fn a_server_without_rounds_has_no_summary_and_is_no_reference() {
    let summaries = summaries(Kind::PingPong, [vec![], vec![round(10, 1.0)]]);
    assert!(summaries[0].is_none());
    let summary = summaries[1].as_ref().unwrap();
    assert_eq!(summary.to_floor, None);
    assert!(summary.to_baseline.is_some());
}

#[test]
fn a_workload_without_a_floor_and_a_baseline_has_no_ratios() {
    let mut workload = workload(Kind::PingPong, vec![outcome("some", vec![round(10, 1.0)])]);
    summarise(&mut workload, &references(&["not there", "some"], "not there"));
    let summary = workload.results[0].summary.as_ref().unwrap();
    assert_eq!((summary.to_floor, summary.to_baseline), (None, None));
    assert_eq!(workload.floor, None);
    assert_eq!(summary.messages_per_second.median, 5.0);
}

#[test]
fn a_round_without_messages_counts_for_the_throughput_and_not_for_the_cost() {
    let summary = only(vec![round(0, 1.0), round(0, 1.0), round(10, 1.0)]);
    assert_eq!(summary.messages_per_second, Spread { median: 0.0, low: 0.0, high: 2.5 });
    assert_eq!(summary.cpu_per_message, Spread { median: 1e5, low: 1e5, high: 1e5 });
    let nothing = only(vec![Round::default(); 3]);
    assert_eq!(nothing.messages_per_second, Spread::default());
    assert_eq!((nothing.cpu_per_message, nothing.cpu_per_gib), (Spread::default(), Spread::default()));
    assert_eq!(nothing.user_share, 0.0);
    assert_eq!(nothing.to_floor, None);
}

#[test]
fn a_server_that_echoed_nothing_has_a_ratio_of_zero_and_is_no_reference() {
    let (nothing, some) = (vec![round(0, 1.0); 3], vec![round(10, 1.0); 3]);
    let summaries = summaries(Kind::PingPong, [nothing, some]);
    assert_eq!(summaries[1].as_ref().unwrap().to_floor, None);
    let ratios = summaries[0].as_ref().unwrap().to_baseline.unwrap();
    assert_eq!((ratios.messages_per_second, ratios.cpu_per_message), Default::default());
}

#[test]
fn streams_are_compared_by_their_bytes() {
    let stream = |bytes: u64, cpu: f64| vec![Round { bytes, messages: 1, ..round(1, cpu) }; 3];
    for kind in [Kind::Bulk, Kind::Flood, Kind::Framed, Kind::File] {
        let summary = summaries(kind, [stream(1 << 20, 1.0), stream(4 << 20, 1.0)]).remove(1).unwrap();
        let ratios = summary.to_floor.unwrap();
        assert_eq!((ratios.messages_per_second.median, ratios.cpu_per_message.median), (4.0, 0.25));
    }
}

/// Returns a workload of streams with equal bytes and the given CPU time in each round, under the floors "usual" and
/// "other".
fn floor_of(kind: Kind, cpu: &[(&str, [f64; 3])]) -> Workload {
    let outcomes =
        cpu.iter().map(|(name, cpu)| outcome(name, cpu.map(|cpu| round(100, cpu)).into())).collect();
    let mut workload = workload(kind, outcomes);
    summarise(&mut workload, &references(&["usual", "other"], "none"));
    workload
}

#[test]
fn the_floor_of_streams_is_the_cheapest_floor_that_took_part() {
    let ours = ("ours", [0.5, 0.5, 0.5]);
    let usual = ("usual", [2.0, 2.0, 0.1]);
    let other = ("other", [1.0, 1.0, 1.0]);
    let cheapest = floor_of(Kind::Bulk, &[ours, usual, other]);
    assert_eq!(cheapest.floor.as_deref(), Some("other"), "by the median, and only floors");
    assert_eq!(cheapest.results[0].summary.as_ref().unwrap().to_floor.unwrap().cpu_per_message.median, 0.5);
    assert_eq!(floor_of(Kind::Flood, &[ours, usual, other]).floor.as_deref(), Some("usual"));
    assert_eq!(floor_of(Kind::Bulk, &[ours, usual]).floor.as_deref(), Some("usual"));
    assert_eq!(floor_of(Kind::Bulk, &[ours]).floor, None);
    let unknown = floor_of(Kind::Bulk, &[("other", [0.0; 3]), ("usual", [0.0; 3])]);
    assert_eq!(unknown.floor.as_deref(), Some("usual"), "where no CPU time is known");
}

#[test]
fn the_counterpart_is_a_reference_only_if_the_counterpart_took_part() {
    let results = || vec![outcome("ours", vec![round(30, 1.0)]), outcome("plain", vec![round(10, 2.0)])];
    let mut workload = workload(Kind::Broadcast, results());
    let all = References { counterpart: Some("plain"), ..references(&[], "none") };
    summarise(&mut workload, &all);
    assert_eq!((workload.counterpart.as_deref(), workload.baseline.as_deref()), (Some("plain"), None));
    let ratios = workload.results[0].summary.as_ref().unwrap().to_counterpart.unwrap();
    assert!(close(ratios.messages_per_second.median, 3.0), "{ratios:?}");
    assert!(close(ratios.cpu_per_message.median, 1.0 / 6.0), "{ratios:?}");
    workload.results.pop();
    summarise(&mut workload, &all);
    assert_eq!(workload.counterpart, None);
    assert_eq!(workload.results[0].summary.as_ref().unwrap().to_counterpart, None);
}

#[test]
fn rounds_are_paired_by_their_numbers() {
    let mut workload = floor_of(Kind::PingPong, &[("ours", [1.0, 2.0, 3.0]), ("usual", [1.0, 1.0, 1.0])]);
    workload.results[1].rounds = vec![Round { number: 2, ..round(100, 1.5) }];
    summarise(&mut workload, &references(&["usual"], "none"));
    let ratios = workload.results[0].summary.as_ref().unwrap().to_floor.unwrap();
    assert_eq!(ratios.cpu_per_message, Ratio { median: 2.0, low: 2.0, high: 2.0 });
    assert_eq!(workload.results[1].summary.as_ref().unwrap().to_floor.unwrap().cpu_per_message.median, 1.0);
}

#[test]
fn the_interval_contains_the_median_and_is_narrower_with_more_rounds() {
    let noisy = |rounds: u64| (0..rounds).map(|at| round(100 + at * 7 % 11, 1.0)).collect::<Vec<_>>();
    let width = |rounds: u64| {
        let floor = vec![round(100, 1.0); rounds as usize];
        let summary = summaries(Kind::PingPong, [floor, noisy(rounds)]).remove(1).unwrap();
        let ratio = summary.to_floor.unwrap().messages_per_second;
        assert!(ratio.low <= ratio.median && ratio.median <= ratio.high, "{ratio:?}");
        assert!(ratio.low >= 1.0 && ratio.high <= 1.1, "{ratio:?}");
        ratio.high - ratio.low
    };
    assert!(width(5) > 0.0);
    assert!(width(110) < width(11));
}

#[test]
fn equal_rounds_give_equal_intervals() {
    let floor: Vec<Round> = (0..20).map(|at| round(100 + at, 1.0)).collect();
    let other: Vec<Round> = (0..20).map(|at| round(150 - at * 3 % 17, 1.0)).collect();
    let ratios = || summaries(Kind::PingPong, [floor.clone(), other.clone()])[1].as_ref().unwrap().to_floor;
    assert_eq!(ratios(), ratios());
}

#[test]
fn the_interval_agrees_with_the_binomial_interval_of_the_median() {
    // By the binomial distribution, the order statistics 8 and 18 of 25 values enclose the median with a probability of
    // 95.7 %.
    let values: Vec<f64> = (1..=25).map(f64::from).collect();
    let (low, high) = interval(&values).unwrap();
    assert!((7.0..=9.0).contains(&low) && (17.0..=19.0).contains(&high), "{low} {high}");
}

#[test]
fn the_median_is_the_middle_value_or_the_mean_of_both_middle_values() {
    let mut odd = [5.0, 1.0, 4.0, 2.0, 3.0];
    assert_eq!(median(&mut odd), Some(3.0));
    let mut even = [5.0, 1.0, 4.0, 2.0];
    assert_eq!(median(&mut even), Some(3.0));
    assert_eq!(median(&mut []), None);
}
