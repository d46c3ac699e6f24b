//! A service that is replaced, and its clients.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpStream},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, waitpid,
};

use crate::support::{
    self, PATIENCE, next,
    programs::example,
    read_to_end,
    unix::{Folder, connect_to},
    within,
};

/// A service whose program is a symbolic link, so that a test can put another program at the path. The processes of the
/// service are killed with the value.
pub struct Service {
    pub folder: Folder,
    stdout: BufReader<ChildStdout>,
    log: mpsc::Receiver<String>,
    /// The process that serves.
    pub pid: Pid,
}

impl Service {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(|program| {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        })
    }

    #[expect(clippy::zombie_processes, reason = "`end_of` waits for each process of the service")]
    pub fn start_with(command: impl FnOnce(&Path) -> Command) -> Self {
        // A process whose parent has ended becomes a child of this process, so the test can wait for each process.
        set_child_subreaper(Some(getpid())).unwrap();
        let folder = Folder::new();
        let program = folder.file("server");
        symlink(example("restart").get_program(), &program).unwrap();
        let mut command = command(&program);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tell, log) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // The thread reads to the end, because a full pipe would hold the server up.
        thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { folder, stdout, log, pid: Pid::from_child(&child) }
    }

    /// Returns the address of the next line that a process of the service prints.
    pub fn address(mut self) -> (Self, String) {
        within(move || {
            let mut line = String::new();
            self.stdout.read_line(&mut line).unwrap();
            let address = line.strip_prefix("listening on ").and_then(|rest| rest.strip_suffix('\n'));
            let address = address.expect("the line says where the server listens").to_owned();
            (self, address)
        })
    }

    pub fn program(&self) -> PathBuf {
        self.folder.file("server")
    }

    /// Puts another program at the path.
    pub fn put(&self, program: impl AsRef<Path>) {
        let new = self.folder.file("new");
        symlink(program, &new).unwrap();
        fs::rename(new, self.program()).unwrap();
    }

    /// Puts a program at the path that never becomes ready.
    pub fn put_idler(&self) {
        self.put_script("exec sleep 60");
    }

    /// Puts a program at the path that becomes the server when the result is called.
    pub fn put_late_server(&self) -> impl FnOnce() + use<> {
        let signal = self.folder.file("go");
        let program = example("restart").get_program().display().to_string();
        self.put_script(&format!(
            "until [ -e {} ]; do sleep 0.01; done; exec {program} \"$@\"",
            signal.display()
        ));
        move || fs::write(signal, "").unwrap()
    }

    fn put_script(&self, text: &str) {
        let script = self.folder.file("script");
        fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        self.put(script);
    }

    /// Sends a signal to the process that serves.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Waits until a process of the service logs this text, and returns the line from the text on.
    pub fn logs(&self, text: &str) -> String {
        loop {
            let line = next(&self.log);
            if let Some(at) = line.find(text) {
                return line[at..].to_owned();
            }
        }
    }

    /// Replaces the process, and returns the old process, which has given the sockets away.
    pub fn replace(&mut self) -> Pid {
        self.signal(Signal::USR2);
        let successor = self.process_that(" is ready");
        std::mem::replace(&mut self.pid, successor)
    }

    /// Waits until a process of the service logs this text behind a process id, and returns the process id.
    pub fn process_that(&self, does: &str) -> Pid {
        loop {
            let line = self.logs("process ");
            let words = line.strip_prefix("process ").unwrap();
            if let Some((pid, _)) = words.split_once(does) {
                return Pid::from_raw(pid.parse().unwrap()).unwrap();
            }
        }
    }

    /// Ends the process that serves.
    pub fn end(&self) {
        self.signal(Signal::TERM);
        assert_eq!(end_of(self.pid).exit_status(), Some(0));
    }

    /// Asserts that the process that serves has no child, and so no zombie.
    pub fn has_no_child(&self) {
        let path = format!("/proc/{0}/task/{0}/children", self.pid);
        assert_eq!(fs::read_to_string(path).unwrap(), "");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let program = self.program().into_os_string().into_encoded_bytes();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let number = process.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(pid) = number.and_then(Pid::from_raw) else { continue };
            let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
            if words.split(|byte| *byte == 0).any(|word| word == program) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// Waits until the process has ended.
pub fn end_of(process: Pid) -> WaitStatus {
    let begin = Instant::now();
    loop {
        // A process whose parent ends at this moment is not a child of the test yet.
        if let Ok(Some((_, status))) = waitpid(Some(process), WaitOptions::NOHANG) {
            return status;
        }
        assert!(begin.elapsed() < PATIENCE, "process {process} does not end");
        thread::sleep(Duration::from_millis(5)); // between two looks
    }
}

/// A client that sends lines and checks the answers.
pub struct Client(pub BufReader<TcpStream>);

impl Client {
    pub fn connect(at: &str) -> Self {
        let stream = match at.strip_prefix("unix:") {
            Some(path) => connect_to(Path::new(path), |_| {}),
            None => support::connect(at.parse().unwrap()),
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends a line. Returns the process that has answered, or `None` at the end of file.
    pub fn try_ask(&mut self, text: &str) -> Option<Pid> {
        self.0.get_mut().write_all(format!("{text}\n").as_bytes()).unwrap();
        self.answer(text)
    }

    /// Reads the answer to a line that was sent.
    pub fn answer(&mut self, text: &str) -> Option<Pid> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        if line.is_empty() {
            return None;
        }
        let (pid, rest) = line.split_once(' ').expect("an answer has two words");
        assert_eq!(rest, format!("{text}\n"));
        Some(Pid::from_raw(pid.parse().unwrap()).unwrap())
    }

    #[track_caller]
    pub fn ask(&mut self, text: &str) -> Pid {
        self.try_ask(text).expect("the server answers")
    }

    /// Ends the connection, and asserts that the server ends the connection in order.
    pub fn leave(mut self) {
        self.0.get_mut().shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(self.0.get_mut()), b"");
    }
}
