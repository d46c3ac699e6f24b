//! A running server, and a client that reads the answers of the server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::ChildStdout,
};

use crate::support::{
    self, End,
    programs::{Killed, example, start_server},
    read_out,
};

/// A running server. The program is killed with the value.
pub struct Http {
    pub program: Killed,
    _stdout: BufReader<ChildStdout>,
    pub at: String,
}

impl Http {
    pub fn start(more: &[&str]) -> Self {
        Self::listen("127.0.0.1:0", more)
    }

    pub fn listen(at: &str, more: &[&str]) -> Self {
        let mut command = example("http");
        command.args(["--listen", at]).args(more);
        let (program, _stdout, at) = start_server(command);
        Self { program, _stdout, at }
    }

    pub fn client(&self) -> Client {
        Client(BufReader::new(support::connect(self.at.parse().expect("the server printed an address"))))
    }

    pub fn narrow_client(&self) -> Client {
        Client(BufReader::new(support::connect_narrow(self.at.parse().unwrap())))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }
}

/// A client that reads one answer after the other.
pub struct Client(pub BufReader<TcpStream>);

/// An answer without its body, unless the body was read.
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn status(&self) -> &str {
        self.head.split(' ').nth(1).expect("an answer has a status")
    }

    /// Returns the value of a header. Fails if the header is there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let found = lines.find(|(found, _)| *found == name).map(|(_, value)| value);
        assert!(!lines.any(|(found, _)| found == name), "{}", self.head);
        found
    }
}

impl Client {
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_ref().write_all(bytes).unwrap();
    }

    /// Reads the head of an answer.
    pub fn head(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "the answer ends early: {head}");
        }
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        let answer = Answer { head, body: Vec::new() };
        assert!(answer.header("Server").is_some(), "{}", answer.head);
        let date = answer.header("Date").expect("an answer has a date");
        assert_eq!(httpdate::fmt_http_date(httpdate::parse_http_date(date).unwrap()), date);
        answer
    }

    /// Reads an answer with its body.
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let length = answer.header("Content-Length").expect("a body has a length").parse().unwrap();
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body).unwrap();
        answer
    }

    /// Asserts that the server has ended the connection, without a reset and without a further byte.
    #[track_caller]
    pub fn assert_end(self) {
        let buffered = self.0.buffer().to_vec();
        let (rest, end) = read_out(&mut self.0.into_inner());
        assert_eq!(([buffered, rest].concat().escape_ascii().to_string(), end), (String::new(), End::Eof));
    }

    /// Asserts that the connection is open and that no answer is left over.
    #[track_caller]
    pub fn assert_open(mut self) {
        self.send(b"GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = self.answer();
        assert_eq!((answer.status(), answer.body.as_slice()), ("200", &b"Hello, World!"[..]));
        self.assert_end();
    }
}
