//! The servers that are compared. Each server runs in a process of its own, which is another process of this program.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use clap::ValueEnum;
use socket2::{Domain, Socket, Type};
use tidegate::blocking::{Server, ServerOptions};

mod mio_loop;
mod tidegate_loop;
mod tokio_loop;

/// The backlog of the listener, which is equal for all servers.
const BACKLOG: u32 = 1024;

/// The built-in servers. The doc comment of each server is the text in the list and in the legends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Builtin {
    /// The echo server of this crate, through the public interface of the crate
    Tidegate,
    /// A bare mio loop without this crate, 64 KiB buffer; the floor with which other servers are compared
    Mio,
    /// A bare mio loop without this crate, 16 KiB buffer
    #[value(name = "mio-16k")]
    Mio16k,
    /// A bare mio loop without this crate, 256 KiB buffer
    #[value(name = "mio-256k")]
    Mio256k,
    /// A blocking server with a thread for each client, 4 KiB buffer; the baseline with which other servers are compared
    Threads,
    /// A blocking server with a thread for each client, 256 KiB buffer
    #[value(name = "threads-256k")]
    Threads256k,
    /// A blocking server for one client at a time, 4 KiB buffer; runs only in workloads with one connection
    Blocking,
    /// A tokio server in the current_thread runtime, a task for each client, 8 KiB buffer
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

    /// Returns true if the server is close to the floor. Every per cent between such a server and the floor counts, and
    /// many rounds are necessary to measure a per cent.
    pub fn is_close(self) -> bool {
        matches!(self, Builtin::Tidegate | Builtin::Mio | Builtin::Mio16k | Builtin::Mio256k)
    }

    /// Serves for ever. The parent process reads the address from the standard output of this process.
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

/// Returns a nonblocking socket that listens already, for the loops that do not open a listener themselves.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // On Linux connections inherit TCP_NODELAY from the listener, so the loops need not set the option on each
    // connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG as i32)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from(socket);
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// Writes the address to standard output. Returns an error if the parent has closed the pipe; in that case no process
/// uses the server.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}
