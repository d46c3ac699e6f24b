//! The servers that are compared. Each server runs in a process of its own, which is another process of this program.

use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use clap::ValueEnum;
use socket2::{Domain, Socket, Type};
use tidegate::blocking::{Server, ServerOptions};
use tidegate::{EventLoop, Handler, ListenOptions, Options};

pub mod bare;
mod broadcast;
mod datagrams;
mod file;
pub mod framed;
mod http;
pub mod mio_loop;
pub mod programs;
mod tidegate_loop;
mod tokio_loop;

/// The backlog of the listener, which is equal for all servers.
const BACKLOG: u32 = 1024;

/// The work that a server does. Every workload needs one of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// Sends back all received bytes
    Echo,
    /// Receives frames with a length in front, and acknowledges after each MiB
    Framed,
    /// Sends each message of a publisher to all subscribers
    Broadcast,
    /// Sends a file for each request
    File,
    /// Sends back each datagram
    Datagrams,
    /// Stores values under keys, over the Redis protocol: the example program kv
    Kv,
    /// Answers HTTP requests: the example program http
    Http,
    /// Passes bytes between clients and a backend: the example program proxy
    Proxy,
}

impl Service {
    pub fn name(self) -> String {
        self.to_possible_value().expect("none is skipped").get_name().into()
    }

    /// Returns the name of the example program with this service, if the server of this crate is an example program.
    pub fn example(self) -> Option<&'static str> {
        match self {
            Service::Kv => Some("kv"),
            Service::Http => Some("http"),
            Service::Proxy => Some("proxy"),
            _ => None,
        }
    }

    /// Returns true if some of the servers need a directory: for the file that the servers send, or for a configuration.
    pub fn needs_directory(self) -> bool {
        self == Service::File || self.example().is_some()
    }
}

/// The built-in servers. The doc comment of each server is the text in the list and in the legends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Builtin {
    /// A server of this crate, through the public interface of the crate; in the workloads of --apps, an example program
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
    /// A tokio server in the current_thread runtime, a task for each client or datagram socket; 8 KiB buffer for the echo
    Tokio,
    /// A server of this crate that consumes all input and parses no frames; runs only in the workload framed
    #[value(name = "tidegate-all")]
    TidegateAll,
    /// A server of this crate with send_all in place of send_shared; runs only in the workload broadcast
    #[value(name = "tidegate-copy")]
    TidegateCopy,
    /// A server of this crate that reads and sends 64 KiB at a time; runs only in the workload file
    #[value(name = "tidegate-read")]
    TidegateRead,
    /// The server nginx with sendfile and one worker, if nginx is installed; runs only in the workloads file and http
    Nginx,
    /// The server redis-server without persistence, if redis-server is installed; runs only in the workloads kv
    Redis,
    /// A server with hyper in tokio's current_thread runtime, with pipeline_flush; runs only in the workload http-plaintext
    Hyper,
    /// A server with may_minihttp and one worker; runs only in the workload http-plaintext
    MayMinihttp,
    /// The proxy HAProxy with one thread, if HAProxy is installed; runs only in the workloads proxy
    Haproxy,
    /// The proxy HAProxy with one thread and buffers of 256 KiB; runs only in the workloads proxy
    #[value(name = "haproxy-256k")]
    Haproxy256k,
}

impl Builtin {
    pub const DEFAULT: [Builtin; 16] = [
        Builtin::Tidegate,
        Builtin::Mio,
        Builtin::Mio256k,
        Builtin::Threads,
        Builtin::Threads256k,
        Builtin::Blocking,
        Builtin::Tokio,
        Builtin::TidegateAll,
        Builtin::TidegateCopy,
        Builtin::TidegateRead,
        Builtin::Nginx,
        Builtin::Redis,
        Builtin::Hyper,
        Builtin::MayMinihttp,
        Builtin::Haproxy,
        Builtin::Haproxy256k,
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
        !matches!(self, Builtin::Threads | Builtin::Threads256k | Builtin::Blocking | Builtin::Tokio)
    }

    /// Returns true if the server has this service.
    pub fn has(self, service: Service) -> bool {
        use Builtin::{
            Blocking, Haproxy, Haproxy256k, Hyper, MayMinihttp, Mio, Mio16k, Mio256k, Nginx, Redis, Threads,
            Threads256k, Tidegate, TidegateAll, TidegateCopy, TidegateRead, Tokio,
        };
        match service {
            Service::Echo => {
                matches!(self, Tidegate | Mio | Mio16k | Mio256k | Threads | Threads256k | Blocking | Tokio)
            }
            Service::Framed => matches!(self, Tidegate | TidegateAll | Mio | Tokio),
            Service::Broadcast => matches!(self, Tidegate | TidegateCopy | Mio | Tokio),
            // The bare loop calls sendfile(2) of Linux.
            Service::File if self == Mio => cfg!(target_os = "linux"),
            Service::File => matches!(self, Tidegate | TidegateRead | Nginx),
            Service::Datagrams => matches!(self, Tidegate | Mio | Tokio),
            Service::Kv => matches!(self, Tidegate | Redis),
            Service::Http => matches!(self, Tidegate | Nginx | Hyper | MayMinihttp),
            Service::Proxy => matches!(self, Tidegate | Haproxy | Haproxy256k),
        }
    }

