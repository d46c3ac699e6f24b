//! The workload of framed streams: each client sends frames as fast as the server takes the frames, and verifies the
//! acknowledgements.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::pattern::Pattern;
use super::{Idleness, PATIENCE, Tally, Target};
use crate::protocol::{self, ACKNOWLEDGEMENT, FRAME_HEADER, Ledger};

/// The approximate length of the frames that a client repeats.
const CYCLE: usize = 1 << 20;

/// The number of bytes that a client sends with one call.
const PORTION: usize = 256 << 10;

/// The parameters of a run.
#[derive(Clone, Copy)]
pub struct Plan {
    pub streams: usize,
    /// The length of a frame, without the length in front of the frame.
    pub frame: usize,
    /// The number of frames of a stream that may be sent before the server acknowledges. The server acknowledges after
    /// each MiB, so the number stands for more than a MiB.
    pub in_flight: usize,
    pub time: Duration,
    /// True if the server parses the frames. Otherwise only the number of bytes is compared.
    pub parses: bool,
}

/// Frames that the clients send again and again.
struct Cycle {
    bytes: Vec<u8>,
    /// The length of a frame with the length in front of the frame.
    whole: usize,
    /// The part of each frame that the digest depends on, in the order of the frames.
    words: Vec<u64>,
}

struct Client {
    stream: TcpStream,
    /// The position of the first frame of this client in the cycle.
    first: usize,
    sent: u64,
    /// The frames that the server has acknowledged.
    ledger: Ledger,
    acknowledged: u64,
    partial: [u8; ACKNOWLEDGEMENT],
    filled: usize,
    is_blocked: bool,
    /// The number of bytes after which this client ends its stream.
    end: Option<u64>,
    has_ended: bool,
    is_done: bool,
}

