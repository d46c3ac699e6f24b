//! Listeners, their backlogs, and how clients connect.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{
    end::{Armed, End, Stage},
    network::{Delivery, Network},
    parts::{Listening, Registration},
    pipe::out_of_buffers,
};

/// How long a client waits until it asks again for a place in a backlog that was full.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Nothing answers at this address.
pub(crate) const BLACK_HOLE: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);

/// The streams to these addresses have the rules of Unix sockets.
fn is_unix(at: SocketAddr) -> bool {
    matches!(at.ip(), IpAddr::V4(ip) if ip.octets()[2] == 2)
}

impl Network {
    /// EMFILE or ENFILE.
    fn out_of_descriptors(&self) -> io::Error {
        io::Error::from_raw_os_error(if self.calls.is_multiple_of(2) { 24 } else { 23 })
    }
}

impl Network {
    pub(super) fn listen(&mut self, at: &[SocketAddr], backlog: u32) -> io::Result<usize> {
        if !self.takes_descriptor() {
            return Err(self.out_of_descriptors());
        }
        let mut at = *at.first().ok_or(ErrorKind::InvalidInput)?;
        if at.port() == 0 {
            at.set_port(10_000 + self.listeners.len() as u16);
        }
        if self.listener_at(at).is_some() {
            return Err(ErrorKind::AddrInUse.into());
        }
        self.listeners.push(Listening {
            at,
            backlog: VecDeque::new(),
            most: backlog as usize + 1, // as Linux counts
            token: None,
            armed: true,
            closed: false,
        });
        Ok(self.listeners.len() - 1)
    }

    fn listener_at(&self, at: SocketAddr) -> Option<usize> {
        self.listeners.iter().position(|listener| !listener.closed && listener.at == at)
    }

    pub(super) fn listener_address(&self, listener: usize) -> SocketAddr {
        self.listeners[listener].at
    }

    pub(super) fn register_listener(&mut self, listener: usize, token: usize) -> io::Result<()> {
        self.register(token, Registration::Listener(listener))?;
        let this = &mut self.listeners[listener];
        (this.token, this.armed) = (Some(token), true);
        self.edges.insert(token);
        Ok(())
    }

    pub(super) fn deregister_listener(&mut self, listener: usize) -> io::Result<()> {
        match self.listeners[listener].token.take() {
            Some(token) => self.deregister(token),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// The clients in the backlog are reset.
    pub(super) fn close_listener(&mut self, listener: usize) {
        self.listeners[listener].closed = true;
        self.gives_descriptor();
        if self.listeners[listener].token.is_some() && !std::thread::panicking() {
            self.violate(format_args!("listener {listener} was closed while it was registered"));
        }
        while let Some(end) = self.listeners[listener].backlog.pop_front() {
            self.ends[end].resets_on_close = true;
            self.close_end(end);
        }
    }

    pub(super) fn accept(&mut self, listener: usize) -> io::Result<(usize, SocketAddr)> {
        if self.begin_call() {
            return Err(ErrorKind::Interrupted.into());
        }
        let accepted = self.accept_now(listener);
        self.note(format_args!("listener {listener}: accept() = {accepted:?}"));
        accepted
    }

    fn accept_now(&mut self, listener: usize) -> io::Result<(usize, SocketAddr)> {
        if self.random.chance(self.conduct.accept_fails) {
            return Err(out_of_buffers());
        }
        let Some(&end) = self.listeners[listener].backlog.front() else {
            self.listeners[listener].armed = true;
            return Err(ErrorKind::WouldBlock.into());
        };
        if !self.takes_descriptor() {
            return Err(self.out_of_descriptors());
        }
        self.listeners[listener].backlog.pop_front();
        if self.random.chance(self.conduct.aborted_clients) {
            self.ends[end].resets_on_close = true;
            self.close_end(end);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok((end, self.ends[self.ends[end].peer].local))
    }

    pub(super) fn connect(&mut self, to: SocketAddr, local: Option<SocketAddr>) -> io::Result<usize> {
        self.calls += 1;
        if self.random.chance(self.conduct.connect_fails) {
            return Err(ErrorKind::NetworkUnreachable.into());
        }
        if !self.takes_descriptor() {
            return Err(self.out_of_descriptors());
        }
        let is_unix = is_unix(to);
        let listener = self.listener_at(to);
        if is_unix {
            // connect(2) of a Unix socket is done at once, or fails.
            let listener = listener.ok_or(ErrorKind::ConnectionRefused)?;
            if self.listeners[listener].backlog.len() >= self.listeners[listener].most {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        let (client, now) = (self.ends.len(), self.now);
        let own = SocketAddr::from((Ipv4Addr::from(0x0A01_0000 + client as u32), 1024));
        for (peer, at) in [(client + 1, local.unwrap_or(own)), (client, to)] {
            let capacity = 1 + self.random.below(self.conduct.capacity);
            self.ends.push(End { is_unix, ..End::new(peer, at, capacity, now) });
        }
        self.note(format_args!("end {client}: connect({to})"));
        if let Some(listener) = listener.filter(|_| is_unix) {
            self.ends[client].stage = Stage::Open;
            self.wait_in_backlog(client + 1, listener);
        } else if to.ip() != IpAddr::V4(BLACK_HOLE) {
            self.send_in_order(client, Delivery::Syn { client });
        }
        Ok(client)
    }

    pub(super) fn syn_arrives(&mut self, client: usize) {
        if self.ends[client].closed {
            return;
        }
        let server = self.ends[client].peer;
        let Some(listener) = self.listener_at(self.ends[server].local) else {
            return self.send_in_order(server, Delivery::Refused { client });
        };
        if self.listeners[listener].backlog.len() >= self.listeners[listener].most {
            return self.send_on_the_way(self.now + ASK_AGAIN, Delivery::Syn { client });
        }
        self.wait_in_backlog(server, listener);
        self.send_in_order(server, Delivery::Connected { client });
    }

    fn wait_in_backlog(&mut self, server: usize, listener: usize) {
        self.ends[server].stage = Stage::Open;
        self.listeners[listener].backlog.push_back(server);
        self.edges.extend(self.listeners[listener].token);
    }

    pub(super) fn client_is_connected(&mut self, client: usize) {
        self.ends[client].stage = Stage::Open;
        if self.ends[client].closed {
            // The client has gone meanwhile.
            let peer = self.ends[client].peer;
            return self.send_in_order(client, Delivery::Reset { to: peer });
        }
        self.edge(client);
    }

    pub(super) fn client_is_refused(&mut self, client: usize) {
        let this = &mut self.ends[client];
        (this.stage, this.error) = (Stage::Failed, Some(ErrorKind::ConnectionRefused));
        self.edge(client);
    }

    /// The result of a connect, as SO_ERROR and getpeername(2) tell.
    pub(super) fn connected(&mut self, end: usize) -> Option<io::Result<()>> {
        self.calls += 1;
        let this = &mut self.ends[end];
        if let Some(error) = this.error.take() {
            return Some(Err(error.into()));
        }
        match this.stage {
            Stage::Connecting => {
                this.armed = Armed::BOTH;
                None
            }
            // getpeername(2) of a socket that was reset fails, as if the connect were still under way.
            Stage::Failed => None,
            Stage::Open if this.was_reset => None,
            Stage::Open => Some(Ok(())),
        }
    }
}
