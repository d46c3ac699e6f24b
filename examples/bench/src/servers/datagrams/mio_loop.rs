//! The floor: a bare mio loop that receives a datagram and sends the datagram back, until the socket is empty.

use std::io::{self, ErrorKind};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::LONGEST;

pub fn serve(socket: std::net::UdpSocket) -> io::Result<()> {
    let mut socket = UdpSocket::from_std(socket);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; LONGEST];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        if !events.is_empty() {
            echo(&socket, &mut buffer)?;
        }
    }
}

fn echo(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match socket.recv_from(buffer) {
            Ok((length, from)) => {
                // The client sends a datagram again if its echo does not come.
                let _ = socket.send_to(&buffer[..length], from);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // On Windows, `ConnectionReset` means that an earlier echo reached a closed socket.
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionReset) => {}
            Err(error) => return Err(error),
        }
    }
}
