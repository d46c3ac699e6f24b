//! The servers that are compared. Each runs in a process of its own, which is this program once more.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use clap::ValueEnum;
use socket2::{Domain, Socket, Type};
use tidegate::blocking::{Server, ServerOptions};

mod mio_loop;
mod tidegate_loop;
mod tokio_loop;

/// How many clients may wait to be accepted: the same for all.
const BACKLOG: u32 = 1024;

/// What is said of each is its line in the list and in the legends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Builtin {
    /// This crate's echo, through its public interface
    Tidegate,
    /// A bare mio loop without this crate, 64 KiB buffer: the floor
    Mio,
    /// A bare mio loop, 16 KiB buffer
    #[value(name = "mio-16k")]
    Mio16k,
    /// A bare mio loop, 256 KiB buffer
    #[value(name = "mio-256k")]
    Mio256k,
    /// Blocking, a thread for each client, the textbooks' 4 KiB buffer: the baseline
    Threads,
    /// Blocking, a thread for each client, 256 KiB buffer
    #[value(name = "threads-256k")]
    Threads256k,
    /// Blocking, one client at a time: only where there is one connection
    Blocking,
    /// Tokio's current_thread runtime, a task for each client, 8 KiB buffer
    Tokio,
}

impl Builtin {
    pub const DEFAULT: [Builtin; 7] = [
        Builtin::Tidegate,
        Builtin::Mio,
        Builtin::Mio256k,
        Builtin::Threads,
        Builtin::Threads256k,
        Builtin::Blocking,
        Builtin::Tokio,
    ];

    pub fn name(self) -> String {
        self.to_possible_value().expect("none is skipped").get_name().into()
    }

    pub fn about(self) -> String {
        self.to_possible_value()
            .expect("none is skipped")
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Whether every per cent between it and the floor counts, which takes many rounds to tell.
    pub fn is_close(self) -> bool {
        matches!(self, Builtin::Tidegate | Builtin::Mio | Builtin::Mio16k | Builtin::Mio256k)
    }

    /// Serves for ever. Whoever started this process reads where from its standard output.
    pub fn serve(self) -> io::Result<()> {
        match self {
            Builtin::Tidegate => tidegate_loop::serve(),
            Builtin::Mio => mio_loop::serve(listen()?, 64 << 10),
            Builtin::Mio16k => mio_loop::serve(listen()?, 16 << 10),
            Builtin::Mio256k => mio_loop::serve(listen()?, 256 << 10),
            Builtin::Threads => blocking(4 << 10, Server::serve_with_threads),
            Builtin::Threads256k => blocking(256 << 10, Server::serve_with_threads),
            Builtin::Blocking => blocking(4 << 10, Server::serve_one_at_a_time),
            Builtin::Tokio => tokio_loop::serve(listen()?),
        }
    }
}

fn blocking(buffer: usize, serve: impl FnOnce(Server)) -> io::Result<()> {
    let server = Server::bind_with("127.0.0.1:0", ServerOptions::default().backlog(BACKLOG).buffer(buffer))?;
    announce(server.local_addr()?)?;
    serve(server);
    Ok(())
}

/// A listener for the loops that bring none of their own, which listens already.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Where connections inherit it, which is on Linux, it need not be set on each of them.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG as i32)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from(socket);
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// An error if nobody reads it: then nobody needs the server either.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}
