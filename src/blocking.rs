//! The blocking version: the echo server and the client of the textbooks, with a thread where a textbook has a process.
//!
//! Read this module first. The functions of this module make the same system calls as the reactor, in the same order, but
//! each call waits until it is done. So the protocol of a TCP server fits on a page, and the additions of the reactor are
//! easy to tell apart. The tests and the benchmark use this module as an independent peer of the reactor.
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
//! TCP carries a stream of bytes (tcp(7)), which does not record where one `send` ended and the next began. `recv` returns
//! as soon as any bytes have come, and at most as many as were asked for (recv(2)): half a message, or the end of a message
//! and the start of the next. `send` may take only a part of its bytes, as many as the kernel's buffer has room for
//! (send(2)). A program that calls `send` and `recv` once for each message works on its author's machine, with short
//! messages, and loses data later. So this module calls them in loops: [`send_all`] calls `send` until the kernel has taken
//! every byte, and [`recv_exact`] calls `recv` until every byte has come.
//!
//! # Deadlock: write everything, then read everything
//!
//! There are four buffers between a client and its echo: the send buffer and the receive buffer of each side. A client that
//! sends its whole message before it reads is safe only while the message fits into these buffers. With a larger message,
//! the server waits in `send`, because the client reads nothing, and the client waits in `send`, because the server reads
//! nothing. Both wait for ever, and a test with a short message does not show the fault. So [`exchange`] sends on a second
//! thread while it receives.
//!
//! # Limits
//!
//! With one client at a time, a client that sends nothing keeps all other clients waiting. With a thread for each client,
//! each client costs a stack, and each message costs two context switches. The reactor avoids both.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::address::{Address, ToAddress};
use crate::options::ListenOptions;
use crate::socket::listen::{explain, listen_socket};
use crate::socket::platform::OPTIONS_ARE_INHERITED;

mod options;
mod stopper;

pub use options::ServerOptions;
pub use stopper::Stopper;
use stopper::{Client, Clients};

