//! Tests of the option `--exec`: programs outside of the benchmark, which may fail, send wrong bytes, fork or never
//! read.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Instant;

use super::support::{Killed, PATIENCE, command, within};
use super::*;

/// Returns a command that makes this test's executable run one of the servers below, with the port as its last
/// argument.
fn server(name: &str, function: &str, arguments: &str) -> String {
    let me = std::env::current_exe().unwrap();
    format!("{name}={} --ignored --exact other_programs::{function} {arguments} {{port}}", me.display())
}

/// Returns the ports at the end of the command line, with or without an address. Without ports a server does nothing,
/// because a user may run all ignored tests.
fn ports<const N: usize>() -> Option<[u16; N]> {
    let arguments: Vec<String> = std::env::args().collect();
    let last = &arguments[arguments.len().checked_sub(N)?..];
    let ports: Option<Vec<u16>> = last.iter().map(|word| word.rsplit(':').next()?.parse().ok()).collect();
    ports?.try_into().ok()
}

fn fails(command: &str) -> String {
    let output = bench(&["--quick", "--servers", "tidegate", "--workloads", "ping-pong", "--exec", command]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    line(&output).into()
}

#[test]
fn another_echo_server_takes_part() {
    // The port may be a part of a word.
    let command = server("other", "server_that_echoes", "").replace("{port}", "127.0.0.1:{port}");
    let results = results(
        "other.json",
        2,
        &["--servers", "mio", "--exec", &command, "--workloads", "ping-pong,churn", "--connections", "3"],
    );
    for workload in list(&results, "workloads") {
        let other = &list(workload, "results")[1];
        assert_eq!((&other["server"], &other["error"]), (&"other".into(), &Value::Null), "{other}");
        assert!(number(&list(other, "rounds")[1]["messages"]) >= 1.0, "{other}");
    }
}

#[test]
#[ignore = "a server for the test above, which starts it"]
fn server_that_echoes() {
    lie(|_| true);
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let error = fails("ghost=/no/such/program {port}");
    assert!(error.starts_with("bench: ghost: ") && error.contains("/no/such/program"), "{error}");
}

#[test]
fn a_program_that_ends_at_once_is_reported_with_its_last_line() {
    let error = fails("ls /no/such/{port}");
    assert!(
        error.starts_with("bench: ls: the server ended (exit status: ") && error.contains("/no/such/"),
        "{error}"
    );
}

#[test]
fn a_program_that_never_listens_is_an_error() {
    let error = fails("sleep 600.{port}");
    // The port is free when the benchmark chooses it, and a server of another test may take the port a moment later. In
    // that case the run begins, and fails when that server has ended.
    assert!(error.contains("sleep") && error.contains("does not listen on 127.0.0.1:"), "{error}");
}

#[test]
fn a_server_with_a_wrong_echo_fails_the_run_and_other_servers_keep_their_results() {
    for (fault, told) in [("alter", "in place of"), ("add", "bytes came"), ("close", "closed by the server")]
    {
        let json = file(fault);
        let command = server("liar", &format!("liar_{fault}"), "");
        let mut arguments =
            vec!["--quick", "--servers", "mio", "--exec", &command, "--json", json.to_str().unwrap()];
        arguments.extend("--workloads ping-pong --connections 2 --rounds 2 --round-time 0.02".split(' '));
        let output = bench(&arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = line(&output);
        assert!(error.starts_with("bench: liar, ping-pong, 64 bytes, 2 connections: "), "{error}");
        assert!(error.contains(told), "{fault}: {error}");

        let results: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        fs::remove_file(json).unwrap();
        let outcomes = list(&list(&results, "workloads")[0], "results");
        assert_eq!((&outcomes[0]["error"], list(&outcomes[0], "rounds").len()), (&Value::Null, 2));
        assert!(error.ends_with(outcomes[1]["error"].as_str().unwrap()), "{error}");
        assert_eq!(list(&outcomes[1], "rounds").len(), 0);
    }
}

#[test]
#[ignore = "a server for the test above, which starts it"]
fn liar_alter() {
    lie(|echo| {
        if let [.., last] = echo.as_mut_slice() {
            *last ^= 1;
        }
        true
    });
}

#[test]
#[ignore = "a server for the test above, which starts it"]
fn liar_add() {
    lie(|echo| {
        echo.push(0);
        true
    });
}

#[test]
#[ignore = "a server for the test above, which starts it"]
fn liar_close() {
    lie(|_| false);
}

/// Echoes messages of 64 bytes with a fault. Shorter messages come back unchanged, so that the benchmark accepts the
/// server.
fn lie(fault: impl Fn(&mut Vec<u8>) -> bool + Send + Copy + 'static) {
    let Some([port]) = ports() else { return };
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    for mut stream in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok(received @ 1..) = stream.read(&mut buffer) {
                let mut echo = buffer[..received].to_vec();
                if received == 64 && !fault(&mut echo) || stream.write_all(&echo).is_err() {
                    return;
                }
            }
        });
    }
}

