//! These tests check that the benchmark runs, checks the echoes, and writes the results. No test asserts a speed.

mod apps;
#[cfg(unix)]
mod other_programs;
mod support;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use support::{bench, bench_within, line};

/// Returns the path of a file that only this test uses.
fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    // The file exists if an earlier run of the tests has left it.
    let _ = fs::remove_file(&path);
    path
}

/// Returns the results of rounds that are so short that the start of the servers takes most of the time.
fn results(name: &str, rounds: u8, arguments: &[&str]) -> Value {
    results_within(support::PATIENCE, name, rounds, arguments)
}

fn results_within(patience: Duration, name: &str, rounds: u8, arguments: &[&str]) -> Value {
    let json = file(name);
    let rounds = rounds.to_string();
    let short = ["--quick", "--rounds", &rounds, "--round-time", "0.02", "--json", json.to_str().unwrap()];
    let output = bench_within(patience, &[&short, arguments].concat());
    assert!(output.status.success(), "{output:?}");
    assert!(!output.stdout.is_empty(), "a table");
    let results = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    fs::remove_file(json).unwrap();
    results
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().unwrap_or_else(|| panic!("no {field} in {value}"))
}

#[test]
fn the_json_file_has_all_figures_of_both_servers() {
    let results = results(
        "two.json",
        2,
        &[
            "--servers",
            "tidegate,mio",
            "--workloads",
            "ping-pong,pipelined,fixed-rate",
            "--connections",
            "1,20",
        ],
    );
    let names: Vec<_> =
        list(&results, "servers").iter().map(|server| server["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tidegate", "mio"]);
    assert_eq!(results["floor"], "mio");
    assert_eq!(results["baseline"], Value::Null, "it did not take part");
    assert!(number(&results["machine"]["cores"]) >= 1.0 && number(&results["seconds"]) > 0.0);

    let workloads = list(&results, "workloads");
    assert_eq!(workloads.len(), 6);
    for workload in workloads {
        assert_eq!(workload["message_bytes"], 64);
        assert_eq!(workload["rate"].is_null(), workload["kind"] != "fixed-rate", "{workload}");
        for outcome in list(workload, "results") {
            assert_eq!(outcome["error"], Value::Null, "{}", workload["title"]);
            let rounds = list(outcome, "rounds");
            assert_eq!(rounds.len(), 2);
            for round in rounds {
                let messages = number(&round["messages"]);
                assert!(messages >= 1.0, "{round}");
                assert_eq!(number(&round["bytes"]), messages * 64.0);
                let latency = ["p50", "p99", "p999", "max"].map(|field| number(&round["latency"][field]));
                assert!(latency[0] > 0.0 && latency.is_sorted(), "{round}");
                assert!((0.0..=1.0).contains(&number(&round["generator_busy"])), "{round}");
                #[cfg(target_os = "linux")]
                {
                    let used = number(&round["user_seconds"]) + number(&round["system_seconds"]);
                    assert!(used > 0.0 && number(&round["peak_bytes"]) > 0.0, "{round}");
                }
            }
        }
    }
}

#[test]
fn every_workload_with_an_echo_runs_with_every_server() {
    let echoes = "ping-pong,ping-pong-16k,pipelined,fixed-rate,bulk,churn,idle,slow-readers,flood";
    let servers = "tidegate,mio,threads,blocking,tokio";
    let results =
        results("all.json", 1, &["--servers", servers, "--workloads", echoes, "--connections", "3"]);
    let workloads = list(&results, "workloads");
    assert_eq!(workloads.len(), 9);
    for workload in workloads {
        let outcomes = list(workload, "results");
        assert_eq!(outcomes.len(), 4, "one client at a time is not enough for {}", workload["title"]);
        for outcome in outcomes {
            assert_eq!(outcome["error"], Value::Null, "{}: {}", workload["title"], outcome["server"]);
            let round = &list(outcome, "rounds")[0];
            assert!(number(&round["messages"]) >= 1.0 && number(&round["bytes"]) >= 64.0, "{round}");
            assert_eq!(round["latency"].is_null(), workload["kind"] == "bulk", "{round}");
            let measured = !["idle", "slow-readers"].contains(&workload["kind"].as_str().unwrap());
            for reference in ["to_floor", "to_baseline"] {
                assert!(!measured || !outcome["summary"][reference].is_null(), "{reference}: {outcome}");
            }
            #[cfg(target_os = "linux")]
            assert_eq!(round["bytes_per_connection_after"].is_null(), workload["kind"] != "idle", "{round}");
        }
    }
}

