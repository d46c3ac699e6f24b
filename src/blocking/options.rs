//! The two numbers that a textbook fixes.

/// What can be set about a [`Server`](super::Server).
///
/// # Examples
///
/// ```
/// use tidegate::blocking::{Server, ServerOptions};
///
/// let options = ServerOptions::default().backlog(16).buffer(256 << 10);
/// let server = Server::bind_with("127.0.0.1:0", options)?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// How many connections may wait to be accepted. The kernel has a limit of its own (listen(2)). 1024 by default.
    pub backlog: u32,
    /// Bytes of the buffer between `recv` and `send`, one for each client that is served at the same time. 0 counts as
    /// 1. By default the textbooks' 4096; a larger one needs fewer calls for a large message.
    pub buffer: usize,
}

impl ServerOptions {
    /// Sets [`backlog`](ServerOptions::backlog).
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> ServerOptions {
        self.backlog = connections;
        self
    }

    /// Sets [`buffer`](ServerOptions::buffer).
    #[must_use]
    pub fn buffer(mut self, bytes: usize) -> ServerOptions {
        self.buffer = bytes;
        self
    }
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions { backlog: 1024, buffer: 4096 }
    }
}
