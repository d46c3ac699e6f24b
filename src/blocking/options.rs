//! The options of the blocking server.

/// The options of a [`Server`](super::Server).
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
    /// The largest number of connections that wait to be accepted. The kernel has a limit of its own (listen(2)). The
    /// default is 1024.
    pub backlog: u32,
    /// The bytes of the buffer between `recv` and `send`. Each client that is served at the same time has such a buffer. 0
    /// counts as 1. The default is 4096, as in many textbooks; a larger buffer needs fewer calls for a large message.
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
