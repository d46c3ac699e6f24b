//! The workload of short connections: each client connects, receives one echo, and closes.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::pattern::Pattern;
use super::{Idleness, PATIENCE, Tally, Target};

/// The present client of a place. When a client has ended, a new client takes the place.
struct Place {
    stream: TcpStream,
    begin: Instant,
    offset: u64,
    sent: usize,
    received: usize,
}

/// Keeps `width` clients connected for `time`, and then waits until the last clients have their echoes.
pub fn run(
    to: Target<'_>,
    width: usize,
    message: usize,
    time: Duration,
    seed: u64,
    pattern: &Pattern,
) -> Result<Tally, String> {
    let mut poll = Poll::new().map_err(|error| format!("cannot make a poll: {error}"))?;
    let mut events = Events::with_capacity(1024);
    let mut histogram = super::histogram();
    let mut buffer = vec![0; message + 1];
    let mut tally = Tally::default();
    let mut number = seed;
    let begin = Instant::now();
    let end = begin + time;
    let mut idleness = Idleness::new(begin);
    let mut open = |poll: &Poll, index, now| {
        number = number.wrapping_add(1);
        Place::open(to.address, poll, index, number.wrapping_mul(7919) % (1 << 32), now)
            .map_err(|error| format!("cannot connect: {error}"))
    };
    let mut places =
        (0..width).map(|index| open(&poll, index, begin).map(Some)).collect::<Result<Vec<_>, _>>()?;
    let mut under_way = width;
    while under_way > 0 {
        let backend_worked = to.look(&mut poll, &mut events, Duration::ZERO)?;
        let now = Instant::now();
        idleness.note(now, events.is_empty() && !backend_worked);
        for event in &events {
            let index = event.token().0;
            let Some(place) = &mut places[index] else { continue };
            if !place.go_on(message, pattern, &mut buffer)? {
                continue;
            }
            let now = Instant::now();
            super::record(&mut histogram, now - place.begin);
            tally.messages += 1;
            tally.bytes += message as u64;
            // The old client closes before the next client connects.
            places[index] = None;
            if now < end {
                places[index] = Some(open(&poll, index, now)?);
            } else {
                under_way -= 1;
            }
        }
        if now > end + PATIENCE {
            return Err(format!(
                "the server did not send back all bytes of {under_way} connections within {PATIENCE:?}"
            ));
        }
    }
    (tally.seconds, tally.busy) = idleness.end(Instant::now());
    tally.latency = super::percentiles(&histogram);
    Ok(tally)
}

impl Place {
    fn open(to: SocketAddr, poll: &Poll, index: usize, offset: u64, now: Instant) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(to)?;
        // The close sends a reset, for the reason that the docs of `load::connect` give.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, begin: now, offset, sent: 0, received: 0 })
    }

    /// Sends and receives, and returns true if the whole echo has arrived.
    fn go_on(&mut self, message: usize, pattern: &Pattern, buffer: &mut [u8]) -> Result<bool, String> {
        while self.sent < message {
            match self.stream.write(pattern.at(self.offset + self.sent as u64, message - self.sent)) {
                Ok(taken) => self.sent += taken,
                // `NotConnected` means that the stream is still connecting. A failed connect returns another error.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(false);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot send: {error}")),
            }
        }
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(format!("closed by the server after {} bytes", self.received)),
                Ok(bytes) if self.received + bytes > self.sent => {
                    return Err(format!(
                        "{} bytes came for a message of {message} bytes",
                        self.received + bytes
                    ));
                }
                Ok(bytes) => {
                    pattern.check(self.offset + self.received as u64, &buffer[..bytes])?;
                    self.received += bytes;
                    if self.received == message {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot receive: {error}")),
            }
        }
    }
}
