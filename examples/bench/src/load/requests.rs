//! The workloads with requests and answers: each client has a fixed number of requests in flight on its connection.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::answers::{Answers, Progress};
use super::pattern::{LONGEST, Pattern};
use super::{Idleness, PATIENCE, Tally};
use crate::protocol::http_request;

/// The number of requests that follow the cycle in memory, so that the requests in flight can be sent with one call.
const BEYOND: usize = 64;

/// The number of keys of a store of keys and values. With several keys, an answer to the wrong request is found.
pub const KEYS: usize = 512;

/// A cycle of requests of equal length, with the right answers.
pub struct Script {
    /// The cycle, and the first [`BEYOND`] requests of the cycle again.
    bytes: Vec<u8>,
    /// The length of the cycle in bytes, and the length of a request.
    cycle: usize,
    each: usize,
    /// The number of bytes that a request moves: the length of a value or of a body.
    payload: usize,
    answers: Answers,
}

impl Script {
    fn new(requests: &[Vec<u8>], payload: usize, answers: Answers) -> Self {
        let each = requests[0].len();
        assert!(requests.iter().all(|request| request.len() == each), "requests have equal lengths");
        let bytes = requests.iter().cycle().take(requests.len() + BEYOND).flatten().copied().collect();
        Self { bytes, cycle: requests.len() * each, each, payload, answers }
    }

    /// Returns the requests that set all keys of a store, in the Redis protocol. The values are parts of the pattern.
    pub fn set(length: usize, seed: u64, pattern: &Pattern) -> Self {
        let request = |key| [command("SET", key, 3), bulk(value(key, length, seed, pattern))].concat();
        let answers = Answers::Exact { bytes: b"+OK\r\n".to_vec(), each: 5 };
        Self::new(&(0..KEYS).map(request).collect::<Vec<_>>(), length, answers)
    }

    /// Returns the requests that get all keys, after the requests of `set` with an equal seed.
    pub fn get(length: usize, seed: u64, pattern: &Pattern) -> Self {
        let answer = |key| bulk(value(key, length, seed, pattern));
        let bytes: Vec<u8> = (0..KEYS).flat_map(answer).collect();
        let answers = Answers::Exact { each: bytes.len() / KEYS, bytes };
        Self::new(&(0..KEYS).map(|key| command("GET", key, 2)).collect::<Vec<_>>(), length, answers)
    }

    /// Returns the request for a path of an HTTP server, whose response has this body.
    pub fn http(path: &str, body: Vec<u8>) -> Self {
        Self::new(&vec![http_request(path); BEYOND], body.len(), Answers::Http { body })
    }

    /// Returns the number of requests in the cycle.
    fn count(&self) -> usize {
        self.cycle / self.each
    }

    /// Returns at most `most` bytes from a position in the endless sequence of requests.
    fn at(&self, position: u64, most: u64) -> &[u8] {
        let rest = &self.bytes[(position % self.cycle as u64) as usize..];
        &rest[..usize::try_from(most).unwrap_or(usize::MAX).min(rest.len())]
    }
}

/// Returns the begin of a command with a key.
fn command(name: &str, key: usize, words: usize) -> Vec<u8> {
    format!("*{words}\r\n${}\r\n{name}\r\n$16\r\nkey:{key:012}\r\n", name.len()).into_bytes()
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn value(key: usize, length: usize, seed: u64, pattern: &Pattern) -> &[u8] {
    pattern.at(seed.wrapping_add(key as u64).wrapping_mul(7919) % (1 << 32), length)
}

/// The clients of a server.
pub struct Requests<'a> {
    script: &'a Script,
    in_flight: usize,
    poll: Poll,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    histogram: Histogram<u64>,
    /// The clients that may have more bytes to read.
    again: Vec<usize>,
}

struct Client {
    stream: TcpStream,
    /// The position of the first request of this client in the cycle.
    first: u64,
    /// The bytes of requests that were queued to be sent, and the bytes that were sent.
    queued: u64,
    sent: u64,
    progress: Progress,
    /// The times at which the requests without an answer were sent.
    due: VecDeque<Instant>,
    is_blocked: bool,
}

