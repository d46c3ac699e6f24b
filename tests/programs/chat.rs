//! Tests of the example `chat`, with members over real sockets.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    process::Command,
};

use crate::support::{
    connect, connect_narrow,
    programs::{example, start_server},
};

/// A member that reads lines.
struct Member(BufReader<TcpStream>);

impl Member {
    fn joins(at: &str, name: &str) -> Self {
        Self::with_stream(connect(at.parse().unwrap()), name)
    }

    fn with_stream(stream: TcpStream, name: &str) -> Self {
        let mut member = Self(BufReader::new(stream));
        member.expects("* write your nickname");
        member.writes(&format!("{name}\n"));
        member.expects(&format!("* {name} has joined"));
        member
    }

    fn writes(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn reads(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the connection ended after {line:?}");
        line.pop();
        line
    }

    #[track_caller]
    fn expects(&mut self, line: &str) {
        assert_eq!(self.reads(), line);
    }

    #[track_caller]
    fn expects_the_end(&mut self) {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}

fn server(arguments: &[&str]) -> Command {
    let mut command = example("chat");
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    command
}

#[test]
fn members_read_each_other_and_learn_who_joins_and_leaves() {
    let (_server, _stdout, at) = start_server(server(&[]));
    let mut anna = Member::joins(&at, "anna");
    let mut bob = Member::joins(&at, "bob");
    anna.expects("* bob has joined");
    anna.writes("hel");
    anna.writes("lo\r\nand more\n");
    for member in [&mut anna, &mut bob] {
        member.expects("anna: hello");
        member.expects("anna: and more");
    }
    bob.writes("/who\n\n/what\n/quit\nnobody reads this\n");
    bob.expects("* here: anna bob");
    bob.expects("* the commands are /who and /quit");
    bob.expects("* goodbye");
    bob.expects_the_end();
    anna.expects("* bob has left");
    anna.writes("/who\n");
    anna.expects("* here: anna");
}

#[test]
fn a_client_without_a_nickname_reads_nothing_of_the_chat() {
    let (_server, _stdout, at) = start_server(server(&[]));
    let mut anna = Member::joins(&at, "anna");
    let mut guest = Member(BufReader::new(connect(at.parse().unwrap())));
    guest.expects("* write your nickname");
    anna.writes("hello\n");
    anna.expects("anna: hello");
    guest.writes("anna\n");
    guest.expects("* anna is taken, write another nickname");
    for bad in ["\n", "two words\n", "\u{1b}[2J\n", "aaaaaaaaaaaaaaaaaaaaa\n"] {
        guest.writes(bad);
        guest.expects("* a nickname has 1 to 20 letters and digits of ASCII, write another");
    }
    guest.writes("guest\n");
    guest.expects("* guest has joined");
    drop(anna);
    guest.expects("* anna has left");
}

#[test]
fn control_characters_do_not_reach_the_terminals_of_members() {
    let (_server, _stdout, at) = start_server(server(&[]));
    let mut anna = Member::joins(&at, "anna");
    anna.writes("zwölf \u{1b}[2J\u{7}!\n");
    anna.0.get_mut().write_all(b"\xff\n").unwrap();
    anna.expects("anna: zwölf ?[2J?!");
    anna.expects("anna: \u{fffd}");
}

#[test]
fn a_line_that_is_too_long_ends_its_connection() {
    let (_server, _stdout, at) = start_server(server(&[]));
    let mut anna = Member::joins(&at, "anna");
    let longest = "x".repeat(1000);
    anna.writes(&format!("{longest}\r\n"));
    anna.expects(&format!("anna: {longest}"));
    anna.writes(&"x".repeat(1001));
    anna.expects("* a line has at most 1000 bytes");
    anna.expects_the_end();
}

/// More is written than the kernel's buffers and the limit of the server hold together.
#[test]
fn a_member_that_does_not_read_is_dropped_and_the_others_get_every_line() {
    let (_server, _stdout, at) = start_server(server(&["--rate", "1000000"]));
    let mut anna = Member::joins(&at, "anna");
    let mut bob = Member::joins(&at, "bob");
    let mut slow = Member::with_stream(connect_narrow(at.parse().unwrap()), "slow");
    for name in ["bob", "slow"] {
        anna.expects(&format!("* {name} has joined"));
    }
    bob.expects("* slow has joined");
    let mut dropped = 0;
    for number in 0..4000 {
        let line = format!("{number} {}", "x".repeat(900));
        anna.writes(&format!("{line}\n"));
        for member in [&mut anna, &mut bob] {
            let mut read = member.reads();
            if read == "* slow has left" {
                dropped += 1;
                read = member.reads();
            }
            assert_eq!(read, format!("anna: {line}"));
        }
        if dropped == 2 {
            break;
        }
    }
    assert_eq!(dropped, 2, "the slow member is still there");
    anna.writes("/who\n");
    anna.expects("* here: anna bob");
    let error = slow.0.read_to_end(&mut Vec::new()).expect_err("lines are missing");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn lines_above_the_rate_of_a_member_arrive_later() {
    let (_server, _stdout, at) = start_server(server(&["--rate", "3"]));
    let mut anna = Member::joins(&at, "anna");
    anna.writes("1\n2\n3\n4\n5\n6\n");
    for number in 1..=6 {
        anna.expects(&format!("anna: {number}"));
    }
    anna.0.get_mut().shutdown(Shutdown::Write).unwrap();
    anna.expects_the_end();
}

/// The flood has more lines than one `on_data` is shown.
#[test]
fn a_member_that_sends_a_flood_of_lines_waits_and_the_others_do_not() {
    let (_server, _stdout, at) = start_server(server(&["--rate", "5"]));
    let mut anna = Member::joins(&at, "anna");
    let mut flood = Member::joins(&at, "flood");
    anna.expects("* flood has joined");
    flood.writes(&"!\n".repeat(4000));
    for _ in 0..4 {
        anna.expects("flood: !"); // the nickname was the first line in this second
    }
    anna.writes("hello\n");
    while anna.reads() != "anna: hello" {}
    flood.0.get_mut().shutdown(Shutdown::Write).unwrap();
    while anna.reads() != "* flood has left" {}
}

#[test]
fn clients_beyond_the_limit_are_closed() {
    let (_server, _stdout, at) = start_server(server(&["--max-members", "1"]));
    let anna = Member::joins(&at, "anna");
    let mut late = Member(BufReader::new(connect(at.parse().unwrap())));
    late.expects_the_end();
    drop(anna);
}

#[test]
#[cfg(unix)]
fn members_of_a_unix_socket_read_the_end_of_the_server() {
    let folder = crate::support::unix::Folder::new();
    let name = format!("unix:{}", folder.file("chat").display());
    let mut command = example("chat");
    command.args(["--listen", &name]);
    let (mut server, _stdout, at) = start_server(command);
    assert_eq!(at, name);
    let mut members = ["anna", "bob"].map(|name| {
        let stream = crate::support::unix::connect_to(&folder.file("chat"), |_| {});
        stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        Member::with_stream(stream, name)
    });
    members[0].expects("* bob has joined");
    server.signal("-TERM");
    for member in &mut members {
        member.expects("* the server ends");
        member.expects_the_end();
    }
    drop(members);
    let output = server.finish();
    assert!(output.status.success(), "{output:?}");
    assert!(folder.names().is_empty(), "the server leaves its file behind");
}
