//! The options of a listener.

use super::Keepalive;

options! {
    /// How a listener is made: [`Net::listen_with`](crate::Net::listen_with).
    ///
    /// There is no option for TCP_DEFER_ACCEPT, for which no crate that this one uses has a safe call. A program that needs it
    /// makes the socket by itself and calls [`Net::adopt_listener_with`](crate::Net::adopt_listener_with).
    ///
    /// ```
    /// let options = tidegate::ListenOptions::default().backlog(128);
    /// assert_eq!(options.backlog, 128);
    /// ```
    ListenOptions {
        /// How many connections the kernel keeps until they are accepted, see listen(2). Linux silently caps the number at
        /// `net.core.somaxconn`. Default 1024.
        backlog: u32 = 1024 => {
            /// let mut server = EventLoop::<()>::new(Options::default())?;
            /// server.net().listen_with("127.0.0.1:0", ListenOptions::default().backlog(16))?;
            /// # std::io::Result::Ok(())
        },
        /// How many connections of this listener may be open at once, lingering connections included. Default: only
        /// [`Options::max_connections`](crate::Options::max_connections) counts.
        max_connections: usize = usize::MAX => {
            /// let mut server = EventLoop::new(Options::default())?;
            /// let one = server.net().listen_with("127.0.0.1:0", ListenOptions::default().max_connections(1))?;
            /// let any = server.net().listen("127.0.0.1:0")?;
            /// let at = [one, one, any, any].map(|listener| server.net().local_address(listener).unwrap());
            /// let _clients = at.map(|at| TcpStream::connect(at.to_string()).unwrap());
            /// run_until(&mut server, |stats| stats.accepted >= 3 && stats.turns >= 1000);
            /// assert_eq!(server.net().stats().accepted, 3);
            /// # std::io::Result::Ok(())
        },
        /// The treatment of further clients while as many connections are open as may be. Default [`WhenFull::Wait`].
        when_full: WhenFull = WhenFull::Wait => {
            /// let options = ListenOptions::default().max_connections(1).when_full(WhenFull::Close);
            /// let mut server = EventLoop::new(Options::default())?;
            /// let listener = server.net().listen_with("127.0.0.1:0", options)?;
            /// let at = server.net().local_address(listener)?.to_string();
            /// let (_first, mut second) = (TcpStream::connect(&at)?, TcpStream::connect(&at)?);
            /// run_until(&mut server, |stats| (stats.accepted, stats.refused_full) == (1, 1));
            /// assert_eq!(second.read(&mut [0])?, 0, "the second client was closed");
            /// # std::io::Result::Ok(())
        },
        /// Sets SO_REUSEPORT, so that several reactors can each have a listener on one address, and the kernel spreads the
        /// connections over them. Unix only; on other platforms listening fails. Default false.
        reuse_port: bool = false => {
            /// # if cfg!(unix) {
            /// let options = ListenOptions::default().reuse_port(true);
            /// let [mut one, mut two] = [(); 2].map(|()| EventLoop::<()>::new(Options::default()).unwrap());
            /// let listener = one.net().listen_with("127.0.0.1:0", options.clone())?;
            /// let at = one.net().local_address(listener)?;
            /// two.net().listen_with(at, options)?; // on the same port
            /// # }
            /// # std::io::Result::Ok(())
        },
        /// The permissions of the file at the path of a Unix socket, as for chmod(2). On Linux, a process needs the permission
        /// to write in order to connect. They are set before the first client can connect. Unix sockets with a path only;
        /// other listeners ignore this option. Default none: 0o777 without the bits of the umask.
        unix_mode: Option<u32> = None => {
            /// # if cfg!(unix) {
            /// let path = std::env::temp_dir().join(format!("tidegate-mode-{}", std::process::id()));
            /// let options = ListenOptions::default().unix_mode(Some(0o600)); // for processes of the same user
            /// let mut server = EventLoop::<()>::new(Options::default())?;
            /// let listener = server.net().listen_with(Address::unix(&path)?, options)?;
            /// server.net().close_listener(listener);
            /// assert!(!path.exists());
            /// # }
            /// # std::io::Result::Ok(())
        },
        /// Sets TCP_NODELAY for the connections of this listener: small sends leave at once. Default true.
        nodelay: bool = true,
        /// The keepalive of the connections of this listener. Default: [`Options::keepalive`](crate::Options::keepalive).
        keepalive: Option<Keepalive> = None,
        /// Sets SO_RCVBUF: how many bytes the kernel keeps of each connection of this listener until they are received.
        /// Linux doubles the number, silently caps it at `net.core.rmem_max`, and no longer adapts the size by itself. The
        /// option must be set before the listener listens, tcp(7), so it has no effect for an adopted listener. Default: the
        /// system decides.
        recv_buffer: Option<usize> = None,
        /// Sets SO_SNDBUF: how many unacknowledged bytes the kernel takes of each connection of this listener. It is like
        /// [`recv_buffer`](Self::recv_buffer), with `net.core.wmem_max`. Default: the system decides.
        send_buffer: Option<usize> = None,
    }
}

/// The treatment of clients for whom there is no place: [`ListenOptions::when_full`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum WhenFull {
    /// The client waits in the backlog until a connection ends. Beyond the backlog, the system lets clients wait or refuses
    /// them.
    Wait,
    /// The client is accepted and closed at once, so that it notices and can go elsewhere.
    Close,
}