impl<'a> Requests<'a> {
    pub fn connect(
        to: SocketAddr,
        connections: usize,
        in_flight: usize,
        script: &'a Script,
    ) -> Result<Self, String> {
        let poll = Poll::new().map_err(|error| format!("cannot make a poll: {error}"))?;
        let open = |index| Client::connect(to, &poll, index, script);
        let clients = (0..connections)
            .map(|index| open(index).map_err(|error| super::name(index, &error.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        let (buffer, histogram) = (vec![0; LONGEST], super::histogram());
        Ok(Self { script, in_flight, poll, clients, buffer, histogram, again: Vec::new() })
    }

    /// Sends requests for `time`, on each connection at least `least` requests, and waits for the missing answers.
    pub fn run(&mut self, time: Duration, least: u64) -> Result<Tally, String> {
        let begin = Instant::now();
        let end = begin + time;
        let mut idleness = Idleness::new(begin);
        let mut events = Events::with_capacity(1024);
        self.histogram.reset();
        let before: Vec<u64> = self.clients.iter().map(|client| client.progress.whole).collect();
        let last: Vec<u64> = before.iter().map(|whole| whole + least).collect();
        for index in 0..self.clients.len() {
            self.ask(index, self.in_flight, begin)?;
        }
        let mut latest = begin;
        while self.clients.iter().any(|client| !client.due.is_empty()) {
            super::look(&mut self.poll, &mut events, Duration::ZERO)?;
            let now = Instant::now();
            let is_idle = events.is_empty() && self.again.is_empty();
            idleness.note(now, is_idle);
            let mut ready = std::mem::take(&mut self.again);
            for event in &events {
                let index = event.token().0;
                if event.is_writable() {
                    self.clients[index].is_blocked = false;
                    self.send(index)?;
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    ready.push(index);
                }
            }
            for index in ready {
                let answered = self.receive(index)?;
                if answered == 0 {
                    continue;
                }
                let now = Instant::now();
                latest = now;
                let client = &mut self.clients[index];
                for due in client.due.drain(..answered) {
                    super::record(&mut self.histogram, now.saturating_duration_since(due));
                }
                let asked = client.progress.whole + client.due.len() as u64;
                if now < end || asked < last[index] {
                    self.ask(index, answered, now)?;
                }
            }
            if is_idle && now > latest + PATIENCE {
                let index = self.clients.iter().position(|client| !client.due.is_empty()).unwrap_or_default();
                let missing = self.clients[index].due.len();
                let missing = format!("the server did not answer {missing} requests within {PATIENCE:?}");
                return Err(super::name(index, &missing));
            }
        }
        let mut tally = Tally { latency: super::percentiles(&self.histogram), ..Tally::default() };
        (tally.seconds, tally.busy) = idleness.end(Instant::now());
        let answered = self.clients.iter().zip(before).map(|(client, before)| client.progress.whole - before);
        tally.messages = answered.sum();
        tally.bytes = tally.messages * self.script.payload as u64;
        Ok(tally)
    }

    /// Reads each connection a last time. Returns an error if a server has sent more bytes than the answers, or has
    /// closed a connection.
    pub fn finish(mut self) -> Result<(), String> {
        (0..self.clients.len()).try_for_each(|index| self.receive(index).map(drop))
    }

    /// Sends `count` further requests with one call, if the kernel accepts them.
    fn ask(&mut self, index: usize, count: usize, now: Instant) -> Result<(), String> {
        let client = &mut self.clients[index];
        client.queued += (count * self.script.each) as u64;
        client.due.extend(std::iter::repeat_n(now, count));
        self.send(index)
    }

    fn send(&mut self, index: usize) -> Result<(), String> {
        self.clients[index].send(self.script).map_err(|error| super::name(index, &error))
    }

    /// Calls `recv` once, and returns the number of answers that are complete now.
    fn receive(&mut self, index: usize) -> Result<usize, String> {
        let client = &mut self.clients[index];
        let before = client.progress.whole;
        let is_drained = client
            .receive(&self.script.answers, &mut self.buffer)
            .map_err(|error| super::name(index, &error))?;
        if !is_drained {
            self.again.push(index);
        }
        let answered = (client.progress.whole - before) as usize;
        if answered > client.due.len() {
            let (more, asked) = (answered, client.due.len());
            return Err(super::name(index, &format!("{more} answers came to {asked} requests")));
        }
        Ok(answered)
    }
}

impl Client {
    fn connect(to: SocketAddr, poll: &Poll, index: usize, script: &Script) -> std::io::Result<Self> {
        let stream = super::connect(to)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        // Each client begins with another request, so that a server that mixes up two clients fails.
        let first = index * 7 % script.count();
        Ok(Self {
            stream,
            first: (first * script.each) as u64,
            queued: 0,
            sent: 0,
            progress: Progress::new(first),
            due: VecDeque::new(),
            is_blocked: false,
        })
    }

    fn send(&mut self, script: &Script) -> Result<(), String> {
        while self.sent < self.queued && !self.is_blocked {
            match self.stream.write(script.at(self.first + self.sent, self.queued - self.sent)) {
                Ok(0) => return Err("a send accepted no bytes".into()),
                Ok(taken) => self.sent += taken as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot send: {error}")),
            }
        }
        Ok(())
    }

    /// Calls `recv` once and verifies every byte. Returns true if the socket is empty.
    fn receive(&mut self, answers: &Answers, buffer: &mut [u8]) -> Result<bool, String> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    return Err(format!("closed by the server, after {} answers", self.progress.whole));
                }
                Ok(bytes) => {
                    self.progress.check(answers, &buffer[..bytes])?;
                    // A short read has emptied the socket, for the reason that `Client::receive` of `load::client` gives.
                    let is_epoll = cfg!(all(target_os = "linux", not(mio_unsupported_force_poll_poll)));
                    return Ok(is_epoll && bytes < buffer.len());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot receive: {error}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Reads a line of a command without its end. Returns `None` at the end of the stream.
    fn line(input: &mut impl BufRead) -> Option<String> {
        let mut line = Vec::new();
        let length = input.read_until(b'\n', &mut line).unwrap_or_default();
        (length > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn words(input: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
        let count: usize = line(input)?.strip_prefix('*')?.parse().ok()?;
        let word = |_| {
            let length: usize = line(input)?.strip_prefix('$')?.parse().ok()?;
            let mut word = vec![0; length + 2];
            input.read_exact(&mut word).ok()?;
            word.truncate(length);
            Some(word)
        };
        (0..count).map(word).collect()
    }

    /// Serves one client of a store, whose values `fault` changes.
    fn serve(listener: &TcpListener, store: &mut HashMap<Vec<u8>, Vec<u8>>, fault: fn(&mut Vec<u8>)) {
        let (stream, _) = listener.accept().unwrap();
        let mut input = BufReader::new(stream);
        while let Some(words) = words(&mut input) {
            let answer = match words.as_slice() {
                [_, key] => bulk(&store[key]),
                [_, key, value] => {
                    let mut value = value.clone();
                    fault(&mut value);
                    store.insert(key.clone(), value);
                    b"+OK\r\n".to_vec()
                }
                _ => panic!("{words:?}"),
            };
            // The client has found a fault if the write fails.
            let _ = input.get_mut().write_all(&answer);
        }
    }

    fn outcome(fault: fn(&mut Vec<u8>)) -> Result<Tally, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let pattern = Pattern::new();
        let (set, get) = (Script::set(20, 5, &pattern), Script::get(20, 5, &pattern));
        let run = |script| {
            let mut requests = Requests::connect(to, 1, 16, script)?;
            let tally = requests.run(Duration::ZERO, KEYS as u64)?;
            requests.finish()?;
            Ok::<Tally, String>(tally)
        };
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut store = HashMap::new();
                (0..2).for_each(|_| serve(&listener, &mut store, fault));
            });
            run(&set)?;
            run(&get)
        })
    }

    #[test]
    fn all_keys_are_set_and_the_values_come_back() {
        let tally = outcome(|_| {}).unwrap();
        assert!(tally.messages >= KEYS as u64, "{}", tally.messages);
        assert_eq!(tally.bytes, tally.messages * 20);
        assert!(tally.latency.is_some());
    }

    #[test]
    fn changed_and_longer_values_are_errors() {
        let changed = outcome(|value| value[19] ^= 1).err().unwrap();
        assert!(changed.contains("the server answered"), "{changed}");
        let longer = outcome(|value| value.push(0)).err().unwrap();
        assert!(longer.contains("in place of"), "{longer}");
    }

    #[test]
    fn requests_in_flight_are_contiguous_at_the_end_of_the_cycle() {
        let script = Script::get(3, 0, &Pattern::new());
        let last = (script.cycle - script.each) as u64;
        let requests = script.at(last, 16 * script.each as u64);
        assert_eq!(requests.len(), 16 * script.each);
        assert_eq!(requests[script.each..2 * script.each], script.bytes[..script.each]);
    }
}
