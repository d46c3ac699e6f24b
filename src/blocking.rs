//! The blocking version: the server and the client that the textbooks show, with a thread where they would have one.
//!
//! Read this module first. It makes the same system calls as the reactor, in the same order, but each call waits until
//! it is done; so the whole protocol of a TCP server stands in a page, and what the reactor adds becomes plain. It
//! also is the counterpart that tests and the benchmark trust.
//!
//! | step | call | here |
//! |---|---|---|
//! | create, bind, listen with a backlog | `socket(2)`, `bind(2)`, `listen(2)` | [`Server::bind`] |
//! | accept a client | `accept(2)` | [`Server::serve_one_at_a_time`], [`Server::serve_with_threads`] |
//! | receive and send | `recv(2)`, `send(2)` | [`echo_connection`], [`recv_exact`], [`send_all`] |
//! | close | `close(2)` | a [`TcpStream`] that is dropped |
//! | connect, send, receive | `connect(2)` | [`echo`] |
//!
//! # One recv is not enough
//!
//! TCP carries a stream of bytes (tcp(7)); where one `send` ended is not part of it. `recv` returns as soon as there
//! is anything, at most what was asked for (recv(2)): half a message, or the end of one and the start of the next. And
//! `send` may take a part of what it is given, as much as the kernel's buffer has room for (send(2)). A program that
//! calls each once works on its author's machine, with short messages, and loses data later. Hence the loops here:
//! [`send_all`] goes on until every byte is taken, [`recv_exact`] until every byte has come.
//!
//! # Write everything, then read everything: the trap
//!
//! Between a client and its echo stand four buffers: each side's send buffer and receive buffer. A client that sends
//! its whole message before it reads is safe only while the message fits into those. Once it does not, the echo sits in
//! `send`, as its client reads nothing, and the client sits in `send`, as the echo reads nothing: both wait for ever,
//! and neither has made a mistake that a small test would show. So [`exchange`] sends on a second thread while it
//! receives.
//!
//! # What it cannot do
//!
//! One client at a time means that a client who says nothing keeps all others out. A thread for each client lifts
//! that at the price of a stack and two context switches a message for each of them. The reactor is the third way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::address::{Address, ToAddress};
use crate::socket::listen::{explain, listen_socket};
use crate::socket::platform::OPTIONS_ARE_INHERITED;

mod options;
mod stopper;

pub use options::ServerOptions;
pub use stopper::Stopper;
use stopper::{Client, Clients};

/// How long a server waits after an `accept` that cannot succeed now: for as long as it has no descriptors, each further
/// call would fail at once (accept(2): `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`), and a loop of them takes a whole CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An echo server over blocking sockets: bound and listening, not yet accepting.
///
/// # Examples
///
/// ```
/// use tidegate::blocking;
///
/// let server = blocking::Server::bind("127.0.0.1:0")?;
/// let (address, stopper) = (server.local_addr()?, server.stopper()?);
/// let serving = std::thread::spawn(|| server.serve_with_threads());
///
/// assert_eq!(blocking::echo(address, b"hello")?, b"hello");
///
/// stopper.stop();
/// serving.join().expect("a server does not panic");
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    buffer: usize,
    clients: Arc<Clients>,
}

