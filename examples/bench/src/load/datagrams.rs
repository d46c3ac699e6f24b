//! The workload of datagrams: each client socket sends a datagram and waits for the echo, again and again.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::pattern::Pattern;
use super::{Idleness, PATIENCE, Tally};

/// The time after which a datagram without an echo is sent again. The datagram counts as lost unless both echoes come.
const RESEND: Duration = Duration::from_millis(200);

/// The time for which the end of a run waits for second echoes, if datagrams were sent again. A machine that is busy with
/// other programs may keep a server from running for so long.
const LATE: Duration = Duration::from_secs(1);

/// The time between two searches for lost datagrams.
const SEARCH: Duration = Duration::from_millis(10);

/// The length of the longest datagram, so that the kernel cuts no echo that is too long.
const LONGEST: usize = 64 << 10;

/// The client sockets, which stay open between two runs.
pub struct Datagrams<'a> {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    message: usize,
    pattern: &'a Pattern,
    buffer: Vec<u8>,
}

/// The state of a run.
struct Run<'a> {
    message: usize,
    pattern: &'a Pattern,
    buffer: &'a mut [u8],
    end: Instant,
    /// The number of clients that still wait for their last echo.
    waiting: usize,
    histogram: Histogram<u64>,
    tally: Tally,
}

struct Client {
    socket: UdpSocket,
    /// The position in the pattern of the present datagram. If there is no such datagram, the position of the next
    /// datagram.
    position: u64,
    /// The datagram that was sent and has no echo yet.
    present: Option<Present>,
    /// The positions of the datagrams that were sent again, once for each repetition. Both echoes may still come.
    repeated: Vec<u64>,
}

struct Present {
    /// The time of the first send. The latency counts from this time.
    first: Instant,
    /// The time of the latest send.
    latest: Instant,
}

/// A datagram that a client has received.
enum Received {
    /// The echo of the present datagram, with the time of the first send.
    Echo(Instant),
    /// A second echo of a datagram that was sent again.
    Repetition,
}

impl<'a> Datagrams<'a> {
    /// Opens the client sockets. `message` is the length of a datagram, and `seed` selects the positions in the pattern.
    pub fn connect(
        to: SocketAddr,
        clients: usize,
        message: usize,
        seed: u64,
        pattern: &'a Pattern,
    ) -> Result<Self, String> {
        let poll = Poll::new().map_err(|error| format!("cannot make a poll: {error}"))?;
        let open = |index| {
            let position = seed.wrapping_add(index as u64).wrapping_mul(7919) % (1 << 32);
            Client::open(to, &poll, index, position)
                .map_err(|error| super::name(index, &format!("cannot open a socket: {error}")))
        };
        let clients = (0..clients).map(open).collect::<Result<Vec<_>, _>>()?;
        let (events, buffer) = (Events::with_capacity(1024), vec![0; LONGEST]);
        Ok(Self { poll, events, clients, message, pattern, buffer })
    }

    /// Sends datagrams for `time`, and then waits until the last echoes have come. Each client sends at least one datagram.
    pub fn run(&mut self, time: Duration) -> Result<Tally, String> {
        let begin = Instant::now();
        let end = begin + time;
        let (message, pattern, waiting) = (self.message, self.pattern, self.clients.len());
        let (histogram, tally) = (super::histogram(), Tally::default());
        let mut run = Run { message, pattern, buffer: &mut self.buffer, end, waiting, histogram, tally };
        let mut idleness = Idleness::new(begin);
        for (index, client) in self.clients.iter_mut().enumerate() {
            client.send(message, pattern, begin).map_err(|error| super::name(index, &error))?;
        }
        let mut search = begin + SEARCH;
        while run.waiting > 0 {
            super::look(&mut self.poll, &mut self.events, Duration::ZERO)?;
            let now = Instant::now();
            idleness.note(now, self.events.is_empty());
            for event in &self.events {
                let index = event.token().0;
                run.take(&mut self.clients[index]).map_err(|error| super::name(index, &error))?;
            }
            if now >= search {
                search = now + SEARCH;
                for (index, client) in self.clients.iter_mut().enumerate() {
                    run.search(client, now).map_err(|error| super::name(index, &error))?;
                }
            }
        }
        (run.tally.seconds, run.tally.busy) = idleness.end(Instant::now());
        // A datagram that was only late has a second echo, which may still be on its way.
        let until = Instant::now() + LATE;
        while run.tally.lost > 0 && Instant::now() < until {
            for (index, client) in self.clients.iter_mut().enumerate() {
                run.take(client).map_err(|error| super::name(index, &error))?;
            }
        }
        Ok(Tally { latency: super::percentiles(&run.histogram), ..run.tally })
    }

