//! This crate's echo server, as the first page of the crate's docs shows it.

use std::io;

use tidegate::{Accepted, Conn, Handler, Net};

pub fn serve() -> io::Result<()> {
    super::run_tidegate(&mut Echo)
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