impl Server {
    /// Creates a socket, binds it to an address, and listens.
    ///
    /// From here on clients can connect; they wait in the backlog until they are accepted. Port 0 is a free port, which
    /// [`local_addr`](Server::local_addr) tells. May block if `at` is a name: see [`Address::resolve`].
    ///
    /// # Errors
    ///
    /// A bad address, a port in use, no permission: in one line, which names the address and the cause.
    pub fn bind(at: impl ToAddress) -> io::Result<Server> {
        Server::bind_with(at, ServerOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Server::bind).
    pub fn bind_with(at: impl ToAddress, options: ServerOptions) -> io::Result<Server> {
        let listener = listen_socket(&at.to_address()?, options.backlog, false)?;
        listener.set_nonblocking(false)?;
        Ok(Server { listener, buffer: options.buffer.max(1), clients: Arc::default() })
    }

    /// The address that it listens at, with the real port.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A handle that ends this server from another thread, which is what a signal handler needs: once it serves, nothing
    /// else can be told to it.
    ///
    /// Takes a descriptor, and with a server at every interface a second one, so that the server can be ended later even
    /// if no descriptor is free then. The clones of a stopper share them.
    ///
    /// # Errors
    ///
    /// Those of [`local_addr`](Server::local_addr), and those of socket(2).
    pub fn stopper(&self) -> io::Result<Stopper> {
        Stopper::new(self.local_addr()?, Arc::clone(&self.clients))
    }

    /// Serves one client after the other, until it is [stopped](Stopper::stop).
    ///
    /// Whoever connects meanwhile waits in the backlog. What ends one client, or fails to accept one, never ends the
    /// server.
    pub fn serve_one_at_a_time(self) {
        let mut buffer = vec![0; self.buffer];
        while let Some(client) = self.accept() {
            serve(client, &mut buffer);
        }
    }

    /// Serves every client on a thread of its own, until it is [stopped](Stopper::stop) and the last thread has ended.
    pub fn serve_with_threads(self) {
        thread::scope(|scope| {
            while let Some(client) = self.accept() {
                let thread = thread::Builder::new().name("tidegate-echo".into());
                if let Err(error) = thread.spawn_scoped(scope, || serve(client, &mut vec![0; self.buffer])) {
                    // The client went with the closure: its connection is closed.
                    log::warn!("no thread for a client: {error}");
                    self.clients.pause();
                }
            }
        });
    }

    /// Waits for the next client; `None` once the server is stopped.
    fn accept(&self) -> Option<Client<'_>> {
        let mut warned = false;
        loop {
            let error = match self.clients.accept_with(|| self.listener.accept())? {
                Ok((stream, peer)) => return self.clients.admit(stream, peer),
                Err(error) => error,
            };
            // The client went away while it waited, or a signal came: the next one is not concerned (accept(2)).
            if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
                continue;
            }
            if !warned {
                log::warn!("cannot accept, trying again every {ACCEPT_PAUSE:?}: {error}");
                warned = true;
            }
            self.clients.pause();
        }
    }
}

/// Connects, sends `message`, and receives until the whole echo is back.
///
/// Blocks until then, however long it takes; [`exchange`] over a stream with timeouts does not.
///
/// # Errors
///
/// A bad address, a server that cannot be reached, or a connection that ended before the last byte: in one line, which
/// names the address and the cause.
pub fn echo(at: impl ToAddress, message: &[u8]) -> io::Result<Vec<u8>> {
    let address = at.to_address()?;
    let stream = connect(&address)?;
    exchange(&stream, message).map_err(|error| explain(format_args!("no whole echo from {address}"), &error))
}

/// Sends `message` on a second thread, and receives as many bytes on this one.
///
/// At the same time, as [the other order](self#write-everything-then-read-everything-the-trap) may never end. If either
/// half fails the connection is shut down, so that the other half does not wait for ever.
///
/// # Errors
///
/// Those of [`recv_exact`] and [`send_all`], and of a thread that cannot be started.
///
/// # Examples
///
/// ```
/// use std::net::TcpStream;
/// use tidegate::blocking;
///
/// # let server = blocking::Server::bind("127.0.0.1:0")?;
/// # let (address, stopper) = (server.local_addr()?, server.stopper()?);
/// # let serving = std::thread::spawn(|| server.serve_one_at_a_time());
/// let stream = TcpStream::connect(address)?;
/// assert_eq!(blocking::exchange(&stream, b"one")?, b"one");
/// assert_eq!(blocking::exchange(&stream, b"two")?, b"two");
/// # stopper.stop();
/// # serving.join().expect("a server does not panic");
/// # std::io::Result::Ok(())
/// ```
pub fn exchange(stream: &TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
    let give_up = |_: &io::Error| {
        // Nothing is lost if it is shut down already.
        let _ = stream.shutdown(Shutdown::Both);
    };
    let mut echo = vec![0; message.len()];
    thread::scope(|scope| {
        let sending =
            thread::Builder::new().spawn_scoped(scope, || send_all(stream, message).inspect_err(give_up))?;
        let received = recv_exact(stream, &mut echo).inspect_err(give_up);
        let sent = sending.join().expect("send_all returns its errors and does not panic");
        received.and(sent)
    })?;
    Ok(echo)
}

