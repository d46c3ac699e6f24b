//! One connection of the load generator, and what it knows of its stream: how far it is sent, and how far it came back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::pattern::{LONGEST, Pattern};

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    pub message: usize,
    /// How many messages it sends before it has an echo.
    pub in_flight: usize,
    pub habit: Habit,
    /// Whether its latencies count.
    pub is_timed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Sends the next message when one came back.
    Answers,
    /// Sends when it is time to.
    Paced,
    /// Sends and does not read.
    Deaf,
}

pub struct Client {
    pub stream: TcpStream,
    pub role: Role,
    /// Where in the pattern its stream begins.
    offset: u64,
    /// How far the stream is to be sent, was sent, and came back.
    queued: u64,
    sent: u64,
    received: u64,
    /// When each message was due that is not back.
    due: VecDeque<Instant>,
    /// The kernel takes nothing more until an event says so.
    is_blocked: bool,
}

/// What one `recv` brought.
pub struct Received {
    pub bytes: usize,
    /// Messages that are whole by it.
    pub messages: u64,
    /// There may be more: no event will tell of it.
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

    /// One message more to send, whose latency counts from `due`.
    pub fn queue(&mut self, due: Instant) {
        self.queued += self.role.message as u64;
        if self.role.is_timed {
            self.due.push_back(due);
        }
    }

    /// The latency's begin of the oldest message that was not back.
    pub fn oldest(&mut self) -> Option<Instant> {
        self.due.pop_front()
    }

    /// Bytes that are to come.
    pub fn owed(&self) -> u64 {
        self.queued - self.received
    }

    /// Bytes that are still to be sent.
    pub fn unsent(&self) -> u64 {
        self.queued - self.sent
    }

    pub fn unblock(&mut self) {
        self.is_blocked = false;
    }

    /// Leaves it at what was sent so far, and reads it from now on.
    pub fn hear(&mut self) {
        self.queued = self.sent;
        self.role.habit = Habit::Answers;
    }

    /// As much of what is queued as the kernel takes.
    pub fn send(&mut self, pattern: &Pattern) -> Result<(), String> {
        while self.sent < self.queued && !self.is_blocked {
            let len = (self.queued - self.sent).min(LONGEST as u64) as usize;
            match self.stream.write(pattern.at(self.offset + self.sent, len)) {
                Ok(0) => return Err("a send took nothing".into()),
                Ok(taken) => self.sent += taken as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot send after {} bytes: {error}", self.sent)),
            }
        }
        Ok(())
    }

    /// One `recv`, every byte of it compared.
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
        // epoll(7): a short read has emptied the socket. mio's other selectors report a socket again only after a `WouldBlock`.
        let is_epoll = cfg!(all(target_os = "linux", not(mio_unsupported_force_poll_poll)));
        let is_drained = is_epoll && bytes < buffer.len();
        Ok(Received { bytes, messages, again: !is_drained })
    }

    /// What the server did not do in `time`, if every byte was queued at least `time` ago and some are not back.
    pub fn missing(&self, time: Duration) -> String {
        let (queued, unsent, owed) = (self.queued, self.unsent(), self.owed());
        if unsent > 0 {
            format!("the server did not take {unsent} of {queued} bytes within {time:?}, {}", self.progress())
        } else {
            format!("the server did not send back {owed} of {queued} bytes within {time:?}")
        }
    }

    pub fn progress(&self) -> String {
        format!("after {} of {} bytes sent had come back", self.received, self.sent)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_client_tells_whether_bytes_were_not_taken_or_not_sent_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let role = Role { message: 1000, in_flight: 1, habit: Habit::Answers, is_timed: false };
        let mut client = Client::connect(listener.local_addr().unwrap(), role, 0).unwrap();
        client.queue(Instant::now());
        assert_eq!(
            client.missing(Duration::from_secs(3)),
            "the server did not take 1000 of 1000 bytes within 3s, after 0 of 0 bytes sent had come back"
        );
        client.send(&Pattern::new()).unwrap();
        assert_eq!(
            client.missing(Duration::from_secs(3)),
            "the server did not send back 1000 of 1000 bytes within 3s"
        );
    }
}