/// Sends frames on new connections for `time`, ends the streams, and waits until the server has acknowledged all frames.
pub fn run<'a>(
    to: impl Into<Target<'a>>,
    plan: &Plan,
    seed: u64,
    pattern: &Pattern,
) -> Result<Tally, String> {
    let to = to.into();
    let cycle = Cycle::new(plan.frame, seed, pattern);
    let window = (plan.in_flight * cycle.whole) as u64;
    let mut poll = Poll::new().map_err(|error| format!("cannot make a poll: {error}"))?;
    let mut events = Events::with_capacity(1024);
    let mut clients = (0..plan.streams)
        .map(|index| {
            Client::connect(to.address, &poll, index, &cycle).map_err(|error| super::name(index, &error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let begin = Instant::now();
    let end = begin + plan.time;
    let mut idleness = Idleness::new(begin);
    while clients.iter().any(|client| !client.is_done) {
        let backend_worked = to.look(&mut poll, &mut events, Duration::ZERO)?;
        let now = Instant::now();
        let mut is_idle = events.is_empty() && !backend_worked;
        for event in &events {
            let index = event.token().0;
            let client = &mut clients[index];
            client.is_blocked &= !event.is_writable();
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                client.receive(&cycle, plan.parses).map_err(|error| super::name(index, &error))?;
            }
        }
        for (index, client) in clients.iter_mut().enumerate() {
            if now >= end {
                // Each client sends at least one frame.
                let whole = cycle.whole as u64;
                client.end.get_or_insert(client.sent.next_multiple_of(whole).max(whole));
            }
            is_idle &= !client.send(&cycle, window).map_err(|error| super::name(index, &error))?;
        }
        idleness.note(now, is_idle);
        if now > end + PATIENCE {
            let index = clients.iter().position(|client| !client.is_done).unwrap_or_default();
            let Client { sent, acknowledged, .. } = clients[index];
            let missing =
                format!("the server acknowledged {acknowledged} of {sent} bytes within {PATIENCE:?}");
            return Err(super::name(index, &missing));
        }
    }
    let (seconds, busy) = idleness.end(Instant::now());
    let bytes = clients.iter().map(|client| client.sent).sum();
    Ok(Tally { seconds, busy, bytes, messages: bytes / cycle.whole as u64, ..Tally::default() })
}

impl Cycle {
    fn new(frame: usize, seed: u64, pattern: &Pattern) -> Self {
        let whole = FRAME_HEADER + frame;
        let count = (CYCLE / whole).max(1);
        let mut bytes = Vec::with_capacity(count * whole);
        let mut words = Vec::with_capacity(count);
        for number in 0..count {
            let content = pattern.at(seed + (number * whole) as u64, frame);
            bytes.extend_from_slice(&u32::try_from(frame).expect("a frame is short").to_be_bytes());
            bytes.extend_from_slice(content);
            words.push(protocol::abstract_of(content));
        }
        Self { bytes, whole, words }
    }

    /// Returns the bytes from a position in the endless stream, up to the end of the cycle.
    fn at(&self, position: u64) -> &[u8] {
        &self.bytes[(position % self.bytes.len() as u64) as usize..]
    }
}

impl Client {
    fn connect(to: SocketAddr, poll: &Poll, index: usize, cycle: &Cycle) -> Result<Self, String> {
        let open = || {
            let stream = super::connect(to)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            Ok(stream)
        };
        let stream = open().map_err(|error: std::io::Error| format!("cannot connect: {error}"))?;
        Ok(Self {
            stream,
            // Each client begins with another frame, so that a server that mixes up two clients fails.
            first: index * 7 % cycle.words.len() * cycle.whole,
            sent: 0,
            ledger: Ledger::default(),
            acknowledged: 0,
            partial: [0; ACKNOWLEDGEMENT],
            filled: 0,
            is_blocked: false,
            end: None,
            has_ended: false,
            is_done: false,
        })
    }

    /// Sends one portion, or ends the stream. Returns false if the client has to wait for the server.
    fn send(&mut self, cycle: &Cycle, window: u64) -> Result<bool, String> {
        if self.has_ended || self.is_blocked {
            return Ok(false);
        }
        if self.end == Some(self.sent) {
            self.stream.shutdown(Shutdown::Write).map_err(|error| format!("cannot end: {error}"))?;
            self.has_ended = true;
            return Ok(true);
        }
        let limit = self.end.unwrap_or(self.acknowledged + window);
        let room = limit.saturating_sub(self.sent).min(PORTION as u64) as usize;
        let bytes = cycle.at(self.first as u64 + self.sent);
        let bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() {
            return Ok(false);
        }
        match self.stream.write(bytes) {
            Ok(0) => return Err("a send accepted no bytes".into()),
            Ok(taken) => self.sent += taken as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("cannot send after {} bytes: {error}", self.sent)),
        }
        Ok(true)
    }

    /// Receives acknowledgements until there are no more.
    fn receive(&mut self, cycle: &Cycle, parses: bool) -> Result<(), String> {
        loop {
            match self.stream.read(&mut self.partial[self.filled..]) {
                Ok(0) if self.has_ended && self.filled == 0 && self.acknowledged == self.sent => {
                    self.is_done = true;
                    return Ok(());
                }
                Ok(0) => {
                    let Self { acknowledged, sent, .. } = self;
                    return Err(format!(
                        "closed by the server after {acknowledged} of {sent} bytes were acknowledged"
                    ));
                }
                Ok(bytes) => self.filled += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot receive: {error}")),
            }
            if self.filled == ACKNOWLEDGEMENT {
                self.filled = 0;
                let (bytes, digest) = Ledger::parse(self.partial);
                self.verify(bytes, digest, cycle, parses)?;
            }
        }
    }

    fn verify(&mut self, bytes: u64, digest: u64, cycle: &Cycle, parses: bool) -> Result<(), String> {
        if bytes <= self.acknowledged || bytes > self.sent {
            let Self { acknowledged, sent, .. } = self;
            return Err(format!(
                "{bytes} bytes are acknowledged, after an acknowledgement of {acknowledged} of {sent} bytes"
            ));
        }
        self.acknowledged = bytes;
        if !parses {
            return Ok(());
        }
        while self.ledger.bytes < bytes {
            let number = (self.first as u64 + self.ledger.bytes) / cycle.whole as u64;
            let words = cycle.words[(number % cycle.words.len() as u64) as usize];
            self.ledger.add_known(cycle.whole - FRAME_HEADER, words);
        }
        if self.ledger.bytes != bytes {
            return Err(format!("{bytes} bytes are acknowledged, which are not whole frames"));
        }
        if self.ledger.digest != digest {
            return Err(format!("the acknowledged frames in {bytes} bytes differ from the sent frames"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Runs two streams against a server that acknowledges at the end of the stream. `fault` changes the bytes
    /// that the server has received.
    fn outcome(parses: bool, fault: fn(&mut Vec<u8>)) -> Result<Tally, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let plan = Plan { streams: 2, frame: 1000, in_flight: 500, time: Duration::from_millis(1), parses };
        thread::scope(|scope| {
            for _ in 0..plan.streams {
                let listener = &listener;
                scope.spawn(move || {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut input = Vec::new();
                    // The client has seen the fault of another stream if the read fails.
                    if stream.read_to_end(&mut input).is_err() {
                        return;
                    }
                    fault(&mut input);
                    let mut ledger = Ledger::default();
                    let mut rest = &input[..];
                    while let Some((length, after)) = rest.split_first_chunk() {
                        let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
                        ledger.add(frame);
                        rest = after;
                    }
                    // An error means that the client has found a fault already.
                    let _ = ledger.last().map(|acknowledgement| stream.write_all(&acknowledgement));
                });
            }
            run(to, &plan, 5, &Pattern::new())
        })
    }

    #[test]
    fn all_frames_are_acknowledged() {
        for parses in [true, false] {
            let tally = outcome(parses, |_| {}).unwrap();
            assert!(tally.messages >= 2, "{}", tally.messages);
            assert_eq!(tally.bytes, tally.messages * 1004);
        }
    }

    #[test]
    fn changed_additional_and_missing_frames_are_errors() {
        let changed = |input: &mut Vec<u8>| input[4] ^= 1;
        let error = outcome(true, changed).err().unwrap();
        assert!(error.contains("differ from the sent frames"), "{error}");
        assert!(outcome(false, changed).is_ok(), "only bytes are counted");
        let longer = |input: &mut Vec<u8>| input.extend([0, 0, 0, 0]);
        let error = outcome(true, longer).err().unwrap();
        assert!(error.contains("bytes are acknowledged, after an acknowledgement of 0 of"), "{error}");
        let shorter = |input: &mut Vec<u8>| input.truncate(input.len() - 1004);
        let error = outcome(false, shorter).err().unwrap();
        assert!(error.contains("closed by the server after"), "{error}");
    }

    #[test]
    fn a_cycle_consists_of_whole_frames() {
        for frame in [1000, 40_001, 200_003] {
            let cycle = Cycle::new(frame, 3, &Pattern::new());
            assert_eq!(cycle.bytes.len(), cycle.words.len() * (frame + 4));
            assert!(cycle.words.len() > 1 && cycle.bytes.len() <= CYCLE);
            assert_eq!(cycle.at(cycle.bytes.len() as u64)[..4], (frame as u32).to_be_bytes());
        }
    }
}
