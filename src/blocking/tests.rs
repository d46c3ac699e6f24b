//! Tests of the loops of this module, over a stream whose steps are written down in a script.

use std::io::{self, Read, Write};

use super::{echo_connection, recv_exact, send_all};

/// A stream with a script. Each step of the script is an error, or the largest number of bytes that a call takes or gives.
struct Scripted {
    script: Vec<io::Result<usize>>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Scripted {
    fn new(incoming: &[u8], script: impl IntoIterator<Item = io::Result<usize>>) -> Scripted {
        let mut script: Vec<_> = script.into_iter().collect();
        script.reverse();
        Scripted { script, incoming: incoming.to_vec(), outgoing: Vec::new() }
    }

    /// Returns the next step. After the end of the script, each step is one byte.
    fn step(&mut self) -> io::Result<usize> {
        self.script.pop().unwrap_or(Ok(1))
    }
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.step()?.min(buffer.len()).min(self.incoming.len());
        buffer[..count].copy_from_slice(&self.incoming[..count]);
        self.incoming.drain(..count);
        Ok(count)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.step()?.min(bytes.len());
        self.outgoing.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn interrupted() -> io::Result<usize> {
    Err(io::ErrorKind::Interrupted.into())
}

#[test]
fn partial_sends_and_receives_keep_every_byte_in_order() {
    let sent = (0..1000).map(|i| (i % 251) as u8).collect::<Vec<u8>>();
    let mut stream = Scripted::new(&sent, [Ok(3), Ok(1), interrupted(), Ok(500), interrupted(), Ok(400)]);
    assert_eq!(echo_connection(&mut stream, &mut [0; 64]).expect("no error in the script"), 1000);
    assert_eq!(stream.outgoing, sent);

    let mut stream = Scripted::new(&sent, [Ok(7), interrupted(), Ok(900)]);
    let mut came = [0; 1000];
    recv_exact(&mut stream, &mut came).expect("no error in the script");
    assert_eq!(came, sent[..]);
}

#[test]
fn a_stream_that_ends_early_or_takes_no_bytes_is_an_error() {
    let mut short = Scripted::new(b"abc", []);
    let error = recv_exact(&mut short, &mut [0; 4]).expect_err("the stream has only three bytes");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

    let mut full = Scripted::new(b"", [Ok(2), Ok(0)]);
    let error = send_all(&mut full, b"abcd").expect_err("the stream takes two bytes");
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);

    let mut reset = Scripted::new(b"abcd", [Ok(2), Ok(1), Err(io::ErrorKind::ConnectionReset.into())]);
    let error = echo_connection(&mut reset, &mut [0; 64]).expect_err("the script contains a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

    let error = echo_connection(Scripted::new(b"abcd", []), &mut []).expect_err("the buffer is empty");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