/// The time that a server waits after an `accept` failed for lack of a resource. As long as the server has no free
/// descriptor, each further call would fail at once (accept(2): `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`), and a loop
/// without a pause would take a whole CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An echo server over blocking sockets. The server is bound and listens, but does not accept yet.
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
    /// After this call, clients can connect. They wait in the backlog until the server accepts them. At port 0 the system
    /// chooses a free port, which [`local_addr`](Server::local_addr) returns. This call may block if `at` is a name: see
    /// [`Address::resolve`].
    ///
    /// # Errors
    ///
    /// Fails if the address is invalid, the port is in use, or the permission is missing. The message of the error is one
    /// line, which names the address and the cause.
    pub fn bind(at: impl ToAddress) -> io::Result<Server> {
        Server::bind_with(at, ServerOptions::default())
    }

    /// Creates a socket, binds it to an address, and listens, with options.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`bind`](Server::bind).
    pub fn bind_with(at: impl ToAddress, options: ServerOptions) -> io::Result<Server> {
        let listener = listen_socket(&at.to_address()?, &ListenOptions::default().backlog(options.backlog))?;
        listener.set_nonblocking(false)?;
        Ok(Server { listener, buffer: options.buffer.max(1), clients: Arc::default() })
    }

    /// Returns the address at which the server listens, with the real port.
    ///
    /// # Errors
    ///
    /// Returns the errors of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns a handle that ends this server from another thread, for example when a signal came. The methods that serve
    /// take the server by value, so this handle is the only way to end a server that serves.
    ///
    /// The handle owns one descriptor, or two if the server listens on every interface, so that the server can be ended
    /// even while the process has no free descriptor. The clones of a stopper share these descriptors.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`local_addr`](Server::local_addr) and of socket(2).
    pub fn stopper(&self) -> io::Result<Stopper> {
        Stopper::new(self.local_addr()?, Arc::clone(&self.clients))
    }

    /// Serves one client after another, until the server is [stopped](Stopper::stop).
    ///
    /// Clients that connect while another client is served wait in the backlog. An error of one client, or a failed accept,
    /// never ends the server.
    pub fn serve_one_at_a_time(self) {
        let mut buffer = vec![0; self.buffer];
        while let Some(client) = self.accept() {
            serve(client, &mut buffer);
        }
    }

    /// Serves every client on a thread of its own, until the server is [stopped](Stopper::stop) and the last thread has
    /// ended.
    pub fn serve_with_threads(self) {
        thread::scope(|scope| {
            while let Some(client) = self.accept() {
                let thread = thread::Builder::new().name("tidegate-echo".into());
                if let Err(error) = thread.spawn_scoped(scope, || serve(client, &mut vec![0; self.buffer])) {
                    // The closure owned the client and was dropped, so the connection is closed.
                    log::warn!("no thread for a client: {error}");
                    self.clients.pause();
                }
            }
        });
    }

    /// Waits for the next client. Returns `None` if the server is stopped.
    fn accept(&self) -> Option<Client<'_>> {
        let mut warned = false;
        loop {
            let error = match self.clients.accept_with(|| self.listener.accept())? {
                Ok((stream, peer)) => return self.clients.admit(stream, peer),
                Err(error) => error,
            };
            // The client went away while it waited in the backlog, or a signal came. Neither concerns the next client
            // (accept(2)).
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

/// Connects, sends `message`, and returns the echo when all its bytes have come.
///
/// Blocks without a time limit. For a time limit, call [`exchange`] with a stream that has timeouts.
///
/// # Errors
///
/// Fails if the address is invalid, the server cannot be reached, or the connection ends before the last byte of the echo.
/// The message of the error is one line, which names the address and the cause.
pub fn echo(at: impl ToAddress, message: &[u8]) -> io::Result<Vec<u8>> {
    let address = at.to_address()?;
    let stream = connect(&address)?;
    exchange(&stream, message).map_err(|error| explain(format_args!("no whole echo from {address}"), &error))
}

/// Sends `message` on a second thread, while this thread receives as many bytes as `message` has.
///
/// The two threads work at the same time, because sending everything before receiving [may never
/// end](self#deadlock-write-everything-then-read-everything). If sending or receiving fails, the connection is shut down,
/// so that the other thread does not wait for ever.
///
/// # Errors
///
/// Returns the errors of [`recv_exact`] and [`send_all`], and the error of a thread that cannot be started.
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
        // An error here means that the connection is shut down already.
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

/// Sends back the received bytes until the peer ends its side, and returns the number of bytes.
///
/// The function receives at most one buffer of bytes, and sends all of them before it receives again. So a client that does
/// not read is not read from either. A peer that ends its side early still gets all of its echo. The function does not
/// close the stream: the caller does.
///
/// # Errors
///
/// Returns the first error of either direction, or [`InvalidInput`](io::ErrorKind::InvalidInput) if `buffer` is empty.
pub fn echo_connection(mut stream: impl Read + Write, buffer: &mut [u8]) -> io::Result<u64> {
    if buffer.is_empty() {
        // A recv into an empty buffer returns 0, which would look like the end of the stream.
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

/// Sends every byte, however few bytes the kernel takes at a time. Other languages call this function `sendall()`.
///
/// `std` has the same function as [`Write::write_all`]. This module has its own copy because the loop is the point of the
/// module. The function is for blocking streams: after a `WouldBlock` the caller would not know how many bytes were sent.
///
/// # Errors
///
/// Returns the errors of the stream, except [`Interrupted`](io::ErrorKind::Interrupted), after which the function tries
/// again (signal(7)). Returns [`WriteZero`](io::ErrorKind::WriteZero) if the stream takes 0 bytes without an error, because
/// further attempts might go on for ever.
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

/// Receives until `buffer` is full, however few bytes come at a time.
///
/// # Errors
///
/// Returns the errors of the stream, except [`Interrupted`](io::ErrorKind::Interrupted). Returns
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the peer ends its side before `buffer` is full; the message of the
/// error says how many bytes came.
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

/// Makes one `recv`, and returns the number of bytes; 0 means the end of the stream.
fn recv(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn connect(address: &Address) -> io::Result<TcpStream> {
    if address.is_unix() {
        let why = format!("cannot connect to {address}: it is no address of TCP");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    // `TcpStream::connect` tries the addresses in order, as a listener does.
    let stream = TcpStream::connect(address.socket_addrs())
        .map_err(|error| explain(format_args!("cannot connect to {address}"), &error))?;
    // With this option, the kernel sends the last piece of a message at once. Without it, the kernel holds the piece until
    // the peer has acknowledged the piece before (tcp(7)).
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Serves one client, and closes its connection.
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
