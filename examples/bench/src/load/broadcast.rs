//! The workload of a broadcast: a publisher sends messages, and all subscribers receive each message.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::pattern::{LONGEST, Pattern};
use super::{Idleness, PATIENCE, Tally};
use crate::protocol::{MESSAGE, PUBLISH, SUBSCRIBE};

pub struct Broadcast<'a> {
    pattern: &'a Pattern,
    /// The position in the pattern at which the messages begin.
    offset: u64,
    poll: Poll,
    publisher: TcpStream,
    is_blocked: bool,
    /// The number of bytes that the publisher has sent.
    sent: u64,
    subscribers: Vec<Subscriber>,
    /// Subscribers that may have more bytes to read.
    again: Vec<usize>,
    /// For each message that is under way, the number of subscribers that have received the message. A message with the
    /// number n has the place n modulo the length.
    received: Vec<usize>,
    /// The number of messages that all subscribers have received.
    complete: u64,
    buffer: Vec<u8>,
    deliveries: u64,
}

struct Subscriber {
    stream: TcpStream,
    /// The number of bytes that this subscriber has received.
    received: u64,
}

impl<'a> Broadcast<'a> {
    /// Connects a publisher and all subscribers, and returns when the server knows all subscribers.
    pub fn connect(
        to: SocketAddr,
        subscribers: usize,
        in_flight: usize,
        seed: u64,
        pattern: &'a Pattern,
    ) -> Result<Self, String> {
        let poll = Poll::new().map_err(|error| format!("cannot make a poll: {error}"))?;
        let open = |role: u8, index: usize| {
            let mut stream = super::connect(to)?;
            stream.write_all(&[role])?;
            if role == SUBSCRIBE {
                stream.set_read_timeout(Some(PATIENCE))?;
                let mut byte = [0];
                stream
                    .read_exact(&mut byte)
                    .map_err(|error| super::explain(error, "the server did not accept the subscriber"))?;
                if byte != [SUBSCRIBE] {
                    return Err(std::io::Error::other(format!("{byte:?} came for a subscriber")));
                }
            }
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            Ok(stream)
        };
        let open =
            |role, index| open(role, index).map_err(|error| name(index, subscribers, &error.to_string()));
        let all = (0..subscribers)
            .map(|index| Ok(Subscriber { stream: open(SUBSCRIBE, index)?, received: 0 }))
            .collect::<Result<Vec<_>, String>>()?;
        let publisher = open(PUBLISH, subscribers)?;
        Ok(Self {
            pattern,
            offset: seed,
            poll,
            publisher,
            is_blocked: false,
            sent: 0,
            subscribers: all,
            again: Vec::new(),
            received: vec![0; in_flight],
            complete: 0,
            buffer: vec![0; LONGEST],
            deliveries: 0,
        })
    }

    /// Publishes messages for `time`, and then waits until all subscribers have all messages.
    pub fn run(&mut self, time: Duration) -> Result<Tally, String> {
        let begin = Instant::now();
        let end = begin + time;
        self.deliveries = 0;
        let mut idleness = Idleness::new(begin);
        let mut events = Events::with_capacity(1024);
        // The number of bytes that the publisher may send.
        let mut limit = 0;
        self.publish(&mut limit, true)?;
        loop {
            super::look(&mut self.poll, &mut events, Duration::ZERO)?;
            let now = Instant::now();
            let is_idle = events.is_empty() && self.again.is_empty();
            for event in &events {
                let index = event.token().0;
                if index == self.subscribers.len() {
                    self.is_blocked &= !event.is_writable();
                    self.listen_to_publisher()?;
                } else if event.is_readable() || event.is_read_closed() || event.is_error() {
                    self.receive(index)?;
                }
            }
            for index in std::mem::take(&mut self.again) {
                self.receive(index)?;
            }
            self.publish(&mut limit, now < end)?;
            idleness.note(now, is_idle);
            if now >= end && self.complete * MESSAGE as u64 == limit {
                break;
            }
            if now > end + PATIENCE {
                let late = |one: &Subscriber| one.received < limit;
                let index = self.subscribers.iter().position(late).unwrap_or_default();
                let missing = limit - self.subscribers[index].received;
                let missing = format!("the server did not send {missing} bytes within {PATIENCE:?}");
                return Err(name(index, self.subscribers.len(), &missing));
            }
        }
        let (seconds, busy) = idleness.end(Instant::now());
        let (messages, bytes) = (self.deliveries, self.deliveries * MESSAGE as u64);
        Ok(Tally { seconds, busy, messages, bytes, ..Tally::default() })
    }

    /// Reads each connection a last time. Returns an error if the server has sent more bytes than were published, or has
    /// closed a connection.
    pub fn finish(mut self) -> Result<(), String> {
        self.listen_to_publisher()?;
        (0..self.subscribers.len()).try_for_each(|index| self.receive(index))
    }

