//! An echo server as a task of a tokio runtime. Other tasks of the runtime learn of new connections and send bytes to these
//! connections.
//!
//! Start the server with `cargo run --release --example embed_tokio -- --greet hello`, then talk to it with
//! `nc 127.0.0.1 7007`. Copy [`nested::drive`].

use std::process::ExitCode;

fn main() -> ExitCode {
    nested::main()
}

/// On platforms where mio's poll has no descriptor, `EventLoop` is not `AsFd`, and no other poller can watch the loop.
#[cfg(not(all(unix, not(mio_unsupported_force_poll_poll))))]
mod nested {
    pub fn main() -> std::process::ExitCode {
        eprintln!("embed_tokio: the poll of mio has no descriptor on this platform");
        std::process::ExitCode::FAILURE
    }
}

#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
mod nested {
    use std::{
        error::Error,
        future, io,
        io::Write,
        os::fd::{AsFd, OwnedFd},
        process::ExitCode,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::{Duration, Instant},
    };

    use clap::Parser;
    use log::info;
    use tidegate::{Accepted, Conn, ConnId, EventLoop, Handler, Net, Options};
    use tokio::{
        io::{Interest, unix::AsyncFd},
        runtime,
        signal::unix::{SignalKind, signal},
        sync::mpsc,
        task, time,
    };

    /// Sends each byte back to the client that sent the byte, until SIGINT, SIGTERM or SIGHUP. The server is a task of tokio.
    #[derive(Parser)]
    struct Args {
        /// The address to listen at; ":7007" listens on every interface, and port 0 takes a free port
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
        listen: String,

        /// The text that another task sends to each new client [default: no text]
        #[arg(long, value_name = "TEXT")]
        greet: Option<String>,

        /// The time between two lines of the log with the number of echoed bytes
        #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
        report: u32,

        /// After a signal, give connections this time to become idle, and then reset the connections that are left; a
        /// second signal, at least a second after the first signal, resets all connections at once
        #[arg(long, value_name = "SECONDS", default_value = "5", allow_negative_numbers = true)]
        drain: u32,
    }

    /// Signals that come so soon after the first signal belong to the first signal: a service manager may send SIGTERM and
    /// SIGHUP together, and a terminal that closes may send SIGHUP twice.
    const REPEAT: Duration = Duration::from_secs(1);

    pub fn main() -> ExitCode {
        let args = Args::parse(); // ends the process at --help (status 0) and at wrong arguments (status 2)
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
        let ended = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Into::into)
            .and_then(|runtime| runtime.block_on(run(args)));
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "embed_tokio: {error}");
                ExitCode::FAILURE
            }
        }
    }

    async fn run(args: Args) -> Result<(), Box<dyn Error>> {
        let mut server = EventLoop::new(Options::default())?;
        let listener = server.net().listen(args.listen.as_str())?;
        let address = server.net().local_address(listener)?; // with port 0, the system has chosen the port

        // The server belongs to the task that makes its turns. A channel passes the ids of new connections to another task,
        // and a second channel returns each id with the bytes for this connection.
        let (outbox, to_send) = mpsc::channel(64);
        let joined = args.greet.map(|text| {
            let (joined, newcomers) = mpsc::unbounded_channel();
            task::spawn(greet(newcomers, text, outbox));
            joined
        });
        let echoed = Arc::new(AtomicU64::new(0));
        task::spawn(report(Arc::clone(&echoed), Duration::from_secs(args.report.into())));

        // Signals are handled before the address is printed: a program that waits for the address may send a signal at
        // once.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let (remote, grace) = (server.remote(), Duration::from_secs(args.drain.into()));
        task::spawn(async move {
            let mut asked: Option<Instant> = None;
            loop {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = hang_up.recv() => {} }
                if asked.is_none_or(|at| at.elapsed() >= REPEAT) {
                    asked = Some(Instant::now());
                    info!("asked to end by a signal");
                    remote.drain(grace); // a second drain resets all connections
                }
            }
        });

        // The program that started the server may wait for this line. If that program is gone, the write fails and the
        // server goes on.
        let mut stdout = io::stdout();
        let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
        info!("serving on {address}, Ctrl-C ends the server");

        drive(&mut server, &mut Echo { joined, echoed }, to_send).await?;
        info!("stopped\n{}", server.net().stats());
        Ok(())
    }

    /// Makes a turn of the server whenever the server has work, until a drain has ended.
    async fn drive(
        server: &mut EventLoop,
        echo: &mut Echo,
        mut to_send: mpsc::Receiver<(ConnId, Arc<str>)>,
    ) -> io::Result<()> {
        let watched = watch(server)?;
        loop {
            let deadline = server.next_deadline();
            tokio::select! {
                // tokio's registration is edge-triggered. So the readiness is cleared before the turn, which polls until no
                // event is left. A clear after the turn would lose an event that came during the turn.
                ready = watched.readable() => ready?.clear_ready(),
                () = until(deadline) => {}
                Some((to, text)) = to_send.recv() => {
                    // There is only one greeting for each client, so the task ignores the `Flow`. The bytes leave with the
                    // next turn.
                    server.net().send_all(to, text.as_bytes());
                }
            }
            if server.turn(echo, Some(Duration::ZERO))?.finished {
                return Ok(());
            }
        }
    }

    /// Watches a duplicate of the descriptor, so that the server itself stays free to be borrowed.
    #[expect(
        deprecated,
        reason = "the successor is `unsafe`, because a type may name another descriptor at each call; an OwnedFd always
                  names the descriptor that it keeps open"
    )]
    fn watch(server: &EventLoop) -> io::Result<AsyncFd<OwnedFd>> {
        AsyncFd::with_interest(server.as_fd().try_clone_to_owned()?, Interest::READABLE)
    }

    /// Waits until the deadline, or for ever without a deadline. A deadline that has passed, because a turn has left work
    /// over, needs no timer; the other tasks run before the next turn.
    async fn until(deadline: Option<Instant>) {
        match deadline {
            None => future::pending().await,
            Some(at) if at > Instant::now() => time::sleep_until(at.into()).await,
            Some(_) => task::yield_now().await,
        }
    }

    struct Echo {
        /// The channel to the task that greets new clients.
        joined: Option<mpsc::UnboundedSender<ConnId>>,
        echoed: Arc<AtomicU64>,
    }

    impl Handler for Echo {
        type Session = ();

        fn on_accept(&mut self, _net: &mut Net, from: &Accepted) -> Option<()> {
            if let Some(joined) = &self.joined {
                let _ = joined.send(from.id); // fails if the task that greets clients has ended
            }
            Some(())
        }

        fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
            conn.send_all(input);
            self.echoed.fetch_add(input.len() as u64, Ordering::Relaxed);
            input.len()
        }

        // The default `on_drain` lets a connection go on until it is idle, and then closes it.
    }

    async fn greet(
        mut newcomers: mpsc::UnboundedReceiver<ConnId>,
        text: String,
        outbox: mpsc::Sender<(ConnId, Arc<str>)>,
    ) {
        let text: Arc<str> = text.into();
        while let Some(id) = newcomers.recv().await {
            if outbox.send((id, Arc::clone(&text))).await.is_err() {
                break;
            }
        }
    }

    async fn report(echoed: Arc<AtomicU64>, every: Duration) {
        loop {
            time::sleep(every).await;
            info!("{} bytes were echoed", echoed.load(Ordering::Relaxed));
        }
    }
}
