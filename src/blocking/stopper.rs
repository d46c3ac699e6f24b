//! Ending a server that sits in `accept`: what the textbooks leave out.

use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io, mem};

use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use super::ACCEPT_PAUSE;

/// How long a wake-up connection may take. A connection over loopback takes longer only if the backlog is full, and
/// then `accept` does not sleep either.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// Ends a [`Server`](super::Server) from another thread. Cloning gives another handle of the same server.
#[derive(Clone, Debug)]
pub struct Stopper {
    clients: Arc<Clients>,
    doors: Arc<Mutex<Vec<Door>>>,
}

/// An address at which the listener can be reached from its own machine, and a socket that is not connected yet.
///
/// The socket exists from the start because a server may have to be ended while its process has no free descriptor.
#[derive(Debug)]
struct Door {
    at: SocketAddr,
    socket: Socket,
}

/// The clients that are being served, so that they can be cut off, and whether the server goes on.
#[derive(Debug, Default)]
pub(super) struct Clients {
    state: Mutex<State>,
    /// Notified when the server is stopped, and when an `accept` of a stopped server has returned.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// A thread is in `accept`, or is about to call `accept`. No thread sets this flag once `stopped` is set.
    accepting: bool,
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
    /// the thread, and `shutdown` does so on some systems only. The socket of this connection was made together with the
    /// stopper, so the call needs no free descriptor. If the connection fails nevertheless, for example because no port
    /// is free, the call tries again every 100 ms until `accept` has returned.
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
        // Taken, so that their descriptors are free again when this method returns.
        let mut doors = mem::take(&mut *self.doors.lock().unwrap_or_else(PoisonError::into_inner));
        let mut warned = false;
        while self.clients.accept_is_running() {
            let Err(error) = wake(&mut doors) else { return };
            let still_runs = self.clients.wait_while(|state| state.accepting);
            if still_runs && !warned {
                log::warn!("cannot wake a server to end it, trying again every {ACCEPT_PAUSE:?}: {error}");
                warned = true;
            }
        }
    }

    pub(super) fn new(listener: SocketAddr, clients: Arc<Clients>) -> io::Result<Stopper> {
        let doors = doors(listener)?;
        Ok(Stopper { clients, doors: Arc::new(Mutex::new(doors)) })
    }
}

impl Door {
    fn new(at: SocketAddr) -> io::Result<Door> {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        Ok(Door { at, socket })
    }

    /// Connects to the listener. The connection is closed when the door is dropped.
    fn connect(&mut self) -> io::Result<()> {
        let result = self.socket.connect_timeout(&self.at.into(), CONNECT_PATIENCE);
        // Not every system connects a socket whose connect has failed (connect(2)). The old socket is kept until there is
        // a new socket, because its descriptor might be the last.
        if result.is_err()
            && let Ok(fresh) = Door::new(self.at)
        {
            *self = fresh;
        }
        result
    }
}

/// Connects to the first door that takes a connection; the error is that of the last door.
fn wake(doors: &mut [Door]) -> io::Result<()> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for door in doors {
        result = door.connect();
        if result.is_ok() {
            break;
        }
    }
    result
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

    /// Calls `accept`, which may sleep until there is a client; `None` without a call once the server is stopped.
    ///
    /// Both the flag and the note that a thread is in `accept` are behind one lock. So either this method sees the flag,
    /// or [`Stopper::stop`] sees that a thread has to be woken.
    pub(super) fn accept_with<T>(&self, accept: impl FnOnce() -> T) -> Option<T> {
        let mut state = self.lock();
        if state.stopped {
            return None;
        }
        state.accepting = true;
        drop(state);
        let accepted = accept();
        let mut state = self.lock();
        state.accepting = false;
        if state.stopped {
            self.changed.notify_all();
        }
        Some(accepted)
    }

    fn accept_is_running(&self) -> bool {
        self.lock().accepting
    }

    /// Sleeps for [`ACCEPT_PAUSE`], or until the server is stopped.
    pub(super) fn pause(&self) {
        self.wait_while(|state| !state.stopped);
    }

    /// Sleeps while the condition holds, for [`ACCEPT_PAUSE`] at most. True if the condition still holds then.
    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), ACCEPT_PAUSE, |state| condition(state));
        // A poisoned lock does not matter, see `lock`.
        waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
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
        self.changed.notify_all();
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock, and a flag and a list are whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
fn doors(listener: SocketAddr) -> io::Result<Vec<Door>> {
    let four = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.port()));
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, listener.port()));
    match listener {
        SocketAddr::V4(at) if at.ip().is_unspecified() => Ok(vec![Door::new(four)?]),
        SocketAddr::V6(at) if at.ip().is_unspecified() => {
            // The listener may take IPv4 as well, on a machine whose loopback has no IPv6. A machine may lack IPv4.
            let mut doors = vec![Door::new(six)?];
            doors.extend(Door::new(four));
            Ok(doors)
        }
        at => Ok(vec![Door::new(at)?]),
    }
}
