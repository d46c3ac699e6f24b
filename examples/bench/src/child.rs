//! The servers' processes: started, found listening, and ended with the benchmark.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::group;
use crate::servers::Builtin;

/// How long a server may take until it listens.
const STARTING: Duration = Duration::from_secs(5);

/// What takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    pub name: String,
    pub about: String,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Builtin(Builtin),
    /// Words, with `{port}` somewhere in them.
    Program(Vec<String>),
}

impl From<Builtin> for Contender {
    fn from(builtin: Builtin) -> Self {
        Self { name: builtin.name(), about: builtin.about(), what: What::Builtin(builtin) }
    }
}

impl Contender {
    /// As [`Builtin::is_close`]; another program was added to be compared.
    pub fn is_close(&self) -> bool {
        !matches!(self.what, What::Builtin(builtin) if !builtin.is_close())
    }

    /// Of another program nothing is known.
    pub fn may_have_threads(&self) -> bool {
        !matches!(self.what, What::Builtin(builtin) if !matches!(builtin, Builtin::Threads | Builtin::Threads256k))
    }
}

/// A server that listens, until this is dropped. The processes that the server has started end with it.
pub struct Child {
    pub address: SocketAddr,
    process: process::Child,
    /// The last line that it wrote to its standard error.
    last_words: Arc<Mutex<String>>,
}

impl Child {
    pub fn start(contender: &Contender, core: Option<usize>) -> Result<Self, String> {
        let myself = std::env::current_exe().map_err(|error| format!("no path to this program: {error}"))?;
        let mut command = Command::new(myself);
        if let Some(core) = core {
            command.arg("--core").arg(core.to_string());
        }
        match &contender.what {
            What::Builtin(builtin) => {
                command.arg("--serve").arg(builtin.name()).stdout(Stdio::piped());
                let mut child = Self::spawn(command)?;
                child.address = child.announced()?;
                Ok(child)
            }
            What::Program(words) => {
                let address = free_port().map_err(|error| format!("no free port: {error}"))?;
                let port = address.port().to_string();
                command.arg("--").args(words.iter().map(|word| word.replace("{port}", &port)));
                command.stdout(Stdio::null());
                let mut child = Self::spawn(command)?;
                child.address = address;
                child.wait_until_it_accepts()?;
                Ok(child)
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Why it has ended, if it has.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.process.try_wait().ok()??;
        // The processes that the server has started may still run.
        group::end(&mut self.process);
        // What it wrote last may be on its way through the pipe.
        thread::sleep(Duration::from_millis(20));
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(if words.is_empty() {
            format!("it ended ({status})")
        } else {
            format!("it ended ({status}): {words}")
        })
    }

    fn spawn(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).env_remove("RUST_LOG");
        let mut process =
            group::spawn(&mut command).map_err(|error| format!("cannot be started: {error}"))?;
        let last_words = Arc::new(Mutex::new(String::new()));
        let (words, stderr) = (Arc::clone(&last_words), process.stderr.take().expect("piped"));
        // To the end: a full pipe would hold a server up that writes a log.
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(io::Result::ok) {
                *words.lock().unwrap_or_else(PoisonError::into_inner) =
                    String::from_utf8_lossy(&line).trim().into();
            }
        });
        Ok(Self { address: (Ipv4Addr::LOCALHOST, 0).into(), process, last_words })
    }

    /// The address in the line that our own servers print.
    fn announced(&mut self) -> Result<SocketAddr, String> {
        let stdout = self.process.stdout.take().expect("piped");
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // An error leaves the line empty, which is told as well.
            let _ = BufReader::new(stdout.take(1000)).read_line(&mut line);
            tell.send(line)
        });
        let line = told.recv_timeout(STARTING).map_err(|_| format!("does not listen after {STARTING:?}"))?;
        let address = line.trim_end().strip_prefix("listening on ").and_then(|at| at.parse().ok());
        address.ok_or_else(|| {
            thread::sleep(Duration::from_millis(20));
            self.ended().unwrap_or_else(|| "does not say where it listens".into())
        })
    }

    fn wait_until_it_accepts(&mut self) -> Result<(), String> {
        let end = Instant::now() + STARTING;
        while TcpStream::connect_timeout(&self.address, STARTING).is_err() {
            if let Some(why) = self.ended() {
                return Err(why);
            }
            if Instant::now() > end {
                return Err(format!("does not listen on {} after {STARTING:?}", self.address));
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

/// A port that was free a moment ago.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Becomes a server, in a process that was started for it. Returns only an error, or at the end of a blocking server.
pub fn become_server(
    builtin: Option<Builtin>,
    program: &[String],
    core: Option<usize>,
) -> Result<(), String> {
    end_with_parent();
    if let Some(core) = core {
        // The parent has tried it: it works.
        crate::system::pin(core);
    }
    crate::system::raise_descriptors();
    match (builtin, program) {
        (Some(builtin), _) => builtin.serve().map_err(|error| error.to_string()),
        (None, [program, arguments @ ..]) => {
            Err(format!("{program}: {}", replace_by(Command::new(program).args(arguments))))
        }
        (None, []) => Ok(()),
    }
}

/// The same process goes on as another program, so that it is measured and ended like the others.
#[cfg(unix)]
fn replace_by(command: &mut Command) -> io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn replace_by(_command: &mut Command) -> io::Error {
    io::ErrorKind::Unsupported.into()
}

/// However the benchmark ends, the servers do, too: by a signal from the kernel where there is such a thing.
///
/// A thread that watches the standard input would do it everywhere, but a second thread in a server makes each of its
/// system calls on a descriptor slower: the table of descriptors is then shared. Another program inherits the signal.
#[cfg(target_os = "linux")]
fn end_with_parent() {
    // Should it fail, the parent still kills its children whenever it ends by itself.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() {
    thread::spawn(|| {
        // An error is as good an end as the end of the pipe.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
}
