//! The processes of the servers: this module starts each process, finds the address where the server listens, and ends
//! the process with the benchmark.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::group;
use crate::servers::programs::{self, Site, Start};
use crate::servers::{Builtin, Service};

/// The time that a server may take until it listens.
const STARTING: Duration = Duration::from_secs(5);

/// A server that takes part in the benchmark.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    pub name: String,
    pub about: String,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Builtin(Builtin),
    /// The words of a command line. At least one word contains `{port}`.
    Program(Vec<String>),
}

impl From<Builtin> for Contender {
    fn from(builtin: Builtin) -> Self {
        Self { name: builtin.name(), about: builtin.about(), what: What::Builtin(builtin) }
    }
}

impl Contender {
    /// Returns true if the server needs many rounds: see [`Builtin::is_close`]. Another program always has many rounds,
    /// because the user wants to compare that program.
    pub fn is_close(&self) -> bool {
        !matches!(self.what, What::Builtin(builtin) if !builtin.is_close())
    }

    /// Returns the built-in server, or `None` for another program.
    pub fn builtin(&self) -> Option<Builtin> {
        match self.what {
            What::Builtin(builtin) => Some(builtin),
            What::Program(_) => None,
        }
    }

    /// Returns true if the server has this service. Another program is an echo server.
    pub fn has(&self, service: Service) -> bool {
        self.builtin().map_or(service == Service::Echo, |builtin| builtin.has(service))
    }

    /// Returns true if the server may have more than one thread. Another program may always have threads, because the
    /// benchmark knows nothing about that program.
    pub fn may_have_threads(&self) -> bool {
        !matches!(self.what, What::Builtin(builtin) if !matches!(builtin, Builtin::Threads | Builtin::Threads256k))
    }
}

/// A server that listens until this value is dropped. The drop also ends the processes that the server has started.
pub struct Child {
    pub address: SocketAddr,
    process: process::Child,
    /// The last line that the server wrote to its standard error.
    last_words: Arc<Mutex<String>>,
}

impl Child {
    /// Starts a server with this service.
    pub fn start(
        contender: &Contender,
        service: Service,
        site: &Site<'_>,
        core: Option<usize>,
    ) -> Result<Self, String> {
        let myself = std::env::current_exe()
            .map_err(|error| format!("cannot find the file of this program: {error}"))?;
        let mut command = Command::new(myself);
        if let Some(core) = core {
            command.arg("--core").arg(core.to_string());
        }
        let start = match &contender.what {
            What::Builtin(builtin) => builtin.start(service, site).transpose(),
            What::Program(words) => at_free_port(words).map(Some),
        };
        let start = start.map_err(|error| format!("cannot prepare the start of the server: {error}"))?;
        match (start, contender.builtin()) {
            (Some(Start { words, address: Some(address) }), _) => {
                Self::start_program(command, &words, address)
            }
            (Some(Start { words, address: None }), _) => {
                command.arg("--").args(words);
                Self::start_announced(command)
            }
            (None, builtin) => {
                let builtin = builtin.expect("another program has a command");
                command.arg("--serve").arg(builtin.name()).arg("--service").arg(service.name());
                if let Some(file) = site.file {
                    command.arg("--file").arg(file);
                }
                Self::start_announced(command)
            }
        }
    }

    /// Starts a server that prints its address.
    fn start_announced(mut command: Command) -> Result<Self, String> {
        command.stdout(Stdio::piped());
        let mut child = Self::spawn(command)?;
        child.address = child.announced()?;
        Ok(child)
    }

    /// Starts another program, and waits until the program accepts at `address`.
    fn start_program(mut command: Command, words: &[String], address: SocketAddr) -> Result<Self, String> {
        command.arg("--").args(words).stdout(Stdio::null());
        let mut child = Self::spawn(command)?;
        child.address = address;
        child.wait_until_it_accepts()?;
        Ok(child)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns the reason why the server has ended, or `None` if the server still runs.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.process.try_wait().ok()??;
        // The processes that the server has started may still run.
        group::end(&mut self.process);
        // The thread that reads standard error may not have received the last line of the server yet.
        thread::sleep(Duration::from_millis(20));
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(if words.is_empty() {
            format!("the server ended ({status})")
        } else {
            format!("the server ended ({status}): {words}")
        })
    }