#[test]
fn frames_broadcasts_and_files_are_measured_with_every_server_that_has_the_service() {
    let results =
        results("services.json", 1, &["--workloads", "framed,broadcast,file", "--connections", "3"]);
    let workloads = list(&results, "workloads");
    let servers = |workload| {
        let outcomes = list(workload, "results").iter();
        outcomes.map(|outcome| outcome["server"].as_str().unwrap()).collect::<Vec<_>>()
    };
    let [framed, broadcast, file] = workloads else { panic!("{results}") };
    assert_eq!(servers(framed), ["tidegate", "mio", "tokio", "tidegate-all"]);
    assert_eq!(servers(broadcast), ["tidegate", "mio", "tokio", "tidegate-copy"]);
    // Whether nginx takes part depends on the machine.
    let mut senders = servers(file);
    let is_left_out = list(&results, "notes").iter().any(|note| note.as_str().unwrap().contains("nginx"));
    assert_eq!(senders.last() == Some(&"nginx"), !is_left_out, "{senders:?}");
    senders.retain(|server| !["nginx", "mio"].contains(server));
    assert_eq!(senders, ["tidegate", "tidegate-read"]);
    for workload in workloads {
        for outcome in list(workload, "results") {
            assert_eq!(outcome["error"], Value::Null, "{}: {}", workload["title"], outcome["server"]);
            let round = &list(outcome, "rounds")[0];
            let (messages, bytes) = (number(&round["messages"]), number(&round["bytes"]));
            let header = if workload["kind"] == "framed" { 4.0 } else { 0.0 };
            assert!(messages >= 1.0, "{round}");
            assert_eq!(bytes, messages * (number(&workload["message_bytes"]) + header), "{round}");
            assert!(!outcome["summary"]["to_counterpart"].is_null(), "{outcome}");
        }
    }
    assert_eq!((&framed["baseline"], &framed["counterpart"]), (&"tokio".into(), &"tidegate-all".into()));
    assert_eq!(broadcast["counterpart"], "tidegate-copy");
    assert_eq!(file["counterpart"], "tidegate-read");
}

#[test]
fn datagrams_are_measured_with_every_server_that_has_the_service() {
    let results = results("datagrams.json", 1, &["--workloads", "datagrams"]);
    let workloads = list(&results, "workloads");
    assert_eq!(workloads.len(), 2);
    for (workload, sockets) in workloads.iter().zip([1, 20]) {
        assert_eq!((&workload["kind"], &workload["connections"]), (&"datagrams".into(), &sockets.into()));
        assert_eq!((&workload["floor"], &workload["baseline"]), (&"mio".into(), &"tokio".into()));
        let outcomes = list(workload, "results");
        let servers: Vec<_> = outcomes.iter().map(|outcome| outcome["server"].as_str().unwrap()).collect();
        assert_eq!(servers, ["tidegate", "mio", "tokio"]);
        for outcome in outcomes {
            assert_eq!(outcome["error"], Value::Null, "{}: {}", workload["title"], outcome["server"]);
            let round = &list(outcome, "rounds")[0];
            let messages = number(&round["messages"]);
            assert!(messages >= f64::from(sockets), "{round}");
            assert_eq!(number(&round["bytes"]), messages * 64.0, "{round}");
            assert!(number(&round["latency"]["p50"]) > 0.0 && number(&round["lost"]) >= 0.0, "{round}");
            assert!(!outcome["summary"]["to_floor"].is_null(), "{outcome}");
        }
    }
    // The reader of the results must know whether the server of this crate received several datagrams with one call.
    let is_noted = list(&results, "notes").iter().any(|note| note.as_str().unwrap().contains("packet-info"));
    assert_eq!(is_noted, cfg!(feature = "packet-info"));
    assert_eq!(list(&results, "features").len(), usize::from(cfg!(feature = "packet-info")));
}

