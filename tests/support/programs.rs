//! The examples of this package as child processes, which end with their test.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::PATIENCE;

/// Returns the command that starts an example. Cargo tells a test the paths of binaries, and not those of examples. The
/// examples stand in a folder beside the folder of the tests.
pub fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let mut path = PathBuf::from(profile);
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{path:?} is missing: `cargo test` for the whole package builds the examples, and so does `cargo build --examples`"
    );
    let mut command = Command::new(path);
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end. Fails after [`PATIENCE`].
pub fn finish(mut command: Command) -> Output {
    Killed::start(&mut command).finish()
}

/// A child process. Dropping a `Killed` kills the process if the process has not ended.
pub struct Killed(Option<Child>);

impl Killed {
    pub fn start(command: &mut Command) -> Self {
        Killed(Some(command.spawn().expect("the program can be started")))
    }

    pub fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("only `finish` takes the child")
    }

    /// Sends a signal to the program. `signal` is an option of kill(1), for example `"-TERM"`.
    #[cfg(unix)]
    pub fn signal(&mut self, signal: &str) {
        let pid = self.child().id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("every Unix has kill(1)");
        assert!(sent.success());
    }

    /// Reads the output to its end, and waits for the program. A thread reads the pipes, because a program that does not
    /// end keeps its pipes open.
    pub fn finish(&mut self) -> Output {
        self.finish_within(PATIENCE)
    }

    fn finish_within(&mut self, patience: Duration) -> Output {
        let pipes = (self.child().stdout.take(), self.child().stderr.take());
        let (done, outputs) = mpsc::channel();
        thread::spawn(move || done.send((read_all(pipes.0), read_all(pipes.1))));
        let (stdout, stderr) = outputs.recv_timeout(patience).expect("the program ends in time");
        let status = self
            .0
            .take()
            .expect("`finish` is called once")
            .wait()
            .expect("the process is a child of the test");
        Output { status, stdout, stderr }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn read_all(pipe: Option<impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut all).expect("a pipe can be read");
    }
    all
}

/// Starts a server, and returns when the server has printed where it listens.
pub fn start_server(mut command: Command) -> (Killed, BufReader<ChildStdout>, String) {
    let mut server = Killed::start(&mut command);
    let mut stdout = BufReader::new(server.child().stdout.take().expect("standard output is a pipe"));
    let (done, first_line) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = stdout.read_line(&mut line);
        done.send((stdout, line))
    });
    let (stdout, line) =
        first_line.recv_timeout(PATIENCE).expect("the server prints where it listens in time");
    let at = line.strip_prefix("listening on ").and_then(|rest| rest.strip_suffix('\n')).map(str::to_owned);
    (server, stdout, at.unwrap_or_else(|| panic!("the line {line:?} does not say where the server listens")))
}

/// Returns the line that a program printed on standard error. Fails if the program printed more than one line.
pub fn line(output: &Output) -> &str {
    let text = str::from_utf8(&output.stderr).expect("the output is text");
    let line = text.strip_suffix('\n').expect("the output ends with a line feed");
    assert!(!line.contains('\n'), "{text}");
    line
}

/// Returns true if a program of another author is installed. Otherwise the test counts as skipped.
pub fn is_installed(program: &str) -> bool {
    let is_installed = Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok();
    if !is_installed {
        super::skip(&format!("{program} is not installed"));
    }
    is_installed
}

/// Runs a client program to its end and returns its output, or `None` if the program is not installed.
pub fn run(program: &str, arguments: &[&str]) -> Option<String> {
    if !is_installed(program) {
        return None;
    }
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = finish(command);
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).expect("the output is text"))
}

