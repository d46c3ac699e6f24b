//! A server that replaces itself by a new program, and loses no client. Unix only.
//!
//! Start the server with `cargo run --example restart`, and talk to it from another terminal with `nc 127.0.0.1 7007`. Each
//! line is answered with the process id of the server and the line. Then build a new version, and send SIGUSR2 to the process:
//! new clients are answered by a new process, and clients that stay are answered by the old process.
//!
//! 1. At SIGUSR2, the old process starts the program again, with the name and the arguments with which it was started itself.
//!    So a new file at the path is taken, and a symbolic link is followed anew. The new process inherits duplicates of the
//!    listening sockets, and one end of a pair of sockets.
//! 2. The new process takes the sockets in the way of systemd's socket activation: `LISTEN_FDS`, sd_listen_fds(3). It begins to
//!    serve, and writes `ready` into the pair.
//! 3. The old process closes its descriptors of the listening sockets, and drains: it serves its clients until they are idle
//!    for a moment or have gone, at most for the time of `--drain`, and ends.
//!
//! A new process that ends before it is ready, or is not ready after `--ready-timeout` and is killed, changes nothing: the old
//! process goes on, and takes the next SIGUSR2. A SIGUSR2 between steps 1 and 3 is ignored.
//!
//! * **Clients that connect.** The duplicates of a listening socket share one backlog, and at every moment a process has one of
//!   them open. So no connect is refused, and a client in the backlog is accepted by one of the two processes.
//! * **Clients that are connected** stay with the old process. A client over whose connection no byte goes for 250 ms
//!   (`Options::drain_quiet`) gets an end of file and can connect again. A client that never pauses is reset when the time of
//!   `--drain` is over.
//! * **The file of a Unix socket** stays, because all processes serve the one socket behind it. Only the first process removes
//!   the file, if it ends without a successor. On Linux, the next start replaces a file that was left behind.
//!
//! The process id changes. A shell or a service manager that watches the process id sees the old process end. systemd learns
//! the new id from `MAINPID=`, sd_notify(3), in a service with `Type=notify`. But a service under systemd can do without
//! SIGUSR2: with socket activation, `systemctl restart` ends this server and starts it again, and clients wait in the backlog
//! meanwhile.
//!
//! A copy of the example needs, beside tidegate: `cargo add clap command-fds env_logger listenfd log mio signal-hook --features
//! clap/derive,mio/net`.

#[cfg(not(unix))]
use std::io::Write;
use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    unix::main()
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    // eprintln! would panic if no process reads the pipe of standard error any more.
    let _ = writeln!(std::io::stderr(), "restart: a process inherits sockets in this way on Unix only");
    ExitCode::FAILURE
}

#[cfg(unix)]
mod unix {
    use std::{
        env,
        error::Error,
        io::{self, Write},
        os::{fd::OwnedFd, unix::net},
        process::{self, Child, Command, ExitCode},
        time::{Duration, Instant},
    };

