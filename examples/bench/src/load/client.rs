//! One connection of the load generator, with the position up to which the stream was sent and the position up to which
//! the stream came back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::pattern::{LONGEST, Pattern};

/// The behaviour of a client.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    pub message: usize,
    /// The number of messages that the client sends before the first echo.
    pub in_flight: usize,
    pub habit: Habit,
    /// True if the latencies of this client are recorded.
    pub is_timed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// The client sends the next message when an echo has arrived.
    Answers,
    /// The client sends messages at fixed times.
    Paced,
    /// The client sends and does not read.
    Deaf,
}

pub struct Client {
    pub stream: TcpStream,
    pub role: Role,
    /// The position in the pattern at which the stream of this client begins.
    offset: u64,
    /// The bytes that were queued to be sent. `sent` counts the bytes that were sent, and `received` counts the bytes
    /// that came back.
    queued: u64,
    sent: u64,
    received: u64,
    /// The due times of the messages whose echoes have not arrived.
    due: VecDeque<Instant>,
    /// True if the kernel accepts no more bytes until an event reports the socket as writable.
    is_blocked: bool,
}

/// The result of one `recv`.
pub struct Received {
    pub bytes: usize,
    /// The number of messages that these bytes complete.
    pub messages: u64,
    /// True if the socket may contain more bytes for which no event will arrive.
    pub again: bool,
}

impl Client {
    pub fn connect(to: SocketAddr, role: Role, offset: u64) -> io::Result<Self> {
        let stream = super::connect(to)?;
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        let due = VecDeque::new();
        Ok(Self { stream, role, offset, queued: 0, sent: 0, received: 0, due, is_blocked: false })
    }

    /// Queues one more message. The latency of the message counts from `due`.
    pub fn queue(&mut self, due: Instant) {
        self.queued += self.role.message as u64;
        if self.role.is_timed {
            self.due.push_back(due);
        }
    }

    /// Removes and returns the due time of the oldest message whose echo had not arrived.
    pub fn oldest(&mut self) -> Option<Instant> {
        self.due.pop_front()
    }

    /// Returns the number of bytes that have not come back yet.
    pub fn owed(&self) -> u64 {
        self.queued - self.received
    }

    /// Returns the number of queued bytes that are still to be sent.
    pub fn unsent(&self) -> u64 {
        self.queued - self.sent
    }

    pub fn unblock(&mut self) {
        self.is_blocked = false;
    }

    /// Discards the bytes that are not sent yet, and makes the client read from now on.
    pub fn hear(&mut self) {
        self.queued = self.sent;
        self.role.habit = Habit::Answers;
    }

    /// Sends queued bytes until the kernel accepts no more.
    pub fn send(&mut self, pattern: &Pattern) -> Result<(), String> {
        while self.sent < self.queued && !self.is_blocked {
            let len = (self.queued - self.sent).min(LONGEST as u64) as usize;
            match self.stream.write(pattern.at(self.offset + self.sent, len)) {
                Ok(0) => return Err("a send accepted no bytes".into()),
                Ok(taken) => self.sent += taken as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot send after {} bytes: {error}", self.sent)),
            }
        }
        Ok(())
    }

    /// Calls `recv` once and compares every byte with the pattern.
    pub fn receive(&mut self, pattern: &Pattern, buffer: &mut [u8]) -> Result<Received, String> {
        let bytes = loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(format!("closed by the server, {}", self.progress())),
                Ok(bytes) => break bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Received { bytes: 0, messages: 0, again: false });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot receive: {error}, {}", self.progress())),
            }
        };
        if bytes as u64 > self.sent - self.received {
            return Err(format!("{bytes} bytes came, {}", self.progress()));
        }
        pattern
            .check(self.offset + self.received, &buffer[..bytes])
            .map_err(|wrong| format!("{wrong}, {}", self.progress()))?;
        let before = self.received / self.role.message as u64;
        self.received += bytes as u64;
        let messages = self.received / self.role.message as u64 - before;
        // A short read has emptied the socket, see epoll(7). The other selectors of mio report a socket again only
        // after a `WouldBlock`.
        let is_epoll = cfg!(all(target_os = "linux", not(mio_unsupported_force_poll_poll)));
        let is_drained = is_epoll && bytes < buffer.len();
        Ok(Received { bytes, messages, again: !is_drained })
    }

    /// Returns an error text, if every byte was queued at least `time` ago and some bytes are not back. The text says
    /// whether the server did not take the bytes or did not send the bytes back.
    pub fn missing(&self, time: Duration) -> String {
        let (queued, unsent, owed) = (self.queued, self.unsent(), self.owed());
        if unsent > 0 {
            format!("the server did not take {unsent} of {queued} bytes within {time:?}, {}", self.progress())
        } else {
            format!("the server did not send back {owed} of {queued} bytes within {time:?}")
        }
    }

    pub fn progress(&self) -> String {
        format!("after {} of {} sent bytes had come back", self.received, self.sent)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_error_says_whether_the_server_did_not_take_or_did_not_send_back_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let role = Role { message: 1000, in_flight: 1, habit: Habit::Answers, is_timed: false };
        let mut client = Client::connect(listener.local_addr().unwrap(), role, 0).unwrap();
        client.queue(Instant::now());
        assert_eq!(
            client.missing(Duration::from_secs(3)),
            "the server did not take 1000 of 1000 bytes within 3s, after 0 of 0 sent bytes had come back"
        );
        client.send(&Pattern::new()).unwrap();
        assert_eq!(
            client.missing(Duration::from_secs(3)),
            "the server did not send back 1000 of 1000 bytes within 3s"
        );
    }
}
