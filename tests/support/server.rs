//! A server in a thread of its own.

use std::{
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use tidegate::{Accepted, Conn, EventLoop, Handler, ListenOptions, Net, Options, Remote, Stats};

use super::{connect, descriptors::raise_limit, within};

/// A loop that runs in a thread of its own until the `Server` is stopped or dropped.
pub struct Server<H: Send + 'static> {
    pub address: SocketAddr,
    pub remote: Remote,
    thread: Option<JoinHandle<(H, Stats)>>,
}

impl<H: Handler<Session: Send> + Send + 'static> Server<H> {
    pub fn start(options: Options, handler: H) -> Self {
        Self::start_with(options, ListenOptions::default(), handler)
    }

    pub fn start_with(options: Options, listen: ListenOptions, handler: H) -> Self {
        raise_limit();
        let mut event_loop = EventLoop::new(options).unwrap();
        let address = crate::TRANSPORT.listen(event_loop.net(), listen);
        Self::run((event_loop, address), handler)
    }

    /// Runs a loop that is listening at this address.
    pub fn run((mut event_loop, address): (EventLoop<H::Session>, SocketAddr), mut handler: H) -> Self {
        let remote = event_loop.remote();
        let thread = thread::spawn(move || {
            event_loop.run(&mut handler).unwrap();
            (handler, event_loop.net().stats().clone())
        });
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