    use clap::Parser;
    use command_fds::{CommandFdExt, FdMapping};
    use listenfd::ListenFd;
    use log::{error, info, warn};
    use mio::{
        Interest,
        net::{UnixDatagram, UnixStream},
    };
    use signal_hook::{
        consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2},
        iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
    };
    use tidegate::{
        Accepted, Conn, EventLoop, Flow, Handler, ListenerId, Net, Options, Readiness, SourceId, TimerId,
        framing,
    };

    /// Answers each line with the process id of the server and the line, until SIGINT, SIGTERM or SIGHUP. SIGUSR2 starts the
    /// program again, and the new process takes over.
    #[derive(Parser)]
    struct Args {
        /// The addresses to listen at, unless sockets are inherited; port 0 takes a free port, and "unix:/path" is a Unix
        /// socket
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
        listen: Vec<String>,

        /// After a signal that ends or replaces the server, give connections this time to become idle, and then reset the
        /// connections that are left; a further signal resets all connections at once
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        drain: u32,

        /// Kill a new process that is not ready to serve after this time
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        ready_timeout: u32,
    }

    const MAX_LINE: usize = 4 << 10;
    /// Further clients wait in the backlog. During a restart, the new process has places of its own.
    const MOST_CLIENTS: usize = 10_000;
    /// A client that neither sends a byte nor takes one for this time is closed.
    const IDLE: Duration = Duration::from_secs(300);
    /// Signals to end that come so soon after the first signal belong to the first signal.
    const REPEAT: Duration = Duration::from_secs(1);
    /// The message of the new process to the old process.
    const READY: &[u8] = b"ready";

    pub fn main() -> ExitCode {
        let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
        match serve(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // eprintln! would panic if no process reads the pipe of standard error any more.
                let _ = writeln!(io::stderr(), "restart: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
        let options = Options::default()
            .max_inbox(MAX_LINE)
            .max_connections(MOST_CLIENTS)
            .memory_budget(256 << 20)
            .idle_timeout(Some(IDLE));
        let mut server = EventLoop::new(options)?;
        let net = server.net();
        let (mut listeners, predecessor) =
            inherited(net).map_err(|error| format!("an inherited descriptor cannot be served: {error}"))?;
        if listeners.is_empty() {
            for at in &args.listen {
                listeners.push(net.listen(at.as_str())?);
            }
        }
        // The signals are handled before the process says that it serves, because they may come at once.
        let signals = watched_signals(net)?;

        let mut stdout = io::stdout();
        for &listener in &listeners {
            let address = net.local_address(listener)?; // with port 0, the system has chosen the port
            // The program that started the server may wait for this line. If that program is gone, the write fails and the
            // server goes on.
            let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
            info!("process {} serves on {address}", process::id());
        }
        if let Some(predecessor) = predecessor
            && let Err(error) = predecessor.send(READY)
        {
            warn!("the process that started this process has gone: {error}"); // then no process waits for the message
        }

        let [ready_timeout, drain] =
            [args.ready_timeout, args.drain].map(|time| Duration::from_secs(time.into()));
        let mut handler = Server { signals, listeners, successor: None, ready_timeout, drain, asked: None };
        let ended = server.run(&mut handler);
        info!("process {} has stopped\n{}", process::id(), server.net().stats());
        Ok(ended?)
    }

    /// Takes the sockets of the program that started this process: systemd, or the predecessor of this process. The
    /// predecessor also passes a socket for the message that this process is ready, which is the only datagram socket.
    fn inherited(net: &mut Net) -> io::Result<(Vec<ListenerId>, Option<net::UnixDatagram>)> {
        let (mut listeners, mut predecessor) = (Vec::new(), None);
        let mut passed = ListenFd::from_env();
        for index in 0..passed.len() {
            if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
                listeners.push(net.adopt_listener(socket)?);
            } else if let Ok(Some(socket)) = passed.take_unix_listener(index) {
                listeners.push(net.adopt_unix_listener(socket)?);
            } else {
                predecessor = passed.take_unix_datagram(index)?;
            }
        }
        Ok((listeners, predecessor))
    }

    /// The signals, as a source in the loop: see the example `echo_server`.
    type Signals = SignalDelivery<UnixStream, SignalOnly>;

    fn watched_signals(net: &mut Net) -> io::Result<Signals> {
        let (end, other_end) = UnixStream::pair()?;
        let which = [SIGINT, SIGTERM, SIGHUP, SIGUSR2, SIGCHLD];
        let mut signals = SignalDelivery::with_pipe(end, other_end, SignalOnly, which)?;
        net.watch(signals.get_read_mut(), Interest::READABLE)?;
        Ok(signals)
    }

    struct Server {
        signals: Signals,
        /// Empty when a successor has taken over.
        listeners: Vec<ListenerId>,
        successor: Option<Successor>,
        ready_timeout: Duration,
        drain: Duration,
        /// The time of the last signal that asked the server to end.
        asked: Option<Instant>,
    }

    /// The process that was started to take over.
    struct Successor {
        process: Child,
        /// The message [`READY`] comes here.
        ready: UnixDatagram,
        source: SourceId,
        timeout: TimerId,
    }

    impl Server {
        fn replace(&mut self, net: &mut Net) {
            if self.successor.is_some() || net.is_draining() {
                return warn!("SIGUSR2 is ignored: the server is being replaced or ends");
            }
            match self.start_successor(net) {
                Ok(successor) => self.successor = Some(successor),
                Err(error) => error!("the program cannot be started, and this process goes on: {error}"),
            }
        }

        /// Starts the program with duplicates of the sockets as the descriptors from 3 on. All other descriptors of this
        /// process are closed at exec(2).
        fn start_successor(&self, net: &mut Net) -> io::Result<Successor> {
            let (mut ready, theirs) = UnixDatagram::pair()?;
            let mut sockets = Vec::new();
            for &listener in &self.listeners {
                sockets.push(OwnedFd::from(net.listener_socket(listener)?.try_clone()?));
            }
            sockets.push(theirs.into());
            let count = sockets.len();
            let mapping = |(parent_fd, child_fd)| FdMapping { parent_fd, child_fd };

            let mut words = env::args_os();
            let mut command = Command::new(words.next().ok_or(io::ErrorKind::NotFound)?);
            command.args(words).env("LISTEN_FDS", count.to_string());
            // LISTEN_PID is optional for `listenfd`. The process id is not known before the fork.
            command.env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
            command
                .fd_mappings(sockets.into_iter().zip(3..).map(mapping).collect())
                .map_err(io::Error::other)?;

            let source = net.watch(&mut ready, Interest::READABLE)?;
            let process = command.spawn().inspect_err(|_| net.unwatch(source, &mut ready))?;
            info!("process {} starts, and has {:?} to become ready", process.id(), self.ready_timeout);
            let timeout = net.after(self.ready_timeout, 0); // calls `on_timer`
            Ok(Successor { process, ready, source, timeout })
        }

        /// Takes the status of a successor that has ended, so that no zombie stays.
        fn reap(&mut self, net: &mut Net) {
            if let Some(successor) = &mut self.successor
                && let Ok(Some(status)) = successor.process.try_wait()
            {
                let rest = if self.listeners.is_empty() { "had the sockets" } else { "this process goes on" };
                error!("process {} has ended, {status}: {rest}", successor.process.id());
                net.unwatch(successor.source, &mut successor.ready);
                net.cancel_timer(successor.timeout);
                self.successor = None;
            }
        }

        fn hand_over(&mut self, net: &mut Net) {
            self.reap(net); // the successor may have ended after its message
            let mut message = [0; READY.len()];
            let Some(successor) = &mut self.successor else { return };
            let is_ready = successor.ready.recv(&mut message).is_ok() && message == READY;
            if !is_ready || net.is_draining() {
                return;
            }
            info!("process {} is ready, process {} drains", successor.process.id(), process::id());
            net.unwatch(successor.source, &mut successor.ready);
            net.cancel_timer(successor.timeout);
            // A listener that is released leaves its backlog, and the file of a Unix socket, to the successor.
            for listener in self.listeners.drain(..) {
                drop(net.release_listener(listener));
                drop(net.release_unix_listener(listener));
            }
            net.drain(self.drain);
        }

        fn end(&mut self, net: &mut Net) {
            let now = Instant::now();
            if self.asked.is_some_and(|at| now.duration_since(at) < REPEAT) {
                return;
            }
            self.asked = Some(now);
            if net.is_draining() {
                info!("asked by a further signal to end at once");
            } else {
                let (grace, open) = (self.drain, net.stats().open);
                info!(
                    "asked to end by a signal: clients have {grace:?}, and a second signal after {REPEAT:?} resets them (open: {open})"
                );
            }
            if let Some(successor) = &mut self.successor
                && !self.listeners.is_empty()
            {
                let _ = successor.process.kill(); // a process that is not ready yet must not stay
            }
            net.drain(self.drain); // a second drain resets all connections
        }
    }

    impl Handler for Server {
        type Session = ();

        fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
            Some(())
        }

        fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
            let mut lines = framing::lines(input, MAX_LINE);
            for line in &mut lines {
                let Ok(line) = line else {
                    conn.close(); // the line is too long, and the iterator ends
                    break;
                };
                let answer = [process::id().to_string().as_bytes(), b" ", line, b"\n"].concat();
                if conn.send_all(&answer) != Flow::Open {
                    break; // the other lines are shown again when the client has read enough
                }
            }
            lines.used()
        }

        fn on_ready(&mut self, net: &mut Net, source: SourceId, _ready: Readiness) {
            if self.successor.as_ref().is_some_and(|successor| successor.source == source) {
                return self.hand_over(net);
            }
            for signal in self.signals.pending() {
                match signal {
                    SIGUSR2 => self.replace(net),
                    SIGCHLD => self.reap(net),
                    _ => self.end(net),
                }
            }
            // mio's selector on poll(2) reports a further signal only after this call.
            if let Err(error) = net.rewatch(source, self.signals.get_read_mut(), Interest::READABLE) {
                error!("the server takes no more signals: {error}");
            }
        }

        /// The successor was not ready in time, or this process did not run for so long. In the second case, the message may be
        /// there, and the successor may have clients.
        fn on_timer(&mut self, net: &mut Net, _tag: u64) {
            self.hand_over(net);
            if let Some(successor) = &mut self.successor
                && !self.listeners.is_empty()
            {
                warn!("process {} is not ready in time and is killed", successor.process.id());
                net.unwatch(successor.source, &mut successor.ready);
                let _ = successor.process.kill(); // SIGCHLD follows
            }
        }
    }
}
