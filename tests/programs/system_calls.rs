//! Tests of the system calls of the programs that embed a server in a larger loop, as strace(1) lists them. The calls are
//! those of epoll. The selector on poll(2) makes other calls, and its poll cannot be nested.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
};

use crate::support::{
    End, assert_same, connect, exchange, next, pattern,
    programs::{example, has_strace, start_server},
    read_out,
};

/// Returns the command of an example under strace. With -D, strace is a child of the example, so signals reach the example,
/// and neither outlives the test.
fn traced(name: &str, options: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-qq"]).args(options);
    command.arg(example(name).get_program()).args(["--listen", "127.0.0.1:0"]);
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

const MESSAGES: usize = 200;

/// Returns the system calls of the main thread of an example that echoes `MESSAGES` messages, one at a time.
fn calls_of(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}", std::process::id()));
    let calls = "trace=?epoll_wait,?epoll_pwait,epoll_ctl,recvfrom,sendto";
    let file = path.to_str().expect("the path is text");
    let command = traced(name, &["-y", "-e", calls, "-o", file]);
    let (mut server, _stdout, at) = start_server(command);
    let mut client = connect(at.parse().unwrap());
    for seed in 0..MESSAGES {
        let message = pattern(64, seed as u64);
        assert_same(&exchange(&mut client, &message), &message);
    }
    // The client is still connected when the drain begins, so the drain has a deadline.
    server.signal("-TERM");
    assert_eq!(read_out(&mut client), (vec![], End::Eof));
    drop(client);
    assert!(server.finish().status.success());
    let calls = fs::read_to_string(&path).unwrap();
    fs::remove_file(path).unwrap();
    calls.lines().map(str::to_owned).collect()
}

fn count(calls: &[String], of: &str) -> usize {
    calls.iter().filter(|call| call.starts_with(of)).count()
}

/// The log must report how long slow frames really took. Otherwise its percentiles would be no measurement.
#[test]
#[cfg_attr(mio_unsupported_force_poll_poll, ignore = "the system calls are those of epoll")]
fn slow_frames_are_reported_as_slow() {
    if !has_strace() {
        return;
    }
    let calls = "?epoll_wait,?epoll_pwait";
    let inject = format!("inject={calls}:delay_enter=20000"); // The delay is in microseconds.
    let trace = format!("trace={calls}");
    let mut command = traced("embed_frames", &["-o", "/dev/null", "-e", &trace, "-e", &inject]);
    command.args(["--report", "1"]);
    let (mut server, _stdout, _at) = start_server(command);
    let log = BufReader::new(server.child().stderr.take().expect("standard error is a pipe")).lines();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        log.map_while(Result::ok)
            .filter(|line| line.contains("p99.9"))
            .for_each(|line| drop(tell.send(line)));
    });
    let line = next(&told);
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |word| words[words.iter().position(|other| *other == word).unwrap() + 1];
    for quantile in ["p50", "p99", "p99.9", "max"] {
        let millis: f64 = after(quantile).parse().unwrap();
        assert!(millis >= 20.0, "{quantile}: {line}");
    }
    assert_eq!(after("in"), "a", "{line}");
    let over = words.iter().rposition(|word| *word == "in").unwrap();
    assert_eq!(words[over + 1], words[over + 3], "not every frame is over its budget: {line}");
}

/// The host may make a few more calls, for its own socket and for the signal.
#[test]
#[cfg_attr(mio_unsupported_force_poll_poll, ignore = "the system calls are those of epoll")]
fn a_guest_takes_no_more_system_calls_than_an_event_loop() {
    if !has_strace() {
        return;
    }
    let (guest, own) = (calls_of("embed_mio"), calls_of("echo_server"));
    for call in ["epoll_", "epoll_ctl", "recvfrom", "sendto"] {
        let (guest, own) = (count(&guest, call), count(&own, call));
        assert!(guest <= own + 10, "{call}: {guest} by the guest, {own} by the event loop");
    }
    assert!(count(&guest, "recvfrom") >= MESSAGES, "strace did not trace the thread of the loop");
}

#[test]
#[cfg_attr(mio_unsupported_force_poll_poll, ignore = "the system calls are those of epoll")]
fn a_nested_server_is_registered_with_its_host_once() {
    if !has_strace() {
        return;
    }
    // calloop registers its own two descriptors again before each sleep, and tokio registers no descriptor again.
    // The descriptor of the server is registered once with either host.
    for (name, waits) in [("embed_calloop", 2), ("embed_tokio", 2)] {
        let calls = calls_of(name);
        let nested = calls.iter().filter(|call| {
            let watched = call.split_once(", EPOLL_CTL_").map_or("", |(_, rest)| rest);
            call.starts_with("epoll_ctl") && watched.contains("[eventpoll]")
        });
        let nested: Vec<&String> = nested.filter(|call| !call.contains("EPOLL_CTL_DEL")).collect();
        assert_eq!(nested.len(), 1, "{name}: {nested:?}");
        // Each message takes a wait of the host and a poll of the server.
        let waited = count(&calls, "epoll_wait") + count(&calls, "epoll_pwait");
        assert!(waited <= waits * MESSAGES + 20, "{name}: {waited}");
        assert!(count(&calls, "sendto") <= MESSAGES + 10, "{name}");
    }
}