    fn spawn(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).env_remove("RUST_LOG");
        let mut process =
            group::spawn(&mut command).map_err(|error| format!("the server cannot be started: {error}"))?;
        let last_words = Arc::new(Mutex::new(String::new()));
        let (words, stderr) = (Arc::clone(&last_words), process.stderr.take().expect("piped"));
        // The thread reads standard error to its end, because a full pipe would block a server that writes a log.
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(io::Result::ok) {
                *words.lock().unwrap_or_else(PoisonError::into_inner) =
                    String::from_utf8_lossy(&line).trim().into();
            }
        });
        Ok(Self { address: (Ipv4Addr::LOCALHOST, 0).into(), process, last_words })
    }

    /// Returns the address from the line that a built-in server prints.
    fn announced(&mut self) -> Result<SocketAddr, String> {
        let stdout = self.process.stdout.take().expect("piped");
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // An error leaves the line empty, and the caller reports an empty line as an error.
            let _ = BufReader::new(stdout.take(1000)).read_line(&mut line);
            tell.send(line)
        });
        let line = told
            .recv_timeout(STARTING)
            .map_err(|_| format!("the server does not listen after {STARTING:?}"))?;
        let address = line.trim_end().strip_prefix("listening on ").and_then(|at| at.parse().ok());
        address.ok_or_else(|| {
            thread::sleep(Duration::from_millis(20));
            self.ended().unwrap_or_else(|| "the server does not print its address".into())
        })
    }

    fn wait_until_it_accepts(&mut self) -> Result<(), String> {
        let end = Instant::now() + STARTING;
        while TcpStream::connect_timeout(&self.address, STARTING).is_err() {
            if let Some(why) = self.ended() {
                return Err(why);
            }
            if Instant::now() > end {
                return Err(format!("the server does not listen on {} after {STARTING:?}", self.address));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        group::end(&mut self.process);
        let _ = self.process.wait();
    }
}

/// Returns the command of another program, with a free port in place of `{port}`.
fn at_free_port(words: &[String]) -> io::Result<Start> {
    let address = programs::free_port()?;
    let port = address.port().to_string();
    let words = words.iter().map(|word| word.replace("{port}", &port)).collect();
    Ok(Start { words, address: Some(address) })
}

/// Turns this process into a server; the benchmark started the process for that. The function returns only an error, or
/// at the end of a blocking server.
pub fn become_server(args: &Args) -> Result<(), String> {
    end_with_parent();
    if let Some(core) = args.core {
        // The parent has set its own core successfully, so this call is not expected to fail.
        crate::system::pin(core);
    }
    crate::system::raise_descriptors();
    match (args.serve, args.program.as_slice()) {
        (Some(builtin), _) => {
            builtin.serve(args.service, args.file.as_deref()).map_err(|error| error.to_string())
        }
        (None, [program, arguments @ ..]) => {
            Err(format!("{program}: {}", replace_by(Command::new(program).args(arguments))))
        }
        (None, []) => Ok(()),
    }
}

/// Replaces this process by another program. The process id stays, so that the program is measured and ended like a
/// built-in server.
#[cfg(unix)]
fn replace_by(command: &mut Command) -> io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn replace_by(_command: &mut Command) -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// Makes the kernel kill this server when the benchmark ends for any reason.
///
/// A thread that watches standard input would work on every system. But a second thread makes each system call of the
/// server on a descriptor slower, because the threads share the table of descriptors. Another program inherits the
/// signal.
#[cfg(target_os = "linux")]
fn end_with_parent() {
    // If the call fails, the parent still kills its children whenever the parent ends by itself.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() {
    thread::spawn(|| {
        // An error also means that the parent has ended.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
}
