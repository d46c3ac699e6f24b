//! This crate's echo server, as the first page of the crate's docs shows it.

use std::io;

use tidegate::{Accepted, Conn, EventLoop, Handler, ListenOptions, Net, Options};

pub fn serve() -> io::Result<()> {
    let mut server = EventLoop::new(Options::default())?;
    let listener =
        server.net().listen_with("127.0.0.1:0", ListenOptions::default().backlog(super::BACKLOG))?;
    super::announce(server.net().local_address(listener)?.socket_addrs()[0])?;
    server.run(&mut Echo)
}

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        conn.send_all(input);
        input.len()
    }
}
