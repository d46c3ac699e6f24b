//! Listening.

use std::io;

use socket2::SockRef;

use crate::{
    address::{Address, ToAddress},
    id::ListenerId,
    options::ListenOptions,
    refused::Refused,
    socket::{
        self,
        handover::HandOver,
        listen,
        listener::{ListenSocket, Listener},
        platform::OPTIONS_ARE_INHERITED,
    },
};
#[cfg(unix)]
use crate::{
    address::{Endpoint, UnixName},
    socket::unix::Bound,
};

use super::{Net, no_token};

/// Listening.
impl<S> Net<S> {
    /// `socket()`, `bind()`, `listen()`: clients are accepted from the next turn on.
    ///
    /// # Unix sockets
    /// `"unix:/path"` makes a file at the path, and the file is removed when the listener is closed or the reactor is dropped,
    /// unless another file has taken its place. A process that is killed leaves its file behind. On Linux and Android, `listen`
    /// replaces the file of a socket that nobody listens on. It replaces no other file, and no socket that is in use, also
    /// if several reactors and processes call `listen` at a time: each holds a lock on the directory, flock(2), from before
    /// bind(2) until after listen(2). This has limits:
    ///
    /// * Another program that takes no such lock must not call bind(2) at the same moment: between its bind(2) and its
    ///   listen(2), its socket looks like one that nobody listens on.
    /// * `listen` waits up to a second for the lock. Without the lock (the directory cannot be read, or the file system has no
    ///   locks) `listen` binds, but replaces nothing.
    /// * A live server that has the path sees a client that connects and ends at once.
    /// * On other systems nothing is replaced, because a connect is refused there also if the backlog of a live server is
    ///   full. The program or its user removes the file.
    ///
    /// [`ListenOptions::unix_mode`] sets the permissions of the file. An abstract name, `"unix:@name"`, has no file and no
    /// permissions: every process in the network namespace can connect, and [`Conn::peer_credentials`](crate::Conn::peer_credentials) tells who did.
    ///
    /// # Errors
    /// The error of the system, with the address in the text: the address is in use, not allowed, or no address at all. `AddrInUse`
    /// if there is a file at the path of a Unix socket that is not replaced. `Other` if all tokens are taken.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let mut server = tidegate::EventLoop::<()>::new(tidegate::Options::default())?;
    /// let listener = server.net().listen("127.0.0.1:0")?;
    /// println!("listening on {}", server.net().local_address(listener)?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen(&mut self, at: impl ToAddress) -> io::Result<ListenerId> {
        self.listen_with(at, ListenOptions::default())
    }

    /// [`listen`](Self::listen) with options.
    ///
    /// # Errors
    /// The errors are those of [`listen`](Self::listen). If the system does not take an option, the text names the option.
    pub fn listen_with(&mut self, at: impl ToAddress, options: ListenOptions) -> io::Result<ListenerId> {
        let address = at.to_address()?;
        #[cfg(unix)]
        if let Some(Endpoint::Unix(name)) = address.endpoint(0) {
            return self
                .listen_unix(&name, options)
                .map_err(|error| listen::explain(format_args!("cannot listen on {address}"), &error));
        }
        #[cfg(test)]
        if let Some(socket) = socket::simulated::listen(address.socket_addrs(), &options) {
            return self.listen_simulated(socket?, options);
        }
        let socket = listen::listen_socket(&address, &options)?;
        if OPTIONS_ARE_INHERITED
            && let Some(wish) = options.keepalive.as_ref().or(self.options().keepalive.as_ref())
        {
            socket::options::set_keepalive(&SockRef::from(&socket), wish).map_err(|error| {
                listen::explain(
                    format_args!("cannot listen on {address}: the option keepalive (SO_KEEPALIVE)"),
                    &error,
                )
            })?;
        }
        self.place_listener(socket, options)
            .map_err(|refused| listen::explain(format_args!("cannot listen on {address}"), &refused.error))
    }

    #[cfg(test)]
    pub(super) fn listen_simulated(
        &mut self,
        socket: socket::simulated::SimulatedListener,
        options: ListenOptions,
    ) -> io::Result<ListenerId> {
        let slot = self.engine.reserve_slot().ok_or_else(no_token)?;
        match Listener::register_simulated(socket, self.engine.token(slot)) {
            Ok(listener) => Ok(self.engine.place_listener(slot, listener, options)),
            Err(error) => {
                self.engine.release_slot(slot);
                Err(error)
            }
        }
    }

    #[cfg(unix)]
    fn listen_unix(&mut self, name: &UnixName, options: ListenOptions) -> io::Result<ListenerId> {
        if options.reuse_port {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "reuse_port: a Unix socket has no port"));
        }
        let Bound { file, listener } = socket::unix::listen(name, options.backlog, options.unix_mode)?;
        match self.place_listener(listener, options) {
            Ok(id) => {
                if let Some(file) = file {
                    self.engine.own_file(id, file);
                }
                Ok(id)
            }
            Err(refused) => {
                drop(file); // before the listener is closed
                Err(refused.error)
            }
        }
    }

    /// Registers a socket that listens and does not block.
    pub(super) fn place_listener<T>(
        &mut self,
        socket: T,
        options: ListenOptions,
    ) -> Result<ListenerId, Refused<T>>
    where
        T: HandOver<Source: Into<ListenSocket>>,
    {
        let Some(slot) = self.engine.reserve_slot() else {
            return Err(Refused { error: no_token(), back: socket });
        };
        match Listener::register(socket, self.engine.registry(), self.engine.token(slot)) {
            Ok(listener) => Ok(self.engine.place_listener(slot, listener, options)),
            Err(refused) => {
                self.engine.release_slot(slot);
                Err(refused)
            }
        }
    }

    /// The address at which a listener listens: with port 0, the system has chosen a port.
    ///
    /// # Errors
    /// `NotFound` if the listener was closed; otherwise as getsockname(2).
    pub fn local_address(&self, listener: ListenerId) -> io::Result<Address> {
        self.engine.listener(listener).ok_or_else(closed)?.local_address()
    }

    /// The socket of a listener, to read and set options that the crate has no call for, and to duplicate the socket while
    /// the reactor goes on accepting.
    ///
    /// A duplicate, as `try_clone` makes one, has the same backlog. So another process that gets the duplicate can accept
    /// too, and the socket listens until its last duplicate is closed: after a close of the listener here, clients wait in the
    /// backlog for as long as the program keeps a duplicate. The file of a Unix socket is removed nevertheless when the
    /// listener is closed. [`release_unix_listener`](Self::release_unix_listener) keeps the file for the owner of the
    /// duplicate.
    ///
    /// [`SockRef`] is the type of the crate `socket2`, as in [`Conn::socket`](super::Conn::socket). The reactor relies on its
    /// own calls: a program must not accept here, shut down, or change the nonblocking mode, and the mode of a duplicate is
    /// the mode of the listener.
    ///
    /// # Errors
    /// `NotFound` if the listener was closed.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use tidegate::{EventLoop, Options};
    ///
    /// let mut server = EventLoop::<()>::new(Options::default())?;
    /// let listener = server.net().listen("127.0.0.1:0")?;
    /// let duplicate = server.net().listener_socket(listener)?.try_clone()?;
    /// let for_the_next_process = std::net::TcpListener::from(duplicate);
    /// # assert_eq!(server.net().local_address(listener)?, for_the_next_process.local_addr()?.into());
    /// # Ok(())
    /// # }
    /// ```
    pub fn listener_socket(&self, listener: ListenerId) -> io::Result<SockRef<'_>> {
        self.engine.listener(listener).ok_or_else(closed).map(|found| found.socket())
    }

    /// Stops listening. The system resets clients that wait in the backlog. The file of a Unix socket is removed: see
    /// [`listen`](Self::listen).
    pub fn close_listener(&mut self, listener: ListenerId) {
        self.engine.close_listener(listener);
    }

    /// Leaves further clients in the backlog until [`resume_listener`](Self::resume_listener).
    pub fn pause_listener(&mut self, listener: ListenerId) {
        self.engine.set_listener_paused(listener, true);
    }

    /// Accepts again, from the next turn on.
    pub fn resume_listener(&mut self, listener: ListenerId) {
        self.engine.set_listener_paused(listener, false);
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the listener is closed")
}
