//! The workload of a file: each client requests the file, receives the file, and requests the file again.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::header::Header;
use super::pattern::{LONGEST, Pattern};
use super::{Idleness, PATIENCE, Tally};

/// The way to ask a server for the file.
pub struct Request {
    pub bytes: Vec<u8>,
    /// True if the server sends the header of an HTTP response in front of the file.
    pub has_header: bool,
}

/// The parameters of a run.
#[derive(Clone, Copy)]
pub struct Plan {
    pub connections: usize,
    /// The length of the file, which contains the pattern from its begin.
    pub length: usize,
    pub time: Duration,
}

struct Client {
    stream: TcpStream,
    header: Header,
    is_in_header: bool,
    /// The number of bytes of the file that this client has received.
    received: usize,
    is_done: bool,
}

/// Receives the file on each of several connections, again and again for `time`. Each client receives the file at least
/// once, and the last files are received to their ends.
pub fn run(to: SocketAddr, plan: &Plan, request: &Request, pattern: &Pattern) -> Result<Tally, String> {
    let mut poll = Poll::new().map_err(|error| format!("cannot make a poll: {error}"))?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; LONGEST];
    let mut clients = (0..plan.connections)
        .map(|index| {
            Client::connect(to, &poll, index).map_err(|error| super::name(index, &error.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut tally = Tally::default();
    let begin = Instant::now();
    let end = begin + plan.time;
    let mut idleness = Idleness::new(begin);
    let mut last = begin;
    for (index, client) in clients.iter_mut().enumerate() {
        client.ask(request).map_err(|error| super::name(index, &error))?;
    }
    // The clients that may have more bytes to read.
    let mut ready: Vec<usize> = Vec::new();
    while clients.iter().any(|client| !client.is_done) {
        super::look(&mut poll, &mut events, Duration::ZERO)?;
        let now = Instant::now();
        for event in &events {
            let index = event.token().0;
            if !ready.contains(&index) && (event.is_readable() || event.is_read_closed() || event.is_error())
            {
                ready.push(index);
            }
        }
        idleness.note(now, ready.is_empty());
        for index in std::mem::take(&mut ready) {
            let client = &mut clients[index];
            let bytes = client
                .receive(plan.length, pattern, &mut buffer)
                .map_err(|error| super::name(index, &error))?;
            let Some(bytes) = bytes else { continue };
            // Each client is read once for each poll, so that no client waits for the other clients.
            ready.push(index);
            tally.bytes += bytes as u64;
            last = now;
            if client.received == plan.length {
                tally.messages += 1;
                if now < end {
                    client.ask(request).map_err(|error| super::name(index, &error))?;
                } else {
                    client.is_done = true;
                }
            }
        }
        // A file may be long, so the patience counts from the last byte.
        if now > last + PATIENCE {
            let index = clients.iter().position(|client| !client.is_done).unwrap_or_default();
            let missing = plan.length - clients[index].received;
            let missing = format!("the server did not send {missing} bytes of the file within {PATIENCE:?}");
            return Err(super::name(index, &missing));
        }
    }
    (tally.seconds, tally.busy) = idleness.end(Instant::now());
    for (index, client) in clients.iter_mut().enumerate() {
        client.finish(&mut buffer).map_err(|error| super::name(index, &error))?;
    }
    Ok(tally)
}

impl Client {
    fn connect(to: SocketAddr, poll: &Poll, index: usize) -> std::io::Result<Self> {
        let stream = super::connect(to)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, header: Header::default(), is_in_header: false, received: 0, is_done: false })
    }

    fn ask(&mut self, request: &Request) -> Result<(), String> {
        // The server has read all earlier requests, so the kernel accepts the whole request.
        self.stream.write_all(&request.bytes).map_err(|error| format!("cannot send: {error}"))?;
        self.is_in_header = request.has_header;
        self.received = 0;
        Ok(())
    }

    /// Calls `recv` once and compares every byte with the file. Returns the number of bytes of the file, or `None` if the
    /// socket is empty.
    fn receive(
        &mut self,
        length: usize,
        pattern: &Pattern,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, String> {
        let Some(bytes) = self.read(buffer)? else { return Ok(None) };
        let mut body = &buffer[..bytes];
        if self.is_in_header {
            let Some(rest) = self.header.check(length, body)? else { return Ok(Some(0)) };
            (body, self.is_in_header) = (rest, false);
        }
        if body.len() > length - self.received {
            return Err(format!("{} bytes came, after {} of {length} bytes", body.len(), self.received));
        }
        pattern
            .check(self.received as u64, body)
            .map_err(|wrong| format!("{wrong}, after {} of {length} bytes", self.received))?;
        self.received += body.len();
        Ok(Some(body.len()))
    }

    /// Returns an error if the server has sent bytes behind the file, or has closed the connection.
    fn finish(&mut self, buffer: &mut [u8]) -> Result<(), String> {
        match self.read(buffer)? {
            None => Ok(()),
            Some(bytes) => Err(format!("{bytes} bytes came behind the end of the file")),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, String> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(format!("closed by the server, after {} bytes", self.received)),
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot receive: {error}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const LENGTH: usize = 300_000;

    /// Runs one client against a server that answers each request with `header` and the file. `fault` changes the file.
    fn outcome(header: Option<&'static str>, fault: fn(&mut Vec<u8>)) -> Result<Tally, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let request = Request { bytes: b"please\n".to_vec(), has_header: header.is_some() };
        let pattern = Pattern::new();
        let mut file: Vec<u8> =
            [pattern.at(0, LONGEST), pattern.at(LONGEST as u64, LENGTH - LONGEST)].concat();
        fault(&mut file);
        thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 7];
                while stream.read_exact(&mut request).is_ok() {
                    assert_eq!(&request, b"please\n");
                    // The header comes in two portions.
                    for part in header.unwrap_or_default().split_inclusive("OK") {
                        let _ = stream.write_all(part.as_bytes());
                    }
                    let _ = stream.write_all(&file);
                }
            });
            let plan = Plan { connections: 1, length: LENGTH, time: Duration::from_millis(5) };
            run(to, &plan, &request, &pattern)
        })
    }

    #[test]
    fn the_file_is_received_with_and_without_a_header() {
        for header in [None, Some("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")] {
            let tally = outcome(header, |_| {}).unwrap();
            assert!(tally.messages >= 1, "{}", tally.messages);
            assert_eq!(tally.bytes, tally.messages * LENGTH as u64);
        }
    }

    #[test]
    fn a_wrong_file_and_a_refused_request_are_errors() {
        let error = |header, fault| outcome(header, fault).err().unwrap();
        let wrong = error(None, |file| file[LENGTH - 1] ^= 1);
        assert!(wrong.starts_with("connection 1: ") && wrong.contains("in place of"), "{wrong}");
        // The additional bytes are found behind the file, or as the begin of the next file.
        let long = error(None, |file| file.extend([0; 1000]));
        assert!(long.contains("bytes came") || long.contains("in place of"), "{long}");
        let missing = error(Some("HTTP/1.1 404 Not Found\r\n\r\n"), |_| {});
        assert!(missing.contains("the server answered \"HTTP/1.1 404 Not Found\""), "{missing}");
    }
}
