//! A server in a thread of its own.

use std::{
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use tidegate::{Accepted, Conn, EventLoop, Handler, ListenOptions, Net, Options, Remote, Stats};

use super::{PATIENCE, connect, descriptors::raise_limit, within};

/// A loop that runs in a thread of its own until the `Server` is stopped or dropped.
pub struct Server<H: Send + 'static> {
    pub address: SocketAddr,
    pub remote: Remote,
    pub(super) thread: Option<JoinHandle<(H, Stats)>>,
}

impl<H: Handler + Send + 'static> Server<H> {
    /// Makes the handler in the thread of the server, so that a session need not be `Send`.
    pub fn start(options: Options, make: impl FnOnce() -> H + Send + 'static) -> Self {
        Self::start_with(options, ListenOptions::default(), make)
    }

    pub fn start_with(
        options: Options,
        listen: ListenOptions,
        make: impl FnOnce() -> H + Send + 'static,
    ) -> Self {
        raise_limit();
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

    /// Connects a blocking client, whose calls fail after [`PATIENCE`].
    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Stops the loop, which leaves connections open, and returns the handler and the statistics.
    pub fn stop(self) -> (H, Stats) {
        self.remote.stop();
        self.join()
    }

    pub fn drain(self, grace: Duration) -> (H, Stats) {
        self.remote.drain(grace);
        self.join()
    }

    /// Waits until the loop has ended.
    pub fn join(mut self) -> (H, Stats) {
        let thread = self.thread.take().expect("`join` is called once");
        within(|| thread.join()).expect("the server does not panic")
    }
}

impl<H: Send + 'static> Drop for Server<H> {
    fn drop(&mut self) {
        self.remote.stop();
    }
}

/// Sends back each message.
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