/// Sends back what comes in, until the peer ends its side, and returns how many bytes that were.
///
/// One buffer's worth at a time: nothing is received while the last piece is not sent, so a client that does not read
/// is not read from either. The peer may end its side at once and still gets all of its echo; closing is the caller's.
///
/// # Errors
///
/// The first error of either direction; [`InvalidInput`](io::ErrorKind::InvalidInput) if `buffer` is empty.
pub fn echo_connection(mut stream: impl Read + Write, buffer: &mut [u8]) -> io::Result<u64> {
    if buffer.is_empty() {
        // A recv into nothing returns 0, which would be taken for the end of the stream.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an echo needs a buffer"));
    }
    let mut echoed = 0;
    loop {
        let received = recv(&mut stream, buffer)?;
        if received == 0 {
            return Ok(echoed);
        }
        send_all(&mut stream, &buffer[..received])?;
        echoed += received as u64;
    }
}

/// Sends every byte, however few the kernel takes at a time: `sendall()` where other languages have it.
///
/// `std` has the same in [`Write::write_all`]; it is written out here because it is the point. For a blocking stream:
/// how much was sent before a `WouldBlock` is not told.
///
/// # Errors
///
/// The stream's, except [`Interrupted`](io::ErrorKind::Interrupted), which only means to try again (signal(7)).
/// [`WriteZero`](io::ErrorKind::WriteZero) if it takes nothing and gives no reason: going on could be for ever.
///
/// # Examples
///
/// ```
/// let mut wire = Vec::new();
/// tidegate::blocking::send_all(&mut wire, b"hello")?;
/// assert_eq!(wire, b"hello");
/// # std::io::Result::Ok(())
/// ```
pub fn send_all(mut stream: impl Write, bytes: &[u8]) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(0) => {
                let why = format!("the stream took {sent} of {} bytes and then no more", bytes.len());
                return Err(io::Error::new(io::ErrorKind::WriteZero, why));
            }
            Ok(taken) => sent += taken,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Receives until `buffer` is full, in however many pieces it comes.
///
/// # Errors
///
/// The stream's, except [`Interrupted`](io::ErrorKind::Interrupted). [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if
/// the peer ends its side first, with how far it came.
///
/// # Examples
///
/// ```
/// let mut greeting = [0; 5];
/// tidegate::blocking::recv_exact(&b"hello, world"[..], &mut greeting)?;
/// assert_eq!(&greeting, b"hello");
/// # std::io::Result::Ok(())
/// ```
pub fn recv_exact(mut stream: impl Read, buffer: &mut [u8]) -> io::Result<()> {
    let mut received = 0;
    while received < buffer.len() {
        match recv(&mut stream, &mut buffer[received..])? {
            0 => {
                let why = format!("the connection ended after {received} of {} bytes", buffer.len());
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
            more => received += more,
        }
    }
    Ok(())
}

/// One `recv`, of whatever length: 0 is the end of the stream.
fn recv(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn connect(address: &Address) -> io::Result<TcpStream> {
    // Tries each in order, as a listener does.
    let stream = TcpStream::connect(address.socket_addrs())
        .map_err(|error| explain(format_args!("cannot connect to {address}"), &error))?;
    // The last piece of a message is sent at once, and not held until the one before it is acknowledged (tcp(7)).
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One client, from after its accept to its close.
fn serve(client: Client<'_>, buffer: &mut [u8]) {
    let stream = client.stream();
    if !OPTIONS_ARE_INHERITED && let Err(error) = stream.set_nodelay(true) {
        log::debug!("{client}: no TCP_NODELAY: {error}");
    }
    match echo_connection(stream, buffer) {
        Ok(bytes) => log::debug!("{client}: closed after {bytes} bytes"),
        Err(error) => log::debug!("{client}: ended: {error}"),
    }
}

#[cfg(test)]
mod tests;
