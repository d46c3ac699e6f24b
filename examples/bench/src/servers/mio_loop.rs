//! The floor: a bare echo server over mio. The server makes the necessary system calls with as little code around the
//! calls as a careful author can write.
//!
//! The server only echoes, so the server needs no limits, no fairness, no timers and no callbacks. Partial reads and
//! writes and the rules of edge-triggered events are necessary even so.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::time::Duration;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

/// The token of the listener. The tokens of connections are the keys of a slab, which never reach this number.
const LISTENER: Token = Token(usize::MAX);

/// The alignment of the buffer. The kernel copies fastest to a buffer that begins at a page, as the library's own
/// buffer does. A large vector begins sixteen bytes after the begin of a page, behind the allocator's header, and that
/// would make the floor slower.
const ALIGNMENT: usize = 4096;

/// True if a read that returns less than the length of the buffer has emptied the socket, see epoll(7). The end of the
/// stream may still follow.
const SHORT_READ_DRAINS: bool = cfg!(all(target_os = "linux", not(mio_unsupported_force_poll_poll)));

struct Connection {
    stream: TcpStream,
    /// The bytes that the kernel did not accept, from `taken` on. The server reads nothing while there are such bytes.
    leftover: Vec<u8>,
    taken: usize,
    /// True if the peer has ended its side. No further event reports the end.
    ending: bool,
}

/// The echo loop without its `loop`: the owner calls each turn.
pub struct Loop {
    listener: TcpListener,
    poll: Poll,
    events: Events,
    connections: Slab<Connection>,
    storage: Vec<u8>,
    /// The aligned part of the storage.
    buffer: Range<usize>,
}

pub fn serve(listener: std::net::TcpListener, buffer: usize) -> io::Result<()> {
    let mut server = Loop::new(listener, buffer)?;
    loop {
        server.turn(None)?;
    }
}

impl Loop {
    pub fn new(listener: std::net::TcpListener, buffer: usize) -> io::Result<Self> {
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (events, connections) = (Events::with_capacity(1024), Slab::new());
        let storage = vec![0; buffer + ALIGNMENT - 1];
        // The vector does not grow, so the buffer stays aligned.
        let start = storage.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT - 1);
        Ok(Self { listener, poll, events, connections, storage, buffer: start..start + buffer })
    }

    /// Waits for events, for ever or for `wait`, and handles the events. Returns false if there were no events.
    pub fn turn(&mut self, wait: Option<Duration>) -> io::Result<bool> {
        let Self { listener, poll, events, connections, storage, buffer } = self;
        let buffer = &mut storage[buffer.clone()];
        match poll.poll(events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            result => result?,
        }
        for event in &*events {
            if event.token() == LISTENER {
                accept(listener, poll.registry(), connections)?;
                continue;
            }
            let key = event.token().0;
            if let Some(connection) = connections.get_mut(key)
                && !connection.on_event(event, buffer).unwrap_or(false)
            {
                // The drop closes the connection, and the close also removes the connection from the poll.
                connections.remove(key);
            }
        }
        Ok(!events.is_empty())
    }
}

fn accept(listener: &TcpListener, registry: &Registry, connections: &mut Slab<Connection>) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                if !cfg!(target_os = "linux") {
                    stream.set_nodelay(true)?;
                }
                let entry = connections.vacant_entry();
                let interest = Interest::READABLE | Interest::WRITABLE;
                registry.register(&mut stream, Token(entry.key()), interest)?;
                entry.insert(Connection { stream, leftover: Vec::new(), taken: 0, ending: false });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            // A public server would pause here if there are no descriptors left.
            Err(error) => return Err(error),
        }
    }
}

impl Connection {
    /// Returns false at the end of the stream.
    fn on_event(&mut self, event: &Event, buffer: &mut [u8]) -> io::Result<bool> {
        self.ending |= event.is_read_closed() || event.is_error();
        if self.leftover.is_empty() {
            if event.is_readable() || self.ending {
                return self.echo(buffer);
            }
        } else if event.is_writable() || self.ending {
            self.flush()?;
            if self.leftover.is_empty() {
                // The event for bytes that arrived meanwhile is already past, so the server reads now.
                return self.echo(buffer);
            }
        }
        Ok(true)
    }

    fn echo(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(received) => {
                    self.send(&buffer[..received])?;
                    let is_drained = SHORT_READ_DRAINS && received < buffer.len() && !self.ending;
                    if is_drained || !self.leftover.is_empty() {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let taken = write(&mut self.stream, bytes)?;
        if taken < bytes.len() {
            self.leftover.extend_from_slice(&bytes[taken..]);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.taken += write(&mut self.stream, &self.leftover[self.taken..])?;
        if self.taken == self.leftover.len() {
            // The memory is freed, because few connections need leftovers at a time.
            self.leftover = Vec::new();
            self.taken = 0;
        }
        Ok(())
    }
}

/// Writes until the kernel has accepted all bytes or returns `WouldBlock`. An event follows only after `WouldBlock`.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(more) => taken += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
