//! Programs of other authors on both sides of the proxy: iperf3 and socat.

use std::{
    fs,
    io::{BufRead, Lines},
    process::{ChildStderr, Command, Output, Stdio},
    sync::mpsc,
};

use super::*;
use crate::support::{
    next,
    programs::{finish, is_installed},
    unix::Folder,
};

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Starts a server of iperf3, which serves one test. iperf3 does not tell a port that the system has chosen, so another process
/// may take the port before iperf3, and then the next port is tried.
fn iperf3_server() -> (Killed, u16) {
    for _ in 0..10 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = ["-s", "-1", "-B", "127.0.0.1", "-p", &port.to_string(), "--forceflush"];
        let mut server = Killed::start(&mut command("iperf3", &arguments));
        let stdout = server.child().stdout.take().unwrap();
        let (tell, told) = mpsc::channel();
        // The thread reads to the end, because a full pipe would hold the server up.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with("Server listening on") {
                    let _ = tell.send(());
                }
            }
        });
        if told.recv_timeout(PATIENCE).is_ok() {
            return (server, port);
        }
    }
    panic!("iperf3 finds no port")
}

#[test]
fn iperf3_measures_in_both_directions() {
    if !is_installed("iperf3") {
        return;
    }
    for more in [&["-n", "64M"][..], &["-n", "64M", "-R"], &["-n", "32M", "-P", "4"], &["-t", "1", "--bidir"]]
    {
        let (mut server, port) = iperf3_server();
        let mut proxy = Proxy::start("127.0.0.1:0", &format!("127.0.0.1:{port}"), &[]);
        let at = proxy.address().port().to_string();
        let output = finish(command("iperf3", &[&["-c", "127.0.0.1", "-p", &at], more].concat()));
        assert!(output.status.success(), "{more:?}: {}{}", text(&output.stdout), text(&output.stderr));
        assert!(text(&output.stdout).contains("iperf Done."), "{more:?}: {}", text(&output.stdout));
        let output = server.finish();
        assert!(output.status.success(), "{more:?}: {}", text(&output.stderr));
        proxy.program.signal("-TERM");
        assert!(proxy.program.finish().status.success(), "{more:?}");
    }
}

/// Starts socat as an echo server for one client, and returns when socat listens.
fn socat_echo(listen: &str) -> (Killed, mpsc::Receiver<()>) {
    let mut server = Killed::start(&mut command("socat", &["-d", "-d", "-t10", listen, "EXEC:cat"]));
    let stderr = BufReader::new(server.child().stderr.take().unwrap());
    let (tell, told) = mpsc::channel();
    let wait = move |lines: Lines<BufReader<ChildStderr>>| {
        for line in lines.map_while(Result::ok) {
            if line.contains("listening on") {
                let _ = tell.send(());
            }
        }
    };
    thread::spawn(move || wait(stderr.lines()));
    next(&told);
    (server, told)
}

fn socat_client(connect: &str, input: &std::path::Path) -> Output {
    let mut client = command("socat", &["-t10", "-", connect]);
    client.stdin(fs::File::open(input).unwrap());
    finish(client)
}

#[test]
fn socat_passes_a_file_over_unix_sockets_and_back() {
    if !is_installed("socat") {
        return;
    }
    let folder = Folder::new();
    let [front, back, input] = ["front", "back", "input"].map(|name| folder.file(name));
    let sent = large(8 << 20, 3);
    fs::write(&input, &sent).unwrap();
    let (mut server, _log) = socat_echo(&format!("UNIX-LISTEN:{}", back.display()));
    let [listen, to] = [&front, &back].map(|path| format!("unix:{}", path.display()));
    let mut proxy = Proxy::start(&listen, &to, &[]);
    let output = socat_client(&format!("UNIX-CONNECT:{}", front.display()), &input);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout == sent, "{} bytes came back", output.stdout.len());
    assert!(server.finish().status.success());
    proxy.program.signal("-TERM");
    assert!(proxy.program.finish().status.success());
    assert!(!front.exists(), "the proxy leaves its file behind");
}

/// The two sides of the proxy need not be of one kind.
#[test]
fn socat_passes_a_file_from_tcp_to_a_unix_socket_and_back() {
    if !is_installed("socat") {
        return;
    }
    let folder = Folder::new();
    let [back, input] = ["back", "input"].map(|name| folder.file(name));
    let sent = large(8 << 20, 4);
    fs::write(&input, &sent).unwrap();
    let (mut server, _log) = socat_echo(&format!("UNIX-LISTEN:{}", back.display()));
    let proxy = Proxy::start("127.0.0.1:0", &format!("unix:{}", back.display()), &[]);
    let output = socat_client(&format!("TCP:{}", proxy.at), &input);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stdout == sent, "{} bytes came back", output.stdout.len());
    assert!(server.finish().status.success());
}
