//! The loop that the bare mio servers of the services other than the echo share. The echo has a loop of its own, because
//! the echo is the floor of most figures and has no indirection.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// The token of the listener. The tokens of connections are the keys of a slab, which never reach this number.
const LISTENER: Token = Token(usize::MAX);

/// True if a read that returns less than the length of the buffer has emptied the socket, see epoll(7). The end of the
/// stream may still follow.
pub const SHORT_READ_DRAINS: bool = cfg!(all(target_os = "linux", not(mio_unsupported_force_poll_poll)));

pub trait Service {
    type Connection;

    fn open(&mut self, stream: TcpStream) -> Self::Connection;

    /// Handles an event. Returns false if the connection has ended.
    fn on_event(
        &mut self,
        connections: &mut Slab<Self::Connection>,
        key: usize,
        event: &Event,
    ) -> io::Result<bool>;
}

/// A loop without its `loop`: the owner calls each turn.
pub struct Loop<S: Service> {
    listener: TcpListener,
    poll: Poll,
    events: Events,
    connections: Slab<S::Connection>,
    service: S,
}

pub fn serve<S: Service>(listener: std::net::TcpListener, service: S) -> io::Result<()> {
    let mut server = Loop::new(listener, service)?;
    loop {
        server.turn(None)?;
    }
}

impl<S: Service> Loop<S> {
    pub fn new(listener: std::net::TcpListener, service: S) -> io::Result<Self> {
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (events, connections) = (Events::with_capacity(1024), Slab::new());
        Ok(Self { listener, poll, events, connections, service })
    }

    /// Waits for events, for ever or for `wait`, and handles the events. Returns false if there were no events.
    pub fn turn(&mut self, wait: Option<Duration>) -> io::Result<bool> {
        let Self { listener, poll, events, connections, service } = self;
        match poll.poll(events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            result => result?,
        }
        for event in &*events {
            if event.token() == LISTENER {
                accept(listener, poll, connections, service)?;
                continue;
            }
            let key = event.token().0;
            if connections.contains(key) && !service.on_event(connections, key, event).unwrap_or(false) {
                // The drop closes the connection, and the close also removes the connection from the poll.
                connections.remove(key);
            }
        }
        Ok(!events.is_empty())
    }
}

fn accept<S: Service>(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Slab<S::Connection>,
    service: &mut S,
) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                if !cfg!(target_os = "linux") {
                    stream.set_nodelay(true)?;
                }
                let entry = connections.vacant_entry();
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(entry.key()), interest)?;
                entry.insert(service.open(stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            // A public server would pause here if there are no descriptors left.
            Err(error) => return Err(error),
        }
    }
}

/// Calls `recv` once. Returns `None` if the socket is empty.
pub fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.read(buffer) {
            Ok(received) => return Ok(Some(received)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends the bytes in `unsent`. Bytes that the kernel does not accept stay in `unsent`.
pub fn flush(stream: &mut TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    while !unsent.is_empty() {
        match stream.write(unsent) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => drop(unsent.drain(..taken)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
