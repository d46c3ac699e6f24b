//! may_minihttp with one worker, a coroutine for each client.

use std::io;

use may_minihttp::{HttpServer, HttpService, Request, Response};

use super::super::{announce, programs};
use crate::protocol::PLAINTEXT;

pub fn serve() -> io::Result<()> {
    may::config().set_workers(1);
    // The server opens its listener itself and does not tell the port.
    let address = programs::free_port()?;
    let server = HttpServer(Plaintext).start(address)?;
    announce(address)?;
    server.join().map_err(|_| io::Error::other("the server panicked"))
}

#[derive(Clone)]
struct Plaintext;

impl HttpService for Plaintext {
    fn call(&mut self, _request: Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
        response.header("Content-Type: text/plain").body(PLAINTEXT);
        Ok(())
    }
}
