//! Ending a server that sits in `accept`: what the textbooks leave out.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;

/// Ends a [`Server`](super::Server) from another thread. Cloning gives another handle of the same server.
#[derive(Clone, Debug)]
pub struct Stopper {
    door: SocketAddr,
    clients: Arc<Clients>,
}

/// The clients that are being served, so that they can be cut off.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    streams: Slab<Arc<TcpStream>>,
}

/// A client that is being served: off the list, and closed, once it is dropped.
#[derive(Debug)]
pub(super) struct Client<'a> {
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    key: usize,
    clients: &'a Clients,
}

impl Stopper {
    /// Ends the server: it accepts nobody any more, the connections of the present clients are shut down, and the method
    /// that serves returns. A second call does nothing; one before the server serves lets it return at once.
    ///
    /// What a client had not yet got back is lost. To deliver it first one would have to wait for each client, but not
    /// for ever, which takes a deadline for every call: the reactor's drain has it.
    ///
    /// # Portability
    ///
    /// A thread that sleeps in `accept` is woken by a connection to its own listener. Closing the listener does not wake
    /// it, and `shutdown` does so on some systems only. The connection takes a free descriptor of this process.
    ///
    /// # Examples
    ///
    /// ```
    /// let server = tidegate::blocking::Server::bind("127.0.0.1:0")?;
    /// server.stopper()?.stop();
    /// server.serve_one_at_a_time(); // returns at once
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stop(&self) {
        if !self.clients.stop() {
            return;
        }
        // A backlog that is full may leave the call without an answer, but then accept does not sleep either.
        let patience = Duration::from_secs(1);
        if !doors(self.door).iter().any(|door| TcpStream::connect_timeout(door, patience).is_ok()) {
            log::debug!("{} could not be reached to end its server", self.door);
        }
    }

    pub(super) fn new(door: SocketAddr, clients: Arc<Clients>) -> Stopper {
        Stopper { door, clients }
    }
}

impl Clients {
    /// Puts a client on the list, or turns it away: `None` once the server is stopped.
    pub(super) fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Option<Client<'_>> {
        // Looked at and entered under one lock: no client can slip in between the flag and the shutdown of all.
        let mut state = self.lock();
        if state.stopped {
            return None;
        }
        let stream = Arc::new(stream);
        let key = state.streams.insert(Arc::clone(&stream));
        Some(Client { stream, peer, key, clients: self })
    }

    pub(super) fn are_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Whether this was the first call.
    fn stop(&self) -> bool {
        let mut state = self.lock();
        if state.stopped {
            return false;
        }
        state.stopped = true;
        for (_, stream) in &state.streams {
            // Wakes the thread in its recv or send. It fails if the client is gone, which is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock, and a flag and a list are whole in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client<'_> {
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.clients.lock().streams.remove(self.key);
    }
}

impl fmt::Display for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}

/// Where a listener can be reached from its own machine: not every system connects to the address of all interfaces.
fn doors(at: SocketAddr) -> Vec<SocketAddr> {
    let four = SocketAddr::from((Ipv4Addr::LOCALHOST, at.port()));
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, at.port()));
    match at {
        SocketAddr::V4(at) if at.ip().is_unspecified() => vec![four],
        // It may take IPv4 as well, on a machine whose loopback has no IPv6.
        SocketAddr::V6(at) if at.ip().is_unspecified() => vec![six, four],
        _ => vec![at],
    }
}