/// A listener to which the child of each server that forks stays connected for as long as the child lives.
struct Watch(TcpListener);

impl Watch {
    fn new() -> Watch {
        Watch(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn command(&self) -> String {
        server("forking", "server_that_forks", &self.0.local_addr().unwrap().port().to_string())
    }

    /// Waits for the end of every child that has been started.
    fn assert_all_end(&self) {
        self.0.set_nonblocking(true).unwrap();
        let mut count = 0;
        loop {
            let mut child = match self.0.accept() {
                Ok((child, _)) => child,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            };
            child.set_nonblocking(false).unwrap();
            child.set_read_timeout(Some(PATIENCE)).unwrap();
            match child.read(&mut [0]) {
                Ok(0) => count += 1,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => count += 1,
                other => panic!("a child outlives the benchmark: {other:?}"),
            }
        }
        assert!(count > 0, "no child was started");
    }
}

#[test]
fn a_server_that_forks_ends_with_its_children() {
    let watch = Watch::new();
    let arguments =
        ["--servers", "mio", "--exec", &watch.command(), "--workloads", "ping-pong", "--connections", "2"];
    let results = results("forking.json", 1, &arguments);
    assert_eq!(list(&list(&results, "workloads")[0], "results")[1]["error"], Value::Null, "{results}");
    watch.assert_all_end();
}

#[test]
fn a_server_that_forks_ends_with_its_children_at_a_second_signal() {
    let watch = Watch::new();
    let mut command = command(&["--servers", "mio", "--exec", &watch.command(), "--workloads", "ping-pong"]);
    command.args(["--connections", "2", "--rounds", "1", "--round-time", "60"]);
    let mut bench = Killed::start(&mut command);
    // The first child belongs to the trial. The second child serves the workload, so at that time the benchmark handles
    // signals.
    let children = within(move || [watch.0.accept().unwrap(), watch.0.accept().unwrap()]);
    let end = Instant::now() + PATIENCE;
    while bench.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "the second signal ends the benchmark");
        bench.signal("-INT");
        thread::yield_now();
    }
    for (mut child, _) in children {
        child.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(child.read(&mut [0]).expect("the child ends"), 0);
    }
}

#[test]
#[ignore = "a server for the tests above, which start it"]
fn server_that_forks() {
    let Some([watch, port]) = ports() else { return };
    let me = std::env::current_exe().unwrap();
    let mut command = Command::new(me);
    command.args(["--ignored", "--exact", "other_programs::child_of_a_server"]);
    command.args([watch, port].map(|port| port.to_string())).stdin(Stdio::null());
    command.status().unwrap();
}

#[test]
#[ignore = "a server for the tests above, which start it"]
fn child_of_a_server() {
    let Some([watch, _port]) = ports() else { return };
    let mut watch = TcpStream::connect(("127.0.0.1", watch)).unwrap();
    thread::spawn(move || {
        // A child that the benchmark leaves behind ends with the test.
        let _ = watch.read(&mut [0]);
        process::exit(0);
    });
    lie(|_| true);
}

#[test]
fn a_server_that_never_reads_is_an_error_with_the_time_limit() {
    let tell = |connections: &str, told: &str| {
        let command = server("mute", "server_that_never_reads", "");
        let arguments = ["--servers", "mio", "--exec", &command, "--connections", connections];
        let short = "--quick --workloads ping-pong --rounds 1 --round-time 0.02".split(' ');
        let output = bench(&arguments.into_iter().chain(short).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(line(&output), format!("bench: mute, ping-pong, 64 bytes, {told} within 10s"));
    };
    // Both runs take place concurrently, because each run waits for the whole patience of the benchmark.
    thread::scope(|scope| {
        scope.spawn(|| {
            tell("1", "1 connection: connection 1: the server did not send back 64 of 64 bytes");
        });
        tell("2", "2 connections: after 2 connections of 2: the server did not send back a byte");
    });
}

#[test]
#[ignore = "a server for the test above, which starts it"]
fn server_that_never_reads() {
    let Some([port]) = ports() else { return };
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let _clients: Vec<TcpStream> = listener.incoming().map_while(Result::ok).collect();
}
