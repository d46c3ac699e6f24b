//! How another thread ends a server that waits in `accept`.

use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io, mem};

use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};

use super::ACCEPT_PAUSE;

/// The time that a wake-up connection may take. A connection over loopback takes longer only if the backlog is full, and
/// then `accept` does not sleep.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// Ends a [`Server`](super::Server) from another thread. A clone ends the same server.
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

/// The clients that are being served, and whether the server is stopped. A stop shuts the connections of these clients
/// down.
#[derive(Debug, Default)]
pub(super) struct Clients {
    state: Mutex<State>,
    /// Notified when the server is stopped, and when an `accept` of a stopped server has returned.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// True while a thread is in `accept`, or is about to call `accept`. No thread sets this flag once `stopped` is set.
    accepting: bool,
    streams: Slab<Arc<TcpStream>>,
}

/// A client that is being served. Dropping a `Client` takes the client off the list and closes the connection.
#[derive(Debug)]
pub(super) struct Client<'a> {
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    key: usize,
    clients: &'a Clients,
}

impl Stopper {
    /// Ends the server. The server accepts no more clients, the connections of the present clients are shut down, and the
    /// method that serves returns. A second call does nothing. If the server does not serve yet, the method that serves
    /// will return at once.
    ///
    /// Bytes of an echo that a client has not yet received are lost. The blocking server cannot deliver these bytes first,
    /// because it would have to wait for each client with a deadline for every call. The drain of the reactor delivers
    /// them.
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
        // The doors are taken out, so that their descriptors are free again when this method returns.
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

/// Connects to the first door that takes a connection. If all doors fail, the error is that of the last door.
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
    /// Puts a client on the list. If the server is stopped, closes the connection and returns `None`.
    pub(super) fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Option<Client<'_>> {
        // The flag is read and the client is listed under one lock. So `stop` cannot run in between and miss the client.
        let mut state = self.lock();
        if state.stopped {
            return None;
        }
        let stream = Arc::new(stream);
        let key = state.streams.insert(Arc::clone(&stream));
        Some(Client { stream, peer, key, clients: self })
    }

    /// Calls `accept`, which may sleep until a client comes. If the server is stopped, returns `None` without a call.
    ///
    /// One lock guards both `stopped` and `accepting`. So either this method sees that the server is stopped, or
    /// [`Stopper::stop`] sees that it has to wake a thread.
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

    /// Sleeps while the condition holds, for [`ACCEPT_PAUSE`] at most. Returns true if the condition still holds then.
    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), ACCEPT_PAUSE, |state| condition(state));
        // A poisoned lock does not matter, see `lock`.
        waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Marks the server as stopped, and shuts down the connections of its clients. Returns true if this call was the first.
    fn stop(&self) -> bool {
        let mut state = self.lock();
        if state.stopped {
            return false;
        }
        state.stopped = true;
        for (_, stream) in &state.streams {
            // The shutdown wakes the thread that waits in recv or send. It fails only if the connection has ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock does not matter: nothing panics under the lock, and the flag and the list are always complete.
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

/// Returns the doors of a listener. If the listener is at the address of all interfaces, the doors have loopback addresses,
/// because not every system connects to that address.
fn doors(listener: SocketAddr) -> io::Result<Vec<Door>> {
    let four = SocketAddr::from((Ipv4Addr::LOCALHOST, listener.port()));
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, listener.port()));
    match listener {
        SocketAddr::V4(at) if at.ip().is_unspecified() => Ok(vec![Door::new(four)?]),
        SocketAddr::V6(at) if at.ip().is_unspecified() => {
            // The listener may take IPv4 connections as well, and the loopback interface may have no IPv6 address. A
            // machine may also lack IPv4, so the second door is optional.
            let mut doors = vec![Door::new(six)?];
            doors.extend(Door::new(four));
            Ok(doors)
        }
        at => Ok(vec![Door::new(at)?]),
    }
}
