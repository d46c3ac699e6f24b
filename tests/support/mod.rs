//! A server in a thread, and the few handlers and clients that several tests share.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod descriptors;
mod host;
mod own_loop;
pub mod pair;
pub mod panicky;
pub mod programs;
mod recorder;
pub mod script;
mod skip;
pub mod stepped;
#[cfg(target_os = "linux")]
pub mod twin;
mod waiting;

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

#[allow(unused_imports, reason = "each test file uses a part of it")]
pub use host::*;
#[allow(unused_imports, reason = "each test file uses a part of it")]
pub use own_loop::*;
#[allow(unused_imports, reason = "each test file uses a part of it")]
pub use recorder::*;
#[allow(unused_imports, reason = "each test file uses a part of it")]
pub use skip::skip;
use socket2::{Domain, SockRef, Socket, Type};
use tidegate::{Accepted, Conn, EventLoop, Handler, ListenOptions, Net, Options, Remote, Stats};
#[allow(unused_imports, reason = "each test file uses a part of it")]
pub use waiting::*;

/// A reactor that serves in a thread of its own until it is stopped or dropped.
pub struct Server<H: Send + 'static> {
    pub address: SocketAddr,
    pub remote: Remote,
    thread: Option<JoinHandle<(H, Stats)>>,
}

impl<H: Handler + Send + 'static> Server<H> {
    /// The handler is made in the server's thread, so a session need not be `Send`.
    pub fn start(options: Options, make: impl FnOnce() -> H + Send + 'static) -> Self {
        Self::start_with(options, ListenOptions::default(), make)
    }

    pub fn start_with(
        options: Options,
        listen: ListenOptions,
        make: impl FnOnce() -> H + Send + 'static,
    ) -> Self {
        descriptors::raise_limit();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut event_loop = EventLoop::new(options).unwrap();
            let listener = event_loop.net().listen_with("127.0.0.1:0", listen).unwrap();
            let address = event_loop.net().local_address(listener).unwrap().socket_addrs()[0];
            ready.send((address, event_loop.remote())).unwrap();
            let mut handler = make();
            event_loop.run(&mut handler).unwrap();
            (handler, event_loop.net().stats().clone())
        });
        let (address, remote) = started.recv_timeout(PATIENCE).expect("the server starts");
        Self { address, remote, thread: Some(thread) }
    }

    /// A blocking client that fails rather than hangs.
    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Ends the loop, leaving everything in place, and gives back what the test wants to look at.
    pub fn stop(self) -> (H, Stats) {
        self.remote.stop();
        self.join()
    }

    pub fn drain(self, grace: Duration) -> (H, Stats) {
        self.remote.drain(grace);
        self.join()
    }

    /// Waits for an end that was asked for.
    pub fn join(mut self) -> (H, Stats) {
        let thread = self.thread.take().expect("joined once");
        within(|| thread.join()).expect("the server does not panic")
    }
}

impl<H: Send + 'static> Drop for Server<H> {
    fn drop(&mut self) {
        self.remote.stop();
    }
}

/// A blocking client that fails rather than hangs.
pub fn connect(to: SocketAddr) -> TcpStream {
    descriptors::raise_limit();
    patient(TcpStream::connect(to).unwrap())
}

/// A client that takes and holds little, so that what the server sends has to wait in the server.
pub fn connect_narrow(to: SocketAddr) -> TcpStream {
    descriptors::raise_limit();
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    // Before `connect`, which announces how far the window can be scaled, tcp(7).
    socket.set_recv_buffer_size(32 << 10).unwrap();
    socket.set_send_buffer_size(32 << 10).unwrap();
    socket.connect(&to.into()).unwrap();
    patient(socket.into())
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // Or a small message could wait for an acknowledgement and be lost if the client resets meanwhile.
    stream.set_nodelay(true).unwrap();
    stream
}

/// Closes with a reset in place of an end of file.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// `assert_eq!` that does not print megabytes.
#[track_caller]
pub fn assert_same(found: &[u8], expected: &[u8]) {
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    assert_eq!(differs, None, "the first byte that differs");
    assert_eq!(found.len(), expected.len(), "all before it is right");
}

/// Sends back what it receives.
#[derive(Default)]
pub struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        conn.send_all(input);
        input.len()
    }
}

/// Bytes in which every place can be told from its neighbours, and from the same place of another seed.
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// Sends `message` and reads until as much has come back.
pub fn exchange(stream: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    stream.write_all(message).unwrap();
    let mut echo = vec![0; message.len()];
    stream.read_exact(&mut echo).unwrap();
    echo
}

/// A column of the line that Linux has for one end of a connection, counted from 0: proc(5), `/proc/net/tcp`.
#[cfg(target_os = "linux")]
pub fn socket_column(local: SocketAddr, remote: SocketAddr, column: usize) -> String {
    let hexadecimal = |at: SocketAddr| match at {
        SocketAddr::V4(at) => format!("{:08X}:{:04X}", u32::from_ne_bytes(at.ip().octets()), at.port()),
        SocketAddr::V6(at) => panic!("{at}"),
    };
    let pair = format!(" {} {} ", hexadecimal(local), hexadecimal(remote));
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let line = table.lines().find(|line| line.contains(&pair)).expect("the connection is open");
    line.split_whitespace().nth(column).expect("it has that many columns").into()
}

/// How a stream ended, as its client sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Eof,
    Reset,
}

/// All that still comes, and how it ends.
pub fn read_out(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => (all, End::Eof),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (all, End::Reset),
        Err(error) => panic!("no end after {} bytes: {error}", all.len()),
    }
}
