//! The floor: a bare mio loop that parses frames in place, in a buffer of each connection.
//!
//! A frame whose end is missing is moved in front of the place where the next `recv` writes. So the server copies only
//! incomplete frames, and each `recv` writes to the begin of a page, where the kernel copies fastest.

use std::io;

use mio::event::Event;
use mio::net::TcpStream;
use slab::Slab;

use super::super::bare::{self, SHORT_READ_DRAINS, Service};
use crate::protocol::{FRAME_HEADER, LONGEST_FRAME, Ledger};

/// The length of a `recv`.
const PORTION: usize = 256 << 10;

/// The size of a page.
const PAGE: usize = 4096;

/// The room for an incomplete frame, rounded up to whole pages.
const ROOM: usize = (LONGEST_FRAME + FRAME_HEADER).next_multiple_of(PAGE);

pub fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    bare::serve(listener, Framed)
}

pub struct Framed;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The index in the buffer where each `recv` writes: the begin of a page.
    middle: usize,
    /// The number of bytes of an incomplete frame, which stand directly before `middle`.
    tail: usize,
    ledger: Ledger,
    unsent: Vec<u8>,
    ending: bool,
}

impl Service for Framed {
    type Connection = Connection;

    fn open(&mut self, stream: TcpStream) -> Connection {
        let buffer = vec![0; ROOM + PORTION + PAGE];
        // The vector does not grow, so the middle stays aligned.
        let middle = ROOM + buffer.as_ptr().align_offset(PAGE).min(PAGE);
        let ledger = Ledger::default();
        Connection { stream, buffer, middle, tail: 0, ledger, unsent: Vec::new(), ending: false }
    }

    fn on_event(
        &mut self,
        connections: &mut Slab<Connection>,
        key: usize,
        event: &Event,
    ) -> io::Result<bool> {
        let connection = &mut connections[key];
        connection.ending |= event.is_read_closed() || event.is_error();
        bare::flush(&mut connection.stream, &mut connection.unsent)?;
        if event.is_readable() || connection.ending { connection.receive() } else { Ok(true) }
    }
}

impl Connection {
    /// Returns false at the end of the stream.
    fn receive(&mut self) -> io::Result<bool> {
        loop {
            let portion = &mut self.buffer[self.middle..self.middle + PORTION];
            let Some(received) = bare::read(&mut self.stream, portion)? else { return Ok(true) };
            if received == 0 {
                self.unsent.extend(self.ledger.last().into_iter().flatten());
                bare::flush(&mut self.stream, &mut self.unsent)?;
                return Ok(false);
            }
            self.parse(received)?;
            if let Some(acknowledgement) = self.ledger.due() {
                self.unsent.extend(acknowledgement);
                bare::flush(&mut self.stream, &mut self.unsent)?;
            }
            if SHORT_READ_DRAINS && received < PORTION && !self.ending {
                return Ok(true);
            }
        }
    }

    fn parse(&mut self, received: usize) -> io::Result<()> {
        let end = self.middle + received;
        let mut rest = &self.buffer[self.middle - self.tail..end];
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > LONGEST_FRAME {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some((frame, after)) = after.split_at_checked(length) else { break };
            self.ledger.add(frame);
            rest = after;
        }
        self.tail = rest.len();
        self.buffer.copy_within(end - self.tail..end, self.middle - self.tail);
        Ok(())
    }
}
