//! The two servers with this crate. The server `tidegate` sends the file with `send_file`. The server `tidegate-read`
//! reads a portion of the file and sends the portion, again and again.

use std::fs::File;
use std::io;
use std::path::Path;

use tidegate::{Accepted, Conn, Flow, Handler, Net};

use super::requests;
use crate::protocol::FILE_REQUEST;

/// The number of bytes that are read at a time.
const PORTION: usize = 64 << 10;

/// Serves with `send_file`, or with reading and sending if `reads` is true.
pub fn serve(path: &Path, reads: bool) -> io::Result<()> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    super::super::run_tidegate(&mut Files { file, length, reads, buffer: vec![0; PORTION] })
}

struct Files {
    file: File,
    length: u64,
    reads: bool,
    buffer: Vec<u8>,
}

/// The answers that a client of the server `tidegate-read` still waits for.
#[derive(Default)]
struct Answers {
    requests: usize,
    /// The number of bytes of the present answer that are sent.
    sent: u64,
}

impl Handler for Files {
    type Session = Answers;

    fn on_accept(&mut self, _net: &mut Net<Answers>, _from: &Accepted) -> Option<Answers> {
        Some(Answers::default())
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Answers>, input: &[u8]) -> usize {
        let requests = requests(input);
        if self.reads {
            conn.session().requests += requests;
            self.read_and_send(conn);
        } else {
            (0..requests).for_each(|_| self.send_file(conn));
        }
        requests * FILE_REQUEST.len()
    }

    fn on_writable(&mut self, conn: &mut Conn<'_, Answers>) {
        if self.reads {
            self.read_and_send(conn);
        }
    }
}

impl Files {
    fn send_file(&self, conn: &mut Conn<'_, Answers>) {
        match self.file.try_clone() {
            Ok(file) => {
                conn.send_file(file, 0..self.length);
            }
            Err(_) => conn.abort(),
        }
    }

    /// Reads and sends until the connection is full.
    fn read_and_send(&mut self, conn: &mut Conn<'_, Answers>) {
        while conn.session().requests > 0 {
            let sent = conn.session().sent;
            let left = self.length - sent;
            let portion = &mut self.buffer[..left.min(PORTION as u64) as usize];
            if read_exact_at(&self.file, portion, sent).is_err() {
                conn.abort();
                return;
            }
            let flow = conn.send_all(portion);
            let answers = conn.session();
            answers.sent += portion.len() as u64;
            if answers.sent == self.length {
                *answers = Answers { requests: answers.requests - 1, sent: 0 };
            }
            if flow != Flow::Open {
                return;
            }
        }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}