    /// Returns true if the server can send a file. The HTTP servers of this package send a short text only.
    pub fn has_files(self) -> bool {
        !matches!(self, Builtin::Hyper | Builtin::MayMinihttp)
    }

    /// Serves for ever. The parent process reads the address from the standard output of this process. `file` is the path
    /// of the file for [`Service::File`].
    pub fn serve(self, service: Service, file: Option<&Path>) -> io::Result<()> {
        match service {
            Service::Echo => self.echo(),
            Service::Framed => match self {
                Builtin::Tidegate => framed::tidegate_loop::serve(true),
                Builtin::TidegateAll => framed::tidegate_loop::serve(false),
                Builtin::Mio => framed::mio_loop::serve(listen()?),
                Builtin::Tokio => framed::tokio_loop::serve(listen()?),
                _ => self.lacks(service),
            },
            Service::Broadcast => match self {
                Builtin::Tidegate => broadcast::tidegate_loop::serve(false),
                Builtin::TidegateCopy => broadcast::tidegate_loop::serve(true),
                Builtin::Mio => broadcast::mio_loop::serve(listen()?),
                Builtin::Tokio => broadcast::tokio_loop::serve(listen()?),
                _ => self.lacks(service),
            },
            Service::File => {
                let missing =
                    || io::Error::new(ErrorKind::InvalidInput, "the service needs the option --file");
                let file = file.ok_or_else(missing)?;
                match self {
                    Builtin::Tidegate => file::tidegate_loop::serve(file, false),
                    Builtin::TidegateRead => file::tidegate_loop::serve(file, true),
                    #[cfg(target_os = "linux")]
                    Builtin::Mio => file::mio_loop::serve(listen()?, file),
                    _ => self.lacks(service),
                }
            }
            Service::Datagrams => match self {
                Builtin::Tidegate => datagrams::tidegate_loop::serve(),
                Builtin::Mio => datagrams::mio_loop::serve(bind()?),
                Builtin::Tokio => datagrams::tokio_loop::serve(bind()?),
                _ => self.lacks(service),
            },
            Service::Http => match self {
                Builtin::Hyper => http::hyper::serve(listen()?),
                Builtin::MayMinihttp => http::may_minihttp::serve(),
                _ => self.lacks(service),
            },
            Service::Kv | Service::Proxy => self.lacks(service),
        }
    }

    fn echo(self) -> io::Result<()> {
        match self {
            Builtin::Tidegate => tidegate_loop::serve(),
            Builtin::Mio => mio_loop::serve(listen()?, 64 << 10),
            Builtin::Mio16k => mio_loop::serve(listen()?, 16 << 10),
            Builtin::Mio256k => mio_loop::serve(listen()?, 256 << 10),
            Builtin::Threads => blocking(4 << 10, Server::serve_with_threads),
            Builtin::Threads256k => blocking(256 << 10, Server::serve_with_threads),
            Builtin::Blocking => blocking(4 << 10, Server::serve_one_at_a_time),
            Builtin::Tokio => tokio_loop::serve(listen()?),
            _ => self.lacks(Service::Echo),
        }
    }

    /// Returns the error of a server that does not have the service, or that is a program of its own.
    fn lacks(self, service: Service) -> io::Result<()> {
        let error = format!("the server {} does not have the service {}", self.name(), service.name());
        Err(io::Error::new(ErrorKind::Unsupported, error))
    }
}

/// Runs a server of this crate.
fn run_tidegate<H: Handler>(handler: &mut H) -> io::Result<()> {
    let mut server = EventLoop::new(Options::default())?;
    let listener = server.net().listen_with("127.0.0.1:0", ListenOptions::default().backlog(BACKLOG))?;
    announce(server.net().local_address(listener)?.socket_addrs()[0])?;
    server.run(handler)
}

fn blocking(buffer: usize, serve: impl FnOnce(Server)) -> io::Result<()> {
    let server = Server::bind_with("127.0.0.1:0", ServerOptions::default().backlog(BACKLOG).buffer(buffer))?;
    announce(server.local_addr()?)?;
    serve(server);
    Ok(())
}

/// Returns a nonblocking socket that listens already, for the loops that do not open a listener themselves. Announces the
/// address.
fn listen() -> io::Result<TcpListener> {
    let listener = socket()?;
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// Returns a nonblocking socket that listens already.
pub fn socket() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // On Linux connections inherit TCP_NODELAY from the listener, so the loops need not set the option on each
    // connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG as i32)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Returns a nonblocking socket for datagrams, for the loops that do not bind a socket themselves.
fn bind() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    announce(socket.local_addr()?)?;
    Ok(socket)
}

/// Writes the address to standard output. Returns an error if the parent has closed the pipe; in that case no process
/// uses the server.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {address}")?;
    stdout.flush()
}