    /// Returns an error if the server has sent further datagrams.
    pub fn finish(mut self) -> Result<(), String> {
        for (index, client) in self.clients.iter_mut().enumerate() {
            let named = |error: String| super::name(index, &error);
            // Without a present datagram, only repetitions are not an error.
            while client.receive(self.message, self.pattern, &mut self.buffer).map_err(named)?.is_some() {}
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Receives the echo of a client, and sends the next datagram of the client until the end of the run.
    fn take(&mut self, client: &mut Client) -> Result<(), String> {
        // On other systems, an event comes only after a `recv` that has found the socket empty.
        let is_epoll = cfg!(all(target_os = "linux", not(mio_unsupported_force_poll_poll)));
        while let Some(received) = client.receive(self.message, self.pattern, self.buffer)? {
            let Received::Echo(first) = received else {
                // Both echoes have come, so the datagram was late and not lost.
                self.tally.lost = self.tally.lost.saturating_sub(1);
                continue;
            };
            let now = Instant::now();
            super::record(&mut self.histogram, now - first);
            self.tally.messages += 1;
            self.tally.bytes += self.message as u64;
            if now < self.end {
                client.send(self.message, self.pattern, now)?;
            } else {
                self.waiting -= 1;
            }
            // The next datagram to arrive causes an event of its own.
            if is_epoll {
                break;
            }
        }
        Ok(())
    }

    /// Sends the present datagram of a client again if the datagram has no echo for too long.
    fn search(&mut self, client: &mut Client, now: Instant) -> Result<(), String> {
        if !client.is_overdue(now) {
            return Ok(());
        }
        // If the load generator had no core for a while, the echo has come in the meantime.
        self.take(client)?;
        if !client.is_overdue(now) {
            return Ok(());
        }
        if client.present.as_ref().is_some_and(|present| now.duration_since(present.first) > PATIENCE) {
            return Err(format!("the server did not send back a datagram within {PATIENCE:?}"));
        }
        self.tally.lost += 1;
        client.repeated.push(client.position);
        client.send(self.message, self.pattern, now)
    }
}

impl Client {
    fn open(to: SocketAddr, poll: &Poll, index: usize, position: u64) -> std::io::Result<Self> {
        let mut socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        // A connected socket receives only from the server, and reports that the server has closed its socket.
        socket.connect(to)?;
        poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
        Ok(Self { socket, position, present: None, repeated: Vec::new() })
    }

    /// Sends the datagram at the present position.
    fn send(&mut self, message: usize, pattern: &Pattern, now: Instant) -> Result<(), String> {
        let first = self.present.as_ref().map_or(now, |present| present.first);
        self.present = Some(Present { first, latest: now });
        loop {
            match self.socket.send(pattern.at(self.position, message)) {
                Ok(_) => return Ok(()),
                // The datagram is lost in this machine, and is sent again like any lost datagram.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot send: {error}")),
            }
        }
    }

    /// Calls `recv` once and compares every byte. Returns `None` if the socket is empty.
    fn receive(
        &mut self,
        message: usize,
        pattern: &Pattern,
        buffer: &mut [u8],
    ) -> Result<Option<Received>, String> {
        let bytes = loop {
            match self.socket.recv(buffer) {
                Ok(bytes) => break &buffer[..bytes],
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot receive: {error}")),
            }
        };
        if bytes.len() != message {
            return Err(format!("a datagram of {message} bytes came back with {} bytes", bytes.len()));
        }
        let wrong = match (pattern.check(self.position, bytes), &self.present) {
            (Ok(()), Some(Present { first, .. })) => {
                let first = *first;
                self.position += message as u64;
                self.present = None;
                return Ok(Some(Received::Echo(first)));
            }
            (Err(wrong), Some(_)) => wrong,
            (_, None) => "a datagram came for which no datagram was sent".into(),
        };
        let is_equal = |position: &u64| pattern.at(*position, message) == bytes;
        let repetition = self.repeated.iter().position(is_equal).ok_or(wrong)?;
        self.repeated.swap_remove(repetition);
        Ok(Some(Received::Repetition))
    }

    fn is_overdue(&self, now: Instant) -> bool {
        let is_old = |present: &Present| now.saturating_duration_since(present.latest) >= RESEND;
        self.present.as_ref().is_some_and(is_old)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::thread;

    use super::*;

    /// Runs two short runs of clients against a server that sends the datagrams which `answers` returns for the number of
    /// a datagram and its bytes. Returns the tallies of both runs.
    fn outcome(clients: usize, answers: fn(usize, &[u8]) -> Vec<Vec<u8>>) -> Result<(Tally, Tally), String> {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let to = server.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut buffer = vec![0; LONGEST];
                for number in 0.. {
                    // An empty datagram ends the server.
                    let (length, from) = match server.recv_from(&mut buffer) {
                        Ok((0, _)) | Err(_) => return,
                        Ok(received) => received,
                    };
                    for answer in answers(number, &buffer[..length]) {
                        // The client may have found a fault and closed its socket.
                        let _ = server.send_to(&answer, from);
                    }
                }
            });
            let pattern = Pattern::new();
            let runs = || {
                let mut load = Datagrams::connect(to, clients, 64, 5, &pattern)?;
                let both = (load.run(Duration::from_millis(2))?, load.run(Duration::from_millis(2))?);
                load.finish().map(|()| both)
            };
            let outcome = runs();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], to).unwrap();
            outcome
        })
    }

    #[test]
    fn all_datagrams_come_back() {
        for clients in [1, 20] {
            let (first, second) = outcome(clients, |_, bytes| vec![bytes.into()]).unwrap();
            for tally in [first, second] {
                assert!(tally.messages >= clients as u64, "{}", tally.messages);
                assert_eq!(tally.bytes, tally.messages * 64);
                assert!(tally.latency.is_some());
            }
        }
    }

    #[test]
    fn a_lost_datagram_is_counted_and_sent_again() {
        let (first, _) =
            outcome(2, |number, bytes| if number == 0 { Vec::new() } else { vec![bytes.into()] }).unwrap();
        assert!(first.lost >= 1);
        assert_eq!(first.bytes, first.messages * 64);
        let latency = first.latency.unwrap();
        assert!(latency.max >= 200_000.0, "the latency counts from the first send: {latency:?}");
    }

    #[test]
    fn a_datagram_whose_echo_comes_late_is_not_lost() {
        let answers = |number, bytes: &[u8]| match number {
            0 => Vec::new(),
            1 => vec![bytes.into(), bytes.into()],
            _ => vec![bytes.into()],
        };
        let (first, second) = outcome(1, answers).unwrap();
        assert_eq!((first.lost, second.lost), (0, 0), "the datagram was late");
        assert!(first.messages >= 1 && second.messages >= 1, "a repetition is not an echo");
        assert!(first.latency.unwrap().max >= 200_000.0);
    }

    #[test]
    fn changed_cut_longer_and_additional_datagrams_are_errors() {
        let error = |answers| outcome(1, answers).err().unwrap();
        let changed = error(|_, bytes| {
            let mut bytes = bytes.to_vec();
            bytes[63] ^= 1;
            vec![bytes]
        });
        assert!(changed.starts_with("connection 1: ") && changed.contains("in place of"), "{changed}");
        let cut = error(|_, bytes| vec![bytes[..63].into()]);
        assert!(cut.contains("of 64 bytes came back with 63 bytes"), "{cut}");
        let longer = error(|_, bytes| vec![[bytes, &[0]].concat()]);
        assert!(longer.contains("of 64 bytes came back with 65 bytes"), "{longer}");
        let empty = error(|_, _| vec![Vec::new()]);
        assert!(empty.contains("of 64 bytes came back with 0 bytes"), "{empty}");
        // The additional echo of the last datagram of the first run comes before the first echo of the second run.
        let twice = error(|_, bytes| vec![bytes.into(), bytes.into()]);
        assert!(twice.contains("in place of") || twice.contains("no datagram was sent"), "{twice}");
    }
}
