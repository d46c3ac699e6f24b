//! The floor: a bare mio loop that sends the file with sendfile(2).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use mio::event::Event;
use mio::net::TcpStream;
use rustix::fs::sendfile;
use slab::Slab;

use super::super::bare::{self, SHORT_READ_DRAINS, Service};
use super::requests;
use crate::protocol::FILE_REQUEST;

pub fn serve(listener: std::net::TcpListener, path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    bare::serve(listener, Files { file, length })
}

struct Files {
    file: File,
    length: u64,
}

struct Connection {
    stream: TcpStream,
    /// The number of bytes of an incomplete request. All requests are equal, so only their lengths count.
    begin: usize,
    /// The answers that the client still waits for, and the number of bytes of the first answer that are sent.
    requests: usize,
    sent: u64,
    ending: bool,
}

impl Service for Files {
    type Connection = Connection;

    fn open(&mut self, stream: TcpStream) -> Connection {
        Connection { stream, begin: 0, requests: 0, sent: 0, ending: false }
    }

    fn on_event(
        &mut self,
        connections: &mut Slab<Connection>,
        key: usize,
        event: &Event,
    ) -> io::Result<bool> {
        let connection = &mut connections[key];
        connection.ending |= event.is_read_closed() || event.is_error();
        if (event.is_readable() || connection.ending) && !connection.receive()? {
            return Ok(false);
        }
        self.send(connection)?;
        Ok(true)
    }
}

impl Connection {
    /// Returns false at the end of the stream.
    fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            let Some(received) = bare::read(&mut self.stream, &mut buffer[self.begin..])? else {
                return Ok(true);
            };
            if received == 0 {
                return Ok(false);
            }
            let is_drained = SHORT_READ_DRAINS && received < buffer.len() - self.begin && !self.ending;
            let input = self.begin + received;
            self.requests += requests(&buffer[..input]);
            self.begin = input % FILE_REQUEST.len();
            if is_drained {
                return Ok(true);
            }
        }
    }
}

impl Files {
    fn send(&self, connection: &mut Connection) -> io::Result<()> {
        while connection.requests > 0 {
            let left = usize::try_from(self.length - connection.sent).unwrap_or(usize::MAX);
            let Connection { stream, sent, .. } = connection;
            // With `try_io` the poll reports the socket again after a `WouldBlock`, whatever mio's selector is.
            match stream.try_io(|| Ok(sendfile(&*stream, &self.file, Some(sent), left)?)) {
                // The file is shorter than the file was at the start of the server.
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) if connection.sent == self.length => {
                    connection.requests -= 1;
                    connection.sent = 0;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
