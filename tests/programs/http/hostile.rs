//! Tests of the example `http` with requests of raw bytes: the status of each answer, and the end of the connection.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    thread,
};

use super::service::{Client, Http};
use crate::support::{read_to_end, within};

/// Returns the bytes that a line of the table stands for.
fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, behind)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, len) = match behind.as_bytes()[0] {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            b'0' => (0, 1),
            b'x' => (u8::from_str_radix(&behind[1..3], 16).unwrap(), 3),
            other => panic!("an unknown escape: {other}"),
        };
        bytes.push(byte);
        rest = &behind[len..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Sends the requests of the table, each over a connection of its own.
fn ask_table(send: impl Fn(&mut Client, &[u8])) {
    let server = Http::start(&[]);
    let lines =
        include_str!("requests.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in lines {
        let (request, expected) = line.split_once(" -> ").expect("a line has a request and a status");
        let mut client = server.client();
        send(&mut client, &unescape(request));
        let answer = client.answer();
        let is_open = answer.header("Connection") != Some("close");
        let found = format!("{} {}", answer.status(), if is_open { "open" } else { "closed" });
        assert_eq!(found, expected, "{request}");
        assert_eq!(answer.header("Allow"), (answer.status() == "405").then_some("GET, HEAD"), "{request}");
        if is_open { client.assert_open() } else { client.assert_end() }
    }
}

#[test]
fn an_error_has_no_body_if_the_method_is_head() {
    let server = Http::start(&[]);
    for (rest, status) in [
        ("\r\n", "400"),
        ("Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "400"),
        ("Host: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "400"),
        ("Host: a\r\nContent-Length: 99999999\r\n\r\n", "413"),
    ] {
        let mut client = server.client();
        client.send(format!("HEAD /plaintext HTTP/1.1\r\n{rest}").as_bytes());
        assert_eq!(client.head().status(), status, "{rest}");
        client.assert_end();
    }
}

#[test]
fn each_request_of_the_table_has_its_status() {
    ask_table(Client::send);
}

#[test]
fn the_statuses_are_the_same_for_requests_that_come_byte_by_byte() {
    ask_table(|client, request| request.chunks(1).for_each(|byte| client.send(byte)));
}

#[test]
fn a_head_above_the_limit_is_answered_with_431() {
    let server = Http::start(&[]);
    let request = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").into_bytes()
    };
    let headers = |count: usize| (0..count).map(|number| format!("X-{number}: y\r\n")).collect::<String>();
    let long = |len: usize| "x".repeat(len);
    let head = request("/plaintext", "X: \r\n").len();
    for (request, status) in [
        (request("/plaintext", &headers(63)), "200"),
        (request("/plaintext", &headers(64)), "431"),
        (request("/plaintext", &format!("X: {}\r\n", long((16 << 10) - head))), "200"),
        (request("/plaintext", &format!("X: {}\r\n", long((16 << 10) - head + 1))), "431"),
        (request(&format!("/plaintext?{}", long(16_000)), ""), "200"),
        (request(&format!("/{}", long(100_000)), ""), "431"),
        (long(100_000).into_bytes(), "431"),
        (b"\r\n".repeat(50_000), "431"),
    ] {
        let mut client = server.client();
        client.send(&request);
        assert_eq!(client.answer().status(), status, "{} bytes", request.len());
        if status == "200" { client.assert_open() } else { client.assert_end() }
    }
}

#[test]
fn a_body_is_discarded_up_to_the_limit() {
    let server = Http::start(&[]);
    let post = |header: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n").into_bytes();
    let chunk = [&b"1000\r\n"[..], &[b'x'; 4096], b"\r\n"].concat();
    let chunked = |count: usize, end: &[u8]| {
        [&post("Transfer-Encoding: chunked"), chunk.repeat(count).as_slice(), end].concat()
    };
    for (request, status) in [
        ([post("Content-Length: 1048576"), vec![b'x'; 1 << 20]].concat(), "405"),
        (chunked(250, b"0\r\n\r\n"), "405"),
        (chunked(256, b"0\r\n\r\n"), "413"),
        (chunked(0, &b"1;x\r\nx\r\n".repeat(200_000)), "413"),
        (chunked(0, &[b"0\r\n".as_slice(), &b"a: b\r\n".repeat(200_000)].concat()), "413"),
        (chunked(0, format!("1;{}\r\n", "x".repeat(5000)).as_bytes()), "400"),
    ] {
        let mut client = server.client();
        client.send(&request);
        assert_eq!(client.answer().status(), status, "{} bytes", request.len());
        if status == "405" { client.assert_open() } else { client.assert_end() }
    }
}

/// The server must not reset the connection, because a reset can destroy the answer.
#[test]
fn a_client_that_sends_on_after_an_error_gets_the_answer_and_no_reset() {
    let server = Http::start(&[]);
    for (head, status) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n", "413"),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n", "405"),
        ("no request\r\n\r\n", "400"),
    ] {
        let mut client = server.client();
        client.send(head.as_bytes());
        client.send(&vec![b'x'; 16 << 20]); // far more than the kernel keeps
        assert_eq!(client.answer().status(), status);
        client.assert_end();
    }
}

