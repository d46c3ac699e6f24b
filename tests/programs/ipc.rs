//! Tests of the example `ipc`: a control socket beside the loop of a program, with slow, stuck and foreign clients.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::Command,
};

use crate::support::{
    self, PATIENCE,
    programs::{Killed, example, finish, is_installed, start_server},
    unix::{Folder, connect_to},
};

/// The program, with the folder of its socket.
struct Program {
    process: Killed,
    folder: Folder,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let name = format!("unix:{}", folder.file("socket").display());
        let mut command = example("ipc");
        command.args(["--listen", &name]).args(arguments);
        let (process, _, at) = start_server(command);
        assert_eq!(at, name);
        Self { process, folder }
    }

    fn connect(&self) -> Client {
        let stream = connect_to(&self.folder.file("socket"), |_| {});
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    #[track_caller]
    fn has_ended(mut self) {
        let output = self.process.finish();
        assert!(output.status.success(), "{output:?}");
        assert!(self.folder.names().is_empty(), "the program leaves its socket behind");
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn ask(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the connection ended after {line:?}");
        line.pop();
        line
    }

    fn frame(&mut self) -> u64 {
        let status = self.ask("status");
        status.split(' ').nth(1).and_then(|number| number.parse().ok()).expect("the second word is a number")
    }

    /// Waits until the program has computed further frames.
    fn waits_for_frames(&mut self, count: u64) {
        let begin = self.frame();
        let end = std::time::Instant::now() + PATIENCE;
        while self.frame() < begin + count {
            assert!(std::time::Instant::now() < end, "the program computes no frames");
        }
    }

    fn reads_to_the_end(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

#[test]
fn commands_read_and_change_the_state_of_the_program() {
    let program = Program::start(&["--fps", "100"]);
    let mut client = program.connect();
    let status = client.ask("status");
    assert!(status.contains(" fps 100 speed 1 paused false position "), "{status}");
    for (command, answer) in [
        ("set fps 50", "ok"),
        ("set speed -2.5", "ok"),
        ("set paused true", "ok"),
        ("set fps 0", "error: fps is a whole number from 1 to 1000"),
        ("set speed NaN", "error: speed is a number from -100 to 100"),
        ("set paused perhaps", "error: paused is true or false"),
        ("set colour red", "error: the keys are fps, speed and paused"),
        ("set fps", "error: the commands are status, set KEY VALUE, and quit"),
        ("", "error: the commands are status, set KEY VALUE, and quit"),
    ] {
        assert_eq!(client.ask(command), answer, "{command}");
    }
    let status = program.connect().ask("status");
    assert!(status.contains(" fps 50 speed -2.5 paused true position "), "{status}");
    client.waits_for_frames(3);
}

#[test]
fn a_command_to_quit_ends_the_program_and_the_connections_of_all_clients() {
    let program = Program::start(&[]);
    let (mut client, mut idle) = (program.connect(), program.connect());
    idle.ask("status");
    assert_eq!(client.ask("quit"), "ok");
    assert_eq!(client.ask("quit"), "ok");
    assert_eq!(client.reads_to_the_end(), "");
    assert_eq!(idle.reads_to_the_end(), "");
    program.has_ended();
}

#[test]
fn clients_that_are_stuck_hold_up_neither_the_frames_nor_other_clients_nor_the_end() {
    let mut program = Program::start(&["--fps", "100"]);
    // This client stops in the middle of a command.
    let mut half = program.connect();
    half.0.get_mut().write_all(b"stat").unwrap();
    // This client sends commands until the kernel takes no more of them, and reads no answer.
    let mut deaf = program.connect();
    deaf.0.get_mut().set_nonblocking(true).unwrap();
    let commands = b"status\n".repeat(100);
    let mut client = program.connect();
    let mut refused = 0;
    // The program is stuck with the client when it takes no command between two answers to another client.
    while refused < 20 {
        match deaf.0.get_mut().write(&commands) {
            Ok(_) => refused = 0,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                refused += 1;
            }
        }
        client.frame();
    }
    client.waits_for_frames(5);
    program.process.signal("-TERM");
    assert_eq!(client.reads_to_the_end(), "");
    program.has_ended();
}

#[test]
fn a_client_that_sends_commands_without_a_pause_does_not_hold_up_the_frames() {
    let program = Program::start(&["--fps", "100"]);
    let flood = program.connect().0.into_inner();
    let (mut reader, mut writer) = (flood.try_clone().unwrap(), flood);
    std::thread::scope(|scope| {
        scope.spawn(move || while writer.write_all(&b"status\n".repeat(1000)).is_ok() {});
        let reading = reader.try_clone().unwrap();
        scope.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        program.connect().waits_for_frames(20);
        reading.shutdown(std::net::Shutdown::Both).unwrap();
    });
}

#[test]
fn a_command_that_is_too_long_ends_its_connection_alone() {
    let program = Program::start(&[]);
    let (mut long, mut other) = (program.connect(), program.connect());
    long.0.get_mut().write_all(&[b'x'; 201]).unwrap();
    assert_eq!(support::read_out(long.0.get_mut()).0, b"");
    other.ask("status");
}

#[test]
fn the_path_is_closed_for_other_users() {
    let program = Program::start(&[]);
    let mode = fs::metadata(program.folder.file("socket")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
#[cfg(target_os = "linux")]
fn commands_of_another_user_are_refused() {
    let own = rustix::process::geteuid().as_raw();
    let other = (own + 1).to_string();
    let program = Program::start(&["--user", &other]);
    let mode = fs::metadata(program.folder.file("socket")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    for _ in 0..100 {
        let answer = program.connect().reads_to_the_end();
        assert_eq!(answer, format!("error: user {own} must not give commands here\n"));
    }
    let program = Program::start(&["--user", &own.to_string()]);
    program.connect().ask("status");
}

#[test]
fn socat_controls_the_program() {
    if !is_installed("socat") {
        return;
    }
    let program = Program::start(&[]);
    let mut socat = Command::new("sh");
    socat.args(["-c", "printf 'set fps 30\\nquit\\n' | socat -t 30 - UNIX-CONNECT:\"$0\""]);
    socat.arg(program.folder.file("socket"));
    socat.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let output = finish(socat);
    assert!(output.status.success() && output.stdout == b"ok\nok\n", "{output:?}");
    program.has_ended();
}

#[test]
fn an_address_of_tcp_is_a_wrong_argument() {
    let mut command = example("ipc");
    command.args(["--listen", "127.0.0.1:0"]);
    assert_eq!(finish(command).status.code(), Some(2));
}