    /// Sends as many messages as may be under way. Without `goes_on`, only a message that is begun is sent to its end.
    fn publish(&mut self, limit: &mut u64, goes_on: bool) -> Result<(), String> {
        let message = MESSAGE as u64;
        if goes_on {
            *limit = (self.complete + self.received.len() as u64) * message;
        } else {
            *limit = (*limit).min(self.sent.next_multiple_of(message));
        }
        while self.sent < *limit && !self.is_blocked {
            let length = (*limit - self.sent).min(LONGEST as u64) as usize;
            match self.publisher.write(self.pattern.at(self.offset + self.sent, length)) {
                Ok(0) => return Err("a send accepted no bytes".into()),
                Ok(taken) => self.sent += taken as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot publish after {} bytes: {error}", self.sent)),
            }
        }
        Ok(())
    }

    /// Calls `recv` once, and compares every byte with the published bytes.
    fn receive(&mut self, index: usize) -> Result<(), String> {
        let count = self.subscribers.len();
        let subscriber = &mut self.subscribers[index];
        let bytes = match read(&mut subscriber.stream, &mut self.buffer) {
            Ok(None) => return Ok(()),
            Ok(Some(bytes)) => bytes,
            Err(error) => return Err(name(index, count, &error)),
        };
        let before = subscriber.received;
        if before + bytes as u64 > self.sent {
            let error = format!("{bytes} more bytes came, after {before} of {} published bytes", self.sent);
            return Err(name(index, count, &error));
        }
        self.pattern
            .check(self.offset + before, &self.buffer[..bytes])
            .map_err(|wrong| name(index, count, &format!("{wrong}, after {before} bytes")))?;
        subscriber.received += bytes as u64;
        let messages = before / MESSAGE as u64..subscriber.received / MESSAGE as u64;
        // A short read has emptied the socket, as in `Client::receive`.
        let is_epoll = cfg!(all(target_os = "linux", not(mio_unsupported_force_poll_poll)));
        if !is_epoll || bytes == self.buffer.len() {
            self.again.push(index);
        }
        self.deliveries += messages.end - messages.start;
        for number in messages {
            let place = (number % self.received.len() as u64) as usize;
            self.received[place] += 1;
            // Each subscriber receives the messages in order, so the messages also become complete in order.
            if self.received[place] == count {
                self.received[place] = 0;
                self.complete += 1;
            }
        }
        Ok(())
    }

    /// Returns an error if the server has sent bytes to the publisher, or has closed the connection.
    fn listen_to_publisher(&mut self) -> Result<(), String> {
        let count = self.subscribers.len();
        match read(&mut self.publisher, &mut self.buffer) {
            Ok(None) => Ok(()),
            Ok(Some(bytes)) => Err(name(count, count, &format!("{bytes} bytes came for the publisher"))),
            Err(error) => Err(name(count, count, &error)),
        }
    }
}

/// Calls `recv` once. Returns `None` if the socket is empty.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Option<usize>, String> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return Err("closed by the server".into()),
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("cannot receive: {error}")),
        }
    }
}

/// Returns an error with the name of the connection. The publisher has the index behind the subscribers.
fn name(index: usize, subscribers: usize, error: &str) -> String {
    if index == subscribers {
        format!("publisher: {error}")
    } else {
        format!("subscriber {}: {error}", index + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Runs three subscribers against a server whose `send` decides on the bytes for the subscriber with a number.
    fn outcome(send: fn(usize, &mut Vec<u8>)) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                let accept = || {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut role = [0];
                    stream.read_exact(&mut role).unwrap();
                    if role == [SUBSCRIBE] {
                        stream.write_all(&role).unwrap();
                    }
                    stream
                };
                // The next client connects when the server has answered, so the streams are in order.
                let mut subscribers: Vec<_> = (0..3).map(|_| accept()).collect();
                let mut publisher = accept();
                let mut message = vec![0; MESSAGE];
                while publisher.read_exact(&mut message).is_ok() {
                    for (number, stream) in subscribers.iter_mut().enumerate() {
                        let mut bytes = message.clone();
                        send(number, &mut bytes);
                        let _ = stream.write_all(&bytes);
                    }
                }
            });
            let pattern = Pattern::new();
            let mut load = Broadcast::connect(to, 3, 2, 77, &pattern)?;
            for _ in 0..2 {
                let tally = load.run(Duration::from_millis(2))?;
                assert!(tally.messages >= 6 && tally.messages.is_multiple_of(3), "{}", tally.messages);
                assert_eq!(tally.bytes, tally.messages * 1024);
            }
            load.finish()
        })
    }

    #[test]
    fn all_subscribers_receive_all_messages() {
        assert_eq!(outcome(|_, _| {}), Ok(()));
    }

    #[test]
    fn the_error_of_wrong_or_additional_bytes_names_the_subscriber() {
        let wrong = outcome(|number, bytes| bytes[1023] ^= u8::from(number == 1)).unwrap_err();
        assert!(wrong.starts_with("subscriber 2: ") && wrong.contains("in place of"), "{wrong}");
        let more = outcome(|number, bytes| {
            if number == 2 {
                bytes.extend_from_within(..);
                bytes.extend_from_within(..);
            }
        });
        let more = more.unwrap_err();
        assert!(more.starts_with("subscriber 3: "), "{more}");
    }
}
