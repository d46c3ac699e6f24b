//! A server in a thread, and the few handlers and clients that several tests share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use tidegate::{Accepted, Conn, EventLoop, Handler, ListenOptions, Net, Options, Remote, Stats};

/// Longer than anything here takes, short enough that a test which hangs is seen to fail.
pub const PATIENCE: Duration = Duration::from_secs(30);

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
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Ends the loop, leaving everything in place, and gives back what the test wants to look at.
    pub fn stop(mut self) -> (H, Stats) {
        self.remote.stop();
        self.join()
    }

    pub fn drain(mut self, grace: Duration) -> (H, Stats) {
        self.remote.drain(grace);
        self.join()
    }

    fn join(&mut self) -> (H, Stats) {
        let thread = self.thread.take().expect("joined once");
        thread.join().expect("the server does not panic")
    }
}

impl<H: Send + 'static> Drop for Server<H> {
    fn drop(&mut self) {
        self.remote.stop();
    }
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
