//! The floor: a bare mio loop with a queue of shared messages for each subscriber.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::Arc;

use mio::event::Event;
use mio::net::TcpStream;
use slab::Slab;

use super::super::bare::{self, SHORT_READ_DRAINS, Service};
use super::MOST_BEHIND;
use crate::protocol::{MESSAGE, PUBLISH, SUBSCRIBE};

/// The largest number of messages in one `writev`.
const SLICES: usize = 64;

pub fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    bare::serve(listener, Broadcast { buffer: vec![0; 256 << 10] })
}

struct Broadcast {
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    role: Role,
    ending: bool,
}

enum Role {
    Unknown,
    Subscriber(Queue),
    /// The beginning of a message whose end is missing.
    Publisher(Vec<u8>),
}

impl Service for Broadcast {
    type Connection = Connection;

    fn open(&mut self, stream: TcpStream) -> Connection {
        Connection { stream, role: Role::Unknown, ending: false }
    }

    fn on_event(
        &mut self,
        connections: &mut Slab<Connection>,
        key: usize,
        event: &Event,
    ) -> io::Result<bool> {
        let connection = &mut connections[key];
        connection.ending |= event.is_read_closed() || event.is_error();
        if let Role::Subscriber(queue) = &mut connection.role
            && event.is_writable()
        {
            queue.is_blocked = false;
            queue.flush(&mut connection.stream)?;
        }
        if event.is_readable() || connection.ending { self.receive(connections, key) } else { Ok(true) }
    }
}

impl Broadcast {
    /// Returns false at the end of the stream.
    fn receive(&mut self, connections: &mut Slab<Connection>, key: usize) -> io::Result<bool> {
        loop {
            let connection = &mut connections[key];
            let Some(received) = bare::read(&mut connection.stream, &mut self.buffer)? else {
                return Ok(true);
            };
            if received == 0 {
                return Ok(false);
            }
            let is_drained = SHORT_READ_DRAINS && received < self.buffer.len() && !connection.ending;
            let mut input = &self.buffer[..received];
            if let Role::Unknown = connection.role {
                connection.role = Role::of(input[0], &mut connection.stream)?;
                input = &input[1..];
            }
            match &mut connection.role {
                Role::Publisher(begin) => {
                    let messages = messages(begin, input);
                    publish(connections, &messages);
                }
                _ if input.is_empty() => {}
                _ => return Err(ErrorKind::InvalidData.into()),
            }
            if is_drained {
                return Ok(true);
            }
        }
    }
}

impl Role {
    fn of(byte: u8, stream: &mut TcpStream) -> io::Result<Self> {
        match byte {
            PUBLISH => Ok(Role::Publisher(Vec::new())),
            SUBSCRIBE => {
                // The socket is new, so the kernel accepts the byte.
                stream.write_all(&[SUBSCRIBE])?;
                Ok(Role::Subscriber(Queue::default()))
            }
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
}

/// Returns the whole messages in `begin` and `input`, and leaves the rest in `begin`.
fn messages(begin: &mut Vec<u8>, mut input: &[u8]) -> Vec<Arc<[u8]>> {
    let mut messages = Vec::with_capacity(input.len() / MESSAGE + 1);
    if !begin.is_empty() {
        let (more, rest) = input.split_at(input.len().min(MESSAGE - begin.len()));
        begin.extend_from_slice(more);
        input = rest;
        if begin.len() == MESSAGE {
            messages.push(Arc::from(&begin[..]));
            begin.clear();
        }
    }
    let whole = input.chunks_exact(MESSAGE);
    begin.extend_from_slice(whole.remainder());
    messages.extend(whole.map(Arc::from));
    messages
}

fn publish(connections: &mut Slab<Connection>, messages: &[Arc<[u8]>]) {
    for (_, connection) in connections.iter_mut() {
        let Role::Subscriber(queue) = &mut connection.role else { continue };
        queue.messages.extend(messages.iter().map(Arc::clone));
        let is_behind = queue.messages.len() * MESSAGE > MOST_BEHIND;
        if is_behind || queue.flush(&mut connection.stream).is_err() {
            // An event with the end of the stream follows, and removes the connection.
            let _ = connection.stream.shutdown(std::net::Shutdown::Both);
            connection.role = Role::Unknown;
        }
    }
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Arc<[u8]>>,
    /// The number of bytes of the first message that the kernel has accepted already.
    taken: usize,
    /// True if the kernel accepts no more bytes until an event reports the socket as writable.
    is_blocked: bool,
}

impl Queue {
    fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while !self.messages.is_empty() && !self.is_blocked {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut skipped = self.taken;
            for (slice, message) in slices.iter_mut().zip(&self.messages) {
                *slice = IoSlice::new(&message[skipped..]);
                skipped = 0;
            }
            let count = self.messages.len().min(SLICES);
            match stream.write_vectored(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    let taken = self.taken + taken;
                    self.messages.drain(..taken / MESSAGE);
                    self.taken = taken % MESSAGE;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_portions_of_any_length() {
        let stream: Vec<u8> = (0..MESSAGE * 5).map(|at| (at / 3) as u8).collect();
        for portion in [1, 100, MESSAGE - 1, MESSAGE, MESSAGE + 1, 3 * MESSAGE, 5 * MESSAGE] {
            let mut begin = Vec::new();
            let found: Vec<_> =
                stream.chunks(portion).flat_map(|input| messages(&mut begin, input)).collect();
            assert!(found.iter().all(|message| message.len() == MESSAGE), "{portion}");
            assert_eq!(found.concat(), stream, "{portion}");
            assert!(begin.is_empty());
        }
    }
}
