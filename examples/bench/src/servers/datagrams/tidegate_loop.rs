//! The server with this crate. With the feature `packet-info` of the benchmark, the crate receives several datagrams with
//! one system call.

use std::io;

use tidegate::{Accepted, Conn, Datagram, DatagramOptions, EventLoop, Handler, Net, Options, Socket};

pub fn serve() -> io::Result<()> {
    let mut server = EventLoop::new(Options::default())?;
    let socket = server.net().bind("127.0.0.1:0", DatagramOptions::default())?;
    super::super::announce(server.net().socket_address(socket)?.socket_addrs()[0])?;
    server.run(&mut Echo)
}

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_datagram(&mut self, socket: &mut Socket<'_>, datagram: &Datagram<'_>) {
        // The client sends a datagram again if its echo does not come.
        let _ = socket.reply(datagram, datagram.bytes());
    }

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        None // the server has no listener
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, input: &[u8]) -> usize {
        input.len()
    }
}