#[test]
#[cfg(unix)]
fn the_file_is_removed_at_the_end() {
    let directory = file("temporary");
    fs::create_dir(&directory).unwrap();
    let arguments = "--quick --servers tidegate --workloads file --rounds 1 --round-time 0.02".split(' ');
    let mut command = support::command(&arguments.collect::<Vec<_>>());
    let output = command.env("TMPDIR", &directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // The call fails if the directory is not empty.
    fs::remove_dir(&directory).unwrap();
}

#[test]
fn results_have_ratios_only_to_servers_that_took_part() {
    let arguments = ["--workloads", "ping-pong,bulk", "--connections", "2"];
    let picked = |servers| results(servers, 1, &[&["--servers", servers][..], &arguments].concat());

    let alone = picked("tokio");
    assert_eq!((&alone["floor"], &alone["baseline"]), (&Value::Null, &Value::Null));
    for workload in list(&alone, "workloads") {
        let summary = &list(workload, "results")[0]["summary"];
        assert_eq!((&workload["floor"], &summary["to_floor"]), (&Value::Null, &Value::Null));
        assert!(summary["to_baseline"].is_null() && number(&summary["cpu_per_message"]["median"]) >= 0.0);
    }

    // Any bare loop can be the floor of streams. Only `mio` can be the floor of other workloads.
    let other = picked("tidegate,mio-256k,mio-16k");
    assert_eq!(other["floor"], Value::Null);
    let [ping_pong, bulk] = list(&other, "workloads") else { panic!("{other}") };
    assert_eq!((&ping_pong["kind"], &ping_pong["floor"]), (&"ping-pong".into(), &Value::Null));
    assert!(["mio-256k", "mio-16k"].contains(&bulk["floor"].as_str().unwrap()), "{bulk}");
    for outcome in list(bulk, "results") {
        let is_floor = outcome["server"] == bulk["floor"];
        let ratio = &outcome["summary"]["to_floor"]["messages_per_second"]["median"];
        assert!(number(ratio) > 0.0 && (!is_floor || number(ratio) == 1.0), "{outcome}");
    }
}

#[test]
fn the_blocking_server_takes_part_only_in_workloads_with_one_connection() {
    let results = results(
        "one.json",
        1,
        &["--servers", "blocking", "--workloads", "ping-pong,bulk", "--connections", "1,2"],
    );
    let taking_part =
        list(&results, "workloads").iter().filter(|workload| !list(workload, "results").is_empty());
    let titles: Vec<_> = taking_part.map(|workload| workload["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["ping-pong, 64 bytes, 1 connection", "bulk both ways, 1 stream"]);
}

#[test]
fn servers_and_workloads_are_listed() {
    let output = bench(&["--list"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for name in [
        "tidegate",
        "mio-256k",
        "tokio",
        "nginx",
        "haproxy-256k",
        "ping-pong-16k",
        "datagrams",
        "proxy-ping-pong",
    ] {
        assert!(
            text.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))),
            "{name}: {text}"
        );
    }
}

#[test]
fn wrong_arguments_exit_with_2() {
    for arguments in [
        &["--servers", "apache"][..],
        &["--servers", "mio,mio"],
        &["--workloads", "ping"],
        &["--connections", "0"],
        &["--rounds", "many"],
        &["--round-time", "0"],
        &["--exec", "echo 7007"],
        &["--service", "file"],
        &["--apps", "--workloads", "churn"],
        &["--colour"],
    ] {
        let output = bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: "), "{arguments:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before_the_measurement() {
    let output = bench(&["--json", "no such folder/results.json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(line(&output).starts_with("bench: cannot write no such folder/results.json: "), "{output:?}");
}