#[test]
fn requests_before_and_behind_a_bad_request() {
    let server = Http::start(&[]);
    let (good, bad) = ("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", "GET /plaintext HTTP/1.1\r\n\r\n");
    let mut client = server.client();
    client.send(format!("{good}{good}{bad}{good}").as_bytes());
    assert_eq!([(); 3].map(|()| client.answer().status().to_owned()), ["200", "200", "400"]);
    client.assert_end();
}

#[test]
fn a_request_that_is_not_complete_in_time_is_answered_with_408() {
    let server = Http::start(&["--request-timeout", "0.3"]);
    for request in [
        "GET /plain",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\nGET /plaintext HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ] {
        let mut client = server.client();
        client.send(request.as_bytes());
        if request.contains("\r\n\r\nGET") {
            assert_eq!(client.answer().status(), "200");
        }
        let answer = client.answer();
        assert_eq!((answer.status(), answer.header("Connection")), ("408", Some("close")), "{request}");
        client.assert_end();
    }
}

/// A byte now and then must not keep a request alive.
#[test]
fn a_request_that_comes_slowly_is_answered_with_408() {
    let server = Http::start(&["--request-timeout", "0.5"]);
    let client = server.client();
    let stream = client.0.get_ref().try_clone().unwrap();
    stream.set_nonblocking(true).unwrap();
    // The loop ends by the end of the connection.
    let mut found = Vec::new();
    let found = within(move || {
        let mut part = [0; 1000];
        loop {
            match (&stream).read(&mut part) {
                Ok(0) => return found,
                Ok(len) => found.extend_from_slice(&part[..len]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let _ = (&stream).write(b"x");
            thread::sleep(std::time::Duration::from_millis(20)); // between two bytes
        }
    });
    assert!(found.starts_with(b"HTTP/1.1 408 "), "{}", found.escape_ascii());
}

#[test]
fn an_idle_connection_is_closed_without_an_answer() {
    let server = Http::start(&["--idle-timeout", "0.3"]);
    server.client().assert_end();
    let mut client = server.client();
    client.send(b"GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().status(), "200");
    client.assert_end();

    // Some clients send a line end behind a body. The line end begins no request.
    let server = Http::start(&["--request-timeout", "0.3"]);
    let mut client = server.client();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n");
    assert_eq!(client.answer().status(), "405");
    client.assert_end();
}

#[test]
fn a_client_that_ends_its_direction_gets_all_answers() {
    let server = Http::start(&[]);
    let client = server.client();
    let mut stream = client.0.into_inner();
    stream.write_all(&b"GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100)).unwrap();
    stream.write_all(b"GET /incomplete").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answers = String::from_utf8(read_to_end(&mut stream)).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 100);
    assert!(answers.ends_with("\r\n\r\nHello, World!") && !answers.contains(" 400 "));
}
