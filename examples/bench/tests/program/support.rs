//! A child process that runs the benchmark and does not outlive its test.

use std::{
    io::Read,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// The time limit for a run of the benchmark. The limit is longer than any run in these tests, and so short that a
/// hanging test fails soon.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Returns a command for the benchmark with these arguments. The command is not started yet.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(arguments).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the benchmark to its end, or fails the test if the benchmark does not end.
pub fn bench(arguments: &[&str]) -> Output {
    bench_within(PATIENCE, arguments)
}

/// Runs the benchmark to its end, or fails the test if the benchmark does not end in this time.
pub fn bench_within(patience: Duration, arguments: &[&str]) -> Output {
    let mut child = Killed::start(&mut command(arguments));
    let (stdout, stderr) = (child.0.stdout.take().expect("piped"), child.0.stderr.take().expect("piped"));
    // A program that does not end keeps its pipes open, so a thread reads them and the test waits for the thread.
    let (stdout, stderr) = returned_within(patience, move || {
        let errors = thread::spawn(|| read_all(stderr));
        (read_all(stdout), errors.join().expect("the thread does not panic"))
    });
    let status = child.0.wait().expect("the benchmark is a child of this process");
    Output { status, stdout, stderr }
}

/// A child that is killed when this value is dropped.
pub struct Killed(pub Child);

impl Killed {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the benchmark is executable"))
    }

    /// Sends a signal to the child: `"-TERM"`.
    #[cfg(unix)]
    pub fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("every Unix has kill(1)");
        assert!(sent.success());
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read_all(mut pipe: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    pipe.read_to_end(&mut all).expect("a pipe can be read");
    all
}

/// Returns what `work` returns, or fails the test if `work` does not end.
pub fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    returned_within(PATIENCE, work)
}

fn returned_within<T: Send + 'static>(patience: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(patience).expect("the work ends in time and without a panic")
}

/// Returns the only line of an error message.
pub fn line(output: &Output) -> &str {
    let text = str::from_utf8(&output.stderr).expect("an error message is text");
    let line = text.strip_suffix('\n').expect("the line is whole");
    assert!(!line.contains('\n'), "{text}");
    line
}
