//! Tests of the option `--apps`: the example programs, and the servers that happen to be installed.

use std::env::consts::EXE_EXTENSION;
use std::process::Command;

use super::*;

/// The time limit for a run that may have to build the example programs.
const BUILDING: Duration = Duration::from_secs(600);

/// Returns the names of the servers of a workload.
fn servers(workload: &Value) -> Vec<&str> {
    let outcomes = list(workload, "results").iter();
    outcomes.map(|outcome| outcome["server"].as_str().unwrap()).collect()
}

#[test]
fn each_example_program_is_compared_with_the_servers_that_are_installed() {
    let results = results_within(BUILDING, "apps.json", 1, &["--apps", "--connections", "3"]);
    let notes = list(&results, "notes");
    let is_noted = |part: &str| notes.iter().any(|note| note.as_str().unwrap().contains(part));
    assert!(is_noted("the backend of the proxies ran on the thread of the load generator"), "{notes:?}");
    let workloads = list(&results, "workloads");
    assert_eq!(workloads.len(), 4 + 4 + 3);
    for workload in workloads {
        let kind = workload["kind"].as_str().unwrap();
        let (all, reference, program) = match kind {
            "kv-get" | "kv-set" => (&["redis"][..], "redis", "redis-server"),
            "http-plaintext" => (&["nginx", "hyper", "may-minihttp"][..], "nginx", "nginx"),
            "http-file" => (&["nginx"][..], "nginx", "nginx"),
            _ => (&["haproxy", "haproxy-256k"][..], "haproxy", "haproxy"),
        };
        let is_absent = is_noted(&format!("because {program} is not installed"));
        let present = all.iter().filter(|name| !(is_absent && name.starts_with(reference)));
        assert_eq!(servers(workload), [&["tidegate"], &present.copied().collect::<Vec<_>>()[..]].concat());
        let baseline = if is_absent { Value::Null } else { reference.into() };
        assert_eq!(workload["baseline"], baseline, "{}", workload["title"]);
        for outcome in list(workload, "results") {
            assert_eq!(outcome["error"], Value::Null, "{}: {}", workload["title"], outcome["server"]);
            let round = &list(outcome, "rounds")[0];
            let (messages, bytes) = (number(&round["messages"]), number(&round["bytes"]));
            let header = if kind == "proxy-streams" { 4.0 } else { 0.0 };
            assert!(messages >= 1.0, "{round}");
            assert_eq!(bytes, messages * (number(&workload["message_bytes"]) + header), "{round}");
            assert_eq!(round["latency"].is_null(), kind == "proxy-streams", "{round}");
            assert_eq!(outcome["summary"]["to_baseline"].is_null(), is_absent, "{outcome}");
        }
    }
    let plaintext = workloads.iter().find(|workload| workload["kind"] == "http-plaintext").unwrap();
    assert!(["hyper", "may-minihttp"].contains(&plaintext["floor"].as_str().unwrap()), "{plaintext}");
}

#[test]
fn example_programs_that_are_not_built_are_named_with_the_command_that_builds_them() {
    // The benchmark looks for the example programs beside its own file. cargo has not started this copy.
    let directory = file("alone");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    let copy = directory.join("bench").with_extension(EXE_EXTENSION);
    fs::copy(env!("CARGO_BIN_EXE_bench"), &copy).unwrap();
    let output = Command::new(&copy).args(["--apps", "--quick"]).env_remove("CARGO").output().unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let expected = "bench: the examples kv, http, proxy must be built first: cargo build";
    assert!(line(&output).starts_with(expected), "{output:?}");
}
