//! Tests of a connection over a scripted stream, without a socket, a clock or a reactor.

mod ending;
mod generate;
mod needing;
mod operations;
mod receiving;
mod script;
mod sending;
mod try_send;

use std::{io, sync::Arc};

use crate::{
    CloseKind, Flow, Options, Stats,
    buffer::{Owned, Segment, SharedBlocks},
};

use super::{Connection, Flags, Inbox, Outbox, Phase, Piece, Received};
use crate::socket::readiness::Readiness;
use script::{Script, Step, incoming_bytes};

const READABLE: Readiness = Readiness::READABLE;
const WRITABLE: Readiness = Readiness::WRITABLE;

/// A connection, with the options and statistics that a reactor would pass to it.
#[derive(Debug)]
struct Bench {
    connection: Connection<Script>,
    limits: Options,
    stats: Stats,
    blocks: SharedBlocks,
    /// The number of pieces that were sent.
    pieces: usize,
}

impl Bench {
    fn new(script: Script, short_read_drains: bool, limits: Options) -> Self {
        let connection = Connection::new(script, short_read_drains);
        let (limits, stats, blocks) = (limits.checked(), Stats::default(), SharedBlocks::default());
        Self { connection, limits, stats, blocks, pieces: 0 }
    }

    /// Makes a bench whose stream was reported writable. After its steps, the stream takes all bytes.
    fn writing(steps: impl IntoIterator<Item = Step>) -> Self {
        let mut bench = Self::new(Script::new([], steps), false, Options::default());
        bench.note(WRITABLE);
        bench
    }

    /// Makes a bench whose stream was reported readable. A short read of this stream does not mean that the stream is
    /// empty.
    fn reading(steps: impl IntoIterator<Item = Step>) -> Self {
        let mut bench = Self::new(Script::new(steps, []), false, Options::default());
        bench.note(READABLE);
        bench
    }

    fn limits(mut self, set: impl FnOnce(Options) -> Options) -> Self {
        self.limits = set(self.limits).checked();
        self
    }

    fn note(&mut self, readiness: Readiness) {
        let script = self.connection.stream_mut();
        script.write_waits &= !readiness.writable;
        self.connection.set_ready(readiness);
    }

    fn send(&mut self, bytes: &[u8]) -> Flow {
        self.send_behind(&[], bytes)
    }

    fn send_behind(&mut self, gathered: &[u8], bytes: &[u8]) -> Flow {
        let piece = self.piece(bytes);
        self.connection.send(gathered, piece, &self.limits, &mut self.stats)
    }

    /// Sends the bytes that a callback gathered, without further bytes behind them.
    fn send_gathered(&mut self, gathered: &[u8]) {
        let Self { connection, limits, stats, .. } = self;
        if connection.goes_at_once(gathered, limits) {
            connection.send_at_once(gathered, limits, stats);
        } else {
            connection.send_behind(gathered, limits, stats);
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Flow {
        let piece = self.piece(bytes);
        self.connection.keep(piece, &self.limits, &mut self.stats)
    }

    /// Makes a piece of each kind in turn, because the kinds must not differ in the bytes that the kernel gets.
    fn piece<'a>(&mut self, bytes: &'a [u8]) -> Piece<'a> {
        self.pieces += 1;
        match self.pieces % 3 {
            0 => Piece::Segment(Segment::Owned(Owned::new(bytes.to_vec()))),
            1 => Piece::Borrowed(bytes),
            _ => Piece::Segment(Segment::Shared(self.blocks.share(&Arc::from(bytes), 0..bytes.len()))),
        }
    }

    fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.try_send(bytes, &self.limits, &mut self.stats)
    }

    fn flush(&mut self) {
        self.connection.flush(&self.limits, &mut self.stats);
    }

    /// Flushes after each write event that the script still contains.
    fn flush_with_room(&mut self) {
        while let Some(event) = self.connection.stream_mut().let_write() {
            self.note(event);
            self.flush();
        }
    }

    fn receive(&mut self, len: usize) -> (Received, Vec<u8>) {
        let mut buffer = vec![0; len];
        let received = self.connection.receive(&mut buffer, &mut self.stats);
        buffer.truncate(if let Received::Data(n) = received { n } else { 0 });
        (received, buffer)
    }

    /// Puts bytes that the handler did not consume into the inbox, as a reactor does.
    fn leave_in_inbox(&mut self, bytes: &[u8], held: bool) {
        let mut inbox = self.connection.take_inbox();
        inbox.push(bytes);
        self.connection.put_inbox(inbox, held);
    }

    fn take_writable(&mut self) -> bool {
        self.connection.take_writable(&self.limits)
    }

    fn is_due(&self) -> bool {
        self.connection.is_due(&self.limits)
    }

    fn written(&self) -> &[u8] {
        &self.connection.stream().written
    }

    /// Returns the reason of the end that was recorded, without taking it.
    fn reason(&self) -> Option<CloseKind> {
        self.connection.reason
    }
}
