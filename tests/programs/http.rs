//! Tests of the example `http` with the clients of other people, and tests of its memory and its end.

#[cfg(unix)]
mod files;
mod hostile;
mod service;
mod syntax;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use self::service::Http;
use crate::support::{
    self,
    programs::{self, run},
    within,
};

const PLAINTEXT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n";

/// Runs curl, which prints the answer and then the values of `out`.
fn curl(arguments: &[&str], out: &str) -> Option<String> {
    run("curl", &[&["-q", "-sS", "--max-time", "20", "-w", out], arguments].concat())
}

#[test]
fn curl_gets_the_greeting() {
    let server = Http::start(&[]);
    let url = server.url("/plaintext");
    let Some(twice) = curl(&[&url, &url], " %{http_code} %{num_connects}\n") else { return };
    assert_eq!(
        twice, "Hello, World! 200 1\nHello, World! 200 0\n",
        "the second request uses the first connection"
    );
    let ask = |arguments: &[&str]| curl(arguments, "%{http_code} %{http_version}").unwrap();
    assert_eq!(ask(&["-0", &url]), "Hello, World!200 1.1");
    assert_eq!(ask(&["-d", "a=b", &url]), "405 Method Not Allowed\n405 1.1");
    assert_eq!(ask(&[&server.url("/x")]), "404 Not Found\n404 1.1");
    let head = ask(&["-I", &url]);
    let lines: Vec<_> = head.lines().filter(|line| !line.starts_with("Date: ")).collect();
    let expected = [
        "HTTP/1.1 200 OK",
        "Server: tidegate",
        "Content-Type: text/plain",
        "Content-Length: 13",
        "",
        "200 1.1",
    ];
    assert_eq!(lines, expected);
}

#[test]
#[cfg(unix)]
fn curl_uploads_are_refused_with_every_framing() {
    let server = Http::start(&[]);
    let url = server.url("/plaintext");
    let small = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let program = std::env::current_exe().unwrap();
    let large = program.to_str().unwrap();
    let ask = |arguments: &[&str]| curl(&[arguments, &["-o", "/dev/null", &url]].concat(), "%{http_code}");
    let Some(chunked) = ask(&["-H", "Transfer-Encoding: chunked", "--data-binary", &format!("@{small}")])
    else {
        return;
    };
    assert_eq!(chunked, "405");
    assert_eq!(ask(&["-T", small]).as_deref(), Some("405"));
    assert_eq!(ask(&["-H", "Expect: 100-continue", "-d", "a"]).as_deref(), Some("405"));
    assert_eq!(ask(&["-H", "Expect:", "-T", large]).as_deref(), Some("413"));
}

#[test]
#[cfg(unix)]
fn curl_uses_a_unix_socket() {
    let folder = support::unix::Folder::new();
    let path = folder.file("http");
    let path = path.to_str().unwrap();
    let server = Http::listen(&format!("unix:{path}"), &[]);
    assert_eq!(server.at, format!("unix:{path}"));
    let answer = curl(&["--unix-socket", path, "http://localhost/plaintext"], "");
    assert!(answer.is_none_or(|answer| answer == "Hello, World!"));
}

#[test]
#[cfg(unix)]
fn wrk_and_ab_report_no_error() {
    let folder = support::unix::Folder::new();
    let script = folder.file("pipeline.lua");
    let lines = [
        "init = function() all = string.rep(wrk.format(nil, '/plaintext'), 16) end",
        "request = function() return all end",
    ];
    std::fs::write(&script, lines.join("\n")).unwrap();
    let server = Http::start(&[]);
    let url = server.url("/plaintext");
    for more in [&[][..], &["-s", script.to_str().unwrap()]] {
        let Some(output) = run("wrk", &[&["-t1", "-c20", "-d1s"], more, &[&url]].concat()) else { break };
        assert!(output.contains(" requests in ") && !output.contains(" 0 requests in "), "{output}");
        assert!(!output.contains("Non-2xx") && !output.contains("Socket errors"), "{output}");
    }
    for more in [&[][..], &["-k"], &["-k", "-i"]] {
        let arguments = [&["-q", "-n", "2000", "-c", "10"], more, &[&url]].concat();
        let Some(output) = run("ab", &arguments) else { break };
        let has = |name: &str, value: &str| {
            let found = output.lines().find_map(|line| line.strip_prefix(name));
            assert_eq!(found.map(str::trim), Some(value), "{output}");
        };
        has("Complete requests:", "2000");
        has("Failed requests:", "0");
        if more.contains(&"-k") {
            has("Keep-Alive requests:", "2000");
        }
        assert!(!output.contains("Non-2xx"), "{output}");
    }
}

