//! Sources of the program in the loop of the reactor.

use std::io;

use mio::{Interest, event::Source};

use crate::{id::SourceId, readiness::Readiness};

use super::{Net, no_token};

impl<S> Net<S> {
    /// Watches a source of the program: a pipe, a socket of another protocol, a timer, the signals, the output of a child, a
    /// descriptor (`mio::unix::SourceFd`). [`on_ready`](crate::Handler::on_ready) tells that the source is ready.
    ///
    /// The source stays with the program, which reads and writes. The source must not block. It takes one token, as a
    /// connection does; [`max_connections`](crate::Options::max_connections) does not count it, and a drain neither waits for
    /// the source nor ends the watching.
    ///
    /// # Edges
    /// An event says that something has changed, and is not repeated while nothing changes. So in `on_ready` the program
    /// either reads (or writes) until `WouldBlock`, or calls [`ready_again`](Self::ready_again). A program that does neither
    /// may wait for ever: bytes are there, and no further event tells of them. The end of a stream is one of the results of
    /// reading: the program unwatches the source then.
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # mod unix {
    /// use std::io::{ErrorKind, Read, Write};
    /// use tidegate::{Accepted, Conn, EventLoop, Handler, Net, Options, Readiness, SourceId};
    ///
    /// /// Sends the bytes of a pipe to all clients.
    /// struct Tail {
    ///     pipe: mio::unix::pipe::Receiver,
    /// #   bytes: usize,
    /// }
    ///
    /// impl Handler for Tail {
    ///     type Session = ();
    ///
    ///     fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
    ///         Some(())
    ///     }
    ///
    ///     fn on_data(&mut self, _conn: &mut Conn<'_>, input: &[u8]) -> usize {
    ///         input.len()
    ///     }
    ///
    ///     fn on_ready(&mut self, net: &mut Net, source: SourceId, ready: Readiness) {
    ///         let mut buffer = [0; 4096];
    ///         for _ in 0..16 {
    ///             match self.pipe.read(&mut buffer) {
    ///                 Ok(0) => {
    ///                     net.unwatch(source, &mut self.pipe); // the writer has ended
    /// #                   net.stop();
    ///                     return;
    ///                 }
    ///                 Ok(n) => {
    /// #                   self.bytes += n;
    ///                     net.for_each(|conn| _ = conn.send_all(&buffer[..n]));
    ///                 }
    ///                 Err(error) if error.kind() == ErrorKind::Interrupted => {}
    ///                 Err(error) if error.kind() == ErrorKind::WouldBlock => return, // the next bytes bring an event
    ///                 Err(error) => {
    ///                     eprintln!("the pipe has failed: {error}");
    ///                     net.unwatch(source, &mut self.pipe);
    ///                     return;
    ///                 }
    ///             }
    ///         }
    ///         // This turn has read enough. The connections come first, and the next turn reads on.
    ///         net.ready_again(source, ready);
    ///     }
    /// }
    ///
    /// # pub fn main() -> std::io::Result<()> {
    /// let (mut writer, pipe) = mio::unix::pipe::new()?;
    /// let mut tail = Tail { pipe, /**/ bytes: 0 };
    /// let mut server = EventLoop::new(Options::default())?;
    /// server.net().listen("127.0.0.1:0")?;
    /// server.net().watch(&mut tail.pipe, mio::Interest::READABLE)?;
    /// # writer.set_nonblocking(false)?;
    /// # std::thread::spawn(move || writer.write_all(&[b'.'; 1_000_000]).unwrap());
    /// server.run(&mut tail)?;
    /// # assert_eq!(tail.bytes, 1_000_000);
    /// # Ok(())
    /// # }
    /// # }
    /// # #[cfg(unix)]
    /// # unix::main().unwrap();
    /// ```
    ///
    /// # The life of the source
    /// The reactor does not own the source. So the program calls [`unwatch`](Self::unwatch) before it drops the source, and
    /// before it drops the reactor if the source is to be used further. A reactor that is dropped makes no more calls, and
    /// takes its own sockets out of the poll, but not the program's sources: a source that is still watched stays registered
    /// in the poll of the host, under a token of the reactor's range, until the program deregisters it there
    /// (`poll.registry().deregister(&mut source)`) or closes it. With an [`EventLoop`](crate::EventLoop) the poll is dropped
    /// too; builds of mio with debug assertions then refuse to register the source in another poll.
    ///
    /// # Errors
    /// The error of the registration: EPERM (`PermissionDenied`) with epoll for a regular file or a directory, which are always
    /// ready; `AlreadyExists` if the source is registered already. `Other` if all tokens are taken.
    ///
    /// # Portability
    /// With mio's selector on `poll(2)`, only mio's own types bring further events after a `WouldBlock`. Any other source, such
    /// as a `SourceFd`, needs [`rewatch`](Self::rewatch) after each `WouldBlock`. With epoll and kqueue the call is not needed
    /// and does no harm.
    pub fn watch(&mut self, source: &mut impl Source, interest: Interest) -> io::Result<SourceId> {
        let slot = self.engine.reserve_slot().ok_or_else(no_token)?;
        match source.register(self.engine.registry(), self.engine.token(slot), interest) {
            Ok(()) => Ok(self.engine.place_watched(slot)),
            Err(error) => {
                self.engine.release_slot(slot);
                Err(error)
            }
        }
    }

    /// Changes the interest in a watched source, and makes the poll look at the source again: if the source is ready, an
    /// event comes, also if nothing has changed since the last event.
    ///
    /// So `rewatch` in each [`on_ready`](crate::Handler::on_ready) turns edges into levels, for the price of a system call. A
    /// program that cannot read until `WouldBlock` does this, because its source has to stay blocking (a standard input that
    /// other processes share): it reads once for each event, and calls `rewatch`.
    ///
    /// # Errors
    /// `NotFound` if the id names no watched source; otherwise the error of the registration.
    pub fn rewatch(&mut self, id: SourceId, source: &mut impl Source, interest: Interest) -> io::Result<()> {
        if !self.engine.is_watched(id) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the source is not watched"));
        }
        let (registry, token) = (self.engine.registry(), self.engine.token(id.slot()));
        match source.reregister(registry, token, interest) {
            // mio's selector on poll(2) forgets a descriptor that has hung up, also while bytes wait to be read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                source.register(registry, token, interest)
            }
            done => done,
        }
    }

    /// Watches a source no longer. No [`on_ready`](crate::Handler::on_ready) comes for the id after this call, also not for
    /// events that came before. Does nothing if the id names no watched source.
    ///
    /// `source` must be the source that was passed to [`watch`](Self::watch). If it cannot be deregistered, for instance
    /// because its descriptor is closed, the id and its token are free nevertheless.
    pub fn unwatch(&mut self, id: SourceId, source: &mut impl Source) {
        if !self.engine.is_watched(id) {
            return;
        }
        if let Err(error) = source.deregister(self.engine.registry()) {
            log::debug!("deregistering a watched source failed: {error}");
        }
        self.engine.vacate(id.slot());
    }

    /// Calls [`on_ready`](crate::Handler::on_ready) in the next turn without an event, with this readiness and that of events
    /// that come meanwhile. The next turn does not sleep. Does nothing if the id names no watched source.
    ///
    /// So a program reads a bounded number of bytes in a turn, and a source that is always ready does not keep the connections
    /// waiting. A program that has ignored a readiness, because it had no room for more bytes, calls this method with
    /// [`Readiness::READABLE`] when there is room.
    pub fn ready_again(&mut self, id: SourceId, ready: Readiness) {
        self.engine.watched_is_ready(id, ready);
    }
}