/// Returns a number of bytes that the system tells of a process: proc(5), /proc/PID/status. `field` is for example "VmRSS:", or
/// "VmHWM:" for the most memory that the process has had. The kernel counts roughly, so a later number may be a little lower.
#[cfg(target_os = "linux")]
pub fn memory(program: &mut Killed, field: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.child().id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a process has memory");
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// Returns true if strace(1) works here. Otherwise the test counts as skipped.
#[cfg(target_os = "linux")]
pub fn has_strace() -> bool {
    let probe = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output();
    let works = probe.is_ok_and(|output| output.status.success());
    if !works {
        super::skip("strace(1) does not work here");
    }
    works
}

/// Asks the echo server how many turns it has made. A server that spins makes more turns than it has work for.
#[cfg(unix)]
pub struct Turns(mpsc::Receiver<u64>);

#[cfg(unix)]
impl Turns {
    /// Reads the log of the server from now on.
    pub fn of(server: &mut Killed) -> Self {
        let log = BufReader::new(server.child().stderr.take().expect("standard error is a pipe")).lines();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            // The thread reads to the end, because a full pipe would hold the server up.
            for line in log.map_while(Result::ok) {
                if let Some(turns) = line.trim_start().strip_prefix("turns: ") {
                    let _ = tell.send(turns.parse().expect("the count is a number"));
                }
            }
        });
        Self(told)
    }

    pub fn ask(&self, server: &mut Killed) -> u64 {
        server.signal("-USR1");
        self.0.recv_timeout(PATIENCE).expect("the server prints its statistics")
    }

    /// Asserts that the server makes few turns while `client` receives nothing. A timer may need a turn now and then. A
    /// loop that does not sleep makes thousands of turns.
    pub fn assert_rest(&self, server: &mut Killed, client: &mut TcpStream) {
        let (before, begin) = (self.ask(server), Instant::now());
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let nothing = loop {
            let error = client.read(&mut [0]).expect_err("the server sends nothing to the client");
            if error.kind() != ErrorKind::Interrupted {
                break error; // signals may interrupt a read that has a timeout, signal(7)
            }
        };
        assert!(matches!(nothing.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{nothing}");
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let turns = self.ask(server) - before;
        let enough = 20 + begin.elapsed().as_millis() as u64 / 20;
        assert!(turns <= enough, "{turns} turns in {:?}", begin.elapsed());
    }
}

/// The variable that tells a test that it runs in a process of its own.
const IN_A_CHILD: &str = "TIDEGATE_TEST_IN_A_CHILD";

/// True in a process that [`run_alone`] or [`run_under_strace`] started.
pub fn is_child() -> bool {
    std::env::var_os(IN_A_CHILD).is_some()
}

/// Runs a test of this binary in a process of its own, because the test changes something of the whole process. `test` is
/// the name of the test with the path of its module.
pub fn run_alone(test: &str) {
    run_child(Command::new(std::env::current_exe().expect("a test has a path")), test);
}

/// Runs a test of this binary in a process of its own, where strace(1) injects `error` into the system calls `calls`. Both
/// are written as strace(1) has them, for example "accept4" and "EINTR:when=1". `test` is the name of the test with the
/// path of its module. strace counts the calls of each thread separately, and a test runs in one thread. Returns the log.
#[cfg(target_os = "linux")]
pub fn run_under_strace(test: &str, calls: &str, error: &str) -> String {
    let file = format!("{}.{}", test.replace("::", "."), std::process::id());
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(file);
    let mut command = Command::new("strace");
    // With -D, the test is the child of this process and strace is a child of the test. So killing the child ends the test.
    command.args(["-D", "-f", "-qq", "-o"]).arg(&log);
    command.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error={error}")]);
    command.arg(std::env::current_exe().expect("a test has a path"));
    run_child(command, test);
    let calls = std::fs::read_to_string(&log).expect("strace has written its log");
    let _ = std::fs::remove_file(&log);
    assert!(calls.contains("(INJECTED)"), "{test}, {error}: strace injected no error: {calls}");
    calls
}

/// Runs a test of this binary in a process with a network of its own, which is a loopback interface alone:
/// network_namespaces(7). `set_up` is a command for the shell that sets the network up. `test` is the name of the test with
/// the path of its module. Where a process may not have a network of its own, the test counts as skipped.
#[cfg(target_os = "linux")]
pub fn run_in_network_with(test: &str, set_up: &str) {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c", script]);
        command
    };
    let set_up = format!("ip link set lo up && {set_up}");
    if !unshare(&set_up).output().is_ok_and(|output| output.status.success()) {
        return super::skip("unshare(1) cannot make a network here");
    }
    let mut command = unshare(&format!("{set_up} && exec \"$0\" \"$@\""));
    command.arg(std::env::current_exe().expect("a test has a path"));
    run_child(command, test);
}

/// Runs one test with the command, which starts this binary.
fn run_child(mut command: Command, test: &str) {
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(IN_A_CHILD, "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A test in the child fails after `PATIENCE` with a message that names the missing event. So this process waits longer.
    let output = Killed::start(&mut command).finish_within(2 * PATIENCE);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    assert!(stdout.contains(" 1 passed"), "no test has the name {test}: {stdout}");
}