#[test]
fn the_client_of_python_works() {
    let server = Http::start(&[]);
    let program = r#"
import http.client, sys
client = http.client.HTTPConnection(sys.argv[1], timeout=20)
def ask(method, body=None, **more):
    client.request(method, "/plaintext", body=body, **more)
    answer = client.getresponse()
    return answer.status, answer.read(), client.sock
status, body, first = ask("GET")
assert (status, body) == (200, b"Hello, World!")
assert ask("HEAD") == (200, b"", first)
assert ask("POST", b"x" * 100000)[::2] == (405, first)
assert ask("PUT", iter([b"a", b"bc"]), encode_chunked=True)[::2] == (405, first)
assert ask("GET") == (200, b"Hello, World!", first)
print("done")
"#;
    let output = run("python3", &["-c", program, &server.at]);
    assert!(output.is_none_or(|output| output == "done\n"));
}

#[test]
fn a_client_of_http_1_0_is_told_that_its_connection_stays_open() {
    let server = Http::start(&[]);
    let mut client = server.client();
    for _ in 0..2 {
        client.send(b"GET /plaintext HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status(), answer.header("Connection")), ("200", Some("keep-alive")));
    }
    client.send(b"HEAD /plaintext HTTP/1.0\r\n\r\n");
    let answer = client.head();
    assert_eq!((answer.header("Connection"), answer.header("Content-Length")), (Some("close"), Some("13")));
    client.assert_end();
}

#[test]
fn ten_thousand_pipelined_requests_are_answered_in_order_however_they_are_split() {
    let server = Http::start(&[]);
    for piece in [usize::MAX, 1021] {
        let mut client = server.client();
        let sending = client.0.get_ref().try_clone().unwrap();
        let sender = thread::spawn(move || {
            let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789".as_bytes();
            let requests = [PLAINTEXT, post].concat().repeat(5000);
            for piece in requests.chunks(piece) {
                (&sending).write_all(piece).unwrap();
            }
        });
        for _ in 0..5000 {
            assert_eq!(client.answer().body, b"Hello, World!");
            assert_eq!(client.answer().status(), "405");
        }
        client.assert_open();
        within(|| sender.join()).unwrap();
    }
}

/// The server sends the longer file by `send_file`, and reads the shorter file.
#[test]
#[cfg(target_os = "linux")]
fn a_client_that_pipelines_and_does_not_read_costs_little_memory_and_few_descriptors() {
    let folder = support::unix::Folder::new();
    for (len, requests) in [(17_000, 10_000), (600, 40_000)] {
        let file = support::pattern(len, 1);
        std::fs::write(folder.file("file"), &file).unwrap();
        let mut server = Http::start(&["--root", folder.path().to_str().unwrap()]);
        let mut first = server.client();
        first.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n"); // what every server needs is allocated
        assert_eq!(first.answer().body, file);
        let memory = |server: &mut Http| programs::memory(&mut server.program, "VmHWM:"); // the most so far
        let before = memory(&mut server);

        let mut client = server.narrow_client();
        let sending = client.0.get_ref().try_clone().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let sender = thread::spawn(move || {
            let thousand = b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
            for _ in 0..requests / 1000 {
                (&sending).write_all(&thousand).unwrap();
                let _ = tell.send(());
            }
        });
        // The client reads nothing until the server takes no more requests, or has taken all of them.
        while told.recv_timeout(Duration::from_millis(300)).is_ok() {}
        let descriptors = format!("/proc/{}/fd", server.program.child().id());
        for number in 0..requests {
            assert!(client.answer().body == file, "answer {number}");
            if number % 100 == 0 {
                let count = std::fs::read_dir(&descriptors).unwrap().count();
                assert!(count < 30, "the server has {count} descriptors");
            }
        }
        client.assert_open();
        within(|| sender.join()).unwrap();
        let growth = memory(&mut server).saturating_sub(before);
        assert!(growth < 2 << 20, "the server needs {growth} bytes");
    }
}

/// Waits until the server does not listen any more, which is so when the drain has begun.
#[cfg(unix)]
fn wait_for_drain(server: &Http) {
    let begin = std::time::Instant::now();
    while TcpStream::connect(&server.at).is_ok() {
        assert!(begin.elapsed() < support::PATIENCE, "the server goes on listening");
        thread::sleep(Duration::from_millis(10)); // between two looks
    }
}

#[test]
#[cfg(unix)]
fn a_signal_lets_answers_and_requests_that_are_under_way_come_to_their_ends() {
    let folder = support::unix::Folder::new();
    let file = support::pattern(1_000_003, 1).repeat(16);
    std::fs::write(folder.file("file"), &file).unwrap();
    let mut server = Http::start(&["--root", folder.path().to_str().unwrap(), "--drain", "60"]);

    let mut download = server.narrow_client();
    download.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = download.head();
    assert_eq!(answer.header("Content-Length"), Some("16000048"));
    let mut found = vec![0; 1 << 20];
    download.0.read_exact(&mut found).unwrap();
    // The second request of this client is on its way, and the upload has begun.
    let mut asking = server.client();
    asking.send(&[PLAINTEXT, &PLAINTEXT[..20]].concat());
    assert_eq!(asking.answer().status(), "200");
    let mut upload = server.client();
    upload.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    let mut late = server.client();
    late.send(b"POST / HT");
    let mut idle = server.client();
    idle.send(PLAINTEXT);
    assert_eq!(idle.answer().header("Connection"), None);

    server.program.signal("-TERM");
    wait_for_drain(&server);
    late.send(b"TP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    idle.assert_end();
    asking.send(&[&PLAINTEXT[20..], PLAINTEXT].concat());
    assert_eq!(asking.answer().header("Connection"), None);
    let last = asking.answer();
    assert_eq!((last.status(), last.header("Connection")), ("200", Some("close")));
    asking.assert_end();
    // A client that pauses in a body is not idle.
    late.0.get_ref().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let nothing = late.0.read(&mut [0]).expect_err("the server waits for the rest of the body").kind();
    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&nothing), "{nothing}");
    late.0.get_ref().set_read_timeout(Some(support::PATIENCE)).unwrap();
    for mut client in [upload, late] {
        client.send(b"cde");
        let last = client.answer();
        assert_eq!((last.status(), last.header("Connection")), ("405", Some("close")));
        client.assert_end();
    }
    let mut rest = vec![0; file.len() - found.len()];
    download.0.read_exact(&mut rest).unwrap();
    found.extend(rest);
    assert!(found == file);
    download.assert_end();
    let output = server.program.finish();
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[cfg(unix)]
fn a_second_signal_resets_answers_that_are_under_way() {
    let folder = support::unix::Folder::new();
    let file = std::fs::File::create(folder.file("file")).unwrap();
    file.set_len(64 << 20).unwrap();
    let mut server = Http::start(&["--root", folder.path().to_str().unwrap(), "--drain", "60"]);
    let mut client = server.narrow_client();
    client.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    server.program.signal("-INT");
    wait_for_drain(&server);
    let begin = std::time::Instant::now();
    // Signals that come within a second belong to the first signal.
    while server.program.child().try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < support::PATIENCE, "the server goes on");
        server.program.signal("-INT");
        thread::sleep(Duration::from_millis(100)); // between two looks
    }
    assert_eq!(support::read_out(&mut client.0.into_inner()).1, support::End::Reset);
}
